//! One recording's file content: blocks of sound become octets in their order, gaps become silence.

use std::collections::VecDeque;

use duogate_channel::g711;
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat};
use duogate_media::{BLOCK_SAMPLES, Block};

use crate::wav::Layout;

/// Octets that may wait for the file system, for each recording: 32 s of A-law in two channels, 8 s of 16-bit
/// samples in two. Beyond it blocks are left out.
const WAITING_OCTETS: usize = 512 * 1024;

/// Octets written at a time, at most.
const CHUNK_OCTETS: usize = 64 * 1024;

/// Octets worth a write while the recording goes on: a second of A-law in two channels.
const WORTH_A_WRITE: u64 = 16 * 1024;

/// First writes of recordings that begin together come in so many turns: thousands at once would each second need the
/// memory of all of them at the same time, and hold everything else up.
const TURNS: u64 = 10;

enum Piece {
    /// So many frames of silence.
    Silence(u64),
    /// Frames as they are stored: of blocks that follow each other, as many as are written at a time.
    Sound(Vec<u8>),
}

/// The content of one file between the shard and the file system. A frame is one sample of every channel.
pub struct Timeline {
    layout: Layout,
    pieces: VecDeque<Piece>,
    /// Frames placed so far, written ones included.
    frames: u64,
    /// Octets of sound in `pieces`, without silence.
    waiting: usize,
    /// Octets that all pieces would take in the file.
    due: u64,
    /// So many are worth the next write.
    worth: u64,
    lost: bool,
    ended: bool,
}

impl Timeline {
    /// An empty one. `turn` is any number of the recording's own.
    #[must_use]
    pub const fn new(layout: Layout, turn: u32) -> Self {
        let worth = WORTH_A_WRITE * (turn as u64 % TURNS + 1) / TURNS;
        Self {
            layout,
            pieces: VecDeque::new(),
            frames: 0,
            waiting: 0,
            due: 0,
            worth,
            lost: false,
            ended: false,
        }
    }

    /// Octets of one block.
    const fn block_octets(&self) -> usize {
        BLOCK_SAMPLES * self.layout.frame_octets() as usize
    }

    /// Room for what is written at a time, and for the block that is kept back.
    fn room(&self) -> Vec<u8> {
        Vec::with_capacity(usize::try_from(WORTH_A_WRITE).unwrap_or(0) + 2 * self.block_octets())
    }

    /// How samples are stored.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// Were blocks left out because too many waited?
    #[must_use]
    pub const fn lost(&self) -> bool {
        self.lost
    }

    /// Frames placed so far.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Places a block. One that begins before the end of what is there is refused as lost: the core never makes
    /// it.
    pub fn place(&mut self, block: &Block) {
        if self.ended || block.start < self.frames || self.waiting >= WAITING_OCTETS {
            self.lost = true;
            return;
        }
        self.silence(block.start - self.frames);
        let octets = self.block_octets();
        match self.pieces.back_mut() {
            Some(Piece::Sound(sound)) if sound.len() + octets <= CHUNK_OCTETS => {
                store(block, self.layout, sound);
            }
            Some(Piece::Sound(_) | Piece::Silence(_)) | None => {
                let mut sound = self.room();
                store(block, self.layout, &mut sound);
                self.pieces.push_back(Piece::Sound(sound));
            }
        }
        self.waiting += octets;
        self.due += octets as u64;
        self.frames += BLOCK_SAMPLES as u64;
    }

    /// The recording covers `frames` frames: what goes beyond is cut off, what is missing is silence.
    pub fn end(&mut self, frames: u64) {
        let frame = usize::from(self.layout.frame_octets());
        let block = self.block_octets();
        if let (true, Some(Piece::Sound(last))) = (frames < self.frames, self.pieces.back_mut()) {
            // Only the last block can go beyond the end, and it has been kept back for this.
            let excess = usize::try_from(self.frames - frames).unwrap_or(usize::MAX).saturating_mul(frame);
            let kept = last.len().saturating_sub(excess.min(block));
            let cut = last.len() - kept;
            last.truncate(kept);
            self.waiting -= cut;
            self.due -= cut as u64;
            self.frames -= (cut / frame) as u64;
        }
        self.silence(frames.saturating_sub(self.frames));
        self.ended = true;
    }

