//! One outbound call, from INVITE to the end of its last transaction.
//!
//! A leg owns its transactions and dialogs. All of them carry the one Call-ID that the leg made up, so the
//! endpoint needs a single table, from Call-ID to leg: whatever arrives with that Call-ID (responses, requests
//! within the dialog, late and forked answers) is this leg's to judge. Requests with an unknown Call-ID are
//! answered by [`outside::answer`], without a leg.
//!
//! After [`Leg::dial`] and each [`Leg::handle`], drain [`Leg::poll_output`] and then look at
//! [`Leg::next_deadline`]. Each leg says exactly one of `Answered` and `Failed`, after `Answered` at most one
//! `Ended`, and in the end exactly one `Gone`.

mod errands;
mod face;
mod forks;
mod hops;
mod info;
mod orphan;
pub mod outside;
mod requests;
mod responses;
mod session;
mod size;
mod snapshot;
mod state;
mod watch;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;

use duogate_channel::command::FarEnd;
use duogate_channel::srtp::MasterKeys;
use duogate_channel::time::Instant;
use zeroize::Zeroizing;

use crate::dialog::{Call, Request};
use crate::digest::Wallet;
use crate::message::{MAGIC_COOKIE, Message, Method, Name};
use crate::sdp::LocalDescription;
pub use crate::transaction::Way;
use crate::transaction::{self, ClientId, Delivery, Layer, Path};

use errands::{Errand, MAX_ERRANDS, Renewal};
pub use face::{Assertion, Dial, Identity, Input, MediaOffer, Output, SessionInterval};
use forks::{Dismissed, EarlyDialogs};
use hops::Hops;
pub use orphan::Kept;
use requests::Pending;
use responses::{Answer, Failure};
use size::Ways;
pub use snapshot::Snapshot;
use state::{Act, State, Stimulus};
pub use watch::Refresh;

/// CSeq of the first INVITE.
const INVITE_CSEQ: u32 = 1;

/// How often the INVITE is sent: with credentials, again because a nonce went stale, with a longer interval.
const MAX_INVITES: u32 = 6;

/// Transactions of one leg at once: its INVITEs, CANCEL, BYEs, a BYE for each dismissed fork, PRACKs and refreshes,
/// and those that the party begins within [`PARTY_TRANSACTIONS`].
const TRANSACTIONS: usize =
    MAX_INVITES as usize + 4 + forks::MAX_DISMISSED + MAX_ERRANDS + PARTY_TRANSACTIONS;

/// Transactions that the party may have open at once, each kept for 32 s at most; further requests are dropped.
const PARTY_TRANSACTIONS: usize = 32;

/// One outbound call.
#[derive(Debug)]
pub struct Leg {
    call: Call,
    path: Path,
    ways: Ways,
    hops: Hops,
    /// What our branches begin with, and how many there were.
    branch: (u64, u32),
    state: State,
    layer: Layer,
    /// The INVITE, while its transaction lives.
    invite: Option<ClientId>,
    /// CSeq of the latest INVITE that began the call.
    invite_cseq: u32,
    /// Its credentials, for its ACK (RFC 3261 section 22.1).
    invite_credentials: Vec<(Name, String)>,
    /// Answers to challenges of the address that the INVITE went to.
    wallet: Option<Wallet>,
    /// PRACKs and refreshes that are not over.
    errands: Vec<Errand>,
    renewal: Renewal,
    /// The BYE of the chosen dialog, while it is unanswered.
    bye: Option<ClientId>,
    /// Why the call was released, for the Reason header.
    cause: Option<u16>,
    local: LocalDescription,
    early: EarlyDialogs,
    /// The dialog of the 2xx that came first.
    chosen: Option<Answer>,
    dismissed: Vec<Dismissed>,
    /// Our 2xx to a re-INVITE that has not been acknowledged.
    pending: Option<Pending>,
    /// What the BYE of the party gives as its cause.
    hangup_cause: u16,
    /// What the party's media is: of the latest early answer, then of the chosen dialog.
    far_end: Option<FarEnd>,
    /// How it is secured.
    keys: Option<Zeroizing<MasterKeys>>,
    /// Status of the latest provisional response.
    progress: u16,
    /// What `Failed` will say.
    failure: Failure,
    /// Counts what has changed of an answered call's dialog and session.
    revision: u32,
    outputs: VecDeque<Output>,
}

impl Leg {
    /// Places a call: the INVITE is the first output.
    #[must_use]
    pub fn dial(now: Instant, dial: Dial, identity: Identity) -> Self {
        let mut leg = Self::new(dial, identity);
        leg.invite(now);
        leg.settle(now);
        leg
    }

