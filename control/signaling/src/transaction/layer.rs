//! All transactions together.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use duogate_channel::time::Instant;

use super::key::KeyWriter;
use super::machine::Machine;
use super::table::{Table, Transaction};
use super::timer::{Effect, Timers};
use super::{CancelError, ClientId, Delivery, Output, Path, RequestError, RespondError, ServerId, Settings};
use crate::message::{Builder, Message, Method, Name, Status};

/// The table of all transactions.
#[derive(Debug)]
pub struct Layer {
    settings: Settings,
    table: Table,
    keys: KeyWriter,
    outputs: VecDeque<Output>,
}

impl Layer {
    /// An empty table.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, table: Table::default(), keys: KeyWriter::default(), outputs: VecDeque::new() }
    }

    /// Begins a client transaction with a request that [`Builder`] has printed (any method but ACK, which is sent
    /// without one). Its topmost Via carries a branch that is unique.
    ///
    /// # Errors
    /// Why not.
    pub fn request(&mut self, now: Instant, path: Path, bytes: Vec<u8>) -> Result<ClientId, RequestError> {
        let message = Message::parse(&bytes).map_err(|_| RequestError::NotARequest)?;
        let method = message.method();
        if !message.is_request() || method == Method::Ack || !message.via().is_rfc3261() {
            return Err(RequestError::NotARequest);
        }
        let (machine, effects) = Machine::begin_client(method);
        let key = self.keys.client(&message);
        let place = Self::insert(&mut self.table, &self.settings, key, machine, path, bytes)?;
        self.apply(now, place, effects, None);
        Ok(ClientId(place))
    }

    fn insert(
        table: &mut Table,
        settings: &Settings,
        key: &[u8],
        machine: Machine,
        path: Path,
        bytes: Vec<u8>,
    ) -> Result<u64, RequestError> {
        if table.len() >= settings.limit {
            return Err(RequestError::Full);
        }
        let transaction = Transaction { machine, timers: Timers::default(), path, bytes, trying: Vec::new() };
        table.insert(key, transaction).ok_or(RequestError::Duplicate)
    }

    /// Begins a CANCEL for an INVITE in Proceeding, with a Reason (RFC 3326) if given. If no final response comes
    /// to the INVITE within 64·T1, it times out.
    ///
    /// # Errors
    /// Why not.
    pub fn cancel(
        &mut self,
        now: Instant,
        invite: ClientId,
        reason: Option<&str>,
    ) -> Result<ClientId, CancelError> {
        let transaction = self.table.get(invite.0).ok_or(CancelError::TooLate)?;
        if transaction.machine.is_calling() {
            return Err(CancelError::TooEarly);
        }
        if !transaction.machine.is_proceeding() {
            return Err(CancelError::TooLate);
        }
        let path = transaction.path;
        let message = Message::parse(&transaction.bytes).map_err(|_| RequestError::NotARequest)?;
        let cancel = Builder::cancellation(&message).optional(Name::Reason, reason).build();
        let id = self.request(now, path, cancel.map_err(|_| RequestError::NotARequest)?)?;
        self.drive(now, invite.0, Machine::cancel);
        Ok(id)
    }

    /// Takes in a message. Where it came from does not count for matching (RFC 3261 sections 17.1.3, 17.2.3): a
    /// branch is what nobody else can guess.
    pub fn receive(&mut self, now: Instant, message: &Message<'_>) -> Delivery {
        match message.status() {
            Some(status) => self.receive_response(now, message, status),
            None if message.method() == Method::Ack => self.receive_ack(now, message),
            None => self.receive_request(now, message),
        }
    }

    fn receive_response(&mut self, now: Instant, message: &Message<'_>, status: Status) -> Delivery {
        // More than one Via: it was not meant for us (RFC 3261 section 8.1.3.3).
        let found = self.table.find(self.keys.client(message)).filter(|_| message.vias().count() == 1);
        let Some(place) = found else {
            return Delivery::Stray;
        };
        let effects = self.step(place, |machine| machine.response(status));
        let deliver = effects.contains(&Effect::Deliver);
        self.apply(now, place, effects, Some(message));
        if deliver { Delivery::Response(ClientId(place)) } else { Delivery::Absorbed }
    }

    fn receive_ack(&mut self, now: Instant, message: &Message<'_>) -> Delivery {
        let Some(place) = self.table.find(self.keys.server(message, Method::Invite)) else {
            return Delivery::Acknowledgement;
        };
        let effects = self.step(place, Machine::ack);
        let deliver = effects.contains(&Effect::Deliver);
        self.apply(now, place, effects, Some(message));
        if deliver { Delivery::Acknowledgement } else { Delivery::Absorbed }
    }

    fn receive_request(&mut self, now: Instant, message: &Message<'_>) -> Delivery {
        let method = message.method();
        if let Some(place) = self.table.find(self.keys.server(message, method)) {
            // Answers go where the first copy came from: a stranger who repeats a request gets nothing.
            self.drive(now, place, Machine::request);
            return Delivery::Absorbed;
        }
        if method != Method::Cancel {
            return Delivery::Request;
        }
        let invite = self.table.find(self.keys.server(message, Method::Invite));
        invite.map_or(Delivery::Request, |place| Delivery::Cancel(ServerId(place)))
    }

    /// Begins a server transaction for a message that was [`Delivery::Request`] or [`Delivery::Cancel`].
    ///
    /// # Errors
    /// Why not.
    pub fn accept(
        &mut self,
        now: Instant,
        path: Path,
        request: &Message<'_>,
    ) -> Result<ServerId, RequestError> {
        let method = request.method();
        if !request.is_request() || method == Method::Ack {
            return Err(RequestError::NotARequest);
        }
        let (machine, effects) = Machine::begin_server(method);
        let reply = match path.transport.is_reliable() {
            true => path,
            false => Path { address: request.via().reply_address(path.address), ..path },
        };
        let key = self.keys.server(request, method);
        let place = Self::insert(&mut self.table, &self.settings, key, machine, reply, Vec::new())?;
        if method == Method::Invite
            && let Some(transaction) = self.table.get_mut(place)
        {
            // A request that was parsed can be answered; were it not so, no 100 would be sent.
            let trying = Builder::response_to(request, path.address, Status::TRYING, None).build();
            transaction.trying = trying.unwrap_or_default();
        }
        self.apply(now, place, effects, None);
        Ok(ServerId(place))
    }

    /// Answers with a response that [`Builder::response_to`] has made. Final ones are repeated as the RFC wants; a
    /// 2xx to INVITE too, until [`Layer::acknowledged`].
    ///
    /// # Errors
    /// Why not.
    pub fn respond(&mut self, now: Instant, id: ServerId, bytes: Vec<u8>) -> Result<(), RespondError> {
        let status = Message::parse(&bytes).ok().and_then(|message| message.status());
        let status = status.ok_or(RespondError::NotAResponse)?;
        let transaction = self.table.get_mut(id.0).ok_or(RespondError::Gone)?;
        if !transaction.machine.is_unanswered() {
            return Err(RespondError::Answered);
        }
        transaction.bytes = bytes;
        self.drive(now, id.0, |machine| machine.answer(status));
        Ok(())
    }

    /// The dialog has seen the ACK for this 2xx: it is repeated no more.
    pub fn acknowledged(&mut self, now: Instant, id: ServerId) {
        self.drive(now, id.0, Machine::acknowledged);
    }

    /// The transport says that the request cannot be delivered.
    pub fn transport_failed(&mut self, now: Instant, id: ClientId) {
        self.drive(now, id.0, Machine::transport_failed);
    }

    /// Where the request was sent; none once it is over.
    #[must_use]
    pub fn path(&self, id: ClientId) -> Option<Path> {
        self.table.get(id.0).map(|transaction| transaction.path)
    }

    /// Does what is due.
    pub fn advance(&mut self, now: Instant) {
        while let Some(place) = self.table.due(now) {
            let timer = self.table.get_mut(place).and_then(|transaction| transaction.timers.take_due(now));
            let Some(timer) = timer else {
                self.table.schedule(place);
                continue;
            };
            self.drive(now, place, |machine| machine.timer(timer));
        }
    }

    /// When [`Layer::advance`] must be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.table.next_deadline()
    }

    /// What is to be done, in its order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Transactions at present.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One transition and what it brings about.
    fn drive(&mut self, now: Instant, place: u64, input: impl FnOnce(&mut Machine) -> &'static [Effect]) {
        let effects = self.step(place, input);
        self.apply(now, place, effects, None);
    }

    fn step(
        &mut self,
        place: u64,
        input: impl FnOnce(&mut Machine) -> &'static [Effect],
    ) -> &'static [Effect] {
        self.table.get_mut(place).map_or(&[], |transaction| input(&mut transaction.machine))
    }

    fn apply(&mut self, now: Instant, place: u64, effects: &[Effect], message: Option<&Message<'_>>) {
        let Some(transaction) = self.table.get_mut(place) else {
            return;
        };
        let path = transaction.path;
        for effect in effects {
            let output = match *effect {
                Effect::Send => sending(path, transaction.bytes.clone()),
                Effect::SendTrying => {
                    transaction.bytes = core::mem::take(&mut transaction.trying);
                    sending(path, transaction.bytes.clone())
                }
                Effect::Acknowledge => {
                    sending(path, acknowledgement(&transaction.bytes, message).unwrap_or_default())
                }
                Effect::TimedOut => Some(Output::TimedOut(ClientId(place))),
                Effect::Failed => Some(Output::Failed(ClientId(place))),
                Effect::Unacknowledged => Some(Output::Unacknowledged(ServerId(place))),
                Effect::Deliver => None, // the caller has seen to it
                Effect::Start(timer) => {
                    transaction.timers.start(now, timer, &self.settings, path.transport);
                    None
                }
                Effect::StartAtT2(timer) => {
                    transaction.timers.start_at_t2(now, timer, &self.settings, path.transport);
                    None
                }
                Effect::Stop(timer) => {
                    transaction.timers.stop(timer);
                    None
                }
            };
            self.outputs.extend(output);
        }
        transaction.timers.clear_fired();
        let machine = transaction.machine;
        if machine.is_over() {
            self.table.remove(place);
            let client = machine.is_client();
            self.outputs.push_back(match client {
                true => Output::ClientEnded(ClientId(place)),
                false => Output::ServerEnded(ServerId(place)),
            });
        } else {
            self.table.schedule(place);
        }
    }
}

/// Nothing is sent where there is nothing to send.
fn sending(path: Path, bytes: Vec<u8>) -> Option<Output> {
    (!bytes.is_empty()).then_some(Output::Send { path, bytes })
}

/// The ACK for a final response that is no 2xx. The INVITE was parsed when it was sent, and the response when it
/// came, so that nothing stands in the way; were it not so, the far end would repeat its response, and give up.
fn acknowledgement(invite: &[u8], response: Option<&Message<'_>>) -> Option<Vec<u8>> {
    let invite = Message::parse(invite).ok()?;
    Builder::acknowledgement(&invite, response?).build().ok()
}
