//! What is forwarded, what is dropped, and what is counted.

use std::net::SocketAddr;

use duogate_channel::command::{Command, Source};
use duogate_channel::event::{Event, LegStatistics};
use duogate_channel::g711::ALAW_TO_ULAW;
use duogate_channel::identity::{Party, Session};
use duogate_channel::sound::Codec;
use duogate_media::{DropReason, Origin, Verdict};

use crate::support::{EVENT_TYPES, Listener, MILLISECOND, PACKET, Speech, World, far_end, limits, parse};

const BOTH: [Codec; 2] = [Codec::Pcma, Codec::Pcma];

fn joined(codecs: [Codec; 2]) -> (World, Session) {
    let mut world = World::new(limits());
    let session = world.pair(codecs);
    world.command(Command::Join { session });
    (world, session)
}

fn statistics(world: &mut World, session: Session, party: Party) -> LegStatistics {
    world.core.snapshot(session.slot).unwrap().legs[party.index()].statistics
}

fn sequences(heard: &[Vec<u8>]) -> Vec<u16> {
    let first = parse(&heard[0]).0.sequence;
    heard.iter().map(|packet| parse(packet).0.sequence.wrapping_sub(first)).collect()
}

#[test]
fn a_stranger_is_never_forwarded_and_moves_nothing() {
    let (mut world, session) = joined(BOTH);
    let socket = world.socket(session, Party::One);
    let stranger = SocketAddr::from(([192, 0, 2, 1], 4001));
    let mut bytes = Speech::new(1, 1, 1).bytes();
    let mut offer = |world: &mut World, origin| {
        world.core.receive(world.now, socket, origin, &mut bytes, &mut world.tape)
    };
    assert_eq!(offer(&mut world, Origin::Address(stranger)), Verdict::Drop(DropReason::Stranger));
    let party = far_end(Party::One, Codec::Pcma).address;
    assert!(matches!(offer(&mut world, Origin::Address(party)), Verdict::Forward { .. }));
    assert_eq!(statistics(&mut world, session, Party::One).packets_refused, 1);
}

#[test]
fn before_a_far_end_is_known_nobody_is_believed() {
    let mut world = World::new(limits());
    let session = world.open();
    let speech = Speech::new(1, 1, 1);
    assert_eq!(world.say(session, Party::One, speech), Err(DropReason::NoFarEnd));
}

#[test]
fn a_party_that_said_it_would_not_send_is_not_heard() {
    let (mut world, session) = joined(BOTH);
    let mut quiet = far_end(Party::One, Codec::Pcma);
    quiet.receive = false;
    world.command(Command::FarEnd { session, party: Party::One, far_end: quiet });
    assert_eq!(world.say(session, Party::One, Speech::new(1, 1, 1)), Err(DropReason::Held));
}

#[test]
fn loss_and_reordering_stay_visible_and_a_duplicate_goes_once() {
    let (mut world, session) = joined(BOTH);
    let at = |n: u16| Speech::new(1, 65_533u16.wrapping_add(n), 5000 + 160 * u32::from(n));
    for n in [0, 1, 2, 4, 3, 7, 6] {
        world.say(session, Party::One, at(n)).unwrap();
        world.pass(PACKET);
    }
    for n in [3, 7, 6] {
        assert_eq!(world.say(session, Party::One, at(n)), Err(DropReason::Duplicate));
    }
    let heard = world.heard(session, Party::Two);
    assert_eq!(sequences(&heard), [0, 1, 2, 4, 3, 7, 6]);
    let first = parse(&heard[0]).0.timestamp;
    assert_eq!(parse(&heard[4]).0.timestamp.wrapping_sub(first), 480, "a late packet keeps its own time");
    let statistics = statistics(&mut world, session, Party::One);
    assert_eq!((statistics.packets_received, statistics.packets_lost), (10, -2), "RFC 3550 A.3");
}

#[test]
fn a_packet_from_before_the_change_does_not_fall_into_what_was_sent_since() {
    let (mut world, session) = joined(BOTH);
    world.hear(session, Party::Two, Source::Silence);
    let mut speech = Speech::new(1, 100, 100);
    for _ in 0..3 {
        let _ = world.say(session, Party::One, speech.next());
    }
    let mut late = speech.next();
    world.hear(session, Party::Two, Source::Peer);
    world.say(session, Party::One, speech.next()).unwrap();
    assert_eq!(world.say(session, Party::One, late), Err(DropReason::Late));
    late = speech.next();
    world.say(session, Party::One, speech.next()).unwrap();
    world.say(session, Party::One, late).unwrap();
    assert_eq!(sequences(&world.heard(session, Party::Two)), [0, 2, 1]);
}

