//! A party's ear: asserts that the stream towards it is one stream.

use duogate_media::rtp::Header;

use super::parse;

/// Checks each packet against the one before.
#[derive(Default, Debug)]
pub(crate) struct Listener {
    pub(crate) last: Option<Header>,
}

impl Listener {
    /// Takes packets that must follow each other without a hole; returns how far the timestamp went at each, and
    /// whether there was a marker.
    pub(crate) fn follow(&mut self, packets: &[Vec<u8>]) -> Vec<(u32, bool)> {
        packets.iter().map(|packet| self.one(packet)).collect()
    }

    fn one(&mut self, packet: &[u8]) -> (u32, bool) {
        let (header, _) = parse(packet);
        let step = match self.last {
            None => 0,
            Some(last) => {
                assert_eq!(header.ssrc, last.ssrc, "one SSRC");
                assert_eq!(header.sequence, last.sequence.wrapping_add(1), "no hole in the sequence");
                let step = header.timestamp.wrapping_sub(last.timestamp);
                assert!(step < 1 << 31, "time never goes back: {step}");
                step
            }
        };
        self.last = Some(header);
        (step, header.marker)
    }
}
