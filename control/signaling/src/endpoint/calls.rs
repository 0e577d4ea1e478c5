//! Driving the resources: what they are told, and what they want done.

use alloc::boxed::Box;

use duogate_channel::command::Command;
use duogate_channel::identity::{Party, Shard};
use rand_core::Rng;

use super::deadlines::Sleeper;
use super::output::Output;
use super::slots::{Attempt, Order};
use super::{Endpoint, Input};
use crate::clock::Now;
use crate::leg;
use crate::resource::duo_callback::Output as Wish;
use crate::resource::note::LegNote;
use crate::resource::report::{Event, EventId, Report};
use crate::resource::view::State;

impl Endpoint {
    /// Tells a resource something, and does all that follows.
    pub(super) fn tell(&mut self, now: Now, serial: u64, input: Input) {
        self.work.push_back((serial, input));
        self.work_off(now);
    }

    /// Does what has piled up. It ends: each step takes one input off, and a resource asks for something new only
    /// when it moves on towards its end.
    pub(super) fn work_off(&mut self, now: Now) {
        while let Some((serial, input)) = self.work.pop_front() {
            if let Some(slot) = self.resources.get_mut(&serial) {
                slot.machine.handle(now, input);
                self.grant(now, serial);
                self.settle_transcoding(serial);
            }
        }
    }

    /// Does what a resource wants done, and notes its deadline.
    pub(super) fn grant(&mut self, now: Now, serial: u64) {
        while let Some(wish) = self.resources.get_mut(&serial).and_then(|slot| slot.machine.poll_output()) {
            self.do_one(now, serial, wish);
        }
        if let Some(slot) = self.resources.get_mut(&serial) {
            let deadline = slot.machine.next_deadline();
            self.deadlines.set(Sleeper::Resource(serial), &mut slot.deadline, deadline);
        }
    }

    fn do_one(&mut self, now: Now, serial: u64, wish: Wish) {
        match wish {
            Wish::Dial { party, target, attempt, port, prefer } => {
                self.dial(now, serial, Order { party, target, attempt, port, prefer });
            }
            Wish::HangUp { party, cause } => self.hang_up(now, serial, party, cause),
            Wish::Media { shard, command } => self.command(serial, shard, command),
            Wish::State { from, to } => self.count_state(from, to),
            Wish::Note => self.note(serial),
            Wish::Report { seq, time, event } => {
                self.count_event(&event);
                self.forget_demand(serial, &event);
                let random = u128::from(self.random.next_u64()) << 64 | u128::from(self.random.next_u64());
                let Some(slot) = self.resources.get(&serial) else { return };
                let plan = slot.machine.plan();
                self.outputs.push_back(Output::Report(Box::new(Report {
                    event_id: EventId::new(time, random),
                    res_id: slot.machine.res_id().clone(),
                    seq,
                    time,
                    user_data: plan.user_data.clone(),
                    callback_url: plan.callback_url.clone(),
                    event: *event,
                })));
            }
            Wish::Measured(measurement) => self.outputs.push_back(Output::Measured(measurement)),
            Wish::Over => self.forget(serial),
        }
    }

    /// Passes a command on; a session that is asked for takes its place on the shard.
    fn command(&mut self, serial: u64, shard: Shard, command: Command) {
        if let Command::Open { tag, .. } = command
            && !self.shards.opening(shard, tag)
        {
            self.work.push_back((serial, Input::Refused));
            return;
        }
        self.outputs.push_back(Output::Media { shard, command });
    }

    fn hang_up(&mut self, now: Now, serial: u64, party: Party, cause: u16) {
        let Some(slot) = self.resources.get_mut(&serial) else { return };
        slot.journeys[party.index()] = None;
        match core::mem::replace(&mut slot.attempts[party.index()], Attempt::Idle) {
            Attempt::Idle => {}
            Attempt::Searching(query) => {
                self.searches.remove(&query);
            }
            Attempt::Waiting(ticket) => {
                self.trunks.forget_turn(ticket);
                self.schedule_turns();
            }
            Attempt::Leg(call_id) => {
                self.uncount_trunk(call_id);
                self.handle_leg(now, call_id, leg::Input::Release { cause });
            }
        }
    }

    fn note(&mut self, serial: u64) {
        let Some(slot) = self.resources.get(&serial) else { return };
        let mut note = slot.machine.note();
        for (party, note) in Party::BOTH.into_iter().zip(&mut note.legs) {
            if let (Some(note), Attempt::Leg(call_id)) = (note, slot.attempts[party.index()])
                && let Some(entry) = self.legs.get(&call_id)
            {
                complete(note, entry.leg.snapshot());
            }
        }
        self.outputs.push_back(Output::Note(Box::new(note)));
    }

    /// Takes a resource out of every table.
    pub(super) fn forget(&mut self, serial: u64) {
        let Some(mut slot) = self.resources.remove(&serial) else { return };
        self.deadlines.set(Sleeper::Resource(serial), &mut slot.deadline, None);
        for attempt in slot.attempts {
            match attempt {
                Attempt::Searching(query) => {
                    self.searches.remove(&query);
                }
                Attempt::Waiting(ticket) => {
                    self.trunks.forget_turn(ticket);
                    self.schedule_turns();
                }
                Attempt::Idle | Attempt::Leg(_) => {}
            }
        }
        self.recovered(serial);
        self.forget_transcoding(serial);
        if let Some(recording) = slot.machine.recording() {
            self.recordings.remove(&recording);
        }
        let states = &mut self.counters.states;
        let state = slot.machine.state() as usize;
        states[state] = states[state].saturating_sub(1);
    }

    /// A recording on demand is over; that of `construct` is kept until the end.
    fn forget_demand(&mut self, serial: u64, event: &Event) {
        if let Event::RecordCompleted(result) = event
            && self.resources.get(&serial).and_then(|slot| slot.machine.recording()) != Some(result.recording)
        {
            self.recordings.remove(&result.recording);
        }
    }

    fn count_state(&mut self, from: State, to: State) {
        let states = &mut self.counters.states;
        states[from as usize] = states[from as usize].saturating_sub(1);
        states[to as usize] += 1;
        if to == State::Connected {
            self.counters.connected += 1;
        }
    }

    fn count_event(&mut self, event: &Event) {
        if let Event::Released(release) = event {
            match release.error {
                None => self.counters.released_normally += 1,
                Some(failure) => *self.counters.failures.entry(failure.reason).or_insert(0) += 1,
            }
        }
    }
}

/// Adds what only the leg knows of its dialog.
fn complete(note: &mut LegNote, leg: leg::Snapshot) {
    note.local_tag = leg.local_tag;
    note.remote_tag = leg.remote_tag;
    note.local_uri = leg.local_uri;
    note.remote_uri = leg.remote_uri;
    note.remote_target = leg.remote_target;
    note.routes = leg.routes;
    note.branch = leg.branch;
    note.local_sequence = leg.local_sequence;
    note.remote_sequence = leg.remote_sequence;
    note.answered = leg.answered;
    note.address = Some(leg.path.address);
    note.listener = leg.path.listener.0;
    note.description = leg.description;
    note.refresh = leg.refresh;
}
