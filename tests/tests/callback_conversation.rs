//! Connected: what the two parties hear of each other, whatever they do to their sides of the call.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use duogate_phone::codec::Codec;
use duogate_phone::ear::Payloads;
use duogate_phone::sdp::Direction;
use duogate_phone::talker::{PACKET_TIME, Start, Talker};
use duogate_phone::tone::{Sound, Tone};
use duogate_phone::{Script, Step, What};
use duogate_tests::duogate::{Changes, Duogate};
use duogate_tests::talk::{
    RINGBACK, STRANGER, Talk, VOICES, about, at_least, demand, exactly, heard, ms, party, total, until,
};
use serde_json::json;

const SILENCE: Sound = Sound::Silence;
const VOICE: [Sound; 2] = [Sound::Tone(VOICES[0]), Sound::Tone(VOICES[1])];

/// What a party hears of the other, by its place.
const OTHERS: [(usize, u16); 2] = [(0, VOICES[1]), (1, VOICES[0])];

fn answering(index: usize) -> Script {
    party(index).answers_at(50)
}

/// Two that answer, and that talk until one of them hangs up.
fn connected(duogate: &Duogate, scripts: [Script; 2]) -> Talk {
    let mut talk = Talk::begin(duogate, scripts, &json!({"max_answer_seconds": 60}));
    talk.connect();
    talk
}

fn both_hear(talk: &Talk, more: Duration) {
    for (index, voice) in OTHERS {
        talk.hear(index, voice, more);
    }
}

#[test]
fn parties_with_different_laws_understand_each_other() {
    let duogate = Duogate::start();
    let laws = [[Codec::Pcma, Codec::Pcmu], [Codec::Pcmu, Codec::Pcma], [Codec::Pcmu, Codec::Pcmu]];
    let talks = laws.map(|[first, second]| {
        let scripts = [answering(0).codecs(&[first]), answering(1).codecs(&[second])];
        (first, second, Talk::begin(&duogate, scripts, &json!({})))
    });
    for (first, second, talk) in talks {
        let told = talk.finish();
        for (index, _) in OTHERS {
            let case = format!("{first:?} with {second:?}");
            demand(&case, &told.heard(index), &[(VOICE[1 - index], at_least(800))]);
        }
        // The loudness, too: a law taken for the other one is louder or softer, and distorted.
        let samples = told.phones[0].samples();
        let middle = &samples[samples.len() - 4000..samples.len() - 2000];
        let loudest = middle.iter().map(|sample| sample.unsigned_abs()).max();
        assert!((7600..8500).contains(&loudest.expect("samples")), "{first:?} with {second:?}: {loudest:?}");
    }
}

#[test]
fn keys_pass_between_parties_that_number_them_differently() {
    let duogate = Duogate::start();
    let talk = connected(&duogate, [answering(0), answering(1).event_type(96)]);
    // Party 2 offers anew, with its own number for telephone-event.
    talk.change(1, Step::Resume);
    talk.phone(0).act(Step::Press("15#".to_owned()));
    talk.phone(1).act(Step::Press("*0".to_owned()));
    let keys = |index: usize| -> String {
        let keys = talk.phone(index).reception().keys;
        keys.iter().filter(|key| key.ended).map(|key| key.key.character()).collect()
    };
    until("both have heard the keys", || keys(1).len() >= 3 && keys(0).len() >= 2);
    both_hear(&talk, ms(100));
    assert_eq!((keys(0), keys(1)), ("*0".to_owned(), "15#".to_owned()));
    talk.phone(0).act(Step::HangUp);
    let told = talk.finish();
    for phone in &told.phones {
        for key in phone.reception().keys {
            assert_eq!(key.held, ms(100), "{key:?}");
        }
    }
}

/// Holds in one direction, and takes the call back; gives what both heard.
fn hold(direction: Direction) -> [Vec<duogate_phone::tone::Heard>; 2] {
    let duogate = Duogate::start();
    let talk = connected(&duogate, [answering(0), answering(1)]);
    both_hear(&talk, ms(400));
    talk.change(0, Step::Direct(direction));
    let held = Instant::now();
    until("the hold has lasted", || held.elapsed() >= ms(600));
    talk.change(0, Step::Resume);
    both_hear(&talk, ms(400));
    talk.phone(1).act(Step::HangUp);
    let told = talk.finish();
    [told.heard(0), told.heard(1)]
}

