//! The sending half of a phone's sound: one RTP stream, paced by schedule.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use duogate_codecs::CodecError;

use crate::codec::Encoder;
use crate::ear::Payloads;
use crate::rtp::{Header, Key, TelephoneEvent};
use crate::tone::{RATE, Tone};

/// Time from packet to packet.
pub const PACKET_TIME: Duration = Duration::from_millis(20);
/// Samples in a packet.
pub const PACKET_SAMPLES: u16 = 160;
/// Ticks of Opus in a packet.
const WIDE_TICKS: u16 = 960;

/// Packets of a held key, and of the pause after it: 100 ms each.
const KEY_PACKETS: u16 = 5;
/// The last packet of an event is sent so often (RFC 4733 section 2.5.1.4).
const END_PACKETS: u16 = 3;

/// A stream that is sent. It owns no socket and no clock: [`Talker::packet`] is to be called at [`Talker::due`].
#[derive(Debug)]
pub struct Talker {
    header: Header,
    encoder: Encoder,
    event_type: Option<u8>,
    /// How far a packet brings the timestamp.
    ticks: u16,
    tone: Tone,
    place: u64,
    due: Instant,
    quiet: bool,
    keys: VecDeque<Key>,
    pressing: Option<Pressing>,
    sent: u64,
    octets: u64,
}

#[derive(Clone, Copy, Debug)]
struct Pressing {
    key: Key,
    started: u32,
    packets: u16,
}

/// Where a stream begins; random in the field (RFC 3550 section 5.1), chosen in tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start {
    /// The stream's name.
    pub ssrc: u32,
    /// The first sequence number.
    pub sequence: u16,
    /// The first timestamp.
    pub timestamp: u32,
}

impl Talker {
    /// A stream whose first packet is due at once.
    ///
    /// # Errors
    /// The Opus library's, if it has no memory.
    pub fn new(now: Instant, start: Start, payloads: Payloads, tone: Tone) -> Result<Self, CodecError> {
        let Start { ssrc, sequence, timestamp } = start;
        let Payloads { codec, payload_type, event_type } = payloads;
        let header = Header { marker: true, payload_type, sequence, timestamp, ssrc };
        let ticks = if codec.clock_rate() == RATE { PACKET_SAMPLES } else { WIDE_TICKS };
        Ok(Self {
            header,
            encoder: Encoder::new(codec)?,
            event_type,
            ticks,
            tone,
            place: 0,
            due: now,
            quiet: false,
            keys: VecDeque::new(),
            pressing: None,
            sent: 0,
            octets: 0,
        })
    }

    /// When the next packet is to be sent. It never depends on when the last one really was.
    #[must_use]
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// The timestamp that belongs to a time.
    #[must_use]
    pub fn timestamp_at(&self, now: Instant) -> u32 {
        let ahead = self.due.saturating_duration_since(now).as_micros();
        let behind = now.saturating_duration_since(self.due).as_micros();
        let ticks =
            |time: u128| u32::try_from(time * u128::from(self.ticks) / PACKET_TIME.as_micros()).unwrap_or(0);
        self.header.timestamp.wrapping_add(ticks(behind)).wrapping_sub(ticks(ahead))
    }

    /// Octets of payload made so far.
    #[must_use]
    pub const fn octets(&self) -> u64 {
        self.octets
    }

    /// The stream's name.
    #[must_use]
    pub const fn ssrc(&self) -> u32 {
        self.header.ssrc
    }

    /// Packets made so far.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// From the next packet on, another tone.
    pub const fn speak(&mut self, tone: Tone) {
        self.tone = tone;
    }

    /// Sends nothing from now on, or speaks again; time passes meanwhile.
    pub const fn quiet(&mut self, quiet: bool) {
        if self.quiet && !quiet {
            self.header.marker = true;
        }
        self.quiet = quiet;
    }

    /// Presses keys, one after the other, 100 ms each with 100 ms between them. Without telephone-event with the
    /// peer, nothing happens.
    pub fn press(&mut self, keys: impl IntoIterator<Item = Key>) {
        if self.event_type.is_some() {
            self.keys.extend(keys);
        }
    }

    /// The packet that is due; none while quiet. Either way the next one is due 20 ms after it was.
    pub fn packet(&mut self) -> Option<Vec<u8>> {
        let packet = if self.quiet { None } else { Some(self.event().unwrap_or_else(|| self.audio())) };
        if packet.is_some() {
            self.header.sequence = self.header.sequence.wrapping_add(1);
            self.header.marker = false;
            self.sent += 1;
        }
        self.header.timestamp = self.header.timestamp.wrapping_add(u32::from(self.ticks));
        self.place += u64::from(PACKET_SAMPLES);
        self.due += PACKET_TIME;
        packet
    }

    fn audio(&mut self) -> Vec<u8> {
        let places = self.place..self.place + u64::from(PACKET_SAMPLES);
        let samples: Vec<i16> = places.map(|place| self.tone.sample(place)).collect();
        let mut payload = Vec::new();
        // 20 ms are a packet of every codec; if the library thinks otherwise, the ear will miss it.
        let _ = self.encoder.encode(&samples, &mut payload);
        self.octets += payload.len() as u64;
        self.header.with_payload(&payload)
    }

    /// The next packet of a key, if one is being pressed. The pause after it is ordinary sound.
    fn event(&mut self) -> Option<Vec<u8>> {
        let payload_type = self.event_type?;
        let pressing = match self.pressing {
            Some(pressing) => pressing,
            None => Pressing { key: self.keys.pop_front()?, started: self.header.timestamp, packets: 0 },
        };
        let packets = pressing.packets + 1;
        self.pressing =
            (packets < KEY_PACKETS + END_PACKETS + KEY_PACKETS).then_some(Pressing { packets, ..pressing });
        if packets > KEY_PACKETS + END_PACKETS {
            return None;
        }
        let duration = packets.min(KEY_PACKETS) * self.ticks;
        let event = TelephoneEvent { key: pressing.key, end: packets > KEY_PACKETS, volume: 10, duration };
        let (marker, timestamp) = (packets == 1, pressing.started);
        Some(Header { marker, payload_type, timestamp, ..self.header }.with_payload(&event.payload()))
    }
}
