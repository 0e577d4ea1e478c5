//! Connected pairs through one shard, beside rtpengine and bare forwarders under the same load.
//!
//! All of them run at once, and each is given the load in turn for a short slice, so that whatever the host does befalls
//! all alike; what is judged is the median of the quotients of slices that follow each other.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use duogate_channel::counters::Counter;

use crate::awake::Awake;
use crate::floor::{self, Kind};
use crate::gateway::{Gateway, Pair};
use crate::generator::{Generator, Route, Streams};
use crate::process::{Process, kernel_drops, remark};
use crate::rows::MEASURED_CORE;
use crate::rtpengine::{self, Rtpengine};
use crate::stalls::{Lateness, Stalls};
use crate::table::{Table, median, microseconds, quantile, thousands};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Connected pairs.
    pub pairs: u16,
    /// Length of each slice.
    pub slice: Duration,
    /// Slices of each forwarder.
    pub rounds: usize,
    /// Without the opponents.
    pub alone: bool,
}

/// Every slice begins so long before it is measured.
const WARM_UP: Duration = Duration::from_millis(300);

/// Slices that are measured once more because the host stood still, at most, for each that is not.
const REPEATS: usize = 4;

/// One forwarder's slice.
#[derive(Clone, Debug)]
struct Slice {
    /// Processor time of the forwarder for each packet that came back, in microseconds.
    cost: f64,
    /// Packets lost between the generator's sending and its receiving queue.
    lost: u64,
    sent: u64,
    astray: u64,
    /// Nanoseconds there and back: p50, p99, p99.9.
    latency: [u64; 3],
    /// Of the bare timer beside it.
    timer: Lateness,
    /// The longest time for which the generator was held up, in nanoseconds.
    held: u64,
}

/// From this time on for which a generator was held up a slice is no measure of anybody: what was due meanwhile leaves
/// all at once, which no phones do.
const HELD: u64 = 2_500_000;

impl Slice {
    const fn is_spoiled(&self) -> bool {
        self.timer.is_stall() || self.held > HELD
    }
}

/// A process that forwards.
enum Running {
    Gateway(Box<Gateway>, Vec<Pair>),
    Engine(Rtpengine),
    Floor(Process),
}

impl Running {
    const fn process(&self) -> &Process {
        match self {
            Self::Gateway(gateway, _) => &gateway.process,
            Self::Engine(engine) => &engine.process,
            Self::Floor(process) => process,
        }
    }
}

/// A forwarder, its streams, and its slices.
struct Subject {
    /// Its place in [`NAMES`].
    place: usize,
    running: Running,
    /// Where it forwards.
    address: Ipv4Addr,
    streams: Streams,
    slices: Vec<Slice>,
}

/// Runs all forwarders in turn, a slice each, and compares slices that follow each other.
///
/// # Errors
/// The system's, and Duogate's absence; an opponent that is not there is told and left out.
pub fn run(load: Load, folder: &Path) -> io::Result<Table> {
    let mut generator = Generator::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let _awake = Awake::keep(MEASURED_CORE)?;
    let stalls = Stalls::watch(MEASURED_CORE)?;
    let mut subjects = Vec::new();
    for (place, (name, _)) in NAMES.iter().enumerate().take(if load.alone { 1 } else { NAMES.len() }) {
        if place == SAME_DELAY && load.pairs != JUDGED {
            continue;
        }
        match start(place, &generator, load, folder) {
            Ok(subject) => subjects.push(subject),
            Err(error) => remark(&format!("{name} left out: {error}")),
        }
    }
    let mut repeats = load.rounds * REPEATS;
    for number in 1..=load.rounds {
        remark(&format!("loopback, {} pairs, round {number} of {}", load.pairs, load.rounds));
        for subject in &mut subjects {
            let slice = loop {
                let slice = measure(&mut generator, subject, load.slice, &stalls)?;
                if !slice.is_spoiled() || repeats == 0 {
                    break slice;
                }
                remark(&format!("{}: once more, the host stood still: {slice:?}", NAMES[subject.place].0));
                repeats -= 1;
            };
            remark(&format!("{}: {slice:?}", NAMES[subject.place].0));
            subject.slices.push(slice);
        }
    }
    let mut slices: [Vec<Slice>; 5] = Default::default();
    for subject in subjects {
        let place = subject.place;
        slices[place] = subject.stop()?;
    }
    Ok(report(load, &slices))
}

