//! Parties that speak RTCP, with every codec: who hears whom, and that what the gateway tells of each agrees with what the
//! phone itself counted.

use duogate_phone::codec::Codec;
use duogate_phone::rtcp::Reports;
use duogate_phone::tone::Tone;
use duogate_phone::{Script, Step};
use duogate_tests::duogate::{Changes, Duogate};
use duogate_tests::patience::until;
use duogate_tests::scene::{STEP, Scene, VOICES, answers};
use duogate_tests::talk::{ms, total};
use serde_json::{Value, json};

/// Opus first, so that it is what parties agree on who have it.
fn changes() -> Changes {
    Changes::none()
        .with("media", "codecs = [\"opus\", \"G722\", \"PCMA\", \"PCMU\"]")
        .with("media", "max_transcoded = 10")
        .with("media", "rtcp_seconds = 1")
}

fn speaks(party: usize, codec: Codec) -> Script {
    answers(party).codecs(&[codec]).reports()
}

/// Lets two talk until each has heard the other for a second and both have told of it three times; gives what the phones
/// were told, and the qualities of the release.
fn talk(duogate: Duogate, scripts: [Script; 2]) -> ([Reports; 2], [Value; 2]) {
    let case = format!("{:?}", [&scripts[0].codecs, &scripts[1].codecs]);
    let mut scene = Scene::of(duogate, scripts);
    scene.construct(&json!({}));
    scene.until("on_connected");
    let tones = VOICES.map(Tone::new);
    until(&format!("{case}: each hears the other"), STEP, || {
        (0..2).all(|party| total(&scene.phones[party].heard(&tones), VOICES[1 - party]) > ms(1_000))
    });
    until(&format!("{case}: reports of both"), STEP, || {
        scene.phones.iter().all(|phone| phone.reports().sent >= 3 && phone.reports().round_trip.is_some())
    });
    for (party, phone) in scene.phones.iter().enumerate() {
        let heard = phone.heard(&tones);
        assert!(total(&heard, VOICES[party]) < ms(100), "{case}: party {party} hears itself: {heard:?}");
    }
    let reports = [0, 1].map(|party: usize| scene.phones[party].reports());
    scene.phones[0].act(Step::HangUp);
    scene.until("on_released");
    let released = &scene.seen.last().expect("the one waited for").fields;
    (reports, [released["quality1"].clone(), released["quality2"].clone()])
}

fn number(quality: &Value, name: &str) -> f64 {
    quality[name].as_f64().unwrap_or_else(|| panic!("no {name}: {quality:#}"))
}

#[test]
fn rfc3550_6_4_reports_of_every_codec_agree_on_both_sides() {
    let pairs = [
        [Codec::Opus, Codec::Opus],
        [Codec::G722, Codec::G722],
        [Codec::Opus, Codec::Pcma],
        [Codec::G722, Codec::Pcmu],
    ];
    for codecs in pairs {
        let scripts = [speaks(0, codecs[0]), speaks(1, codecs[1])];
        let (told, qualities) = talk(Duogate::start_with(&changes()), scripts);
        // Who hangs up says so by RTCP, too (section 6.6).
        assert_eq!(qualities[0]["rtcp_bye"], true, "{codecs:?}: {qualities:#?}");
        for (told, quality) in told.iter().zip(&qualities) {
            assert!(told.received >= 2 && told.named, "{codecs:?}: {told:?}");
            // The clock of sender reports goes with the packets (section 6.4.1): within three packets on a busy host.
            assert!(told.mapping_error.is_some_and(|error| error < ms(60)), "{codecs:?}: {told:?}");
            assert!(told.round_trip.is_some_and(|trip| trip < ms(200)), "{codecs:?}: {told:?}");
            assert!(told.fraction_lost.is_some_and(|part| part < 26), "{codecs:?}: {told:?}");
            assert!(number(quality, "rtcp_received") >= 3.0, "{codecs:?}: {quality:#}");
            assert!(number(quality, "round_trip_milliseconds") < 200.0, "{codecs:?}: {quality:#}");
            assert!(number(quality, "heard_loss_percent") < 5.0, "{codecs:?}: {quality:#}");
        }
    }
}

#[test]
fn rfc3550_6_4_1_what_a_party_misses_is_told_as_its_loss_and_nobody_elses() {
    let scripts = [speaks(0, Codec::Pcma).misses(10), speaks(1, Codec::Pcma)];
    let (told, qualities) = talk(Duogate::start_with(&changes()), scripts);
    // In all, not since the newest report: the one with the BYE follows the one before it at once.
    let parts =
        qualities.each_ref().map(|quality| number(quality, "heard_lost") / number(quality, "packets_sent"));
    assert!((0.08..0.12).contains(&parts[0]) && parts[1] < 0.02, "{parts:?}: {qualities:#?}");
    // The gateway misses nothing of either.
    for told in told {
        assert!(told.fraction_lost.is_some_and(|part| part < 13), "{told:?}");
    }
}
