//! The side of a phone that asks: INVITE, re-INVITE, CANCEL, BYE (RFC 3261 sections 9.1, 13.2, 14.1, 15.1.1, 17.1).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use duogate_signaling::message::{Builder, Message, Method, Name};

use crate::call::{ALLOW, Call, GIVE_UP, Repeat, Stage, T2, contact, schedule};
use crate::line::{Line, Output, What, description};
use crate::sdp::Direction;

/// A request that waits for its final response.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    branch: String,
    method: Method<'static>,
    repeat: Repeat,
    /// A provisional response has come: an INVITE is not repeated any more.
    proceeding: bool,
    /// To be canceled as soon as a provisional response has come (RFC 3261 section 9.1).
    cancel: bool,
}

impl Client {
    pub(crate) fn is(&self, method: Method<'_>) -> bool {
        self.method == method
    }
}

impl Line {
    fn via(&self, branch: &str) -> String {
        format!("SIP/2.0/UDP {};branch={branch};rport", self.sip)
    }

    /// Sends a request and keeps it until it is answered.
    fn ask(&mut self, now: Instant, method: Method<'static>, branch: String, bytes: Vec<u8>, to: SocketAddr) {
        self.send(bytes.clone(), to);
        let repeat = Repeat::new(now, bytes, to);
        self.clients.push(Client { branch, method, repeat, proceeding: false, cancel: false });
    }

    /// Calls somebody.
    pub(crate) fn dial(&mut self, now: Instant, target: SocketAddr) {
        if self.call.as_ref().is_some_and(|call| call.stage != Stage::Ended) {
            return;
        }
        let (tag, id) = (self.words.word(), self.words.word());
        let uri = format!("sip:phone@{target}");
        let call = Call {
            id,
            ours: format!("{};tag={tag}", self.contact()),
            theirs: format!("<{uri}>"),
            our_tag: tag,
            their_tag: None,
            target: uri,
            routes: Vec::new(),
            source: target,
            stage: Stage::Calling,
            our_cseq: 1,
            their_cseq: 0,
            invite: Vec::new(),
            offer: None,
            agreement: None,
            description: self.ours(),
            misses: self.script.misses,
            steps: schedule(&self.script, now),
            repeat: None,
            acknowledgement: None,
        };
        self.call = Some(call);
        self.event(What::Calling);
        self.invite(now);
    }

    /// Sends an INVITE of the call, the first or a later one.
    fn invite(&mut self, now: Instant) {
        let branch = self.branch();
        let (via, contact) = (self.via(&branch), self.contact());
        let Some(call) = &mut self.call else { return };
        let (builder, to) = call.request(Method::Invite, call.our_cseq, via);
        let builder = builder.header(Name::Contact, contact).header(Name::Allow, ALLOW);
        let offer = call.our_offer(&self.script);
        if let Ok(bytes) = builder.build_with("application/sdp", offer.as_bytes()) {
            call.invite.clone_from(&bytes);
            self.ask(now, Method::Invite, branch, bytes, to);
        }
    }

    fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.words.word())
    }

    /// Puts the peer on hold, or ends that.
    pub(crate) fn change(&mut self, now: Instant, direction: Direction) {
        if self.clients.iter().any(|client| client.is(Method::Invite)) {
            return;
        }
        let Some(call) = &mut self.call else { return };
        call.description.direction = direction;
        call.description.version += 1;
        call.our_cseq += 1;
        self.invite(now);
    }

    /// Ends the call.
    pub(crate) fn hang_up(&mut self, now: Instant) {
        let branch = self.branch();
        let via = self.via(&branch);
        let Some(call) = &mut self.call else { return };
        call.our_cseq += 1;
        let (builder, to) = call.request(Method::Bye, call.our_cseq, via);
        if let Ok(bytes) = builder.build() {
            // First the sound, with its own BYE: afterwards the peer may have closed its ports.
            self.output.push_back(Output::Stop);
            self.ask(now, Method::Bye, branch, bytes, to);
        }
        self.over(What::HungUp);
    }

    /// Gives up a call that is not answered yet.
    pub(crate) fn give_up(&mut self, now: Instant) {
        let Some(client) = self.clients.iter_mut().find(|client| client.is(Method::Invite)) else { return };
        client.cancel = true;
        if client.proceeding {
            self.cancel(now);
        }
    }

    fn cancel(&mut self, now: Instant) {
        let Some(client) = self.clients.iter_mut().find(|client| client.is(Method::Invite) && client.cancel)
        else {
            return;
        };
        client.cancel = false;
        let (branch, bytes, to) = (client.branch.clone(), client.repeat.bytes.clone(), client.repeat.to);
        let Ok(invite) = Message::parse(&bytes) else { return };
        if let Ok(cancel) = Builder::cancellation(&invite).build() {
            self.ask(now, Method::Cancel, branch, cancel, to);
        }
    }

    /// A response to one of our requests.
    pub(crate) fn response(&mut self, now: Instant, response: &Message<'_>) {
        let Some(status) = response.status() else { return };
        let branch = response.via().branch().unwrap_or_default();
        let place =
            self.clients.iter().position(|client| client.branch == branch && client.is(response.method()));
        let Some(place) = place else { return self.again(response) };
        if status.is_provisional() {
            self.clients[place].proceeding = true;
            if response.method() == Method::Invite {
                self.progress(response, status.code());
                self.cancel(now);
            }
            return;
        }
        let client = self.clients.remove(place);
        match response.method() {
            Method::Invite if status.is_success() => self.answered(response),
            Method::Invite => self.rejected(&client, response, status.code()),
            _ => {}
        }
    }

    /// The 200 has come again: our ACK was lost.
    fn again(&mut self, response: &Message<'_>) {
        let call = self.call.as_ref().filter(|call| call.id == response.call_id());
        let is_answer =
            response.method() == Method::Invite && response.status().is_some_and(|s| s.is_success());
        if let (true, Some((bytes, to))) = (is_answer, call.and_then(|call| call.acknowledgement.clone())) {
            self.send(bytes, to);
        }
    }

    fn progress(&mut self, response: &Message<'_>, status: u16) {
        if status > 100 {
            self.event(What::Progress(status));
        }
        self.take_description(response);
    }

    fn take_description(&mut self, response: &Message<'_>) {
        let Ok(Some(answer)) = description(response) else { return };
        let Some(call) = &mut self.call else { return };
        if let Some(agreement) = call.take_answer(&self.script, &answer) {
            let voice = self.script.voice;
            self.agreed(agreement, Some(voice));
        }
    }

    fn answered(&mut self, response: &Message<'_>) {
        self.take_description(response);
        let branch = self.branch();
        let via = self.via(&branch);
        let Some(call) = &mut self.call else { return };
        let first = call.stage == Stage::Calling;
        call.theirs = response.header(Name::To).unwrap_or_default().to_owned();
        call.their_tag = response.to().tag().map(str::to_owned);
        call.target = contact(response).unwrap_or_else(|| call.target.clone());
        if first {
            call.routes = response.record_routes().flatten().map(|route| route.to_string()).collect();
            call.routes.reverse();
            call.stage = Stage::Confirmed;
        }
        let (builder, to) = call.request(Method::Ack, response.cseq().number, via);
        if let Ok(bytes) = builder.build() {
            call.acknowledgement = Some((bytes.clone(), to));
            self.send(bytes, to);
        }
        self.event(if first { What::Connected } else { What::ChangeAnswered(200) });
    }

    fn rejected(&mut self, client: &Client, response: &Message<'_>, status: u16) {
        let invite = Message::parse(&client.repeat.bytes);
        if let Some(bytes) =
            invite.ok().and_then(|invite| Builder::acknowledgement(&invite, response).build().ok())
        {
            self.send(bytes, client.repeat.to);
        }
        if self.call.as_ref().is_some_and(|call| call.stage == Stage::Calling) {
            self.over(What::Failed(status));
        } else {
            self.event(What::ChangeAnswered(status));
        }
    }

    pub(crate) fn advance_clients(&mut self, now: Instant) {
        let mut sends = Vec::new();
        let mut gone = Vec::new();
        self.clients.retain_mut(|client| {
            let is_invite = client.is(Method::Invite);
            if client.repeat.expired(now) && !(is_invite && client.proceeding) {
                gone.push(client.method);
                return false;
            }
            // Unlike other requests, INVITE has no longest gap, and stops with the first provisional response.
            let longest = if is_invite { GIVE_UP } else { T2 };
            if !(is_invite && client.proceeding) && client.repeat.due(now, longest) {
                sends.push((client.repeat.bytes.clone(), client.repeat.to));
            }
            true
        });
        for (bytes, to) in sends {
            self.send(bytes, to);
        }
        for method in gone {
            self.event(What::Unanswered(method.to_string()));
            if method == Method::Invite && self.call.as_ref().is_some_and(|call| call.stage == Stage::Calling)
            {
                self.over(What::Failed(408));
            }
        }
    }
}

/// The time until something is due by itself is never longer than this, so a phone need not compute it.
pub(crate) const TICK: Duration = Duration::from_millis(5);