    fn new(dial: Dial, identity: Identity) -> Self {
        let Dial {
            target,
            path,
            wide,
            exits,
            caller,
            local,
            offer,
            user_agent,
            login,
            assertion,
            session,
            mut timers,
        } = dial;
        let call_id = format!("{:032x}", identity.call_id);
        let tag = format!("{:016x}", identity.tag);
        let transport = path.transport;
        let call = Call { call_id, caller, tag, target, local, transport, user_agent };
        timers.limit = TRANSACTIONS;
        // RFC 8866 section 5.2 wants a numeric session; 63 bits, because some read it as a signed number.
        let description = identity.tag >> 1;
        Self {
            call,
            path,
            ways: Ways::new(wide),
            hops: Hops::new(exits, wide.is_some()),
            branch: (identity.branch, 0),
            state: State::Dialing,
            layer: Layer::new(timers),
            invite: None,
            invite_cseq: INVITE_CSEQ,
            invite_credentials: Vec::new(),
            wallet: login.map(Wallet::new),
            errands: Vec::new(),
            renewal: Renewal::new(assertion, session),
            bye: None,
            cause: None,
            local: LocalDescription::new(description, offer.address, &offer.codecs)
                .with_keys(offer.keys)
                .with_own_keys(offer.own_keys),
            early: EarlyDialogs::default(),
            chosen: None,
            dismissed: Vec::new(),
            pending: None,
            hangup_cause: 200,
            far_end: None,
            keys: None,
            progress: 0,
            failure: Failure::default(),
            revision: 0,
            outputs: VecDeque::new(),
        }
    }

    fn invite(&mut self, now: Instant) {
        let body = self.local.offer();
        // Named by its number, so that a later process can repeat it from what the journal knows.
        let branch = format!("{MAGIC_COOKIE}{:016x}.i{}", self.branch.0, self.invite_cseq);
        let uri = self.call.target.to_string();
        self.invite_credentials = self.credentials(self.path.address, Method::Invite, &uri);
        let mut headers = self.renewal.invite_headers();
        headers.extend_from_slice(&self.invite_credentials);
        let request = Request {
            method: Method::Invite,
            uri: &uri,
            routes: &[],
            to_tag: "",
            cseq: self.invite_cseq,
            branch: &branch,
            reason: None,
            headers: &headers,
            body: Some(&body),
        };
        // What cannot be written or begun is settled at once, as a call that nobody answers.
        let mut bytes = self.call.write(self.own_way(), &request).ok();
        if bytes.as_ref().is_some_and(|bytes| self.widens(bytes.len())) {
            bytes = self.call.write(self.own_way(), &request).ok();
        }
        self.invite = bytes.and_then(|bytes| self.layer.request(now, self.path, bytes).ok());
    }

    /// The credentials for a request to that address: to none but the one that the INVITE is sent to. A dialog's
    /// requests may be led elsewhere by whoever answers.
    fn credentials(&mut self, destination: SocketAddr, method: Method<'_>, uri: &str) -> Vec<(Name, String)> {
        match &mut self.wallet {
            Some(wallet) if destination == self.path.address => wallet.headers(method, uri),
            _ => Vec::new(),
        }
    }

    /// Is a 401 or 407 to be answered, so that its request may be sent again? Only one that comes from where the
    /// INVITE is sent, to a request that went there.
    fn is_answerable(&mut self, asked: SocketAddr, source: Path, response: &Message<'_>) -> bool {
        if asked != self.path.address || source.address != self.path.address {
            return false;
        }
        self.wallet.as_mut().is_some_and(|wallet| wallet.challenged(response).is_ok())
    }

