//! What each command of the control plane does.

use ::core::net::SocketAddr;
use ::core::time::Duration;

use duogate_channel::command::{Command, FarEnd, Source};
use duogate_channel::event::{Event, PlayOutcome, RecordOutcome, Track};
use duogate_channel::identity::{Party, Recording, Session};
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat, RecordHold};
use duogate_channel::time::Instant;

use crate::block::Tap;
use crate::core::Core;
use crate::path::Path;
use crate::player::Player;
use crate::recordings::{Beginning, NONE};
use crate::table::{Leg, State, pending};
use crate::wheel::tick_from;

/// A command named a session or recording that does not exist (any more).
struct Stale;

/// Can an address be sent to? A party that holds in the old way (RFC 3264 section 8.4) names one that cannot, maybe
/// from its first answer on; the kernel would take it for this host.
pub(crate) const fn is_somewhere(address: SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}

/// The session that a command is for; none for one that opens it.
#[must_use]
pub const fn session_of(command: &Command) -> Option<Session> {
    match command {
        Command::Open { .. } => None,
        Command::FarEnd { session, .. }
        | Command::Secure { session, .. }
        | Command::Learn { session, .. }
        | Command::Hear { session, .. }
        | Command::Join { session }
        | Command::RecordStart { session, .. }
        | Command::RecordStop { session, .. }
        | Command::Play { session, .. }
        | Command::PlayStop { session, .. }
        | Command::SendKeys { session, .. }
        | Command::Close { session } => Some(*session),
    }
}

/// The codec in which a recording gets what a party says: its own, or A-law where a helper decodes it.
fn told(far_end: Option<FarEnd>) -> Codec {
    far_end.map(|far_end| far_end.codec).filter(|codec| codec.is_g711()).unwrap_or(Codec::Pcma)
}

impl<P: Path> Core<P> {
    pub(crate) fn obey(&mut self, now: Instant, command: Command, tap: &mut impl Tap) {
        let done = match command {
            Command::Open { tag, legs } => {
                self.open(now, tag, legs);
                Ok(())
            }
            Command::FarEnd { session, party, far_end } => self.far_end(now, session, party, far_end),
            Command::Secure { session, party, keys, heard } => {
                self.place_of(session).map(|_| self.secure(session, party, keys, heard))
            }
            Command::Learn { session, party, signaling } => {
                self.place_of(session).map(|_| self.learn(session, party, signaling))
            }
            Command::Hear { session, party, source } => self.hear(now, session, party, source),
            Command::Join { session } => self.join(now, session),
            Command::RecordStart { session, recording, format, channels, hold } => {
                self.record_start(now, session, recording, (format, channels, hold), tap)
            }
            Command::RecordStop { session, recording } => self.record_stop(now, session, recording, tap),
            Command::Play { session, party, action, sound, repeat } => self
                .place_of(session)
                .map(|place| self.begin_play(now, (place, party), action, (sound, repeat))),
            // One that has ended meanwhile is no error: both crossed.
            Command::PlayStop { session, party, action } => {
                self.place_of(session).map(|place| self.stop_play(now, place, party, action))
            }
            Command::SendKeys { session, party, action, keys } => {
                self.place_of(session).map(|place| self.begin_keys(now, (place, party), action, keys))
            }
            Command::Close { session } => self.close(now, session, tap),
        };
        if let Err(Stale) = done {
            self.counters.stale_commands += 1;
        }
    }

    fn place_of(&mut self, session: Session) -> Result<u32, Stale> {
        self.table.find(session).map(|_| session.slot).ok_or(Stale)
    }

