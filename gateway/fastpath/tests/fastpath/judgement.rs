//! What becomes of a frame, by running the program on frames of the test's own.

use duogate_fastpath::{FastPath, Flow, PassReason, Quiet};

use crate::frames::{Action, Outcome, frame, parts, rtp, run};
use crate::host::{FAMILIES, Family, GATEWAY_MAC, Host, PARTY_MAC, flow, index, leg, party};

#[test]
fn every_field_is_rewritten() {
    let Some(host) = Host::new() else { return };
    let Some(path) = host.load(&host.settings()) else { return };
    for family in FAMILIES {
        let flow = flow(family);
        path.table().on(index(0, family), &flow).unwrap();
        for (step, length) in [(0, 160), (1, 1), (2, 33), (3, 1400)] {
            let payload: Vec<u8> = (0..length).map(|place: usize| place.to_le_bytes()[0]).collect();
            let timestamp = 50_000 + 160 * u32::from(step);
            let sent = rtp(0x88, 1000 + step, timestamp, flow.ssrc, &payload);
            let outcome = run(&path, &frame(party(0, family), leg(0, family), &sent));
            assert_eq!(outcome.action, Action::Send, "{family:?} {:?}", path.counters());
            let found = parts(&outcome.frame);
            // What comes from a virtual interface may have half a checksum: IPv4 needs none, IPv6 gets a new one.
            assert_eq!(found.summed, family == Family::Six);
            assert_eq!(found.macs, [PARTY_MAC, GATEWAY_MAC]);
            assert_eq!((found.traffic_class, found.hops), (0xb8, 64));
            assert_eq!((found.source, found.destination), (leg(1, family), party(1, family)));
            let out = (1000 + step).wrapping_add(flow.sequence_offset);
            let timestamp = timestamp.wrapping_add(flow.timestamp_offset);
            assert_eq!(found.payload, rtp(0x80, out, timestamp, flow.out_ssrc, &payload));
        }
    }
}

#[test]
fn full_checksums_are_carried_on() {
    let Some(host) = Host::new() else { return };
    if host.load(&host.settings()).is_none() {
        return;
    }
    let path = FastPath::load_as_on_devices(&host.settings()).unwrap();
    for family in FAMILIES {
        let udp = if family == Family::Four { 34 } else { 54 };
        path.table().on(index(0, family), &flow(family)).unwrap();
        for step in 0..200_u16 {
            let payload: Vec<u8> = (0..step + 1).map(|octet| octet.to_le_bytes()[0] ^ 0x5a).collect();
            let timestamp = 50_000 + 160 * u32::from(step);
            let sent = rtp(8, 1000 + step, timestamp, flow(family).ssrc, &payload);
            let mut sent = frame(party(0, family), leg(0, family), &sent);
            let wrong = step % 3 == 2 && payload.len() > 10;
            if wrong {
                sent[udp + 30] ^= 1;
            }
            let none = family == Family::Four && step % 3 == 1;
            if none {
                sent[udp + 6..udp + 8].fill(0);
            }
            let outcome = run(&path, &sent);
            assert_eq!(outcome.action, Action::Send);
            // A checksum that was wrong stays wrong: the listener shall know.
            let found = std::panic::catch_unwind(|| parts(&outcome.frame));
            assert_eq!(found.is_err(), wrong, "{family:?} {step}");
            if let Ok(found) = found {
                assert_eq!(found.summed, !none, "{family:?} {step}");
                assert_eq!((found.source, found.destination), (leg(1, family), party(1, family)));
            }
        }
        assert_eq!(path.table().off(index(0, family)).unwrap().forwarded(), 200);
    }
}

/// A change to a frame that makes it none of the program's business.
type Change = fn(&mut Vec<u8>);