#[test]
fn a_new_sender_goes_on_at_once_and_stragglers_of_the_old_one_do_not_tear_it() {
    let (mut world, session) = joined(BOTH);
    let mut old = Speech::new(1, 100, 100);
    let mut new = Speech::new(2, 9, 70_000);
    let mut ear = Listener::default();
    world.talk(session, Party::One, &mut old, 5);
    world.talk(session, Party::One, &mut new, 1);
    assert_eq!(world.say(session, Party::One, old.next()), Err(DropReason::Probation));
    world.talk(session, Party::One, &mut new, 5);
    assert_eq!(world.say(session, Party::One, old.next()), Err(DropReason::Probation));
    // Two in sequence: the old sender is back for good.
    old.sequence += 10;
    assert_eq!(world.say(session, Party::One, old.next()), Err(DropReason::Probation));
    world.talk(session, Party::One, &mut old, 5);
    let steps = ear.follow(&world.heard(session, Party::Two));
    let markers: Vec<usize> = (0..steps.len()).filter(|&at| steps[at].1).collect();
    assert_eq!(markers, [0, 5, 11]);
    assert!(steps[1..].iter().all(|(step, _)| (160..=320).contains(step)), "{steps:?}");
}

#[test]
fn a_sequence_that_jumps_is_believed_from_its_second_packet() {
    let (mut world, session) = joined(BOTH);
    let mut speech = Speech::new(1, 100, 100);
    world.talk(session, Party::One, &mut speech, 3);
    speech.sequence += 20_000;
    assert_eq!(world.say(session, Party::One, speech.next()), Err(DropReason::Probation));
    world.pass(PACKET);
    world.talk(session, Party::One, &mut speech, 3);
    let steps = Listener::default().follow(&world.heard(session, Party::Two));
    assert_eq!(steps[3], (320, true));
    assert_eq!(statistics(&mut world, session, Party::One).packets_lost, 0);
}

#[test]
fn a_clock_set_by_the_sender_does_not_reach_the_listener() {
    for set in [0x8000_0000, 10_000_000, 0u32.wrapping_sub(50_000)] {
        let (mut world, session) = joined(BOTH);
        let mut speech = Speech::new(1, 100, 100);
        world.talk(session, Party::One, &mut speech, 3);
        speech.timestamp = speech.timestamp.wrapping_add(set);
        world.talk(session, Party::One, &mut speech, 3);
        let steps = Listener::default().follow(&world.heard(session, Party::Two));
        assert_eq!(steps[3], (160, true));
    }
}

#[test]
fn codecs_are_translated_in_place() {
    let (mut world, session) = joined([Codec::Pcma, Codec::Pcmu]);
    let mut speech = Speech::new(1, 1, 1);
    speech.byte = 0x33;
    world.say(session, Party::One, speech).unwrap();
    let heard = world.heard(session, Party::Two);
    let (header, payload) = parse(&heard[0]);
    assert_eq!((header.payload_type, payload), (0, &[ALAW_TO_ULAW[0x33]; 160][..]));
}

#[test]
fn telephone_events_change_their_number_and_nothing_else() {
    let (mut world, session) = joined([Codec::Pcma, Codec::Pcmu]);
    let mut ear = Listener::default();
    let mut speech = Speech::new(1, 1, 1000);
    world.talk(session, Party::One, &mut speech, 2);
    let began = speech.timestamp;
    for at in 0..5 {
        let mut event = speech.next();
        (event.payload_type, event.length, event.byte) = (EVENT_TYPES[0], 4, 0x0a);
        (event.timestamp, event.marker) = (began, at == 0);
        world.say(session, Party::One, event).unwrap();
        world.pass(PACKET);
    }
    world.talk(session, Party::One, &mut speech, 2);
    let heard = world.heard(session, Party::Two);
    let steps = ear.follow(&heard);
    assert_eq!(
        steps[1..],
        [
            (160, false),
            (160, true),
            (0, false),
            (0, false),
            (0, false),
            (0, false),
            (800, false),
            (160, false)
        ]
    );
    let (header, payload) = parse(&heard[3]);
    assert_eq!((header.payload_type, payload), (EVENT_TYPES[1], &[0x0a; 4][..]));
}

