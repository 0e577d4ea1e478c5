//! The 49 torture messages of RFC 4475, by the names of its sections, and what an endpoint that takes no calls makes of
//! each: what it answers, or that it keeps silent.

mod above;
mod invalid;
mod valid;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use duogate_channel::sound::Codec;
use duogate_channel::time::{Instant, UnixTime};
use duogate_signaling::clock::Now;
use duogate_signaling::endpoint::settings::Waits;
use duogate_signaling::endpoint::{Endpoint, Limits, Listener, Local, Output, Policy, Settings};
use duogate_signaling::message::{Message, Method, Name};

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// It was read, and answered with this status, as its method wants.
    Accepted(u16),
    /// It was refused with this status, as the RFC has it.
    Refused(u16),
    /// It was read; it belongs to nothing of ours, and wants no answer.
    Passed,
    /// It could not be read and wants no answer.
    Dropped,
}

/// One message of the RFC.
struct Torture {
    /// Its name.
    name: &'static str,
    /// Its octets.
    bytes: Vec<u8>,
    verdict: Verdict,
}

/// A message whose lines are to end as on the wire.
fn torture(name: &'static str, text: &str, verdict: Verdict) -> Torture {
    Torture { name, bytes: wire(text), verdict }
}

fn wire(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

/// The session description that most of the messages carry, from a host of 192.0.2.0/24.
fn description(host: u8) -> String {
    timed(host, "0 0")
}

/// The same, with another time.
fn timed(host: u8, time: &str) -> String {
    format!(
        "v=0\no=mhandley 29739 7272939 IN IP4 192.0.2.{host}\ns=-\nc=IN IP4 192.0.2.{host}\nt={time}\n\
         m=audio 49217 RTP/AVP 0 12\nm=video 3227 RTP/AVP 31\na=rtpmap:31 LPC\n"
    )
}

fn all() -> Vec<Torture> {
    valid::messages().into_iter().chain(invalid::messages()).chain(above::messages()).collect()
}

const SOURCE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 5)), 5060);

fn endpoint() -> Endpoint {
    let ours = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let settings = Settings {
        node: "n1".into(),
        user_agent: "Duogate".into(),
        listeners: vec![Local::udp(SocketAddr::new(ours, 5060))],
        media_addresses: vec![ours],
        record_hold: duogate_channel::sound::RecordHold::Silence,
        codecs: vec![Codec::Pcma],
        limits: Limits::default(),
        trunks: Vec::new(),
        policy: Policy::default(),
        waits: Waits::default(),
        session: None,
        max_redirects: 3,
        timers: duogate_signaling::transaction::Settings::default(),
    };
    let now = Now { instant: Instant::from_nanoseconds(1), unix: UnixTime::from_milliseconds(1) };
    Endpoint::new(settings, [7; 32], now)
}

/// The answers to one datagram.
fn answers(endpoint: &mut Endpoint, bytes: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
    let now = Now { instant: Instant::from_nanoseconds(2), unix: UnixTime::from_milliseconds(1) };
    endpoint.receive(now, Listener(0), SOURCE, bytes);
    let sent = |output| match output {
        Output::Send { destination, bytes, .. } => Some((destination, bytes)),
        _ => None,
    };
    std::iter::from_fn(|| endpoint.poll_output()).filter_map(sent).collect()
}

/// The status of an answer; some answer what no parser could read, and carry it back.
fn status(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    text.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line")
}

