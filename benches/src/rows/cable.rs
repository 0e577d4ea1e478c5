//! The highest rate that each forwarder carries without loss on one core, over a cable between two namespaces, and the
//! delay that it adds.
//!
//! Those that forward in the kernel are up at once, each on a cable of its own, and take turns flight by flight: what is
//! compared was measured in the same seconds, whatever the host did meanwhile.

use std::io;
use std::path::Path;
use std::time::Duration;

use duogate_channel::counters::Counter;

use crate::flight::Flight;
use crate::live::Bench;
use crate::process::remark;
use crate::rows::delay::{self, delay_rate};
use crate::rows::files::{self, Files};
use crate::rows::subject::{self, Started, Subject};
use crate::rows::{GENERATOR_CORE, MEASURED_CORE};
use crate::stalls::Stalls;
use crate::table::{Table, microseconds, thousands};

/// Packets a second that one pair sends.
pub const PACKETS_OF_A_PAIR: u64 = 100;

/// One try of a rate.
const TRY: Duration = Duration::from_millis(600);

/// Tries of a rate before it is given up.
const TRIES: u32 = 3;

/// More tries of a rate, at most, where the host stood still in one: no forwarder's fault.
const SPOILED_TRIES: u32 = 2;

/// From this lateness of a bare timer on the measured core on the host stood still, in nanoseconds: a socket's queue holds
/// more than a millisecond, a veth's ring at 2 Mpps a tenth of that.
const STOOD_STILL: u64 = 1_000_000;

/// Searches of those that are compared, in turn: what is judged is the mean of the quotients of two that follow each
/// other.
const ROUNDS: usize = 2;

/// The search ends when it knows the rate so well: 1 in 20.
const PRECISION: u64 = 20;

/// Loss of sockets that is none.
const SOCKETS_LOSS: f64 = 0.001;
/// Loss of a veth's own ring of 256 at millions a second.
pub const RING_LOSS: f64 = 0.003;

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

/// How many pairs are open, and where the search begins.
const fn plan(subject: Subject) -> (u16, u64, u64) {
    match subject {
        // pairs, first rate, highest rate
        Subject::Epoll => (2000, 90_000, 400_000),
        Subject::Uring | Subject::Sockets => (2000, 140_000, 400_000),
        Subject::Rewriter | Subject::Program | Subject::Path => (20_000, 2_000_000, 2_600_000),
        Subject::Recorded => (10_000, 600_000, 1_200_000),
    }
}

