//! Packets of real sockets, through the interface and back.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use duogate_fastpath::{
    FastPath, Flow, FlowIndex, InterfaceMode, Mode, Order, PassReason, Position, Settings,
};

use crate::frames::rtp;
use crate::host::{
    ELSEWHERE, FAMILIES, Family, Host, LEGS, PARTY_ELSEWHERE, PARTY_PORTS, Side, flow, index, leg, party,
};

/// The two parties' sockets, and the gateway's own for the first of them.
struct Sockets {
    speaker: UdpSocket,
    listener: UdpSocket,
    gateway: UdpSocket,
}

fn sockets(host: &Host, family: Family) -> Sockets {
    Sockets {
        speaker: host.socket(Side::Parties, party(0, family)),
        listener: host.socket(Side::Parties, party(1, family)),
        gateway: host.socket(Side::Gateway, leg(0, family)),
    }
}

/// What comes to a socket next; `None` if nothing does for two seconds.
fn next(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; 2048];
    let (length, from) = socket.recv_from(&mut buffer).ok()?;
    Some((buffer[..length].to_vec(), from))
}

fn relays(host: &Host, settings: &Settings, mode: InterfaceMode) {
    let Some(path) = host.load(settings) else { return };
    assert_eq!(path.attached()[0].mode, mode);
    assert_eq!(path.warnings(), []);
    for family in FAMILIES {
        let flow = flow(family);
        let sockets = sockets(host, family);
        path.table().on(index(0, family), &flow).unwrap();
        for (step, length) in [(0, 160), (1, 1), (2, 161), (3, 1200)] {
            let payload = vec![0xd5; length];
            let timestamp = 50_000 + 160 * u32::from(step);
            let sent = rtp(8, 1000 + step, timestamp, flow.ssrc, &payload);
            sockets.speaker.send_to(&sent, leg(0, family)).unwrap();
            let (received, from) = next(&sockets.listener).expect("the listener hears the speaker");
            let number = (1000 + step).wrapping_add(flow.sequence_offset);
            let timestamp = timestamp.wrapping_add(flow.timestamp_offset);
            assert_eq!(received, rtp(0, number, timestamp, flow.out_ssrc, &payload));
            assert_eq!(from, leg(1, family));
        }
        let numbers = path.table().off(index(0, family)).unwrap();
        assert_eq!((numbers.forwarded(), numbers.expected, numbers.octets), (4, 4, 1522));
    }
}

#[test]
fn a_listener_hears_a_speaker() {
    let Some(host) = Host::new() else { return };
    relays(&host, &host.settings(), InterfaceMode::Native);
}

#[test]
fn a_listener_hears_a_speaker_by_the_generic_hook() {
    let Some(host) = Host::new() else { return };
    relays(&host, &Settings { mode: Mode::Generic, ..host.settings() }, InterfaceMode::Generic);
}

/// Each party on an interface of its own: the program hands packets from the one to the other, both ways.
fn redirects(mode: Mode) {
    let Some(mut host) = Host::new() else { return };
    host.add_pair();
    let mut settings = Settings { mode, ..host.settings() };
    settings.addresses.extend(ELSEWHERE.map(|address| address.parse::<IpAddr>().unwrap()));
    let Some(path) = host.load(&settings) else { return };
    assert_eq!(path.attached().len(), 2);
    for family in FAMILIES {
        // The kernel has to know the neighbors: it asks for them when the first packets go by its sockets.
        let place = family as usize;
        let there = |address: &str, port| SocketAddr::new(address.parse().unwrap(), port);
        let (leg_there, far) =
            (there(ELSEWHERE[place], LEGS[1]), there(PARTY_ELSEWHERE[place], PARTY_PORTS[1]));
        let near = host.socket(Side::Parties, party(0, family));
        let distant = host.socket(Side::Parties, far);
        let greeting = host.socket(Side::Gateway, leg_there);
        greeting.send_to(&[1], far).unwrap();
        assert_eq!(next(&distant).unwrap().1, leg_there);

        let index_there = FlowIndex { address: 2 + family as u8, port: LEGS[1] };
        let out = Flow { from: index_there, destination: far, ..flow(family) };
        let back =
            Flow { source: far, from: index(0, family), destination: party(0, family), ..flow(family) };
        path.table().on(index(0, family), &out).unwrap();
        path.table().on(index_there, &back).unwrap();
        for step in 0..5 {
            let sent = rtp(8, 1000 + step, 50_000 + 160 * u32::from(step), out.ssrc, &[0xd5; 160]);
            near.send_to(&sent, leg(0, family)).unwrap();
            let (heard, from) = next(&distant).expect("the far party hears the near one");
            assert_eq!((&heard[12..], from), (&sent[12..], leg_there));
            distant.send_to(&sent, leg_there).unwrap();
            let (heard, from) = next(&near).expect("the near party hears the far one");
            assert_eq!((&heard[12..], from), (&sent[12..], leg(0, family)));
        }
        for index in [index(0, family), index_there] {
            assert_eq!(path.table().off(index).unwrap().forwarded(), 5, "{index:?}");
        }
    }
    assert_eq!(path.counters().unwrap().forwarded, 20);
}

