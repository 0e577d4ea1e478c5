//! The table of flows, as the shards see it: memory that they share with the program.
#![allow(unsafe_code)] // Views the mapping of a BPF array as entries of atomics.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

use memmap2::{MmapOptions, MmapRaw};

use crate::entry::{ENTRY_OCTETS, Entry};
use crate::error::Refused;
use crate::flow::{Flow, FlowIndex, FlowNumbers, Position, Quiet};

/// Entries of one local address: one for each even port.
pub(crate) const ENTRIES_PER_ADDRESS: u32 = 32_768;

/// How often [`FlowTable::off`] looks whether a processor is still inside the entry. The program needs less than a
/// microsecond; ten milliseconds and more pass only if the host took the processor away from it.
const PATIENCE: u32 = 1 << 18;

/// How often a reading is tried anew because the program wrote meanwhile.
const READINGS: u32 = 64;

/// The table of flows. Clones share it; each entry belongs to one shard, which alone calls `on` and `off` for it.
#[derive(Clone, Debug)]
pub struct FlowTable {
    memory: Arc<MmapRaw>,
    addresses: u32,
    rings: u8,
}

impl FlowTable {
    /// A table that no program sees, for tests of what uses it.
    ///
    /// # Errors
    /// There is no memory.
    pub fn in_memory(addresses: u8, rings: u8) -> io::Result<Self> {
        let length = octets(u32::from(addresses));
        let memory = MmapRaw::from(MmapOptions::new().len(length).map_anon()?);
        Ok(Self { memory: Arc::new(memory), addresses: u32::from(addresses), rings })
    }

    /// Maps the BPF array of a loaded program.
    pub(crate) fn map(array: BorrowedFd<'_>, addresses: u32, rings: u8) -> io::Result<Self> {
        let memory = MmapOptions::new().len(octets(addresses)).map_raw(&array)?;
        Ok(Self { memory: Arc::new(memory), addresses, rings })
    }

    /// Switches a direction on: from now on the program relays its packets.
    ///
    /// # Errors
    /// The program cannot relay such a flow, or the entry is on.
    pub fn on(&self, index: FlowIndex, flow: &Flow) -> Result<(), Refused> {
        let entry = self.entry(index).ok_or(Refused::NoEntry)?;
        let from = self.entry(flow.from).map(|_| flow.from).ok_or(Refused::NoEntry)?;
        if flow.tap.is_some_and(|ring| ring >= self.rings) {
            return Err(Refused::NoTap);
        }
        if entry.state.load(Acquire) != 0 {
            return Err(Refused::On);
        }
        describe(entry, flow, from)?;
        take_position(entry, &flow.position);
        // The program compares two readings of the generation, so that it never mixes two flows. It is never zero.
        entry.state.store(entry.generation.fetch_add(2, Relaxed) | 1, SeqCst);
        Ok(())
    }

    /// Switches a direction off. When this returns, the program writes its numbers no more, and they are final:
    /// every packet is in them, or is left to the sockets. `None` if it was not on.
    #[must_use]
    pub fn off(&self, index: FlowIndex) -> Option<FlowNumbers> {
        let entry = self.entry(index)?;
        if entry.state.swap(0, SeqCst) == 0 {
            return None;
        }
        // The program makes the lock odd before it looks at the state a second time: either it saw the zero, or
        // it is seen here.
        for _ in 0..PATIENCE {
            if entry.lock.load(SeqCst) & 1 == 0 {
                break;
            }
            std::hint::spin_loop();
        }
        Some(numbers(entry))
    }

    /// The flow that is on at an entry, and its numbers so far, of one moment. `None` if it is off.
    #[must_use]
    pub fn read(&self, index: FlowIndex) -> Option<FlowNumbers> {
        let entry = self.entry(index)?;
        if entry.state.load(Acquire) == 0 {
            return None;
        }
        let mut latest = FlowNumbers::default();
        for _ in 0..READINGS {
            let before = entry.lock.load(Acquire);
            latest = numbers(entry);
            fence(Acquire);
            if before & 1 == 0 && entry.lock.load(Relaxed) == before {
                break;
            }
            std::hint::spin_loop();
        }
        Some(latest)
    }

