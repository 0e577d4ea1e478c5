//! The callback of the demonstration: two phones, one application, one timeline.

use std::time::{Duration, Instant};

use duogate_phone::codec::Codec;
use duogate_phone::phone::{Event as PhoneEvent, Phone};
use duogate_phone::tone::Tone;
use duogate_phone::{Script, What};
use serde_json::json;
use tokio::time::{Instant as Deadline, timeout_at};

use super::evidence::{Ear, Times, VOICE1, VOICE2, tones};
use crate::Failure;
use crate::rpc::{Connection, Event};
use crate::screen::{Look, Screen, shown};
use crate::server::Server;
use crate::tell::tell;

/// Party 1 rings for a moment.
const ANSWER1: u64 = 1_000;
/// Party 2 takes three seconds to ring: that long the prompt is heard.
const RING2: u64 = 3_000;
/// It rings for two seconds and a half: one second of tone, then the pause of the cadence.
const ANSWER2: u64 = 5_500;
/// Then they talk for four seconds.
const HANG_UP2: u64 = 9_500;
/// When the whole must be over.
const LIMIT: Duration = Duration::from_secs(30);
/// How often the phones are looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// The phones, before the call.
pub(crate) struct Stage<'a> {
    screen: &'a Screen,
    origin: Instant,
    phones: [Phone; 2],
    shown: [usize; 2],
    events: Vec<Event>,
    /// When the callback was asked for, counted as the phones count.
    asked: Duration,
    stall: Duration,
}

/// What came of it.
pub(crate) struct Played {
    pub(crate) ears: [Ear; 2],
    /// None if party 2 was not connected.
    pub(crate) times: Option<Times>,
    pub(crate) events: Vec<Event>,
    /// The longest time for which this program itself was kept from running.
    pub(crate) stall: Duration,
}

impl<'a> Stage<'a> {
    /// The phones speak both laws, or these codecs: the first the first, the last the other.
    pub(crate) fn open(screen: &'a Screen, codecs: &[Codec]) -> Result<Self, Failure> {
        let origin = Instant::now();
        let one = Script::new(Tone::new(VOICE1)).rings_at(200).answers_at(ANSWER1);
        let two = Script::new(Tone::new(VOICE2)).rings_at(RING2).answers_at(ANSWER2).hangs_up_at(HANG_UP2);
        let speaks = |script: Script, codec: Option<&Codec>| match codec {
            Some(codec) => script.codecs(&[*codec]).reports(),
            None => script.reports(),
        };
        let (one, two) = (speaks(one, codecs.first()), speaks(two, codecs.last()));
        let start = |script| Phone::start(script, origin).map_err(Failure::system("a phone"));
        let (phones, asked, stall) = ([start(one)?, start(two)?], Duration::ZERO, Duration::ZERO);
        Ok(Self { screen, origin, phones, shown: [0, 0], events: Vec::new(), asked, stall })
    }

    /// Makes the callback and follows it to its end.
    pub(crate) async fn play(mut self, server: &Server) -> Result<Played, Failure> {
        let mut connection = Connection::open(server).await?;
        let [one, two] = [self.phones[0].uri("1001"), self.phones[1].uri("1002")];
        self.screen.line(format_args!("  phone 1 at {}, speaks {VOICE1} Hz", shown(&one)));
        self.screen.line(format_args!("  phone 2 at {}, speaks {VOICE2} Hz\n", shown(&two)));
        self.asked = self.origin.elapsed();
        let params = json!({
            "to1_uri": one, "to2_uri": two,
            "ring_play_file": "chime.wav", "ring_play_mode": 2,
            "record_file": "callback.wav", "user_data": "demo",
        });
        let result = connection.call("ext.duo_callback.construct", params).await?;
        let words = format!("construct → {}", result["res_id"].as_str().unwrap_or("?"));
        self.show(self.origin.elapsed(), "application", Look::Plain, &shown(&words));
        let limit = Deadline::now() + LIMIT;
        while !self.is_over() {
            if Deadline::now() >= limit {
                return Err(Failure::Refused(format!("the callback is not over after {LIMIT:?}")));
            }
            let glance = Instant::now();
            let next = timeout_at(Deadline::now() + GLANCE, connection.event()).await;
            self.stall = self.stall.max(glance.elapsed().saturating_sub(GLANCE));
            self.glance();
            if let Ok(event) = next {
                self.take(event?);
            }
        }
        self.glance();
        Ok(self.result())
    }

    fn count(&self, name: &str) -> usize {
        self.events.iter().filter(|event| event.name() == name).count()
    }

    /// The last events: of the resource, its recording, and both its legs.
    fn is_over(&self) -> bool {
        let answered = |name| self.events.iter().any(|event| event.name() == name);
        let legs = if answered("on_dial2_started") { 2 } else { 1 };
        answered("on_released") && answered("on_record_completed") && self.count("on_chan_closed") >= legs
            || answered("on_released") && !answered("on_connected")
    }

    fn take(&mut self, event: Event) {
        if let Some((look, words)) = tell(&event) {
            self.show(self.origin.elapsed(), "event", look, &words);
        }
        self.events.push(event);
    }

    /// Shows what has happened at the phones since the last time.
    fn glance(&mut self) {
        for place in 0..2 {
            let events = self.phones[place].events();
            for event in &events[self.shown[place]..] {
                if let Some(words) = at_phone(&event.what) {
                    let name = if place == 0 { "phone 1" } else { "phone 2" };
                    self.show(event.at, name, Look::Dim, &words);
                }
            }
            self.shown[place] = events.len();
        }
    }

    fn show(&self, at: Duration, who: &str, look: Look, words: &str) {
        let time = at.saturating_sub(self.asked).as_millis();
        let dim = self.screen.paint(Look::Dim, format!("{time:>6} ms  {who:<11}"));
        self.screen.line(format_args!("{dim} {}", self.screen.paint(look, words)));
    }

    fn result(self) -> Played {
        let ear = |phone: &Phone| Ear { heard: phone.heard(&tones()), reception: phone.reception() };
        let ears = [ear(&self.phones[0]), ear(&self.phones[1])];
        Played { ears, times: times(&self.phones[1].events()), events: self.events, stall: self.stall }
    }
}

/// The moments of the call, as phone 2 saw them.
fn times(events: &[PhoneEvent]) -> Option<Times> {
    let when = |is: fn(&What) -> bool| events.iter().find(|event| is(&event.what)).map(|event| event.at);
    Some(Times {
        called: when(|what| matches!(what, What::Invited { .. }))?,
        rang: when(|what| *what == What::Sent(180))?,
        answered: when(|what| *what == What::Answered)?,
        ended: when(|what| *what == What::HungUp)?,
    })
}

/// What a phone did, in words.
fn at_phone(what: &What) -> Option<String> {
    let words = match what {
        What::Invited { from, .. } => format!("is called by {}", shown(from)),
        What::Sent(status) => format!("rings ({status})"),
        What::Answered => "answers (200)".to_owned(),
        What::HungUp => "hangs up (BYE)".to_owned(),
        What::Ended => "is told that the other hung up (BYE)".to_owned(),
        What::Canceled => "is no longer called (CANCEL)".to_owned(),
        What::Unreadable(error) => format!("cannot read a message: {}", shown(error)),
        What::Unanswered(what) => format!("waits in vain for an answer to its {}", shown(what)),
        _ => return None,
    };
    Some(words)
}
