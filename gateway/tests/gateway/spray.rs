//! Strangers who send to every port, before and after the parties speak: nothing of theirs is forwarded, and nothing
//! that belongs to a party goes to them.

use std::fs;
use std::ops::RangeInclusive;
use std::time::Duration;

use duogate_channel::command::Rtcp;
use duogate_channel::event::Event;
use duogate_channel::sound::Codec;

use crate::house::{Gateway, until};
use crate::party::{Packet, Phone, opened_with, warm_up};

const QUIET: Duration = Duration::from_millis(100);

/// What no party ever says.
pub(crate) const STRANGE: u8 = 66;

/// All ports of a gateway: those for RTP and those above them.
pub(crate) fn ports(gateway: &Gateway) -> RangeInclusive<u16> {
    let file = fs::read_to_string(gateway.folder.path().join("duogate.toml")).unwrap();
    let range = file.lines().find_map(|line| line.strip_prefix("ports = \"")?.strip_suffix('"')).unwrap();
    let (first, last) = range.split_once('-').unwrap();
    first.parse().unwrap()..=last.parse().unwrap()
}

/// A sender report of a party without a block (RFC 3550 section 6.4.1), and its BYE (section 6.6).
fn rtcp(ssrc: u32) -> [Vec<u8>; 2] {
    let mut report = vec![0x80, 200, 0, 6];
    report.extend(ssrc.to_be_bytes());
    report.extend([STRANGE; 20]);
    let mut bye = vec![0x81, 203, 0, 1];
    bye.extend(ssrc.to_be_bytes());
    [report, bye]
}

/// A binding request (RFC 8489 section 5).
fn stun() -> Vec<u8> {
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend([STRANGE; 12]);
    request
}

/// Sends to every port what would go on a party's stream: its next packet, one far ahead, another sender's, and
/// what belongs to RTCP and STUN.
pub(crate) fn spray(stranger: &Phone, victim: &Phone, ports: RangeInclusive<u16>) {
    let packet = |ssrc, ahead: u16| Packet {
        marker: ahead > 1,
        payload_type: victim.payload_type,
        sequence: victim.sequence.wrapping_add(ahead),
        timestamp: victim.timestamp.wrapping_add(160 * u32::from(ahead)),
        ssrc,
        payload: vec![STRANGE; 160],
    };
    let mut all = vec![stun()];
    all.extend(rtcp(victim.ssrc));
    all.extend(
        [packet(victim.ssrc, 1), packet(victim.ssrc, 5000), packet(7, 1)].map(|packet| packet.octets()),
    );
    for port in ports {
        for octets in &all {
            // A port that nobody has answers with an error, which is told at the next send.
            let _ = stranger.socket.send_to(octets, (victim.gateway.ip(), port));
        }
    }
}

/// The next packet, if one is there. Errors of ports that nobody has are no packets.
pub(crate) fn said(phone: &Phone) -> Option<Packet> {
    phone.socket.set_read_timeout(Some(QUIET)).unwrap();
    let mut octets = [0; 2048];
    let (length, _) = phone.socket.recv_from(&mut octets).ok()?;
    Some(Packet::parse(&octets[..length]))
}

/// Nobody hears anything for a while.
pub(crate) fn quiet<'a>(phones: impl Iterator<Item = &'a Phone>, when: &str) {
    for phone in phones {
        // Each error ends one look: there may be one for every port that nobody has.
        for _ in 0..3 {
            assert_eq!(said(phone), None, "{when}");
        }
    }
}

/// Who is heard by whom.
const PAIRS: [(usize, usize); 4] = [(0, 1), (1, 0), (2, 3), (3, 2)];

#[test]
fn a_spray_at_every_port_is_neither_forwarded_nor_does_it_divert_a_stream() {
    // RTCP is taken from the start; reports of the gateway's own would come later than this lasts.
    let gateway = Gateway::start("rtcp_seconds = 60");
    let all = ports(&gateway);
    let mut control = gateway.attach();
    // Two calls: what strangers do to one may not show in the other either. One has RTCP on the ports of RTP, one on
    // ports of its own.
    let reporting = |rtcp| Phone { rtcp, ..Phone::new(Codec::Pcma) };
    let (first, [one, two]) = opened_with(&mut control, [Rtcp::Muxed; 2].map(reporting));
    let (second, [three, four]) = opened_with(&mut control, [Rtcp::Port(9); 2].map(reporting));
    let mut phones = [one, two, three, four];
    let strangers = [Phone::new(Codec::Pcma), Phone::at("127.0.0.2:0", Codec::Pcma)];
    let spray_all = |phones: &[Phone; 4]| {
        for stranger in &strangers {
            phones[..2].iter().for_each(|victim| spray(stranger, victim, all.clone()));
        }
    };
    spray_all(&phones);
    control.join(first);
    control.join(second);
    spray_all(&phones);
    quiet(phones.iter().chain(&strangers), "before the first real packet");
    let mut heard = PAIRS.map(|(from, to)| {
        let [from, to] = phones.get_disjoint_mut([from, to]).unwrap();
        let mut last = warm_up(from, to).1;
        // On a busy host more than one was needed.
        while let Some(packet) = said(to) {
            last = packet;
        }
        assert_ne!(last.payload, vec![STRANGE; 160]);
        last.sequence
    });
    for round in 0..3u8 {
        spray_all(&phones);
        // A party is a stranger at every port but its own.
        let own = phones[0].gateway.port();
        spray(&phones[0], &phones[1], *all.start()..=own - 1);
        spray(&phones[0], &phones[1], own + 1..=*all.end());
        for ((from, to), last) in PAIRS.into_iter().zip(&mut heard) {
            phones[from].say(&[round; 160]);
            let packet = until("the real packet comes", || said(&phones[to]));
            *last = last.wrapping_add(1);
            assert_eq!((packet.sequence, packet.payload), (*last, vec![round; 160]), "round {round}");
        }
    }
    quiet(phones.iter().chain(&strangers), "after the last real packet");
    for session in [first, second] {
        let Event::Closed { statistics, .. } = control.close(session) else { panic!("closed") };
        for quality in statistics.map(|leg| leg.quality) {
            assert_eq!(
                (quality.reports_received, quality.bye),
                (0, false),
                "no stranger's RTCP was believed"
            );
        }
    }
}
