//! CTI actions: starting, stopping, and how each ends in exactly one event.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use duogate_channel::command::{Command, Repeat};
use duogate_channel::digits::{Key, Keys};
use duogate_channel::event::ActionOutcome;
use duogate_channel::identity::{Action, Party};
use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;

use super::call::Stage;
use super::desk::{Collecting, Do, Doing, Event as PlayEvent, Way};
use super::phase::Stimulus;
use super::{DuoCallback, Input};
use crate::clock::Now;
use crate::resource::action::{
    ActionNote, Actions, Method, Order, Parties, PartyActions, Prepared, RecordOrder, Stop,
};
use crate::resource::error::ApiError;
use crate::resource::plan::SoundSet;
use crate::resource::report::{Event, Failure, Reason};
use crate::resource::view::State;

/// What an outcome means to the application.
pub(super) const fn failure_of(outcome: ActionOutcome) -> Option<Failure> {
    match outcome {
        ActionOutcome::Finished | ActionOutcome::Stopped => None,
        ActionOutcome::Replaced => Some(Failure { code: 500, reason: Reason::Failed }),
        ActionOutcome::Missing => Some(Failure { code: 500, reason: Reason::SoundMissing }),
        ActionOutcome::Held => Some(Failure { code: 480, reason: Reason::OnHold }),
    }
}

