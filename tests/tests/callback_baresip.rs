//! A callback between two independent phones, with the sound checked in the recording.

use std::time::Duration;

use duogate_phone::tone::{Sound, Tone, listen, time_of};
use duogate_tests::baresip::Baresip;
use duogate_tests::certificates::Certificates;
use duogate_tests::duogate::{Changes, Duogate};
use duogate_tests::ports;
use duogate_tests::story::Story;
use duogate_tests::wav;
use serde_json::json;

const FIRST_HERTZ: u16 = 440;
const SECOND_HERTZ: u16 = 800;

/// How long a tone was heard, all stretches together.
fn heard(samples: &[i16], hertz: u16) -> Duration {
    let stretches = listen(samples, &[Tone::new(FIRST_HERTZ), Tone::new(SECOND_HERTZ)]);
    stretches.iter().filter(|heard| heard.sound == Sound::Tone(hertz)).map(|heard| heard.length()).sum()
}

#[test]
fn two_baresips_talk_and_are_recorded() {
    let duogate = Duogate::start();
    let first = Baresip::start(FIRST_HERTZ);
    let second = Baresip::start(SECOND_HERTZ);
    let mut application = duogate.application();
    let res_id = application.construct(&json!({
        "to1_uri": first.uri(), "to2_uri": second.uri(), "max_answer_seconds": 4,
        "record_file": "baresip/talk.wav",
    }));
    let connected = application.events_until("on_connected", Duration::from_secs(8));
    let story = Story::continued(connected, &mut application, &res_id, 2);
    story.demand_release(200, 0);
    assert_eq!(story.count("on_record_completed"), 1);
    // Both streams of four seconds are judged on their way to the phones; whether that may be, a test of its own says.
    assert!(duogate.observed().is_none_or(|packets| packets > 350), "{:?} packets seen", duogate.observed());
    assert!(story.field("on_record_completed", "error").is_null(), "{story:#?}");

    let recording = wav::read(&duogate.recording("baresip/talk.wav"));
    assert_eq!((recording.format, recording.rate, recording.channels.len()), (6, 8000, 2), "stereo A-law");
    let length = time_of(recording.channels[0].len() as u64);
    let told = story.field("on_record_completed", "duration_seconds").as_f64().expect("a number");
    assert!((length.as_secs_f64() - told).abs() < 0.021, "the file is as long as told: {length:?}, {told}");
    assert!((3.8..4.5).contains(&length.as_secs_f64()), "four seconds of talk: {length:?}");
    for (channel, own, other) in [(0, FIRST_HERTZ, SECOND_HERTZ), (1, SECOND_HERTZ, FIRST_HERTZ)] {
        let samples = &recording.channels[channel];
        let (own_time, other_time) = (heard(samples, own), heard(samples, other));
        let logs = format!("{}\n{}", first.output(), second.output());
        assert!(own_time > Duration::from_secs(3), "channel {channel} has {own} Hz for {own_time:?}\n{logs}");
        assert_eq!(other_time, Duration::ZERO, "channel {channel} has {other} Hz for {other_time:?}");
    }
}

#[test]
fn two_baresips_talk_over_tls() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let certificates = Certificates::write(folder.path());
    let listen = format!("listen = [\"tls:127.0.0.1:{}\"]", ports::free_tcp_port());
    let mut changes = Changes::none().with("sip", &listen);
    for setting in certificates.settings() {
        changes = changes.with("sip", &setting);
    }
    let duogate = Duogate::start_with(&changes);
    let first = Baresip::start_tls(FIRST_HERTZ, &certificates);
    let second = Baresip::start_tls(SECOND_HERTZ, &certificates);
    let mut application = duogate.application();
    let res_id = application.construct(&json!({
        "to1_uri": first.uri(), "to2_uri": second.uri(), "max_answer_seconds": 2,
    }));
    let connected = application.events_until("on_connected", Duration::from_secs(8));
    let story = Story::continued(connected, &mut application, &res_id, 2);
    story.demand_release(200, 0);
    let logs = format!("{}\n{}", first.output(), second.output());
    assert!(logs.matches("Call established").count() >= 2, "{logs}");
}

#[test]
fn two_baresips_tell_what_they_hear() {
    let duogate = Duogate::start();
    let first = Baresip::start(FIRST_HERTZ);
    let second = Baresip::start(SECOND_HERTZ);
    let mut application = duogate.application();
    let res_id = application.construct(&json!({
        "to1_uri": first.uri(), "to2_uri": second.uri(), "max_answer_seconds": 12,
    }));
    let connected = application.events_until("on_connected", Duration::from_secs(8));
    let story = Story::continued(connected, &mut application, &res_id, 2);
    story.demand_release(200, 0);
    for party in ["quality1", "quality2"] {
        let quality = story.field("on_released", party);
        let number = |name: &str| quality[name].as_f64().unwrap_or_else(|| panic!("no {name}: {quality:#}"));
        // They send a report every five seconds, and answer ours in it.
        assert!(number("rtcp_received") >= 1.0 && number("rtcp_sent") >= 2.0, "{quality:#}");
        assert!(number("round_trip_milliseconds") < 200.0, "{quality:#}");
        assert!(number("heard_loss_percent") < 5.0, "{quality:#}");
        assert!(quality["heard_mos"]["average"].as_f64().is_some_and(|mos| mos > 3.5), "{quality:#}");
        assert!(quality["mos"]["average"].as_f64().is_some_and(|mos| mos > 4.0), "{quality:#}");
        assert!(quality["fault"].is_null(), "{quality:#}");
    }
}
