//! All transactions together.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use duogate_channel::time::Instant;

use super::{Path, Settings};
use crate::message::Message;

/// One client transaction. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(u64);

/// One server transaction. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServerId(u64);

/// What a received message is to the user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// A response that the user must see. For INVITE: every provisional; every 2xx, retransmitted and forked ones
    /// too (each wants an ACK from the user, RFC 3261 section 13.2.2.4, RFC 6026 section 7.2); the first other
    /// final one, whose ACK has been sent already. For other requests: provisionals and the first final.
    Response(ClientId),
    /// A new request. Nothing has been kept: answer it with [`Layer::accept`], or without a transaction.
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
    /// Not a response.
    #[error("not a response")]
    NotAResponse,
    /// A final response has been sent before.
    #[error("answered before")]
    Answered,
}

/// The table of all transactions.
#[derive(Debug)]
pub struct Layer {
    settings: Settings,
    outputs: VecDeque<Output>,
}

impl Layer {
    /// An empty table.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self { settings, outputs: VecDeque::new() }
    }

    /// Begins a client transaction with a request that [`Builder`](crate::message::Builder) has printed (any
    /// method but ACK, which is sent without one). Its topmost Via carries a branch that is unique.
    ///
    /// # Errors
    /// Why not.
    pub fn request(&mut self, now: Instant, path: Path, bytes: Vec<u8>) -> Result<ClientId, RequestError> {
        let _ = (now, path, bytes, self.settings);
        Err(RequestError::Full)
    }

    /// Begins a CANCEL for an INVITE in Proceeding, with a Reason (RFC 3326) if given. If no final response comes
    /// to the INVITE within 64·T1, it times out.
    ///
    /// # Errors
    /// Why not.
    pub fn cancel(
        &mut self,
        now: Instant,
        invite: ClientId,
        reason: Option<&str>,
    ) -> Result<ClientId, CancelError> {
        let _ = (now, invite, reason);
        Err(CancelError::TooLate)
    }

    /// Takes in a message that came over `path`.
    pub fn receive(&mut self, now: Instant, path: Path, message: &Message<'_>) -> Delivery {
        let _ = (now, path, message);
        Delivery::Stray
    }

    /// Begins a server transaction for a message that was [`Delivery::Request`] or [`Delivery::Cancel`].
    ///
    /// # Errors
    /// Why not.
    pub fn accept(
        &mut self,
        now: Instant,
        path: Path,
        request: &Message<'_>,
    ) -> Result<ServerId, RequestError> {
        let _ = (now, path, request);
        Err(RequestError::Full)
    }

    /// Answers with a response that [`Builder::response_to`](crate::message::Builder::response_to) has made.
    /// Final ones are repeated as the RFC wants; a 2xx to INVITE too, until [`Layer::acknowledged`].
    ///
    /// # Errors
    /// Why not.
    pub fn respond(&mut self, now: Instant, id: ServerId, bytes: Vec<u8>) -> Result<(), RespondError> {
        let _ = (now, id, bytes);
        Err(RespondError::Gone)
    }

    /// The dialog has seen the ACK for this 2xx: it is repeated no more.
    pub fn acknowledged(&mut self, now: Instant, id: ServerId) {
        let _ = (now, id);
    }

    /// The transport says that the request cannot be delivered.
    pub fn transport_failed(&mut self, now: Instant, id: ClientId) {
        let _ = (now, id);
    }

    /// Where the request was sent; none once it is over.
    #[must_use]
    pub fn path(&self, id: ClientId) -> Option<Path> {
        let _ = id;
        None
    }

    /// The request as it was sent; none once it is over.
    #[must_use]
    pub fn request_bytes(&self, id: ClientId) -> Option<&[u8]> {
        let _ = id;
        None
    }

    /// Does what is due.
    pub fn advance(&mut self, now: Instant) {
        let _ = now;
    }

    /// When [`Layer::advance`] must be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// What is to be done, in its order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Transactions at present.
    #[must_use]
    pub fn len(&self) -> usize {
        0
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
