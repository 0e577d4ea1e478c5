//! How a session gets its two ports, and how it leaves them.

use duogate_channel::command::{LegOpening, PortChoice};
use duogate_channel::event::{Event, Refusal};
use duogate_channel::identity::{Party, Tag};
use duogate_channel::time::Instant;

use crate::action::{BindError, Socket};
use crate::core::Core;
use crate::path::Path;
use crate::sockets::Bound;
use crate::stream::Stream;
use crate::table::{State, pending};
use crate::wheel::tick_from;

/// How many other ports are tried for one session when other programs hold the ones that were chosen.
const ATTEMPTS: u8 = 64;

impl<P: Path> Core<P> {
    pub(crate) fn open(&mut self, now: Instant, tag: Tag, legs: [LegOpening; 2]) {
        let Some(place) = self.table.claim(tag) else {
            self.counters.refused += 1;
            self.events.answer(Event::Refused { tag, reason: Refusal::NoSlot });
            return;
        };
        self.begin_reports(place);
        for (leg, opening) in self.table.slots[place as usize].legs.iter_mut().zip(legs) {
            leg.choice = opening.port;
            if let Some(beginning) = opening.beginning {
                leg.stream = Stream::resumed(now, beginning);
            }
        }
        // The port that was asked for first, so that a free choice does not take it.
        let mut order = Party::BOTH;
        order.sort_by_key(|party| matches!(legs[party.index()].port, PortChoice::Any { .. }));
        for party in order {
            if !self.claim_port(place, party) {
                self.refuse(place, Refusal::NoPort);
                return;
            }
        }
    }

    /// Claims a port for a party, as it may choose.
    fn claim_port(&mut self, place: u32, party: Party) -> bool {
        let name = leg_name(place, party);
        let socket = match self.table.slots[place as usize].leg(party).choice {
            PortChoice::Any { addresses } => self.claim_any(addresses, name),
            PortChoice::This(port) => {
                self.limits.socket(port).and_then(|socket| self.sockets.claim_place(socket.0, name))
            }
        };
        self.table.slots[place as usize].leg(party).socket = socket;
        socket.is_some()
    }

    /// Claims a port on which nothing is on the path: what a gateway before this one has left there may yet be taken
    /// over by its own session.
    fn claim_any(&mut self, addresses: u8, name: u32) -> Option<Socket> {
        for _ in 0..self.limits.sockets() {
            let socket = self.sockets.claim(addresses, name)?;
            if self.path.read(socket).is_none() {
                return Some(socket);
            }
            self.sockets.leave(socket, false);
        }
        None
    }

    pub(crate) fn port_bound(&mut self, socket: Socket, result: Result<(), BindError>) {
        match self.sockets.bound(socket, result) {
            Bound::Nobody => {}
            Bound::Used(name) if self.sockets.is_for_reports(socket) => {
                self.report_port_bound(name, socket, Ok(()));
            }
            Bound::Failed(name, error) if self.sockets.is_for_reports(socket) => {
                self.report_port_bound(name, socket, Err(error));
            }
            Bound::Used(name) => self.port_opened(name),
            Bound::Failed(name, error) => self.port_failed(name, error),
        }
    }

    fn port_opened(&mut self, name: u32) {
        let (place, party) = leg_of(name);
        let slot = &mut self.table.slots[place as usize];
        slot.leg(party).bound = true;
        let (socket, choice) = (slot.leg(party).socket, slot.leg(party).choice);
        if slot.legs.iter().all(|leg| leg.bound) {
            slot.state = State::Open;
            self.counters.opened += 1;
            self.events.tell(place, slot, pending::OPENED);
        }
        // On a port that was asked for the session may be one that goes on: that shows when it is joined.
        if let (Some(socket), PortChoice::Any { .. }) = (socket, choice) {
            self.clear_port(socket);
        }
    }

    fn port_failed(&mut self, name: u32, error: BindError) {
        let (place, party) = leg_of(name);
        let slot = &mut self.table.slots[place as usize];
        slot.leg(party).socket = None;
        slot.attempts = slot.attempts.saturating_add(1);
        let another = matches!(slot.leg(party).choice, PortChoice::Any { .. }) && slot.attempts <= ATTEMPTS;
        let reason = match error {
            BindError::Refused => Refusal::NoSocket,
            BindError::Taken if another && self.claim_port(place, party) => return,
            BindError::Taken => Refusal::NoPort,
        };
        self.refuse(place, reason);
    }

    fn refuse(&mut self, place: u32, reason: Refusal) {
        // No packet was ever expected on these ports: they need no rest.
        self.leave_ports(Instant::ZERO, place, false);
        let slot = &mut self.table.slots[place as usize];
        slot.state = State::Ended;
        slot.refusal = reason;
        self.counters.refused += 1;
        self.events.tell(place, slot, pending::REFUSED);
    }

    /// Leaves a session's ports; they rest until their time is over, if they are to.
    pub(crate) fn leave_ports(&mut self, now: Instant, place: u32, rest: bool) {
        for party in Party::BOTH {
            let Some(socket) = self.table.slots[place as usize].leg(party).socket else { continue };
            if rest {
                self.clear_port(socket);
            }
            if self.sockets.leave(socket, rest) {
                self.wheel.arm(self.timers.rest(socket), tick_from(now + self.limits.rest));
            }
        }
    }
}

/// How the socket table names a leg.
pub(crate) const fn leg_name(place: u32, party: Party) -> u32 {
    match party {
        Party::One => place * 2,
        Party::Two => place * 2 + 1,
    }
}

/// The leg of a name.
pub(crate) const fn leg_of(name: u32) -> (u32, Party) {
    (name / 2, if name.is_multiple_of(2) { Party::One } else { Party::Two })
}
