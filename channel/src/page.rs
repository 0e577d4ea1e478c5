//! A shard's page: its counters and a snapshot of every session, written by the shard, readable at any time by
//! the control plane, which cannot write to it (sealed).
//!
//! ```text
//!   header | 96 counters | slot 0: sequence, snapshot | slot 1 | ...
//! ```
//! A snapshot is guarded by a sequence word (a seqlock): odd while it is being written. A reader that meets an
//! odd or changed sequence tries again, a bounded number of times: a gateway that died in mid-write leaves it odd.

use core::sync::atomic::{AtomicU64, Ordering, fence};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::counters::Counter;
use crate::identity::Session;
use crate::record::{Record, RecordError};
use crate::segment::{HEADER_WORDS, Segment, SegmentError, SegmentHeader, SegmentKind};
use crate::snapshot::Snapshot;
use crate::time::Instant;

/// Words kept for counters; more than there are, so that a new one does not move the snapshots.
const COUNTER_WORDS: usize = 96;
const _: () = assert!(Counter::ALL.len() <= COUNTER_WORDS);

/// Words of a slot: the sequence and the snapshot. Four pairs of cache lines.
const SLOT_WORDS: usize = 1 + Snapshot::SIZE / 8;
const _: () = assert!(SLOT_WORDS == 64);

/// The most sessions that one shard may show.
const MOST_SESSIONS: u64 = 1 << 20;

/// How often a reader tries again before it gives up: far more than a write of a hundred nanoseconds lasts.
const RETRIES: usize = 1_000;

/// Words of a page for so many sessions.
fn words(sessions: u64) -> Result<usize, SegmentError> {
    match usize::try_from(sessions) {
        Ok(slots) if (1..=MOST_SESSIONS).contains(&sessions) => Ok(COUNTER_WORDS + slots * SLOT_WORDS),
        _ => Err(SegmentError::Parameter { what: "session count", value: sessions }),
    }
}

fn counter(segment: &Segment, counter: Counter) -> &AtomicU64 {
    &segment.words()[HEADER_WORDS + counter as usize]
}

/// The shard's side. Clones write to the same page; each counter and each slot must have one writing thread at a
/// time, and nothing worse than a wrong figure comes of it if it has two.
#[derive(Clone, Debug)]
pub struct PageWriter {
    segment: Arc<Segment>,
    file: Arc<OwnedFd>,
    sessions: u32,
}

impl PageWriter {
    /// Makes a page for `sessions` session slots in this life (`epoch`) of the gateway.
    ///
    /// # Errors
    /// Zero or too many sessions, and the system's errors.
    pub fn create(epoch: u64, sessions: u32) -> Result<Self, SegmentError> {
        let parameters = [u64::from(sessions), Counter::ALL.len() as u64, 0, 0];
        let header = SegmentHeader { kind: SegmentKind::Page, epoch, parameters };
        let (segment, file) = Segment::create(&header, words(u64::from(sessions))?)?;
        Ok(Self { segment: Arc::new(segment), file: Arc::new(file), sessions })
    }

    /// The file to hand over; its holder can read the page and no more.
    #[must_use]
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Session slots of the page.
    #[must_use]
    pub const fn sessions(&self) -> u32 {
        self.sessions
    }

