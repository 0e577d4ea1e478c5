//! The ports of a shard: who uses them, which are free, and which rest.
//!
//! Behind the places of all RTP ports follow those for ports of RTCP. They have no port of their own: one that is
//! claimed stands for the odd port above its leg's RTP port, and lives as that one does.

use alloc::boxed::Box;
use alloc::vec::Vec;

use duogate_channel::identity::MOST_ADDRESSES;

use crate::action::{BindError, Socket};

const NONE: u32 = u32::MAX;

/// What a port is doing.
///
/// ```text
///         claim           polled          bound: Ok          close            rest is over       polled
///  Free ────────> Wanted ────────> Asked ──────────> Used ────────> Resting ─────────────> Over ────────> Free
///    ^              │ abandon        │ abandon          │ abandon (never received)           ^
///    │              v                v                  └────────────────────────────────────┤
///    ├── polled ─ Dropped        Abandoned ── bound: Ok ─────────────────────────────────────┘
///    └── bound: Err ── Asked, Abandoned
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// In the free list.
    Free,
    /// Claimed; the shell has not been told yet.
    Wanted,
    /// The shell has been told to bind it.
    Asked,
    /// Claimed no more before the shell was told.
    Dropped,
    /// Claimed no more while the shell binds it.
    Abandoned,
    /// Open and a leg's.
    Used,
    /// The same, of a port for RTCP: not for packets of sound.
    Reporting,
    /// Open, drained, nobody's.
    Resting,
    /// To be closed; the shell has not been told yet.
    Over,
}

/// What is to change about an open port, beside its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wish {
    Nothing,
    /// Its far end is known, or another.
    Connect,
    /// Where its far end is has to be learned.
    Listen,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Port {
    /// The slot and party that use it, as `slot * 2 + party`.
    leg: u32,
    /// Links of the free list, or of the list of what the shell is to be told. Never both: a free port has nothing
    /// to tell.
    next: u32,
    previous: u32,
    state: State,
    listed: bool,
    wish: Wish,
}

/// Memory of one port.
pub(crate) const PORT_OCTETS: usize = size_of::<Port>();

/// What the shell is to be told about a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// For this leg.
    Bind(u32),
    /// For this leg.
    Connect(u32),
    Listen,
    Release,
}

/// What became of a port that was being bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bound {
    /// It is this leg's now.
    Used(u32),
    /// It could not be had for this leg.
    Failed(u32, BindError),
    /// Nobody waits for it any more, or nobody asked.
    Nobody,
}

/// Free ports of one address, linked by themselves.
#[derive(Clone, Copy, Debug)]
struct Queue {
    first: u32,
    last: u32,
    length: u32,
}

/// The table of ports, address by address. The free ones of an address wait in a queue: the one that was used longest
/// ago is used next.
#[derive(Debug)]
pub(crate) struct Sockets {
    ports: Box<[Port]>,
    /// RTP ports of all addresses; the places from here on are for RTCP.
    count: u32,
    /// RTP ports of each address.
    each: u32,
    /// By address; the last for RTCP.
    free: [Queue; QUEUES],
    first_told: u32,
    last_told: u32,
}

/// Queues of free places: one for each address, one for RTCP.
const QUEUES: usize = MOST_ADDRESSES as usize + 1;
const RTCP_QUEUE: usize = MOST_ADDRESSES as usize;

impl Sockets {
    pub(crate) fn new(addresses: u8, each: u32, report_ports: u32) -> Self {
        let count = u32::from(addresses) * each;
        let port = Port {
            leg: NONE,
            next: NONE,
            previous: NONE,
            state: State::Free,
            listed: false,
            wish: Wish::Nothing,
        };
        let ports: Vec<Port> = (0..count + report_ports).map(|_| port).collect();
        let mut sockets = Self {
            ports: ports.into_boxed_slice(),
            count,
            each: each.max(1),
            free: [Queue { first: NONE, last: NONE, length: 0 }; QUEUES],
            first_told: NONE,
            last_told: NONE,
        };
        for place in 0..count + report_ports {
            sockets.make_free(place);
        }
        sockets
    }

