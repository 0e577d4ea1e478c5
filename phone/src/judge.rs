//! The rules of RTP that hold between the packets of a stream: sequence, timestamps, markers, one SSRC, events in good
//! form, and a clock that goes with the wall clock. Nothing here looks at sound, so that it judges streams that are
//! only watched, too.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::rtp::{Header, Key, TelephoneEvent};
use crate::tone::{RATE, samples_in};
use crate::violation::{Violation, Violations};

/// Sequence numbers that are remembered to tell a duplicate from a late packet.
const REMEMBERED: usize = 512;
/// How far a stream's clock may stray from the wall clock before it counts as torn.
const MAX_DRIFT: Duration = Duration::from_millis(200);
/// For so long. What a busy host kept waiting comes late for once, and what follows comes in time again.
const DRIFTING: Duration = Duration::from_millis(500);
/// Packets at the beginning among which the most punctual one says how the stream's clock stands to the wall clock.
const SETTLING: u32 = 25;

/// What a packet carries, as far as the rules depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Media {
    /// Ticks of its clock in a second.
    pub rate: u32,
    /// What is in it.
    pub content: Content,
}

/// What is in a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// Sound of so many ticks.
    Sound(u32),
    /// Something that takes a time which the packet does not tell: comfort noise, or what cannot be read. It says nothing
    /// of the stream's clock either.
    Untold,
    /// A telephone-event (RFC 4733).
    Event,
}

/// A key that the other side pressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyHeard {
    /// Which.
    pub key: Key,
    /// When its first packet came, counted from the ear's origin.
    pub at: Duration,
    /// How long it was held.
    pub held: Duration,
    /// Has its end been heard?
    pub ended: bool,
}

/// What a stream was like.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reception {
    /// RTP packets received, duplicates not counted.
    pub packets: u64,
    /// Packets missing by their sequence numbers.
    pub lost: u64,
    /// Packets received twice.
    pub duplicates: u64,
    /// Packets received after one with a higher number.
    pub reordered: u64,
    /// Interarrival jitter at the end (RFC 3550 section 6.4.1).
    pub jitter: Duration,
    /// The largest interarrival jitter on the way.
    pub worst_jitter: Duration,
    /// Longest time between one packet and the next.
    pub longest_gap: Duration,
    /// When the first packet came, counted from the ear's origin.
    pub first: Option<Duration>,
    /// When the last one came.
    pub last: Option<Duration>,
    /// Packets with the marker bit.
    pub markers: u64,
    /// Rules that were broken.
    pub violations: Vec<Violation>,
    /// More violations that were counted and not kept.
    pub more_violations: u64,
    /// Keys pressed.
    pub keys: Vec<KeyHeard>,
}

/// Where the stream stands, as a report tells it (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Its name.
    pub ssrc: u32,
    /// The highest sequence number, extended by its turns.
    pub highest: u32,
    /// Packets sent, by their numbers.
    pub expected: u64,
    /// Packets that came.
    pub received: u64,
    /// In ticks of its clock.
    pub jitter: u32,
    /// The timestamp of its latest sound.
    pub timestamp: u32,
    /// When that came.
    pub at: Instant,
    /// Ticks of its clock in a second.
    pub rate: u32,
}

/// Judges all that comes from one source for one receiver.
#[derive(Clone, Debug)]
pub struct Judge {
    origin: Instant,
    stream: Option<Stream>,
    /// The next stream goes on in the middle of one.
    interrupted: bool,
    reception: Reception,
    violations: Violations,
    /// In seconds; as RFC 3550 appendix A.8 keeps it.
    jitter: f64,
    worst_jitter: f64,
}

/// One SSRC.
#[derive(Clone, Debug)]
struct Stream {
    ssrc: u32,
    first_sequence: i64,
    highest_sequence: i64,
    received: BTreeSet<i64>,
    packets: u64,
    rate: u32,
    /// Where the tick `base` lies, in samples of 8 kHz, and when its packet came.
    anchor: u64,
    anchor_at: Instant,
    base: i64,
    /// Timestamps, extended over their turns, counted from the first.
    highest_time: i64,
    first_timestamp: u32,
    /// The last packet in order: its sequence, its time, and how long it was, if it told.
    last: (i64, i64, Option<u32>),
    last_arrival: Instant,
    /// The timestamp of the latest sound, and when it came.
    latest: (u32, Instant),
    last_transit: Option<f64>,
    /// The transit of the most punctual packet at the beginning, and how many packets may still be it.
    punctual: (f64, u32),
    /// Since when all packets have been too far away from it; never again once that has been told.
    drifting: Option<Instant>,
    drifted: bool,
}

impl Judge {
    /// Times in what it tells are counted from `origin`.
    #[must_use]
    pub fn new(origin: Instant) -> Self {
        Self {
            origin,
            stream: None,
            interrupted: false,
            reception: Reception::default(),
            violations: Violations::default(),
            jitter: 0.0,
            worst_jitter: 0.0,
        }
    }

