//! The shard's ports: one place for each even port of its range, and places for ports of RTCP, as the core counts them.
//!
//! ```text
//!           bind                connect                      1 ms later
//!  (empty) ──────> bound, deaf ─────────> connected, drained ──────────> receiving
//!     ^                                            ^   connect elsewhere     │
//!     │                                            └─────────────────────────┤
//!     └──────────────────────────── release ─────────────────────────────────┘
//!                        listen                      connect, as above
//!    bound, or receiving ──────> hearing everybody ───────────────────> …
//! ```
//! Before a port is connected anybody may send to it, so nothing is read from it. `connect` makes the kernel
//! refuse everybody but the far end, and what was queued before is thrown away. A packet that another processor
//! was just about to queue at that moment can still slip in; therefore the queue is looked through once more a
//! moment later, comparing sources, before the kernel's word is taken for it.
//!
//! A port whose far end is still to be learned is not connected: what comes to it is read one by one with its source,
//! which the core judges, for a few seconds at most.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::os::fd::AsFd;
use std::time::Duration;

use duogate_channel::identity::LocalPort;
use duogate_channel::time::Instant;
use duogate_media::{BindError, ROOM, Socket};

use crate::buffers::BUFFER_OCTETS;
use crate::rings::Rings;
use crate::sockets::RtpSocket;
use crate::uring::EPOCHS;

/// How long a packet may be on its way between two processors of this host.
const SETTLING: Duration = Duration::from_millis(1);

/// Datagrams read from one socket at once while it is drained: more than its queue holds.
const DRAIN_LIMIT: usize = 512;

/// Datagrams read at once from one socket that hears everybody: the others have their turn in between.
const HEARD_AT_ONCE: usize = 32;

/// A socket that only the ring's file table holds must be lent, asked and given back: three system calls. It is asked
/// about its drops in one of so many walks.
const WALKS_OF_LENT: usize = 4;

/// Who holds an open socket.
enum Holder {
    /// A descriptor of ours, and the ring's file table.
    Descriptor(RtpSocket),
    /// The file table alone.
    Table,
}

impl Holder {
    /// The socket, for a system call.
    fn borrow(&self, rings: &mut Rings, place: Socket) -> io::Result<Borrowed<'_>> {
        match self {
            Self::Descriptor(socket) => Ok(Borrowed::Held(socket)),
            Self::Table => rings.lend(place.0).map(|descriptor| Borrowed::Lent(descriptor.into())),
        }
    }
}

/// A socket for a moment.
enum Borrowed<'a> {
    Held(&'a RtpSocket),
    Lent(RtpSocket),
}

impl Deref for Borrowed<'_> {
    type Target = RtpSocket;

    fn deref(&self) -> &RtpSocket {
        match self {
            Self::Held(socket) => socket,
            Self::Lent(socket) => socket,
        }
    }
}

#[derive(Default)]
struct Place {
    socket: Option<Holder>,
    far_end: Option<SocketAddr>,
    /// Counts the armings, so that what an earlier one received is known as such.
    epoch: u32,
    armed: bool,
    /// Anybody is heard, by name.
    listening: bool,
    /// Kernel drops that have been counted already.
    drops: u32,
}

/// All places of one shard.
pub struct Ports {
    addresses: Vec<IpAddr>,
    traffic_class: u32,
    places: Vec<Place>,
    settling: Vec<(Instant, Socket, u32)>,
    /// Places with packets that found no buffer, in the order in which that happened, and their epochs.
    starved: VecDeque<(u32, u32)>,
    /// The next place of the walk that counts the kernel's drops, and how many walks there have been.
    sweep: usize,
    walks: usize,
}

