//! A recorder that keeps everything in memory.

use duogate_channel::event::RecordOutcome;
use duogate_channel::sound::{RecordChannels, RecordFormat};
use duogate_media::{BLOCK_SAMPLES, Block, Take, Tap};

pub(crate) struct Tape {
    #[allow(clippy::vec_box)] // Blocks are handed on as boxes.
    pool: Vec<Box<Block>>,
    size: usize,
    /// Acts as if the pool were empty.
    pub(crate) dry: bool,
    pub(crate) begun: Vec<Take>,
    pub(crate) written: Vec<Block>,
    pub(crate) ended: Vec<(Take, u64, u32)>,
    pub(crate) refuse: Option<RecordOutcome>,
}

impl Tape {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            pool: (0..size).map(|_| Box::default()).collect(),
            size,
            dry: false,
            begun: Vec::new(),
            written: Vec::new(),
            ended: Vec::new(),
            refuse: None,
        }
    }

    /// Every block is back.
    pub(crate) fn is_whole(&self) -> bool {
        self.pool.len() == self.size
    }

    /// What a party said, as the writer would lay it out: silence where no block is.
    pub(crate) fn track(&self, recording: u64, party: usize, silence: u8) -> Vec<u8> {
        let (_, samples, _) =
            self.ended.iter().find(|(take, ..)| take.recording.0 == recording).expect("ended");
        let mut track = vec![silence; usize::try_from(*samples).unwrap()];
        let mut next = 0;
        for block in self.written.iter().filter(|block| block.take.recording.0 == recording) {
            assert!(block.start >= next, "blocks come in order");
            next = block.start + BLOCK_SAMPLES as u64;
            let start = usize::try_from(block.start).unwrap();
            let end = track.len().min(start + BLOCK_SAMPLES);
            track[start..end].copy_from_slice(&block.samples[party][..end - start]);
        }
        track
    }
}

impl Tap for Tape {
    fn begin(&mut self, take: Take, _: RecordFormat, _: RecordChannels) -> Result<(), RecordOutcome> {
        if let Some(outcome) = self.refuse {
            return Err(outcome);
        }
        self.begun.push(take);
        Ok(())
    }

    fn block(&mut self) -> Option<Box<Block>> {
        if self.dry { None } else { self.pool.pop() }
    }

    fn write(&mut self, block: Box<Block>) {
        self.written.push((*block).clone());
        self.pool.push(block);
    }

    fn give_back(&mut self, block: Box<Block>) {
        self.pool.push(block);
    }

    fn end(&mut self, take: Take, samples: u64, lost: u32) {
        self.ended.push((take, samples, lost));
    }
}
