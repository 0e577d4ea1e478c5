//! The highest rate that each forwarder carries without loss on one core, over a cable between two namespaces, and the
//! delay that it adds.

use std::io;
use std::path::Path;
use std::time::Duration;

use duogate_channel::counters::Counter;

use crate::live::{Bench, Flight};
use crate::process::remark;
use crate::rows::subject::{self, Started, Subject};
use crate::table::{Table, microseconds, thousands};

/// Packets a second that one pair sends.
const PACKETS_OF_A_PAIR: u64 = 100;

/// One try of a rate.
const TRY: Duration = Duration::from_millis(1200);

/// Tries of a rate before it is given up: a host that stands still for a millisecond is no forwarder's fault, and
/// befalls all alike.
const TRIES: u32 = 3;

/// The search ends when it knows the rate so well: 1 in 20.
const PRECISION: u64 = 20;

/// Loss that is none: of sockets, and of a veth's own ring of 256 at millions a second.
const SOCKETS_LOSS: f64 = 0.001;
const RING_LOSS: f64 = 0.003;

/// What one forwarder can.
#[derive(Clone, Debug)]
pub struct Capacity {
    subject: Subject,
    /// Pairs that were open.
    open: usize,
    /// Packets a second in.
    rate: u64,
    /// Loss at that rate.
    loss: f64,
    /// Nanoseconds of the measured core for each packet at that rate.
    cost: f64,
    /// The generator could not send more.
    by_generator: bool,
    /// Delay at [`delay_rate`]: p50, p99, p99.9.
    delays: [u64; 3],
    recorded: crate::recorded::Tally,
}

struct Try {
    flight: Flight,
    cost: f64,
}

/// How many pairs are open, and where the search begins.
const fn plan(subject: Subject) -> (u16, u64, u64) {
    match subject {
        // pairs, first rate, highest rate
        Subject::Epoll | Subject::Uring | Subject::Sockets => (2000, 90_000, 400_000),
        Subject::Rewriter | Subject::Program | Subject::Path => (20_000, 2_000_000, 2_600_000),
        Subject::Recorded => (10_000, 600_000, 1_200_000),
    }
}

/// Searches the capacity of each.
///
/// # Errors
/// The cable cannot be laid; a forwarder that does not start is told and left out.
pub fn run(subjects: &[Subject], folder: &Path) -> io::Result<Table> {
    let mut bench = Bench::new()?;
    let mut found = Vec::new();
    for which in subjects {
        match one(&mut bench, *which, folder) {
            Ok(capacity) => found.push(capacity),
            Err(error) => remark(&format!("{} left out: {error}", which.name())),
        }
    }
    Ok(report(&found))
}

fn one(bench: &mut Bench, subject: Subject, folder: &Path) -> io::Result<Capacity> {
    let (pairs, first, highest) = plan(subject);
    let mut started = subject::start(bench, subject, pairs, folder)?;
    let result = search(bench, &mut started, subject, first, highest);
    told_by(&mut started, subject);
    let recorded = started.stop(bench)?;
    result.map(|capacity| Capacity { recorded, ..capacity })
}

/// What Duogate itself says, for whoever looks into a figure.
fn told_by(started: &mut Started, subject: Subject) {
    let figures = [
        Counter::PacketsReceived,
        Counter::PacketsForwarded,
        Counter::DroppedKernel,
        Counter::DroppedNoBuffer,
        Counter::RecorderLost,
        Counter::PathForwarded,
        Counter::PathDuplicates,
        Counter::PathTapped,
        Counter::PathTapFull,
        Counter::PathPassedOff,
        Counter::PathPassedSequence,
        Counter::PathDirections,
        Counter::PathMoves,
    ];
    let told: Vec<String> =
        figures.iter().map(|which| format!("{} {}", which.name(), started.counter(*which))).collect();
    remark(&format!("{}: {}", subject.name(), told.join(", ")));
}

