//! A session as another process may see it.

use duogate_channel::command::{FarEnd, Source};
use duogate_channel::event::LegStatistics;
use duogate_channel::identity::{Session, Tag};
use duogate_channel::time::Instant;

/// How far a session has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Its ports are being bound.
    Opening,
    /// Open; each party hears what was set for it.
    Open,
    /// Open, and silence of either party is watched.
    Joined,
    /// Over; its last events wait for room.
    Ended,
}

/// Everything that is needed to take a session over, and to draw it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// The session.
    pub session: Session,
    /// The tag that opened it.
    pub tag: Tag,
    /// How far it has come.
    pub phase: Phase,
    /// Recordings that run.
    pub recordings: u32,
    /// Party 1 and party 2.
    pub legs: [LegSnapshot; 2],
}

/// One party's side of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LegSnapshot {
    /// Our RTP port, 0 while none is bound.
    pub port: u16,
    /// Where the party is.
    pub far_end: Option<FarEnd>,
    /// What it hears now.
    pub hears: Source,
    /// SSRC of the stream towards it.
    pub ssrc: u32,
    /// Sequence number of the next packet towards it.
    pub sequence: u16,
    /// RTP timestamp of the last packet towards it, sent at `sent_at`.
    pub timestamp: u32,
    /// When that was; zero if nothing has been sent.
    pub sent_at: Instant,
    /// Figures so far.
    pub statistics: LegStatistics,
}
