//! Every parameter, good and bad: what is refused is named.

use alloc::string::{String, ToString};
use alloc::vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use duogate_channel::sound::{Codec, RecordHold};
use proptest::prelude::{any, proptest};

use super::check;
use crate::endpoint::settings::{Limits, Local, Policy, Settings, Trunk, Waits};
use crate::resource::error::ApiError;
use crate::resource::parameters::Parameters;

fn trunk(name: &str, hosts: &[&str]) -> Trunk {
    Trunk { name: name.into(), hosts: hosts.iter().map(ToString::to_string).collect(), ..Trunk::default() }
}

pub(super) fn settings() -> Settings {
    Settings {
        node: "n".into(),
        user_agent: "Duogate".into(),
        listeners: vec![Local::udp(SocketAddr::from((Ipv4Addr::LOCALHOST, 5060)))],
        media_addresses: alloc::vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        codecs: vec![Codec::Pcma],
        record_hold: RecordHold::Silence,
        limits: Limits::default(),
        trunks: vec![trunk("a", &["127.0.0.1", "carrier.example"]), trunk("six", &["2001:db8::1"])],
        policy: Policy {
            allow_any_destination: false,
            default_trunk: Some("a".into()),
            webhook_hosts: vec!["hooks.example".into()],
        },
        waits: Waits::default(),
        session: None,
        max_redirects: 3,
        timers: crate::transaction::Settings::default(),
    }
}

fn good() -> Parameters {
    Parameters {
        to1_uri: vec!["1001@127.0.0.1".into()],
        to2_uri: vec!["1002@127.0.0.1".into()],
        ..Parameters::default()
    }
}

fn with(change: impl FnOnce(&mut Parameters)) -> Result<crate::resource::plan::Plan, ApiError> {
    let mut given = good();
    change(&mut given);
    check(&settings(), &given)
}

#[test]
fn defaults_are_those_of_the_interface() {
    let plan = with(|_| {}).unwrap();
    assert_eq!(plan.max_answer, Duration::from_secs(7200));
    assert_eq!(plan.max_ring, Duration::from_secs(50));
    assert!(plan.ring_play.is_none() && plan.record.is_none() && plan.codecs.is_empty());
    assert_eq!(plan.parties[0].to[0].uri, "sip:1001@127.0.0.1");
    assert_eq!(plan.parties[0].to[0].trunk.as_deref(), Some("a"));
}

#[test]
fn an_empty_path_is_no_path() {
    let plan = with(|given| {
        given.ring_play_file = Some(String::new());
        given.record_file = Some(String::new());
    });
    assert!(plan.is_ok_and(|plan| plan.ring_play.is_none() && plan.record.is_none()));
}