impl DuoCallback {
    /// May this action be started now?
    ///
    /// # Errors
    /// `wrong_state`: a party that it is for has not answered, or one of its kind runs there. `no_media`: its gateway
    /// has died, and the next one does not carry the call yet.
    pub fn may_start(&self, order: &Order) -> Result<(), ApiError> {
        if self.media.stands_still() {
            return Err(ApiError::NoMedia);
        }
        let busy = |action| Err(ApiError::WrongAction { state: self.state(), running: true, action });
        let parties = match order {
            Order::Play { parties, .. } | Order::Send { parties, .. } | Order::Receive { parties, .. } => {
                self.answered_all(*parties)?;
                *parties
            }
            Order::Record(_) => {
                Party::BOTH
                    .into_iter()
                    .find(|party| self.has_answered(*party))
                    .ok_or(ApiError::WrongState { state: self.state() })?;
                return if self.demand.is_some() { busy(Method::Record.name()) } else { Ok(()) };
            }
        };
        for party in parties.iter() {
            let desk = &self.desks[party.index()];
            // A prompt has one place on a party, whichever action it belongs to.
            let prompts = order.content().is_some();
            if prompts && desk.play.stage != Doing::Idle {
                return busy(Method::Play.name());
            }
            if prompts && desk.gather.stage.has_prompt() {
                return busy(Method::ReceiveDtmf.name());
            }
            match order {
                Order::Send { .. } if desk.send.stage != Doing::Idle => {
                    return busy(Method::SendDtmf.name());
                }
                Order::Receive { .. } if desk.gather.stage != Collecting::Idle => {
                    return busy(Method::ReceiveDtmf.name());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn answered_all(&self, parties: Parties) -> Result<(), ApiError> {
        if parties.iter().all(|party| self.has_answered(party)) {
            Ok(())
        } else {
            Err(ApiError::WrongState { state: self.state() })
        }
    }

    fn has_answered(&self, party: Party) -> bool {
        self.state() != State::Released && self.call(party).stage == Stage::Answered
    }

    /// May this be stopped now?
    ///
    /// # Errors
    /// `wrong_state`: no such action runs.
    pub fn may_stop(&self, stop: Stop) -> Result<(), ApiError> {
        let (action, runs) = match stop {
            Stop::Play(parties) => (
                Method::Play,
                parties.iter().any(|party| self.desks[party.index()].play.stage != Doing::Idle),
            ),
            Stop::Receive(parties) => (
                Method::ReceiveDtmf,
                parties.iter().any(|party| self.desks[party.index()].gather.stage != Collecting::Idle),
            ),
            Stop::Record => (Method::Record, self.demand.is_some()),
        };
        if runs && self.state() != State::Released {
            return Ok(());
        }
        Err(ApiError::WrongAction { state: self.state(), running: false, action: action.name() })
    }

    /// What concerns actions alone: the phase stays what it is.
    pub(super) fn take_action(&mut self, now: Now, input: Input) -> Option<Stimulus> {
        match input {
            Input::ActionEnded { party, action, outcome } => self.action_ended(now, party, action, outcome),
            Input::Pressed { party, key, milliseconds } => {
                self.pressed(now, party, key, milliseconds, Way::Media);
            }
            Input::Start { order, prepared } => self.start_action(now, *order, prepared),
            Input::Stop(stop) => self.stop_action(now, stop),
            // All others are the callback's own.
            _ => {}
        }
        None
    }

    /// Starts what [`DuoCallback::may_start`] allows; anything else changes nothing.
    fn start_action(&mut self, now: Now, order: Order, prepared: Prepared) {
        if self.may_start(&order).is_err() {
            return;
        }
        self.noteworthy = true;
        match order {
            Order::Play { parties, repeat, finish_keys, .. } => {
                for party in parties.iter() {
                    let play = &mut self.desks[party.index()].play;
                    (play.began, play.finish_keys, play.finish_key) = (Some(now), finish_keys, None);
                    self.play_does(now, party, PlayEvent::Start, None);
                    self.begin_prompt(party, prepared.sound, repeat);
                }
            }
            Order::Send { parties, keys } => {
                for party in parties.iter() {
                    self.begin_sending(now, party, keys);
                }
            }
            Order::Receive { parties, collect, content, repeat } => {
                let prompt = prepared.sound.filter(|_| !content.is_empty());
                for party in parties.iter() {
                    self.begin_gathering(now, party, collect, prompt.map(|sound| (sound, repeat)));
                }
            }
            Order::Record(order) => self.begin_demand(now, order, prepared),
        }
    }

    fn begin_demand(&mut self, now: Now, order: RecordOrder, prepared: Prepared) {
        if let Some(recording) = prepared.recording {
            self.record_on_demand(now, order, recording);
        }
    }

    /// Stops what [`DuoCallback::may_stop`] allows.
    fn stop_action(&mut self, now: Now, stop: Stop) {
        match stop {
            Stop::Play(parties) => {
                parties.iter().for_each(|party| self.play_does(now, party, PlayEvent::Stop, None));
            }
            Stop::Receive(parties) => parties.iter().for_each(|party| self.gathered(now, party, None)),
            Stop::Record => self.stop_demand(),
        }
    }

    fn name_action(&mut self) -> Action {
        self.last_action = self.last_action.wrapping_add(1);
        Action(self.last_action)
    }

    /// Lets the gateway play a prompt to a party.
    pub(super) fn begin_prompt(&mut self, party: Party, sound: Option<SoundSet>, repeat: Repeat) {
        let action = self.name_action();
        self.desks[party.index()].prompt = Some(action);
        let codec = self.call(party).far_end.map_or(Codec::Pcma, |far_end| far_end.codec);
        // Whether there is a sound was checked before; where there is none all the same, the gateway says so.
        let sound = sound.and_then(|set| set.for_codec(codec)).unwrap_or(duogate_channel::identity::Sound(0));
        self.send(|session| Command::Play { session, party, action, sound, repeat });
    }

    pub(super) fn stop_prompt(&mut self, party: Party) {
        if let Some(action) = self.desks[party.index()].prompt {
            self.send(|session| Command::PlayStop { session, party, action });
        }
    }

    fn begin_sending(&mut self, now: Now, party: Party, keys: Keys) {
        let action = self.name_action();
        let send = &mut self.desks[party.index()].send;
        (send.action, send.began, send.keys) = (Some(action), Some(now), Some(keys));
        (send.stage, _) = send.stage.on(PlayEvent::Start);
        self.send(|session| Command::SendKeys { session, party, action, keys });
    }

    /// Something happened to a party's prompt.
    fn play_does(&mut self, now: Now, party: Party, event: PlayEvent, error: Option<Failure>) {
        let play = &mut self.desks[party.index()].play;
        let (stage, what) = play.stage.on(event);
        play.stage = stage;
        match what {
            // The caller begins it, who knows the sound.
            Do::Nothing | Do::Begin => {}
            Do::Stop => self.stop_prompt(party),
            Do::Report | Do::ReportCut => {
                let begin_time = play.began.unwrap_or(now).unix;
                let finish_key = play.finish_key;
                self.noteworthy = true;
                let end_time = now.unix;
                self.report(now, Event::PlayCompleted { party, error, begin_time, end_time, finish_key });
            }
        }
    }

    fn send_does(&mut self, now: Now, party: Party, event: PlayEvent, error: Option<Failure>) {
        let send = &mut self.desks[party.index()].send;
        let (stage, what) = send.stage.on(event);
        send.stage = stage;
        if !matches!(what, Do::Report | Do::ReportCut) {
            return;
        }
        let begin_time = send.began.unwrap_or(now).unix;
        let keys = send.keys.map_or_else(String::new, |keys| keys.to_string());
        send.action = None;
        self.noteworthy = true;
        self.report(now, Event::SendDtmfCompleted { party, error, begin_time, end_time: now.unix, keys });
    }

    /// The gateway has ended a prompt or keys.
    fn action_ended(&mut self, now: Now, party: Party, action: Action, outcome: ActionOutcome) {
        let desk = &mut self.desks[party.index()];
        let error = failure_of(outcome);
        if desk.prompt == Some(action) {
            desk.prompt = None;
            if desk.gather.stage.has_prompt() {
                self.prompt_over(now, party);
            } else {
                self.play_does(now, party, PlayEvent::Ended, error);
            }
        } else if desk.send.action == Some(action) {
            self.send_does(now, party, PlayEvent::Ended, error);
        }
    }

    /// A party has pressed a key.
    pub(super) fn pressed(&mut self, now: Now, party: Party, key: Key, milliseconds: u16, way: Way) {
        if !self.has_answered(party) || *self.desks[party.index()].way.get_or_insert(way) != way {
            return;
        }
        self.report(now, Event::Dtmf { party, key, milliseconds });
        let play = &mut self.desks[party.index()].play;
        if play.stage == Doing::Running && play.finish_keys.contains(key) {
            play.finish_key = Some(key);
            self.play_does(now, party, PlayEvent::Stop, None);
        }
        if self.demand.as_ref().is_some_and(|demand| demand.order.finish_keys.contains(key)) {
            self.stop_demand();
        }
        self.gather_key(now, party, key);
    }

    /// The call is over: what runs ends with an error. Recordings end when the gateway has finished them.
    pub(super) fn cut_actions(&mut self, now: Now, reason: Reason) {
        let error = Some(Failure { code: 487, reason });
        for party in Party::BOTH {
            self.play_does(now, party, PlayEvent::CallOver, error);
            self.send_does(now, party, PlayEvent::CallOver, error);
            self.gather_cut(now, party, error);
        }
    }

    /// When an action has something to do next.
    pub(super) fn action_deadline(&self) -> Option<Instant> {
        let waits = self.desks.iter().map(|desk| desk.gather.deadline);
        waits.chain([self.demand.as_ref().and_then(|demand| demand.deadline)]).flatten().min()
    }

    /// Does what the actions' time brings.
    pub(super) fn actions_due(&mut self, now: Now) {
        for party in Party::BOTH {
            self.gather_due(now, party);
        }
        if self.demand.as_ref().is_some_and(|demand| demand.deadline.is_some_and(|at| at <= now.instant)) {
            self.stop_demand();
        }
    }

    /// What runs, for `get`.
    pub(super) fn running_actions(&self) -> Actions {
        let parties = [0, 1].map(|index| {
            let desk = &self.desks[index];
            PartyActions {
                play: desk.play.stage != Doing::Idle,
                send_dtmf: desk.send.stage != Doing::Idle,
                receive_dtmf: desk.gather.stage != Collecting::Idle,
            }
        });
        Actions { parties, record: self.demand.is_some() }
    }

    /// What runs, for the journal.
    pub(super) fn action_notes(&self) -> Vec<ActionNote> {
        let mut notes = Vec::new();
        let mut add = |runs: bool, method, party, began: Option<Now>, detail: String| {
            if runs {
                let begin_time = began.unwrap_or(self.began).unix;
                notes.push(ActionNote { method, party, begin_time, detail });
            }
        };
        for party in Party::BOTH {
            let desk = &self.desks[party.index()];
            let (play, send, gather) = (&desk.play, &desk.send, &desk.gather);
            add(play.stage != Doing::Idle, Method::Play, Some(party), play.began, String::new());
            let keys = send.keys.map_or_else(String::new, |keys| keys.to_string());
            add(send.stage != Doing::Idle, Method::SendDtmf, Some(party), send.began, keys);
            let runs = gather.stage != Collecting::Idle;
            add(runs, Method::ReceiveDtmf, Some(party), gather.began, gather.keys.clone());
        }
        if let Some(demand) = &self.demand {
            add(true, Method::Record, None, demand.began(), demand.order.file.clone());
        }
        notes
    }
}