#[test]
fn parties_on_two_interfaces_hear_each_other() {
    redirects(Mode::Native);
}

#[test]
fn parties_on_two_interfaces_hear_each_other_by_the_generic_hook() {
    redirects(Mode::Generic);
}

#[test]
fn what_is_no_sound_of_the_party_comes_to_the_gateways_socket() {
    let Some(host) = Host::new() else { return };
    let Some(path) = host.load(&host.settings()) else { return };
    for family in FAMILIES {
        let flow = flow(family);
        let sockets = sockets(&host, family);
        path.table().on(index(0, family), &flow).unwrap();
        let sound = rtp(8, 1000, 50_000, flow.ssrc, &[1; 160]);
        let from_stranger = &sockets.listener;
        from_stranger.send_to(&sound, leg(0, family)).unwrap();
        assert_eq!(next(&sockets.gateway), Some((sound.clone(), party(1, family))), "a stranger");
        let others = [
            ("another SSRC", rtp(8, 1000, 50_000, 1, &[1; 160])),
            ("a telephone-event", rtp(101, 1000, 50_000, flow.ssrc, &[1, 10, 0, 160])),
            ("RTCP", rtp(200, 1, 2, 3, &[0; 16])),
            ("STUN", [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 20]].concat()),
            ("something short", vec![0x80; 11]),
            ("something longer than a frame", rtp(8, 1000, 50_000, flow.ssrc, &[1; 1600])),
            ("nothing", Vec::new()),
        ];
        for (what, packet) in others {
            sockets.speaker.send_to(&packet, leg(0, family)).unwrap();
            assert_eq!(next(&sockets.gateway), Some((packet, party(0, family))), "{what}");
        }
        // Then the sound itself: all that came before has passed it by, and left no trace.
        sockets.speaker.send_to(&sound, leg(0, family)).unwrap();
        let (heard, _) = next(&sockets.listener).unwrap();
        assert_eq!(heard[12..], sound[12..]);
        // A duplicate comes to nobody.
        sockets.speaker.send_to(&sound, leg(0, family)).unwrap();
        let last = rtp(8, 1001, 50_160, flow.ssrc, &[2; 160]);
        sockets.speaker.send_to(&last, leg(0, family)).unwrap();
        assert_eq!(next(&sockets.listener).unwrap().0[12..], last[12..]);
        let numbers = path.table().off(index(0, family)).unwrap();
        assert_eq!((numbers.forwarded(), numbers.duplicates, numbers.expected), (2, 1, 2));
    }
    let counters = path.counters().unwrap();
    assert_eq!((counters.forwarded, counters.duplicates), (4, 2));
    assert_eq!(counters.passed(PassReason::Stranger), 2);
}

