//! The life of one outbound call, as a table.
//!
//! ```text
//!        Dialing ------ 1xx ------> Proceeding, Early
//!         |    \                     |        |
//!      Release  +---- Accepted ------+     Release
//!         |               |                   |
//!         v               v                   v
//!     Withdrawn       Answered            Canceling <-- 1xx -- Withdrawn
//!         |               | InviteOver        |
//!         |               v                   |
//!         |           Confirmed               |
//!         |            |     |                |
//!         |         Hangup  Release,       Accepted
//!     Rejected,        |    Lost        |
//!     Silent           |     |                |
//!         |            |     v                |
//!         |            |   Ending <-----------+
//!         |            |     | ByeOver        |
//!         |            v     v                |
//!         +---------> Draining <-- Rejected, Silent
//!                        | Quiet
//!                        v
//!                       Gone
//! ```
//!
//! What rings in Draining was given up before it did: it is cancelled. Refused takes Proceeding and Early back to Dialing. Dialing, Proceeding and Early go to Draining when the call is rejected or nobody answers, and to Ending when
//! the answer cannot be used. Draining has nothing more to say; it waits for transactions to run out, so that
//! late retransmissions still find someone who knows them.

/// Where the call stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// The INVITE is sent, nothing has been heard.
    Dialing,
    /// A provisional response came, but no dialog yet.
    Proceeding,
    /// At least one early dialog exists.
    Early,
    /// Given up before any provisional response; CANCEL has to wait for one (RFC 3261 section 9.1).
    Withdrawn,
    /// CANCEL is sent, the INVITE's final response is awaited.
    Canceling,
    /// Answered and acknowledged; other branches of a fork may still answer (RFC 3261 section 13.2.2.4).
    Answered,
    /// Answered, and no other answer can come any more.
    Confirmed,
    /// Our BYE is unanswered.
    Ending,
    /// Over; transactions run out.
    Draining,
    /// Nothing is left.
    Gone,
}

/// What can happen to the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stimulus {
    /// A 100.
    Trying,
    /// A 101 to 199 without a dialog.
    Progress,
    /// A 101 to 199 of an early dialog.
    Ringing,
    /// The first 2xx, with a usable session description.
    Accepted,
    /// The first 2xx, and its session description cannot be used.
    Unusable,
    /// The 2xx of the chosen dialog once more.
    Repeated,
    /// A 2xx of another dialog than the chosen one.
    Forked,
    /// A 300 to 699.
    Rejected,
    /// A 401, 407 or 422 that another INVITE answers.
    Refused,
    /// No final response in time, also after CANCEL (RFC 3261 section 9.1), or the INVITE could not be sent.
    Silent,
    /// The INVITE transaction of an answered call has run out (RFC 6026, timer M).
    InviteOver,
    /// The application's side wants the call to end.
    Release,
    /// The party sent BYE in the dialog of the call.
    Hangup,
    /// The party's side of the dialog is lost: our 2xx to a re-INVITE was never acknowledged (RFC 3261 section
    /// 13.3.1.4), or with an answer to our offer that cannot be used; the session has expired (RFC 4028 section 10);
    /// a request of ours found no dialog (RFC 3261 section 12.2.1.2).
    Lost,
    /// Our BYE was answered, or never will be.
    ByeOver,
    /// No transaction is left.
    Quiet,
}

/// Why a call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Why {
    /// The final response says.
    Rejected,
    /// The answer had no usable session description: 488.
    Unusable,
    /// No final response: 408, or 503 when the INVITE could not be sent.
    Silent,
    /// Released before it was answered: 487.
    Released,
}

/// What the leg does on a transition, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    /// Send the INVITE anew, with what it lacked.
    InviteAgain,
    /// Tell the resource of the provisional response.
    ReportProgress,
    /// Send CANCEL.
    Cancel,
    /// Choose the dialog of the 2xx and send ACK.
    Acknowledge,
    /// Send the same ACK again.
    AcknowledgeAgain,
    /// ACK and BYE in the dialog of a 2xx that lost.
    DismissFork,
    /// Tell the resource that the party answered.
    ReportAnswer,
    /// Tell the resource that the call failed.
    ReportFailure(Why),
    /// Tell the resource that the party hung up.
    ReportHangup,
    /// Tell the resource that the party's side of the dialog is lost.
    ReportLost,
    /// Send BYE in the chosen dialog.
    Bye,
    /// Tell the endpoint that the leg may be freed.
    ReportGone,
}

impl State {
    /// Is the INVITE's final response still to come?
    pub(crate) const fn awaits_final_response(self) -> bool {
        matches!(self, Self::Dialing | Self::Proceeding | Self::Early | Self::Withdrawn | Self::Canceling)
    }

    /// Would an answer be welcome?
    pub(crate) const fn awaits_answer(self) -> bool {
        matches!(self, Self::Dialing | Self::Proceeding | Self::Early)
    }

