//! What a packet costs as pairs grow, at a constant rate of packets.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::live::Bench;
use crate::process::remark;
use crate::rows::subject::{self, Subject};
use crate::table::{Table, median, thousands};

/// Numbers of pairs.
pub const PAIRS: [u16; 4] = [100, 1000, 5000, 20_000];

/// Measurements of each; their median counts.
const TRIES: usize = 5;
const TRY: Duration = Duration::from_millis(450);

/// Packets a second: what sockets carry with ease, and what keeps an XDP program busy.
const fn rate(subject: Subject) -> u64 {
    if subject.by_sockets() { 50_000 } else { 1_000_000 }
}

/// How far the cost may be from its mean over all numbers of pairs.
const FLAT: f64 = 0.2;

/// Measures each forwarder with each number of pairs.
///
/// # Errors
/// The cable cannot be laid; what does not start is told and left out.
pub fn run(subjects: &[Subject], folder: &Path) -> io::Result<Table> {
    let mut bench = Bench::new()?;
    let mut table = Table::default();
    for which in subjects {
        let mut costs = Vec::new();
        for pairs in PAIRS {
            match one(&mut bench, *which, pairs, folder) {
                // A host that allows few descriptors allows few sessions.
                Ok((open, _))
                    if open < usize::from(pairs) && costs.iter().any(|(pairs, _)| *pairs == open) => {}
                Ok(found) => costs.push(found),
                Err(error) => remark(&format!("{} with {pairs} pairs left out: {error}", which.name())),
            }
        }
        report(&mut table, *which, &costs);
    }
    Ok(table)
}

/// Nanoseconds of the measured core for each packet.
fn one(bench: &mut Bench, which: Subject, pairs: u16, folder: &Path) -> io::Result<(usize, f64)> {
    let started = subject::start(bench, which, pairs, folder)?;
    let mut costs = Vec::new();
    let mut loss = 0.0_f64;
    for _ in 0..TRIES {
        let cpu = started.cpu(bench)?;
        let flight = bench.fly(rate(which), TRY)?;
        #[allow(clippy::cast_precision_loss)] // A quotient for people.
        costs.push(started.cpu(bench)?.saturating_sub(cpu) as f64 / flight.received.max(1) as f64);
        loss = loss.max(flight.loss());
    }
    let pairs = started.pairs;
    started.stop(bench)?;
    let cost = median(costs);
    remark(&format!("{}, {pairs} pairs: {cost:.0} ns, loss up to {:.2} %", which.name(), loss * 100.0));
    Ok((pairs, cost))
}

#[allow(clippy::cast_precision_loss)] // Few of them.
fn report(table: &mut Table, which: Subject, costs: &[(usize, f64)]) {
    let [(least, _), .., (most, _)] = costs else { return };
    let mean = costs.iter().map(|(_, cost)| cost).sum::<f64>() / costs.len() as f64;
    let far = costs.iter().map(|(_, cost)| (cost / mean - 1.0).abs()).fold(0.0, f64::max);
    let figures: Vec<String> =
        costs.iter().map(|(pairs, cost)| format!("{} {cost:.0}", thousands(*pairs as u64))).collect();
    let what = format!(
        "time of a packet from {} to {} pairs at {}/s: {}, from its mean",
        thousands(*least as u64),
        thousands(*most as u64),
        thousands(rate(which)),
        which.name()
    );
    table.ratio(&what, format!("± {:.0} %", far * 100.0), "± 20 %", far <= FLAT && *most >= 20_000);
    table.told(&format!("time of a packet by pairs: {}", which.name()), format!("{} ns", figures.join(", ")));
    for (pairs, cost) in costs {
        table.raw(format!("growth.{}.{pairs}.ns_per_packet", which.key()), *cost);
    }
}
