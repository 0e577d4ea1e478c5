//! Where a party behind a translator of addresses really sends from.
//!
//! ```text
//!            FarEnd, the party sends          three packets in a row, or one that is authentic
//!  (strict) ────────────────────────> Open ──────────────────────────────────────────────────> Settled
//!                                      │  ^          the time is over: where it was before        ^ │
//!                                      │  └── FarEnd, the party sends ────────────────────────────┼─┘
//!                                      └──────────────────────────────────────────────────────────┘
//! ```
//! While it is open nothing is sent to the party and nothing of it is passed on: the socket is not connected. The only
//! addresses that are believed are that of its session description and that of its signaling, whatever the port. From
//! one of them, RTP of the negotiated kind must come from one port, with one SSRC and without a gap; where the leg is
//! secured, one authentic packet says more than that. Once it is settled, all is as strict as with everybody.
//!
//! A port of its own for RTCP has another way through the translator. Once the source of RTP has been learned, the first
//! well-formed RTCP that comes from the same address, whatever the port, and names the SSRC of the RTP, says where RTCP
//! goes from then on. Until it does, or its time is over, none is sent. The SSRC was chosen at random and has gone to us
//! alone; who guesses it can only lie about quality. Where RTP was not learned RTCP is where the description says.

use ::core::net::{IpAddr, SocketAddr};
use ::core::time::Duration;

use duogate_channel::command::{FarEnd, Rtcp};
use duogate_channel::identity::{Party, Session};
use duogate_channel::time::Instant;

use crate::commands::is_somewhere;
use crate::core::Core;
use crate::opening::leg_of;
use crate::path::Path;
use crate::relay::{Content, content};
use crate::rtcp::Compound;
use crate::rtp::{Malformed, Packet};
use crate::table::{Leg, State};
use crate::verdict::{DropReason, Origin};
use crate::wheel::tick_from;

/// How long it stays open: longer than the first packets of a telephone take that has to find its way out first.
const OPEN: Duration = Duration::from_secs(5);

/// How long RTCP's port may be learned after RTP's: two reports come in that, though it may be the slowest who sends
/// them (RFC 3550 section 6.3.1: 1.5 / 1.21828 times 5 s apart).
const REPORTS_OPEN: Duration = Duration::from_secs(15);

/// Packets in a row that settle it: 60 ms of a telephone's, and more than a guess can hit by chance.
const IN_A_ROW: u8 = 3;

/// Sources that are followed at once: the party, and those who would like to be taken for it. The one with the fewest
/// packets gives way.
const CANDIDATES: usize = 4;

/// Somebody who may be the party.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    address: SocketAddr,
    ssrc: u32,
    /// The sequence number that would be the next.
    next: u16,
    packets: u8,
}

/// What is known of a party that may be elsewhere than it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Learning {
    /// Where its session description says that it is.
    described: FarEnd,
    /// Where its signaling comes from.
    signaling: IpAddr,
    /// Where it was before, if it has been learned for the same description.
    before: Option<SocketAddr>,
    open: bool,
    /// Until then the port of RTCP may be learned.
    reports_until: Option<Instant>,
    candidates: [Option<Candidate>; CANDIDATES],
}

impl Learning {
    fn believes(&self, address: SocketAddr) -> bool {
        let ip = address.ip();
        (ip == self.signaling || ip == self.described.address.ip()) && is_somewhere(address)
    }

    /// Takes a packet of a source that is believed. Is that the party now?
    fn take(&mut self, address: SocketAddr, packet: &Packet, proven: bool) -> bool {
        let header = packet.header;
        let next = header.sequence.wrapping_add(1);
        let same = |place: &&mut Option<Candidate>| {
            place.is_some_and(|known| known.address == address && known.ssrc == header.ssrc)
        };
        let mut packets = 1;
        if let Some(Some(known)) = self.candidates.iter_mut().find(same) {
            packets = if known.next == header.sequence { known.packets.saturating_add(1) } else { 1 };
            (known.next, known.packets) = (next, packets);
        } else if let Some(place) =
            self.candidates.iter_mut().min_by_key(|place| place.map_or(0, |known| known.packets))
        {
            *place = Some(Candidate { address, ssrc: header.ssrc, next, packets });
        }
        proven || packets >= IN_A_ROW
    }
}

