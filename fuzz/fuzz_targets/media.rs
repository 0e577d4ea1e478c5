//! The media core as a whole: the input is a program of commands, datagrams and time. Nothing panics, what came
//! balances with what went, and at the end everything comes to rest.
#![no_main]

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use duogate_channel::command::{Command, FarEnd, LegOpening, PortChoice, Repeat, Rtcp, Source};
use duogate_channel::event::{Event, RecordOutcome};
use duogate_channel::identity::{LocalPort, Party, Recording, Session, Sound, Tag};
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat, RecordHold};
use duogate_channel::time::Instant;
use duogate_media::{
    Action, BindError, Block, Core, Limits, Origin, Outlet, Socket, SoundStore, SoundView, Take, Tap,
};
use libfuzzer_sys::fuzz_target;

const SESSIONS: u32 = 3;
const BLOCKS: usize = 12;

#[derive(Arbitrary, Debug)]
enum Step {
    Open([(u8, u16); 2]),
    OpenAny,
    FarEnd {
        slot: u8,
        two: bool,
        ulaw: bool,
        payload_type: u8,
        event: Option<u8>,
        send: bool,
        receive: bool,
    },
    Silence {
        slot: u8,
        two: bool,
    },
    Peer {
        slot: u8,
        two: bool,
    },
    Sound {
        slot: u8,
        two: bool,
        sound: u8,
        times: Option<u16>,
    },
    Join(u8),
    Record(u8, u8),
    Stop(u8, u8),
    Close(u8),
    Finished(u8),
    Packet {
        socket: u8,
        stranger: bool,
        type_: u8,
        sequence: u16,
        timestamp: u32,
        ssrc: u8,
        length: u8,
    },
    Bytes(u8, Vec<u8>),
    Pass(u16),
    Events(u8),
    /// The next port is not to be had.
    NoPort(bool),
}

struct Tape {
    pool: Vec<Box<Block>>,
    running: Vec<Take>,
}

impl Tap for Tape {
    fn begin(&mut self, take: Take, _: RecordFormat, _: RecordChannels) -> Result<(), RecordOutcome> {
        self.running.push(take);
        Ok(())
    }

    fn block(&mut self) -> Option<Box<Block>> {
        self.pool.pop()
    }

    fn write(&mut self, block: Box<Block>) {
        self.pool.push(block);
    }

    fn give_back(&mut self, block: Box<Block>) {
        self.pool.push(block);
    }

    fn end(&mut self, _: Take, _: u64, _: u32) {}
}

struct Sounds;

impl SoundStore for Sounds {
    fn sound(&self, sound: Sound) -> Option<SoundView<'_>> {
        const BYTES: &[u8] = &[7; 777];
        let length = usize::try_from(sound.0).ok()? * 97;
        BYTES.get(..length).map(|bytes| SoundView { codec: Codec::Pcmu, bytes })
    }
}

struct Nowhere;

impl Outlet for Nowhere {
    fn send(&mut self, socket: Socket, length: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        let mut bytes = [0; 172];
        fill(&mut bytes[..length]);
        assert_eq!(bytes[0], 0x80);
        socket.0 % 3 != 2
    }
}

struct World {
    core: Core,
    tape: Tape,
    now: Instant,
    refusal: Option<BindError>,
}

impl World {
    fn drain(&mut self) {
        while let Some(action) = self.core.poll_action() {
            if let Action::Bind { socket, .. } = action {
                let result = self.refusal.take().map_or(Ok(()), Err);
                self.core.bound(self.now, socket, result);
            }
        }
    }

    fn session(&self, slot: u8) -> Session {
        let snapshot = self.core.snapshot(u32::from(slot) % SESSIONS);
        snapshot.map_or(Session { slot: u32::from(slot), generation: 1 }, |snapshot| snapshot.session)
    }

    fn command(&mut self, command: Command) {
        if self.core.accepts_commands() {
            self.core.command(self.now, command, &mut self.tape);
        }
        self.drain();
    }

    fn receive(&mut self, socket: u8, origin: Origin, mut bytes: Vec<u8>) {
        self.core.receive(self.now, Socket(u32::from(socket)), origin, &mut bytes, &mut self.tape);
    }