/// What is changed, and the parameter that the error names.
type Case = (&'static str, fn(&mut Parameters));

const INVALID: &[Case] = &[
    ("to1_uri", |given| given.to1_uri.clear()),
    ("to2_uri", |given| given.to2_uri.clear()),
    ("to1_uri", |given| given.to1_uri = vec![String::new()]),
    ("to1_uri", |given| given.to1_uri = vec!["a@127.0.0.1\r\nX: y".into()]),
    ("to1_uri", |given| given.to1_uri = vec!["sip:a b@127.0.0.1".into()]),
    ("to1_uri", |given| given.to1_uri = vec!["http://127.0.0.1".into()]),
    ("to1_uri", |given| given.to1_uri = vec!["sips:a@127.0.0.1".into()]),
    ("to1_uri", |given| given.to1_uri = vec!["sip:a@127.0.0.1?Subject=x".into()]),
    ("to1_uri", |given| given.to1_uri = vec!["sip:a@127.0.0.1;transport=tcp".into()]),
    ("to1_uri", |given| given.to1_uri = vec!["a@127.0.0.1:0".into()]),
    ("to1_uri", |given| given.to1_uri = vec!["a@127.0.0.1:70000".into()]),
    ("to1_uri", |given| given.to1_uri = vec!["a".repeat(600)]),
    ("to1_uri", |given| given.to1_uri = vec!["1001@127.0.0.1".into(); 17]),
    ("to2_uri", |given| given.to2_uri = vec!["1001@127.0.0.1".into()]),
    ("to2_uri", |given| given.to2_uri = vec!["sip:1001@127.0.0.1:5060".into()]),
    ("to2_uri", |given| given.to2_uri = vec!["x@127.0.0.1".into(), "1001@127.0.0.1".into()]),
    ("from1_uri", |given| given.from1_uri = Some("a b".into())),
    ("from2_uri", |given| given.from2_uri = Some("sip:a@h\r\n".into())),
    ("max_answer_seconds", |given| given.max_answer_seconds = Some(0)),
    ("max_answer_seconds", |given| given.max_answer_seconds = Some(86_401)),
    ("max_ring_seconds", |given| given.max_ring_seconds = Some(-1)),
    ("max_ring_seconds", |given| given.max_ring_seconds = Some(601)),
    ("ring_play_mode", |given| given.ring_play_mode = Some(4)),
    ("record_mode", |given| given.record_mode = Some(3)),
    ("record_format", |given| given.record_format = Some("mp3".into())),
    ("record_channels", |given| given.record_channels = Some(0)),
    ("ring_play_file", |given| given.ring_play_file = Some("../p.wav".into())),
    ("ring_play_file", |given| given.ring_play_file = Some("a/".into())),
    ("record_file", |given| given.record_file = Some("a/../../r.wav".into())),
    ("record_file", |given| given.record_file = Some("a\0b".into())),
    ("record_file", |given| given.record_file = Some("a".repeat(251))),
    ("user_data", |given| given.user_data = Some("x".repeat(4097))),
    ("codecs", |given| given.codecs = Some(vec![])),
    ("codecs", |given| given.codecs = Some(vec!["speex".into()])),
    ("codecs", |given| given.codecs = Some(vec!["PCMA".into(), "pcma".into()])),
    ("callback_url", |given| given.callback_url = Some("ftp://hooks.example/".into())),
    ("callback_url", |given| given.callback_url = Some("http://".into())),
    ("callback_url", |given| given.callback_url = Some("http://hooks.example@evil.example/".into())),
    ("callback_url", |given| given.callback_url = Some("http://hooks.example\\.evil.example/".into())),
    ("callback_url", |given| given.callback_url = Some("http://hooks.example:99999/".into())),
    ("request_id", |given| given.request_id = Some(String::new())),
    ("request_id", |given| given.request_id = Some("k".repeat(256))),
];

#[test]
fn what_is_invalid_is_named() {
    for (place, (parameter, change)) in INVALID.iter().enumerate() {
        match with(change) {
            Err(error @ ApiError::InvalidParameter { .. }) => {
                assert_eq!(error.parameter(), Some(*parameter), "case {place}: {error}");
                assert_eq!(error.code(), -32602);
            }
            other => panic!("case {place} ({parameter}): {other:?}"),
        }
    }
}

const FORBIDDEN: &[Case] = &[
    ("to1_uri", |given| given.to1_uri = vec!["a@198.51.100.1".into()]),
    ("to2_uri", |given| given.to2_uri = vec!["a@elsewhere.example".into()]),
    ("callback_url", |given| given.callback_url = Some("https://evil.example/".into())),
];

#[test]
fn what_is_forbidden_is_named() {
    for (parameter, change) in FORBIDDEN {
        let error = with(change).unwrap_err();
        assert_eq!((error.code(), error.parameter()), (-32006, Some(*parameter)), "{error}");
    }
}

#[test]
fn short_forms_are_understood() {
    let cases = [
        ("sip:1389@127.0.0.1:5070", "sip:1389@127.0.0.1:5070", "127.0.0.1", Some(5070)),
        ("127.0.0.1:5080", "sip:127.0.0.1:5080", "127.0.0.1", Some(5080)),
        ("Carrier.Example", "sip:Carrier.Example", "Carrier.Example", None),
        ("a@[2001:db8::1]", "sip:a@[2001:db8::1]", "[2001:db8::1]", None),
        ("a@127.0.0.1;transport=UDP", "sip:a@127.0.0.1;transport=UDP", "127.0.0.1", None),
        ("tel:+49-30-1", "sip:+49301@127.0.0.1", "127.0.0.1", None),
        ("(030)1", "sip:0301@127.0.0.1", "127.0.0.1", None),
        ("*21#", "sip:*21%23@127.0.0.1", "127.0.0.1", None),
    ];
    for (given, uri, host, port) in cases {
        let plan = with(|parameters| parameters.to1_uri = vec![given.into()]).unwrap();
        let target = &plan.parties[0].to[0];
        assert_eq!((target.uri.as_str(), target.host.as_str(), target.port), (uri, host, port));
        assert_eq!(target.given, given);
    }
}

#[test]
fn a_number_needs_a_default_trunk() {
    let mut settings = settings();
    settings.policy.default_trunk = None;
    let given = Parameters { to1_uri: vec!["4711".into()], ..good() };
    assert_eq!(check(&settings, &given).unwrap_err().parameter(), Some("to1_uri"));
}

#[test]
fn a_default_trunk_without_hosts_takes_numbers_to_its_proxy() {
    let mut settings = settings();
    settings.trunks[0].hosts.clear();
    settings.trunks[0].address = Some("proxy.example".into());
    let given = Parameters { to1_uri: vec!["4711".into()], to2_uri: vec!["4712".into()], ..good() };
    let plan = check(&settings, &given).unwrap();
    assert_eq!(plan.parties[0].to[0].uri, "sip:4711@proxy.example");
}

#[test]
fn any_destination_may_be_allowed() {
    let mut settings = settings();
    settings.policy.allow_any_destination = true;
    let given = Parameters { to1_uri: vec!["a@elsewhere.example".into()], ..good() };
    assert!(check(&settings, &given).is_ok_and(|plan| plan.parties[0].to[0].trunk.is_none()));
}

proptest! {
    #[test]
    fn nothing_given_can_break_it(text in any::<String>(), number in any::<i64>()) {
        let given = Parameters {
            from1_uri: Some(text.clone()),
            to1_uri: vec![text.clone()],
            ring_play_file: Some(text.clone()),
            callback_url: Some(text.clone()),
            codecs: Some(vec![text]),
            max_ring_seconds: Some(number),
            ..good()
        };
        let _ = check(&settings(), &given);
    }

    #[test]
    fn what_is_accepted_cannot_break_a_line(text in "\\PC{1,40}") {
        let given = Parameters { to1_uri: vec![text.clone()], from1_uri: Some(text), ..good() };
        if let Ok(plan) = check(&settings(), &given) {
            let party = &plan.parties[0];
            let all = [party.to[0].uri.as_str(), party.from.as_deref().unwrap_or_default()];
            assert!(all.iter().all(|uri| uri.bytes().all(|byte| byte.is_ascii_graphic())));
        }
    }
}
