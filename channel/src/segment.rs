//! Sealed memory that two processes map: made by one side, examined by the other before use.
//!
//! The peer may write whatever it likes wherever it may write at all, at any time. So the memory is only ever
//! seen as atomic words: no reference to plain data is formed, no value is trusted that was read twice. The
//! seals keep the file from shrinking (no SIGBUS) and from growing.
#![allow(unsafe_code)] // Views a mapping as atomic words, or as bytes that nobody can change any more.

use core::sync::atomic::{AtomicU64, Ordering};
use std::io::{self, Write};
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use memmap2::{Mmap, MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};

use crate::record::{ABI_VERSION, MAGIC};

/// Words of the header; what the segment carries begins behind it. One pair of cache lines.
pub(crate) const HEADER_WORDS: usize = 16;

/// No segment is larger than this, whatever its header says: far above rings of a million records and the
/// snapshots of a million sessions.
const LARGEST_BYTES: u64 = 1 << 31;

const WORD_MAGIC: usize = 0;
const WORD_ABI_AND_KIND: usize = 1;
const WORD_EPOCH: usize = 2;
const WORD_SIZE: usize = 3;
const WORD_PARAMETERS: usize = 4;

/// What a segment carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentKind {
    /// A command ring and an event ring; both sides write.
    Rings,
    /// Counters and session snapshots; sealed so that only its maker writes.
    Page,
}

impl SegmentKind {
    const fn number(self) -> u32 {
        match self {
            Self::Rings => 1,
            Self::Page => 2,
        }
    }

    /// Seals that the file must have, all of them.
    const fn seals(self) -> SealFlags {
        let fixed = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);
        match self {
            Self::Rings => fixed,
            Self::Page => fixed.union(SealFlags::FUTURE_WRITE),
        }
    }
}

/// What the maker of a segment writes into its header, and the other side compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// What the segment carries.
    pub kind: SegmentKind,
    /// Which life of the gateway made it.
    pub epoch: u64,
    /// Sizes that the kind needs (capacities, counts); unused ones are zero.
    pub parameters: [u64; 4],
}

/// Why a segment cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SegmentError {
    /// The system refused.
    #[error("shared memory: {0}")]
    System(#[from] rustix::io::Errno),
    /// The mapping failed; the system's error number, if it gave one.
    #[error("shared memory cannot be mapped (errno {0})")]
    Mapping(i32),
    /// The file could still change under us.
    #[error("shared memory is not sealed as it must be: {found:#x}, wanted {wanted:#x}")]
    Unsealed {
        /// Seals of the file.
        found: u32,
        /// Seals that it should have.
        wanted: u32,
    },
    /// The file's size is not what its header, or the kind, says.
    #[error("shared memory has {found} bytes, expected {expected}")]
    Size {
        /// Size of the file in bytes.
        found: u64,
        /// Size that it should have.
        expected: u64,
    },
    /// The header is not that of a Duogate segment.
    #[error("shared memory has no Duogate header")]
    Magic,
    /// Made by another version of Duogate.
    #[error("shared memory has ABI version {theirs}, ours is {ours}")]
    Abi {
        /// The maker's version.
        theirs: u32,
        /// [`ABI_VERSION`].
        ours: u32,
    },
    /// Not what was expected: rings instead of a page, or the reverse.
    #[error("shared memory is of kind {found}")]
    Kind {
        /// Number of the kind found.
        found: u32,
    },
    /// From another life of the gateway.
    #[error("shared memory is of epoch {found}, expected {expected}")]
    Epoch {
        /// In the header.
        found: u64,
        /// As the gateway said when we attached.
        expected: u64,
    },
    /// A capacity or count in the header that cannot be.
    #[error("impossible {what} in the header of shared memory: {value}")]
    Parameter {
        /// Which.
        what: &'static str,
        /// Its value.
        value: u64,
    },
}

/// A mapped segment.
#[derive(Debug)]
pub struct Segment {
    map: MmapRaw,
    words: usize,
}

impl Segment {
    /// Makes a segment with room for `payload_words` 64-bit words after its header, all zero, sealed as its kind
    /// demands; gives the mapping (writable) and the file to hand over.
    ///
    /// # Errors
    /// The system's, and a size beyond all reason.
    pub fn create(header: &SegmentHeader, payload_words: usize) -> Result<(Self, OwnedFd), SegmentError> {
        let bytes = size_of_segment(payload_words)?;
        let file = memfd_create("duogate", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&file, bytes)?;
        let segment = Self::map(file.as_fd(), bytes, true)?;
        segment.write_header(header, bytes);
        fcntl_add_seals(&file, header.kind.seals())?;
        Ok((segment, file))
    }

    /// Maps a segment that the peer made, after everything about it has been checked: seals, size, magic, ABI,
    /// kind, epoch. A page is mapped read-only. Gives the header's parameters, which the caller must hold against
    /// [`Segment::expect_payload`].
    ///
    /// # Errors
    /// Whatever is not as it must be.
    pub fn open(
        file: BorrowedFd<'_>,
        kind: SegmentKind,
        epoch: u64,
    ) -> Result<(Self, [u64; 4]), SegmentError> {
        let (found, wanted) = (fcntl_get_seals(file)?, kind.seals());
        if !found.contains(wanted) {
            return Err(SegmentError::Unsealed { found: found.bits(), wanted: wanted.bits() });
        }
        let size = u64::try_from(fstat(file)?.st_size).unwrap_or(0);
        let smallest = size_of_segment(0)?;
        if size < smallest || size > LARGEST_BYTES || size % 8 != 0 {
            return Err(SegmentError::Size { found: size, expected: smallest });
        }
        let segment = Self::map(file, size, kind == SegmentKind::Rings)?;
        let parameters = segment.check_header(kind, epoch, size)?;
        Ok((segment, parameters))
    }

