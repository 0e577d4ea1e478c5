//! Recorded pairs through the sockets of one shard, each into a file of its own, beside the same pairs unrecorded: what a
//! packet costs, how late it is, and whether the files are whole.
//!
//! Beside it rtpengine, which records as well, in the same run. What it does without its kernel module is less: it writes
//! every packet as it comes into a pcap file (`--recording-method=pcap`), from which somebody has to make sound later.
//! Duogate's files are finished WAV, both parties side by side in time.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use duogate_channel::sound::RecordFormat;

use crate::awake::Awake;
use crate::gateway::Gateway;
use crate::generator::{Generator, Outcome, Streams};
use crate::process::{Process, kernel_drops, remark};
use crate::recorded::{self, Folder, Tally};
use crate::rows::MEASURED_CORE;
use crate::rtp;
use crate::rtpengine::Rtpengine;
use crate::table::{Table, microseconds, quantile, thousands};

/// Recorded pairs that one core is to carry.
const GOAL: u16 = 2000;

/// The shard's real-time priority then, as it is meant for a house that full (`media.realtime_priority`): the core is its
/// own but for a tenth, and the kernel's threads that write files may run on any.
const PRIORITY: u8 = 10;

/// Every run begins so long before it is measured and recorded.
const WARM_UP: Duration = Duration::from_millis(500);

/// From this time on for which the generator was held up a run is no measure, in nanoseconds: what a packet may be late
/// without leaving a gap (150 ms) has to suffice for the rest of the run too.
const HELD: u64 = 50_000_000;

/// Runs that are made once more for that, at most.
const REPEATS: usize = 2;

/// Pairs that both record: what rtpengine carries on one core while it writes, with room to spare.
const BESIDE: u16 = 250;

/// Pairs that are recorded in Opus, to see how many of them an encoder's thread carries.
const OPUS: u16 = 50;

/// Octets of a packet in a pcap file, with the headers of pcap, IPv4 and UDP, and of the file.
const PCAP_PACKET: u64 = 16 + 20 + 8 + rtp::LENGTH as u64;
const PCAP_FILE: u64 = 24;

/// What passed, and what it cost.
struct Measured {
    outcome: Outcome,
    /// Packets that the kernel dropped at the rig's own socket.
    own: u64,
    /// Processor time of all threads for each packet that came back, in microseconds.
    cost: f64,
    /// Processor time of the threads that encode, as a part of one core.
    encoders: f64,
}

/// One run.
struct Run {
    measured: Measured,
    tally: Tally,
}

/// Runs each number of pairs, unrecorded and recorded.
///
/// # Errors
/// The system's and the gateway's.
pub fn run(counts: &[u16], duration: Duration, folder: &Path) -> io::Result<Table> {
    let _awake = Awake::keep(MEASURED_CORE)?;
    let mut table = Table::default();
    for count in counts {
        remark(&format!("recorded through sockets: {count} pairs"));
        let plain = once(*count, duration, folder, None)?;
        let recorded = undisturbed(*count, duration, folder)?;
        tell(&mut table, *count, &plain, &recorded);
    }
    match beside(duration, folder) {
        Ok(more) => table.append(more),
        Err(error) => remark(&format!("rtpengine left out: {error}")),
    }
    opus(&mut table, &once(OPUS, duration, folder, Some(RecordFormat::Opus))?);
    Ok(table)
}

/// Runs them recorded, once more where the host kept the generator from sending: to a recording its phones fell silent.
fn undisturbed(count: u16, duration: Duration, folder: &Path) -> io::Result<Run> {
    let mut run = once(count, duration, folder, Some(RecordFormat::Alaw))?;
    for _ in 0..REPEATS {
        if run.measured.outcome.longest_gap <= HELD {
            break;
        }
        run = once(count, duration, folder, Some(RecordFormat::Alaw))?;
    }
    Ok(run)
}

