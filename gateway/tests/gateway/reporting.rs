//! RTCP over real sockets, and faults of sound in real time.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use duogate_channel::command::Rtcp;
use duogate_channel::event::Event;
use duogate_channel::identity::Party;
use duogate_channel::quality::Fault;
use duogate_channel::sound::Codec;
use duogate_media::rtcp::{Block, Compound, Report, SenderInfo, Statement, is_rtcp};

use crate::house::{Control, Gateway, until};
use crate::party::{Packet, Phone, call, opened_with};

/// Reports come within 0.2 to 1.2 s with this, the first within 0.7.
const OFTEN: &str = "rtcp_seconds = 1";

fn statements(datagram: &[u8]) -> Vec<Statement> {
    let mut all = Vec::new();
    Compound::new_checked(datagram).unwrap().statements(|statement| all.push(statement));
    all
}

/// Both talk, 20 ms a packet, until a sender report comes to `socket`; the newest RTP packet that the first has heard by
/// then, too.
fn sender_report(
    phones: &mut [Phone; 2],
    socket: &UdpSocket,
    from: u16,
    newest: &mut Option<Packet>,
) -> (u32, SenderInfo) {
    socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    until("a sender report comes", || {
        for phone in phones.iter_mut() {
            phone.say(&[0x11; 160]);
        }
        let mut datagram = [0; 2048];
        for _ in 0..2 {
            let Ok((length, source)) = socket.recv_from(&mut datagram) else { break };
            assert_eq!(source.port(), from);
            if !is_rtcp(&datagram[..length]) {
                *newest = Some(Packet::parse(&datagram[..length]));
                continue;
            }
            if let [Statement::Sender { ssrc, info }, ..] = statements(&datagram[..length])[..] {
                return Some((ssrc, info));
            }
        }
        None
    })
}

fn receiver_report(block: Block) -> Vec<u8> {
    let report = Report { ssrc: 1, sender: None, block: Some(block), cname: [b'x'; 16], bye: false };
    let mut bytes = vec![0; report.length()];
    report.emit(&mut bytes);
    bytes
}

/// What a party that has lost something answers at once.
fn answer(ssrc: u32, info: &SenderInfo) -> Vec<u8> {
    let last_report = u32::try_from(info.ntp >> 16 & 0xffff_ffff).unwrap();
    receiver_report(Block { ssrc, lost: 5, fraction: 12, jitter: 16, last_report, ..Block::default() })
}

fn closed(
    control: &mut Control,
    session: duogate_channel::identity::Session,
) -> [duogate_channel::quality::Quality; 2] {
    let Event::Closed { statistics, .. } = control.close(session) else { panic!("closed") };
    statistics.map(|leg| leg.quality)
}

#[test]
fn reports_go_both_ways_on_the_port_of_rtp() {
    let gateway = Gateway::start(OFTEN);
    let mut control = gateway.attach();
    let phones = [Rtcp::Muxed; 2].map(|rtcp| Phone { rtcp, ..Phone::new(Codec::Pcma) });
    let (session, mut phones) = opened_with(&mut control, phones);
    control.join(session);
    let socket = phones[0].socket.try_clone().unwrap();
    let (mut newest, port) = (None, phones[0].gateway.port());
    let (ssrc, info) = sender_report(&mut phones, &socket, port, &mut newest);
    let heard = newest.expect("sound before the report");
    assert_eq!(ssrc, heard.ssrc);
    // The report was made at most 40 ms of sound after the newest packet.
    assert!(info.timestamp.wrapping_sub(heard.timestamp) < 1_000, "{info:?}, {heard:?}");
    // The wall clock, within a second: of this century.
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((info.ntp >> 32).abs_diff(unix + 2_208_988_800) <= 1, "{info:?}");
    socket.send_to(&answer(ssrc, &info), phones[0].gateway).unwrap();
    sender_report(&mut phones, &socket, port, &mut None);
    let [quality, other] = closed(&mut control, session);
    assert_eq!(
        (quality.heard_lost, quality.heard_fraction, quality.heard_jitter_microseconds),
        (5, 12, 2_000)
    );
    assert!((1..500_000).contains(&quality.round_trip_microseconds), "{quality:?}");
    assert!(quality.reports_sent >= 2 && quality.reports_received == 1, "{quality:?}");
    assert!(quality.heard.last > 100 && quality.sent.last > 400, "{quality:?}");
    assert_eq!((other.reports_received, other.round_trip_microseconds), (0, 0));
    // The leg ends with a BYE.
    until("a BYE comes", || {
        let mut datagram = [0; 2048];
        let (length, _) = socket.recv_from(&mut datagram).ok()?;
        let bye =
            is_rtcp(&datagram[..length]) && statements(&datagram[..length]).contains(&Statement::Bye(ssrc));
        bye.then_some(())
    });
}

#[test]
fn reports_go_both_ways_on_ports_of_their_own_and_strangers_have_no_say_there() {
    let gateway = Gateway::start(OFTEN);
    let mut control = gateway.attach();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let rtcp = Rtcp::Port(socket.local_addr().unwrap().port());
    let phones = [Phone { rtcp, ..Phone::new(Codec::Pcma) }, Phone::new(Codec::Pcma)];
    let (session, mut phones) = opened_with(&mut control, phones);
    control.join(session);
    let port = phones[0].gateway.port() + 1;
    let (ssrc, info) = sender_report(&mut phones, &socket, port, &mut None);
    let there = ("127.0.0.1", port);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let lie = receiver_report(Block { ssrc, lost: 4711, ..Block::default() });
    for liar in [&stranger, &phones[0].socket, &phones[1].socket] {
        liar.send_to(&lie, there).unwrap();
    }
    sender_report(&mut phones, &socket, port, &mut None);
    socket.send_to(&answer(ssrc, &info), there).unwrap();
    sender_report(&mut phones, &socket, port, &mut None);
    let [quality, _] = closed(&mut control, session);
    assert_eq!((quality.reports_received, quality.heard_lost), (1, 5), "{quality:?}");
    assert!(quality.round_trip_microseconds > 0);
    // Nothing of the conversation of reports came to the other party.
    phones[1].socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut datagram = [0; 2048];
    while let Ok((length, _)) = phones[1].socket.recv_from(&mut datagram) {
        assert!(!is_rtcp(&datagram[..length]));
    }
}

#[test]
fn one_way_sound_is_told_within_5_seconds() {
    let (_gateway, mut control, session, [mut one, mut two]) = call([Codec::Pcma, Codec::Pcma]);
    two.say(&[0x11; 160]);
    let start = Instant::now();
    let event = until("a fault is told", || {
        one.say(&[0x11; 160]);
        control.event_within(Duration::from_millis(20))
    });
    assert_eq!(event, Event::Fault { session, party: Party::Two, fault: Some(Fault::Absent) });
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let event = until("and its end", || {
        one.say(&[0x11; 160]);
        two.say(&[0x11; 160]);
        control.event_within(Duration::from_millis(20))
    });
    assert_eq!(event, Event::Fault { session, party: Party::Two, fault: None });
}
