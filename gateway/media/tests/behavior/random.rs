//! Anything at all, in any order: nothing panics, nobody hears a stranger, and the counts balance.

use std::collections::HashMap;
use std::time::Duration;

use duogate_channel::command::{Command, LegOpening, PortChoice, Repeat, Source};
use duogate_channel::digits::Keys;
use duogate_channel::event::{Event, RecordOutcome};
use duogate_channel::identity::{Action as ActionName, LocalPort, Party, Recording, Session, Sound, Tag};
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat, RecordHold};
use duogate_media::rtp::{Header, Packet};
use duogate_media::{Action, DropReason, Limits, Origin, Phase, Socket, Verdict};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};

use crate::support::{EVENT_TYPES, MILLISECOND, PACKET, Speech, World, far_end, limits};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Open([u16; 2]),
    FarEnd {
        handle: usize,
        party: Party,
        codec: Codec,
        send: bool,
        receive: bool,
    },
    Hear {
        handle: usize,
        party: Party,
        what: u8,
    },
    /// A prompt, its stop, or keys.
    Act {
        handle: usize,
        party: Party,
        what: u8,
    },
    Join(usize),
    Record(usize, u64),
    Stop(usize, u64),
    Close(usize),
    Recorded(usize),
    /// A datagram at a socket: the party's next packet, with this done to it.
    Packet {
        socket: u32,
        ssrc: u32,
        skip: u16,
        leap: u32,
        payload_type: u8,
        length: usize,
    },
    Garbage {
        socket: u32,
        bytes: Vec<u8>,
    },
    Pass(u32),
    Jump(u32),
    Events(bool),
    Dry(bool),
}

fn party() -> impl Strategy<Value = Party> {
    prop_oneof![Just(Party::One), Just(Party::Two)]
}

fn codec() -> impl Strategy<Value = Codec> {
    prop_oneof![Just(Codec::Pcma), Just(Codec::Pcmu)]
}

fn step() -> impl Strategy<Value = Step> {
    let handle = 0..6usize;
    let packet = (
        0..5u32,
        prop_oneof![9 => Just(0u32), 1 => 0..3u32],
        prop_oneof![9 => Just(0u16), 1 => any::<u16>()],
    )
        .prop_flat_map(|start| {
            let leap = prop_oneof![9 => Just(0u32), 1 => any::<u32>()];
            let kind = prop_oneof![6 => Just(8u8), 3 => Just(0), 1 => Just(101), 1 => 0..128u8];
            (Just(start), leap, kind, prop_oneof![8 => Just(160usize), 1 => 0..1400usize])
        })
        .prop_map(|((socket, ssrc, skip), leap, payload_type, length)| Step::Packet {
            socket,
            ssrc,
            skip,
            leap,
            payload_type,
            length,
        });
    prop_oneof![
        3 => prop_oneof![3 => Just([0, 0]), 1 => any::<[u16; 2]>(), 1 => Just([20_004, 0])].prop_map(Step::Open),
        6 => (handle.clone(), party(), codec(), prop::bool::weighted(0.95), prop::bool::weighted(0.95)).prop_map(
            |(handle, party, codec, send, receive)| Step::FarEnd { handle, party, codec, send, receive }
        ),
        5 => (handle.clone(), party(), 0..6u8)
            .prop_map(|(handle, party, what)| Step::Hear { handle, party, what }),
        4 => (handle.clone(), party(), 0..8u8)
            .prop_map(|(handle, party, what)| Step::Act { handle, party, what }),
        2 => handle.clone().prop_map(Step::Join),
        2 => (handle.clone(), 1..8u64).prop_map(|(handle, recording)| Step::Record(handle, recording)),
        2 => (handle.clone(), 1..8u64).prop_map(|(handle, recording)| Step::Stop(handle, recording)),
        1 => handle.prop_map(Step::Close),
        2 => (0..8usize).prop_map(Step::Recorded),
        40 => packet,
        2 => (0..24u32, prop::collection::vec(any::<u8>(), 0..64))
            .prop_map(|(socket, bytes)| Step::Garbage { socket, bytes }),
        10 => (0..60u32).prop_map(Step::Pass),
        1 => (0..10_000u32).prop_map(Step::Jump),
        1 => any::<bool>().prop_map(Step::Events),
        1 => prop::bool::weighted(0.2).prop_map(Step::Dry),
    ]
}

