//! Every exit of every state: what is hung up, and which events say so.

use core::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::identity::LocalPort;
use duogate_channel::identity::Party::{One, Two};

use super::stage::{SESSION, Script, Stage};
use crate::resource::duo_callback::{Input, LegEvent};
use crate::resource::plan::RingPlayMode;
use crate::resource::view::State;
use crate::sdp::SdpError;

const DIALLED1: &str = "on_dial1_completed";
const STARTED2: &str = "on_dial2_started";
const DIALLED2: &str = "on_dial2_completed";
const CONNECTED: &str = "on_connected";

/// Ends it, and holds what was told against what should have been.
fn ends(mut stage: Stage, told: &[&str]) {
    assert_eq!(stage.callback.state(), State::Released);
    stage.finish();
    assert_eq!(stage.told(), told);
    assert!(stage.over, "it may be freed");
}

#[test]
fn nothing_is_dialled_before_note_and_session_are_there() {
    let mut stage = Stage::new(&Script::default());
    stage.feed(Input::Opened { session: SESSION, ports: [LocalPort::first(4000), LocalPort::first(4002)] });
    assert!(stage.dials.is_empty());
    stage.feed(Input::Noted);
    assert_eq!(stage.dials, [(One, 0)]);
}

#[test]
fn opening_ends_when_the_gateway_refuses() {
    let mut stage = Stage::new(&Script::default());
    stage.feed(Input::Noted);
    stage.feed(Input::Refused);
    ends(stage, &["on_dial1_completed 503 media_refused", "on_released 503 by 0 media_refused"]);
}

#[test]
fn opening_ends_when_the_gateway_is_silent_and_a_late_session_is_closed() {
    let mut stage = Stage::new(&Script::default());
    stage.feed(Input::Noted);
    stage.wait(Duration::from_secs(2));
    assert_eq!(stage.told(), ["on_dial1_completed 500 media_stalled", "on_released 500 by 0 media_stalled"]);
    stage.feed(Input::Opened { session: SESSION, ports: [LocalPort::first(4000), LocalPort::first(4002)] });
    assert!(stage.has(|command| matches!(command, Command::Close { .. })));
    assert!(!stage.over);
    stage.finish();
    assert!(stage.over);
}

#[test]
fn initiated_ends_when_party_1_fails() {
    let mut stage = Stage::calling1(&Script::default());
    stage.fail(One, 486);
    ends(stage, &["on_dial1_completed 486 busy", "on_released 486 by 1 busy", "on_chan_closed 1 486"]);
}

#[test]
fn an_answer_without_keys_or_codec_is_told_apart_from_an_offer_that_the_party_refuses() {
    for (unusable, reason) in [
        (Some(SdpError::Insecure), "not_secured"),
        (Some(SdpError::Crypto), "not_secured"),
        (Some(SdpError::NoCodec), "no_common_codec"),
        (None, "offer_refused"),
    ] {
        let mut stage = Stage::calling1(&Script::default());
        stage.leg(One, LegEvent::Failed { status: 488, unusable });
        let dialled = alloc::format!("on_dial1_completed 488 {reason}");
        let released = alloc::format!("on_released 488 by 1 {reason}");
        ends(stage, &[&dialled, &released, "on_chan_closed 1 488"]);
    }
}

#[test]
fn initiated_ends_when_party_1_does_not_answer_in_time() {
    let mut stage = Stage::calling1(&Script::default());
    stage.ring(One, 180, false);
    stage.wait(Duration::from_secs(50));
    assert_eq!(stage.hang_ups, [(One, 408)]);
    ends(
        stage,
        &[
            "on_ringing1",
            "on_dial1_completed 408 no_answer",
            "on_released 408 by 0 no_answer",
            "on_chan_closed 1 408",
        ],
    );
}

#[test]
fn initiated_ends_by_cancel_and_by_drop() {
    let mut stage = Stage::calling1(&Script::default());
    assert!(stage.callback.may_cancel());
    stage.feed(Input::Cancel);
    ends(
        stage,
        &["on_dial1_completed 487 canceled", "on_released 487 by 0 canceled", "on_chan_closed 1 487"],
    );
    let mut stage = Stage::calling1(&Script::default());
    stage.feed(Input::Drop { cause: 480 });
    ends(stage, &["on_dial1_completed 480 dropped", "on_released 480 by 0", "on_chan_closed 1 480"]);
}

#[test]
fn answer1_may_be_cancelled_only_while_the_prompt_before_the_call_plays() {
    let script = Script { ring: Some(RingPlayMode::BeforeDial), ..Script::default() };
    let mut stage = Stage::calling2(&script);
    assert_eq!(stage.callback.state(), State::Answer1);
    assert!(stage.callback.may_cancel());
    stage.feed(Input::Cancel);
    assert_eq!(stage.hang_ups, [(One, 487)]);
    ends(stage, &[DIALLED1, "on_released 487 by 0 canceled", "on_chan_closed 1 487"]);

    let mut stage = Stage::calling2(&Script::default());
    assert!(!stage.callback.may_cancel());
    stage.feed(Input::Cancel);
    assert_eq!(stage.callback.state(), State::Answer1);
    assert!(stage.hang_ups.is_empty());
}

#[test]
fn answer1_ends_when_party_2_fails() {
    let mut stage = Stage::calling2(&Script::default());
    stage.fail(Two, 603);
    assert_eq!(stage.hang_ups, [(One, 603)]);
    ends(
        stage,
        &[
            DIALLED1,
            STARTED2,
            "on_dial2_completed 603 rejected",
            "on_released 603 by 2 rejected",
            "on_chan_closed 1 603",
            "on_chan_closed 2 603",
        ],
    );
}

