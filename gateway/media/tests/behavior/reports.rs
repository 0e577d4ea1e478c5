//! RTCP with each party: what it is told, and what is believed of what it says.

use std::time::Duration;

use duogate_channel::command::{Command, FarEnd, Rtcp};
use duogate_channel::event::{Event, LegStatistics};
use duogate_channel::identity::{Party, Session};
use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;
use duogate_media::rtcp::{Block, Compound, Report, SenderInfo, Statement, is_rtcp};
use duogate_media::rtp::HEADER_BYTES;
use duogate_media::{Action, DropReason, Limits, Origin, Socket, Verdict};

use crate::support::{MILLISECOND, PACKET, Speech, Table, World, address, far_end, limits, parse};

/// 1 February 2024, as NTP has it, when the world's clock was zero.
const EPOCH: Duration = Duration::from_secs(3_915_734_400);

fn reporting() -> Limits {
    Limits { report_interval: Duration::from_secs(5), report_ports: 4, epoch: EPOCH, ..limits() }
}

/// A call of two parties that have RTCP so.
fn call(world: &mut World, rtcp: Rtcp) -> Session {
    let session = world.open();
    for party in Party::BOTH {
        let far_end = FarEnd { rtcp, ..far_end(party, Codec::Pcma) };
        world.command(Command::FarEnd { session, party, far_end });
    }
    world.command(Command::Join { session });
    session
}

fn statements(bytes: &[u8]) -> Vec<Statement> {
    let mut all = Vec::new();
    Compound::new_checked(bytes).unwrap().statements(|statement| all.push(statement));
    all
}

/// RTCP and RTP that were sent to a party, taken away.
fn told(world: &mut World, session: Session, party: Party) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    world.heard(session, party).into_iter().partition(|packet| is_rtcp(packet))
}

fn sender(statements: &[Statement]) -> Option<(u32, SenderInfo)> {
    match statements.first() {
        Some(Statement::Sender { ssrc, info }) => Some((*ssrc, *info)),
        _ => None,
    }
}

fn block(statements: &[Statement]) -> Option<Block> {
    statements.iter().find_map(|statement| match statement {
        Statement::Block(block) => Some(*block),
        _ => None,
    })
}

/// The wall clock as a sender report has it.
fn wall_clock(now: Instant) -> u64 {
    let time = EPOCH + Duration::from_nanos(now.nanoseconds());
    (time.as_secs() << 32) | ((u64::from(time.subsec_nanos()) << 32) / 1_000_000_000)
}

fn statistics(world: &World, session: Session, party: Party) -> LegStatistics {
    world.core.snapshot(session.slot).unwrap().legs[party.index()].statistics
}

/// A party's report about our stream to it.
fn receiver_report(block: Block) -> Vec<u8> {
    let report = Report { ssrc: 1, sender: None, block: Some(block), cname: [b'x'; 16], bye: false };
    let mut bytes = vec![0; report.length()];
    report.emit(&mut bytes);
    bytes
}

/// The next report to a party, letting both talk until it comes.
fn next_report(
    world: &mut World,
    session: Session,
    party: Party,
    speech: &mut [Speech; 2],
) -> Vec<Statement> {
    for _ in 0..1000 {
        let [one, two] = speech;
        world.say(session, Party::One, one.next()).unwrap();
        world.talk(session, Party::Two, two, 1);
        if let (reports, _) = told(world, session, party)
            && let Some(report) = reports.first()
        {
            return statements(report);
        }
    }
    panic!("no report in 20 s");
}

fn both() -> [Speech; 2] {
    [Speech::new(71, 100, 1000), Speech::new(72, u16::MAX - 3, 2000)]
}

