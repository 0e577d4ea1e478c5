//! The layout of a flow's entry, shared with the program (`bpf/fastpath.h`).
//!
//! Three cache lines: what a packet is compared with and rewritten by, what the program writes for each packet, and
//! what only IPv6 and rare events need. A packet of IPv4 touches the first two.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

/// Octets of an entry.
pub(crate) const ENTRY_OCTETS: usize = 192;

/// An entry as both sides see it. Everything is atomic, because both sides write; which of them may write what at
/// a time is said by `state` and `lock`.
///
/// ```text
///              on: the shard fills the entry,                 off: the shard stores 0, then waits
///              then stores a new generation                   until the lock is even
///  state 0 ─────────────────────────────────> state generation ───────────────────────────> state 0
///  (the shard's)                              (the program's, while it holds the lock)      (the shard's)
///
///  lock even (free) ── the program compares and swaps +1 ──> odd (one processor inside) ── stores +1 ──> even
/// ```
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// 0: off. Else the generation of the flow that is on.
    pub(crate) state: AtomicU32,
    /// Last four octets of the addresses, in network order: the whole of an IPv4 address.
    pub(crate) source: AtomicU32,
    pub(crate) destination: AtomicU32,
    /// In network order, as all that is compared with the packet or copied into it.
    pub(crate) source_port: AtomicU16,
    pub(crate) destination_port: AtomicU16,
    pub(crate) from_port: AtomicU16,
    /// In host order: it is added.
    pub(crate) sequence_offset: AtomicU16,
    pub(crate) ssrc: AtomicU32,
    pub(crate) out_ssrc: AtomicU32,
    /// In host order: it is added.
    pub(crate) timestamp_offset: AtomicU32,
    pub(crate) payload_type: AtomicU8,
    pub(crate) out_payload_type: AtomicU8,
    pub(crate) from_address: AtomicU8,
    /// 0: none. Else number of the ring, plus one.
    pub(crate) tap: AtomicU8,
    /// The program's own: the next hop of the flow, zero while unknown.
    pub(crate) hop_interface: AtomicU32,
    /// In units of 2^20 ns: when the hop was looked up.
    pub(crate) hop_time: AtomicU32,
    pub(crate) hop_addresses: [AtomicU16; 6],
    /// 4 or 6.
    pub(crate) family: AtomicU8,
    /// Of the RTP clock in 125 µs: 1 at 8 kHz, 6 at 48 kHz.
    pub(crate) ticks: AtomicU8,
    /// [`Quiet`](crate::Quiet), by its number.
    pub(crate) quiet: AtomicU8,
    padding_1: AtomicU8,
    /// The program's own; here because there is room, and a packet must be compared with it.
    pub(crate) worst: AtomicU32,

    /// Odd while a processor works on the entry.
    pub(crate) lock: AtomicU32,
    pub(crate) received: AtomicU32,
    pub(crate) seen: AtomicU64,
    pub(crate) octets: AtomicU64,
    pub(crate) last: AtomicU64,
    pub(crate) stood: AtomicU64,
    pub(crate) expected: AtomicU32,
    pub(crate) timestamp: AtomicU32,
    pub(crate) transit: AtomicU32,
    pub(crate) jitter: AtomicU32,
    pub(crate) highest: AtomicU16,
    pub(crate) span: AtomicU16,
    pub(crate) samples: AtomicU16,
    /// Packets that say something, modulo 2^16.
    pub(crate) loud: AtomicU16,

    /// First twelve octets of the addresses of IPv6, in network order.
    pub(crate) source_head: [AtomicU32; 3],
    pub(crate) destination_head: [AtomicU32; 3],
    pub(crate) duplicates: AtomicU32,
    pub(crate) duplicate_octets: AtomicU32,
    pub(crate) tap_full: AtomicU32,
    /// The shard's own: the last generation that was given.
    pub(crate) generation: AtomicU32,
    padding_3: [AtomicU32; 6],
}

const _: () = assert!(size_of::<Entry>() == ENTRY_OCTETS);
