//! The servers of trunks and pools, which die, come back and are busy; the names that lead to them; and whether what
//! Duogate says of its trunks is so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use duogate_channel::time::Instant;
use duogate_signaling::endpoint::{LocateFailure, Place, Query, Question};
use duogate_signaling::transaction::Transport;

use crate::audit::Broken;
use crate::digesting::{Demand, Guard, Judgement, expires};
use crate::model::World;
use crate::mutation::Mutation;
use crate::network::Occurrence;
use crate::text::Text;

/// The servers by number: that of the trunk with credentials; of the eastern trunk; the two of the western one; those
/// of the pool, the last of which never dies.
pub(crate) const KEYED: usize = 0;
const EAST: usize = 1;
const WEST: [usize; 2] = [2, 3];
const POOL: [usize; 3] = [4, 5, 6];
const SERVERS: usize = 7;

/// After so long, whatever is so of a trunk must be known: two rounds of OPTIONS that time out, and the end of one.
const SETTLED: Duration = Duration::from_secs(110);
/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// When Duogate leaves its trunks.
const LEAVING: Duration = Duration::from_secs(420);
/// How long that takes at most.
const FAREWELL: Duration = Duration::from_secs(40);

/// One server.
#[derive(Debug)]
struct Server {
    alive: bool,
    /// When dead, the system tells the sender.
    refusing: bool,
    busy_until: Option<Instant>,
}

/// What a trunk has been for how long.
#[derive(Clone, Copy, Debug)]
struct Truth {
    there: Option<bool>,
    since: Instant,
}

/// All of it.
pub(crate) struct Servers {
    servers: Vec<Server>,
    registrar: Guard,
    bound_until: Option<Instant>,
    registered: u64,
    /// Where each name leads now, and where it led at first.
    names: BTreeMap<&'static str, Vec<SocketAddr>>,
    first_names: BTreeMap<&'static str, Vec<SocketAddr>>,
    /// When names could not be looked up.
    failed: BTreeMap<String, Instant>,
    /// Where each name has been said to lead, and when.
    answers: BTreeMap<String, Vec<(Instant, BTreeSet<SocketAddr>)>>,
    truths: BTreeMap<&'static str, Truth>,
    started: Instant,
    left: Option<Instant>,
    /// Who asked for rest until when, and by which call.
    resting: BTreeMap<SocketAddr, (Instant, String)>,
}

fn address(server: usize) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 2, 0, u8::try_from(server + 1).expect("few servers")), 5060))
}

/// The server at an address.
pub(crate) fn server_at(to: SocketAddr) -> Option<usize> {
    (0..SERVERS).find(|server| address(*server) == to)
}

/// Was there ever a server at that address?
pub(crate) fn is_server(to: SocketAddr) -> bool {
    matches!(to, SocketAddr::V4(v4) if v4.ip().octets()[..3] == [10, 2, 0])
}

/// Where a name led once, and nobody is any more.
fn retired() -> SocketAddr {
    address(SERVERS + 1)
}

impl Servers {
    pub(crate) fn new(now: Instant) -> Self {
        let server = |_| Server { alive: true, refusing: false, busy_until: None };
        let names: BTreeMap<_, _> = [
            ("west.example", vec![address(WEST[0])]),
            ("pool.example", vec![address(POOL[0]), address(POOL[2])]),
        ]
        .into();
        let mut first_names = names.clone();
        first_names.insert("pool.example", vec![retired()]);
        Self {
            servers: (0..SERVERS).map(server).collect(),
            registrar: Guard::new(Demand::plain(), "registrar".into()),
            bound_until: None,
            registered: 0,
            names,
            first_names,
            failed: BTreeMap::new(),
            answers: BTreeMap::new(),
            truths: BTreeMap::new(),
            started: now,
            left: None,
            resting: BTreeMap::new(),
        }
    }

    pub(crate) fn is_alive(&self, server: usize) -> bool {
        self.servers[server].alive
    }

