//! The legs: placing calls, and finding the leg that a datagram is for.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use duogate_channel::identity::{LocalPort, Party};
use duogate_channel::sound::Codec;
use duogate_channel::srtp::{MOST_MASTER_OCTETS, Master, Suite};
use rand_core::Rng;
use zeroize::Zeroizing;

use super::check::own_uri;
use super::deadlines::Sleeper;
use super::journeys::Outcome;
use super::output::{Listener, Output, Place};
use super::settings::Trunk;
use super::slots::{Attempt, LegSlot, Order, Search};
use super::{Endpoint, Input};
use crate::clock::Now;
use crate::digest::Login;
use crate::leg::{self, Assertion, Dial, Identity, Leg, MediaOffer, Way};
use crate::message::{Message, UriBuf};
use crate::resource::duo_callback::{Dialled, LegEvent};
use crate::resource::plan::Target;
use crate::sdp::{KeyWay, OwnKeys, Security};
use crate::transaction::{Path, Transport};

/// Who calls where the caller is kept from the party (RFC 3323 section 4.1.1.3).
const ANONYMOUS: &str = "sip:anonymous@anonymous.invalid";

/// Who calls where neither application nor trunk says.
const ANONYMOUS_USER: &str = "duogate";

impl Endpoint {
    /// Sends the INVITE of an attempt.
    pub(super) fn place(&mut self, now: Now, serial: u64, order: Order, target: &Target, place: Place) {
        let Some((mut dial, trunk)) = self.prepare(serial, &order, target, place) else {
            return self.skip(serial, order.party);
        };
        let codecs = core::mem::take(&mut dial.offer.codecs);
        dial.offer.codecs = self.affordable(serial, &order, codecs, dial.offer.keys);
        if dial.offer.codecs.is_empty() {
            return self.offer_nothing(serial, &order);
        }
        let identity = Identity::draw(&mut self.random);
        let from_uri = dial.caller.as_str().into();
        if let Some(name) = &trunk {
            self.trunks.add(now.instant, name);
        }
        let leg = Box::new(Leg::dial(now.instant, dial, identity));
        let dialled = Dialled {
            call_id: alloc::format!("{:032x}", identity.call_id),
            local_tag: String::new(),
            from_uri,
            trunk: trunk.clone(),
            address: place.address,
            listener: leg.path().listener.0,
            nat: trunk.as_ref().and_then(|name| self.trunk(name)).is_some_and(|trunk| trunk.nat),
        };
        let Order { party, attempt, .. } = order;
        let began = now.instant;
        let (rang, revision, deadline) = (false, 0, None);
        let slot = LegSlot { leg, serial, party, attempt, trunk, place, began, rang, revision, deadline };
        self.legs.insert(identity.call_id, slot);
        if let Some(slot) = self.resources.get_mut(&serial) {
            slot.attempts[party.index()] = Attempt::Leg(identity.call_id);
        }
        self.work.push_back((serial, Input::Dialled { party, dialled }));
        self.settle_leg(now, identity.call_id);
    }

    fn prepare(
        &mut self,
        serial: u64,
        order: &Order,
        target: &Target,
        place: Place,
    ) -> Option<(Dial, Option<Arc<str>>)> {
        let seed = self.random.next_u64();
        let own_keys = self.draw_keys(target);
        let plan = self.resources.get(&serial)?.machine.plan();
        let trunk = target.trunk.as_ref().and_then(|name| self.trunk(name));
        let listener = self.listener_for(place, trunk.map(|trunk| trunk.listener))?;
        let given = plan.parties[order.party.index()].from.as_ref();
        let given = given.filter(|_| !trunk.is_some_and(|trunk| trunk.caller_fixed));
        let caller = given.or_else(|| trunk.and_then(|trunk| trunk.caller_id.as_ref())).cloned();
        let caller = caller.unwrap_or_else(|| own_uri(&self.settings, ANONYMOUS_USER));
        let caller = UriBuf::parse(&caller).ok()?;
        let (caller, assertion) = shown(trunk, caller)?;
        let codecs = [plan.codecs.as_slice(), trunk.map_or(&[], |trunk| trunk.codecs.as_slice())];
        let codecs = codecs.into_iter().find(|codecs| !codecs.is_empty()).unwrap_or(&self.settings.codecs);
        let credentials = trunk.and_then(|trunk| trunk.credentials.clone());
        let dial = Dial {
            target: UriBuf::parse(&target.uri).ok()?,
            path: Path { listener, transport: place.transport, address: place.address },
            wide: self.wide_way(target, trunk, place),
            exits: self.exits.clone(),
            caller,
            local: self.settings.listeners.get(usize::from(listener.0))?.address,
            offer: MediaOffer {
                address: self.media_address(order.port)?,
                codecs: preferred(codecs, order.prefer),
                keys: trunk.map_or(KeyWay::Any, |trunk| trunk.keys),
                own_keys,
            },
            user_agent: self.settings.user_agent.clone(),
            login: credentials.map(|credentials| Login { credentials, seed }),
            assertion,
            session: self.settings.session,
            timers: self.settings.timers,
        };
        Some((dial, trunk.map(|trunk| trunk.name.clone())))
    }

