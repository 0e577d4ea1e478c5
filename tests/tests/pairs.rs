//! What a connected pair costs the control plane's core in memory, seen from outside: the growth of the process.

#[path = "world/text.rs"]
#[allow(dead_code, reason = "the world uses the rest of it")]
mod text;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::event::Event;
use duogate_channel::identity::{LocalPort, Session, Shard};
use duogate_channel::sound::Codec;
use duogate_channel::time::{Instant, UnixTime};
use duogate_signaling::clock::Now;
use duogate_signaling::endpoint::{Admission, Endpoint, Limits, Listener, Local, Output, Policy, Settings};
use duogate_signaling::resource::parameters::Parameters;
use duogate_signaling::resource::plan::{Prepared, Waits};
use duogate_signaling::resource::view::State;

use text::Text;

const PAIRS: u32 = 2_000;

/// Bytes for each connected pair, at the most, setting it up included. Both processes together may use 64 KiB.
const MOST: usize = 24 * 1024;

fn endpoint(now: Now) -> Endpoint {
    let settings = Settings {
        node: "n".into(),
        user_agent: "Duogate".into(),
        listeners: vec![Local::udp(SocketAddr::from((Ipv4Addr::LOCALHOST, 5060)))],
        media_addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        record_hold: duogate_channel::sound::RecordHold::Silence,
        codecs: vec![Codec::Pcma],
        limits: Limits {
            admission: Admission { max_calls: PAIRS, calls_per_second: 1.0, burst: PAIRS },
            ..Limits::default()
        },
        trunks: vec![],
        policy: Policy { allow_any_destination: true, default_trunk: None, webhook_hosts: vec![] },
        waits: Waits::default(),
        session: None,
        max_redirects: 3,
        timers: duogate_signaling::transaction::Settings::default(),
    };
    let mut endpoint = Endpoint::new(settings, [3; 32], now);
    endpoint.media_attached(now, &[PAIRS]);
    endpoint
}

/// Answers everything at once, as a party or as the gateway would.
fn oblige(endpoint: &mut Endpoint, now: Now, sessions: &mut u32) {
    while let Some(output) = endpoint.poll_output() {
        match output {
            Output::Send { destination, bytes, .. } => {
                let text = Text::read(&bytes);
                if text.method() == "INVITE" {
                    let body = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                                m=audio 4000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n";
                    let answer = text.answer(200, "t", "sip:p@192.0.2.1:5060", body);
                    endpoint.receive(now, Listener(0), destination, &answer);
                }
            }
            Output::Media { command: Command::Open { tag, .. }, .. } => {
                *sessions += 1;
                let session = Session { slot: *sessions, generation: 1 };
                endpoint.media(
                    now,
                    Shard(0),
                    Event::Opened { tag, session, ports: [LocalPort::first(4000), LocalPort::first(4002)] },
                );
            }
            Output::Media { command: Command::Join { session }, .. } => {
                endpoint.media(now, Shard(0), Event::Joined { session });
            }
            Output::Note(note) if note.seq == 0 => endpoint.noted(now, &note.res_id),
            _ => {}
        }
    }
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it is there");
    let kilobytes = line.split_whitespace().nth(1).and_then(|text| text.parse::<usize>().ok());
    kilobytes.expect("a number") * 1024
}

#[test]
fn a_connected_pair_is_small() {
    let mut now =
        Now { instant: Instant::from_nanoseconds(1_000_000_000), unix: UnixTime::from_milliseconds(1) };
    let mut endpoint = endpoint(now);
    let before = resident_bytes();
    let mut sessions = 0;
    for _ in 0..PAIRS {
        let parameters = Parameters {
            to1_uri: vec!["sip:1001@192.0.2.1".into()],
            to2_uri: vec!["sip:1002@192.0.2.1".into()],
            user_data: Some("order 4711".into()),
            ..Parameters::default()
        };
        let plan = endpoint.check(now, &parameters).expect("good parameters");
        let prepared = Prepared::default();
        endpoint.construct(now, plan, prepared).expect("there is room");
        oblige(&mut endpoint, now, &mut sessions);
    }
    // The INVITE transactions run out, and with them their copies of messages.
    for _ in 0..40 {
        now.instant = now.instant + Duration::from_secs(1);
        endpoint.advance(now);
        oblige(&mut endpoint, now, &mut sessions);
    }
    let each = resident_bytes().saturating_sub(before) / PAIRS as usize;
    assert_eq!(endpoint.counters().states[State::Connected as usize], PAIRS);
    assert!(each <= MOST, "{each} bytes for each pair");
    // It must be able to fail: a pair cannot cost nothing.
    assert!(each > 512, "{each} bytes for each pair is too good to be true");
    println!("{each} bytes for each connected pair");
}
