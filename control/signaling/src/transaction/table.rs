//! Where transactions are kept: slots, keys, deadlines.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use duogate_channel::time::Instant;

use super::Path;
use super::machine::Machine;
use super::timer::Timers;

/// One transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) machine: Machine,
    pub(super) timers: Timers,
    /// Where its messages go.
    pub(super) path: Path,
    /// A client's request, or a server's latest response (empty before the first).
    pub(super) bytes: Vec<u8>,
    /// The 100 that an INVITE server sends if its user takes its time.
    pub(super) trying: Vec<u8>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Counts the uses.
    generation: u32,
    used: Option<Used>,
}

#[derive(Debug)]
struct Used {
    transaction: Transaction,
    key: Box<[u8]>,
    deadline: Option<Instant>,
}

/// All transactions. A place is a slot and its generation, 32 bits each.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    keys: BTreeMap<Box<[u8]>, u32>,
    deadlines: BTreeSet<(Instant, u32)>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The place of the transaction of that key.
    pub(super) fn find(&self, key: &[u8]) -> Option<u64> {
        self.keys.get(key).map(|slot| self.place(*slot))
    }

    fn place(&self, slot: u32) -> u64 {
        let generation = self.slots.get(slot as usize).map_or(0, |slot| slot.generation);
        u64::from(generation) << 32 | u64::from(slot)
    }

    /// Takes one in; none if the key is taken.
    pub(super) fn insert(&mut self, key: &[u8], transaction: Transaction) -> Option<u64> {
        if self.keys.contains_key(key) {
            return None;
        }
        let slot = self.free.pop().or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).ok()
        })?;
        let key: Box<[u8]> = key.into();
        self.keys.insert(key.clone(), slot);
        let place = self.slots.get_mut(slot as usize)?;
        place.generation = place.generation.wrapping_add(1);
        place.used = Some(Used { transaction, key, deadline: None });
        Some(self.place(slot))
    }

    fn used(&self, place: u64) -> Option<&Used> {
        let (slot, generation) = split(place);
        let slot = self.slots.get(slot as usize).filter(|slot| slot.generation == generation)?;
        slot.used.as_ref()
    }

    pub(super) fn get(&self, place: u64) -> Option<&Transaction> {
        self.used(place).map(|used| &used.transaction)
    }

    pub(super) fn get_mut(&mut self, place: u64) -> Option<&mut Transaction> {
        let (slot, generation) = split(place);
        let slot = self.slots.get_mut(slot as usize).filter(|slot| slot.generation == generation)?;
        slot.used.as_mut().map(|used| &mut used.transaction)
    }

    /// Notes the deadline of a transaction whose timers have changed.
    pub(super) fn schedule(&mut self, place: u64) {
        let (number, generation) = split(place);
        let slot = self.slots.get_mut(number as usize).filter(|slot| slot.generation == generation);
        let Some(used) = slot.and_then(|slot| slot.used.as_mut()) else {
            return;
        };
        let deadline = used.transaction.timers.deadline();
        if deadline == used.deadline {
            return;
        }
        if let Some(old) = core::mem::replace(&mut used.deadline, deadline) {
            self.deadlines.remove(&(old, number));
        }
        if let Some(new) = deadline {
            self.deadlines.insert((new, number));
        }
    }

    /// Forgets one.
    pub(super) fn remove(&mut self, place: u64) {
        let (number, generation) = split(place);
        let slot = self.slots.get_mut(number as usize).filter(|slot| slot.generation == generation);
        let Some(used) = slot.and_then(|slot| slot.used.take()) else {
            return;
        };
        self.keys.remove(&used.key);
        if let Some(deadline) = used.deadline {
            self.deadlines.remove(&(deadline, number));
        }
        self.free.push(number);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The place of a transaction with a deadline that has come.
    pub(super) fn due(&self, now: Instant) -> Option<u64> {
        let (deadline, slot) = self.deadlines.first()?;
        (*deadline <= now).then(|| self.place(*slot))
    }
}

/// Slot and generation of a place.
fn split(place: u64) -> (u32, u32) {
    let low = u32::try_from(place & u64::from(u32::MAX)).unwrap_or(u32::MAX); // masked: it fits
    let high = u32::try_from(place >> 32).unwrap_or(u32::MAX); // shifted: it fits
    (low, high)
}