#[test]
fn a_tap_carries_what_was_sent() {
    let Some(host) = Host::new() else { return };
    let Some(mut path) = host.load(&host.settings()) else { return };
    let mut taps = [path.take_tap(0).unwrap(), path.take_tap(1).unwrap()];
    assert!(path.take_tap(0).is_none() && path.take_tap(2).is_none());
    for (number, family) in FAMILIES.into_iter().enumerate() {
        let ring = u8::try_from(number).unwrap();
        let flow = Flow { tap: Some(ring), ..flow(family) };
        let sockets = sockets(&host, family);
        path.table().on(index(0, family), &flow).unwrap();
        let mut expected = Vec::new();
        let (next_one, next_but_two, late) = (Order::Next(1), Order::Next(3), Order::Late(2));
        let packets = [
            (0, next_one, 160),
            (3, next_but_two, 161),
            (1, late, 192),
            (4, next_one, 380),
            (5, next_one, 381),
            (6, next_one, 1400),
            (7, next_one, 7),
        ];
        for (step, order, length) in packets {
            let payload: Vec<u8> = (0..length).map(|place: usize| (place * 7).to_le_bytes()[0]).collect();
            let sent = rtp(8, 1000 + step, 50_000 + 160 * u32::from(step), flow.ssrc, &payload);
            sockets.speaker.send_to(&sent, leg(0, family)).unwrap();
            next(&sockets.listener).expect("a tap takes nothing away");
            expected.push((index(0, family), order, sent));
        }
        let mut found = Vec::new();
        let mut arrivals = Vec::new();
        let count = taps[number].drain(100, |record| {
            arrivals.push(record.arrival);
            found.push((record.index, record.order, record.packet.to_vec()));
        });
        assert_eq!(count, expected.len());
        assert!(found == expected, "{found:?}");
        assert!(arrivals.is_sorted());
        let numbers = path.table().off(index(0, family)).unwrap();
        assert_eq!((numbers.tap_full, numbers.position.last), (0, *arrivals.last().unwrap()));
    }
    assert_eq!(path.counters().unwrap().tapped, 14);
}

#[test]
fn a_full_tap_is_counted_and_delays_nobody() {
    let Some(host) = Host::new() else { return };
    let settings = Settings { ring_octets: 4096, ..host.settings() };
    let Some(mut path) = host.load(&settings) else { return };
    let mut tap = path.take_tap(1).unwrap();
    let flow = Flow { tap: Some(1), ..flow(Family::Four) };
    let sockets = sockets(&host, Family::Four);
    path.table().on(index(0, Family::Four), &flow).unwrap();
    for step in 0..40 {
        let sent = rtp(8, 1000 + step, 50_000 + 160 * u32::from(step), flow.ssrc, &[0xd5; 160]);
        sockets.speaker.send_to(&sent, leg(0, Family::Four)).unwrap();
        next(&sockets.listener).expect("a full tap takes nothing away");
    }
    let copies = u32::try_from(tap.drain(100, |_| ())).unwrap();
    assert!((10..30).contains(&copies), "{copies} copies of some 200 octets in 4096");
    let numbers = path.table().off(index(0, Family::Four)).unwrap();
    assert_eq!((numbers.forwarded(), numbers.tap_full), (40, 40 - copies));
    let counters = path.counters().unwrap();
    assert_eq!((counters.tapped, counters.tap_full), (u64::from(copies), u64::from(40 - copies)));
}

/// Takes everything that waits in a socket, or what comes within a moment; gives the number of packets and the last.
fn drain(socket: &UdpSocket) -> (u32, Option<Vec<u8>>) {
    let mut buffer = [0; 2048];
    let (mut count, mut last) = (0, None);
    while let Ok(length) = socket.recv(&mut buffer) {
        count += 1;
        last = Some(buffer[..length].to_vec());
    }
    (count, last)
}

/// Datagrams that the sockets of this namespace had no room for.
fn refused_by_sockets() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("Udp:")).map(str::split_whitespace);
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    names.zip(values).find(|(name, _)| *name == "InErrors").unwrap().1.parse().unwrap()
}

/// Packets that the parties' end had no room for, of those that the program sent.
fn refused_by_interface() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("g0:")).unwrap();
    // Eight figures of what was received, then octets, packets, errors and drops of what was sent.
    line.split_whitespace().nth(11).unwrap().parse().unwrap()
}

/// Sends at a steady rate, below what the queues of an idle host hold.
fn speak(socket: &UdpSocket, flow: &Flow, packets: u16) {
    for step in 0..packets {
        let sent = rtp(8, 1000 + step, 50_000 + 160 * u32::from(step), flow.ssrc, &[0xd5; 160]);
        socket.send_to(&sent, leg(0, Family::Four)).unwrap();
        if step % 16 == 15 {
            std::thread::sleep(Duration::from_micros(300));
        }
    }
}

