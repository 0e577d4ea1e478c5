//! Names for the things that both processes talk about.

/// One of the two parties of a callback.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Party {
    /// Called first.
    One,
    /// Called second.
    Two,
}

impl Party {
    /// Both, in the order in which they are called.
    pub const BOTH: [Self; 2] = [Self::One, Self::Two];

    /// The party at the other end of the callback.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::One => Self::Two,
            Self::Two => Self::One,
        }
    }

    /// 0 for party 1, 1 for party 2: the place in a two-element array.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::One => 0,
            Self::Two => 1,
        }
    }

    /// 1 or 2, as the application interface counts.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

/// What the control plane calls a session before the gateway has given it a slot: unique for the life of one
/// control plane, never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tag(pub u64);

/// A shard's session slot together with the use of that slot that is meant. A handle of an earlier use is
/// recognized as stale by its generation and refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Session {
    /// Place in the shard's session table.
    pub slot: u32,
    /// Counts the uses of that slot; odd while the slot is in use, never zero for a session that was opened.
    pub generation: u32,
}

/// The most media addresses of its own that a gateway may have.
pub const MOST_ADDRESSES: u8 = 8;

/// One of our own RTP ports. Each shard's range of ports exists on every media address, so a number alone names none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct LocalPort {
    /// Place in the list of media addresses: 0 is `media.address`, the others are `media.more_addresses`. Below
    /// [`MOST_ADDRESSES`].
    pub address: u8,
    /// The port there, even; 0 stands for none.
    pub port: u16,
}

impl LocalPort {
    /// A port of the first media address.
    #[must_use]
    pub const fn first(port: u16) -> Self {
        Self { address: 0, port }
    }

    /// One number for both, dense over all addresses: the address's place times 65,536, and the port.
    #[must_use]
    pub const fn index(self) -> u32 {
        // Widening casts: `u32::from` is not const.
        #[allow(clippy::cast_lossless)]
        {
            (self.address as u32) << 16 | self.port as u32
        }
    }
}

/// A shard's place in the gateway's list of cores, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Shard(pub u16);

/// One sound (a prompt or a tone, encoded for one codec) that the control plane has handed to the gateway.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Sound(pub u32);

/// One action that the control plane asked a shard for and whose end it is told: a prompt beside what a party hears
/// otherwise, or keys sent to it. The control plane numbers those of a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Action(pub u32);

/// One recording whose open file the control plane has handed to the gateway. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Recording(pub u64);
