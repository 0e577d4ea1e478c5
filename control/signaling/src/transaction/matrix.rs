//! The whole transition matrix of each machine, as a snapshot: a change of any pair shows.

use std::fmt::Write;
use std::format;
use std::string::String;

use super::timer::{Effect, Step};
use super::{client, invite_client, invite_server, server};

fn matrix<S, I>(states: &[S], inputs: &[I], step: impl Fn(S, I) -> Step<S>) -> String
where
    S: Copy + PartialEq + core::fmt::Debug,
    I: Copy + core::fmt::Debug,
{
    let mut table = String::new();
    for state in states {
        for input in inputs {
            let Step { next, effects } = step(*state, *input);
            let effects: std::vec::Vec<_> =
                effects.iter().map(|effect: &Effect| format!("{effect:?}")).collect();
            let next = if next == *state { String::from("-") } else { format!("{next:?}") };
            let pair = format!("{state:?} + {input:?}");
            let line = format!("{pair:<32} {next:<12} {}", effects.join(" "));
            writeln!(table, "{}", line.trim_end()).expect("a string takes all");
        }
    }
    table
}

#[test]
fn invite_client_matrix() {
    use invite_client::Input as I;
    use invite_client::State as S;
    let states =
        [S::Calling, S::Proceeding, S::Cancelling, S::Completed, S::Accepted, S::Abandoned, S::Ended];
    let inputs = [
        I::Provisional,
        I::Success,
        I::Failure,
        I::Cancel,
        I::TransportFailed,
        I::TimerA,
        I::TimerB,
        I::TimerCancelled,
        I::TimerD,
        I::TimerM,
    ];
    insta::assert_snapshot!(matrix(&states, &inputs, invite_client::step));
}

#[test]
fn client_matrix() {
    use client::Input as I;
    use client::State as S;
    let states = [S::Trying, S::Proceeding, S::Completed, S::Ended];
    let inputs = [I::Provisional, I::Final, I::TransportFailed, I::TimerE, I::TimerF, I::TimerK];
    insta::assert_snapshot!(matrix(&states, &inputs, client::step));
}

#[test]
fn invite_server_matrix() {
    use invite_server::Input as I;
    use invite_server::State as S;
    let states = [S::Received, S::Proceeding, S::Completed, S::Confirmed, S::Accepted, S::Settled, S::Ended];
    let inputs = [
        I::Invite,
        I::Ack,
        I::Acknowledged,
        I::Provisional,
        I::Success,
        I::Failure,
        I::TimerTrying,
        I::TimerSuccess,
        I::TimerG,
        I::TimerH,
        I::TimerI,
        I::TimerL,
    ];
    insta::assert_snapshot!(matrix(&states, &inputs, invite_server::step));
}

#[test]
fn server_matrix() {
    use server::Input as I;
    use server::State as S;
    let states = [S::Trying, S::Proceeding, S::Completed, S::Ended];
    let inputs = [I::Request, I::Provisional, I::Final, I::TimerJ];
    insta::assert_snapshot!(matrix(&states, &inputs, server::step));
}
