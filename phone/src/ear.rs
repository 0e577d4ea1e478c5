//! The receiving half of a phone's sound: measures the stream, has it judged, and remembers what was heard.

use std::time::Instant;

use crate::codec::{self, Codec, Decoder};
use crate::judge::{Content, Judge, Media, Standing};
use crate::rtp::Header;
use crate::tone::{Heard, RATE, Tone, listen};
use crate::violation::Violation;

pub use crate::judge::{KeyHeard, Reception};

/// What is remembered at most: ten minutes.
const MAX_SAMPLES: usize = 600 * RATE as usize;
/// The longest packet that is expected, in milliseconds.
const LONGEST: u32 = 60;

/// What payload types mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payloads {
    /// The codec that was agreed.
    pub codec: Codec,
    /// Its payload type.
    pub payload_type: u8,
    /// The payload type of telephone-event, in the codec's clock.
    pub event_type: Option<u8>,
}

impl Payloads {
    /// A codec under its own number.
    #[must_use]
    pub const fn of(codec: Codec, event_type: Option<u8>) -> Self {
        Self { codec, payload_type: codec::offered_type(codec), event_type }
    }
}

/// A stream that is received.
#[derive(Debug)]
pub struct Ear {
    judge: Judge,
    payloads: Option<Payloads>,
    decoder: Option<Decoder>,
    samples: Vec<i16>,
}

impl Ear {
    /// Times in what it tells are counted from `origin`.
    #[must_use]
    pub fn new(origin: Instant) -> Self {
        Self { judge: Judge::new(origin), payloads: None, decoder: None, samples: Vec::new() }
    }

    /// What was agreed; from now on.
    pub fn expect(&mut self, payloads: Payloads) {
        if self.payloads.is_none_or(|old| old.codec != payloads.codec) {
            // Without memory for a decoder, nothing is heard.
            self.decoder = Decoder::new(payloads.codec).ok();
        }
        self.payloads = Some(payloads);
    }

    /// Notes a packet from a source that is not the peer.
    pub fn stranger(&mut self) {
        self.judge.note(Violation::Stranger);
    }

    /// Takes in a packet.
    pub fn receive(&mut self, at: Instant, packet: &[u8]) {
        let (header, payload) = match Header::parse(packet) {
            Ok(parts) => parts,
            Err(error) => return self.judge.note(Violation::NotRtp(error)),
        };
        let Some(payloads) = self.payloads else {
            return self.judge.note(Violation::Unexpected);
        };
        let rate = payloads.codec.clock_rate();
        if payloads.event_type == Some(header.payload_type) {
            self.judge.judge(at, &header, payload, Media { rate, content: Content::Event });
            return;
        }
        if header.payload_type != payloads.payload_type {
            return self.judge.note(Violation::PayloadType(header.payload_type));
        }
        let ticks = codec::ticks(payloads.codec, payload);
        if ticks.is_none_or(|ticks| ticks > rate / 1_000 * LONGEST) {
            self.judge.note(Violation::PayloadLength(payload.len()));
        }
        let content = ticks.map_or(Content::Untold, Content::Sound);
        if let Some(place) = self.judge.judge(at, &header, payload, Media { rate, content }) {
            self.remember(place, payload);
        }
    }

    /// Puts a packet's sound at its place; between places there is silence.
    fn remember(&mut self, place: u64, payload: &[u8]) {
        let (Ok(start), Some(decoder)) = (usize::try_from(place), &mut self.decoder) else { return };
        let mut sound = Vec::new();
        if decoder.decode(payload, &mut sound).is_err() {
            return self.judge.note(Violation::PayloadLength(payload.len()));
        }
        let end = start.saturating_add(sound.len());
        if end > MAX_SAMPLES {
            return;
        }
        if self.samples.len() < end {
            self.samples.resize(end, 0);
        }
        self.samples[start..end].copy_from_slice(&sound);
    }

    /// Where the stream stands, for a report.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        self.judge.standing()
    }

    /// How the stream was so far.
    #[must_use]
    pub fn reception(&self) -> Reception {
        self.judge.reception()
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
