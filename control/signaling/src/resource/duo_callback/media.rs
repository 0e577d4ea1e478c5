//! The callback's media session.

use duogate_channel::command::{Command, FarEnd, LegOpening, PortChoice, Source};
use duogate_channel::event::LegStatistics;
use duogate_channel::identity::{LocalPort, Party, Session, Shard, Sound, Tag};
use duogate_channel::srtp::Heard;
use duogate_channel::time::Instant;

use super::phase::Stimulus;
use super::revive::{Left, Past};
use super::{DuoCallback, MediaPlace, Output};
use crate::resource::note::MediaNote;

/// How far the session has come.
///
/// ```text
///  Opening ──> Open ──> Closing ──> Over
///     │         │ ^ └─────────────────┘ its gateway is lost for good
///     v         v │
///   Away <──────┘ └──────── Bare
///     └──> Reopening ────────^
///
///  Adrift ──> Open
///     └─────> Over
/// ```
/// From everywhere back to Away when that gateway goes too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Asked for.
    Opening,
    /// Running.
    Open { session: Session },
    /// Its gateway is gone; the next one is awaited.
    Away,
    /// Asked for once more, of the next gateway.
    Reopening,
    /// Open again, and idle: what it needs is still being handed over.
    Bare { session: Session },
    /// It was open under a former control plane, and is to be found at the gateway.
    Adrift { session: Session },
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
    /// Our ports since the session was first open, kept through all gateways.
    ports: Option<[LocalPort; 2]>,
    past: Past,
    pub(super) statistics: Option<[LegStatistics; 2]>,
}

impl Media {
    pub(super) fn opening(place: MediaPlace) -> Self {
        let MediaPlace { shard, tag, addresses } = place;
        Self {
            shard,
            tag,
            addresses,
            stage: Stage::Opening,
            ports: None,
            past: Past::default(),
            statistics: None,
        }
    }

    /// That of a former control plane.
    pub(super) fn adrift(place: MediaPlace, session: Session, ports: [LocalPort; 2]) -> Self {
        Self { stage: Stage::Adrift { session }, ports: Some(ports), ..Self::opening(place) }
    }

    pub(super) fn is_adrift_from(&self, shard: Shard, session: Session) -> bool {
        self.shard == shard && self.stage == Stage::Adrift { session }
    }

    pub(super) const fn is_adrift(&self) -> bool {
        matches!(self.stage, Stage::Adrift { .. })
    }

    /// It is at the gateway. False if it was not looked for.
    pub(super) fn found(&mut self, session: Session) -> bool {
        let adrift = self.stage == Stage::Adrift { session };
        if adrift {
            self.stage = Stage::Open { session };
        }
        adrift
    }

    /// Even one that was given up may open at last; then it has to be closed.
    pub(super) fn opened(&mut self, session: Session, ports: [LocalPort; 2]) {
        self.stage = match self.stage {
            Stage::Opening | Stage::Over => Stage::Open { session },
            Stage::Reopening => Stage::Bare { session },
            Stage::Open { .. } | Stage::Away | Stage::Bare { .. } | Stage::Adrift { .. } | Stage::Closing => {
                return;
            }
        };
        self.ports = Some(ports);
    }

    pub(super) fn closed(&mut self, statistics: Option<[LegStatistics; 2]>) {
        self.stage = Stage::Over;
        let total = statistics.map(|last| self.past.total(last)).or(self.past.carried());
        self.statistics = self.statistics.or(total);
    }

    pub(super) fn lost(&mut self) {
        self.closed(None);
    }

    /// The gateway is gone, leaving this.
    pub(super) fn away(&mut self, now: Instant, left: Option<Left>) {
        if self.stage != Stage::Over {
            self.past.ended(now, left);
            self.stage = Stage::Away;
        }
    }

    /// Asks the next gateway for the session, if one is to be asked; also once more if that was refused.
    ///
    /// Streams to secured parties begin anew, with another SSRC: what the last gateway sent with the same keys is not
    /// known to the last packet, and none of their numbers may come twice.
    pub(super) fn reopen(&mut self, now: Instant, secured: [bool; 2]) -> Option<Command> {
        if !matches!(self.stage, Stage::Away | Stage::Reopening) {
            return None;
        }
        self.stage = Stage::Reopening;
        let beginnings = self.past.beginnings(now);
        let leg = |party: Party| {
            let beginning = beginnings[party.index()].filter(|_| !secured[party.index()]);
            LegOpening { port: self.choice(party), beginning }
        };
        Some(Command::Open { tag: self.tag, legs: Party::BOTH.map(leg) })
    }

