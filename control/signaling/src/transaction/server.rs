//! Any request but INVITE and ACK, server side (RFC 3261 section 17.2.2).
//!
//! ```text
//!                 |request came
//!                 v
//!             [Trying]--- 1xx: send --->[Proceeding] request, 1xx: send
//!                 |                         |
//!                 | 200-699: send           | 200-699: send
//!                 +------------+------------+
//!                              v
//!          request: send [Completed]--- J --->[Ended]
//! ```

use super::timer::Effect::{Send, Start};
use super::timer::{Step, Timer};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// The user has not answered.
    Trying,
    /// A provisional response has been sent.
    Proceeding,
    /// The final response has been sent.
    Completed,
    /// Over.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Input {
    /// The request, again.
    Request,
    /// The user's answers.
    Provisional,
    Final,
    TimerJ,
}

pub(super) const fn step(state: State, input: Input) -> Step<State> {
    use Input as I;
    use State::{Completed, Ended, Proceeding, Trying};
    match (state, input) {
        (Trying | Proceeding, I::Provisional) => Step::to(Proceeding, &[Send]),
        (Trying | Proceeding, I::Final) => Step::to(Completed, &[Send, Start(Timer::J)]),
        (Proceeding, I::Request) => Step::to(Proceeding, &[Send]),
        (Completed, I::Request) => Step::to(Completed, &[Send]),
        (Completed, I::TimerJ) => Step::to(Ended, &[]),
        // Nothing to repeat yet, answers after the final one, a timer that does not run.
        (Trying, I::Request | I::TimerJ)
        | (Proceeding, I::TimerJ)
        | (Completed, I::Provisional | I::Final)
        | (Ended, _) => Step::to(state, &[]),
    }
}
