//! The way of a packet where not all is G.711: clocks of other rates, payloads that only a helper can translate.
//!
//! ```text
//!             the same codec                              forwarded in place, as ever
//!  packet ──┬────────────────────────────────────────────────────────────────────────> listener
//!           │ another codec                       helper                 helped()
//!           ├────────────────────> Verdict::Help ────────> Made ────────────────────> listener
//!           └ decoded for a recording ───────────────────────────────────────────────> recording
//! ```
//! What a helper gives back is numbered when it comes, from the sender's own numbers: its losses and its order stay
//! visible to the listener, and the stream is one through all changes. Whatever a direction whose sound is translated
//! has to say goes the same way, so that nothing overtakes anything.

use duogate_channel::identity::{Party, Session};
use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;

use crate::arrival::Order;
use crate::block::Tap;
use crate::comfort::told_level;
use crate::core::Core;
use crate::guard;
use crate::help::{Job, Made};
use crate::length;
use crate::opening::leg_of;
use crate::outlet::Outlet;
use crate::path::Path;
use crate::recordings::NONE;
use crate::reel::Said;
use crate::relay::{Accepted, Content, accept, relay};
use crate::rtp::{HEADER_BYTES, Header};
use crate::table::{Leg, State};
use crate::verdict::{DropReason, Origin, Verdict};

/// What is to be done with a packet that was accepted.
struct Errand {
    session: Session,
    party: Party,
    epoch: u32,
    /// The listener's codec, if the payload is to be translated for it.
    to: Option<Codec>,
    /// It is wanted for a recording, or searched for keys, and must be decoded for that.
    decoded: bool,
}

impl<P: Path> Core<P> {
    /// Judges a packet through the sockets, whichever codecs its session has.
    pub(crate) fn judge_plainly(
        &mut self,
        now: Instant,
        name: u32,
        origin: Origin,
        datagram: &mut [u8],
        tap: &mut impl Tap,
    ) -> Verdict {
        self.stir_by(name, origin, datagram);
        match self.table.slots[name as usize / 2].is_apart() {
            true => self.judge_apart(now, name, origin, datagram, tap),
            false => self.judge_by_socket(now, name, origin, datagram, tap),
        }
    }

    /// Judges a packet of a session in which not both parties speak G.711.
    #[cold]
    #[inline(never)]
    pub(crate) fn judge_apart(
        &mut self,
        now: Instant,
        name: u32,
        origin: Origin,
        datagram: &mut [u8],
        tap: &mut impl Tap,
    ) -> Verdict {
        let (place, party) = leg_of(name);
        let session = self.table.session(place);
        let slot = &mut self.table.slots[place as usize];
        let recordings = slot.recordings;
        let (speaker, listener) = slot.speaker_and_listener(party.index());
        let ticks = speaker.far_end.map_or(1, |far_end| far_end.codec.ticks());
        let accepted = match accept(now, speaker, origin, datagram, ticks) {
            Ok(accepted) => accepted,
            Err(reason) => return Verdict::Drop(self.turned_away(now, name, reason, datagram)),
        };
        let epoch = speaker.arrival.epoch;
        let sound = accepted.content == Content::Sound;
        let (recorded, searched) = (recordings != NONE && sound, speaker.tones.is_some() && sound);
        if recorded && accepted.codec.is_g711() {
            let said = accepted.said(party.index(), now, epoch, datagram);
            self.counters.late_for_recording += self.recordings.tap(recordings, &said, tap);
        }
        let event = accepted.event(datagram, ticks);
        let codec = listener.far_end.map(|far_end| far_end.codec);
        let to = codec.filter(|to| listener.relaying && !to.joins(accepted.codec));
        let relayed = match to {
            Some(_) => Err(DropReason::NoHelp),
            None => relay::<true>(now, epoch, listener, &accepted, datagram),
        };
        let decoded = (recorded || searched) && !accepted.codec.is_g711();
        let errand = Errand { session, party, epoch, to, decoded };
        if let Err(DropReason::ComfortNoise) = relayed {
            self.fall_quiet(now, name, told_level(&datagram[accepted.packet.payload.clone()]));
        }
        let verdict = self.ask(now, &errand, &accepted, relayed);
        if let Some(event) = event {
            self.heard_event(now, name, epoch, event);
        }
        verdict
    }

