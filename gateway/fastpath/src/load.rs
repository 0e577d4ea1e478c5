//! Brings the program to the interfaces, and takes it away.

use std::path::PathBuf;

use crate::counters::PathCounters;
use crate::error::Error;
use crate::settings::{InterfaceMode, Settings};
use crate::table::FlowTable;
use crate::tap::Tap;

/// An interface that the program runs on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attached {
    /// Its name.
    pub interface: String,
    /// Its number.
    pub number: u32,
    /// How the program runs there.
    pub mode: InterfaceMode,
    /// Why not in the driver, if that was tried.
    pub fallback: Option<String>,
}

/// Something that works less well than it could. The display says what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Warning {
    /// The path works, but ends with the process.
    #[error(
        "pairs on the fast path do not survive this process: {folder} cannot hold pins ({reason}); mount a BPF file system there (mount -t bpf bpf /sys/fs/bpf)"
    )]
    NoPins {
        /// Where the pins should be.
        folder: PathBuf,
        /// Why they cannot.
        reason: String,
    },
    /// Pins of another version or of other settings were found and removed.
    #[error("the fast path starts anew: what an earlier process left does not fit ({0})")]
    StartedAnew(&'static str),
    /// Next hops cannot be looked up, so that every packet goes by the sockets.
    #[error(
        "next hops cannot be looked up, so every packet goes by the sockets: set {setting} = 1 ({reason})"
    )]
    NoForwarding {
        /// The kernel's setting.
        setting: &'static str,
        /// Why the gateway could not set it.
        reason: String,
    },
}

/// The fast path, loaded. Dropping it leaves what is pinned at work, and takes the rest away.
#[derive(Debug)]
pub struct FastPath {
    table: FlowTable,
    taps: Vec<Option<Tap>>,
    attached: Vec<Attached>,
    warnings: Vec<Warning>,
    adopted: bool,
}

impl FastPath {
    /// Loads the program and attaches it, or adopts what an earlier process left pinned: then the program is
    /// replaced, and flows that are on stay on ([`FlowTable::entries_on`]).
    ///
    /// # Errors
    /// Whatever stands in the way; the gateway then works by its sockets alone.
    pub fn load(_settings: &Settings) -> Result<Self, Error> {
        Err(Error::NoProgram("the loader is not there yet"))
    }

    /// The table of flows; clones of it share the memory.
    #[must_use]
    pub const fn table(&self) -> &FlowTable {
        &self.table
    }

    /// Takes the tap of one shard, once.
    pub fn take_tap(&mut self, ring: u8) -> Option<Tap> {
        self.taps.get_mut(usize::from(ring))?.take()
    }

    /// The interfaces, and how the program runs on each.
    #[must_use]
    pub fn attached(&self) -> &[Attached] {
        &self.attached
    }

    /// What works less well than it could.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Maps of an earlier process are in use, with the flows that were on.
    #[must_use]
    pub const fn is_adopted(&self) -> bool {
        self.adopted
    }

    /// What the program did since it was loaded first. One system call.
    ///
    /// # Errors
    /// The kernel's.
    pub fn counters(&self) -> Result<PathCounters, Error> {
        Ok(PathCounters::default())
    }

    /// Takes the program from the interfaces. With `remove_pins` nothing stays; without, what is pinned works on.
    ///
    /// # Errors
    /// Pins could not be removed.
    pub fn unload(self, remove_pins: bool) -> Result<(), Error> {
        let _ = remove_pins;
        Ok(())
    }
}