#[test]
fn a_sender_that_begins_with_a_telephone_event_is_one_sender() {
    let (mut world, session) = joined(BOTH);
    let mut old = Speech::new(1, 1, 1000);
    world.talk(session, Party::One, &mut old, 3);
    let mut speech = Speech::new(2, 50_000, 3_000_000_000);
    let event = Speech { payload_type: EVENT_TYPES[0], length: 4, ..speech.next() };
    world.say(session, Party::One, event).unwrap();
    world.pass(PACKET);
    world.talk(session, Party::One, &mut speech, 3);
    let steps = Listener::default().follow(&world.heard(session, Party::Two));
    let new = [(160, false), (160, true), (160, false), (160, false)];
    assert_eq!(steps[3..], new, "the marker waits for sound: with an event it means its beginning");
    assert_eq!(world.say(session, Party::One, old.next()), Err(DropReason::Probation));
}

#[test]
fn what_the_listener_cannot_take_leaves_no_hole() {
    let (mut world, session) = joined(BOTH);
    let mut deaf = far_end(Party::Two, Codec::Pcma);
    deaf.telephone_event = None;
    world.command(Command::FarEnd { session, party: Party::Two, far_end: deaf });
    let mut speech = Speech::new(1, 1, 1000);
    world.talk(session, Party::One, &mut speech, 2);
    let dropped = [
        (EVENT_TYPES[0], 4, DropReason::NoTelephoneEvent),
        (13, 1, DropReason::ComfortNoise),
        (8, 0, DropReason::Empty),
    ];
    for (payload_type, length, reason) in dropped {
        let mut packet = speech.next();
        (packet.payload_type, packet.length) = (payload_type, length);
        assert_eq!(world.say(session, Party::One, packet), Err(reason));
        world.pass(PACKET);
        world.talk(session, Party::One, &mut speech, 2);
    }
    Listener::default().follow(&world.heard(session, Party::Two));
    let statistics = statistics(&mut world, session, Party::One);
    assert_eq!((statistics.packets_lost, statistics.packets_refused), (0, 0));
}

#[test]
fn other_payload_types_garbage_and_rtcp_are_refused_and_counted() {
    let (mut world, session) = joined(BOTH);
    let mut other = Speech::new(1, 1, 1);
    other.payload_type = 0;
    assert_eq!(world.say(session, Party::One, other), Err(DropReason::PayloadType));
    assert_eq!(world.say_bytes(session, Party::One, b"hello".to_vec()), Err(DropReason::Malformed));
    let mut control = Speech::new(1, 1, 1).bytes();
    control[1] = 201;
    assert_eq!(world.say_bytes(session, Party::One, control), Err(DropReason::Rtcp));
    let counters = world.core.counters();
    assert_eq!(counters.received, 3);
    assert_eq!(counters.dropped(DropReason::Rtcp), 1);
    assert_eq!(statistics(&mut world, session, Party::One).packets_refused, 3);
}

#[test]
fn jitter_and_loss_are_reported_at_the_end() {
    let (mut world, session) = joined(BOTH);
    let mut speech = Speech::new(1, 1, 1);
    let first = world.now;
    for n in 0..200u32 {
        if n % 10 == 3 {
            let _ = speech.next();
        } else {
            world.say(session, Party::One, speech.next()).unwrap();
        }
        // Arrivals 10 ms early and late in turn.
        world.pass(MILLISECOND * if n.is_multiple_of(2) { 30 } else { 10 });
    }
    world.command(Command::Close { session });
    let Some(Event::Closed { statistics, .. }) = world.events.last() else { panic!("not closed") };
    let one = statistics[0];
    assert_eq!((one.packets_received, one.packets_lost, one.octets_received), (180, 20, 180 * 160));
    assert_eq!(one.first_packet, first);
    // A.8's filter approaches the mean difference of 10 ms.
    assert!((8_000..=10_500).contains(&one.jitter_microseconds), "{one:?}");
    assert!(one.worst_jitter_microseconds >= one.jitter_microseconds);
    assert_eq!((statistics[1].packets_sent, statistics[1].octets_sent), (180, 180 * 160));
}