#[test]
fn rfc3550_6_4_1_a_sender_report_maps_its_timestamp_to_the_wall_clock() {
    let mut world = World::new(reporting());
    let session = call(&mut world, Rtcp::Muxed);
    let mut speech = Speech::new(72, 7, 2000);
    let (mut packets, mut octets, mut newest) = (0, 0, None);
    let mut reports = 0;
    for _ in 0..1000 {
        world.say(session, Party::Two, speech.next()).unwrap();
        let said_at = world.now;
        // Reports come at any time between packets.
        for _ in 0..20 {
            world.pass(MILLISECOND);
            let now = world.now;
            let (found, rtp) = told(&mut world, session, Party::One);
            for packet in &rtp {
                let (header, payload) = parse(packet);
                packets += 1;
                octets += u32::try_from(payload.len()).unwrap();
                newest = Some((header, said_at));
            }
            for report in found {
                let said = statements(&report);
                let (ssrc, info) = sender(&said).expect("a sender report");
                let (header, at): (duogate_media::rtp::Header, Instant) = newest.expect("packets before it");
                assert_eq!((ssrc, info.packets, info.octets), (header.ssrc, packets, octets));
                let passed = u32::try_from(now.since(at).as_nanos() / 125_000).unwrap();
                assert!(info.timestamp.wrapping_sub(header.timestamp).abs_diff(passed) <= 8, "{info:?}");
                // The timer's tick is a millisecond.
                let ahead = wall_clock(now).wrapping_sub(info.ntp);
                assert!(ahead <= (1 << 32) / 500, "{ahead:x}");
                assert_eq!(block(&said), None, "party 1 has sent nothing");
                reports += 1;
            }
        }
    }
    assert!((3..=10).contains(&reports), "{reports} in 20 s");
}

#[test]
fn rfc3550_6_3_1_reports_come_at_random_intervals_around_the_one_that_is_set() {
    let mut world = World::new(reporting());
    let session = call(&mut world, Rtcp::Muxed);
    let mut times = vec![world.now];
    while times.len() < 60 {
        world.pass(MILLISECOND * 10);
        let (reports, _) = told(&mut world, session, Party::One);
        times.extend(reports.iter().map(|_| world.now));
    }
    let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1].since(pair[0]).as_secs_f64()).collect();
    // Half to one and a half times, over e - 3/2; the first in half of that (section 6.2).
    assert!((1.02..=3.1).contains(&gaps[0]), "{gaps:?}");
    assert!(gaps[1..].iter().all(|gap| (2.04..=6.2).contains(gap)), "{gaps:?}");
    let mean = gaps[1..].iter().sum::<f64>() / 58.0;
    assert!((3.6..=4.6).contains(&mean), "{mean}");
    let (low, high) = (
        gaps[1..].iter().filter(|gap| **gap < 3.4).count(),
        gaps[1..].iter().filter(|gap| **gap > 4.8).count(),
    );
    assert!(low > 5 && high > 5, "they are spread: {gaps:?}");
}

#[test]
fn who_has_not_been_sent_to_gets_receiver_reports() {
    let mut world = World::new(reporting());
    let session = call(&mut world, Rtcp::Muxed);
    let mut speech = Speech::new(71, 1, 1);
    for _ in 0..500 {
        world.talk(session, Party::One, &mut speech, 1);
    }
    let (reports, _) = told(&mut world, session, Party::One);
    assert!(!reports.is_empty());
    for report in reports {
        let said = statements(&report);
        assert_eq!(sender(&said), None);
        assert_eq!(block(&said).unwrap().ssrc, 71);
    }
}

#[test]
fn rfc3550_6_4_1_a_block_counts_what_the_party_lost_on_the_way_to_us() {
    let mut world = World::new(reporting());
    let session = call(&mut world, Rtcp::Muxed);
    let mut speech = both();
    next_report(&mut world, session, Party::Two, &mut speech);
    // Party 2 loses 10 packets; its sequence numbers go round once on the way.
    let before = speech[1].sequence;
    for _ in 0..10 {
        speech[1].next();
    }
    let first = block(&next_report(&mut world, session, Party::Two, &mut speech)).unwrap();
    assert_eq!((first.ssrc, first.lost), (72, 10));
    let passed = speech[1].sequence.wrapping_sub(before);
    assert_eq!(u16::from(first.fraction), 10 * 256 / passed);
    assert_eq!(first.highest, 0x1_0000 + u32::from(speech[1].sequence.wrapping_sub(1)));
    let second = block(&next_report(&mut world, session, Party::Two, &mut speech)).unwrap();
    assert_eq!((second.fraction, second.lost), (0, 10), "the share is of the time since the last report");
    // Another sender begins its own count.
    speech[1] = Speech::new(99, 5, 5);
    let third = block(&next_report(&mut world, session, Party::Two, &mut speech)).unwrap();
    assert_eq!((third.ssrc, third.lost), (99, 0));
    assert_eq!(third.highest, u32::from(speech[1].sequence.wrapping_sub(1)));
}

