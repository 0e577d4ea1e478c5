//! `receive_dtmf_start`: keys are collected until there are enough.

use duogate_channel::command::Repeat;
use duogate_channel::digits::Key;
use duogate_channel::identity::Party;

use super::DuoCallback;
use super::desk::{CollectDo, CollectEvent, Collecting};
use crate::clock::Now;
use crate::resource::action::Collect;
use crate::resource::plan::SoundSet;
use crate::resource::report::{Event, Failure, Reason};

/// A key that was awaited did not come.
const TIMEOUT: Failure = Failure { code: 408, reason: Reason::Timeout };

impl DuoCallback {
    pub(super) fn begin_gathering(
        &mut self,
        now: Now,
        party: Party,
        how: Collect,
        prompt: Option<(SoundSet, Repeat)>,
    ) {
        let gather = &mut self.desks[party.index()].gather;
        gather.keys.clear();
        (gather.began, gather.how) = (Some(now), Some(how));
        (gather.finish_key, gather.error, gather.deadline) = (None, None, None);
        let event = if prompt.is_some() { CollectEvent::StartPrompt } else { CollectEvent::Start };
        self.gather_does(now, party, event);
        if let Some((sound, repeat)) = prompt {
            self.begin_prompt(party, Some(sound), repeat);
        }
    }

    /// A party that is being collected from has pressed a key.
    pub(super) fn gather_key(&mut self, now: Now, party: Party, key: Key) {
        let gather = &mut self.desks[party.index()].gather;
        let collects =
            matches!(gather.stage, Collecting::Prompted | Collecting::Breaking | Collecting::Waiting);
        let (true, Some(how)) = (collects, gather.how) else { return };
        if how.finish_keys.contains(key) {
            gather.finish_key = Some(key);
            if how.including_finish_key {
                gather.keys.push(key.sign());
            }
            return self.gather_does(now, party, CollectEvent::Done);
        }
        if !how.valid_keys.contains(key) {
            return;
        }
        gather.keys.push(key.sign());
        if gather.keys.len() >= how.max_keys {
            return self.gather_does(now, party, CollectEvent::Done);
        }
        if how.breaking_on_key {
            self.gather_does(now, party, CollectEvent::Break);
        }
        // While the prompt goes on, no time runs.
        let gather = &mut self.desks[party.index()].gather;
        if gather.stage != Collecting::Prompted {
            gather.deadline = Some(now.instant + how.next_key);
        }
    }

    /// The prompt has ended, or cannot be played: keys are awaited all the same.
    pub(super) fn prompt_over(&mut self, now: Now, party: Party) {
        self.gather_does(now, party, CollectEvent::PromptOver);
    }

    /// It is enough.
    pub(super) fn gathered(&mut self, now: Now, party: Party, error: Option<Failure>) {
        let gather = &mut self.desks[party.index()].gather;
        gather.error = gather.error.or(error);
        self.gather_does(now, party, CollectEvent::Done);
    }

    pub(super) fn gather_due(&mut self, now: Now, party: Party) {
        let due = self.desks[party.index()].gather.deadline.is_some_and(|at| at <= now.instant);
        if due {
            self.gathered(now, party, Some(TIMEOUT));
        }
    }

    pub(super) fn gather_cut(&mut self, now: Now, party: Party, error: Option<Failure>) {
        let gather = &mut self.desks[party.index()].gather;
        gather.error = gather.error.or(error);
        self.gather_does(now, party, CollectEvent::CallOver);
    }

    fn gather_does(&mut self, now: Now, party: Party, event: CollectEvent) {
        let gather = &mut self.desks[party.index()].gather;
        let (stage, what) = gather.stage.on(event);
        gather.stage = stage;
        if matches!(stage, Collecting::Idle | Collecting::Ending) {
            gather.deadline = None;
        }
        match what {
            // The caller plays it, who knows the sound.
            CollectDo::Nothing | CollectDo::Play => {}
            CollectDo::Time => {
                let wait =
                    gather.how.map(|how| if gather.keys.is_empty() { how.first_key } else { how.next_key });
                gather.deadline = wait.map(|wait| now.instant + wait);
            }
            CollectDo::StopPrompt => self.stop_prompt(party),
            CollectDo::Report | CollectDo::ReportCut => {
                let keys = core::mem::take(&mut gather.keys);
                let (error, finish_key) = (gather.error, gather.finish_key);
                let begin_time = gather.began.unwrap_or(now).unix;
                let end_time = now.unix;
                self.noteworthy = true;
                self.report(
                    now,
                    Event::ReceiveDtmfCompleted { party, error, begin_time, end_time, keys, finish_key },
                );
            }
        }
    }
}
