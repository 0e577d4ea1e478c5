//! Which way the packets of a direction take: through the sockets, or by the path's table beside them.
//!
//! A direction is taken off the path before anything about it changes, and before the core judges a packet of its
//! sender by itself: then its entry is off, its numbers are final, and the core stands exactly where it would have
//! stood had it seen all packets. After that it may go on the path again at once. So nothing is ever counted or
//! forwarded by two at the same time.

use duogate_channel::command::Command;
use duogate_channel::identity::{Party, Session};
use duogate_channel::time::Instant;

use crate::action::Socket;
use crate::arrival::Order;
use crate::block::Tap;
use crate::commands::{is_somewhere, session_of};
use crate::core::Core;
use crate::opening::leg_of;
use crate::path::{Flow, FlowCounts, FlowNumbers, Path, Standing, Tapped};
use crate::recordings::NONE;
use crate::reel::Said;
use crate::relay::examine;
use crate::rtp::Packet;
use crate::snapshot::Consulted;
use crate::table::{Leg, Slot, State};
use crate::verdict::{DropReason, Origin, Verdict};
use crate::vigil::is_loud;

/// Packets of sound that a direction waits at most before the path is tried again: 82 s of them.
const LONGEST_PAUSE: u16 = 4096;

/// The way of one direction, from this leg's party to the other one.
///
/// ```text
///            fits                 after `left` packets of sound: taken
///  Sockets ────────> Waiting ───────────────────────────────────────────> OnPath
///   ^  ^               │  ^ ^  refused: pause doubled                        │ │
///   │  └─ fits no more ┘  │ └────────────────────────────────────────────────┘ │
///   │                     └─ off, and the path had carried nothing: pause doubled
///   └──────────────────────────── fits no more ────────────────────────────────┘
/// ```
/// Any of them becomes `Searched` when its sound is to be searched for keys, which takes every packet, and with the next
/// change after that `Waiting` or `Sockets` again. `Apart` is to a session in which not all is G.711 what `Sockets` is to
/// others.
///
/// `OnPath` is only ever left after the entry has been switched off and its numbers have been taken in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Way {
    /// Through the sockets, for good as far as one can tell.
    #[default]
    Sockets,
    /// The same, and not all is G.711.
    Apart,
    /// Through the sockets, for so many more packets of sound; after an entry that carried nothing, twice the pause.
    Waiting { left: u16, pause: u16 },
    /// Through the sockets, and looked at before and behind the core: a leg of the session is guarded.
    Guarded,
    /// The entry is on; these of its counts have been taken in, and so many packets that say something.
    OnPath { pause: u16, loud: u16, absorbed: FlowCounts },
    /// Through the sockets, and every packet of sound is searched for keys.
    Searched,
}

/// What happens to a direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Input {
    /// Something was changed, and the path can carry the direction now.
    Fits,
    /// Something was changed, and it cannot.
    Misfits,
    /// Something was changed, and the direction is to be searched for keys.
    Searches,
    /// The same, and not both parties speak G.711.
    Apart,
    /// A plain packet of sound went through the sockets.
    Sound,
    /// The entry is on.
    Taken,
    /// The path would not have it.
    Refused,
    /// The entry is off because something is about to change.
    Off,
    /// The entry is off because a packet came to the socket; the entry had carried something.
    Passed,
    /// The same, and it had carried nothing: maybe it never will.
    Futile,
}

impl Way {
    const READY: Self = Self::Waiting { left: 1, pause: 1 };

