//! RTCP with each party (RFC 3550 section 6): reports to it, and what it says in its own.
//!
//! A party gets a sender report while we send to it, a receiver report otherwise, at random intervals (section 6.2),
//! and a BYE when its leg ends (section 6.6). Reports speak of our stream to the party and of its stream to us: nothing
//! of one party's RTCP ever goes to the other.

use ::core::time::Duration;
use alloc::boxed::Box;

use duogate_channel::command::Rtcp;
use duogate_channel::identity::Party;
use duogate_channel::quality::Quality;
use duogate_channel::time::Instant;

use crate::action::{BindError, Socket};
use crate::arrival::samples;
use crate::commands::is_somewhere;
use crate::core::Core;
use crate::guard::send_report;
use crate::limits::Limits;
use crate::opening::{leg_name, leg_of};
use crate::outlet::Outlet;
use crate::path::Path;
use crate::rtcp::{Block, Compound, Report, SenderInfo, Statement, is_rtcp};
use crate::stream::Stream;
use crate::table::{Leg, Random};
use crate::verdict::{DropReason, Origin, Verdict};
use crate::vigil::Vigil;
use crate::wheel::{tick_at, tick_from};

/// The port for RTCP of a leg.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Port {
    /// It has none: it shares RTP's, or does without.
    #[default]
    None,
    /// It is being bound.
    Asked(Socket),
    /// It is open.
    Open(Socket),
}

/// Where reports to one party stand.
///
/// ```text
///        a far end with RTCP             Close, and we were heard of
///  Off ─────────────────────> Running ──────────────────────────────> Leaving
///   ^                            │ Close, nothing was ever sent           │ BYE sent
///   └────────────────────────────┴────────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Phase {
    #[default]
    Off,
    Running,
    Leaving,
}

/// A sender report that was sent: the middle of its NTP timestamp, by which the party names it, and when it left.
#[derive(Clone, Copy, Default, Debug)]
struct Told {
    middle: u32,
    at: Instant,
}

/// What is said and heard by RTCP on one leg.
#[derive(Clone, Copy, Default, Debug)]
struct Correspondence {
    phase: Phase,
    port: Port,
    /// Reports sent.
    sent: u32,
    /// The newest sender reports, the newest first.
    told: [Told; 2],
    /// Packets of our stream when the newest reports were sent, the newest first.
    packets: [u64; 2],
    /// What had been expected of the party, and had come, at the newest report.
    expected: u64,
    arrived: u64,
    /// Reports received.
    received: u32,
    /// Whose sender report came last, the middle of its NTP timestamp, and when.
    their_ssrc: u32,
    their_report: u32,
    their_time: Instant,
    bye: bool,
}

/// What is known of one leg beside its packets.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Dossier {
    rtcp: Correspondence,
    pub(crate) vigil: Vigil,
}

/// Memory of a leg's.
pub(crate) const DOSSIER_OCTETS: usize = size_of::<Dossier>();

impl Dossier {
    pub(crate) fn quality(&self) -> Quality {
        let quality = Quality {
            reports_sent: self.rtcp.sent,
            reports_received: self.rtcp.received,
            bye: self.rtcp.bye,
            ..Quality::default()
        };
        self.vigil.describe(quality)
    }
}

/// Of all legs, by name.
#[derive(Debug)]
pub(crate) struct Reports {
    dossiers: Box<[Dossier]>,
    random: Random,
}

impl Reports {
    pub(crate) fn new(sessions: u32, seed: u64) -> Self {
        let dossiers = (0..sessions * 2).map(|_| Dossier::default()).collect();
        // Not the same numbers as those of streams.
        Self { dossiers, random: Random::new(!seed) }
    }

    pub(crate) fn of(&self, place: u32, party: Party) -> &Dossier {
        &self.dossiers[leg_name(place, party) as usize]
    }

    pub(crate) fn of_mut(&mut self, place: u32, party: Party) -> &mut Dossier {
        &mut self.dossiers[leg_name(place, party) as usize]
    }

