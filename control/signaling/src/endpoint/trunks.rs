//! Calls in progress by trunk, and which trunks are down.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::settings::Trunk;

/// Kept by name, so that it survives a reload.
#[derive(Debug, Default)]
pub(super) struct Trunks {
    calls: BTreeMap<Arc<str>, u32>,
    down: BTreeSet<Arc<str>>,
}

impl Trunks {
    /// May one more call go over it?
    pub(super) fn has_room(&self, trunk: &Trunk) -> bool {
        let calls = self.calls.get(&trunk.name).copied().unwrap_or(0);
        !self.down.contains(&trunk.name) && trunk.max_calls.is_none_or(|most| calls < most)
    }

    pub(super) fn add(&mut self, name: &Arc<str>) {
        *self.calls.entry(name.clone()).or_insert(0) += 1;
    }

    pub(super) fn remove(&mut self, name: &Arc<str>) {
        if let Some(calls) = self.calls.get_mut(name) {
            *calls -= 1;
            if *calls == 0 {
                self.calls.remove(name);
            }
        }
    }

    pub(super) fn set_up(&mut self, name: &str, up: bool) {
        if up {
            self.down.remove(name);
        } else {
            self.down.insert(name.into());
        }
    }

    /// Forgets what is no longer configured, but for calls that still run.
    pub(super) fn keep(&mut self, trunks: &[Trunk]) {
        self.down.retain(|name| trunks.iter().any(|trunk| trunk.name == *name));
    }

    pub(super) fn calls(&self) -> Vec<(String, u32)> {
        self.calls.iter().map(|(name, calls)| (name.to_string(), *calls)).collect()
    }
}