/// Searches the capacity of each.
///
/// # Errors
/// The cable cannot be laid; a forwarder that does not start is told and left out.
pub fn run(subjects: &[Subject], folder: &Path) -> io::Result<Table> {
    let bench = Bench::new()?;
    let stalls = [Stalls::watch(MEASURED_CORE)?, Stalls::watch(GENERATOR_CORE)?];
    let mut rounds: Vec<Vec<Capacity>> = vec![Vec::new(); ROUNDS];
    for (round, found) in rounds.iter_mut().enumerate() {
        let alone = |which: &Subject| !which.by_kernel() && (round == 0 || in_turn(*which));
        for which in subjects.iter().copied().filter(alone) {
            match together(&bench, &stalls, &[which], 1, folder) {
                Ok(all) => found.extend(all.into_iter().flatten()),
                Err(error) => remark(&format!("{} left out: {error}", which.name())),
            }
        }
    }
    let kernel: Vec<Subject> = subjects.iter().copied().filter(|which| which.by_kernel()).collect();
    let all = together(&bench, &stalls, &kernel, ROUNDS, folder)?;
    rounds.iter_mut().zip(all).for_each(|(found, all)| found.extend(all));
    let recorded = subjects.contains(&Subject::Recorded);
    let files = recorded.then(|| files::record(&bench, folder)).transpose()?;
    Ok(report(&rounds, files.as_ref()))
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
        let flight = started.fly(&mut bench, rate, duration)?;
        told_by(&mut started, *which);
        let tally = started.stop(&mut bench)?;
        remark(&format!(
            "{} at {}/s: {:.0} sent, {}, {:.0} ns each, p50 {} p99 {}; {tally:?}",
            which.name(),
            thousands(rate),
            flight.rate(),
            flight.losses(),
            flight.cost(),
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

/// A forwarder that is up.
pub struct Up {
    pub(crate) subject: Subject,
    pub(crate) bench: Bench,
    pub(crate) started: Started,
}

/// Starts these, each on a cable of its own; measures their delays and searches their capacities, round by round. What
/// does not start is told and left out.
fn together(
    bench: &Bench,
    stalls: &[Stalls; 2],
    subjects: &[Subject],
    rounds: usize,
    folder: &Path,
) -> io::Result<Vec<Vec<Capacity>>> {
    let mut all = Vec::new();
    for subject in subjects.iter().copied() {
        let mut bench = bench.another()?;
        match subject::start(&mut bench, subject, plan(subject).0, folder) {
            Ok(started) => all.push(Up { subject, bench, started }),
            Err(error) => remark(&format!("{} left out: {error}", subject.name())),
        }
    }
    let delays = delay::in_turn(&mut all, stalls)?;
    let mut found = Vec::new();
    for _ in 0..rounds {
        let mut searches: Vec<Search> = all.iter().map(|up| Search::new(up.subject)).collect();
        while searches.iter().any(|search| !search.is_over()) {
            for (search, up) in searches.iter_mut().zip(&mut all).filter(|(search, _)| !search.is_over()) {
                search.step(up, &stalls[0])?;
            }
        }
        let round = searches.into_iter().zip(&all).zip(&delays);
        found.push(round.filter_map(|((search, up), delays)| search.found(&up.started, *delays)).collect());
    }
    for Up { subject, mut bench, mut started } in all {
        told_by(&mut started, subject);
        let _tally = started.stop(&mut bench)?;
    }
    Ok(found)
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
struct Search {
    subject: Subject,
    low: u64,
    high: u64,
    /// The next rate to try; `None`: it is over.
    rate: Option<u64>,
    best: Option<Flight>,
}

impl Search {
    const fn new(subject: Subject) -> Self {
        let (_, first, highest) = plan(subject);
        Self { subject, low: 0, high: highest + highest / PRECISION, rate: Some(first), best: None }
    }

    const fn is_over(&self) -> bool {
        self.rate.is_none()
    }

    /// Tries one rate.
    fn step(&mut self, up: &mut Up, stalls: &Stalls) -> io::Result<()> {
        let Some(rate) = self.rate else { return Ok(()) };
        let mut full = true;
        match attempt(up, stalls, rate)? {
            Some(passed) => {
                self.low = rate;
                full = is_full(&passed);
                self.best = Some(passed);
            }
            None => self.high = rate,
        }
        let Self { low, high, .. } = *self;
        remark(&format!("{}: {} to {}", self.subject.name(), thousands(low), thousands(high)));
        let (_, _, highest) = plan(self.subject);
        let next = if low == 0 { high * 3 / 4 } else { (low * 5 / 4).min(low.midpoint(high)).min(highest) };
        let known = low > 0 && high - low <= low / PRECISION;
        self.rate = (full && !known && next >= 1000 && next != low).then_some(next);
        Ok(())
    }

    /// What it came to, if any rate passed.
    fn found(self, started: &Started, delays: [u64; 3]) -> Option<Capacity> {
        let Some(best) = self.best else {
            remark(&format!("{} left out: no rate without loss", self.subject.name()));
            return None;
        };
        let (_, _, highest) = plan(self.subject);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // A rate of packets, whole and positive.
        let rate = best.rate() as u64;
        Some(Capacity {
            subject: self.subject,
            open: started.pairs,
            rate,
            loss: best.loss(),
            cost: best.cost(),
            by_generator: best.sent * 100 < best.due * 95 || self.low >= highest,
            delays,
        })
    }
}

/// Was it sent as it was asked for?
const fn is_full(flight: &Flight) -> bool {
    flight.sent * 100 >= flight.due * 90
}

/// Flies a rate until it passes, or has been lost too often. Where the generator came short of it, that may be chance as
/// well: of some flights the fullest counts.
fn attempt(up: &mut Up, stalls: &Stalls, rate: u64) -> io::Result<Option<Flight>> {
    let Up { subject, bench, started } = up;
    let allowed = if subject.by_sockets() { SOCKETS_LOSS } else { RING_LOSS };
    let (mut tries, mut spoiled) = (0, 0);
    let mut short: Option<Flight> = None;
    while tries < TRIES {
        started.listen()?;
        let _before = stalls.take();
        let flight = started.fly(bench, rate, TRY)?;
        let late = stalls.take().worst;
        let lost = started.lost_copies();
        remark(&format!(
            "  {} asked, {:.0} sent, {}, {} astray, {lost} copies lost, {:.0} ns; a timer late by {}",
            thousands(rate),
            flight.rate(),
            flight.losses(),
            flight.astray,
            flight.cost(),
            microseconds(late)
        ));
        let is_whole = flight.astray == 0 && lost == 0 && flight.loss() < allowed;
        if flight.received > 0 && is_whole && flight.kept_up() {
            if is_full(&flight) {
                return Ok(Some(flight));
            }
            if short.as_ref().is_none_or(|short| short.sent < flight.sent) {
                short = Some(flight);
            }
            tries += 1;
            continue;
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
    Ok(short)
}

fn report(rounds: &[Vec<Capacity>], files: Option<&Files>) -> Table {
    let mut table = Table::default();
    let found: Vec<&Capacity> = rounds.first().into_iter().flatten().collect();
    let found: Vec<&Capacity> =
        found.iter().map(|first| middle(rounds, first.subject).unwrap_or(first)).collect();
    let of = |which: Subject| found.iter().find(|capacity| capacity.subject == which).copied();
    in_turns(&mut table, rounds, [Subject::Sockets, Subject::Uring], 0.95);
    in_turns(&mut table, rounds, [Subject::Path, Subject::Rewriter], 0.85);
    in_turns(&mut table, rounds, [Subject::Program, Subject::Rewriter], 0.85);
    for which in [Subject::Path, Subject::Program] {
        at_capacity(&mut table, of(which), of(Subject::Rewriter));
    }
    ratio(&mut table, of(Subject::Path), of(Subject::Sockets), 12.0);
    goal(&mut table, of(Subject::Program), 20_000, RING_LOSS);
    goal(&mut table, of(Subject::Path), 20_000, RING_LOSS);
    goal(&mut table, of(Subject::Recorded), 5_000, RING_LOSS);
    if let Some(files) = files {
        files::report(&mut table, files);
    }
    if let Some(path) = of(Subject::Path) {
        let p99 = path.delays[1];
        let bare = of(Subject::Rewriter)
            .map_or_else(String::new, |bare| format!(" (bare XDP_TX {})", microseconds(bare.delays[1])));
        table.judged(
            "delay over the cable, Duogate, XDP: p99",
            format!("{}{bare}", microseconds(p99)),
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

/// One forwarder beside another, search by search.
#[allow(clippy::cast_precision_loss)] // Quotients for people.
fn in_turns(table: &mut Table, rounds: &[Vec<Capacity>], [ours, theirs]: [Subject; 2], least: f64) {
    let rate = |round: &[Capacity], which| {
        round.iter().find(|one| one.subject == which).map(|one: &Capacity| one.rate as f64)
    };
    let quotients: Vec<f64> =
        rounds.iter().filter_map(|round| Some(rate(round, ours)? / rate(round, theirs)?)).collect();
    if quotients.is_empty() {
        return;
    }
    let value = quotients.iter().sum::<f64>() / quotients.len() as f64;
    let each: Vec<String> = quotients.iter().map(|quotient| format!("{quotient:.2}")).collect();
    let what = format!("capacity of a core: {} / {}", ours.name(), theirs.name());
    table.ratio(&what, format!("{value:.2} ({})", each.join(", ")), &format!("≥ {least}"), value >= least);
}

/// Where the generator could fill neither, their cost tells them apart.
fn at_capacity(table: &mut Table, ours: Option<&Capacity>, theirs: Option<&Capacity>) {
    let (Some(ours), Some(theirs)) = (ours, theirs) else { return };
    if ours.by_generator && theirs.by_generator {
        let what =
            format!("time of a packet at capacity: {} / {}", ours.subject.name(), theirs.subject.name());
        table.ratio_told(&what, format!("{:.2}", ours.cost / theirs.cost));
    }
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

/// One rate beside another. Where the generator sends no more than ours carries, their times of a packet tell how much more
/// it would.
#[allow(clippy::cast_precision_loss)] // Quotients for people.
fn ratio(table: &mut Table, ours: Option<&Capacity>, theirs: Option<&Capacity>, least: f64) {
    let (Some(ours), Some(theirs)) = (ours, theirs) else { return };
    let by_rate = ours.rate as f64 / theirs.rate as f64;
    let what = format!("capacity of a core: {} / {}", ours.subject.name(), theirs.subject.name());
    let (value, figure) = if ours.by_generator && by_rate < least {
        let by_time = theirs.cost / ours.cost;
        (by_time, format!("{by_time:.2} by time of a packet; {by_rate:.2} is all that the generator sends"))
    } else {
        (by_rate, format!("{by_rate:.2}"))
    };
    table.ratio(&what, figure, &format!("≥ {least}"), value >= least);
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