fn start(place: usize, generator: &Generator, load: Load, folder: &Path) -> io::Result<Subject> {
    let far_end = generator.address()?;
    let (running, address, routes) = match place {
        0 => {
            let mut gateway = Gateway::start(MEASURED_CORE, u32::from(load.pairs), folder)?;
            let pairs = gateway.open(usize::from(load.pairs), far_end)?;
            let routes = gateway.join(&pairs)?;
            let address = gateway.address;
            (Running::Gateway(Box::new(gateway), pairs), address, routes)
        }
        1 => {
            let mut engine = Rtpengine::start(MEASURED_CORE, folder)?;
            let routes = engine.pairs(usize::from(load.pairs), far_end)?;
            (Running::Engine(engine), rtpengine::ADDRESS, routes)
        }
        2 => bare(Kind::Uring, far_end, load, folder)?,
        3 => bare(Kind::Prompt, far_end, load, folder)?,
        _ => bare(Kind::Epoll, far_end, load, folder)?,
    };
    Ok(Subject { place, running, address, streams: Streams::new(routes), slices: Vec::new() })
}

/// A floor that outlives the row by far; it ends with the rig.
fn bare(
    kind: Kind,
    far_end: SocketAddrV4,
    load: Load,
    folder: &Path,
) -> io::Result<(Running, Ipv4Addr, Vec<Route>)> {
    const LIFETIME: Duration = Duration::from_secs(600);
    let address = kind.address();
    let process = floor::start(None, kind, address, load.pairs, far_end, LIFETIME, folder)?;
    Ok((Running::Floor(process), address, floor::routes(address, load.pairs)))
}

/// Warms up, then measures one slice.
fn measure(
    generator: &mut Generator,
    subject: &mut Subject,
    length: Duration,
    stalls: &Stalls,
) -> io::Result<Slice> {
    let address = generator.address()?;
    let process = subject.running.process();
    generator.warm(&mut subject.streams, WARM_UP)?;
    let _warm = stalls.take();
    let (cpu, drops) = (process.cpu()?, kernel_drops(*address.ip(), address.port()));
    let outcome = generator.run(&mut subject.streams, length)?;
    let timer = stalls.take();
    let (cpu, drops) =
        (process.cpu()? - cpu, kernel_drops(*address.ip(), address.port()).saturating_sub(drops));
    #[allow(clippy::cast_precision_loss)] // A quotient for people.
    let cost = cpu as f64 / 1e3 / outcome.received.max(1) as f64;
    Ok(Slice {
        cost,
        lost: outcome.lost().saturating_sub(drops),
        sent: outcome.sent,
        astray: outcome.astray,
        latency: [0.5, 0.99, 0.999].map(|share| quantile(&outcome.latencies, share)),
        timer,
        held: outcome.longest_gap,
    })
}

impl Subject {
    /// Ends it, and tells what was dropped where; gives its slices.
    fn stop(self) -> io::Result<Vec<Slice>> {
        let drops = kernel_drops(self.address, 0);
        remark(&format!("{}: kernel drops at its sockets {drops}", NAMES[self.place].0));
        if let Running::Gateway(mut gateway, pairs) = self.running {
            told(&mut gateway);
            gateway.close(&pairs)?;
        }
        Ok(self.slices)
    }
}

/// What Duogate itself says, for whoever looks into a figure.
fn told(gateway: &mut Gateway) {
    let page = &gateway.shard().page;
    let figures = [
        Counter::PacketsReceived,
        Counter::PacketsForwarded,
        Counter::PacketsSent,
        Counter::DroppedNoBuffer,
        Counter::DroppedSend,
        Counter::DroppedKernel,
        Counter::Wakeups,
        Counter::Loops,
        Counter::Completions,
    ];
    let told: Vec<String> =
        figures.iter().map(|which| format!("{} {}", which.name(), page.get(*which))).collect();
    remark(&format!("Duogate: {}", told.join(", ")));
}

fn cost(slices: &[Slice]) -> f64 {
    median(slices.iter().map(|slice| slice.cost).collect())
}