    fn after(self, input: Input) -> Self {
        match (self, input) {
            (Self::Guarded, _) => Self::Guarded,
            (_, Input::Misfits) => Self::Sockets,
            (_, Input::Searches) => Self::Searched,
            (_, Input::Apart) => Self::Apart,
            (Self::Sockets | Self::Apart | Self::Searched, Input::Fits) => Self::READY,
            (Self::Waiting { left, pause }, Input::Sound) => {
                Self::Waiting { left: left.saturating_sub(1), pause }
            }
            (Self::Waiting { pause, .. }, Input::Taken) => {
                Self::OnPath { pause, loud: 0, absorbed: FlowCounts::default() }
            }
            (Self::Waiting { pause, .. }, Input::Refused) | (Self::OnPath { pause, .. }, Input::Futile) => {
                let pause = (pause * 2).min(LONGEST_PAUSE);
                Self::Waiting { left: pause, pause }
            }
            (Self::OnPath { pause, .. }, Input::Off) => Self::Waiting { left: 1, pause },
            (Self::OnPath { .. }, Input::Passed) => Self::READY,
            // Nothing new, or nothing that can be: an entry is refused or taken only where one waits for it, and off
            // only where it was on.
            (
                Self::Sockets | Self::Apart | Self::Searched,
                Input::Sound | Input::Taken | Input::Refused | Input::Off | Input::Passed | Input::Futile,
            )
            | (Self::Waiting { .. }, Input::Fits | Input::Off | Input::Passed | Input::Futile)
            | (Self::OnPath { .. }, Input::Fits | Input::Sound | Input::Taken | Input::Refused) => self,
        }
    }
}

impl Leg {
    fn go(&mut self, input: Input) {
        self.way = self.way.after(input);
        self.settle_beside();
    }

    /// Its packets are guarded, or no more.
    pub(crate) fn set_guarded(&mut self, guarded: bool) {
        self.way = self.way.guarded(guarded);
        self.settle_beside();
    }

    pub(crate) fn settle_beside(&mut self) {
        self.beside = self.listening || self.quiet || self.way != Way::Sockets;
    }
}

impl<P: Path> Core<P> {
    /// The path.
    pub const fn path(&self) -> &P {
        &self.path
    }

    /// The path, for what the shell asks of it by itself: its figures. Entries are the core's.
    pub const fn path_mut(&mut self) -> &mut P {
        &mut self.path
    }

    /// Directions whose packets are copied on the path: [`Core::drain_path`] must be called every few milliseconds.
    #[must_use]
    pub const fn tapped(&self) -> u32 {
        self.tapped
    }

    /// Before a command is obeyed: what it changes leaves the path.
    pub(crate) fn clear_way(&mut self, command: &Command, tap: &mut impl Tap) {
        match (session_of(command), command) {
            // What a party hears is the other one's direction.
            (
                Some(session),
                Command::Hear { party, .. }
                | Command::Play { party, .. }
                | Command::PlayStop { party, .. }
                | Command::SendKeys { party, .. },
            ) if self.table.find(session).is_some() => {
                self.leave_path(session.slot, party.other(), Input::Off, tap);
            }
            (Some(session), _) => self.clear_session(session, tap),
            (None, _) => {}
        }
    }

    /// Both directions of a session leave the path, as something about them is about to change.
    pub(crate) fn clear_session(&mut self, session: Session, tap: &mut impl Tap) {
        if self.table.find(session).is_some() {
            for party in Party::BOTH {
                self.leave_path(session.slot, party, Input::Off, tap);
            }
        }
    }

    /// After something about a session has changed: what fits the path now goes there, as soon as its stream stands.
    pub(crate) fn find_way(&mut self, place: u32) {
        self.settle_help(place);
        let there = self.path.is_there();
        for party in Party::BOTH {
            let slot = &mut self.table.slots[place as usize];
            let apart = slot.is_apart();
            let leg = slot.leg(party);
            if leg.tones.is_some() {
                leg.way = leg.way.after(Input::Searches);
                continue;
            }
            if !there && !apart && leg.way == Way::Sockets {
                continue;
            }
            let input = match (there && fits(slot, party, self.path.taps()), apart) {
                (true, _) => Input::Fits,
                (false, true) => Input::Apart,
                (false, false) => Input::Misfits,
            };
            let leg = slot.leg(party);
            leg.go(input);
            self.enter_path(place, party);
        }
    }

