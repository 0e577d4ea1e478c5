//! The recording that `construct` asked for, and those on demand: each begins at most once and is reported exactly
//! once.

use core::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::event::{RecordOutcome, Track};
use duogate_channel::identity::{Party, Recording};
use duogate_channel::sound::{RecordChannels, RecordFormat};
use duogate_channel::time::Instant;

use super::DuoCallback;
use super::phase::Phase;
use crate::clock::Now;
use crate::resource::action::RecordOrder;
use crate::resource::note::DemandNote;
use crate::resource::plan::RecordMode;
use crate::resource::report::{Event, Failure, Reason, RecordResult};

/// How far it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Not asked for.
    Unwanted,
    /// Asked for, not begun.
    Waiting,
    /// It is time to begin, and there is no gateway to do so: the next one will.
    Due,
    /// Begun.
    Running,
    /// The gateway has been told to end it.
    Stopping,
    /// Ended, not reported.
    Ended,
    /// Reported.
    Reported,
}

/// The recording as the callback sees it.
#[derive(Debug)]
pub(super) struct Recorder {
    stage: Stage,
    began: Option<Now>,
    ended: Option<Now>,
    error: Option<Failure>,
    held: Held,
}

/// What a recording was asked to be.
#[derive(Clone, Copy, Debug)]
struct RecordKind<'a> {
    file: &'a str,
    format: RecordFormat,
    channels: RecordChannels,
}

impl<'a> RecordKind<'a> {
    const fn of(file: &'a str, format: RecordFormat, channels: RecordChannels) -> Self {
        Self { file, format, channels }
    }
}

/// What the gateway says that a recording holds.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Held {
    pub(super) duration: Duration,
    pub(super) bytes: u64,
    /// Relayed packets of which no copy came.
    pub(super) missing: u32,
    pub(super) tracks: [Track; 2],
}

impl Recorder {
    pub(super) const fn new(wanted: bool) -> Self {
        let stage = if wanted { Stage::Waiting } else { Stage::Unwanted };
        let tracks = [Track { lost: 0, gaps: 0, silent_milliseconds: 0 }; 2];
        let held = Held { duration: Duration::ZERO, bytes: 0, missing: 0, tracks };
        Self { stage, began: None, ended: None, error: None, held }
    }

    /// One that a former control plane began.
    pub(super) const fn inherited(began: Now) -> Self {
        Self { stage: Stage::Running, began: Some(began), ..Self::new(true) }
    }

    /// When it began, while it runs.
    pub(super) fn running_since(&self) -> Option<Now> {
        self.began.filter(|_| self.is_running())
    }

    /// The gateway says how it ended, and what it holds. False if that is no news.
    pub(super) fn ended(&mut self, now: Now, outcome: RecordOutcome, held: Held) -> bool {
        if !self.is_running() {
            return false;
        }
        self.held = held;
        self.end(now, failure(outcome));
        true
    }

    /// The gateway went away with it.
    pub(super) fn lost(&mut self, now: Now) {
        if self.is_running() {
            self.end(now, Some(Failure { code: 500, reason: Reason::MediaLost }));
        }
    }

    fn end(&mut self, now: Now, error: Option<Failure>) {
        self.stage = Stage::Ended;
        self.ended = Some(now);
        self.error = error;
    }

    /// Is a file to be recorded into yet?
    pub(super) fn needs_file(&self) -> bool {
        matches!(self.stage, Stage::Waiting | Stage::Due | Stage::Running)
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running | Stage::Stopping)
    }

    /// Its end, as it is reported, once; none if it has not ended, or was reported.
    fn result(&mut self, now: Now, recording: Recording, kind: RecordKind<'_>) -> Option<RecordResult> {
        if self.stage != Stage::Ended {
            return None;
        }
        self.stage = Stage::Reported;
        Some(RecordResult {
            recording,
            error: self.error,
            record_file: kind.file.into(),
            format: kind.format,
            channels: kind.channels,
            uris: [None, None],
            tracks: self.held.tracks,
            begin_time: self.began.map(|began| began.unix),
            end_time: self.ended.unwrap_or(now).unix,
            duration: self.held.duration,
            bytes: self.held.bytes,
            lost_packets: self.held.missing,
        })
    }

    /// Is `on_record_completed` still owed?
    pub(super) fn is_owed(&self) -> bool {
        !matches!(self.stage, Stage::Unwanted | Stage::Reported)
    }
}

/// A recording on demand.
#[derive(Debug)]
pub(super) struct Demand {
    pub(super) order: RecordOrder,
    recording: Recording,
    recorder: Recorder,
    /// When it is long enough.
    pub(super) deadline: Option<Instant>,
}

impl Demand {
    pub(super) const fn began(&self) -> Option<Now> {
        self.recorder.began
    }

    pub(super) const fn recording(&self) -> Recording {
        self.recording
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.recorder.stage == Stage::Stopping
    }

    /// For the journal, while it runs.
    pub(super) fn note(&self) -> Option<DemandNote> {
        let begin_time = self.recorder.running_since()?.unix;
        let (recording, order, stopping) = (self.recording, self.order.clone(), self.is_stopping());
        Some(DemandNote { recording, begin_time, order, stopping })
    }

