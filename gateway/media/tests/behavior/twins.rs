//! One random world run twice, with and without a path beside the sockets: nobody can tell the difference.

use std::time::Duration;

use duogate_channel::command::{Command, FarEnd, Repeat, Source};
use duogate_channel::event::Event;
use duogate_channel::identity::{Action, Party, Recording, Session, Sound};
use duogate_channel::quality::Fault;
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat, RecordHold};
use duogate_media::Snapshot;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};

use crate::support::{EVENT_TYPES, MILLISECOND, Speech, Table, World, far_end, limits};

/// What becomes of a party's next packet.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    /// To the socket, whatever the path would have done: as if it had no next hop.
    BySocket,
    Lost,
    Twice,
    /// Kept back until some more have come.
    Later(usize),
}

/// What a party sends.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Sound,
    Marked,
    /// So many samples instead of 160.
    Sized(usize),
    TelephoneEvent,
    ComfortNoise,
    Empty,
    Extended,
    Unknown,
    /// Its numbers and clock leap.
    Leap(u16, u32),
    /// Another sender from now on.
    Sender(u32),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Packet {
        party: Party,
        kind: Kind,
        fate: Fate,
    },
    Talk {
        packets: usize,
    },
    Garbage(Party, [u8; 20]),
    Pass(u32),
    Hear {
        party: Party,
        what: u8,
    },
    /// A prompt over what it hears.
    Play(Party),
    PlayStop(Party),
    Join,
    FarEnd {
        party: Party,
        send: bool,
        receive: bool,
        codec: bool,
    },
    Record(u64),
    Stop(u64),
    Refuse(bool),
}

fn party() -> impl Strategy<Value = Party> {
    prop_oneof![Just(Party::One), Just(Party::Two)]
}

fn packet() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        12 => Just(Kind::Sound),
        1 => Just(Kind::Marked),
        1 => (1..500usize).prop_map(Kind::Sized),
        2 => Just(Kind::TelephoneEvent),
        1 => Just(Kind::ComfortNoise),
        1 => Just(Kind::Empty),
        1 => Just(Kind::Extended),
        1 => Just(Kind::Unknown),
        1 => prop_oneof![
            (0..70u16, any::<u32>()),
            (any::<u16>(), 0..90_000u32),
            (2990..3010u16, Just(0)),
            (Just(0), 79_000..81_000u32),
        ].prop_map(|(numbers, time)| Kind::Leap(numbers, time)),
        1 => (0..3u32).prop_map(Kind::Sender),
    ];
    let fate = prop_oneof![
        12 => Just(Fate::Arrives),
        2 => Just(Fate::BySocket),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Twice),
        2 => (1..80usize).prop_map(Fate::Later),
    ];
    (party(), kind, fate).prop_map(|(party, kind, fate)| Step::Packet { party, kind, fate })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        50 => packet(),
        6 => (1..60usize).prop_map(|packets| Step::Talk { packets }),
        1 => (party(), any::<[u8; 20]>()).prop_map(|(party, bytes)| Step::Garbage(party, bytes)),
        10 => prop_oneof![8 => 0..40u32, 1 => 0..9000u32].prop_map(Step::Pass),
        2 => (party(), 0..4u8).prop_map(|(party, what)| Step::Hear { party, what }),
        2 => party().prop_map(Step::Play),
        1 => party().prop_map(Step::PlayStop),
        3 => Just(Step::Join),
        3 => (party(), prop::bool::weighted(0.8), prop::bool::weighted(0.8), prop::bool::weighted(0.1))
            .prop_map(|(party, send, receive, codec)| Step::FarEnd { party, send, receive, codec }),
        2 => (1..4u64).prop_map(Step::Record),
        2 => (1..4u64).prop_map(Step::Stop),
        1 => any::<bool>().prop_map(Step::Refuse),
    ]
}

/// What goes into both worlds.
#[derive(Clone, Debug)]
enum Input {
    /// Whether the path may see it.
    Packet(Party, Vec<u8>, bool),
    Command(Command),
    Pass(Duration),
    Refuse(bool),
}