    fn far_end(
        &mut self,
        now: Instant,
        session: Session,
        party: Party,
        mut far_end: FarEnd,
    ) -> Result<(), Stale> {
        let somewhere = is_somewhere(far_end.address);
        far_end.send &= somewhere;
        let slot = self.table.find(session).ok_or(Stale)?;
        let joined = slot.state == State::Joined;
        let leg = slot.leg(party);
        let was_learning = leg.is_learning();
        let far_end = leg.place_far_end(far_end);
        let moved = was_learning || leg.far_end.is_none_or(|known| known.address != far_end.address);
        let talks = far_end.talks() && !leg.far_end.is_some_and(|known| known.talks());
        // What came while the party was not to send is dropped, and so may be the first packets after that, for the
        // party is told of the change sooner than the shard: to the listener it is no loss but a new beginning.
        let resumes = far_end.receive && leg.far_end.is_some_and(|known| !known.receive);
        let before = leg.far_end.replace(far_end).map_or(Codec::Pcma, |known| known.codec);
        leg.stream.ticks = u8::try_from(far_end.codec.ticks()).unwrap_or(1);
        leg.figures.ticks = far_end.codec.ticks();
        leg.refresh();
        let (learning, socket) = (leg.is_learning(), leg.socket);
        if moved
            && somewhere
            && !learning
            && let Some(socket) = socket
        {
            self.sockets.connect(socket);
        }
        // The stream to a party whose codec is another now begins anew, as does that from it: nothing of the numbers
        // before fits.
        let recoded = !before.joins(far_end.codec);
        let (speaker, listener) = slot.speaker_and_listener(party.index());
        if recoded {
            speaker.stream.interrupt();
        }
        if (resumes || recoded) && listener.relaying {
            listener.stream.interrupt();
        }
        if joined && talks {
            self.watch(now, session.slot, party);
        }
        self.pause_if_held(now, session.slot);
        if !far_end.receive {
            self.stir(session.slot, party);
        }
        self.set_search(session.slot, party, far_end.in_band);
        self.direct_reports(now, session.slot, party);
        self.refresh_guards(session.slot);
        self.begin_learning(now, session.slot, party);
        Ok(())
    }

    fn hear(&mut self, now: Instant, session: Session, party: Party, source: Source) -> Result<(), Stale> {
        self.table.find(session).ok_or(Stale)?;
        self.set_source(now, session.slot, party, source);
        Ok(())
    }

    /// Lets a party hear something else. What it hears already is not interrupted, except a sound, which begins
    /// anew.
    fn set_source(&mut self, now: Instant, place: u32, party: Party, source: Source) {
        self.stop_player(place, party, Some(PlayOutcome::Replaced));
        self.stir(place, party.other());
        let leg = self.table.slots[place as usize].leg(party);
        if leg.hears == source && leg.player.is_none() && !matches!(source, Source::Sound { .. }) {
            return;
        }
        leg.hears = source;
        let covered = leg.acts.covers();
        if !covered {
            leg.stream.interrupt();
        }
        leg.refresh();
        if let Source::Sound { sound, repeat } = source {
            let (tick, phase) = self.phases.claim(tick_from(now));
            leg.player = Some(Player::new(sound, repeat, phase));
            if !covered {
                self.wheel.arm(self.timers.player(place, party), tick);
            }
        }
    }

    /// Ends what a party is being played, if anything; `outcome` is told.
    pub(crate) fn stop_player(&mut self, place: u32, party: Party, outcome: Option<PlayOutcome>) {
        let slot = &mut self.table.slots[place as usize];
        let leg = slot.leg(party);
        let Some(player) = leg.player.take() else { return };
        self.phases.release(player.phase);
        if !leg.acts.covers() {
            self.wheel.cancel(self.timers.player(place, party));
        }
        if let Some(outcome) = outcome {
            let lost = self.events.played(place, slot, party, player.sound, outcome);
            self.counters.events_lost += lost;
        }
    }

    fn join(&mut self, now: Instant, session: Session) -> Result<(), Stale> {
        self.table.find(session).ok_or(Stale)?.state = State::Joined;
        for party in Party::BOTH {
            self.set_source(now, session.slot, party, Source::Peer);
            self.watch(now, session.slot, party);
        }
        self.begin_vigil(now, session.slot);
        self.inherit(now, session.slot);
        self.pause_if_held(now, session.slot);
        let slot = &mut self.table.slots[session.slot as usize];
        self.events.tell(session.slot, slot, pending::JOINED);
        Ok(())
    }

