//! What goes into the layer, and what comes out of it.

use alloc::vec::Vec;

use super::Path;

/// One client transaction. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(pub(super) u64);

/// One server transaction. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServerId(pub(super) u64);

/// What a received message is to the user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// A response that the user must see. For INVITE: every provisional; every 2xx, retransmitted and forked ones
    /// too (each wants an ACK from the user, RFC 3261 section 13.2.2.4, RFC 6026 section 7.2); the first other
    /// final one, whose ACK has been sent already; and a 2xx after that (from another fork, RFC 3261 section 16.7
    /// step 5: ACK and BYE). For other requests: provisionals and the first final.
    Response(ClientId),
    /// A new request. Nothing has been kept: answer it with [`super::Layer::accept`], or without a transaction.
    Request,
    /// An ACK that belongs to no server transaction: that of a 2xx, for the user to match with its dialog.
    Acknowledgement,
    /// A CANCEL, new, for a request that is known (RFC 3261 section 9.2). As for [`Delivery::Request`], nothing
    /// has been kept of it.
    Cancel(ServerId),
    /// A retransmission or the like; everything has been done.
    Absorbed,
    /// A response that matches no transaction. To be dropped.
    Stray,
}

/// What is to be done, or has come about with time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Bytes to send.
    Send {
        /// Over which socket, to whom.
        path: Path,
        /// The message.
        bytes: Vec<u8>,
    },
    /// No final response came in time (timer B or F; or after CANCEL, RFC 3261 section 9.1): to be treated as
    /// 408. The transaction is over.
    TimedOut(ClientId),
    /// The transport failed: to be treated as 503 (RFC 3261 section 8.1.3.1). The transaction is over.
    Failed(ClientId),
    /// A client transaction is over and its id is dead; always the last word about it.
    ClientEnded(ClientId),
    /// No ACK came for a final response to INVITE (timer H; L for 2xx: the user ends the dialog with BYE, RFC
    /// 3261 section 13.3.1.4).
    Unacknowledged(ServerId),
    /// A server transaction is over and its id is dead; always the last word about it.
    ServerEnded(ServerId),
}

/// Why a transaction was not begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestError {
    /// The table is full.
    #[error("too many transactions")]
    Full,
    /// Not a request, or one that can have no transaction (ACK), or without a branch of its own.
    #[error("not a request for a transaction")]
    NotARequest,
    /// A transaction of that branch and method exists.
    #[error("branch used twice")]
    Duplicate,
}

/// Why a request was not cancelled (RFC 3261 section 9.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CancelError {
    /// No provisional response has come yet: wait for one.
    #[error("no provisional response yet")]
    TooEarly,
    /// A final response has come, or it is no INVITE, or it has been cancelled before.
    #[error("nothing to cancel")]
    TooLate,
    /// The CANCEL could not be begun.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Why a response was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RespondError {
    /// The transaction is over.
    #[error("no such transaction")]
    Gone,
    /// Not a response that can be sent.
    #[error("not a response")]
    NotAResponse,
    /// A final response has been sent before.
    #[error("answered before")]
    Answered,
}