/// Two sessions in which everybody talks, so that what follows has something to disturb.
fn beginning() -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..2 {
        steps.push(Step::Open([0, 0]));
        for (party, codec) in [(Party::One, Codec::Pcma), (Party::Two, Codec::Pcmu)] {
            steps.push(Step::FarEnd { handle: 0, party, codec, send: true, receive: true });
        }
        steps.push(Step::Join(0));
        steps.push(Step::Record(0, 1));
    }
    steps
}

/// What the test knows beside the core.
#[derive(Default)]
struct Knowledge {
    sessions: Vec<Session>,
    speeches: HashMap<(u32, u32), Speech>,
    /// Tags of sessions asked for and not yet answered; sessions opened and not yet closed.
    asked: Vec<Tag>,
    open: Vec<Session>,
    /// Actions begun and not yet told.
    acting: HashMap<(Session, u32), Party>,
    acts: u32,
    /// Recordings begun and not yet told.
    begun: usize,
    told: usize,
    tags: u64,
    forwarded: u64,
    dropped: u64,
}

impl Knowledge {
    fn handle(&self, handle: usize) -> Session {
        let never = Session { slot: 1, generation: 77 };
        self.sessions.iter().rev().nth(handle).copied().unwrap_or(never)
    }

    /// A command that begins an action at a session that is open.
    fn begin(&mut self, world: &World, command: &Command) {
        if let Command::Play { session, party, action, .. } | Command::SendKeys { session, party, action, .. } =
            *command
            && world.core.snapshot(session.slot).is_some_and(|snapshot| {
                snapshot.session == session && matches!(snapshot.phase, Phase::Open | Phase::Joined)
            })
        {
            self.acting.insert((session, action.0), party);
        }
    }

    fn note(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Opened { tag, session, .. } => {
                    self.asked.retain(|asked| *asked != tag);
                    assert_eq!(session.generation % 2, 1);
                    self.sessions.push(session);
                    self.open.push(session);
                }
                Event::Refused { tag, .. } => self.asked.retain(|asked| *asked != tag),
                Event::Closed { session, .. } => {
                    assert!(self.open.contains(&session), "closed once");
                    self.open.retain(|open| *open != session);
                    self.acting.retain(|(acting, _), _| *acting != session);
                }
                Event::ActionEnded { session, party, action, .. } => {
                    let begun = self.acting.remove(&(session, action.0));
                    assert_eq!(begun, Some(party), "an action ends once");
                }
                Event::Pressed { session, .. } => {
                    assert!(self.open.contains(&session), "nothing is told of a session that is not open");
                }
                Event::Recorded { .. } => self.told += 1,
                Event::Joined { session }
                | Event::Played { session, .. }
                | Event::Silent { session, .. }
                | Event::Unauthentic { session, .. }
                | Event::Fault { session, .. } => {
                    assert!(self.open.contains(&session), "nothing is told of a session that is not open");
                }
            }
        }
    }
}

fn run(world: &mut World, know: &mut Knowledge, step: Step) {
    let command = match step {
        Step::Open(ports) => {
            know.tags += 1;
            know.asked.push(Tag(know.tags));
            let leg = |port| {
                let port = if port == 0 { PortChoice::ANY } else { PortChoice::This(LocalPort::first(port)) };
                LegOpening { port, beginning: None }
            };
            Command::Open { tag: Tag(know.tags), legs: ports.map(leg) }
        }
        Step::FarEnd { handle, party, codec, send, receive } => {
            let far_end = duogate_channel::command::FarEnd { send, receive, ..far_end(party, codec) };
            Command::FarEnd { session: know.handle(handle), party, far_end }
        }
        Step::Hear { handle, party, what } => {
            let repeat = if what == 5 { Repeat::Forever } else { Repeat::Times(u16::from(what)) };
            let source = match what {
                0 => Source::Silence,
                1 => Source::Peer,
                _ => Source::Sound { sound: Sound(u32::from(what)), repeat },
            };
            Command::Hear { session: know.handle(handle), party, source }
        }
        Step::Act { handle, party, what } => act(know, handle, party, what),
        Step::Join(handle) => Command::Join { session: know.handle(handle) },
        Step::Record(handle, recording) => Command::RecordStart {
            session: know.handle(handle),
            recording: Recording(recording),
            format: RecordFormat::Alaw,
            channels: RecordChannels::Mixed,
            hold: RecordHold::Silence,
        },
        Step::Stop(handle, recording) => {
            Command::RecordStop { session: know.handle(handle), recording: Recording(recording) }
        }
        Step::Close(handle) => Command::Close { session: know.handle(handle) },
        other => return happen(world, know, other),
    };
    if world.core.accepts_commands() {
        know.begin(world, &command);
        world.command(command);
    } else if let Command::Open { tag, .. } = command {
        know.asked.retain(|asked| *asked != tag);
    }
}