/// The two parties and the network between them and us.
struct Parties {
    speeches: [Speech; 2],
    /// Packets kept back, with how many must come before each.
    late: Vec<(usize, Party, Vec<u8>)>,
}

impl Parties {
    fn inputs(&mut self, session: Session, step: Step) -> Vec<Input> {
        let command = |command| vec![Input::Command(command)];
        match step {
            Step::Packet { party, kind, fate } => self.packet(party, kind, fate),
            Step::Talk { packets } => {
                let each = |_| {
                    let mut inputs = self.packet(Party::One, Kind::Sound, Fate::Arrives);
                    inputs.extend(self.packet(Party::Two, Kind::Sound, Fate::Arrives));
                    inputs.push(Input::Pass(MILLISECOND * 20));
                    inputs
                };
                (0..packets).flat_map(each).collect()
            }
            Step::Garbage(party, bytes) => vec![Input::Packet(party, bytes.to_vec(), true)],
            Step::Pass(milliseconds) => vec![Input::Pass(MILLISECOND * milliseconds)],
            Step::Hear { party, what } => {
                let source = match what {
                    0 => Source::Silence,
                    1 => Source::Peer,
                    _ => Source::Sound { sound: Sound(u32::from(what)), repeat: Repeat::Times(1) },
                };
                command(Command::Hear { session, party, source })
            }
            Step::Play(party) => {
                let (action, sound, repeat) = (Action(1), Sound(2), Repeat::Times(1));
                command(Command::Play { session, party, action, sound, repeat })
            }
            Step::PlayStop(party) => command(Command::PlayStop { session, party, action: Action(1) }),
            Step::Join => command(Command::Join { session }),
            Step::FarEnd { party, send, receive, codec } => {
                let codec = if codec { Codec::Pcmu } else { Codec::Pcma };
                let far_end = FarEnd { send, receive, payload_type: 8, ..far_end(party, codec) };
                command(Command::FarEnd { session, party, far_end })
            }
            Step::Record(recording) => command(Command::RecordStart {
                session,
                recording: Recording(recording),
                format: RecordFormat::Alaw,
                channels: RecordChannels::Separate,
                hold: RecordHold::Silence,
            }),
            Step::Stop(recording) => {
                command(Command::RecordStop { session, recording: Recording(recording) })
            }
            Step::Refuse(refuses) => vec![Input::Refuse(refuses)],
        }
    }

    fn packet(&mut self, party: Party, kind: Kind, fate: Fate) -> Vec<Input> {
        let bytes = self.bytes(party, kind);
        let mut inputs = match fate {
            Fate::Arrives => vec![Input::Packet(party, bytes, true)],
            Fate::BySocket => vec![Input::Packet(party, bytes, false)],
            Fate::Twice => vec![Input::Packet(party, bytes.clone(), true), Input::Packet(party, bytes, true)],
            Fate::Lost => vec![],
            Fate::Later(count) => {
                self.late.push((count, party, bytes));
                vec![]
            }
        };
        self.late.iter_mut().for_each(|(left, ..)| *left = left.saturating_sub(1));
        for (_, party, bytes) in self.late.extract_if(.., |(left, ..)| *left == 0) {
            inputs.push(Input::Packet(party, bytes, true));
        }
        inputs
    }

    fn bytes(&mut self, party: Party, kind: Kind) -> Vec<u8> {
        let speech = &mut self.speeches[party.index()];
        match kind {
            Kind::Leap(numbers, time) => {
                speech.sequence = speech.sequence.wrapping_add(numbers);
                speech.timestamp = speech.timestamp.wrapping_add(time);
            }
            Kind::Sender(ssrc) => speech.ssrc = ssrc,
            _ => {}
        }
        let mut packet = speech.next();
        packet.byte = (packet.sequence % 251) as u8;
        match kind {
            Kind::Marked => packet.marker = true,
            Kind::Sized(length) => packet.length = length,
            Kind::TelephoneEvent => (packet.payload_type, packet.length) = (EVENT_TYPES[party.index()], 4),
            Kind::ComfortNoise => (packet.payload_type, packet.length) = (13, 1),
            Kind::Empty => packet.length = 0,
            Kind::Unknown => packet.payload_type = 77,
            Kind::Sound | Kind::Extended | Kind::Leap(..) | Kind::Sender(_) => {}
        }
        let mut bytes = packet.bytes();
        if let Kind::Extended = kind {
            bytes[0] |= 0x10;
            bytes[12..16].copy_from_slice(&[0, 0, 0, 1]);
        }
        bytes
    }
}

