//! What party 1 hears, in every ring mode and for every way in which party 2 rings.

use duogate_channel::event::RecordOutcome;
use duogate_channel::identity::Party::{One, Two};

use super::stage::{PROMPT, Script, Stage, TONE};
use crate::resource::duo_callback::Input;
use crate::resource::plan::RingPlayMode::{self, BeforeDial, FromDial, FromRinging, UntilRinging};

/// One provisional response: its status, and whether it has a session description.
type Provisional = (u16, bool);

/// Each row: the mode, the provisional responses of party 2, and what party 1 hears before the first and after
/// each of them.
const TABLE: &[(Option<RingPlayMode>, &[Provisional], &[&str])] = &[
    (None, &[(180, false)], &["silence", "tone"]),
    (None, &[(183, false)], &["silence", "silence"]),
    (None, &[(183, false), (180, false)], &["silence", "silence", "tone"]),
    (None, &[(183, true)], &["silence", "peer"]),
    (None, &[(180, true)], &["silence", "peer"]),
    (None, &[(180, false), (183, true)], &["silence", "tone", "peer"]),
    (None, &[(183, true), (180, false)], &["silence", "peer", "peer"]),
    (None, &[(181, false), (180, false)], &["silence", "silence", "tone"]),
    (Some(FromRinging), &[(180, false)], &["silence", "prompt"]),
    (Some(FromRinging), &[(183, false)], &["silence", "prompt"]),
    (Some(FromRinging), &[(183, true), (180, false)], &["silence", "prompt", "prompt"]),
    (Some(FromDial), &[(180, false), (183, true)], &["prompt", "prompt", "prompt"]),
    (Some(UntilRinging), &[(180, false)], &["prompt", "tone"]),
    (Some(UntilRinging), &[(183, true)], &["prompt", "peer"]),
    (Some(UntilRinging), &[(180, false), (183, true)], &["prompt", "tone", "peer"]),
    (Some(BeforeDial), &[(180, false)], &["prompt once", "tone"]),
    (Some(BeforeDial), &[(183, true)], &["prompt once", "peer"]),
];

#[test]
fn every_mode_and_every_way_of_ringing() {
    for (mode, rings, hears) in TABLE {
        let mut stage = Stage::calling2(&Script { ring: *mode, ..Script::default() });
        let mut heard = alloc::vec![stage.hears()];
        if *mode == Some(BeforeDial) {
            assert_eq!(stage.dials, [(One, 0)], "party 2 waits for the prompt");
            stage.feed(Input::Played { party: One, sound: PROMPT });
        }
        assert_eq!(stage.dials, [(One, 0), (Two, 0)]);
        for (status, early) in *rings {
            stage.ring(Two, *status, *early);
            heard.push(stage.hears());
        }
        assert_eq!(heard, *hears, "{mode:?} {rings:?}");
        stage.answer(Two);
        assert_eq!(stage.hears(), "peer");
    }
}

#[test]
fn a_prompt_is_not_begun_again_by_each_ringing() {
    let mut stage = Stage::calling2(&Script { ring: Some(FromRinging), ..Script::default() });
    let before = stage.commands.len();
    for _ in 0..3 {
        stage.ring(Two, 180, false);
    }
    assert_eq!(stage.commands.len(), before + 1);
}

#[test]
fn ringing_is_reported_once_for_each_uri() {
    let mut stage = Stage::calling2(&Script { more: [0, 1], ..Script::default() });
    stage.ring(Two, 180, false);
    stage.ring(Two, 183, true);
    stage.fail(Two, 480);
    stage.ring(Two, 180, false);
    let ringing = stage.told().iter().filter(|told| *told == "on_ringing2").count();
    assert_eq!(ringing, 2);
    assert_eq!(stage.hears(), "tone", "the first URI's early media is over");
}

#[test]
fn the_next_uri_begins_in_silence() {
    let mut stage = Stage::calling2(&Script { more: [0, 1], ..Script::default() });
    stage.ring(Two, 180, false);
    assert_eq!(stage.hears(), "tone");
    stage.fail(Two, 480);
    assert_eq!(stage.hears(), "silence");
}

#[test]
fn the_tone_is_that_of_the_trunk_that_party_2_is_called_over() {
    let script = Script { more: [0, 2], trunks: &["abroad", "elsewhere", "abroad"], ..Script::default() };
    let mut stage = Stage::calling2(&script);
    for tone in ["tone abroad", "tone", "tone abroad"] {
        assert_eq!(stage.hears(), "silence");
        stage.ring(Two, 180, false);
        assert_eq!(stage.hears(), tone);
        stage.fail(Two, 480);
    }
}

#[test]
fn a_redirection_to_another_trunk_changes_the_tone_once() {
    let mut stage = Stage::calling2(&Script { trunks: &["abroad"], ..Script::default() });
    stage.ring(Two, 180, false);
    assert_eq!(stage.hears(), "tone abroad");
    stage.dialled(Two, None);
    assert_eq!(stage.hears(), "tone");
    let before = stage.commands.len();
    stage.ring(Two, 180, false);
    assert_eq!(stage.commands.len(), before);
}

#[test]
fn only_the_prompt_at_party_1_lets_party_2_be_called() {
    let mut stage = Stage::calling2(&Script { ring: Some(BeforeDial), ..Script::default() });
    stage.feed(Input::Played { party: Two, sound: PROMPT });
    stage.feed(Input::Played { party: One, sound: TONE });
    stage.recorded(RecordOutcome::Saved);
    assert_eq!(stage.dials, [(One, 0)]);
    stage.wait(core::time::Duration::from_secs(600));
    assert_eq!(stage.dials, [(One, 0), (Two, 0)], "nor does it wait for ever");
}
