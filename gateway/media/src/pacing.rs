//! What time brings: paced packets, ends of presses that were lost, parties that fell silent, ports that have rested.

use duogate_channel::command::Source;
use duogate_channel::event::PlayOutcome;
use duogate_channel::identity::Party;
use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;

use crate::action::Socket;
use crate::core::Core;
use crate::guard;
use crate::length::frame_octets;
use crate::opening::leg_of;
use crate::outlet::{Outlet, SoundStore, SoundView};
use crate::path::Path;
use crate::player::{LATEST, PACKET_TICKS, Player};
use crate::rtp::HEADER_BYTES;
use crate::table::{State, pending};
use crate::wheel::{tick_at, tick_from, tick_time};

/// The names of the wheel's timers: four for every leg, one for every session, and one for every port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timers {
    legs: u32,
    sessions: u32,
    sockets: u32,
}

/// What a timer is for.
enum Timer {
    Player(u32, Party),
    Watch(u32, Party),
    Press(u32, Party),
    Report(u32, Party),
    Look(u32),
    Learning(u32, Party),
    Rest(Socket),
}

impl Timers {
    pub(crate) const fn new(sessions: u32, sockets: u32) -> Self {
        Self { legs: sessions * 2, sessions, sockets }
    }

    /// How many there are.
    pub(crate) const fn count(self) -> usize {
        // A player, a silence watch, a press a report and a source to be learned a leg, a look a session, a rest a port.
        (self.rests() + self.sockets) as usize
    }

    pub(crate) const fn player(self, place: u32, party: Party) -> u32 {
        crate::opening::leg_name(place, party)
    }

    pub(crate) const fn watch(self, place: u32, party: Party) -> u32 {
        self.legs + crate::opening::leg_name(place, party)
    }

    pub(crate) const fn press(self, place: u32, party: Party) -> u32 {
        self.legs * 2 + crate::opening::leg_name(place, party)
    }

    pub(crate) const fn report(self, place: u32, party: Party) -> u32 {
        self.legs * 3 + crate::opening::leg_name(place, party)
    }

    pub(crate) const fn look(self, place: u32) -> u32 {
        self.legs * 5 + place
    }

    /// The first of the ports'.
    const fn rests(self) -> u32 {
        self.legs * 5 + self.sessions
    }

    pub(crate) const fn rest(self, socket: Socket) -> u32 {
        self.rests() + socket.0
    }

    pub(crate) const fn learning(self, place: u32, party: Party) -> u32 {
        self.legs * 4 + crate::opening::leg_name(place, party)
    }

    fn meaning(self, timer: u32) -> Timer {
        if timer < self.legs {
            let (place, party) = leg_of(timer);
            Timer::Player(place, party)
        } else if timer < self.legs * 2 {
            let (place, party) = leg_of(timer - self.legs);
            Timer::Watch(place, party)
        } else if timer < self.legs * 3 {
            let (place, party) = leg_of(timer - self.legs * 2);
            Timer::Press(place, party)
        } else if timer < self.legs * 4 {
            let (place, party) = leg_of(timer - self.legs * 3);
            Timer::Report(place, party)
        } else if timer < self.legs * 5 {
            let (place, party) = leg_of(timer - self.legs * 4);
            Timer::Learning(place, party)
        } else if timer < self.rests() {
            Timer::Look(timer - self.legs * 5)
        } else {
            Timer::Rest(Socket(timer - self.rests()))
        }
    }
}

impl<P: Path> Core<P> {
    pub(crate) fn run_timers(&mut self, now: Instant, sounds: &impl SoundStore, outlet: &mut impl Outlet) {
        while let Some((timer, tick)) = self.wheel.pop(now) {
            match self.timers.meaning(timer) {
                Timer::Player(place, party) => self.play(now, tick, place, party, sounds, outlet),
                Timer::Watch(place, party) => self.check_silence(now, place, party),
                Timer::Press(place, party) => self.press_lost(place, party),
                Timer::Report(place, party) => self.report(now, place, party, outlet),
                Timer::Look(place) => self.look(now, place),
                Timer::Learning(place, party) => self.learning_over(now, place, party),
                Timer::Rest(socket) => self.sockets.rested(socket),
            }
        }
    }

