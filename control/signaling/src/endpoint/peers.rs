//! The keepers of the trunks: who is pinged, where we are registered.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use duogate_channel::time::Instant;
use rand_core::Rng;

use super::Endpoint;
use super::deadlines::Sleeper;
use super::legs::call_id_of;
use super::output::{Output, Place, Query};
use super::settings::{Credentials, Trunk};
use crate::clock::Now;
use crate::digest::{Login, Wallet};
use crate::leg::Identity;
use crate::message::Message;
use crate::peer::{self, Errand, Keeper, Voice};
use crate::resource::plan::Target;
use crate::transaction::Path;

/// One keeper.
pub(super) struct PeerSlot {
    keeper: Box<Keeper>,
    trunk: Arc<str>,
    /// What it answers challenges with.
    credentials: Option<Arc<Credentials>>,
    /// Its place among the deadlines.
    deadline: Option<Instant>,
    /// What it waits for.
    query: Option<Query>,
}

impl PeerSlot {
    /// Does it do this errand for that trunk?
    fn is(&self, trunk: &Trunk, errand: &Errand) -> bool {
        let same = trunk.name == self.trunk && trunk.credentials == self.credentials;
        same && errand == self.keeper.errand() && !self.keeper.is_leaving()
    }

    fn registers(&self, trunk: &Arc<str>) -> bool {
        self.trunk == *trunk && matches!(self.keeper.errand(), Errand::Register(_))
    }

    /// May it end without another word: OPTIONS, and REGISTER if another keeper registers the same address of record
    /// at the same trunk?
    fn goes_over_to(&self, wanted: &[(Trunk, Errand)]) -> bool {
        let Errand::Register(own) = self.keeper.errand() else { return true };
        wanted.iter().any(|(trunk, errand)| {
            trunk.name == self.trunk && matches!(errand, Errand::Register(other) if other.aor == own.aor)
        })
    }
}

impl Endpoint {
    /// Makes the keepers what the trunks want: those that are as they were go on. A registration that nobody wants any
    /// more is taken back (RFC 3261 section 10.2.2); one that is wanted in another way goes over to its successor.
    pub(super) fn keep_peers(&mut self, now: Now) {
        let mut wanted = Vec::new();
        for trunk in &self.settings.trunks {
            wanted.extend(errands(trunk).into_iter().map(|errand| (trunk.clone(), errand)));
        }
        let kept = |slot: &PeerSlot| wanted.iter().any(|(trunk, errand)| slot.is(trunk, errand));
        let gone: Vec<u128> = self
            .peers
            .iter()
            .filter(|(_, slot)| !kept(slot) && !slot.keeper.is_leaving())
            .map(|(call_id, _)| *call_id)
            .collect();
        for call_id in gone {
            if self.peers.get(&call_id).is_some_and(|slot| slot.goes_over_to(&wanted)) {
                self.forget_peer(call_id);
            } else {
                self.dismiss_peer(now, call_id);
            }
        }
        for (trunk, errand) in wanted {
            if !self.peers.values().any(|slot| slot.is(&trunk, &errand)) {
                self.add_peer(&trunk, errand);
            }
        }
    }

    /// The keeper says what is to be said last, and is forgotten when that is over.
    fn dismiss_peer(&mut self, now: Now, call_id: u128) {
        if let Some(slot) = self.peers.get_mut(&call_id) {
            slot.keeper.leave(now.instant);
            self.settle_peer(now, call_id);
        }
        self.forget_if_over(call_id);
    }

    fn forget_if_over(&mut self, call_id: u128) {
        if self.peers.get(&call_id).is_some_and(|slot| slot.keeper.is_over()) {
            self.forget_peer(call_id);
            self.trunks.keep(&self.settings.trunks);
        }
    }

    fn forget_peer(&mut self, call_id: u128) {
        let Some(mut slot) = self.peers.remove(&call_id) else { return };
        self.deadlines.set(Sleeper::Peer(call_id), &mut slot.deadline, None);
        match slot.keeper.errand() {
            // Nobody watches it any more: it counts as up.
            Errand::Ping { .. } => self.trunks.set_up(&slot.trunk, true),
            Errand::Register(_) if self.peers.values().any(|other| other.registers(&slot.trunk)) => {}
            Errand::Register(_) => self.trunks.set_registered(&slot.trunk, None),
        }
    }

    fn add_peer(&mut self, trunk: &Trunk, errand: Errand) {
        let identity = Identity::draw(&mut self.random);
        let seed = self.random.next_u64();
        let wallet = trunk.credentials.clone().map(|credentials| Wallet::new(Login { credentials, seed }));
        if matches!(errand, Errand::Register(_)) {
            self.trunks.set_registered(&trunk.name, Some(false));
        }
        let voice = Voice { user_agent: self.settings.user_agent.clone() };
        let keeper = Box::new(Keeper::new(errand, voice, identity, wallet, self.settings.timers));
        let credentials = trunk.credentials.clone();
        let slot = PeerSlot { keeper, trunk: trunk.name.clone(), credentials, deadline: None, query: None };
        self.peers.insert(identity.call_id, slot);
        self.schedule_peer(identity.call_id);
    }

    /// Takes every registration back; nothing is said to the trunks after that, outside of calls. That it is over
    /// [`Endpoint::trunk_figures`] tell: no trunk is registered any more.
    pub fn leave_trunks(&mut self, now: Now) {
        let all: Vec<u128> = self.peers.keys().copied().collect();
        for call_id in all {
            if let Some(slot) = self.peers.get_mut(&call_id) {
                slot.keeper.leave(now.instant);
                self.settle_peer(now, call_id);
            }
        }
    }

