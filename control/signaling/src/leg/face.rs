//! What goes into a leg and what comes out of it.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use duogate_channel::command::FarEnd;
use duogate_channel::digits::Key;
use duogate_channel::sound::Codec;
use duogate_channel::srtp::MasterKeys;
use rand_chacha::ChaCha12Rng;
use rand_core::Rng;

pub use super::watch::SessionInterval;
use crate::digest::Login;
use crate::message::{Message, UriBuf};
use crate::sdp::{KeyWay, OwnKeys, SdpError};
use crate::transaction::{Local, Path, Place, Question, Settings, Way};

/// One call to place.
#[derive(Clone, PartialEq, Debug)]
pub struct Dial {
    /// Who is called: the request URI and the To.
    pub target: UriBuf,
    /// Where the INVITE is sent, and from which of our sockets: the target's host or the trunk's proxy, located.
    pub path: Path,
    /// Where it goes instead when it is too large for a datagram; none: nowhere else.
    pub wide: Option<Way>,
    /// All our listening sockets, in their order: ways that a dialog may take.
    pub exits: Arc<[Local]>,
    /// Who calls: the URI of From.
    pub caller: UriBuf,
    /// Our own SIP address on the listening socket that the leg uses, for Via and Contact.
    pub local: SocketAddr,
    /// What we offer.
    pub offer: MediaOffer,
    /// What User-Agent says.
    pub user_agent: String,
    /// Answers to the challenges of the address that the INVITE is sent to; none: no challenge is answered.
    pub login: Option<Login>,
    /// What the trunk is told of the caller beside From.
    pub assertion: Assertion,
    /// The session interval to ask for (RFC 4028); none: the party may still ask for one.
    pub session: Option<SessionInterval>,
    /// T1, T2 and their like. Their limit of transactions is not used; a leg has its own.
    pub timers: Settings,
}

/// What a trunk that trusts us is told of the caller (RFC 3325).
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Assertion {
    /// `P-Asserted-Identity`.
    pub identity: Option<UriBuf>,
    /// `Privacy: id` (section 9.3): the trunk keeps the identity to itself.
    pub private: bool,
}

/// Our side of the media of one leg; the same port through the whole call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaOffer {
    /// Where the gateway receives RTP of this party, as the party shall see it.
    pub address: SocketAddr,
    /// What we can receive and send, best first; never empty.
    pub codecs: Vec<Codec>,
    /// Our keys, if media may or must be secured.
    pub own_keys: Option<OwnKeys>,
    /// How the party's keys are told.
    pub keys: KeyWay,
}

/// What a leg can be given.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A message whose Call-ID is this leg's, a request or a response.
    Received {
        /// Who sent it, and to which of our sockets.
        path: Path,
        /// The message.
        message: &'a Message<'a>,
    },
    /// The call shall end. Does what the state needs: nothing, CANCEL (once that is allowed), or BYE. A call
    /// that was not yet answered reports `Failed` with 487 at once.
    Release {
        /// The SIP cause that the Reason header gives (RFC 3326), for instance 408 at a ring timeout.
        cause: u16,
    },
    /// The time of [`super::Leg::next_deadline`] has come, or any other time; harmless at any time.
    Tick,
    /// What came of [`Output::Locate`]: places in the order in which they shall be tried; none where it is nowhere.
    Located {
        /// What was asked.
        question: &'a Question,
        /// Where it is.
        places: &'a [Place],
    },
    /// The shell could not send over this path (RFC 3261 section 8.1.3.1).
    Unreachable {
        /// The path of the `Send` that failed.
        path: Path,
    },
}

/// What a leg has to say. Each leg says exactly one of `Answered` and `Failed`, after `Answered` at most one
/// `Ended`, and in the end exactly one `Gone`, the last of all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// A datagram to send.
    Send {
        /// From which of our sockets, to whom.
        path: Path,
        /// What.
        bytes: Vec<u8>,
    },
    /// Find where a host is reached that a dialog leads to (RFC 3263). Answer with [`Input::Located`], within 5 seconds
    /// or so.
    Locate {
        /// The host.
        question: Question,
    },
    /// How the media that is told next is secured, if that is not as before. Without a word of it, it is plain RTP.
    Secured {
        /// With these keys; none: plain RTP.
        keys: Option<MasterKeys>,
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
        /// Its media. An answer that holds from the start in the old form has an unspecified address (RFC 3264
        /// section 8.4) and nothing is to be sent to it.
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
        /// Where a redirection (300 to 399) points, the most preferred first (RFC 3261 section 8.1.3.4).
        contacts: Vec<String>,
        /// Why the answer's media could not be used, where that ended the call.
        unusable: Option<SdpError>,
        /// No final response came at all, so that another address of the host may be tried (RFC 3263 section 4.3).
        silent: bool,
    },
    /// The INVITE was sent anew, with another CSeq: the journal's row of it is no longer true.
    Again,
    /// The party moved its media, or changed its codec, or put us on hold, or took us back (re-INVITE, UPDATE);
    /// before the answer: its early media.
    FarEnd {
        /// Its media from now on.
        far_end: FarEnd,
    },
    /// The party pressed a key during the call and said so by INFO.
    Pressed {
        /// Which.
        key: Key,
        /// How long, as it says.
        milliseconds: u16,
    },
    /// An answered call was ended by the party. Our own `Release` does not report it.
    Ended {
        /// What the Reason header of the BYE says (RFC 3326), 200 without one; 408 when the dialog is lost.
        cause: u16,
    },
    /// All transactions and dialogs of the leg are over; it may be freed, and its Call-ID forgotten.
    Gone,
}

/// The random values of one leg, drawn once: they make its Call-ID, tag and branches unique and unguessable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The whole Call-ID, in hexadecimal.
    pub call_id: u128,
    /// Our tag in From, in hexadecimal.
    pub tag: u64,
    /// What all branches of this leg begin with; a counter follows.
    pub branch: u64,
}

impl Identity {
    /// Draws one from the endpoint's source of randomness.
    #[must_use]
    pub fn draw(random: &mut ChaCha12Rng) -> Self {
        let call_id = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
        Self { call_id, tag: random.next_u64(), branch: random.next_u64() }
    }
}