    /// Checks that the segment has exactly the room for `payload_words` words.
    ///
    /// # Errors
    /// The two sizes.
    pub fn expect_payload(&self, payload_words: usize) -> Result<(), SegmentError> {
        let (found, expected) = (self.words as u64 * 8, size_of_segment(payload_words)?);
        if found == expected { Ok(()) } else { Err(SegmentError::Size { found, expected }) }
    }

    /// All of the segment, header included.
    #[inline]
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, `words * 8` bytes long, lives as long as `self`, and cannot lose
        // its file's pages (sealed against shrinking). Both processes touch it by atomics only; a peer that does
        // not can garble the values, which are checked, but every bit pattern is a valid u64. A read-only
        // mapping is only loaded from: its users never store.
        unsafe { core::slice::from_raw_parts(self.map.as_ptr().cast::<AtomicU64>(), self.words) }
    }

    fn map(file: BorrowedFd<'_>, bytes: u64, writable: bool) -> Result<Self, SegmentError> {
        let length = usize::try_from(bytes).map_err(|_| SegmentError::Mapping(0))?;
        let mut options = MmapOptions::new();
        options.len(length);
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
        let map = if writable { options.map_raw(descriptor) } else { options.map_raw_read_only(descriptor) }
            .map_err(|error| SegmentError::Mapping(error.raw_os_error().unwrap_or(0)))?;
        Ok(Self { map, words: length / 8 })
    }

    fn write_header(&self, header: &SegmentHeader, bytes: u64) {
        let words = self.words();
        words[WORD_ABI_AND_KIND]
            .store(u64::from(ABI_VERSION) | u64::from(header.kind.number()) << 32, Ordering::Relaxed);
        words[WORD_EPOCH].store(header.epoch, Ordering::Relaxed);
        words[WORD_SIZE].store(bytes, Ordering::Relaxed);
        for (word, parameter) in words[WORD_PARAMETERS..].iter().zip(header.parameters) {
            word.store(parameter, Ordering::Relaxed);
        }
        words[WORD_MAGIC].store(MAGIC, Ordering::Release);
    }

    fn check_header(&self, kind: SegmentKind, epoch: u64, size: u64) -> Result<[u64; 4], SegmentError> {
        let mut header = [0; HEADER_WORDS];
        for (copy, word) in header.iter_mut().zip(self.words()) {
            *copy = word.load(Ordering::Relaxed);
        }
        let [theirs, found_kind] = halves(header[WORD_ABI_AND_KIND]);
        if header[WORD_MAGIC] != MAGIC {
            return Err(SegmentError::Magic);
        }
        if theirs != ABI_VERSION {
            return Err(SegmentError::Abi { theirs, ours: ABI_VERSION });
        }
        if found_kind != kind.number() {
            return Err(SegmentError::Kind { found: found_kind });
        }
        if header[WORD_EPOCH] != epoch {
            return Err(SegmentError::Epoch { found: header[WORD_EPOCH], expected: epoch });
        }
        if header[WORD_SIZE] != size {
            return Err(SegmentError::Size { found: size, expected: header[WORD_SIZE] });
        }
        Ok(core::array::from_fn(|index| header[WORD_PARAMETERS + index]))
    }
}

/// Low and high half.
const fn halves(word: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

fn size_of_segment(payload_words: usize) -> Result<u64, SegmentError> {
    let words = payload_words as u64;
    match words.checked_add(HEADER_WORDS as u64).and_then(|sum| sum.checked_mul(8)) {
        Some(bytes) if bytes <= LARGEST_BYTES => Ok(bytes),
        _ => Err(SegmentError::Parameter { what: "size", value: words }),
    }
}

/// Bytes in memory that nobody can change any more, mapped: a prompt or a tone.
#[derive(Debug)]
pub struct SealedBytes(Mmap);

const SEALED_BYTES: SealFlags =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE).union(SealFlags::SEAL);

impl SealedBytes {
    /// Copies `content` into a new memory file and seals it for good; gives the file to hand over.
    ///
    /// # Errors
    /// The system's.
    pub fn create(content: &[u8]) -> io::Result<OwnedFd> {
        let file = memfd_create("duogate-sound", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let mut file = std::fs::File::from(file);
        file.write_all(content)?;
        fcntl_add_seals(&file, SEALED_BYTES)?;
        Ok(file.into())
    }

    /// Maps a file that the peer sealed, if it is sealed for good and has exactly `length` bytes (at least one).
    ///
    /// # Errors
    /// What is not as it must be.
    pub fn open(file: BorrowedFd<'_>, length: u64) -> Result<Self, SegmentError> {
        let found = fcntl_get_seals(file)?;
        if !found.contains(SEALED_BYTES) {
            return Err(SegmentError::Unsealed { found: found.bits(), wanted: SEALED_BYTES.bits() });
        }
        let size = u64::try_from(fstat(file)?.st_size).unwrap_or(0);
        if size != length || size == 0 || size > LARGEST_BYTES {
            return Err(SegmentError::Size { found: size, expected: length });
        }
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
        // SAFETY: the seals that were just checked forbid every later write and every change of size, for all
        // holders of the file, so the bytes behind the reference are immutable.
        let map = unsafe { MmapOptions::new().map(descriptor) }
            .map_err(|error| SegmentError::Mapping(error.raw_os_error().unwrap_or(0)))?;
        Ok(Self(map))
    }
}

impl Deref for SealedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests;
