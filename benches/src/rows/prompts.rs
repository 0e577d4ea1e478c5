//! Many prompts at once: how far each packet is from its schedule, by the kernel's clock at the receiver.
//!
//! Over the cable between two namespaces, whose far end is polled on the generator's core. Over loopback a sender carries
//! each packet through the receiver's socket itself, which takes as much of the measured core again as to send, and which
//! no gateway does for its parties.
//!
//! Both as it is by default, when the shard shares its core with whatever else runs, and with real-time priority
//! (`media.realtime_priority`), which is what that setting is for.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use duogate_channel::command::{Command, Repeat, Source};
use duogate_channel::identity::{Party, Sound};
use duogate_channel::message::{ToControl, ToGateway};
use duogate_channel::segment::SealedBytes;
use duogate_channel::sound::Codec;

use crate::awake::Awake;
use crate::clock;
use crate::datagrams::{BATCH, Inbox, generator_socket};
use crate::gateway::{FIRST_PORT, Gateway, Setup};
use crate::process::{kernel_drops, remark};
use crate::rows::{GENERATOR_CORE, MEASURED_CORE};
use crate::rtp::{self, PACKET_NANOSECONDS};
use crate::stalls::Stalls;
use crate::table::{Table, milliseconds, quantile};
use crate::timer;
use crate::veth::{Cable, FAR_END, GATEWAYS};

/// 99.9 % of packets are to be no further from their schedule.
const GOAL_NANOSECONDS: u64 = 2_000_000;

/// Length of the prompt that is repeated, in octets of A-law: three seconds.
const PROMPT_OCTETS: usize = 24_000;

/// Runs that are made once more because the host stood still, at most, for each that is not.
const REPEATS: usize = 1;

/// Packets a second of a prompt.
const PACKETS_A_SECOND: u64 = 1_000_000_000 / PACKET_NANOSECONDS;

/// How long the bare timer is looked at.
const FLOOR: Duration = Duration::from_secs(1);

/// Arrivals of each prompt: packet number and wall-clock time.
type Arrivals = HashMap<SocketAddrV4, Vec<(u16, u64)>>;

/// One run, all in nanoseconds.
struct Run {
    /// Off schedule: p50, p99, p99.9, worst.
    late: [u64; 4],
    /// The bare timer after it: p99.9, worst.
    timer: [u64; 2],
    packets: usize,
    /// Processor time of a packet.
    cost: f64,
    /// Of the core.
    share: f64,
    /// The host stood still meanwhile.
    spoiled: bool,
    /// Packets that never came, and of these those that found the cable's ring full.
    missing: u64,
    cable: u64,
    all_heard: bool,
}

/// One of [`WAYS`], so many prompts, on a cable.
struct Load<'a> {
    cable: &'a Cable,
    /// Of both cores: a receiver that is not let see what has come finds it late as well.
    stalls: &'a [Stalls; 2],
    priority: u8,
    count: usize,
    duration: Duration,
    folder: &'a Path,
}

/// How the kernel schedules the shard: its real-time priority, and what to call it.
const WAYS: [(u8, &str); 2] = [(0, "shared core"), (10, "real-time priority")];

/// Plays `count` prompts for `duration`, `repeats` times in each way; the middle run counts.
///
/// # Errors
/// The system's and the gateway's.
pub fn run(count: usize, duration: Duration, repeats: usize, folder: &Path) -> io::Result<Table> {
    let cable = Cable::new()?;
    cable.gateway.send_whole(&cable.gateway_interface)?;
    let _awake = Awake::keep(MEASURED_CORE)?;
    let stalls = [Stalls::watch(MEASURED_CORE)?, Stalls::watch(GENERATOR_CORE)?];
    let mut table = Table::default();
    for (priority, way) in WAYS {
        let load = Load { cable: &cable, stalls: &stalls, priority, count, duration, folder };
        table.append(through(&load, way, repeats)?);
    }
    Ok(table)
}

