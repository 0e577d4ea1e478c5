//! Bad input to `construct`: every parameter, prompts and recordings. Each is refused with an error that names
//! what is wrong, and nothing is left behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};

use crate::node::{Node, write_wav};
use crate::party::{Manner, Party};

/// Parameters that are good but for one.
fn but(party: &Party, name: &str, value: &Value) -> Value {
    let mut params = json!({"to1_uri": party.uri(), "to2_uri": "sip:two@127.0.0.1:9"});
    params[name] = value.clone();
    params
}

fn refused(node: &Node, party: &Party, name: &str, value: &Value, code: i64) -> Value {
    let error = node.construct(&but(party, name, value)).expect_err(&format!("{name}: {value}"));
    assert_eq!(error["code"], code, "{name}: {value}: {error}");
    assert_eq!(error["data"]["parameter"], name, "{value}: {error}");
    error
}

#[test]
fn every_parameter_is_checked_in_type_range_form_and_length() {
    let (node, party) = (Node::start(), Party::start(Manner::Busy));
    let long = "x".repeat(5_000);
    let wrong = [
        ("from1_uri", vec![json!(1), json!("sip:"), json!("a b@c"), json!("sip:a@h\r\nX: y"), json!(long)]),
        (
            "to1_uri",
            vec![json!(1), json!([]), json!([1]), json!(""), json!("sip:@"), json!("http://127.0.0.1/")],
        ),
        ("from2_uri", vec![json!({}), json!("sip:a@b@c")]),
        ("to2_uri", vec![Value::Null, json!(true), json!(["sip:b@127.0.0.1", ""]), json!("127.0.0.1:99999")]),
        (
            "max_answer_seconds",
            vec![json!(0), json!(86_401), json!(-1), json!("60"), json!(1.5), json!(u64::MAX)],
        ),
        ("max_ring_seconds", vec![json!(0), json!(601), json!([1])]),
        ("ring_play_file", vec![json!(1), json!(["a.wav"])]),
        ("ring_play_mode", vec![json!(4), json!(-1), json!("0")]),
        ("record_file", vec![json!(false)]),
        ("user_data", vec![json!("x".repeat(4_097)), json!({"a": 1}), json!(7)]),
        ("record_mode", vec![json!(3), json!(-1)]),
        ("record_format", vec![json!("mp3"), json!(1)]),
        ("record_channels", vec![json!(0), json!(3)]),
        ("codecs", vec![json!("PCMA"), json!([]), json!(["speex"]), json!([1])]),
        ("callback_url", vec![json!(1), json!("ftp://127.0.0.1/"), json!("nonsense"), json!("http://")]),
        ("request_id", vec![json!(1), json!(""), json!("x".repeat(256))]),
        ("no_such_parameter", vec![json!(1)]),
    ];
    for (name, values) in wrong {
        for value in values {
            refused(&node, &party, name, &value, -32602);
        }
    }
    for name in ["to1_uri", "to2_uri"] {
        let error = refused(&node, &party, name, &json!("sip:a@192.0.2.1"), -32006);
        assert_eq!(error["data"]["reason"], "forbidden");
    }
    let same = node.construct(&json!({"to1_uri": party.uri(), "to2_uri": party.uri()})).unwrap_err();
    assert_eq!(same["code"], -32602, "party 1 and party 2 must differ");
    let host = node.construct(&but(&party, "callback_url", &json!("http://192.0.2.1/hook"))).unwrap_err();
    assert_eq!(host["data"]["parameter"], "callback_url");
    let list = node.call("ext.duo_callback.list", &json!({})).unwrap();
    assert_eq!(list["resources"], json!([]), "nothing was placed");
}

#[test]
fn prompts_that_cannot_be_played_are_refused_by_what_is_wrong() {
    let (node, party) = (Node::start(), Party::start(Manner::Busy));
    let prompts = node.path("prompts");
    fs::write(prompts.join("empty.wav"), b"").unwrap();
    fs::write(prompts.join("noise.wav"), [0x5A; 5_000]).unwrap();
    fs::write(prompts.join("text.txt"), "hello, this is no sound at all\n".repeat(50)).unwrap();
    write_wav(&prompts.join("silent.wav"), 8_000, 1, 16, 0);
    write_wav(&prompts.join("whole.wav"), 8_000, 1, 16, 16_000);
    let whole = fs::read(prompts.join("whole.wav")).unwrap();
    fs::write(prompts.join("truncated.wav"), &whole[..whole.len() / 2]).unwrap();
    fs::write(prompts.join("header.wav"), &whole[..30]).unwrap();
    fs::create_dir(prompts.join("folder")).unwrap();
    symlink("/etc", prompts.join("out")).unwrap();
    symlink("whole.wav", prompts.join("link.wav")).unwrap();
    for (file, problems) in [
        ("missing.wav", &["missing"][..]),
        ("empty.wav", &["empty"]),
        ("noise.wav", &["not_a_sound_file", "unsupported"]),
        ("text.txt", &["not_a_sound_file", "unsupported"]),
        ("silent.wav", &["empty"]),
        ("truncated.wav", &["truncated"]),
        ("header.wav", &["not_a_sound_file"]),
        ("folder", &["not_a_file"]),
        ("out/passwd", &["leaves_root"]),
        ("link.wav", &["leaves_root"]),
    ] {
        let error = refused(&node, &party, "ring_play_file", &json!(file), -32005);
        let problem = error["data"]["problem"].as_str().unwrap();
        assert!(problems.contains(&problem), "{file}: {error}");
    }
    for file in ["../control.log", "a/../../control.log", "/etc/passwd"] {
        let error = node.construct(&but(&party, "ring_play_file", &json!(file))).unwrap_err();
        assert_eq!(error["data"]["parameter"], "ring_play_file", "{file}: {error}");
    }
}

