//! The way of one attempt: its URI is located, its places are tried in order, redirections are followed, and its
//! trunk's pace is kept. The resource hears of the attempt's end alone.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use duogate_channel::identity::Party;

use super::Endpoint;
use super::check::{redirected, spelled};
use super::deadlines::Sleeper;
use super::output::Place;
use super::routing::is_secure;
use super::slots::{Attempt, Journey, Order};
use super::trunks::{Pace, Turn};
use crate::clock::Now;
use crate::resource::plan::Target;

/// What a failed leg leaves to be done.
pub(super) struct Outcome {
    pub(super) status: u16,
    pub(super) silent: bool,
    pub(super) contacts: Vec<String>,
}

impl Endpoint {
    /// Begins an attempt.
    pub(super) fn dial(&mut self, now: Now, serial: u64, order: Order) {
        let party = order.party;
        let Some(slot) = self.resources.get_mut(&serial) else { return };
        let Some(target) = slot.machine.plan().parties[party.index()].to.get(order.target).cloned() else {
            return self.skip(serial, party);
        };
        slot.journeys[party.index()] = Some(Box::new(Journey {
            order,
            seen: alloc::vec![spelled(&target)],
            target,
            places: VecDeque::new(),
            contacts: VecDeque::new(),
            redirects: self.settings.max_redirects,
        }));
        self.set_out(now, serial, party);
    }

    fn journey(&mut self, serial: u64, party: Party) -> Option<&mut Journey> {
        self.resources.get_mut(&serial)?.journeys[party.index()].as_deref_mut()
    }

    /// Looks for the places of the journey's present target.
    fn set_out(&mut self, now: Now, serial: u64, party: Party) {
        let Some(target) = self.journey(serial, party).map(|journey| journey.target.clone()) else { return };
        if !self.may_go(&target) {
            return self.turn_aside(now, serial, party);
        }
        match self.hop(&target) {
            Ok(place) => self.arrive(now, serial, party, alloc::vec![place]),
            Err(question) => self.search(serial, party, question),
        }
    }

    /// Is the target's trunk there, and has it room?
    fn may_go(&mut self, target: &Target) -> bool {
        let Some(name) = &target.trunk else { return true };
        let may = self.trunk(name).is_some_and(|trunk| self.trunks.has_room(trunk));
        if !may {
            self.trunks.skipped(name);
        }
        may
    }

    /// The places are known: those that did not answer lately come last, those that asked for rest not at all.
    pub(super) fn arrive(&mut self, now: Now, serial: u64, party: Party, mut places: Vec<Place>) {
        places.retain(|place| {
            self.listener_for(*place, None).is_some() && self.resting.may_ask(now.instant, place.address)
        });
        places.sort_by_key(|place| self.resting.comes_last(now.instant, place.address));
        if self.journey(serial, party).is_some_and(|journey| journey.target.trunk.is_some()) {
            self.know_places(&places);
        }
        if let Some(journey) = self.journey(serial, party) {
            journey.places = places.into();
        }
        self.next_place(now, serial, party);
    }

    /// Tries the journey's next place, when its trunk's pace allows.
    fn next_place(&mut self, now: Now, serial: u64, party: Party) {
        let Some(journey) = self.journey(serial, party) else { return };
        let target = journey.target.clone();
        // The trunk may have filled up meanwhile.
        if journey.places.is_empty() || !self.may_go(&target) {
            return self.turn_aside(now, serial, party);
        }
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        let trunk = target
            .trunk
            .as_ref()
            .and_then(|name| self.settings.trunks.iter().find(|trunk| trunk.name == *name));
        let turn = Turn { serial, party, ticket };
        match trunk.map_or(Pace::Now, |trunk| self.trunks.pace(now.instant, trunk, turn)) {
            Pace::Now => self.go(now, serial, party),
            Pace::Queued => {
                if let Some(slot) = self.resources.get_mut(&serial) {
                    slot.attempts[party.index()] = Attempt::Waiting(ticket);
                }
                self.schedule_turns();
            }
            Pace::Full => {
                if let Some(name) = &target.trunk {
                    self.trunks.skipped(name);
                }
                self.turn_aside(now, serial, party);
            }
        }
    }

    fn go(&mut self, now: Now, serial: u64, party: Party) {
        let Some(journey) = self.journey(serial, party) else { return };
        let (order, target) = (journey.order, journey.target.clone());
        match journey.places.pop_front() {
            Some(place) => self.place(now, serial, order, &target, place),
            None => self.turn_aside(now, serial, party),
        }
    }

    /// The present target leads nowhere: on to where a redirection pointed, or to the end.
    fn turn_aside(&mut self, now: Now, serial: u64, party: Party) {
        let next = self.journey(serial, party).and_then(|journey| {
            let next = journey.contacts.pop_front()?;
            journey.target = next;
            Some(())
        });
        match next {
            Some(()) => self.set_out(now, serial, party),
            None => self.skip(serial, party),
        }
    }

    /// A leg of the journey has failed. True if it goes on: then the resource hears nothing of it.
    pub(super) fn goes_on(&mut self, now: Now, serial: u64, party: Party, outcome: Outcome) -> bool {
        let Outcome { status, silent, contacts } = outcome;
        let mut found: Vec<Target> =
            contacts.iter().filter_map(|uri| redirected(&self.settings, uri)).collect();
        let Some(journey) = self.journey(serial, party) else { return false };
        if (300..400).contains(&status) && journey.redirects > 0 {
            journey.redirects -= 1;
            // RFC 3261 section 26.2.2: who was called securely is called in no other way.
            found.retain(|target| is_secure(target) || !is_secure(&journey.target));
            journey.places.clear();
            let mut new = VecDeque::new();
            for target in found {
                let place = spelled(&target);
                if !journey.seen.contains(&place) {
                    journey.seen.push(place);
                    new.push_back(target);
                }
            }
            // The newest advice first (RFC 3261 section 8.1.3.4).
            new.append(&mut journey.contacts);
            journey.contacts = new;
        }
        // RFC 3263 section 4.3: another place of the same name, where this one is silent or overloaded.
        let elsewhere = (silent || status == 503) && !journey.places.is_empty();
        // A 6xx is about the party, wherever it is called; a 486 too, but other places were named.
        let onward = status < 600 && !journey.contacts.is_empty();
        if elsewhere {
            self.next_place(now, serial, party);
        } else if onward {
            self.turn_aside(now, serial, party);
        } else {
            return false;
        }
        true
    }

    /// Calls whose trunk's pace now allows.
    pub(super) fn next_turns(&mut self, now: Now) {
        for Turn { serial, party, ticket } in self.trunks.turns(now.instant, &self.settings.trunks) {
            let waits = self.resources.get(&serial).map(|slot| slot.attempts[party.index()]);
            if waits == Some(Attempt::Waiting(ticket)) {
                self.go(now, serial, party);
            }
        }
        self.schedule_turns();
        self.work_off(now);
    }

    pub(super) fn schedule_turns(&mut self) {
        let next = self.trunks.next_turn();
        self.deadlines.set(Sleeper::Pace, &mut self.paced, next);
    }
}
