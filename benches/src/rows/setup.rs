//! Callbacks set up and torn down: both programs, SIPp as both parties, an application over kept-alive HTTP, and the
//! times taken on the wire.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::application::{self, Order};
use crate::disk;
use crate::gateway::{fresh_address, program};
use crate::metrics::quantile_bound;
use crate::process::Process;
use crate::rows::MEASURED_CORE;
use crate::rows::memory::kibi;
use crate::table::{Table, histogram, milliseconds, quantile};
use crate::wire::{self, Sighting};

/// More callbacks a second than any machine sets up.
const UNBOUNDED: u32 = 10_000;

/// Goals: from the request to the first INVITE, from party 1's answer to party 2's INVITE, memory of a pair.
const GOAL_INVITE_NANOSECONDS: u64 = 10_000_000;
const GOAL_SECOND_INVITE_NANOSECONDS: u64 = 5_000_000;
const GOAL_PAIR_BYTES: u64 = 64 * 1024;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Callbacks a second.
    pub rate: u32,
    /// For so long.
    pub duration: Duration,
    /// Seconds that a conversation lasts.
    pub talk: u64,
}

impl Load {
    fn calls(self) -> u32 {
        self.rate * u32::try_from(self.duration.as_secs()).unwrap_or(1)
    }
}

/// Ports of one run, free when it began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) http: u16,
    sip: u16,
    parties: [u16; 2],
}

impl Ports {
    fn free() -> io::Result<Self> {
        // Held together, so that they are unlike.
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let udp: Vec<UdpSocket> =
            (0..3).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
        let port = |place: usize| udp[place].local_addr().map(|address| address.port());
        Ok(Self { http: http.local_addr()?.port(), sip: port(0)?, parties: [port(1)?, port(2)?] })
    }
}

/// Everything that runs.
pub(super) struct World {
    gateway: Process,
    control: Process,
    parties: [Process; 2],
    pub(super) ports: Ports,
}

impl World {
    /// With at most so many callbacks a second admitted.
    pub(super) fn start(load: Load, admitted: u32, folder: &Path) -> io::Result<Self> {
        let ports = Ports::free()?;
        let settings = settings(ports, admitted, folder)?;
        let arguments = ["--config".to_owned(), settings.display().to_string()];
        let start = |name, log| Process::start(name, None, &program(name)?, &arguments, &folder.join(log));
        let gateway = start("duogate-gateway", "setup-gateway.log")?;
        let control = start("duogate-control", "setup-control.log")?;
        let party = |place: usize| sipp(place, ports.parties[place], load, folder);
        let mut world = Self { gateway, control, parties: [party(0)?, party(1)?], ports };
        world.wait_until_ready(folder)?;
        Ok(world)
    }

