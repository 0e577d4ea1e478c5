//! The receiving half of a phone's sound: measures the stream, checks it, and remembers what was heard.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::g711::Codec;
use crate::rtp::{Header, Key, TelephoneEvent};
use crate::tone::{Heard, RATE, Tone, listen, samples_in, time_of};
use crate::violation::{Violation, Violations};

/// What is remembered at most: ten minutes.
const MAX_SAMPLES: u64 = 600 * RATE as u64;
/// Sequence numbers that are remembered to tell a duplicate from a late packet.
const REMEMBERED: usize = 512;
/// How far a stream's clock may stray from the wall clock before it counts as torn.
const MAX_DRIFT: Duration = Duration::from_millis(200);
/// For so long. What a busy host kept waiting comes late for once, and what follows comes in time again.
const DRIFTING: Duration = Duration::from_millis(500);
/// Packets at the beginning among which the most punctual one says how the stream's clock stands to the wall clock.
const SETTLING: u32 = 25;
/// The longest packet that is expected, in samples: 60 ms.
const MAX_PAYLOAD: usize = 480;

/// What payload types mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payloads {
    /// The codec that was agreed, by its static payload type.
    pub codec: Codec,
    /// The payload type of telephone-event.
    pub event_type: Option<u8>,
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

/// A stream that is received.
#[derive(Clone, Debug)]
pub struct Ear {
    origin: Instant,
    payloads: Option<Payloads>,
    samples: Vec<i16>,
    stream: Option<Stream>,
    reception: Reception,
    violations: Violations,
    /// In samples, as RFC 3550 appendix A.8 keeps it.
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
    /// Where the first timestamp lies in the memory.
    anchor: u64,
    anchor_at: Instant,
    /// Timestamps, extended over their turns, counted from the first.
    highest_time: i64,
    first_timestamp: u32,
    /// The last packet in order: its sequence, its time, and how long it was; no length for an event.
    last: (i64, i64, Option<u16>),
    last_arrival: Instant,
    last_transit: Option<f64>,
    /// The transit of the most punctual packet at the beginning, and how many packets may still be it.
    punctual: (f64, u32),
    /// Since when all packets have been too far away from it; never again once that has been told.
    drifting: Option<Instant>,
    drifted: bool,
}

impl Ear {
    /// Times in what it tells are counted from `origin`.
    #[must_use]
    pub fn new(origin: Instant) -> Self {
        Self {
            origin,
            payloads: None,
            samples: Vec::new(),
            stream: None,
            reception: Reception::default(),
            violations: Violations::default(),
            jitter: 0.0,
            worst_jitter: 0.0,
        }
    }

    /// What was agreed; from now on.
    pub const fn expect(&mut self, payloads: Payloads) {
        self.payloads = Some(payloads);
    }

    /// Notes a packet from a source that is not the peer.
    pub fn stranger(&mut self) {
        self.violations.add(Violation::Stranger);
    }

    /// Takes in a packet.
    pub fn receive(&mut self, at: Instant, packet: &[u8]) {
        let (header, payload) = match Header::parse(packet) {
            Ok(parts) => parts,
            Err(error) => return self.violations.add(Violation::NotRtp(error)),
        };
        let Some(payloads) = self.payloads else {
            return self.violations.add(Violation::Unexpected);
        };
        let is_event = payloads.event_type == Some(header.payload_type);
        if !is_event && header.payload_type != payloads.codec.payload_type() {
            return self.violations.add(Violation::PayloadType(header.payload_type));
        }
        let arrival = at.saturating_duration_since(self.origin);
        let Some((sequence, time)) = self.follow(at, &header) else { return };
        self.reception.packets += 1;
        self.reception.markers += u64::from(header.marker);
        self.reception.first.get_or_insert(arrival);
        self.reception.last = Some(arrival);
        if is_event {
            self.event(arrival, &header, payload);
            self.check_order(sequence, time, None, &header);
        } else {
            self.remember(time, payloads.codec, payload);
            self.check_order(sequence, time, u16::try_from(payload.len()).ok(), &header);
            self.measure(at, time);
        }
    }

