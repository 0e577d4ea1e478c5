//! The two-way callback: all of its policy, and nothing of how calls and media are carried out.
//!
//! What the application may do when, what party 1 hears, what is recorded, which events are owed: that is
//! decided here. The endpoint above finds trunks and places the legs that this machine asks for, and hands
//! back what they and the gateway have to say.

mod act;
mod actions;
mod call;
mod desk;
mod end;
mod face;
mod gather;
mod hearing;
mod inherit;
mod media;
mod phase;
mod recording;
mod revive;
mod show;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use duogate_channel::identity::{Party, Recording, Shard, Tag};
use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;

use crate::clock::Now;
use crate::resource::plan::{Plan, Prepared, Waits};
use crate::resource::report::Event;
use crate::resource::view::State;

use call::Call;
use desk::Desk;
use end::End;
pub use face::{Dialled, Input, LegEvent, Output};
use hearing::Hears;
pub use inherit::INHERITED_ATTEMPT;
use media::Media;
use phase::{Phase, Stimulus, Transition};
use recording::{Demand, Held, Recorder};
pub use revive::{Left, Remains};

/// Where a callback's session is to be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MediaPlace {
    /// On this shard.
    pub shard: Shard,
    /// Under this name.
    pub tag: Tag,
    /// The media addresses that will do for party 1 and 2, as bits (`PortChoice::Any`).
    pub addresses: [u8; 2],
}

/// One two-way callback.
#[derive(Debug)]
pub struct DuoCallback {
    res_id: Arc<str>,
    plan: Plan,
    prepared: Prepared,
    waits: Waits,
    phase: Phase,
    /// Last event's number.
    seq: u32,
    began: Now,
    connected: Option<Now>,
    /// Is the first note in the journal?
    durable: bool,
    deadline: Option<Instant>,
    media: Media,
    calls: [Call; 2],
    hears: Hears,
    recorder: Recorder,
    desks: [Desk; 2],
    demand: Option<Demand>,
    /// The number of the last prompt or keys at the gateway.
    last_action: u32,
    end: Option<End>,
    /// The cause that `drop` asked for.
    requested_cause: u16,
    /// Has anything changed that the journal should know?
    noteworthy: bool,
    outputs: VecDeque<Output>,
}

impl DuoCallback {
    /// Begins: the session is asked for, the row is to be noted. Nothing is dialled before both are there.
    #[must_use]
    pub fn new(
        now: Now,
        res_id: Arc<str>,
        plan: Plan,
        prepared: Prepared,
        waits: Waits,
        media: MediaPlace,
    ) -> Self {
        let recorder = Recorder::new(plan.record.is_some());
        let mut this = Self {
            res_id,
            plan,
            prepared,
            waits,
            phase: Phase::Opening,
            seq: 0,
            began: now,
            connected: None,
            durable: false,
            deadline: Some(now.instant + waits.media_answer),
            media: Media::opening(media),
            calls: [Call::default(), Call::default()],
            hears: Hears::Silence,
            recorder,
            desks: [Desk::default(), Desk::default()],
            demand: None,
            last_action: 0,
            end: None,
            requested_cause: 603,
            noteworthy: true,
            outputs: VecDeque::new(),
        };
        this.send_open();
        this.settle(now);
        this
    }

    /// The state that the application sees.
    #[must_use]
    pub fn state(&self) -> State {
        self.phase.state()
    }

    /// Its name.
    #[must_use]
    pub fn res_id(&self) -> &Arc<str> {
        &self.res_id
    }

    /// What was asked for.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What its parties speak, as far as they have said.
    #[must_use]
    pub fn codecs(&self) -> [Option<Codec>; 2] {
        Party::BOTH.map(|party| self.call(party).far_end.map(|far_end| far_end.codec))
    }

    /// Is the sound of one of them decoded to be searched for keys?
    #[must_use]
    pub fn is_searched(&self) -> bool {
        let far_ends = Party::BOTH.into_iter().filter_map(|party| self.call(party).far_end);
        far_ends.into_iter().any(|far_end| far_end.in_band && !far_end.codec.is_g711())
    }

