//! Packet memory of one shard, sized at start.
//!
//! Two pools. *Receive buffers* are lent to the kernel through a provided-buffer ring: the kernel picks one for
//! each datagram, the shard rewrites the packet in place and sends it from the same buffer, and when that send
//! has been issued the buffer goes back. *Scratch* holds packets that the shard makes itself (prompts, tones)
//! until the next submission.

// Unsafe: the provided-buffer ring is shared with the kernel, and packets are handed to it by address.
#![allow(unsafe_code)]

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use memmap2::MmapMut;

/// Octets of one receive buffer. The longest packet that makes sense is 12 octets of RTP header, 15
/// contributing sources of 4, and 100 ms of G.711: 12 + 60 + 800 = 872; the rest is room for a header
/// extension. A datagram that fills the buffer to its last octet may have been cut off and is refused.
pub const BUFFER_OCTETS: usize = 1024;

/// Receive buffers of one shard: one for each party of 2,000 callbacks whose packets all come at once; a power of
/// two, as the kernel asks. 4096 buffers of 1 KiB are 4 MiB a shard. When they run out nothing is lost, packets
/// wait in their sockets, but every receive must be armed again.
pub const RECEIVE_BUFFERS: u16 = 4096;

/// Of these, as many as are lent while no more are needed. The kernel takes what it was lent in turn: few buffers stay in
/// the core's caches, all of them do not.
const FEW: u16 = 1024;

/// Times that buffers are lent, some seconds of a busy shard, in which much less than what is lent was needed before less
/// is lent.
const CALM: u32 = 16_384;

/// Packets of its own that a shard can have in flight between two submissions.
pub const SCRATCH_PACKETS: usize = 256;

/// Octets of one scratch packet: header and 120 ms of G.711 (12 + 960), the longest that a packet of Opus becomes,
/// rounded up.
pub const SCRATCH_OCTETS: usize = 1024;

/// The provided-buffer group of the receive buffers; a shard has no other.
pub const GROUP: u16 = 0;

/// Receive buffers and the ring that lends them to the kernel.
pub struct ReceiveBuffers {
    ring: MmapMut,
    packets: MmapMut,
    tail: u16,
    /// Free ones, those that were used last at the end: they are lent first.
    returned: Vec<u16>,
    /// How many the kernel is to have.
    wanted: u16,
    /// How often in succession it needed less than a quarter of them.
    calm: u32,
}

impl ReceiveBuffers {
    /// Maps the memory and fills the ring; the kernel does not know of it before [`Self::address`] has been
    /// registered.
    ///
    /// # Errors
    /// The system's, when it has no memory.
    pub fn new() -> io::Result<Self> {
        let entries = usize::from(RECEIVE_BUFFERS);
        let packets = MmapMut::map_anon(entries * BUFFER_OCTETS)?;
        // The kernel copies every packet in and out: with small pages it looks most of them up anew. Where there are no
        // huge ones, nothing but that time is lost.
        let _small = packets.advise(memmap2::Advice::HugePage);
        let mut buffers = Self {
            ring: MmapMut::map_anon(entries * size_of::<BufRingEntry>())?,
            packets,
            tail: 0,
            returned: (0..RECEIVE_BUFFERS).rev().collect(),
            wanted: FEW,
            calm: 0,
        };
        buffers.publish();
        Ok(buffers)
    }

    /// Where the ring lies, for its registration. Page-aligned, and it stays there as long as `self` lives.
    pub fn address(&self) -> u64 {
        self.ring.as_ptr().addr() as u64
    }

    /// The first `length` octets of a buffer that the kernel has filled; `None` if the kernel named a buffer
    /// or a length that does not exist.
    pub fn packet(&mut self, buffer: u16, length: usize) -> Option<&mut [u8]> {
        if buffer >= RECEIVE_BUFFERS || length > BUFFER_OCTETS {
            return None;
        }
        let start = usize::from(buffer) * BUFFER_OCTETS;
        self.packets.get_mut(start..start + length)
    }

    /// Where a buffer begins; `None` if there is no such buffer.
    pub fn start(&self, buffer: u16) -> Option<*const u8> {
        self.packets.get(usize::from(buffer) * BUFFER_OCTETS).map(std::ptr::from_ref)
    }

    /// How many the kernel has, those with packets that nobody has taken yet among them.
    pub fn lent(&self) -> u16 {
        RECEIVE_BUFFERS - u16::try_from(self.returned.len()).unwrap_or(RECEIVE_BUFFERS)
    }

    /// Notes that nobody needs this buffer any more once the sends queued so far have been issued. The kernel
    /// gets it back with the next [`Self::publish`].
    pub fn give_back(&mut self, buffer: u16) {
        debug_assert!(self.returned.len() < usize::from(RECEIVE_BUFFERS));
        self.returned.push(buffer);
    }