    fn schedule_peer(&mut self, call_id: u128) {
        if let Some(slot) = self.peers.get_mut(&call_id) {
            let deadline = slot.keeper.next_deadline();
            self.deadlines.set(Sleeper::Peer(call_id), &mut slot.deadline, deadline);
        }
    }

    fn settle_peer(&mut self, now: Now, call_id: u128) {
        while let Some(output) = self.peers.get_mut(&call_id).and_then(|slot| slot.keeper.poll_output()) {
            let Some(trunk) = self.peers.get(&call_id).map(|slot| slot.trunk.clone()) else { return };
            match output {
                peer::Output::Send { path, bytes } => self.send(path.listener, path.address, bytes),
                peer::Output::Find => self.find_peer(now, call_id, &trunk),
                peer::Output::Up(up) => self.trunks.set_up(&trunk, up),
                peer::Output::Registered(good) => self.registered(call_id, &trunk, good),
            }
        }
        self.schedule_peer(call_id);
    }

    /// One that takes its registration back says nothing of another's at the same trunk.
    fn registered(&mut self, call_id: u128, trunk: &Arc<str>, good: bool) {
        let others = |(id, slot): (&u128, &PeerSlot)| *id != call_id && slot.registers(trunk);
        let leaving = self.peers.get(&call_id).is_some_and(|slot| slot.keeper.is_leaving());
        if !(leaving && self.peers.iter().any(others)) {
            self.trunks.set_registered(trunk, Some(good));
        }
    }

    fn find_peer(&mut self, now: Now, call_id: u128, trunk: &Arc<str>) {
        let target = self.trunk(trunk).and_then(target);
        match target.map(|target| self.hop(&target)) {
            Some(Ok(place)) => self.peer_found(now, call_id, Some(place)),
            Some(Err(question)) => {
                self.last_query += 1;
                let query = Query(self.last_query);
                if let Some(slot) = self.peers.get_mut(&call_id) {
                    slot.query = Some(query);
                    self.outputs.push_back(Output::Locate { query, question });
                }
            }
            None => self.peer_found(now, call_id, None),
        }
    }

    fn peer_found(&mut self, now: Now, call_id: u128, place: Option<Place>) {
        let wanted = self.peers.get(&call_id).and_then(|slot| self.trunk(&slot.trunk)).map(|it| it.listener);
        let found = place.and_then(|place| {
            let listener = self.listener_for(place, wanted)?;
            let local = self.settings.listeners.get(usize::from(listener.0))?.address;
            Some((Path { listener, transport: place.transport, address: place.address }, local))
        });
        if let Some(slot) = self.peers.get_mut(&call_id) {
            slot.query = None;
            slot.keeper.found(now.instant, found);
        }
    }

    /// Places of a trunk that a keeper asked for. True if one did.
    pub(super) fn located_peer(&mut self, now: Now, query: Query, places: &[Place]) -> bool {
        let asked = self.peers.iter().find(|(_, slot)| slot.query == Some(query));
        let Some(call_id) = asked.map(|(call_id, _)| *call_id) else { return false };
        self.know_places(places);
        let place = places.iter().copied().find(|place| self.listener_for(*place, None).is_some());
        self.peer_found(now, call_id, place);
        self.settle_peer(now, call_id);
        true
    }

    /// A message for a keeper. True if it was.
    pub(super) fn receive_peer(&mut self, now: Now, path: Path, message: &Message<'_>) -> bool {
        let Some(call_id) = call_id_of(message.call_id()) else { return false };
        let Some(slot) = self.peers.get_mut(&call_id).filter(|_| !message.is_request()) else { return false };
        slot.keeper.receive(now.instant, path, message);
        self.settle_peer(now, call_id);
        true
    }

    pub(super) fn advance_peer(&mut self, now: Now, call_id: u128) {
        if let Some(slot) = self.peers.get_mut(&call_id) {
            slot.keeper.advance(now.instant);
            self.settle_peer(now, call_id);
            self.forget_if_over(call_id);
        }
    }

    pub(super) fn unreachable_peers(&mut self, now: Now, path: Path) {
        let all: Vec<u128> = self.peers.keys().copied().collect();
        for call_id in all {
            if let Some(slot) = self.peers.get_mut(&call_id) {
                slot.keeper.unreachable(now.instant, path);
                self.settle_peer(now, call_id);
            }
        }
    }
}

fn errands(trunk: &Trunk) -> Vec<Errand> {
    let mut errands = Vec::new();
    if let (Some(ping), Some(host)) = (trunk.ping, host(trunk)) {
        errands.push(Errand::Ping { host, ping });
    }
    errands.extend(trunk.registration.clone().map(Errand::Register));
    errands
}

/// The trunk's host as a URI has it: its proxy's, or else the first that it serves.
fn host(trunk: &Trunk) -> Option<String> {
    let host = trunk.address.as_ref().or(trunk.hosts.first())?;
    let bare = host.contains(':') && !host.starts_with('[');
    Some(if bare { alloc::format!("[{host}]") } else { host.clone() })
}

/// The trunk itself as something to be reached.
fn target(trunk: &Trunk) -> Option<Target> {
    let host = host(trunk)?;
    Some(Target {
        given: String::new(),
        uri: alloc::format!("sip:{host}"),
        host,
        port: None,
        transport: None,
        trunk: Some(trunk.name.clone()),
    })
}
