//! A callback between two phones with sound.

use std::time::{Duration, Instant};

use duogate_phone::tone::Tone;
use duogate_phone::{Script, What};
use serde_json::{Value, json};

use crate::application::{Application, Event};
use crate::duogate::{Changes, Duogate};
use crate::judged::Judged;
use crate::patience::until;
use crate::story::Story;

/// How long one step of a callback may take on a busy machine.
pub const STEP: Duration = Duration::from_secs(8);

/// What party 1 and party 2 say, in hertz.
pub const VOICES: [u16; 2] = [500, 900];

/// A phone that answers at once and speaks until the end.
#[must_use]
pub fn answers(party: usize) -> Script {
    Script::new(Tone::new(VOICES[party])).rings_at(0).answers_at(20)
}

/// A phone that rings and goes on ringing.
#[must_use]
pub fn rings(party: usize) -> Script {
    Script::new(Tone::new(VOICES[party])).rings_at(0)
}

/// The processes, an application, and two phones.
pub struct Scene {
    /// Both processes.
    pub duogate: Duogate,
    /// Who asked for the callback.
    pub application: Application,
    /// Party 1 and party 2.
    pub phones: [Judged; 2],
    /// What the application has seen.
    pub seen: Vec<Event>,
}

impl Scene {
    /// Starts all of it.
    #[must_use]
    pub fn new(scripts: [Script; 2]) -> Self {
        Self::with(&Changes::none(), scripts)
    }

    /// The same with some settings changed.
    #[must_use]
    pub fn with(changes: &Changes, scripts: [Script; 2]) -> Self {
        Self::of(Duogate::start_with(changes), scripts)
    }

    /// The same with processes that run already.
    #[must_use]
    pub fn of(duogate: Duogate, scripts: [Script; 2]) -> Self {
        let application = duogate.application();
        Self { duogate, application, phones: scripts.map(phone), seen: Vec::new() }
    }

    /// What to construct for a callback between the phones, with `more` parameters.
    #[must_use]
    pub fn parameters(&self, more: &Value) -> Value {
        let mut parameters =
            json!({"to1_uri": self.phones[0].uri("one"), "to2_uri": self.phones[1].uri("two")});
        for (name, value) in more.as_object().into_iter().flatten() {
            parameters[name] = value.clone();
        }
        parameters
    }

    /// Constructs a callback and gives its id.
    pub fn construct(&mut self, more: &Value) -> String {
        let parameters = self.parameters(more);
        self.application.construct(&parameters)
    }

    /// Reads events up to and with the first of this name.
    pub fn until(&mut self, name: &str) {
        self.seen.extend(self.application.events_until(name, STEP));
    }

    /// A callback that is connected, and each phone has heard the other.
    pub fn connect(&mut self, more: &Value) -> String {
        let res_id = self.construct(more);
        self.until("on_connected");
        self.demand_sound();
        res_id
    }

    /// Demands that each phone hears something new.
    ///
    /// # Panics
    /// If one does not.
    pub fn demand_sound(&self) {
        let before = self.packets();
        until("sound for both", STEP, || {
            self.packets().iter().zip(before).all(|(now, before)| *now > before + 10)
        });
    }

    /// Packets that each phone has received in its latest call.
    #[must_use]
    pub fn packets(&self) -> [u64; 2] {
        [0, 1].map(|party: usize| self.phones[party].reception().packets)
    }

    /// Demands that something happened at a phone.
    ///
    /// # Panics
    /// If it does not happen in time; the panic tells what did.
    pub fn demand(&self, party: usize, what: &What) {
        let phone = &self.phones[party];
        assert!(phone.wait(STEP, |seen| seen == what), "{what:?} at {party}: {:#?}", phone.events());
    }

    /// Ends the control plane as `kill -9` does; what it had sent is read to the end.
    pub fn kill_control(&mut self) {
        self.duogate.kill_control();
        self.seen.extend(self.application.rest());
    }

    /// Starts a control plane again, and an application that wants all events.
    pub fn restart_control(&mut self) {
        self.duogate.start_control();
        self.duogate.wait_until_ready();
        self.application = self.duogate.application();
        self.application.subscribe_all();
    }

    /// Waits until the gateway has no session, no port in use and no recording.
    pub fn demand_no_media(&self) {
        for figure in ["sessions_active", "ports_in_use", "recordings_active"] {
            self.demand_figure(figure, 0.0);
        }
    }

    /// Waits until a figure of the only shard has this value.
    pub fn demand_figure(&self, figure: &str, value: f64) {
        let sample = format!("duogate_shard_{figure}{{shard=\"0\"}}");
        until(&format!("{figure} is {value}"), STEP, || self.duogate.metric(&sample) == Some(value));
    }

    /// Demands that a new callback works, from construct to its release, between phones of its own.
    ///
    /// # Panics
    /// If it does not.
    pub fn demand_new_callback(&mut self) {
        let phones = [0, 1].map(|party| phone(answers(party)));
        let parameters = json!({
            "to1_uri": phones[0].uri("one"), "to2_uri": phones[1].uri("two"), "max_answer_seconds": 1
        });
        let mut application = self.duogate.application();
        let res_id = application.construct(&parameters);
        let events = application.events_until("on_released", STEP);
        let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
        assert!(names.contains(&"on_connected"), "{res_id} works as before: {events:#?}");
        for phone in &phones {
            assert!(phone.wait(STEP, |what| *what == What::Ended), "{:#?}", phone.events());
        }
    }

    /// The story of a resource to its end, which may lie across the end of a server; so many legs of it were
    /// dialed.
    ///
    /// # Panics
    /// As [`Story::across`].
    #[must_use]
    pub fn story(&mut self, res_id: &str, legs: usize) -> Story {
        Story::across(std::mem::take(&mut self.seen), &mut self.application, res_id, legs)
    }

    /// What `get` shows.
    ///
    /// # Panics
    /// If it is refused.
    pub fn view(&mut self, res_id: &str) -> Value {
        self.application.resource("get", res_id).expect("get works")
    }

    /// The call detail records of a resource.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn cdrs(&self, res_id: &str) -> Vec<Value> {
        let (status, body) = self.duogate.get("/v1/cdrs").expect("an answer");
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let all = body["cdrs"].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|record| record["res_id"] == res_id).collect()
    }
}

/// A phone on loopback.
///
/// # Panics
/// If the host has no socket for it.
#[must_use]
pub fn phone(script: Script) -> Judged {
    Judged::start(script, Instant::now())
}