    /// The time to the next report: `mean` times 0.5 to 1.5, made up for what timer reconsideration would add (RFC 3550
    /// section 6.3.1). With two parties the bandwidth that RTCP may take allows for more, so `mean` is the minimum of
    /// section 6.2; the first comes in half of it.
    fn interval(&mut self, mean: Duration, first: bool) -> Duration {
        /// e - 3/2, in parts of a hundred thousand.
        const COMPENSATION: u64 = 121_828;
        let mean = if first { mean / 2 } else { mean };
        let parts = 512 + (self.random.next() & 1023);
        let nanoseconds = u64::try_from(mean.as_nanos()).unwrap_or(u64::MAX) / 1024;
        Duration::from_nanos(nanoseconds.saturating_mul(parts) / COMPENSATION * 100_000)
    }
}

impl<P: Path> Core<P> {
    /// A session begins: nothing is known of its legs.
    pub(crate) fn begin_reports(&mut self, place: u32) {
        for party in Party::BOTH {
            *self.reports.of_mut(place, party) = Dossier::default();
            self.wheel.cancel(self.timers.report(place, party));
        }
    }

    /// The far end of a leg has been told: where its RTCP goes.
    pub(crate) fn direct_reports(&mut self, now: Instant, place: u32, party: Party) {
        let leg = self.table.slots[place as usize].leg(party);
        let Some(far_end) = leg.far_end else { return };
        if self.limits.report_interval.is_zero()
            || far_end.rtcp == Rtcp::Off
            || !is_somewhere(far_end.address)
        {
            return;
        }
        let has_place = self.report_port(place, party).is_some();
        let rtcp = &mut self.reports.of_mut(place, party).rtcp;
        match (far_end.rtcp, rtcp.port) {
            (Rtcp::Port(_), Port::None) if has_place => {
                match self.sockets.claim_for_reports(leg_name(place, party)) {
                    Some(socket) => rtcp.port = Port::Asked(socket),
                    None => self.counters.report_ports_refused += 1,
                }
            }
            (Rtcp::Port(_), Port::None | Port::Asked(_) | Port::Open(_)) | (Rtcp::Off | Rtcp::Muxed, _) => {}
        }
        self.direct_report_port(place, party);
        let rtcp = &mut self.reports.of_mut(place, party).rtcp;
        if rtcp.phase == Phase::Off {
            rtcp.phase = Phase::Running;
            let interval = self.reports.interval(self.limits.report_interval, true);
            self.wheel.arm(self.timers.report(place, party), tick_from(now + interval));
        }
    }

    /// A port for RTCP is connected, or listens while it is not known where the party's is.
    pub(crate) fn direct_report_port(&mut self, place: u32, party: Party) {
        let leg = &self.table.slots[place as usize].legs[party.index()];
        let apart = leg.far_end.is_some_and(|far_end| matches!(far_end.rtcp, Rtcp::Port(_)));
        let Port::Open(socket) = self.reports.of(place, party).rtcp.port else { return };
        if leg.is_learning_reports() {
            self.sockets.listen(socket);
        } else if apart {
            self.sockets.connect(socket);
        }
    }

    /// The port for a leg's RTCP: the odd one above its RTP port, if the shard has it.
    pub(crate) fn report_port(
        &self,
        place: u32,
        party: Party,
    ) -> Option<duogate_channel::identity::LocalPort> {
        let socket = self.table.slots[place as usize].legs[party.index()].socket?;
        let mut port = self.limits.port(socket);
        port.port = port.port.checked_add(1).filter(|port| *port <= self.limits.last_port)?;
        Some(port)
    }

    /// A port for RTCP has been bound, or not: a leg does without then.
    pub(crate) fn report_port_bound(&mut self, name: u32, socket: Socket, result: Result<(), BindError>) {
        let (place, party) = leg_of(name);
        let rtcp = &mut self.reports.of_mut(place, party).rtcp;
        match result {
            Ok(()) => {
                rtcp.port = Port::Open(socket);
                self.direct_report_port(place, party);
            }
            Err(BindError::Taken | BindError::Refused) => {
                rtcp.port = Port::None;
                self.counters.report_ports_refused += 1;
            }
        }
    }

