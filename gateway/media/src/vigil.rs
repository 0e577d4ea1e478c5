//! The watch over each connected party's sound: what is wrong with it within seconds, and how good it is.
//!
//! Once a second both legs of a joined session are looked at. The losses of that second show in the window of packets
//! seen, the jitter and the counts in the figures: no packet pays for any of it. Whether a party says anything but
//! silence can only be seen in its packets: from the beginning, and after each look, they are read until one of them is not
//! silent, which is the first with anybody who speaks. What is forwarded beside the sockets is looked at there, at the
//! beginning of each packet, and what can be heard is counted.

use ::core::time::Duration;

use duogate_channel::command::FarEnd;
use duogate_channel::identity::Party;
use duogate_channel::quality::{Fault, Quality, Scores};
use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;

use crate::core::Core;
use crate::emodel::{Connection, burst_ratio, jitter_buffer};
use crate::path::Path;
use crate::relay::{Content, examine};
use crate::reports::ticks;
use crate::rtcp::Block;
use crate::table::{Leg, State, pending};
use crate::verdict::Origin;
use crate::wheel::tick_from;

/// How often a session is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Looks come together on multiples of this, so that a shard is not woken for each.
const TOGETHER: u64 = 20;

/// For how long a party may send nothing, or nothing but silence, before that is a fault. With the time to the next look
/// it is told within 5 s.
const FAULTY_AFTER: Duration = Duration::from_millis(3_700);

/// Who was heard so lately talks now.
const TALKING: Duration = Duration::from_millis(2_500);

/// Whose packets came so lately sends now: two packets of comfort noise lie no farther apart with most.
const SENDING: Duration = Duration::from_millis(1_000);

/// Looks of an interval: 5 s.
const INTERVAL: u8 = 5;

/// Packets that an interval needs for its score: half a second of them.
const ENOUGH: u64 = 25;

/// The time of a packet, in milliseconds, and what coding it takes.
const PACKET: f64 = 20.0;

/// Microseconds of a sample at 8 kHz.
const SAMPLE_MICROSECONDS: u32 = 125;

/// Scores as they gather, in hundredths.
#[derive(Clone, Copy, Default, Debug)]
struct Gathered {
    last: u16,
    worst: u16,
    sum: u64,
    count: u32,
}

impl Gathered {
    fn add(&mut self, score: u16) {
        self.last = score;
        self.worst = if self.count == 0 { score } else { self.worst.min(score) };
        self.sum += u64::from(score);
        self.count = self.count.saturating_add(1);
    }

    fn scores(&self) -> Scores {
        let average = self.sum.checked_div(u64::from(self.count)).unwrap_or(0);
        Scores { last: self.last, average: u16::try_from(average).unwrap_or(0), worst: self.worst }
    }
}

/// What is known of one party's sound.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Vigil {
    fault: Option<Fault>,
    /// When it was last known to say something.
    heard_at: Instant,
    /// When it was last looked at.
    looked_at: Instant,
    absent: Duration,
    mute: Duration,
    /// Looks since the interval began.
    looks: u8,
    /// What had been expected and had come when the interval began.
    interval: (u64, u64),
    /// What had been expected at the last look.
    expected: u64,
    /// Of all packets that were in the window at a look: how many, how many missing, and in how many runs.
    window: (u32, u32, u32),
    interval_loss: u16,
    sent: Gathered,
    heard: Gathered,
    round_trip: u32,
    heard_lost: i32,
    heard_fraction: u8,
    heard_jitter: u32,
}

impl Vigil {
    /// Completes a leg's quality.
    pub(crate) fn describe(&self, quality: Quality) -> Quality {
        let milliseconds = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let (_, lost, _) = self.window;
        Quality {
            round_trip_microseconds: self.round_trip,
            heard_lost: self.heard_lost,
            heard_fraction: self.heard_fraction,
            heard_jitter_microseconds: self.heard_jitter,
            sent: self.sent.scores(),
            heard: self.heard.scores(),
            interval_loss: self.interval_loss,
            burst_ratio: if lost == 0 { 0 } else { hundredths(self.burst_ratio()) },
            absent_milliseconds: milliseconds(self.absent),
            mute_milliseconds: milliseconds(self.mute),
            fault: self.fault,
            ..quality
        }
    }

    pub(crate) const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    fn burst_ratio(&self) -> f64 {
        let (packets, lost, bursts) = self.window;
        burst_ratio(packets, lost, bursts)
    }

    /// Half the round trip as it was last measured, in milliseconds.
    fn one_way(&self) -> f64 {
        f64::from(self.round_trip) / 2_000.0
    }