    /// Judges a packet of a direction that is on the path or waits for it.
    #[cold]
    #[inline(never)]
    pub(crate) fn judge_beside(
        &mut self,
        now: Instant,
        name: u32,
        origin: Origin,
        (buffer, length): (&mut [u8], usize),
        tap: &mut impl Tap,
    ) -> Verdict {
        let (place, party) = leg_of(name);
        let speaker = self.table.slots[place as usize].leg(party);
        if speaker.way == Way::Guarded {
            return self.judge_guarded(now, name, origin, (buffer, length), tap);
        }
        let Some(datagram) = buffer.get_mut(..length) else { return Verdict::Drop(DropReason::Malformed) };
        if speaker.way == Way::Searched {
            if speaker.is_heard(origin, datagram) {
                self.hear_from(now, place, party);
            }
            self.search(now, name, origin, datagram);
            return self.judge_plainly(now, name, origin, datagram, tap);
        }
        // What is not a packet of the sender changes nothing about its direction.
        let (packet, content, _) = match examine(speaker, origin, datagram) {
            Ok(examined) => examined,
            Err(reason) => return Verdict::Drop(self.turned_away(now, name, reason, datagram)),
        };
        let sound = is_plain(speaker, &packet, datagram);
        let loud = speaker.listening && is_loud(speaker, content, &datagram[packet.payload.clone()]);
        if let Way::OnPath { .. } = speaker.way {
            self.leave_path(place, party, if sound { Input::Futile } else { Input::Passed }, tap);
        }
        let verdict = self.judge_plainly(now, name, origin, datagram, tap);
        if loud {
            self.hear_from(now, place, party);
        }
        if sound && matches!(verdict, Verdict::Forward { .. }) {
            let leg = self.table.slots[place as usize].leg(party);
            leg.go(Input::Sound);
            self.enter_path(place, party);
        }
        verdict
    }

    /// Switches a waiting direction's entry on, if its time has come and the stream to the listener stands.
    fn enter_path(&mut self, place: u32, party: Party) {
        let slot = &mut self.table.slots[place as usize];
        let recorded = slot.recordings != NONE;
        let (speaker, listener) = slot.speaker_and_listener(party.index());
        let Way::Waiting { left: 0 | 1, .. } = speaker.way else { return };
        // Whoever's silence is filled is awaited.
        if speaker.quiet {
            return;
        }
        let Some((socket, flow)) = flow(speaker, listener, recorded) else { return };
        let taken = self.path.on(socket, &flow);
        speaker.go(if taken { Input::Taken } else { Input::Refused });
        self.counters.offloaded += u64::from(taken);
        self.counters.path_moves += u64::from(taken);
        self.counters.path_refused += u64::from(!taken);
        self.tapped += u32::from(taken && recorded);
        speaker.tapped = taken && recorded;
    }

    /// Switches a direction's entry off, if it is on, and takes its numbers in. `why` is downgraded from `Futile` if
    /// the entry has carried something.
    fn leave_path(&mut self, place: u32, party: Party, why: Input, tap: &mut impl Tap) {
        let leg = self.table.slots[place as usize].leg(party);
        let (Way::OnPath { .. }, Some(socket)) = (leg.way, leg.socket) else { return };
        let numbers = self.path.off(socket);
        let tapped = ::core::mem::take(&mut leg.tapped);
        if tapped {
            self.drain_path(tap);
            self.tapped -= 1;
        }
        let carried = numbers.is_some_and(|numbers| numbers.counts.received > 0);
        if let Some(numbers) = numbers {
            self.absorb(place, party, &numbers);
        }
        let why = if carried && why == Input::Futile { Input::Passed } else { why };
        let leg = self.table.slots[place as usize].leg(party);
        leg.go(why);
        self.counters.offloaded -= 1;
    }

    /// Takes in what an entry has noted so far.
    pub(crate) fn consult_path(&mut self, place: u32, party: Party) {
        let leg = self.table.slots[place as usize].leg(party);
        let (Way::OnPath { .. }, Some(socket)) = (leg.way, leg.socket) else { return };
        if let Some(numbers) = self.path.read(socket) {
            self.absorb(place, party, &numbers);
        }
    }

