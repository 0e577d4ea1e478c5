//! Duogate's gateway alone, with the rig as its control plane.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use duogate_channel::command::{Command, FarEnd, LegOpening};
use duogate_channel::event::Event;
use duogate_channel::identity::{Party, Session, Tag};
use duogate_channel::ring::PushError;
use duogate_channel::sides::{Attachment, ControlSide};
use duogate_channel::sound::Codec;
use duogate_channel::srtp::MasterKeys;

use crate::generator::Route;
use crate::process::Process;
use crate::recorded::Tally;

/// An address of the loopback network for the next gateway: all its ports are free, also those that a gateway
/// which has just ended may still hold for a moment.
pub fn fresh_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    Ipv4Addr::new(127, 0, 2, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// First RTP port of every gateway.
pub const FIRST_PORT: u16 = 10_000;

/// Longest wait for an answer of a healthy gateway.
const PATIENCE: Duration = Duration::from_secs(10);

/// Commands whose answers are waited for at once: a wait for each alone is what 20,000 pairs would take longest for. Far
/// fewer than its rings hold.
const UNDER_WAY: usize = 64;

/// A running gateway of one shard, attached to.
#[derive(Debug)]
pub struct Gateway {
    /// Its process.
    pub process: Process,
    /// The wall; shard 0 is the only one.
    pub attachment: Attachment,
    /// Where it forwards: the first of its addresses.
    pub address: Ipv4Addr,
    addresses: Vec<Ipv4Addr>,
    next_tag: u64,
    /// Recordings that were started.
    pub recordings: usize,
}

/// Whether packets may leave the sockets' path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FastPath {
    /// All through sockets.
    Off,
    /// Joined pairs through the XDP program, as a driver.
    Native,
}

/// What a gateway is started with.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Core of its one shard.
    pub core: usize,
    /// Sessions at once.
    pub sessions: u32,
    /// For its settings, log and socket.
    pub folder: &'a Path,
    /// For recordings.
    pub recordings: &'a Path,
    /// Path of the network namespace that it runs in; the rig's own where there is none.
    pub namespace: Option<&'a str>,
    /// Its addresses, at least one.
    pub addresses: &'a [Ipv4Addr],
    /// Its last port on each of them.
    pub last_port: u16,
    /// Which way packets go.
    pub path: FastPath,
    /// Of its shard; 0: none.
    pub realtime_priority: u8,
    /// Its own where there is none.
    pub latency_budget_microseconds: Option<u32>,
    /// All of its threads on the shard's core.
    pub confined: bool,
}

impl<'a> Setup<'a> {
    /// One shard on `core`, over loopback and through sockets where nothing else is said.
    #[must_use]
    pub const fn new(core: usize, sessions: u32, folder: &'a Path, addresses: &'a [Ipv4Addr]) -> Self {
        Self {
            core,
            sessions,
            folder,
            recordings: folder,
            namespace: None,
            addresses,
            last_port: 49_999,
            path: FastPath::Off,
            realtime_priority: 0,
            latency_budget_microseconds: None,
            confined: false,
        }
    }

    /// As a configuration file.
    fn text(&self, socket: &Path) -> String {
        let Self { core, sessions, last_port, realtime_priority, .. } = self;
        let quoted: Vec<String> = self.addresses.iter().map(|address| format!("\"{address}\"")).collect();
        let (first, more) =
            quoted.split_first().map_or(("", &[][..]), |(first, more)| (first.as_str(), more));
        // Settings are written where they are not their default.
        let more =
            if more.is_empty() { String::new() } else { format!("more_addresses = [{}]\n", more.join(", ")) };
        let budget = self
            .latency_budget_microseconds
            .map_or_else(String::new, |budget| format!("latency_budget_microseconds = {budget}\n"));
        format!(
            "[media]\naddress = {first}\n{more}{budget}ports = \"{FIRST_PORT}-{last_port}\"\ncores = [{core}]\n\
             realtime_priority = {realtime_priority}\nsessions = {sessions}\nprompts = \"{}\"\nrecordings = \"{}\"\n\
             [limits]\nmax_calls = {sessions}\n[channel]\nsocket = \"{}\"\n{}",
            self.folder.display(),
            self.recordings.display(),
            socket.display(),
            self.fast_path(),
        )
    }