#[test]
fn rfc3550_6_4_1_our_block_answers_the_partys_sender_report() {
    let mut world = World::new(reporting());
    let session = call(&mut world, Rtcp::Muxed);
    let mut speech = both();
    next_report(&mut world, session, Party::One, &mut speech);
    let info = SenderInfo { ntp: 0x1111_2222_3333_4444, timestamp: 1, packets: 1, octets: 160 };
    let report = Report { ssrc: 71, sender: Some(info), block: None, cname: [b'x'; 16], bye: false };
    let mut bytes = vec![0; report.length()];
    report.emit(&mut bytes);
    assert_eq!(world.say_bytes(session, Party::One, bytes), Err(DropReason::Report));
    let came = world.now;
    let answer = block(&next_report(&mut world, session, Party::One, &mut speech)).unwrap();
    assert_eq!(answer.last_report, 0x2222_3333);
    let passed = world.now.since(came).as_secs_f64();
    assert!((f64::from(answer.delay) / 65_536.0 - passed).abs() < 0.03, "{answer:?}, {passed} s");
}

#[test]
fn rfc3550_6_4_1_the_round_trip_is_what_the_party_did_not_hold_back() {
    let mut world = World::new(reporting());
    let session = call(&mut world, Rtcp::Muxed);
    let mut speech = both();
    let (ssrc, info) = sender(&next_report(&mut world, session, Party::One, &mut speech)).unwrap();
    world.pass(Duration::from_millis(200));
    let told = Block {
        ssrc,
        fraction: 26,
        lost: 5,
        highest: 1000,
        jitter: 80,
        last_report: (info.ntp >> 16 & 0xffff_ffff) as u32,
        delay: 65_536 / 10,
    };
    assert_eq!(world.say_bytes(session, Party::One, receiver_report(told)), Err(DropReason::Report));
    let quality = statistics(&world, session, Party::One).quality;
    // 200 ms and up to 20 ms since the report was sent, of which the party held it for 100 ms.
    assert!((99_000..=121_000).contains(&quality.round_trip_microseconds), "{quality:?}");
    assert_eq!(
        (quality.heard_lost, quality.heard_fraction, quality.heard_jitter_microseconds),
        (5, 26, 10_000)
    );
    assert!((250..400).contains(&quality.heard.last), "a tenth is lost: {quality:?}");
    assert_eq!(quality.reports_received, 1);
    // What names no report of ours, or says that it was held longer than it has been there, says nothing of the time.
    let measured = quality.round_trip_microseconds;
    for wrong in [
        Block { last_report: told.last_report ^ 1, ..told },
        Block { delay: 65_536 * 3, ..told },
        Block { last_report: 0, ..told },
    ] {
        assert_eq!(world.say_bytes(session, Party::One, receiver_report(wrong)), Err(DropReason::Report));
        assert_eq!(statistics(&world, session, Party::One).quality.round_trip_microseconds, measured);
    }
    // A block about somebody else's stream says nothing at all.
    let before = statistics(&world, session, Party::One).quality.heard_lost;
    let other = Block { ssrc: ssrc ^ 1, lost: 999, ..told };
    assert_eq!(world.say_bytes(session, Party::One, receiver_report(other)), Err(DropReason::Report));
    assert_eq!(statistics(&world, session, Party::One).quality.heard_lost, before);
}

