//! What the disk itself takes to make a small write durable: the least that a durably noted request can cost.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock;

/// One try so often: enough for a 99th percentile within a minute, too few to be a load.
const GAP: Duration = Duration::from_millis(50);

/// Octets of a write: a page of a database.
const PAGE: [u8; 4096] = [0; 4096];

/// Appends a page and waits until it is durable, again and again until `done`; gives the times in nanoseconds,
/// sorted.
///
/// # Errors
/// The system's.
pub fn watch(folder: &Path, done: &AtomicBool) -> io::Result<Vec<u64>> {
    let path = folder.join("disk");
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let start = clock::monotonic();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        times.push(clock::monotonic() - start);
        std::thread::sleep(GAP);
    }
    fs::remove_file(path)?;
    times.sort_unstable();
    Ok(times)
}