    /// The party has told what it hears of our stream.
    pub(crate) fn told(&mut self, block: &Block, round_trip: Option<Duration>, leg: &Leg) {
        if let Some(time) = round_trip {
            // Known, however short it is.
            self.round_trip = u32::try_from(time.as_micros()).unwrap_or(u32::MAX).max(1);
        }
        self.heard_lost = block.lost;
        self.heard_fraction = block.fraction;
        self.heard_jitter = (block.jitter / ticks(leg)).saturating_mul(SAMPLE_MICROSECONDS);
        let Some(far_end) = leg.far_end else { return };
        let jitter = f64::from(self.heard_jitter) / 1_000.0;
        let loss = f64::from(block.fraction) / 256.0;
        // Reports do not tell of bursts.
        self.heard.add(score(far_end.codec, loss, 1.0, jitter, self.one_way()));
    }

    /// It said something that is not silence.
    pub(crate) const fn hear(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// The path has forwarded something that is not silence, at some time since the last look.
    pub(crate) fn hear_beside(&mut self) {
        self.heard_at = self.heard_at.max(self.looked_at);
    }

    /// Takes in the losses that show in the window of the leg's newest packets.
    fn look_for_losses(&mut self, leg: &Leg) {
        let (expected, _) = leg.figures.counts();
        let fresh = expected.wrapping_sub(self.expected).min(64);
        self.expected = expected;
        if fresh == 0 {
            return;
        }
        let fresh = u32::try_from(fresh).unwrap_or(64);
        let seen = leg.arrival.standing().seen;
        let missing = !seen & (u64::MAX >> (64 - fresh));
        // A run begins where the packet before it was there, or is not looked at any more.
        let runs = missing & !(missing << 1);
        let (packets, lost, bursts) = &mut self.window;
        *packets = packets.saturating_add(fresh);
        *lost = lost.saturating_add(missing.count_ones());
        *bursts = bursts.saturating_add(runs.count_ones());
    }

    /// Ends an interval, if enough came in it.
    fn conclude(&mut self, leg: &Leg) {
        let (expected, arrived) = leg.figures.counts();
        let fresh = (expected.wrapping_sub(self.interval.0), arrived.wrapping_sub(self.interval.1));
        self.looks = 0;
        self.interval = (expected, arrived);
        let (Some(far_end), ENOUGH..) = (leg.far_end, fresh.0) else { return };
        let lost = fresh.0.saturating_sub(fresh.1);
        self.interval_loss = u16::try_from(lost * 10_000 / fresh.0).unwrap_or(10_000);
        let jitter = f64::from(leg.figures.jitter_microseconds()) / 1_000.0;
        let loss = f64::from(self.interval_loss) / 10_000.0;
        self.sent.add(score(far_end.codec, loss, self.burst_ratio(), jitter, self.one_way()));
    }

    /// What is wrong with the party, if anything. `talking`: the other one says something meanwhile.
    fn judge(&self, now: Instant, leg: &Leg, talking: bool) -> Option<Fault> {
        if !leg.far_end.is_some_and(|far_end| far_end.talks()) {
            return None;
        }
        if now.since(leg.figures.last.max(leg.watched_since)) >= FAULTY_AFTER {
            return Some(Fault::Absent);
        }
        let sends = now.since(leg.figures.last) < SENDING;
        let silent = sends && now.since(self.heard_at.max(leg.watched_since)) >= FAULTY_AFTER;
        // It stays so while nobody talks.
        (silent && (talking || self.fault == Some(Fault::Mute))).then_some(Fault::Mute)
    }
}

/// The score of a stream: what the jitter buffer of a listener lets through, and how late.
fn score(codec: Codec, loss: f64, burst_ratio: f64, jitter: f64, one_way: f64) -> u16 {
    let (buffer, late) = jitter_buffer(jitter, PACKET);
    let loss = loss + (1.0 - loss) * late;
    Connection { codec, loss, burst_ratio, delay: one_way + PACKET + buffer }.hundredths()
}

fn hundredths(value: f64) -> u16 {
    // Clamped.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 65,535")]
    let hundredths = (value * 100.0).clamp(0.0, 65_535.0) as u16;
    hundredths
}

/// Does a packet say something that can be heard? Where that cannot be told, it does.
pub(crate) fn is_loud(speaker: &Leg, content: Content, payload: &[u8]) -> bool {
    match content {
        Content::Sound => speaker.far_end.is_some_and(|far_end| is_silence(&far_end, payload) != Some(true)),
        Content::TelephoneEvent => true,
        Content::ComfortNoise | Content::Nothing => false,
    }
}

impl Leg {
    /// Look at its next packets, or no more.
    pub(crate) fn listen(&mut self, listening: bool) {
        self.listening = listening;
        self.settle_beside();
    }

