//! A shard's media core without a shell around it: what a packet costs in Duogate's own code.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use duogate_channel::command::{Command, FarEnd, LegOpening, Repeat, Source};
use duogate_channel::event::{Event, RecordOutcome};
use duogate_channel::identity::{LocalPort, Party, Recording, Session, Sound, Tag};
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat, RecordHold};
use duogate_channel::time::Instant;
use duogate_media::rtp::{HEADER_BYTES, Header};
use duogate_media::{
    Action, Block, Core, Limits, Origin, Outlet, Socket, SoundStore, SoundView, Take, Tap, Verdict,
};

const PAYLOAD: usize = 160;
/// No silence: who says nothing else is listened to more closely.
const SPEECH: u8 = 0x2a;
/// Blocks of recordings: four open, and as many on their way.
const BLOCKS: usize = 8;
/// Both parties' packets of one pair: 100 a second.
const PACKETS_A_SECOND: u64 = 100;

/// A recorder that is always quick enough.
#[derive(Default)]
struct Recorder {
    // Blocks are handed on as boxes.
    #[allow(clippy::vec_box)]
    pool: Vec<Box<Block>>,
}

impl Tap for Recorder {
    fn begin(&mut self, _: Take, _: RecordFormat, _: RecordChannels) -> Result<(), RecordOutcome> {
        self.pool.extend((0..BLOCKS).map(|_| Box::default()));
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

/// One second of one sound.
struct OneSound(Vec<u8>);

impl SoundStore for OneSound {
    fn sound(&self, _: Sound) -> Option<SoundView<'_>> {
        Some(SoundView { codec: Codec::Pcma, bytes: &self.0 })
    }
}

/// Sends nowhere.
struct Nowhere([u8; HEADER_BYTES + PAYLOAD]);

impl Outlet for Nowhere {
    fn send(&mut self, _: Socket, length: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        fill(&mut self.0[..length]);
        std::hint::black_box(&self.0);
        true
    }
}

/// A core with its sessions, whose parties talk in turn.
pub struct Shard {
    core: Core,
    recorder: Recorder,
    sounds: OneSound,
    outlet: Nowhere,
    now: Instant,
    sessions: Vec<Session>,
    /// Socket and codec of every party, and the number of its next packet.
    parties: Vec<(Socket, Codec, u16)>,
    turn: usize,
    buffer: [u8; HEADER_BYTES + PAYLOAD],
}

impl Shard {
    /// A shard with so many open sessions.
    ///
    /// # Panics
    /// If there are more than its ports allow.
    #[must_use]
    pub fn new(pairs: u32) -> Self {
        let limits = Limits {
            sessions: pairs,
            recordings: pairs,
            transcoded: 2,
            addresses: 1,
            first_port: 20_000,
            last_port: 65_533,
            rest: Duration::from_secs(5),
            silence_timeout: Duration::from_secs(60),
            report_ports: 0,
            report_interval: Duration::ZERO,
            epoch: Duration::ZERO,
            seed: 1,
        };
        let now = Instant::from_nanoseconds(1_000_000_000);
        let core = Core::new(limits, now).unwrap_or_else(|error| panic!("{error}"));
        let mut shard = Self {
            core,
            recorder: Recorder::default(),
            sounds: OneSound(vec![0x2a; 8000]),
            outlet: Nowhere([0; HEADER_BYTES + PAYLOAD]),
            now,
            sessions: Vec::new(),
            parties: Vec::new(),
            turn: 0,
            buffer: [SPEECH; HEADER_BYTES + PAYLOAD],
        };
        for tag in 0..u64::from(pairs) {
            shard.command(Command::Open { tag: Tag(tag), legs: [LegOpening::FRESH; 2] });
        }
        shard
    }

    fn command(&mut self, command: Command) {
        self.core.command(self.now, command, &mut self.recorder);
        while let Some(action) = self.core.poll_action() {
            if let Action::Bind { socket, .. } = action {
                self.core.bound(self.now, socket, Ok(()));
            }
        }
        while let Some(event) = self.core.event() {
            if let Event::Opened { session, .. } = event {
                self.sessions.push(session);
            }
            self.core.event_taken();
        }
    }

    fn introduce(&mut self, codecs: [Codec; 2]) {
        for session in self.sessions.clone() {
            for party in Party::BOTH {
                let codec = codecs[party.index()];
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 4000));
                let far_end = FarEnd { telephone_event: Some(101), ..FarEnd::new(address, codec) };
                self.command(Command::FarEnd { session, party, far_end });
                let snapshot = self.core.snapshot(session.slot);
                let port =
                    snapshot.map_or(LocalPort::default(), |snapshot| snapshot.legs[party.index()].port);
                if let Some(socket) = self.core.limits().socket(port) {
                    self.parties.push((socket, codec, 0));
                }
            }
        }
    }

    /// Joins every pair, and records it if asked.
    pub fn join_all(&mut self, codecs: [Codec; 2], recorded: bool) {
        self.introduce(codecs);
        for (number, session) in (1..).zip(self.sessions.clone()) {
            self.command(Command::Join { session });
            if recorded {
                self.command(Command::RecordStart {
                    session,
                    recording: Recording(number),
                    format: RecordFormat::Alaw,
                    channels: RecordChannels::Separate,
                    hold: RecordHold::Silence,
                });
            }
        }
    }

    /// Plays the sound to every party.
    pub fn play_all(&mut self, codec: Codec, repeat: Repeat) {
        self.introduce([codec, codec]);
        for session in self.sessions.clone() {
            for party in Party::BOTH {
                let source = Source::Sound { sound: Sound(1), repeat };
                self.command(Command::Hear { session, party, source });
            }
        }
    }

    /// The next party's packet comes; returns what becomes of it.
    pub fn packet(&mut self) -> Verdict {
        let (socket, codec, sequence) = &mut self.parties[self.turn];
        *sequence = sequence.wrapping_add(1);
        let header = Header {
            marker: false,
            payload_type: codec.payload_type(),
            sequence: *sequence,
            timestamp: u32::from(*sequence) * 160,
            ssrc: socket.0,
        };
        // The timestamp begins anew with the sequence, once in 22 minutes of each party's sound.
        if let Some(place) = self.buffer.first_chunk_mut() {
            header.emit(place);
        }
        let socket = *socket;
        let verdict =
            self.core.receive(self.now, socket, Origin::Connected, &mut self.buffer, &mut self.recorder);
        self.turn += 1;
        if self.turn == self.parties.len() {
            self.turn = 0;
            self.now = self.now + Duration::from_nanos(2_000_000_000 / PACKETS_A_SECOND);
        }
        verdict
    }

    /// Time passes in steps of a millisecond.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = self.now + Duration::from_millis(1);
            self.core.advance(self.now, &self.sounds, &mut self.outlet);
        }
    }

    /// Packets that came.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.core.counters().received
    }

    /// Packets that were forwarded.
    #[must_use]
    pub fn forwarded(&self) -> u64 {
        self.core.counters().forwarded
    }
}
