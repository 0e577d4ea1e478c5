//! What becomes of a received datagram.

use ::core::net::SocketAddr;

use crate::action::Socket;

/// Where a datagram came from, as far as the shell knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The socket is connected and the kernel has compared the source with the far end.
    Connected,
    /// From this address; the core compares it with the far end. An IPv4 source must come as IPv4, not mapped.
    Address(SocketAddr),
}

/// What the shell does with the buffer of a received datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Send the first `length` bytes of the same buffer, which have been rewritten, from the connected socket.
    Forward {
        /// The listener's socket.
        socket: Socket,
        /// Bytes to send; never more than were received, but for what encryption adds.
        length: usize,
    },
    /// Give the payload to a helper ([`crate::Core::take_job`]), then the buffer back.
    Help,
    /// Give the payload to a helper, and forward.
    HelpToo {
        /// The listener's socket.
        socket: Socket,
        /// Bytes to send.
        length: usize,
    },
    /// Give the buffer back.
    Drop(DropReason),
}

macro_rules! drop_reasons {
    ($($(#[doc = $text:literal])+ $name:ident => $label:literal,)+) => {
        /// Why a datagram is not forwarded. Each is counted by itself.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum DropReason { $($(#[doc = $text])+ $name,)+ }

        impl DropReason {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Name in metrics.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }
        }
    };
}

drop_reasons! {
    /// No session uses the socket.
    NotOpen => "not_open",
    /// The session is over and the port rests.
    Resting => "resting",
    /// Signaling has not told yet where the party is: nothing can be trusted.
    NoFarEnd => "no_far_end",
    /// Not from the party's address.
    Stranger => "stranger",
    /// The party said that it does not send.
    Held => "held",
    /// Not RTP version 2, or its lengths do not fit (RFC 3550 section 5.1).
    Malformed => "malformed",
    /// RTCP (RFC 5761 section 4) from one with whom it was not agreed, or not here.
    Rtcp => "rtcp",
    /// The party's RTCP: read, and meant for nobody else.
    Report => "report",
    /// A payload type that was not negotiated.
    PayloadType => "payload_type",
    /// The sequence number jumped, or a sender came back; one more packet in sequence and it is believed (RFC 3550 A.1).
    Probation => "probation",
    /// A packet that was there before.
    Duplicate => "duplicate",
    /// Older than what the listener's stream can still take.
    Late => "late",
    /// Comfort noise (RFC 3389): the party lives, but the listener did not negotiate it.
    ComfortNoise => "comfort_noise",
    /// No payload: a keep-alive (RFC 6263 section 4.1 and others).
    Empty => "empty",
    /// A telephone-event, and the listener did not negotiate them.
    NoTelephoneEvent => "no_telephone_event",
    /// It was not made with the party's key, or changed on the way; or it is plain where it should be secured.
    Unauthentic => "unauthentic",
    /// A secured packet that was there before, or is older than the window that remembers.
    Replayed => "replayed",
    /// Maybe the party's: where it sends from is still being learned.
    Learning => "learning",
    /// It could not be encrypted for the listener.
    Unsealed => "unsealed",
    /// The listener speaks another codec, and no helper has room for the session.
    NoHelp => "no_help",
    /// The other party does not hear this one now: it hears something else, is on hold, or is not there yet.
    NobodyListens => "nobody_listens",
}

impl DropReason {
    /// How many reasons there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The figure counts as refused in the leg's statistics: nothing of the packet was accepted.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::NoFarEnd
                | Self::Stranger
                | Self::Held
                | Self::Malformed
                | Self::Rtcp
                | Self::PayloadType
                | Self::Probation
                | Self::Unauthentic
                | Self::Learning
        )
    }
}
