//! Connected pairs through one shard, beside rtpengine and bare forwarders under the same load.
//!
//! All of them run at once, and each is given the load in turn for a short slice, so that whatever the host does befalls
//! all alike; what is judged is the median of the quotients of slices that follow each other.
//!
//! The core belongs to whoever forwards: all have the same real-time priority, Duogate by its own setting
//! (`media.realtime_priority`).
//!
//! What a packet costs depends on how long packets are gathered, and so does their delay: a forwarder that gathers longer
//! is cheaper. So Duogate runs with two latency budgets, its own and twice that, and each is judged beside the bare
//! io_uring forwarder that delays packets as much; what they promise, a delay of the budget and 100 µs, is judged as well.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use duogate_channel::counters::Counter;

use crate::awake::Awake;
use crate::floor::{self, Kind};
use crate::gateway::{Gateway, Pair, Setup, fresh_address};
use crate::generator::{Generator, Route, Streams};
use crate::process::{FIRST, Process, kernel_drops, remark};
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
    who: Who,
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
    for who in Who::ALL.into_iter().filter(|who| who.runs(load)) {
        match start(who, &generator, load, folder) {
            Ok(subject) => subjects.push(subject),
            Err(error) => remark(&format!("{} left out: {error}", who.name())),
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
                remark(&format!("{}: once more, the host stood still: {slice:?}", subject.who.name()));
                repeats -= 1;
            };
            remark(&format!("{}: {slice:?}", subject.who.name()));
            subject.slices.push(slice);
        }
    }
    let mut runs = Runs::default();
    for subject in subjects {
        let place = subject.who as usize;
        runs.0[place] = subject.stop()?;
    }
    Ok(report(load, &runs))
}

fn start(who: Who, generator: &Generator, load: Load, folder: &Path) -> io::Result<Subject> {
    let far_end = generator.address()?;
    let (running, address, routes) = match who {
        Who::Duogate => duogate(None, far_end, load, folder)?,
        Who::Patient => duogate(Some(PATIENT_MICROSECONDS), far_end, load, folder)?,
        Who::Rtpengine => {
            let mut engine = Rtpengine::start(MEASURED_CORE, folder)?;
            engine.process.put_first()?;
            let routes = engine.pairs(usize::from(load.pairs), far_end)?;
            (Running::Engine(engine), rtpengine::ADDRESS, routes)
        }
        Who::Uring => bare(Kind::Uring, far_end, load, folder)?,
        Who::Prompt => bare(Kind::Prompt, far_end, load, folder)?,
        Who::Epoll => bare(Kind::Epoll, far_end, load, folder)?,
    };
    Ok(Subject { who, running, address, streams: Streams::new(routes), slices: Vec::new() })
}

/// With a latency budget of so many microseconds, or with its own.
fn duogate(
    budget: Option<u32>,
    far_end: SocketAddrV4,
    load: Load,
    folder: &Path,
) -> io::Result<(Running, Ipv4Addr, Vec<Route>)> {
    let folder =
        folder.join(budget.map_or_else(|| "duogate".to_owned(), |budget| format!("duogate-{budget}")));
    std::fs::create_dir_all(&folder)?;
    let addresses = [fresh_address()];
    let setup = Setup::new(MEASURED_CORE, u32::from(load.pairs), &folder, &addresses);
    let setup = Setup { latency_budget_microseconds: budget, realtime_priority: FIRST, ..setup };
    let mut gateway = Gateway::start_as(&setup)?;
    let pairs = gateway.open(usize::from(load.pairs), far_end)?;
    let routes = gateway.join(&pairs)?;
    let address = gateway.address;
    Ok((Running::Gateway(Box::new(gateway), pairs), address, routes))
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
    process.put_first()?;
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
        remark(&format!("{}: kernel drops at its sockets {drops}", self.who.name()));
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

/// Who runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    /// As it is.
    Duogate,
    /// The same with a latency budget of [`PATIENT_MICROSECONDS`].
    Patient,
    Rtpengine,
    /// The bare io_uring forwarder that gathers 500 µs, from when it has sent what it had: it delays as much as `Patient`.
    Uring,
    /// The one that gathers 200 µs: it delays as much as `Duogate`.
    Prompt,
    Epoll,
}

/// Twice the latency budget that is the default.
const PATIENT_MICROSECONDS: u32 = 1000;

impl Who {
    const ALL: [Self; 6] =
        [Self::Duogate, Self::Patient, Self::Rtpengine, Self::Uring, Self::Prompt, Self::Epoll];

