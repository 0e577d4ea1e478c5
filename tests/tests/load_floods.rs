//! Floods of what nobody asked for, while calls are up: those calls notice nothing, and memory stays bounded.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use duogate_phone::{Step, What};
use duogate_tests::certificates::Certificates;
use duogate_tests::duogate::Changes;
use duogate_tests::judged::Judged;
use duogate_tests::patience::until;
use duogate_tests::ports;
use duogate_tests::process::resident_kibibytes;
use duogate_tests::scene::{STEP, Scene, answers, phone};
use serde_json::json;

/// Callbacks that are up during the floods, beside that of the scene: 100 calls in all.
const PAIRS: usize = 49;

/// Datagrams of each kind.
const DATAGRAMS: u32 = 5_000;

/// Datagrams that go out before the answers to them are read.
const BURST: u32 = 50;

/// Connections of each kind that come to nothing; more than one address may have.
const CONNECTIONS: usize = 150;

/// What one address may have.
const SHARE: usize = 64;

/// How long an answer to a request inside a dialog may take in the midst of a flood: T1, so that nobody has to ask twice
/// (RFC 3261 section 17.1.2.2).
const IN_TIME: Duration = Duration::from_millis(500);

/// What may be added to a process's memory, in KiB: 192 connections with their buffers, of which 64 are in the midst of a
/// handshake, and buffers that fill once. No state for strangers.
const GROWTH: u64 = 8_192;

/// What a second flood, of 20,000 messages, may add to that: a huge page of 2 MiB that the allocator had nearly filled, and
/// for each message less than any state would take.
const AGAIN: u64 = 3_072;

/// A stranger with one socket.
struct Stranger {
    socket: UdpSocket,
    port: u16,
    answers: u32,
}

impl Stranger {
    fn new(port: u16) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_nonblocking(true).expect("a socket can be so");
        Self { socket, port, answers: 0 }
    }

    /// Sends so many messages, each of a transaction and a call of its own.
    fn flood(&mut self, kind: &str) {
        for number in 0..DATAGRAMS {
            let message = self.message(kind, number);
            // A full buffer drops it, as a network would.
            let _ = self.socket.send_to(message.as_bytes(), ("127.0.0.1", self.port));
            if number % BURST == 0 {
                self.read();
            }
        }
    }

    fn read(&mut self) {
        let mut buffer = [0; 2_048];
        while self.socket.recv_from(&mut buffer).is_ok() {
            self.answers += 1;
        }
    }

    fn message(&self, kind: &str, number: u32) -> String {
        let own = self.socket.local_addr().expect("a bound socket has an address");
        let port = self.port;
        let (first, cseq, tag) = match kind {
            "response" => ("SIP/2.0 200 OK".to_owned(), "INVITE", ";tag=b"),
            "BYE" => (format!("BYE sip:127.0.0.1:{port} SIP/2.0"), "BYE", ";tag=b"),
            _ => (format!("{kind} sip:127.0.0.1:{port} SIP/2.0"), kind, ""),
        };
        // A response finds its transaction by our Via; this one names none.
        let via = if kind == "response" { format!("127.0.0.1:{port}") } else { own.to_string() };
        let mut text = String::new();
        let _ = write!(
            text,
            "{first}\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK{kind}{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:stranger@127.0.0.1>;tag=a{number}\r\nTo: <sip:you@127.0.0.1>{tag}\r\n\
             Call-ID: {number:032x}\r\nCSeq: 1 {cseq}\r\nContact: <sip:{own}>\r\nContent-Length: 0\r\n\r\n"
        );
        text
    }
}

/// Further callbacks that are up.
fn pairs(scene: &mut Scene) -> Vec<[Judged; 2]> {
    let pairs = (0..PAIRS).map(|_| [0, 1].map(|party| phone(answers(party)))).collect::<Vec<_>>();
    for [one, two] in &pairs {
        scene.application.construct(&json!({"to1_uri": one.uri("one"), "to2_uri": two.uri("two")}));
    }
    for _ in &pairs {
        scene.until("on_connected");
    }
    pairs
}

/// Connections from one address of loopback that say this and no more.
fn connect(source: u8, port: u16, words: &[u8]) -> Vec<TcpStream> {
    let one = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).ok()?;
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, source), 0)).into()).ok()?;
        socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).ok()?;
        let mut stream = TcpStream::from(socket);
        // One that was closed at once takes nothing; that is what is counted later.
        let _ = stream.write_all(words);
        Some(stream)
    };
    (0..CONNECTIONS).filter_map(|_| one()).collect()
}

/// Connections that say nothing, that begin a message, and that begin a handshake; each kind from an address of its own.
fn half_connections(tcp: u16, tls: u16) -> [Vec<TcpStream>; 3] {
    let half =
        b"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.3\r\nContent-Length: 65000\r\n\r\nhalf";
    // The head of a ClientHello of 512 octets, of which none follows.
    let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc];
    [connect(2, tcp, b""), connect(3, tcp, half), connect(4, tls, &hello)]
}

/// How many of the connections are still open.
fn open(connections: &mut [TcpStream]) -> usize {
    let still = |stream: &mut TcpStream| {
        let _ = stream.set_read_timeout(Some(Duration::from_millis(1)));
        !matches!(stream.read(&mut [0]), Ok(0))
            && stream.peer_addr().is_ok()
            && stream.take_error().is_ok_and(|error| error.is_none())
    };
    connections.iter_mut().map(still).filter(|still| *still).count()
}

