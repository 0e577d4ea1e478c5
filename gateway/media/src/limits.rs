//! The sizes and times of a shard.

use ::core::time::Duration;

use duogate_channel::identity::{LocalPort, MOST_ADDRESSES};
use thiserror::Error;

use crate::action::Socket;
use crate::events::ANSWERS_OCTETS;
use crate::help::HELP_OCTETS;
use crate::recordings::RECORDING_OCTETS;
use crate::reports::DOSSIER_OCTETS;
use crate::sockets::PORT_OCTETS;
use crate::table::Slot;
use crate::wheel::{TIMER_OCTETS, WHEEL_OCTETS};

/// Everything that is fixed when a shard starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Sessions at the same time.
    pub sessions: u32,
    /// Recordings at the same time, counting those whose file the writer has not finished.
    pub recordings: u32,
    /// Sessions at the same time that are helped: whose parties speak different codecs, or whose codec must be decoded
    /// for a recording.
    pub transcoded: u32,
    /// Media addresses; the shard's ports exist on each of them.
    pub addresses: u8,
    /// First RTP port of the shard, even.
    pub first_port: u16,
    /// Last port of the shard; an RTP port may not lie above it.
    pub last_port: u16,
    /// Ports for RTCP at the same time, beside the RTP ports: only legs that do not share a port for both need one.
    pub report_ports: u32,
    /// How long the ports of a closed session stay bound and drained before they are used again.
    pub rest: Duration,
    /// How long a joined party that should send may send nothing before `Event::Silent` is raised.
    pub silence_timeout: Duration,
    /// How often a party gets an RTCP report, on average of RFC 3550 section 6.3.1's random intervals; zero: no RTCP.
    pub report_interval: Duration,
    /// The wall clock when the monotonic one was zero, as time since 1900 (the NTP timestamps of RTCP).
    pub epoch: Duration,
    /// Start of the random numbers for SSRC, first sequence number and first timestamp (RFC 3550 section 5.1):
    /// from the system's source in production, fixed in a replay.
    pub seed: u64,
}

/// Why a set of limits makes no shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum LimitsError {
    /// The port range does not begin with an even port, or ends before it begins.
    #[error("ports {first}-{last}: the first port must be even and not above the last")]
    Ports {
        /// First port.
        first: u16,
        /// Last port.
        last: u16,
    },
    /// No media address, or more than a port can name.
    #[error("{0} media addresses: there must be 1 to {MOST_ADDRESSES}")]
    Addresses(u8),
    /// A session needs two ports.
    #[error("{sessions} sessions need {} RTP ports, the range has {sockets}", u64::from(*.sessions) * 2)]
    TooFewPorts {
        /// Sessions asked for.
        sessions: u32,
        /// Even ports in the range, on all addresses.
        sockets: u32,
    },
    /// No session at all.
    #[error("at least one session is needed")]
    NoSessions,
    /// A time that the timer wheel cannot hold.
    #[error("rest, silence timeout and RTCP interval must be at least 1 ms and at most 30 days")]
    Times,
}

impl Limits {
    /// RTP ports of the range on all addresses, which have the first places of the socket table.
    #[must_use]
    pub const fn sockets(&self) -> u32 {
        // Widening cast: `u32::from` is not const.
        #[allow(clippy::cast_lossless)]
        {
            self.addresses as u32 * self.sockets_each()
        }
    }

    /// Places of the socket table: of RTP ports, and behind them of ports for RTCP.
    #[must_use]
    pub const fn places(&self) -> u32 {
        self.sockets() + self.report_ports
    }

    /// RTP ports of the range on one address.
    #[must_use]
    pub const fn sockets_each(&self) -> u32 {
        if self.last_port < self.first_port {
            return 0;
        }
        // Widening casts: `u32::from` is not const.
        #[allow(clippy::cast_lossless)]
        {
            (self.last_port - self.first_port) as u32 / 2 + 1
        }
    }

    /// Bytes that [`crate::Core::new`] takes for these limits, nearly: a shard never takes more afterwards.
    #[must_use]
    pub const fn memory(&self) -> usize {
        // A slot, its places in the queues of free slots and of events, four timers for each of its two legs, one for
        // both, and what is known of their quality.
        let session = size_of::<Slot>() + 4 + 8 + 9 * TIMER_OCTETS + 2 * DOSSIER_OCTETS;
        // A port, and the timer of its rest.
        let port = PORT_OCTETS + TIMER_OCTETS;
        // A place in the table and one in the queue of events. Its blocks are the shell's.
        let recording = RECORDING_OCTETS + 8;
        self.sessions as usize * session
            + self.places() as usize * port
            + self.recordings as usize * recording
            + self.transcoded as usize * HELP_OCTETS
            + WHEEL_OCTETS
            + ANSWERS_OCTETS
    }

    /// The port of a place in the socket table.
    #[must_use]
    pub fn port(&self, socket: Socket) -> LocalPort {
        let each = self.sockets_each().max(1);
        let offset = u16::try_from(socket.0 % each * 2).unwrap_or(u16::MAX);
        let address = u8::try_from(socket.0 / each).unwrap_or(u8::MAX);
        LocalPort { address, port: self.first_port.saturating_add(offset) }
    }

    /// The place of a port in the socket table, if it is an RTP port of this shard.
    #[must_use]
    pub fn socket(&self, port: LocalPort) -> Option<Socket> {
        let LocalPort { address, port } = port;
        let inside = (self.first_port..=self.last_port).contains(&port) && port.is_multiple_of(2);
        (inside && address < self.addresses).then(|| {
            let before = u32::from(address) * self.sockets_each();
            Socket(before + u32::from(port - self.first_port) / 2)
        })
    }

    pub(crate) fn check(&self) -> Result<(), LimitsError> {
        const SHORTEST: Duration = Duration::from_millis(1);
        const LONGEST: Duration = Duration::from_secs(30 * 86_400);
        if !self.first_port.is_multiple_of(2) || self.first_port == 0 || self.last_port < self.first_port {
            return Err(LimitsError::Ports { first: self.first_port, last: self.last_port });
        }
        if !(1..=MOST_ADDRESSES).contains(&self.addresses) {
            return Err(LimitsError::Addresses(self.addresses));
        }
        if self.sessions == 0 {
            return Err(LimitsError::NoSessions);
        }
        if u64::from(self.sessions) * 2 > u64::from(self.sockets()) {
            return Err(LimitsError::TooFewPorts { sessions: self.sessions, sockets: self.sockets() });
        }
        let fits = |time: Duration| (SHORTEST..=LONGEST).contains(&time);
        let reports = self.report_interval.is_zero() || fits(self.report_interval);
        if fits(self.rest) && fits(self.silence_timeout) && reports {
            Ok(())
        } else {
            Err(LimitsError::Times)
        }
    }
}