    /// The leg that uses a port, while it is open and used.
    #[inline]
    pub(crate) fn user(&self, socket: Socket) -> Result<u32, State> {
        match self.ports.get(socket.0 as usize) {
            Some(port) if port.state == State::Used => Ok(port.leg),
            Some(port) => Err(port.state),
            None => Err(State::Free),
        }
    }

    /// Where a port's entry lies.
    #[inline]
    pub(crate) fn entry(&self, socket: Socket) -> Option<*const Port> {
        self.ports.get(socket.0 as usize).map(core::ptr::from_ref)
    }

    /// The leg that has a port for RTCP, while that is open and used.
    pub(crate) fn reporter(&self, socket: Socket) -> Option<u32> {
        let port = self.ports.get(socket.0 as usize)?;
        (port.state == State::Reporting).then_some(port.leg)
    }

    /// Is this a place for a port of RTCP?
    pub(crate) const fn is_for_reports(&self, socket: Socket) -> bool {
        socket.0 >= self.count
    }

    /// Free RTP ports of all addresses.
    pub(crate) fn free(&self) -> u32 {
        self.free[..RTCP_QUEUE].iter().map(|queue| queue.length).sum()
    }

    /// Claims a place for the RTCP port of a leg.
    pub(crate) fn claim_for_reports(&mut self, leg: u32) -> Option<Socket> {
        self.claim_place(self.free[RTCP_QUEUE].first, leg)
    }

    /// Claims the port that has been free longest, of that address among `addresses` which has most.
    pub(crate) fn claim(&mut self, addresses: u8, leg: u32) -> Option<Socket> {
        let suits = |(address, _): &(usize, &Queue)| addresses >> address & 1 == 1;
        let mut most = Queue { first: NONE, last: NONE, length: 0 };
        for (_, queue) in self.free[..RTCP_QUEUE].iter().enumerate().filter(suits) {
            if queue.length > most.length {
                most = *queue;
            }
        }
        self.claim_place(most.first, leg)
    }

    /// The queue of a place's address.
    fn queue(&mut self, place: u32) -> &mut Queue {
        let queue = if place < self.count { (place / self.each) as usize } else { RTCP_QUEUE };
        &mut self.free[queue]
    }

    /// Claims one port, if it is free.
    pub(crate) fn claim_place(&mut self, place: u32, leg: u32) -> Option<Socket> {
        let port = *self.ports.get(place as usize)?;
        if port.state != State::Free {
            return None;
        }
        self.link_around(place, port);
        self.queue(place).length -= 1;
        self.ports[place as usize] = Port {
            leg,
            next: NONE,
            previous: NONE,
            state: State::Wanted,
            listed: false,
            wish: Wish::Nothing,
        };
        self.tell(place);
        Some(Socket(place))
    }

    /// The shell has bound a port, or not.
    pub(crate) fn bound(&mut self, socket: Socket, result: Result<(), BindError>) -> Bound {
        let Some(port) = self.ports.get_mut(socket.0 as usize) else { return Bound::Nobody };
        let leg = port.leg;
        match (port.state, result) {
            (State::Asked, Ok(())) => {
                port.state = if socket.0 < self.count { State::Used } else { State::Reporting };
                Bound::Used(leg)
            }
            (State::Asked, Err(error)) => {
                self.make_free(socket.0);
                Bound::Failed(leg, error)
            }
            (State::Abandoned, Ok(())) => {
                self.end(socket);
                Bound::Nobody
            }
            (State::Abandoned, Err(_)) => {
                self.make_free(socket.0);
                Bound::Nobody
            }
            // Nobody asked: an error of the shell, without consequence.
            (
                State::Free
                | State::Wanted
                | State::Dropped
                | State::Used
                | State::Reporting
                | State::Resting
                | State::Over,
                _,
            ) => Bound::Nobody,
        }
    }