    fn take_events(&mut self, most: usize) {
        for _ in 0..most {
            if self.core.event().is_none() {
                return;
            }
            self.core.event_taken();
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.core.advance(self.now, &Sounds, &mut Nowhere);
        self.drain();
    }

    fn step(&mut self, step: Step) {
        let party = |two| if two { Party::Two } else { Party::One };
        match step {
            Step::Open(ports) => {
                let leg = |(address, port)| LegOpening {
                    port: PortChoice::This(LocalPort { address, port }),
                    beginning: None,
                };
                self.command(Command::Open { tag: Tag(1), legs: ports.map(leg) });
            }
            Step::OpenAny => self.command(Command::Open { tag: Tag(1), legs: [LegOpening::FRESH; 2] }),
            Step::FarEnd { slot, two, ulaw, payload_type, event, send, receive } => {
                let far_end = FarEnd {
                    address: "192.0.2.1:4000".parse().expect("a literal"),
                    codec: if ulaw { Codec::Pcmu } else { Codec::Pcma },
                    payload_type,
                    telephone_event: event,
                    comfort_noise: None,
                    send,
                    receive,
                    rtcp: if payload_type % 8 == 6 { Rtcp::Muxed } else { Rtcp::Off },
                    in_band: payload_type % 8 == 7,
                };
                self.command(Command::FarEnd { session: self.session(slot), party: party(two), far_end });
            }
            Step::Silence { slot, two } => self.hear(slot, party(two), Source::Silence),
            Step::Peer { slot, two } => self.hear(slot, party(two), Source::Peer),
            Step::Sound { slot, two, sound, times } => {
                let repeat = times.map_or(Repeat::Forever, Repeat::Times);
                self.hear(slot, party(two), Source::Sound { sound: Sound(u32::from(sound)), repeat });
            }
            Step::Join(slot) => self.command(Command::Join { session: self.session(slot) }),
            Step::Record(slot, recording) => self.command(Command::RecordStart {
                session: self.session(slot),
                recording: Recording(u64::from(recording)),
                format: RecordFormat::Alaw,
                channels: RecordChannels::Mixed,
                hold: if recording % 2 == 0 { RecordHold::Silence } else { RecordHold::Pause },
            }),
            Step::Stop(slot, recording) => self.command(Command::RecordStop {
                session: self.session(slot),
                recording: Recording(u64::from(recording)),
            }),
            Step::Close(slot) => self.command(Command::Close { session: self.session(slot) }),
            other => self.happen(other),
        }
    }

    fn hear(&mut self, slot: u8, party: Party, source: Source) {
        self.command(Command::Hear { session: self.session(slot), party, source });
    }

    fn happen(&mut self, step: Step) {
        match step {
            Step::Finished(at) if usize::from(at) < self.tape.running.len() => {
                let take = self.tape.running.swap_remove(usize::from(at));
                self.core.recorded(take, RecordOutcome::Saved, Duration::ZERO, 0, &mut self.tape);
            }
            Step::Packet { socket, stranger, type_, sequence, timestamp, ssrc, length } => {
                let mut bytes = vec![0x80, type_];
                bytes.extend(sequence.to_be_bytes());
                bytes.extend(timestamp.to_be_bytes());
                bytes.extend(u32::from(ssrc).to_be_bytes());
                bytes.resize(12 + usize::from(length), 0x33);
                let address = "198.51.100.1:4000".parse().expect("a literal");
                let origin = if stranger { Origin::Address(address) } else { Origin::Connected };
                self.receive(socket, origin, bytes);
            }
            Step::Bytes(socket, bytes) => self.receive(socket, Origin::Connected, bytes),
            Step::Pass(milliseconds) => self.pass(Duration::from_millis(u64::from(milliseconds))),
            Step::Events(most) => self.take_events(usize::from(most)),
            Step::NoPort(taken) => {
                self.refusal = Some(if taken { BindError::Taken } else { BindError::Refused });
            }
            _ => {}
        }
    }

    /// Everything ends, is told, and is free again.
    fn settle(&mut self) {
        self.take_events(usize::MAX);
        for slot in 0..SESSIONS {
            if let Some(snapshot) = self.core.snapshot(slot) {
                self.command(Command::Close { session: snapshot.session });
            }
        }
        for take in std::mem::take(&mut self.tape.running) {
            self.core.recorded(take, RecordOutcome::Saved, Duration::ZERO, 0, &mut self.tape);
        }
        let mut closed = 0;
        while let Some(event) = self.core.event() {
            closed += u32::from(matches!(event, Event::Closed { .. }));
            self.core.event_taken();
        }
        assert!(closed <= SESSIONS);
        self.pass(Duration::from_secs(10));
        assert_eq!(self.core.active_sessions(), 0);
        assert_eq!(self.core.free_ports(), self.core.limits().sockets());
        assert_eq!(self.core.next_deadline(), None);
        assert_eq!(self.tape.pool.len(), BLOCKS);
        let counters = self.core.counters();
        assert_eq!(counters.received, counters.forwarded + counters.dropped.iter().sum::<u64>());
    }
}

fuzz_target!(|input: &[u8]| {
    let limits = Limits {
        sessions: SESSIONS,
        recordings: 2,
        transcoded: 2,
        addresses: 2,
        first_port: 4,
        last_port: 21,
        rest: Duration::from_secs(3),
        silence_timeout: Duration::from_secs(9),
        report_ports: 0,
        report_interval: Duration::ZERO,
        epoch: Duration::ZERO,
        seed: 1,
    };
    let now = Instant::from_nanoseconds(1_000_000);
    let mut world = World {
        core: Core::new(limits, now).expect("good limits"),
        tape: Tape { pool: (0..BLOCKS).map(|_| Box::default()).collect(), running: Vec::new() },
        now,
        refusal: None,
    };
    let mut input = Unstructured::new(input);
    while !input.is_empty()
        && let Ok(step) = Step::arbitrary(&mut input)
    {
        world.step(step);
    }
    world.settle();
});
