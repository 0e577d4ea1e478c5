//! A model of the path: a table that forwards as the XDP program does, in memory.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;
use duogate_media::rtp::{HEADER_BYTES, Header};
use duogate_media::{Flow, FlowNumbers, Path, Socket, Tapped};

/// What the program does with a packet.
#[derive(Debug)]
pub(crate) enum Done {
    /// Sent from that socket's port.
    Forwarded(Socket, Vec<u8>),
    /// It was there before.
    Dropped,
    /// For the socket.
    Passed,
}

/// The table.
#[derive(Default, Debug)]
pub(crate) struct Table {
    pub(crate) there: bool,
    pub(crate) taps: bool,
    /// Takes nothing.
    pub(crate) refuses: bool,
    /// Copies that find room; the others are lost.
    pub(crate) room: usize,
    pub(crate) entries: HashMap<Socket, (Flow, FlowNumbers)>,
    ring: VecDeque<(Socket, Instant, bool, Vec<u8>)>,
    /// How often an entry was switched on.
    pub(crate) switched_on: usize,
}

impl Table {
    pub(crate) fn with_taps(taps: bool) -> Self {
        Self { there: true, taps, room: 1 << 20, ..Self::default() }
    }

    /// A packet comes to a port.
    pub(crate) fn packet(&mut self, now: Instant, socket: Socket, source: SocketAddr, packet: &[u8]) -> Done {
        let Some((flow, numbers)) = self.entries.get_mut(&socket) else { return Done::Passed };
        let Some(header) = plain(flow, source, packet) else { return Done::Passed };
        let payload = &packet[HEADER_BYTES..];
        let Some(order) = judge(&header, payload.len(), now, numbers) else {
            return Done::Passed;
        };
        if order == Order::Duplicate {
            return Done::Dropped;
        }
        numbers.loud += u16::from(order == Order::Next && is_loud(flow.codec, payload));
        if flow.tap && self.ring.len() < self.room {
            self.ring.push_back((socket, now, order == Order::Late, packet.to_vec()));
        } else if flow.tap {
            numbers.counts.tap_lost += 1;
        }
        let mut sent = packet.to_vec();
        let new = Header {
            marker: header.marker,
            payload_type: flow.new_payload_type,
            sequence: header.sequence.wrapping_add(flow.sequence_offset),
            timestamp: header.timestamp.wrapping_add(flow.timestamp_offset),
            ssrc: flow.new_ssrc,
        };
        new.emit(sent.first_chunk_mut().unwrap());
        Done::Forwarded(flow.from, sent)
    }
}

#[derive(PartialEq)]
enum Order {
    Next,
    Late,
    Duplicate,
}

/// The header of a packet that the program looks at closely.
fn plain(flow: &Flow, source: SocketAddr, packet: &[u8]) -> Option<Header> {
    let (fixed, payload) = packet.split_first_chunk::<HEADER_BYTES>()?;
    let header = Header {
        marker: fixed[1] & 0x80 != 0,
        payload_type: fixed[1] & 0x7f,
        sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
        timestamp: u32::from_be_bytes(fixed[4..8].try_into().unwrap()),
        ssrc: u32::from_be_bytes(fixed[8..].try_into().unwrap()),
    };
    let expected = source == flow.source
        && fixed[0] == 0x80
        && header.ssrc == flow.ssrc
        && header.payload_type == flow.payload_type
        && !payload.is_empty();
    expected.then_some(header)
}

/// Where a packet stands, noted; `None` if it is for the socket.
fn judge(header: &Header, octets: usize, now: Instant, numbers: &mut FlowNumbers) -> Option<Order> {
    let standing = &mut numbers.standing;
    let step = header.sequence.wrapping_sub(standing.highest);
    let order = if (1..=3000).contains(&step) {
        let moved = header.timestamp.wrapping_sub(standing.timestamp);
        if moved >= 80_000 {
            return None;
        }
        standing.highest = header.sequence;
        standing.seen = if step < 64 { standing.seen << step | 1 } else { 1 };
        standing.span = standing.span.saturating_add(step);
        standing.timestamp = header.timestamp;
        numbers.counts.expected += u32::from(step);
        if moved > 0 {
            (numbers.newest, numbers.samples) = (now, u16::try_from(octets).unwrap());
        }
        Order::Next
    } else {
        let back = step.wrapping_neg();
        match 1u64.checked_shl(u32::from(back)) {
            None => return None,
            Some(bit) if standing.seen & bit != 0 => Order::Duplicate,
            Some(_) if back > standing.span => return None,
            Some(bit) => {
                standing.seen |= bit;
                Order::Late
            }
        }
    };
    numbers.last = now;
    numbers.counts.received += 1;
    numbers.counts.octets += octets as u64;
    if order != Order::Duplicate {
        numbers.counts.forwarded += 1;
        numbers.counts.forwarded_octets += octets as u64;
        measure(now, header.timestamp, numbers);
    }
    Some(order)
}

/// Does it say something, by its first octets?
fn is_loud(codec: Codec, payload: &[u8]) -> bool {
    let above = |inverted: u8, most: u8| {
        payload
            .first_chunk::<8>()
            .is_some_and(|first| first.iter().any(|byte| (byte ^ inverted) & 0x7f > most))
    };
    match codec {
        Codec::Pcma => above(0x55, 1),
        Codec::Pcmu => above(0x7f, 3),
        Codec::Opus => payload.len() > 2,
        Codec::G722 => true,
    }
}

/// RFC 3550 A.8, in integers.
fn measure(now: Instant, timestamp: u32, numbers: &mut FlowNumbers) {
    let standing = &mut numbers.standing;
    let arrival = u32::try_from((now.nanoseconds() / 125_000) & u64::from(u32::MAX)).unwrap();
    let transit = arrival.wrapping_sub(timestamp);
    let difference = transit.wrapping_sub(standing.transit).cast_signed().unsigned_abs();
    standing.transit = transit;
    if difference < 80_000 {
        standing.jitter = standing.jitter + difference - ((standing.jitter + 8) >> 4);
        standing.worst = standing.worst.max(standing.jitter);
    }
}

impl Path for Table {
    fn is_there(&self) -> bool {
        self.there
    }

    fn taps(&self) -> bool {
        self.taps
    }

    fn on(&mut self, socket: Socket, flow: &Flow) -> bool {
        assert!(self.there && (self.taps || !flow.tap));
        if self.refuses {
            return false;
        }
        let numbers = FlowNumbers { standing: flow.standing, ..FlowNumbers::default() };
        let before = self.entries.insert(socket, (*flow, numbers));
        assert!(before.is_none(), "an entry is filled while it is off");
        self.switched_on += 1;
        true
    }

    fn off(&mut self, socket: Socket) -> Option<FlowNumbers> {
        self.entries.remove(&socket).map(|(_, numbers)| numbers)
    }

    fn read(&self, socket: Socket) -> Option<FlowNumbers> {
        self.entries.get(&socket).map(|(_, numbers)| *numbers)
    }

    fn inherit(&mut self, socket: Socket) -> Option<(Flow, FlowNumbers)> {
        self.entries.remove(&socket)
    }

    fn drain(&mut self, mut each: impl FnMut(&Tapped<'_>)) {
        for (socket, arrived, late, packet) in self.ring.drain(..) {
            each(&Tapped { socket, arrived, late, packet: &packet });
        }
    }
}