fn through(load: &Load<'_>, way: &str, repeats: usize) -> io::Result<Table> {
    let mut runs = Vec::new();
    let mut more = repeats * REPEATS;
    while runs.len() < repeats {
        remark(&format!("prompts, {way}, round {} of {repeats}", runs.len() + 1));
        let run = once(load)?;
        if run.spoiled && more > 0 {
            remark("prompts: once more, the host stood still");
            more -= 1;
        } else {
            runs.push(run);
        }
    }
    let spoiled = runs.iter().filter(|run| run.spoiled).count();
    runs.sort_by_key(|run| run.late[2]);
    // What the far end's ring refused is no fault of who sends.
    let all_heard = runs.iter().all(|run| run.all_heard && run.missing <= run.cable);
    let worst: Vec<String> = runs.iter().map(|run| milliseconds(run.late[2])).collect();
    let Some(run) = runs.get(runs.len() / 2) else { return Ok(Table::default()) };
    let mut table = Table::default();
    let [p50, p99, p999, most] = run.late;
    let Load { count, priority, .. } = *load;
    let name = format!("prompts, {count} at once, {way}");
    let what = format!("{name}: p99.9 off schedule, median of {repeats} runs");
    let figure = format!("{} ({})", milliseconds(p999), worst.join(", "));
    table.judged(&what, figure, "≤ 2 ms", all_heard && p999 <= GOAL_NANOSECONDS);
    let [p50, p99, most] = [p50, p99, most].map(milliseconds);
    let figure = format!(
        "p50 {p50} p99 {p99} worst {most}, the host stood still in {spoiled} of {repeats} runs, {} packets ({} missing, lost by the cable {}), CPU {:.2} µs each: {:.0} % of the core",
        run.packets,
        run.missing,
        run.cable,
        run.cost / 1e3,
        run.share * 100.0
    );
    table.told(&format!("{name}: the others of that run"), figure);
    let [worst, most] = run.timer.map(milliseconds);
    let what = format!("{name}: a bare 1 ms timer on the same core after them");
    table.told(&what, format!("p99.9 {worst} max {most}"));
    #[allow(clippy::cast_precision_loss)] // For people.
    for (name, value) in [("p999_ns", p999), ("worst_ns", run.late[3]), ("timer_p999_ns", run.timer[0])] {
        table.raw(format!("prompts.{count}.priority_{priority}.{name}"), value as f64);
    }
    Ok(table)
}

/// A gateway at its end of the cable.
fn start(load: &Load<'_>, sessions: usize) -> io::Result<Gateway> {
    let sessions = u32::try_from(sessions).unwrap_or(u32::MAX);
    let ports = u16::try_from(sessions * 4).map_err(io::Error::other)?;
    Gateway::start_as(&Setup {
        namespace: Some(&load.cable.gateway.path()),
        last_port: FIRST_PORT.checked_add(ports).ok_or_else(|| io::Error::other("too many prompts"))? - 1,
        realtime_priority: load.priority,
        ..Setup::new(MEASURED_CORE, sessions, load.folder, &GATEWAYS[..1])
    })
}

fn once(load: &Load<'_>) -> io::Result<Run> {
    let Load { cable, count, duration, .. } = *load;
    let socket = cable.far.inside(|| generator_socket(FAR_END))?;
    // Both parties of each session hear one.
    let sessions = count.div_ceil(2);
    let mut gateway = start(load, sessions)?;
    let pairs = gateway.open(sessions, FAR_END)?;
    hand_over(&gateway)?;
    // Late: of a cable that was there before, the kernel may have had threads with the same names at first.
    cable.pin()?;
    cable.expect(count as u64 * PACKETS_A_SECOND)?;
    let source = Source::Sound { sound: Sound(1), repeat: Repeat::Forever };
    let (cpu, counts) = (gateway.process.cpu()?, cable.counts()?);
    for pair in &pairs {
        for party in Party::BOTH {
            gateway.tell(&Command::Hear { session: pair.session, party, source })?;
        }
    }
    let _before = load.stalls.each_ref().map(Stalls::take);
    let arrivals = listen(&socket, duration)?;
    let stalls = [0, 1].map(|core: usize| load.stalls[core].take());
    remark(&format!("prompts: timers on both cores: {stalls:?}"));
    let (cpu, counts) = (gateway.process.cpu()? - cpu, cable.counts()?.since(counts));
    let own_drops = cable.far.inside(|| Ok(kernel_drops(*FAR_END.ip(), FAR_END.port())))?;
    remark(&format!("prompts: {} streams heard, {own_drops} drops at the rig's own socket", arrivals.len()));
    tell_late(&arrivals);
    let strangers = arrivals.keys().filter(|from| *from.ip() != gateway.address).count();
    let mut errors: Vec<u64> = arrivals.values().flat_map(|packets| lateness(packets)).collect();
    errors.sort_unstable();
    gateway.close(&pairs)?;
    // Beside the prompts it would only tell how long it waits for the shard.
    let timer = timer::beside(MEASURED_CORE, FLOOR)?;
    let floor = timer.join().map_err(|_| io::Error::other("the timer's thread has panicked"))??;
    #[allow(clippy::cast_precision_loss)] // A quotient for people.
    let (cost, share) = (cpu as f64 / errors.len().max(1) as f64, cpu as f64 / duration.as_nanos() as f64);
    Ok(Run {
        late: [0.5, 0.99, 0.999, 1.0].map(|share| quantile(&errors, share)),
        timer: [0.999, 1.0].map(|share| quantile(&floor, share)),
        packets: errors.len(),
        cost,
        share,
        spoiled: stalls.iter().any(|timer| timer.is_stall()),
        missing: arrivals.values().map(|packets| missing(packets)).sum::<u64>().saturating_sub(own_drops),
        cable: counts.lost_behind,
        all_heard: arrivals.len() == 2 * sessions && strangers == 0,
    })
}

