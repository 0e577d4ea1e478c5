//! Two network namespaces joined by a veth: the gateway's side is polled on the measured core, the generator's side on
//! the generator's, as two hosts on a cable would be.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::namespace::Namespace;
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

/// Names of the two ends: kernel threads bear them for all to see, so they carry the rig's number.
fn names() -> [String; 2] {
    let number = std::process::id();
    [format!("dg{number}g"), format!("dg{number}f")]
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
}

impl Cable {
    /// Lays it.
    ///
    /// # Errors
    /// We are not root, or iproute2 or util-linux is missing.
    pub fn new() -> io::Result<Self> {
        let [gateway_interface, far_interface] = names();
        let cable =
            Self { gateway: Namespace::new()?, far: Namespace::new()?, gateway_interface, far_interface };
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
        for (interface, core) in
            [(&self.gateway_interface, MEASURED_CORE), (&self.far_interface, GENERATOR_CORE)]
        {
            let mut set = CpuSet::new();
            set.set(core);
            let thread = poller(interface)?;
            sched_setaffinity(Some(thread), &set)?;
            first(thread)?;
        }
        Ok(())
    }

    /// Processor time that the gateway's side has taken to poll, in nanoseconds: what a card's interrupt would.
    ///
    /// # Errors
    /// It has no polling thread.
    pub fn polling_time(&self) -> io::Result<u64> {
        let thread = poller(&self.gateway_interface)?.as_raw_nonzero();
        let text = fs::read_to_string(format!("/proc/{thread}/schedstat"))?;
        let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
        first.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// Puts a thread before all that have no real-time priority.
fn first(thread: Pid) -> io::Result<()> {
    let number = thread.as_raw_nonzero().to_string();
    let status = Command::new("chrt").args(["--fifo", "--pid", "50", &number]).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("chrt fails")) }
}

/// The kernel's thread that polls an interface.
fn poller(interface: &str) -> io::Result<Pid> {
    let wanted = format!("napi/{interface}-");
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
