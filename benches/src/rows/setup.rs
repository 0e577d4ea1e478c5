//! Callbacks set up and torn down through SIPp.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::table::Table;

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

/// Not there yet.
///
/// # Errors
/// Always.
pub fn run(_load: Load, _folder: &Path) -> io::Result<Table> {
    Err(io::Error::other("this row is not there yet"))
}
