//! Where the requests inside a dialog go: by the transport that its remote target or first route names, to where its
//! host is located (RFC 3263), over TCP when they are too large for a datagram (RFC 3261 section 18.1.1).
//!
//! A host is looked for once, when a dialog leads there for the first time. The response that makes the dialog waits
//! meanwhile, so that nothing of the dialog is sent elsewhere; for all others the leg goes on. So does the BYE of a call
//! that was taken over from a process that died. A host that is not found is reached the way the INVITE went.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use duogate_channel::time::Instant;

use super::errands::{Errand, Kind};
use super::{Leg, Output};
use crate::dialog::{Dialog, Hop};
use crate::message::{Message, Method, Name, Status};
use crate::transaction::{ClientId, Listener, Local, Path, Place, Question, Transport, Way};

/// Hosts that the dialogs of one call may lead to; further ones are reached the way the INVITE went.
const MAX_NAMES: usize = 8;

/// Responses that wait for a host; further ones are as if they had been lost, and come again.
const MAX_WAITING: usize = 8;

/// How often a call sends a request again because a connection or a host was lost.
const MAX_AGAIN: u8 = 4;

/// What is known of a host.
#[derive(Debug)]
struct Known {
    question: Question,
    /// In the order in which they shall be tried; none while it is looked for.
    places: Option<Vec<Place>>,
}

/// All that one call knows of the ways of its dialogs.
#[derive(Debug)]
pub(super) struct Hops {
    exits: Arc<[Local]>,
    names: Vec<Known>,
    waiting: VecDeque<(Path, Vec<u8>)>,
    /// May what is large go over TCP where no transport is named?
    widens: bool,
    /// How often something may still be sent again.
    again: u8,
    /// The way of the latest BYE.
    pub(super) bye: Option<Path>,
    /// A BYE is due as soon as its host is located.
    pub(super) bye_waits: bool,
    /// The call was taken over from another process: its BYE may wait for its host.
    pub(super) taken_over: bool,
}

impl Hops {
    pub(super) fn new(exits: Arc<[Local]>, widens: bool) -> Self {
        let (names, waiting) = (Vec::new(), VecDeque::new());
        Self {
            exits,
            names,
            waiting,
            widens,
            again: MAX_AGAIN,
            bye: None,
            bye_waits: false,
            taken_over: false,
        }
    }

    fn known(&mut self, question: &Question) -> Option<&mut Known> {
        self.names.iter_mut().find(|known| known.question == *question)
    }

    fn place(&self, question: &Question) -> Option<Place> {
        let known = self.names.iter().find(|known| known.question == *question)?;
        known.places.as_ref()?.first().copied()
    }

    /// One of our sockets for that place, the wanted one if it suits.
    fn exit(&self, place: Place, wanted: Listener) -> Option<(Listener, Local)> {
        let all = (0_u16..).zip(self.exits.iter()).map(|(index, local)| (Listener(index), *local));
        let suits = |(_, local): &(Listener, Local)| {
            local.transport == place.transport && local.address.is_ipv4() == place.address.is_ipv4()
        };
        let mut suitable: Vec<(Listener, Local)> = all.filter(suits).collect();
        suitable.sort_by_key(|(listener, _)| *listener != wanted);
        suitable.first().copied()
    }
}

impl Leg {
    /// The way of a dialog's next request.
    pub(super) fn way(&self, dialog: &Dialog) -> Way {
        match dialog.next_hop(self.call.is_secure()) {
            Hop::Nowhere => self.own_way(),
            Hop::There(address, transport) => {
                self.way_to(Place { transport: transport.unwrap_or(self.path.transport), address })
            }
            Hop::Named(question) => {
                self.hops.place(&question).map_or_else(|| self.own_way(), |place| self.way_to(place))
            }
        }
    }

    pub(super) fn own_way(&self) -> Way {
        Way { path: self.path, local: self.call.local }
    }

    /// Without a socket of that transport, the INVITE's has to do.
    fn way_to(&self, place: Place) -> Way {
        let own = self.own_way();
        let Place { transport, address } = place;
        match self.hops.exit(place, own.path.listener) {
            Some((listener, local)) => {
                Way { path: Path { listener, transport, address }, local: local.address }
            }
            None => Way { path: Path { address, ..own.path }, ..own },
        }
    }

    /// The way of a request that is too large for a datagram; none where it may go as it is.
    pub(super) fn wide_way(&self, dialog: &Dialog, way: Way, octets: usize) -> Option<Way> {
        let fixed = match dialog.next_hop(self.call.is_secure()) {
            Hop::There(_, transport) => transport.is_some(),
            Hop::Named(question) => question.transport.is_some(),
            Hop::Nowhere => false,
        };
        if fixed || !self.hops.widens || !super::size::is_too_large(octets, way.path.transport) {
            return None;
        }
        let place = Place { transport: Transport::Tcp, address: way.path.address };
        let (listener, local) = self.hops.exit(place, way.path.listener)?;
        let path = Path { listener, transport: place.transport, address: place.address };
        Some(Way { path, local: local.address })
    }

