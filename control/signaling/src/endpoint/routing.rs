//! From a target to places: trunks, and host names that have to be looked up first.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use duogate_channel::identity::{MOST_ADDRESSES, Party};

use super::output::{Listener, LocateFailure, Output, Place, Query, Question};
use super::settings::Trunk;
use super::slots::{Attempt, Search};
use super::{Endpoint, Input};
use crate::clock::Now;
use crate::leg;
use crate::resource::plan::{Plan, Target};
use crate::transaction::Transport;

/// Ports of SIP (RFC 3261 section 19.1.2).
const DEFAULT_PORT: u16 = 5060;
const SECURE_PORT: u16 = 5061;

impl Endpoint {
    /// Where the target is reached: the places at once, or what to look for.
    pub(super) fn hop(&self, target: &Target) -> Result<Place, Question> {
        let trunk = target.trunk.as_ref().and_then(|name| self.trunk(name));
        let (host, port, transport) = reached(target, trunk);
        match literal(&host) {
            Some(address) => {
                let transport = transport.unwrap_or(Transport::Udp);
                let default = if transport == Transport::Tls { SECURE_PORT } else { DEFAULT_PORT };
                Ok(Place { transport, address: SocketAddr::new(address, port.unwrap_or(default)) })
            }
            None => Err(Question { host, port, transport }),
        }
    }

    pub(super) fn trunk(&self, name: &Arc<str>) -> Option<&Trunk> {
        self.settings.trunks.iter().find(|trunk| trunk.name == *name)
    }

    /// Requests from trunks' addresses are answered apart from those of strangers.
    pub(super) fn know_trunks(&mut self) {
        let trunks = self.settings.trunks.iter();
        let hosts = trunks.flat_map(|trunk| trunk.address.iter().chain(&trunk.hosts));
        self.strangers.know(hosts.filter_map(|host| literal(host)));
    }

    /// The same for places at which a trunk was found by its name.
    pub(super) fn know_places(&mut self, places: &[Place]) {
        places.iter().for_each(|place| self.strangers.found(place.address.ip()));
    }

    pub(super) fn skip(&mut self, serial: u64, party: Party) {
        if let Some(slot) = self.resources.get_mut(&serial) {
            slot.attempts[party.index()] = Attempt::Idle;
            slot.journeys[party.index()] = None;
        }
        self.work.push_back((serial, Input::Skipped { party }));
    }

    /// A dialog leads to a host that has to be looked for.
    pub(super) fn search_for_leg(&mut self, call_id: u128, question: Question) {
        self.last_query += 1;
        let query = Query(self.last_query);
        self.searches.insert(query, Search::Leg(call_id, question.clone()));
        self.outputs.push_back(Output::Locate { query, question });
    }

    pub(super) fn search(&mut self, serial: u64, party: Party, question: Question) {
        self.last_query += 1;
        let query = Query(self.last_query);
        if let Some(slot) = self.resources.get_mut(&serial) {
            slot.attempts[party.index()] = Attempt::Searching(query);
            self.searches.insert(query, Search::Attempt(serial, party));
            self.outputs.push_back(Output::Locate { query, question });
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
            || self.settings.listeners.get(listener).is_none_or(|local| local.address.is_ipv4()),
            |address| address.is_ipv4(),
        )
    }

    /// The answer to `Output::Locate`: places in the order in which they shall be tried. An empty list is a
    /// failure. Those that none of our listening sockets can reach are passed over.
    pub fn located(&mut self, now: Now, query: Query, places: Result<Vec<Place>, LocateFailure>) {
        if self.located_peer(now, query, places.as_deref().unwrap_or_default()) {
            return;
        }
        match self.searches.remove(&query) {
            Some(Search::Attempt(serial, party)) => {
                self.arrive(now, serial, party, places.unwrap_or_default());
            }
            Some(Search::Leg(call_id, question)) => {
                let places = places.unwrap_or_default();
                self.handle_leg(now, call_id, leg::Input::Located { question: &question, places: &places });
            }
            None => return,
        }
        self.work_off(now);
    }

    /// A listening socket of that transport and address family; the trunk's own, if it is one.
    pub(super) fn listener_for(&self, place: Place, wanted: Option<u16>) -> Option<Listener> {
        let suits = |index: u16| {
            self.settings.listeners.get(usize::from(index)).is_some_and(|local| {
                local.transport == place.transport && local.address.is_ipv4() == place.address.is_ipv4()
            })
        };
        let all = 0..u16::try_from(self.settings.listeners.len()).unwrap_or(u16::MAX);
        wanted.into_iter().chain(all).find(|index| suits(*index)).map(Listener)
    }
}

/// Host, port and transport that a target is reached by.
fn reached(target: &Target, trunk: Option<&Trunk>) -> (String, Option<u16>, Option<Transport>) {
    let host = trunk.and_then(|trunk| trunk.address.as_ref()).unwrap_or(&target.host).clone();
    // A port in the URI is about the URI's host; a trunk's address has its own. So has its transport.
    let of_uri = trunk.is_none_or(|trunk| trunk.address.is_none());
    let port = target.port.filter(|_| of_uri).or_else(|| trunk.and_then(|trunk| trunk.port));
    let transport = trunk.and_then(|trunk| trunk.transport);
    let transport = match target.transport {
        // RFC 3261 section 26.2.2: TLS on every hop, whatever the trunk is used to.
        _ if is_secure(target) => Some(Transport::Tls),
        of_target if of_uri => of_target.or(transport),
        of_target => transport.or(of_target),
    };
    (host, port, transport)
}

/// Is it called by a `sips` URI?
pub(super) fn is_secure(target: &Target) -> bool {
    target.uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:"))
}

/// An address written out, IPv6 with or without brackets.
fn literal(host: &str) -> Option<IpAddr> {
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bracketed {
        Some(inside) => inside.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}