    /// Lends returned buffers to the kernel again, as many as it needs. Only to be called when every queued send has been
    /// issued, because from here on the kernel may overwrite them.
    pub fn publish(&mut self) {
        let lent = self.lent();
        self.suit(lent);
        if lent >= self.wanted {
            return;
        }
        let base = self.ring.as_mut_ptr().cast::<BufRingEntry>();
        for buffer in self.returned.drain(usize::from(RECEIVE_BUFFERS - self.wanted)..).rev() {
            let place = usize::from(self.tail & (RECEIVE_BUFFERS - 1));
            let packet = self.packets.as_ptr().addr() + usize::from(buffer) * BUFFER_OCTETS;
            // SAFETY: `place` is below the number of entries that the mapping was made for, the mapping is
            // aligned to a page, and the kernel reads an entry only after the tail below has passed it.
            let entry = unsafe { &mut *base.add(place) };
            entry.set_addr(packet as u64);
            entry.set_len(u32::try_from(BUFFER_OCTETS).unwrap_or(u32::MAX));
            entry.set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
        }
        // SAFETY: `base` is the first entry of the ring, whose reserved field is the tail; it is aligned for a
        // `u16`, lives as long as the mapping, and is written by this thread alone.
        let tail = unsafe { &*BufRingEntry::tail(base).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }

    /// So many of those that were lent have not been used: twice as many are to be lent where that is less than half, and
    /// half as many where it has been nearly all for long.
    const fn suit(&mut self, unused: u16) {
        if unused < self.wanted / 2 {
            self.calm = 0;
            if self.wanted < RECEIVE_BUFFERS && self.tail != 0 {
                self.wanted *= 2;
            }
        } else if unused < self.wanted / 4 * 3 || self.wanted == FEW {
            self.calm = 0;
        } else {
            self.calm += 1;
            if self.calm == CALM {
                self.calm = 0;
                self.wanted /= 2;
            }
        }
    }
}

/// Packets that the shard makes itself, kept until the sends that carry them have been issued.
pub struct Scratch {
    packets: Box<[[u8; SCRATCH_OCTETS]]>,
    used: usize,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// All of it, at once.
    #[must_use]
    pub fn new() -> Self {
        Self { packets: vec![[0; SCRATCH_OCTETS]; SCRATCH_PACKETS].into_boxed_slice(), used: 0 }
    }

    /// Is there no place before the next submission?
    pub const fn is_full(&self) -> bool {
        self.used == SCRATCH_PACKETS
    }

    /// A place for a packet of `length` octets; `None` if that is too long or all places are taken.
    pub fn packet(&mut self, length: usize) -> Option<&mut [u8]> {
        let packet = self.packets.get_mut(self.used)?.get_mut(..length)?;
        self.used += 1;
        Some(packet)
    }

    /// Every send has been issued: all places are free again.
    pub const fn clear(&mut self) {
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_does_not_exist_is_not_given() {
        let mut buffers = ReceiveBuffers::new().unwrap();
        assert!(buffers.packet(RECEIVE_BUFFERS, 1).is_none());
        assert!(buffers.packet(0, BUFFER_OCTETS + 1).is_none());
        assert_eq!(buffers.packet(RECEIVE_BUFFERS - 1, BUFFER_OCTETS).unwrap().len(), BUFFER_OCTETS);
    }

    #[test]
    fn as_many_are_lent_as_are_needed() {
        let mut buffers = ReceiveBuffers::new().unwrap();
        let lent = ReceiveBuffers::lent;
        // As if the kernel had filled so many of those that it has, and they had been sent.
        let turn = |buffers: &mut ReceiveBuffers, used: u16| {
            let named: Vec<u16> =
                (0..RECEIVE_BUFFERS).filter(|one| !buffers.returned.contains(one)).collect();
            named.into_iter().take(used.into()).for_each(|buffer| buffers.give_back(buffer));
            buffers.publish();
        };
        assert_eq!(lent(&buffers), FEW);
        turn(&mut buffers, FEW / 2);
        assert_eq!(lent(&buffers), FEW);
        for expected in [2 * FEW, RECEIVE_BUFFERS, RECEIVE_BUFFERS] {
            let all = lent(&buffers);
            turn(&mut buffers, all);
            assert_eq!(lent(&buffers), expected);
        }
        for _ in 0..CALM {
            buffers.publish();
        }
        let few = lent(&buffers) / 2;
        turn(&mut buffers, few + 1);
        assert_eq!(lent(&buffers), few, "what is over comes back by and by");
    }

    #[test]
    fn scratch_fills_up_and_empties() {
        let mut scratch = Scratch::new();
        for _ in 0..SCRATCH_PACKETS {
            assert_eq!(scratch.packet(4).unwrap().len(), 4);
        }
        assert!(scratch.is_full() && scratch.packet(4).is_none());
        scratch.clear();
        assert!(scratch.packet(SCRATCH_OCTETS + 1).is_none());
        assert!(scratch.packet(4).is_some());
    }
}