    /// Asks a helper, if there is something that it must do. `relayed` is what became of the packet without it.
    fn ask(
        &mut self,
        now: Instant,
        errand: &Errand,
        accepted: &Accepted,
        relayed: Result<(crate::action::Socket, usize), DropReason>,
    ) -> Verdict {
        let &Errand { session, party, epoch, to, decoded } = errand;
        let without = match relayed {
            Ok((socket, length)) => Verdict::Forward { socket, length },
            Err(reason) => Verdict::Drop(reason),
        };
        if to.is_none() && !decoded {
            return without;
        }
        let slot = &self.table.slots[session.slot as usize];
        // What remembers a stream cannot take anything from before.
        if let Order::Late(_) = accepted.order {
            self.counters.late_for_recording += u64::from(decoded);
            return if to.is_some() { Verdict::Drop(DropReason::Late) } else { without };
        }
        let Some(help) = self.helps.get(slot.help) else {
            if decoded {
                self.recordings.miss(slot.recordings, 1);
            }
            return without;
        };
        let Header { timestamp, .. } = accepted.packet.header;
        let from = accepted.codec;
        let mut at = |ticks| help.timestamp(party.index(), epoch, timestamp, from.ticks(), ticks);
        let (narrow, wide) = (at(1), at(to.map_or(1, Codec::ticks)));
        let payload = match relayed {
            Ok((_, length)) => HEADER_BYTES..length,
            Err(_) => accepted.packet.payload.clone(),
        };
        self.job = Some(Job {
            session,
            party,
            place: slot.help,
            serial: help.serial,
            epoch,
            order: accepted.order,
            arrived: now,
            header: Header { timestamp: wide, ..accepted.packet.header },
            narrow,
            content: accepted.content,
            from,
            to,
            recorded: decoded,
            payload,
            aside: false,
        });
        match without {
            Verdict::Forward { socket, length } => Verdict::HelpToo { socket, length },
            Verdict::Drop(_) | Verdict::Help | Verdict::HelpToo { .. } => Verdict::Help,
        }
    }

    /// What [`Verdict::Help`] and [`Verdict::HelpToo`] want of a helper.
    pub const fn take_job(&mut self) -> Option<Job> {
        self.job.take()
    }

    /// The payload of a job that was taken just now; `datagram` is the one that was received.
    #[must_use]
    pub fn payload_of<'a>(&'a self, job: &Job, datagram: &'a [u8]) -> &'a [u8] {
        self.aside.payload_of(job, datagram)
    }

    /// A helper has done what it was asked for, or could not; jobs of one stream come back in their order.
    pub fn helped(
        &mut self,
        now: Instant,
        job: &Job,
        made: Made<'_>,
        outlet: &mut impl Outlet,
        tap: &mut impl Tap,
    ) {
        let Some(slot) = self.table.find(job.session) else { return };
        let current = self.helps.get(slot.help).is_some_and(|help| help.serial == job.serial);
        if slot.help != job.place || !current {
            return;
        }
        let (payload, recorded) = match made {
            Made::Good { payload, recorded, floor } => {
                if let Some(help) = self.helps.get(slot.help) {
                    help.floors[job.party.index()] = floor.or(help.floors[job.party.index()]);
                }
                (payload, recorded)
            }
            Made::Bad | Made::Full => {
                self.counters.help_full += u64::from(made == Made::Full);
                self.counters.help_failed += u64::from(made == Made::Bad);
                self.recordings.miss(slot.recordings, u32::from(job.recorded));
                return;
            }
        };
        self.counters.helped += 1;
        if !recorded.is_empty() && slot.recordings != NONE {
            let said = Said {
                party: job.party.index(),
                now: job.arrived,
                epoch: job.epoch,
                order: job.order,
                timestamp: job.narrow,
                codec: Codec::Pcma,
                payload: recorded,
            };
            self.counters.late_for_recording += self.recordings.tap(slot.recordings, &said, tap);
        }
        let (speaker, listener) = slot.speaker_and_listener(job.party.index());
        if speaker.arrival.epoch == job.epoch
            && let Some(to) = job.to
        {
            let sent = listener.pass_on(now, to, job, payload, outlet);
            self.counters.help_sent += u64::from(sent);
            self.passed_on(now, job, sent, payload);
        }
        if !recorded.is_empty() {
            self.hear_tones(now, job.session.slot, job.party, (job.header.ssrc, job.narrow), recorded);
        }
    }