    /// From now on the party is expected to send.
    pub(crate) fn watch(&mut self, now: Instant, place: u32, party: Party) {
        let leg = self.table.slots[place as usize].leg(party);
        leg.watched_since = now;
        if leg.silent_told {
            return;
        }
        self.wheel.arm(self.timers.watch(place, party), tick_from(now + self.limits.silence_timeout));
    }

    fn record_start(
        &mut self,
        now: Instant,
        session: Session,
        recording: Recording,
        (format, channels, hold): (RecordFormat, RecordChannels, RecordHold),
        tap: &mut impl Tap,
    ) -> Result<(), Stale> {
        let slot = self.table.find(session).ok_or(Stale)?;
        if self.recordings.find(slot.recordings, recording).is_some() {
            return Err(Stale);
        }
        let vacancy = self.recordings.vacancy(recording).ok_or(RecordOutcome::Overrun);
        match vacancy.and_then(|take| tap.begin(take, format, channels).map(|()| take)) {
            Ok(take) => {
                let codec = |leg: usize| told(slot.legs[leg].far_end);
                let beginning = Beginning { now, codecs: [codec(0), codec(1)], hold, lost: slot.lost() };
                self.recordings.start(take, session, &beginning, &mut slot.recordings);
                self.counters.recordings += 1;
                self.pause_if_held(now, session.slot);
            }
            Err(outcome) => {
                let duration = Duration::ZERO;
                self.events.answer(Event::Recorded {
                    session,
                    recording,
                    outcome,
                    duration,
                    bytes: 0,
                    missing: 0,
                    tracks: [Track::default(); 2],
                });
            }
        }
        Ok(())
    }

    /// Once the two are joined, recordings of which it is wanted pause while one holds the other.
    fn pause_if_held(&mut self, now: Instant, place: u32) {
        let slot = &self.table.slots[place as usize];
        let holds = |leg: &Leg| leg.far_end.is_some_and(|far_end| !far_end.talks());
        let held = slot.state == State::Joined && slot.legs.iter().any(holds);
        self.recordings.hold(slot.recordings, now, held);
    }

    fn record_stop(
        &mut self,
        now: Instant,
        session: Session,
        recording: Recording,
        tap: &mut impl Tap,
    ) -> Result<(), Stale> {
        let slot = self.table.find(session).ok_or(Stale)?;
        let place = self.recordings.find(slot.recordings, recording).ok_or(Stale)?;
        let lost = self.recordings.stop(place, (now, slot.lost()), &mut slot.recordings, tap);
        self.counters.blocks_lost += u64::from(lost);
        Ok(())
    }

    /// Recordings end, the ports rest, and the final figures are told.
    fn close(&mut self, now: Instant, session: Session, tap: &mut impl Tap) -> Result<(), Stale> {
        let place = session.slot;
        let slot = self.table.find(session).ok_or(Stale)?;
        while slot.recordings != NONE {
            let lost = self.recordings.stop(slot.recordings, (now, slot.lost()), &mut slot.recordings, tap);
            self.counters.blocks_lost += u64::from(lost);
        }
        slot.state = State::Ended;
        for party in Party::BOTH {
            self.stop_player(place, party, None);
            self.stir(place, party);
            self.end_acts(now, place, party);
            self.wheel.cancel(self.timers.watch(place, party));
        }
        self.end_vigil(place);
        self.end_reports(now, place);
        self.settle_help(place);
        self.leave_ports(now, place, true);
        let slot = &mut self.table.slots[place as usize];
        self.events.tell(place, slot, pending::CLOSED);
        self.counters.closed += 1;
        Ok(())
    }
}