    const fn fast_path(&self) -> &'static str {
        match self.path {
            FastPath::Off => "[gateway]\nfast_path = \"off\"\n",
            // Nothing pinned: it is to end with the gateway.
            FastPath::Native => "[gateway]\nfast_path = \"native\"\npin = \"\"\n",
        }
    }
}

/// One open session.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Its handle.
    pub session: Session,
    /// RTP ports of party 1 and 2.
    pub ports: [SocketAddrV4; 2],
}

/// A program of this build: beside the rig's own.
///
/// # Errors
/// It has not been built.
pub fn program(name: &str) -> io::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() {
        return Ok(path);
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("{} has not been built", path.display())))
}

fn broken(what: impl std::fmt::Display) -> io::Error {
    io::Error::other(what.to_string())
}

impl Gateway {
    /// Starts a gateway of one shard on `core` over loopback with room for `sessions` sessions.
    ///
    /// # Errors
    /// It is not there, does not start, or refuses.
    pub fn start(core: usize, sessions: u32, folder: &Path) -> io::Result<Self> {
        Self::start_at(0, core, sessions, folder)
    }

    /// The same, its shard with this real-time priority; 0: none.
    ///
    /// # Errors
    /// It is not there, does not start, or refuses.
    pub fn start_at(priority: u8, core: usize, sessions: u32, folder: &Path) -> io::Result<Self> {
        let addresses = [fresh_address()];
        let setup = Setup::new(core, sessions, folder, &addresses);
        Self::start_as(&Setup { realtime_priority: priority, ..setup })
    }