    /// Can the trunk be reached? None: perhaps.
    fn truth(&self, trunk: &str) -> Option<bool> {
        let all: Vec<bool> = match trunk {
            "keyed" => vec![self.servers[KEYED].alive],
            "east" => vec![self.servers[EAST].alive],
            _ => self.names["west.example"]
                .iter()
                .map(|to| server_at(*to).is_some_and(|server| self.servers[server].alive))
                .collect(),
        };
        let first = all.first().copied()?;
        all.iter().all(|one| *one == first).then_some(first)
    }

    /// Something has changed, or has just been looked at.
    /// The registrar asks for credentials anew.
    pub(crate) fn renew_registrar(&mut self) {
        self.registrar.renew();
    }

    fn note_truths(&mut self, now: Instant) {
        for trunk in ["keyed", "east", "west"] {
            let there = self.truth(trunk);
            let since = now;
            let known = self.truths.entry(trunk).or_insert(Truth { there: Some(true), since: self.started });
            if known.there != there {
                *known = Truth { there, since };
            }
        }
    }
}

impl World {
    /// Says what becomes of servers and names.
    pub(crate) fn foresee_servers(&mut self) {
        let at = |seconds: u64| Duration::from_secs(seconds);
        for server in [EAST, WEST[0], WEST[1], POOL[0], POOL[1]] {
            // In calm weather, what is dead was so from the beginning, and one of the pair lives.
            if self.random.chance(if self.calm && server != EAST && !POOL.contains(&server) { 0 } else { 45 })
            {
                let dies = if self.calm { 0 } else { self.random.between(0, 40) };
                let returns = dies + self.random.between(60, 180);
                self.schedule.at(self.start + at(dies), Occurrence::ServerDies { server });
                if !self.calm {
                    self.schedule.at(self.start + at(returns), Occurrence::ServerReturns { server });
                }
            }
        }
        for _ in 0..self.random.between(0, 6) {
            let server = self.random.one_of(&POOL[..2]);
            let (when, seconds) = (self.random.between(0, 150), self.random.between(1, 40));
            let seconds = u32::try_from(seconds).expect("few");
            self.schedule.at(self.start + at(when), Occurrence::ServerBusy { server, seconds });
        }
        for _ in 0..self.random.between(1, 6) {
            let when = self.random.between(1, 200);
            self.schedule.at(self.start + at(when), Occurrence::NamesChange);
        }
        self.schedule.at(self.start + LOOK, Occurrence::Inspect);
        self.schedule.at(self.start + LEAVING, Occurrence::LeaveTrunks);
    }

    pub(crate) fn server_dies(&mut self, server: usize) {
        self.tell(&format!("server {} dies", address(server)));
        let refusing = self.random.chance(40);
        let entry = &mut self.servers.servers[server];
        (entry.alive, entry.refusing) = (false, refusing);
        self.servers.note_truths(self.now);
    }

    pub(crate) fn server_returns(&mut self, server: usize) {
        self.tell(&format!("server {} returns", address(server)));
        self.servers.servers[server].alive = true;
        self.servers.note_truths(self.now);
    }

    pub(crate) fn server_busy(&mut self, server: usize, seconds: u32) {
        let until = self.now + Duration::from_secs(seconds.into());
        self.servers.servers[server].busy_until = Some(until);
    }

    pub(crate) fn names_change(&mut self) {
        let (one, other) = (address(WEST[0]), address(WEST[1]));
        let west = match self.random.between(0, 3) {
            0 => vec![one, other],
            1 => vec![one],
            _ => vec![other],
        };
        let mut pool: Vec<SocketAddr> = POOL.into_iter().map(address).collect();
        let first = usize::try_from(self.random.between(0, 2)).expect("small");
        pool.swap(0, first);
        if self.random.chance(50) {
            pool.retain(|to| *to != address(POOL[0]));
        }
        self.tell(&format!("names change: west {west:?}, pool {pool:?}"));
        self.servers.names.insert("west.example", west);
        self.servers.names.insert("pool.example", pool);
        self.servers.note_truths(self.now);
    }

