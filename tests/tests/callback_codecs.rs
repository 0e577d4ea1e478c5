//! Callbacks whose parties speak different codecs, with independent phones: who hears what, what is recorded, and what
//! happens where there is no place for another of them.

use std::time::Duration;

use duogate_phone::tone::{Sound, Tone, listen};
use duogate_tests::baresip::Baresip;
use duogate_tests::duogate::{Changes, Duogate};
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

fn start(places: u32) -> Duogate {
    let codecs = "codecs = [\"opus\", \"G722\", \"PCMA\"]";
    let places = format!("max_transcoded = {places}");
    Duogate::start_with(&Changes::none().with("media", codecs).with("media", &places))
}

#[test]
fn opus_and_g722_parties_talk_to_a_pcma_party_and_are_recorded() {
    let duogate = start(10);
    let second = Baresip::start(SECOND_HERTZ);
    for codec in ["opus", "G722"] {
        let first = Baresip::start_speaking(FIRST_HERTZ, codec);
        let mut application = duogate.application();
        let name = format!("{codec}.wav");
        let res_id = application.construct(&json!({
            "to1_uri": first.uri(), "to2_uri": second.uri(), "max_answer_seconds": 4, "record_file": name,
        }));
        let connected = application.events_until("on_connected", Duration::from_secs(8));
        let story = Story::continued(connected, &mut application, &res_id, 2);
        story.demand_release(200, 0);
        assert!(story.field("on_record_completed", "error").is_null(), "{story:#?}");
        let recording = wav::read(&duogate.recording(&name));
        assert_eq!((recording.rate, recording.channels.len()), (8000, 2));
        for (channel, own) in [(0, FIRST_HERTZ), (1, SECOND_HERTZ)] {
            let time = heard(&recording.channels[channel], own);
            let logs = format!("{}\n{}", first.output(), second.output());
            assert!(
                time > Duration::from_millis(2_500),
                "{codec}: channel {channel} has {own} Hz for {time:?}\n{logs}"
            );
        }
    }
}

#[test]
fn without_a_place_the_second_party_is_offered_what_the_first_one_speaks() {
    let duogate = start(0);
    let first = Baresip::start_speaking(FIRST_HERTZ, "G722");
    let mut application = duogate.application();
    let second = Baresip::start(SECOND_HERTZ);
    let res_id = application
        .construct(&json!({"to1_uri": first.uri(), "to2_uri": second.uri(), "max_answer_seconds": 2}));
    let dialled = application.events_until("on_released", Duration::from_secs(8));
    let story = Story::continued(dialled, &mut application, &res_id, 2);
    assert_eq!(story.field("on_released", "error")["reason"], "offer_refused", "{story:#?}");
    let both = Baresip::start_speaking(SECOND_HERTZ, "G722");
    let res_id = application
        .construct(&json!({"to1_uri": first.uri(), "to2_uri": both.uri(), "max_answer_seconds": 1}));
    let connected = application.events_until("on_connected", Duration::from_secs(8));
    Story::continued(connected, &mut application, &res_id, 2).demand_release(200, 0);
}