fn run(world: &mut World, session: Session, input: &Input) {
    match input {
        Input::Packet(party, bytes, true) => drop(world.arrive(session, *party, bytes.clone())),
        Input::Packet(party, bytes, false) => drop(world.say_bytes(session, *party, bytes.clone())),
        Input::Command(command) => world.command(*command),
        Input::Pass(time) => {
            // The shell empties the ring often; in this world's time at once.
            world.core.drain_path(&mut world.tape);
            world.pass(*time);
        }
        Input::Refuse(refuses) => world.core.path_mut().refuses = *refuses,
    }
    world.core.drain_path(&mut world.tape);
}

fn world(table: Table) -> (World, Session) {
    let mut world = World::with_table(limits(), table);
    world.sounds.0.insert(2, (Codec::Pcma, vec![2; 1000]));
    world.sounds.0.insert(3, (Codec::Pcmu, vec![3; 333]));
    let session = world.pair([Codec::Pcma, Codec::Pcma]);
    world.command(Command::Join { session });
    (world, session)
}

fn same(plain: &mut World, beside: &mut World, session: Session) {
    assert_eq!(plain.sent.packets, beside.sent.packets);
    plain.sent.packets.clear();
    beside.sent.packets.clear();
    assert_eq!(known(plain, session), known(beside, session));
    assert_eq!(told(plain), told(beside));
}

/// What both can know: the path looks at less of each packet to see that somebody is mute, and once a second.
fn known(world: &World, session: Session) -> Option<Snapshot> {
    let mut snapshot = world.core.snapshot(session.slot)?;
    for leg in &mut snapshot.legs {
        let quality = &mut leg.statistics.quality;
        quality.mute_milliseconds = 0;
        quality.fault = quality.fault.filter(|fault| *fault != Fault::Mute);
    }
    Some(snapshot)
}

fn told(world: &World) -> Vec<Event> {
    let mut events = world.events.clone();
    events.retain(|event| !matches!(event, Event::Fault { fault: None | Some(Fault::Mute), .. }));
    for event in &mut events {
        if let Event::Closed { statistics, .. } = event {
            statistics.iter_mut().for_each(|leg| {
                leg.quality.mute_milliseconds = 0;
                leg.quality.fault = None;
            });
        }
    }
    events
}

fn end(world: &mut World, session: Session) {
    world.command(Command::Close { session });
    assert!(world.core.path().entries.is_empty(), "nothing stays on the path");
    assert_eq!((world.core.counters().offloaded, world.core.tapped()), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn with_and_without_the_path(
        taps in any::<bool>(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let (mut plain, session) = world(Table::default());
        let (mut beside, same_session) = world(Table::with_taps(taps));
        assert_eq!(session, same_session);
        let mut parties = Parties {
            speeches: [Speech::new(1, 65_500, 0xffff_0000), Speech::new(2, 7, 9)],
            late: Vec::new(),
        };
        let opening = [Step::Talk { packets: 5 }];
        for step in opening.into_iter().chain(steps) {
            for input in parties.inputs(session, step) {
                run(&mut plain, session, &input);
                run(&mut beside, session, &input);
                same(&mut plain, &mut beside, session);
            }
        }
        assert!(beside.core.path().switched_on > 0, "the path was used");
        end(&mut plain, session);
        end(&mut beside, session);
        same(&mut plain, &mut beside, session);
        assert_eq!(plain.tape.ended, beside.tape.ended);
        assert_eq!(plain.tape.written, beside.tape.written);
    }
}