/// Puts the scene's call on hold and takes it back: in a call that is up, the control plane answers in time.
fn demand_service(scene: &Scene) {
    let changes = || {
        let events = scene.phones[0].events();
        events.iter().filter(|event| event.what == What::ChangeAnswered(200)).count()
    };
    for step in [Step::Hold, Step::Resume] {
        let (before, asked) = (changes(), Instant::now());
        scene.phones[0].act(step);
        until("the change is taken", STEP, || changes() > before);
        assert!(asked.elapsed() < IN_TIME, "answered after {:?}", asked.elapsed());
    }
    scene.demand_sound();
}

/// Who has no part in it still gets a connection.
fn demand_connection(port: u16) {
    let mut honest = connect(5, port, b"\r\n\r\n").swap_remove(0);
    honest.set_read_timeout(Some(STEP)).expect("a socket can wait");
    honest.read_exact(&mut [0; 2]).expect("its keep-alive is answered");
}

/// A scene that listens at all three transports, and its ports.
fn scene(folder: &std::path::Path) -> (Scene, [u16; 3]) {
    let all = [ports::free_udp_port(), ports::free_tcp_port(), ports::free_tcp_port()];
    let [udp, tcp, tls] = all;
    let listen =
        format!("listen = [\"udp:127.0.0.1:{udp}\", \"tcp:127.0.0.1:{tcp}\", \"tls:127.0.0.1:{tls}\"]");
    let mut changes = Changes::none().with("sip", &listen);
    for setting in Certificates::write(folder).settings() {
        changes = changes.with("sip", &setting);
    }
    (Scene::with(&changes, [answers(0), answers(1)]), all)
}

/// Addresses that a flood claims to come from: more than strangers get answers in a second.
const FORGED: u16 = 3_000;

#[test]
fn a_trunk_that_asks_is_answered_while_thousands_of_addresses_flood() {
    let scene = Scene::new([answers(0), answers(1)]);
    let port = scene.duogate.sip_port();
    let dropped =
        || scene.duogate.metric("duogate_sip_datagrams_total{kind=\"stranger_unanswered\"}").unwrap_or(0.0);
    // 127.0.0.1 is a trunk of this node; what else is in 127.0.0.0/8 is not.
    let mut trunk = Stranger::new(port);
    let text = trunk.message("OPTIONS", 7);
    let mut asked = 0;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        for number in 0..FORGED {
            let [high, low] = number.to_be_bytes();
            // One that cannot be bound is one less.
            let Ok(socket) = UdpSocket::bind((Ipv4Addr::new(127, 66, high, low), 0)) else { continue };
            let _ = socket.send_to(text.as_bytes(), ("127.0.0.1", port));
            if number % 500 == 0 {
                let ask = trunk.message("OPTIONS", 10_000 + asked);
                trunk.socket.send_to(ask.as_bytes(), ("127.0.0.1", port)).expect("a datagram");
                asked += 1;
                let sent = Instant::now();
                until("the trunk is answered", STEP, || {
                    trunk.read();
                    trunk.answers == asked
                });
                assert!(sent.elapsed() < IN_TIME, "{:?}", sent.elapsed());
            }
        }
    }
    assert!(dropped() > 0.0, "the flood was more than strangers are answered");
    assert!(asked > 10, "{asked}");
}

#[test]
fn rfc3261_26_3_2_4_a_hundred_calls_that_are_up_notice_nothing_of_floods() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut scene, [udp, tcp, tls]) = scene(folder.path());
    scene.connect(&json!({}));
    let pairs = pairs(&mut scene);
    let pids = [scene.duogate.gateway().id(), scene.duogate.control().id()];
    // The first messages fill buffers and caches.
    let mut stranger = Stranger::new(udp);
    stranger.flood("OPTIONS");
    let before = pids.map(resident_kibibytes);

    let mut connections = half_connections(tcp, tls);
    for connections in &mut connections {
        until("no more connections than one address may have", STEP, || open(connections) <= SHARE);
    }
    demand_service(&scene);
    for kind in ["INVITE", "OPTIONS", "BYE", "response"] {
        stranger.flood(kind);
        // In the midst of it, a call in progress is served.
        demand_service(&scene);
    }
    demand_connection(tcp);
    let between = pids.map(resident_kibibytes);
    for kind in ["INVITE", "OPTIONS", "BYE", "response"] {
        stranger.flood(kind);
    }
    let last = pids.map(resident_kibibytes);
    assert!(
        last.iter().zip(between).all(|(last, between)| *last <= between + AGAIN),
        "{between:?}, {last:?}"
    );
    scene.demand_new_callback();
    stranger.read();

    let after = pids.map(resident_kibibytes);
    for (before, after) in before.iter().zip(after) {
        assert!(after <= before + GROWTH, "{before} KiB, then {after} KiB");
    }
    let seen = |kind: &str| {
        scene.duogate.metric(&format!("duogate_sip_datagrams_total{{kind=\"{kind}\"}}")).unwrap_or(0.0)
    };
    let (requests, responses) = (seen("stray_request"), seen("stray_response"));
    assert!(requests > 5_000.0 && responses > 1_000.0, "they came in: {requests}, {responses}");
    assert!(f64::from(stranger.answers) <= requests, "at most one answer each: {}", stranger.answers);

    for phone in scene.phones.iter().chain(pairs.iter().flatten()) {
        let reception = phone.reception();
        assert_eq!((reception.violations.len(), reception.lost), (0, 0), "{reception:?}");
        assert!(!phone.events().iter().any(|event| event.what == What::Ended), "{:?}", phone.events());
    }
    for [one, _] in &pairs {
        one.act(Step::HangUp);
        scene.until("on_released");
        let release = scene.seen.last().expect("the one waited for");
        assert_eq!((&release.fields["cause"], &release.fields["released_by"]), (&json!(200), &json!(1)));
    }
    drop(connections);
}