/// Packets of a prompt that never came, between its first and its last.
fn missing(packets: &[(u16, u64)]) -> u64 {
    let Some((first, _)) = packets.first() else { return 0 };
    let last = packets.iter().map(|(sequence, _)| sequence.wrapping_sub(*first)).max().unwrap_or(0);
    (u64::from(last) + 1).saturating_sub(packets.len() as u64)
}

/// When the late packets came, in tenths of a second since the first packet: a stall shows as one full tenth.
fn tell_late(arrivals: &Arrivals) {
    let first = arrivals.values().flatten().map(|(_, time)| *time).min().unwrap_or(0);
    let mut tenths = std::collections::BTreeMap::<u64, u64>::new();
    for packets in arrivals.values() {
        for ((_, time), late) in packets.iter().zip(lateness(packets)) {
            if late > GOAL_NANOSECONDS {
                *tenths.entry((time - first) / 100_000_000).or_default() += 1;
            }
        }
    }
    remark(&format!("prompts: packets late by more than the goal, by tenths of a second: {tenths:?}"));
}

fn hand_over(gateway: &Gateway) -> io::Result<()> {
    let file = SealedBytes::create(&[0xD5; PROMPT_OCTETS])?;
    let connection = &gateway.attachment.connection;
    let message = ToGateway::Sound { sound: Sound(1), codec: Codec::Pcma, bytes: PROMPT_OCTETS as u64 };
    connection.set_timeout(Some(Duration::from_secs(5))).map_err(io::Error::other)?;
    connection.send(&message, &[file.as_fd()]).map_err(io::Error::other)?;
    match connection.receive::<ToControl>().map_err(io::Error::other)?.0 {
        ToControl::SoundReady { .. } => Ok(()),
        other => Err(io::Error::other(format!("the sound was not taken: {other:?}"))),
    }
}

fn listen(socket: &UdpSocket, duration: Duration) -> io::Result<Arrivals> {
    let mut arrivals = Arrivals::new();
    let mut inbox = Inbox::new();
    let end = clock::monotonic() + u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    while clock::monotonic() < end {
        let count = inbox.receive(socket, |arrival| {
            if let (Some(sequence), Some(time)) = (rtp::sequence(arrival.bytes), arrival.time) {
                arrivals.entry(arrival.source).or_default().push((sequence, time));
            }
        })?;
        if count < BATCH {
            clock::sleep_microseconds(500);
        }
    }
    Ok(arrivals)
}

/// How late each packet of a prompt came, in nanoseconds. The schedule is the strictest that fits: the one that
/// makes no packet early, so the punctual ones are at zero and every other is late by so much.
fn lateness(packets: &[(u16, u64)]) -> Vec<u64> {
    let Some((first, _)) = packets.first() else { return Vec::new() };
    let due = |sequence: u16| u64::from(sequence.wrapping_sub(*first)) * PACKET_NANOSECONDS;
    // Packet numbers wrap after 21 minutes, far beyond any run.
    let starts = packets.iter().map(|(sequence, time)| time.saturating_sub(due(*sequence)));
    let start = starts.min().unwrap_or(0);
    packets.iter().map(|(sequence, time)| time.saturating_sub(start + due(*sequence))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_seen_against_the_punctual_packets() {
        let late = |number: u16, by: u64| (number, 1_000 + u64::from(number - 5) * PACKET_NANOSECONDS + by);
        let packets = [late(5, 300), late(6, 100), late(7, 900), late(8, 100)];
        assert_eq!(lateness(&packets), [200, 0, 800, 0]);
        assert!(lateness(&[]).is_empty());
    }

    #[test]
    fn missing_packets_are_those_between_the_first_and_the_last() {
        let came = |numbers: &[u16]| numbers.iter().map(|number| (*number, 0)).collect::<Vec<_>>();
        assert_eq!(missing(&came(&[65_534, 65_535, 2, 1])), 1);
        assert_eq!(missing(&came(&[7])), 0);
        assert_eq!(missing(&[]), 0);
    }
}
