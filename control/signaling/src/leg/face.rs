//! What goes into a leg and what comes out of it.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use duogate_channel::command::FarEnd;
use duogate_channel::sound::Codec;

/// One call to place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dial {
    /// Who is called: the request URI and the To, as `sip:user@host:port`. The endpoint has checked it.
    pub target: String,
    /// Where the INVITE is sent: the target's host or the trunk's proxy, located.
    pub destination: SocketAddr,
    /// Who calls: the URI of From.
    pub caller: String,
    /// Our own SIP address on the listening socket that the leg uses, for Via and Contact.
    pub local: SocketAddr,
    /// What we offer.
    pub offer: MediaOffer,
    /// What User-Agent says.
    pub user_agent: String,
}

/// Our side of the media of one leg; the same port through the whole call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaOffer {
    /// Where the gateway receives RTP, as the party shall see it.
    pub address: IpAddr,
    /// The gateway's RTP port for this party.
    pub port: u16,
    /// What we can receive and send, best first; never empty.
    pub codecs: Vec<Codec>,
}

/// What a leg can be given.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A datagram whose Call-ID is this leg's, a request or a response.
    Received {
        /// The datagram, whole.
        bytes: &'a [u8],
        /// Who sent it.
        source: SocketAddr,
    },
    /// The call shall end. Does what the state needs: nothing, CANCEL (once that is allowed), or BYE. A call
    /// that was not yet answered reports `Failed` with 487 at once.
    Release {
        /// The SIP cause that the Reason header gives (RFC 3326), for instance 408 at a ring timeout.
        cause: u16,
    },
    /// The time of [`super::Leg::next_deadline`] has come, or any other time; harmless at any time.
    Tick,
    /// The shell could not send to this address (RFC 3261 section 8.1.3.1).
    Unreachable {
        /// The destination of the `Send` that failed.
        destination: SocketAddr,
    },
}

/// What a leg has to say. Each leg says exactly one of `Answered` and `Failed`, after `Answered` at most one
/// `Ended`, and in the end exactly one `Gone`, the last of all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// A datagram to send from the leg's listening socket.
    Send {
        /// To whom.
        destination: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// A provisional response other than 100 came.
    Provisional {
        /// 101 to 199.
        status: u16,
        /// The far end of the early media to be heard from now on: that of the latest response with a session
        /// description. `None` while there is none.
        early_media: Option<FarEnd>,
    },
    /// The party answered.
    Answered {
        /// Its media.
        far_end: FarEnd,
    },
    /// The call will not be answered.
    Failed {
        /// The status of the final response; 408 when none came, 487 after `Release`, 488 when the answer had no
        /// usable media, 503 when the INVITE could not be sent.
        status: u16,
        /// Retry-After in seconds, if the response has it (RFC 3261 section 20.33).
        retry_after: Option<u32>,
        /// The reason phrase or Warning text, free of control characters.
        text: String,
    },
    /// The party moved its media, or changed its codec, or put us on hold, or took us back.
    FarEnd {
        /// Its media from now on.
        far_end: FarEnd,
    },
    /// An answered call was ended by the party. Our own `Release` does not report it.
    Ended {
        /// What the Reason header of the BYE says (RFC 3326), 200 without one; 408 when the dialog is lost.
        cause: u16,
    },
    /// All transactions and dialogs of the leg are over; it may be freed, and its Call-ID forgotten.
    Gone,
}