impl Ports {
    /// `count` places, all empty. Sockets are bound to `addresses` and mark their packets with `traffic_class`.
    #[must_use]
    pub fn new(addresses: Vec<IpAddr>, traffic_class: u32, count: u32) -> Self {
        let count = usize::try_from(count).unwrap_or(0);
        let mut places = Vec::new();
        places.resize_with(count, Place::default);
        let settling = Vec::with_capacity(64);
        let starved = VecDeque::with_capacity(count);
        Self { addresses, traffic_class, places, settling, starved, sweep: 0, walks: 0 }
    }

    fn place(&mut self, socket: Socket) -> Option<&mut Place> {
        self.places.get_mut(usize::try_from(socket.0).ok()?)
    }

    /// Where a place's entry lies.
    #[must_use]
    pub fn entry(&self, place: u32) -> Option<*const u8> {
        let place = self.places.get(usize::try_from(place).ok()?)?;
        Some(std::ptr::from_ref(&place.epoch).cast())
    }

    /// Binds a port. It stays deaf until it is connected.
    ///
    /// # Errors
    /// The port is taken, or the host refuses.
    pub fn bind(&mut self, uring: &mut Rings, socket: Socket, port: LocalPort) -> Result<(), BindError> {
        let Some(address) = self.addresses.get(usize::from(port.address)) else {
            return Err(BindError::Refused);
        };
        let port = SocketAddr::new(*address, port.port);
        let opened = RtpSocket::bind(port, self.traffic_class)
            .and_then(|opened| uring.enter_file(socket.0, opened.as_fd()).map(|()| opened));
        let opened = opened.map_err(|error| refusal(port, &error))?;
        let Some(place) = self.place(socket) else { return Err(BindError::Refused) };
        let holder = if uring.holds_sockets() { Holder::Table } else { Holder::Descriptor(opened) };
        *place = Place { socket: Some(holder), epoch: place.epoch, ..Place::default() };
        Ok(())
    }

    /// Connects a port, or moves it, and throws away what is queued. Returns how many datagrams that were.
    ///
    /// # Errors
    /// The system's: the far end cannot be reached from this host. The port is deaf then.
    pub fn connect(
        &mut self,
        uring: &mut Rings,
        now: Instant,
        socket: Socket,
        far_end: SocketAddr,
    ) -> io::Result<usize> {
        self.silence(uring, socket)?;
        let Some(place) = self.place(socket) else { return Ok(0) };
        let Some(holder) = &place.socket else { return Ok(0) };
        place.far_end = None;
        let opened = holder.borrow(uring, socket)?;
        if let Err(error) = opened.connect(far_end) {
            opened.disconnect();
            return Err(error);
        }
        place.far_end = Some(far_end);
        let drained = opened.drain(DRAIN_LIMIT);
        let epoch = place.epoch;
        self.settling.push((now + SETTLING, socket, epoch));
        Ok(drained)
    }

    /// Hears everybody on a port, for as long as its far end is being learned: see [`Self::hear`].
    ///
    /// # Errors
    /// The system's, when the queue had to be handed over first.
    pub fn listen(&mut self, uring: &mut Rings, socket: Socket) -> io::Result<()> {
        self.silence(uring, socket)?;
        let Some(place) = self.place(socket) else { return Ok(()) };
        let Some(holder) = &place.socket else { return Ok(()) };
        // Where no descriptor is left to do it with, it hears those that it heard before.
        if place.far_end.take().is_some()
            && let Ok(opened) = holder.borrow(uring, socket)
        {
            opened.disconnect();
        }
        place.listening = true;
        uring.watch_socket(socket.0, place.epoch)
    }

