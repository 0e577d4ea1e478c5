//! Blocks of recorded sound, and the way to the writer.
//!
//! The core places what each party says on the recording's time line and hands it over in blocks of 100 ms,
//! in order. The writer does the rest: conversion, mixing, interleaving, header, file. Blocks in which nobody
//! spoke are never made; the writer fills them from the next block's start, or from the end, with silence.

use alloc::boxed::Box;

use duogate_channel::event::RecordOutcome;
use duogate_channel::identity::Recording;
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat};

/// Samples that one block covers for each party: 100 ms at 8 kHz.
pub const BLOCK_SAMPLES: usize = 800;

/// A recording that runs: its name, and its place in the shard's table of recordings.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Take {
    /// Place in the table, meaningful to the core alone.
    pub place: u32,
    /// The recording.
    pub recording: Recording,
}

/// What both parties said in 100 ms of a recording. All blocks are made at start and go round between pool,
/// core and writer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// The recording.
    pub take: Take,
    /// Samples from the start of the recording to the start of this block: a multiple of [`BLOCK_SAMPLES`].
    /// Grows from block to block; what was left out is silence.
    pub start: u64,
    /// What the bytes of party 1 and of party 2 mean.
    pub codecs: [Codec; 2],
    /// One byte a sample for party 1 and for party 2; silence where a party said nothing.
    pub samples: [[u8; BLOCK_SAMPLES]; 2],
}

impl Default for Block {
    fn default() -> Self {
        Self {
            take: Take { place: 0, recording: Recording(0) },
            start: 0,
            codecs: [Codec::Pcma; 2],
            samples: [[0; BLOCK_SAMPLES]; 2],
        }
    }
}

/// The way to the writer. Its queue keeps the order of one recording's calls. It needs room for every block of
/// the pool and for one `begin` and one `end` of every recording that `Limits` allows, and then cannot be full.
///
/// For each `begin` that was accepted the writer answers exactly once, and the shell passes that on by
/// [`crate::Core::recorded`]: after `end`, or earlier if the file refuses, in which case no `end` need follow.
pub trait Tap {
    /// A recording begins now.
    ///
    /// # Errors
    /// The outcome with which it ends at once, if it cannot begin (no such file, no room).
    fn begin(
        &mut self,
        take: Take,
        format: RecordFormat,
        channels: RecordChannels,
    ) -> Result<(), RecordOutcome>;

    /// A block from the pool, with any content; `None` if the pool is empty (the loss is counted).
    fn block(&mut self) -> Option<Box<Block>>;

    /// A block for the writer.
    fn write(&mut self, block: Box<Block>);

    /// A block that is not needed after all, back to the pool.
    fn give_back(&mut self, block: Box<Block>);

    /// The recording ends and covers `samples` samples at 8 kHz. `lost` counts the blocks that had to be left out
    /// because the pool was empty; if it is not zero the outcome is `RecordOutcome::Overrun`.
    fn end(&mut self, take: Take, samples: u64, lost: u32);
}

/// A tap of a shard that does not record.
#[derive(Clone, Copy, Default, Debug)]
pub struct NoTap;

impl Tap for NoTap {
    fn begin(&mut self, _: Take, _: RecordFormat, _: RecordChannels) -> Result<(), RecordOutcome> {
        Err(RecordOutcome::Missing)
    }

    fn block(&mut self) -> Option<Box<Block>> {
        None
    }

    fn write(&mut self, _: Box<Block>) {}

    fn give_back(&mut self, _: Box<Block>) {}

    fn end(&mut self, _: Take, _: u64, _: u32) {}
}
