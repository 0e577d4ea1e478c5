//! Who forwards on the cable between two namespaces: bare forwarders, and Duogate on each of its paths.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use duogate_channel::counters::Counter;
use duogate_channel::sound::RecordFormat;
use duogate_fastpath::FastPath;

use crate::flight::Flight;
use crate::floor::{self, Kind};
use crate::gateway::{self, FIRST_PORT, Gateway, Pair, Setup};
use crate::generator::Route;
use crate::live::Bench;
use crate::process::{Process, remark};
use crate::program;
use crate::recorded::{Folder, Tally, record};
use crate::rows::MEASURED_CORE;
use crate::veth::{FAR_END, GATEWAYS};

/// A forwarder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Subject {
    /// One receive and one send call a packet.
    Epoll,
    /// Bare io_uring.
    Uring,
    /// Duogate through its sockets.
    Sockets,
    /// The bare XDP rewriter.
    Rewriter,
    /// Duogate through its XDP program.
    Path,
    /// Duogate's XDP program with its table filled by the rig, without a gateway: what the program alone costs.
    Program,
    /// Duogate through its XDP program with every pair recorded through the tap.
    Recorded,
}

impl Subject {
    /// From the slowest to the fastest.
    pub const ALL: [Self; 7] =
        [Self::Epoll, Self::Uring, Self::Sockets, Self::Rewriter, Self::Program, Self::Path, Self::Recorded];

    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epoll => "bare epoll",
            Self::Uring => "bare io_uring",
            Self::Sockets => "Duogate, io_uring",
            Self::Rewriter => "bare XDP_TX",
            Self::Program => "Duogate's XDP program alone",
            Self::Path => "Duogate, XDP",
            Self::Recorded => "Duogate, XDP, recorded",
        }
    }

    /// For the raw figures.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::Uring => "uring",
            Self::Sockets => "duogate_uring",
            Self::Rewriter => "xdp_tx",
            Self::Program => "duogate_program",
            Self::Path => "duogate_xdp",
            Self::Recorded => "duogate_xdp_recorded",
        }
    }

    /// Whether the kernel forwards alone, and no thread needs the core that forwards.
    #[must_use]
    pub const fn by_kernel(self) -> bool {
        matches!(self, Self::Rewriter | Self::Program | Self::Path)
    }

    /// Whether its packets go through sockets.
    #[must_use]
    pub const fn by_sockets(self) -> bool {
        matches!(self, Self::Epoll | Self::Uring | Self::Sockets)
    }
}

/// What runs.
enum Running {
    Floor(Process),
    Gateway { gateway: Box<Gateway>, pairs: Vec<Pair>, recordings: Option<Folder> },
    Program(Box<FastPath>),
    Rewriter,
}

/// A forwarder with its pairs open, and the generator's streams through it.
pub struct Started {
    running: Running,
    /// Pairs that are open: fewer than asked for where the host allows few descriptors.
    pub pairs: usize,
    /// Copies that had been lost when it was asked last.
    lost: u64,
}

/// A forwarder is gone after so long by itself, should the rig be.
const LIFETIME: Duration = Duration::from_secs(120);

/// Packets a second while streams begin: the first of each goes through a gateway's sockets, whatever the path.
const fn beginning_rate(subject: Subject) -> u64 {
    if matches!(subject, Subject::Rewriter | Subject::Program) { 1_000_000 } else { 50_000 }
}

/// Longest wait until all pairs are on the path.
const SETTLING: Duration = Duration::from_secs(5);

/// Starts it with so many pairs and lets each stream begin.
///
/// # Errors
/// The system's, and its own.
pub fn start(bench: &mut Bench, subject: Subject, pairs: u16, folder: &Path) -> io::Result<Started> {
    let namespace = bench.cable.gateway.path();
    // What records shares its core with whoever writes for it.
    bench.leave_alone(subject != Subject::Recorded);
    let (running, routes) = match subject {
        Subject::Epoll => bare(&namespace, Kind::Epoll, pairs, folder)?,
        Subject::Uring => bare(&namespace, Kind::Uring, pairs, folder)?,
        Subject::Rewriter => {
            let routes = floor::routes(GATEWAYS[0], pairs);
            bench.rewrite(&routes)?;
            (Running::Rewriter, routes)
        }
        Subject::Program => {
            let (program, routes) = program::start(&bench.cable, pairs)?;
            (Running::Program(Box::new(program)), routes)
        }
        Subject::Sockets | Subject::Path | Subject::Recorded => duogate(&namespace, subject, pairs, folder)?,
    };
    bench.take(&routes)?;
    // Two packets of each stream.
    let rate = beginning_rate(subject);
    bench.fly(rate, Duration::from_millis(2 * routes.len() as u64 * 1000 / rate + 100))?;
    let open = routes.len() / 2;
    let mut started = Started { running, pairs: open, lost: 0 };
    if matches!(subject, Subject::Path | Subject::Recorded) {
        settle(&mut started)?;
    }
    // In mid-call, so that the files have nothing of the streams' slow beginning.
    if let Running::Gateway { gateway, pairs, recordings: Some(folder) } = &mut started.running {
        record(gateway, pairs, folder.path(), RecordFormat::Alaw)?;
        settle(&mut started)?;
    }
    Ok(started)
}