#[test]
fn a_party_that_holds_hears_nothing_and_goes_on_in_the_same_stream() {
    let [first, second] = hold(Direction { send: true, receive: false });
    let held = [(VOICE[1], at_least(400)), (SILENCE, about(600)), (VOICE[1], at_least(400))];
    demand("the one who holds", &first, &held);
    demand("the one who is held hears what the other plays", &second, &[(VOICE[0], at_least(1400))]);
}

#[test]
fn on_an_inactive_call_nobody_hears_anything() {
    let heard = hold(Direction { send: false, receive: false });
    for (index, _) in OTHERS {
        let voice = VOICE[1 - index];
        let held = [(voice, at_least(400)), (SILENCE, about(600)), (voice, at_least(400))];
        demand(&format!("party {}", index + 1), &heard[index], &held);
    }
}

#[test]
fn a_party_that_moves_is_heard_and_hears_from_its_new_place() {
    let duogate = Duogate::start();
    let talk = connected(&duogate, [answering(0), answering(1)]);
    both_hear(&talk, ms(400));
    for index in [1, 0, 1] {
        let before = talk.phone(index).rtp_address().expect("an address");
        talk.change(index, Step::Move);
        assert_ne!(talk.phone(index).rtp_address().expect("an address"), before);
        both_hear(&talk, ms(300));
    }
    talk.phone(1).act(Step::HangUp);
    let told = talk.finish_with_losses();
    for (index, voice) in OTHERS {
        let heard = told.heard(index);
        assert!(total(&heard, voice) > ms(1300), "{heard:?}");
        let others =
            heard.iter().filter(|heard| !matches!(heard.sound, SILENCE) && heard.sound != VOICE[1 - index]);
        assert_eq!(others.count(), 0, "{heard:?}");
    }
}

/// Somebody who sends a tone to ports that are not his business, from the first moment on.
struct Intruder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Intruder {
    fn start(targets: Vec<SocketAddr>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
            let start = Start { ssrc: 666, sequence: 1, timestamp: 1 };
            let mut talker =
                Talker::new(Instant::now(), start, Payloads::of(Codec::Pcma, None), Tone::new(STRANGER))
                    .expect("an encoder");
            while !stopped.load(Ordering::Acquire) {
                let packet = talker.packet().expect("it is never quiet");
                for target in &targets {
                    // What the kernel refuses reaches nobody, which is what is wanted.
                    let _ = socket.send_to(&packet, target);
                }
                std::thread::sleep(PACKET_TIME / 4);
            }
            talker.sent()
        });
        Self { stop, thread }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the intruder sends to its end")
    }
}

#[test]
fn strangers_are_never_heard_and_never_recorded() {
    let duogate = Duogate::start();
    let ringing = |index| party(index).rings_at(0).answers_at(400);
    let more = json!({"record_file": "talk.wav", "record_mode": 1});
    let talk = Talk::begin(&duogate, [ringing(0), ringing(1)], &more);
    let intruder = Intruder::start(vec![talk.gateway(0), talk.gateway(1)]);
    let told = talk.finish();
    assert!(intruder.stop() > 200, "the intruder was at it all the time");
    for (index, _) in OTHERS {
        let heard = told.heard(index);
        let mut own: Vec<Sound> = heard.iter().map(|heard| heard.sound).collect();
        own.retain(|sound| !matches!(*sound, SILENCE | Sound::Tone(RINGBACK)));
        assert_eq!(own, [VOICE[1 - index]], "party {}: {heard:?}", index + 1);
    }
    let recording = duogate_tests::wav::read(&duogate.recording("talk.wav"));
    for (channel, samples) in recording.channels.iter().enumerate() {
        let heard = duogate_phone::tone::listen(samples, &duogate_tests::talk::tones());
        assert_eq!(total(&heard, STRANGER), Duration::ZERO, "channel {channel}: {heard:?}");
        assert!(total(&heard, VOICES[channel]) > ms(800), "channel {channel}: {heard:?}");
    }
}

