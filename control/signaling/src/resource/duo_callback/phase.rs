//! The life of a two-way callback, as a table.
//!
//! ```text
//!   state        phase
//!   Initiated    Opening --Ready--> Calling1 --Retry(1)--+
//!                                     |  ^---------------+
//!                                     |
//!   Answer1      Prompting <--AnsweredToPrompt--+--Answered(1)--+
//!                    |                                          v
//!                    +----PromptOver, Expired----------------> Calling2 --Retry(2)--+
//!                                                               |  ^----------------+
//!   Answer2      Joining <--Answered(2)-------------------------+
//!                    |
//!   Connected    Connected <--Joined
//!
//!   any of these: Exhausted, HungUp, Expired, Cancel, Drop, Silent, Refused, MediaLost, Shutdown
//!                    |
//!   Released     Closing --Closed--> Filing --Filed--> Draining --Quiet--> Over
//! ```
//!
//! Closing waits for the gateway's figures, which `on_released` carries; Filing for the end of the recording;
//! Draining for the last transaction of the legs. Over may be freed.

use duogate_channel::identity::Party;

use crate::resource::plan::RecordMode;
use crate::resource::view::State;

/// Where the callback stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Waits for the journal and for the gateway's ports.
    Opening,
    /// Party 1 is called.
    Calling1,
    /// Party 1 hears the prompt that comes before the second call.
    Prompting,
    /// Party 2 is called.
    Calling2,
    /// The gateway joins the two.
    Joining,
    /// They talk.
    Connected,
    /// Released; the gateway's figures are awaited.
    Closing,
    /// `on_released` is reported; the end of the recording is awaited.
    Filing,
    /// Everything is reported; legs and session run out.
    Draining,
    /// Nothing is left.
    Over,
}

/// What can happen to the callback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stimulus {
    /// The journal has the row and the gateway has opened the session.
    Ready,
    /// The gateway has no session to give.
    Refused,
    /// The party's first 180, 183 or early media of this attempt, or a change in it.
    Ringing(Party),
    /// The party answered.
    Answered(Party),
    /// Party 1 answered, and a prompt is to be played before party 2 is called.
    AnsweredToPrompt,
    /// The attempt failed, and the list has another URI.
    Retry(Party),
    /// The attempt failed, and it was the last.
    Exhausted(Party),
    /// The party hung up.
    HungUp(Party),
    /// The prompt before the second call was played.
    PromptOver,
    /// The gateway has joined the two.
    Joined,
    /// Nothing was heard of the party for too long.
    Silent(Party),
    /// What comes from the party does not pass the check of its keys.
    Unauthentic(Party),
    /// The phase's deadline has passed.
    Expired,
    /// The application gives up.
    Cancel,
    /// The application ends the call.
    Drop,
    /// The node stops.
    Shutdown,
    /// The gateway went away.
    MediaLost,
    /// The gateway has closed the session, or there is none.
    Closed,
    /// The recording has ended, or there is none.
    Filed,
    /// No leg and no session is left.
    Quiet,
}

/// Why it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// Every URI of the party failed.
    CallFailed(Party),
    /// `max_ring_seconds` passed.
    NoAnswer(Party),
    /// The party hung up before Connected.
    HungUpEarly(Party),
    /// The party hung up after that.
    HungUp(Party),
    /// `max_answer_seconds` passed.
    AnswerLimit,
    /// `cancel`.
    Cancelled,
    /// `drop`.
    Dropped,
    /// The node stops.
    Shutdown,
    /// The party went silent.
    MediaTimeout,
    /// The party's packets do not pass the check of its keys.
    Unauthentic,
    /// No session to be had.
    MediaRefused,
    /// The gateway went away.
    MediaLost,
    /// The gateway did not answer.
    MediaStalled,
}

/// Where to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Transition {
    /// Nothing changes.
    Stay,
    /// To this phase (perhaps the same), doing this on the way. A new phase begins its own wait.
    Go(Phase, &'static [Act]),
    /// To Closing: both calls and the session are ended, a call still being placed is reported as failed.
    Release(Why),
}

/// What the callback does on a transition, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    /// Begin to record, if the recording is to begin here.
    Record(RecordMode),
    /// Call the party's next URI.
    Dial(Party),
    /// Report that the second call begins.
    ReportDial2,
    /// Report that the party rings, if that is new.
    ReportRinging(Party),
    /// Report that the party answered.
    ReportAnswer(Party),
    /// Let party 1 hear what the phase and party 2's ringing call for.
    Sound,
    /// Join the two.
    Join,
    /// Report that they talk.
    ReportConnected,
    /// Report `on_released`.
    ReportReleased,
    /// Report how the recording ended.
    ReportRecorded,
    /// Report the legs' records.
    ReportChannels,
    /// Give up waiting for the gateway to close the session.
    Abandon,
    /// Tell the endpoint that it may be freed.
    ReportOver,
}

impl Phase {
    /// Every phase, for the matrix.
    #[cfg(test)]
    pub(super) const ALL: [Self; 10] = [
        Self::Opening,
        Self::Calling1,
        Self::Prompting,
        Self::Calling2,
        Self::Joining,
        Self::Connected,
        Self::Closing,
        Self::Filing,
        Self::Draining,
        Self::Over,
    ];

    /// The state that the application sees.
    pub(super) const fn state(self) -> State {
        match self {
            Self::Opening | Self::Calling1 => State::Initiated,
            Self::Prompting | Self::Calling2 => State::Answer1,
            Self::Joining => State::Answer2,
            Self::Connected => State::Connected,
            Self::Closing | Self::Filing | Self::Draining | Self::Over => State::Released,
        }
    }

