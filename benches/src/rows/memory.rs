//! What a connected pair costs the gateway in memory.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use crate::gateway::Gateway;
use crate::generator::{Generator, Streams};
use crate::rows::MEASURED_CORE;
use crate::table::Table;

/// Opens and joins each number of pairs in a fresh gateway, lets them talk for a moment, and divides what the
/// gateway has grown by their number.
///
/// # Errors
/// The system's and the gateway's.
pub fn run(counts: &[u16], folder: &Path) -> io::Result<Table> {
    let most = counts.iter().copied().max().unwrap_or(1);
    let mut generator = Generator::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let mut table = Table::default();
    for count in counts {
        let mut gateway = Gateway::start(MEASURED_CORE, u32::from(most), folder)?;
        // A host that allows few open files allows fewer sessions.
        let count = u32::from(*count).min(gateway.shard().description.sessions);
        let before = gateway.process.resident()?;
        let pairs = gateway.open(usize::try_from(count).unwrap_or(0), generator.address()?)?;
        let routes = gateway.join(&pairs)?;
        // 25 packets of each stream, so that every page that a packet touches is there; no faster than one
        // shard forwards with ease.
        let seconds = (u64::from(count) / 2000).max(1);
        let some = routes.len().min(2000);
        for part in routes.chunks(some) {
            generator.run(&mut Streams::new(part.to_vec()), Duration::from_millis(500 * seconds))?;
        }
        let after = gateway.process.resident()?;
        let each = after.saturating_sub(before) / u64::from(count);
        table.told(
            &format!("memory: gateway alone, a pair of {count}"),
            format!(
                "{:.1} KiB (resident {} KiB before, {} KiB with them)",
                kibi(each),
                before / 1024,
                after / 1024
            ),
        );
        gateway.close(&pairs)?;
    }
    Ok(table)
}

/// Bytes as kibibytes.
#[must_use]
pub fn kibi(bytes: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)] // For people.
    let value = bytes as f64 / 1024.0;
    value
}
