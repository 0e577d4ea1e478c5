//! A whole endpoint with a gateway that does at once what it is told, between two parties of the script.

use std::net::SocketAddr;
use std::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::event::{Event as MediaEvent, LegStatistics};
use duogate_channel::identity::{LocalPort, Session, Shard, Tag};
use duogate_channel::sound::{Codec, RecordHold};
use duogate_channel::time::{Instant, UnixTime};
use duogate_signaling::clock::Now;
use duogate_signaling::endpoint::{
    Endpoint, Limits, Listener, Local, NotACall, Output, Place, Policy, Query, Question, Settings,
};
use duogate_signaling::resource::note::{LegNote, Note};
use duogate_signaling::resource::parameters::Parameters;
use duogate_signaling::resource::plan::{Prepared, Waits};
use duogate_signaling::resource::report::Event;
use duogate_signaling::transaction;

use crate::call::{CONTACT, plain_sdp};
use crate::text::{self, Reply, Text};

pub(crate) const ONE: &str = "192.0.2.20:5060";
pub(crate) const TWO: &str = "192.0.2.30:5060";

const SESSION: Session = Session { slot: 0, generation: 1 };

pub(crate) struct Node {
    pub(crate) endpoint: Endpoint,
    now: Instant,
    tag: Tag,
    /// Datagrams sent and not yet looked at.
    pub(crate) sent: Vec<(String, Text)>,
    pub(crate) events: Vec<Event>,
    /// The journal's row as it was written last.
    pub(crate) journal: Option<Note>,
    /// Hosts that were to be located, and were not yet.
    asked: Vec<(Query, Question)>,
}

fn settings() -> Settings {
    Settings {
        node: "n".into(),
        user_agent: "Duogate".into(),
        listeners: vec![Local::udp("192.0.2.10:5060".parse().expect("an address"))],
        media_addresses: vec!["192.0.2.11".parse().expect("an address")],
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        record_hold: RecordHold::Silence,
        limits: Limits::default(),
        trunks: Vec::new(),
        policy: Policy { allow_any_destination: true, ..Policy::default() },
        waits: Waits::default(),
        session: None,
        max_redirects: 3,
        timers: transaction::Settings::default(),
    }
}

impl Node {
    /// A process that has just started: all that it draws by chance depends on `seed`.
    pub(crate) fn started(seed: u8) -> Self {
        let now = Instant::from_nanoseconds(1_000_000_000);
        let mut node = Self {
            endpoint: Endpoint::new(settings(), [seed; 32], reading(now)),
            now,
            tag: Tag(0),
            sent: Vec::new(),
            events: Vec::new(),
            journal: None,
            asked: Vec::new(),
        };
        node.endpoint.media_attached(node.reading(), &[10]);
        node
    }

    /// A callback has been constructed, and party 1's INVITE is there to be looked at.
    pub(crate) fn calling() -> Self {
        let mut node = Self::started(7);
        let parameters = Parameters {
            to1_uri: vec![format!("1001@{ONE}")],
            to2_uri: vec![format!("1002@{TWO}")],
            max_ring_seconds: Some(10),
            ..Parameters::default()
        };
        let plan = node.endpoint.check(node.reading(), &parameters).expect("good parameters");
        let prepared = Prepared::default();
        let view = node.endpoint.construct(node.reading(), plan, prepared).expect("room");
        node.endpoint.noted(node.reading(), &view.res_id);
        node.drain();
        node
    }

    /// Party 1 has answered; party 2's INVITE is there to be looked at.
    pub(crate) fn calling_two() -> (Self, Text) {
        let mut node = Self::calling();
        let one = node.one(ONE, "INVITE");
        node.answer(ONE, &one, 200, "one", &plain_sdp());
        assert_eq!(node.sent.iter().filter(|(to, text)| to == ONE && text.kind() == "ACK").count(), 1);
        node.sent.retain(|(to, _)| to == TWO);
        (node, one)
    }

    fn reading(&self) -> Now {
        reading(self.now)
    }

    /// A party answers a request.
    pub(crate) fn answer(&mut self, party: &str, request: &Text, status: u16, tag: &str, sdp: &str) {
        let contact = CONTACT.replace(ONE, party);
        self.deliver(
            party,
            &text::response(request, status, &Reply { tag, contact: &contact, headers: &[], sdp }),
        );
    }

