//! What a packet costs as pairs grow, at a constant rate of packets.
//!
//! Each number of pairs has a forwarder of its own with exactly so many pairs, on a cable of its own, and all of them
//! are up at once: tables, snapshots and sweeps are as large as they are in use. They are flown in turn, a short flight
//! each, and a cost is judged beside those of the other numbers in the same round, a second or two away: a slow minute
//! of the host then slows them all, and does not look like growth. A flight in which the host stood still is flown
//! again.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::flight::Flight;
use crate::live::Bench;
use crate::process::remark;
use crate::rows::MEASURED_CORE;
use crate::rows::subject::{self, Started, Subject};
use crate::stalls::Stalls;
use crate::table::{Table, median, thousands};

/// Numbers of pairs.
pub const PAIRS: [u16; 4] = [100, 1000, 5000, 20_000];

/// Rounds; the median of each number's share in them counts.
const ROUNDS: usize = 7;
const FLIGHT: Duration = Duration::from_millis(300);

/// Flights that are flown once more because the host stood still, at most, of one forwarder.
const REPEATS: usize = 14;

/// Packets a second: what sockets carry with ease, and what keeps an XDP program busy.
const fn rate(subject: Subject) -> u64 {
    if subject.by_sockets() { 50_000 } else { 1_000_000 }
}

/// How far the cost may be from its mean over all numbers of pairs.
const FLAT: f64 = 0.2;

/// A forwarder with its pairs, and what they have cost.
struct Grown {
    bench: Bench,
    started: Started,
    /// Nanoseconds of a packet, round by round.
    costs: Vec<f64>,
    /// Of those, the process's.
    process: Vec<f64>,
    loss: f64,
}

/// Measures each forwarder with each number of pairs.
///
/// # Errors
/// The cables cannot be laid; what does not start is told and left out.
pub fn run(subjects: &[Subject], folder: &Path) -> io::Result<Table> {
    let first = Bench::new()?;
    let stalls = Stalls::watch(MEASURED_CORE)?;
    let mut table = Table::default();
    for which in subjects {
        let mut all = start(&first, *which, folder)?;
        let flown = fly(&mut all, *which, &stalls);
        report(&mut table, *which, &all);
        for Grown { mut bench, started, .. } in all {
            let _tally = started.stop(&mut bench)?;
        }
        flown?;
    }
    Ok(table)
}

/// Starts it with each number of pairs: with the most first, so that few have to wait long for their first flight.
fn start(first: &Bench, which: Subject, folder: &Path) -> io::Result<Vec<Grown>> {
    let mut all: Vec<Grown> = Vec::new();
    for pairs in PAIRS.into_iter().rev() {
        let folder = folder.join(format!("growth-{}-{pairs}", which.key()));
        std::fs::create_dir_all(&folder)?;
        let mut bench = first.another()?;
        match subject::start(&mut bench, which, pairs, &folder) {
            // A host that allows few descriptors allows few sessions.
            Ok(started) if all.iter().any(|other| other.started.pairs == started.pairs) => {
                let _tally = started.stop(&mut bench)?;
            }
            Ok(started) => {
                all.push(Grown { bench, started, costs: Vec::new(), process: Vec::new(), loss: 0.0 });
            }
            Err(error) => remark(&format!("{} with {pairs} pairs left out: {error}", which.name())),
        }
    }
    all.reverse();
    Ok(all)
}

/// Flies them in turn.
fn fly(all: &mut [Grown], which: Subject, stalls: &Stalls) -> io::Result<()> {
    let mut repeats = REPEATS;
    for _ in 0..ROUNDS {
        for grown in &mut *all {
            let flight = still(grown, which, stalls, &mut repeats)?;
            #[allow(clippy::cast_precision_loss)] // A quotient for people.
            grown.process.push(flight.process as f64 / flight.received.max(1) as f64);
            grown.costs.push(flight.cost());
            grown.loss = grown.loss.max(flight.loss());
        }
    }
    for Grown { started, costs, process, loss, .. } in all {
        remark(&format!(
            "{}, {} pairs: {:.0} ns ({costs:.0?}), of which the process {:.0} ({process:.0?}), loss up to {:.2} %",
            which.name(),
            thousands(started.pairs as u64),
            median(costs.clone()),
            median(process.clone()),
            *loss * 100.0,
        ));
    }
    Ok(())
}

/// A flight in which the host did not stand still, if there are repeats enough.
fn still(grown: &mut Grown, which: Subject, stalls: &Stalls, repeats: &mut usize) -> io::Result<Flight> {
    loop {
        grown.started.listen()?;
        let _before = stalls.take();
        let flight = grown.started.fly(&mut grown.bench, rate(which), FLIGHT)?;
        if !stalls.take().is_stall() || *repeats == 0 {
            return Ok(flight);
        }
        *repeats -= 1;
    }
}

/// The cost of each number of pairs beside the mean of all in the same round: the median over the rounds.
#[allow(clippy::cast_precision_loss)] // Few of them.
fn shares(costs: &[&[f64]]) -> Vec<f64> {
    let rounds = costs.iter().map(|costs| costs.len()).min().unwrap_or(0);
    let mean = |round: usize| costs.iter().map(|costs| costs[round]).sum::<f64>() / costs.len() as f64;
    let share = |costs: &&[f64]| median((0..rounds).map(|round| costs[round] / mean(round)).collect());
    costs.iter().map(share).collect()
}

fn report(table: &mut Table, which: Subject, all: &[Grown]) {
    let [least, .., most] = all else { return };
    let costs: Vec<&[f64]> = all.iter().map(|grown| grown.costs.as_slice()).collect();
    let shares = shares(&costs);
    let far = shares.iter().map(|share| (share - 1.0).abs()).fold(0.0, f64::max);
    let pairs = |grown: &Grown| thousands(grown.started.pairs as u64);
    let cost = |grown: &Grown| median(grown.costs.clone());
    let what = format!(
        "time of a packet from {} to {} pairs at {}/s: {}, from its mean",
        pairs(least),
        pairs(most),
        thousands(rate(which)),
        which.name()
    );
    let met = far <= FLAT && most.started.pairs >= 20_000;
    table.ratio(&what, format!("± {:.0} %", far * 100.0), "± 20 %", met);
    let figures: Vec<String> = all
        .iter()
        .zip(&shares)
        .map(|(grown, share)| format!("{} {:.0} ({share:.2})", pairs(grown), cost(grown)))
        .collect();
    let what = format!("time of a packet by pairs (beside the mean of the same second): {}", which.name());
    table.told(&what, format!("{} ns", figures.join(", ")));
    for grown in all {
        let key = format!("growth.{}.{}.ns_per_packet", which.key(), grown.started.pairs);
        table.raw(key, cost(grown));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_round_is_no_growth() {
        let shares = shares(&[&[100.0, 300.0, 100.0], &[100.0, 300.0, 100.0], &[130.0, 390.0, 900.0]]);
        let mean = (100.0 + 100.0 + 130.0) / 3.0;
        for (share, cost) in shares.iter().zip([100.0, 100.0, 130.0]) {
            assert!((share - cost / mean).abs() < 1e-9, "{shares:?}");
        }
    }
}
