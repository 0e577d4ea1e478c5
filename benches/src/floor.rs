//! Bare forwarders that do nothing but forward: what the kernel's UDP costs at least.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, recv, send, socket_with,
};

use crate::generator::Route;

/// Which bare forwarder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Kind {
    /// One epoll wait, then a receive and a send call for each packet.
    Epoll,
    /// Multishot receives, sends without completions, coalesced waits.
    Uring,
}

impl Kind {
    /// As the command line calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::Uring => "uring",
        }
    }

    /// Where it forwards: an address of its own, because io_uring lets go of sockets a moment after its process
    /// has ended.
    #[must_use]
    pub const fn address(self) -> Ipv4Addr {
        match self {
            Self::Epoll => Ipv4Addr::new(127, 0, 0, 4),
            Self::Uring => Ipv4Addr::new(127, 0, 0, 5),
        }
    }
}

/// Forwards until `duration` is over.
///
/// # Errors
/// The system's.
pub fn run(kind: Kind, pairs: u16, far_end: SocketAddrV4, duration: Duration) -> io::Result<()> {
    let sockets = sockets(kind.address(), pairs, far_end)?;
    match kind {
        Kind::Epoll => epoll(&sockets, duration),
        Kind::Uring => crate::uring::forward(&sockets, duration),
    }
}

/// First port; a pair takes two.
const FIRST_PORT: u16 = 10_000;

/// The ports of the two legs of pair `number`.
fn ports(address: Ipv4Addr, number: u16) -> [SocketAddrV4; 2] {
    [0, 1].map(|leg| SocketAddrV4::new(address, FIRST_PORT + number * 2 + leg))
}

/// The routes through a floor with so many pairs.
#[must_use]
pub fn routes(kind: Kind, pairs: u16) -> Vec<Route> {
    let both = |number| {
        let [first, second] = ports(kind.address(), number);
        [Route { to: first, from: second }, Route { to: second, from: first }]
    };
    (0..pairs).flat_map(both).collect()
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
