//! Admission of callbacks whose sound must be decoded and encoded: how many there are, and what a party may be offered
//! when there is no place for another.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use duogate_channel::sound::Codec;

use super::slots::{Attempt, Order};
use super::{Endpoint, Input};
use crate::resource::duo_callback::LegEvent;
use crate::resource::view::State;
use crate::sdp::KeyWay;

/// Callbacks that hold a place, by serial number.
#[derive(Default, Debug)]
pub(super) struct Transcoded {
    held: BTreeSet<u64>,
}

impl Endpoint {
    /// The codecs that a party is offered: all of them, if nothing has to be decoded whichever the party chooses, or if
    /// there is a place for it; else those for which none is needed. None at all: there is no codec to talk in.
    pub(super) fn affordable(
        &mut self,
        serial: u64,
        order: &Order,
        mut codecs: Vec<Codec>,
        keys: KeyWay,
    ) -> Vec<Codec> {
        let Some(slot) = self.resources.get(&serial) else { return codecs };
        // What is recorded or searched for keys is decoded.
        let decoded = slot.machine.plan().record.is_some() || keys == KeyWay::Tones;
        let free = |codec: &Codec| {
            order.prefer.is_none_or(|other| other.joins(*codec)) && (codec.is_g711() || !decoded)
        };
        if codecs.iter().all(free) {
            return codecs;
        }
        let held = &mut self.transcoded.held;
        if held.contains(&serial) || held.len() < self.settings.limits.max_transcoded as usize {
            held.insert(serial);
            return codecs;
        }
        self.counters.transcoding_refused += 1;
        codecs.retain(free);
        codecs
    }

    /// No codec is left that party 2 could be offered (as if it had answered 488, RFC 3261 section 21.4.26).
    pub(super) fn offer_nothing(&mut self, serial: u64, order: &Order) {
        let Order { party, attempt, .. } = *order;
        if let Some(slot) = self.resources.get_mut(&serial) {
            slot.attempts[party.index()] = Attempt::Idle;
            slot.journeys[party.index()] = None;
        }
        let event = LegEvent::Failed { status: 488, unusable: None };
        self.work.push_back((serial, Input::Leg { party, attempt, event }));
    }

    /// Holds a place for a callback as long as it needs one: from the offer on where it may, and once both parties
    /// have answered where it does.
    pub(super) fn settle_transcoding(&mut self, serial: u64) {
        let needs = self.resources.get(&serial).and_then(|slot| {
            let machine = &slot.machine;
            match (machine.state(), machine.codecs()) {
                (State::Initiated | State::Answer1, _) => None,
                (State::Answer2 | State::Connected, [Some(one), Some(two)]) => {
                    let recorded = machine.plan().record.is_some() && !(one.is_g711() && two.is_g711());
                    Some(recorded || machine.is_searched() || !one.joins(two))
                }
                (State::Answer2 | State::Connected | State::Released, _) => Some(false),
            }
        });
        match needs {
            Some(true) => drop(self.transcoded.held.insert(serial)),
            Some(false) => drop(self.transcoded.held.remove(&serial)),
            None => {}
        }
        self.counters.transcoded = u32::try_from(self.transcoded.held.len()).unwrap_or(u32::MAX);
    }

    /// The callback is over.
    pub(super) fn forget_transcoding(&mut self, serial: u64) {
        self.transcoded.held.remove(&serial);
        self.counters.transcoded = u32::try_from(self.transcoded.held.len()).unwrap_or(u32::MAX);
    }
}