    /// Notes a rule that was broken beside those that are judged here.
    pub fn note(&mut self, violation: Violation) {
        self.violations.add(violation);
    }

    /// The SSRC of the stream that is being received.
    #[must_use]
    pub fn ssrc(&self) -> Option<u32> {
        self.stream.as_ref().map(|stream| stream.ssrc)
    }

    /// Where the stream stands.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        let stream = self.stream.as_ref()?;
        let jitter = Duration::from_secs_f64(self.jitter).as_micros() * u128::from(stream.rate) / 1_000_000;
        let expected = u64::try_from(stream.highest_sequence - stream.first_sequence + 1).unwrap_or(0);
        Some(Standing {
            ssrc: stream.ssrc,
            highest: u32::try_from(stream.highest_sequence & 0xffff_ffff).unwrap_or(0),
            expected,
            received: stream.packets,
            jitter: u32::try_from(jitter).unwrap_or(u32::MAX),
            timestamp: stream.latest.0,
            at: stream.latest.1,
            rate: stream.rate,
        })
    }

    /// The stream is known to have ended: the next one is a new one by right.
    pub fn end(&mut self) {
        self.settle_losses();
        self.stream = None;
    }

    /// The stream broke off without an end, by the death of who sent it: what comes next may go on with it anywhere.
    pub fn interrupt(&mut self) {
        self.end();
        self.interrupted = true;
    }

    /// Judges a packet. Gives its place, in samples of 8 kHz from the origin; none for a duplicate, and for one that
    /// lies before the first.
    pub fn judge(&mut self, at: Instant, header: &Header, payload: &[u8], media: Media) -> Option<u64> {
        let arrival = at.saturating_duration_since(self.origin);
        let (sequence, time) = self.follow(at, header, media.rate)?;
        self.reception.packets += 1;
        self.reception.markers += u64::from(header.marker);
        self.reception.first.get_or_insert(arrival);
        self.reception.last = Some(arrival);
        let length = match media.content {
            Content::Sound(length) => Some(length),
            Content::Untold => None,
            Content::Event => {
                self.event(arrival, header, payload, media.rate);
                None
            }
        };
        self.check_order(sequence, time, length, header);
        if length.is_some() {
            if let Some(stream) = &mut self.stream {
                stream.latest = (header.timestamp, at);
            }
            self.measure(at, time);
        }
        self.stream.as_ref()?.place(time)
    }

    /// Finds the stream and the packet's place in it; none for a duplicate.
    fn follow(&mut self, at: Instant, header: &Header, rate: u32) -> Option<(i64, i64)> {
        let known = self.ssrc();
        if known != Some(header.ssrc) {
            if let Some(from) = known {
                self.violations.add(Violation::SsrcChanged { from, to: header.ssrc });
                self.settle_losses();
            }
            if !header.marker && !std::mem::take(&mut self.interrupted) {
                self.violations.add(Violation::NoMarkerAtStart);
            }
            let place = samples_in(at.saturating_duration_since(self.origin));
            self.stream = Some(Stream::new(at, header, place, rate));
        }
        let stream = self.stream.as_mut()?;
        let sequence = extend(stream.highest_sequence, header.sequence);
        if !stream.received.insert(sequence) {
            self.reception.duplicates += 1;
            return None;
        }
        stream.packets += 1;
        if stream.received.len() > REMEMBERED {
            stream.received.pop_first();
        }
        if sequence < stream.highest_sequence {
            self.reception.reordered += 1;
        }
        stream.first_sequence = stream.first_sequence.min(sequence);
        stream.highest_sequence = stream.highest_sequence.max(sequence);
        let gap = at.saturating_duration_since(stream.last_arrival);
        self.reception.longest_gap = self.reception.longest_gap.max(gap);
        stream.last_arrival = at;
        let time = stream.time(header.timestamp);
        stream.highest_time = stream.highest_time.max(time);
        if stream.rate != rate {
            stream.change_clock(at, self.origin, time, rate);
        }
        Some((sequence, time))
    }

    /// The rules between a packet and the one before it.
    fn check_order(&mut self, sequence: i64, time: i64, length: Option<u32>, header: &Header) {
        let Some(stream) = self.stream.as_mut() else { return };
        let (last_sequence, last_time, last_length) = stream.last;
        let steps = sequence - last_sequence;
        if steps < 0 {
            return;
        }
        stream.last = (sequence, time, length);
        // An event keeps the time of its beginning, so only sound that follows sound has a known step.
        if let (Some(_), Some(last_length), true) = (length, last_length, steps > 0) {
            let expected = steps * i64::from(last_length);
            let advanced = time - last_time;
            if advanced < expected || (advanced > expected && !header.marker) {
                let sequence = header.sequence;
                self.violations.add(Violation::Timestamp { sequence, advanced, expected });
            }
        }
    }

    /// Interarrival jitter, and whether the stream's clock still goes with the wall clock.
    fn measure(&mut self, at: Instant, time: i64) {
        let Some(stream) = self.stream.as_mut() else { return };
        #[expect(clippy::cast_precision_loss, reason = "days of ticks are far below 2^52")]
        let sent = (time - stream.base) as f64 / f64::from(stream.rate);
        let transit = at.saturating_duration_since(stream.anchor_at).as_secs_f64() - sent;
        if let Some(last) = stream.last_transit {
            self.jitter += ((transit - last).abs() - self.jitter) / 16.0;
            self.worst_jitter = self.worst_jitter.max(self.jitter);
        }
        stream.last_transit = Some(transit);
        if let (punctual, left @ 1..) = stream.punctual {
            stream.punctual = (punctual.min(transit), left - 1);
        }
        let far = (transit - stream.punctual.0).abs() > MAX_DRIFT.as_secs_f64();
        stream.drifting = if far { stream.drifting.or(Some(at)) } else { None };
        let drifts = stream.drifting.is_some_and(|since| at.saturating_duration_since(since) >= DRIFTING);
        if drifts && !stream.drifted {
            stream.drifted = true;
            self.violations.add(Violation::Drift);
        }
    }

    fn event(&mut self, arrival: Duration, header: &Header, payload: &[u8], rate: u32) {
        let Some(event) = TelephoneEvent::parse(payload) else {
            return self.violations.add(Violation::Event);
        };
        let held = Duration::from_secs(1) * u32::from(event.duration) / rate;
        if header.marker {
            self.reception.keys.push(KeyHeard { key: event.key, at: arrival, held, ended: event.end });
            return;
        }
        match self.reception.keys.last_mut() {
            Some(key) if key.key == event.key && held >= key.held => {
                key.held = held;
                key.ended |= event.end;
            }
            _ => self.violations.add(Violation::Event),
        }
    }

    fn losses(&self) -> u64 {
        let expected =
            self.stream.as_ref().map_or(0, |stream| stream.highest_sequence - stream.first_sequence + 1);
        let received = self.stream.as_ref().map_or(0, |stream| stream.packets);
        u64::try_from(expected).unwrap_or(0).saturating_sub(received)
    }

    fn settle_losses(&mut self) {
        self.reception.lost += self.losses();
        self.jitter = 0.0;
    }

    /// How the stream was so far.
    #[must_use]
    pub fn reception(&self) -> Reception {
        let mut reception = self.reception.clone();
        reception.lost += self.losses();
        reception.jitter = Duration::from_secs_f64(self.jitter);
        reception.worst_jitter = Duration::from_secs_f64(self.worst_jitter);
        (reception.violations, reception.more_violations) = self.violations.list();
        reception
    }
}