fn act(know: &mut Knowledge, handle: usize, party: Party, what: u8) -> Command {
    let session = know.handle(handle);
    know.acts += 1;
    match what {
        0 | 1 => Command::PlayStop { session, party, action: ActionName(know.acts.saturating_sub(2)) },
        2 | 3 => {
            let keys = Keys::from_text("15#").unwrap();
            Command::SendKeys { session, party, action: ActionName(know.acts), keys }
        }
        _ => {
            let (sound, repeat) = (Sound(u32::from(what) - 2), Repeat::Times(2));
            Command::Play { session, party, action: ActionName(know.acts), sound, repeat }
        }
    }
}

fn happen(world: &mut World, know: &mut Knowledge, step: Step) {
    match step {
        Step::Packet { socket, ssrc, skip, leap, payload_type, length } => {
            let speech =
                know.speeches.entry((socket, ssrc)).or_insert_with(|| Speech::new(ssrc, 9, 4_294_960_000));
            speech.sequence = speech.sequence.wrapping_add(skip);
            speech.timestamp = speech.timestamp.wrapping_add(leap);
            let packet = Speech { payload_type, length, ..speech.next() };
            receive(world, know, Socket(socket), packet.bytes());
        }
        Step::Garbage { socket, bytes } => receive(world, know, Socket(socket), bytes),
        Step::Pass(milliseconds) => world.pass(MILLISECOND * milliseconds),
        Step::Jump(milliseconds) => world.jump(MILLISECOND * milliseconds),
        Step::Events(takes) => {
            world.takes_events = takes;
            world.drain();
        }
        Step::Dry(dry) => world.tape.dry = dry,
        Step::Recorded(at) => {
            if let Some(take) = world.tape.begun.get(at).copied() {
                world.tape.begun.remove(at);
                world.core.recorded(take, RecordOutcome::Saved, Duration::ZERO, 0, &mut world.tape);
                know.begun += 1;
                world.drain();
            }
        }
        _ => {}
    }
}

fn receive(world: &mut World, know: &mut Knowledge, socket: Socket, mut bytes: Vec<u8>) {
    let before = bytes.len();
    match world.core.receive(world.now, socket, Origin::Connected, &mut bytes, &mut world.tape) {
        Verdict::Forward { socket: to, length } => {
            assert!(length <= before);
            assert!(Packet::new_checked(&bytes[..length]).is_ok());
            assert!(are_pair(world, socket, to), "to the other party of the same session");
            know.forwarded += 1;
            bytes.truncate(length);
            world.sent.packets.push((to, bytes));
        }
        Verdict::Help | Verdict::HelpToo { .. } => panic!("all speak G.711"),
        Verdict::Drop(_) => know.dropped += 1,
    }
    world.drain();
}

/// The two sockets are the two legs of one session.
fn are_pair(world: &World, one: Socket, other: Socket) -> bool {
    let port = |socket| world.core.limits().port(socket);
    (0..world.core.limits().sessions).filter_map(|slot| world.core.snapshot(slot)).any(|snapshot| {
        let ports = snapshot.legs.map(|leg| leg.port);
        ports == [port(one), port(other)] || ports == [port(other), port(one)]
    })
}

fn balance(world: &World, know: &Knowledge) {
    let counters = world.core.counters();
    let dropped: u64 = counters.dropped.iter().sum();
    assert_eq!((counters.forwarded, dropped), (know.forwarded, know.dropped));
    assert_eq!(counters.received, counters.forwarded + dropped);
    assert!(DropReason::COUNT == counters.dropped.len());
}

