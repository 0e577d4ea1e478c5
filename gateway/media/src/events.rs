//! Events on their way to the control plane.
//!
//! No event has a place of its own: what a session has to tell is a bit in its slot, what a recording has to tell
//! lies in the table of recordings, and only what belongs to neither waits in a small queue. So nothing is lost
//! however long the event ring stays full, and nothing grows.

use alloc::collections::VecDeque;

use duogate_channel::event::{Event, PlayOutcome};
use duogate_channel::identity::{LocalPort, Party, Sound};

use crate::core::Core;
use crate::path::Path;
use crate::table::{Slot, State, pending};

/// Answers that belong to no slot: refusals while no slot or place is free. While so many wait, commands are not
/// accepted.
const ANSWERS: usize = 64;

/// Memory of the answers, and of their places in the queue.
pub(crate) const ANSWERS_OCTETS: usize = ANSWERS * (size_of::<Event>() + size_of::<Teller>());

/// Where the next event lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Teller {
    Slot(u32),
    Recording(u32),
    Answer,
}

/// The order in which those that have something to tell are heard. Each slot and each recording is in it once at
/// most.
#[derive(Debug)]
pub(crate) struct Events {
    tellers: VecDeque<Teller>,
    answers: VecDeque<Event>,
}

impl Events {
    pub(crate) fn new(sessions: u32, recordings: u32) -> Self {
        // Every slot, every recording, every answer.
        let tellers = sessions as usize + recordings as usize + ANSWERS;
        Self { tellers: VecDeque::with_capacity(tellers), answers: VecDeque::with_capacity(ANSWERS) }
    }

    /// Sessions, recordings and answers with something that the control plane has not taken yet.
    pub(crate) fn waiting(&self) -> usize {
        self.tellers.len()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.answers.len() < ANSWERS
    }

    pub(crate) fn answer(&mut self, event: Event) {
        self.answers.push_back(event);
        self.tellers.push_back(Teller::Answer);
    }

    pub(crate) fn recorded(&mut self, place: u32) {
        self.tellers.push_back(Teller::Recording(place));
    }

    /// Notes what a session has to tell.
    pub(crate) fn tell(&mut self, place: u32, slot: &mut Slot, bits: u32) {
        if slot.pending == 0 {
            self.tellers.push_back(Teller::Slot(place));
        }
        slot.pending |= bits;
    }

    /// Notes that a sound has ended. Returns how many earlier ones that the control plane has not seen are lost.
    pub(crate) fn played(
        &mut self,
        place: u32,
        slot: &mut Slot,
        party: Party,
        sound: Sound,
        outcome: PlayOutcome,
    ) -> u64 {
        let lost = slot.leg(party).played.replace((sound, outcome)).is_some();
        self.tell(place, slot, pending::PLAYED << party.index());
        u64::from(lost)
    }
}

impl<P: Path> Core<P> {
    pub(crate) fn oldest_event(&self) -> Option<Event> {
        match *self.events.tellers.front()? {
            Teller::Answer => self.events.answers.front().copied(),
            Teller::Recording(place) => self.recordings.event(place),
            Teller::Slot(place) => self.slot_event(place),
        }
    }

    fn slot_event(&self, place: u32) -> Option<Event> {
        let slot = &self.table.slots[place as usize];
        let (session, tag) = (self.table.session(place), slot.tag);
        let port = |party: Party| {
            let socket = slot.legs[party.index()].socket;
            socket.map_or(LocalPort::default(), |socket| self.limits.port(socket))
        };
        let played = |party: Party| {
            let (sound, outcome) = slot.legs[party.index()].played?;
            Some(Event::Played { session, party, sound, outcome })
        };
        // As it is now: what has passed meanwhile need not be told.
        let fault = |party: Party| {
            let fault = self.reports.of(place, party).vigil.fault();
            Event::Fault { session, party, fault }
        };
        match 1 << slot.pending.trailing_zeros() {
            pending::REFUSED => Some(Event::Refused { tag, reason: slot.refusal }),
            pending::OPENED => Some(Event::Opened { tag, session, ports: Party::BOTH.map(port) }),
            bit if bit == pending::PLAYED => played(Party::One),
            bit if bit == pending::PLAYED << 1 => played(Party::Two),
            pending::JOINED => Some(Event::Joined { session }),
            bit if bit == pending::SILENT => Some(Event::Silent { session, party: Party::One }),
            bit if bit == pending::SILENT << 1 => Some(Event::Silent { session, party: Party::Two }),
            bit if bit == pending::FAULT => Some(fault(Party::One)),
            bit if bit == pending::FAULT << 1 => Some(fault(Party::Two)),
            bit if bit == pending::UNAUTHENTIC => Some(Event::Unauthentic { session, party: Party::One }),
            bit if bit == pending::UNAUTHENTIC << 1 => {
                Some(Event::Unauthentic { session, party: Party::Two })
            }
            pending::CLOSED => Some(Event::Closed {
                session,
                tag,
                statistics: self.consulted(place).map(|leg| leg.statistics()),
            }),
            bit => Party::BOTH
                .into_iter()
                .find_map(|party| slot.legs[party.index()].acts.event(bit, session, party)),
        }
    }

    pub(crate) fn take_event(&mut self) {
        let Some(&teller) = self.events.tellers.front() else { return };
        match teller {
            Teller::Answer => {
                self.events.answers.pop_front();
            }
            Teller::Recording(place) => self.recordings.release(place),
            Teller::Slot(place) => {
                let slot = &mut self.table.slots[place as usize];
                let bit = slot.pending & slot.pending.wrapping_neg();
                slot.pending &= !bit;
                for party in Party::BOTH {
                    if slot.leg(party).acts.taken(bit, party) {
                        slot.pending |= bit;
                    }
                    if bit == pending::PLAYED << party.index() {
                        slot.leg(party).played = None;
                    }
                }
                if slot.pending != 0 {
                    return;
                }
                if slot.state == State::Ended {
                    self.table.release(place);
                }
            }
        }
        self.events.tellers.pop_front();
    }
}
