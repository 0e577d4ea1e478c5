//! Duogate's XDP program alone: loaded as the gateway loads it, its table filled by the rig, no gateway beside it.

use std::io;
use std::net::{IpAddr, SocketAddrV4};

use duogate_fastpath::{FastPath, Flow, FlowIndex, Mode, Position, Quiet, Settings};

use crate::gateway::FIRST_PORT;
use crate::generator::Route;
use crate::rows::subject::{PAIRS_OF_AN_ADDRESS, addresses};
use crate::veth::{Cable, FAR_END};

/// Payload type of A-law (RFC 3551).
const PCMA: u8 = 8;

/// Loads it at the gateway's side of a cable, with so many pairs on; gives their routes, whose streams begin.
///
/// # Errors
/// The kernel's, or that it was built without clang.
pub fn start(cable: &Cable, pairs: u16) -> io::Result<(FastPath, Vec<Route>)> {
    let local = addresses(pairs);
    let settings = Settings {
        mode: Mode::Native,
        interfaces: vec![cable.gateway_interface.clone()],
        addresses: local.iter().map(|address| IpAddr::V4(*address)).collect(),
        pin: None,
        rings: 0,
        ring_octets: 4096,
        traffic_class: 46 << 2,
    };
    let path = cable.gateway.inside(|| FastPath::load(&settings).map_err(io::Error::other))?;
    let mut routes = Vec::with_capacity(usize::from(pairs) * 2);
    for number in 0..pairs {
        let legs = [0, 1].map(|leg| leg_of(number, leg));
        let [first, second] = legs.map(|leg| SocketAddrV4::new(local[usize::from(leg.address)], leg.port));
        for (here, there) in [(0, 1), (1, 0)] {
            let ssrc = u32::from(number) * 2 + u32::try_from(here).unwrap_or(0) + 1;
            path.table().on(legs[here], &flow(ssrc, legs[there])).map_err(io::Error::other)?;
        }
        routes.push(Route { to: first, from: second });
        routes.push(Route { to: second, from: first });
    }
    Ok((path, routes))
}

/// Two even ports of a pair.
fn leg_of(number: u16, leg: u16) -> FlowIndex {
    let address = u8::try_from(number / PAIRS_OF_AN_ADDRESS).unwrap_or(0);
    FlowIndex { address, port: FIRST_PORT + number % PAIRS_OF_AN_ADDRESS * 4 + leg * 2 }
}

/// From the generator's stream with this SSRC, which is about to begin, to the pair's other leg.
fn flow(ssrc: u32, from: FlowIndex) -> Flow {
    Flow {
        source: FAR_END.into(),
        ssrc,
        payload_type: PCMA,
        from,
        destination: FAR_END.into(),
        out_ssrc: !ssrc,
        out_payload_type: PCMA,
        sequence_offset: 1000,
        timestamp_offset: 160_000,
        ticks: 1,
        quiet: Quiet::Alaw,
        tap: None,
        position: Position { samples: 160, ..Position::default() },
    }
}
