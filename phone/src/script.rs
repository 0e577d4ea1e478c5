//! What a phone does when it is called.

use std::time::Duration;

use crate::g711::Codec;
use crate::tone::Tone;

/// One thing that a phone does.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Sends a provisional response without a session description: 180, 181, 182, 183.
    Provisional(u16),
    /// Sends a provisional response with a session description, and speaks this tone until it answers.
    EarlyMedia(u16, Tone),
    /// Answers, and speaks the script's tone.
    Answer,
    /// Refuses with a final status of 300 or more.
    Refuse(u16),
    /// Ends an answered call. Before the ACK it waits for it (RFC 3261 section 15).
    HangUp,
    /// Puts the peer on hold: re-INVITE with `sendonly`, and silence.
    Hold,
    /// Ends the hold.
    Resume,
    /// Speaks another tone.
    Speak(Tone),
    /// Presses keys, as telephone-events.
    Press(String),
}

/// A phone's whole behavior for one call. Times are counted from the arrival of the INVITE.
#[derive(Clone, PartialEq, Debug)]
pub struct Script {
    /// Codecs that it accepts; the caller's order decides among them. As a caller it offers them in this order.
    pub codecs: Vec<Codec>,
    /// Does it know telephone-event?
    pub keys: bool,
    /// What it speaks once the call is answered.
    pub voice: Tone,
    /// What it does, and when.
    pub steps: Vec<(Duration, Step)>,
}

impl Script {
    /// A phone with both laws and keys, that speaks `voice` and does nothing by itself: it does not even ring.
    #[must_use]
    pub fn new(voice: Tone) -> Self {
        Self { codecs: vec![Codec::Pcma, Codec::Pcmu], keys: true, voice, steps: Vec::new() }
    }

    /// With other codecs.
    #[must_use]
    pub fn codecs(mut self, codecs: &[Codec]) -> Self {
        self.codecs = codecs.to_vec();
        self
    }

    /// Does `step` so many milliseconds after the INVITE.
    #[must_use]
    pub fn at(mut self, milliseconds: u64, step: Step) -> Self {
        let time = Duration::from_millis(milliseconds);
        let place = self.steps.partition_point(|(other, _)| *other <= time);
        self.steps.insert(place, (time, step));
        self
    }

    /// Rings (180).
    #[must_use]
    pub fn rings_at(self, milliseconds: u64) -> Self {
        self.at(milliseconds, Step::Provisional(180))
    }

    /// Sends early media (183).
    #[must_use]
    pub fn early_media_at(self, milliseconds: u64, tone: Tone) -> Self {
        self.at(milliseconds, Step::EarlyMedia(183, tone))
    }

    /// Answers.
    #[must_use]
    pub fn answers_at(self, milliseconds: u64) -> Self {
        self.at(milliseconds, Step::Answer)
    }

    /// Refuses: 486 is busy.
    #[must_use]
    pub fn refuses_at(self, milliseconds: u64, status: u16) -> Self {
        self.at(milliseconds, Step::Refuse(status))
    }

    /// Hangs up.
    #[must_use]
    pub fn hangs_up_at(self, milliseconds: u64) -> Self {
        self.at(milliseconds, Step::HangUp)
    }
}
