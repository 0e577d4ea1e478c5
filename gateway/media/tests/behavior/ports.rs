//! Slots, generations and ports.

use std::time::Duration;

use duogate_channel::command::{Command, FarEnd, LegOpening, PortChoice, Repeat, Source};
use duogate_channel::event::{Event, Refusal};
use duogate_channel::identity::{LocalPort, Party, Session, Tag};
use duogate_channel::sound::Codec;
use duogate_media::{
    Action, BindError, Core, DropReason, Limits, LimitsError, NoTap, Origin, Phase, Socket, Verdict,
};

use crate::support::{Speech, World, far_end, limits};

const BOTH: [Codec; 2] = [Codec::Pcma, Codec::Pcma];

fn refusals(world: &World) -> Vec<Refusal> {
    let of = |event: &Event| match event {
        Event::Refused { reason, .. } => Some(*reason),
        _ => None,
    };
    world.events.iter().filter_map(of).collect()
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let made = |limits: Limits| Core::new(limits, World::new(crate::support::limits()).now).map(|_| ());
    let good = limits();
    assert_eq!(made(good), Ok(()));
    assert_eq!(
        made(Limits { first_port: 20_001, ..good }),
        Err(LimitsError::Ports { first: 20_001, last: 20_021 })
    );
    assert_eq!(
        made(Limits { last_port: 20_013, ..good }),
        Err(LimitsError::TooFewPorts { sessions: 4, sockets: 7 })
    );
    for addresses in [0, 9] {
        assert_eq!(made(Limits { addresses, ..good }), Err(LimitsError::Addresses(addresses)));
    }
    assert_eq!(made(Limits { addresses: 2, last_port: 20_007, ..good }), Ok(()), "two addresses carry more");
    assert_eq!(made(Limits { sessions: 0, ..good }), Err(LimitsError::NoSessions));
    assert_eq!(made(Limits { rest: Duration::ZERO, ..good }), Err(LimitsError::Times));
}

#[test]
fn a_session_gets_a_slot_an_odd_generation_and_two_even_ports() {
    let mut world = World::new(limits());
    world.command(Command::Open { tag: Tag(3), legs: [LegOpening::FRESH; 2] });
    let [Event::Opened { tag, session, ports }] = world.events[..] else { panic!("{:?}", world.events) };
    assert_eq!(
        (tag, session.generation % 2, ports),
        (Tag(3), 1, [LocalPort::first(20_000), LocalPort::first(20_002)])
    );
    assert_eq!(world.core.active_sessions(), 1);
    assert_eq!(world.core.snapshot(session.slot).unwrap().phase, Phase::Open);
}

#[test]
fn every_slot_can_be_used_and_no_more() {
    let mut world = World::new(limits());
    for _ in 0..4 {
        world.open();
    }
    world.command(Command::Open { tag: Tag(5), legs: [LegOpening::FRESH; 2] });
    assert_eq!(refusals(&world), [Refusal::NoSlot]);
    assert_eq!(world.core.counters().refused, 1);
}

#[test]
fn a_stale_handle_does_nothing_and_is_counted() {
    let mut world = World::new(limits());
    let old = world.pair(BOTH);
    world.command(Command::Close { session: old });
    let before = world.core.counters().stale_commands;
    let never = Session { slot: 1000, generation: 1 };
    for session in [old, never, Session { slot: old.slot, generation: old.generation + 1 }] {
        for command in [
            Command::Close { session },
            Command::Join { session },
            Command::Hear { session, party: Party::One, source: Source::Peer },
            Command::FarEnd { session, party: Party::One, far_end: far_end(Party::One, Codec::Pcma) },
        ] {
            world.actions.clear();
            world.command(command);
            assert!(world.actions.is_empty());
        }
    }
    assert_eq!(world.core.counters().stale_commands, before + 12);
}

#[test]
fn ports_rest_before_they_are_used_again() {
    let mut world = World::new(Limits { sessions: 1, last_port: 20_003, ..limits() });
    let session = world.pair(BOTH);
    world.command(Command::Join { session });
    let socket = world.socket(session, Party::One);
    world.command(Command::Close { session });
    assert_eq!((world.core.active_sessions(), world.core.free_ports()), (0, 0));
    world.command(Command::Open { tag: Tag(2), legs: [LegOpening::FRESH; 2] });
    assert_eq!(refusals(&world), [Refusal::NoPort], "both rest");
    let mut late = Speech::new(1, 1, 1).bytes();
    let verdict = world.core.receive(world.now, socket, Origin::Connected, &mut late, &mut NoTap);
    assert_eq!(verdict, Verdict::Drop(DropReason::Resting));
    world.actions.clear();
    world.pass(Duration::from_secs(2) + Duration::from_millis(1));
    assert_eq!(world.actions, [Action::Release { socket: Socket(0) }, Action::Release { socket: Socket(1) }]);
    let verdict = world.core.receive(world.now, socket, Origin::Connected, &mut late, &mut NoTap);
    assert_eq!(verdict, Verdict::Drop(DropReason::NotOpen));
    let again = world.open();
    assert_eq!((again.slot, again.generation % 2), (session.slot, 1));
    assert!(again.generation > session.generation);
}