    /// The session ends: the party is told if it has ever heard of us (section 6.3.7), and a port for RTCP goes to rest
    /// with the one for RTP.
    pub(crate) fn end_reports(&mut self, now: Instant, place: u32) {
        for party in Party::BOTH {
            let heard_of = self.table.slots[place as usize].leg(party).stream.packets > 0;
            let rtcp = &mut self.reports.of_mut(place, party).rtcp;
            let timer = self.timers.report(place, party);
            match rtcp.phase {
                Phase::Running if heard_of || rtcp.sent > 0 => {
                    rtcp.phase = Phase::Leaving;
                    self.wheel.arm(timer, tick_at(now));
                }
                Phase::Off | Phase::Running | Phase::Leaving => {
                    rtcp.phase = Phase::Off;
                    self.wheel.cancel(timer);
                    self.end_guard(place, party);
                }
            }
            let rtcp = &self.reports.of(place, party).rtcp;
            let (Port::Asked(socket) | Port::Open(socket)) = rtcp.port else { continue };
            if self.sockets.leave(socket, true) {
                self.wheel.arm(self.timers.rest(socket), tick_from(now + self.limits.rest));
            }
        }
    }

    /// A report is due.
    #[cold]
    pub(crate) fn report(&mut self, now: Instant, place: u32, party: Party, outlet: &mut impl Outlet) {
        // What the path has carried counts: both streams of this leg stand where the path has brought them.
        self.consult_path(place, Party::One);
        self.consult_path(place, Party::Two);
        let leaving = self.reports.of(place, party).rtcp.phase == Phase::Leaving;
        if self.table.slots[place as usize].leg(party).end_learning_reports(now) {
            self.direct_report_port(place, party);
        }
        let leg = &mut self.table.slots[place as usize].legs[party.index()];
        let rtcp = &mut self.reports.of_mut(place, party).rtcp;
        let socket = match (leg.far_end.map(|far_end| far_end.rtcp), rtcp.port) {
            (Some(Rtcp::Muxed), _) => leg.socket,
            (Some(Rtcp::Port(_)), Port::Open(socket)) if !leg.is_learning_reports() => Some(socket),
            (Some(Rtcp::Port(_) | Rtcp::Off) | None, _) => None,
        };
        if let Some(socket) = socket {
            let report = rtcp.compose(now, &self.limits, leg, leaving);
            if send_report(&mut leg.guard, outlet, socket, report.length(), |bytes| report.emit(bytes)) {
                rtcp.note_sent(now, &report, leg);
                self.counters.reports_sent += 1;
            }
        }
        if leaving {
            rtcp.phase = Phase::Off;
            self.end_guard(place, party);
        } else {
            let interval = self.reports.interval(self.limits.report_interval, false);
            self.wheel.arm(self.timers.report(place, party), tick_from(now + interval));
        }
    }

    /// Judges a datagram that came to a port for RTCP.
    #[cold]
    pub(crate) fn judge_report(
        &mut self,
        now: Instant,
        socket: Socket,
        origin: Origin,
        datagram: &mut [u8],
    ) -> Verdict {
        let Some(name) = self.sockets.reporter(socket) else { return Verdict::Drop(DropReason::NotOpen) };
        let leg = &mut self.table.slots[name as usize / 2].legs[name as usize % 2];
        let place = leg.far_end.and_then(|far_end| match far_end.rtcp {
            Rtcp::Port(port) => Some((far_end.address.ip(), port)),
            Rtcp::Off | Rtcp::Muxed => None,
        });
        // From elsewhere only while that is learned.
        let elsewhere = match (place, origin) {
            (Some(place), Origin::Address(address)) if place != (address.ip(), address.port()) => {
                Some(address)
            }
            _ => None,
        };
        if place.is_none() {
            return Verdict::Drop(DropReason::Rtcp);
        }
        if elsewhere.is_some_and(|address| !leg.may_report_from(now, address)) {
            return Verdict::Drop(DropReason::Stranger);
        }
        if !is_rtcp(datagram) {
            return Verdict::Drop(DropReason::Malformed);
        }
        let reason = match leg.open_report(datagram) {
            Ok(length) => {
                let report = &datagram[..length];
                if leg.is_learning_reports() && !self.learn_report_port(name, elsewhere, report) {
                    return Verdict::Drop(DropReason::Stranger);
                }
                self.take_report(now, name, report)
            }
            Err(reason) => reason,
        };
        Verdict::Drop(reason)
    }

