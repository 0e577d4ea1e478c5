//! The highest rate that each forwarder carries without loss on one core, over a cable between two namespaces, and the
//! delay that it adds.

use std::io;
use std::path::Path;
use std::time::Duration;

use duogate_channel::counters::Counter;

use crate::live::{Bench, Flight};
use crate::process::remark;
use crate::rows::MEASURED_CORE;
use crate::rows::subject::{self, Started, Subject};
use crate::stalls::Stalls;
use crate::table::{Table, microseconds, thousands};

/// Packets a second that one pair sends.
const PACKETS_OF_A_PAIR: u64 = 100;

/// One try of a rate.
const TRY: Duration = Duration::from_millis(600);

/// Tries of a rate before it is given up.
const TRIES: u32 = 3;

/// More tries of a rate, at most, where the host stood still in one: no forwarder's fault.
const SPOILED_TRIES: u32 = 2;

/// From this lateness of a bare timer on the measured core on the host stood still, in nanoseconds: a socket's queue holds
/// more than a millisecond, a veth's ring at 2 Mpps a tenth of that.
const STOOD_STILL: u64 = 1_000_000;

/// Searches of forwarders by sockets, one after the other in turn: what is judged is the mean of the quotients of two
/// that follow each other.
const ROUNDS: usize = 2;

/// Pairs that are recorded for the files' sake, at the rate that they send: what the search found is made of overloads,
/// which no file stays whole in.
const RECORDED_PAIRS: u16 = 5_000;
/// For so long.
const RECORDED_TIME: Duration = Duration::from_secs(4);

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
}

/// What became of the files of recorded pairs.
struct Files {
    pairs: usize,
    flight: Flight,
    /// Packets that were copied for the files, and copies that found the ring full.
    copied: u64,
    refused: u64,
    /// Processor time of all of the gateway's threads and of polling, as a share of one core.
    busy: f64,
    tally: crate::recorded::Tally,
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
    let stalls = Stalls::watch(MEASURED_CORE)?;
    let mut rounds: Vec<Vec<Capacity>> = Vec::new();
    for round in 0..ROUNDS {
        let mut found = Vec::new();
        for which in subjects.iter().filter(|which| round == 0 || in_turn(**which)) {
            match one(&mut bench, &stalls, *which, folder) {
                Ok(capacity) => found.push(capacity),
                Err(error) => remark(&format!("{} left out: {error}", which.name())),
            }
        }
        rounds.push(found);
    }
    let files = subjects.contains(&Subject::Recorded).then(|| files(&mut bench, folder)).transpose()?;
    Ok(report(&rounds, files))
}

/// Sends at one rate for a while through each, and tells what became of it: to profile.
///
/// # Errors
/// The cable cannot be laid, or a forwarder does not start.
pub fn at(
    subjects: &[Subject],
    pairs: u16,
    rate: u64,
    duration: Duration,
    folder: &Path,
) -> io::Result<Table> {
    let mut bench = Bench::new()?;
    for which in subjects {
        let mut started = subject::start(&mut bench, *which, pairs, folder)?;
        remark(&format!("{}: {} pairs open", which.name(), thousands(started.pairs as u64)));
        let cpu = started.cpu(&bench)?;
        let flight = bench.fly(rate, duration)?;
        let cpu = started.cpu(&bench)?.saturating_sub(cpu);
        told_by(&mut started, *which);
        let tally = started.stop(&mut bench)?;
        remark(&format!(
            "{} at {}/s: {:.0} sent, {}, {} ns each, p50 {} p99 {}; {tally:?}",
            which.name(),
            thousands(rate),
            flight.rate(),
            flight.losses(),
            cpu / flight.received.max(1),
            microseconds(flight.delay(0.5)),
            microseconds(flight.delay(0.99)),
        ));
    }
    Ok(Table::default())
}

/// Is it searched [`ROUNDS`] times?
const fn in_turn(subject: Subject) -> bool {
    matches!(subject, Subject::Uring | Subject::Sockets)
}