    /// What an entry that is on does, as [`FlowTable::on`] was told; `position` is that of now.
    #[must_use]
    pub fn flow(&self, index: FlowIndex) -> Option<Flow> {
        let position = self.read(index)?.position;
        let entry = self.entry(index)?;
        let head =
            |words: &[std::sync::atomic::AtomicU32; 3]| words.each_ref().map(|word| word.load(Relaxed));
        let six = entry.family.load(Relaxed) == 6;
        let address = |head: [u32; 3], tail: u32| match six {
            true => IpAddr::V6(joined(head, tail)),
            false => IpAddr::V4(tail.to_ne_bytes().into()),
        };
        let port = |port: u16| u16::from_be(port);
        let source = address(head(&entry.source_head), entry.source.load(Relaxed));
        let destination = address(head(&entry.destination_head), entry.destination.load(Relaxed));
        Some(Flow {
            source: SocketAddr::new(source, port(entry.source_port.load(Relaxed))),
            ssrc: u32::from_be(entry.ssrc.load(Relaxed)),
            payload_type: entry.payload_type.load(Relaxed),
            from: FlowIndex {
                address: entry.from_address.load(Relaxed),
                port: port(entry.from_port.load(Relaxed)),
            },
            destination: SocketAddr::new(destination, port(entry.destination_port.load(Relaxed))),
            out_ssrc: u32::from_be(entry.out_ssrc.load(Relaxed)),
            out_payload_type: entry.out_payload_type.load(Relaxed),
            sequence_offset: entry.sequence_offset.load(Relaxed),
            timestamp_offset: entry.timestamp_offset.load(Relaxed),
            ticks: entry.ticks.load(Relaxed),
            quiet: Quiet::from_number(entry.quiet.load(Relaxed)),
            tap: entry.tap.load(Relaxed).checked_sub(1),
            position,
        })
    }

    /// Entries that are on, in the order of their numbers: after a restart, those that an earlier process left.
    pub fn entries_on(&self) -> impl Iterator<Item = FlowIndex> + '_ {
        (0..self.addresses * ENTRIES_PER_ADDRESS).filter_map(|place| {
            let index = FlowIndex::from_number(place * 2)?;
            (self.entry(index)?.state.load(Acquire) != 0).then_some(index)
        })
    }

    #[inline]
    fn entry(&self, index: FlowIndex) -> Option<&Entry> {
        if u32::from(index.address) >= self.addresses || index.port & 1 != 0 {
            return None;
        }
        let place = (index.number() / 2) as usize;
        // SAFETY: the mapping has ENTRIES_PER_ADDRESS entries for each address and lives as long as `self`; it is
        // page-aligned, and every bit pattern is a valid `Entry`, which is made of atomics only.
        Some(unsafe { &*self.memory.as_ptr().cast::<Entry>().add(place) })
    }
}

const fn octets(addresses: u32) -> usize {
    addresses as usize * ENTRIES_PER_ADDRESS as usize * ENTRY_OCTETS
}

fn describe(entry: &Entry, flow: &Flow, from: FlowIndex) -> Result<(), Refused> {
    let family = match (flow.source.ip(), flow.destination.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) => 4,
        (IpAddr::V6(_), IpAddr::V6(_)) => 6,
        _ => return Err(Refused::Families),
    };
    let (head, tail) = parts(flow.source.ip());
    entry.source.store(tail, Relaxed);
    entry.source_head.iter().zip(head).for_each(|(place, word)| place.store(word, Relaxed));
    let (head, tail) = parts(flow.destination.ip());
    entry.destination.store(tail, Relaxed);
    entry.destination_head.iter().zip(head).for_each(|(place, word)| place.store(word, Relaxed));
    entry.source_port.store(flow.source.port().to_be(), Relaxed);
    entry.destination_port.store(flow.destination.port().to_be(), Relaxed);
    entry.from_port.store(from.port.to_be(), Relaxed);
    entry.from_address.store(from.address, Relaxed);
    entry.sequence_offset.store(flow.sequence_offset, Relaxed);
    entry.timestamp_offset.store(flow.timestamp_offset, Relaxed);
    entry.ticks.store(flow.ticks, Relaxed);
    entry.quiet.store(flow.quiet as u8, Relaxed);
    entry.ssrc.store(flow.ssrc.to_be(), Relaxed);
    entry.out_ssrc.store(flow.out_ssrc.to_be(), Relaxed);
    entry.payload_type.store(flow.payload_type & 0x7f, Relaxed);
    entry.out_payload_type.store(flow.out_payload_type & 0x7f, Relaxed);
    entry.tap.store(flow.tap.map_or(0, |ring| ring.saturating_add(1)), Relaxed);
    entry.family.store(family, Relaxed);
    entry.hop_interface.store(0, Relaxed);
    entry.hop_time.store(0, Relaxed);
    Ok(())
}

fn take_position(entry: &Entry, position: &Position) {
    entry.highest.store(position.highest, Relaxed);
    entry.seen.store(position.seen, Relaxed);
    entry.span.store(position.span, Relaxed);
    entry.timestamp.store(position.timestamp, Relaxed);
    entry.transit.store(position.transit, Relaxed);
    entry.jitter.store(position.jitter, Relaxed);
    entry.worst.store(position.worst, Relaxed);
    entry.samples.store(position.samples, Relaxed);
    entry.last.store(position.last, Relaxed);
    entry.stood.store(position.stood, Relaxed);
    entry.received.store(0, Relaxed);
    entry.octets.store(0, Relaxed);
    entry.expected.store(0, Relaxed);
    entry.loud.store(0, Relaxed);
    entry.duplicates.store(0, Relaxed);
    entry.duplicate_octets.store(0, Relaxed);
    entry.tap_full.store(0, Release);
}

