//! What the program did, over all processors.

macro_rules! pass_reasons {
    ($($(#[doc = $text:literal])+ $name:ident => $label:literal,)+) => {
        /// Why a packet for a port of the table was left to the sockets.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum PassReason { $($(#[doc = $text])+ $name,)+ }

        impl PassReason {
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

pass_reasons! {
    /// No flow is on at the port it came to: a call that is on the sockets, or none.
    Off => "off",
    /// Not from the flow's source.
    Stranger => "stranger",
    /// Not a plain RTP packet with payload: contributing sources, extension, padding, RTCP, STUN, too short.
    Content => "content",
    /// Another SSRC.
    Ssrc => "ssrc",
    /// Another payload type than the flow's sound.
    PayloadType => "payload_type",
    /// A sequence number far from the last, or from before the stream was anchored.
    Sequence => "sequence",
    /// A timestamp that went back, or far forward.
    Timestamp => "timestamp",
    /// No route, no neighbor, or the next hop is not behind an interface of the fast path.
    NoNextHop => "no_next_hop",
    /// Two processors had packets of one flow at once.
    Contended => "contended",
    /// IPv4 options or fragments, IPv6 extension headers: towards a media address.
    Unusual => "unusual",
}

impl PassReason {
    /// How many reasons there are.
    pub const COUNT: usize = Self::ALL.len();
}

/// What the program did since it was loaded first, over all processors.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PathCounters {
    /// Packets forwarded.
    pub forwarded: u64,
    /// Octets of their RTP payloads.
    pub octets: u64,
    /// Packets that had been there before, dropped.
    pub duplicates: u64,
    /// Packets copied to a tap.
    pub tapped: u64,
    /// Packets whose copy found the tap full; they were forwarded all the same.
    pub tap_full: u64,
    /// Next hops looked up.
    pub lookups: u64,
    /// Packets left to the sockets, by reason.
    pub passed: [u64; PassReason::COUNT],
}

impl PathCounters {
    /// Packets left to the sockets for this reason.
    #[must_use]
    pub const fn passed(&self, reason: PassReason) -> u64 {
        self.passed[reason as usize]
    }
}
