//! Timers' base values, transports, paths.

use alloc::string::String;
use core::net::SocketAddr;
use core::time::Duration;

/// Base values of all timers (RFC 3261 table 4), and the limit of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Estimate of a round trip.
    pub t1: Duration,
    /// The longest gap between retransmissions of a non-INVITE request or of a response to INVITE.
    pub t2: Duration,
    /// How long a message stays in the network.
    pub t4: Duration,
    /// How long the client waits for retransmitted final responses to INVITE over UDP (timer D).
    pub d: Duration,
    /// How soon 100 is sent for an INVITE that its user has not answered (section 17.2.1).
    pub trying: Duration,
    /// Transactions of both kinds at once.
    pub limit: usize,
}

impl Default for Settings {
    /// The RFC's values; 200,000 transactions are 1,000 callbacks a second with 4 transactions a leg, each kept
    /// 32 seconds at most, with room to spare.
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            d: Duration::from_secs(32),
            trying: Duration::from_millis(200),
            limit: 200_000,
        }
    }
}

/// How messages travel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    /// Unreliable.
    Udp,
    /// Reliable.
    Tcp,
    /// Reliable and encrypted.
    Tls,
}

impl Transport {
    /// Does it deliver by itself, so that nothing needs to be repeated?
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// As Via names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }
}

/// A listening socket: its place in `sip.listen`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Listener(pub u16);

/// One of our sockets and a far address: where a message goes, or where it came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Path {
    /// Our end.
    pub listener: Listener,
    /// How.
    pub transport: Transport,
    /// The far end.
    pub address: SocketAddr,
}

/// A way to a far end: over which of our sockets, and as whom we are known there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// From which of our sockets to which address of the party.
    pub path: Path,
    /// Our own SIP address there.
    pub local: SocketAddr,
}

/// A place where we are reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Local {
    /// How.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
}

impl Local {
    /// A UDP socket.
    #[must_use]
    pub const fn udp(address: SocketAddr) -> Self {
        Self { transport: Transport::Udp, address }
    }
}

/// A place where a host is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// How.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
}

/// A host to be located.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// Its name.
    pub host: String,
    /// A port that is given: then neither NAPTR nor SRV is asked for.
    pub port: Option<u16>,
    /// A transport that is given: then NAPTR is not asked for.
    pub transport: Option<Transport>,
}