#[test]
fn rfc3550_6_6_a_leg_ends_with_a_bye_and_only_one_that_was_heard_of() {
    for talks in [true, false] {
        let mut world = World::new(reporting());
        let session = call(&mut world, Rtcp::Muxed);
        let socket = world.socket(session, Party::One);
        let ssrc = world.core.snapshot(session.slot).unwrap().legs[0].ssrc;
        if talks {
            world.talk(session, Party::Two, &mut Speech::new(72, 1, 1), 10);
        }
        // The shell lets time pass before it takes events.
        world.takes_events = false;
        world.command(Command::Close { session });
        world.pass(MILLISECOND);
        let of_one = world.sent.packets.iter().filter(|(from, packet)| *from == socket && is_rtcp(packet));
        let said: Vec<Statement> = of_one.flat_map(|(_, packet)| statements(packet)).collect();
        // RFC 3550 section 6.3.7: who never sent anything does not say that it leaves.
        assert_eq!(said.contains(&Statement::Bye(ssrc)), talks);
        world.takes_events = true;
        world.drain();
        world.sent.packets.clear();
        world.pass(Duration::from_secs(30));
        assert!(world.sent.packets.is_empty(), "and nothing comes after it");
    }
}

#[test]
fn the_partys_bye_is_noted() {
    let mut world = World::new(reporting());
    let session = call(&mut world, Rtcp::Muxed);
    let mut speech = both();
    next_report(&mut world, session, Party::One, &mut speech);
    let bye = |ssrc| {
        let report = Report { ssrc, sender: None, block: None, cname: [b'x'; 16], bye: true };
        let mut bytes = vec![0; report.length()];
        report.emit(&mut bytes);
        bytes
    };
    assert_eq!(world.say_bytes(session, Party::One, bye(7)), Err(DropReason::Report));
    assert!(!statistics(&world, session, Party::One).quality.bye, "not its own SSRC");
    assert_eq!(world.say_bytes(session, Party::One, bye(71)), Err(DropReason::Report));
    assert!(statistics(&world, session, Party::One).quality.bye);
    world.command(Command::Close { session });
    let Some(Event::Closed { statistics, .. }) = world.events.last() else { panic!("{:?}", world.events) };
    assert!(statistics[0].quality.bye && statistics[0].quality.reports_sent > 0);
}

/// What a party's socket makes of a datagram from somewhere.
fn from(world: &mut World, socket: Socket, origin: Origin, mut bytes: Vec<u8>) -> Verdict {
    world.core.receive(world.now, socket, origin, &mut bytes, &mut world.tape)
}

#[test]
fn only_the_partys_own_rtcp_is_believed_and_none_is_forwarded() {
    let mut world = World::new(reporting());
    let session = call(&mut world, Rtcp::Muxed);
    let mut speech = both();
    let (ssrc, _) = sender(&next_report(&mut world, session, Party::One, &mut speech)).unwrap();
    let socket = world.socket(session, Party::One);
    let lie = receiver_report(Block { ssrc, lost: 4711, ..Block::default() });
    let strange = Origin::Address("198.51.100.7:4000".parse().unwrap());
    assert_eq!(from(&mut world, socket, strange, lie.clone()), Verdict::Drop(DropReason::Stranger));
    let other = Origin::Address(address(Party::Two));
    assert_eq!(from(&mut world, socket, other, lie.clone()), Verdict::Drop(DropReason::Stranger));
    assert_eq!(statistics(&world, session, Party::One).quality.reports_received, 0);
    let own = Origin::Address(address(Party::One));
    assert_eq!(from(&mut world, socket, own, lie.clone()), Verdict::Drop(DropReason::Report));
    assert_eq!(statistics(&world, session, Party::One).quality.heard_lost, 4711);
    // Garbage that looks like RTCP is counted, and changes nothing.
    let garbage = lie[..lie.len() - 2].to_vec();
    assert_eq!(from(&mut world, socket, own, garbage), Verdict::Drop(DropReason::Malformed));
    assert_eq!(world.core.counters().reports_malformed, 1);
    let counters = world.core.counters();
    assert_eq!(counters.dropped(DropReason::Report), 1);
    assert!(
        world.heard(session, Party::Two).iter().all(|packet| parse(packet).1[0] == 0x11 || is_rtcp(packet))
    );
}

