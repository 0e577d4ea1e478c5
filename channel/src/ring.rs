//! A ring of records between one producer and one consumer in two processes that do not trust each other.
//!
//! ```text
//!   word 0            16               32                48
//!   | tail . . . . . | head . . . . . | sleeping . . . . | slot 0 | slot 1 | ... | slot capacity-1 |
//!     producer writes  consumer writes  both               SIZE bytes each
//! ```
//! Indices count records since the ring was made and never wrap in practice (64 bits). Each side keeps its own
//! index privately and never reads it back; it reads the other's index only when its cached copy says full or
//! empty, and refuses what the peer cannot have written: an index that went backwards, or one further ahead than
//! the ring is long. From then on the ring is poisoned: every call gives the same error. The slot is chosen by
//! masking the own index, so no value in shared memory ever selects an address.
//!
//! Doorbell: before a consumer sleeps it sets `sleeping`, fences, and looks once more; a producer that published
//! fences and then looks at `sleeping`. Of the two looks at least one sees the other's store (both fences are
//! sequentially consistent), so no record is left lying while its consumer sleeps, and a consumer that is awake
//! costs the producer no system call.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::Arc;

use zeroize::Zeroize;

use crate::record::{Record, RecordError};
use crate::segment::{HEADER_WORDS, Segment, SegmentError, SegmentHeader, SegmentKind};

/// Words of the three cache-line pairs before the slots. 128 bytes apart, because processors fetch lines in
/// pairs.
const CONTROL_WORDS: usize = 48;
const WORD_TAIL: usize = 0;
const WORD_HEAD: usize = 16;
const WORD_SLEEPING: usize = 32;

/// The most records that a ring may hold: with events of 256 bytes, 256 MiB.
pub const LARGEST_CAPACITY: u32 = 1 << 20;

/// The peer wrote what it cannot have meant; the ring must not be used any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Poisoned {
    /// An index that is behind what it was, or further ahead than the ring allows.
    #[error("poisoned ring: the peer's index is {found}, possible are {lowest} to {highest}")]
    Index {
        /// What stood in shared memory.
        found: u64,
        /// The peer's index when it was last read.
        lowest: u64,
        /// The furthest that it may have come.
        highest: u64,
    },
    /// A slot that was published does not hold a record.
    #[error("poisoned ring: {0}")]
    Record(RecordError),
}

/// Why a record was not pushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PushError {
    /// No slot is free.
    #[error("the ring is full")]
    Full,
    /// The ring is unusable.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Where in a segment a ring lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// First word of the ring, from the start of the segment.
    pub(crate) base: usize,
    /// Records that it holds; a power of two.
    pub(crate) capacity: u32,
}

impl Place {
    /// Words that a ring of `T` with this capacity takes.
    ///
    /// # Errors
    /// A capacity that is not a power of two between 2 and [`LARGEST_CAPACITY`].
    pub(crate) fn words<T: Record>(capacity: u64) -> Result<usize, SegmentError> {
        let right = capacity.is_power_of_two() && (2..=u64::from(LARGEST_CAPACITY)).contains(&capacity);
        match usize::try_from(capacity) {
            Ok(slots) if right => Ok(CONTROL_WORDS + slots * (T::SIZE / 8)),
            _ => Err(SegmentError::Parameter { what: "ring capacity", value: capacity }),
        }
    }
}

/// The shared part of a ring, as both sides see it.
#[derive(Debug)]
struct Shared<T> {
    segment: Arc<Segment>,
    place: Place,
    record: PhantomData<fn() -> T>,
}

impl<T: Record> Shared<T> {
    #[inline]
    fn word(&self, index: usize) -> &AtomicU64 {
        &self.segment.words()[self.place.base + index]
    }

    /// The words of the slot that index `count` falls on.
    #[inline]
    fn slot(&self, count: u64) -> &[AtomicU64] {
        let mask = u64::from(self.place.capacity) - 1;
        // Less than 2^20, so the cast loses nothing.
        #[allow(clippy::cast_possible_truncation)]
        let slot = (count & mask) as usize;
        let words = T::SIZE / 8;
        let start = self.place.base + CONTROL_WORDS + slot * words;
        &self.segment.words()[start..start + words]
    }
}

/// The side that writes records.
#[derive(Debug)]
pub struct Producer<T> {
    shared: Shared<T>,
    tail: u64,
    cached_head: u64,
    poisoned: Option<Poisoned>,
}

impl<T: Record> Producer<T> {
    pub(crate) const fn new(segment: Arc<Segment>, place: Place) -> Self {
        let shared = Shared { segment, place, record: PhantomData };
        Self { shared, tail: 0, cached_head: 0, poisoned: None }
    }

    /// Writes a record where the consumer sees it at once. The consumer may sleep: after the last record of a
    /// batch, ask [`Producer::doorbell_due`].
    ///
    /// # Errors
    /// The ring is full (the record was not written), or poisoned.
    #[inline]
    pub fn push(&mut self, record: &T) -> Result<(), PushError> {
        if self.room()? == 0 {
            return Err(PushError::Full);
        }
        let mut bytes = record.encode();
        for (word, chunk) in self.shared.slot(self.tail).iter().zip(bytes.as_ref().as_chunks::<8>().0) {
            word.store(u64::from_le_bytes(*chunk), Ordering::Relaxed);
        }
        if record.is_secret() {
            bytes.as_mut().zeroize();
        }
        self.tail += 1;
        self.shared.word(WORD_TAIL).store(self.tail, Ordering::Release);
        Ok(())
    }