#[test]
fn prompts_of_every_common_kind_are_taken() {
    let (node, party) = (Node::start(), Party::start(Manner::Busy));
    let prompts = node.path("prompts");
    for (rate, channels, bits) in [
        (8_000, 1, 8),
        (8_000, 1, 16),
        (16_000, 2, 16),
        (44_100, 2, 16),
        (48_000, 1, 24),
        (48_000, 1, 32),
        (96_000, 2, 24),
    ] {
        let name = format!("{rate}-{channels}-{bits}.wav");
        write_wav(&prompts.join(&name), rate, channels, bits, rate);
        node.construct(&but(&party, "ring_play_file", &json!(name)))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    fs::write(prompts.join("tone.mp3"), mp3()).unwrap();
    node.construct(&but(&party, "ring_play_file", &json!("tone.mp3"))).unwrap();
    let absolute = prompts.join("8000-1-16.wav").canonicalize().unwrap();
    let answer = node.construct(&but(&party, "ring_play_file", &json!(absolute)));
    if let Err(error) = answer {
        assert_eq!(error["data"]["parameter"], "ring_play_file", "{error}");
    }
}

/// MPEG-1 layer III at 32 kbit/s and 32 kHz: frames without any sound in them.
fn mp3() -> Vec<u8> {
    // 144 · 32,000 / 32,000 octets a frame. Side information of zeros: no bits, silence.
    let mut frame = [0_u8; 144];
    frame[..4].copy_from_slice(&[0xFF, 0xFB, 0x18, 0xC4]);
    frame.repeat(60)
}

#[test]
fn recordings_never_replace_a_file_nor_leave_their_root() {
    let (node, party) = (Node::start(), Party::start(Manner::Busy));
    let recordings = node.path("recordings");
    fs::write(recordings.join("there.wav"), b"precious").unwrap();
    fs::write(recordings.join("busy.wav.part"), b"under way").unwrap();
    fs::create_dir(recordings.join("folder")).unwrap();
    symlink("/tmp", recordings.join("out")).unwrap();
    for (file, problem) in [
        ("there.wav", "exists"),
        ("busy.wav", "exists"),
        ("folder", "exists"),
        ("there.wav/x.wav", "not_a_file"),
        ("out/x.wav", "leaves_root"),
        ("x.wav.part", "bad_name"),
    ] {
        let error = refused(&node, &party, "record_file", &json!(file), -32005);
        assert_eq!(error["data"]["problem"], problem, "{file}: {error}");
    }
    for file in ["../x.wav", "/tmp/x.wav", "a\r\nb.wav", "x/", &"n/".repeat(800)] {
        let error = node.construct(&but(&party, "record_file", &json!(file))).unwrap_err();
        assert_eq!(error["data"]["parameter"], "record_file", "{file}: {error}");
    }
    assert_eq!(fs::read(recordings.join("there.wav")).unwrap(), b"precious");
    assert!(!node.path("x.wav").exists());
    // Root may write everywhere; for anybody else a closed folder is closed.
    if !rustix::process::geteuid().is_root() {
        fs::set_permissions(&recordings, fs::Permissions::from_mode(0o500)).unwrap();
        let error = refused(&node, &party, "record_file", &json!("new.wav"), -32005);
        assert_eq!(error["data"]["problem"], "file_system");
        fs::set_permissions(&recordings, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn a_refused_callback_leaves_no_recording_behind() {
    let (node, party) = (Node::start(), Party::start(Manner::Busy));
    let mut params = but(&party, "record_file", &json!("deep/er/a.wav"));
    params["ring_play_file"] = json!("missing.wav");
    node.construct(&params).unwrap_err();
    assert!(!node.path("recordings/deep").exists(), "the prompt is looked at first");
    params["ring_play_file"] = Value::Null;
    let answer = node.construct(&params).unwrap();
    assert_eq!(answer["record_file"], "deep/er/a.wav");
    node.wait_for_state(answer["res_id"].as_str().unwrap(), "Released");
    crate::node::until("the empty file of a recording that never began goes", || {
        (!node.path("recordings/deep/er/a.wav.part").exists()).then_some(())
    });
    assert!(!node.path("recordings/deep/er/a.wav").exists());
}

#[test]
fn without_a_gateway_calls_are_refused_by_that_name() {
    let mut node = Node::start();
    let party = Party::start(Manner::Busy);
    node.stop_gateway();
    crate::node::until("the gateway is missed", || (node.get("/readyz").status == 503).then_some(()));
    let error = node.construct(&but(&party, "user_data", &json!("x"))).unwrap_err();
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32008), &json!("no_media")));
    node.start_gateway();
    node.wait_until_ready();
    node.construct(&but(&party, "user_data", &json!("x"))).unwrap();
}