#[test]
fn where_rtcp_was_not_agreed_on_the_port_of_rtp_it_is_not_read_there() {
    for rtcp in [Rtcp::Off, Rtcp::Port(4001)] {
        let mut world = World::new(reporting());
        let session = call(&mut world, rtcp);
        let ssrc = world.core.snapshot(session.slot).unwrap().legs[0].ssrc;
        let report = receiver_report(Block { ssrc, lost: 9, ..Block::default() });
        assert_eq!(world.say_bytes(session, Party::One, report), Err(DropReason::Rtcp), "{rtcp:?}");
        assert_eq!(statistics(&world, session, Party::One).quality.reports_received, 0);
    }
}

#[test]
fn whoever_is_on_hold_goes_on_with_rtcp() {
    let mut world = World::new(reporting());
    let session = call(&mut world, Rtcp::Muxed);
    let mut speech = both();
    let (ssrc, _) = sender(&next_report(&mut world, session, Party::One, &mut speech)).unwrap();
    let held = FarEnd { send: false, receive: false, rtcp: Rtcp::Muxed, ..far_end(Party::One, Codec::Pcma) };
    world.command(Command::FarEnd { session, party: Party::One, far_end: held });
    let report = receiver_report(Block { ssrc, lost: 3, ..Block::default() });
    assert_eq!(world.say_bytes(session, Party::One, report), Err(DropReason::Report));
    assert_eq!(world.say(session, Party::One, speech[0].next()), Err(DropReason::Held));
    world.pass(Duration::from_secs(10));
    assert!(!told(&mut world, session, Party::One).0.is_empty(), "RFC 3264 section 5.1: RTCP goes on");
}

#[test]
fn without_an_interval_there_is_no_rtcp() {
    let mut world = World::new(Limits { report_interval: Duration::ZERO, ..reporting() });
    for rtcp in [Rtcp::Muxed, Rtcp::Port(4001)] {
        let session = call(&mut world, rtcp);
        world.talk(session, Party::Two, &mut Speech::new(1, 1, 1), 500);
        world.command(Command::Close { session });
        world.pass(MILLISECOND);
        assert!(world.sent.packets.iter().all(|(_, packet)| !is_rtcp(packet)));
    }
    assert!(
        world.actions.iter().all(|action| !matches!(action, Action::Bind { port, .. } if port.port % 2 == 1))
    );
}

/// The place of the port for RTCP above a leg's RTP port, if one was asked for.
fn report_socket(world: &World, session: Session, party: Party) -> Option<Socket> {
    let rtp = world.core.snapshot(session.slot).unwrap().legs[party.index()].port;
    world.actions.iter().rev().find_map(|action| match action {
        Action::Bind { socket, port } if port.port == rtp.port + 1 => Some(*socket),
        _ => None,
    })
}

#[test]
fn rfc3550_11_a_party_without_a_shared_port_is_reported_to_from_the_odd_one() {
    let mut world = World::new(reporting());
    let session = call(&mut world, Rtcp::Port(4711));
    let sockets = Party::BOTH.map(|party| report_socket(&world, session, party).expect("an odd port"));
    for party in Party::BOTH {
        let mut there = address(party);
        there.set_port(4711);
        let socket = sockets[party.index()];
        assert!(world.actions.contains(&Action::Connect { socket, address: there }));
        assert!(socket.0 >= world.core.limits().sockets() && socket.0 < world.core.limits().places());
    }
    world.talk(session, Party::Two, &mut Speech::new(72, 1, 1), 500);
    let reports: Vec<_> = world.sent.packets.iter().filter(|(_, packet)| is_rtcp(packet)).cloned().collect();
    assert!(reports.len() > 2 && reports.iter().all(|(from, _)| sockets.contains(from)));
    // Read from there, and from the party's RTCP port only; RTP is not taken there.
    let ssrc = world.core.snapshot(session.slot).unwrap().legs[0].ssrc;
    let report = receiver_report(Block { ssrc, lost: 8, ..Block::default() });
    let mut there = address(Party::One);
    let origin = Origin::Address(there);
    assert_eq!(from(&mut world, sockets[0], origin, report.clone()), Verdict::Drop(DropReason::Stranger));
    there.set_port(4711);
    let origin = Origin::Address(there);
    assert_eq!(from(&mut world, sockets[0], origin, report), Verdict::Drop(DropReason::Report));
    assert_eq!(statistics(&world, session, Party::One).quality.heard_lost, 8);
    let speech = Speech::new(71, 1, 1).bytes();
    assert_eq!(from(&mut world, sockets[0], origin, speech), Verdict::Drop(DropReason::Malformed));
    // It rests and is given back as RTP's is.
    world.command(Command::Close { session });
    let report = receiver_report(Block::default());
    assert_eq!(from(&mut world, sockets[0], origin, report), Verdict::Drop(DropReason::Resting));
    world.pass(world.core.limits().rest - MILLISECOND * 10);
    assert!(!world.actions.contains(&Action::Release { socket: sockets[0] }), "not while it rests");
    world.pass(MILLISECOND * 20);
    assert!(sockets.iter().all(|socket| world.actions.contains(&Action::Release { socket: *socket })));
}