    /// Fresh keys for a leg whose trunk has media secured, one for each suite.
    fn draw_keys(&mut self, target: &Target) -> Option<OwnKeys> {
        let trunk = target.trunk.as_ref().and_then(|name| self.trunk(name))?;
        let (security, suites) = (trunk.security, trunk.suites.clone());
        if security == Security::Off {
            return None;
        }
        let draw = |suite: Suite| {
            let mut octets = Zeroizing::new([0; MOST_MASTER_OCTETS]);
            self.random.fill_bytes(&mut octets[..]);
            Some((suite, Master::new(suite, &octets[..suite.master_octets()])?))
        };
        let keys: Vec<_> = suites.into_iter().filter_map(draw).collect();
        (!keys.is_empty()).then_some(OwnKeys { required: security == Security::Required, keys })
    }

    /// The way for requests that are too large for a datagram: TCP to the same place, where neither the URI nor the
    /// trunk says by which transport it is reached.
    fn wide_way(&self, target: &Target, trunk: Option<&Trunk>, place: Place) -> Option<Way> {
        let fixed = target.transport.or_else(|| trunk.and_then(|trunk| trunk.transport));
        if fixed.is_some() || place.transport != Transport::Udp {
            return None;
        }
        let place = Place { transport: Transport::Tcp, ..place };
        let listener = self.listener_for(place, trunk.map(|trunk| trunk.listener))?;
        let local = self.settings.listeners.get(usize::from(listener.0))?.address;
        Some(Way { path: Path { listener, transport: place.transport, address: place.address }, local })
    }

    /// One of our RTP ports, as parties know it.
    pub(super) fn media_address(&self, port: LocalPort) -> Option<SocketAddr> {
        let address = self.settings.media_addresses.get(usize::from(port.address))?;
        Some(SocketAddr::new(*address, port.port))
    }

    pub(super) fn transport_of(&self, listener: Listener) -> Transport {
        let local = self.settings.listeners.get(usize::from(listener.0));
        local.map_or(Transport::Udp, |local| local.transport)
    }

