//! Two network namespaces joined by a veth: the gateway's side is polled on the measured core, the generator's side on
//! the generator's, as two hosts on a cable would be.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::namespace::Namespace;
use crate::process::{Class, schedule};
use crate::rows::{GENERATOR_CORE, MEASURED_CORE};

/// Local addresses of the gateway's side: the first, and more for pairs beyond one address's ports.
pub const GATEWAYS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(198, 18, 0, 1),
    Ipv4Addr::new(198, 18, 0, 2),
    Ipv4Addr::new(198, 18, 0, 3),
    Ipv4Addr::new(198, 18, 0, 4),
];

/// Where all packets come from and go to. Both are of the range for benchmarks (RFC 2544).
pub const FAR_END: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 18, 1, 1), 4000);

/// Hardware addresses, of the locally administered range.
pub const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The generator's.
pub const FAR_END_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// How long after an end was found empty it is polled again. Without, each end wakes the other's thread for every few
/// packets, which in a virtual machine takes more time than to forward them: half of the forwarder's core. Short where
/// delay is measured; and of a ring of 256 there is to be half left when it is polled.
const fn moderation(rate: u64) -> Duration {
    Duration::from_micros(match rate {
        0..=250_000 => 20,
        250_001..=1_000_000 => 50,
        _ => 30,
    })
}

/// Names of the two ends: kernel threads bear them for all to see, so they carry the rig's number, and a letter for each
/// cable.
fn names() -> [String; 2] {
    static CABLES: AtomicU8 = AtomicU8::new(0);
    let number = std::process::id();
    let cable = char::from(b'a' + CABLES.fetch_add(1, Ordering::Relaxed) % 26);
    [format!("dg{number}g{cable}"), format!("dg{number}f{cable}")]
}

/// What the gateway's end of the cable has counted.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// Packets that a program there was given.
    pub entered: u64,
    /// Packets that found its ring full on their way to it: the cable's loss, before any forwarder.
    pub lost_before: u64,
    /// Packets that were sent from there and found the far end's ring full: the cable's loss, behind any forwarder.
    pub lost_behind: u64,
}

impl Counts {
    /// What was counted since `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            entered: self.entered.saturating_sub(before.entered),
            lost_before: self.lost_before.saturating_sub(before.lost_before),
            lost_behind: self.lost_behind.saturating_sub(before.lost_behind),
        }
    }
}

/// A pair of namespaces.
#[derive(Debug)]
pub struct Cable {
    /// Where the gateway runs.
    pub gateway: Namespace,
    /// Where the generator and the sink run.
    pub far: Namespace,
    /// Name of the gateway's interface.
    pub gateway_interface: String,
    /// Name of the generator's interface.
    pub far_interface: String,
    /// What is known of it.
    state: Mutex<State>,
}

/// What need not be found out, or set, for each flight.
#[derive(Clone, Copy, Default, Debug)]
struct State {
    /// Threads that poll the gateway's and the generator's side.
    pollers: [Option<Pid>; 2],
    moderation: Option<Duration>,
}

impl Cable {
    /// Lays it.
    ///
    /// # Errors
    /// We are not root, or iproute2 or util-linux is missing.
    pub fn new() -> io::Result<Self> {
        let [gateway_interface, far_interface] = names();
        let (gateway, far, state) = (Namespace::new()?, Namespace::new()?, Mutex::default());
        let cable = Self { gateway, far, gateway_interface, far_interface, state };
        let (near, far) = (&cable.gateway_interface, &cable.far_interface);
        let (near_mac, far_mac) = (mac(GATEWAY_MAC), mac(FAR_END_MAC));
        // One queue each: one core polls it.
        cable.gateway.ip(&format!(
            "link add {near} address {near_mac} numtxqueues 1 numrxqueues 1 type veth \
             peer name {far} address {far_mac} numtxqueues 1 numrxqueues 1 netns {}",
            cable.far.path()
        ))?;
        for (side, interface) in [(&cable.gateway, near), (&cable.far, far)] {
            side.ip("link set lo up")?;
            side.ip(&format!("link set {interface} addrgenmode none"))?;
            side.gather_received(interface)?;
        }
        for address in GATEWAYS {
            cable.gateway.ip(&format!("address add {address}/15 dev {near}"))?;
        }
        cable.far.ip(&format!("address add {}/15 dev {far}", FAR_END.ip()))?;
        cable.gateway.ip(&format!("link set {near} up"))?;
        cable.far.ip(&format!("link set {far} up"))?;
        cable
            .gateway
            .ip(&format!("neigh replace {} lladdr {far_mac} dev {near} nud permanent", FAR_END.ip()))?;
        for address in GATEWAYS {
            cable.far.ip(&format!("neigh replace {address} lladdr {near_mac} dev {far} nud permanent"))?;
        }
        cable.gateway.poll_by_thread(near)?;
        cable.far.poll_by_thread(far)?;
        cable.pin()?;
        Ok(cable)
    }

