//! Lengths of packets.

/// Milliseconds of the longest packet of Opus (RFC 6716 section 3.2.5), which is longer than any of the others.
pub(crate) const LONGEST: usize = 120;

/// Milliseconds that one frame of our Opus may have; other lengths are made of several of 10.
pub(crate) const FRAMES: [usize; 4] = [10, 20, 40, 60];

/// Milliseconds of the frames that a packet of another length is made of.
pub(crate) const PIECE: usize = 10;

/// Octets of the longest packet of Opus that is made: 120 ms at 64 kbit/s, and some.
pub(crate) const ROOM: usize = 1_275;
