//! The tap: copies of packets of recorded directions, on their way to the recorder.

use aya::maps::{MapData, RingBuf};

use crate::flow::{FlowIndex, Order};

/// Octets of a record before the packet: number of the entry, length, order, arrival.
const HEAD_OCTETS: usize = 16;

/// A packet that the program has forwarded, as it was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TapRecord<'a> {
    /// The entry that forwarded it.
    pub index: FlowIndex,
    /// When it arrived, `CLOCK_MONOTONIC` in nanoseconds.
    pub arrival: u64,
    /// Where it stood in its sender's sequence.
    pub order: Order,
    /// The RTP packet, before it was rewritten.
    pub packet: &'a [u8],
}

/// One shard's ring of copies. The kernel wakes nobody: whoever has it drains it every few milliseconds.
pub struct Tap {
    ring: RingBuf<MapData>,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tap").finish_non_exhaustive()
    }
}

impl Tap {
    pub(crate) const fn new(ring: RingBuf<MapData>) -> Self {
        Self { ring }
    }

    /// Gives up to `limit` records to `take`, oldest first, and says how many there were. No system call.
    pub fn drain(&mut self, limit: usize, mut take: impl FnMut(TapRecord<'_>)) -> usize {
        for count in 0..limit {
            let Some(item) = self.ring.next() else { return count };
            if let Some(record) = parse(&item) {
                take(record);
            }
        }
        limit
    }
}

/// A record as the program writes it, in host order. `None` for what it never writes.
fn parse(octets: &[u8]) -> Option<TapRecord<'_>> {
    let (head, packet) = octets.split_first_chunk::<HEAD_OCTETS>()?;
    let number = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]);
    let length = usize::from(u16::from_ne_bytes([head[4], head[5]]));
    let order = i16::from_ne_bytes([head[6], head[7]]);
    let arrival =
        u64::from_ne_bytes([head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15]]);
    let order = match order {
        1.. => Order::Next(order.unsigned_abs()),
        _ => Order::Late(order.unsigned_abs()),
    };
    let index = FlowIndex::from_number(number)?;
    Some(TapRecord { index, arrival, order, packet: packet.get(..length)? })
}
