//! Requests that are too large for a datagram (RFC 3261 section 18.1.1).
//!
//! An INVITE that would not fit moves its call to TCP, where the party's transport was not fixed; where no connection
//! can be made, the INVITE goes by UDP after all. Later requests of the call follow its dialog (see `hops`).

use duogate_channel::time::Instant;

use super::{Leg, Output};
use crate::transaction::{Path, Transport, Way};

/// The largest request that goes by UDP while nobody knows what the path allows.
const LARGEST_DATAGRAM: usize = 1_300;

/// Does a request of that size need another transport than this one?
pub(super) fn is_too_large(octets: usize, transport: Transport) -> bool {
    octets > LARGEST_DATAGRAM && transport == Transport::Udp
}

/// Other ways than the one that is used.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Ways {
    /// For what is too large.
    wide: Option<Way>,
    /// Where that cannot be had.
    narrow: Option<Way>,
}

impl Ways {
    pub(super) const fn new(wide: Option<Way>) -> Self {
        Self { wide, narrow: None }
    }
}

impl Leg {
    /// Moves the call to the wide way if a request of that size needs it. True if it did: the request must be
    /// written anew.
    pub(super) fn widens(&mut self, octets: usize) -> bool {
        if !is_too_large(octets, self.path.transport) {
            return false;
        }
        let Some(wide) = self.ways.wide.take() else { return false };
        self.ways.narrow = Some(Way { path: self.path, local: self.call.local });
        self.take(wide);
        true
    }

    /// The INVITE could not be sent. True if it was sent by UDP instead, as its size alone had it go elsewhere.
    pub(super) fn narrows(&mut self, now: Instant) -> bool {
        if !self.state.awaits_answer() {
            return false;
        }
        let Some(narrow) = self.ways.narrow.take() else { return false };
        self.take(narrow);
        self.invite(now);
        self.outputs.push_back(Output::Again);
        true
    }

    fn take(&mut self, way: Way) {
        self.path = way.path;
        self.call.transport = way.path.transport;
        self.call.local = way.local;
    }

    /// Over which of our sockets the call goes, and where to.
    #[must_use]
    pub const fn path(&self) -> Path {
        self.path
    }
}