/// Records [`RECORDED_PAIRS`] for a while; tells what became of the files.
#[allow(clippy::cast_precision_loss)] // Figures for people.
fn files(bench: &mut Bench, folder: &Path) -> io::Result<Files> {
    let mut started = subject::start(bench, Subject::Recorded, RECORDED_PAIRS, folder)?;
    let pairs = started.pairs;
    let counts = [Counter::PathTapped, Counter::PathTapFull];
    let before = counts.map(|which| started.counter(which));
    let cpu = started.cpu(bench)?;
    let flight = bench.fly(pairs as u64 * PACKETS_OF_A_PAIR, RECORDED_TIME)?;
    let cpu = started.cpu(bench)?.saturating_sub(cpu);
    // The gateway counts once a second.
    let _lost = started.lost_copies();
    let [copied, refused] = [0, 1].map(|place| started.counter(counts[place]) - before[place]);
    let tally = started.stop(bench)?;
    let busy = cpu as f64 / 1e9 / flight.seconds;
    remark(&format!(
        "files: {}; {copied} copied, {refused} refused, {busy:.2} of a core; {tally:?}",
        flight.losses()
    ));
    Ok(Files { pairs, flight, copied, refused, busy, tally })
}

fn one(bench: &mut Bench, stalls: &Stalls, subject: Subject, folder: &Path) -> io::Result<Capacity> {
    let mut started = subject::start(bench, subject, plan(subject).0, folder)?;
    let result = search(bench, stalls, &mut started, subject);
    told_by(&mut started, subject);
    let _tally = started.stop(bench)?;
    result
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
    stalls: &Stalls,
    started: &mut Started,
    subject: Subject,
) -> io::Result<Capacity> {
    let (_, first, highest) = plan(subject);
    let allowed = if subject.by_sockets() { SOCKETS_LOSS } else { RING_LOSS };
    let delays = delays(bench, subject)?;
    let (mut low, mut high) = (0, highest + highest / PRECISION);
    let mut best: Option<Try> = None;
    let mut rate = first;
    while low == 0 || high - low > low / PRECISION {
        match attempt(bench, stalls, started, rate, allowed)? {
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
    })
}

fn attempt(
    bench: &mut Bench,
    stalls: &Stalls,
    started: &mut Started,
    rate: u64,
    allowed: f64,
) -> io::Result<Option<Try>> {
    let (mut tries, mut spoiled) = (0, 0);
    while tries < TRIES {
        let lost = started.lost_copies();
        let cpu = started.cpu(bench)?;
        let _before = stalls.take();
        let flight = bench.fly(rate, TRY)?;
        let late = stalls.take().worst;
        let cpu = started.cpu(bench)?.saturating_sub(cpu);
        let lost = started.lost_copies() - lost;
        #[allow(clippy::cast_precision_loss)] // A quotient for people.
        let cost = cpu as f64 / flight.received.max(1) as f64;
        remark(&format!(
            "  {} asked, {:.0} sent, {}, {} astray, {lost} copies lost, {cost:.0} ns; a timer late by {}",
            thousands(rate),
            flight.rate(),
            flight.losses(),
            flight.astray,
            microseconds(late)
        ));
        if flight.received > 0 && flight.astray == 0 && lost == 0 && flight.loss() < allowed {
            return Ok(Some(Try { flight, cost }));
        }
        // Far beyond is not chance.
        if flight.loss() > allowed * 50.0 || lost * 100 > flight.received {
            break;
        }
        if late > STOOD_STILL && spoiled < SPOILED_TRIES {
            spoiled += 1;
        } else {
            tries += 1;
        }
    }
    Ok(None)
}

/// Packets a second at which delay is measured: 1,000 pairs', and half of that for sockets, which on the cable are not
/// far from their capacity then.
const fn delay_rate(subject: Subject) -> u64 {
    if subject.by_sockets() { 500 * PACKETS_OF_A_PAIR } else { 1000 * PACKETS_OF_A_PAIR }
}

/// The delay from the generator's stamp to the sink: of three flights, the one in the middle by its p99. A host that
/// stands still for milliseconds spoils the tail of a flight, whoever forwards.
fn delays(bench: &mut Bench, subject: Subject) -> io::Result<[u64; 3]> {
    let mut flights = Vec::new();
    for _ in 0..3 {
        let flight = bench.fly(delay_rate(subject), Duration::from_secs(1))?;
        flights.push([0.5, 0.99, 0.999].map(|share| flight.delay(share)));
    }
    flights.sort_by_key(|[_, p99, _]| *p99);
    Ok(flights[1])
}

