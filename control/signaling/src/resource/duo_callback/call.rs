//! One party's call as the callback sees it: a list of URIs, tried in order until one answers.

use alloc::string::String;
use alloc::vec::Vec;

use duogate_channel::command::FarEnd;
use duogate_channel::identity::Party;
use duogate_channel::srtp::MasterKeys;
use zeroize::Zeroizing;

use super::desk::Way;
use super::hearing::Ringing;
use super::phase::Stimulus;
use super::{Dialled, DuoCallback, LegEvent, Output};
use crate::clock::Now;
use crate::resource::plan::Target;
use crate::resource::report::{Attempt, Failure, Measurement, Reason};
use crate::resource::view::State;
use crate::sdp::SdpError;

/// How far the call has come.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Stage {
    /// Nothing is under way: not yet dialled, or the last attempt failed.
    #[default]
    Idle,
    /// A URI is being called.
    Dialing,
    /// The party has answered.
    Answered,
    /// Over.
    Over,
}

/// One party's call.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub(super) stage: Stage,
    /// Attempts made, and the number of the present one.
    pub(super) attempt: u16,
    /// Legs whose transactions still run.
    pub(super) legs: u16,
    pub(super) began: Option<Now>,
    pub(super) rang: Option<Now>,
    pub(super) answered: Option<Now>,
    pub(super) ended: Option<Now>,
    /// Of the present attempt.
    pub(super) ringing: Ringing,
    /// Was the present attempt's ringing reported?
    pub(super) ringing_reported: bool,
    /// When the present attempt began.
    pub(super) attempt_began: Option<Now>,
    pub(super) dialled: Option<Dialled>,
    /// The URI of the present or last attempt.
    pub(super) last_uri: Option<String>,
    pub(super) far_end: Option<FarEnd>,
    /// How its media is secured.
    pub(super) keys: Option<Zeroizing<MasterKeys>>,
    /// SIP status that ended the last attempt, or the call.
    pub(super) cause: u16,
    pub(super) error: Option<Failure>,
    /// Did the party end an answered call?
    pub(super) hung_up: bool,
    pub(super) attempts: Vec<Attempt>,
}

impl Call {
    pub(super) fn dialled(&mut self, dialled: Dialled) {
        self.legs += 1;
        self.dialled = Some(dialled);
    }

    /// Place in the list of the URI that is called, or was called last.
    pub(super) fn target(&self) -> usize {
        usize::from(self.attempt.saturating_sub(1))
    }
}

/// What a final status means to the application (RFC 3261 section 21).
pub(super) const fn reason_of(status: u16) -> Reason {
    match status {
        486 | 600 => Reason::Busy,
        408 | 480 => Reason::NoAnswer,
        401 | 403 | 407 | 603 => Reason::Rejected,
        404 | 410 | 484 | 604 => Reason::NotFound,
        415 | 488 | 606 => Reason::OfferRefused,
        _ => Reason::Failed,
    }
}

/// What an answer that could not be used means to the application.
const fn reason_of_answer(error: SdpError) -> Reason {
    match error {
        SdpError::Insecure | SdpError::Crypto => Reason::NotSecured,
        SdpError::Missing
        | SdpError::TooLarge
        | SdpError::Syntax
        | SdpError::NoAudio
        | SdpError::MediaMismatch
        | SdpError::Refused
        | SdpError::NoCodec
        | SdpError::NoAddress
        | SdpError::Address
        | SdpError::Port
        | SdpError::PayloadType => Reason::NoCommonCodec,
    }
}

impl DuoCallback {
    /// Calls the party's next URI.
    pub(super) fn dial(&mut self, now: Now, party: Party) {
        let prefer = self.call(party.other()).far_end.map(|far_end| far_end.codec);
        let port = self.media.port(party);
        let call = self.call_mut(party);
        call.stage = Stage::Dialing;
        call.attempt += 1;
        let secured = call.keys.take().is_some();
        call.ringing = Ringing::default();
        call.ringing_reported = false;
        call.attempt_began = Some(now);
        call.began = call.began.or(Some(now));
        let (target, attempt) = (call.target(), call.attempt);
        if secured {
            // The next leg begins in plain, until it says otherwise.
            self.send_keys(party, None);
        }
        let last_uri = self.target(party).map(|target| target.given.clone());
        self.call_mut(party).last_uri = last_uri;
        if attempt == 1 {
            self.measure_dial(now, party);
        }
        self.outputs.push_back(Output::Dial { party, target, attempt, port, prefer });
    }

    fn measure_dial(&mut self, now: Now, party: Party) {
        let answered = self.call(Party::One).answered;
        let measured = match (party, answered) {
            (Party::One, _) => Measurement::ConstructToInvite(now.instant.since(self.began.instant)),
            (Party::Two, Some(answer)) if !self.prompts_first() => {
                Measurement::AnswerToInvite(now.instant.since(answer.instant))
            }
            (Party::Two, _) => return,
        };
        self.outputs.push_back(Output::Measured(measured));
    }

    /// The present URI of a party, as the plan has it.
    pub(super) fn target(&self, party: Party) -> Option<&Target> {
        self.plan.parties[party.index()].to.get(self.call(party).target())
    }