    /// Finds the stream and the packet's place in it; none for a duplicate.
    fn follow(&mut self, at: Instant, header: &Header) -> Option<(i64, i64)> {
        let known = self.stream.as_ref().map(|stream| stream.ssrc);
        if known != Some(header.ssrc) {
            if let Some(from) = known {
                self.violations.add(Violation::SsrcChanged { from, to: header.ssrc });
                self.settle_losses();
            }
            if !header.marker {
                self.violations.add(Violation::NoMarkerAtStart);
            }
            self.stream = Some(Stream::new(at, header, at.saturating_duration_since(self.origin)));
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
        Some((sequence, time))
    }

    /// The rules between a packet and the one before it.
    fn check_order(&mut self, sequence: i64, time: i64, length: Option<u16>, header: &Header) {
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

    /// Puts a packet's sound at its place; between places there is silence.
    fn remember(&mut self, time: i64, codec: Codec, payload: &[u8]) {
        if payload.is_empty() || payload.len() > MAX_PAYLOAD {
            self.violations.add(Violation::PayloadLength(payload.len()));
        }
        let Some(stream) = &self.stream else { return };
        let Some(place) = stream.anchor.checked_add_signed(time) else { return };
        let end = place + payload.len() as u64;
        let (Ok(start), true) = (usize::try_from(place), end <= MAX_SAMPLES) else { return };
        let end = start + payload.len();
        if self.samples.len() < end {
            self.samples.resize(end, 0);
        }
        for (sample, octet) in self.samples[start..end].iter_mut().zip(payload) {
            *sample = codec.decode(*octet);
        }
    }

    /// Interarrival jitter, and whether the stream's clock still goes with the wall clock.
    fn measure(&mut self, at: Instant, time: i64) {
        let Some(stream) = self.stream.as_mut() else { return };
        let arrival = at.saturating_duration_since(stream.anchor_at).as_secs_f64() * f64::from(RATE);
        #[expect(clippy::cast_precision_loss, reason = "ten minutes of samples are far below 2^52")]
        let transit = arrival - time as f64;
        if let Some(last) = stream.last_transit {
            self.jitter += ((transit - last).abs() - self.jitter) / 16.0;
            self.worst_jitter = self.worst_jitter.max(self.jitter);
        }
        stream.last_transit = Some(transit);
        if let (punctual, left @ 1..) = stream.punctual {
            stream.punctual = (punctual.min(transit), left - 1);
        }
        let far = (transit - stream.punctual.0).abs() > MAX_DRIFT.as_secs_f64() * f64::from(RATE);
        stream.drifting = if far { stream.drifting.or(Some(at)) } else { None };
        let drifts = stream.drifting.is_some_and(|since| at.saturating_duration_since(since) >= DRIFTING);
        if drifts && !stream.drifted {
            stream.drifted = true;
            self.violations.add(Violation::Drift);
        }
    }

    fn event(&mut self, arrival: Duration, header: &Header, payload: &[u8]) {
        let Some(event) = TelephoneEvent::parse(payload) else {
            return self.violations.add(Violation::Event);
        };
        let held = time_of(u64::from(event.duration));
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
        let time = |samples: f64| Duration::from_secs_f64(samples / f64::from(RATE));
        let mut reception = self.reception.clone();
        reception.lost += self.losses();
        reception.jitter = time(self.jitter);
        reception.worst_jitter = time(self.worst_jitter);
        (reception.violations, reception.more_violations) = self.violations.list();
        reception
    }

    /// Which of `tones` were heard when. Times are counted from the ear's origin.
    #[must_use]
    pub fn heard(&self, tones: &[Tone]) -> Vec<Heard> {
        listen(&self.samples, tones)
    }

    /// All that was heard, from the origin on.
    #[must_use]
    pub fn samples(&self) -> &[i16] {
        &self.samples
    }
}

impl Stream {
    fn new(at: Instant, header: &Header, arrival: Duration) -> Self {
        let sequence = i64::from(header.sequence);
        Self {
            ssrc: header.ssrc,
            first_sequence: sequence,
            highest_sequence: sequence,
            received: BTreeSet::new(),
            packets: 0,
            anchor: samples_in(arrival),
            anchor_at: at,
            highest_time: 0,
            first_timestamp: header.timestamp,
            last: (sequence, 0, None),
            last_arrival: at,
            last_transit: None,
            punctual: (0.0, SETTLING),
            drifting: None,
            drifted: false,
        }
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
