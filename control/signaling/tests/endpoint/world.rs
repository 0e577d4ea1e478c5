//! An endpoint with calls up, and a program of bytes that decides what happens to it: datagrams of strangers and of
//! parties, time, the gateway's events, names, the application. Proptest writes such programs here, and the fuzzer's
//! target `endpoint` elsewhere: both include this file.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::event::{Event, LegStatistics};
use duogate_channel::identity::{LocalPort, Session, Shard, Tag};
use duogate_channel::sound::Codec;
use duogate_channel::time::{Instant, UnixTime};
use duogate_signaling::clock::Now;
use duogate_signaling::endpoint::output::Transport;
use duogate_signaling::endpoint::settings::{Credentials, SessionInterval, Waits};
use duogate_signaling::endpoint::{
    Endpoint, Limits, Listener, Local, LocateFailure, Output, Place, Policy, Query, Settings, Trunk,
};
use duogate_signaling::message::{Builder, Message, Method, Name, Status};
use duogate_signaling::resource::parameters::Parameters;
use duogate_signaling::resource::plan::Prepared;
use duogate_signaling::resource::view::State;

use super::words;

const US: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Where the parties are.
pub(crate) const PARTY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 20)), 5060);

/// Who has no call with us.
pub(crate) const STRANGER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 5)), 5060);

/// Messages that one input may bring about: an answer, an ACK and a BYE, the next place, each for both parties.
const MOST_SENT: usize = 16;

/// What a stranger's datagram may be answered with beside what it says itself.
const ANSWER: usize = 400;

/// A program, read octet by octet; beyond its end it is all zeros.
pub(crate) struct Tape<'a>(pub(crate) &'a [u8]);

impl<'a> Tape<'a> {
    pub(crate) fn octet(&mut self) -> u8 {
        self.octets(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn octets(&mut self, most: usize) -> &'a [u8] {
        let (octets, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        octets
    }

    /// One of these.
    pub(crate) fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.octet()) % all.len()]
    }
}

/// The endpoint and what surrounds it.
pub(crate) struct World {
    pub(crate) endpoint: Endpoint,
    now: Instant,
    /// The latest messages sent, the newest last.
    pub(crate) sent: Vec<(Listener, SocketAddr, Vec<u8>)>,
    /// Messages and octets sent in this step.
    count: (usize, usize),
    sessions: BTreeMap<Session, Tag>,
    slots: u32,
    queries: Vec<Query>,
    resources: Vec<String>,
}

fn settings() -> Settings {
    let login = Credentials { username: "us".into(), password: "secret".into(), realm: None };
    let trunk = Trunk {
        name: "carrier".into(),
        hosts: vec!["192.0.2.20".into(), "carrier.example".into()],
        credentials: Some(login.into()),
        ..Trunk::default()
    };
    let local = |transport| Local { transport, address: SocketAddr::from((US, 5060)) };
    Settings {
        node: "n".into(),
        user_agent: "Duogate".into(),
        listeners: [Transport::Udp, Transport::Tcp].map(local).into(),
        media_addresses: vec![US.into()],
        record_hold: duogate_channel::sound::RecordHold::Silence,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        limits: Limits::default(),
        trunks: vec![trunk],
        policy: Policy { allow_any_destination: true, ..Policy::default() },
        waits: Waits::default(),
        session: Some(SessionInterval { seconds: 1_800 }),
        max_redirects: 3,
        timers: duogate_signaling::transaction::Settings::default(),
    }
}

impl World {
    /// So many callbacks are connected.
    pub(crate) fn with_calls(callbacks: usize) -> Self {
        let now = Instant::from_nanoseconds(1_000_000_000);
        let mut world = Self {
            endpoint: Endpoint::new(settings(), [7; 32], reading(now)),
            now,
            sent: Vec::new(),
            count: (0, 0),
            sessions: BTreeMap::new(),
            slots: 0,
            queries: Vec::new(),
            resources: Vec::new(),
        };
        world.endpoint.media_attached(world.reading(), &[1_000]);
        for _ in 0..callbacks {
            world.construct();
            world.answer_invite();
            world.answer_invite();
            world.sent.clear();
        }
        assert_eq!(world.connected(), callbacks);
        world
    }

    pub(crate) fn reading(&self) -> Now {
        reading(self.now)
    }

