//! Admission of callbacks whose sound must be decoded and encoded: how many there are, and what a party may be offered
//! when there is no place for another.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use duogate_channel::sound::Codec;

use super::methods::RETRY_WHEN_FULL;
use super::slots::{Attempt, Order};
use super::{Endpoint, Input};
use crate::resource::action;
use crate::resource::duo_callback::{DuoCallback, LegEvent};
use crate::resource::error::ApiError;
use crate::resource::view::State;
use crate::sdp::KeyWay;

/// Callbacks that hold a place, by serial number.
#[derive(Default, Debug)]
pub(super) struct Transcoded {
    held: BTreeSet<u64>,
}

impl Transcoded {
    /// Is there a place for a callback, of so many?
    fn has_room(&self, serial: u64, places: u32) -> bool {
        self.held.contains(&serial) || self.held.len() < places as usize
    }
}

fn is_recorded(machine: &DuoCallback) -> bool {
    machine.plan().record.is_some() || machine.records_on_demand()
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
        let decoded = is_recorded(&slot.machine) || keys == KeyWay::Tones;
        let free = |codec: &Codec| {
            order.prefer.is_none_or(|other| other.joins(*codec)) && (codec.is_g711() || !decoded)
        };
        if codecs.iter().all(free) {
            return codecs;
        }
        if self.transcoded.has_room(serial, self.settings.limits.max_transcoded) {
            self.transcoded.held.insert(serial);
            return codecs;
        }
        self.counters.transcoding_refused += 1;
        codecs.retain(free);
        codecs
    }

    /// Whether a recording on demand may begin: what has to be decoded for it needs a place.
    ///
    /// # Errors
    /// `overloaded` if there is none.
    pub(super) fn may_decode(&self, serial: u64, order: &action::Order) -> Result<bool, ApiError> {
        let Some(slot) = self.resources.get(&serial) else { return Ok(false) };
        let decodes = slot.machine.codecs().into_iter().flatten().any(|codec| !codec.is_g711());
        if !matches!(order, action::Order::Record(_)) || !decodes {
            return Ok(false);
        }
        if self.transcoded.has_room(serial, self.settings.limits.max_transcoded) {
            return Ok(true);
        }
        Err(ApiError::Overloaded { retry_after_seconds: RETRY_WHEN_FULL })
    }

    /// A recording on demand begins that must be decoded.
    pub(super) fn decode(&mut self, serial: u64) {
        self.transcoded.held.insert(serial);
    }

    /// No codec is left that the party could be offered (as if it had answered 488, RFC 3261 section 21.4.26).
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
                    let decoded = is_recorded(machine) && !(one.is_g711() && two.is_g711());
                    Some(decoded || machine.is_searched() || !one.joins(two))
                }
                (State::Answer2 | State::Connected | State::Released, _) => Some(false),
            }
        });
        match needs {
            Some(true) => {
                // A party may choose another codec in the middle of the call. That is counted beyond the limit, too:
                // what the gateway then has no place for must not be promised to anybody else.
                let beyond = !self.transcoded.has_room(serial, self.settings.limits.max_transcoded);
                self.transcoded.held.insert(serial);
                self.counters.transcoding_refused += u64::from(beyond);
            }
            Some(false) => drop(self.transcoded.held.remove(&serial)),
            None => {}
        }
        self.count_transcoded();
    }

    /// The callback is over.
    pub(super) fn forget_transcoding(&mut self, serial: u64) {
        self.transcoded.held.remove(&serial);
        self.count_transcoded();
    }

    fn count_transcoded(&mut self) {
        self.counters.transcoded = u32::try_from(self.transcoded.held.len()).unwrap_or(u32::MAX);
    }
}
