//! INVITE, client side (RFC 3261 section 17.1.1, RFC 6026 section 7.2).
//!
//! ```text
//!                        |INVITE sent; A, B run
//!       A: send          v
//!          +---------[Calling]-------------- B: timed out -->[Abandoned]
//!          +------------>|  |  |\---------- transport failed -----|-|-|-->+
//!                    1xx |  |  +--- 2xx ---------------+     1xx | | M, transport failed
//!                        v  +------ 300-699: ACK --+   |   +-----+ |   |
//!              1xx [Proceeding]<-------------------|---|---+       |   |
//!                  |     |  \------ 300-699: ACK --+   |     300-699: ACK
//!                  |     |   \----- 2xx -----------|-->+           |   |
//!           cancel |     |                         v   |           v   |
//!                  v     |      300-699: ACK [Completed]<----------+   |
//!         1xx [Cancelling]----- 300-699: ACK ------+   | D, tr. failed |
//!                  |    \------ 2xx ---------------|---+---------------+
//!                  +------- 64·T1 after CANCEL: timed out                |
//!                                                      v                 v
//!                                            2xx [Accepted]-- M ----->[Ended]
//! ```
//!
//! Beyond RFC 3261, which forgets a transaction that has timed out at once, and leaves whoever answers late to wait for
//! its ACK in vain: Abandoned, which then is Accepted, and Completed still deliver a 2xx, and an abandoned INVITE that
//! comes to ring after all can be cancelled.

use super::timer::Effect::{Acknowledge, Deliver, Failed, Send, Start, Stop, TimedOut};
use super::timer::{Effect, Step, Timer};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Nothing has come.
    Calling,
    /// A provisional response has come.
    Proceeding,
    /// CANCEL has been sent. RFC 3261 has no state for it, and would wait forever.
    Cancelling,
    /// A final response other than 2xx has come and has its ACK; or none came to a cancelled INVITE.
    Completed,
    /// A 2xx has come.
    Accepted,
    /// Nothing final has come in time, and the user was told so.
    Abandoned,
    /// Over.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Input {
    Provisional,
    Success,
    Failure,
    Cancel,
    TransportFailed,
    TimerA,
    TimerB,
    TimerCancelled,
    TimerD,
    TimerM,
}

/// At the begin.
pub(super) const BEGIN: &[Effect] = &[Send, Start(Timer::A), Start(Timer::B)];

const ACCEPT: &[Effect] = &[Stop(Timer::A), Start(Timer::M), Deliver];
const COMPLETE: &[Effect] = &[Stop(Timer::A), Acknowledge, Start(Timer::D), Deliver];

pub(super) const fn step(state: State, input: Input) -> Step<State> {
    use Input as I;
    use State::{Abandoned, Accepted, Calling, Cancelling, Completed, Ended, Proceeding};
    match (state, input) {
        (Calling, I::Provisional) => Step::to(Proceeding, &[Stop(Timer::A), Stop(Timer::B), Deliver]),
        (Calling | Proceeding | Cancelling, I::Success) => Step::to(Accepted, ACCEPT),
        (Calling | Proceeding | Cancelling, I::Failure) => Step::to(Completed, COMPLETE),
        (Calling, I::TransportFailed) => Step::to(Ended, &[Failed]),
        (Calling, I::TimerA) => Step::to(Calling, &[Send, Start(Timer::A)]),
        (Calling, I::TimerB) => Step::to(Abandoned, &[Stop(Timer::A), TimedOut, Start(Timer::M)]),
        (Cancelling, I::TimerCancelled) => Step::to(Completed, &[TimedOut, Start(Timer::D)]),
        (Abandoned, I::Provisional) => Step::to(Proceeding, &[Stop(Timer::M), Deliver]),
        // Whoever has answered cannot ring any more: what says so was overtaken.
        (Abandoned, I::Success) => Step::to(Accepted, &[Start(Timer::M), Deliver]),
        (Abandoned, I::Failure) => Step::to(Completed, &[Acknowledge, Stop(Timer::M), Start(Timer::D)]),
        // RFC 3261 section 9.1: no CANCEL before a provisional response.
        (Calling, I::Cancel) => Step::to(Calling, &[]),
        (Proceeding, I::Provisional) => Step::to(Proceeding, &[Deliver]),
        (Proceeding, I::Cancel) => Step::to(Cancelling, &[Start(Timer::Cancelled)]),
        (Cancelling, I::Provisional) => Step::to(Cancelling, &[Deliver]),
        (Completed, I::Failure) => Step::to(Completed, &[Acknowledge]),
        // A proxy forwards every 2xx, even after another final response (section 16.7 step 5): someone has
        // answered, and wants ACK and BYE.
        (Completed, I::Success) => Step::to(Completed, &[Deliver]),
        // The user has its final response: nothing to tell.
        (Completed, I::TimerD | I::TransportFailed)
        | (Accepted, I::TimerM)
        | (Abandoned, I::TimerM | I::TransportFailed) => Step::to(Ended, &[]),
        (Accepted, I::Success) => Step::to(Accepted, &[Deliver]),
        // The rest is late, or belongs to a timer that does not run.
        (Calling, I::TimerCancelled | I::TimerD | I::TimerM)
        | (Proceeding | Cancelling, I::TransportFailed | I::TimerA | I::TimerB | I::TimerD | I::TimerM)
        | (Proceeding, I::TimerCancelled)
        | (Cancelling, I::Cancel)
        | (Completed, I::Provisional | I::Cancel | I::TimerA | I::TimerB | I::TimerCancelled | I::TimerM)
        | (
            Accepted,
            I::Provisional
            | I::Failure
            | I::Cancel
            | I::TransportFailed
            | I::TimerA
            | I::TimerB
            | I::TimerCancelled
            | I::TimerD,
        )
        | (Abandoned, I::Cancel | I::TimerA | I::TimerB | I::TimerCancelled | I::TimerD)
        | (Ended, _) => Step::to(state, &[]),
    }
}