/// Changes to a frame of IPv4, and why each is passed; `None` where it does not even concern a media address.
const CHANGES: &[(&str, Change, Option<PassReason>)] = &[
    ("another source address", |frame| frame[29] = 9, Some(PassReason::Stranger)),
    ("another source port", |frame| frame[35] ^= 1, Some(PassReason::Stranger)),
    ("another destination", |frame| frame[33] = 9, None),
    ("another port", |frame| frame[37] ^= 4, Some(PassReason::Off)),
    ("the RTCP port", |frame| frame[37] ^= 1, None),
    ("another SSRC", |frame| frame[50] ^= 1, Some(PassReason::Ssrc)),
    ("a telephone-event", |frame| frame[43] = 101, Some(PassReason::PayloadType)),
    ("comfort noise", |frame| frame[43] = 13, Some(PassReason::PayloadType)),
    ("RTCP", |frame| frame[43] = 200, Some(PassReason::Content)),
    ("STUN", |frame| frame[42] = 0, Some(PassReason::Content)),
    ("an extension", |frame| frame[42] = 0x90, Some(PassReason::Content)),
    ("padding", |frame| frame[42] = 0xa0, Some(PassReason::Content)),
    ("a contributing source", |frame| frame[42] = 0x81, Some(PassReason::Content)),
    ("the first fragment", |frame| frame[20] = 0x20, Some(PassReason::Unusual)),
    ("a later fragment", |frame| frame[21] = 1, Some(PassReason::Unusual)),
    ("options", |frame| frame[14] = 0x46, Some(PassReason::Unusual)),
    ("a length beyond the frame", |frame| frame[17] += 1, Some(PassReason::Unusual)),
    ("a datagram's length that does not fit", |frame| frame[39] -= 1, Some(PassReason::Unusual)),
    ("a torn frame", |frame| frame.truncate(60), Some(PassReason::Unusual)),
    ("TCP", |frame| frame[23] = 6, None),
    ("ARP", |frame| frame[13] = 6, None),
    (
        "a VLAN tag",
        |frame| {
            frame.splice(12..12, [0x81, 0, 0, 7]);
        },
        None,
    ),
    ("a far jump", |frame| frame[44] ^= 0x40, Some(PassReason::Sequence)),
    ("a timestamp that went back", |frame| frame[46] = 0xff, Some(PassReason::Timestamp)),
    ("a timestamp far ahead", |frame| frame[47] = 0x10, Some(PassReason::Timestamp)),
];

#[test]
fn everything_else_is_passed_as_it_came() {
    let Some(host) = Host::new() else { return };
    let Some(path) = host.load(&host.settings()) else { return };
    let flow = flow(Family::Four);
    path.table().on(index(0, Family::Four), &flow).unwrap();
    let before = path.table().read(index(0, Family::Four)).unwrap();
    let sound = rtp(8, 1000, 50_000, flow.ssrc, &[0xd5; 160]);
    let good = frame(party(0, Family::Four), leg(0, Family::Four), &sound);
    for (what, change, reason) in CHANGES {
        let mut changed = good.clone();
        change(&mut changed);
        let counted = path.counters().unwrap();
        let outcome = run(&path, &changed);
        assert_eq!(outcome, Outcome { action: Action::Pass, frame: changed }, "{what}");
        let mut expected = counted;
        if let Some(reason) = reason {
            expected.passed[*reason as usize] += 1;
        }
        assert_eq!(path.counters().unwrap(), expected, "{what}");
    }
    let empty = frame(party(0, Family::Four), leg(0, Family::Four), &rtp(8, 1000, 50_000, flow.ssrc, &[]));
    assert_eq!(run(&path, &empty).action, Action::Pass, "no payload");
    for length in 0..good.len() {
        // Below 14 octets the kernel itself refuses the run.
        if length >= 14 {
            assert_eq!(run(&path, &good[..length]).action, Action::Pass, "{length} octets");
        }
    }
    assert_eq!(path.table().read(index(0, Family::Four)), Some(before), "nothing was counted");
    assert_eq!(run(&path, &good).action, Action::Send);
}

#[test]
fn everything_else_is_passed_with_ipv6_too() {
    let Some(host) = Host::new() else { return };
    let Some(path) = host.load(&host.settings()) else { return };
    let flow = flow(Family::Six);
    path.table().on(index(0, Family::Six), &flow).unwrap();
    let sound = rtp(8, 1000, 50_000, flow.ssrc, &[0xd5; 160]);
    let good = frame(party(0, Family::Six), leg(0, Family::Six), &sound);
    let changes: &[(&str, Change)] = &[
        ("another source, at its end", |frame| frame[37] ^= 1),
        ("another source, at its beginning", |frame| frame[24] ^= 1),
        ("another destination, at its beginning", |frame| frame[39] ^= 1),
        ("hop-by-hop options", |frame| frame[20] = 0),
        ("a fragment", |frame| frame[20] = 44),
        ("ICMP", |frame| frame[20] = 58),
        ("no checksum", |frame| frame[60..62].fill(0)),
        ("a length beyond the frame", |frame| frame[19] += 1),
        ("another version", |frame| frame[14] = 0x40),
        ("another SSRC", |frame| frame[70] ^= 1),
    ];
    for (what, change) in changes {
        let mut changed = good.clone();
        change(&mut changed);
        assert_eq!(run(&path, &changed), Outcome { action: Action::Pass, frame: changed }, "{what}");
    }
    assert_eq!(path.table().read(index(0, Family::Six)).unwrap().received, 0);
    assert_eq!(run(&path, &good).action, Action::Send);
}

