//! From a target to an address: trunks, and host names that have to be looked up first.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use duogate_channel::identity::{MOST_ADDRESSES, Party};

use super::output::{Listener, LocateFailure, Output, Query};
use super::settings::Trunk;
use super::slots::{Attempt, Order, Search};
use super::{Endpoint, Input};
use crate::clock::Now;
use crate::resource::plan::{Plan, Target};

/// Port of SIP over UDP (RFC 3261 section 19.1.2).
const DEFAULT_PORT: u16 = 5060;

/// Where an attempt is sent, before the host is looked up.
struct Hop {
    host: String,
    port: u16,
}

impl Endpoint {
    /// Makes an attempt, or says that it cannot be made.
    pub(super) fn dial(&mut self, now: Now, serial: u64, order: Order) {
        let Some(hop) = self.next_hop(serial, &order) else {
            return self.skip(serial, &order);
        };
        match literal(&hop.host) {
            Some(address) => self.place(now, serial, order, SocketAddr::new(address, hop.port)),
            None => self.search(serial, order, hop),
        }
    }

    /// Where the target is reached. None if its trunk is full, down or gone.
    fn next_hop(&self, serial: u64, order: &Order) -> Option<Hop> {
        let target = self.target_of(serial, order)?;
        let trunk = match &target.trunk {
            Some(name) => Some(self.trunk(name).filter(|trunk| self.trunks.has_room(trunk))?),
            None => None,
        };
        let host = trunk.and_then(|trunk| trunk.address.as_ref()).unwrap_or(&target.host).clone();
        // A port in the URI is about the URI's host; a trunk's address has its own.
        let of_uri = target.port.filter(|_| trunk.is_none_or(|trunk| trunk.address.is_none()));
        let port = of_uri.or_else(|| trunk.and_then(|trunk| trunk.port)).unwrap_or(DEFAULT_PORT);
        Some(Hop { host, port })
    }

    pub(super) fn target_of(&self, serial: u64, order: &Order) -> Option<&Target> {
        let plan = self.resources.get(&serial)?.machine.plan();
        plan.parties[order.party.index()].to.get(order.target)
    }

    pub(super) fn trunk(&self, name: &Arc<str>) -> Option<&Trunk> {
        self.settings.trunks.iter().find(|trunk| trunk.name == *name)
    }

    pub(super) fn skip(&mut self, serial: u64, order: &Order) {
        if let Some(slot) = self.resources.get_mut(&serial) {
            slot.attempts[order.party.index()] = Attempt::Idle;
        }
        self.work.push_back((serial, Input::Skipped { party: order.party }));
    }

    fn search(&mut self, serial: u64, order: Order, hop: Hop) {
        self.last_query += 1;
        let query = Query(self.last_query);
        if let Some(slot) = self.resources.get_mut(&serial) {
            slot.attempts[order.party.index()] = Attempt::Searching(query);
            self.searches.insert(query, Search { serial, order, sip_port: hop.port });
            self.outputs.push_back(Output::Locate { query, host: hop.host });
        }
    }

    /// The media addresses that suit a party, as bits: of the family that its SIP goes over, where we have any. What
    /// can be known before its first host is looked up.
    pub(super) fn addresses_for(&self, plan: &Plan, party: Party) -> u8 {
        let ipv4 = plan.parties[party.index()].to.first().is_none_or(|target| self.speaks_ipv4(target));
        let ours = self.settings.media_addresses.iter().take(usize::from(MOST_ADDRESSES)).enumerate();
        let suits = ours.filter(|(_, address)| address.is_ipv4() == ipv4);
        match suits.fold(0, |bits, (place, _)| bits | 1 << place) {
            0 => u8::MAX,
            bits => bits,
        }
    }

    /// Will requests to a target go over IPv4? Its host says so, or else the socket of its trunk.
    fn speaks_ipv4(&self, target: &Target) -> bool {
        let trunk = target.trunk.as_ref().and_then(|name| self.trunk(name));
        let host = trunk.and_then(|trunk| trunk.address.as_ref()).unwrap_or(&target.host);
        let listener = usize::from(trunk.map_or(0, |trunk| trunk.listener));
        literal(host).map_or_else(
            || self.settings.listeners.get(listener).is_none_or(SocketAddr::is_ipv4),
            |address| address.is_ipv4(),
        )
    }

    /// The answer to `Output::Locate`. An empty list is a failure. Of several addresses the first that one of our
    /// listening sockets can reach is used.
    pub fn located(&mut self, now: Now, query: Query, addresses: Result<Vec<IpAddr>, LocateFailure>) {
        let Some(search) = self.searches.remove(&query) else { return };
        let found = addresses.unwrap_or_default();
        let reachable = found.into_iter().find(|address| self.listener_for(*address).is_some());
        match reachable {
            // The trunk may have filled up meanwhile.
            Some(address) if self.next_hop(search.serial, &search.order).is_some() => {
                let address = SocketAddr::new(address, search.sip_port);
                self.place(now, search.serial, search.order, address);
            }
            _ => self.skip(search.serial, &search.order),
        }
        self.work_off(now);
    }

    /// A listening socket of the same address family.
    pub(super) fn listener_for(&self, address: IpAddr) -> Option<Listener> {
        let listeners = &self.settings.listeners;
        let index = listeners.iter().position(|local| local.is_ipv4() == address.is_ipv4())?;
        u16::try_from(index).ok().map(Listener)
    }
}

/// An address written out, IPv6 with or without brackets.
fn literal(host: &str) -> Option<IpAddr> {
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bracketed {
        Some(inside) => inside.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}
