//! The whole transition matrix, and what must hold for every path through it.

extern crate std;

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::{Act, State, Stimulus};

const STATES: [State; 10] = [
    State::Dialing,
    State::Proceeding,
    State::Early,
    State::Withdrawn,
    State::Canceling,
    State::Answered,
    State::Confirmed,
    State::Ending,
    State::Draining,
    State::Gone,
];

const STIMULI: [Stimulus; 16] = [
    Stimulus::Trying,
    Stimulus::Progress,
    Stimulus::Ringing,
    Stimulus::Accepted,
    Stimulus::Unusable,
    Stimulus::Repeated,
    Stimulus::Forked,
    Stimulus::Rejected,
    Stimulus::Refused,
    Stimulus::Silent,
    Stimulus::InviteOver,
    Stimulus::Release,
    Stimulus::Hangup,
    Stimulus::Lost,
    Stimulus::ByeOver,
    Stimulus::Quiet,
];

#[test]
fn the_transition_matrix_is_as_reviewed() {
    let mut text = String::new();
    for state in STATES {
        writeln!(text, "{state:?}").unwrap();
        for stimulus in STIMULI {
            let (next, acts) = state.on(stimulus);
            if next == state && acts.is_empty() {
                writeln!(text, "    {stimulus:?} -").unwrap();
            } else {
                writeln!(text, "    {stimulus:?} -> {next:?} {acts:?}").unwrap();
            }
        }
    }
    insta::assert_snapshot!(text);
}

/// Every state that can be reached, with how often `Answered` or `Failed` and `Gone` were said on the way.
fn reachable() -> BTreeSet<(usize, u8, u8)> {
    let place = |state: State| STATES.iter().position(|other| *other == state).unwrap();
    let mut seen = BTreeSet::new();
    let mut next: Vec<(usize, u8, u8)> = alloc::vec![(0, 0, 0)];
    while let Some((state, decided, gone)) = next.pop() {
        if !seen.insert((state, decided, gone)) {
            continue;
        }
        for stimulus in STIMULI {
            let (to, acts) = STATES[state].on(stimulus);
            let decides = |act: &&Act| matches!(act, Act::ReportAnswer | Act::ReportFailure(_));
            let decided = decided + u8::try_from(acts.iter().filter(decides).count()).unwrap();
            let gone = gone + u8::from(acts.contains(&Act::ReportGone));
            assert!(decided <= 1 && gone <= 1, "{:?} on {stimulus:?}: said twice", STATES[state]);
            next.push((place(to), decided, gone));
        }
    }
    seen
}

#[test]
fn whatever_happens_the_outcome_is_said_once_and_before_the_end() {
    for (state, decided, gone) in reachable() {
        let waiting = matches!(STATES[state], State::Dialing | State::Proceeding | State::Early);
        assert_eq!(decided, u8::from(!waiting), "{:?}", STATES[state]);
        assert_eq!(gone, u8::from(STATES[state] == State::Gone), "{:?}", STATES[state]);
    }
}

#[test]
fn gone_is_the_end_and_can_be_reached_from_everywhere() {
    for stimulus in STIMULI {
        assert_eq!(State::Gone.on(stimulus), (State::Gone, [].as_slice()));
    }
    for state in STATES {
        let mut seen = alloc::vec![state];
        let mut at = 0;
        while let Some(from) = seen.get(at).copied() {
            let further = STIMULI.map(|stimulus| from.on(stimulus).0);
            further.into_iter().for_each(|to| {
                if !seen.contains(&to) {
                    seen.push(to);
                }
            });
            at += 1;
        }
        assert!(seen.contains(&State::Gone), "{state:?}");
    }
}
