//! CTI actions: what may be started, what ends it, and that each end is told once.

use alloc::string::String;
use alloc::vec;
use core::time::Duration;

use duogate_channel::command::{Command, Repeat};
use duogate_channel::digits::{Key, Keys};
use duogate_channel::event::{ActionOutcome, LegStatistics, RecordOutcome};
use duogate_channel::identity::Party::{One, Two};
use duogate_channel::identity::{Action, Party, Recording, Sound};
use duogate_channel::sound::{RecordChannels, RecordFormat, RecordHold};

use super::stage::{RECORDING, Script, Stage};
use crate::resource::action::{Collect, KeySet, Order, Parties, Prepared, RecordOrder, Stop};
use crate::resource::duo_callback::{Input, LegEvent};
use crate::resource::error::ApiError;
use crate::resource::plan::{RecordMode, SoundSet};
use crate::resource::report::Event;

const SECOND: Duration = Duration::from_secs(1);
const DEMAND: Recording = Recording(77);

pub(super) fn prepared() -> Prepared {
    Prepared {
        sound: Some(SoundSet { pcma: Some(Sound(5)), ..SoundSet::default() }),
        recording: Some(DEMAND),
    }
}

pub(super) fn play(parties: Parties) -> Order {
    let finish_keys = KeySet::from_text("#").unwrap();
    Order::Play { parties, content: vec!["p.wav".into()], repeat: Repeat::Forever, finish_keys }
}

pub(super) fn send(parties: Parties) -> Order {
    Order::Send { parties, keys: Keys::from_text("12").unwrap() }
}

pub(super) fn receive(parties: Parties, prompt: bool) -> Order {
    let collect = Collect {
        valid_keys: KeySet::from_text("0123456789").unwrap(),
        max_keys: 3,
        finish_keys: KeySet::from_text("#").unwrap(),
        first_key: SECOND * 5,
        next_key: SECOND * 2,
        breaking_on_key: true,
        including_finish_key: false,
    };
    let content = if prompt { vec!["p.wav".into()] } else { vec![] };
    Order::Receive { parties, collect, content, repeat: Repeat::Times(1) }
}

pub(super) fn record() -> Order {
    Order::Record(RecordOrder {
        file: "d.wav".into(),
        max: Some(SECOND * 10),
        format: RecordFormat::Alaw,
        channels: RecordChannels::Mixed,
        hold: RecordHold::Silence,
        finish_keys: KeySet::from_text("*").unwrap(),
    })
}

impl Stage {
    fn start(&mut self, order: Order) -> Result<(), ApiError> {
        self.callback.may_start(&order)?;
        self.feed(Input::Start { order: order.into(), prepared: prepared() });
        Ok(())
    }

    fn press(&mut self, party: Party, keys: &str) {
        for sign in keys.chars() {
            let key = Key::from_char(sign).unwrap();
            self.feed(Input::Pressed { party, key, milliseconds: 100 });
        }
    }

    /// The gateway ends what it was last told to play or to send.
    fn ends(&mut self, outcome: ActionOutcome) {
        let last = self.commands.iter().rev().find_map(|command| match command {
            Command::Play { party, action, .. } | Command::SendKeys { party, action, .. } => {
                Some((*party, *action))
            }
            _ => None,
        });
        let (party, action) = last.unwrap();
        self.feed(Input::ActionEnded { party, action, outcome });
    }

    /// The last event, in full, without its times.
    fn last(&self) -> String {
        match &self.reports.last().unwrap().1 {
            Event::Dtmf { party, key, .. } => alloc::format!("dtmf {} {key}", party.number()),
            Event::PlayCompleted { party, error, finish_key, .. } => {
                alloc::format!("play {} {:?} {finish_key:?}", party.number(), error.map(|error| error.reason))
            }
            Event::SendDtmfCompleted { party, error, keys, .. } => {
                alloc::format!("send {} {:?} {keys}", party.number(), error.map(|error| error.reason))
            }
            Event::ReceiveDtmfCompleted { party, error, keys, .. } => {
                alloc::format!("receive {} {:?} {keys}", party.number(), error.map(|error| error.reason))
            }
            other => other.method().into(),
        }
    }
}

#[test]
fn an_action_needs_a_party_that_has_answered() {
    let mut stage = Stage::calling1(&Script::default());
    for order in
        [play(Parties::One(One)), send(Parties::One(One)), receive(Parties::One(One), false), record()]
    {
        assert!(matches!(stage.start(order), Err(ApiError::WrongState { .. })));
    }
    stage.answer(One);
    assert!(stage.start(record()).is_ok());
    assert!(stage.start(play(Parties::One(One))).is_ok());
    assert!(matches!(stage.start(send(Parties::One(Two))), Err(ApiError::WrongState { .. })));
    assert!(matches!(stage.start(send(Parties::Both)), Err(ApiError::WrongState { .. })));
}