#[test]
fn the_port_that_was_free_longest_is_used_next() {
    let mut world = World::new(limits());
    let mut seen = Vec::new();
    for _ in 0..5 {
        let session = world.open();
        let snapshot = world.core.snapshot(session.slot).unwrap();
        seen.extend(snapshot.legs.map(|leg| leg.port.port));
        world.command(Command::Close { session });
        world.pass(Duration::from_secs(3));
    }
    assert_eq!(seen, [20_000, 20_002, 20_004, 20_006, 20_008, 20_010, 20_012, 20_014, 20_016, 20_018]);
}

#[test]
fn a_port_that_another_program_holds_is_passed_over() {
    let mut world = World::new(limits());
    world.taken = vec![20_000, 20_002, 20_006];
    world.command(Command::Open { tag: Tag(1), legs: [LegOpening::FRESH; 2] });
    let [Event::Opened { ports, .. }] = world.events[..] else { panic!("{:?}", world.events) };
    assert!(ports.iter().all(|port| !world.taken.contains(&port.port)) && ports[0] != ports[1], "{ports:?}");
    world.taken = (20_000..20_022).collect();
    world.command(Command::Open { tag: Tag(2), legs: [LegOpening::FRESH; 2] });
    assert_eq!(refusals(&world), [Refusal::NoPort]);
    assert_eq!(world.core.active_sessions(), 1, "nothing is left of it");
    assert_eq!(world.core.free_ports(), 9);
}

/// A leg on this port of the first address, or on any if it is 0.
fn asked(port: u16) -> LegOpening {
    let port = if port == 0 { PortChoice::ANY } else { PortChoice::This(LocalPort::first(port)) };
    LegOpening { port, beginning: None }
}

#[test]
fn every_address_has_the_whole_range() {
    let mut world = World::new(Limits { addresses: 3, ..limits() });
    assert_eq!((world.core.limits().sockets(), world.core.free_ports()), (33, 33));
    for place in 0..33 {
        let port = world.core.limits().port(Socket(place));
        assert_eq!(world.core.limits().socket(port), Some(Socket(place)), "{port:?}");
    }
    let any = |addresses| LegOpening { port: PortChoice::Any { addresses }, beginning: None };
    let third = LocalPort { address: 2, port: 20_020 };
    let this = LegOpening { port: PortChoice::This(third), beginning: None };
    world.command(Command::Open { tag: Tag(1), legs: [any(0b010), this] });
    let [Event::Opened { session, ports, .. }] = world.events[..] else { panic!("{:?}", world.events) };
    assert_eq!(ports, [LocalPort { address: 1, port: 20_000 }, third]);
    assert_eq!(world.core.snapshot(session.slot).unwrap().legs.map(|leg| leg.port), ports);
    // The first address has most free ports, and then as many as the others.
    world.events.clear();
    world.command(Command::Open { tag: Tag(2), legs: [LegOpening::FRESH; 2] });
    let [Event::Opened { ports, .. }] = world.events[..] else { panic!("{:?}", world.events) };
    assert_eq!(ports, [LocalPort::first(20_000), LocalPort::first(20_002)]);
    assert_eq!(world.core.free_ports(), 29);
    world.command(Command::Close { session });
    world.pass(Duration::from_secs(3));
    assert_eq!(world.core.free_ports(), 31, "each went back to its address");
}