#[test]
fn a_call_goes_on_without_rtcp_where_no_port_can_be_had_for_it() {
    let mut world = World::new(Limits { report_ports: 1, ..reporting() });
    world.taken.extend((20_001..20_022).step_by(2));
    let session = call(&mut world, Rtcp::Port(4001));
    let mut speech = Speech::new(72, 1, 1);
    world.talk(session, Party::Two, &mut speech, 400);
    assert_eq!(world.core.counters().report_ports_refused, 2, "one place, and a port that is taken");
    assert!(world.heard(session, Party::One).len() == 400);
    // A later description tries again.
    world.taken.clear();
    let far_end = FarEnd { rtcp: Rtcp::Port(4001), ..far_end(Party::One, Codec::Pcma) };
    world.command(Command::FarEnd { session, party: Party::One, far_end });
    world.talk(session, Party::Two, &mut speech, 400);
    assert!(world.sent.packets.iter().any(|(_, packet)| is_rtcp(packet)));
}

#[test]
fn what_the_path_carries_is_reported_too_and_rtcp_does_not_take_a_pair_off_it() {
    let mut world = World::with_table(reporting(), Table::with_taps(false));
    let session = call(&mut world, Rtcp::Muxed);
    let mut speech = both();
    let mut said = [0_u32; 2];
    let mut chat = |world: &mut World, packets: usize| {
        for _ in 0..packets {
            for (party, speech) in Party::BOTH.into_iter().zip(&mut speech) {
                world.arrive(session, party, speech.next().bytes()).unwrap();
                said[party.index()] += 1;
            }
            world.pass(PACKET);
        }
        said
    };
    chat(&mut world, 10);
    assert!(world.is_on(session, Party::One) && world.is_on(session, Party::Two));
    world.sent.packets.clear();
    let mut last = None;
    for _ in 0..600 {
        let said = chat(&mut world, 1);
        for report in told(&mut world, session, Party::One).0 {
            let statements = statements(&report);
            let (_, info) = sender(&statements).expect("a sender report");
            // The newest packet came 20 ms ago at most, and the report may be older than this look by as much.
            assert!(said[1] - info.packets <= 1 && info.octets == info.packets * 160, "{info:?}, {said:?}");
            let block = block(&statements).unwrap();
            assert_eq!((block.ssrc, block.lost, block.fraction), (71, 0, 0));
            assert!(said[0] + 99 - block.highest <= 1, "{block:?}, {said:?}");
            last = Some(info);
        }
        assert!(
            world.is_on(session, Party::One) && world.is_on(session, Party::Two),
            "no report takes it off"
        );
    }
    assert!(last.is_some());
    let ssrc = world.core.snapshot(session.slot).unwrap().legs[0].ssrc;
    let report = receiver_report(Block { ssrc, lost: 6, ..Block::default() });
    assert_eq!(world.arrive(session, Party::One, report), Err(Some(DropReason::Report)));
    assert!(world.is_on(session, Party::One) && world.is_on(session, Party::Two));
    assert_eq!(statistics(&world, session, Party::One).quality.heard_lost, 6);
}

#[test]
fn a_report_has_the_size_of_a_paced_packet_at_most() {
    const { assert!(duogate_media::rtcp::MAXIMUM_REPORT <= duogate_media::MAXIMUM_PACED) };
    const { assert!(HEADER_BYTES == 12) };
}