impl Leg {
    /// Is it being learned where the party is?
    pub(crate) fn is_learning(&self) -> bool {
        let learning = self.guard.as_deref().and_then(|guard| guard.learning.as_ref());
        learning.is_some_and(|learning| learning.open)
    }

    /// Is it not known yet where RTCP with it goes, which has a port of its own?
    pub(crate) fn is_learning_reports(&self) -> bool {
        let learning = self.guard.as_deref().and_then(|guard| guard.learning.as_ref());
        learning.is_some_and(|learning| learning.open || learning.reports_until.is_some())
    }

    /// RTCP comes from another port than the one that was described. May it?
    pub(crate) fn may_report_from(&self, now: Instant, address: SocketAddr) -> bool {
        let learning = self.guard.as_deref().and_then(|guard| guard.learning.as_ref());
        learning.and_then(|learning| learning.reports_until).is_some_and(|until| now < until)
            && self.far_end.is_some_and(|far_end| far_end.address.ip() == address.ip())
            && is_somewhere(address)
    }

    /// The time in which RTCP's port may be learned has ended, if `until` has come; true if it has only now.
    pub(crate) fn end_learning_reports(&mut self, until: Instant) -> bool {
        let learning = self.guard.as_deref_mut().and_then(|guard| guard.learning.as_mut());
        learning.is_some_and(|learning| learning.reports_until.take_if(|due| *due <= until).is_some())
    }

    /// May a packet come from there at all?
    pub(crate) fn may_come_from(&self, origin: Origin) -> Result<(), DropReason> {
        let far_end = self.far_end.as_ref().ok_or(DropReason::NoFarEnd)?;
        let Origin::Address(address) = origin else { return Ok(()) };
        let learning = self.guard.as_deref().and_then(|guard| guard.learning.as_ref());
        let believed = match learning.filter(|learning| learning.open) {
            Some(learning) => learning.believes(address),
            None => address == far_end.address,
        };
        if believed { Ok(()) } else { Err(DropReason::Stranger) }
    }

    /// A far end has come: as it is to stand in the leg. It may be elsewhere if `Command::Learn` came before it.
    pub(crate) fn place_far_end(&mut self, far_end: FarEnd) -> FarEnd {
        let Some(guard) = self.guard.as_deref_mut() else { return far_end };
        let Some(signaling) = guard.signaling.take() else {
            guard.learning = None;
            return far_end;
        };
        let same = guard.learning.is_some_and(|known| known.described.address == far_end.address);
        let before = self.far_end.map(|known| known.address).filter(|_| same);
        // Who does not send cannot be learned, and stays where it was.
        let open = far_end.receive && is_somewhere(far_end.address);
        guard.learning = Some(Learning {
            described: far_end,
            signaling,
            before,
            open,
            reports_until: None,
            candidates: [None; CANDIDATES],
        });
        FarEnd { address: before.unwrap_or(far_end.address), ..far_end }
    }
}

impl<P: Path> Core<P> {
    /// `Command::Learn`. The session is there.
    pub(crate) fn learn(&mut self, session: Session, party: Party, signaling: IpAddr) {
        let leg = self.table.slots[session.slot as usize].leg(party);
        leg.guard.get_or_insert_default().signaling = Some(signaling);
    }

    /// The party is to be learned from now on, if its far end says so. True if it is.
    pub(crate) fn begin_learning(&mut self, now: Instant, place: u32, party: Party) -> bool {
        let leg = self.table.slots[place as usize].leg(party);
        let (true, Some(socket)) = (leg.is_learning(), leg.socket) else { return false };
        self.sockets.listen(socket);
        // What a gateway before this one has left on the path would keep its packets from us.
        self.clear_port(socket);
        self.wheel.arm(self.timers.learning(place, party), tick_from(now + OPEN));
        true
    }