/// Waits until every pair is on the path.
fn settle(started: &mut Started) -> io::Result<()> {
    let wanted = started.pairs as u64 * 2;
    let end = Instant::now() + SETTLING;
    while started.counter(Counter::PathDirections) < wanted && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    match started.counter(Counter::PathDirections) {
        0 => Err(io::Error::other("no call is on the fast path; see gateway.log")),
        some if some < wanted => {
            remark(&format!("only {some} of {wanted} directions are on the fast path"));
            Ok(())
        }
        _ => Ok(()),
    }
}

fn bare(namespace: &str, kind: Kind, pairs: u16, folder: &Path) -> io::Result<(Running, Vec<Route>)> {
    let process = floor::start(Some(namespace), kind, GATEWAYS[0], pairs, FAR_END, LIFETIME, folder)?;
    process.favor()?;
    Ok((Running::Floor(process), floor::routes(GATEWAYS[0], pairs)))
}

/// Pairs of an address: each has two even ports from 10,000 on.
pub const PAIRS_OF_AN_ADDRESS: u16 = 10_000;

/// So many addresses of the gateway's side.
#[must_use]
pub fn addresses(pairs: u16) -> &'static [Ipv4Addr] {
    let needed = usize::from(pairs.div_ceil(PAIRS_OF_AN_ADDRESS));
    &GATEWAYS[..needed.clamp(1, GATEWAYS.len())]
}

/// No more ports than the pairs need.
fn last_port(pairs: u16, addresses: usize) -> u16 {
    let each = usize::from(pairs).div_ceil(addresses) * 4;
    FIRST_PORT + u16::try_from(each).unwrap_or(u16::MAX - FIRST_PORT) - 1
}

fn duogate(
    namespace: &str,
    subject: Subject,
    count: u16,
    folder: &Path,
) -> io::Result<(Running, Vec<Route>)> {
    let recorded = subject == Subject::Recorded;
    let recordings = recorded.then(Folder::new).transpose()?;
    let setup = Setup {
        recordings: recordings.as_ref().map_or(folder, Folder::path),
        namespace: Some(namespace),
        last_port: last_port(count, addresses(count).len()),
        // What records is to fit into one core with all that it needs: shard, recorder, and whoever writes for it.
        confined: recorded,
        path: if subject == Subject::Sockets { gateway::FastPath::Off } else { gateway::FastPath::Native },
        ..Setup::new(MEASURED_CORE, u32::from(count), folder, addresses(count))
    };
    let mut gateway = Gateway::start_as(&setup)?;
    gateway.process.favor()?;
    // A host may allow fewer: few descriptors, and a kernel whose io_uring cannot do without them.
    let fitting = gateway.shard().description.sessions.min(u32::from(count));
    let pairs = gateway.open(usize::try_from(fitting).unwrap_or(0), FAR_END)?;
    let routes = gateway.join(&pairs)?;
    Ok((Running::Gateway { gateway: Box::new(gateway), pairs, recordings }, routes))
}

impl Started {
    /// Sends through it, as [`Bench::fly`]; the processor time is that of polling and of its process.
    ///
    /// # Errors
    /// The kernel refuses, or it has ended.
    pub fn fly(&self, bench: &mut Bench, rate: u64, duration: Duration) -> io::Result<Flight> {
        bench.fly_beside(rate, duration, &|| match &self.running {
            Running::Floor(process) => process.cpu(),
            Running::Gateway { gateway, .. } => gateway.process.cpu(),
            Running::Rewriter | Running::Program(_) => Ok(0),
        })
    }

    /// Takes what it tells, so that it need not keep it: who is not heard for a while is absent.
    ///
    /// # Errors
    /// The line to it is broken.
    pub fn listen(&mut self) -> io::Result<()> {
        match &mut self.running {
            Running::Gateway { gateway, .. } => gateway.forget_events(),
            Running::Floor(_) | Running::Rewriter | Running::Program(_) => Ok(()),
        }
    }

    /// Packets that were to be recorded and found no room since this was asked last, of a gateway that records.
    #[must_use]
    pub fn lost_copies(&mut self) -> u64 {
        if !matches!(self.running, Running::Gateway { recordings: Some(_), .. }) {
            return 0;
        }
        // The gateway tells once a second.
        std::thread::sleep(Duration::from_millis(1100));
        let lost = self.counter(Counter::PathTapFull) + self.counter(Counter::RecorderLost);
        lost - std::mem::replace(&mut self.lost, lost)
    }

    /// One of Duogate's counters; 0 for the others.
    #[must_use]
    pub fn counter(&mut self, which: Counter) -> u64 {
        match &mut self.running {
            Running::Gateway { gateway, .. } => gateway.shard().page.get(which),
            Running::Floor(_) | Running::Rewriter | Running::Program(_) => 0,
        }
    }

    /// Ends it; tells what became of the recordings, if there were any.
    ///
    /// # Errors
    /// The system's.
    pub fn stop(self, bench: &mut Bench) -> io::Result<Tally> {
        let mut tally = Tally::default();
        match self.running {
            Running::Floor(process) => drop(process),
            Running::Program(program) => drop(program),
            Running::Rewriter => bench.stop_rewriting()?,
            Running::Gateway { mut gateway, pairs, recordings } => {
                tally = gateway.close(&pairs)?;
                drop((gateway, recordings));
            }
        }
        Ok(tally)
    }
}