    pub(crate) fn deliver(&mut self, party: &str, bytes: &[u8]) {
        let source: SocketAddr = party.parse().expect("an address");
        self.endpoint.receive(self.reading(), Listener(0), source, bytes);
        self.drain();
    }

    pub(crate) fn elapse(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.endpoint.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.endpoint.advance(self.reading());
            self.drain();
        }
        self.now = end;
    }

    /// The only datagram that went to a party since the last look.
    pub(crate) fn one(&mut self, party: &str, kind: &str) -> Text {
        let kinds = self.kinds(party);
        assert_eq!(kinds, [kind], "to {party}");
        let place = self.sent.iter().position(|(to, _)| to == party).expect("counted before");
        self.sent.remove(place).1
    }

    /// Methods and statuses that went to a party since the last look.
    pub(crate) fn kinds(&self, party: &str) -> Vec<String> {
        let to_it = self.sent.iter().filter(|(to, _)| to == party);
        to_it.map(|(_, text)| text.kind().to_owned()).collect()
    }

    pub(crate) fn take(&mut self, party: &str) -> Vec<Text> {
        let (to_it, rest) = std::mem::take(&mut self.sent).into_iter().partition(|(to, _)| to == party);
        self.sent = rest;
        let to_it: Vec<(String, Text)> = to_it;
        to_it.into_iter().map(|(_, text)| text).collect()
    }

    pub(crate) fn reported(&self, method: &str) -> usize {
        self.events.iter().filter(|event| event.method().ends_with(method)).count()
    }

    /// Time passes until nothing is left; the callback was released once.
    pub(crate) fn ends(&mut self) {
        self.elapse(Duration::from_secs(200));
        assert!(self.endpoint.is_idle());
        assert_eq!(self.endpoint.next_deadline(), None);
        assert_eq!(self.reported("on_released"), 1);
    }

    /// Ends what the journal of a process that died says about one party's call.
    pub(crate) fn end_orphan(&mut self, row: &LegNote, port: u16) -> Result<(), NotACall> {
        let outcome = self.endpoint.end_orphan(self.reading(), row, LocalPort::first(port), 500);
        self.drain();
        outcome
    }

    /// Hosts that are looked for.
    pub(crate) fn asked_hosts(&self) -> Vec<String> {
        self.asked.iter().map(|(_, question)| question.host.clone()).collect()
    }

    /// The oldest of them is found at these places, by UDP.
    pub(crate) fn located(&mut self, places: &[&str]) {
        let (query, _) = self.asked.remove(0);
        let place = |address: &&str| Place {
            transport: transaction::Transport::Udp,
            address: address.parse().expect("an address"),
        };
        let places = places.iter().map(place).collect();
        self.endpoint.located(self.reading(), query, Ok(places));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Send { destination, bytes, .. } => {
                    self.sent.push((destination.to_string(), Text::read(&bytes)));
                }
                Output::Media { shard, command } => self.program(shard, command),
                Output::Report(report) => self.events.push(report.event),
                Output::Note(note) => self.journal = Some(*note),
                Output::Measured(_) => {}
                Output::Locate { query, question } => self.asked.push((query, question)),
            }
        }
    }

    fn program(&mut self, shard: Shard, command: Command) {
        let event = match command {
            Command::Open { tag, .. } => {
                self.tag = tag;
                MediaEvent::Opened {
                    tag,
                    session: SESSION,
                    ports: [LocalPort::first(20_000), LocalPort::first(20_002)],
                }
            }
            Command::Join { session } => MediaEvent::Joined { session },
            Command::Close { session } => {
                MediaEvent::Closed { session, tag: self.tag, statistics: [LegStatistics::default(); 2] }
            }
            _ => return,
        };
        self.endpoint.media(self.reading(), shard, event);
    }
}

fn reading(instant: Instant) -> Now {
    let milliseconds = i64::try_from(instant.nanoseconds() / 1_000_000).expect("a short test");
    Now { instant, unix: UnixTime::from_milliseconds(1_700_000_000_000 + milliseconds) }
}
