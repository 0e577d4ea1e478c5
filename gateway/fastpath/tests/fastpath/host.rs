//! Two network namespaces joined by a pair of virtual interfaces: the gateway in one, two parties in the other.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use duogate_fastpath::{BARE_PROGRAM, Error, FastPath, Flow, FlowIndex, Mode, Position, Quiet, Settings};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The gateway's addresses, and the parties'.
pub(crate) const GATEWAY: [&str; 2] = ["10.99.0.1", "fd99::1"];
pub(crate) const PARTIES: [[&str; 2]; 2] = [["10.99.0.2", "fd99::2"], ["10.99.0.3", "fd99::3"]];

/// The gateway's addresses on a second pair of interfaces, and the only party's there.
pub(crate) const ELSEWHERE: [&str; 2] = ["10.100.0.1", "fd9a::1"];
pub(crate) const PARTY_ELSEWHERE: [&str; 2] = ["10.100.0.2", "fd9a::2"];

/// MAC addresses of the gateway's end and of the parties' end.
pub(crate) const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0x99, 1];
pub(crate) const PARTY_MAC: [u8; 6] = [2, 0, 0, 0, 0x99, 2];

/// Numbers of the gateway's interface, the same in each test.
pub(crate) const INTERFACE: u32 = 77;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// The namespaces; gone when dropped, with all that is in them.
pub(crate) struct Host {
    name: String,
    /// Makes the parties' end take what XDP sends, as virtual interfaces demand.
    receiver: Vec<Ebpf>,
}

