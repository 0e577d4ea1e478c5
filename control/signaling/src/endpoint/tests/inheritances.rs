//! The control plane dies, and the next endpoint goes on with its connected calls.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use duogate_channel::command::{Command, FarEnd, Source};
use duogate_channel::event::{Event, LegStatistics};
use duogate_channel::identity::{LocalPort, Party, Session, Shard, Tag};
use duogate_channel::snapshot::{LegSnapshot, SessionState, Snapshot};
use duogate_channel::sound::Codec;
use duogate_channel::time::UnixTime;

use super::node::{Node, settings};
use crate::endpoint::orphans::NotACall;
use crate::leg::SessionInterval;
use crate::message::{Builder, Message, Method, Name, Status};
use crate::resource::note::{LegNote, Live, Note, PartyNote};
use crate::resource::report::{self, Reason};
use crate::resource::view::State;

const SECOND: Duration = Duration::from_secs(1);
const SESSION: Session = Session { slot: 1, generation: 1 };
const SHARD: Shard = Shard(0);

fn party_sdp(port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio {port} RTP/AVP 8 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\n"
    )
}

impl Node {
    fn answer(&mut self, port: u16) {
        let invites =
            |(_, bytes): &&(SocketAddr, Vec<u8>)| Message::parse(bytes).unwrap().method() == Method::Invite;
        let (from, bytes) = self.sent.iter().rev().find(invites).unwrap().clone();
        let invite = Message::parse(&bytes).unwrap();
        let answer = Builder::response_to(&invite, from, Status::OK, Some("t"))
            .header(Name::Contact, format_args!("<sip:{from}>"))
            .header(Name::SessionExpires, "90;refresher=uac")
            .header(Name::Allow, "INVITE, UPDATE, BYE");
        self.receive(from, &answer.build_with("application/sdp", party_sdp(port).as_bytes()).unwrap());
    }

    /// A node with a call that is connected over trunk `a` and trunk `b`; its last note.
    fn connected() -> (Self, Note) {
        let mut settings = settings();
        settings.session = Some(SessionInterval { seconds: 90 });
        let mut node = Self::new(settings);
        node.place(&["1@192.0.2.1"], SESSION.slot);
        node.answer(6000);
        node.answer(6002);
        let (shard, _) = node.asked();
        assert_eq!(shard, SHARD);
        node.endpoint.media(node.now, shard, Event::Joined { session: SESSION });
        node.drain();
        let note = node.note.clone().unwrap();
        assert_eq!(note.state, State::Connected);
        (node, note)
    }

    /// The next process, some seconds later.
    fn next(former: &Self, note: &Note) -> Self {
        let mut node = former.successor();
        assert_eq!(node.endpoint.take_over(node.now, note), Ok(()));
        node.drain();
        node
    }

    fn successor(&self) -> Self {
        let mut settings = settings();
        settings.session = Some(SessionInterval { seconds: 90 });
        let mut node = Self::new(settings);
        // This one has no gateway yet.
        node.endpoint.media_lost(node.now);
        node.drain();
        node.now = self.now;
        node.pass(3 * SECOND);
        node
    }

    fn pass(&mut self, duration: Duration) {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap();
        self.now.unix = UnixTime::from_milliseconds(self.now.unix.milliseconds() + milliseconds);
        self.wait(duration);
    }

    fn finds(&mut self, pages: &[Snapshot]) {
        let pages: Vec<(Shard, Snapshot)> = pages.iter().map(|page| (SHARD, *page)).collect();
        self.endpoint.media_found(self.now, &[100, 100], &pages);
        self.drain();
    }

    fn sent_of(&self, method: Method<'_>) -> Vec<&[u8]> {
        let all = self.sent.iter().map(|(_, bytes)| bytes.as_slice());
        let is_it = |message: &Message<'_>| message.is_request() && message.method() == method;
        all.filter(|bytes| is_it(&Message::parse(bytes).unwrap())).collect()
    }

    fn release(&self) -> Option<Option<Reason>> {
        self.reports.iter().find_map(|event| match event {
            report::Event::Released(release) => Some(release.error.map(|error| error.reason)),
            _ => None,
        })
    }