    /// Gives a session the place that it needs for help, or takes it.
    pub(crate) fn settle_help(&mut self, place: u32) {
        let slot = &mut self.table.slots[place as usize];
        let open = matches!(slot.state, State::Open | State::Joined);
        let searched = slot
            .legs
            .iter()
            .any(|leg| leg.tones.is_some() && leg.far_end.is_some_and(|far_end| !far_end.codec.is_g711()));
        let [one, two] = [0, 1].map(|leg| slot.legs[leg].far_end.map(|far_end| far_end.codec));
        let codecs = [one.or(two), two.or(one)].map(|codec| codec.unwrap_or(Codec::Pcma));
        let apart = !codecs[0].joins(codecs[1]);
        let decoded = searched || slot.recordings != NONE && !codecs.iter().all(|codec| codec.is_g711());
        let needs = (open && (apart || decoded)).then_some(codecs);
        self.counters.help_refused += u64::from(!self.helps.settle(&mut slot.help, needs));
    }
}

impl Leg {
    /// Sends what a helper has made of what the other party said. False if it is not sent.
    fn pass_on(
        &mut self,
        now: Instant,
        to: Codec,
        job: &Job,
        payload: &[u8],
        outlet: &mut impl Outlet,
    ) -> bool {
        let (true, Some(far_end), Some(socket)) = (self.relaying, &self.far_end, self.socket) else {
            return false;
        };
        if far_end.codec != to {
            return false;
        }
        let payload_type = match job.content {
            Content::Sound => Some(far_end.payload_type),
            Content::TelephoneEvent => far_end.telephone_event,
            Content::ComfortNoise => far_end.comfort_noise,
            Content::Nothing => None,
        };
        let Some(payload_type) = payload_type.filter(|_| !payload.is_empty()) else {
            self.stream.skip(job.epoch, job.order);
            return false;
        };
        let sound = if job.is_sound() { length::ticks(to, payload) } else { 0 };
        let header = self.stream.relay(now, job.epoch, job.order, &job.header, sound);
        let Some(mut header) = header else { return false };
        header.payload_type = payload_type;
        let length = HEADER_BYTES + payload.len();
        let sent = guard::send(&mut self.guard, outlet, socket, length, |packet| {
            if let Some((place, rest)) = packet.split_first_chunk_mut::<HEADER_BYTES>() {
                header.emit(place);
                rest.copy_from_slice(payload);
                if job.content == Content::TelephoneEvent {
                    rescale(rest, job.from.ticks(), to.ticks());
                }
            }
        });
        if sent {
            self.stream.count(payload.len());
        }
        sent
    }
}

/// Tells a telephone-event's duration in the ticks of another clock (RFC 4733 section 2.3.5).
fn rescale(event: &mut [u8], from: u32, to: u32) {
    let Some(place) = event.get_mut(2..4) else { return };
    let duration = u32::from(u16::from_be_bytes([place[0], place[1]])) * to / from;
    place.copy_from_slice(&u16::try_from(duration).unwrap_or(u16::MAX).to_be_bytes());
}
