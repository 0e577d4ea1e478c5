//! A node under test: an endpoint, and all that it wanted done.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::event::Event;
use duogate_channel::identity::{LocalPort, Session, Shard, Tag};
use duogate_channel::sound::{Codec, RecordHold};
use duogate_channel::time::{Instant, UnixTime};

use crate::clock::Now;
use crate::endpoint::{Admission, Endpoint, Limits, Listener, Local, Output, Policy, Query, Settings, Trunk};
use crate::message::{Message, Method, Name, Status};
use crate::resource::error::ApiError;
use crate::resource::note::Note;
use crate::resource::parameters::Parameters;
use crate::resource::plan::{Prepared, Waits};
use crate::resource::report;
use crate::resource::view::View;

pub(super) const LISTENER: Listener = Listener(0);

pub(super) fn trunk(name: &str, host: &str) -> Trunk {
    Trunk { name: name.into(), hosts: vec![host.into()], ..Trunk::default() }
}

pub(super) fn settings() -> Settings {
    Settings {
        node: "n1".into(),
        user_agent: "Duogate".into(),
        listeners: vec![Local::udp(SocketAddr::from((Ipv4Addr::LOCALHOST, 5060)))],
        media_addresses: alloc::vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        record_hold: RecordHold::Silence,
        limits: Limits {
            admission: Admission { max_calls: 10, calls_per_second: 5.0, burst: 8 },
            ..Limits::default()
        },
        trunks: vec![trunk("a", "192.0.2.1"), trunk("b", "192.0.2.2"), trunk("name", "carrier.example")],
        policy: Policy { allow_any_destination: true, default_trunk: None, webhook_hosts: vec![] },
        waits: Waits::default(),
        session: None,
        max_redirects: 3,
        timers: crate::transaction::Settings::default(),
    }
}

pub(super) struct Node {
    pub(super) endpoint: Endpoint,
    pub(super) now: Now,
    pub(super) sent: Vec<(SocketAddr, Vec<u8>)>,
    pub(super) commands: Vec<(Shard, Command)>,
    pub(super) reports: Vec<report::Event>,
    pub(super) queries: Vec<(Query, String)>,
    /// The journal's row as it was written last.
    pub(super) note: Option<Note>,
}