fn once(count: u16, duration: Duration, folder: &Path, format: Option<RecordFormat>) -> io::Result<Run> {
    let files = Folder::new()?;
    let mut generator = Generator::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let address = generator.address()?;
    let priority = if count >= GOAL { PRIORITY } else { 0 };
    let mut gateway = Gateway::start_at(priority, MEASURED_CORE, u32::from(count), folder)?;
    let pairs = gateway.open(usize::from(count), address)?;
    let mut streams = Streams::new(gateway.join(&pairs)?);
    generator.warm(&mut streams, WARM_UP)?;
    // What takes long is asked before the recordings begin: phones do not pause for it, and a pause in a stream is a gap.
    let before = own_drops(&generator)?;
    if let Some(format) = format {
        recorded::record(&mut gateway, &pairs, files.path(), format)?;
        generator.warm(&mut streams, WARM_UP)?;
    }
    let measured = measure(&mut generator, &mut streams, duration, &gateway.process, before)?;
    let tally = gateway.close(&pairs)?;
    Ok(Run { measured, tally })
}

/// Packets that the kernel dropped at the generator's socket so far.
fn own_drops(generator: &Generator) -> io::Result<u64> {
    let address = generator.address()?;
    Ok(kernel_drops(*address.ip(), address.port()))
}

fn measure(
    generator: &mut Generator,
    streams: &mut Streams,
    duration: Duration,
    process: &Process,
    before: u64,
) -> io::Result<Measured> {
    let (cpu, encoders) = (process.cpu()?, process.cpu_of("encoder")?);
    let outcome = generator.run(streams, duration)?;
    let (cpu, encoders) = (process.cpu()? - cpu, process.cpu_of("encoder")? - encoders);
    let own = own_drops(generator)?.saturating_sub(before);
    if outcome.longest_gap > HELD {
        remark(&format!("recorded: the generator was held up for {} ms", outcome.longest_gap / 1_000_000));
    }
    #[allow(clippy::cast_precision_loss)] // Quotients for people.
    let (cost, encoders) =
        (cpu as f64 / 1e3 / outcome.received.max(1) as f64, encoders as f64 / 1e9 / outcome.seconds);
    Ok(Measured { outcome, own, cost, encoders })
}

/// [`BESIDE`] pairs through each, unrecorded and recorded.
fn beside(duration: Duration, folder: &Path) -> io::Result<Table> {
    remark(&format!("recorded beside rtpengine: {BESIDE} pairs"));
    let theirs = [rtpengine(duration, folder, false)?, rtpengine(duration, folder, true)?];
    let ours =
        [once(BESIDE, duration, folder, None)?, once(BESIDE, duration, folder, Some(RecordFormat::Alaw))?];
    let mut table = Table::default();
    let costs = |plain: &Measured, recorded: &Measured| {
        let [p50, p99, worst] = delays(&recorded.outcome);
        format!(
            "{:.2} µs CPU a packet (unrecorded {:.2}, so {:.2} for the recording); delay p50 {p50} p99 {p99} worst {worst}; \
             {} lost of {}",
            recorded.cost,
            plain.cost,
            recorded.cost - plain.cost,
            recorded.outcome.lost().saturating_sub(recorded.own),
            thousands(recorded.outcome.sent),
        )
    };
    let [plain, recorded] = &ours;
    let (plain, saved) = (&plain.measured, recorded.tally.saved);
    let recorded = &recorded.measured;
    table.told(
        &format!("Duogate, {BESIDE} recorded pairs, {saved} finished WAV files"),
        costs(plain, recorded),
    );
    let [(their_plain, _), (their_recorded, packets)] = &theirs;
    table.told(
        &format!("rtpengine, {BESIDE} recorded pairs, pcap of {} packets", thousands(*packets)),
        costs(their_plain, their_recorded),
    );
    let ratio = recorded.cost / their_recorded.cost;
    table.ratio_told(
        &format!("{BESIDE} recorded pairs: CPU a packet, Duogate / rtpengine"),
        format!("{ratio:.2}"),
    );
    table.raw("recorded.to_rtpengine.ratio".to_owned(), ratio);
    for (who, plain, recorded) in [("duogate", plain, recorded), ("rtpengine", their_plain, their_recorded)] {
        table.raw(format!("recorded.beside.{who}.microseconds_per_packet"), recorded.cost);
        table.raw(format!("recorded.beside.{who}.unrecorded_microseconds_per_packet"), plain.cost);
    }
    Ok(table)
}