fn numbers(entry: &Entry) -> FlowNumbers {
    FlowNumbers {
        position: Position {
            highest: entry.highest.load(Relaxed),
            seen: entry.seen.load(Relaxed),
            span: entry.span.load(Relaxed),
            timestamp: entry.timestamp.load(Relaxed),
            transit: entry.transit.load(Relaxed),
            jitter: entry.jitter.load(Relaxed),
            worst: entry.worst.load(Relaxed),
            samples: entry.samples.load(Relaxed),
            last: entry.last.load(Relaxed),
            stood: entry.stood.load(Relaxed),
        },
        received: entry.received.load(Relaxed),
        octets: entry.octets.load(Relaxed),
        expected: entry.expected.load(Relaxed),
        duplicates: entry.duplicates.load(Relaxed),
        duplicate_octets: entry.duplicate_octets.load(Relaxed),
        tap_full: entry.tap_full.load(Relaxed),
        loud: entry.loud.load(Relaxed),
    }
}

/// First twelve and last four octets of an address, in network order; the first are zero for IPv4.
fn parts(address: IpAddr) -> ([u32; 3], u32) {
    match address {
        IpAddr::V4(address) => ([0; 3], u32::from_ne_bytes(address.octets())),
        IpAddr::V6(address) => {
            let words = words(address);
            ([words[0], words[1], words[2]], words[3])
        }
    }
}

/// The address as four words in network order.
pub(crate) fn words(address: Ipv6Addr) -> [u32; 4] {
    let octets = address.octets();
    let (quads, _) = octets.as_chunks::<4>();
    [0, 1, 2, 3].map(|place: usize| u32::from_ne_bytes(quads[place]))
}

fn joined(head: [u32; 3], tail: u32) -> Ipv6Addr {
    let mut octets = [0; 16];
    let words = [head[0], head[1], head[2], tail];
    for (place, word) in octets.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    octets.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(source: &str, destination: &str) -> Flow {
        Flow {
            source: source.parse().unwrap(),
            ssrc: 0x0102_0304,
            payload_type: 8,
            from: FlowIndex { address: 1, port: 40_002 },
            destination: destination.parse().unwrap(),
            out_ssrc: 7,
            out_payload_type: 0,
            sequence_offset: 65_000,
            timestamp_offset: u32::MAX,
            ticks: 6,
            quiet: Quiet::Short,
            tap: Some(1),
            position: Position { highest: 9, seen: 5, span: 3, worst: 2, ..Position::default() },
        }
    }

    #[test]
    fn what_is_switched_on_reads_back() {
        let table = FlowTable::in_memory(2, 2).unwrap();
        let index = FlowIndex { address: 1, port: 65_534 };
        for (source, destination) in
            [("192.0.2.1:4000", "198.51.100.2:5000"), ("[2001:db8::1:2]:4000", "[2001:db8:7::2]:5000")]
        {
            let flow = flow(source, destination);
            assert_eq!(table.read(index), None);
            table.on(index, &flow).unwrap();
            assert_eq!(table.on(index, &flow), Err(Refused::On));
            assert_eq!(table.flow(index), Some(flow));
            assert_eq!(table.entries_on().collect::<Vec<_>>(), [index]);
            let numbers = FlowNumbers { position: flow.position, ..FlowNumbers::default() };
            assert_eq!(table.read(index), Some(numbers));
            assert_eq!(table.off(index), Some(numbers));
            assert_eq!(table.off(index), None);
        }
    }

    #[test]
    fn what_the_program_cannot_do_is_refused() {
        let table = FlowTable::in_memory(2, 2).unwrap();
        let good = flow("192.0.2.1:4000", "198.51.100.2:5000");
        let place = FlowIndex { address: 0, port: 40_000 };
        let odd = FlowIndex { address: 0, port: 40_001 };
        let beyond = FlowIndex { address: 2, port: 40_000 };
        assert_eq!(table.on(odd, &good), Err(Refused::NoEntry));
        assert_eq!(table.on(beyond, &good), Err(Refused::NoEntry));
        assert_eq!(table.on(place, &Flow { from: odd, ..good }), Err(Refused::NoEntry));
        assert_eq!(table.on(place, &Flow { tap: Some(2), ..good }), Err(Refused::NoTap));
        let mixed = Flow { destination: "[2001:db8::1]:5000".parse().unwrap(), ..good };
        assert_eq!(table.on(place, &mixed), Err(Refused::Families));
        assert_eq!(table.entries_on().count(), 0);
    }
}