/// Up by quarters until a rate is lost, down by quarters until one is not, then between the two.
fn search(
    bench: &mut Bench,
    started: &mut Started,
    subject: Subject,
    first: u64,
    highest: u64,
) -> io::Result<Capacity> {
    let allowed = if subject.by_sockets() { SOCKETS_LOSS } else { RING_LOSS };
    let delays = delays(bench, subject)?;
    let (mut low, mut high) = (0, highest + highest / PRECISION);
    let mut best: Option<Try> = None;
    let mut rate = first;
    while low == 0 || high - low > low / PRECISION {
        match attempt(bench, started, rate, allowed)? {
            Some(passed) => {
                low = rate;
                let sent = passed.flight.sent;
                let full = sent * 100 >= passed.flight.due * 90;
                best = Some(passed);
                if !full {
                    break;
                }
            }
            None => high = rate,
        }
        remark(&format!("{}: {} to {}", subject.name(), thousands(low), thousands(high)));
        rate = if low == 0 { high * 3 / 4 } else { (low * 5 / 4).min(low.midpoint(high)).min(highest) };
        if rate < 1000 || rate == low {
            break;
        }
    }
    let Some(best) = best else { return Err(io::Error::other("no rate without loss")) };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // A rate of packets, whole and positive.
    let rate = best.flight.rate() as u64;
    let by_generator = best.flight.sent * 100 < best.flight.due * 95 || low >= highest;
    Ok(Capacity {
        subject,
        open: started.pairs,
        rate,
        loss: best.flight.loss(),
        cost: best.cost,
        by_generator,
        delays,
        recorded: crate::recorded::Tally::default(),
    })
}

fn attempt(bench: &mut Bench, started: &mut Started, rate: u64, allowed: f64) -> io::Result<Option<Try>> {
    for _ in 0..TRIES {
        let lost = started.lost_copies();
        let cpu = started.cpu(bench)?;
        let flight = bench.fly(rate, TRY)?;
        let cpu = started.cpu(bench)?.saturating_sub(cpu);
        let lost = started.lost_copies() - lost;
        #[allow(clippy::cast_precision_loss)] // A quotient for people.
        let cost = cpu as f64 / flight.received.max(1) as f64;
        remark(&format!(
            "  {} asked, {:.0} sent, loss {:.3} %, {} astray, {lost} copies lost, {cost:.0} ns",
            thousands(rate),
            flight.rate(),
            flight.loss() * 100.0,
            flight.astray
        ));
        if flight.received > 0 && flight.astray == 0 && lost == 0 && flight.loss() < allowed {
            return Ok(Some(Try { flight, cost }));
        }
        // Far beyond is not chance.
        if flight.loss() > allowed * 50.0 {
            break;
        }
    }
    Ok(None)
}

/// Packets a second at which delay is measured: 1,000 pairs', and half of that for sockets, which on the cable are not
/// far from their capacity then.
const fn delay_rate(subject: Subject) -> u64 {
    if subject.by_sockets() { 500 * PACKETS_OF_A_PAIR } else { 1000 * PACKETS_OF_A_PAIR }
}

/// The delay from the generator's stamp to the sink.
fn delays(bench: &mut Bench, subject: Subject) -> io::Result<[u64; 3]> {
    let flight = bench.fly(delay_rate(subject), Duration::from_secs(2))?;
    Ok([0.5, 0.99, 0.999].map(|share| flight.delay(share)))
}