    /// Is it waited for that the party says something, and does it with this packet?
    pub(crate) fn is_heard(&self, origin: Origin, packet: &[u8]) -> bool {
        self.listening
            && examine(self, origin, packet)
                .is_ok_and(|(read, content, _)| is_loud(self, content, &packet[read.payload]))
    }
}

/// Is all of a payload silence, or as good as silence? Up to the third step of the companding law, that is to 24 of
/// 32,768. `None`: that cannot be told from these bytes.
fn is_silence(far_end: &FarEnd, payload: &[u8]) -> Option<bool> {
    // G.711 inverts every second bit (A-law), or all bits (mu-law); without the sign the steps count up from zero.
    let (mask, most) = match far_end.codec {
        Codec::Pcma => (0x55, 1),
        Codec::Pcmu => (0x7f, 3),
        // Its subband coder adapts: the same octets are loud or silent by what came before.
        Codec::G722 => return None,
        // A frame of discontinuous transmission is one or two octets (RFC 6716 section 2.1.9); all others say something.
        Codec::Opus => return (payload.len() <= 2).then_some(true),
    };
    // In parts, which are looked at whole: many octets with one instruction.
    let loudest = |part: &[u8]| part.iter().fold(0, |loudest, byte| ((byte ^ mask) & 0x7f).max(loudest));
    Some(payload.chunks(32).all(|part| loudest(part) <= most))
}

impl<P: Path> Core<P> {
    /// The party has said something that is not silence.
    pub(crate) fn hear_from(&mut self, now: Instant, place: u32, party: Party) {
        self.table.slots[place as usize].leg(party).listen(false);
        self.reports.of_mut(place, party).vigil.hear(now);
    }

    /// The parties of a session hear each other from now on, or talk again after a hold.
    pub(crate) fn begin_vigil(&mut self, now: Instant, place: u32) {
        for party in Party::BOTH {
            let leg = self.table.slots[place as usize].leg(party);
            let vigil = &mut self.reports.of_mut(place, party).vigil;
            vigil.looked_at = now;
            vigil.interval = leg.figures.counts();
            vigil.expected = vigil.interval.0;
        }
        self.look_later(now, place);
    }

    fn look_later(&mut self, now: Instant, place: u32) {
        let tick = tick_from(now + LOOK).next_multiple_of(TOGETHER);
        self.wheel.arm(self.timers.look(place), tick);
    }

    /// Looks at both parties of a session.
    #[cold]
    pub(crate) fn look(&mut self, now: Instant, place: u32) {
        if self.table.slots[place as usize].state != State::Joined {
            return;
        }
        for party in Party::BOTH {
            self.consult_path(place, party);
            let leg = self.table.slots[place as usize].leg(party);
            let vigil = &mut self.reports.of_mut(place, party).vigil;
            leg.listen(true);
            vigil.look_for_losses(leg);
            vigil.looks += 1;
            if vigil.looks >= INTERVAL {
                vigil.conclude(leg);
            }
        }
        for party in Party::BOTH {
            let other = self.reports.of(place, party.other()).vigil.heard_at;
            let talking = other != Instant::ZERO && now.since(other) < TALKING;
            self.note_fault(now, place, party, talking);
        }
        self.look_later(now, place);
    }

    fn note_fault(&mut self, now: Instant, place: u32, party: Party, talking: bool) {
        let slot = &mut self.table.slots[place as usize];
        let vigil = &mut self.reports.of_mut(place, party).vigil;
        let leg = slot.leg(party);
        let fault = vigil.judge(now, leg, talking);
        // All of it counts, also what passed before it was found.
        let since = |heard: Instant| if fault == vigil.fault { vigil.looked_at } else { heard };
        let passed = |heard: Instant| now.since(since(heard.max(leg.watched_since)));
        match fault {
            None => {}
            Some(Fault::Absent) => vigil.absent += passed(leg.figures.last),
            Some(Fault::Mute) => vigil.mute += passed(vigil.heard_at),
        }
        vigil.looked_at = now;
        if fault == vigil.fault {
            return;
        }
        vigil.fault = fault;
        self.events.tell(place, slot, pending::FAULT << party.index());
        match fault {
            None => {}
            Some(Fault::Absent) => self.counters.found_absent += 1,
            Some(Fault::Mute) => self.counters.found_mute += 1,
        }
    }

    /// The session ends: what came since the last interval counts too.
    pub(crate) fn end_vigil(&mut self, place: u32) {
        self.wheel.cancel(self.timers.look(place));
        for party in Party::BOTH {
            let leg = self.table.slots[place as usize].leg(party);
            let vigil = &mut self.reports.of_mut(place, party).vigil;
            if vigil.looked_at != Instant::ZERO {
                vigil.look_for_losses(leg);
                vigil.conclude(leg);
            }
        }
    }
}
