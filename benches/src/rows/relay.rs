//! Connected pairs through one shard, beside rtpengine and bare forwarders under the same load.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use duogate_channel::counters::Counter;

use crate::awake::Awake;
use crate::floor::{self, Kind};
use crate::gateway::Gateway;
use crate::generator::{Generator, Outcome, Route, Streams};
use crate::process::{Process, kernel_drops, remark};
use crate::rows::MEASURED_CORE;
use crate::rtpengine::{self, Rtpengine};
use crate::table::{Table, median, microseconds, quantile, thousands};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Connected pairs.
    pub pairs: u16,
    /// Length of each run.
    pub duration: Duration,
    /// Runs of each forwarder.
    pub repeats: usize,
    /// Without the opponents.
    pub alone: bool,
}

/// One forwarder's run.
#[derive(Clone, Debug)]
struct Run {
    /// Processor time of the forwarder for each packet that came back, in microseconds.
    cost: f64,
    /// Packets lost between the generator's sending and its receiving queue.
    lost: u64,
    sent: u64,
    astray: u64,
    /// Nanoseconds there and back: p50, p99, p99.9.
    latency: [u64; 3],
}

/// Runs all forwarders in turn, `repeats` times, and compares their medians.
///
/// # Errors
/// The system's, and Duogate's absence; an opponent that is not there is told and left out.
pub fn run(load: Load, folder: &Path) -> io::Result<Table> {
    let mut generator = Generator::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let _awake = Awake::keep(MEASURED_CORE)?;
    let warm_up = Duration::from_secs(1).min(load.duration);
    let mut runs: [Vec<Run>; 4] = Default::default();
    for number in 1..=load.repeats {
        remark(&format!("loopback, {} pairs, round {number} of {}", load.pairs, load.repeats));
        match duogate(&mut generator, load, warm_up, folder) {
            Ok(run) => runs[0].push(run),
            Err(error) => remark(&format!("duogate left out: {error}")),
        }
        if load.alone {
            continue;
        }
        match opponent(&mut generator, load, warm_up, folder) {
            Ok(run) => runs[1].push(run),
            Err(error) => remark(&format!("rtpengine left out: {error}")),
        }
        for (place, kind) in [(2, Kind::Uring), (3, Kind::Epoll)] {
            match bare(kind, &mut generator, load, warm_up, folder) {
                Ok(run) => runs[place].push(run),
                Err(error) => remark(&format!("{} left out: {error}", kind.name())),
            }
        }
    }
    Ok(report(load, &runs))
}

/// Warms up, then measures one run over the routes against the process that forwards them.
fn measure(
    generator: &mut Generator,
    routes: Vec<Route>,
    load: Load,
    warm_up: Duration,
    process: &Process,
) -> io::Result<Run> {
    let address = generator.address()?;
    let mut streams = Streams::new(routes);
    generator.run(&mut streams, warm_up)?;
    let (cpu, drops) = (process.cpu()?, kernel_drops(*address.ip(), address.port()));
    let outcome: Outcome = generator.run(&mut streams, load.duration)?;
    let (cpu, drops) =
        (process.cpu()? - cpu, kernel_drops(*address.ip(), address.port()).saturating_sub(drops));
    #[allow(clippy::cast_precision_loss)] // A quotient for people.
    let cost = cpu as f64 / 1e3 / outcome.received.max(1) as f64;
    Ok(Run {
        cost,
        lost: outcome.lost().saturating_sub(drops),
        sent: outcome.sent,
        astray: outcome.astray,
        latency: [0.5, 0.99, 0.999].map(|share| quantile(&outcome.latencies, share)),
    })
}

fn duogate(generator: &mut Generator, load: Load, warm_up: Duration, folder: &Path) -> io::Result<Run> {
    let mut gateway = Gateway::start(MEASURED_CORE, u32::from(load.pairs), folder)?;
    let pairs = gateway.open(usize::from(load.pairs), generator.address()?)?;
    let routes = gateway.join(&pairs)?;
    let drops = kernel_drops(gateway.address, 0);
    let run = measure(generator, routes, load, warm_up, &gateway.process)?;
    let drops = kernel_drops(gateway.address, 0).saturating_sub(drops);
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
    remark(&format!("duogate: {run:?}, kernel drops at its sockets {drops}; {}", told.join(", ")));
    gateway.close(&pairs)?;
    Ok(run)
}

fn opponent(generator: &mut Generator, load: Load, warm_up: Duration, folder: &Path) -> io::Result<Run> {
    let mut engine = Rtpengine::start(MEASURED_CORE, folder)?;
    let routes = engine.pairs(usize::from(load.pairs), generator.address()?)?;
    let drops = kernel_drops(rtpengine::ADDRESS, 0);
    let run = measure(generator, routes, load, warm_up, &engine.process)?;
    let drops = kernel_drops(rtpengine::ADDRESS, 0).saturating_sub(drops);
    remark(&format!("rtpengine: {run:?}, kernel drops at its sockets {drops}"));
    Ok(run)
}

fn bare(
    kind: Kind,
    generator: &mut Generator,
    load: Load,
    warm_up: Duration,
    folder: &Path,
) -> io::Result<Run> {
    let lifetime = load.duration + warm_up + Duration::from_secs(5);
    let (address, far_end) = (kind.address(), generator.address()?);
    let process = floor::start(None, kind, address, load.pairs, far_end, lifetime, folder)?;
    let run = measure(generator, floor::routes(address, load.pairs), load, warm_up, &process)?;
    remark(&format!("{}: {run:?}", kind.name()));
    Ok(run)
}

fn cost(runs: &[Run]) -> f64 {
    median(runs.iter().map(|run| run.cost).collect())
}

/// Who runs, for people and for the raw figures.
const NAMES: [(&str, &str); 4] =
    [("Duogate", "duogate"), ("rtpengine", "rtpengine"), ("bare io_uring", "uring"), ("bare epoll", "epoll")];

/// Goals at [`JUDGED`] pairs: processor time beside rtpengine's and beside the bare io_uring forwarder's.
const GOALS: [f64; 2] = [0.6, 1.1];
const JUDGED: u16 = 1000;

/// Goal of the added delay: the latency budget (500 µs where nothing else is set) and a little.
const GOAL_DELAY_NANOSECONDS: u64 = 600_000;

fn report(load: Load, runs: &[Vec<Run>; 4]) -> Table {
    let duogate = &runs[0];
    let pairs = load.pairs;
    let mut table = Table::default();
    let goals = [Some(GOALS[0]), Some(GOALS[1]), None];
    for (((name, _), others), goal) in NAMES.iter().zip(runs).skip(1).zip(goals) {
        if others.is_empty() || duogate.is_empty() {
            continue;
        }
        let ratio = cost(duogate) / cost(others);
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
        let [told50, told99, told999] = [p50, p99, p999].map(microseconds);
        table.told(
            &format!("loopback, {pairs} pairs: {name}"),
            format!(
                "{:.2} µs a packet; delay p50 {told50} p99 {told99} p99.9 {told999}; {lost} lost",
                cost(runs)
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

/// The middle run's delay at a place of [`Run::latency`].
fn delay(runs: &[Run], place: usize) -> u64 {
    let mut values: Vec<u64> = runs.iter().map(|run| run.latency[place]).collect();
    values.sort_unstable();
    quantile(&values, 0.5)
}
