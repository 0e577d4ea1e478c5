//! Network namespaces without names: they are held by a descriptor of the rig, so they are gone when the rig is,
//! however it ends.
#![allow(unsafe_code)] // One thread's move into a namespace of its own, and one ethtool request.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// So many times in succession an interface is found empty before it is left until a packet comes.
const EMPTY_POLLS: u64 = 10;

/// A network namespace, and the interfaces and sockets in it as long as it is held.
#[derive(Debug)]
pub struct Namespace(OwnedFd);

impl Namespace {
    /// A new one, its loopback interface down.
    ///
    /// # Errors
    /// We are not root.
    pub fn new() -> io::Result<Self> {
        on_a_thread(|| {
            // SAFETY: only this thread leaves its network namespace; it shares no other thread's descriptors less
            // for that, and ends here.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET)? };
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            Ok(Self(rustix::fs::open("/proc/thread-self/ns/net", flags, Mode::empty())?))
        })
    }

    /// Where other programs find it while the rig runs.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Does something on a thread of its own inside.
    ///
    /// # Errors
    /// What the work says, or that it cannot be entered.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        on_a_thread(|| {
            move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))?;
            work()
        })
    }

    /// Runs `ip` inside.
    ///
    /// # Errors
    /// It is not there, or refuses: with its own words.
    pub fn ip(&self, arguments: &str) -> io::Result<()> {
        run(Command::new("nsenter")
            .args([&format!("--net={}", self.path()), "ip"])
            .args(arguments.split_whitespace()))
    }

    /// Lets an interface inside be polled by a kernel thread of its own instead of by whoever sends to it.
    ///
    /// # Errors
    /// The kernel is older than 5.12.
    pub fn poll_by_thread(&self, interface: &str) -> io::Result<()> {
        self.set(interface, &[("threaded", 1)])
    }

    /// Lets an interface inside be polled so long after it was found empty, as a card's interrupts are moderated, and
    /// not at once when the next packet comes.
    ///
    /// # Errors
    /// The kernel is older than 5.12.
    pub fn moderate(&self, interface: &str, period: Duration) -> io::Result<()> {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        self.set(interface, &[("gro_flush_timeout", period), ("napi_defer_hard_irqs", EMPTY_POLLS)])
    }

    /// Writes attributes of an interface inside.
    fn set(&self, interface: &str, attributes: &[(&str, u64)]) -> io::Result<()> {
        // The host's /sys shows the host's interfaces: a mount of its own, gone with the shell, shows ours.
        let mut script = "mount -t sysfs none /sys".to_owned();
        for (name, value) in attributes {
            script += &format!(" && echo {value} > /sys/class/net/{interface}/{name}");
        }
        let net = format!("--net={}", self.path());
        run(Command::new("nsenter").args([&net, "unshare", "--mount", "sh", "-c", &script]))
    }

    /// Switches an interface's generic receive offload on, which makes a veth poll (NAPI) without an XDP program.
    ///
    /// # Errors
    /// There is no such interface inside.
    pub fn gather_received(&self, interface: &str) -> io::Result<()> {
        const ETHTOOL_SGRO: u32 = 0x2c;
        self.switch(interface, ETHTOOL_SGRO, true)
    }

    /// Switches an interface's segmentation off. A veth with it does not leave packets to the polling of its other end but
    /// carries each through the receiver's stack itself, unless there is an XDP program at that end.
    ///
    /// # Errors
    /// There is no such interface inside.
    pub fn send_whole(&self, interface: &str) -> io::Result<()> {
        const ETHTOOL_STSO: u32 = 0x1f;
        self.switch(interface, ETHTOOL_STSO, false)
    }

    /// One of ethtool's switches (linux/ethtool.h).
    fn switch(&self, interface: &str, command: u32, on: bool) -> io::Result<()> {
        const SIOCETHTOOL: libc::Ioctl = 0x8946;
        self.inside(|| {
            let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0))?;
            // struct ethtool_value
            let mut value: [u32; 2] = [command, on.into()];
            // SAFETY: a C structure of integers, octets and pointers, for which all zero is a value.
            let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
            for (place, octet) in request.ifr_name.iter_mut().zip(interface.bytes()).take(libc::IFNAMSIZ - 1)
            {
                *place = octet.cast_signed();
            }
            request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
            // SAFETY: the request and the value it points to live across the call and have the form that these
            // ethtool commands read.
            let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
            if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
        })
    }
}

/// Runs the work on a thread that ends with it, and waits.
fn on_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("namespace".into()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread in a namespace has panicked")))
    })
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?}: {}", words.trim())))
}