    /// Keeps each side's polling thread on its core, before all other work there as a card's interrupt would be; anew
    /// whenever an interface has been reconfigured.
    ///
    /// # Errors
    /// A side has no polling thread.
    pub fn pin(&self) -> io::Result<()> {
        let sides = [(&self.gateway_interface, MEASURED_CORE), (&self.far_interface, GENERATOR_CORE)];
        for (side, (interface, core)) in sides.into_iter().enumerate() {
            if self.known().pollers[side].is_some_and(|thread| polls(thread, interface)) {
                continue;
            }
            let mut set = CpuSet::new();
            set.set(core);
            let thread = poller(interface)?;
            sched_setaffinity(Some(thread), &set)?;
            schedule(thread, Class::First(50))?;
            self.know(|state| state.pollers[side] = Some(thread));
        }
        Ok(())
    }

    fn known(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn know(&self, news: impl FnOnce(&mut State)) {
        news(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Makes both ends ready for so many packets a second.
    ///
    /// # Errors
    /// The kernel is too old.
    pub fn expect(&self, rate: u64) -> io::Result<()> {
        let wanted = moderation(rate);
        if self.known().moderation == Some(wanted) {
            return Ok(());
        }
        self.gateway.moderate(&self.gateway_interface, wanted)?;
        self.far.moderate(&self.far_interface, wanted)?;
        self.know(|state| state.moderation = Some(wanted));
        Ok(())
    }

    /// Processor time that the gateway's side has taken to poll, in nanoseconds: what a card's interrupt would.
    ///
    /// # Errors
    /// It has no polling thread.
    pub fn polling_time(&self) -> io::Result<u64> {
        let known = self.known().pollers[0];
        let thread = known.map_or_else(|| poller(&self.gateway_interface), Ok)?.as_raw_nonzero();
        let text = fs::read_to_string(format!("/proc/{thread}/schedstat"))?;
        let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
        first.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// What the gateway's end has counted so far.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn counts(&self) -> io::Result<Counts> {
        let text = self.gateway.inside(|| fs::read_to_string("/proc/thread-self/net/dev"))?;
        counts(&text, &self.gateway_interface).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// The line of an interface in `/proc/net/dev`: octets, packets, errors and drops of what was received, four more, and
/// the same of what was sent. A veth counts among the drops of an end what its full ring refused, and what it sent and
/// the other end's ring refused.
fn counts(text: &str, interface: &str) -> Option<Counts> {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(interface)?.strip_prefix(':'))?;
    let numbers: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    Some(Counts { entered: *numbers.get(1)?, lost_before: *numbers.get(3)?, lost_behind: *numbers.get(11)? })
}

/// Does this thread poll an interface? One that did may be gone.
fn polls(thread: Pid, interface: &str) -> bool {
    let name = fs::read_to_string(format!("/proc/{}/comm", thread.as_raw_nonzero())).unwrap_or_default();
    name.starts_with(&polling(interface))
}

/// How the name of a thread that polls an interface begins.
fn polling(interface: &str) -> String {
    format!("napi/{interface}-")
}

/// The kernel's thread that polls an interface.
fn poller(interface: &str) -> io::Result<Pid> {
    let wanted = polling(interface);
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // Processes come and go while we look.
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if name.starts_with(&wanted) {
            return Pid::from_raw(number).ok_or_else(|| io::ErrorKind::InvalidData.into());
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("no thread polls {interface}")))
}

fn mac(octets: [u8; 6]) -> String {
    octets.map(|octet| format!("{octet:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_read_by_their_places() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop\n\
                    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n\
                    dg7g: 100 20 0 3 0 0 0 0 90 17 0 5 0 0 0 0\n";
        let found = counts(text, "dg7g").unwrap();
        assert_eq!((found.entered, found.lost_before, found.lost_behind), (20, 3, 5));
        assert!(counts(text, "dg8g").is_none());
    }
}
