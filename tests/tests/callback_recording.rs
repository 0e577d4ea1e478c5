//! Recordings: what is in the file, by the tone of each party, for every mode, format and number of channels; how long
//! it is, and what is told of it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use duogate_phone::sdp::Direction;
use duogate_phone::tone::{Heard, Sound, Tone, listen, time_of};
use duogate_phone::wave::Wave;
use duogate_phone::{Script, Step};
use duogate_tests::duogate::{Changes, Duogate};
use duogate_tests::patience;
use duogate_tests::story::Story;
use duogate_tests::talk::{
    EARLY, PROMPT, Talk, VOICES, about, at_least, demand, ms, party, tones, total, without_edges,
};
use duogate_tests::wav;
use serde_json::{Value, json};

const SILENCE: Sound = Sound::Silence;
const VOICE: [Sound; 2] = [Sound::Tone(VOICES[0]), Sound::Tone(VOICES[1])];

/// WAVE format codes by the names of the interface.
const FORMATS: [(&str, u16, usize); 3] = [("alaw", 6, 1), ("ulaw", 7, 1), ("pcm16", 1, 2)];

/// Checks what is told of a recording against its file, and reads it.
fn saved(duogate: &Duogate, story: &Story, name: &str, octets_a_sample: usize) -> Wave {
    saved_as(duogate, story, name, octets_a_sample, true)
}

/// The same; `whole`: it covers all the time from its beginning to its end.
fn saved_as(duogate: &Duogate, story: &Story, name: &str, octets_a_sample: usize, whole: bool) -> Wave {
    assert_eq!(story.count("on_record_completed"), 1, "{story:#?}");
    let told = |field| story.field("on_record_completed", field);
    assert!(told("error").is_null(), "{name}: {story:#?}");
    assert_eq!(told("record_file"), name);
    let path = duogate.recording(name);
    let size = fs::metadata(&path).unwrap_or_else(|error| panic!("{name}: {error}")).len();
    assert_eq!(told("bytes").as_u64(), Some(size), "{name}: the size of the file");
    let wave = wav::read(&path);
    assert_eq!(wave.rate, 8000, "{name}");
    let length = time_of(wave.channels[0].len() as u64);
    let duration = told("duration_seconds").as_f64().expect("a number");
    assert!((length.as_secs_f64() - duration).abs() <= 0.02, "{name}: {length:?} long, {duration} told");
    let [begin, end] = ["begin_time", "end_time"].map(|field| told(field).as_f64().expect("a time"));
    assert!(!whole || (end - begin - duration).abs() < 0.5, "{name}: {duration} s between {begin} and {end}");
    let sound = wave.channels.len() * wave.channels[0].len() * octets_a_sample;
    assert!((sound..sound + 128).contains(&usize::try_from(size).expect("a size")), "{name}: {size} octets");
    wave
}

fn said(samples: &[i16]) -> Vec<Heard> {
    without_edges(listen(samples, &tones()))
}

/// A callback of a second and a half, in which party 2 falls silent after half a second.
fn half_silent(duogate: &Duogate, more: &Value) -> Talk {
    let second = party(1).answers_at(100).at(850, Step::Mute(true));
    let mut params = json!({"max_answer_seconds": 2});
    for (name, value) in more.as_object().into_iter().flatten() {
        params[name] = value.clone();
    }
    Talk::begin(duogate, [party(0).answers_at(50), second], &params)
}

#[test]
fn every_format_holds_one_party_a_channel() {
    let duogate = Duogate::start();
    let talks = FORMATS.map(|(format, code, octets)| {
        let name = format!("{format}.wav");
        let more = json!({"record_file": name, "record_format": format});
        (name, code, octets, half_silent(&duogate, &more))
    });
    for (name, code, octets, talk) in talks {
        let told = talk.finish();
        let wave = saved(&duogate, &told.story, &name, octets);
        assert_eq!((wave.format, wave.channels.len()), (code, 2), "{name}: two channels are the default");
        let connected = told.story.field("on_released", "duration_seconds").as_f64().expect("a number");
        let length = time_of(wave.channels[0].len() as u64).as_secs_f64();
        assert!((length - connected).abs() < 0.3, "{name}: {length} s of {connected} s");
        let [first, second] = [said(&wave.channels[0]), said(&wave.channels[1])];
        demand(&name, &spoken(&first), &[(VOICE[0], at_least(1600))]);
        demand(&name, &spoken(&second), &[(VOICE[1], about(700)), (SILENCE, at_least(600))]);
        listed(&duogate, &told.story, &name);
    }
}

