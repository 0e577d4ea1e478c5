//! What a phone does when it is called.

use std::time::Duration;

use crate::codec::Codec;
use crate::sdp::Direction;
use crate::tone::Tone;

/// The payload type that a phone offers for telephone-event, unless its script has another.
const EVENT_TYPE: u8 = 101;

/// One thing that a phone does.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Sends a provisional response without a session description: 180, 181, 182, 183.
    Provisional(u16),
    /// Sends a provisional response with a session description, and speaks this tone until it answers.
    EarlyMedia(u16, Tone),
    /// Answers, and speaks the script's tone.
    Answer,
    /// Answers with the media address `0.0.0.0`, which is to say on hold (RFC 3264 section 8.4).
    AnswerHeld,
    /// Refuses with a final status of 300 or more.
    Refuse(u16),
    /// Ends an answered call. Before the ACK it waits for it (RFC 3261 section 15).
    HangUp,
    /// Puts the peer on hold: re-INVITE with `sendonly`, and silence.
    Hold,
    /// Asks by re-INVITE that sound flow this way only, as the phone sees it.
    Direct(Direction),
    /// Ends the hold.
    Resume,
    /// Receives and sends RTP at another port from now on, and says so by re-INVITE.
    Move,
    /// Sends no packets from now on, without a word about it; or sends them again.
    Mute(bool),
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
    /// The payload type of telephone-event in its own offers.
    pub event_type: u8,
    /// Does it speak RTCP, on the port of RTP (RFC 5761), with a peer that does so?
    pub reports: bool,
    /// It misses every so manieth packet, as if that got lost on its way; 0 is none.
    pub misses: u64,
    /// What it speaks once the call is answered.
    pub voice: Tone,
    /// What it does, and when.
    pub steps: Vec<(Duration, Step)>,
}

impl Script {
    /// A phone with both laws and keys, that speaks `voice` and does nothing by itself: it does not even ring.
    #[must_use]
    pub fn new(voice: Tone) -> Self {
        Self {
            codecs: vec![Codec::Pcma, Codec::Pcmu],
            keys: true,
            event_type: EVENT_TYPE,
            reports: false,
            misses: 0,
            voice,
            steps: Vec::new(),
        }
    }

    /// With other codecs.
    #[must_use]
    pub fn codecs(mut self, codecs: &[Codec]) -> Self {
        self.codecs = codecs.to_vec();
        self
    }

    /// With RTCP.
    #[must_use]
    pub const fn reports(mut self) -> Self {
        self.reports = true;
        self
    }

    /// As if every so manieth packet got lost on the way to it.
    #[must_use]
    pub const fn misses(mut self, every: u64) -> Self {
        self.misses = every;
        self
    }

    /// With another payload type for telephone-event in its own offers.
    #[must_use]
    pub const fn event_type(mut self, event_type: u8) -> Self {
        self.event_type = event_type;
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
