//! A shell around the real media core: ports, sounds and a writer that exist only in the model.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::event::{Event, RecordOutcome};
use duogate_channel::identity::{LocalPort, Sound};
use duogate_channel::snapshot::{LegSnapshot, SessionState, Snapshot};
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat};
use duogate_channel::time::Instant;
use duogate_media::{
    Action, BindError, Block, Core, Limits, Origin, Outlet, Phase, Socket, SoundStore, SoundView, Take, Tap,
    Verdict,
};

use crate::random::Random;

pub(crate) const FIRST_PORT: u16 = 20_000;
/// Few sessions and fewer spare ports, so that both are used again soon.
pub(crate) const SESSIONS: u32 = 24;
const LAST_PORT: u16 = 20_119;
/// A session is shown at least this often.
const WALK: Duration = Duration::from_secs(1);

/// The sounds, by what their bytes say: a prompt, a tone and what `play_start` plays, in each codec.
pub(crate) const PROMPT: [Sound; 2] = [Sound(1), Sound(2)];
pub(crate) const TONE: [Sound; 2] = [Sound(3), Sound(4)];
pub(crate) const ACTED: [Sound; 2] = [Sound(5), Sound(6)];
pub(crate) const PROMPT_BYTE: u8 = 0x11;
pub(crate) const TONE_BYTE: u8 = 0x22;
pub(crate) const ACTED_BYTE: u8 = 0x33;

struct Sounds {
    prompt: Vec<u8>,
    tone: Vec<u8>,
    acted: Vec<u8>,
}

impl SoundStore for Sounds {
    fn sound(&self, sound: Sound) -> Option<SoundView<'_>> {
        let codec = if sound.0 % 2 == 1 { Codec::Pcma } else { Codec::Pcmu };
        match sound {
            _ if PROMPT.contains(&sound) => Some(SoundView { codec, bytes: &self.prompt }),
            _ if TONE.contains(&sound) => Some(SoundView { codec, bytes: &self.tone }),
            _ if ACTED.contains(&sound) => Some(SoundView { codec, bytes: &self.acted }),
            _ => None,
        }
    }
}

/// Packets that the core paces.
#[derive(Default)]
struct Paced(Vec<(Socket, Vec<u8>)>);

impl Outlet for Paced {
    fn send(&mut self, socket: Socket, length: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        let mut bytes = vec![0; length];
        fill(&mut bytes);
        self.0.push((socket, bytes));
        true
    }
}

/// Begins and ends of recordings; the sound itself goes nowhere.
#[derive(Default)]
struct Writer {
    ended: Vec<(Take, u64)>,
    refuse: bool,
}

impl Tap for Writer {
    fn begin(&mut self, _: Take, _: RecordFormat, _: RecordChannels) -> Result<(), RecordOutcome> {
        if self.refuse { Err(RecordOutcome::Missing) } else { Ok(()) }
    }

    fn block(&mut self) -> Option<Box<Block>> {
        Some(Box::default())
    }

    fn write(&mut self, _: Box<Block>) {}

    fn give_back(&mut self, _: Box<Block>) {}

    fn end(&mut self, take: Take, samples: u64, _: u32) {
        self.ended.push((take, samples));
    }
}

/// What the gateway wants from the world.
pub(crate) enum Effect {
    Bind(Socket),
    Send { port: u16, to: SocketAddr, bytes: Vec<u8> },
    Event(Event),
    Written { take: Take, samples: u64 },
}

/// One life of the gateway.
pub(crate) struct Gateway {
    pub(crate) life: u32,
    core: Core,
    sounds: Sounds,
    writer: Writer,
    /// Open ports, and the far end that each is connected to.
    open: BTreeMap<u16, Option<SocketAddr>>,
    /// What the shard's page shows, by slot, and when all of it is shown anew.
    pages: BTreeMap<u32, Snapshot>,
    next_walk: Instant,
}

impl Gateway {
    pub(crate) fn new(life: u32, now: Instant, seed: u64) -> Self {
        let limits = Limits {
            sessions: SESSIONS,
            recordings: SESSIONS,
            transcoded: 2,
            addresses: 1,
            first_port: FIRST_PORT,
            last_port: LAST_PORT,
            rest: Duration::from_secs(1),
            silence_timeout: Duration::from_secs(8),
            report_ports: 0,
            report_interval: Duration::ZERO,
            epoch: Duration::ZERO,
            // Another life has other chances: streams that go on do so because they were told to.
            seed: seed ^ (u64::from(life) << 32),
        };
        let core = Core::new(limits, now).expect("the limits fit");
        let sounds = Sounds {
            prompt: vec![PROMPT_BYTE; 4000],
            tone: vec![TONE_BYTE; 1600],
            acted: vec![ACTED_BYTE; 8000],
        };
        let (open, pages) = (BTreeMap::new(), BTreeMap::new());
        Self { life, core, sounds, writer: Writer::default(), open, pages, next_walk: now + WALK }
    }

    fn port(socket: Socket) -> u16 {
        FIRST_PORT + u16::try_from(socket.0).expect("a small table") * 2
    }

    fn socket(port: u16) -> Socket {
        Socket(u32::from(port - FIRST_PORT) / 2)
    }

    pub(crate) fn command(&mut self, now: Instant, command: Command, random: &mut Random) {
        self.writer.refuse = random.chance(2);
        self.core.command(now, command, &mut self.writer);
    }

