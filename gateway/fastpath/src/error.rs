//! Why there is no fast path, or a direction cannot go on it.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use rustix::io::Errno;

/// Why the fast path could not be loaded. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Built on a host without clang.
    #[error("this gateway was built without its XDP program: install clang and build it again ({0})")]
    NoProgram(&'static str),
    /// The process may not load BPF programs.
    #[error("loading XDP programs needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON: {0}")]
    NotPermitted(#[source] io::Error),
    /// An address count, ring size or the like that cannot be.
    #[error("fast path settings: {0}")]
    Settings(&'static str),
    /// No interface carries a media address.
    #[error("no interface carries the media address {0}: name interfaces in gateway.interfaces")]
    NoInterface(IpAddr),
    /// The loopback interface cannot be sped up: XDP never sees a packet before it has been through the stack.
    #[error("media on the loopback interface cannot go by XDP: use an address of a network interface")]
    Loopback,
    /// A named interface is not there.
    #[error("interface {0} does not exist")]
    MissingInterface(String),
    /// The driver cannot run XDP programs, and nothing else was asked for.
    #[error(
        "the driver of {interface} cannot run XDP programs: set fast_path to \"auto\" or \"generic\" ({source})"
    )]
    NotNative {
        /// Name of the interface.
        interface: String,
        /// The kernel's answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The kernel did not attach the program.
    #[error(
        "the XDP program could not be attached to {interface}; another one may be there (`ip link show {interface}`): {source}"
    )]
    Attach {
        /// Name of the interface.
        interface: String,
        /// The kernel's answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another process uses the same pins.
    #[error("another gateway uses the pins under {0}: give each its own gateway.pin")]
    InUse(PathBuf),
    /// The folder of the pins could not be made or changed.
    #[error("the folder of the pins {folder}: {source}")]
    Pins {
        /// The folder, or a pin in it.
        folder: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The kernel refused a map, the program or a link.
    #[error("the kernel refused the fast path's {what}: {source}")]
    Kernel {
        /// What was asked for.
        what: &'static str,
        /// Its answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system refused something else.
    #[error("{what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Its answer.
        #[source]
        source: io::Error,
    },
}

/// The kernel refused something: for lack of rights, or otherwise.
pub(crate) fn kernel(what: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    match system_error(&error) {
        // EACCES is the verifier's word, and says something else.
        Some(system) if system.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
            Error::NotPermitted(Errno::PERM.into())
        }
        _ => Error::Kernel { what, source: error.into() },
    }
}

/// The system's answer behind an error of a library.
pub(crate) fn system_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

/// Why a direction cannot go on the fast path; it stays on the sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// There is no entry of that index: an odd port, or an address index beyond the settings.
    #[error("the fast path has no entry for this port")]
    NoEntry,
    /// Addresses of IPv4 and IPv6 in one flow.
    #[error("the fast path does not translate between IPv4 and IPv6")]
    Families,
    /// No such ring.
    #[error("the fast path has no such tap")]
    NoTap,
    /// The entry is on already.
    #[error("the entry is on already")]
    On,
}