    /// Does a recording on demand run?
    #[must_use]
    pub fn records_on_demand(&self) -> bool {
        self.demand.is_some()
    }

    /// The recording that was prepared for it.
    #[must_use]
    pub fn recording(&self) -> Option<Recording> {
        self.prepared.recording
    }

    /// When it was constructed.
    #[must_use]
    pub fn began(&self) -> Now {
        self.began
    }

    /// May `cancel` be called now? Only before party 2 is called.
    #[must_use]
    pub fn may_cancel(&self) -> bool {
        matches!(self.phase.on(Stimulus::Cancel), Transition::Release(_))
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.deadline, self.action_deadline()].into_iter().flatten().min()
    }

    /// What is to be done, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Takes in what happened. Whatever comes at whatever time, the promises of the events hold.
    pub fn handle(&mut self, now: Now, input: Input) {
        if let Some(stimulus) = self.take(now, input) {
            self.apply(now, stimulus);
        }
        // What follows from where that led: an end with nothing to wait for goes on at once.
        while let Some(stimulus) = self.consequence() {
            self.apply(now, stimulus);
        }
        self.settle(now);
    }

    /// Notes what the input says, and says what it means to the state.
    fn take(&mut self, now: Now, input: Input) -> Option<Stimulus> {
        match input {
            Input::Noted => {
                self.durable = true;
                self.ready(now)
            }
            session @ (Input::Opened { .. } | Input::Refused | Input::Closed { .. }) => {
                self.take_session(now, session)
            }
            life @ (Input::MediaLost
            | Input::MediaAway { .. }
            | Input::MediaBack
            | Input::MediaFound { .. }
            | Input::Furnished) => self.take_session(now, life),
            leg @ (Input::Dialled { .. } | Input::Skipped { .. }) => self.take_leg(now, leg),
            leg @ (Input::Leg { .. } | Input::LegGone { .. }) => self.take_leg(now, leg),
            Input::Joined => Some(Stimulus::Joined),
            Input::Played { party, sound } => self.played(party, sound),
            Input::Silent { party } => Some(Stimulus::Silent(party)),
            Input::Unauthentic { party } => Some(Stimulus::Unauthentic(party)),
            Input::Recorded { recording, outcome, duration, bytes, missing, tracks } => {
                let held = Held { duration, bytes, missing, tracks };
                self.recorded(now, recording, outcome, held).then_some(Stimulus::Filed)
            }
            action @ (Input::ActionEnded { .. } | Input::Pressed { .. }) => self.take_action(now, action),
            action @ (Input::Start { .. } | Input::Stop(_)) => self.take_action(now, action),
            Input::Cancel => Some(Stimulus::Cancel),
            Input::Drop { cause } => {
                self.drop_cause(cause);
                Some(Stimulus::Drop)
            }
            Input::Shutdown => Some(Stimulus::Shutdown),
            Input::Tick => {
                self.actions_due(now);
                self.due(now).then_some(Stimulus::Expired)
            }
        }
    }

    /// What the endpoint says of the legs that were asked for.
    fn take_leg(&mut self, now: Now, input: Input) -> Option<Stimulus> {
        match input {
            Input::Dialled { party, dialled } => {
                self.call_mut(party).dialled(dialled);
                self.noteworthy = true;
                // A redirection may have led to another trunk while there was a tone.
                self.sound();
                None
            }
            Input::Skipped { party } => self.skipped(now, party),
            Input::Leg { party, attempt, event } => self.leg(now, party, attempt, event),
            Input::LegGone { party } => {
                let call = self.call_mut(party);
                call.legs = call.legs.saturating_sub(1);
                None
            }
            _ => None,
        }
    }

    fn due(&mut self, now: Now) -> bool {
        let due = self.deadline.is_some_and(|deadline| deadline <= now.instant);
        if due {
            self.deadline = None;
        }
        due
    }

    /// What concerns the media session, and the gateway that carries it.
    fn take_session(&mut self, now: Now, input: Input) -> Option<Stimulus> {
        match input {
            Input::Opened { session, ports } => {
                let again = self.media.is_away();
                self.media.opened(session, ports);
                self.noteworthy = true;
                if again { self.reopened(now) } else { self.ready(now) }
            }
            Input::Refused => {
                let refused = if self.media.was_open() { Stimulus::MediaLost } else { Stimulus::Refused };
                self.media.lost();
                Some(refused)
            }
            Input::Closed { statistics } => {
                self.media.closed(Some(statistics));
                Some(Stimulus::Closed)
            }
            Input::MediaLost => {
                self.media.lost();
                self.lose_recordings(now);
                Some(Stimulus::MediaLost)
            }
            Input::MediaAway { left } => self.media_away(now, left.map(|left| *left)),
            Input::MediaBack => {
                self.media_back(now);
                None
            }
            Input::MediaFound { session, far_ends } => {
                self.media_found(now, session, far_ends);
                None
            }
            Input::Furnished => self.resume(now),
            // All others are the parties', the application's or the clock's.
            _ => None,
        }
    }

    /// Both the journal and the gateway have what they need; or the gateway has opened what nobody wants any more.
    fn ready(&mut self, now: Now) -> Option<Stimulus> {
        if self.phase.state() == State::Released {
            self.send_close();
            self.deadline = self.deadline.or(Some(now.instant + self.waits.record_answer));
            return None;
        }
        if self.media.is_open() {
            self.deadline = None;
        }
        (self.phase == Phase::Opening && self.durable && self.media.is_open()).then_some(Stimulus::Ready)
    }

    fn apply(&mut self, now: Now, stimulus: Stimulus) {
        let from = self.phase;
        match from.on(stimulus) {
            Transition::Stay => {}
            Transition::Go(to, acts) => {
                self.enter(now, to);
                for act in acts {
                    self.act(now, *act);
                }
            }
            Transition::Release(why) => {
                self.release(now, from, why);
                self.enter(now, Phase::Closing);
            }
        }
    }

    /// A new phase begins its own wait; one that goes on keeps what it has.
    fn enter(&mut self, now: Now, to: Phase) {
        if self.phase == to {
            return;
        }
        if self.phase.state() != to.state() {
            self.noteworthy = true;
            self.outputs.push_back(Output::State { from: self.phase.state(), to: to.state() });
        }
        self.phase = to;
        let wait = match to {
            Phase::Calling1 | Phase::Calling2 => Some(self.plan.max_ring),
            Phase::Prompting => Some(self.waits.prompt),
            Phase::Opening | Phase::Joining if self.media.stands_still() => None,
            Phase::Opening | Phase::Joining | Phase::Closing => Some(self.waits.media_answer),
            Phase::Connected => Some(self.plan.max_answer),
            Phase::Filing => Some(self.waits.record_answer),
            Phase::Draining => (!self.media.is_over()).then_some(self.waits.record_answer),
            Phase::Over => None,
        };
        self.deadline = wait.map(|wait| now.instant + wait);
    }

    /// What the phase makes happen by itself, now that nothing more is to be waited for.
    fn consequence(&self) -> Option<Stimulus> {
        match self.phase {
            Phase::Closing if !self.media.will_tell() => Some(Stimulus::Closed),
            Phase::Filing if !self.is_recording() => Some(Stimulus::Filed),
            Phase::Draining if self.is_quiet() => Some(Stimulus::Quiet),
            _ => None,
        }
    }

    fn is_quiet(&self) -> bool {
        self.media.is_over() && self.calls.iter().all(|call| call.legs == 0)
    }

    /// At the end of a step: the journal hears of it once.
    fn settle(&mut self, _now: Now) {
        if core::mem::take(&mut self.noteworthy) {
            self.outputs.push_back(Output::Note);
        }
    }

    fn report(&mut self, now: Now, event: Event) {
        self.seq += 1;
        self.outputs.push_back(Output::Report { seq: self.seq, time: now.unix, event: Box::new(event) });
    }

    fn call(&self, party: Party) -> &Call {
        &self.calls[party.index()]
    }

    fn call_mut(&mut self, party: Party) -> &mut Call {
        &mut self.calls[party.index()]
    }

    /// Frees what a released callback no longer needs while its last transactions run out.
    fn slim(&mut self) {
        for party in &mut self.plan.parties {
            party.to = Vec::new();
        }
    }
}
