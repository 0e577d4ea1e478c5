//! What a shard shows of each session, so that a later control plane can take calls over.

use crate::command::{FarEnd, Source};
use crate::event::LegStatistics;
use crate::identity::{LocalPort, Session, Tag};
use crate::record::field::{Reader, Writer, impossible};
use crate::record::{Record, RecordError};
use crate::srtp::Heard;
use crate::time::Instant;

/// Where a session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionState {
    /// Claimed; its sockets are being bound.
    Opening,
    /// Its ports receive.
    Open,
    /// Both parties hear each other.
    Joined,
    /// It has been told to end; recordings are being finished.
    Closing,
}

/// One session as its shard last described it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// The tag that opened it.
    pub tag: Tag,
    /// Slot and generation.
    pub session: Session,
    /// When this was written.
    pub taken_at: Instant,
    /// Where it stands.
    pub state: SessionState,
    /// Party 1's leg and party 2's.
    pub legs: [LegSnapshot; 2],
}

/// One leg as its shard last described it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LegSnapshot {
    /// Our RTP port towards the party.
    pub port: LocalPort,
    /// What the party's session description said, once it is known.
    pub far_end: Option<FarEnd>,
    /// What the party hears.
    pub hears: Source,
    /// SSRC of the stream towards the party.
    pub ssrc: u32,
    /// Next sequence number of that stream.
    pub sequence: u16,
    /// RTP timestamp of a packet that is sent at [`Snapshot::taken_at`]; later ones are ahead by the time passed.
    pub timestamp: u32,
    /// Samples in the newest packet of that stream with sound, 0 before the first: how far packets lie apart.
    pub packet_samples: u16,
    /// How far the party's stream has come, if the leg is secured and one has been heard.
    pub heard: Option<Heard>,
    /// What the leg carried; `last_packet` in it says when the party was last heard.
    pub statistics: LegStatistics,
}

impl Record for Snapshot {
    type Bytes = [u8; 504];

    const SIZE: usize = 504;
    const ZERO: Self::Bytes = [0; 504];

    fn encode(&self) -> Self::Bytes {
        let mut bytes = Self::ZERO;
        let mut w = Writer::new(&mut bytes);
        w.u8(match self.state {
            SessionState::Opening => 1,
            SessionState::Open => 2,
            SessionState::Joined => 3,
            SessionState::Closing => 4,
        });
        w.tag(self.tag).session(self.session).instant(self.taken_at);
        for leg in &self.legs {
            w.local_port(leg.port)
                .source(leg.hears)
                .u32(leg.ssrc)
                .u16(leg.sequence)
                .u32(leg.timestamp)
                .u16(leg.packet_samples);
            w.statistics(&leg.statistics).flag(leg.far_end.is_some());
            if let Some(far_end) = &leg.far_end {
                w.far_end(far_end);
            }
            w.heard(leg.heard);
        }
        bytes
    }

    fn decode(bytes: &Self::Bytes) -> Result<Self, RecordError> {
        let mut r = Reader::new(bytes);
        let state = match r.u8()? {
            1 => SessionState::Opening,
            2 => SessionState::Open,
            3 => SessionState::Joined,
            4 => SessionState::Closing,
            other => return impossible("session state", other),
        };
        let (tag, session, taken_at) = (r.tag()?, r.session()?, r.instant()?);
        let legs = [leg(&mut r)?, leg(&mut r)?];
        r.end(Self { tag, session, taken_at, state, legs })
    }
}

fn leg(r: &mut Reader<'_>) -> Result<LegSnapshot, RecordError> {
    let (port, hears) = (r.local_port()?, r.source()?);
    let (ssrc, sequence, timestamp, packet_samples) = (r.u32()?, r.u16()?, r.u32()?, r.u16()?);
    let statistics = r.statistics()?;
    let far_end = if r.flag("far end")? { Some(r.far_end()?) } else { None };
    let heard = r.heard()?;
    Ok(LegSnapshot { port, far_end, hears, ssrc, sequence, timestamp, packet_samples, heard, statistics })
}