impl Node {
    pub(super) fn new(settings: Settings) -> Self {
        let now = Now {
            instant: Instant::from_nanoseconds(1_000_000_000),
            unix: UnixTime::from_milliseconds(1_800_000_000_000),
        };
        let mut endpoint = Endpoint::new(settings, [1; 32], now);
        endpoint.media_attached(now, &[100, 100]);
        Self { endpoint, now, sent: vec![], commands: vec![], reports: vec![], queries: vec![], note: None }
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Send { destination, bytes, .. } => self.sent.push((destination, bytes)),
                Output::Media { shard, command } => self.commands.push((shard, command)),
                Output::Report(report) => self.reports.push(report.event),
                Output::Locate { query, question } => self.queries.push((query, question.host)),
                Output::Note(note) => self.note = Some(*note),
                Output::Measured(_) => {}
            }
        }
    }

    pub(super) fn wait(&mut self, duration: Duration) {
        self.now.instant = self.now.instant + duration;
        self.endpoint.advance(self.now);
        self.drain();
    }

    pub(super) fn construct(&mut self, to1: &[&str], to2: &[&str]) -> Result<View, ApiError> {
        let list = |uris: &[&str]| uris.iter().map(ToString::to_string).collect();
        let parameters = Parameters { to1_uri: list(to1), to2_uri: list(to2), ..Parameters::default() };
        let plan = self.endpoint.check(self.now, &parameters)?;
        let prepared = Prepared::default();
        let view = self.endpoint.construct(self.now, plan, prepared);
        self.drain();
        view
    }

    pub(super) fn construct_one(&mut self) -> View {
        self.construct(&["1@192.0.2.1"], &["2@192.0.2.2"]).unwrap()
    }

    /// The tag of the session that was asked for last, and its shard.
    pub(super) fn asked(&self) -> (Shard, Tag) {
        let tag = |(shard, command): &(Shard, Command)| match command {
            Command::Open { tag, .. } => Some((*shard, *tag)),
            _ => None,
        };
        self.commands.iter().rev().find_map(tag).unwrap()
    }

    pub(super) fn open(&mut self, slot: u32) {
        let (shard, tag) = self.asked();
        let session = Session { slot, generation: 1 };
        let ports = [LocalPort::first(4000), LocalPort::first(4002)];
        self.endpoint.media(self.now, shard, Event::Opened { tag, session, ports });
        self.drain();
    }

    pub(super) fn noted(&mut self, view: &View) {
        self.endpoint.noted(self.now, &view.res_id);
        self.drain();
    }

    /// A callback whose first call is being placed.
    pub(super) fn place(&mut self, to1: &[&str], slot: u32) -> View {
        let view = self.construct(to1, &["2@192.0.2.2"]).unwrap();
        self.noted(&view);
        self.open(slot);
        view
    }

    /// Answers the last INVITE with this status.
    pub(super) fn respond(&mut self, status: u16) {
        self.respond_with(status, &[]);
    }

    /// Answers the last INVITE with a codec (RFC 3551 section 6: its number says which).
    pub(super) fn accept(&mut self, payload_type: u8) {
        let invites =
            |(_, bytes): &&(SocketAddr, Vec<u8>)| Message::parse(bytes).unwrap().method() == Method::Invite;
        let (from, bytes) = self.sent.iter().rev().find(invites).unwrap().clone();
        let invite = Message::parse(&bytes).unwrap();
        let body = alloc::format!(
            "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 4000 RTP/AVP {payload_type}\r\n",
            from.ip()
        );
        let contact = alloc::format!("<sip:{from}>");
        let answer =
            crate::message::Builder::response_to(&invite, from, Status::new(200).unwrap(), Some("t"))
                .header(Name::Contact, contact)
                .build_with("application/sdp", body.as_bytes());
        self.receive(from, &answer.unwrap());
    }

    /// The same with further header lines.
    pub(super) fn respond_with(&mut self, status: u16, headers: &[(Name, &str)]) {
        let invites =
            |(_, bytes): &&(SocketAddr, Vec<u8>)| Message::parse(bytes).unwrap().method() == Method::Invite;
        let (from, bytes) = self.sent.iter().rev().find(invites).unwrap().clone();
        let invite = Message::parse(&bytes).unwrap();
        let status = Status::new(status).unwrap();
        let mut answer = crate::message::Builder::response_to(&invite, from, status, Some("t"));
        for (name, value) in headers {
            answer = answer.header(*name, value);
        }
        self.receive(from, &answer.build().unwrap());
    }

    /// Request-URIs and destinations of the INVITEs so far, without repetitions.
    pub(super) fn invites(&self) -> Vec<(String, String)> {
        let mut seen = Vec::new();
        let invite = |(to, bytes): &(SocketAddr, Vec<u8>)| {
            let message = Message::parse(bytes).unwrap();
            let uri = message.request_uri().map(|uri| uri.as_str().to_string())?;
            let new = message.method() == Method::Invite && !seen.contains(bytes);
            seen.push(bytes.clone());
            new.then(|| (uri, to.to_string()))
        };
        self.sent.iter().filter_map(invite).collect()
    }

    pub(super) fn receive(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.endpoint.receive(self.now, LISTENER, from, bytes);
        self.drain();
    }

    pub(super) fn closes(&self) -> usize {
        self.commands.iter().filter(|(_, command)| matches!(command, Command::Close { .. })).count()
    }

    pub(super) fn destinations(&self) -> Vec<String> {
        self.sent.iter().map(|(destination, _)| destination.to_string()).collect()
    }
}