    /// Starts a gateway of one shard.
    ///
    /// # Errors
    /// It is not there, does not start, or refuses.
    pub fn start_as(setup: &Setup<'_>) -> io::Result<Self> {
        let [address, ..] = *setup.addresses else { return Err(broken("a gateway without an address")) };
        let socket = setup.folder.join("gateway.sock");
        let settings = setup.folder.join("gateway.toml");
        fs::write(&settings, setup.text(&socket))?;
        let arguments = ["--config".to_owned(), settings.display().to_string()];
        let log = setup.folder.join("gateway.log");
        let program = program("duogate-gateway")?;
        let core = setup.confined.then_some(setup.core);
        let mut process =
            Process::start_in(setup.namespace, "duogate-gateway", core, &program, &arguments, &log)?;
        for _ in 0..100 {
            if let Ok(attachment) = Attachment::open(&socket, PATIENCE) {
                let addresses = setup.addresses.to_vec();
                return Ok(Self { process, attachment, address, addresses, next_tag: 1, recordings: 0 });
            }
            if !process.runs() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let words = fs::read_to_string(&log).unwrap_or_default();
        let last = words.lines().next_back().unwrap_or_default();
        Err(broken(format!("duogate-gateway does not take calls; {} ends: {last}", log.display())))
    }

    /// The one shard.
    ///
    /// # Panics
    /// Never: an attachment has at least one shard.
    pub fn shard(&mut self) -> &mut ControlSide {
        &mut self.attachment.shards[0]
    }

    /// Gives a command, waiting while the ring is full.
    ///
    /// # Errors
    /// The ring is poisoned.
    pub fn tell(&mut self, command: &Command) -> io::Result<()> {
        loop {
            match self.shard().send(command) {
                Ok(()) => return Ok(()),
                Err(PushError::Full) => std::thread::sleep(Duration::from_micros(200)),
                Err(PushError::Poisoned(poisoned)) => return Err(broken(poisoned)),
            }
        }
    }

    /// The next event.
    ///
    /// # Errors
    /// None came in time, or the ring is poisoned.
    pub fn event(&mut self) -> io::Result<Event> {
        let event = self.shard().wait_event(PATIENCE).map_err(broken)?;
        match event {
            Some(event) => Ok(event),
            // The doorbell may have rung for an event that was taken before it.
            None => self
                .shard()
                .wait_event(PATIENCE)
                .map_err(broken)?
                .ok_or_else(|| broken("the gateway is silent")),
        }
    }

    /// Takes all events that are there, and forgets them.
    ///
    /// # Errors
    /// The ring is poisoned.
    pub fn forget_events(&mut self) -> io::Result<()> {
        while self.shard().events.pop().map_err(broken)?.is_some() {}
        Ok(())
    }

    /// Opens so many sessions, both far ends of each at `far_end`.
    ///
    /// # Errors
    /// One is refused.
    pub fn open(&mut self, count: usize, far_end: SocketAddrV4) -> io::Result<Vec<Pair>> {
        self.open_as(count, far_end, [Codec::Pcma; 2])
    }

    /// The same, with a codec for each party.
    ///
    /// # Errors
    /// One is refused.
    pub fn open_as(
        &mut self,
        count: usize,
        far_end: SocketAddrV4,
        codecs: [Codec; 2],
    ) -> io::Result<Vec<Pair>> {
        let pairs = self.sessions(count)?;
        self.far_ends(&pairs, far_end, codecs)?;
        Ok(pairs)
    }

    /// Opens so many sessions, both far ends of each at `far_end`; party 1's packets are protected with these keys.
    ///
    /// # Errors
    /// One is refused.
    pub fn open_secured(
        &mut self,
        count: usize,
        far_end: SocketAddrV4,
        keys: Option<MasterKeys>,
    ) -> io::Result<Vec<Pair>> {
        let pairs = self.sessions(count)?;
        for pair in &pairs {
            self.tell(&Command::Secure { session: pair.session, party: Party::One, keys, heard: None })?;
        }
        self.far_ends(&pairs, far_end, [Codec::Pcma; 2])?;
        Ok(pairs)
    }

    fn sessions(&mut self, count: usize) -> io::Result<Vec<Pair>> {
        let mut pairs = Vec::with_capacity(count);
        let mut asked = 0;
        while pairs.len() < count {
            while asked < count.min(pairs.len() + UNDER_WAY) {
                self.tell(&Command::Open { tag: Tag(self.next_tag), legs: [LegOpening::FRESH; 2] })?;
                self.next_tag += 1;
                asked += 1;
            }
            match self.event()? {
                Event::Opened { session, ports, .. } => {
                    let ports = ports.map(|port| {
                        let address = self.addresses.get(usize::from(port.address)).unwrap_or(&self.address);
                        SocketAddrV4::new(*address, port.port)
                    });
                    pairs.push(Pair { session, ports });
                }
                other => return Err(broken(format!("not opened: {other:?}"))),
            }
        }
        Ok(pairs)
    }

    fn far_ends(&mut self, pairs: &[Pair], far_end: SocketAddrV4, codecs: [Codec; 2]) -> io::Result<()> {
        let far_end = |codec: Codec| FarEnd::new(far_end.into(), codec);
        for pair in pairs {
            for (party, codec) in Party::BOTH.into_iter().zip(codecs) {
                self.tell(&Command::FarEnd { session: pair.session, party, far_end: far_end(codec) })?;
            }
        }
        Ok(())
    }

    /// Joins the parties of each pair; gives their routes.
    ///
    /// # Errors
    /// Another answer than that they are joined.
    pub fn join(&mut self, pairs: &[Pair]) -> io::Result<Vec<Route>> {
        let (mut asked, mut joined) = (0, 0);
        while joined < pairs.len() {
            for pair in pairs.iter().take(joined + UNDER_WAY).skip(asked) {
                self.tell(&Command::Join { session: pair.session })?;
                asked += 1;
            }
            match self.event()? {
                Event::Joined { session } if session == pairs[joined].session => joined += 1,
                // Nobody talks yet.
                Event::Fault { .. } => {}
                other => return Err(broken(format!("not joined: {other:?}"))),
            }
        }
        let both = |pair: &Pair| {
            let [first, second] = pair.ports;
            [Route { to: first, from: second }, Route { to: second, from: first }]
        };
        Ok(pairs.iter().flat_map(both).collect())
    }

    /// Closes the sessions, and waits until they are; tells what became of their recordings.
    ///
    /// # Errors
    /// Not all close in time.
    pub fn close(&mut self, pairs: &[Pair]) -> io::Result<Tally> {
        let mut tally = Tally::default();
        for pair in pairs {
            self.tell(&Command::Close { session: pair.session })?;
        }
        let mut left = pairs.len();
        // A file is finished a moment after its session.
        while left > 0 || tally.saved + tally.spoiled < self.recordings {
            let event = self.event()?;
            tally.note(&event);
            if matches!(event, Event::Closed { .. }) {
                left -= 1;
            }
        }
        self.recordings = 0;
        Ok(tally)
    }
}