    /// Reads what has come to a port that hears everybody, for `each` with its source: the octets of a buffer, of
    /// which so many are the datagram. Nothing while no descriptor is left to read with.
    pub fn hear(
        &mut self,
        uring: &mut Rings,
        place: u32,
        epoch: u32,
        mut each: impl FnMut(&mut Rings, (&mut [u8], usize), SocketAddr),
    ) {
        let socket = Socket(place);
        let Some(place) = self.place(socket).filter(|place| place.listening && place.epoch == epoch) else {
            return;
        };
        let Some(holder) = &place.socket else { return };
        let Ok(opened) = holder.borrow(uring, socket) else { return };
        let mut datagram = [0; BUFFER_OCTETS];
        for _ in 0..HEARD_AT_ONCE {
            match opened.receive_from(&mut datagram) {
                // One that fills the buffer may have been cut off.
                Some((length, source)) if length + ROOM <= BUFFER_OCTETS => {
                    each(uring, (&mut datagram, length), plain(source));
                }
                Some(_) => {}
                None => break,
            }
        }
    }

    /// Is to be called after [`Self::hear`], when the core has had its say: hears on, unless the port has been
    /// connected or closed since.
    ///
    /// # Errors
    /// The system's, when the queue had to be handed over first.
    pub fn hear_on(&mut self, uring: &mut Rings, place: u32, epoch: u32) -> io::Result<()> {
        match self.place(Socket(place)) {
            Some(found) if found.listening && found.epoch == epoch => uring.watch_socket(place, epoch),
            _ => Ok(()),
        }
    }

    /// Ends the receiving on a port; what it has received but nobody has read becomes stale.
    fn silence(&mut self, uring: &mut Rings, socket: Socket) -> io::Result<()> {
        let Some(place) = self.place(socket) else { return Ok(()) };
        let (armed, listening, epoch) = (place.armed, place.listening, place.epoch);
        (place.armed, place.listening) = (false, false);
        place.epoch = (epoch + 1) % EPOCHS;
        if listening {
            uring.unwatch_socket(socket.0, epoch)?;
        }
        if armed { uring.cancel(socket.0, epoch) } else { Ok(()) }
    }