    /// A name is asked for.
    pub(crate) fn locate(&mut self, query: Query, question: &Question) {
        let slow = if self.calm { 50 } else { 2_000 };
        let when = self.now + Duration::from_millis(self.random.between(1, slow));
        // Never twice in a row: that would be a trunk's death.
        let last = self.servers.failed.get(&question.host);
        let lately = last.is_some_and(|last| self.now.since(*last) < Duration::from_secs(40));
        let fails = !self.calm && !lately && self.random.chance(20);
        if fails {
            self.servers.failed.insert(question.host.clone(), self.now);
        }
        let places = match self.servers.names.get(question.host.as_str()) {
            Some(_) if fails => Err(LocateFailure::Timeout),
            Some(places) => Ok(places.clone()),
            None => Err(LocateFailure::Unknown),
        };
        self.tell(&format!("where is {}: {places:?}", question.host));
        if let Ok(places) = &places {
            let answers = self.servers.answers.entry(question.host.clone()).or_default();
            answers.push((self.now, places.iter().copied().collect()));
        }
        let stale = self.servers.first_names.get(question.host.as_str()).cloned();
        let places = match (places, stale) {
            (Ok(_), Some(stale)) if self.mutation == Mutation::StaleNames => Ok(stale),
            (places, _) => places,
        };
        self.schedule.at(when, Occurrence::Located { reign: self.reign, query, places });
    }

    pub(crate) fn located(
        &mut self,
        reign: u32,
        query: Query,
        places: Result<Vec<SocketAddr>, LocateFailure>,
    ) {
        if reign != self.reign {
            return;
        }
        let place = |address| Place { transport: Transport::Udp, address };
        let places = places.map(|places| places.into_iter().map(place).collect());
        self.endpoint.located(self.clock(), query, places);
    }

    /// An INVITE of ours leaves for a server: may it go there?
    pub(crate) fn may_go_there(&self, to: SocketAddr, text: &Text, since: Instant) -> Result<(), Broken> {
        let (call, (_, host)) = (text.call_id(), text.user_and_host());
        if let Some((until, by)) = self.servers.resting.get(&to)
            && *until > self.now
            && by != call
        {
            return Err(format!("{call}: {to} wants rest until {until:?} (section 21.5.4)"));
        }
        let Some(answers) = self.servers.answers.get(host) else { return Ok(()) };
        // What was asked before the callback began was not for it.
        let fresh = answers.iter().filter(|(when, _)| *when >= since);
        let mut fresh = fresh.map(|(_, places)| places).peekable();
        if host == "pool.example" && fresh.peek().is_some() && !fresh.any(|places| places.contains(&to)) {
            return Err(format!("{call}: {host} was never said to be at {to}"));
        }
        let name = if host == "east.example" { "east" } else { "west" };
        let figures = self.endpoint.trunk_figures(self.clock());
        let up = figures.iter().find(|figures| figures.name == name).is_none_or(|figures| figures.up);
        if matches!(host, "east.example" | "west.example") && !up {
            return Err(format!("{call}: INVITE over trunk {name}, which is down"));
        }
        Ok(())
    }

    /// A place has asked for rest, and we have heard it. `counts`: its call is one that still listens.
    pub(crate) fn asked_for_rest(&mut self, from: SocketAddr, text: &Text, counts: bool) {
        let seconds: u64 = text.header("retry-after").parse().unwrap_or(0);
        if text.status() == 503 && counts && seconds > 0 {
            let until = self.now + Duration::from_secs(seconds);
            self.servers.resting.insert(from, (until, text.call_id().to_owned()));
        }
    }