    /// The port that was a party's before, or any that suits it.
    fn choice(&self, party: Party) -> PortChoice {
        match self.ports {
            Some(ports) => PortChoice::This(ports[party.index()]),
            None => PortChoice::Any { addresses: self.addresses[party.index()] },
        }
    }

    /// How far the gateways that are gone have heard a party's secured stream.
    pub(super) fn heard(&self, party: Party) -> Option<Heard> {
        self.past.heard(party)
    }

    /// Goes on in the session that is open again. False if none is.
    pub(super) fn resume(&mut self) -> bool {
        let Stage::Bare { session } = self.stage else { return false };
        self.stage = Stage::Open { session };
        true
    }

    /// Does it wait for the next gateway, or for its answer?
    pub(super) fn is_away(&self) -> bool {
        matches!(self.stage, Stage::Away | Stage::Reopening | Stage::Adrift { .. })
    }

    /// Is there no gateway that works for it, though there was or will be one?
    pub(super) fn stands_still(&self) -> bool {
        self.is_away() || matches!(self.stage, Stage::Bare { .. })
    }

    /// Is the next gateway asked for a session that the one before had?
    pub(super) fn was_open(&self) -> bool {
        self.stage == Stage::Reopening && self.ports.is_some()
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open { .. })
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Will the gateway tell the figures of a session that carried something?
    pub(super) fn will_tell(&self) -> bool {
        matches!(self.stage, Stage::Open { .. } | Stage::Bare { .. } | Stage::Closing)
    }

    pub(super) fn port(&self, party: Party) -> LocalPort {
        self.ports.map_or(LocalPort::default(), |ports| ports[party.index()])
    }

    /// The session, if it is there to be worked with.
    fn session(&self) -> Option<Session> {
        match self.stage {
            Stage::Open { session } => Some(session),
            Stage::Opening
            | Stage::Away
            | Stage::Reopening
            | Stage::Bare { .. }
            | Stage::Adrift { .. }
            | Stage::Closing
            | Stage::Over => None,
        }
    }

    /// What all gateways have carried by now, this one's part being `last`.
    pub(super) fn carried(&self, last: [LegStatistics; 2]) -> [LegStatistics; 2] {
        self.past.total(last)
    }

    pub(super) fn note(&self) -> Option<MediaNote> {
        match (self.stage, self.ports) {
            (Stage::Open { session } | Stage::Bare { session } | Stage::Adrift { session }, Some(ports)) => {
                Some(MediaNote { shard: self.shard, session, tag: self.tag.0, ports })
            }
            _ => None,
        }
    }
}

impl DuoCallback {
    pub(super) fn send_open(&mut self) {
        let leg = |addresses| LegOpening { port: PortChoice::Any { addresses }, beginning: None };
        let command = Command::Open { tag: self.media.tag, legs: self.media.addresses.map(leg) };
        self.send_to_shard(command);
    }

    /// Tells how the party's media is secured now, and how far another gateway has heard it.
    pub(super) fn send_keys(&mut self, party: Party, heard: Option<Heard>) {
        let keys = self.call(party).keys.as_deref().copied();
        self.send(|session| Command::Secure { session, party, keys, heard });
    }

    pub(super) fn send_far_end(&mut self, party: Party, far_end: FarEnd) {
        let dialled = self.call(party).dialled.as_ref();
        if let Some(signaling) = dialled.filter(|dialled| dialled.nat).map(|dialled| dialled.address.ip()) {
            self.send(|session| Command::Learn { session, party, signaling });
        }
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
        match self.media.stage {
            Stage::Open { session } | Stage::Bare { session } => {
                self.send_to_shard(Command::Close { session });
                self.media.stage = Stage::Closing;
            }
            Stage::Away | Stage::Adrift { .. } => self.media.lost(),
            Stage::Opening | Stage::Reopening | Stage::Closing | Stage::Over => {}
        }
    }

    /// Sends a command about the session, if there is one.
    pub(super) fn send(&mut self, command: impl FnOnce(Session) -> Command) {
        if let Some(session) = self.media.session() {
            self.send_to_shard(command(session));
        }
    }

    pub(super) fn send_to_shard(&mut self, command: Command) {
        self.outputs.push_back(Output::Media { shard: self.media.shard, command });
    }

    /// A sound has ended. It matters only if it is the prompt that party 2's call waits for.
    pub(super) fn played(&self, party: Party, sound: Sound) -> Option<Stimulus> {
        let prompt = self.prepared.ring_play.is_some_and(|set| set.contains(sound));
        (party == Party::One && prompt).then_some(Stimulus::PromptOver)
    }
}
