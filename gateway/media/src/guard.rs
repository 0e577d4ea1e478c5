//! What is rare about a leg: its packets are secured (SRTP), or where they come from is still to be learned.
//!
//! A session with a guarded leg takes neither the path beside the sockets nor the short way through the core: each of
//! its packets is looked at here first, and again before it leaves.

use ::core::net::IpAddr;
use ::core::time::Duration;
use alloc::boxed::Box;

use duogate_channel::identity::{Party, Session};
use duogate_channel::srtp::{Heard, MasterKeys};
use duogate_channel::time::Instant;
use duogate_srtp::{Incoming, Outgoing, Refused};
use zeroize::Zeroize;

use crate::action::Socket;
use crate::block::Tap;
use crate::core::Core;
use crate::learning::Learning;
use crate::offload::Way;
use crate::opening::leg_of;
use crate::outlet::Outlet;
use crate::path::Path;
use crate::table::{Leg, pending};
use crate::verdict::{DropReason, Origin, Verdict};

/// So many packets, over so long, without one that was authentic: then the keys are not the party's.
const UNAUTHENTIC_PACKETS: u32 = 50;
const UNAUTHENTIC_TIME: Duration = Duration::from_secs(5);

/// Octets of the index that stands in each SRTCP packet.
const REPORT_INDEX_OCTETS: usize = 4;

/// The rare part of a leg.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// While its packets are secured.
    pub(crate) secure: Option<Secure>,
    /// While its trunk has a translator of addresses.
    pub(crate) learning: Option<Learning>,
    /// The next far end may be learned, from there.
    pub(crate) signaling: Option<IpAddr>,
}

/// Both directions of a secured leg.
#[derive(Debug)]
pub(crate) struct Secure {
    keys: MasterKeys,
    incoming: Incoming,
    outgoing: Outgoing,
    trust: Trust,
}

/// Have the party's keys been seen to be its keys?
///
/// ```text
///              authentic
///  Unproven ──────────────> Proven
///   └──┘ not: counted, and told again and again when it lasts
/// ```
/// Once they have, nobody can end the call by sending what is not authentic.
#[derive(Clone, Copy, Debug)]
enum Trust {
    Unproven { since: Option<Instant>, packets: u32 },
    Proven,
}

impl Trust {
    const NONE: Self = Self::Unproven { since: None, packets: 0 };

    /// A packet was not authentic. Is that to be told?
    fn refused(&mut self, now: Instant) -> bool {
        let Self::Unproven { since, packets } = self else { return false };
        let began = *since.get_or_insert(now);
        *packets = packets.saturating_add(1);
        let due = *packets >= UNAUTHENTIC_PACKETS && now.since(began) >= UNAUTHENTIC_TIME;
        if due {
            *self = Self::NONE;
        }
        due
    }
}

impl Secure {
    fn new(keys: MasterKeys, heard: Option<Heard>) -> Self {
        let incoming = Incoming::new(keys.suite, &keys.theirs, heard);
        Self { keys, incoming, outgoing: Outgoing::new(keys.suite, &keys.ours), trust: Trust::NONE }
    }

    /// Takes other keys. A direction whose key stays goes on counting. True if ours is another.
    fn rekey(&mut self, keys: MasterKeys, heard: Option<Heard>) -> bool {
        let suite = keys.suite != self.keys.suite;
        if suite || keys.theirs != self.keys.theirs {
            self.incoming = Incoming::new(keys.suite, &keys.theirs, heard);
            self.trust = Trust::NONE;
        }
        let ours = suite || keys.ours != self.keys.ours;
        if ours {
            self.outgoing = Outgoing::new(keys.suite, &keys.ours);
        }
        self.keys.zeroize();
        self.keys = keys;
        ours
    }

    /// How far the party's stream has come.
    pub(crate) fn heard(&self) -> Option<Heard> {
        self.incoming.heard()
    }

    /// Decrypts a packet in place; its length.
    fn open(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        // RTCP on the port of RTP (RFC 5761 section 4) has indices of its own.
        if packet.get(1).is_some_and(|kind| kind >> 5 == 6) {
            self.incoming.open_rtcp(packet)
        } else {
            self.incoming.open_rtp(packet)
        }
    }