/// The manifest's line of a recording of a callback between parties of which the second fell silent.
fn listed(duogate: &Duogate, story: &Story, name: &str) {
    let told = |field| story.field("on_record_completed", field);
    let mut line = Value::Null;
    patience::until("the manifest has it", Duration::from_secs(5), || {
        let text = fs::read_to_string(duogate.recording("recordings.jsonl")).unwrap_or_default();
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
        line = lines.find(|line| line["record_file"] == name).unwrap_or_default();
        !line.is_null()
    });
    for field in ["begin_time", "end_time", "duration_seconds", "bytes", "lost_packets", "error", "res_id"] {
        assert_eq!(&line[field], told(field), "{field}: {line}");
    }
    assert_eq!((&line["format"], &line["channels"]), (&json!(name.split('.').next()), &json!(2)));
    for (index, party) in [(0, "one"), (1, "two")] {
        let track = &line["parties"][index];
        assert!(track["to_uri"].as_str().is_some_and(|uri| uri.contains(party)), "{line}");
        assert_eq!((&track["party"], &track["packets_lost"]), (&json!(index + 1), &json!(0)), "{line}");
    }
    let silent = |index: usize| line["parties"][index]["silent_seconds"].as_f64().expect("a number");
    assert!(silent(1) > silent(0) + 0.5, "party 2 fell silent: {line}");
}

#[test]
fn a_recording_in_opus_is_saved_with_its_length() {
    let duogate = Duogate::start();
    let more = json!({"record_file": "opus.ogg", "record_format": "opus"});
    let told = half_silent(&duogate, &more).finish();
    let field = |field| told.story.field("on_record_completed", field);
    assert!(field("error").is_null(), "{:#?}", told.story);
    let file = fs::read(duogate.recording("opus.ogg")).expect("the file");
    assert_eq!(field("bytes").as_u64(), Some(file.len() as u64));
    assert!(file.starts_with(b"OggS") && file[28..].starts_with(b"OpusHead\x01\x02"));
    let last = file.windows(5).rposition(|window| window == b"OggS\0").expect("a page");
    assert_eq!(file[last + 5], 4, "it has an end");
    let position = u64::from_le_bytes(file[last + 6..last + 14].try_into().expect("eight octets"));
    let seconds = Duration::from_micros(position * 1_000_000 / 48_000).as_secs_f64();
    let duration = field("duration_seconds").as_f64().expect("a number");
    assert!((seconds - duration).abs() < 0.02 && duration > 1.5, "{seconds} s, {duration} s told");
    listed(&duogate, &told.story, "opus.ogg");
}

/// Nobody hears the other.
const INACTIVE: Direction = Direction { send: false, receive: false };

/// A recording of a callback that is held for 0.8 s.
fn held(hold: &str) -> f64 {
    let changes = Changes::none().with("media", &format!("record_hold = \"{hold}\""));
    let duogate = Duogate::start_with(&changes);
    let first = party(0).answers_at(50).at(600, Step::Direct(INACTIVE)).at(1400, Step::Resume);
    let more = json!({"record_file": "held.wav", "max_answer_seconds": 2});
    let told = Talk::begin(&duogate, [first, party(1).answers_at(100)], &more).finish();
    let wave = saved_as(&duogate, &told.story, "held.wav", 1, hold == "silence");
    let [first, second] = [said(&wave.channels[0]), said(&wave.channels[1])];
    if hold == "silence" {
        demand(
            "the one who holds",
            &spoken(&first),
            &[(VOICE[0], at_least(300)), (SILENCE, about(800)), (VOICE[0], at_least(300))],
        );
    } else {
        assert!(total(&first, VOICES[0]) > ms(800), "{first:?}");
        assert!(total(&second, VOICES[1]) > ms(800), "{second:?}");
    }
    time_of(wave.channels[0].len() as u64).as_secs_f64()
}

#[test]
fn hold_is_in_a_recording_or_left_out_as_the_setting_says() {
    let whole = held("silence");
    let paused = held("pause");
    assert!((0.5..1.2).contains(&(whole - paused)), "{whole} s, without hold {paused} s");
}