    fn wait_until_ready(&mut self, folder: &Path) -> io::Result<()> {
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end && self.gateway.runs() && self.control.runs() {
            if matches!(application::get(self.ports.http, "/readyz"), Ok((200, _))) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(io::Error::other(format!("Duogate does not take calls; see {}", folder.display())))
    }

    /// Processor time of gateway, control plane and both parties so far, in nanoseconds.
    pub(super) fn cpu(&self) -> io::Result<[u64; 4]> {
        let [one, two] = &self.parties;
        Ok([self.gateway.cpu()?, self.control.cpu()?, one.cpu()?, two.cpu()?])
    }

    /// What the application asks for, and what was seen on the wire meanwhile.
    pub(super) fn ask(&self, order: Order) -> io::Result<(Vec<application::Asked>, HashMap<u32, Sighting>)> {
        let socket = wire::open()?;
        let done = AtomicBool::new(false);
        let (sip, parties) = (self.ports.sip, self.ports.parties);
        std::thread::scope(|scope| {
            let watch = scope.spawn(|| wire::watch(&socket, sip, parties, &done));
            let asked = application::construct_all(order);
            // The last ones still call party 2.
            std::thread::sleep(Duration::from_secs(2));
            done.store(true, Ordering::Relaxed);
            let seen = watch.join().unwrap_or_else(|_| Err(io::Error::other("the watch on the wire died")));
            Ok((asked?, seen?))
        })
    }

    /// An order of callbacks from these parties.
    pub(super) fn order(&self, calls: u32, rate: u32) -> Order {
        Order { http: self.ports.http, parties: self.ports.parties, calls, rate }
    }

    /// Resident memory of gateway and control plane.
    fn resident(&self) -> io::Result<[u64; 2]> {
        Ok([self.gateway.resident()?, self.control.resident()?])
    }
}

fn settings(ports: Ports, admitted: u32, folder: &Path) -> io::Result<PathBuf> {
    let path = folder.join("setup.toml");
    let (folder, address) = (folder.display(), fresh_address());
    fs::write(
        &path,
        format!(
            "[http]\nlisten = \"127.0.0.1:{}\"\n[sip]\nlisten = [\"udp:127.0.0.1:{}\"]\n\
             [media]\naddress = \"{address}\"\nports = \"10000-49999\"\ncores = [{MEASURED_CORE}]\n\
             prompts = \"{folder}\"\nrecordings = \"{folder}\"\n[channel]\nsocket = \"{folder}/setup.sock\"\n\
             [store]\npath = \"{folder}/setup.db\"\n[limits]\ncalls_per_second = {admitted}\n\
             [[trunk]]\nname = \"loopback\"\nhosts = [\"127.0.0.1\"]\n",
            ports.http, ports.sip
        ),
    )?;
    Ok(path)
}

/// One party of all callbacks; ends by itself after the last one.
fn sipp(place: usize, port: u16, load: Load, folder: &Path) -> io::Result<Process> {
    let name = ["party1", "party2"][place];
    let scenario = folder.join(format!("{name}.xml"));
    let text =
        [include_str!("../../scenarios/party1.xml"), include_str!("../../scenarios/party2.xml")][place];
    fs::write(&scenario, text)?;
    // Long enough for the last conversation and for what was retransmitted.
    let patience = load.duration.as_secs() + load.talk + 45;
    let file = |suffix: &str| folder.join(format!("{name}.{suffix}")).display().to_string();
    let arguments = [
        "-sf".to_owned(),
        scenario.display().to_string(),
        "-i".to_owned(),
        "127.0.0.1".to_owned(),
        "-p".to_owned(),
        port.to_string(),
        // Nobody sends sound in this row; the port only stands in the session description.
        "-mp".to_owned(),
        (port ^ 1).to_string(),
        "-m".to_owned(),
        load.calls().to_string(),
        "-d".to_owned(),
        (load.talk * 1000).to_string(),
        "-l".to_owned(),
        "100000".to_owned(),
        "-nostdin".to_owned(),
        "-timeout".to_owned(),
        patience.to_string(),
        "-timeout_error".to_owned(),
        "-deadcall_wait".to_owned(),
        "0".to_owned(),
        "-trace_err".to_owned(),
        "-error_file".to_owned(),
        file("errors"),
        "-trace_stat".to_owned(),
        "-stf".to_owned(),
        file("csv"),
        "-fd".to_owned(),
        "1".to_owned(),
    ];
    Process::start("sipp", None, Path::new("sipp"), &arguments, &folder.join(format!("{name}.log")))
}

/// Runs the load and judges it.
///
/// # Errors
/// The system's, and whatever does not start.
pub fn run(load: Load, folder: &Path) -> io::Result<Table> {
    let socket = wire::open()?;
    let mut world = World::start(load, UNBOUNDED, folder)?;
    // Whatever is made lazily at the first call is not the pairs'.
    std::thread::sleep(Duration::from_secs(1));
    let idle = world.resident()?;
    let before = world.cpu()?;
    let order = world.order(load.calls(), load.rate);
    let done = AtomicBool::new(false);
    let ports = (world.ports.sip, world.ports.parties);
    let (asked, seen, busy, cpu, ended, disk) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| wire::watch(&socket, ports.0, ports.1, &done));
        let disk = scope.spawn(|| disk::watch(folder, &done));
        let asking = scope.spawn(|| application::construct_all(order));
        std::thread::sleep(Duration::from_secs(load.talk).min(load.duration));
        let busy = world.resident();
        let asked = asking.join().unwrap_or_else(|_| Err(io::Error::other("the application died")));
        let cpu = world.cpu();
        let ended = wait_for_parties(&mut world, load);
        done.store(true, Ordering::Relaxed);
        let seen = watch.join().unwrap_or_else(|_| Err(io::Error::other("the watch on the wire died")));
        let disk = disk.join().unwrap_or_else(|_| Err(io::Error::other("the watch on the disk died")));
        (asked, seen, busy, cpu, ended, disk)
    });
    let (asked, seen, busy, cpu, disk) = (asked?, seen?, busy?, cpu?, disk?);
    let mut table = times(load, &asked, &seen, ended, folder);
    table.told("set-up: who used how much of a core", shares(load, before, cpu));
    table.told("set-up: this disk's bare fdatasync, p50 / p99 / max", three(&disk));
    own_view(world.ports.http, &mut table);
    let pairs = u64::from(load.rate) * load.talk.min(load.duration.as_secs());
    let grown = |place: usize| busy[place].saturating_sub(idle[place]) / pairs.max(1);
    let both = grown(0) + grown(1);
    table.judged(
        &format!("memory: both programs, a pair of {pairs}"),
        format!("{:.1} KiB (gateway {:.1}, control {:.1})", kibi(both), kibi(grown(0)), kibi(grown(1))),
        "≤ 64 KiB",
        both <= GOAL_PAIR_BYTES,
    );
    Ok(table)
}

