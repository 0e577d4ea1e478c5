//! A callback between two phones that speak tones, and what each of them hears.
//!
//! Where in time something was heard is told by RTP timestamps, from the arrival of the stream's first packet on,
//! so a busy host shifts nothing. How long something between two steps of a script takes depends on signaling, too:
//! that is what [`about`] allows for.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use duogate_phone::phone::Phone;
use duogate_phone::sdp::Description;
use duogate_phone::tone::{Heard, Sound, Tone};
use duogate_phone::{Script, Step, What};
use serde_json::{Value, json};

use crate::application::{Application, Event};
use crate::duogate::Duogate;
use crate::judged::Judged;
use crate::patience;
use crate::story::Story;

/// What party 1 and party 2 speak, in Hz.
pub const VOICES: [u16; 2] = [1000, 1300];
/// The prompt.
pub const PROMPT: u16 = 620;
/// Early media.
pub const EARLY: u16 = 800;
/// The locally made ringback tone (`ringback = "cn"`).
pub const RINGBACK: u16 = 450;
/// A stranger's tone, which nobody may ever hear.
pub const STRANGER: u16 = 2000;

/// How long one step of a callback may take on a busy host.
const STEP: Duration = Duration::from_secs(10);

/// How long a callback may take from there to its end.
const END: Duration = Duration::from_secs(20);

/// Milliseconds that a stretch of sound may take.
pub type Length = RangeInclusive<u64>;

/// Exactly so long: two packets more or less, for the look of 20 ms at a time with edges in between.
#[must_use]
pub fn exactly(milliseconds: u64) -> Length {
    milliseconds - 40..=milliseconds + 40
}

/// As long as it takes from one step to another so much later, with signaling on a busy host in between.
#[must_use]
pub fn about(milliseconds: u64) -> Length {
    milliseconds.saturating_sub(350)..=milliseconds + 900
}

/// So long or longer.
#[must_use]
pub fn at_least(milliseconds: u64) -> Length {
    milliseconds..=u64::MAX
}

/// The phone of party 1 (0) or party 2 (1), which does nothing by itself yet.
#[must_use]
pub fn party(index: usize) -> Script {
    Script::new(Tone::new(VOICES[index]))
}

/// A callback under way.
pub struct Talk {
    phones: [Judged; 2],
    application: Application,
    res_id: String,
    events: Vec<Event>,
}

impl Talk {
    /// Asks for a callback between two phones with these scripts; `more` are further parameters.
    ///
    /// # Panics
    /// If there is no phone to be had, or the callback is refused.
    #[must_use]
    pub fn begin(duogate: &Duogate, scripts: [Script; 2], more: &Value) -> Self {
        let origin = Instant::now();
        let phones = scripts.map(|script| Judged::start(script, origin));
        let mut application = duogate.application();
        let mut params = json!({"to1_uri": phones[0].uri("one"), "to2_uri": phones[1].uri("two"), "max_answer_seconds": 1});
        for (name, value) in more.as_object().into_iter().flatten() {
            params[name] = value.clone();
        }
        let res_id = application.construct(&params);
        Self { phones, application, res_id, events: Vec::new() }
    }

    /// Reads events until the two are connected.
    ///
    /// # Panics
    /// If that does not happen in time.
    pub fn connect(&mut self) {
        self.events.extend(self.application.events_until("on_connected", STEP));
    }

    /// A party's phone.
    #[must_use]
    pub fn phone(&self, index: usize) -> &Phone {
        &self.phones[index]
    }

    /// The gateway's RTP address towards a party, from the INVITE that called it.
    ///
    /// # Panics
    /// If no INVITE with a description comes in time.
    #[must_use]
    pub fn gateway(&self, index: usize) -> std::net::SocketAddr {
        let phone = &self.phones[index];
        assert!(
            phone.wait(STEP, |what| matches!(what, What::Invited { .. })),
            "party {} is called",
            index + 1
        );
        let invite = phone.invites().remove(0);
        let body = invite.windows(4).position(|window| window == b"\r\n\r\n").expect("an end of the header");
        Description::parse(&invite[body + 4..]).expect("an offer").address
    }

    /// Lets a party do something, and waits until the other side has agreed to it.
    ///
    /// # Panics
    /// If a change of the session is not accepted in time.
    pub fn change(&self, index: usize, step: Step) {
        let accepted = |phone: &Phone| {
            let answers = phone.events().into_iter().map(|event| event.what);
            answers.filter(|what| *what == What::ChangeAnswered(200)).count()
        };
        let phone = &self.phones[index];
        let before = accepted(phone);
        phone.act(step);
        until("the change is accepted", || accepted(phone) > before);
    }

    /// The state that `get` tells.
    ///
    /// # Panics
    /// If the resource does not answer.
    pub fn state(&mut self) -> String {
        let view = self.application.resource("get", &self.res_id).expect("the resource answers");
        view["state"].as_str().expect("a state").to_owned()
    }

    /// Waits until a party has heard so much more of a tone than now.
    ///
    /// # Panics
    /// If it does not hear it in time.
    pub fn hear(&self, index: usize, hertz: u16, more: Duration) {
        let total = || total(&heard(&self.phones[index]), hertz);
        let before = total();
        until(&format!("party {} hears {hertz} Hz", index + 1), || total() >= before + more);
    }

