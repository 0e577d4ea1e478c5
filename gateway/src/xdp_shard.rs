//! The fast path as one shard sees it: its part of the table of flows, and its tap.
//!
//! The table is memory that the program and the shard share, so that a call costs no system call when it goes on the
//! path or leaves it, nor when its figures are read.

use duogate_channel::identity::LocalPort;
use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;
use duogate_fastpath::{
    Flow as Entry, FlowIndex, FlowNumbers as Noted, FlowTable, Order, Position, Quiet, Tap,
};
use duogate_media::{Flow, FlowCounts, FlowNumbers, Limits, Path, Socket, Standing, Tapped};

/// Copies taken from a ring at once: more than it holds ([`crate::xdp::RING_OCTETS`] by the 64 octets of the
/// shortest), so that the end of a call never finds it half read.
const MOST_COPIES: usize = 1 << 18;

/// One shard's view.
#[derive(Debug)]
pub struct ShardPath {
    limits: Limits,
    view: Option<View>,
}

#[derive(Debug)]
struct View {
    table: FlowTable,
    /// With the number of its ring.
    tap: Option<(u8, Tap)>,
}

impl ShardPath {
    /// No fast path.
    #[must_use]
    pub const fn none(limits: Limits) -> Self {
        Self { limits, view: None }
    }

    /// The table, and the shard's tap with the number of its ring.
    #[must_use]
    pub const fn new(limits: Limits, table: FlowTable, tap: Option<(u8, Tap)>) -> Self {
        Self { limits, view: Some(View { table, tap }) }
    }

    fn index(&self, socket: Socket) -> FlowIndex {
        index(self.limits.port(socket))
    }

    fn socket(&self, index: FlowIndex) -> Option<Socket> {
        self.limits.socket(LocalPort { address: index.address, port: index.port })
    }
}

const fn index(port: LocalPort) -> FlowIndex {
    FlowIndex { address: port.address, port: port.port }
}

impl Path for ShardPath {
    fn is_there(&self) -> bool {
        self.view.is_some()
    }

    fn taps(&self) -> bool {
        self.view.as_ref().is_some_and(|view| view.tap.is_some())
    }

    fn on(&mut self, socket: Socket, flow: &Flow) -> bool {
        let (index, from) = (self.index(socket), self.index(flow.from));
        let Some(view) = &self.view else { return false };
        let ring = view.tap.as_ref().map(|(ring, _)| *ring);
        let tap = if flow.tap { ring } else { None };
        view.table.on(index, &entry(flow, from, tap)).is_ok()
    }

    fn off(&mut self, socket: Socket) -> Option<FlowNumbers> {
        self.view.as_ref()?.table.off(self.index(socket)).map(|noted| numbers(&noted))
    }

    fn read(&self, socket: Socket) -> Option<FlowNumbers> {
        self.view.as_ref()?.table.read(self.index(socket)).map(|noted| numbers(&noted))
    }

    fn inherit(&mut self, socket: Socket) -> Option<(Flow, FlowNumbers)> {
        let index = self.index(socket);
        let table = &self.view.as_ref()?.table;
        let left = table.flow(index);
        let numbers = numbers(&table.off(index)?);
        let left = left?;
        let flow = Flow {
            source: left.source,
            ssrc: left.ssrc,
            payload_type: left.payload_type,
            from: self.socket(left.from)?,
            destination: left.destination,
            new_ssrc: left.out_ssrc,
            new_payload_type: left.out_payload_type,
            sequence_offset: left.sequence_offset,
            timestamp_offset: left.timestamp_offset,
            ticks: left.ticks,
            codec: codec(left.quiet),
            tap: left.tap.is_some(),
            standing: numbers.standing,
        };
        Some((flow, numbers))
    }