#[test]
fn a_second_one_of_the_same_kind_on_the_same_party_is_refused_and_others_are_not() {
    let mut stage = Stage::connected(&Script::default());
    for order in
        [play(Parties::One(One)), send(Parties::One(One)), receive(Parties::One(One), false), record()]
    {
        assert!(stage.start(order.clone()).is_ok());
        let again = stage.start(order).unwrap_err();
        assert_eq!((again.code(), again.reason()), (-32002, "wrong_state"));
    }
    assert!(stage.start(play(Parties::Both)).is_err(), "one of both is busy");
    assert!(stage.start(receive(Parties::One(Two), true)).is_ok());
    assert!(stage.start(play(Parties::One(Two))).is_err(), "a prompt has one place");
    let actions = stage.callback.view().action;
    assert!(actions.record && actions.parties[0].play && actions.parties[1].receive_dtmf);
    assert!(!actions.parties[1].play);
}

#[test]
fn a_prompt_ends_when_it_is_over_when_stopped_or_by_a_finish_key() {
    let mut stage = Stage::connected(&Script::default());
    assert!(stage.callback.may_stop(Stop::Play(Parties::Both)).is_err());
    stage.start(play(Parties::One(One))).unwrap();
    stage.ends(ActionOutcome::Finished);
    assert_eq!(stage.last(), "play 1 None None");
    stage.start(play(Parties::One(One))).unwrap();
    stage.press(Two, "#");
    stage.press(One, "1#");
    assert!(stage.has(|command| matches!(command, Command::PlayStop { party: One, action: Action(2), .. })));
    assert_eq!(stage.last(), "dtmf 1 #", "its end is the gateway's to tell");
    stage.ends(ActionOutcome::Stopped);
    assert_eq!(stage.last(), "play 1 None Some(Key(11))");
    stage.start(play(Parties::One(One))).unwrap();
    stage.feed(Input::Stop(Stop::Play(Parties::Both)));
    stage.ends(ActionOutcome::Missing);
    assert_eq!(stage.last(), "play 1 Some(SoundMissing) None");
    stage.ends(ActionOutcome::Finished);
    assert_eq!(stage.told().iter().filter(|told| *told == "on_play_completed").count(), 3);
}

#[test]
fn keys_are_collected_until_there_are_enough_or_time_is_up() {
    let mut stage = Stage::connected(&Script::default());
    stage.start(receive(Parties::One(One), false)).unwrap();
    stage.press(One, "1*2");
    stage.press(Two, "9");
    stage.press(One, "3");
    assert_eq!(stage.last(), "receive 1 None 123");
    stage.start(receive(Parties::One(One), false)).unwrap();
    stage.wait(SECOND * 4);
    stage.press(One, "7");
    stage.wait(SECOND);
    stage.press(One, "#");
    assert_eq!(stage.last(), "receive 1 None 7");
    stage.start(receive(Parties::One(One), false)).unwrap();
    stage.press(One, "7");
    stage.wait(SECOND * 2);
    assert_eq!(stage.last(), "receive 1 Some(Timeout) 7");
    stage.start(receive(Parties::One(One), false)).unwrap();
    stage.wait(SECOND * 5);
    assert_eq!(stage.last(), "receive 1 Some(Timeout) ");
    stage.start(receive(Parties::One(One), false)).unwrap();
    stage.feed(Input::Stop(Stop::Receive(Parties::One(One))));
    assert_eq!(stage.last(), "receive 1 None ");
}

#[test]
fn a_key_breaks_the_prompt_off_and_no_time_runs_while_it_plays() {
    let mut stage = Stage::connected(&Script::default());
    stage.start(receive(Parties::One(One), true)).unwrap();
    stage.wait(SECOND * 60);
    stage.press(One, "1");
    assert!(stage.has(|command| matches!(command, Command::PlayStop { .. })));
    stage.ends(ActionOutcome::Stopped);
    stage.press(One, "23");
    assert_eq!(stage.last(), "receive 1 None 123");
    // The last key comes while the prompt still plays: its end is awaited.
    stage.start(receive(Parties::One(One), true)).unwrap();
    stage.press(One, "#");
    assert_eq!(stage.last(), "dtmf 1 #");
    stage.ends(ActionOutcome::Stopped);
    assert_eq!(stage.last(), "receive 1 None ");
    // After a prompt that was heard to its end, time runs.
    stage.start(receive(Parties::One(One), true)).unwrap();
    stage.ends(ActionOutcome::Finished);
    stage.wait(SECOND * 5);
    assert_eq!(stage.last(), "receive 1 Some(Timeout) ");
}