    /// Sends the packet that was due at `tick`, and plans the next one for 20 ms after that, however late it is.
    fn play(
        &mut self,
        now: Instant,
        tick: u64,
        place: u32,
        party: Party,
        sounds: &impl SoundStore,
        outlet: &mut impl Outlet,
    ) {
        let leg = self.table.slots[place as usize].leg(party);
        if leg.acts.covers() {
            return self.go_on(now, tick, (place, party), sounds, outlet);
        }
        let Some(mut player) = leg.player else {
            return self.comfort(now, tick, (place, party), sounds, outlet);
        };
        let ended = match sounds.sound(player.sound) {
            None => Some(PlayOutcome::Missing),
            Some(sound) if player.is_over(sound.bytes.len()) => Some(PlayOutcome::Finished),
            Some(sound) => {
                let on_time = tick_at(now).saturating_sub(tick) <= LATEST;
                let paced = leg.pace(&mut player, tick_time(tick), sound, on_time, outlet);
                leg.player = Some(player);
                self.counters.paced(paced);
                None
            }
        };
        match ended {
            None => self.wheel.arm(self.timers.player(place, party), tick + PACKET_TICKS),
            Some(outcome) => {
                leg.hears = Source::Silence;
                leg.stream.interrupt();
                self.stop_player(place, party, Some(outcome));
            }
        }
    }

    /// Tells once that a party which should send has sent nothing for too long.
    fn check_silence(&mut self, now: Instant, place: u32, party: Party) {
        self.consult_path(place, party);
        let slot = &mut self.table.slots[place as usize];
        let joined = slot.state == State::Joined;
        let leg = slot.leg(party);
        // A party on hold, whoever holds, need not send: many send nothing then, or only while music plays. It is
        // watched again when sound flows both ways.
        if !joined || leg.silent_told || !leg.far_end.is_some_and(|far_end| far_end.talks()) {
            return;
        }
        let due = leg.figures.last.max(leg.watched_since) + self.limits.silence_timeout;
        if now < due {
            self.wheel.arm(self.timers.watch(place, party), tick_from(due));
            return;
        }
        leg.silent_told = true;
        self.events.tell(place, slot, pending::SILENT << party.index());
        self.counters.silent += 1;
    }
}

/// What became of a paced packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Paced {
    Sent,
    /// The party is on hold, or not known yet: time passes, nothing is sent.
    Held,
    /// Nowhere to put it, or far too late.
    Lost,
}

impl crate::table::Leg {
    /// Sends a player's next packet, that was due at `due`.
    pub(crate) fn pace(
        &mut self,
        player: &mut Player,
        due: Instant,
        sound: SoundView<'_>,
        on_time: bool,
        outlet: &mut impl Outlet,
    ) -> Paced {
        let timestamp = player.timestamp.unwrap_or_else(|| self.stream.timestamp_at(due));
        player.timestamp = Some(timestamp.wrapping_add(u32::from(self.stream.paced_ticks())));
        // A party that has changed its codec is not played what it cannot understand: time passes without it.
        let suits = |codec: Codec| codec.joins(sound.codec);
        let far_end = self.reachable().copied().filter(|far_end| suits(far_end.codec));
        let (Some(far_end), Some(socket)) = (far_end, self.socket) else {
            player.skip(sound.bytes.len(), sound.codec);
            self.stream.marker = true;
            return Paced::Held;
        };
        let mut header = self.stream.next(timestamp);
        header.payload_type = far_end.payload_type;
        let octets = frame_octets(far_end.codec);
        let mut after = *player;
        let sent = on_time
            && guard::send(&mut self.guard, outlet, socket, HEADER_BYTES + octets, |packet| {
                if let Some((place, payload)) = packet.split_first_chunk_mut::<HEADER_BYTES>() {
                    header.emit(place);
                    after.fill(sound.bytes, sound.codec, far_end.codec, payload);
                }
            });
        if sent {
            *player = after;
            self.stream.paced(due, timestamp, octets);
            Paced::Sent
        } else {
            player.skip(sound.bytes.len(), sound.codec);
            self.stream.marker = true;
            Paced::Lost
        }
    }
}
