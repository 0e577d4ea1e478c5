//! The line between one shard and the recorder: two queues there and back, and a pool of blocks that go round.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use duogate_channel::descriptors::Doorbell;
use duogate_channel::event::RecordOutcome;
use duogate_channel::sound::{RecordChannels, RecordFormat};
use duogate_media::{Block, Take, Tap};

use crate::inbox::Inbox;
use crate::wav::Layout;

/// Blocks of a shard for each recording it may have: one being filled, up to two that wait for stragglers, and seven on
/// their way to the recorder, which empties them at once but may be kept from it for 700 ms: with 5,000 recordings that
/// began together half a second was seen.
const BLOCKS_EACH: usize = 10;

/// Blocks beside those, for a recorder that is scheduled late.
const BLOCKS_SPARE: usize = 64;

/// What a shard tells the recorder.
pub enum Message {
    /// A recording begins.
    Begin(Take, Layout),
    /// A block of sound.
    Block(Box<Block>),
    /// It ends, covers so many samples, and lacks so many blocks.
    End(Take, u64, u32),
}

/// How a recording ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Finished {
    /// The recording.
    pub take: Take,
    /// How it ended.
    pub outcome: RecordOutcome,
    /// Time that the file covers.
    pub duration: Duration,
    /// Size of the file in octets.
    pub bytes: u64,
}

/// What wakes the recorder, shared by all shards.
pub struct RecorderBell {
    sleeping: AtomicBool,
    bell: Doorbell,
}

impl RecorderBell {
    /// A new one.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> rustix::io::Result<Self> {
        Ok(Self { sleeping: AtomicBool::new(false), bell: Doorbell::blocking()? })
    }

    /// Wakes the recorder if it sleeps.
    pub fn wake(&self) {
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::Relaxed) {
            self.bell.ring();
        }
    }

    /// The recorder is about to sleep; it must look at its queues once more afterwards.
    pub fn prepare_sleep(&self) {
        self.sleeping.store(true, Ordering::Relaxed);
        std::sync::atomic::fence(Ordering::SeqCst);
    }

    /// A handle for waiting.
    ///
    /// # Errors
    /// The system's.
    pub fn file(&self) -> std::io::Result<OwnedFd> {
        self.bell.as_fd().try_clone_to_owned()
    }
}

/// The line itself.
pub struct Line {
    to_recorder: ArrayQueue<Message>,
    spare: ArrayQueue<Box<Block>>,
    finished: ArrayQueue<Finished>,
    inbox: Arc<Inbox>,
}

impl Line {
    /// A line for so many recordings at once, with all its blocks. `inbox` wakes the shard.
    #[must_use]
    pub fn new(recordings: u32, inbox: Arc<Inbox>) -> Self {
        let recordings = usize::try_from(recordings).unwrap_or(0).max(1);
        let blocks = recordings * BLOCKS_EACH + BLOCKS_SPARE;
        let line = Self {
            // Every block, and a beginning and an end of every recording: never full.
            to_recorder: ArrayQueue::new(blocks + 2 * recordings),
            spare: ArrayQueue::new(blocks),
            finished: ArrayQueue::new(recordings),
            inbox,
        };
        for _ in 0..blocks {
            // As many as there is room for.
            let _ = line.spare.push(Box::default());
        }
        line
    }

    /// Recorder: the next message.
    pub fn take(&self) -> Option<Message> {
        self.to_recorder.pop()
    }

    /// Recorder: is nothing there?
    pub fn is_empty(&self) -> bool {
        self.to_recorder.is_empty()
    }

    /// A block back to the pool.
    pub fn give_back(&self, block: Box<Block>) {
        // There is a place for every block that was ever made.
        let _ = self.spare.push(block);
    }

    /// Recorder: tells the shard how a recording ended.
    pub fn finish(&self, finished: Finished) {
        // There is a place for every recording that the shard may have.
        let _ = self.finished.push(finished);
        self.inbox.bell().ring();
    }

    /// Shard: the next recording that has ended.
    pub fn finished(&self) -> Option<Finished> {
        self.finished.pop()
    }

    /// Messages that wait for the recorder.
    pub fn backlog(&self) -> usize {
        self.to_recorder.len()
    }
}

/// The shard's end of the line.
pub struct ShardTap {
    line: Arc<Line>,
    bell: Arc<RecorderBell>,
    /// Recordings begun and not yet reported as ended.
    running: u32,
    /// Blocks handed over since the start.
    blocks: u64,
    spoken: bool,
}

impl ShardTap {
    /// The shard's end.
    #[must_use]
    pub const fn new(line: Arc<Line>, bell: Arc<RecorderBell>) -> Self {
        Self { line, bell, running: 0, blocks: 0, spoken: false }
    }

    /// The next recording that has ended.
    pub fn finished(&mut self) -> Option<Finished> {
        let finished = self.line.finished()?;
        self.running = self.running.saturating_sub(1);
        Some(finished)
    }

    /// Wakes the recorder if it was told something since the last call.
    pub fn flush(&mut self) {
        if std::mem::take(&mut self.spoken) {
            self.bell.wake();
        }
    }

    /// Recordings that run or whose files are being closed.
    #[must_use]
    pub const fn running(&self) -> u32 {
        self.running
    }

    /// Blocks handed over since the start.
    #[must_use]
    pub const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Messages that wait for the recorder.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.line.backlog()
    }

    fn say(&mut self, message: Message) -> Result<(), Message> {
        self.spoken = true;
        self.line.to_recorder.push(message)
    }
}

impl Tap for ShardTap {
    fn begin(
        &mut self,
        take: Take,
        format: RecordFormat,
        channels: RecordChannels,
    ) -> Result<(), RecordOutcome> {
        // The file itself is with the recorder, which knows whether there is one.
        self.say(Message::Begin(take, Layout { format, channels })).map_err(|_| RecordOutcome::Overrun)?;
        self.running += 1;
        Ok(())
    }

    fn block(&mut self) -> Option<Box<Block>> {
        self.line.spare.pop()
    }

    fn write(&mut self, block: Box<Block>) {
        self.blocks += 1;
        if let Err(Message::Block(block)) = self.say(Message::Block(block)) {
            // Cannot be, by the sum of the queue; the file would have silence there.
            self.line.give_back(block);
        }
    }

    fn give_back(&mut self, block: Box<Block>) {
        self.line.give_back(block);
    }

    fn end(&mut self, take: Take, samples: u64, lost: u32) {
        // Cannot fail, by the sum of the queue.
        let _ = self.say(Message::End(take, samples, lost));
    }
}