#[test]
fn rfc4475_3_each_of_the_49_messages_has_its_verdict() {
    let names: BTreeSet<&str> = all().iter().map(|torture| torture.name).collect();
    assert_eq!((names.len(), all().len()), (49, 49), "{names:?}");
    for Torture { name, bytes, verdict } in all() {
        let mut endpoint = endpoint();
        let answers = answers(&mut endpoint, &bytes);
        let readable = Message::parse(&bytes).is_ok();
        match verdict {
            Verdict::Accepted(code) | Verdict::Refused(code) => {
                assert_eq!(answers.len(), 1, "{name}: one answer");
                assert_eq!(status(&answers[0].1), code, "{name}");
                assert!(answers[0].1.len() <= bytes.len() + 300, "{name}: no amplification");
                assert_eq!(answers[0].0.ip(), SOURCE.ip(), "{name}: to nobody else");
            }
            Verdict::Passed | Verdict::Dropped => assert!(answers.is_empty(), "{name}: {answers:?}"),
        }
        // What is not read is refused as malformed and in no other way, and the other way round.
        let counters = endpoint.counters();
        assert_eq!(counters.datagrams_malformed == 0, readable, "{name}");
        match verdict {
            Verdict::Accepted(_) => assert!(readable, "{name}: {:?}", Message::parse(&bytes).err()),
            Verdict::Passed => assert!(readable && counters.stray_responses == 1, "{name}"),
            Verdict::Dropped => assert!(!readable, "{name}"),
            Verdict::Refused(_) => {}
        }
        assert!(endpoint.is_idle(), "{name}: nothing is kept");
    }
}

/// The octets of one of them.
fn named(name: &str) -> Vec<u8> {
    all().into_iter().find(|torture| torture.name == name).expect("it is in the table").bytes
}

#[test]
fn rfc4475_3_refusals_say_what_would_be_taken() {
    for (name, header, value) in [
        ("intmeth", Name::Allow, "INVITE"),
        ("escnull", Name::Allow, "OPTIONS"),
        ("bext01", Name::Unsupported, "nothingSupportsThis, nothingSupportsThisEither"),
        ("invut", Name::Accept, "application/sdp"),
        ("sdp01", Name::Accept, "application/sdp"),
        ("insuf", Name::Warning, "missing"),
        ("multi01", Name::Warning, "repeated"),
    ] {
        let answers = answers(&mut endpoint(), &named(name));
        let text = String::from_utf8(answers[0].1.clone()).expect("text");
        let wanted = format!("{}: ", header.as_str());
        let line = text.lines().find(|line| line.starts_with(&wanted)).unwrap_or_default();
        assert!(line.contains(value), "{name}: {text}");
    }
}

#[test]
fn rfc4475_3_1_1_what_is_valid_means_what_it_says() {
    let bytes = named("wsinv");
    let message = Message::parse(&bytes).expect("valid");
    assert_eq!((message.cseq().number, message.max_forwards(), message.body().len()), (9, Some(68), 150));
    assert_eq!((message.from().tag(), message.to().tag()), (Some("98asjd8"), Some("1918181833n")));
    assert_eq!(message.vias().flatten().count(), 3);
    let bytes = named("escnull");
    assert_eq!(Message::parse(&bytes).expect("valid").contacts().flatten().count(), 2);
    let bytes = named("esc02");
    let message = Message::parse(&bytes).expect("valid");
    assert_eq!((message.method(), message.contacts().count()), (Method::Extension("RE%47IST%45R"), 2));
    let bytes = named("longreq");
    assert_eq!(Message::parse(&bytes).expect("valid").vias().flatten().count(), 34);
    let bytes = named("dblreq");
    assert_eq!(Message::parse(&bytes).expect("valid").method(), Method::Register);
    let bytes = named("mpart01");
    let message = Message::parse(&bytes).expect("valid");
    assert_eq!(message.body().len(), 553);
    let bytes = named("unreason");
    let reason = "= 2**3 * 5**2 но сто девяносто девять - простое";
    assert_eq!(Message::parse(&bytes).expect("valid").reason_phrase(), Some(reason));
    let bytes = named("noreason");
    assert_eq!(Message::parse(&bytes).expect("valid").reason_phrase(), Some(""));
}

#[test]
fn rfc4475_3_1_2_what_is_wrong_in_an_unused_value_stays_there() {
    // The list leaves these to the receiver's needs: what nobody reads refuses nothing.
    let bytes = named("regbadct");
    assert!(Message::parse(&bytes).expect("valid").contacts().all(|contact| contact.is_err()));
    let bytes = named("baddate");
    assert!(Message::parse(&bytes).is_ok());
    let bytes = named("badbranch");
    assert!(!Message::parse(&bytes).expect("valid").via().is_rfc3261(), "matched as RFC 2543 has it");
}