    /// Asks for the host that a dialog leads to, if it is a new one. True if it is being looked for.
    fn ask_for(&mut self, dialog: &Dialog) -> bool {
        let Hop::Named(question) = dialog.next_hop(self.call.is_secure()) else { return false };
        if let Some(known) = self.hops.known(&question) {
            return known.places.is_none();
        }
        if self.hops.names.len() >= MAX_NAMES {
            return false;
        }
        self.hops.names.push(Known { question: question.clone(), places: None });
        self.outputs.push_back(Output::Locate { question });
        true
    }

    /// The target of the chosen dialog may have moved.
    pub(super) fn ask_for_chosen(&mut self) {
        if let Some(dialog) = self.chosen.as_ref().map(|chosen| chosen.dialog.clone()) {
            self.ask_for(&dialog);
        }
    }

    /// Does a response make a dialog whose host is still looked for? Then it waits. Provisional ones that want no
    /// PRACK do not: nothing is sent for them.
    pub(super) fn waits(&mut self, path: Path, message: &Message<'_>) -> bool {
        let status = message.status().map_or(0, Status::code);
        let cseq = message.cseq();
        if !(101..300).contains(&status)
            || (cseq.method, cseq.number) != (Method::Invite, self.invite_cseq)
            || message.to().tag().is_none()
        {
            return false;
        }
        let looked_for = self.ask_for(&Dialog::from_response(&self.call, message));
        let wants_answer = status >= 200 || message.lists(Name::Require, "100rel");
        if !(looked_for && wants_answer) && self.hops.waiting.is_empty() {
            return false;
        }
        if self.hops.waiting.len() < MAX_WAITING {
            self.hops.waiting.push_back((path, message.to_bytes()));
        }
        true
    }

    /// Is the host of the chosen dialog still looked for? Then its BYE goes when that has ended, which it does in
    /// bounded time.
    pub(super) fn bye_has_to_wait(&mut self) -> bool {
        let chosen = self.chosen.as_ref().filter(|_| self.hops.taken_over);
        let dialog = chosen.map(|chosen| chosen.dialog.clone());
        self.hops.bye_waits = dialog.is_some_and(|dialog| self.ask_for(&dialog));
        self.hops.bye_waits
    }

    /// A host was located, or was not: what waited for it goes on.
    pub(super) fn located(&mut self, now: Instant, question: &Question, places: &[Place]) {
        let reachable = places.iter().filter(|place| self.hops.exit(**place, self.path.listener).is_some());
        let reachable: Vec<Place> = reachable.copied().collect();
        let Some(known) = self.hops.known(question) else { return };
        known.places = Some(reachable);
        for (path, bytes) in core::mem::take(&mut self.hops.waiting) {
            if let Ok(message) = Message::parse(&bytes) {
                self.receive(now, path, &message);
            }
        }
        if core::mem::take(&mut self.hops.bye_waits) {
            self.send_bye(now);
        }
    }

    /// A request inside a dialog could not be sent, or nobody answered it. True if it was sent again another way: by
    /// UDP what was moved to TCP for its size, to the host's next place, or over a new connection.
    pub(super) fn goes_another_way(&mut self, now: Instant, id: ClientId, lost: bool) -> bool {
        let errand = self.errands.iter().position(|errand| errand.id == id);
        let (dialog, path) = match errand {
            Some(place) => (self.dialog_of(&self.errands[place].kind), Some(self.errands[place].path)),
            None if self.bye == Some(id) => (self.chosen.as_ref().map(|it| it.dialog.clone()), self.hops.bye),
            None => return false,
        };
        let (Some(dialog), Some(path)) = (dialog, path) else { return false };
        if self.hops.again == 0 || !self.turns(&dialog, path, lost) {
            return false;
        }
        self.hops.again -= 1;
        match errand.map(|place| self.errands.remove(place)) {
            None => self.send_bye(now),
            Some(Errand { kind: Kind::Prack { tag, rack }, .. }) => self.send_prack(now, &tag, rack),
            Some(Errand { kind: Kind::Dismissal { tag }, .. }) => self.send_dismissal(now, &tag),
            Some(_) if self.state.is_talking() => self.refresh(now),
            Some(_) => {}
        }
        true
    }

    fn dialog_of(&self, kind: &Kind) -> Option<Dialog> {
        match kind {
            Kind::Prack { tag, .. } => self.early.get(tag).map(|early| early.dialog.clone()),
            Kind::Dismissal { tag } => {
                let mut all = self.dismissed.iter();
                all.find(|fork| fork.dialog.remote_tag == *tag).map(|fork| fork.dialog.clone())
            }
            // One that was answered has only to be acknowledged, which has no transaction.
            Kind::Invite { ack_branch: Some(_), .. } => None,
            Kind::Update | Kind::Invite { .. } => self.chosen.as_ref().map(|chosen| chosen.dialog.clone()),
        }
    }

    /// Is there another way for a request that went this one in vain? Then it is taken from now on.
    fn turns(&mut self, dialog: &Dialog, path: Path, lost: bool) -> bool {
        if path != self.way(dialog).path && path.transport == Transport::Tcp {
            self.hops.widens = false;
            return true;
        }
        if let Hop::Named(question) = dialog.next_hop(self.call.is_secure())
            && let Some(places) = self.hops.known(&question).and_then(|known| known.places.as_mut())
            && places.len() > 1
        {
            // The last place stays: it is as good as none.
            places.retain(|place| place.address != path.address || place.transport != path.transport);
            return !places.is_empty();
        }
        lost && path.transport.is_reliable()
    }
}
