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

/// A port that is free now for both.
///
/// # Panics
/// If the host has none left.
#[must_use]
pub fn free_port() -> u16 {
    for _ in 0..100 {
        let port = free_udp_port();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free for UDP and TCP");
}

/// A block of [`RTP_PORTS`] ports, nobody else's among Duogate's tests while this is kept: its last port, an odd one
/// that no RTP uses, is bound as the mark of that.
#[derive(Debug)]
pub struct RtpBlock {
    first: u16,
    _mark: UdpSocket,
}

impl RtpBlock {
    /// Takes a block of which both ends are free.
    ///
    /// # Panics
    /// If none is left.
    #[must_use]
    pub fn take() -> Self {
        let blocks = (RTP_RANGE.end - RTP_RANGE.start) / RTP_PORTS;
        // Tests that choose at the same time mostly begin at different blocks.
        let start = u16::try_from(std::process::id() % u32::from(blocks)).expect("a remainder below 65,536");
        for step in 0..blocks {
            let first = RTP_RANGE.start + (start + step) % blocks * RTP_PORTS;
            let mark = UdpSocket::bind(("127.0.0.1", first + RTP_PORTS - 1));
            let ends = [first, first + RTP_PORTS - 2].map(|port| UdpSocket::bind(("127.0.0.1", port)));
            if let (Ok(mark), [Ok(_), Ok(_)]) = (mark, ends) {
                return Self { first, _mark: mark };
            }
        }
        panic!("no block of {RTP_PORTS} UDP ports is free in {RTP_RANGE:?}");
    }

    /// The first and the last port.
    #[must_use]
    pub const fn bounds(&self) -> (u16, u16) {
        (self.first, self.first + RTP_PORTS - 1)
    }

    /// As `media.ports` has it: so many ports from the beginning of the block.
    #[must_use]
    pub fn range(&self, ports: u16) -> String {
        format!("{}-{}", self.first, self.first + ports.min(RTP_PORTS) - 1)
    }
}
