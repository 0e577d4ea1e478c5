//! The load: many streams of 20 ms packets from one socket, received again on the same socket.

use std::io;
use std::net::{SocketAddrV4, UdpSocket};
use std::time::Duration;

use crate::clock;
use crate::datagrams::{BATCH, Inbox, generator_socket, local, send};
use crate::rtp::{PACKET_NANOSECONDS, Packet, stamp};

/// One stream: it goes to a leg's port, and is to come back from the port of the pair's other leg.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Where its packets are sent.
    pub to: SocketAddrV4,
    /// Where they are to come back from.
    pub from: SocketAddrV4,
}

/// Streams that go on from one run to the next, as a phone's stream does.
#[derive(Clone, Debug)]
pub struct Streams {
    routes: Vec<Route>,
    packets: Vec<Packet>,
}

impl Streams {
    /// One for each route, at its beginning.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        let packets = (0..).take(routes.len()).map(Packet::new).collect();
        Self { routes, packets }
    }
}

/// What a run has seen.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Packets that the kernel took from us.
    pub sent: u64,
    /// Packets that came back, on their right way.
    pub received: u64,
    /// Packets that came back from another port than they should have, or were no packets of ours.
    pub astray: u64,
    /// Nanoseconds from leaving to reaching our socket again, of one packet in sixteen, sorted.
    pub latencies: Vec<u64>,
    /// Seconds that it lasted.
    pub seconds: f64,
    /// The longest time between two looks at what is due, in nanoseconds: for so long the generator itself was held up.
    pub longest_gap: u64,
}

impl Outcome {
    /// Packets that never came back.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received + self.astray)
    }
}

/// A generator with its socket, on the calling thread.
#[derive(Debug)]
pub struct Generator {
    socket: UdpSocket,
    inbox: Inbox,
}

/// How long the generator rests when nothing is due: short, so that packets leave evenly as from many phones.
const REST_MICROSECONDS: u64 = 100;

/// Looks for what is still on its way after a run, five milliseconds apart: longer than a queue of 2,000 pairs' packets
/// takes to be served.
const SETTLING_LOOKS: u32 = 50;

/// Packets that leave with one stamp and in one call: few, because the last of them waits for those before it to pass
/// through the loopback interface, which is the generator's own delay and no forwarder's.
const STAMPED: usize = 8;

impl Generator {
    /// Binds a socket at `address`.
    ///
    /// # Errors
    /// The system's.
    pub fn new(address: SocketAddrV4) -> io::Result<Self> {
        Ok(Self { socket: generator_socket(address)?, inbox: Inbox::new() })
    }

    /// The far end of every leg.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddrV4> {
        local(&self.socket)
    }

    /// The socket itself.
    #[must_use]
    pub const fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Sends on all streams for `duration`, spread evenly over each 20 ms, and receives meanwhile and for a
    /// moment after.
    ///
    /// # Errors
    /// The system's.
    pub fn run(&mut self, streams: &mut Streams, duration: Duration) -> io::Result<Outcome> {
        let mut outcome = self.go(streams, duration)?;
        self.settle(streams, &mut outcome, SETTLING_LOOKS)?;
        outcome.latencies.sort_unstable();
        Ok(outcome)
    }

    /// Does the same before it is measured: what is on its way after is not waited for as long.
    ///
    /// # Errors
    /// The system's.
    pub fn warm(&mut self, streams: &mut Streams, duration: Duration) -> io::Result<()> {
        let mut outcome = self.go(streams, duration)?;
        self.settle(streams, &mut outcome, SETTLING_LOOKS / 10)
    }

    fn settle(&mut self, streams: &Streams, outcome: &mut Outcome, looks: u32) -> io::Result<()> {
        for _ in 0..looks {
            clock::sleep_microseconds(5_000);
            self.receive(&streams.routes, outcome)?;
        }
        Ok(())
    }

    fn go(&mut self, streams: &mut Streams, duration: Duration) -> io::Result<Outcome> {
        let mut outcome = Outcome::default();
        let (number, start) = (streams.routes.len() as u64, clock::monotonic());
        let end = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (mut done, mut before) = (0, 0);
        loop {
            let now = clock::monotonic() - start;
            outcome.longest_gap = outcome.longest_gap.max(now - before);
            before = now;
            if now >= end {
                break;
            }
            let due = now * number / PACKET_NANOSECONDS;
            if due == done {
                clock::sleep_microseconds(REST_MICROSECONDS);
            }
            while done < due {
                let count = usize::try_from(due - done).unwrap_or(STAMPED).min(STAMPED);
                let first = usize::try_from(done % number).unwrap_or(0);
                outcome.sent += self.send(streams, first, count)?;
                done += count as u64;
            }
            self.receive(&streams.routes, &mut outcome)?;
        }
        #[allow(clippy::cast_precision_loss)] // Seconds of a run, for people.
        let seconds = (clock::monotonic() - start) as f64 / 1e9;
        outcome.seconds = seconds;
        Ok(outcome)
    }

    fn send(&self, streams: &mut Streams, first: usize, count: usize) -> io::Result<u64> {
        let now = clock::monotonic();
        let places = (first..first + count).map(|place| place % streams.routes.len());
        for place in places.clone() {
            streams.packets[place].step(now);
        }
        let batch: Vec<(&[u8], SocketAddrV4)> =
            places.map(|place| (streams.packets[place].bytes(), streams.routes[place].to)).collect();
        let mut sent = 0;
        while sent < batch.len() {
            match send(&self.socket, &batch[sent..]) {
                Ok(0) => break,
                Ok(taken) => sent += taken,
                // A leg that is not there answers with an ICMP error, which the next call reports: it counts as
                // lost, and the next packet is sent.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent as u64)
    }

    fn receive(&mut self, routes: &[Route], outcome: &mut Outcome) -> io::Result<()> {
        // The kernel stamps by the wall clock, we by the monotonic one.
        let ahead = clock::wall() - clock::monotonic();
        loop {
            let count = self.inbox.receive(&self.socket, |arrival| {
                let found = stamp(arrival.bytes);
                let route = found.and_then(|stamp| routes.get(usize::try_from(stamp.stream).ok()?));
                match (found, route) {
                    (Some(stamp), Some(route)) if route.from == arrival.source => {
                        outcome.received += 1;
                        // By the kernel's time of arrival: when we look is no forwarder's doing.
                        if outcome.received.is_multiple_of(16)
                            && let Some(time) = arrival.time
                        {
                            outcome.latencies.push(time.saturating_sub(stamp.left + ahead));
                        }
                    }
                    _ => outcome.astray += 1,
                }
            })?;
            if count < BATCH {
                return Ok(());
            }
        }
    }
}