    /// One that a former control plane began.
    pub(super) fn inherited(note: &DemandNote, began: Now) -> Self {
        let mut recorder = Recorder::inherited(began);
        let mut deadline = note.order.max.map(|max| began.instant + max);
        if note.stopping {
            (recorder.stage, deadline) = (Stage::Stopping, None);
        }
        Self { order: note.order.clone(), recording: note.recording, recorder, deadline }
    }
}

fn failure(outcome: RecordOutcome) -> Option<Failure> {
    let reason = match outcome {
        RecordOutcome::Saved => return None,
        RecordOutcome::WriteFailed { .. } => Reason::WriteFailed,
        RecordOutcome::Overrun => Reason::Overrun,
        RecordOutcome::Missing => Reason::NeverBegan,
    };
    Some(Failure { code: 500, reason })
}

impl DuoCallback {
    /// Begins to record, if this is where the plan wants it to begin.
    pub(super) fn record(&mut self, now: Now, mode: RecordMode) {
        let (Some(plan), Some(recording)) = (&self.plan.record, self.prepared.recording) else { return };
        if plan.mode != mode || self.recorder.stage != Stage::Waiting {
            return;
        }
        if self.media.stands_still() {
            self.recorder.stage = Stage::Due;
            return;
        }
        let (format, channels, hold) = (plan.format, plan.channels, plan.hold);
        self.recorder.stage = Stage::Running;
        self.recorder.began = Some(now);
        self.send(|session| Command::RecordStart { session, recording, format, channels, hold });
    }

    /// Begins the recording that was due while there was no gateway.
    pub(super) fn record_due(&mut self, now: Now) {
        if let (Stage::Due, Some(plan)) = (self.recorder.stage, &self.plan.record) {
            let mode = plan.mode;
            self.recorder.stage = Stage::Waiting;
            self.record(now, mode);
        }
    }

    /// At the release: what has not begun never will.
    pub(super) fn stop_recording(&mut self, now: Now) {
        if matches!(self.recorder.stage, Stage::Waiting | Stage::Due) {
            self.recorder.end(now, Some(Failure { code: 487, reason: Reason::NeverBegan }));
        }
    }

    /// Begins a recording on demand.
    pub(super) fn record_on_demand(&mut self, now: Now, order: RecordOrder, recording: Recording) {
        let mut recorder = Recorder::new(true);
        recorder.stage = Stage::Running;
        recorder.began = Some(now);
        let deadline = order.max.map(|max| now.instant + max);
        let (format, channels, hold) = (order.format, order.channels, order.hold);
        self.demand = Some(Demand { order, recording, recorder, deadline });
        self.send(|session| Command::RecordStart { session, recording, format, channels, hold });
    }

    /// Lets the gateway end the recording on demand, if it has not been told so.
    pub(super) fn stop_demand(&mut self) {
        let Some(demand) = &mut self.demand else { return };
        demand.deadline = None;
        if demand.recorder.stage == Stage::Running {
            demand.recorder.stage = Stage::Stopping;
            let recording = demand.recording;
            self.send(|session| Command::RecordStop { session, recording });
        }
    }

    /// The gateway says how a recording ended. False if that is no news.
    pub(super) fn recorded(
        &mut self,
        now: Now,
        recording: Recording,
        outcome: RecordOutcome,
        held: Held,
    ) -> bool {
        match &mut self.demand {
            Some(demand) if demand.recording == recording => {
                demand.deadline = None;
                demand.recorder.ended(now, outcome, held)
            }
            _ => self.prepared.recording == Some(recording) && self.recorder.ended(now, outcome, held),
        }
    }

    /// The gateway went away with all of them.
    pub(super) fn lose_recordings(&mut self, now: Now) {
        self.recorder.lost(now);
        if let Some(demand) = &mut self.demand {
            demand.deadline = None;
            demand.recorder.lost(now);
        }
    }

    /// Does the gateway still have one to finish?
    pub(super) fn is_recording(&self) -> bool {
        self.recorder.is_running() || self.demand.as_ref().is_some_and(|demand| demand.recorder.is_running())
    }

    /// Reports each recording that has ended, once. Those that the gateway has not ended when the call is over and
    /// its time is up failed.
    pub(super) fn report_recorded(&mut self, now: Now) {
        if self.phase == Phase::Draining {
            let stalled = Some(Failure { code: 500, reason: Reason::MediaStalled });
            let demanded = self.demand.as_mut().map(|demand| &mut demand.recorder);
            for recorder in demanded.into_iter().chain([&mut self.recorder]) {
                if recorder.is_running() {
                    recorder.end(now, stalled);
                }
            }
        }
        if let (Some(plan), Some(recording)) = (&self.plan.record, self.prepared.recording)
            && let kind = RecordKind::of(&plan.file, plan.format, plan.channels)
            && let Some(result) = self.recorder.result(now, recording, kind)
        {
            self.noteworthy = true;
            self.report_record(now, result);
        }
        if let Some(demand) = &mut self.demand
            && let order = &demand.order
            && let kind = RecordKind::of(&order.file, order.format, order.channels)
            && let Some(result) = demand.recorder.result(now, demand.recording, kind)
        {
            self.demand = None;
            self.noteworthy = true;
            self.report_record(now, result);
        }
    }

    /// Says whose voices those are, too.
    fn report_record(&mut self, now: Now, result: RecordResult) {
        let uris = [Party::One, Party::Two].map(|party| self.call(party).last_uri.clone());
        self.report(now, Event::RecordCompleted(RecordResult { uris, ..result }));
    }
}