    /// A datagram of ours reaches a server. True if it is for one of the parties behind it.
    pub(crate) fn served(&mut self, server: usize, bytes: &[u8]) -> Result<bool, Broken> {
        let (at, text) = (address(server), Text::read(bytes));
        let ghost = self.mutation == Mutation::GhostPing && text.method() == "OPTIONS";
        if !self.servers.servers[server].alive && !ghost {
            if self.servers.servers[server].refusing {
                self.schedule.at(self.now + Duration::from_millis(1), Occurrence::Unreachable { to: at });
            }
            return Ok(false);
        }
        let known = self.parties.iter().any(|party| party.find(&text).is_some());
        let busy = self.servers.servers[server].busy_until.filter(|until| *until > self.now);
        let answer = match text.method() {
            "OPTIONS" if !known => Some(text.answer(200, "s", "sip:trunk", "")),
            "REGISTER" => Some(self.register(&text)?),
            "INVITE" if !known && busy.is_some() => {
                let left = busy.map_or(1, |until| until.since(self.now).as_secs().max(1));
                Some(text.answer_with(503, "s", &format!("Retry-After: {left}\r\n"), ""))
            }
            _ => None,
        };
        let Some(bytes) = answer else { return Ok(true) };
        let occurrence = Occurrence::SipToUs { from: at, bytes };
        self.schedule.send(self.now, &mut self.random, self.weather, &occurrence);
        Ok(false)
    }

    fn register(&mut self, text: &Text) -> Result<Vec<u8>, Broken> {
        match self.servers.registrar.judge(text) {
            // A repetition of what was accepted: the datagram came twice.
            Judgement::Broken(what) if what.contains("nonce count") => {
                Ok(text.answer(200, "r", &contact_of(text), ""))
            }
            Judgement::Broken(what) => Err(format!("REGISTER: {what}")),
            Judgement::Ask(status, lines) => Ok(text.answer_with(status, "r", &lines, "")),
            Judgement::Fine => {
                let seconds = expires(text).min(90);
                self.servers.registered += 1;
                let until = self.now + Duration::from_secs(seconds);
                self.servers.bound_until = (seconds > 0).then_some(until);
                let lines = format!("Contact: <{}>;expires={seconds}\r\n", contact_of(text));
                Ok(text.answer_with(200, "r", &lines, ""))
            }
        }
    }

    /// Is a message of ours lost on purpose?
    pub(crate) fn is_withheld(&self, text: &Text) -> bool {
        self.mutation == Mutation::NoRegister && text.method() == "REGISTER" && self.servers.registered >= 1
    }

    /// Are trunks what Duogate says they are, and long calls of the dead over?
    pub(crate) fn inspect(&mut self) -> Result<(), Broken> {
        self.audit.nobody_outlives(self.now)?;
        if let Some(left) = self.servers.left {
            return if self.now.since(left) < FAREWELL { Ok(()) } else { self.have_left() };
        }
        self.schedule.at(self.now + LOOK, Occurrence::Inspect);
        self.servers.note_truths(self.now);
        for figures in self.endpoint.trunk_figures(self.clock()) {
            let Some(truth) = self.servers.truths.get(figures.name.as_str()) else { continue };
            let always = truth.since == self.servers.started;
            let seen = truth.since.max(self.reign_began);
            let settled = self.now.since(seen) > SETTLED || (always && truth.there == Some(true));
            if let Some(there) = truth.there.filter(|there| settled && *there != figures.up) {
                return Err(format!(
                    "trunk {}: there since {:?}: {there}, {figures:?}",
                    figures.name, truth.since
                ));
            }
        }
        let bound = self.servers.bound_until.is_some_and(|until| until > self.now);
        if self.now.since(self.reign_began) > SETTLED && !bound {
            return Err("the registration has lapsed".into());
        }
        Ok(())
    }

    fn have_left(&self) -> Result<(), Broken> {
        let bound = self.servers.bound_until.is_some_and(|until| until > self.now);
        let figures = self.endpoint.trunk_figures(self.clock());
        let registered = figures.iter().any(|figures| figures.registered == Some(true));
        if bound || registered {
            return Err(format!("a registration was not taken back: {bound}, {registered}"));
        }
        Ok(())
    }

    pub(crate) fn leave_trunks(&mut self) {
        self.servers.left = Some(self.now);
        self.endpoint.leave_trunks(self.clock());
        self.schedule.at(self.now + FAREWELL, Occurrence::Inspect);
    }
}

fn contact_of(text: &Text) -> String {
    let value = text.header("contact");
    value.split(['<', '>']).nth(1).unwrap_or(value).to_owned()
}