    /// What a leg said. Only the present attempt of a call that still runs is listened to.
    pub(super) fn leg(&mut self, now: Now, party: Party, attempt: u16, event: LegEvent) -> Option<Stimulus> {
        let call = self.call(party);
        if call.attempt != attempt {
            return None;
        }
        match (call.stage, event) {
            (Stage::Dialing, LegEvent::Provisional { status, early_media }) => {
                self.rings(now, party, status, early_media)
            }
            (Stage::Dialing, LegEvent::Answered { far_end }) => Some(self.answered(now, party, far_end)),
            (Stage::Dialing, LegEvent::Failed { status, unusable }) => {
                Some(self.failed(now, party, status, unusable.map(reason_of_answer)))
            }
            (Stage::Dialing | Stage::Answered, LegEvent::FarEnd { far_end }) => {
                self.moved(party, far_end);
                None
            }
            (Stage::Dialing | Stage::Answered, LegEvent::Secured { keys }) => {
                self.call_mut(party).keys = keys.map(Zeroizing::new);
                self.send_keys(party, None);
                None
            }
            (Stage::Dialing | Stage::Answered, LegEvent::Again) => {
                self.noteworthy = true;
                None
            }
            (Stage::Answered, LegEvent::Pressed { key, milliseconds }) => {
                self.pressed(now, party, key, milliseconds, Way::Info);
                None
            }
            (Stage::Answered, LegEvent::Ended { cause }) => {
                let call = self.call_mut(party);
                call.stage = Stage::Over;
                call.ended = Some(now);
                call.cause = cause;
                call.hung_up = true;
                Some(Stimulus::HungUp(party))
            }
            (Stage::Idle | Stage::Over, _)
            | (Stage::Dialing, LegEvent::Ended { .. } | LegEvent::Pressed { .. })
            | (
                Stage::Answered,
                LegEvent::Provisional { .. } | LegEvent::Answered { .. } | LegEvent::Failed { .. },
            ) => None,
        }
    }

    fn rings(
        &mut self,
        now: Now,
        party: Party,
        status: u16,
        early_media: Option<FarEnd>,
    ) -> Option<Stimulus> {
        if let Some(far_end) = early_media {
            self.moved(party, far_end);
        }
        let call = self.call_mut(party);
        call.ringing.alerted |= status == 180;
        call.ringing.early_media |= early_media.is_some();
        call.ringing.rings |= matches!(status, 180 | 183) || early_media.is_some();
        if !call.ringing.rings {
            return None;
        }
        let first = call.rang.is_none();
        call.rang = call.rang.or(Some(now));
        if let (true, Some(began)) = (first, call.attempt_began) {
            let delay = now.instant.since(began.instant);
            self.outputs.push_back(Output::Measured(Measurement::PostDialDelay(delay)));
        }
        Some(Stimulus::Ringing(party))
    }

    fn answered(&mut self, now: Now, party: Party, far_end: FarEnd) -> Stimulus {
        self.attempted(party, 200);
        let call = self.call_mut(party);
        call.stage = Stage::Answered;
        call.answered = Some(now);
        call.cause = 200;
        self.moved(party, far_end);
        self.noteworthy = true;
        if party == Party::One && self.prompts_first() {
            Stimulus::AnsweredToPrompt
        } else {
            Stimulus::Answered(party)
        }
    }

    /// The party's media comes from elsewhere, or differs, from now on.
    fn moved(&mut self, party: Party, far_end: FarEnd) {
        let before = self.call_mut(party).far_end.replace(far_end);
        if before == Some(far_end) {
            return;
        }
        self.send_far_end(party, far_end);
        // What party 1 is played has to be in the codec that it speaks now.
        let recoded = before.is_some_and(|before| !before.codec.joins(far_end.codec));
        if party == Party::One && recoded && self.phase.state() == State::Answer1 {
            let source = self.source(self.hears);
            self.send_hear(party, source);
        }
    }

    /// The trunk has no room, or the host is not to be found.
    pub(super) fn skipped(&mut self, now: Now, party: Party) -> Option<Stimulus> {
        if self.call(party).stage != Stage::Dialing {
            return None;
        }
        Some(self.failed(now, party, 503, Some(Reason::NoRoute)))
    }

    fn failed(&mut self, now: Now, party: Party, status: u16, reason: Option<Reason>) -> Stimulus {
        self.attempted(party, status);
        let left = self.plan.parties[party.index()].to.len() > usize::from(self.call(party).attempt);
        let call = self.call_mut(party);
        call.stage = Stage::Idle;
        call.cause = status;
        call.error = Some(Failure { code: status, reason: reason.unwrap_or_else(|| reason_of(status)) });
        call.ringing = Ringing::default();
        // RFC 3261 section 21.6: a 6xx says that no other place will do better.
        if left && status < 600 {
            Stimulus::Retry(party)
        } else {
            call.ended = Some(now);
            Stimulus::Exhausted(party)
        }
    }

    /// Keeps how the present attempt ended.
    pub(super) fn attempted(&mut self, party: Party, cause: u16) {
        if let Some(target) = self.target(party) {
            let to_uri = target.given.clone();
            self.call_mut(party).attempts.push(Attempt { to_uri, cause });
        }
    }
}
