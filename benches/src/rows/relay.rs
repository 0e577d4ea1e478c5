//! Connected pairs through one shard, beside rtpengine and bare forwarders under the same load.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use duogate_channel::counters::Counter;

use crate::floor::{self, Kind};
use crate::gateway::Gateway;
use crate::generator::{Generator, Outcome, Route, Streams};
use crate::process::{Process, kernel_drops, remark};
use crate::rows::MEASURED_CORE;
use crate::rtpengine::{self, Rtpengine};
use crate::table::{Table, median, milliseconds, quantile};

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
    latency: [u64; 2],
}

/// Runs all forwarders in turn, `repeats` times, and compares their medians.
///
/// # Errors
/// The system's, and Duogate's absence; an opponent that is not there is told and left out.
pub fn run(load: Load, folder: &Path) -> io::Result<Table> {
    let mut generator = Generator::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let warm_up = Duration::from_secs(1).min(load.duration);
    let mut runs: [Vec<Run>; 4] = Default::default();
    for number in 1..=load.repeats {
        remark(&format!("relay, {} pairs, round {number} of {}", load.pairs, load.repeats));
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
        latency: [quantile(&outcome.latencies, 0.5), quantile(&outcome.latencies, 0.99)],
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
    // It ends by itself, should the rig be gone.
    let lifetime = (load.duration + warm_up).as_secs() + 5;
    let arguments = [
        "floor".to_owned(),
        kind.name().to_owned(),
        format!("--pairs={}", load.pairs),
        format!("--far-end={}", generator.address()?),
        format!("--seconds={lifetime}"),
    ];
    let log = folder.join(format!("{}.log", kind.name()));
    let mut process =
        Process::start("floor", Some(MEASURED_CORE), &std::env::current_exe()?, &arguments, &log)?;
    std::thread::sleep(Duration::from_millis(500));
    if !process.runs() {
        return Err(io::Error::other(std::fs::read_to_string(&log)?));
    }
    let run = measure(generator, floor::routes(kind, load.pairs), load, warm_up, &process)?;
    remark(&format!("{}: {run:?}", kind.name()));
    Ok(run)
}

fn cost(runs: &[Run]) -> f64 {
    median(runs.iter().map(|run| run.cost).collect())
}

fn report(load: Load, runs: &[Vec<Run>; 4]) -> Table {
    let [duogate, rtpengine, uring, epoll] = runs;
    let mut table = Table::default();
    let ratio = cost(duogate) / cost(rtpengine);
    let what = format!("relay, {} pairs: CPU a packet, Duogate / rtpengine", load.pairs);
    table.judged(&what, format!("{ratio:.2}"), "<= 1.00", ratio <= 1.0);
    for (name, others) in [("bare io_uring", uring), ("bare epoll", epoll)] {
        table.told(
            &format!("relay: CPU a packet, Duogate / {name}"),
            format!("{:.2}", cost(duogate) / cost(others)),
        );
    }
    let (lost, astray) =
        (duogate.iter().map(|run| run.lost).sum::<u64>(), duogate.iter().map(|run| run.astray).sum::<u64>());
    let sent: u64 = duogate.iter().map(|run| run.sent).sum();
    let figure = format!("{lost} lost, {astray} astray of {sent}");
    table.judged("relay: lost inside Duogate", figure, "0 of 100,000/s", sent > 0 && lost + astray == 0);
    let names = ["Duogate", "rtpengine", "bare io_uring", "bare epoll"];
    for (name, runs) in names.iter().zip(runs) {
        let lost: u64 = runs.iter().map(|run| run.lost).sum();
        let middle = |place: usize| {
            let mut values: Vec<u64> = runs.iter().map(|run| run.latency[place]).collect();
            values.sort_unstable();
            quantile(&values, 0.5)
        };
        let figure = format!(
            "{:.2} us, there and back p50 {} p99 {}, {lost} lost",
            cost(runs),
            milliseconds(middle(0)),
            milliseconds(middle(1))
        );
        table.told(&format!("relay: CPU a packet, {name}"), figure);
    }
    table
}