/// Everything comes to rest: all closed, all told, all ports and blocks back.
fn settle(world: &mut World, know: &mut Knowledge) {
    world.takes_events = true;
    world.drain();
    know.note(std::mem::take(&mut world.events));
    for session in know.open.clone() {
        world.command(Command::Close { session });
    }
    for take in std::mem::take(&mut world.tape.begun) {
        world.core.recorded(take, RecordOutcome::Saved, Duration::ZERO, 0, &mut world.tape);
        know.begun += 1;
    }
    world.pass(Duration::from_secs(3));
    know.note(std::mem::take(&mut world.events));
    assert_eq!((know.asked.len(), know.open.len()), (0, 0), "each Open is answered, each session closed");
    assert!(know.told >= know.begun, "each recording is told");
    assert_eq!(world.core.active_sessions(), 0);
    assert_eq!(world.core.free_ports(), world.core.limits().sockets());
    assert_eq!(world.core.next_deadline(), None, "no timer is left");
    assert!(world.tape.is_whole(), "no block is left");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn anything_may_happen(
        warm in prop::bool::weighted(0.8),
        steps in prop::collection::vec(step(), 1..250),
    ) {
        let mut world = World::new(Limits { recordings: 3, ..limits() });
        for (sound, length) in [(2, 100), (3, 0), (4, 3333), (5, 1)] {
            world.sounds.0.insert(sound, (Codec::Pcma, vec![1; length]));
        }
        let mut know = Knowledge::default();
        let opening = if warm { beginning() } else { Vec::new() };
        for step in opening.into_iter().chain(steps) {
            run(&mut world, &mut know, step);
            know.note(std::mem::take(&mut world.events));
        }
        balance(&world, &know);
        settle(&mut world, &mut know);
    }

    #[test]
    fn whatever_is_heard_in_turn_is_one_stream(turns in prop::collection::vec((0..8u8, 1..30usize, any::<u32>()), 1..40)) {
        let mut world = World::new(limits());
        world.sounds.0.insert(2, (Codec::Pcmu, vec![1; 1234]));
        let session = world.pair([Codec::Pcma, Codec::Pcma]);
        let mut speech = Speech::new(1, 1, 1);
        for (turn, packets, number) in turns {
            match turn {
                0 => world.hear(session, Party::One, Source::Silence),
                1 => world.play(session, Party::One, 2, Repeat::Forever),
                2 => world.play(session, Party::One, 2, Repeat::Times(1)),
                3 => world.hear(session, Party::One, Source::Peer),
                4 => world.prompt(session, Party::One, number, 2, Repeat::Times(1)),
                5 => world.dial(session, Party::One, number, "1"),
                6 => world.command(Command::PlayStop { session, party: Party::One, action: ActionName(number) }),
                _ => speech = Speech::new(number, (number >> 9 & 0xffff) as u16, number.rotate_left(7)),
            }
            for _ in 0..packets {
                let _ = world.say(session, Party::Two, speech.next());
                world.pass(PACKET);
            }
        }
        let heard = world.heard(session, Party::One);
        one_line(&heard);
    }
}

/// Sequence numbers rise by one, timestamps rise, and not faster than time.
fn one_line(heard: &[Vec<u8>]) {
    let headers: Vec<Header> =
        heard.iter().map(|packet| Packet::new_checked(packet).unwrap().header).collect();
    for pair in headers.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        assert_eq!(pair[1].ssrc, pair[0].ssrc);
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        let event = |header: &Header| header.payload_type == EVENT_TYPES[0];
        if event(&pair[1]) && !pair[1].marker {
            assert!(event(&pair[0]) && step == 0, "an event keeps its time");
            continue;
        }
        assert!((160..40 * 30 * 161).contains(&step), "{step}");
        assert!(pair[1].marker || step == 160, "a jump of the clock has a marker");
    }
}

#[test]
fn actions_name_ports_of_the_range() {
    let mut world = World::new(limits());
    for _ in 0..4 {
        world.open();
    }
    for action in &world.actions {
        if let Action::Bind { socket, port } = action {
            assert_eq!(world.core.limits().socket(*port), Some(*socket));
            assert_eq!((port.address, port.port % 2), (0, 0));
        }
    }
    assert_eq!(world.actions.len(), 8);
}
