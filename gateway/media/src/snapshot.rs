//! A session as another process may see it.

use duogate_channel::command::{FarEnd, Source};
use duogate_channel::event::LegStatistics;
use duogate_channel::identity::{LocalPort, Session, Sound, Tag};
use duogate_channel::quality::Quality;
use duogate_channel::srtp::Heard;
use duogate_channel::time::Instant;

use crate::arrival::Figures;
use crate::core::Core;
use crate::limits::Limits;
use crate::path::Path;
use crate::stream::Stream;
use crate::table::{Leg, State};

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
    /// Our RTP port, port 0 while there is none.
    pub port: LocalPort,
    /// Where the party is.
    pub far_end: Option<FarEnd>,
    /// What it hears now.
    pub hears: Source,
    /// The prompt that an action plays to it in the place of that.
    pub plays: Option<Sound>,
    /// SSRC of the stream towards it.
    pub ssrc: u32,
    /// Sequence number of the next packet towards it.
    pub sequence: u16,
    /// RTP timestamp of the last packet towards it.
    pub timestamp: u32,
    /// Samples in the newest packet with sound towards it.
    pub packet_samples: u16,
    /// How far its own stream has come, if the leg is secured and one has been heard.
    pub heard: Option<Heard>,
    /// When that was; zero if nothing has been sent.
    pub sent_at: Instant,
    /// Figures so far.
    pub statistics: LegStatistics,
}

/// What a leg carried and where its stream stands, with what the path has noted.
pub(crate) struct Consulted {
    pub(crate) figures: Figures,
    pub(crate) stream: Stream,
    pub(crate) quality: Quality,
}

impl Consulted {
    pub(crate) fn statistics(&self) -> LegStatistics {
        let carried = self.figures.statistics(self.stream.packets, self.stream.octets);
        LegStatistics { quality: self.quality, ..carried }
    }
}

impl<P: Path> Core<P> {
    pub(crate) fn session_snapshot(&self, place: u32) -> Option<Snapshot> {
        let slot = self.table.slots.get(place as usize)?;
        let phase = match slot.state {
            State::Free => return None,
            State::Opening => Phase::Opening,
            State::Open => Phase::Open,
            State::Joined => Phase::Joined,
            State::Ended => Phase::Ended,
        };
        let consulted = self.consulted(place);
        let running = self.recordings.running(slot.recordings).count();
        Some(Snapshot {
            session: self.table.session(place),
            tag: slot.tag,
            phase,
            recordings: u32::try_from(running).unwrap_or(u32::MAX),
            legs: [0, 1].map(|leg| slot.legs[leg].snapshot(&self.limits, &consulted[leg])),
        })
    }
}

impl Leg {
    fn snapshot(&self, limits: &Limits, consulted: &Consulted) -> LegSnapshot {
        let stream = &consulted.stream;
        LegSnapshot {
            port: self.socket.map_or(LocalPort::default(), |socket| limits.port(socket)),
            far_end: self.far_end,
            hears: self.hears,
            plays: self.acts.sound(),
            ssrc: stream.ssrc,
            sequence: stream.sequence,
            timestamp: stream.timestamp,
            packet_samples: stream.samples,
            heard: self.guard.as_deref().and_then(|guard| guard.secure.as_ref()?.heard()),
            sent_at: stream.sent_at,
            statistics: consulted.statistics(),
        }
    }
}
