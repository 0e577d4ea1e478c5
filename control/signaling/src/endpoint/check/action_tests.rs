//! Every parameter of every action, good and bad: what is refused is named.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use duogate_channel::command::Repeat;
use duogate_channel::digits::Key;
use duogate_channel::identity::Party;
use duogate_channel::sound::{RecordChannels, RecordFormat};

use super::action::{order, stop};
use super::tests::settings;
use crate::resource::action::{ActionParameters, Collect, KeySet, Method, Order, Parties, Stop};
use crate::resource::error::ApiError;

/// As little as each method can be called with.
fn least(method: Method) -> ActionParameters {
    let party = Some("1".to_string());
    let files = |name: &str| Some(vec![name.to_string()]);
    match method {
        Method::Play => ActionParameters { party, content: files("a.wav"), ..Default::default() },
        Method::Record => ActionParameters { record_file: Some("r.wav".into()), ..Default::default() },
        Method::SendDtmf => ActionParameters { party, keys: Some("1".into()), ..Default::default() },
        Method::ReceiveDtmf => ActionParameters { party, ..Default::default() },
    }
}

fn with(method: Method, change: impl FnOnce(&mut ActionParameters)) -> Result<Order, ApiError> {
    let mut given = least(method);
    change(&mut given);
    order(&settings(), method, &given)
}

