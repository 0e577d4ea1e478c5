//! What the demonstration proves, by sound and by events.

use std::time::Duration;

use duogate_phone::ear::Reception;
use duogate_phone::tone::{Heard, Sound, Tone, listen, time_of};
use duogate_phone::wave::Wave;

use super::chime;
use crate::rpc::Event;

/// What party 1 speaks: G4.
pub(crate) const VOICE1: u16 = 392;
/// What party 2 speaks: D4.
pub(crate) const VOICE2: u16 = 294;
/// China's ringback: 450 Hz, 1 s on, 4 s off.
pub(crate) const RINGBACK: u16 = 450;
/// How far a time may be from where it should be: packets are 20 ms, windows 40 ms, a loaded host is late.
const TOLERANCE: Duration = Duration::from_millis(250);

/// All that is listened for.
pub(crate) fn tones() -> Vec<Tone> {
    chime::NOTES.iter().chain(&[VOICE1, VOICE2, RINGBACK]).map(|hz| Tone::new(*hz)).collect()
}

/// When the things happened that decide what is to be heard, counted as the phones count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// Party 2 is called: the prompt starts.
    pub(crate) called: Duration,
    /// Party 2 rings: the prompt ends, ringback starts.
    pub(crate) rang: Duration,
    /// Party 2 answers.
    pub(crate) answered: Duration,
    /// Party 2 hangs up.
    pub(crate) ended: Duration,
}

/// What one phone heard, and how.
pub(crate) struct Ear {
    pub(crate) heard: Vec<Heard>,
    pub(crate) reception: Reception,
}

/// One thing that was to be shown.
pub(crate) struct Check {
    pub(crate) what: &'static str,
    /// What was found; an error if it is not what should be.
    pub(crate) found: Result<String, String>,
}

fn check(what: &'static str, good: bool, found: String) -> Check {
    Check { what, found: if good { Ok(found) } else { Err(found) } }
}