    fn absorb(&mut self, place: u32, party: Party, numbers: &FlowNumbers) {
        let slot = &mut self.table.slots[place as usize];
        let recordings = slot.recordings;
        let (speaker, listener) = slot.speaker_and_listener(party.index());
        let (fresh, heard) = take_in(speaker, listener, numbers);
        self.recordings.miss(recordings, fresh.tap_lost);
        if heard {
            self.reports.of_mut(place, party).vigil.hear_beside();
        }
    }

    /// Places what was copied on the path in its recordings.
    pub fn drain_path(&mut self, tap: &mut impl Tap) {
        let Self { path, table, recordings, sockets, counters, .. } = self;
        path.drain(|tapped| {
            let Ok(name) = sockets.user(tapped.socket) else { return };
            let (place, party) = leg_of(name);
            let slot = &table.slots[place as usize];
            if let Some(said) = said(&slot.legs[party.index()], party, tapped) {
                counters.tapped += 1;
                counters.late_for_recording += recordings.tap(slot.recordings, &said, tap);
            }
        });
    }

    /// A session that was joined takes over what a gateway before this one has left on the path for its ports.
    pub(crate) fn inherit(&mut self, now: Instant, place: u32) {
        if !self.path.is_there() {
            return;
        }
        for party in Party::BOTH {
            let slot = &mut self.table.slots[place as usize];
            let (speaker, listener) = slot.speaker_and_listener(party.index());
            let Some(socket) = speaker.socket else { continue };
            if matches!(speaker.way, Way::OnPath { .. } | Way::Guarded) {
                continue;
            }
            if let Some((left, numbers)) = self.path.inherit(socket)
                && left.new_ssrc == listener.stream.ssrc
                && Some(left.from) == listener.socket
            {
                let same = is_same(speaker, listener, &left);
                if same {
                    speaker.arrival.adopt(left.ssrc, &numbers.standing);
                    speaker.figures.adopt(&numbers);
                }
                listener.stream.adopt(now, same.then_some(speaker.arrival.epoch), &left, &numbers);
                self.counters.inherited += u64::from(same);
            }
        }
    }

    /// Switches off what a gateway before this one has left on the path and no session has taken over. `sockets` is
    /// the part of the table that is looked at.
    pub fn disown(&mut self, sockets: ::core::ops::Range<u32>) {
        for socket in sockets.map(Socket) {
            let own = self.sockets.user(socket).is_ok_and(|name| {
                let (place, party) = leg_of(name);
                matches!(self.table.slots[place as usize].legs[party.index()].way, Way::OnPath { .. })
            });
            if !own && self.path.off(socket).is_some() {
                self.counters.disowned += 1;
            }
        }
    }

    /// Takes everything off the path: the gateway ends.
    pub fn leave_paths(&mut self, tap: &mut impl Tap) {
        for place in 0..self.limits.sessions {
            for party in Party::BOTH {
                self.leave_path(place, party, Input::Off, tap);
                let leg = self.table.slots[place as usize].leg(party);
                leg.go(Input::Misfits);
            }
        }
        self.disown(0..self.limits.sockets());
    }

    /// A port begins or ends its use: nothing is to be on the path for it.
    pub(crate) fn clear_port(&mut self, socket: Socket) {
        if self.path.is_there() {
            self.path.off(socket);
        }
    }

    /// Legs of a session with what the path has noted for them so far.
    pub(crate) fn consulted(&self, place: u32) -> [Consulted; 2] {
        let slot = &self.table.slots[place as usize];
        let mut legs = Party::BOTH.map(|party| Consulted {
            figures: slot.legs[party.index()].figures,
            stream: slot.legs[party.index()].stream,
            quality: self.reports.of(place, party).quality(),
        });
        for party in Party::BOTH {
            let leg = &slot.legs[party.index()];
            if let (Way::OnPath { absorbed, .. }, Some(socket)) = (leg.way, leg.socket)
                && let Some(numbers) = self.path.read(socket)
            {
                let fresh = numbers.counts.since(&absorbed);
                legs[party.index()].figures.absorb(&fresh, &numbers);
                legs[party.other().index()].stream.absorb(&fresh, &numbers);
            }
        }
        legs
    }
}