    /// A datagram came in.
    pub fn receive(&mut self, now: Now, listener: Listener, source: SocketAddr, bytes: &[u8]) {
        self.counters.datagrams_received += 1;
        let path = Path { listener, transport: self.transport_of(listener), address: source };
        let message = match Message::parse(bytes) {
            Ok(message) => message,
            Err(error) => {
                // Empty lines keep a binding alive (RFC 5626 section 3.5.1); they are nobody's mistake.
                if bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n' | 0)) {
                    self.counters.datagrams_malformed += 1;
                    if self.answers_strangers(now, source) {
                        let answer = crate::message::refusal(bytes, &error, source);
                        self.answer(listener, answer.map(|bytes| (source, bytes)));
                    }
                }
                return;
            }
        };
        let call_id = call_id_of(message.call_id()).filter(|call_id| self.legs.contains_key(call_id));
        match call_id {
            Some(call_id) => {
                self.handle_leg(now, call_id, leg::Input::Received { path, message: &message });
                self.work_off(now);
            }
            None if self.receive_peer(now, path, &message) => self.work_off(now),
            None if message.is_request() => {
                self.counters.stray_requests += 1;
                if !self.answers_strangers(now, source) {
                    return;
                }
                let answer = leg::outside::answer(&message, source, self.secret);
                // Over a connection the answer goes back over it, whatever Via says (RFC 3261 section 18.2.2).
                let answer = match path.transport.is_reliable() {
                    true => answer.map(|(_, bytes)| (source, bytes)),
                    false => answer,
                };
                self.answer(listener, answer);
            }
            None => self.counters.stray_responses += 1,
        }
    }

    fn answers_strangers(&mut self, now: Now, source: SocketAddr) -> bool {
        let may = self.strangers.may_be_answered(now.instant, source.ip());
        self.counters.strangers_unanswered += u64::from(!may);
        may
    }

    fn answer(&mut self, listener: Listener, answer: Option<(SocketAddr, Vec<u8>)>) {
        if let Some((destination, bytes)) = answer {
            self.send(listener, destination, bytes);
        }
    }

    pub(super) fn send(&mut self, listener: Listener, destination: SocketAddr, bytes: Vec<u8>) {
        self.counters.datagrams_sent += 1;
        self.outputs.push_back(Output::Send { listener, destination, bytes });
    }

    /// A datagram could not be sent, or came back as unreachable (RFC 3261 section 8.1.3.1): those who wait for an
    /// answer from there need not wait on.
    pub fn unreachable(&mut self, now: Now, listener: Listener, destination: SocketAddr) {
        let path = Path { listener, transport: self.transport_of(listener), address: destination };
        // A look at every leg costs less than an index kept for it; only those concerned have work.
        let concerned = self.legs.iter().filter(|(_, slot)| slot.leg.awaits(path));
        let waiting: Vec<u128> = concerned.map(|(call_id, _)| *call_id).collect();
        for call_id in waiting {
            self.handle_leg(now, call_id, leg::Input::Unreachable { path });
        }
        self.unreachable_peers(now, path);
        self.work_off(now);
    }

    /// Gives a leg something, and passes on what it says.
    pub(super) fn handle_leg(&mut self, now: Now, call_id: u128, input: leg::Input<'_>) {
        if let Some(slot) = self.legs.get_mut(&call_id) {
            slot.leg.handle(now.instant, input);
            self.settle_leg(now, call_id);
        }
    }

    pub(super) fn settle_leg(&mut self, now: Now, call_id: u128) {
        while let Some(output) = self.legs.get_mut(&call_id).and_then(|slot| slot.leg.poll_output()) {
            self.leg_says(now, call_id, output);
        }
        let Some(slot) = self.legs.get_mut(&call_id) else { return };
        let deadline = slot.leg.next_deadline();
        self.deadlines.set(Sleeper::Leg(call_id), &mut slot.deadline, deadline);
        let revision = slot.leg.revision();
        if core::mem::replace(&mut slot.revision, revision) != revision {
            let (party, attempt, event) = (slot.party, slot.attempt, LegEvent::Again);
            self.work.push_back((slot.serial, Input::Leg { party, attempt, event }));
        }
    }

    fn leg_says(&mut self, now: Now, call_id: u128, output: leg::Output) {
        let event = match output {
            leg::Output::Send { path, bytes } => return self.send(path.listener, path.address, bytes),
            leg::Output::Gone => return self.leg_gone(call_id),
            leg::Output::Locate { question } => return self.search_for_leg(call_id, question),
            leg::Output::Provisional { status, early_media } => {
                self.leg_rings(now, call_id, status);
                LegEvent::Provisional { status, early_media }
            }
            leg::Output::Secured { keys } => LegEvent::Secured { keys },
            leg::Output::Pressed { key, milliseconds } => LegEvent::Pressed { key, milliseconds },
            leg::Output::FarEnd { far_end } => LegEvent::FarEnd { far_end },
            leg::Output::Again => LegEvent::Again,
            leg::Output::Answered { far_end } => {
                *self.counters.attempts.entry(200).or_insert(0) += 1;
                if let Some(name) = self.legs.get(&call_id).and_then(|slot| slot.trunk.as_ref()) {
                    self.trunks.answered(name);
                }
                LegEvent::Answered { far_end }
            }
            leg::Output::Failed { status, retry_after, contacts, unusable, silent, .. } => {
                *self.counters.attempts.entry(status).or_insert(0) += 1;
                self.learn(now, call_id, status, retry_after, silent);
                self.uncount_trunk(call_id);
                if let Some((serial, party)) = self.present(call_id)
                    && self.goes_on(now, serial, party, Outcome { status, silent, contacts })
                {
                    return;
                }
                LegEvent::Failed { status, unusable }
            }
            leg::Output::Ended { cause } => {
                self.uncount_trunk(call_id);
                LegEvent::Ended { cause }
            }
        };
        if let Some(slot) = self.legs.get(&call_id) {
            let (party, attempt) = (slot.party, slot.attempt);
            self.work.push_back((slot.serial, Input::Leg { party, attempt, event }));
        }
    }

    /// The resource and party of a leg that is their present attempt.
    fn present(&self, call_id: u128) -> Option<(u64, Party)> {
        let slot = self.legs.get(&call_id)?;
        let attempt = self.resources.get(&slot.serial)?.attempts[slot.party.index()];
        (attempt == Attempt::Leg(call_id)).then_some((slot.serial, slot.party))
    }

    /// What the end of a call says of its trunk and of the place it went to.
    fn learn(&mut self, now: Now, call_id: u128, status: u16, retry_after: Option<u32>, silent: bool) {
        let Some(slot) = self.legs.get(&call_id) else { return };
        if let Some(name) = &slot.trunk {
            self.trunks.failed(name, status);
        }
        match (silent, status, retry_after) {
            (true, ..) => self.resting.unheard(now.instant, slot.place.address),
            (false, 503, Some(seconds)) => self.resting.asked(now.instant, slot.place.address, seconds),
            _ => self.resting.heard(slot.place.address),
        }
    }

    fn leg_rings(&mut self, now: Now, call_id: u128, status: u16) {
        let Some(slot) = self.legs.get_mut(&call_id) else { return };
        self.resting.heard(slot.place.address);
        if matches!(status, 180 | 183)
            && !core::mem::replace(&mut slot.rang, true)
            && let Some(name) = &slot.trunk
        {
            self.trunks.rang(name, now.instant.since(slot.began));
        }
    }

    fn leg_gone(&mut self, call_id: u128) {
        let Some(mut slot) = self.legs.remove(&call_id) else { return };
        self.searches.retain(|_, search| !matches!(search, Search::Leg(waiting, _) if *waiting == call_id));
        self.deadlines.set(Sleeper::Leg(call_id), &mut slot.deadline, None);
        if let Some(name) = slot.trunk.take() {
            self.trunks.remove(&name);
        }
        self.work.push_back((slot.serial, Input::LegGone { party: slot.party }));
    }

    /// The leg's call is over: its trunk has room again.
    pub(super) fn uncount_trunk(&mut self, call_id: u128) {
        if let Some(name) = self.legs.get_mut(&call_id).and_then(|slot| slot.trunk.take()) {
            self.trunks.remove(&name);
        }
    }
}

/// The caller as From shows it, and what the trunk is told beside it (RFC 3325, RFC 3323 section 4.1.1.3).
fn shown(trunk: Option<&Trunk>, caller: UriBuf) -> Option<(UriBuf, Assertion)> {
    let Some(trunk) = trunk else { return Some((caller, Assertion::default())) };
    let identity = trunk.asserts_identity.then(|| caller.clone());
    let assertion = Assertion { identity, private: trunk.private };
    let caller = if trunk.private { UriBuf::parse(ANONYMOUS).ok()? } else { caller };
    Some((caller, assertion))
}

/// Our own Call-IDs are 32 hexadecimal digits and nothing else.
pub(super) fn call_id_of(text: &str) -> Option<u128> {
    let lower = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    if text.len() != 32 || !text.bytes().all(lower) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

/// The offered codecs, that of the other party first: then nothing has to be translated.
fn preferred(codecs: &[Codec], first: Option<Codec>) -> Vec<Codec> {
    let mut codecs = codecs.to_vec();
    codecs.sort_by_key(|codec| Some(*codec) != first);
    codecs
}
