//! Two network namespaces joined by a pair of virtual interfaces: the gateway in one, the parties in the other. There
//! the fast path runs as it does on a network card.

use std::fs::File;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use duogate_fastpath::BARE_PROGRAM;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The gateway's address, the parties', and a stranger's.
pub(crate) const GATEWAY: &str = "10.98.0.1";
pub(crate) const PARTIES: [&str; 2] = ["10.98.0.2", "10.98.0.3"];
pub(crate) const STRANGER: &str = "10.98.0.4";

/// The gateway's and the parties' with IPv6.
pub(crate) const GATEWAY_SIX: &str = "fd98::1";
pub(crate) const PARTIES_SIX: [&str; 2] = ["fd98::2", "fd98::3"];

const GATEWAY_MAC: &str = "02:00:00:00:98:01";
const PARTY_MAC: &str = "02:00:00:00:98:02";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// The namespaces; gone when dropped, with all that is in them.
pub(crate) struct Spaces {
    name: String,
    _receiver: Option<Ebpf>,
}

impl Spaces {
    /// Makes them, and moves this thread to the gateway's: what it starts is there. `None`, with a word about it, where
    /// the tests may not do this.
    pub(crate) fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: the fast path needs root");
            return None;
        }
        if BARE_PROGRAM.is_empty() {
            eprintln!("skipped: built without clang");
            return None;
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut spaces = Self { name: format!("dgs{}x{number}", std::process::id()), _receiver: None };
        spaces.build();
        // A virtual interface takes what XDP sends to it only while it has a program itself.
        spaces._receiver = Some(spaces.among_parties(|| {
            let mut program = EbpfLoader::new().load(BARE_PROGRAM).unwrap();
            let xdp: &mut Xdp = program.program_mut("bare").unwrap().try_into().unwrap();
            xdp.load().unwrap();
            xdp.attach("p0", XdpMode::Driver).unwrap();
            program
        }));
        spaces.enter("g");
        Some(spaces)
    }

    fn build(&self) {
        let (gateway, parties) = (format!("{}g", self.name), format!("{}p", self.name));
        ip(&format!("netns add {gateway}"));
        ip(&format!("netns add {parties}"));
        ip(&format!(
            "link add g0 address {GATEWAY_MAC} netns {gateway} type veth peer name p0 address {PARTY_MAC} netns {parties}"
        ));
        ip(&format!("-n {gateway} address add {GATEWAY}/24 dev g0"));
        ip(&format!("-n {parties} neighbor add {GATEWAY} lladdr {GATEWAY_MAC} dev p0 nud permanent"));
        for party in PARTIES.into_iter().chain([STRANGER]) {
            ip(&format!("-n {parties} address add {party}/24 dev p0"));
            ip(&format!("-n {gateway} neighbor add {party} lladdr {PARTY_MAC} dev g0 nud permanent"));
        }
        ip(&format!("-n {gateway} address add {GATEWAY_SIX}/64 dev g0 nodad"));
        ip(&format!("-n {parties} neighbor add {GATEWAY_SIX} lladdr {GATEWAY_MAC} dev p0 nud permanent"));
        for party in PARTIES_SIX {
            ip(&format!("-n {parties} address add {party}/64 dev p0 nodad"));
            ip(&format!("-n {gateway} neighbor add {party} lladdr {PARTY_MAC} dev g0 nud permanent"));
        }
        for (space, interface) in [(&gateway, "g0"), (&parties, "p0")] {
            ip(&format!("-n {space} link set lo up"));
            ip(&format!("-n {space} link set {interface} up"));
        }
    }

    fn enter(&self, side: &str) {
        let space = File::open(Path::new("/run/netns").join(format!("{}{side}", self.name))).unwrap();
        move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Does something where the parties are. Sockets made there stay there.
    pub(crate) fn among_parties<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter("p");
                work()
            });
            thread.join().unwrap()
        })
    }

    /// A socket of one of those addresses.
    pub(crate) fn socket(&self, address: &str) -> UdpSocket {
        self.among_parties(|| UdpSocket::bind((address, 0)).unwrap())
    }

    /// Where this test's gateway pins.
    pub(crate) fn pin(&self) -> PathBuf {
        Path::new("/sys/fs/bpf").join(&self.name)
    }
}

impl Drop for Spaces {
    fn drop(&mut self) {
        for side in ["g", "p"] {
            let _ = Command::new("ip").args(["netns", "delete", &format!("{}{side}", self.name)]).output();
        }
        let _ = std::fs::remove_dir_all(self.pin());
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("iproute2 is there");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
