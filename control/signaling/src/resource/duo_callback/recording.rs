//! The recording that `construct` asked for: it begins at most once and is reported exactly once.

use core::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::event::RecordOutcome;

use super::DuoCallback;
use crate::clock::Now;
use crate::resource::plan::RecordMode;
use crate::resource::report::{Event, Failure, Reason, RecordResult};

/// How far it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Not asked for.
    Unwanted,
    /// Asked for, not begun.
    Waiting,
    /// Begun.
    Running,
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
    duration: Duration,
    bytes: u64,
    /// Relayed packets of which no copy came.
    missing: u32,
}

impl Recorder {
    pub(super) const fn new(wanted: bool) -> Self {
        let stage = if wanted { Stage::Waiting } else { Stage::Unwanted };
        let duration = Duration::ZERO;
        Self { stage, began: None, ended: None, error: None, duration, bytes: 0, missing: 0 }
    }

    /// The gateway says how it ended, how long and large it is, and how many relayed packets it lacks. False if
    /// that is no news.
    pub(super) fn ended(
        &mut self,
        now: Now,
        outcome: RecordOutcome,
        (duration, bytes, missing): (Duration, u64, u32),
    ) -> bool {
        if self.stage != Stage::Running {
            return false;
        }
        self.duration = duration;
        self.bytes = bytes;
        self.missing = missing;
        self.end(now, failure(outcome));
        true
    }

    /// The gateway went away with it.
    pub(super) fn lost(&mut self, now: Now) {
        if self.stage == Stage::Running {
            self.end(now, Some(Failure { code: 500, reason: Reason::MediaLost }));
        }
    }

    fn end(&mut self, now: Now, error: Option<Failure>) {
        self.stage = Stage::Ended;
        self.ended = Some(now);
        self.error = error;
    }

    pub(super) fn is_running(&self) -> bool {
        self.stage == Stage::Running
    }

    /// Is `on_record_completed` still owed?
    pub(super) fn is_owed(&self) -> bool {
        !matches!(self.stage, Stage::Unwanted | Stage::Reported)
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
        let (format, channels) = (plan.format, plan.channels);
        self.recorder.stage = Stage::Running;
        self.recorder.began = Some(now);
        self.send(|session| Command::RecordStart { session, recording, format, channels });
    }

    /// At the release: what has not begun never will.
    pub(super) fn stop_recording(&mut self, now: Now) {
        if self.recorder.stage == Stage::Waiting {
            self.recorder.end(now, Some(Failure { code: 487, reason: Reason::NeverBegan }));
        }
    }

    /// Reports the recording's end, once. One that the gateway has not ended by now failed.
    pub(super) fn report_recorded(&mut self, now: Now) {
        if self.recorder.stage == Stage::Running {
            self.recorder.end(now, Some(Failure { code: 500, reason: Reason::MediaStalled }));
        }
        let (Some(plan), Some(recording)) = (&self.plan.record, self.prepared.recording) else { return };
        if self.recorder.stage != Stage::Ended {
            return;
        }
        let recorder = &mut self.recorder;
        recorder.stage = Stage::Reported;
        let result = RecordResult {
            recording,
            error: recorder.error,
            record_file: plan.file.clone(),
            begin_time: recorder.began.map(|began| began.unix),
            end_time: recorder.ended.unwrap_or(now).unix,
            duration: recorder.duration,
            bytes: recorder.bytes,
            lost_packets: recorder.missing,
        };
        self.report(now, Event::RecordCompleted(result));
    }
}