    /// Sends what `fill` writes, encrypted.
    fn send(
        &mut self,
        outlet: &mut impl Outlet,
        socket: Socket,
        length: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> bool {
        let outgoing = &mut self.outgoing;
        let mut sealed = false;
        let taken = outlet.send(socket, length + self.keys.suite.tag_octets(), |packet| {
            if let Some(plain) = packet.get_mut(..length) {
                fill(plain);
            }
            sealed = outgoing.seal_rtp(packet, length).is_ok();
            if !sealed {
                packet.fill(0);
            }
        });
        taken && sealed
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.keys.zeroize();
    }
}

const fn reason(refused: Refused) -> DropReason {
    match refused {
        Refused::Malformed => DropReason::Malformed,
        Refused::Replayed => DropReason::Replayed,
        Refused::Unauthentic => DropReason::Unauthentic,
    }
}

/// The same for a packet of RTCP.
pub(crate) fn send_report(
    guard: &mut Option<Box<Guard>>,
    outlet: &mut impl Outlet,
    socket: Socket,
    length: usize,
    fill: impl FnOnce(&mut [u8]),
) -> bool {
    let Some(secure) = guard.as_deref_mut().and_then(|guard| guard.secure.as_mut()) else {
        return outlet.send(socket, length, fill);
    };
    let grown = length + secure.keys.suite.tag_octets() + REPORT_INDEX_OCTETS;
    let mut sealed = false;
    let taken = outlet.send(socket, grown, |packet| {
        if let Some(plain) = packet.get_mut(..length) {
            fill(plain);
        }
        sealed = secure.outgoing.seal_rtcp(packet, length).is_ok();
        if !sealed {
            packet.fill(0);
        }
    });
    taken && sealed
}

/// Gives the outlet a packet of ours, encrypted where the leg is secured.
pub(crate) fn send(
    guard: &mut Option<Box<Guard>>,
    outlet: &mut impl Outlet,
    socket: Socket,
    length: usize,
    fill: impl FnOnce(&mut [u8]),
) -> bool {
    match guard.as_deref_mut().and_then(|guard| guard.secure.as_mut()) {
        None => outlet.send(socket, length, fill),
        Some(secure) => secure.send(outlet, socket, length, fill),
    }
}

impl Leg {
    pub(crate) fn secure(&mut self) -> Option<&mut Secure> {
        self.guard.as_deref_mut().and_then(|guard| guard.secure.as_mut())
    }

    /// Must each packet of its session be looked at here?
    pub(crate) fn is_guarded(&self) -> bool {
        self.guard.as_deref().is_some_and(|guard| guard.secure.is_some() || self.is_learning())
    }

    /// Decrypts an RTCP packet of the party in place; its length, which is the packet's own where it is plain.
    pub(crate) fn open_report(&mut self, packet: &mut [u8]) -> Result<usize, DropReason> {
        match self.secure() {
            Some(secure) => secure.incoming.open_rtcp(packet).map_err(reason),
            None => Ok(packet.len()),
        }
    }

    /// Gives it other keys, or none. True if the stream towards it must begin anew: it has sent something, and its
    /// numbers under a key that counts from the beginning might come twice.
    fn take_keys(&mut self, keys: Option<MasterKeys>, heard: Option<Heard>) -> bool {
        let Some(keys) = keys else {
            if let Some(guard) = self.guard.as_deref_mut() {
                guard.secure = None;
            }
            return false;
        };
        let guard = self.guard.get_or_insert_default();
        match &mut guard.secure {
            Some(secure) => secure.rekey(keys, heard),
            none => {
                *none = Some(Secure::new(keys, heard));
                true
            }
        }
    }
}

impl<P: Path> Core<P> {
    /// `Command::Secure`. The session is there.
    pub(crate) fn secure(
        &mut self,
        session: Session,
        party: Party,
        keys: Option<MasterKeys>,
        heard: Option<Heard>,
    ) {
        let ssrc = self.table.draw();
        let leg = self.table.slots[session.slot as usize].leg(party);
        let before = leg.secure().is_some();
        if leg.take_keys(keys, heard) {
            leg.stream.begin_anew((ssrc & 0xffff_ffff) as u32);
        }
        let after = leg.secure().is_some();
        self.counters.secured += u64::from(after && !before);
        self.counters.secured -= u64::from(before && !after);
        self.refresh_guards(session.slot);
    }

