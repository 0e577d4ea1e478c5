//! What is said to a trunk outside of calls: OPTIONS that tell whether it is there (RFC 3261 section 11), and REGISTER
//! that makes us known to it (section 10). Each keeper says one of them, again and again.
//!
//! ```text
//!              +---------------- Later: the gap has passed ----------------+
//!              v                                                           |
//!   [Waiting] ---> Find ---> located ---> [Asking] ---> final, timed out --+
//!                     \--> nowhere to be found ----------------------------+
//! ```
//! 401, 407 and 423 are answered at once with another request.
//!
//! At the end a registration is taken back (RFC 3261 section 10.2.2): from any state REGISTER with `Expires: 0` leads to
//! [Leaving], and its final response, or none in time, to [Left]. Who only asks OPTIONS, or never asked, is [Left] at once.

mod request;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use duogate_channel::time::Instant;

use crate::digest::Wallet;
use crate::leg::Identity;
use crate::message::{MAX_CSEQ, Message, Method, Name, Status};
use crate::transaction::{self, ClientId, Delivery, Layer, Path};

pub use request::{Errand, Ping, Registration, Voice};

/// Transactions of a keeper at once: one that is answered runs out while the next begins.
const TRANSACTIONS: usize = 16;

/// The shortest time after which a registration is refreshed, whatever the registrar grants.
const SOONEST: Duration = Duration::from_secs(5);

/// The longest `Min-Expires` that is gone along with, in seconds: a week.
const LONGEST: u32 = 604_800;

/// What a keeper has to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// A datagram to send.
    Send {
        /// From which of our sockets, to whom.
        path: Path,
        /// What.
        bytes: Vec<u8>,
    },
    /// Where is the trunk? Answer with [`Keeper::found`].
    Find,
    /// The trunk is there, or no longer.
    Up(bool),
    /// The registrar has taken us, or no longer does.
    Registered(bool),
}

/// Where a keeper stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Nothing is under way until then.
    Waiting(Instant),
    /// The trunk's place is looked for.
    Finding,
    /// A request is unanswered.
    Asking(ClientId),
    /// The request that takes the registration back is unanswered.
    Leaving(ClientId),
    /// Nothing is said any more.
    Left,
}

/// What a registration is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wish {
    /// To hold.
    Stay,
    /// To be taken back.
    Leave,
}

/// Says one kind of request to one trunk.
#[derive(Debug)]
pub struct Keeper {
    errand: Errand,
    voice: Voice,
    identity: Identity,
    layer: Layer,
    wallet: Option<Wallet>,
    state: State,
    path: Option<Path>,
    /// Our address on that path.
    local: Option<SocketAddr>,
    cseq: u32,
    /// What the registrar wanted at least.
    min_expires: Option<u32>,
    /// Outcomes of the same kind in a row.
    streak: (bool, u32),
    /// What was said last.
    good: bool,
    outputs: VecDeque<Output>,
}

impl Keeper {
    /// Begins with the first request as soon as it is asked what is due.
    #[must_use]
    pub fn new(
        errand: Errand,
        voice: Voice,
        identity: Identity,
        wallet: Option<Wallet>,
        mut timers: transaction::Settings,
    ) -> Self {
        timers.limit = TRANSACTIONS;
        let good = errand.is_ping();
        Self {
            errand,
            voice,
            identity,
            layer: Layer::new(timers),
            wallet,
            state: State::Waiting(Instant::from_nanoseconds(0)),
            path: None,
            local: None,
            cseq: 0,
            min_expires: None,
            streak: (good, 0),
            good,
            outputs: VecDeque::new(),
        }
    }

    /// What it says.
    #[must_use]
    pub fn errand(&self) -> &Errand {
        &self.errand
    }