    /// Is there something to write now: enough to be worth it, or the rest after the end?
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.due >= self.worth || (self.ended && !self.pieces.is_empty())
    }

    /// Has [`Self::end`] been called?
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next octets for the file. The last block stays until the end, which may cut it.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK_OCTETS {
            let added = match self.pieces.front_mut() {
                None => break,
                Some(Piece::Silence(left)) => {
                    let frame = u64::from(self.layout.frame_octets());
                    let room = (CHUNK_OCTETS - chunk.len()) as u64 / frame;
                    let now = (*left).min(room.max(1));
                    *left -= now;
                    if *left == 0 {
                        self.pieces.pop_front();
                    }
                    let octets = usize::try_from(now * frame).unwrap_or(0);
                    chunk.resize(chunk.len() + octets, silence_octet(self.layout.format));
                    octets
                }
                Some(Piece::Sound(_)) => {
                    let Some(mut sound) = self.sound(CHUNK_OCTETS - chunk.len()) else { break };
                    let octets = sound.len();
                    self.waiting -= octets;
                    if chunk.is_empty() {
                        chunk = sound;
                    } else {
                        chunk.append(&mut sound);
                    }
                    octets
                }
            };
            self.due -= added as u64;
        }
        self.worth = WORTH_A_WRITE;
        if chunk.is_empty() { None } else { Some(chunk) }
    }

    /// The sound in front, if there is some to give away and room for it.
    fn sound(&mut self, room: usize) -> Option<Vec<u8>> {
        let keep = if self.ended || self.pieces.len() > 1 { 0 } else { self.block_octets() };
        let Some(Piece::Sound(sound)) = self.pieces.front() else { return None };
        let given = sound.len().saturating_sub(keep);
        if given > room || (given == 0 && keep > 0) {
            return None;
        }
        let mut rest = if keep > 0 { self.room() } else { Vec::new() };
        let Some(Piece::Sound(sound)) = self.pieces.front_mut() else { return None };
        rest.extend_from_slice(&sound[given..]);
        sound.truncate(given);
        let given = std::mem::replace(sound, rest);
        if keep == 0 {
            self.pieces.pop_front();
        }
        Some(given)
    }

    fn silence(&mut self, frames: u64) {
        if frames > 0 {
            self.frames += frames;
            self.due += frames * u64::from(self.layout.frame_octets());
            self.pieces.push_back(Piece::Silence(frames));
        }
    }
}

/// What stands for no sound in each format.
fn silence_octet(format: RecordFormat) -> u8 {
    stored_codec(format).map_or(0, g711::silence)
}

/// Adds a block as its file stores it: party 1 left and party 2 right, or both added up. What is the same for all samples
/// is decided before the loops, and each is as long as its slices.
fn store(block: &Block, layout: Layout, into: &mut Vec<u8>) {
    let begin = into.len();
    into.resize(begin + BLOCK_SAMPLES * usize::from(layout.frame_octets()), 0);
    let frames = &mut into[begin..];
    let parties = block.samples[0].iter().zip(&block.samples[1]);
    let [first, second] = block.codecs;
    let sum = |one, two| g711::decode(first, one).saturating_add(g711::decode(second, two));
    match (layout.channels, stored_codec(layout.format)) {
        (RecordChannels::Separate, Some(stored)) => {
            let tables = block.codecs.map(|codec| g711::translation(codec, stored));
            let code =
                |table: Option<&[u8; 256]>, code: u8| table.map_or(code, |table| table[usize::from(code)]);
            let places = frames.as_chunks_mut::<2>().0.iter_mut().zip(parties);
            match tables {
                [None, None] => places.for_each(|(frame, (one, two))| *frame = [*one, *two]),
                [left, right] => {
                    places.for_each(|(frame, (one, two))| *frame = [code(left, *one), code(right, *two)]);
                }
            }
        }
        (RecordChannels::Separate, None) => {
            for (frame, (one, two)) in frames.as_chunks_mut::<4>().0.iter_mut().zip(parties) {
                let ([a, b], [c, d]) =
                    (g711::decode(first, *one).to_le_bytes(), g711::decode(second, *two).to_le_bytes());
                *frame = [a, b, c, d];
            }
        }
        (RecordChannels::Mixed, Some(stored)) => {
            for (frame, (one, two)) in frames.iter_mut().zip(parties) {
                *frame = g711::encode(stored, sum(*one, *two));
            }
        }
        (RecordChannels::Mixed, None) => {
            for (frame, (one, two)) in frames.as_chunks_mut::<2>().0.iter_mut().zip(parties) {
                *frame = sum(*one, *two).to_le_bytes();
            }
        }
    }
}

const fn stored_codec(format: RecordFormat) -> Option<Codec> {
    match format {
        RecordFormat::Alaw => Some(Codec::Pcma),
        RecordFormat::Ulaw => Some(Codec::Pcmu),
        RecordFormat::Pcm16 | RecordFormat::Opus => None,
    }
}

#[cfg(test)]
mod tests {
    use duogate_channel::identity::Recording;
    use duogate_media::Take;

