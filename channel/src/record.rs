//! Fixed-size records: how commands, events, snapshots and messages look as bytes.
//!
//! Every field is little-endian and has its fixed order; what a record does not use is zero. A record has one
//! encoding only, so `decode` accepts nothing that `encode` would not write, and an error there means that the
//! peer is broken or hostile.

mod command;
mod event;
pub(crate) mod field;
mod quality;
mod secret;

/// The version of everything that crosses the wall: records, rings, pages, messages. Changed with any of them.
pub const ABI_VERSION: u32 = 5;

/// "duogate" and a zero: stands in every segment and in both greetings.
pub const MAGIC: u64 = u64::from_le_bytes(*b"duogate\0");

/// A value that crosses the wall as a block of bytes of one size.
pub trait Record: Sized {
    /// The block: an array of bytes whose length is a multiple of eight.
    type Bytes: AsRef<[u8]> + AsMut<[u8]> + Copy;

    /// The size of the block in bytes, a multiple of eight.
    const SIZE: usize;

    /// A block of zeros.
    const ZERO: Self::Bytes;

    /// Does it carry what must not stay in memory once it has been taken?
    fn is_secret(&self) -> bool {
        false
    }

    /// The value as bytes.
    fn encode(&self) -> Self::Bytes;

    /// The value that the bytes stand for.
    ///
    /// # Errors
    /// Whatever [`Record::encode`] never writes.
    fn decode(bytes: &Self::Bytes) -> Result<Self, RecordError>;
}

/// Why bytes are not a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// The first byte names no kind that this ABI version knows.
    #[error("unknown {record} kind {kind}")]
    UnknownKind {
        /// "command", "event", "message" and so on.
        record: &'static str,
        /// What stood there.
        kind: u8,
    },
    /// A field holds a value that it cannot have.
    #[error("impossible {field}: {value}")]
    Impossible {
        /// The field.
        field: &'static str,
        /// What stood there.
        value: u64,
    },
    /// Bytes that no field owns are not zero.
    #[error("bytes after the last field are not zero")]
    Trailing,
    /// The block ended within a field, or is not of the record's size.
    #[error("wrong length: {length} bytes")]
    Length {
        /// Length of the block in bytes.
        length: usize,
    },
}
