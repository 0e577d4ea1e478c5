//! What this host could do with the fast path, without doing it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::statfs;

use crate::interfaces::{self, Interface};
use crate::lookups;
use crate::netlink::xdp_features;
use crate::pins::BPF_FILE_SYSTEM;
use crate::program;
use crate::settings::Settings;

/// `CAP_NET_ADMIN`, `CAP_SYS_ADMIN`, `CAP_PERFMON` and `CAP_BPF` of linux/capability.h, as bits.
const NET_ADMIN: u64 = 1 << 12;
const SYS_ADMIN: u64 = 1 << 21;
const PERFMON: u64 = 1 << 38;
const BPF: u64 = 1 << 39;

/// Bits of `enum netdev_xdp_act`: the driver runs programs, and takes what another interface's program redirects.
const RUNS_PROGRAMS: u64 = 1;

/// What this host could do with the fast path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// Why this build has no program, if it has none.
    pub program: Result<(), String>,
    /// This process may load and attach programs.
    pub permitted: bool,
    /// Why the folder of the pins cannot hold them, if there is one and it cannot.
    pub pins: Result<(), String>,
    /// The kernel's setting, as a file, that is off, that next hops need, and that this process may not change.
    pub lookups: Option<&'static str>,
    /// The interfaces that media uses, or why none can be used.
    pub interfaces: Result<Vec<InterfaceProbe>, String>,
    /// Processors that are online.
    pub processors: usize,
}

/// What XDP can do on one interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfaceProbe {
    /// Its name.
    pub name: String,
    /// Name of its driver; `None` where no device is behind it, as with veth.
    pub driver: Option<String>,
    /// The driver can run programs; `None` where the kernel does not say (before 6.3).
    pub native: Option<bool>,
    /// Receive queues: as many processors can share its packets.
    pub queues: usize,
    /// Processors that its interrupts go to; 0 where that cannot be seen.
    pub interrupted: usize,
}

/// Looks at this host. Loads nothing and changes nothing.
#[must_use]
pub fn probe(settings: &Settings) -> Probe {
    Probe {
        program: program::available().map_err(|error| error.to_string()),
        permitted: is_permitted(),
        pins: settings.pin.as_deref().map_or(Ok(()), holds_pins),
        lookups: lookups::forbidden(settings),
        interfaces: interfaces::choose(settings)
            .map(|all| all.iter().map(look).collect())
            .map_err(|error| error.to_string()),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// This process may load and attach the program.
pub(crate) fn is_permitted() -> bool {
    effective_capabilities().is_some_and(permits)
}

/// `CAP_BPF` alone does not do: without `CAP_PERFMON` the verifier allows no arithmetic with pointers into packets.
const fn permits(capabilities: u64) -> bool {
    let loads = capabilities & SYS_ADMIN != 0 || capabilities & (BPF | PERFMON) == BPF | PERFMON;
    capabilities & NET_ADMIN != 0 && loads
}

fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(value.trim(), 16).ok()
}

/// The nearest folder that is there must be on a BPF file system.
fn holds_pins(folder: &Path) -> Result<(), String> {
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    match statfs(existing) {
        Ok(found) if found.f_type == BPF_FILE_SYSTEM => Ok(()),
        Ok(_) => Err(format!("{} is not on a BPF file system", existing.display())),
        Err(error) => Err(format!("{}: {error}", existing.display())),
    }
}

fn look(interface: &Interface) -> InterfaceProbe {
    let folder = Path::new("/sys/class/net").join(&interface.name);
    let driver = fs::read_link(folder.join("device/driver")).ok();
    InterfaceProbe {
        name: interface.name.clone(),
        driver: driver.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned())),
        native: xdp_features(interface.number).map(|features| features & RUNS_PROGRAMS != 0),
        queues: names(&folder.join("queues")).iter().filter(|name| name.starts_with("rx-")).count(),
        interrupted: interrupted(&folder).len(),
    }
}

/// Processors that the device's interrupts go to: those of the device itself, or of the one that it sits on (virtio).
fn interrupted(folder: &Path) -> BTreeSet<String> {
    let places = [folder.join("device/msi_irqs"), folder.join("device/../msi_irqs")];
    let numbers = places.iter().map(|place| names(place)).find(|numbers| !numbers.is_empty());
    let affinity = |number: &String| {
        let path = PathBuf::from(format!("/proc/irq/{number}/effective_affinity_list"));
        Some(fs::read_to_string(path).ok()?.trim().to_owned())
    };
    let mut found: BTreeSet<_> = numbers.unwrap_or_default().iter().filter_map(affinity).collect();
    found.remove("");
    found
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_from_their_bits() {
        assert!(permits(NET_ADMIN | BPF | PERFMON) && permits(NET_ADMIN | SYS_ADMIN) && permits(u64::MAX));
        assert!(!permits(NET_ADMIN | BPF) && !permits(NET_ADMIN | PERFMON));
        assert!(!permits(NET_ADMIN) && !permits(BPF | SYS_ADMIN) && !permits(0));
        assert!(effective_capabilities().is_some());
    }

    #[test]
    fn a_folder_elsewhere_holds_no_pins() {
        assert!(holds_pins(Path::new("/proc/duogate/pins")).is_err());
    }
}
