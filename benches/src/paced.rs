//! A load whose packets the generator does not know: encrypted or encoded ones, paced and timed all the same.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use crate::clock;
use crate::datagrams::{Arrival, Inbox};
use crate::process::Process;
use crate::rtp::PACKET_NANOSECONDS;
use crate::table::quantile;

/// What is still on its way after a run is waited for so long.
const SETTLING_NANOSECONDS: u64 = 200_000_000;

/// How long nothing is sent or looked for meanwhile: short, so that packets leave evenly as from many phones.
const REST_MICROSECONDS: u64 = 100;

/// What one stream after another sends, and what becomes of it.
pub trait Load {
    /// How many streams there are.
    fn streams(&self) -> usize;

    /// Sends a stream's next packet. Gives how many the kernel took.
    ///
    /// # Errors
    /// The system's.
    fn leave(&mut self, socket: &UdpSocket, stream: usize) -> io::Result<usize>;

    /// Looks at a packet that came back. `Ok` has the nanoseconds that it was on its way.
    ///
    /// # Errors
    /// It is not what was sent.
    fn come_back(&mut self, arrival: &Arrival<'_>) -> Result<u64, Spoiled>;
}

/// A packet that came back, but not as it should.
#[derive(Clone, Copy, Debug)]
pub struct Spoiled;

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Processor time of a packet that came back, in nanoseconds.
    pub cost: f64,
    /// Nanoseconds from leaving to coming back: p50, p99, worst.
    pub delay: [u64; 3],
    /// Packets that left.
    pub sent: u64,
    /// Packets that came back as they should.
    pub received: u64,
    /// Packets that came back otherwise.
    pub spoiled: u64,
}

/// Sends on all streams for `duration`, 20 ms apart on each and evenly spread, and receives what comes back; the
/// processor time is that of `process`.
///
/// # Errors
/// The system's.
pub fn run(
    load: &mut impl Load,
    socket: &UdpSocket,
    duration: Duration,
    process: &Process,
) -> io::Result<Run> {
    let (mut delays, mut spoiled, mut inbox) = (Vec::new(), 0, Inbox::new());
    let (cpu, start) = (process.cpu()?, clock::monotonic());
    let length = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let streams = load.streams();
    let (mut done, mut sent) = (0, 0);
    loop {
        let now = clock::monotonic() - start;
        if now >= length + SETTLING_NANOSECONDS {
            break;
        }
        let due = now.min(length) * streams as u64 / PACKET_NANOSECONDS;
        while done < due {
            sent += load.leave(socket, usize::try_from(done).unwrap_or(0) % streams)? as u64;
            done += 1;
        }
        inbox.receive(socket, |arrival| match load.come_back(&arrival) {
            Ok(delay) => delays.push(delay),
            Err(Spoiled) => spoiled += 1,
        })?;
        clock::sleep_microseconds(REST_MICROSECONDS);
    }
    let cpu = process.cpu()? - cpu;
    delays.sort_unstable();
    #[allow(clippy::cast_precision_loss)] // A quotient for people.
    let cost = cpu as f64 / delays.len().max(1) as f64;
    let delay = [0.5, 0.99, 1.0].map(|share| quantile(&delays, share));
    Ok(Run { cost, delay, sent, received: delays.len() as u64, spoiled })
}