fn report(rounds: &[Vec<Capacity>], files: Option<Files>) -> Table {
    let mut table = Table::default();
    let found: Vec<&Capacity> = rounds.first().into_iter().flatten().collect();
    let found: Vec<&Capacity> =
        found.iter().map(|first| middle(rounds, first.subject).unwrap_or(first)).collect();
    let of = |which: Subject| found.iter().find(|capacity| capacity.subject == which).copied();
    in_turns(&mut table, rounds);
    ratio(&mut table, of(Subject::Path), of(Subject::Rewriter), 0.85);
    ratio(&mut table, of(Subject::Path), of(Subject::Sockets), 12.0);
    ratio(&mut table, of(Subject::Program), of(Subject::Rewriter), 0.85);
    goal(&mut table, of(Subject::Program), 20_000, RING_LOSS);
    goal(&mut table, of(Subject::Path), 20_000, RING_LOSS);
    goal(&mut table, of(Subject::Recorded), 5_000, RING_LOSS);
    if let Some(files) = files {
        whole(&mut table, &files);
    }
    if let Some(path) = of(Subject::Path) {
        let p99 = path.delays[1];
        table.judged(
            "delay over the cable, Duogate, XDP: p99",
            microseconds(p99),
            "≤ 100 µs",
            p99 <= 100_000,
        );
    }
    for capacity in &found {
        let Capacity { subject, rate, loss, cost, delays, .. } = *capacity;
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

/// Of all searches of a forwarder the one with the middle rate.
fn middle(rounds: &[Vec<Capacity>], subject: Subject) -> Option<&Capacity> {
    let mut all: Vec<&Capacity> = rounds.iter().flatten().filter(|one| one.subject == subject).collect();
    all.sort_by_key(|one| one.rate);
    all.get(all.len() / 2).copied()
}

/// Duogate's sockets beside the bare io_uring forwarder, search by search.
#[allow(clippy::cast_precision_loss)] // Quotients for people.
fn in_turns(table: &mut Table, rounds: &[Vec<Capacity>]) {
    let rate = |round: &[Capacity], which| {
        round.iter().find(|one| one.subject == which).map(|one: &Capacity| one.rate as f64)
    };
    let quotients: Vec<f64> = rounds
        .iter()
        .filter_map(|round| Some(rate(round, Subject::Sockets)? / rate(round, Subject::Uring)?))
        .collect();
    if quotients.is_empty() {
        return;
    }
    let value = quotients.iter().sum::<f64>() / quotients.len() as f64;
    let each: Vec<String> = quotients.iter().map(|quotient| format!("{quotient:.2}")).collect();
    let what = format!("capacity of a core: {} / {}", Subject::Sockets.name(), Subject::Uring.name());
    table.ratio(&what, format!("{value:.2} ({})", each.join(", ")), "≥ 0.95", value >= 0.95);
}

/// The files of pairs that are recorded at the rate that they send. What the cable lost before the program is no more in
/// them than in any phone call: they are judged by what entered the program, and nothing but that may be missing.
fn whole(table: &mut Table, files: &Files) {
    let Files { pairs, flight, copied, refused, busy, tally } = files;
    let cable = flight.counts.lost_before;
    table.judged(
        "files of recorded pairs on the XDP path",
        format!(
            "{} of {} whole, {} MB; sent {}, of which the cable lost {cable} and the files lack {}; copied {}, refused \
             by a full ring {refused}; {} gaps; {busy:.2} of a core",
            thousands(tally.saved as u64),
            thousands(*pairs as u64),
            tally.octets >> 20,
            thousands(flight.sent),
            tally.lost + tally.missing,
            thousands(*copied),
            tally.gaps,
        ),
        &format!("all of ≥ {}, no gap", thousands(u64::from(RECORDED_PAIRS))),
        *pairs >= usize::from(RECORDED_PAIRS)
            && tally.saved == *pairs
            && tally.spoiled == 0
            && tally.missing == 0
            && *refused == 0
            && *copied == flight.counts.entered
            // Each packet that the cable lost leaves a gap, unless it was a stream's first or last.
            && tally.lost <= cable
            && tally.gaps <= cable
            && flight.loss() < RING_LOSS
            && *busy <= 1.0,
    );
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
    let met = capacity.rate / PACKETS_OF_A_PAIR >= pairs && capacity.loss < allowed;
    table.judged(
        &format!("pairs of a core: {}", capacity.subject.name()),
        format!("{} at {:.2} % loss", thousands(capacity.rate / PACKETS_OF_A_PAIR), capacity.loss * 100.0),
        &format!("≥ {} at < {:.1} %", thousands(pairs), allowed * 100.0),
        met,
    );
}
