//! INVITE, server side (RFC 3261 section 17.2.1, RFC 6026 section 7.1).
//!
//! The user's duty to repeat a 2xx until its ACK comes (RFC 3261 section 13.3.1.4) is done here too, so that
//! timers are in one place.
//!
//! ```text
//!                   |INVITE came; the timer of 100 runs
//!                   v
//!              [Received]--- 1xx, or 100 in time ------+
//!                |    |                                v
//!                |    +--- 300-699 ---+<---------[Proceeding] INVITE, 1xx: send
//!                |                    |                |
//!                +--- 2xx --------+   |                | 2xx
//!                                 |   v                |
//!   INVITE, G: send               | [Completed]--------|-- H: unacknowledged --+
//!                                 |   | ACK            |                       |
//!                                 |   v                |                       |
//!                                 | [Confirmed]--------|-- I ------------------+
//!                                 v                    |                       |
//!   repeated: send            [Accepted]<--------------+                       |
//!                                 |  \---------------- L: unacknowledged ------+
//!                                 | the user has seen the ACK                  v
//!                                 +--->[Settled]------ L ------------------>[Ended]
//! ```

use super::timer::Effect::{Deliver, Send, SendTrying, Start, Stop, Unacknowledged};
use super::timer::{Effect, Step, Timer};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// The user has not answered.
    Received,
    /// A provisional response has been sent.
    Proceeding,
    /// A final response other than 2xx has been sent.
    Completed,
    /// Its ACK has come.
    Confirmed,
    /// A 2xx has been sent.
    Accepted,
    /// Its ACK has come.
    Settled,
    /// Over.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Input {
    /// The INVITE, again.
    Invite,
    /// An ACK of the INVITE's branch.
    Ack,
    /// The user says that the ACK of the 2xx has come.
    Acknowledged,
    /// The user's answers.
    Provisional,
    Success,
    Failure,
    TimerTrying,
    TimerSuccess,
    TimerG,
    TimerH,
    TimerI,
    TimerL,
}

/// At the begin.
pub(super) const BEGIN: &[Effect] = &[Start(Timer::Trying)];

const ACCEPT: &[Effect] = &[Stop(Timer::Trying), Send, Start(Timer::Success), Start(Timer::L)];
const COMPLETE: &[Effect] = &[Stop(Timer::Trying), Send, Start(Timer::G), Start(Timer::H)];

pub(super) const fn step(state: State, input: Input) -> Step<State> {
    use Input as I;
    use State::{Accepted, Completed, Confirmed, Ended, Proceeding, Received, Settled};
    match (state, input) {
        (Received, I::Provisional) => Step::to(Proceeding, &[Stop(Timer::Trying), Send]),
        (Received, I::TimerTrying) => Step::to(Proceeding, &[SendTrying]),
        (Received | Proceeding, I::Success) => Step::to(Accepted, ACCEPT),
        (Received | Proceeding, I::Failure) => Step::to(Completed, COMPLETE),
        (Proceeding, I::Invite | I::Provisional) => Step::to(Proceeding, &[Send]),
        (Completed, I::Invite) => Step::to(Completed, &[Send]),
        (Completed, I::TimerG) => Step::to(Completed, &[Send, Start(Timer::G)]),
        (Completed, I::Ack) => Step::to(Confirmed, &[Stop(Timer::G), Start(Timer::I)]),
        (Completed, I::TimerH) | (Accepted, I::TimerL) => Step::to(Ended, &[Unacknowledged]),
        (Confirmed, I::TimerI) | (Settled, I::TimerL) => Step::to(Ended, &[]),
        (Accepted, I::TimerSuccess) => Step::to(Accepted, &[Send, Start(Timer::Success)]),
        (Accepted, I::Acknowledged) => Step::to(Settled, &[Stop(Timer::Success)]),
        // An ACK of a 2xx has a branch of its own; some clients give it the INVITE's all the same, and it is the
        // user's (RFC 6026 section 7.1).
        (Accepted | Settled, I::Ack) => Step::to(state, &[Deliver]),
        // Retransmissions, answers after the final one, timers that do not run.
        (
            Received,
            I::Invite
            | I::Ack
            | I::Acknowledged
            | I::TimerSuccess
            | I::TimerG
            | I::TimerH
            | I::TimerI
            | I::TimerL,
        )
        | (
            Proceeding,
            I::Ack
            | I::Acknowledged
            | I::TimerTrying
            | I::TimerSuccess
            | I::TimerG
            | I::TimerH
            | I::TimerI
            | I::TimerL,
        )
        | (
            Completed,
            I::Acknowledged
            | I::Provisional
            | I::Success
            | I::Failure
            | I::TimerTrying
            | I::TimerSuccess
            | I::TimerI
            | I::TimerL,
        )
        | (
            Confirmed,
            I::Invite
            | I::Ack
            | I::Acknowledged
            | I::Provisional
            | I::Success
            | I::Failure
            | I::TimerTrying
            | I::TimerSuccess
            | I::TimerG
            | I::TimerH
            | I::TimerL,
        )
        | (
            Accepted | Settled,
            I::Invite
            | I::Provisional
            | I::Success
            | I::Failure
            | I::TimerTrying
            | I::TimerG
            | I::TimerH
            | I::TimerI,
        )
        | (Settled, I::Acknowledged | I::TimerSuccess)
        | (Ended, _) => Step::to(state, &[]),
    }
}