    pub(crate) fn bound(&mut self, now: Instant, socket: Socket, random: &mut Random) {
        let result = match random.between(0, 99) {
            0 => Err(BindError::Refused),
            1 | 2 => Err(BindError::Taken),
            _ => Ok(()),
        };
        if result.is_ok() {
            self.open.insert(Self::port(socket), None);
        }
        self.core.bound(now, socket, result);
    }

    /// A datagram has come to a port. A connected socket hears its far end alone; that the core would know a
    /// stranger even so is tried by telling it the address now and then.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        port: u16,
        bytes: &[u8],
        say: bool,
    ) -> Option<Effect> {
        let connected = *self.open.get(&port)?;
        let origin = match connected {
            Some(far_end) if far_end == from && !say => Origin::Connected,
            Some(far_end) if far_end != from && !say => return None,
            _ => Origin::Address(from),
        };
        let mut bytes = bytes.to_vec();
        match self.core.receive(now, Self::socket(port), origin, &mut bytes, &mut self.writer) {
            Verdict::Forward { socket, length } => {
                bytes.truncate(length);
                self.send(socket, bytes)
            }
            // All parties of this world speak G.711.
            Verdict::Help | Verdict::HelpToo { .. } | Verdict::Drop(_) => None,
        }
    }

    fn send(&self, socket: Socket, bytes: Vec<u8>) -> Option<Effect> {
        let port = Self::port(socket);
        let to = self.open.get(&port).copied().flatten()?;
        Some(Effect::Send { port, to, bytes })
    }

    pub(crate) fn written(&mut self, take: Take, samples: u64, random: &mut Random) {
        let outcome =
            if random.chance(5) { RecordOutcome::WriteFailed { errno: 28 } } else { RecordOutcome::Saved };
        let duration = Duration::from_micros(samples * 125);
        self.core.recorded(take, outcome, duration, samples * 2 + 58, &mut self.writer);
    }

    pub(crate) fn advance(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let mut paced = Paced::default();
        self.core.advance(now, &self.sounds, &mut paced);
        for (socket, bytes) in paced.0 {
            effects.extend(self.send(socket, bytes));
        }
    }

    /// Everything that the core wants done after an input.
    pub(crate) fn settle(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        while let Some(action) = self.core.poll_action() {
            match action {
                Action::Bind { socket, port } => {
                    assert_eq!(
                        port,
                        LocalPort::first(Self::port(socket)),
                        "the core and the world agree on ports"
                    );
                    effects.push(Effect::Bind(socket));
                }
                Action::Connect { socket, address } => {
                    self.open.insert(Self::port(socket), Some(address));
                }
                // No trunk of the world has a translator of addresses.
                Action::Listen { .. } => {}
                Action::Unhelp { .. } => {}
                Action::Release { socket } => {
                    self.open.remove(&Self::port(socket));
                }
            }
        }
        for (take, samples) in self.writer.ended.drain(..) {
            effects.push(Effect::Written { take, samples });
        }
        while let Some(event) = self.core.event() {
            self.core.event_taken();
            if let Event::Opened { session, .. }
            | Event::Joined { session }
            | Event::Played { session, .. }
            | Event::Closed { session, .. } = event
            {
                self.show(now, session.slot);
            }
            effects.push(Effect::Event(event));
        }
        if self.next_walk <= now {
            self.next_walk = now + WALK;
            (0..SESSIONS).for_each(|slot| self.show(now, slot));
        }
    }

    /// What the pages show.
    pub(crate) fn pages(&self) -> Vec<Snapshot> {
        self.pages.values().copied().collect()
    }

    /// What the pages show when it dies. They may be as old as a walk is long.
    pub(crate) fn into_pages(self) -> Vec<Snapshot> {
        self.pages.into_values().collect()
    }

    fn show(&mut self, now: Instant, slot: u32) {
        match self.core.snapshot(slot) {
            Some(snapshot) => self.pages.insert(slot, page(now, &snapshot)),
            None => self.pages.remove(&slot),
        };
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.core.next_deadline()
    }

    pub(crate) fn sessions(&self) -> u32 {
        self.core.active_sessions()
    }

    pub(crate) fn open_ports(&self) -> usize {
        self.open.len()
    }
}

/// A session as a shard writes it into its page.
fn page(now: Instant, snapshot: &duogate_media::Snapshot) -> Snapshot {
    let state = match snapshot.phase {
        Phase::Opening => SessionState::Opening,
        Phase::Open => SessionState::Open,
        Phase::Joined => SessionState::Joined,
        Phase::Ended => SessionState::Closing,
    };
    let legs = snapshot.legs.map(|leg| {
        let quiet = if leg.sent_at == Instant::ZERO { Duration::ZERO } else { now.since(leg.sent_at) };
        let ahead = u32::try_from(quiet.as_micros() / 125).expect("a short world");
        LegSnapshot {
            port: leg.port,
            far_end: leg.far_end,
            hears: leg.hears,
            ssrc: leg.ssrc,
            sequence: leg.sequence,
            timestamp: leg.timestamp.wrapping_add(ahead),
            packet_samples: leg.packet_samples,
            heard: leg.heard,
            statistics: leg.statistics,
        }
    });
    Snapshot { tag: snapshot.tag, session: snapshot.session, taken_at: now, state, legs }
}