impl Stream {
    fn new(at: Instant, header: &Header, place: u64, rate: u32) -> Self {
        let sequence = i64::from(header.sequence);
        Self {
            ssrc: header.ssrc,
            first_sequence: sequence,
            highest_sequence: sequence,
            received: BTreeSet::new(),
            packets: 0,
            rate,
            anchor: place,
            anchor_at: at,
            base: 0,
            highest_time: 0,
            first_timestamp: header.timestamp,
            last: (sequence, 0, None),
            last_arrival: at,
            latest: (header.timestamp, at),
            last_transit: None,
            punctual: (0.0, SETTLING),
            drifting: None,
            drifted: false,
        }
    }

    /// Another codec with another clock goes on in the stream: nothing is known of how the two stand to one another
    /// (RFC 7160 section 3.2), so that its clock is set by this packet.
    fn change_clock(&mut self, at: Instant, origin: Instant, time: i64, rate: u32) {
        self.rate = rate;
        (self.anchor, self.anchor_at) = (samples_in(at.saturating_duration_since(origin)), at);
        (self.base, self.last_transit) = (time, None);
        (self.punctual, self.drifting) = ((0.0, SETTLING), None);
        self.last.2 = None;
    }

    /// Where a tick lies, in samples of 8 kHz.
    fn place(&self, time: i64) -> Option<u64> {
        let samples = (time - self.base) * i64::from(RATE) / i64::from(self.rate);
        self.anchor.checked_add_signed(samples)
    }

    /// A timestamp as the distance from the first, its turns unrolled.
    fn time(&self, timestamp: u32) -> i64 {
        let from_first = timestamp.wrapping_sub(self.first_timestamp);
        let turn = i64::from(u32::MAX) + 1;
        let step = (i64::from(from_first) - self.highest_time).rem_euclid(turn);
        self.highest_time + if step >= turn / 2 { step - turn } else { step }
    }
}

/// A sequence number, its turns unrolled, nearest to the highest so far.
fn extend(highest: i64, sequence: u16) -> i64 {
    let step = (i64::from(sequence) - highest).rem_euclid(0x1_0000);
    highest + if step >= 0x8000 { step - 0x1_0000 } else { step }
}
