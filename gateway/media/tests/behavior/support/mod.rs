//! A shard's core with a clock of its own, two parties, and a writer that keeps everything.

mod listener;
mod table;
mod tape;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use duogate_channel::command::{Command, FarEnd, LegOpening, Repeat, Source};
use duogate_channel::digits::Keys;
use duogate_channel::event::Event;
use duogate_channel::identity::{Action as ActionName, Party, Session, Sound, Tag};
use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;
use duogate_media::rtp::{HEADER_BYTES, Header, Packet};
use duogate_media::{
    Action, Core, DropReason, Job, Limits, Origin, Outlet, ROOM, Ready, Socket, SoundStore, SoundView,
    Verdict,
};

pub(crate) use listener::Listener;
pub(crate) use table::{Done, Table};
pub(crate) use tape::Tape;

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);
pub(crate) const PACKET: Duration = Duration::from_millis(20);
pub(crate) const EVENT_TYPES: [u8; 2] = [101, 96];

pub(crate) fn limits() -> Limits {
    Limits {
        sessions: 4,
        recordings: 4,
        transcoded: 2,
        addresses: 1,
        first_port: 20_000,
        last_port: 20_021,
        rest: Duration::from_secs(2),
        silence_timeout: Duration::from_secs(5),
        report_ports: 0,
        report_interval: Duration::ZERO,
        epoch: Duration::ZERO,
        seed: 7,
    }
}

/// Sounds by number.
#[derive(Default)]
pub(crate) struct Sounds(pub(crate) HashMap<u32, (Codec, Vec<u8>)>);

impl SoundStore for Sounds {
    fn sound(&self, sound: Sound) -> Option<SoundView<'_>> {
        self.0.get(&sound.0).map(|(codec, bytes)| SoundView { codec: *codec, bytes })
    }

    fn ready(&self, what: Ready, _: Codec, step: u8) -> Option<&[u8]> {
        // The tones of a key and noise, as far as a core can tell.
        const KEY: [u8; 160] = [0x4b; 160];
        const PAUSE: [u8; 160] = [0x50; 160];
        const NOISE: [u8; 160] = [0x4e; 160];
        Some(match what {
            Ready::Key(_) if step < 5 => &KEY,
            Ready::Key(_) => &PAUSE,
            Ready::Noise(_) => &NOISE,
        })
    }
}

/// Keeps what is sent, with the socket from which.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) packets: Vec<(Socket, Vec<u8>)>,
    pub(crate) refuse: bool,
}

impl Outlet for Sent {
    fn send(&mut self, socket: Socket, length: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        if self.refuse {
            return false;
        }
        let mut packet = vec![0xee; length];
        fill(&mut packet);
        self.packets.push((socket, packet));
        true
    }
}

/// One packet as a party sends it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speech {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) byte: u8,
    pub(crate) length: usize,
}

impl Speech {
    pub(crate) fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Self { ssrc, sequence, timestamp, payload_type: 8, marker: false, byte: 0x11, length: 160 }
    }

    /// The packet after this one.
    pub(crate) fn next(&mut self) -> Self {
        let now = *self;
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        now
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.byte; HEADER_BYTES + self.length];
        let header = Header {
            marker: self.marker,
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        header.emit(bytes.first_chunk_mut().unwrap());
        bytes
    }
}

pub(crate) struct World {
    pub(crate) core: Core<Table>,
    pub(crate) now: Instant,
    pub(crate) sounds: Sounds,
    pub(crate) sent: Sent,
    pub(crate) tape: Tape,
    /// Payloads that a helper has been given.
    pub(crate) jobs: Vec<(Vec<u8>, Job)>,
    pub(crate) actions: Vec<Action>,
    pub(crate) events: Vec<Event>,
    /// Whether events are taken as they come.
    pub(crate) takes_events: bool,
    /// Ports that another program holds.
    pub(crate) taken: Vec<u16>,
}

impl World {
    /// All packets go through sockets.
    pub(crate) fn new(limits: Limits) -> Self {
        Self::with_table(limits, Table::default())
    }