impl Host {
    /// `None`, with a word about it, where the tests may not do this.
    pub(crate) fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: the fast path needs root");
            return None;
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut host = Self { name: format!("dg{}x{number}", std::process::id()), receiver: Vec::new() };
        run(&format!("netns add {}", host.namespace(Side::Gateway)));
        run(&format!("netns add {}", host.namespace(Side::Parties)));
        host.build();
        host.receive("p0");
        // The test itself is the gateway.
        host.enter(Side::Gateway);
        Some(host)
    }

    /// Makes an end of the parties' ready for what XDP sends: it must run a program too, one that passes everything.
    fn receive(&mut self, interface: &str) {
        let receiver = self.inside(Side::Parties, || {
            let mut ebpf = EbpfLoader::new().load(BARE_PROGRAM).unwrap();
            let xdp: &mut Xdp = ebpf.program_mut("bare").unwrap().try_into().unwrap();
            xdp.load().unwrap();
            xdp.attach(interface, XdpMode::Driver).unwrap();
            ebpf
        });
        self.receiver.push(receiver);
    }

    fn build(&self) {
        let (gateway, parties) = (self.namespace(Side::Gateway), self.namespace(Side::Parties));
        let mac = |mac: [u8; 6]| mac.map(|octet| format!("{octet:02x}")).join(":");
        run(&format!(
            "link add g0 index {INTERFACE} address {} netns {gateway} type veth peer name p0 address {} netns {parties}",
            mac(GATEWAY_MAC),
            mac(PARTY_MAC)
        ));
        let [four, six] = GATEWAY;
        run(&format!("-n {gateway} address add {four}/24 dev g0"));
        run(&format!("-n {gateway} address add {six}/64 dev g0 nodad"));
        run(&format!("-n {parties} neighbor add {four} lladdr {} dev p0 nud permanent", mac(GATEWAY_MAC)));
        run(&format!("-n {parties} neighbor add {six} lladdr {} dev p0 nud permanent", mac(GATEWAY_MAC)));
        for [four, six] in PARTIES {
            run(&format!("-n {parties} address add {four}/24 dev p0"));
            run(&format!("-n {parties} address add {six}/64 dev p0 nodad"));
            run(&format!("-n {gateway} neighbor add {four} lladdr {} dev g0 nud permanent", mac(PARTY_MAC)));
            run(&format!("-n {gateway} neighbor add {six} lladdr {} dev g0 nud permanent", mac(PARTY_MAC)));
        }
        for (namespace, interface) in [(&gateway, "g0"), (&parties, "p0")] {
            run(&format!("-n {namespace} link set lo up"));
            run(&format!("-n {namespace} link set {interface} up"));
        }
    }

    fn namespace(&self, side: Side) -> String {
        format!("{}{}", self.name, if side == Side::Gateway { "g" } else { "p" })
    }

    /// Moves this thread.
    fn enter(&self, side: Side) {
        let path = Path::new("/run/netns").join(self.namespace(side));
        let space = std::fs::File::open(path).unwrap();
        move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Runs something in one of the namespaces. What it makes there, sockets above all, stays there.
    pub(crate) fn inside<T: Send>(&self, side: Side, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter(side);
                work()
            });
            match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// A socket in one of the namespaces, with a bounded wait.
    pub(crate) fn socket(&self, side: Side, address: SocketAddr) -> UdpSocket {
        let socket = self.inside(side, || UdpSocket::bind(address).unwrap());
        // Longer than a busy host needs to hand a packet over.
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        socket
    }

    /// Takes the interfaces away and makes them anew, with the same numbers.
    pub(crate) fn replace_interfaces(&mut self) {
        run(&format!("-n {} link delete g0", self.namespace(Side::Gateway)));
        self.build();
        self.receiver.clear();
        self.receive("p0");
    }

    /// A second pair of interfaces, with a network of its own.
    pub(crate) fn add_pair(&mut self) {
        let (gateway, parties) = (self.namespace(Side::Gateway), self.namespace(Side::Parties));
        run(&format!("link add g1 netns {gateway} type veth peer name p1 netns {parties}"));
        for (ours, theirs, length) in
            [(ELSEWHERE[0], PARTY_ELSEWHERE[0], "24"), (ELSEWHERE[1], PARTY_ELSEWHERE[1], "64 nodad")]
        {
            run(&format!("-n {gateway} address add dev g1 {ours}/{length}"));
            run(&format!("-n {parties} address add dev p1 {theirs}/{length}"));
        }
        run(&format!("-n {gateway} link set g1 up"));
        run(&format!("-n {parties} link set p1 up"));
        self.receive("p1");
    }

    /// An interface whose driver has no XDP.
    pub(crate) fn add_bridge(&self) {
        run(&format!("-n {} link add b0 type bridge", self.namespace(Side::Gateway)));
    }

    /// Settings of a gateway there.
    pub(crate) fn settings(&self) -> Settings {
        Self::settings_of_any()
    }

    /// The same for whoever has no namespaces of its own, but is in one.
    pub(crate) fn settings_of_any() -> Settings {
        Settings {
            mode: Mode::Auto,
            interfaces: Vec::new(),
            addresses: GATEWAY.map(|address| address.parse().unwrap()).to_vec(),
            pin: None,
            rings: 2,
            ring_octets: 65_536,
            traffic_class: 0xb8,
        }
    }

    /// A folder for pins, of this test alone.
    pub(crate) fn pin(&self) -> PathBuf {
        Path::new("/sys/fs/bpf").join(&self.name)
    }

    /// The fast path there; `None`, with a word about it, where this kernel or process cannot.
    pub(crate) fn load(&self, settings: &Settings) -> Option<FastPath> {
        match FastPath::load(settings) {
            Ok(path) => Some(path),
            Err(error @ (Error::NotPermitted(_) | Error::NoProgram(_))) => {
                eprintln!("skipped: {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for side in [Side::Gateway, Side::Parties] {
            let _ = Command::new("ip").args(["netns", "delete", &self.namespace(side)]).output();
        }
        let _ = std::fs::remove_dir_all(self.pin());
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Gateway,
    Parties,
}

fn run(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("iproute2 is there");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    Four = 0,
    Six = 1,
}

pub(crate) const FAMILIES: [Family; 2] = [Family::Four, Family::Six];

/// Ports: the gateway's towards the first and the second party, and the parties' own.
pub(crate) const LEGS: [u16; 2] = [40_000, 40_002];
pub(crate) const PARTY_PORTS: [u16; 2] = [5_000, 6_000];

pub(crate) fn party(number: usize, family: Family) -> SocketAddr {
    let address: IpAddr = PARTIES[number][family as usize].parse().unwrap();
    SocketAddr::new(address, PARTY_PORTS[number])
}

pub(crate) fn leg(number: usize, family: Family) -> SocketAddr {
    SocketAddr::new(GATEWAY[family as usize].parse().unwrap(), LEGS[number])
}

pub(crate) fn index(number: usize, family: Family) -> FlowIndex {
    FlowIndex { address: family as u8, port: LEGS[number] }
}

/// From the first party to the second, from sequence number 1000 and timestamp 50,000 on.
pub(crate) fn flow(family: Family) -> Flow {
    Flow {
        source: party(0, family),
        ssrc: 0x1122_3344,
        payload_type: 8,
        from: index(1, family),
        destination: party(1, family),
        out_ssrc: 0x5566_7788,
        out_payload_type: 0,
        sequence_offset: 65_000,
        timestamp_offset: 0xffff_0000,
        ticks: 1,
        quiet: Quiet::Alaw,
        tap: None,
        position: Position { highest: 999, seen: 1, span: 64, timestamp: 49_840, ..Position::default() },
    }
}
