//! The whole transition matrix, as it was reviewed.

use alloc::string::String;
use core::fmt::Write;

use duogate_channel::identity::Party::{One, Two};

use crate::resource::duo_callback::phase::{Phase, Stimulus, Transition};

const STIMULI: [Stimulus; 27] = [
    Stimulus::Ready,
    Stimulus::Refused,
    Stimulus::Ringing(One),
    Stimulus::Ringing(Two),
    Stimulus::Answered(One),
    Stimulus::Answered(Two),
    Stimulus::AnsweredToPrompt,
    Stimulus::Retry(One),
    Stimulus::Retry(Two),
    Stimulus::Exhausted(One),
    Stimulus::Exhausted(Two),
    Stimulus::HungUp(One),
    Stimulus::HungUp(Two),
    Stimulus::PromptOver,
    Stimulus::Joined,
    Stimulus::Silent(One),
    Stimulus::Silent(Two),
    Stimulus::Unauthentic(One),
    Stimulus::Unauthentic(Two),
    Stimulus::Expired,
    Stimulus::Cancel,
    Stimulus::Drop,
    Stimulus::Shutdown,
    Stimulus::MediaLost,
    Stimulus::Closed,
    Stimulus::Filed,
    Stimulus::Quiet,
];

#[test]
fn the_transition_matrix_is_as_reviewed() {
    let mut matrix = String::new();
    for phase in Phase::ALL {
        writeln!(matrix, "{phase:?} ({})", phase.state()).unwrap();
        for stimulus in STIMULI {
            match phase.on(stimulus) {
                Transition::Stay => {}
                Transition::Go(to, acts) => {
                    writeln!(matrix, "  {stimulus:?} -> {to:?} {acts:?}").unwrap();
                }
                Transition::Release(why) => writeln!(matrix, "  {stimulus:?} -> released: {why:?}").unwrap(),
            }
        }
    }
    insta::assert_snapshot!(matrix);
}

#[test]
fn nothing_leads_out_of_released() {
    for phase in Phase::ALL.into_iter().filter(|phase| phase.state().name() == "Released") {
        for stimulus in STIMULI {
            match phase.on(stimulus) {
                Transition::Stay => {}
                Transition::Go(to, _) => assert_eq!(to.state(), phase.state(), "{phase:?} {stimulus:?}"),
                Transition::Release(why) => panic!("{phase:?} is released again: {why:?}"),
            }
        }
    }
}

#[test]
fn drop_and_the_loss_of_the_gateway_end_every_living_phase() {
    for phase in Phase::ALL.into_iter().filter(|phase| phase.state().name() != "Released") {
        for stimulus in [Stimulus::Drop, Stimulus::Shutdown, Stimulus::MediaLost] {
            assert!(matches!(phase.on(stimulus), Transition::Release(_)), "{phase:?} {stimulus:?}");
        }
    }
}