    use super::*;

    const STEREO: Layout = Layout { format: RecordFormat::Alaw, channels: RecordChannels::Separate };

    fn block(start: u64, codecs: [Codec; 2], codes: [u8; 2]) -> Block {
        let take = Take { place: 0, recording: Recording(1) };
        Block { take, start, codecs, samples: codes.map(|code| [code; BLOCK_SAMPLES]) }
    }

    fn content(timeline: &mut Timeline) -> Vec<u8> {
        std::iter::from_fn(|| timeline.chunk()).flatten().collect()
    }

    #[test]
    fn gaps_are_silence_and_the_end_cuts_the_last_block() {
        let mut timeline = Timeline::new(STEREO, 0);
        timeline.place(&block(800, [Codec::Pcma; 2], [1, 2]));
        timeline.place(&block(2400, [Codec::Pcma; 2], [3, 4]));
        timeline.end(2500);
        assert_eq!(timeline.frames(), 2500);
        let octets = content(&mut timeline);
        let expected: Vec<u8> = [([0xd5, 0xd5], 800), ([1, 2], 800), ([0xd5, 0xd5], 800), ([3, 4], 100)]
            .into_iter()
            .flat_map(|(frame, count)| frame.repeat(count))
            .collect();
        assert!(octets == expected);
    }

    #[test]
    fn a_long_silence_is_written_in_bounded_pieces() {
        let mut timeline = Timeline::new(STEREO, 0);
        timeline.end(8000 * 60);
        let mut octets = 0;
        while let Some(chunk) = timeline.chunk() {
            assert!(chunk.len() <= CHUNK_OCTETS && chunk.iter().all(|octet| *octet == 0xd5));
            octets += chunk.len();
        }
        assert_eq!(octets, 16_000 * 60);
    }

    #[test]
    fn the_last_block_waits_for_the_end() {
        let mut timeline = Timeline::new(STEREO, 0);
        timeline.place(&block(0, [Codec::Pcma; 2], [1, 2]));
        assert_eq!(timeline.chunk(), None);
        timeline.place(&block(800, [Codec::Pcma; 2], [3, 4]));
        assert!(timeline.chunk().unwrap() == [1, 2].repeat(800));
    }

    #[test]
    fn blocks_are_written_together_and_recordings_in_turns() {
        let mut first_writes = Vec::new();
        for turn in 0..10 {
            let mut timeline = Timeline::new(STEREO, turn);
            let mut lengths = Vec::new();
            for number in 0..40 {
                timeline.place(&block(number * 800, [Codec::Pcma; 2], [1, 2]));
                if timeline.is_due()
                    && let Some(chunk) = timeline.chunk()
                {
                    lengths.push((number, chunk.len()));
                }
            }
            first_writes.extend(lengths.first().map(|(number, _)| *number));
            assert!(lengths[1..].iter().all(|(_, length)| *length == 16_000), "{turn}: {lengths:?}");
        }
        first_writes.dedup();
        assert!(first_writes.len() >= 9, "{first_writes:?}");
    }

    #[test]
    fn codecs_become_the_stored_format() {
        let loud = g711::encode(Codec::Pcmu, 10_000);
        let value = g711::decode(Codec::Pcmu, loud);
        for (format, channels, frame) in [
            (RecordFormat::Pcm16, RecordChannels::Separate, [value.to_le_bytes(), [8, 0]].concat()),
            (RecordFormat::Pcm16, RecordChannels::Mixed, (value + 8).to_le_bytes().to_vec()),
            (RecordFormat::Ulaw, RecordChannels::Separate, vec![loud, g711::ALAW_TO_ULAW[0xd5]]),
            (RecordFormat::Alaw, RecordChannels::Mixed, vec![g711::encode(Codec::Pcma, value + 8)]),
        ] {
            let mut timeline = Timeline::new(Layout { format, channels }, 0);
            timeline.place(&block(0, [Codec::Pcmu, Codec::Pcma], [loud, 0xd5]));
            timeline.end(1);
            assert_eq!(content(&mut timeline), frame);
        }
    }

    #[test]
    fn what_a_stalled_file_system_may_hold_back_is_bounded() {
        let mut timeline = Timeline::new(STEREO, 0);
        let blocks = WAITING_OCTETS / 1600 + 2;
        for number in 0..blocks {
            timeline.place(&block(number as u64 * 800, [Codec::Pcma; 2], [1, 2]));
        }
        assert!(timeline.lost());
        timeline.end(blocks as u64 * 800);
        assert_eq!(content(&mut timeline).len(), blocks * 1600, "silence stands for what was lost");
    }
}