    /// A packet, in plain, of a source that is believed. An error while it is not the party's for sure.
    pub(crate) fn learn_from(
        &mut self,
        now: Instant,
        (place, party): (u32, Party),
        origin: Origin,
        packet: &[u8],
    ) -> Result<(), DropReason> {
        // Only a socket that is not connected is learned from: it knows sources.
        let Origin::Address(address) = origin else { return Err(DropReason::Learning) };
        let leg = self.table.slots[place as usize].leg(party);
        let proven = leg.secure().is_some();
        let Some(learning) = leg.guard.as_deref_mut().and_then(|guard| guard.learning.as_mut()) else {
            return Ok(());
        };
        let checked = Packet::new_checked(packet).map_err(|malformed| match malformed {
            Malformed::Rtcp => DropReason::Rtcp,
            Malformed::Short | Malformed::Version | Malformed::Padding => DropReason::Malformed,
        })?;
        // Anything that was negotiated; comfort noise was not.
        if matches!(content(&learning.described, &checked)?, Content::ComfortNoise) {
            return Err(DropReason::Learning);
        }
        if !learning.take(address, &checked, proven) {
            return Err(DropReason::Learning);
        }
        self.counters.learned += 1;
        self.settle(now, place, party, Some(address));
        Ok(())
    }

    /// RTCP has come to a port of its own, from where the party may be, and is authentic where the leg is secured. Is it
    /// the party's? Then it goes there from now on.
    pub(crate) fn learn_report_port(
        &mut self,
        name: u32,
        elsewhere: Option<SocketAddr>,
        report: &[u8],
    ) -> bool {
        let (place, party) = leg_of(name);
        let leg = self.table.slots[place as usize].leg(party);
        let ssrc = report.get(4..8).and_then(|octets| octets.try_into().ok()).map(u32::from_be_bytes);
        let known = leg.arrival.epoch > 0 && ssrc == Some(leg.arrival.ssrc);
        if !known || Compound::new_checked(report).is_err() || leg.is_learning() {
            return elsewhere.is_none();
        }
        if let (Some(far_end), Some(address)) = (&mut leg.far_end, elsewhere) {
            far_end.rtcp = Rtcp::Port(address.port());
        }
        leg.end_learning_reports(Instant::from_nanoseconds(u64::MAX));
        self.direct_report_port(place, party);
        true
    }

    /// The time is over.
    pub(crate) fn learning_over(&mut self, now: Instant, place: u32, party: Party) {
        if self.table.slots[place as usize].leg(party).is_learning() {
            self.counters.unlearned += 1;
            self.settle(now, place, party, None);
        }
    }

    /// From now on the party is there, or where it was before, or where it says.
    fn settle(&mut self, now: Instant, place: u32, party: Party, learned: Option<SocketAddr>) {
        let slot = &mut self.table.slots[place as usize];
        let joined = slot.state == State::Joined;
        let leg = slot.leg(party);
        let Some(learning) = leg.guard.as_deref_mut().and_then(|guard| guard.learning.as_mut()) else {
            return;
        };
        learning.open = false;
        let described = learning.described;
        learning.reports_until = learned.map(|_| now + REPORTS_OPEN);
        let address = learned.or(learning.before).unwrap_or(described.address);
        leg.far_end = Some(FarEnd { address, ..described });
        leg.refresh();
        if let Some(socket) = leg.socket {
            self.sockets.connect(socket);
        }
        self.direct_report_port(place, party);
        self.wheel.cancel(self.timers.learning(place, party));
        self.refresh_guards(place);
        if joined && described.talks() {
            self.watch(now, place, party);
        }
        self.find_way(place);
    }
}