fn near(a: Duration, b: Duration) -> bool {
    a.abs_diff(b) <= TOLERANCE
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// How long a tone was heard, and from when to when.
fn span(heard: &[Heard], is: impl Fn(u16) -> bool) -> Option<(Duration, Duration, Duration)> {
    let mut found = heard.iter().filter(|heard| matches!(heard.sound, Sound::Tone(hz) if is(hz)));
    let first = found.next()?;
    let (mut total, mut end) = (first.length(), first.to);
    for next in found {
        total += next.length();
        end = next.to;
    }
    Some((total, first.from, end))
}

/// Party 1 hears the chime from the call to party 2 on, until party 2 rings, over and over, in order.
pub(crate) fn prompt(ear: &Ear, times: Times) -> Check {
    let what = "party 1 heard the prompt";
    let is_note = |hz: u16| chime::NOTES.contains(&hz);
    let Some((_, from, to)) = span(&ear.heard, is_note) else {
        return check(what, false, "nothing of it".into());
    };
    let notes: Vec<u16> = ear.heard.iter().filter_map(|heard| note(heard.sound)).collect();
    let in_order = notes.iter().zip(chime::NOTES.iter().cycle()).all(|(heard, played)| heard == played);
    // The chime may be in its rest when party 2 rings.
    let in_time =
        near(from, times.called) && to <= times.rang + TOLERANCE && to + chime::length() >= times.rang;
    let found = format!("{} notes over {}", notes.len(), seconds(to.saturating_sub(from)));
    check(what, in_order && in_time && notes.len() >= 8, found)
}

fn note(sound: Sound) -> Option<u16> {
    match sound {
        Sound::Tone(hz) if chime::NOTES.contains(&hz) => Some(hz),
        _ => None,
    }
}

/// Party 1 hears one second of ringback when party 2 rings.
pub(crate) fn ringback(ear: &Ear, times: Times) -> Check {
    let what = "party 1 heard ringback";
    let Some((total, from, _)) = span(&ear.heard, |hz| hz == RINGBACK) else {
        return check(what, false, "nothing of it".into());
    };
    let right = near(from, times.rang) && near(total, Duration::from_secs(1));
    check(what, right, format!("{RINGBACK} Hz for {}", seconds(total)))
}

/// A party hears the other's voice for as long as both are connected.
pub(crate) fn voice(what: &'static str, ear: &Ear, hz: u16, times: Times) -> Check {
    let talk = times.ended.saturating_sub(times.answered);
    let Some((total, from, _)) = span(&ear.heard, |heard| heard == hz) else {
        return check(what, false, "nothing of it".into());
    };
    let right = near(total, talk) && near(from, times.answered);
    check(what, right, format!("{hz} Hz for {} of {}", seconds(total), seconds(talk)))
}

/// Party 2 hears party 1's voice alone: neither prompt nor ringback.
pub(crate) fn nothing_else(ear: &Ear) -> Check {
    let other = span(&ear.heard, |hz| hz != VOICE1).map_or(Duration::ZERO, |(total, ..)| total);
    let strange: Duration =
        ear.heard.iter().filter(|heard| heard.sound == Sound::Other).map(Heard::length).sum();
    let found = format!("{} of anything else", seconds(other + strange));
    check("party 2 heard no prompt and no ringback", other.is_zero() && strange <= TOLERANCE, found)
}

/// A stream without loss, and without a rule broken.
pub(crate) fn stream(what: &'static str, ear: &Ear) -> Check {
    let Reception { packets, lost, violations, more_violations, .. } = &ear.reception;
    let mut found = format!("{packets} packets, {lost} lost, ");
    let broken = violations.len() as u64 + more_violations;
    match violations.first() {
        None => found += "one unbroken stream",
        Some(first) => found += &format!("{broken} rules of RTP broken: {first}"),
    }
    check(what, *packets > 0 && *lost == 0 && broken == 0, found)
}

/// The recording has party 1 left and party 2 right, for as long as both were connected.
pub(crate) fn recording(wave: &Wave, times: Times) -> Check {
    let what = "the recording has party 1 left, party 2 right";
    let [left, right] = &wave.channels[..] else {
        return check(what, false, format!("{} channels", wave.channels.len()));
    };
    let talk = times.ended.saturating_sub(times.answered);
    let length = time_of(left.len() as u64);
    let share = |channel: &[i16], hz| {
        span(&listen(channel, &tones()), |heard| heard == hz).map_or(Duration::ZERO, |s| s.0)
    };
    let voices = [share(left, VOICE1), share(right, VOICE2)];
    let wrong = share(left, VOICE2) + share(right, VOICE1);
    let right = near(length, talk) && voices.iter().all(|voice| near(*voice, talk)) && wrong.is_zero();
    let found = format!(
        "{}: left {VOICE1} Hz for {}, right {VOICE2} Hz for {}",
        seconds(length),
        seconds(voices[0]),
        seconds(voices[1])
    );
    check(what, right, found)
}

/// Every event came once and in its order, and the call and the recording ended well.
pub(crate) fn events(events: &[Event]) -> Check {
    let what = "the events came whole and in order";
    let numbers: Vec<u64> = events.iter().filter_map(|event| event.params["seq"].as_u64()).collect();
    let in_order = numbers.iter().copied().eq(1..=events.len() as u64);
    let well = |name: &str| {
        let mut found = events.iter().filter(|event| event.name() == name);
        found.next().is_some_and(|event| event.params["error"].is_null()) && found.next().is_none()
    };
    let complete = ["on_dial1_completed", "on_dial2_completed", "on_record_completed", "on_released"];
    let bad: Vec<&str> = complete.into_iter().filter(|name| !well(name)).collect();
    let found = match (in_order, bad.is_empty()) {
        (true, true) => format!("{} events, no gap", events.len()),
        (false, _) => format!("their numbers are {numbers:?}"),
        (_, false) => format!("not once and well: {}", bad.join(", ")),
    };
    check(what, in_order && bad.is_empty(), found)
}

/// What was heard, in words.
pub(crate) fn in_words(heard: &[Heard]) -> String {
    let mut words: Vec<(String, Duration, Duration)> = Vec::new();
    let mut chiming = false;
    for stretch in heard {
        let is_rest = stretch.sound == Sound::Silence && stretch.length() < chime::length();
        let name = match stretch.sound {
            Sound::Tone(hz) if chime::NOTES.contains(&hz) => "prompt",
            Sound::Silence if chiming && is_rest => "prompt",
            Sound::Tone(RINGBACK) => "ringback",
            Sound::Tone(VOICE1) => "party 1",
            Sound::Tone(VOICE2) => "party 2",
            Sound::Silence => "silence",
            Sound::Tone(_) | Sound::Other => "something else",
        };
        chiming = name == "prompt";
        match words.last_mut() {
            Some(last) if last.0 == name => last.2 = stretch.to,
            _ => words.push((name.to_owned(), stretch.from, stretch.to)),
        }
    }
    let audible = ["prompt", "ringback", "party 1", "party 2"];
    // Windows across an edge between two sounds are neither of them.
    let worth =
        words.iter().filter(|(name, from, to)| audible.contains(&name.as_str()) || *to - *from > TOLERANCE);
    let told: Vec<String> =
        worth.map(|(name, from, to)| format!("{name} {:.1} s", (*to - *from).as_secs_f64())).collect();
    told.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use duogate_phone::tone::Tone;
    use serde_json::json;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    const TIMES: Times = Times {
        called: Duration::from_secs(1),
        rang: Duration::from_secs(4),
        answered: Duration::from_millis(6500),
        ended: Duration::from_millis(8500),
    };

    /// What party 1 should hear, with some part of it replaced.
    fn party1(ringback: u16, voice: u16, prompt: u64) -> Ear {
        let mut samples = vec![0; 8000];
        samples.extend(chime::samples().iter().cycle().take(usize::try_from(prompt * 8).expect("small")));
        samples.extend(Tone::new(ringback).samples(ms(1000)));
        samples.resize(6500 * 8, 0);
        samples.extend(Tone::new(voice).samples(ms(2000)));
        Ear { heard: listen(&samples, &tones()), reception: Reception::default() }
    }

    #[test]
    fn what_should_be_heard_is_found() {
        let ear = party1(RINGBACK, VOICE2, 3000);
        for check in [prompt(&ear, TIMES), ringback(&ear, TIMES), voice("", &ear, VOICE2, TIMES)] {
            assert!(check.found.is_ok(), "{}: {:?}", check.what, check.found);
        }
        assert_eq!(
            in_words(&ear.heard),
            "silence 1.0 s · prompt 3.0 s · ringback 1.0 s · silence 1.5 s · party 2 2.0 s"
        );
    }

    #[test]
    fn what_is_wrong_is_noticed() {
        assert!(prompt(&party1(RINGBACK, VOICE2, 0), TIMES).found.is_err());
        assert!(prompt(&party1(RINGBACK, VOICE2, 1000), TIMES).found.is_err());
        assert!(ringback(&party1(600, VOICE2, 3000), TIMES).found.is_err());
        assert!(ringback(&party1(RINGBACK, VOICE2, 2000), TIMES).found.is_err());
        assert!(voice("", &party1(RINGBACK, VOICE1, 3000), VOICE2, TIMES).found.is_err());
        assert!(nothing_else(&party1(RINGBACK, VOICE1, 3000)).found.is_err());
        assert!(stream("", &party1(RINGBACK, VOICE2, 3000)).found.is_err());
    }

    #[test]
    fn channels_are_told_apart() {
        let wave = |left, right| Wave {
            rate: 8000,
            format: 6,
            channels: vec![Tone::new(left).samples(ms(2000)), Tone::new(right).samples(ms(2000))],
        };
        assert!(recording(&wave(VOICE1, VOICE2), TIMES).found.is_ok());
        assert!(recording(&wave(VOICE2, VOICE1), TIMES).found.is_err());
        let mono = Wave { channels: vec![Tone::new(VOICE1).samples(ms(2000))], ..wave(VOICE1, VOICE2) };
        assert!(recording(&mono, TIMES).found.is_err());
    }

    #[test]
    fn events_are_counted() {
        let event = |seq: u64, name: &str| Event {
            method: format!("ext.duo_callback.{name}"),
            params: json!({"seq": seq, "error": null}),
        };
        let names = ["on_dial1_completed", "on_dial2_completed", "on_released", "on_record_completed"];
        let good: Vec<Event> = (1..).zip(names).map(|(seq, name)| event(seq, name)).collect();
        assert!(events(&good).found.is_ok());
        assert!(events(&good[..3]).found.is_err());
        assert!(events(&[&good[1..], &good[..1]].concat()).found.is_err());
        let twice = [&good[..], &[event(5, "on_released")]].concat();
        assert!(events(&twice).found.is_err());
    }
}
