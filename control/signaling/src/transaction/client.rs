//! Any request but INVITE and ACK, client side (RFC 3261 section 17.1.2).
//!
//! ```text
//!                       |request sent; E, F run
//!       E: send         v
//!          +--------[Trying]--- F: timed out; transport failed ----+
//!          +---------->| |                                         |
//!                  1xx | | 200-699                                 |
//!                      v +---------+                               |
//!    E: send, 1xx [Proceeding]-----|- F: timed out; failed --------+
//!                      | 200-699   |                               |
//!                      +---------->v                               v
//!                             [Completed]---- K --------------->[Ended]
//! ```

use super::timer::Effect::{Deliver, Failed, Send, Start, StartAtT2, Stop, TimedOut};
use super::timer::{Effect, Step, Timer};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Nothing has come.
    Trying,
    /// A provisional response has come.
    Proceeding,
    /// The final response has come.
    Completed,
    /// Over.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Input {
    Provisional,
    Final,
    TransportFailed,
    TimerE,
    TimerF,
    TimerK,
}

/// At the begin.
pub(super) const BEGIN: &[Effect] = &[Send, Start(Timer::E), Start(Timer::F)];

pub(super) const fn step(state: State, input: Input) -> Step<State> {
    use Input as I;
    use State::{Completed, Ended, Proceeding, Trying};
    match (state, input) {
        (Trying | Proceeding, I::Provisional) => Step::to(Proceeding, &[Deliver]),
        (Trying | Proceeding, I::Final) => Step::to(Completed, &[Stop(Timer::E), Start(Timer::K), Deliver]),
        (Trying | Proceeding, I::TransportFailed) => Step::to(Ended, &[Failed]),
        (Trying | Proceeding, I::TimerF) => Step::to(Ended, &[TimedOut]),
        (Trying, I::TimerE) => Step::to(Trying, &[Send, Start(Timer::E)]),
        (Proceeding, I::TimerE) => Step::to(Proceeding, &[Send, StartAtT2(Timer::E)]),
        (Completed, I::TimerK) => Step::to(Ended, &[]),
        // Retransmissions, and timers that do not run.
        (Trying | Proceeding, I::TimerK)
        | (Completed, I::Provisional | I::Final | I::TransportFailed | I::TimerE | I::TimerF)
        | (Ended, _) => Step::to(state, &[]),
    }
}