    /// The session is over: nothing of its keys stays.
    pub(crate) fn end_guard(&mut self, place: u32, party: Party) {
        self.wheel.cancel(self.timers.learning(place, party));
        let leg = self.table.slots[place as usize].leg(party);
        self.counters.secured -= u64::from(leg.secure().is_some());
        leg.guard = None;
        leg.set_guarded(false);
    }

    /// Decides anew whether a session's packets are to be looked at first. Nothing of it is on the path.
    pub(crate) fn refresh_guards(&mut self, place: u32) {
        let slot = &mut self.table.slots[place as usize];
        let guarded = slot.legs.iter().any(Leg::is_guarded);
        for leg in &mut slot.legs {
            leg.set_guarded(guarded);
        }
    }

    /// Judges a packet of a session with a guarded leg. It fills the first `length` octets of the buffer.
    #[inline(never)]
    pub(crate) fn judge_guarded(
        &mut self,
        now: Instant,
        name: u32,
        origin: Origin,
        (buffer, length): (&mut [u8], usize),
        tap: &mut impl Tap,
    ) -> Verdict {
        let (place, party) = leg_of(name);
        let Some(datagram) = buffer.get_mut(..length) else { return Verdict::Drop(DropReason::Malformed) };
        let length = match self.admit(now, (place, party), origin, datagram) {
            Ok(length) => length,
            Err(reason) => {
                let leg = self.table.slots[place as usize].leg(party);
                leg.figures.refused += u64::from(reason.is_refusal());
                return Verdict::Drop(reason);
            }
        };
        if self.table.slots[place as usize].leg(party).tones.is_some() {
            self.search(now, name, origin, &buffer[..length]);
        }
        let leg = self.table.slots[place as usize].leg(party);
        let loud = leg.is_heard(origin, &buffer[..length]);
        let verdict = self.judge_plainly(now, name, origin, &mut buffer[..length], tap);
        if loud {
            self.hear_from(now, place, party);
        }
        let (Verdict::Forward { socket, length } | Verdict::HelpToo { socket, length }) = verdict else {
            return verdict;
        };
        let Some(secure) = self.table.slots[place as usize].leg(party.other()).secure() else {
            return verdict;
        };
        // It is about to be encrypted in place: what a helper is to decode for a recording is put aside.
        let too = matches!(verdict, Verdict::HelpToo { .. });
        let too = too && self.job.as_mut().is_some_and(|job| self.aside.keep(job, buffer));
        match secure.outgoing.seal_rtp(buffer, length) {
            Ok(length) if too => Verdict::HelpToo { socket, length },
            Ok(length) => Verdict::Forward { socket, length },
            Err(_) => Verdict::Drop(DropReason::Unsealed),
        }
    }

    /// Is it the party's, and from where it may send? Decrypts it in place; its length in plain.
    fn admit(
        &mut self,
        now: Instant,
        (place, party): (u32, Party),
        origin: Origin,
        packet: &mut [u8],
    ) -> Result<usize, DropReason> {
        let leg = self.table.slots[place as usize].leg(party);
        leg.may_come_from(origin)?;
        let mut length = packet.len();
        if let Some(secure) = leg.secure() {
            match secure.open(packet) {
                Ok(plain) => {
                    secure.trust = Trust::Proven;
                    length = plain;
                }
                Err(refused) => {
                    if refused != Refused::Replayed && secure.trust.refused(now) {
                        self.counters.unauthentic += 1;
                        let slot = &mut self.table.slots[place as usize];
                        self.events.tell(place, slot, pending::UNAUTHENTIC << party.index());
                    }
                    return Err(reason(refused));
                }
            }
        }
        if leg.is_learning() {
            self.learn_from(now, (place, party), origin, &packet[..length])?;
        }
        Ok(length)
    }
}

impl Way {
    /// The same, or guarded.
    pub(crate) const fn guarded(self, guarded: bool) -> Self {
        match (self, guarded) {
            (_, true) => Self::Guarded,
            (Self::Guarded, false) => Self::Sockets,
            (other, false) => other,
        }
    }
}