    /// Callbacks whose parties hear each other.
    pub(crate) fn connected(&self) -> usize {
        let all = self.endpoint.list(Some(State::Connected), None, Some(1_000));
        all.map_or(0, |page| page.views.len())
    }

    fn construct(&mut self) {
        let parameters = Parameters {
            to1_uri: vec!["1001@192.0.2.20".into(), "1003@carrier.example".into()],
            to2_uri: vec!["1002@192.0.2.20".into()],
            ..Parameters::default()
        };
        let Ok(plan) = self.endpoint.check(self.reading(), &parameters) else { return };
        let Ok(view) = self.endpoint.construct(self.reading(), plan, Prepared::default()) else { return };
        self.endpoint.noted(self.reading(), &view.res_id);
        self.resources.push(view.res_id.to_string());
        self.drain();
    }

    /// One callback from its construction to its end: two INVITEs and two BYEs of ours. The time of 100 callbacks a
    /// second passes with it, so that what runs out by itself does.
    pub(crate) fn callback(&mut self) {
        self.sent.clear();
        self.construct();
        self.answer_invite();
        self.answer_invite();
        let res_id = self.resources.pop().expect("the one constructed");
        self.endpoint.drop_call(self.reading(), &res_id, None).expect("it is up");
        self.drain();
        let byes = self.sent.iter().filter(|(_, _, bytes)| bytes.starts_with(b"BYE "));
        let byes: Vec<Vec<u8>> = byes.map(|(_, _, bytes)| bytes.clone()).collect();
        for bye in byes {
            let bye = Message::parse(&bye).expect("ours can be read");
            let answer = Builder::response_to(&bye, PARTY, Status::OK, None).build();
            self.deliver(PARTY, &answer.expect("an answer"));
        }
        self.elapse(Duration::from_millis(10));
    }

    /// The newest INVITE is answered by the book.
    fn answer_invite(&mut self) {
        let is_invite = |bytes: &[u8]| bytes.starts_with(b"INVITE ");
        let newest = self.sent.iter().rev().find(|(_, _, bytes)| is_invite(bytes)).cloned();
        let (_, _, bytes) = newest.expect("an INVITE");
        let invite = Message::parse(&bytes).expect("ours can be read");
        let answer = Builder::response_to(&invite, PARTY, Status::OK, Some("theirs"))
            .header(Name::Contact, format_args!("<sip:{PARTY}>"))
            .build_with("application/sdp", words::DESCRIPTIONS[0].as_bytes());
        self.deliver(PARTY, &answer.expect("an answer"));
    }

    pub(crate) fn deliver(&mut self, source: SocketAddr, bytes: &[u8]) {
        self.count = (0, 0);
        self.endpoint.receive(self.reading(), Listener(0), source, bytes);
        self.drain();
        assert!(self.count.0 <= MOST_SENT, "{} messages for one", self.count.0);
    }

    /// A datagram that belongs to no call of ours: one answer at most, hardly larger than itself.
    pub(crate) fn deliver_strange(&mut self, bytes: &[u8]) {
        self.deliver(STRANGER, bytes);
        assert!(
            self.count.0 <= 1 && self.count.1 <= bytes.len() + ANSWER,
            "{:?} for {}",
            self.count,
            bytes.len()
        );
    }

    /// Time passes, as the endpoint wants to be woken.
    pub(crate) fn elapse(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut in_vain = 0;
        while let Some(deadline) = self.endpoint.next_deadline().filter(|deadline| *deadline <= end) {
            in_vain = if deadline > self.now { 0 } else { in_vain + 1 };
            assert!(in_vain < 100, "deadlines that do not move");
            self.now = self.now.max(deadline);
            self.endpoint.advance(self.reading());
            self.drain();
        }
        self.now = end;
    }

    fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Send { listener, destination, bytes } => {
                    self.count = (self.count.0 + 1, self.count.1 + bytes.len());
                    if self.sent.len() >= 64 {
                        self.sent.remove(0);
                    }
                    self.sent.push((listener, destination, bytes));
                }
                Output::Media { shard, command } => self.program(shard, command),
                Output::Locate { query, .. } => self.queries.push(query),
                Output::Report(_) | Output::Note(_) | Output::Measured(_) => {}
            }
        }
    }

    fn program(&mut self, shard: Shard, command: Command) {
        let event = match command {
            Command::Open { tag, .. } => {
                self.slots += 1;
                let session = Session { slot: self.slots, generation: 1 };
                self.sessions.insert(session, tag);
                Event::Opened { tag, session, ports: [LocalPort::first(4_000), LocalPort::first(4_002)] }
            }
            Command::Join { session } => Event::Joined { session },
            Command::Close { session } => {
                let Some(tag) = self.sessions.remove(&session) else { return };
                Event::Closed { session, tag, statistics: [LegStatistics::default(); 2] }
            }
            _ => return,
        };
        self.endpoint.media(self.reading(), shard, event);
    }

    /// Runs a program in which parties, network and application do what they like.
    pub(crate) fn run(&mut self, tape: &mut Tape<'_>) {
        for _ in 0..64 {
            if tape.0.is_empty() {
                break;
            }
            self.step(tape);
        }
    }

    fn step(&mut self, tape: &mut Tape<'_>) {
        match tape.octet() % 10 {
            0 => {
                let length = usize::from(tape.octet()) * 2;
                let bytes = tape.octets(length);
                self.deliver(STRANGER, bytes);
            }
            1..=5 => self.party_says(tape),
            6 => self.elapse(Duration::from_millis(u64::from(tape.octet()).pow(2))),
            7 if self.resources.len() < 8 => self.construct(),
            7 => self.application_says(tape),
            8 => self.network_says(tape),
            _ => self.name_service_says(tape),
        }
        self.drain();
    }

    fn party_says(&mut self, tape: &mut Tape<'_>) {
        let Some(place) = self.sent.len().checked_sub(1 + usize::from(tape.octet() % 16)) else { return };
        let (_, _, bytes) = self.sent[place].clone();
        let Some(mut message) = words::reply(&bytes, tape) else { return };
        for _ in 0..tape.octet() % 4 {
            words::spoil(&mut message, tape);
        }
        let source = tape.one(&[PARTY, PARTY, PARTY, STRANGER]);
        self.deliver(source, &message);
    }

    fn application_says(&mut self, tape: &mut Tape<'_>) {
        let Some(res_id) = self.resources.get(usize::from(tape.octet()) % 8).cloned() else { return };
        let now = self.reading();
        match tape.octet() % 3 {
            0 => drop(self.endpoint.cancel(now, &res_id)),
            1 => drop(self.endpoint.drop_call(now, &res_id, Some(603))),
            _ => self.endpoint.reload(now, settings()),
        }
        self.drain();
    }

    fn network_says(&mut self, tape: &mut Tape<'_>) {
        if let Some((listener, destination, _)) = self.sent.last().cloned() {
            let destination = tape.one(&[destination, PARTY]);
            self.endpoint.unreachable(self.reading(), listener, destination);
        }
    }

    fn name_service_says(&mut self, tape: &mut Tape<'_>) {
        let Some(query) = self.queries.pop() else { return };
        let place =
            |last, transport| Place { transport, address: SocketAddr::from(([192, 0, 2, last], 5060)) };
        let found = match tape.octet() % 4 {
            0 => Err(LocateFailure::Unknown),
            1 => Err(LocateFailure::Timeout),
            2 => Ok(vec![place(20, Transport::Udp), place(21, Transport::Tcp)]),
            _ => Ok(vec![place(20, Transport::Tls)]),
        };
        self.endpoint.located(self.reading(), query, found);
    }

    /// All ends, whatever was said: nothing is left, and nothing is waited for.
    pub(crate) fn ends(&mut self) {
        self.endpoint.shut_down(self.reading());
        self.drain();
        self.elapse(Duration::from_secs(300));
        assert!(self.endpoint.is_idle(), "something is left: {:?}", self.endpoint.counters());
        assert_eq!(self.endpoint.next_deadline(), None);
        assert!(self.sessions.is_empty(), "sessions are left");
    }
}

fn reading(instant: Instant) -> Now {
    let milliseconds = i64::try_from(instant.nanoseconds() / 1_000_000).unwrap_or(0);
    Now { instant, unix: UnixTime::from_milliseconds(1_700_000_000_000 + milliseconds) }
}

/// The method of a message that we sent; none for responses.
pub(crate) fn method(bytes: &[u8]) -> Option<Method<'_>> {
    let message = Message::parse(bytes).ok()?;
    message.is_request().then(|| message.method())
}