#[test]
fn a_party_that_tells_each_key_both_ways_is_heard_once() {
    let mut stage = Stage::connected(&Script::default());
    let key = Key::from_char('5').unwrap();
    for _ in 0..2 {
        stage.leg(One, LegEvent::Pressed { key, milliseconds: 160 });
        stage.press(One, "5");
    }
    stage.press(Two, "5");
    let told = stage.told();
    assert_eq!(told.iter().filter(|told| *told == "on_dtmf").count(), 3);
}

#[test]
fn a_recording_on_demand_runs_beside_that_of_the_call() {
    let mut stage =
        Stage::connected(&Script { record: Some(RecordMode::FromConnected), ..Script::default() });
    stage.start(record()).unwrap();
    stage.wait(SECOND * 10);
    assert!(stage.has(|command| matches!(command, Command::RecordStop { recording: DEMAND, .. })));
    let (outcome, duration) = (RecordOutcome::Saved, SECOND * 10);
    let tracks = [duogate_channel::event::Track::default(); 2];
    let ended = |recording| Input::Recorded { recording, outcome, duration, bytes: 9, missing: 0, tracks };
    stage.feed(ended(DEMAND));
    assert_eq!(stage.told().last().unwrap(), "on_record_completed");
    stage.start(record()).unwrap();
    stage.press(Two, "*");
    stage.feed(Input::Drop { cause: 603 });
    stage.feed(ended(DEMAND));
    stage.feed(Input::Closed { statistics: [LegStatistics::default(); 2] });
    stage.feed(ended(RECORDING));
    let told = stage.told();
    let released = told.iter().position(|told| told.starts_with("on_released")).unwrap();
    assert_eq!(told[released + 1..released + 3], ["on_record_completed", "on_record_completed"]);
    assert_eq!(told.iter().filter(|told| told.starts_with("on_record_completed")).count(), 3);
}

#[test]
fn what_runs_at_the_end_fails_before_the_release() {
    let mut stage = Stage::connected(&Script::default());
    stage.start(play(Parties::Both)).unwrap();
    stage.start(send(Parties::One(Two))).unwrap();
    stage.start(receive(Parties::One(Two), false)).unwrap();
    let before = stage.reports.len();
    stage.feed(Input::Drop { cause: 603 });
    stage.feed(Input::Closed { statistics: [LegStatistics::default(); 2] });
    let told = stage.told();
    assert_eq!(
        told[before..before + 5],
        [
            "on_play_completed",
            "on_play_completed",
            "on_send_dtmf_completed",
            "on_receive_dtmf_completed",
            "on_released 603 by 0"
        ]
    );
    assert!(stage.callback.may_start(&play(Parties::One(One))).is_err());
}

/// Each action, on either party, tried after each input of a release by the party that hangs up: what is accepted ends once,
/// and before the release is told, but for a recording; what is refused leaves nothing.
#[test]
fn what_starts_in_the_moments_of_a_release_ends_once_or_is_refused() {
    let closed = || Input::Closed { statistics: [LegStatistics::default(); 2] };
    let orders = [play(Parties::Both), send(Parties::One(Two)), receive(Parties::One(One), false), record()];
    let ends =
        ["on_play_completed", "on_send_dtmf_completed", "on_receive_dtmf_completed", "on_record_completed"];
    for (order, end) in orders.into_iter().zip(ends) {
        for moment in 0..3 {
            let mut stage = Stage::connected(&Script::default());
            let before = stage.reports.len();
            let mut accepted = false;
            for (number, input) in [Input::Drop { cause: 603 }, closed()].into_iter().enumerate() {
                accepted |= moment == number && stage.start(order.clone()).is_ok();
                stage.feed(input);
            }
            accepted |= moment == 2 && stage.start(order.clone()).is_ok();
            assert_eq!(accepted, moment == 0, "{end} at moment {moment}");
            let told = stage.told();
            let told = &told[before..];
            let count = told.iter().filter(|told| told.starts_with(end)).count();
            let parties = if end == "on_play_completed" { 2 } else { 1 };
            let released = told.iter().position(|told| told.starts_with("on_released")).unwrap();
            assert_eq!(told.iter().filter(|told| told.starts_with("on_released")).count(), 1, "{told:?}");
            if end == "on_record_completed" {
                // Told once its file is closed, which nothing here has said yet.
                assert!(count <= usize::from(accepted), "{told:?}");
                continue;
            }
            assert_eq!(count, if accepted { parties } else { 0 }, "{end} at moment {moment}: {told:?}");
            assert!(told[released..].iter().all(|told| !told.starts_with(end)), "{told:?}");
        }
    }
}