#[test]
fn answer1_ends_when_party_2_does_not_answer_in_time() {
    let mut stage = Stage::calling2(&Script::default());
    stage.wait(Duration::from_secs(50));
    assert_eq!(stage.hang_ups, [(One, 408), (Two, 408)]);
    ends(
        stage,
        &[
            DIALLED1,
            STARTED2,
            "on_dial2_completed 408 no_answer",
            "on_released 408 by 0 no_answer",
            "on_chan_closed 1 408",
            "on_chan_closed 2 408",
        ],
    );
}

#[test]
fn answer1_ends_when_party_1_hangs_up_and_party_2_is_cancelled() {
    let mut stage = Stage::calling2(&Script::default());
    stage.ring(Two, 180, false);
    stage.leg(One, LegEvent::Ended { cause: 200 });
    assert_eq!(stage.hang_ups, [(Two, 487)]);
    ends(
        stage,
        &[
            DIALLED1,
            STARTED2,
            "on_ringing2",
            "on_dial2_completed 487 hung_up",
            "on_released 487 by 1 hung_up",
            "on_chan_closed 1 200",
            "on_chan_closed 2 487",
        ],
    );
}

#[test]
fn answer2_ends_when_either_hangs_up_or_joining_stalls() {
    let mut stage = Stage::joining(&Script::default());
    assert_eq!(stage.callback.state(), State::Answer2);
    stage.leg(Two, LegEvent::Ended { cause: 200 });
    assert_eq!(stage.hang_ups, [(One, 487)]);
    let channels = ["on_chan_closed 1 487", "on_chan_closed 2 200"];
    ends(stage, &[DIALLED1, STARTED2, DIALLED2, "on_released 487 by 2 hung_up", channels[0], channels[1]]);
    let mut stage = Stage::joining(&Script::default());
    stage.wait(Duration::from_secs(2));
    let channels = ["on_chan_closed 1 500", "on_chan_closed 2 500"];
    ends(
        stage,
        &[DIALLED1, STARTED2, DIALLED2, "on_released 500 by 0 media_stalled", channels[0], channels[1]],
    );
}

/// What `on_released` says, and how it came to that.
type Way = (&'static str, fn(&mut Stage));

#[test]
fn connected_ends_in_every_way() {
    let ways: [Way; 7] = [
        ("on_released 200 by 1", |stage| stage.leg(One, LegEvent::Ended { cause: 200 })),
        ("on_released 200 by 2", |stage| stage.leg(Two, LegEvent::Ended { cause: 200 })),
        ("on_released 200 by 0", |stage| stage.wait(Duration::from_secs(7200))),
        ("on_released 408 by 0 media_timeout", |stage| stage.feed(Input::Silent { party: Two })),
        ("on_released 603 by 0", |stage| stage.feed(Input::Drop { cause: 603 })),
        ("on_released 500 by 0 media_lost", |stage| stage.feed(Input::MediaLost)),
        ("on_released 503 by 0 shutdown", |stage| stage.feed(Input::Shutdown)),
    ];
    for (released, way) in ways {
        let mut stage = Stage::connected(&Script::default());
        way(&mut stage);
        assert_eq!(stage.callback.state(), State::Released, "{released}");
        stage.finish();
        let told = stage.told();
        assert_eq!(told[..4], [DIALLED1, STARTED2, DIALLED2, CONNECTED], "{released}");
        assert_eq!(told[4], released);
        assert!(told[5].starts_with("on_chan_closed 1") && told[6].starts_with("on_chan_closed 2"));
        assert!(stage.over, "{released}");
    }
}

#[test]
fn cancel_changes_nothing_once_connected() {
    let mut stage = Stage::connected(&Script::default());
    assert!(!stage.callback.may_cancel());
    stage.feed(Input::Cancel);
    assert_eq!(stage.callback.state(), State::Connected);
}

#[test]
fn a_list_goes_on_after_a_failure_and_after_a_full_trunk_but_not_after_a_6xx() {
    let script = Script { more: [2, 1], skip_first: true, ..Script::default() };
    let mut stage = Stage::calling1(&script);
    assert_eq!(stage.dials, [(One, 0), (One, 1)]);
    stage.fail(One, 503);
    assert_eq!(stage.dials, [(One, 0), (One, 1), (One, 2)]);
    stage.answer(One);
    stage.fail(Two, 600);
    assert_eq!(stage.dials.len(), 4, "the second URI of party 2 is not tried");
    ends(
        stage,
        &[
            DIALLED1,
            STARTED2,
            "on_dial2_completed 600 busy",
            "on_released 600 by 2 busy",
            "on_chan_closed 1 600",
            "on_chan_closed 2 600",
        ],
    );
}

#[test]
fn the_ring_time_bounds_the_whole_list() {
    let mut stage = Stage::calling1(&Script { more: [1, 0], ..Script::default() });
    stage.wait(Duration::from_secs(30));
    stage.fail(One, 480);
    stage.wait(Duration::from_secs(20));
    assert_eq!(stage.callback.state(), State::Released);
    assert_eq!(stage.hang_ups, [(One, 408)]);
}

#[test]
fn figures_that_never_come_are_not_waited_for_for_ever() {
    let mut stage = Stage::connected(&Script::default());
    stage.leg(One, LegEvent::Ended { cause: 200 });
    assert_eq!(stage.told().len(), 4);
    stage.wait(Duration::from_secs(2));
    assert_eq!(stage.told()[4], "on_released 200 by 1");
    for party in [One, Two] {
        stage.feed(Input::LegGone { party });
    }
    assert!(!stage.over, "the session may still be there");
    stage.wait(Duration::from_secs(20));
    assert!(stage.over);
}