    /// Is there a conversation that requests can change?
    pub(crate) const fn is_talking(self) -> bool {
        matches!(self, Self::Answered | Self::Confirmed)
    }

    /// The transition for every state and stimulus: where to go, and what to do on the way.
    pub(crate) const fn on(self, stimulus: Stimulus) -> (Self, &'static [Act]) {
        use Act::{Acknowledge, AcknowledgeAgain, Bye, Cancel, DismissFork, InviteAgain};
        use Act::{ReportAnswer, ReportFailure, ReportGone, ReportHangup, ReportLost, ReportProgress};
        use State::{
            Answered, Canceling, Confirmed, Dialing, Draining, Early, Ending, Gone, Proceeding, Withdrawn,
        };
        use Stimulus as S;
        match (self, stimulus) {
            // Waiting for an answer.
            (Dialing | Proceeding, S::Trying) => (Proceeding, &[]),
            (Dialing | Proceeding, S::Progress) => (Proceeding, &[ReportProgress]),
            (Early, S::Progress) | (Dialing | Proceeding | Early, S::Ringing) => (Early, &[ReportProgress]),
            (Dialing | Proceeding | Early, S::Accepted) => (Answered, &[Acknowledge, ReportAnswer]),
            (Dialing | Proceeding | Early, S::Unusable) => {
                (Ending, &[Acknowledge, Bye, ReportFailure(Why::Unusable)])
            }
            (Dialing | Proceeding | Early, S::Rejected) => (Draining, &[ReportFailure(Why::Rejected)]),
            (Dialing | Proceeding | Early, S::Silent) => (Draining, &[ReportFailure(Why::Silent)]),
            (Dialing | Proceeding | Early, S::Refused) => (Dialing, &[InviteAgain]),
            (Dialing, S::Release) => (Withdrawn, &[ReportFailure(Why::Released)]),
            (Proceeding | Early, S::Release) => (Canceling, &[Cancel, ReportFailure(Why::Released)]),

            // Given up, not yet ended. An answer that crosses our CANCEL stands, so it takes a BYE to end it
            // (RFC 3261 section 15). So does one that comes after all is over: a proxy forwards each 2xx.
            (Withdrawn, S::Trying | S::Progress | S::Ringing) => (Canceling, &[Cancel]),
            (Withdrawn | Canceling | Draining, S::Accepted | S::Unusable) => (Ending, &[Acknowledge, Bye]),
            (Withdrawn | Canceling, S::Rejected | S::Refused | S::Silent) => (Draining, &[]),

            // Answered.
            (Answered | Confirmed | Ending | Draining, S::Repeated) => (self, &[AcknowledgeAgain]),
            (Answered | Confirmed | Ending | Draining, S::Forked) => (self, &[DismissFork]),
            (Answered, S::InviteOver) => (Confirmed, &[]),
            (Answered | Confirmed, S::Release) => (Ending, &[Bye]),
            (Answered | Confirmed, S::Hangup) => (Draining, &[ReportHangup]),
            (Answered | Confirmed, S::Lost) => (Ending, &[Bye, ReportLost]),

            // Ended.
            (Ending, S::ByeOver) => (Draining, &[]),
            // It rings after all, when nobody waits for it any more.
            (Draining, S::Trying | S::Progress | S::Ringing) => (Draining, &[Cancel]),
            (Draining, S::Quiet) => (Gone, &[ReportGone]),

            // Nothing changes. Spelled out, so that a new state or stimulus has to be decided everywhere.
            (Early, S::Trying) | (Canceling, S::Trying | S::Progress | S::Ringing) => (self, &[]),
            (
                Answered | Confirmed | Ending | Gone,
                S::Trying | S::Progress | S::Ringing | S::Rejected | S::Refused | S::Silent,
            ) => (self, &[]),
            (Draining, S::Rejected | S::Refused | S::Silent) => (self, &[]),
            (Answered | Confirmed | Ending | Gone, S::Accepted | S::Unusable) => (self, &[]),
            (
                Dialing | Proceeding | Early | Withdrawn | Canceling,
                S::Repeated | S::Forked | S::InviteOver,
            ) => (self, &[]),
            (Gone, S::Repeated | S::Forked) => (self, &[]),
            (Confirmed | Ending | Draining | Gone, S::InviteOver) => (self, &[]),
            (Withdrawn | Canceling | Ending | Draining | Gone, S::Release) => (self, &[]),
            (Dialing | Proceeding | Early | Withdrawn | Canceling, S::Hangup | S::Lost | S::ByeOver) => {
                (self, &[])
            }
            (Ending | Draining | Gone, S::Hangup | S::Lost) => (self, &[]),
            (Answered | Confirmed | Draining | Gone, S::ByeOver) => (self, &[]),
            (Dialing | Proceeding | Early | Withdrawn | Canceling | Answered, S::Quiet) => (self, &[]),
            (Confirmed | Ending | Gone, S::Quiet) => (self, &[]),
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