    /// A datagram from the party's address, to the port for RTP, is not taken for RTP: it may be RTCP, which may come at
    /// any time, also from one who sends no sound.
    #[cold]
    pub(crate) fn turned_away(
        &mut self,
        now: Instant,
        name: u32,
        reason: DropReason,
        datagram: &[u8],
    ) -> DropReason {
        let leg = &mut self.table.slots[name as usize / 2].legs[name as usize % 2];
        let muxed = leg.far_end.is_some_and(|far_end| far_end.rtcp == Rtcp::Muxed);
        let spoken = muxed && !self.limits.report_interval.is_zero();
        if spoken && matches!(reason, DropReason::Rtcp | DropReason::Held) && is_rtcp(datagram) {
            return self.take_report(now, name, datagram);
        }
        leg.figures.refused += u64::from(reason.is_refusal());
        reason
    }

    /// Believes what the party says by RTCP, if all of it is well-formed.
    fn take_report(&mut self, now: Instant, name: u32, datagram: &[u8]) -> DropReason {
        let Ok(compound) = Compound::new_checked(datagram) else {
            self.counters.reports_malformed += 1;
            return DropReason::Malformed;
        };
        self.counters.reports_received += 1;
        let (place, party) = leg_of(name);
        let leg = &self.table.slots[place as usize].legs[party.index()];
        let Dossier { rtcp, vigil } = self.reports.of_mut(place, party);
        rtcp.received = rtcp.received.saturating_add(1);
        compound.statements(|statement| match statement {
            Statement::Sender { ssrc, info } => {
                rtcp.their_ssrc = ssrc;
                rtcp.their_report = (info.ntp >> 16 & 0xffff_ffff) as u32;
                rtcp.their_time = now;
            }
            Statement::Block(block) if block.ssrc == leg.stream.ssrc => {
                let round_trip = rtcp.round_trip(now, &block);
                vigil.told(&block, round_trip, leg);
            }
            Statement::Bye(ssrc) => rtcp.bye |= leg.arrival.epoch > 0 && ssrc == leg.arrival.ssrc,
            // Of a stream that is not ours.
            Statement::Block(_) => {}
        });
        DropReason::Report
    }
}

impl Correspondence {
    /// The report that is due now.
    fn compose(&self, now: Instant, limits: &Limits, leg: &Leg, bye: bool) -> Report {
        let stream = &leg.stream;
        // Section 6.4: a sender report from whoever has sent since the report before the last.
        let sends = stream.packets > self.packets[1] && stream.sent_at != Instant::ZERO;
        Report {
            ssrc: stream.ssrc,
            sender: sends.then(|| sender_info(now, limits, stream, ticks(leg))),
            block: self.block(now, leg),
            cname: cname(stream.ssrc),
            bye,
        }
    }

    /// What came from the party, if anything did since the last report (section 6.4.1, appendix A.3).
    fn block(&self, now: Instant, leg: &Leg) -> Option<Block> {
        let (expected, arrived) = leg.figures.counts();
        if leg.arrival.epoch == 0 || arrived == self.arrived {
            return None;
        }
        let (expected, arrived) = (expected.wrapping_sub(self.expected), arrived.wrapping_sub(self.arrived));
        let lost = expected.saturating_sub(arrived);
        let (highest, lost_in_all) = leg.figures.extended(leg.arrival.standing().highest);
        let (_, jitter, _) = leg.figures.timing();
        let known = self.their_time != Instant::ZERO && self.their_ssrc == leg.arrival.ssrc;
        Some(Block {
            ssrc: leg.arrival.ssrc,
            fraction: u8::try_from((lost << 8).checked_div(expected).unwrap_or(0)).unwrap_or(u8::MAX),
            lost: i32::try_from(lost_in_all.clamp(-0x80_0000, 0x7f_ffff)).unwrap_or(0),
            highest,
            // Kept in sixteenths.
            jitter: jitter >> 4,
            last_report: if known { self.their_report } else { 0 },
            delay: if known { fixed_point(now.since(self.their_time)) } else { 0 },
        })
    }

