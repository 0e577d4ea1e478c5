//! Every recording that was asked for ends in exactly one `on_record_completed`.

use core::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::event::{LegStatistics, RecordOutcome};
use duogate_channel::identity::Party::{One, Two};

use super::stage::{Script, Stage};
use crate::resource::duo_callback::Input;
use crate::resource::plan::RecordMode;

fn recording(mode: RecordMode) -> Script {
    Script { record: Some(mode), ..Script::default() }
}

fn begun(stage: &Stage) -> bool {
    stage.has(|command| matches!(command, Command::RecordStart { .. }))
}

#[test]
fn each_mode_begins_where_it_says() {
    assert!(begun(&Stage::calling1(&recording(RecordMode::FromFirstCall))));
    assert!(!begun(&Stage::calling1(&recording(RecordMode::FromSecondCall))));
    assert!(begun(&Stage::calling2(&recording(RecordMode::FromSecondCall))));
    assert!(!begun(&Stage::joining(&recording(RecordMode::FromConnected))));
    assert!(begun(&Stage::connected(&recording(RecordMode::FromConnected))));
}

#[test]
fn it_is_reported_after_the_release_and_before_the_legs() {
    let mut stage = Stage::connected(&recording(RecordMode::FromConnected));
    stage.feed(Input::Drop { cause: 603 });
    stage.feed(Input::Closed { statistics: [LegStatistics::default(); 2] });
    assert_eq!(stage.told().last().unwrap(), "on_released 603 by 0");
    stage.recorded(RecordOutcome::Saved);
    assert_eq!(stage.told()[5..], ["on_record_completed", "on_chan_closed 1 603", "on_chan_closed 2 603"]);
}

#[test]
fn one_that_never_began_fails() {
    let mut stage = Stage::calling1(&recording(RecordMode::FromConnected));
    stage.fail(One, 404);
    stage.finish();
    assert_eq!(stage.told()[2], "on_record_completed 487 never_began");
}

#[test]
fn one_that_ends_early_is_told_of_at_once_and_the_call_goes_on() {
    let mut stage = Stage::connected(&recording(RecordMode::FromConnected));
    stage.recorded(RecordOutcome::WriteFailed { errno: 28 });
    assert_eq!(stage.told().last().unwrap(), "on_record_completed 500 write_failed");
    stage.finish();
    let told = stage.told();
    assert_eq!(told.iter().filter(|told| told.starts_with("on_record_completed")).count(), 1);
}

#[test]
fn one_that_the_gateway_never_ends_is_given_up() {
    let mut stage = Stage::connected(&recording(RecordMode::FromConnected));
    stage.feed(Input::Drop { cause: 603 });
    stage.feed(Input::Closed { statistics: [LegStatistics::default(); 2] });
    stage.wait(Duration::from_secs(20));
    assert_eq!(stage.told()[5], "on_record_completed 500 media_stalled");
    stage.recorded(RecordOutcome::Saved);
    assert_eq!(stage.told().len(), 8);
}

#[test]
fn one_that_the_gateway_took_with_it_failed() {
    let mut stage = Stage::calling2(&recording(RecordMode::FromSecondCall));
    stage.feed(Input::MediaLost);
    assert_eq!(stage.hang_ups, [(One, 500), (Two, 500)]);
    let told = stage.told();
    assert_eq!(
        told[2..5],
        [
            "on_dial2_completed 500 media_lost",
            "on_released 500 by 0 media_lost",
            "on_record_completed 500 media_lost",
        ]
    );
}