    fn party_sends(&mut self, note: &LegNote, method: Method<'_>, body: Option<&str>) {
        let uri = "sip:127.0.0.1:5060";
        let builder = Builder::request(method, uri)
            .header(Name::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKparty")
            .header(Name::MaxForwards, 70)
            .header(Name::From, format_args!("<{}>;tag={}", note.remote_uri, note.remote_tag))
            .header(Name::To, format_args!("<{}>;tag={}", note.local_uri, note.local_tag))
            .header(Name::CallId, &note.call_id)
            .header(Name::CSeq, format_args!("77 {method}"))
            .header(Name::Contact, "<sip:192.0.2.1>");
        let bytes = match body {
            Some(body) => builder.build_with("application/sdp", body.as_bytes()),
            None => builder.build(),
        };
        self.receive(SocketAddr::from(([192, 0, 2, 1], 5060)), &bytes.unwrap());
    }

    fn calls_over(&self, trunk: &str) -> u32 {
        let figures = self.endpoint.trunk_figures(self.now);
        figures.iter().find(|figures| &*figures.name == trunk).map_or(0, |figures| figures.calls)
    }
}

fn page(tag: u64, session: Session) -> Snapshot {
    let leg = |port: u16| LegSnapshot {
        port: LocalPort::first(port),
        far_end: Some(FarEnd {
            telephone_event: Some(101),
            ..FarEnd::new(SocketAddr::from(([192, 0, 2, 9], port)), Codec::Pcma)
        }),
        hears: Source::Silence,
        ssrc: 1,
        sequence: 1,
        timestamp: 1,
        packet_samples: 160,
        heard: None,
        statistics: LegStatistics::default(),
    };
    let taken_at = duogate_channel::time::Instant::ZERO;
    Snapshot { tag: Tag(tag), session, taken_at, state: SessionState::Joined, legs: [leg(6000), leg(6002)] }
}

fn tag(note: &Note) -> u64 {
    note.media.unwrap().tag
}

#[test]
fn a_call_goes_on_with_its_session_and_ends_as_any_other() {
    let (former, note) = Node::connected();
    let mut node = Node::next(&former, &note);
    assert!(node.sent.is_empty() && node.commands.is_empty() && node.reports.is_empty(), "nobody notices");
    let (own, other) = (page(tag(&note), SESSION), page(tag(&note) + 1, Session { slot: 2, generation: 1 }));
    node.finds(&[own, other]);
    assert_eq!(
        node.commands,
        [(SHARD, Command::Close { session: other.session })],
        "that of nobody is closed"
    );
    assert_eq!(node.endpoint.get(&note.res_id).unwrap().state, State::Connected);
    assert_eq!((node.endpoint.counters().taken_over, node.calls_over("a"), node.calls_over("b")), (1, 1, 1));
    assert_eq!(node.endpoint.shard_sessions(), [1, 0]);

    node.party_sends(note.legs[0].as_ref().unwrap(), Method::Bye, None);
    assert_eq!(node.commands.last(), Some(&(SHARD, Command::Close { session: SESSION })));
    node.endpoint.media(node.now, SHARD, closed());
    node.drain();
    assert_eq!(node.release(), Some(None), "a normal end");
    assert_eq!(node.sent_of(Method::Bye).len(), 1, "to party 2");
    assert_eq!((node.calls_over("a"), node.calls_over("b")), (0, 0));
    node.pass(40 * SECOND);
    node.pass(40 * SECOND);
    assert!(node.endpoint.is_idle());
}

fn closed() -> Event {
    Event::Closed { session: SESSION, statistics: [LegStatistics::default(); 2], tag: Tag(0) }
}

#[test]
fn requests_of_the_next_process_have_higher_numbers_and_descriptions_go_on() {
    let (former, note) = Node::connected();
    let mut node = Node::next(&former, &note);
    node.finds(&[page(tag(&note), SESSION)]);
    let leg = note.legs[0].clone().unwrap();
    let version = |text: &str| -> (u64, u64) {
        let origin = text.lines().find_map(|line| line.strip_prefix("o=- ")).unwrap();
        let mut words = origin.split(' ').map(|word| word.parse().unwrap_or(0));
        (words.next().unwrap(), words.next().unwrap())
    };
    node.party_sends(&leg, Method::Invite, Some(&party_sdp(7000)));
    let (_, answer) = node.sent.last().unwrap().clone();
    let answer = Message::parse(&answer).unwrap();
    assert_eq!(answer.status(), Some(Status::OK));
    let body = String::from_utf8_lossy(answer.body()).to_string();
    let (session, before) = version(&leg.description);
    assert_eq!(version(&body), (session, before + 1), "{body}");
    let moved = |(_, command): &(Shard, Command)| matches!(command, Command::FarEnd { party: Party::One, far_end, .. } if far_end.address.port() == 7000);
    assert!(node.commands.iter().any(moved), "{:?}", node.commands);
    assert_eq!(node.note.as_ref().unwrap().legs[0].as_ref().unwrap().description, body, "the journal knows");

    node.pass(31 * SECOND);
    let update = node.sent_of(Method::Update)[0].to_vec();
    let update = Message::parse(&update).unwrap();
    assert!(update.cseq().number > leg.local_sequence + 1_000, "{:?}", update.cseq());
    assert_eq!(update.session_expires().unwrap().map(|interval| interval.seconds), Some(90));
}

#[test]
fn without_its_session_a_call_ends_as_lost_at_once_and_without_a_gateway_in_time() {
    let (former, note) = Node::connected();
    let mut node = Node::next(&former, &note);
    node.pass(4 * SECOND);
    assert_eq!(node.release(), None);
    node.pass(SECOND);
    assert_eq!(node.release(), Some(Some(Reason::MediaLost)), "no gateway came");
    assert_eq!(node.sent_of(Method::Bye).len(), 2);

    let stale = Session { generation: SESSION.generation + 2, ..SESSION };
    let closing = Snapshot { state: SessionState::Closing, ..page(tag(&note), SESSION) };
    for pages in [Vec::new(), [page(tag(&note), stale)].to_vec(), [closing].to_vec()] {
        let mut node = Node::next(&former, &note);
        node.finds(&pages);
        assert_eq!(node.release(), Some(Some(Reason::MediaLost)), "{pages:?}");
        assert_eq!(node.sent_of(Method::Bye).len(), 2);
        assert_eq!(node.closes(), pages.len());
    }
}

#[test]
fn a_party_that_hangs_up_before_the_gateway_is_there_is_answered() {
    let (former, note) = Node::connected();
    let mut node = Node::next(&former, &note);
    node.party_sends(note.legs[1].as_ref().unwrap(), Method::Bye, None);
    assert_eq!(node.release(), Some(None));
    node.finds(&[page(tag(&note), SESSION)]);
    assert_eq!(node.closes(), 1, "its session is nobody's any more");
    assert_eq!(node.endpoint.counters().taken_over, 0);
}

#[test]
fn what_cannot_go_on_is_refused_and_changes_nothing() {
    let (former, note) = Node::connected();
    let live = note.live.clone().unwrap();
    let leg = |change: &dyn Fn(&mut LegNote)| {
        let mut note = note.clone();
        change(note.legs[1].as_mut().unwrap());
        note
    };
    let notes = [
        Note { live: None, ..note.clone() },
        Note { state: State::Answer2, ..note.clone() },
        Note { media: None, ..note.clone() },
        Note { record_open: true, ..note.clone() },
        Note { legs: [note.legs[0].clone(), None], ..note.clone() },
        Note { legs: [note.legs[0].clone(), note.legs[0].clone()], ..note.clone() },
        leg(&|leg| leg.answered = false),
        leg(&|leg| leg.description.clear()),
        leg(&|leg| leg.call_id = "x".into()),
        leg(&|leg| leg.remote_target = "x".into()),
        leg(&|leg| leg.listener = 9),
        leg(&|leg| leg.address = None),
    ];
    for note in notes {
        let mut node = former.successor();
        assert_eq!(node.endpoint.take_over(node.now, &note), Err(NotACall), "{note:?}");
        node.drain();
        assert!(node.endpoint.is_idle() && node.sent.is_empty(), "{note:?}");
        assert_eq!((node.calls_over("a"), node.calls_over("b")), (0, 0), "{note:?}");
    }
    // A trunk that is configured no longer is no reason to hang up.
    let gone = PartyNote { trunk: Some("gone".into()), ..PartyNote::default() };
    let note = Note { live: Some(Live { parties: [gone.clone(), gone], ..live }), ..note.clone() };
    let node = Node::next(&former, &note);
    assert_eq!(node.endpoint.get(&note.res_id).unwrap().state, State::Connected);
}

#[test]
fn a_call_is_taken_over_once_and_again_by_the_process_after_that() {
    let (former, note) = Node::connected();
    let mut node = Node::next(&former, &note);
    assert_eq!(node.endpoint.take_over(node.now, &note), Err(NotACall), "it is here already");
    node.finds(&[page(tag(&note), SESSION)]);
    let second = node.note.clone().unwrap();
    assert!(second.live.is_some() && second.seq == note.seq);
    let mut last = Node::next(&node, &second);
    last.finds(&[page(tag(&note), SESSION)]);
    assert_eq!(last.endpoint.counters().taken_over, 1);
}
