//! The gateway's shards: which has room, and whose session is whose.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use duogate_channel::identity::{Session, Shard, Tag};

/// One shard.
#[derive(Debug)]
struct State {
    /// Sessions that it can hold.
    capacity: u32,
    /// Sessions that are asked for or open.
    used: u32,
    /// A command could not be handed over since it last reported.
    congested: bool,
}

/// The shards of the attached gateway; empty while none is.
#[derive(Debug, Default)]
pub(super) struct Shards {
    states: Vec<State>,
    /// Sessions asked for, by tag.
    opening: BTreeMap<Tag, Shard>,
    /// Sessions open, and the resource of each.
    sessions: BTreeMap<(Shard, Session), u64>,
}

impl Shards {
    pub(super) fn attach(&mut self, sessions: &[u32]) {
        self.detach();
        self.states = sessions
            .iter()
            .map(|capacity| State { capacity: *capacity, used: 0, congested: false })
            .collect();
    }

    pub(super) fn detach(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_attached(&self) -> bool {
        !self.states.is_empty()
    }

    /// The shard with the most room.
    pub(super) fn least_loaded(&self) -> Option<Shard> {
        let free = |state: &State| state.capacity.saturating_sub(state.used);
        let open = self.states.iter().enumerate().filter(|(_, state)| !state.congested && free(state) > 0);
        let (index, _) = open.max_by_key(|(index, state)| (free(state), core::cmp::Reverse(*index)))?;
        u16::try_from(index).ok().map(Shard)
    }

    fn state(&mut self, shard: Shard) -> Option<&mut State> {
        self.states.get_mut(usize::from(shard.0))
    }

    pub(super) fn set_congested(&mut self, shard: Shard, congested: bool) {
        if let Some(state) = self.state(shard) {
            state.congested = congested;
        }
    }

    /// A session is asked for. False: there is no such shard.
    pub(super) fn opening(&mut self, shard: Shard, tag: Tag) -> bool {
        let Some(state) = self.state(shard) else { return false };
        state.used += 1;
        self.opening.insert(tag, shard);
        true
    }

    /// A session has opened. False if it was not asked for there.
    pub(super) fn opened(&mut self, shard: Shard, tag: Tag, session: Session, resource: u64) -> bool {
        if self.opening.get(&tag) != Some(&shard) {
            return false;
        }
        self.opening.remove(&tag);
        self.sessions.insert((shard, session), resource);
        true
    }

    /// A session that a former control plane opened goes on. False: there is no such shard.
    pub(super) fn adopt(&mut self, shard: Shard, session: Session, resource: u64) -> bool {
        let Some(state) = self.state(shard) else { return false };
        state.used += 1;
        self.sessions.insert((shard, session), resource);
        true
    }

    /// A session will not open. False if it was not asked for there.
    pub(super) fn refused(&mut self, shard: Shard, tag: Tag) -> bool {
        let known = self.opening.get(&tag) == Some(&shard);
        if known {
            self.opening.remove(&tag);
            self.release(shard);
        }
        known
    }

    /// A session has closed: whose was it?
    pub(super) fn closed(&mut self, shard: Shard, session: Session) -> Option<u64> {
        let resource = self.sessions.remove(&(shard, session))?;
        self.release(shard);
        Some(resource)
    }

    fn release(&mut self, shard: Shard) {
        if let Some(state) = self.state(shard) {
            state.used = state.used.saturating_sub(1);
        }
    }

    pub(super) fn resource(&self, shard: Shard, session: Session) -> Option<u64> {
        self.sessions.get(&(shard, session)).copied()
    }

    pub(super) fn used(&self) -> Vec<u32> {
        self.states.iter().map(|state| state.used).collect()
    }

    /// Sessions asked for or open.
    pub(super) fn total(&self) -> usize {
        self.opening.len() + self.sessions.len()
    }
}
