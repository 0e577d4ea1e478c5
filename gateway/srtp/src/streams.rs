//! Where the streams of one direction stand, by SSRC.

use crate::index::{Seen, guess};

/// Streams that are remembered at once. A party begins another when it is moved to another machine, or plays
/// something from one; the one that was heard longest ago is forgotten for a seventeenth.
const MOST: usize = 16;

/// Only what was authentic has a place here.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Streams {
    /// The one heard last comes first; those that are there come before the empty places.
    places: [Option<(u32, Seen)>; MOST],
}

impl Streams {
    /// One that somebody else has heard.
    pub(crate) fn resumed(ssrc: u32, index: u64) -> Self {
        let mut streams = Self::default();
        streams.places[0] = Some((ssrc, Seen::up_to(index)));
        streams
    }

    #[inline]
    fn find(&self, ssrc: u32) -> Option<&Seen> {
        match &self.places[0] {
            Some((first, seen)) if *first == ssrc => Some(seen),
            _ => self.search(ssrc),
        }
    }

    #[cold]
    fn search(&self, ssrc: u32) -> Option<&Seen> {
        self.places.iter().flatten().find(|(other, _)| *other == ssrc).map(|(_, seen)| seen)
    }

    /// The index of a packet; a new stream begins without rollovers (RFC 3711 section 3.3.1).
    #[inline]
    pub(crate) fn index(&self, ssrc: u32, sequence: u16) -> Option<u64> {
        match self.find(ssrc) {
            Some(seen) => guess(seen.highest, sequence),
            None => Some(u64::from(sequence)),
        }
    }

    /// Has it not been there?
    #[inline]
    pub(crate) fn is_new(&self, ssrc: u32, index: u64) -> bool {
        self.find(ssrc).is_none_or(|seen| seen.is_new(index))
    }

    /// It was authentic.
    #[inline]
    pub(crate) fn take(&mut self, ssrc: u32, index: u64) {
        match &mut self.places[0] {
            Some((first, seen)) if *first == ssrc => seen.take(index),
            _ => self.move_up(ssrc, index),
        }
    }

    #[cold]
    fn move_up(&mut self, ssrc: u32, index: u64) {
        let known = self.places.iter().position(|place| place.is_some_and(|(other, _)| other == ssrc));
        let seen = known.and_then(|at| self.places[at]).map_or(Seen::first(index), |(_, mut seen)| {
            seen.take(index);
            seen
        });
        let end = known.unwrap_or(MOST - 1);
        self.places.copy_within(0..end, 1);
        self.places[0] = Some((ssrc, seen));
    }

    /// The one that was heard last.
    pub(crate) fn newest(&self) -> Option<(u32, u64)> {
        self.places[0].map(|(ssrc, seen)| (ssrc, seen.highest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_kept_apart_and_the_oldest_is_forgotten() {
        let mut streams = Streams::default();
        for ssrc in 0..16 {
            streams.take(ssrc, 7);
        }
        assert!((0..16).all(|ssrc| !streams.is_new(ssrc, 7) && streams.is_new(ssrc, 8)));
        streams.take(0, 8);
        streams.take(99, 1);
        assert!(streams.is_new(1, 7), "the one heard longest ago is gone");
        assert!(!streams.is_new(0, 7) && !streams.is_new(2, 7));
        assert_eq!(streams.newest(), Some((99, 1)));
    }
}
