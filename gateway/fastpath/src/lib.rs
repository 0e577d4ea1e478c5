//! The fast path: an XDP program that relays the sound of connected pairs before the kernel's network stack sees
//! it, and the typed view of what it shares with the gateway.
//!
//! [`FastPath::load`] brings the program to the interfaces that carry media. A shard then programs a direction of
//! a pair with [`FlowTable::on`], takes it back with [`FlowTable::off`], looks at its numbers meanwhile with
//! [`FlowTable::read`], and drains its [`Tap`], which holds the packets of directions that are recorded. [`probe`] says
//! what a host could do, without doing it.
//!
//! # What the program does with a packet
//! It relays what is plain and expected, drops what it has relayed already, and leaves all else to the sockets as it
//! came: a telephone-event, RTCP, STUN, another source, SSRC or payload type, a far jump, a fragment, a VLAN tag.
//! [`PassReason`] has the list, and [`PathCounters`] says how often. Order, duplicates and jitter are judged exactly
//! as by the gateway's core, so that a direction can move between program and sockets at any packet:
//! [`Position`] is all that moves.
//!
//! # Why an array in shared memory, and not a hash map
//! Flows are found by the local port alone, because each leg has a port to itself: a place in an array, and no hash
//! of five fields. `BPF_F_MMAPABLE` lets the gateway map that array. Switching a direction on or off, and reading
//! its numbers, are loads and stores; a hash map costs a system call and a copy each time, which at 20,000 pairs read
//! once a second are 40,000 system calls a second, and cannot be read at one moment. The price is memory for every
//! even port, used or not: 192 octets each, 6 MiB for a local address.
//!
//! # Taking a direction back exactly
//! An entry has a generation (0: off) and a lock, which the program makes odd with one compare-and-swap, and even
//! again when it is done. The program reads the generation a second time under the lock; [`FlowTable::off`] stores
//! zero and waits until the lock is even. So either the program saw the zero and passes the packet, or `off` saw the
//! lock and waits for what the packet adds: no packet is both, and none is neither. The wait is bounded, and less
//! than a microsecond where the host gives the program its processor. The lock makes the entry one processor's at a
//! time: should two have packets of the same flow at once, the second leaves its own to the sockets. It also counts,
//! so that a reader can tell whether all the numbers it read are of one moment. (A pair of counters, of entries and
//! exits, would need two atomic operations for a packet, and would let two processors into one entry.)
//!
//! # Checksums
//! On an interface with a device behind it checksums are full, and are updated by what was changed (RFC 1624): what
//! was wrong stays wrong, and the listener sees that. A virtual interface (veth and the like) hands over what a local
//! sender left for its hardware to complete: half a checksum. There IPv4 is sent without one, which RFC 768 allows,
//! and IPv6 with one made anew over the whole packet, because RFC 8200 section 8.1 demands one. A datagram that came
//! without stays without.
//!
//! # Next hops
//! `bpf_fib_lookup` gives route and neighbor, at most once a second for a flow; the entry keeps the answer. A flow
//! without a next hop asks 60 times a second at the most, and its packets go by the sockets, which also makes the
//! kernel look for the neighbor. The kernel answers only where forwarding is on for the interface that a packet
//! seems to come from. The program says that it comes from `lo`, as the host's own packets do, and the loader
//! switches forwarding on for `lo` alone: that does not make the host a router.
//!
//! # What a packet costs
//! One reading of the clock, one compare-and-swap, one division, two cache lines of its flow (three with IPv6), one
//! of the processor's counters. In nanoseconds by `BPF_PROG_TEST_RUN` on a virtual machine at some 3 GHz, with all
//! caches warm, where a program that does nothing takes 22 and one that only finds a flow in a hash map, puts fixed
//! values in and sends takes 45:
//!
//! | | relayed | with the tap |
//! |---|---|---|
//! | IPv4 | 77 | 120 |
//! | IPv6, with a checksum made anew | 118 | 161 |
//!
//! The test `cost` prints these figures for the host it runs on.
//!
//! Over a veth on that machine a packet takes 200 to 300 ns of the core at 2 million a second, most of them the kernel's:
//! the ring, the call of the program, sending. A capacity there ends not where the program is busy but where the
//! interface's 256 places are full: after 128 microseconds in which a system call of some other program, which a kernel
//! without preemption does not interrupt, holds up the thread that polls. And to wake the thread at the other end takes a
//! virtual machine ten microseconds: polling that is moderated by some tens of microseconds spares a third of the core.
//!
//! # Who is mute
//! A party that sends packets of silence is as bad as one that sends none, and only its packets tell. Of each the
//! program looks at the first eight octets of sound, which lie in the cache line of the headers, all at once, and
//! counts those that are not silent ([`FlowNumbers::loud`]). That is two nanoseconds of those above.
//!
//! # What outlives the process
//! With [`Settings::pin`], maps and links are pinned: pairs on the path talk on when the gateway dies, and the next
//! [`FastPath::load`] adopts them and puts its own program in the place of the old one, without a packet between.
//! The folder's name carries the version of the layout and what the maps depend on; anything else found there is
//! removed. A process that does without the fast path, or cannot load it, calls [`take_down`]: nobody would know the
//! calls that a dead process left there.
//!
//! # What a host needs
//! Linux 5.15, root or `CAP_BPF`, `CAP_PERFMON` and `CAP_NET_ADMIN`, a BPF file system for the pins; clang where it is built. In the
//! driver (`native`) where that can; veth also wants a program, or GRO, at its other end, to take what is sent.
#![deny(unsafe_code)]

mod counters;
mod entry;
mod error;
mod flow;
mod interfaces;
mod load;
mod lookups;
mod netlink;
mod pins;
mod probe;
mod program;
mod settings;
mod table;
mod tap;

pub use counters::{PassReason, PathCounters};
pub use error::{Error, Refused};
pub use flow::{Flow, FlowIndex, FlowNumbers, Order, Position, Quiet};
pub use load::{Attached, FastPath, Warning};
pub use pins::take_down;
pub use probe::{InterfaceProbe, Probe, probe};
pub use program::BARE_PROGRAM;
pub use settings::{InterfaceMode, MOST_ADDRESSES, MOST_INTERFACES, MOST_RINGS, Mode, Settings};
pub use table::FlowTable;
pub use tap::{Tap, TapRecord};