/// Can the path carry what this party says?
fn fits(slot: &mut Slot, party: Party, taps: bool) -> bool {
    // What is guarded needs its bytes looked at.
    if slot.legs.iter().any(Leg::is_guarded) {
        return false;
    }
    // What must be decoded for a recording is not copied on the path: it has to come to a helper.
    let taps = taps && !slot.is_apart();
    let plain = slot.state == State::Joined && (taps || slot.recordings == NONE);
    let (speaker, listener) = slot.speaker_and_listener(party.index());
    let (Some(from), Some(to)) = (&speaker.far_end, &listener.far_end) else { return false };
    plain && listener.relaying && from.receive && is_somewhere(from.address) && from.codec == to.codec
}

/// A packet of sound as the path itself could have forwarded it.
fn is_plain(speaker: &Leg, packet: &Packet, datagram: &[u8]) -> bool {
    let sound = speaker.far_end.is_some_and(|far_end| far_end.payload_type == packet.header.payload_type);
    sound && datagram.first() == Some(&0x80) && !packet.payload.is_empty()
}

/// A direction as the path is to forward it, if the listener's stream stands.
fn flow(speaker: &Leg, listener: &Leg, tap: bool) -> Option<(Socket, Flow)> {
    let (from, to) = (speaker.far_end?, listener.far_end?);
    let (sequence_offset, timestamp_offset, span) = listener.stream.offsets(speaker.arrival.epoch)?;
    let (transit, jitter, worst) = speaker.figures.timing();
    let standing = Standing { span, transit, jitter, worst, ..speaker.arrival.standing() };
    let flow = Flow {
        source: from.address,
        ssrc: speaker.arrival.ssrc,
        payload_type: from.payload_type,
        from: listener.socket?,
        destination: to.address,
        new_ssrc: listener.stream.ssrc,
        new_payload_type: to.payload_type,
        sequence_offset,
        timestamp_offset,
        ticks: listener.stream.ticks,
        codec: from.codec,
        tap,
        standing,
    };
    Some((speaker.socket?, flow))
}

/// Does what was left behind still say what these two say?
fn is_same(speaker: &Leg, listener: &Leg, left: &Flow) -> bool {
    let (Some(from), Some(to)) = (&speaker.far_end, &listener.far_end) else { return false };
    left.source == from.address
        && left.destination == to.address
        && left.payload_type == from.payload_type
        && left.new_payload_type == to.payload_type
        && from.codec == to.codec
        && listener.relaying
}

/// Puts speaker and listener where the entry says they stand; returns what it has counted since the last time, and
/// whether anything could be heard in it.
fn take_in(speaker: &mut Leg, listener: &mut Leg, numbers: &FlowNumbers) -> (FlowCounts, bool) {
    let Way::OnPath { absorbed, loud, .. } = &mut speaker.way else { return (FlowCounts::default(), false) };
    let heard = ::core::mem::replace(loud, numbers.loud) != numbers.loud;
    let fresh = numbers.counts.since(absorbed);
    *absorbed = numbers.counts;
    speaker.arrival.absorb(&fresh, &numbers.standing);
    speaker.figures.absorb(&fresh, numbers);
    listener.stream.absorb(&fresh, numbers);
    (fresh, heard)
}

/// What a copied packet says.
fn said<'a>(speaker: &Leg, party: Party, tapped: &Tapped<'a>) -> Option<Said<'a>> {
    let packet = Packet::new_checked(tapped.packet).ok()?;
    // Its direction may have left the path meanwhile, but the sender must still be the same.
    if packet.header.ssrc != speaker.arrival.ssrc {
        return None;
    }
    Some(Said {
        party: party.index(),
        now: tapped.arrived,
        epoch: speaker.arrival.epoch,
        // How far does not matter to a recording.
        order: if tapped.late { Order::Late(1) } else { Order::Next(1) },
        timestamp: packet.header.timestamp,
        codec: speaker.far_end?.codec,
        payload: &tapped.packet[packet.payload],
    })
}