fn report(found: &[Capacity]) -> Table {
    let mut table = Table::default();
    let of = |which: Subject| found.iter().find(|capacity| capacity.subject == which);
    ratio(&mut table, of(Subject::Sockets), of(Subject::Uring), 0.95);
    ratio(&mut table, of(Subject::Path), of(Subject::Rewriter), 0.85);
    ratio(&mut table, of(Subject::Path), of(Subject::Sockets), 12.0);
    ratio(&mut table, of(Subject::Program), of(Subject::Rewriter), 0.85);
    goal(&mut table, of(Subject::Program), 20_000, RING_LOSS);
    goal(&mut table, of(Subject::Path), 20_000, RING_LOSS);
    goal(&mut table, of(Subject::Recorded), 5_000, RING_LOSS);
    if let Some(path) = of(Subject::Path) {
        let p99 = path.delays[1];
        table.judged(
            "delay over the cable, Duogate, XDP: p99",
            microseconds(p99),
            "≤ 100 µs",
            p99 <= 100_000,
        );
    }
    for capacity in found {
        let Capacity { subject, rate, loss, cost, delays, .. } = capacity;
        let limit = if capacity.by_generator { ", all that the generator sends" } else { "" };
        let [p50, p99, p999] = delays.map(microseconds);
        table.told(
            &format!("capacity of a core: {}", subject.name()),
            format!(
                "{} packets/s ({} pairs{limit}; {} open), {cost:.0} ns each, loss {:.2} %; delay at {}/s p50 {p50} p99 {p99} p99.9 {p999}",
                thousands(*rate),
                thousands(rate / PACKETS_OF_A_PAIR),
                thousands(capacity.open as u64),
                loss * 100.0,
                thousands(delay_rate(*subject)),
            ),
        );
        raw(&mut table, capacity);
    }
    table
}

#[allow(clippy::cast_precision_loss)] // Figures for people.
fn raw(table: &mut Table, capacity: &Capacity) {
    let key = capacity.subject.key();
    table.raw(format!("capacity.{key}.packets_per_second"), capacity.rate as f64);
    table.raw(format!("capacity.{key}.loss"), capacity.loss);
    table.raw(format!("capacity.{key}.ns_per_packet"), capacity.cost);
    for (name, delay) in ["p50", "p99", "p999"].iter().zip(capacity.delays) {
        table.raw(format!("delay.{key}.{name}_ns"), delay as f64);
    }
}

#[allow(clippy::cast_precision_loss)] // Quotients for people.
fn ratio(table: &mut Table, ours: Option<&Capacity>, theirs: Option<&Capacity>, least: f64) {
    let (Some(ours), Some(theirs)) = (ours, theirs) else { return };
    let value = ours.rate as f64 / theirs.rate as f64;
    let what = format!("capacity of a core: {} / {}", ours.subject.name(), theirs.subject.name());
    table.ratio(&what, format!("{value:.2}"), &format!("≥ {least}"), value >= least);
    if ours.by_generator && theirs.by_generator {
        // Where neither could be filled, their cost tells them apart.
        let what =
            format!("time of a packet at capacity: {} / {}", ours.subject.name(), theirs.subject.name());
        table.ratio_told(&what, format!("{:.2}", ours.cost / theirs.cost));
    }
}

fn goal(table: &mut Table, capacity: Option<&Capacity>, pairs: u64, allowed: f64) {
    let Some(capacity) = capacity else { return };
    let tally = capacity.recorded;
    let whole = capacity.subject != Subject::Recorded
        || (tally.spoiled == 0 && tally.missing == 0 && tally.saved > 0);
    let met = capacity.rate / PACKETS_OF_A_PAIR >= pairs && capacity.loss < allowed && whole;
    let files = if capacity.subject == Subject::Recorded {
        format!(
            "; {} files whole, {} spoiled, {} packets missing, {} MB",
            tally.saved,
            tally.spoiled,
            tally.missing,
            tally.octets >> 20
        )
    } else {
        String::new()
    };
    table.judged(
        &format!("pairs of a core: {}", capacity.subject.name()),
        format!(
            "{} at {:.2} % loss{files}",
            thousands(capacity.rate / PACKETS_OF_A_PAIR),
            capacity.loss * 100.0
        ),
        &format!("≥ {} at < {:.1} %", thousands(pairs), allowed * 100.0),
        met,
    );
}
