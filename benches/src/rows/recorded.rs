//! Recorded pairs through the sockets of one shard, each into a WAV file of its own, beside the same pairs unrecorded:
//! what a packet costs, and whether the files are whole.
//!
//! rtpengine has nothing to put beside it here: its recording daemon reads packets from its kernel module, which this rig
//! does not load.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use crate::awake::Awake;
use crate::gateway::Gateway;
use crate::generator::{Generator, Outcome, Streams};
use crate::process::{kernel_drops, remark};
use crate::recorded::{self, Folder, Tally};
use crate::rows::MEASURED_CORE;
use crate::table::{Table, microseconds, quantile, thousands};

/// Recorded pairs that one core is to carry.
const GOAL: u16 = 2000;

/// Every run begins so long before it is measured and recorded.
const WARM_UP: Duration = Duration::from_millis(500);

/// One run.
struct Run {
    outcome: Outcome,
    /// Packets that the kernel dropped at the rig's own socket.
    own: u64,
    /// Processor time of all of the gateway's threads for each packet that came back, in microseconds.
    cost: f64,
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
        let plain = once(*count, duration, folder, false)?;
        let recorded = once(*count, duration, folder, true)?;
        tell(&mut table, *count, &plain, &recorded);
    }
    Ok(table)
}

fn once(count: u16, duration: Duration, folder: &Path, is_recorded: bool) -> io::Result<Run> {
    let files = Folder::new()?;
    let mut generator = Generator::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let address = generator.address()?;
    let mut gateway = Gateway::start(MEASURED_CORE, u32::from(count), folder)?;
    let pairs = gateway.open(usize::from(count), address)?;
    let mut streams = Streams::new(gateway.join(&pairs)?);
    generator.warm(&mut streams, WARM_UP)?;
    if is_recorded {
        recorded::record(&mut gateway, &pairs, files.path())?;
        generator.warm(&mut streams, WARM_UP)?;
    }
    let (cpu, drops) = (gateway.process.cpu()?, kernel_drops(*address.ip(), address.port()));
    let outcome = generator.run(&mut streams, duration)?;
    let cpu = gateway.process.cpu()? - cpu;
    let own = kernel_drops(*address.ip(), address.port()).saturating_sub(drops);
    let tally = gateway.close(&pairs)?;
    #[allow(clippy::cast_precision_loss)] // A quotient for people.
    let cost = cpu as f64 / 1e3 / outcome.received.max(1) as f64;
    Ok(Run { outcome, own, cost, tally })
}

fn tell(table: &mut Table, count: u16, plain: &Run, recorded: &Run) {
    let Run { outcome, own, cost, tally } = recorded;
    let lost = outcome.lost().saturating_sub(*own);
    // All packets came and were relayed, and all are in the files.
    let whole =
        tally.spoiled == 0 && tally.missing == 0 && tally.lost == 0 && tally.saved == usize::from(count);
    let what = format!("recorded through sockets, {} pairs", thousands(count.into()));
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
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| microseconds(quantile(&outcome.latencies, share)));
    table.told(
        &format!("{what}: CPU a packet, all threads (unrecorded)"),
        format!("{cost:.2} µs ({:.2} µs); delay p50 {p50} p99 {p99} p99.9 {p999}", plain.cost),
    );
    table.raw(format!("recorded.{count}.microseconds_per_packet"), *cost);
    table.raw(format!("recorded.{count}.unrecorded_microseconds_per_packet"), plain.cost);
    #[allow(clippy::cast_precision_loss)] // Figures for people.
    table.raw(format!("recorded.{count}.gaps"), tally.gaps as f64);
}