/// Switches the flow on and off until nothing comes any more; gives the packets that were forwarded, and those that
/// came to the gateway's socket.
fn move_to_and_fro(path: &FastPath, flow: &Flow, gateway: &UdpSocket, done: &AtomicBool) -> (u32, u32) {
    let (index, mut position) = (index(0, Family::Four), flow.position);
    let (mut forwarded, mut passed, mut moves) = (0, 0, 0_u32);
    let mut busy = Instant::now();
    let begin = Instant::now();
    while !done.load(Ordering::Acquire) || busy.elapsed() < Duration::from_millis(500) {
        assert!(begin.elapsed() < Duration::from_secs(60), "the speaker makes no progress");
        path.table().on(index, &Flow { position, ..*flow }).unwrap();
        for _ in 0..moves % 64 {
            std::hint::spin_loop();
        }
        let numbers = path.table().off(index).unwrap();
        position = numbers.position;
        let (count, last) = drain(gateway);
        if let Some(last) = last {
            // As the core would: what came by the socket is part of the sequence too.
            let sequence = u16::from_be_bytes([last[2], last[3]]);
            let timestamp = u32::from_be_bytes([last[4], last[5], last[6], last[7]]);
            if sequence.wrapping_sub(position.highest) < 0x8000 {
                position = Position { highest: sequence, timestamp, seen: 1, ..position };
            }
        }
        if numbers.received + count != 0 {
            busy = Instant::now();
        }
        (forwarded, passed, moves) = (forwarded + numbers.forwarded(), passed + count, moves.wrapping_add(1));
    }
    (forwarded, passed)
}

#[test]
fn switching_off_under_load_loses_no_number() {
    const PACKETS: u16 = 20_000;
    let Some(host) = Host::new() else { return };
    let Some(path) = host.load(&host.settings()) else { return };
    let flow = flow(Family::Four);
    let Sockets { speaker, listener, gateway } = sockets(&host, Family::Four);
    gateway.set_nonblocking(true).unwrap();
    let done = AtomicBool::new(false);
    let (forwarded, passed, heard) = std::thread::scope(|scope| {
        scope.spawn(|| {
            speak(&speaker, &flow, PACKETS);
            done.store(true, Ordering::Release);
        });
        let heard = scope.spawn(|| drain(&listener).0);
        let (forwarded, passed) = move_to_and_fro(&path, &flow, &gateway, &done);
        (forwarded, passed, heard.join().unwrap())
    });
    // What a busy host has lost on the way is in the kernel's own counters.
    let lost = host.inside(Side::Parties, refused_by_sockets) + refused_by_interface();
    let heard = u64::from(heard) + lost;
    assert_eq!(u64::from(forwarded), heard, "what is in the numbers was heard, and the other way round");
    let counters = path.counters().unwrap();
    assert_eq!(counters.forwarded, u64::from(forwarded));
    assert_eq!(counters.passed.iter().sum::<u64>(), u64::from(passed) + refused_by_sockets());
    assert!(forwarded > 100 && passed > 100, "both ways were used: {forwarded} forwarded, {passed} passed");
}

#[test]
fn two_flows_of_a_pair_do_not_disturb_each_other() {
    let Some(host) = Host::new() else { return };
    let Some(path) = host.load(&host.settings()) else { return };
    let family = Family::Four;
    let there = flow(family);
    let back = Flow {
        source: party(1, family),
        ssrc: 77,
        from: index(0, family),
        destination: party(0, family),
        out_ssrc: 78,
        ..there
    };
    path.table().on(index(0, family), &there).unwrap();
    path.table().on(index(1, family), &back).unwrap();
    let sockets = sockets(&host, family);
    let both =
        [(&sockets.speaker, &sockets.listener, 0, there), (&sockets.listener, &sockets.speaker, 1, back)];
    for step in 0..20 {
        for (from, to, number, flow) in &both {
            let sent = rtp(8, 1000 + step, 50_000 + 160 * u32::from(step), flow.ssrc, &[*number; 160]);
            let destination = SocketAddr::new(leg(0, family).ip(), LEGS[usize::from(*number)]);
            from.send_to(&sent, destination).unwrap();
            let (heard, _) = next(to).unwrap();
            assert_eq!(heard[8..12], flow.out_ssrc.to_be_bytes());
            assert_eq!(heard[12..], sent[12..]);
        }
    }
    assert_eq!(path.table().entries_on().collect::<Vec<_>>(), [index(0, family), index(1, family)]);
    assert_eq!(path.table().off(index(0, family)).unwrap().forwarded(), 20);
    assert_eq!(path.table().off(index(1, family)).unwrap().forwarded(), 20);
}