    /// The far end of a used port is new.
    pub(crate) fn connect(&mut self, socket: Socket) {
        self.wish(socket, Wish::Connect);
    }

    /// The far end of a used port may be elsewhere than it says.
    pub(crate) fn listen(&mut self, socket: Socket) {
        self.wish(socket, Wish::Listen);
    }

    fn wish(&mut self, socket: Socket, wish: Wish) {
        if self.user(socket).is_ok() || self.reporter(socket).is_some() {
            self.ports[socket.0 as usize].wish = wish;
            self.tell(socket.0);
        }
    }

    /// The leg needs the port no more. True if it rests from now on; one that never carried a call does not.
    pub(crate) fn leave(&mut self, socket: Socket, rest: bool) -> bool {
        let Some(port) = self.ports.get_mut(socket.0 as usize) else { return false };
        port.wish = Wish::Nothing;
        match port.state {
            State::Wanted => port.state = State::Dropped,
            State::Asked => port.state = State::Abandoned,
            State::Used | State::Reporting if rest => {
                port.state = State::Resting;
                return true;
            }
            State::Used | State::Reporting => self.end(socket),
            State::Free | State::Dropped | State::Abandoned | State::Resting | State::Over => {}
        }
        false
    }

    /// The rest of a port is over.
    pub(crate) fn rested(&mut self, socket: Socket) {
        if self.ports.get(socket.0 as usize).is_some_and(|port| port.state == State::Resting) {
            self.end(socket);
        }
    }

    fn end(&mut self, socket: Socket) {
        self.ports[socket.0 as usize].state = State::Over;
        self.tell(socket.0);
    }

    /// The next thing to tell the shell.
    pub(crate) fn poll(&mut self) -> Option<(Socket, Told)> {
        loop {
            let place = self.first_told;
            let port = self.ports.get_mut(place as usize)?;
            self.first_told = port.next;
            if self.first_told == NONE {
                self.last_told = NONE;
            }
            (port.next, port.listed) = (NONE, false);
            let told = match port.state {
                State::Wanted => {
                    port.state = State::Asked;
                    Told::Bind(port.leg)
                }
                State::Used | State::Reporting if port.wish != Wish::Nothing => {
                    match ::core::mem::replace(&mut port.wish, Wish::Nothing) {
                        Wish::Listen => Told::Listen,
                        Wish::Connect | Wish::Nothing => Told::Connect(port.leg),
                    }
                }
                State::Over => {
                    self.make_free(place);
                    Told::Release
                }
                State::Dropped => {
                    self.make_free(place);
                    continue;
                }
                State::Free
                | State::Asked
                | State::Abandoned
                | State::Used
                | State::Reporting
                | State::Resting => continue,
            };
            return Some((Socket(place), told));
        }
    }

    fn tell(&mut self, place: u32) {
        let port = &mut self.ports[place as usize];
        if port.listed {
            return;
        }
        (port.listed, port.next) = (true, NONE);
        match self.last_told {
            NONE => self.first_told = place,
            last => self.ports[last as usize].next = place,
        }
        self.last_told = place;
    }

    /// To the end of its address's queue of free ports.
    fn make_free(&mut self, place: u32) {
        let last = self.queue(place).last;
        self.ports[place as usize] = Port {
            leg: NONE,
            next: NONE,
            previous: last,
            state: State::Free,
            listed: false,
            wish: Wish::Nothing,
        };
        match last {
            NONE => self.queue(place).first = place,
            last => self.ports[last as usize].next = place,
        }
        let queue = self.queue(place);
        queue.last = place;
        queue.length += 1;
    }

    /// Takes a port out of the middle of its queue of free ports.
    fn link_around(&mut self, place: u32, port: Port) {
        match port.previous {
            NONE => self.queue(place).first = port.next,
            previous => self.ports[previous as usize].next = port.next,
        }
        match port.next {
            NONE => self.queue(place).last = port.previous,
            next => self.ports[next as usize].previous = port.previous,
        }
    }
}