#[test]
fn without_a_next_hop_everything_is_passed() {
    let Some(host) = Host::new() else { return };
    let Some(path) = host.load(&host.settings()) else { return };
    // No route; a neighbor that is not known; an address of this host.
    for destination in ["192.0.2.1:6000", "10.99.0.77:6000", "10.99.0.1:6000"] {
        let flow = Flow { destination: destination.parse().unwrap(), ..flow(Family::Four) };
        path.table().on(index(0, Family::Four), &flow).unwrap();
        let sound = rtp(8, 1000, 50_000, flow.ssrc, &[0xd5; 160]);
        let sent = frame(party(0, Family::Four), leg(0, Family::Four), &sound);
        let lookups = path.counters().unwrap().lookups;
        for _ in 0..3 {
            assert_eq!(run(&path, &sent), Outcome { action: Action::Pass, frame: sent.clone() });
        }
        assert_eq!(path.table().off(index(0, Family::Four)).unwrap().received, 0);
        assert!(path.counters().unwrap().lookups > lookups);
    }
    assert_eq!(path.counters().unwrap().passed(PassReason::NoNextHop), 9);
}

#[test]
fn a_next_hop_is_looked_up_once() {
    let Some(host) = Host::new() else { return };
    let Some(path) = host.load(&host.settings()) else { return };
    let flow = flow(Family::Four);
    path.table().on(index(0, Family::Four), &flow).unwrap();
    let begin = std::time::Instant::now();
    for step in 0..100_u16 {
        let sound = rtp(8, 1000 + step, 50_000 + 160 * u32::from(step), flow.ssrc, &[0xd5; 160]);
        let sent = frame(party(0, Family::Four), leg(0, Family::Four), &sound);
        assert_eq!(run(&path, &sent).action, Action::Send);
    }
    let seconds = begin.elapsed().as_secs();
    let counters = path.counters().unwrap();
    assert!((1..=seconds + 1).contains(&counters.lookups), "{counters:?} in {seconds} s");
    assert_eq!((counters.forwarded, counters.octets), (100, 16_000));
}

#[test]
fn what_can_be_heard_is_told_from_silence() {
    let Some(host) = Host::new() else { return };
    let Some(path) = host.load(&host.settings()) else { return };
    // With what silence is, the step of each law without its sign, and how many steps are as good as silence.
    let companded = |inverted: u8, most: u8| move |octet: u8| (octet ^ inverted) & 0x7f > most;
    let (alaw, mulaw) = (companded(0x55, 1), companded(0x7f, 3));
    let heard = |quiet, family, payload: &[u8]| {
        let flow = Flow { quiet, ..flow(family) };
        path.table().on(index(0, family), &flow).unwrap();
        let sent = rtp(8, 1000, 50_000, flow.ssrc, payload);
        assert_eq!(run(&path, &frame(party(0, family), leg(0, family), &sent)).action, Action::Send);
        path.table().off(index(0, family)).unwrap().loud == 1
    };
    for family in FAMILIES {
        for octet in 0..=u8::MAX {
            for place in [0, 3, 7] {
                let payload = |silence| {
                    let mut payload = [silence; 160];
                    payload[place] = octet;
                    payload
                };
                assert_eq!(heard(Quiet::Alaw, family, &payload(0xd5)), alaw(octet), "{octet:#x} at {place}");
                assert_eq!(
                    heard(Quiet::Mulaw, family, &payload(0xff)),
                    mulaw(octet),
                    "{octet:#x} at {place}"
                );
            }
        }
        assert!(!heard(Quiet::Alaw, family, &[0; 7]) && heard(Quiet::Alaw, family, &[0; 8]));
        for length in 1..5 {
            assert_eq!(heard(Quiet::Short, family, &vec![0; length]), length > 2);
            assert!(heard(Quiet::Never, family, &vec![0; length]));
        }
    }
}