    /// When the next connected port can be received from.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.settling.iter().map(|(due, ..)| *due).min()
    }

    /// A connected port whose time has come; to be given to [`Self::settle`].
    pub fn settled(&mut self, now: Instant) -> Option<Socket> {
        while let Some(index) = self.settling.iter().position(|(due, ..)| *due <= now) {
            let (_, socket, epoch) = self.settling.swap_remove(index);
            if self.place(socket).is_some_and(|place| place.epoch == epoch && place.far_end.is_some()) {
                return Some(socket);
            }
        }
        None
    }

    /// Reads what has come to a port since it was connected, for `each` that is from the far end, and counts the
    /// others; then receives by itself. Later, if no descriptor is left to read with.
    ///
    /// # Errors
    /// The system's.
    pub fn settle(
        &mut self,
        uring: &mut Rings,
        now: Instant,
        socket: Socket,
        mut each: impl FnMut(&mut Rings, (&mut [u8], usize)),
    ) -> io::Result<usize> {
        let Some(place) = self.place(socket) else { return Ok(0) };
        let (Some(holder), Some(far_end)) = (&place.socket, place.far_end) else { return Ok(0) };
        let epoch = place.epoch;
        let Ok(opened) = holder.borrow(uring, socket) else {
            self.settling.push((now + SETTLING, socket, epoch));
            return Ok(0);
        };
        let mut strangers = 0;
        let mut datagram = [0; BUFFER_OCTETS];
        for _ in 0..DRAIN_LIMIT {
            match opened.receive_from(&mut datagram) {
                Some((length, source)) if is_same(source, far_end) => each(uring, (&mut datagram, length)),
                Some(_) => strangers += 1,
                None => break,
            }
        }
        drop(opened);
        place.armed = true;
        uring.receive(socket.0, place.epoch)?;
        Ok(strangers)
    }

    /// Is this the arming that receives on the place now?
    #[must_use]
    pub fn is_current(&self, place: u32, epoch: u32) -> bool {
        let place = usize::try_from(place).ok().and_then(|place| self.places.get(place));
        place.is_some_and(|place| place.armed && place.epoch == epoch)
    }

    /// Receives again after the kernel ended an arming by itself.
    ///
    /// # Errors
    /// The system's.
    pub fn rearm(&mut self, uring: &mut Rings, place: u32, epoch: u32) -> io::Result<()> {
        if self.is_current(place, epoch) { uring.receive(place, epoch) } else { Ok(()) }
    }

    /// The kernel has ended an arming because it had no buffer left: its packets wait in the socket until [`Self::feed`].
    /// To arm it at once would only fail again, as often as there is time for it, and that time is what was lacking.
    pub fn starve(&mut self, place: u32, epoch: u32) {
        if self.is_current(place, epoch) {
            self.starved.push_back((place, epoch));
        }
    }

    /// Are there places whose packets wait for buffers?
    #[must_use]
    pub fn are_starved(&self) -> bool {
        !self.starved.is_empty()
    }

    /// Receives again from so many of the places whose packets wait for buffers, those that have waited longest first.
    ///
    /// # Errors
    /// The system's, when the queue had to be handed over first.
    pub fn feed(&mut self, uring: &mut Rings, most: usize) -> io::Result<()> {
        for _ in 0..most {
            let Some((place, epoch)) = self.starved.pop_front() else { break };
            self.rearm(uring, place, epoch)?;
        }
        Ok(())
    }

    /// Closes a port. Returns the kernel's drops that had not been counted.
    ///
    /// # Errors
    /// The system's.
    pub fn release(&mut self, uring: &mut Rings, socket: Socket) -> io::Result<u32> {
        self.silence(uring, socket)?;
        let Some(place) = self.place(socket) else { return Ok(0) };
        let Some(holder) = place.socket.take() else { return Ok(0) };
        place.far_end = None;
        // Closing must go on even where no descriptor is left to ask with.
        let figure = holder.borrow(uring, socket).map_or(place.drops, |opened| opened.kernel_drops());
        let drops = figure.wrapping_sub(place.drops);
        place.drops = 0;
        drop(holder);
        uring.remove_file(socket.0)?;
        Ok(drops)
    }

    /// Asks the kernel about the next `count` places; returns drops that had not been counted. What a walk passes by is
    /// counted by a later one, or when the port is released.
    pub fn sweep_drops(&mut self, uring: &mut Rings, count: usize) -> u32 {
        let mut drops = 0u32;
        for _ in 0..count.min(self.places.len()) {
            let socket = Socket(u32::try_from(self.sweep).unwrap_or(u32::MAX));
            let place = &mut self.places[self.sweep];
            // What is not connected is deaf on purpose.
            if place.armed
                && let Some(holder) = &place.socket
                && (matches!(holder, Holder::Descriptor(_))
                    || (self.sweep + self.walks).is_multiple_of(WALKS_OF_LENT))
                && let Ok(opened) = holder.borrow(uring, socket)
            {
                let figure = opened.kernel_drops();
                drops = drops.wrapping_add(figure.wrapping_sub(place.drops));
                place.drops = figure;
            }
            self.sweep += 1;
            if self.sweep == self.places.len() {
                (self.sweep, self.walks) = (0, self.walks.wrapping_add(1));
            }
        }
        drops
    }
}

/// An address as session descriptions have it: an IPv6 flow label is no part of it.
fn plain(source: SocketAddr) -> SocketAddr {
    match source {
        SocketAddr::V6(mut v6) => {
            v6.set_flowinfo(0);
            SocketAddr::V6(v6)
        }
        v4 @ SocketAddr::V4(_) => v4,
    }
}

/// The same address and port; an IPv6 flow label does not matter.
fn is_same(source: SocketAddr, far_end: SocketAddr) -> bool {
    source.ip() == far_end.ip() && source.port() == far_end.port()
}

fn refusal(port: SocketAddr, error: &io::Error) -> BindError {
    if error.kind() == io::ErrorKind::AddrInUse {
        tracing::debug!(%port, "port is taken by another program");
        return BindError::Taken;
    }
    tracing::warn!(%port, %error, "socket refused");
    BindError::Refused
}