/// Gives also how many packets are in its files.
fn rtpengine(duration: Duration, folder: &Path, is_recorded: bool) -> io::Result<(Measured, u64)> {
    let files = Folder::new()?;
    let count = usize::from(BESIDE);
    let mut generator = Generator::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let mut engine = Rtpengine::start_with(MEASURED_CORE, folder, Some(files.path()))?;
    let mut streams = Streams::new(engine.pairs(count, generator.address()?)?);
    generator.warm(&mut streams, WARM_UP)?;
    if is_recorded {
        engine.record(count)?;
        generator.warm(&mut streams, WARM_UP)?;
    }
    let before = own_drops(&generator)?;
    let measured = measure(&mut generator, &mut streams, duration, &engine.process, before)?;
    engine.end(count)?;
    let mut packets = 0;
    if is_recorded {
        for file in std::fs::read_dir(files.path().join("pcaps"))? {
            packets += file?.metadata()?.len().saturating_sub(PCAP_FILE) / PCAP_PACKET;
        }
    }
    Ok((measured, packets))
}

fn delays(outcome: &Outcome) -> [String; 3] {
    [0.5, 0.99, 1.0].map(|share| microseconds(quantile(&outcome.latencies, share)))
}

/// How many recordings in Opus one encoder carries.
fn opus(table: &mut Table, run: &Run) {
    let Run { measured, tally } = run;
    let carried = f64::from(OPUS) / measured.encoders.max(f64::EPSILON);
    let [.., worst] = delays(&measured.outcome);
    table.told(
        &format!("recorded in Opus, {OPUS} pairs, two channels"),
        format!(
            "{:.1} % of a core to encode: {carried:.0} recordings an encoder; {} files saved, {} spoiled, {} gaps; delay worst {worst}",
            measured.encoders * 100.0,
            tally.saved,
            tally.spoiled,
            tally.gaps,
        ),
    );
    table.raw("recorded.opus.recordings_per_encoder".to_owned(), carried);
}

fn tell(table: &mut Table, count: u16, plain: &Run, recorded: &Run) {
    let Run { measured: Measured { outcome, own, cost, .. }, tally } = recorded;
    let plain = plain.measured.cost;
    let lost = outcome.lost().saturating_sub(*own);
    // All packets came and were relayed, and all are in the files.
    let whole =
        tally.spoiled == 0 && tally.missing == 0 && tally.lost == 0 && tally.saved == usize::from(count);
    let way = if count >= GOAL { ", real-time priority" } else { "" };
    let what = format!("recorded through sockets, {} pairs{way}", thousands(count.into()));
    let figure = format!(
        "{} files saved, {} spoiled, {} packets missing in them, {} gaps, {} MB; {lost} of {} packets lost",
        tally.saved,
        tally.spoiled,
        tally.missing + tally.lost,
        tally.gaps,
        tally.octets >> 20,
        thousands(outcome.sent)
    );
    if count >= GOAL {
        table.judged(&what, figure, "no gap at ≥ 2,000 pairs", whole && tally.gaps == 0 && lost == 0);
    } else {
        table.told(&what, figure);
    }
    let [p50, p99, worst] = delays(outcome);
    table.told(
        &format!("{what}: CPU a packet, all threads (unrecorded)"),
        format!("{cost:.2} µs ({plain:.2} µs); delay p50 {p50} p99 {p99} worst {worst}"),
    );
    table.raw(format!("recorded.{count}.microseconds_per_packet"), *cost);
    table.raw(format!("recorded.{count}.unrecorded_microseconds_per_packet"), plain);
    #[allow(clippy::cast_precision_loss)] // Figures for people.
    table.raw(format!("recorded.{count}.gaps"), tally.gaps as f64);
}
