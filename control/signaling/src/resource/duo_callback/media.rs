//! The callback's media session.

use duogate_channel::command::{Command, FarEnd, LegOpening, PortChoice, Source};
use duogate_channel::event::LegStatistics;
use duogate_channel::identity::{LocalPort, Party, Session, Shard, Sound, Tag};

use super::phase::Stimulus;
use super::{DuoCallback, MediaPlace, Output};
use crate::resource::note::MediaNote;

/// How far the session has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Asked for.
    Opening,
    /// Running.
    Open { session: Session, ports: [LocalPort; 2] },
    /// Its end is asked for.
    Closing,
    /// There is none, or none any more.
    Over,
}

/// The session as the callback sees it.
#[derive(Debug)]
pub(super) struct Media {
    shard: Shard,
    tag: Tag,
    addresses: [u8; 2],
    stage: Stage,
    pub(super) statistics: Option<[LegStatistics; 2]>,
}

impl Media {
    pub(super) const fn opening(place: MediaPlace) -> Self {
        let MediaPlace { shard, tag, addresses } = place;
        Self { shard, tag, addresses, stage: Stage::Opening, statistics: None }
    }

    /// Even one that was given up may open at last; then it has to be closed.
    pub(super) fn opened(&mut self, session: Session, ports: [LocalPort; 2]) {
        if matches!(self.stage, Stage::Opening | Stage::Over) {
            self.stage = Stage::Open { session, ports };
        }
    }

    pub(super) fn closed(&mut self, statistics: Option<[LegStatistics; 2]>) {
        self.stage = Stage::Over;
        self.statistics = self.statistics.or(statistics);
    }

    pub(super) fn lost(&mut self) {
        self.stage = Stage::Over;
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open { .. })
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Will the gateway tell the figures of a session that carried something?
    pub(super) fn will_tell(&self) -> bool {
        matches!(self.stage, Stage::Open { .. } | Stage::Closing)
    }

    pub(super) fn port(&self, party: Party) -> LocalPort {
        match self.stage {
            Stage::Open { ports, .. } => ports[party.index()],
            Stage::Opening | Stage::Closing | Stage::Over => LocalPort::default(),
        }
    }

    fn session(&self) -> Option<Session> {
        match self.stage {
            Stage::Open { session, .. } => Some(session),
            Stage::Opening | Stage::Closing | Stage::Over => None,
        }
    }

    pub(super) fn note(&self) -> Option<MediaNote> {
        match self.stage {
            Stage::Open { session, ports } => {
                Some(MediaNote { shard: self.shard, session, tag: self.tag.0, ports })
            }
            Stage::Opening | Stage::Closing | Stage::Over => None,
        }
    }
}

impl DuoCallback {
    pub(super) fn send_open(&mut self) {
        let leg = |addresses| LegOpening { port: PortChoice::Any { addresses }, beginning: None };
        let command = Command::Open { tag: self.media.tag, legs: self.media.addresses.map(leg) };
        self.outputs.push_back(Output::Media { shard: self.media.shard, command });
    }

    pub(super) fn send_far_end(&mut self, party: Party, far_end: FarEnd) {
        self.send(|session| Command::FarEnd { session, party, far_end });
    }

    pub(super) fn send_hear(&mut self, party: Party, source: Source) {
        self.send(|session| Command::Hear { session, party, source });
    }

    pub(super) fn send_join(&mut self) {
        self.send(|session| Command::Join { session });
    }

    /// Ends the session if it is open; one still being opened is closed when it is.
    pub(super) fn send_close(&mut self) {
        if self.media.is_open() {
            self.send(|session| Command::Close { session });
            self.media.stage = Stage::Closing;
        }
    }

    /// Sends a command about the session, if there is one.
    pub(super) fn send(&mut self, command: impl FnOnce(Session) -> Command) {
        if let Some(session) = self.media.session() {
            let command = command(session);
            self.outputs.push_back(Output::Media { shard: self.media.shard, command });
        }
    }

    /// A sound has ended. It matters only if it is the prompt that party 2's call waits for.
    pub(super) fn played(&self, party: Party, sound: Sound) -> Option<Stimulus> {
        let prompt = self.prepared.ring_play.is_some_and(|set| set.contains(sound));
        (party == Party::One && prompt).then_some(Stimulus::PromptOver)
    }
}
