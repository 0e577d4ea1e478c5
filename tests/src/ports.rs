//! Free ports of the loopback interface.

use std::net::{TcpListener, UdpSocket};

/// RTP ports given to one Duogate under test: enough for some fifty calls with ports at rest.
pub const RTP_PORTS: u16 = 400;

/// Where the blocks of RTP ports begin and end; below the host's usual ephemeral ports.
const RTP_RANGE: std::ops::Range<u16> = 10_000..30_000;

/// A UDP port that is free now.
///
/// # Panics
/// If the host has none left.
#[must_use]
pub fn free_udp_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free UDP port");
    socket.local_addr().expect("a bound socket has an address").port()
}

/// A TCP port that is free now.
///
/// # Panics
/// If the host has none left.
#[must_use]
pub fn free_tcp_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free TCP port");
    socket.local_addr().expect("a bound socket has an address").port()
}

/// The first port of a block of [`RTP_PORTS`] ports of which both ends are free now. Two tests that choose at
/// the same time start their search at different blocks, by their process ids.
///
/// # Panics
/// If no such block is left.
#[must_use]
pub fn free_rtp_block() -> u16 {
    let blocks = (RTP_RANGE.end - RTP_RANGE.start) / RTP_PORTS;
    let start = u16::try_from(std::process::id() % u32::from(blocks)).expect("a remainder below 65,536");
    for step in 0..blocks {
        let first = RTP_RANGE.start + (start + step) % blocks * RTP_PORTS;
        let ends = [first, first + RTP_PORTS - 2].map(|port| UdpSocket::bind(("127.0.0.1", port)));
        if ends.iter().all(Result::is_ok) {
            return first;
        }
    }
    panic!("no block of {RTP_PORTS} UDP ports is free in {RTP_RANGE:?}");
}
