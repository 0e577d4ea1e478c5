//! Places for sessions that need help: payloads that the shard cannot make by itself from what comes, because the
//! parties speak different codecs, or because a codec must be decoded for a recording.
//!
//! ```text
//!            needed, a place is free                    needed with other codecs: a new serial number
//!  (none) ─────────────────────────────> (a place) ──┐
//!    ^                                    │   ^ <─────┘
//!    └── not needed any more, or closed ──┘
//! ```
//! Helpers keep what they remember of a stream by place, party and serial number: another serial number is another
//! stream, and what comes back under an old one is thrown away.

use ::core::ops::Range;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use duogate_channel::identity::{Party, Session};
use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;

use crate::arrival::Order;
use crate::relay::Content;
use crate::rtp::Header;

/// No place.
pub(crate) const NOBODY: u32 = u32::MAX;

/// Turns timestamps of a speaker's clock into those of another rate, without loss however long it lasts.
#[derive(Clone, Copy, Default, Debug)]
struct Clock {
    /// The sender that it follows.
    epoch: u32,
    last: u32,
    /// Ticks, far enough from zero for what comes late.
    ticks: u64,
}

impl Clock {
    /// Where this timestamp lies on a line that never wraps.
    fn follow(&mut self, epoch: u32, timestamp: u32) -> u64 {
        const START: u64 = 1 << 40;
        if self.epoch != epoch {
            // A multiple of 6, so that both rates begin with a whole tick.
            *self = Self { epoch, last: timestamp, ticks: START * 6 };
        }
        let step = i64::from(timestamp.wrapping_sub(self.last).cast_signed());
        let ticks = self.ticks.saturating_add_signed(step);
        if step > 0 {
            (self.last, self.ticks) = (timestamp, ticks);
        }
        ticks
    }
}

/// One place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Help {
    pub(crate) serial: u32,
    codecs: [Codec; 2],
    clocks: [Clock; 2],
    /// How loud the background of each party is, in −dBov, as far as it is known.
    pub(crate) floors: [Option<u8>; 2],
}

impl Help {
    /// A party's timestamp on a clock of so many ticks in 125 µs.
    pub(crate) fn timestamp(&mut self, party: usize, epoch: u32, timestamp: u32, from: u32, to: u32) -> u32 {
        let ticks = self.clocks[party].follow(epoch, timestamp);
        ((ticks * u64::from(to) / u64::from(from)) & 0xffff_ffff) as u32
    }
}

/// All places.
#[derive(Debug)]
pub(crate) struct Helps {
    places: Box<[Help]>,
    free: Vec<u32>,
    /// Places that were given back, for the shell to tell the helpers.
    left: Vec<u32>,
    serial: u32,
}

/// Memory of one place.
pub(crate) const HELP_OCTETS: usize = size_of::<Help>() + 2 * size_of::<u32>();

impl Helps {
    pub(crate) fn new(places: u32) -> Self {
        let (codecs, clocks) = ([Codec::Pcma; 2], [Clock::default(); 2]);
        let empty = Help { serial: 0, codecs, clocks, floors: [None; 2] };
        let all: Vec<Help> = (0..places).map(|_| empty).collect();
        Self {
            places: all.into_boxed_slice(),
            free: (0..places).rev().collect(),
            left: Vec::with_capacity(places as usize),
            serial: 0,
        }
    }

    /// Places in use.
    pub(crate) fn in_use(&self) -> u32 {
        u32::try_from(self.places.len() - self.free.len()).unwrap_or(u32::MAX)
    }

    /// Gives the session whose place this is what it needs: a place, a new beginning in its place, or none. False if
    /// it needs one and there is none.
    pub(crate) fn settle(&mut self, place: &mut u32, needs: Option<[Codec; 2]>) -> bool {
        match (needs, *place) {
            (None, NOBODY) => true,
            (None, old) => {
                self.free.push(old);
                // Each place is in `left` once at most until the shell has taken it: it is told in the same turn.
                if self.left.len() < self.left.capacity() {
                    self.left.push(old);
                }
                *place = NOBODY;
                true
            }
            (Some(codecs), NOBODY) => {
                let Some(free) = self.free.pop() else { return false };
                self.left.retain(|left| *left != free);
                *place = free;
                self.begin(free, codecs);
                true
            }
            (Some(codecs), place) => {
                if self.places[place as usize].codecs != codecs {
                    self.begin(place, codecs);
                }
                true
            }
        }
    }