    /// There is a path beside the sockets.
    pub(crate) fn with_table(limits: Limits, table: Table) -> Self {
        let now = Instant::from_nanoseconds(1_000_000_123_456);
        Self {
            core: Core::with_path(limits, now, table).unwrap(),
            now,
            sounds: Sounds::default(),
            sent: Sent::default(),
            tape: Tape::new(64),
            jobs: Vec::new(),
            actions: Vec::new(),
            events: Vec::new(),
            takes_events: true,
            taken: Vec::new(),
        }
    }

    /// Does what the core asks and takes its events.
    pub(crate) fn drain(&mut self) {
        while let Some(action) = self.core.poll_action() {
            self.actions.push(action);
            if let Action::Bind { socket, port } = action {
                let result = if self.taken.contains(&port.port) {
                    Err(duogate_media::BindError::Taken)
                } else {
                    Ok(())
                };
                self.core.bound(self.now, socket, result);
            }
        }
        while self.takes_events
            && let Some(event) = self.core.event()
        {
            self.events.push(event);
            self.core.event_taken();
        }
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.core.command(self.now, command, &mut self.tape);
        self.drain();
    }

    /// Lets time pass, stopping at every deadline.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = self.core.next_deadline().unwrap_or(end).max(self.now).min(end);
            self.now = next;
            self.core.advance(self.now, &self.sounds, &mut self.sent);
            self.drain();
            if next == end {
                return;
            }
        }
    }

    /// Lets time jump, as if the process had been stopped.
    pub(crate) fn jump(&mut self, time: Duration) {
        self.now = self.now + time;
        self.core.advance(self.now, &self.sounds, &mut self.sent);
        self.drain();
    }

    pub(crate) fn open(&mut self) -> Session {
        self.open_so([LegOpening::FRESH; 2])
    }

    fn open_so(&mut self, legs: [LegOpening; 2]) -> Session {
        self.command(Command::Open { tag: Tag(9), legs });
        match self.events.pop() {
            Some(Event::Opened { session, .. }) => session,
            other => panic!("not opened: {other:?}"),
        }
    }

    /// A session whose parties are both known, with this codec each.
    pub(crate) fn pair(&mut self, codecs: [Codec; 2]) -> Session {
        self.pair_of([LegOpening::FRESH; 2], codecs)
    }

    /// The same, whose legs begin so.
    pub(crate) fn pair_of(&mut self, legs: [LegOpening; 2], codecs: [Codec; 2]) -> Session {
        let session = self.open_so(legs);
        for party in Party::BOTH {
            let far_end = far_end(party, codecs[party.index()]);
            self.command(Command::FarEnd { session, party, far_end });
        }
        session
    }

    pub(crate) fn hear(&mut self, session: Session, party: Party, source: Source) {
        self.command(Command::Hear { session, party, source });
    }

    pub(crate) fn play(&mut self, session: Session, party: Party, sound: u32, repeat: Repeat) {
        self.hear(session, party, Source::Sound { sound: Sound(sound), repeat });
    }

    /// Plays a prompt beside what the party hears.
    pub(crate) fn prompt(&mut self, session: Session, party: Party, action: u32, sound: u32, repeat: Repeat) {
        let (action, sound) = (ActionName(action), Sound(sound));
        self.command(Command::Play { session, party, action, sound, repeat });
    }

    /// Sends keys to a party.
    pub(crate) fn dial(&mut self, session: Session, party: Party, action: u32, keys: &str) {
        let keys = Keys::from_text(keys).unwrap();
        self.command(Command::SendKeys { session, party, action: ActionName(action), keys });
    }

    pub(crate) fn socket(&self, session: Session, party: Party) -> Socket {
        let snapshot = self.core.snapshot(session.slot).unwrap();
        self.core.limits().socket(snapshot.legs[party.index()].port).unwrap()
    }

    /// A packet comes from a party; what is forwarded joins what is sent.
    pub(crate) fn say(&mut self, session: Session, party: Party, speech: Speech) -> Result<(), DropReason> {
        self.say_bytes(session, party, speech.bytes())
    }

    pub(crate) fn say_bytes(
        &mut self,
        session: Session,
        party: Party,
        mut bytes: Vec<u8>,
    ) -> Result<(), DropReason> {
        let socket = self.socket(session, party);
        let length = bytes.len();
        bytes.resize(length + ROOM, 0);
        let buffer = (&mut bytes[..], length);
        let verdict = self.core.receive_into(self.now, socket, Origin::Connected, buffer, &mut self.tape);
        self.drain();
        match verdict {
            Verdict::Forward { socket, length } => {
                bytes.truncate(length);
                self.sent.packets.push((socket, bytes));
                Ok(())
            }
            Verdict::HelpToo { socket, length } => {
                self.take_job(&bytes);
                bytes.truncate(length);
                self.sent.packets.push((socket, bytes));
                Ok(())
            }
            Verdict::Help => {
                self.take_job(&bytes);
                Ok(())
            }
            Verdict::Drop(reason) => Err(reason),
        }
    }

    fn take_job(&mut self, bytes: &[u8]) {
        if let Some(job) = self.core.take_job() {
            self.jobs.push((self.core.payload_of(&job, bytes).to_vec(), job));
        }
    }

    /// A packet comes from a party, to whichever side of the host takes it. What is forwarded joins what is sent.
    pub(crate) fn arrive(
        &mut self,
        session: Session,
        party: Party,
        bytes: Vec<u8>,
    ) -> Result<(), Option<DropReason>> {
        let socket = self.socket(session, party);
        match self.core.path_mut().packet(self.now, socket, address(party), &bytes) {
            Done::Forwarded(from, packet) => {
                self.sent.packets.push((from, packet));
                Ok(())
            }
            Done::Dropped => Err(None),
            Done::Passed => self.say_bytes(session, party, bytes).map_err(Some),
        }
    }

    /// A party talks for a while, 20 ms a packet, and is forwarded by whichever side takes it.
    pub(crate) fn chat(&mut self, session: Session, party: Party, speech: &mut Speech, packets: usize) {
        for _ in 0..packets {
            self.arrive(session, party, speech.next().bytes()).unwrap();
            self.pass(PACKET);
        }
    }

    /// Is what this party says forwarded beside the sockets?
    pub(crate) fn is_on(&self, session: Session, party: Party) -> bool {
        self.core.path().entries.contains_key(&self.socket(session, party))
    }

    /// A party talks for a while, 20 ms a packet.
    pub(crate) fn talk(&mut self, session: Session, party: Party, speech: &mut Speech, packets: usize) {
        for _ in 0..packets {
            self.say(session, party, speech.next()).unwrap();
            self.pass(PACKET);
        }
    }

    /// What has been sent from a party's socket, taken away.
    pub(crate) fn heard(&mut self, session: Session, party: Party) -> Vec<Vec<u8>> {
        let socket = self.socket(session, party);
        let (mine, others) = self.sent.packets.drain(..).partition(|(from, _)| *from == socket);
        self.sent.packets = others;
        let mine: Vec<(Socket, Vec<u8>)> = mine;
        mine.into_iter().map(|(_, packet)| packet).collect()
    }
}

pub(crate) fn address(party: Party) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(192, 0, 2, party.number()), 4000))
}

pub(crate) fn payload_type(codec: Codec) -> u8 {
    codec.payload_type()
}

pub(crate) fn far_end(party: Party, codec: Codec) -> FarEnd {
    FarEnd {
        payload_type: payload_type(codec),
        telephone_event: Some(EVENT_TYPES[party.index()]),
        ..FarEnd::new(address(party), codec)
    }
}

/// Header and payload of a packet that was sent: always plain.
pub(crate) fn parse(packet: &[u8]) -> (Header, &[u8]) {
    let view = Packet::new_checked(packet).unwrap();
    assert_eq!(packet[0], 0x80, "no contributing sources, extension or padding goes out");
    (view.header, &packet[view.payload])
}
