//! Callbacks between independent phones whose sound is encrypted (SRTP), over SIP on TLS.

use std::time::Duration;

use duogate_phone::tone::{Sound, Tone, listen};
use duogate_tests::baresip::Baresip;
use duogate_tests::certificates::Certificates;
use duogate_tests::duogate::{Changes, Duogate};
use duogate_tests::story::Story;
use duogate_tests::{ports, wav};
use serde_json::json;

const FIRST_HERTZ: u16 = 440;
const SECOND_HERTZ: u16 = 800;

/// How long a tone is in these samples, all stretches together.
fn heard(samples: &[i16], hertz: u16) -> Duration {
    let stretches = listen(samples, &[Tone::new(FIRST_HERTZ), Tone::new(SECOND_HERTZ)]);
    stretches.iter().filter(|heard| heard.sound == Sound::Tone(hertz)).map(|heard| heard.length()).sum()
}

/// Duogate with a listener on TLS, and a trunk with this said of SRTP.
fn secured_by(certificates: &Certificates, srtp: &str) -> Duogate {
    let listen = format!("listen = [\"tls:127.0.0.1:{}\"]", ports::free_tcp_port());
    let mut changes = Changes::none().with("sip", &listen).with("[trunk]", "transport = \"tls\"");
    for setting in certificates.settings() {
        changes = changes.with("sip", &setting);
    }
    for line in srtp.lines() {
        changes = changes.with("[trunk]", line);
    }
    Duogate::start_with(&changes)
}

/// Both talk for some seconds; the recording has each on its own channel.
/// So many of them say that their sound is encrypted.
fn talk(srtp: &str, phones: [fn(u16, &Certificates) -> Baresip; 2], secured: usize) -> Duogate {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let certificates = Certificates::write(folder.path());
    let duogate = secured_by(&certificates, srtp);
    let first = phones[0](FIRST_HERTZ, &certificates);
    let second = phones[1](SECOND_HERTZ, &certificates);
    let mut application = duogate.application();
    let res_id = application.construct(&json!({
        "to1_uri": first.uri(), "to2_uri": second.uri(), "max_answer_seconds": 4,
        "record_file": "secured/talk.wav",
    }));
    let connected = application.events_until("on_connected", Duration::from_secs(8));
    let story = Story::continued(connected, &mut application, &res_id, 2);
    story.demand_release(200, 0);
    let logs = format!("{}\n{}", first.output(), second.output());
    let recording = wav::read(&duogate.recording("secured/talk.wav"));
    for (channel, own, other) in [(0, FIRST_HERTZ, SECOND_HERTZ), (1, SECOND_HERTZ, FIRST_HERTZ)] {
        let samples = &recording.channels[channel];
        let (own_time, other_time) = (heard(samples, own), heard(samples, other));
        assert!(own_time > Duration::from_secs(3), "channel {channel} has {own} Hz for {own_time:?}\n{logs}");
        assert_eq!(other_time, Duration::ZERO, "channel {channel} has {other} Hz for {other_time:?}");
    }
    for (phone, other) in [(&first, SECOND_HERTZ), (&second, FIRST_HERTZ)] {
        let played = phone.heard();
        let time = heard(&played, other);
        assert!(time > Duration::from_secs(2), "the phone heard {other} Hz for {time:?}\n{logs}");
    }
    assert!(!logs.contains("failed to decrypt"), "{logs}");
    assert_eq!(logs.matches("SRTP is Enabled").count(), secured, "{logs}");
    duogate
}

#[test]
fn two_secured_parties_hear_each_other_and_are_recorded() {
    let duogate = talk("srtp = \"required\"", [Baresip::start_secured; 2], 2);
    assert_eq!(duogate.metric("duogate_shard_dropped_unauthentic_total{shard=\"0\"}").unwrap_or(0.0), 0.0);
}

#[test]
fn with_galois_counter_mode_liked_best() {
    let suites = "srtp = \"required\"\nsrtp_suites = [\"AEAD_AES_128_GCM\", \"AES_CM_128_HMAC_SHA1_80\"]";
    talk(suites, [Baresip::start_secured; 2], 2);
}

#[test]
fn rfc8643_3_1_where_it_is_optional_a_plain_and_a_secured_party_hear_each_other() {
    talk("srtp = \"optional\"", [Baresip::start_securable, Baresip::start_tls], 1);
}

#[test]
fn a_plain_party_is_not_talked_to_where_it_is_required() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let certificates = Certificates::write(folder.path());
    let duogate = secured_by(&certificates, "srtp = \"required\"");
    let (first, second) =
        (Baresip::start_tls(FIRST_HERTZ, &certificates), Baresip::start_tls(SECOND_HERTZ, &certificates));
    let mut application = duogate.application();
    application.construct(&json!({"to1_uri": first.uri(), "to2_uri": second.uri()}));
    let events = application.events_until("on_released", Duration::from_secs(8));
    let dialled =
        events.iter().find(|event| event.name == "on_dial1_completed").expect("the call has failed");
    assert_eq!(dialled.fields["error"]["code"], 488, "{dialled:?}");
}