    /// How many records can be pushed now: exact if the cached figure said none, else a lower bound of at least
    /// one.
    ///
    /// # Errors
    /// The ring is poisoned.
    #[inline]
    pub fn room(&mut self) -> Result<u64, Poisoned> {
        if let Some(poisoned) = self.poisoned {
            return Err(poisoned);
        }
        let capacity = u64::from(self.shared.place.capacity);
        if self.tail - self.cached_head == capacity {
            self.refresh_head()?;
        }
        Ok(capacity - (self.tail - self.cached_head))
    }

    /// How many records the consumer has not taken yet, read afresh.
    ///
    /// # Errors
    /// The ring is poisoned.
    pub fn backlog(&mut self) -> Result<u64, Poisoned> {
        self.poisoned.map_or(Ok(()), Err)?;
        self.refresh_head()?;
        Ok(self.tail - self.cached_head)
    }

    /// Whether the consumer sleeps and must be woken by its doorbell because of what was pushed since the last
    /// call. Answers true once per sleep.
    #[inline]
    #[must_use]
    pub fn doorbell_due(&mut self) -> bool {
        fence(Ordering::SeqCst);
        let sleeping = self.shared.word(WORD_SLEEPING);
        // A hostile value wakes a consumer that is awake: it costs a system call, nothing more.
        sleeping.load(Ordering::Relaxed) != 0 && sleeping.swap(0, Ordering::Relaxed) != 0
    }

    fn refresh_head(&mut self) -> Result<(), Poisoned> {
        let found = self.shared.word(WORD_HEAD).load(Ordering::Acquire);
        self.cached_head = checked(found, self.cached_head, self.tail, &mut self.poisoned)?;
        Ok(())
    }
}

/// The side that reads records.
#[derive(Debug)]
pub struct Consumer<T> {
    shared: Shared<T>,
    head: u64,
    cached_tail: u64,
    poisoned: Option<Poisoned>,
}

impl<T: Record> Consumer<T> {
    pub(crate) const fn new(segment: Arc<Segment>, place: Place) -> Self {
        let shared = Shared { segment, place, record: PhantomData };
        Self { shared, head: 0, cached_tail: 0, poisoned: None }
    }

    /// Takes the oldest record; `None` when the ring is empty.
    ///
    /// # Errors
    /// The ring is poisoned: an impossible index, or a slot without a record in it.
    #[inline]
    pub fn pop(&mut self) -> Result<Option<T>, Poisoned> {
        if let Some(poisoned) = self.poisoned {
            return Err(poisoned);
        }
        if self.head == self.cached_tail {
            self.refresh_tail()?;
            if self.head == self.cached_tail {
                return Ok(None);
            }
        }
        // Copied out before it is looked at: the peer may scribble on the slot meanwhile.
        let mut bytes = T::ZERO;
        let chunks = bytes.as_mut().as_chunks_mut::<8>().0;
        for (chunk, word) in chunks.iter_mut().zip(self.shared.slot(self.head)) {
            *chunk = word.load(Ordering::Relaxed).to_le_bytes();
        }
        match T::decode(&bytes) {
            Ok(record) => {
                if record.is_secret() {
                    self.wipe(&mut bytes);
                }
                self.head += 1;
                self.shared.word(WORD_HEAD).store(self.head, Ordering::Release);
                Ok(Some(record))
            }
            Err(error) => Err(*self.poisoned.insert(Poisoned::Record(error))),
        }
    }

    /// Leaves nothing of the slot that was just read, nor of its copy.
    #[cold]
    fn wipe(&self, bytes: &mut T::Bytes) {
        bytes.as_mut().zeroize();
        for word in self.shared.slot(self.head) {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Announces that this side will sleep until its doorbell. True: still empty, it may sleep, and must call
    /// [`Consumer::wake`] afterwards. False: records have come, it is awake.
    ///
    /// # Errors
    /// The ring is poisoned.
    pub fn prepare_sleep(&mut self) -> Result<bool, Poisoned> {
        if let Some(poisoned) = self.poisoned {
            return Err(poisoned);
        }
        self.shared.word(WORD_SLEEPING).store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let refreshed = self.refresh_tail();
        let empty = self.head == self.cached_tail;
        if !empty || refreshed.is_err() {
            self.wake();
        }
        refreshed.map(|()| empty)
    }

    /// Announces that this side is awake: no doorbell is needed.
    pub fn wake(&mut self) {
        self.shared.word(WORD_SLEEPING).store(0, Ordering::Relaxed);
    }

    fn refresh_tail(&mut self) -> Result<(), Poisoned> {
        let found = self.shared.word(WORD_TAIL).load(Ordering::Acquire);
        let furthest = self.head + u64::from(self.shared.place.capacity);
        self.cached_tail = checked(found, self.cached_tail, furthest, &mut self.poisoned)?;
        Ok(())
    }
}

/// The peer's index, if it can be right.
#[inline]
fn checked(found: u64, lowest: u64, highest: u64, poisoned: &mut Option<Poisoned>) -> Result<u64, Poisoned> {
    if (lowest..=highest).contains(&found) {
        return Ok(found);
    }
    Err(*poisoned.insert(Poisoned::Index { found, lowest, highest }))
}

/// A ring within one process, in a segment of its own: for tests and benches.
///
/// # Errors
/// A capacity that is not a power of two between 2 and [`LARGEST_CAPACITY`], and the system's errors.
pub fn ring<T: Record>(capacity: u32) -> Result<(Producer<T>, Consumer<T>), SegmentError> {
    let words = Place::words::<T>(u64::from(capacity))?;
    let header = SegmentHeader { kind: SegmentKind::Rings, epoch: 0, parameters: [0; 4] };
    let segment = Arc::new(Segment::create(&header, words)?.0);
    let place = Place { base: HEADER_WORDS, capacity };
    Ok((Producer::new(Arc::clone(&segment), place), Consumer::new(segment, place)))
}

#[cfg(test)]
mod tests;