/// Processor time of each program while callbacks were asked for, as a share of one core.
fn shares(load: Load, before: [u64; 4], after: [u64; 4]) -> String {
    let span = load.duration.as_nanos().max(1);
    let share = |place: usize| u128::from(after[place].saturating_sub(before[place])) * 100 / span;
    format!("control {} %, gateway {} %, SIPp {} % and {} %", share(1), share(0), share(2), share(3))
}

/// Waits until both parties have had all their callbacks.
fn wait_for_parties(world: &mut World, load: Load) -> bool {
    let end = Instant::now() + Duration::from_secs(load.talk + 50);
    while Instant::now() < end {
        if world.parties.iter_mut().all(|party| !party.runs()) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    false
}

/// Duogate's own view of the same, for comparison.
fn own_view(http: u16, table: &mut Table) {
    let text = application::get(http, "/metrics").map_or_else(|_| String::new(), |(_, text)| text);
    let bound = |name| quantile_bound(&text, name, 0.99).unwrap_or("not told").to_owned();
    let (first, second) =
        (bound("duogate_construct_to_invite_seconds"), bound("duogate_answer_to_invite_seconds"));
    let figure = format!("construct to INVITE within {first} s, answer to INVITE within {second} s");
    table.told("set-up: p99 by Duogate's own histograms", figure);
}

/// Sorted times of the callbacks that were seen: from the request to the first INVITE, and from party 1's answer to
/// party 2's INVITE.
pub(super) fn spans(asked: &[application::Asked], seen: &HashMap<u32, Sighting>) -> [Vec<u64>; 2] {
    let mut first = Vec::new();
    let mut second = Vec::new();
    for call in asked {
        let Some(sighting) = seen.get(&call.number) else { continue };
        first.extend(sighting.first_invite.map(|time| time.saturating_sub(call.left)));
        if let (Some(answer), Some(invite)) = (sighting.first_answer, sighting.second_invite) {
            second.push(invite.saturating_sub(answer));
        }
    }
    first.sort_unstable();
    second.sort_unstable();
    [first, second]
}

fn times(
    load: Load,
    asked: &[application::Asked],
    seen: &HashMap<u32, Sighting>,
    ended: bool,
    folder: &Path,
) -> Table {
    let mut table = Table::default();
    let refused = asked.iter().filter(|call| !call.accepted).count();
    let [first, second] = spans(asked, seen);
    let failed = [failed_calls(folder, "party1"), failed_calls(folder, "party2")];
    let calls = load.calls() as usize;
    let whole = ended && refused == 0 && failed == [Some(0); 2] && second.len() == calls;
    let what = format!("set-up, {} callbacks a second for {} s", load.rate, load.duration.as_secs());
    let figure = format!(
        "{} asked, {refused} refused, {} reached party 2, SIPp's failures {failed:?}",
        asked.len(),
        second.len()
    );
    table.judged(&what, figure, "none fails", whole);
    let p99 = quantile(&first, 0.99);
    let what = "set-up: construct to first INVITE, p99";
    table.judged(what, milliseconds(p99), "≤ 10 ms", whole && p99 <= GOAL_INVITE_NANOSECONDS);
    let p99 = quantile(&second, 0.99);
    let what = "set-up: party 1's 200 to party 2's INVITE, p99";
    table.judged(what, milliseconds(p99), "≤ 5 ms", whole && p99 <= GOAL_SECOND_INVITE_NANOSECONDS);
    let mut answers: Vec<u64> = asked.iter().map(|call| call.took).collect();
    answers.sort_unstable();
    table.told("set-up: construct to first INVITE, p50 / p99 / max", three(&first));
    table.told("set-up: 200 to INVITE, p50 / p99 / max", three(&second));
    table.told("set-up: construct to its result, p50 / p99 / max", three(&answers));
    table.told("set-up: construct to first INVITE, all", histogram(&first));
    table.told("set-up: 200 to INVITE, all", histogram(&second));
    table
}

/// Median, 99th percentile and worst of sorted times.
pub(super) fn three(sorted: &[u64]) -> String {
    [0.5, 0.99, 1.0].map(|share| milliseconds(quantile(sorted, share))).join(" / ")
}

/// How many calls failed by SIPp's own count, from the last line of its statistics.
pub(super) fn failed_calls(folder: &Path, party: &str) -> Option<u64> {
    let text = fs::read_to_string(folder.join(format!("{party}.csv"))).ok()?;
    let mut lines = text.lines();
    let column = lines.next()?.split(';').position(|name| name == "FailedCall(C)")?;
    lines.next_back()?.split(';').nth(column)?.parse().ok()
}