#[test]
fn ports_can_be_asked_for() {
    let mut world = World::new(limits());
    world.command(Command::Open { tag: Tag(1), legs: [0, 20_000].map(asked) });
    let [Event::Opened { ports, .. }] = world.events[..] else { panic!("{:?}", world.events) };
    assert_eq!(ports, [20_002, 20_000].map(LocalPort::first));
    for ports in [[20_000, 0], [0, 20_003], [20_022, 0], [30_000, 0], [20_008, 20_008], [2, 0]] {
        world.events.clear();
        world.command(Command::Open { tag: Tag(2), legs: ports.map(asked) });
        assert_eq!(refusals(&world), [Refusal::NoPort], "{ports:?}");
    }
    let elsewhere = PortChoice::This(LocalPort { address: 1, port: 20_008 });
    for port in [elsewhere, PortChoice::Any { addresses: 0b10 }] {
        world.events.clear();
        let leg = LegOpening { port, beginning: None };
        world.command(Command::Open { tag: Tag(2), legs: [leg, LegOpening::FRESH] });
        assert_eq!(refusals(&world), [Refusal::NoPort], "there is no second address");
    }
    world.events.clear();
    world.taken = vec![20_010];
    world.command(Command::Open { tag: Tag(3), legs: [20_010, 0].map(asked) });
    assert_eq!(refusals(&world), [Refusal::NoPort]);
    assert_eq!(world.core.free_ports(), 9);
}

#[test]
fn a_host_without_sockets_refuses_and_what_was_bound_is_released() {
    let mut world = World::new(limits());
    let Limits { .. } = limits();
    world.core.command(world.now, Command::Open { tag: Tag(1), legs: [LegOpening::FRESH; 2] }, &mut NoTap);
    let asked: Vec<Action> = std::iter::from_fn(|| world.core.poll_action()).collect();
    let [Action::Bind { socket: one, .. }, Action::Bind { socket: two, .. }] = asked[..] else {
        panic!("{asked:?}")
    };
    world.core.bound(world.now, one, Err(BindError::Refused));
    world.core.bound(world.now, two, Ok(()));
    world.drain();
    assert_eq!(refusals(&world), [Refusal::NoSocket]);
    assert_eq!(world.actions, [Action::Release { socket: two }], "no rest: no packet was ever expected");
    assert_eq!((world.core.active_sessions(), world.core.free_ports()), (0, 11));
    // Answers that nobody waits for change nothing.
    for result in [Ok(()), Err(BindError::Taken)] {
        for socket in [one, two, Socket(500)] {
            world.core.bound(world.now, socket, result);
        }
    }
    assert_eq!(world.core.free_ports(), 11);
}

#[test]
fn a_far_end_is_connected_before_anything_is_forwarded() {
    let mut world = World::new(limits());
    let session = world.open();
    world.actions.clear();
    let known = far_end(Party::Two, Codec::Pcma);
    world.command(Command::FarEnd { session, party: Party::Two, far_end: known });
    let socket = world.socket(session, Party::Two);
    assert_eq!(world.actions, [Action::Connect { socket, address: known.address }]);
    // Closed before the shell asks: there is nothing to connect any more.
    let mut moved = known;
    moved.address.set_port(9);
    world.core.command(world.now, Command::FarEnd { session, party: Party::Two, far_end: moved }, &mut NoTap);
    world.core.command(world.now, Command::Close { session }, &mut NoTap);
    assert_eq!(world.core.poll_action(), None);
}

#[test]
fn a_far_end_that_is_nowhere_is_neither_connected_nor_sent_to() {
    let mut world = World::new(limits());
    world.sounds.0.insert(1, (Codec::Pcma, vec![0x11; 800]));
    let session = world.open();
    let known = far_end(Party::One, Codec::Pcma);
    for nowhere in ["0.0.0.0:4000", "[::]:4000", "192.0.2.1:0"] {
        world.actions.clear();
        let far_end = FarEnd { address: nowhere.parse().unwrap(), ..known };
        world.command(Command::FarEnd { session, party: Party::One, far_end });
        world.play(session, Party::One, 1, Repeat::Forever);
        world.pass(Duration::from_secs(1));
        assert_eq!((&world.actions[..], world.sent.packets.len()), (&[][..], 0), "{nowhere}");
    }
    let socket = world.socket(session, Party::One);
    world.command(Command::FarEnd { session, party: Party::One, far_end: known });
    assert_eq!(world.actions, [Action::Connect { socket, address: known.address }]);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.sent.packets.len(), 50, "the prompt has gone on and is heard now");
    // Nowhere again before the shell has looked: there is nothing to connect.
    world.actions.clear();
    let mut moved = known;
    moved.address.set_port(9);
    world.core.command(world.now, Command::FarEnd { session, party: Party::One, far_end: moved }, &mut NoTap);
    moved.address.set_port(0);
    world.core.command(world.now, Command::FarEnd { session, party: Party::One, far_end: moved }, &mut NoTap);
    world.drain();
    assert_eq!(world.actions, []);
}