    /// Adds to a counter that only this thread writes: a load and a store, no locked instruction.
    #[inline]
    pub fn add(&self, which: Counter, amount: u64) {
        let word = counter(&self.segment, which);
        word.store(word.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Adds to a counter that several threads write.
    #[inline]
    pub fn add_shared(&self, which: Counter, amount: u64) {
        counter(&self.segment, which).fetch_add(amount, Ordering::Relaxed);
    }

    /// Sets a gauge.
    #[inline]
    pub fn set(&self, which: Counter, value: u64) {
        counter(&self.segment, which).store(value, Ordering::Relaxed);
    }

    /// The value of a counter or gauge.
    #[inline]
    #[must_use]
    pub fn get(&self, which: Counter) -> u64 {
        counter(&self.segment, which).load(Ordering::Relaxed)
    }

    /// Shows a session in its slot. A slot beyond the page is ignored: the page was made for the session table.
    pub fn show(&self, snapshot: &Snapshot) {
        self.write(snapshot.session.slot, &snapshot.encode());
    }

    /// Empties a slot: its session has ended.
    pub fn hide(&self, session: Session) {
        self.write(session.slot, &Snapshot::ZERO);
    }

    fn write(&self, slot: u32, bytes: &<Snapshot as Record>::Bytes) {
        let Some((sequence, data)) = slot_words(&self.segment, slot, self.sessions) else { return };
        let odd = sequence.load(Ordering::Relaxed) | 1;
        sequence.store(odd, Ordering::Relaxed);
        fence(Ordering::Release);
        for (word, chunk) in data.iter().zip(bytes.as_chunks::<8>().0) {
            word.store(u64::from_le_bytes(*chunk), Ordering::Relaxed);
        }
        sequence.store(odd.wrapping_add(1), Ordering::Release);
    }
}

fn slot_words(segment: &Segment, slot: u32, sessions: u32) -> Option<(&AtomicU64, &[AtomicU64])> {
    if slot >= sessions {
        return None;
    }
    let start = HEADER_WORDS + COUNTER_WORDS + usize::try_from(slot).ok()? * SLOT_WORDS;
    segment.words().get(start..start + SLOT_WORDS)?.split_first()
}

/// Why a slot could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It never held still: written all the time, or left half-written by a gateway that died.
    #[error("session slot {0} is being written")]
    Busy(u32),
    /// The page has no such slot.
    #[error("there is no session slot {0}")]
    NoSuchSlot(u32),
    /// What stands there cannot be.
    #[error("session slot {slot}: {error}")]
    Garbage {
        /// The slot.
        slot: u32,
        /// What is wrong.
        error: RecordError,
    },
}

/// The control plane's side: reads, at any time. Clones read the same page.
#[derive(Clone, Debug)]
pub struct PageReader {
    segment: Arc<Segment>,
    sessions: u32,
}

impl PageReader {
    /// Maps a page that the gateway handed over.
    ///
    /// # Errors
    /// What is not as it must be.
    pub fn open(file: BorrowedFd<'_>, epoch: u64) -> Result<Self, SegmentError> {
        let (segment, [sessions, counters, ..]) = Segment::open(file, SegmentKind::Page, epoch)?;
        segment.expect_payload(words(sessions)?)?;
        if counters != Counter::ALL.len() as u64 {
            return Err(SegmentError::Parameter { what: "counter count", value: counters });
        }
        // At most 2^20, as `words` has checked.
        let sessions = u32::try_from(sessions).unwrap_or(0);
        Ok(Self { segment: Arc::new(segment), sessions })
    }

    /// Session slots of the page.
    #[must_use]
    pub const fn sessions(&self) -> u32 {
        self.sessions
    }

    /// The value of a counter or gauge.
    #[must_use]
    pub fn get(&self, which: Counter) -> u64 {
        counter(&self.segment, which).load(Ordering::Relaxed)
    }

    /// When the shard last turned its loop.
    #[must_use]
    pub fn heartbeat(&self) -> Instant {
        Instant::from_nanoseconds(self.get(Counter::Heartbeat))
    }

    /// What a slot shows; `None` if no session uses it.
    ///
    /// # Errors
    /// The slot does not hold still, does not exist, or holds garbage.
    pub fn snapshot(&self, slot: u32) -> Result<Option<Snapshot>, SnapshotError> {
        let Some((sequence, data)) = slot_words(&self.segment, slot, self.sessions) else {
            return Err(SnapshotError::NoSuchSlot(slot));
        };
        for _ in 0..RETRIES {
            let before = sequence.load(Ordering::Acquire);
            if before & 1 == 0 {
                let mut bytes = Snapshot::ZERO;
                for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(data) {
                    *chunk = word.load(Ordering::Relaxed).to_le_bytes();
                }
                fence(Ordering::Acquire);
                if sequence.load(Ordering::Relaxed) == before {
                    return decode(slot, &bytes);
                }
            }
            core::hint::spin_loop();
        }
        Err(SnapshotError::Busy(slot))
    }
}

fn decode(slot: u32, bytes: &<Snapshot as Record>::Bytes) -> Result<Option<Snapshot>, SnapshotError> {
    if *bytes == Snapshot::ZERO {
        return Ok(None);
    }
    let snapshot = Snapshot::decode(bytes).map_err(|error| SnapshotError::Garbage { slot, error })?;
    if snapshot.session.slot != slot {
        let value = u64::from(snapshot.session.slot);
        return Err(SnapshotError::Garbage { slot, error: RecordError::Impossible { field: "slot", value } });
    }
    Ok(Some(snapshot))
}

#[cfg(test)]
mod tests;