    /// The transition for every phase and stimulus: where to go, and what to do on the way.
    pub(super) const fn on(self, stimulus: Stimulus) -> Transition {
        use Act::{Abandon, Dial, Join, Record, ReportChannels, ReportDial2, ReportOver, Sound};
        use Act::{ReportAnswer, ReportConnected, ReportRecorded, ReportReleased, ReportRinging};
        use Party::{One, Two};
        use Phase::{
            Calling1, Calling2, Closing, Connected, Draining, Filing, Joining, Opening, Over, Prompting,
        };
        use Stimulus as S;
        use Transition as T;
        match (self, stimulus) {
            // Towards party 1.
            (Opening, S::Ready) => T::Go(Calling1, &[Record(RecordMode::FromFirstCall), Dial(One)]),
            (Opening, S::Refused) => T::Release(Why::MediaRefused),
            (Opening, S::Expired) => T::Release(Why::MediaStalled),
            (Calling1, S::Ringing(One)) => T::Go(Calling1, &[ReportRinging(One)]),
            (Calling1, S::Retry(One)) => T::Go(Calling1, &[Dial(One)]),
            (Calling1, S::Exhausted(One)) => T::Release(Why::CallFailed(One)),
            (Calling1, S::Expired) => T::Release(Why::NoAnswer(One)),
            (Calling1, S::AnsweredToPrompt) => T::Go(Prompting, &[ReportAnswer(One), Sound]),

            // Towards party 2. A prompt whose end is never heard of is as good as played.
            (Calling1, S::Answered(One)) => T::Go(
                Calling2,
                &[ReportAnswer(One), ReportDial2, Record(RecordMode::FromSecondCall), Sound, Dial(Two)],
            ),
            (Prompting, S::PromptOver | S::Expired) => {
                T::Go(Calling2, &[ReportDial2, Record(RecordMode::FromSecondCall), Sound, Dial(Two)])
            }
            (Calling2, S::Ringing(Two)) => T::Go(Calling2, &[ReportRinging(Two), Sound]),
            (Calling2, S::Retry(Two)) => T::Go(Calling2, &[Sound, Dial(Two)]),
            (Calling2, S::Exhausted(Two)) => T::Release(Why::CallFailed(Two)),
            (Calling2, S::Expired) => T::Release(Why::NoAnswer(Two)),
            (Calling2, S::Answered(Two)) => T::Go(Joining, &[ReportAnswer(Two), Join]),

            // Together.
            (Joining, S::Joined) => T::Go(Connected, &[Record(RecordMode::FromConnected), ReportConnected]),
            (Joining, S::Expired) => T::Release(Why::MediaStalled),
            (Connected, S::Expired) => T::Release(Why::AnswerLimit),
            (Connected, S::Silent(_)) => T::Release(Why::MediaTimeout),

            // A party that has answered. Before that its call may still be answered by somebody else.
            (Prompting | Calling2 | Joining | Connected, S::Unauthentic(One))
            | (Joining | Connected, S::Unauthentic(Two)) => T::Release(Why::Unauthentic),

            // Hang-ups.
            (Prompting | Calling2 | Joining, S::HungUp(One)) => T::Release(Why::HungUpEarly(One)),
            (Joining, S::HungUp(Two)) => T::Release(Why::HungUpEarly(Two)),
            (Connected, S::HungUp(One)) => T::Release(Why::HungUp(One)),
            (Connected, S::HungUp(Two)) => T::Release(Why::HungUp(Two)),

            // The application and the node. `cancel` is for before party 2 is called; later it changes nothing.
            (Opening | Calling1 | Prompting, S::Cancel) => T::Release(Why::Cancelled),
            (Opening | Calling1 | Prompting | Calling2 | Joining | Connected, S::Drop) => {
                T::Release(Why::Dropped)
            }
            (Opening | Calling1 | Prompting | Calling2 | Joining | Connected, S::Shutdown) => {
                T::Release(Why::Shutdown)
            }
            // A session that the gateway closes unasked: it is ending.
            (Opening | Calling1 | Prompting | Calling2 | Joining | Connected, S::MediaLost | S::Closed) => {
                T::Release(Why::MediaLost)
            }

            // The end, in the order of the events. A recording that ends before its call is told of at once.
            (Opening | Calling1 | Prompting | Calling2 | Joining | Connected, S::Filed) => {
                T::Go(self, &[ReportRecorded])
            }
            (Closing, S::Closed | S::MediaLost | S::Expired) => T::Go(Filing, &[ReportReleased]),
            (Filing, S::Filed | S::Expired) => T::Go(Draining, &[ReportRecorded, ReportChannels]),
            (Draining, S::Expired) => T::Go(Draining, &[Abandon]),
            (Draining, S::Quiet) => T::Go(Over, &[ReportOver]),

            // Nothing changes. Spelled out, so that a new phase or stimulus has to be decided everywhere.
            (_, S::Ready | S::Refused | S::Joined | S::PromptOver | S::AnsweredToPrompt) => T::Stay,
            (_, S::Ringing(_) | S::Answered(_) | S::Retry(_) | S::Exhausted(_)) => T::Stay,
            (_, S::Silent(_) | S::HungUp(_) | S::Unauthentic(_)) => T::Stay,
            (Calling2 | Joining | Connected | Closing | Filing | Draining | Over, S::Cancel) => T::Stay,
            (Closing | Filing | Draining | Over, S::Drop | S::Shutdown) => T::Stay,
            (Filing | Draining | Over, S::MediaLost) => T::Stay,
            (Opening | Calling1 | Prompting | Calling2 | Joining | Connected, S::Quiet) => T::Stay,
            (Closing | Draining | Over, S::Filed) => T::Stay,
            (Filing | Draining | Over, S::Closed) => T::Stay,
            (Closing | Filing | Over, S::Quiet) | (Over, S::Expired) => T::Stay,
        }
    }
}