/// Without the short time before the first packet of who is recorded, and the one after his last.
fn spoken(said: &[Heard]) -> Vec<Heard> {
    let short = |said: &Heard| said.sound == SILENCE && said.length() < ms(450);
    ending(&said[usize::from(said.first().is_some_and(short))..])
}

/// Without the short time after the last packet of who is recorded: a party that is told the end falls silent at once,
/// and the gateway is told at the same time.
fn ending(said: &[Heard]) -> Vec<Heard> {
    match said {
        [before @ .., last] if last.sound == SILENCE && last.length() < ms(450) => before.to_vec(),
        all => all.to_vec(),
    }
}

#[test]
fn every_format_holds_both_parties_mixed() {
    let duogate = Duogate::start();
    let talks = FORMATS.map(|(format, code, octets)| {
        let name = format!("mixed-{format}.wav");
        let more = json!({"record_file": name, "record_format": format, "record_channels": 1});
        (name, code, octets, half_silent(&duogate, &more))
    });
    for (name, code, octets, talk) in talks {
        let told = talk.finish();
        let wave = saved(&duogate, &told.story, &name, octets);
        assert_eq!((wave.format, wave.channels.len()), (code, 1), "{name}");
        let samples = &wave.channels[0];
        let both = [Tone { frequencies: VOICES, amplitude: 0 }];
        let together = total(&listen(samples, &both), VOICES[0]);
        let alone = total(&listen(samples, &[Tone::new(VOICES[0])]), VOICES[0]);
        // Of the two tones together one alone is the smaller part; where only one is spoken, both looks find it.
        assert!(alone >= ms(600), "{name}: party 1 alone for {alone:?}");
        assert!(together >= alone + ms(350), "{name}: both for {:?}", together.saturating_sub(alone));
    }
}

/// Both ring before they answer, party 2 with early media.
fn ringing() -> [Script; 2] {
    let second = party(1).early_media_at(500, Tone::new(EARLY)).answers_at(1100);
    [party(0).rings_at(0).answers_at(500), second]
}

#[test]
fn a_recording_begins_where_its_mode_says() {
    let duogate = Duogate::start();
    let talks = [0, 1, 2].map(|mode| {
        let name = format!("mode-{mode}/talk.wav");
        let more = json!({"record_file": name, "record_mode": mode});
        (mode, name, Talk::begin(&duogate, ringing(), &more))
    });
    let early = Sound::Tone(EARLY);
    for (mode, name, talk) in talks {
        let told = talk.finish();
        let wave = saved(&duogate, &told.story, &name, 1);
        let [first, second] = [said(&wave.channels[0]), said(&wave.channels[1])];
        let talked = (VOICE[1], at_least(700));
        match mode {
            0 => {
                demand(&name, &spoken(&first), &[(VOICE[0], at_least(700))]);
                demand(&name, &spoken(&second), &[talked]);
            }
            1 => {
                demand(&name, &ending(&first), &[(SILENCE, about(500)), (VOICE[0], at_least(1700))]);
                demand(&name, &ending(&second), &[(SILENCE, about(1000)), (early, about(600)), talked]);
            }
            _ => {
                demand(&name, &spoken(&first), &[(VOICE[0], at_least(1700))]);
                demand(&name, &ending(&second), &[(SILENCE, about(500)), (early, about(600)), talked]);
            }
        }
    }
}

#[test]
fn what_is_played_to_a_party_is_not_what_it_says() {
    let duogate = Duogate::start();
    wav::write_tone(&duogate.folder().join("prompts/prompt.wav"), PROMPT, ms(500));
    let second = party(1).rings_at(300).answers_at(800);
    let more = json!({"record_file": "p.wav", "record_mode": 2, "ring_play_file": "prompt.wav", "ring_play_mode": 1});
    let told = Talk::begin(&duogate, [party(0).answers_at(0), second], &more).finish();
    assert!(total(&told.heard(0), PROMPT) > ms(500), "party 1 heard the prompt: {:?}", told.heard(0));
    let wave = saved(&duogate, &told.story, "p.wav", 1);
    for samples in &wave.channels {
        assert_eq!(total(&said(samples), PROMPT), Duration::ZERO, "{:?}", said(samples));
    }
}