    /// Reads the callback to its end; the phones must have received one faultless stream each.
    ///
    /// # Panics
    /// If it does not end, or a stream broke a rule of RTP.
    #[must_use]
    pub fn finish(self) -> Told {
        let told = self.finish_with_losses();
        for (index, phone) in told.phones.iter().enumerate() {
            assert_eq!(phone.reception().lost, 0, "lost on the way to party {}", index + 1);
        }
        told
    }

    /// The same where packets may get lost: a party that moves does not hear what was on its way to the old port.
    ///
    /// # Panics
    /// As [`Talk::finish`].
    #[must_use]
    pub fn finish_with_losses(mut self) -> Told {
        self.events.extend(self.application.events_until("on_released", END));
        // Every party that was called has its record, party 2 if it came to that.
        let legs = 1 + self.events.iter().filter(|event| event.name == "on_dial2_started").count();
        let story = Story::continued(self.events, &mut self.application, &self.res_id, legs);
        for (index, phone) in self.phones.iter().enumerate() {
            let reception = phone.reception();
            let faults = (&reception.violations[..], reception.more_violations, reception.duplicates);
            assert_eq!(faults, (&[][..], 0, 0), "the stream towards party {}: {reception:?}", index + 1);
        }
        Told { story, phones: self.phones }
    }
}

/// A callback that is over.
pub struct Told {
    /// What the application saw.
    pub story: Story,
    /// The phones, with what they heard.
    pub phones: [Judged; 2],
}

impl Told {
    /// What a party heard.
    #[must_use]
    pub fn heard(&self, index: usize) -> Vec<Heard> {
        heard(&self.phones[index])
    }

    /// When something first happened at a party's phone.
    ///
    /// # Panics
    /// If it did not.
    #[must_use]
    pub fn time_of(&self, index: usize, what: &What) -> Duration {
        let events = self.phones[index].events();
        let found = events.iter().find(|event| event.what == *what);
        found.unwrap_or_else(|| panic!("no {what:?} in {events:?}")).at
    }

    /// Demands what must hold for every callback that connects: party 2 hears party 1's voice and nothing else,
    /// and no voice is heard before party 2 has answered.
    ///
    /// # Panics
    /// If it was otherwise.
    pub fn demand_voices_only_after_connected(&self, case: &str) {
        let answered = self.time_of(1, &What::Answered);
        for (index, voice) in [(0, VOICES[1]), (1, VOICES[0])] {
            let heard = self.heard(index);
            let began = heard.iter().find(|heard| heard.sound == Sound::Tone(voice)).map(|heard| heard.from);
            let began = began.unwrap_or_else(|| panic!("{case}: {voice} Hz was never heard: {heard:?}"));
            // The phone speaks before it sends its answer, and notes the time when it has.
            assert!(began + ms(200) >= answered, "{case}: heard at {began:?}, answered at {answered:?}");
        }
        demand(case, &self.heard(1), &[(Sound::Tone(VOICES[0]), at_least(600))]);
    }
}

/// All tones that these tests know.
#[must_use]
pub fn tones() -> [Tone; 6] {
    [VOICES[0], VOICES[1], PROMPT, EARLY, RINGBACK, STRANGER].map(Tone::new)
}

/// Between two sources there may be a pause of less than a packet; so long a look at the edge holds neither of them.
const EDGE: Duration = ms(60);

/// What a phone heard, after the silence before its stream began.
#[must_use]
pub fn heard(phone: &Phone) -> Vec<Heard> {
    let mut heard = without_edges(phone.heard(&tones()));
    if heard.first().is_some_and(|first| first.sound == Sound::Silence) {
        heard.remove(0);
    }
    heard
}

/// Gives what is no known sound for a moment to the sound before it.
#[must_use]
pub fn without_edges(stretches: Vec<Heard>) -> Vec<Heard> {
    let mut clear: Vec<Heard> = Vec::new();
    for stretch in stretches {
        let edge = stretch.sound == Sound::Other && stretch.length() <= EDGE;
        match clear.last_mut() {
            Some(last) if edge || last.sound == stretch.sound => last.to = stretch.to,
            None if edge => {}
            _ => clear.push(stretch),
        }
    }
    clear
}

/// How long a tone was heard in all.
#[must_use]
pub fn total(heard: &[Heard], hertz: u16) -> Duration {
    heard.iter().filter(|heard| heard.sound == Sound::Tone(hertz)).map(Heard::length).sum()
}

/// Demands exactly these sounds one after the other, each so long.
///
/// # Panics
/// If something else was heard; the panic shows what.
pub fn demand(case: &str, heard: &[Heard], expected: &[(Sound, Length)]) {
    let sounds: Vec<Sound> = heard.iter().map(|heard| heard.sound).collect();
    let expected_sounds: Vec<Sound> = expected.iter().map(|(sound, _)| *sound).collect();
    assert_eq!(sounds, expected_sounds, "{case}: {heard:#?}");
    for (stretch, (_, length)) in heard.iter().zip(expected) {
        let milliseconds = u64::try_from(stretch.length().as_millis()).expect("a time below ages");
        assert!(
            length.contains(&milliseconds),
            "{case}: {stretch:?} is not within {length:?} ms: {heard:#?}"
        );
    }
}

/// Waits until something holds.
///
/// # Panics
/// If it does not in time.
pub fn until(what: &str, holds: impl FnMut() -> bool) {
    patience::until(what, STEP, holds);
}

/// Milliseconds.
#[must_use]
pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
