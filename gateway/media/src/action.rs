//! What the core asks of the shell's sockets.

use ::core::net::SocketAddr;

use duogate_channel::identity::LocalPort;

/// Place of a socket in the shard's socket table. There is one place for every even port of the shard's
/// range on every media address, whether a socket is open there or not: with `k` such ports on each, place
/// `a k + n` is port `first_port + 2 n` of address `a` ([`crate::Limits::port`]). Behind all of those follow
/// [`crate::Limits::report_ports`] places for ports of RTCP, each of which stands for one odd port while it is bound. The
/// shell may use it as the index
/// of its registered files and as the token of its completions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Socket(pub u32);

/// One thing for the shell to do, in the order in which [`crate::Core::poll_action`] gives them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Open a UDP socket on a port of a media address and receive from it. Answered by
    /// [`crate::Core::bound`].
    Bind {
        /// Its place.
        socket: Socket,
        /// The port, with its address: even for RTP, odd for RTCP.
        port: LocalPort,
    },
    /// Connect the socket to the far end, drain what strangers queued before, then receive on. Comes again,
    /// with another address, when signaling moves the far end. Packets that [`crate::Core::receive`] forwards
    /// and that the outlet is given for this socket go to this address.
    Connect {
        /// Its place.
        socket: Socket,
        /// Where the party receives RTP, or RTCP.
        address: SocketAddr,
    },
    /// Receive on the socket from everybody, and give [`crate::Core::receive`] the source of each datagram: where the
    /// party sends from is to be learned. Nothing is sent meanwhile. A socket that was connected is so no more;
    /// [`Action::Connect`] ends it.
    Listen {
        /// Its place.
        socket: Socket,
    },
    /// What helpers remember of the streams of this place is not needed any more ([`crate::Job::stream`]).
    Unhelp {
        /// The place.
        place: u32,
    },
    /// Close the socket; its rest is over. The place may be bound again later.
    Release {
        /// Its place.
        socket: Socket,
    },
}

/// Why a socket could not be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindError {
    /// The port is used by another program: another port is tried.
    Taken,
    /// The host refuses sockets (descriptors, memory, rights): the session is refused.
    Refused,
}
