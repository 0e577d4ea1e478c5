//! What each party gets is one RTP stream from one port, through all gateways.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::Broken;

/// The stream towards one party.
struct Stream {
    life: u32,
    port: u16,
    ssrc: u32,
    /// Sequence numbers that were used; no call of the world lasts long enough for them to come round.
    used: BTreeSet<u16>,
}

/// All streams, by the place of the party. Each party is called by one callback only.
#[derive(Default)]
pub(crate) struct Streams {
    streams: BTreeMap<usize, Stream>,
    /// How often a stream went on after its gateway had died.
    pub(crate) survived: u64,
}

impl Streams {
    /// The `life`-th gateway sends a packet to a party.
    pub(crate) fn sent(&mut self, place: usize, life: u32, port: u16, bytes: &[u8]) -> Result<(), Broken> {
        let sequence = u16::from_be_bytes([bytes[2], bytes[3]]);
        let ssrc = u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        let fresh = || Stream { life, port, ssrc, used: BTreeSet::new() };
        let stream = self.streams.entry(place).or_insert_with(fresh);
        if stream.port != port {
            return Err(format!("party {place} hears port {port} after {}, life {life}", stream.port));
        }
        if stream.ssrc != ssrc {
            return Err(format!("party {place} hears {ssrc:#x} after {:#x}, life {life}", stream.ssrc));
        }
        if !stream.used.insert(sequence) {
            return Err(format!(
                "party {place} gets number {sequence} twice, from life {} and {life}",
                stream.life
            ));
        }
        if stream.life != life {
            stream.life = life;
            self.survived += 1;
        }
        Ok(())
    }
}
