//! The actions of one party, as tables.
//!
//! ```text
//!  a prompt, or keys being sent:
//!            Start              Stop
//!    Idle ────────> Running ────────────> Stopping       any of them: Ended ──> Idle, reported
//!                                                                     CallOver ──> Idle, reported as an error
//!  collecting keys:
//!            Start               PromptOver
//!    Idle ──────────> Waiting <─────────────┬─────────────┐
//!      │ StartPrompt    ^ │                 │             │
//!      └────────────────┼─┼──────> Prompted ┘  Break ──> Breaking   (the prompt is being stopped; time runs)
//!                       │ │            │ Done                │ Done
//!                       │ │ Done       v                     v
//!            reported ──┴─┴─> Idle <── Ending <──────────────┘      (the end of the prompt is awaited)
//!                                   PromptOver
//! ```

use alloc::string::String;

use duogate_channel::digits::{Key, Keys};
use duogate_channel::identity::Action;
use duogate_channel::time::Instant;

use crate::clock::Now;
use crate::resource::action::{Collect, KeySet};
use crate::resource::report::Failure;

/// Where a prompt, or the sending of keys, stands.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Doing {
    /// None is under way.
    #[default]
    Idle,
    /// The gateway does it.
    Running,
    /// The gateway has been told to stop.
    Stopping,
}

/// What can happen to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// The application starts it.
    Start,
    /// The application, or a key, stops it.
    Stop,
    /// The gateway has ended it.
    Ended,
    /// The call is over.
    CallOver,
}

/// What to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Do {
    /// Nothing.
    Nothing,
    /// Tell the gateway to begin.
    Begin,
    /// Tell the gateway to stop.
    Stop,
    /// Report how it ended.
    Report,
    /// Report that the call ended it.
    ReportCut,
}

impl Doing {
    pub(super) const fn on(self, event: Event) -> (Self, Do) {
        match (self, event) {
            (Self::Idle, Event::Start) => (Self::Running, Do::Begin),
            (Self::Running, Event::Stop) => (Self::Stopping, Do::Stop),
            (Self::Running | Self::Stopping, Event::Ended) => (Self::Idle, Do::Report),
            (Self::Running | Self::Stopping, Event::CallOver) => (Self::Idle, Do::ReportCut),
            // A second start has been refused before it comes here.
            (Self::Running, Event::Start) => (Self::Running, Do::Nothing),
            (Self::Stopping, Event::Start | Event::Stop) => (Self::Stopping, Do::Nothing),
            (Self::Idle, Event::Stop | Event::Ended | Event::CallOver) => (Self::Idle, Do::Nothing),
        }
    }
}

/// Where the collection of keys stands.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Collecting {
    /// None is under way.
    #[default]
    Idle,
    /// The prompt plays.
    Prompted,
    /// A key has broken the prompt off; its end is awaited, and so is the next key.
    Breaking,
    /// A key is awaited.
    Waiting,
    /// It is over but for the prompt.
    Ending,
}

/// What can happen to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CollectEvent {
    /// Started with a prompt.
    StartPrompt,
    /// Started without one.
    Start,
    /// A key breaks the prompt off.
    Break,
    /// Enough: the last key, a finish key, time, or the application.
    Done,
    /// The prompt has ended.
    PromptOver,
    /// The call is over.
    CallOver,
}

/// What to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CollectDo {
    /// Nothing.
    Nothing,
    /// Let the prompt begin.
    Play,
    /// Let the time for the first key begin.
    Time,
    /// Stop the prompt.
    StopPrompt,
    /// Report what was collected.
    Report,
    /// Report that the call ended it.
    ReportCut,
}

impl Collecting {
    pub(super) const fn on(self, event: CollectEvent) -> (Self, CollectDo) {
        use CollectEvent as E;
        match (self, event) {
            (Self::Idle, E::StartPrompt) => (Self::Prompted, CollectDo::Play),
            (Self::Idle, E::Start) => (Self::Waiting, CollectDo::Time),
            (Self::Prompted, E::PromptOver) => (Self::Waiting, CollectDo::Time),
            (Self::Prompted, E::Break) => (Self::Breaking, CollectDo::StopPrompt),
            (Self::Prompted, E::Done) => (Self::Ending, CollectDo::StopPrompt),
            (Self::Breaking, E::PromptOver) => (Self::Waiting, CollectDo::Nothing),
            (Self::Breaking, E::Done) => (Self::Ending, CollectDo::Nothing),
            (Self::Waiting, E::Done) | (Self::Ending, E::PromptOver) => (Self::Idle, CollectDo::Report),
            (Self::Prompted | Self::Breaking | Self::Waiting | Self::Ending, E::CallOver) => {
                (Self::Idle, CollectDo::ReportCut)
            }
            (Self::Idle, E::Break | E::Done | E::PromptOver | E::CallOver) => {
                (Self::Idle, CollectDo::Nothing)
            }
            (Self::Prompted, E::Start | E::StartPrompt) => (Self::Prompted, CollectDo::Nothing),
            (Self::Breaking, E::Start | E::StartPrompt | E::Break) => (Self::Breaking, CollectDo::Nothing),
            (Self::Waiting, E::Start | E::StartPrompt | E::Break | E::PromptOver) => {
                (Self::Waiting, CollectDo::Nothing)
            }
            (Self::Ending, E::Start | E::StartPrompt | E::Break | E::Done) => {
                (Self::Ending, CollectDo::Nothing)
            }
        }
    }

    /// Does the gateway play its prompt?
    pub(super) const fn has_prompt(self) -> bool {
        matches!(self, Self::Prompted | Self::Breaking | Self::Ending)
    }
}

/// A prompt for one party.
#[derive(Debug, Default)]
pub(super) struct Playing {
    pub(super) stage: Doing,
    pub(super) began: Option<Now>,
    pub(super) finish_keys: KeySet,
    /// The key that ended it.
    pub(super) finish_key: Option<Key>,
}

/// Keys that are sent to one party.
#[derive(Debug, Default)]
pub(super) struct Sending {
    pub(super) stage: Doing,
    pub(super) action: Option<Action>,
    pub(super) began: Option<Now>,
    pub(super) keys: Option<Keys>,
}

/// Keys that are collected from one party.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    pub(super) stage: Collecting,
    pub(super) began: Option<Now>,
    pub(super) how: Option<Collect>,
    pub(super) keys: String,
    pub(super) finish_key: Option<Key>,
    pub(super) error: Option<Failure>,
    /// When the wait for a key is over.
    pub(super) deadline: Option<Instant>,
}

/// By which way a party's keys come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// With its sound: telephone-events or tones.
    Media,
    /// By INFO.
    Info,
}

/// One party's actions.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) play: Playing,
    pub(super) send: Sending,
    pub(super) gather: Gathering,
    /// What the gateway calls the prompt that it plays, be it of `play` or of `gather`.
    pub(super) prompt: Option<Action>,
    /// The way of the party's first key. Phones that tell each key twice, both ways, are heard once.
    pub(super) way: Option<Way>,
}
