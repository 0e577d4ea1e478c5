//! What the gateway wants of the fast path.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// Local media addresses, at the most: the program compares a packet's destination with each of them.
pub const MOST_ADDRESSES: usize = 8;

/// Interfaces that the program is attached to, at the most.
pub const MOST_INTERFACES: usize = 8;

/// Rings of the tap, at the most: one per shard, and the program's array of rings has as many places.
pub const MOST_RINGS: usize = 64;

/// How the program shall run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// In the driver where the driver can, else in the kernel's generic hook.
    #[default]
    Auto,
    /// In the kernel's generic hook, behind the driver: works everywhere, and is slower.
    Generic,
    /// In the driver, or not at all.
    Native,
}

/// How the program runs on one interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InterfaceMode {
    /// In the kernel's generic hook.
    Generic,
    /// In the driver.
    Native,
}

impl fmt::Display for InterfaceMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Generic => "generic",
            Self::Native => "native",
        })
    }
}

/// What the gateway wants of the fast path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How the program shall run.
    pub mode: Mode,
    /// Interfaces by name; empty: those that carry the addresses.
    pub interfaces: Vec<String>,
    /// Local media addresses, 1 to [`MOST_ADDRESSES`]. Their order makes the address index of a
    /// [`FlowIndex`](crate::FlowIndex).
    pub addresses: Vec<IpAddr>,
    /// Folder on a BPF file system where maps and links are pinned, so that they outlive the process. `None`: they
    /// do not.
    pub pin: Option<PathBuf>,
    /// Rings of the tap, one per shard, up to [`MOST_RINGS`]; 0 for none.
    pub rings: u8,
    /// Octets of each ring: a power of two and a multiple of the page size.
    pub ring_octets: u32,
    /// TOS or traffic class of relayed packets, as on the sockets.
    pub traffic_class: u8,
}