    fn begin(&mut self, place: u32, codecs: [Codec; 2]) {
        self.serial = self.serial.wrapping_add(1).max(1);
        let (serial, clocks) = (self.serial, [Clock::default(); 2]);
        self.places[place as usize] = Help { serial, codecs, clocks, floors: [None; 2] };
    }

    pub(crate) fn get(&mut self, place: u32) -> Option<&mut Help> {
        self.places.get_mut(place as usize)
    }

    /// The next place that was given back.
    pub(crate) fn left(&mut self) -> Option<u32> {
        self.left.pop()
    }
}

/// One payload that a helper is asked to decode, or to let pass in its order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    pub(crate) session: Session,
    pub(crate) party: Party,
    pub(crate) place: u32,
    pub(crate) serial: u32,
    pub(crate) epoch: u32,
    pub(crate) order: Order,
    pub(crate) arrived: Instant,
    /// As the speaker sent it, with the timestamp in the listener's clock.
    pub(crate) header: Header,
    /// Its timestamp at 8 kHz, for a recording.
    pub(crate) narrow: u32,
    pub(crate) content: Content,
    pub(crate) from: Codec,
    pub(crate) to: Option<Codec>,
    pub(crate) recorded: bool,
    pub(crate) payload: Range<usize>,
    /// The payload is not in the datagram any more.
    pub(crate) aside: bool,
}

impl Job {
    /// The stream that it belongs to: place among those that may be helped ([`crate::Limits::transcoded`]), party, and a
    /// serial number that differs from use to use.
    #[must_use]
    pub const fn stream(&self) -> (u32, Party, u32) {
        (self.place, self.party, self.serial)
    }

    /// What comes, what goes to the listener if it is to be translated, and whether it is wanted in A-law too: for a
    /// recording, or to be searched for keys.
    #[must_use]
    pub const fn wanted(&self) -> (Codec, Option<Codec>, bool) {
        (self.from, self.to, self.recorded)
    }

    /// Is it sound? All else is only to come back in its order.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        matches!(self.content, Content::Sound)
    }

    /// Payloads that are missing before this one.
    #[must_use]
    pub const fn missing(&self) -> u16 {
        match self.order {
            Order::Next(step) => step.saturating_sub(1),
            Order::First | Order::Late(_) | Order::Duplicate | Order::Probation => 0,
        }
    }
}

/// A payload for a helper whose packet has been encrypted meanwhile, until the shell has taken it.
#[derive(Debug)]
pub(crate) struct Aside {
    payload: Box<[u8]>,
}

impl Aside {
    /// The longest payload: of a frame of Ethernet.
    const MOST: usize = 1_500;

    pub(crate) fn new() -> Self {
        Self { payload: vec![0; Self::MOST].into_boxed_slice() }
    }

    /// Keeps a job's payload. False if it is longer than any can be.
    pub(crate) fn keep(&mut self, job: &mut Job, packet: &[u8]) -> bool {
        let Some(payload) = packet.get(job.payload.clone()) else { return false };
        let Some(place) = self.payload.get_mut(..payload.len()) else { return false };
        place.copy_from_slice(payload);
        (job.payload, job.aside) = (0..payload.len(), true);
        true
    }

    /// The payload of a job that came with this datagram.
    pub(crate) fn payload_of<'a>(&'a self, job: &Job, datagram: &'a [u8]) -> &'a [u8] {
        let whole = if job.aside { &self.payload } else { datagram };
        whole.get(job.payload.clone()).unwrap_or_default()
    }
}

/// What a helper has made of a [`Job`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Made<'a> {
    /// The listener's payload, or the same one where it was no sound; the same sound in A-law, if it was wanted.
    Good {
        /// For the listener; empty where none was wanted.
        payload: &'a [u8],
        /// For recordings and to be searched; empty where none was wanted.
        recorded: &'a [u8],
        /// How loud the speaker's background is, in −dBov, if that can be told.
        floor: Option<u8>,
    },
    /// It could not be decoded, or not encoded in the listener's codec: it is lost.
    Bad,
    /// There was no room for it.
    Full,
}