    /// The next thing that it has to say.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Keeper::advance`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let own = match self.state {
            State::Waiting(until) => Some(until),
            State::Finding | State::Asking(_) | State::Leaving(_) | State::Left => None,
        };
        [own, self.layer.next_deadline()].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn advance(&mut self, now: Instant) {
        self.layer.advance(now);
        self.flush(now);
        if let State::Waiting(until) = self.state
            && until <= now
        {
            self.state = State::Finding;
            self.outputs.push_back(Output::Find);
        }
    }

    /// The trunk is there, and this is our address on the way to it; or it is nowhere.
    pub fn found(&mut self, now: Instant, place: Option<(Path, SocketAddr)>) {
        if self.state != State::Finding {
            return;
        }
        let Some((path, local)) = place else {
            return self.over(now, false, None);
        };
        if let Some(wallet) = &mut self.wallet {
            wallet.begin();
        }
        (self.path, self.local) = (Some(path), Some(local));
        self.ask(now, Wish::Stay);
        self.flush(now);
    }

    /// Takes a registration back, and says nothing after that.
    pub fn leave(&mut self, now: Instant) {
        match self.state {
            State::Leaving(_) | State::Left => return,
            State::Waiting(_) | State::Finding | State::Asking(_) => {}
        }
        self.state = State::Left;
        if !self.errand.is_ping() {
            if let Some(wallet) = &mut self.wallet {
                wallet.begin();
            }
            self.ask(now, Wish::Leave);
        }
        self.flush(now);
    }

    fn ask(&mut self, now: Instant, wish: Wish) {
        let (Some(path), Some(local)) = (self.path, self.local) else { return };
        self.cseq = if self.cseq == MAX_CSEQ { 1 } else { self.cseq + 1 };
        let uri = self.errand.request_uri();
        let credentials = match &mut self.wallet {
            Some(wallet) => wallet.headers(self.errand.method(), &uri),
            None => Vec::new(),
        };
        let request = request::Request {
            errand: &self.errand,
            voice: &self.voice,
            identity: self.identity,
            transport: path.transport,
            local,
            cseq: self.cseq,
            expires: self.errand.expires(self.min_expires, wish),
            credentials: &credentials,
        };
        let begun = request.write().and_then(|bytes| self.layer.request(now, path, bytes).ok());
        match (begun, wish) {
            (Some(id), Wish::Stay) => self.state = State::Asking(id),
            (Some(id), Wish::Leave) => self.state = State::Leaving(id),
            (None, Wish::Stay) => self.over(now, false, None),
            (None, Wish::Leave) => self.left(),
        }
    }

    /// A message with this keeper's Call-ID.
    pub fn receive(&mut self, now: Instant, source: Path, message: &Message<'_>) {
        if !message.is_request()
            && let Delivery::Response(id) = self.layer.receive(now, message)
        {
            match self.state {
                State::Asking(asked) if asked == id => self.response(now, source, message),
                State::Leaving(asked) if asked == id => self.farewell(now, source, message),
                _ => {}
            }
        }
        self.flush(now);
    }

    fn response(&mut self, now: Instant, source: Path, response: &Message<'_>) {
        let status = response.status().map_or(0, Status::code);
        match status {
            ..200 => {}
            401 | 407 if self.may_answer(source, response) => self.ask(now, Wish::Stay),
            423 if self.lengthen(response) => self.ask(now, Wish::Stay),
            _ => {
                if let (200..300, Some(wallet)) = (status, &mut self.wallet) {
                    wallet.accepted(response);
                }
                let (good, granted) = self.judge(status, response);
                self.over(now, good, granted);
            }
        }
    }

    /// A response to the request that takes the registration back.
    fn farewell(&mut self, now: Instant, source: Path, response: &Message<'_>) {
        match response.status().map_or(0, Status::code) {
            ..200 => {}
            401 | 407 if self.may_answer(source, response) => self.ask(now, Wish::Leave),
            _ => self.left(),
        }
    }

    /// Whatever the registrar thinks, it is not asked again.
    fn left(&mut self) {
        self.state = State::Left;
        self.outputs.push_back(Output::Registered(false));
    }

    /// Only the place that was asked may challenge.
    fn may_answer(&mut self, source: Path, response: &Message<'_>) -> bool {
        let same = self.path.is_some_and(|path| path.address == source.address);
        same && self.wallet.as_mut().is_some_and(|wallet| wallet.challenged(response).is_ok())
    }

    /// A 423: is its minimum new, and bearable (RFC 3261 section 10.2.8)?
    fn lengthen(&mut self, response: &Message<'_>) -> bool {
        let minimum = response.header(Name::MinExpires).and_then(|text| text.trim().parse::<u32>().ok());
        let Some(minimum) = minimum.filter(|minimum| *minimum <= LONGEST) else { return false };
        if self.errand.is_ping() || self.min_expires.is_some_and(|before| minimum <= before) {
            return false;
        }
        self.min_expires = Some(minimum);
        true
    }

    /// What a final response means; of a registration, also how long it holds (RFC 3261 section 10.2.4).
    fn judge(&self, status: u16, response: &Message<'_>) -> (bool, Option<Duration>) {
        if self.errand.is_ping() {
            // Who refuses OPTIONS is there all the same; who is overloaded, or passes on silence, is not.
            return (!matches!(status, 408 | 503 | 504), None);
        }
        if !(200..300).contains(&status) {
            return (false, None);
        }
        let ours = self.local.map(|local| local.ip());
        let mut contacts = response.contacts().flatten();
        let own = contacts.find(|contact| {
            let host = contact.uri.host();
            matches!(host, Some(crate::message::Host::Ip(ip)) if Some(ip) == ours)
        });
        let granted = own.and_then(|contact| contact.expires()).or(response.expires().ok().flatten());
        (true, granted.map(|seconds| Duration::from_secs(seconds.min(LONGEST).into())))
    }

    /// One round is over.
    fn over(&mut self, now: Instant, good: bool, granted: Option<Duration>) {
        let count = if self.streak.0 == good { self.streak.1.saturating_add(1) } else { 1 };
        self.streak = (good, count);
        let wait = match &self.errand {
            Errand::Ping { ping, .. } => {
                let enough = if good { ping.successes } else { ping.failures };
                if good != self.good && count >= enough {
                    self.good = good;
                    self.outputs.push_back(Output::Up(good));
                }
                ping.every
            }
            Errand::Register(registration) => {
                if good != self.good {
                    self.good = good;
                    self.outputs.push_back(Output::Registered(good));
                }
                let held = granted.unwrap_or(registration.expires);
                if good { (held / 2).max(SOONEST) } else { registration.retry }
            }
        };
        self.state = State::Waiting(now + wait);
    }

    /// The shell could not send over this path.
    pub fn unreachable(&mut self, now: Instant, path: Path) {
        if let State::Asking(id) | State::Leaving(id) = self.state
            && self.path == Some(path)
        {
            self.layer.transport_failed(now, id);
        }
        self.flush(now);
    }

    fn flush(&mut self, now: Instant) {
        while let Some(output) = self.layer.poll_output() {
            match output {
                transaction::Output::Send { path, bytes } => {
                    self.outputs.push_back(Output::Send { path, bytes });
                }
                transaction::Output::TimedOut(id) | transaction::Output::Failed(id) => {
                    if self.state == State::Asking(id) {
                        self.over(now, false, None);
                    } else if self.state == State::Leaving(id) {
                        self.left();
                    }
                }
                transaction::Output::ClientEnded(_)
                | transaction::Output::Unacknowledged(_)
                | transaction::Output::ServerEnded(_) => {}
            }
        }
    }

    /// Does it say nothing any more, and wait for nothing?
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Left && self.layer.is_empty()
    }

    /// Has it been told to leave?
    #[must_use]
    pub const fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving(_) | State::Left)
    }

    /// The Call-ID of its requests, as a number.
    #[must_use]
    pub fn call_id(&self) -> u128 {
        self.identity.call_id
    }

    /// Its method; for people.
    #[must_use]
    pub fn method(&self) -> Method<'static> {
        self.errand.method()
    }
}

/// The Call-ID as it is written.
fn call_id(identity: Identity) -> String {
    alloc::format!("{:032x}", identity.call_id)
}