fn impatient() -> Duogate {
    Duogate::start_with(&Changes::none().with("media", "silence_timeout_seconds = 1"))
}

#[test]
fn a_party_that_falls_silent_ends_the_call() {
    let duogate = impatient();
    let talks = [0, 1].map(|index| (index, connected(&duogate, [answering(0), answering(1)])));
    for (index, talk) in &talks {
        both_hear(talk, ms(200));
        talk.phone(*index).act(Step::Mute(true));
    }
    for (index, talk) in talks {
        let told = talk.finish();
        assert_eq!(told.story.field("on_released", "error")["reason"], "media_timeout", "{:#?}", told.story);
        assert_eq!(*told.story.field("on_released", "released_by"), 0);
        let heard = told.heard(index);
        let (_, voice) = OTHERS[1 - index];
        assert!(total(&told.heard(1 - index), voice) > ms(200));
        let lasted = heard.last().expect("the other's voice").to;
        let fell_silent = told
            .heard(1 - index)
            .iter()
            .rfind(|heard| heard.sound == Sound::Tone(voice))
            .expect("a voice")
            .to;
        assert!(lasted > fell_silent + ms(800), "party {} was given a second: {heard:?}", index + 1);
    }
}

#[test]
fn a_party_on_hold_may_be_silent_for_as_long_as_it_likes() {
    let duogate = impatient();
    let holds = [(true, false), (false, true), (false, false)];
    let mut talks = holds.map(|(send, receive)| {
        let talk = connected(&duogate, [answering(0), answering(1)]);
        (Direction { send, receive }, talk)
    });
    for (direction, talk) in &talks {
        both_hear(talk, ms(200));
        talk.change(0, Step::Direct(*direction));
        talk.phone(0).act(Step::Mute(true));
    }
    let silent = Instant::now();
    until("twice the time-out has passed", || silent.elapsed() >= ms(2200));
    for (direction, talk) in &mut talks {
        assert_eq!(talk.state(), "Connected", "{direction:?}");
        talk.phone(0).act(Step::Mute(false));
        talk.change(0, Step::Resume);
    }
    for (_, talk) in talks {
        both_hear(&talk, ms(200));
        talk.phone(0).act(Step::HangUp);
        let told = talk.finish();
        told.story.demand_release(200, 1);
    }
}

#[test]
fn a_party_that_answers_on_hold_is_sent_nothing_until_it_says_where() {
    let duogate = impatient();
    let mut talk = connected(&duogate, [answering(0), party(1).at(50, Step::AnswerHeld)]);
    let answered = Instant::now();
    until("longer than the time-out has passed", || answered.elapsed() >= ms(1300));
    assert_eq!(talk.state(), "Connected");
    assert_eq!(talk.phone(1).reception().packets, 0, "0.0.0.0 is no place, and not this host either");
    let hears_nothing = heard(talk.phone(0));
    assert_eq!(
        total(&hears_nothing, VOICES[1]),
        Duration::ZERO,
        "it cannot be known from where: {hears_nothing:?}"
    );
    talk.change(1, Step::Resume);
    both_hear(&talk, ms(300));
    talk.phone(0).act(Step::HangUp);
    let told = talk.finish();
    assert!(told.time_of(1, &What::Answered) > Duration::ZERO);
    demand("party 2", &told.heard(1), &[(VOICE[0], at_least(300))]);
}

#[test]
fn a_change_of_the_voice_is_no_change_of_the_stream() {
    let duogate = Duogate::start();
    let second = party(1)
        .answers_at(0)
        .at(700, Step::Speak(Tone::silence()))
        .at(1200, Step::Speak(Tone::new(VOICES[1])));
    let talk = Talk::begin(&duogate, [answering(0), second], &json!({"max_answer_seconds": 2}));
    let told = talk.finish();
    let expected = [(VOICE[1], about(600)), (SILENCE, exactly(500)), (VOICE[1], at_least(400))];
    demand("party 1", &told.heard(0), &expected);
}
