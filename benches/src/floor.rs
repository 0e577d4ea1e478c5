//! Bare forwarders that do nothing but forward: what the kernel's UDP costs at least.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, recv, send, socket_with,
};

use crate::generator::Route;
use crate::process::Process;
use crate::rows::MEASURED_CORE;

/// Which bare forwarder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Kind {
    /// One epoll wait, then a receive and a send call for each packet.
    Epoll,
    /// Multishot receives, sends without completions, coalesced waits of up to 500 µs.
    Uring,
    /// The same with waits of up to 200 µs, for the delay that Duogate promises.
    Prompt,
}

impl Kind {
    /// As the command line calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::Uring => "uring",
            Self::Prompt => "prompt",
        }
    }

    /// Where it forwards over loopback: an address of its own, because io_uring lets go of sockets a moment after its process
    /// has ended.
    #[must_use]
    pub const fn address(self) -> Ipv4Addr {
        match self {
            Self::Epoll => Ipv4Addr::new(127, 0, 0, 4),
            Self::Uring => Ipv4Addr::new(127, 0, 0, 5),
            Self::Prompt => Ipv4Addr::new(127, 0, 0, 6),
        }
    }
}

/// Forwards until `duration` is over.
///
/// # Errors
/// The system's.
pub fn run(
    kind: Kind,
    address: Ipv4Addr,
    pairs: u16,
    far_end: SocketAddrV4,
    duration: Duration,
) -> io::Result<()> {
    let sockets = sockets(address, pairs, far_end)?;
    match kind {
        Kind::Epoll => epoll(&sockets, duration),
        Kind::Uring => crate::uring::forward(&sockets, crate::uring::PATIENT, duration),
        Kind::Prompt => crate::uring::forward(&sockets, crate::uring::PROMPT, duration),
    }
}

/// First port; a pair takes two.
const FIRST_PORT: u16 = 10_000;

/// The ports of the two legs of pair `number`.
fn ports(address: Ipv4Addr, number: u16) -> [SocketAddrV4; 2] {
    [0, 1].map(|leg| SocketAddrV4::new(address, FIRST_PORT + number * 2 + leg))
}

/// The routes through a floor at an address with so many pairs.
#[must_use]
pub fn routes(address: Ipv4Addr, pairs: u16) -> Vec<Route> {
    let both = |number| {
        let [first, second] = ports(address, number);
        [Route { to: first, from: second }, Route { to: second, from: first }]
    };
    (0..pairs).flat_map(both).collect()
}

/// Starts one in a process of its own, in a network namespace or here; it ends by itself, should the rig be gone.
///
/// # Errors
/// It does not start: with its own words.
pub fn start(
    namespace: Option<&str>,
    kind: Kind,
    address: Ipv4Addr,
    pairs: u16,
    far_end: SocketAddrV4,
    lifetime: Duration,
    folder: &Path,
) -> io::Result<Process> {
    let arguments = [
        "floor".to_owned(),
        kind.name().to_owned(),
        format!("--address={address}"),
        format!("--pairs={pairs}"),
        format!("--far-end={far_end}"),
        format!("--seconds={}", lifetime.as_secs()),
    ];
    let log = folder.join(format!("{}.log", kind.name()));
    let program = std::env::current_exe()?;
    let mut process = Process::start_in(namespace, "floor", Some(MEASURED_CORE), &program, &arguments, &log)?;
    // Its sockets are there after a few milliseconds a thousand.
    std::thread::sleep(Duration::from_millis(500));
    if process.runs() {
        return Ok(process);
    }
    Err(io::Error::other(std::fs::read_to_string(&log)?))
}

/// Sockets of all legs, connected to the one far end, as Duogate's are.
///
/// # Errors
/// The system's.
fn sockets(address: Ipv4Addr, pairs: u16, far_end: SocketAddrV4) -> io::Result<Vec<OwnedFd>> {
    let mut sockets = Vec::with_capacity(usize::from(pairs) * 2);
    for local in (0..pairs).flat_map(|number| ports(address, number)) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
        bind(&socket, &local)?;
        connect(&socket, &far_end)?;
        sockets.push(socket);
    }
    Ok(sockets)
}

/// One receive and one send call a packet.
fn epoll(sockets: &[OwnedFd], duration: Duration) -> io::Result<()> {
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    for (place, socket) in (0_u64..).zip(sockets) {
        epoll::add(&poll, socket, EventData::new_u64(place), EventFlags::IN)?;
    }
    let end = std::time::Instant::now() + duration;
    let mut events = Vec::with_capacity(256);
    let mut buffer = [0; 2048];
    let patience = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    while std::time::Instant::now() < end {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), Some(&patience))?;
        for event in &events {
            let place = usize::try_from(event.data.u64()).unwrap_or(0);
            while let Ok((length, _)) = recv(&sockets[place], &mut buffer[..], RecvFlags::empty()) {
                // The other leg of the pair; what the kernel does not take shows as loss.
                let _sent = send(&sockets[place ^ 1], &buffer[..length], SendFlags::empty());
            }
        }
    }
    Ok(())
}