    /// The Call-ID of every message of this leg.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.call.call_id
    }

    /// Takes in what happened. Nothing that arrives from the network can make it fail.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        if self.is_gone() {
            return;
        }
        match input {
            Input::Received { path, message } => self.receive(now, path, message),
            Input::Located { question, places } => self.located(now, question, places),
            Input::Release { cause } => {
                self.cause.get_or_insert(cause);
                self.step(now, Stimulus::Release);
            }
            Input::Tick => {
                self.layer.advance(now);
                self.flush(now);
                self.watch_session(now);
            }
            Input::Unreachable { path } => self.unreachable(now, path),
        }
        self.settle(now);
    }

    /// When [`Input::Tick`] is due; `None` only when there is nothing to wait for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.layer.next_deadline(), self.renewal.deadline()].into_iter().flatten().min()
    }

    /// The next thing that the leg has to say, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Counts the changes of an answered call that its [`Leg::snapshot`] shows, but for the numbers of requests.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// Has everything ended, so that the leg may be freed?
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    fn receive(&mut self, now: Instant, path: Path, message: &Message<'_>) {
        if self.waits(path, message) {
            return;
        }
        match self.layer.receive(now, message) {
            Delivery::Response(id) if self.invite == Some(id) => self.invite_response(now, path, message),
            Delivery::Response(id) if self.bye == Some(id) => self.bye_response(now, path, message),
            // To CANCEL, and to the BYEs of dismissed forks: nothing follows.
            Delivery::Response(id) => self.errand_response(now, id, path, message),
            Delivery::Absorbed => {}
            // A 2xx may come when its transaction is over, and still makes a dialog that somebody must end.
            Delivery::Stray => self.stray_response(now, message),
            Delivery::Request => self.request(now, path, message),
            Delivery::Acknowledgement => self.acknowledged(now, message),
            Delivery::Cancel(_) => self.cancel_of_reinvite(now, path, message),
        }
    }

    /// Its requests that wait for an answer from there.
    fn waiting_for(&self, path: Path) -> impl Iterator<Item = ClientId> {
        let errands = self.errands.iter().map(|errand| errand.id);
        let waiting = [self.invite, self.bye].into_iter().flatten().chain(errands);
        waiting.filter(move |id| self.layer.path(*id) == Some(path))
    }

    /// Does it wait for an answer from there?
    #[must_use]
    pub fn awaits(&self, path: Path) -> bool {
        self.waiting_for(path).next().is_some()
    }

    fn unreachable(&mut self, now: Instant, path: Path) {
        let failed: Vec<ClientId> = self.waiting_for(path).collect();
        for id in failed {
            self.layer.transport_failed(now, id);
        }
    }

    /// Follows up on what the transactions say, until they say no more.
    fn settle(&mut self, now: Instant) {
        loop {
            self.flush(now);
            // What could not be begun is over.
            if self.state == State::Ending && self.bye.is_none() && !self.hops.bye_waits {
                self.step(now, Stimulus::ByeOver);
            } else if self.invite.is_none() && self.state.awaits_final_response() {
                self.step(now, Stimulus::Silent);
            } else if self.layer.is_empty() && self.state == State::Draining {
                self.step(now, Stimulus::Quiet);
            } else {
                break;
            }
        }
    }

    /// Takes over what the transactions have to say.
    fn flush(&mut self, now: Instant) {
        while let Some(output) = self.layer.poll_output() {
            self.transaction_says(now, output);
        }
    }

    fn transaction_says(&mut self, now: Instant, output: transaction::Output) {
        match output {
            transaction::Output::Send { path, bytes } => self.outputs.push_back(Output::Send { path, bytes }),
            transaction::Output::TimedOut(id) if self.invite == Some(id) => {
                self.failure = Failure::timeout();
                self.step(now, Stimulus::Silent);
            }
            transaction::Output::Failed(id) if self.invite == Some(id) => {
                if self.narrows(now) {
                    return;
                }
                self.failure = Failure::unreachable();
                self.step(now, Stimulus::Silent);
            }
            transaction::Output::Failed(id) if self.goes_another_way(now, id, true) => {}
            transaction::Output::TimedOut(id) if self.goes_another_way(now, id, false) => {}
            transaction::Output::ClientEnded(id) if self.invite == Some(id) => {
                self.invite = None;
                self.step(now, Stimulus::InviteOver);
            }
            transaction::Output::ClientEnded(id) if self.bye == Some(id) => {
                self.bye = None;
                self.step(now, Stimulus::ByeOver);
            }
            transaction::Output::Unacknowledged(id) => {
                if self.pending.take_if(|pending| pending.server == id).is_some() {
                    self.step(now, Stimulus::Lost);
                }
            }
            // For the INVITE and BYE, ClientEnded follows.
            transaction::Output::TimedOut(id) | transaction::Output::Failed(id) => {
                self.errand_unanswered(now, id);
            }
            transaction::Output::ClientEnded(id) => self.errands.retain(|errand| errand.id != id),
            transaction::Output::ServerEnded(_) => {}
        }
    }

    fn step(&mut self, now: Instant, stimulus: Stimulus) {
        let (next, acts) = self.state.on(stimulus);
        if self.state.is_talking() && !next.is_talking() {
            self.stop_refreshing(now);
        }
        self.state = next;
        for act in acts {
            self.perform(now, *act);
        }
    }

    fn perform(&mut self, now: Instant, act: Act) {
        match act {
            Act::InviteAgain => self.invite_again(now),
            Act::Cancel => self.cancel(now),
            Act::Acknowledge | Act::AcknowledgeAgain => self.acknowledge(),
            Act::Bye => self.bye(now),
            Act::DismissFork => self.dismiss_newest_fork(now),
            Act::ReportProgress => self.report_progress(),
            Act::ReportAnswer => self.report_answer(),
            Act::ReportFailure(why) => self.report_failure(why),
            Act::ReportHangup => self.outputs.push_back(Output::Ended { cause: self.hangup_cause }),
            Act::ReportLost => self.outputs.push_back(Output::Ended { cause: 408 }),
            Act::ReportGone => self.outputs.push_back(Output::Gone),
        }
    }

    fn next_branch(&mut self) -> String {
        self.branch.1 += 1;
        format!("{MAGIC_COOKIE}{:016x}.{}", self.branch.0, self.branch.1)
    }

    /// Sends something that has no transaction: an ACK for a 2xx.
    fn send(&mut self, way: Way, bytes: Option<Vec<u8>>) {
        let send = bytes.map(|bytes| Output::Send { path: way.path, bytes });
        self.outputs.extend(send);
    }
}