    /// For people.
    const fn name(self) -> &'static str {
        match self {
            Self::Duogate => "Duogate",
            Self::Patient => "Duogate with a budget of 1 ms",
            Self::Rtpengine => "rtpengine",
            Self::Uring => "bare io_uring",
            Self::Prompt => "bare io_uring that waits 200 µs",
            Self::Epoll => "bare epoll",
        }
    }

    /// For the raw figures.
    const fn key(self) -> &'static str {
        match self {
            Self::Duogate => "duogate",
            Self::Patient => "duogate_patient",
            Self::Rtpengine => "rtpengine",
            Self::Uring => "uring",
            Self::Prompt => "uring_prompt",
            Self::Epoll => "epoll",
        }
    }

    /// Delays are compared at [`JUDGED`] pairs only.
    fn runs(self, load: Load) -> bool {
        match self {
            Self::Duogate => true,
            Self::Patient | Self::Prompt => !load.alone && load.pairs == JUDGED,
            Self::Rtpengine | Self::Uring | Self::Epoll => !load.alone,
        }
    }
}

/// The slices of each, by place in [`Who::ALL`].
#[derive(Default)]
struct Runs([Vec<Slice>; 6]);

impl Runs {
    fn of(&self, who: Who) -> &[Slice] {
        &self.0[who as usize]
    }
}

/// Where goals are judged.
const JUDGED: u16 = 1000;

/// Whose processor time is compared with whose, and the goal at [`JUDGED`] pairs, if there is one. Without one: who
/// gathers longer, or not at all.
const QUOTIENTS: [(Who, Who, Option<f64>); 5] = [
    (Who::Duogate, Who::Rtpengine, Some(0.6)),
    (Who::Duogate, Who::Prompt, Some(1.1)),
    (Who::Patient, Who::Uring, Some(1.1)),
    (Who::Duogate, Who::Uring, None),
    (Who::Duogate, Who::Epoll, None),
];

/// Goals of the added delay, in nanoseconds: the latency budget (500 µs where nothing else is set) and 100 µs.
const DELAYS: [(Who, u64); 2] = [(Who::Duogate, 600_000), (Who::Patient, 1_100_000)];

fn report(load: Load, runs: &Runs) -> Table {
    let pairs = load.pairs;
    let mut table = Table::default();
    for (ours, theirs, goal) in QUOTIENTS {
        if runs.of(ours).is_empty() || runs.of(theirs).is_empty() {
            continue;
        }
        let ratio = paired(runs.of(ours), runs.of(theirs));
        let what = format!("loopback, {pairs} pairs: CPU a packet, {} / {}", ours.name(), theirs.name());
        match goal.filter(|_| pairs == JUDGED) {
            Some(goal) => table.ratio(&what, format!("{ratio:.2}"), &format!("≤ {goal:.2}"), ratio <= goal),
            None => table.ratio_told(&what, format!("{ratio:.2}")),
        }
    }
    for ours in [Who::Duogate, Who::Patient] {
        whole(&mut table, pairs, ours, runs.of(ours));
    }
    for (ours, goal) in DELAYS.into_iter().filter(|_| pairs == JUDGED) {
        if !runs.of(ours).is_empty() {
            let p99 = delay(runs.of(ours), 1);
            let what = format!("loopback, {pairs} pairs: added delay p99, {}", ours.name());
            table.judged(&what, microseconds(p99), &format!("≤ {}", microseconds(goal)), p99 <= goal);
        }
    }
    for who in Who::ALL {
        tell(&mut table, pairs, who, runs.of(who));
    }
    table
}

/// Nothing is lost inside Duogate.
fn whole(table: &mut Table, pairs: u16, who: Who, runs: &[Slice]) {
    if runs.is_empty() {
        return;
    }
    let sum = |of: fn(&Slice) -> u64| runs.iter().map(of).sum::<u64>();
    let (lost, astray, sent) = (sum(|run| run.lost), sum(|run| run.astray), sum(|run| run.sent));
    let figure = format!("{lost} lost, {astray} astray of {}", thousands(sent));
    let what = format!("loopback, {pairs} pairs: lost inside {}", who.name());
    table.judged(&what, figure, "0", sent > 0 && lost + astray == 0);
}

/// Everything about one of them.
fn tell(table: &mut Table, pairs: u16, who: Who, runs: &[Slice]) {
    if runs.is_empty() {
        return;
    }
    let (name, key) = (who.name(), who.key());
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

/// The middle slice's delay at a place of [`Slice::latency`].
fn delay(runs: &[Slice], place: usize) -> u64 {
    middle(runs.iter().map(|run| run.latency[place]).collect())
}

fn middle(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    quantile(&values, 0.5)
}