    fn drain(&mut self, mut each: impl FnMut(&Tapped<'_>)) {
        let limits = self.limits;
        let Some((_, tap)) = self.view.as_mut().and_then(|view| view.tap.as_mut()) else { return };
        tap.drain(MOST_COPIES, |copy| {
            let port = LocalPort { address: copy.index.address, port: copy.index.port };
            let Some(socket) = limits.socket(port) else { return };
            each(&Tapped {
                socket,
                arrived: Instant::from_nanoseconds(copy.arrival),
                late: matches!(copy.order, Order::Late(_)),
                packet: copy.packet,
            });
        });
    }
}

/// How silence is told in what is coded so.
const fn quiet(codec: Codec) -> Quiet {
    match codec {
        Codec::Pcma => Quiet::Alaw,
        Codec::Pcmu => Quiet::Mulaw,
        Codec::Opus => Quiet::Short,
        // Its subband coder adapts: the same octets are loud or silent by what came before.
        Codec::G722 => Quiet::Never,
    }
}

/// The reverse.
const fn codec(quiet: Quiet) -> Codec {
    match quiet {
        Quiet::Alaw => Codec::Pcma,
        Quiet::Mulaw => Codec::Pcmu,
        Quiet::Short => Codec::Opus,
        Quiet::Never => Codec::G722,
    }
}

fn entry(flow: &Flow, from: FlowIndex, tap: Option<u8>) -> Entry {
    let standing = &flow.standing;
    Entry {
        source: flow.source,
        ssrc: flow.ssrc,
        payload_type: flow.payload_type,
        from,
        destination: flow.destination,
        out_ssrc: flow.new_ssrc,
        out_payload_type: flow.new_payload_type,
        sequence_offset: flow.sequence_offset,
        timestamp_offset: flow.timestamp_offset,
        ticks: flow.ticks,
        quiet: quiet(flow.codec),
        tap,
        position: Position {
            highest: standing.highest,
            seen: standing.seen,
            span: standing.span,
            timestamp: standing.timestamp,
            transit: standing.transit,
            jitter: standing.jitter,
            worst: standing.worst,
            // Only what comes from now on is read back.
            samples: 0,
            last: 0,
            stood: 0,
        },
    }
}

const fn numbers(noted: &Noted) -> FlowNumbers {
    let position = &noted.position;
    FlowNumbers {
        standing: Standing {
            highest: position.highest,
            seen: position.seen,
            span: position.span,
            timestamp: position.timestamp,
            transit: position.transit,
            jitter: position.jitter,
            worst: position.worst,
        },
        counts: FlowCounts {
            received: noted.received,
            octets: noted.octets,
            expected: noted.expected,
            forwarded: noted.forwarded(),
            forwarded_octets: noted.forwarded_octets(),
            tap_lost: noted.tap_full,
        },
        last: Instant::from_nanoseconds(position.last),
        newest: Instant::from_nanoseconds(position.stood),
        samples: position.samples,
        loud: noted.loud,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits() -> Limits {
        Limits {
            sessions: 2,
            recordings: 0,
            transcoded: 2,
            addresses: 2,
            first_port: 20_000,
            last_port: 20_007,
            rest: Duration::from_secs(1),
            silence_timeout: Duration::from_secs(1),
            report_ports: 0,
            report_interval: Duration::ZERO,
            epoch: Duration::ZERO,
            seed: 1,
        }
    }

    #[test]
    fn what_one_gateway_switches_on_the_next_one_inherits() {
        let table = FlowTable::in_memory(2, 1).unwrap();
        let mut path = ShardPath::new(limits(), table.clone(), None);
        let standing =
            Standing { highest: 9, seen: 0b1011, span: 4, timestamp: 1, transit: 2, jitter: 3, worst: 5 };
        let flow = Flow {
            source: "192.0.2.1:4000".parse().unwrap(),
            ssrc: 11,
            payload_type: 8,
            from: Socket(6),
            destination: "192.0.2.2:4002".parse().unwrap(),
            new_ssrc: 12,
            new_payload_type: 96,
            sequence_offset: 65_000,
            timestamp_offset: 1 << 31,
            ticks: 6,
            codec: Codec::Opus,
            tap: false,
            standing,
        };
        assert!(path.on(Socket(5), &flow));
        assert!(!path.on(Socket(5), &flow), "it is on");
        assert_eq!(table.entries_on().collect::<Vec<_>>(), [FlowIndex { address: 1, port: 20_002 }]);
        let mut next = ShardPath::new(limits(), table.clone(), None);
        assert_eq!(next.read(Socket(5)).unwrap().standing, standing);
        let numbers = FlowNumbers { standing, ..FlowNumbers::default() };
        assert_eq!(next.inherit(Socket(5)), Some((flow, numbers)));
        assert_eq!((next.inherit(Socket(5)), path.off(Socket(5))), (None, None));
        assert_eq!(table.entries_on().count(), 0);
    }

    #[test]
    fn a_tap_is_not_asked_for_where_there_is_none() {
        let path = ShardPath::new(limits(), FlowTable::in_memory(2, 0).unwrap(), None);
        assert!(path.is_there() && !path.taps());
        assert!(!ShardPath::none(limits()).is_there());
    }
}