    fn note_sent(&mut self, now: Instant, report: &Report, leg: &Leg) {
        self.sent = self.sent.saturating_add(1);
        self.packets = [leg.stream.packets, self.packets[0]];
        (self.expected, self.arrived) = leg.figures.counts();
        if let Some(info) = report.sender {
            let told = Told { middle: (info.ntp >> 16 & 0xffff_ffff) as u32, at: now };
            self.told = [told, self.told[0]];
        }
    }

    /// How long a report of ours and the answer to it were under way (section 6.4.1), if the block answers one of the
    /// last two: anything else it names cannot be trusted, for the difference is all that it is made of.
    fn round_trip(&self, now: Instant, block: &Block) -> Option<Duration> {
        /// Fixed-point rounding on both sides, and clocks that do not run alike.
        const SLACK: Duration = Duration::from_millis(1);
        let answered = |told: &&Told| told.at != Instant::ZERO && told.middle == block.last_report;
        let told = self.told.iter().find(answered).filter(|_| block.last_report != 0)?;
        let held = Duration::from_nanos((u64::from(block.delay) * 1_000_000_000) >> 16);
        let passed = now.since(told.at);
        (passed + SLACK >= held).then(|| passed.saturating_sub(held))
    }
}

/// What our stream carried, and where it stands on both clocks now.
fn sender_info(now: Instant, limits: &Limits, stream: &Stream, ticks: u32) -> SenderInfo {
    let passed = samples(now.nanoseconds().saturating_sub(stream.sent_at.nanoseconds())).wrapping_mul(ticks);
    SenderInfo {
        ntp: limits.wall_clock(now),
        timestamp: stream.timestamp.wrapping_add(passed),
        // Both wrap (section 6.4.1).
        packets: (stream.packets & 0xffff_ffff) as u32,
        octets: (stream.octets & 0xffff_ffff) as u32,
    }
}

/// Ticks of the RTP clock with this party in 125 µs.
pub(crate) fn ticks(leg: &Leg) -> u32 {
    leg.far_end.map_or(1, |far_end| far_end.codec.ticks())
}

/// A time in 1/65536 s, saturating at 18 hours.
fn fixed_point(time: Duration) -> u32 {
    u32::try_from((time.as_nanos() << 16) / 1_000_000_000).unwrap_or(u32::MAX)
}

/// The canonical name that goes with an SSRC (RFC 7022: meaningless, and of one session only). It depends on nothing
/// else, so a gateway that goes on with the stream of one that died keeps it.
fn cname(ssrc: u32) -> [u8; crate::rtcp::CNAME_BYTES] {
    /// RFC 4648 section 4.
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut numbers = Random::new(u64::from(ssrc));
    let mut bits = 0_u64;
    ::core::array::from_fn(|place| {
        // Ten digits are 60 bits.
        if place % 10 == 0 {
            bits = numbers.next();
        }
        let digit = DIGITS[(bits & 63) as usize];
        bits >>= 6;
        digit
    })
}

impl Limits {
    /// The wall clock as 32.32 fixed-point seconds since 1900, which wrap (RFC 3550 section 4).
    fn wall_clock(&self, now: Instant) -> u64 {
        let time = self.epoch + Duration::from_nanos(now.nanoseconds());
        let fraction = (u64::from(time.subsec_nanos()) << 32) / 1_000_000_000;
        time.as_secs() << 32 | fraction
    }
}