/// The median of the quotients of slices that followed each other.
fn paired(ours: &[Slice], theirs: &[Slice]) -> f64 {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| ours.cost / theirs.cost).collect())
}

/// Who runs, for people and for the raw figures.
const NAMES: [(&str, &str); 5] = [
    ("Duogate", "duogate"),
    ("rtpengine", "rtpengine"),
    ("bare io_uring", "uring"),
    ("bare io_uring that waits 200 µs", "uring_prompt"),
    ("bare epoll", "epoll"),
];

/// The place of the forwarder that keeps to Duogate's delay: what a short delay alone costs.
const SAME_DELAY: usize = 3;

/// Goals at [`JUDGED`] pairs: processor time beside rtpengine's and beside the bare io_uring forwarder's.
const GOALS: [f64; 2] = [0.6, 1.1];
const JUDGED: u16 = 1000;

/// Goal of the added delay: the latency budget (500 µs where nothing else is set) and a little.
const GOAL_DELAY_NANOSECONDS: u64 = 600_000;

fn report(load: Load, runs: &[Vec<Slice>; 5]) -> Table {
    let duogate = &runs[0];
    let pairs = load.pairs;
    let mut table = Table::default();
    let goals = [Some(GOALS[0]), Some(GOALS[1]), None, None];
    for (((name, _), others), goal) in NAMES.iter().zip(runs).skip(1).zip(goals) {
        if others.is_empty() || duogate.is_empty() {
            continue;
        }
        let ratio = paired(duogate, others);
        let what = format!("loopback, {pairs} pairs: CPU a packet, Duogate / {name}");
        match goal.filter(|_| pairs == JUDGED) {
            Some(goal) => table.ratio(&what, format!("{ratio:.2}"), &format!("≤ {goal:.2}"), ratio <= goal),
            None => table.ratio_told(&what, format!("{ratio:.2}")),
        }
    }
    let (lost, astray) =
        (duogate.iter().map(|run| run.lost).sum::<u64>(), duogate.iter().map(|run| run.astray).sum::<u64>());
    let sent: u64 = duogate.iter().map(|run| run.sent).sum();
    let figure = format!("{lost} lost, {astray} astray of {}", thousands(sent));
    let what = format!("loopback, {pairs} pairs: lost inside Duogate");
    table.judged(&what, figure, "0", sent > 0 && lost + astray == 0);
    if pairs == JUDGED && !duogate.is_empty() {
        let p99 = delay(duogate, 1);
        let what = format!("loopback, {pairs} pairs: added delay p99, Duogate");
        table.judged(&what, microseconds(p99), "≤ 600 µs", p99 <= GOAL_DELAY_NANOSECONDS);
    }
    for ((name, key), runs) in NAMES.iter().zip(runs).filter(|(_, runs)| !runs.is_empty()) {
        let lost: u64 = runs.iter().map(|run| run.lost).sum();
        let [p50, p99, p999] = [0, 1, 2].map(|place| delay(runs, place));
        let spoiled = runs.iter().filter(|slice| slice.is_spoiled()).count();
        let timers = runs.iter().map(|slice| slice.timer.p99).collect::<Vec<_>>();
        let timer = microseconds(middle(timers));
        let [told50, told99, told999] = [p50, p99, p999].map(microseconds);
        table.told(
            &format!("loopback, {pairs} pairs: {name}"),
            format!(
                "{:.2} µs a packet; delay p50 {told50} p99 {told99} p99.9 {told999}; {lost} lost; {spoiled} of {} \
                 slices while the host stood still; a bare timer beside p99 {timer}",
                cost(runs),
                runs.len()
            ),
        );
        table.raw(format!("relay.{pairs}.{key}.us_per_packet"), cost(runs));
        #[allow(clippy::cast_precision_loss)] // For people.
        for (quantile, value) in [("p50", p50), ("p99", p99), ("p999", p999)] {
            table.raw(format!("relay.{pairs}.{key}.{quantile}_ns"), value as f64);
        }
    }
    table
}

/// The middle slice's delay at a place of [`Slice::latency`].
fn delay(runs: &[Slice], place: usize) -> u64 {
    middle(runs.iter().map(|run| run.latency[place]).collect())
}

fn middle(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    quantile(&values, 0.5)
}
