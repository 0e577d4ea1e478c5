//! What the endpoint wants done.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;

use duogate_channel::command::Command;
use duogate_channel::identity::Shard;

use crate::resource::note::Note;
use crate::resource::report::Report;

pub use crate::resource::report::Measurement;
pub use crate::transaction::{Listener, Place, Question, Transport};

/// Names one question about a host name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Query(pub u64);

/// Why a host could not be located.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LocateFailure {
    /// There is no such name, or it has no address.
    Unknown,
    /// The name service did not answer in time.
    Timeout,
}

/// One thing to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Send a datagram.
    Send {
        /// From this listening socket.
        listener: Listener,
        /// To here.
        destination: SocketAddr,
        /// This.
        bytes: Vec<u8>,
    },
    /// Find where a host is reached (RFC 3263 section 4) and call [`super::Endpoint::located`]. Answer within 5
    /// seconds or so; a call whose ring time is over no longer waits for it.
    Locate {
        /// Names the answer.
        query: Query,
        /// What to look for.
        question: Question,
    },
    /// Put a command on a shard's ring.
    Media {
        /// The shard.
        shard: Shard,
        /// The command.
        command: Command,
    },
    /// Write the journal's row. Only the first one of a resource is waited for ([`super::Endpoint::noted`]).
    Note(Box<Note>),
    /// Put an event into the outbox.
    Report(Box<Report>),
    /// Count a measured time.
    Measured(Measurement),
}