fn named(outcome: Result<Order, ApiError>) -> String {
    match outcome {
        Err(ApiError::InvalidParameter { parameter, .. }) => parameter.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults_are_those_of_the_interface() {
    let played = with(Method::Play, |_| {}).unwrap();
    let once = Order::Play {
        parties: Parties::One(Party::One),
        content: vec!["a.wav".into()],
        repeat: Repeat::Times(1),
        finish_keys: KeySet::default(),
    };
    assert_eq!(played, once);
    let Order::Record(recorded) = with(Method::Record, |_| {}).unwrap() else { panic!("a recording") };
    assert_eq!(
        (recorded.max, recorded.format, recorded.channels, recorded.finish_keys),
        (None, RecordFormat::Alaw, RecordChannels::Separate, KeySet::default())
    );
    let Order::Receive { collect, content, repeat, .. } = with(Method::ReceiveDtmf, |_| {}).unwrap() else {
        panic!("a collection")
    };
    let usual = Collect {
        valid_keys: KeySet::ALL,
        max_keys: 1,
        finish_keys: KeySet::default(),
        first_key: Duration::from_secs(45),
        next_key: Duration::from_secs(30),
        breaking_on_key: true,
        including_finish_key: false,
    };
    assert_eq!((collect, content, repeat), (usual, Vec::new(), Repeat::Times(1)));
}

#[test]
fn an_empty_text_is_an_absent_one() {
    let none = |text: &mut Option<String>| *text = Some(String::new());
    for method in [Method::Play, Method::Record, Method::ReceiveDtmf] {
        let empty = with(method, |given| none(&mut given.finish_keys));
        assert_eq!(empty, with(method, |_| {}), "{method:?}");
    }
    let all = with(Method::ReceiveDtmf, |given| {
        none(&mut given.valid_keys);
        given.play_content = Some(vec![String::new()]);
    });
    assert_eq!(all, with(Method::ReceiveDtmf, |_| {}));
    assert_eq!(named(with(Method::Play, |given| given.content = Some(vec![String::new()]))), "content");
    assert_eq!(named(with(Method::Record, |given| none(&mut given.record_file))), "record_file");
    assert_eq!(named(with(Method::SendDtmf, |given| none(&mut given.keys))), "keys");
    assert_eq!(named(with(Method::SendDtmf, |given| none(&mut given.party))), "party");
}

#[test]
fn what_is_missing_or_out_of_range_is_named() {
    type Change = fn(&mut ActionParameters);
    let wrong: &[(Method, &str, Change)] = &[
        (Method::Play, "party", |given| given.party = None),
        (Method::Play, "party", |given| given.party = Some("3".into())),
        (Method::Play, "party", |given| given.party = Some("Both".into())),
        (Method::Play, "content", |given| given.content = None),
        (Method::Play, "content", |given| given.content = Some(Vec::new())),
        (Method::Play, "content", |given| given.content = Some(vec!["a.wav".into(), String::new()])),
        (Method::Play, "content", |given| given.content = Some(vec!["a.wav".into(); 33])),
        (Method::Play, "content", |given| given.content = Some(vec!["../a.wav".into()])),
        (Method::Play, "repeat", |given| given.repeat = Some(-2)),
        (Method::Play, "repeat", |given| given.repeat = Some(1001)),
        (Method::Play, "finish_keys", |given| given.finish_keys = Some("1 2".into())),
        (Method::Record, "record_file", |given| given.record_file = None),
        (Method::Record, "record_file", |given| given.record_file = Some("a/../../b.wav".into())),
        (Method::Record, "max_seconds", |given| given.max_seconds = Some(0)),
        (Method::Record, "max_seconds", |given| given.max_seconds = Some(86_401)),
        (Method::Record, "record_format", |given| given.record_format = Some("mp3".into())),
        (Method::Record, "record_channels", |given| given.record_channels = Some(3)),
        (Method::Record, "finish_keys", |given| given.finish_keys = Some("x".into())),
        (Method::SendDtmf, "keys", |given| given.keys = None),
        (Method::SendDtmf, "keys", |given| given.keys = Some("12E".into())),
        (Method::SendDtmf, "keys", |given| given.keys = Some("1".repeat(1_000))),
        (Method::ReceiveDtmf, "party", |given| given.party = None),
        (Method::ReceiveDtmf, "valid_keys", |given| given.valid_keys = Some("0-9".into())),
        (Method::ReceiveDtmf, "max_keys", |given| given.max_keys = Some(0)),
        (Method::ReceiveDtmf, "max_keys", |given| given.max_keys = Some(65)),
        (Method::ReceiveDtmf, "first_key_timeout", |given| given.first_key_timeout = Some(0)),
        (Method::ReceiveDtmf, "first_key_timeout", |given| given.first_key_timeout = Some(3_601)),
        (Method::ReceiveDtmf, "continues_keys_timeout", |given| given.continues_keys_timeout = Some(-1)),
        (Method::ReceiveDtmf, "play_content", |given| given.play_content = Some(vec!["/etc/../x".into()])),
        (Method::ReceiveDtmf, "play_repeat", |given| given.play_repeat = Some(i64::MAX)),
    ];
    for (method, name, change) in wrong {
        assert_eq!(named(with(*method, change)), *name, "{method:?}");
    }
}

#[test]
fn ends_of_ranges_are_taken() {
    let repeat = |times| match with(Method::Play, |given| given.repeat = Some(times)) {
        Ok(Order::Play { repeat, .. }) => repeat,
        other => panic!("{other:?}"),
    };
    assert_eq!((repeat(-1), repeat(1_000)), (Repeat::Forever, Repeat::Times(1_001)));
    let ends = with(Method::ReceiveDtmf, |given| {
        (given.max_keys, given.first_key_timeout, given.continues_keys_timeout) =
            (Some(64), Some(3_600), Some(1));
        given.valid_keys = Some("abCD*#".into());
    });
    let Ok(Order::Receive { collect, .. }) = ends else { panic!("{ends:?}") };
    assert_eq!((collect.max_keys, collect.next_key), (64, Duration::from_secs(1)));
    let (valid, other) = (Key::from_char('A').unwrap(), Key::from_char('5').unwrap());
    assert!(collect.valid_keys.contains(valid) && !collect.valid_keys.contains(other));
    assert!(with(Method::Record, |given| given.max_seconds = Some(86_400)).is_ok());
}

#[test]
fn what_has_no_end_by_hand_has_no_method_for_it() {
    let given = ActionParameters { party: Some("both".into()), ..Default::default() };
    assert_eq!(stop(Method::Play, &given).unwrap(), Stop::Play(Parties::Both));
    assert_eq!(stop(Method::ReceiveDtmf, &given).unwrap(), Stop::Receive(Parties::Both));
    assert_eq!(stop(Method::Record, &ActionParameters::default()).unwrap(), Stop::Record);
    assert!(matches!(stop(Method::SendDtmf, &given), Err(ApiError::MethodNotFound)));
    assert!(stop(Method::Play, &ActionParameters::default()).is_err());
}
