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

use crate::generator::Route;
use crate::process::Process;

/// An address of the loopback network for the next gateway: all its ports are free, also those that a gateway
/// which has just ended may still hold for a moment.
pub fn fresh_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    Ipv4Addr::new(127, 0, 2, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Longest wait for an answer of a healthy gateway.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running gateway of one shard, attached to.
#[derive(Debug)]
pub struct Gateway {
    /// Its process.
    pub process: Process,
    /// The wall; shard 0 is the only one.
    pub attachment: Attachment,
    /// Where it forwards.
    pub address: Ipv4Addr,
    next_tag: u64,
}

/// One open session.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Its handle.
    pub session: Session,
    /// RTP ports of party 1 and 2.
    pub ports: [u16; 2],
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
    /// Starts a gateway of one shard on `core` with room for `sessions` sessions.
    ///
    /// # Errors
    /// It is not there, does not start, or refuses.
    pub fn start(core: usize, sessions: u32, folder: &Path) -> io::Result<Self> {
        let address = fresh_address();
        let socket = folder.join("gateway.sock");
        let settings = folder.join("gateway.toml");
        fs::write(
            &settings,
            format!(
                "[media]\naddress = \"{address}\"\nports = \"10000-49999\"\ncores = [{core}]\n\
                 sessions = {sessions}\nprompts = \"{folder}\"\nrecordings = \"{folder}\"\n\
                 [limits]\nmax_calls = {sessions}\n[channel]\nsocket = \"{}\"\n",
                socket.display(),
                folder = folder.display(),
            ),
        )?;
        let arguments = ["--config".to_owned(), settings.display().to_string()];
        let log = folder.join("gateway.log");
        let mut process =
            Process::start("duogate-gateway", None, &program("duogate-gateway")?, &arguments, &log)?;
        for _ in 0..100 {
            if let Ok(attachment) = Attachment::open(&socket, PATIENCE) {
                return Ok(Self { process, attachment, address, next_tag: 1 });
            }
            if !process.runs() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(broken(format!("duogate-gateway does not take calls; see {}", log.display())))
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

    /// Opens so many sessions, both far ends of each at `far_end`.
    ///
    /// # Errors
    /// One is refused.
    pub fn open(&mut self, count: usize, far_end: SocketAddrV4) -> io::Result<Vec<Pair>> {
        let mut pairs = Vec::with_capacity(count);
        for _ in 0..count {
            self.tell(&Command::Open { tag: Tag(self.next_tag), legs: [LegOpening::FRESH; 2] })?;
            self.next_tag += 1;
            match self.event()? {
                Event::Opened { session, ports, .. } => {
                    pairs.push(Pair { session, ports: ports.map(|port| port.port) });
                }
                other => return Err(broken(format!("not opened: {other:?}"))),
            }
        }
        let far_end = FarEnd {
            address: far_end.into(),
            codec: Codec::Pcma,
            payload_type: 8,
            telephone_event: None,
            send: true,
            receive: true,
        };
        for pair in &pairs {
            for party in Party::BOTH {
                self.tell(&Command::FarEnd { session: pair.session, party, far_end })?;
            }
        }
        Ok(pairs)
    }

    /// Joins the parties of each pair; gives their routes.
    ///
    /// # Errors
    /// Another answer than that they are joined.
    pub fn join(&mut self, pairs: &[Pair]) -> io::Result<Vec<Route>> {
        for pair in pairs {
            self.tell(&Command::Join { session: pair.session })?;
            match self.event()? {
                Event::Joined { session } if session == pair.session => {}
                other => return Err(broken(format!("not joined: {other:?}"))),
            }
        }
        let address = self.address;
        let both = |pair: &Pair| {
            let [first, second] = pair.ports.map(|port| SocketAddrV4::new(address, port));
            [Route { to: first, from: second }, Route { to: second, from: first }]
        };
        Ok(pairs.iter().flat_map(both).collect())
    }

    /// Closes the sessions, and waits until they are.
    ///
    /// # Errors
    /// Not all close in time.
    pub fn close(&mut self, pairs: &[Pair]) -> io::Result<()> {
        for pair in pairs {
            self.tell(&Command::Close { session: pair.session })?;
        }
        let mut left = pairs.len();
        while left > 0 {
            if matches!(self.event()?, Event::Closed { .. }) {
                left -= 1;
            }
        }
        Ok(())
    }
}