#[test]
fn who_is_held_or_moves_stays_in_his_place_of_the_recording() {
    let duogate = Duogate::start();
    let more = json!({"record_file": "held.wav", "max_answer_seconds": 60});
    let mut talk = Talk::begin(&duogate, [party(0).answers_at(0), party(1).answers_at(0)], &more);
    talk.connect();
    talk.hear(0, VOICES[1], ms(400));
    talk.change(0, Step::Move);
    talk.hear(1, VOICES[0], ms(300));
    talk.phone(1).act(Step::Mute(true));
    let before = talk.phone(0).sent();
    duogate_tests::talk::until("party 1 has spoken alone", || talk.phone(0).sent() > before + 30);
    talk.phone(1).act(Step::Mute(false));
    talk.hear(0, VOICES[1], ms(300));
    talk.phone(0).act(Step::HangUp);
    let told = talk.finish_with_losses();
    let wave = saved(&duogate, &told.story, "held.wav", 1);
    let second = spoken(&said(&wave.channels[1]));
    let expected = [(VOICE[1], at_least(600)), (SILENCE, about(600)), (VOICE[1], at_least(200))];
    demand("party 2", &second, &expected);
    let first = said(&wave.channels[0]);
    assert!(total(&first, VOICES[0]) > ms(1400), "{first:?}");
    assert!(first.iter().all(|said| said.sound == VOICE[0] || said.sound == SILENCE), "{first:?}");
}

/// All recordings beneath a folder: not the manifest, nor the hidden files that are Duogate's own.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries
        .flat_map(|entry| {
            let path = entry.path();
            let name = entry.file_name();
            let hidden = name.as_encoded_bytes().starts_with(b".") || name == "recordings.jsonl";
            match (path.is_dir(), hidden) {
                (true, _) => files(&path),
                (false, true) => Vec::new(),
                (false, false) => vec![path.display().to_string()],
            }
        })
        .collect()
}

#[test]
fn a_recording_that_never_begins_ends_in_one_event_and_no_file() {
    let duogate = Duogate::start();
    let busy = |index: usize| party(index).refuses_at(300, 486);
    let cases = [
        ("party 1 busy", 0, [busy(0), party(1)]),
        ("party 2 busy", 0, [party(0).answers_at(0), busy(1)]),
        ("party 1 busy, from the second call on", 2, [busy(0), party(1)]),
        ("party 1 hangs up", 0, [party(0).answers_at(0).hangs_up_at(500), party(1).rings_at(0)]),
    ];
    let talks = cases.map(|(case, mode, scripts)| {
        let more = json!({"record_file": format!("{case}.wav"), "record_mode": mode});
        (case, Talk::begin(&duogate, scripts, &more))
    });
    for (case, talk) in talks {
        let told = talk.finish();
        assert_eq!(told.story.count("on_record_completed"), 1, "{case}: {:#?}", told.story);
        let error = told.story.field("on_record_completed", "error");
        assert_eq!(error["reason"], "never_began", "{case}: {error}");
        assert_eq!(told.story.field("on_record_completed", "bytes").as_u64(), Some(0), "{case}");
    }
    assert_eq!(files(&duogate.folder().join("recordings")), Vec::<String>::new());
}

#[test]
fn a_recording_that_has_begun_is_saved_whatever_becomes_of_the_call() {
    let duogate = Duogate::start();
    let cases = [
        ("party 1 busy", [party(0).rings_at(0).refuses_at(500, 486), party(1)]),
        ("party 2 busy", [party(0).answers_at(0), party(1).refuses_at(500, 486)]),
    ];
    let talks = cases.map(|(case, scripts)| {
        let name = format!("{case}.wav");
        let more = json!({"record_file": name, "record_mode": 1});
        (name, Talk::begin(&duogate, scripts, &more))
    });
    for (name, talk) in talks {
        let told = talk.finish();
        let wave = saved(&duogate, &told.story, &name, 1);
        assert_eq!(total(&said(&wave.channels[1]), VOICES[1]), Duration::ZERO, "{name}");
        let length = time_of(wave.channels[0].len() as u64);
        assert!((ms(400)..ms(1800)).contains(&length), "{name}: {length:?}");
    }
    let left: Vec<String> = files(&duogate.folder().join("recordings"));
    assert!(left.len() == 2 && left.iter().all(|name| name.ends_with(".wav")), "{left:?}");
}
