//! How a model party or registrar asks who we are, and checks what it is told (RFC 7616): written apart from
//! Duogate's own digests, so that one is held against the other.

use std::collections::BTreeSet;
use std::fmt::Write;

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::random::Random;
use crate::text::{Text, parameter};

/// Who we are to the trunk that asks.
pub(crate) const USER: &str = "duogate";
pub(crate) const PASSWORD: &str = "open sesame";

/// Which of the two asks, and in which order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Askers {
    Server,
    Proxy,
    /// Both in one response.
    Both,
    /// The proxy first, then the server.
    Chain,
}

/// By which hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hash {
    Md5,
    Sha256,
    /// SHA-256, and MD5 for those who know no better: the first counts (RFC 8760 section 2.4).
    Choice,
}

/// What is asked of each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    askers: Askers,
    hash: Hash,
    qop: bool,
    /// The first nonce goes stale.
    stale: bool,
    /// It knows another password than we: nothing that we say is right.
    pub(crate) wrong: bool,
    /// Requests inside a dialog are asked too.
    pub(crate) all: bool,
}

impl Demand {
    pub(crate) fn draw(random: &mut Random) -> Self {
        Self {
            askers: random.one_of(&[Askers::Server, Askers::Proxy, Askers::Both, Askers::Chain]),
            hash: random.one_of(&[Hash::Md5, Hash::Sha256, Hash::Choice]),
            qop: random.chance(70),
            stale: random.chance(30),
            wrong: random.chance(10),
            all: random.chance(30),
        }
    }

    /// What a registrar asks.
    pub(crate) fn plain() -> Self {
        Self { askers: Askers::Server, hash: Hash::Sha256, qop: true, stale: true, wrong: false, all: true }
    }
}

/// One of the two: what it is called, and which of its nonces holds.
#[derive(Clone, Debug)]
struct Asker {
    proxy: bool,
    realm: &'static str,
    nonce: u32,
    /// Nonce counts that were used: requests may overtake one another.
    counts: BTreeSet<u32>,
}

/// What becomes of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Judgement {
    Fine,
    /// Status and header lines of the refusal.
    Ask(u16, String),
    /// What we said cannot be right.
    Broken(String),
}

/// A guard at a party's door.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    demand: Demand,
    name: String,
    askers: Vec<Asker>,
    staled: bool,
}

impl Guard {
    pub(crate) fn new(demand: Demand, name: String) -> Self {
        let asker = |proxy, realm| Asker { proxy, realm, nonce: 1, counts: BTreeSet::new() };
        let (proxy, server) = (asker(true, "proxy.world"), asker(false, "world"));
        let askers = match demand.askers {
            Askers::Server => vec![server],
            Askers::Proxy => vec![proxy],
            Askers::Both | Askers::Chain => vec![proxy, server],
        };
        Self { demand, name, askers, staled: false }
    }

    /// Other nonces from now on: who has just been started does not know how often the old ones were used.
    pub(crate) fn renew(&mut self) {
        for asker in &mut self.askers {
            asker.nonce += 1;
            asker.counts.clear();
        }
    }

    /// Looks at a request's credentials.
    pub(crate) fn judge(&mut self, request: &Text) -> Judgement {
        let mut missing = Vec::new();
        let mut stale = false;
        for place in 0..self.askers.len() {
            match self.check(place, request) {
                Ok(true) => {}
                Ok(false) => missing.push(place),
                Err(Wrong::Stale) => {
                    missing.push(place);
                    stale = true;
                }
                Err(Wrong::Broken(what)) => return Judgement::Broken(what),
            }
        }
        let Some(first) = missing.first().copied() else {
            if self.demand.stale && !self.staled {
                self.staled = true;
                self.askers[0].nonce += 1;
                self.askers[0].counts.clear();
                return Judgement::Ask(self.status(0), self.challenges(0, true));
            }
            return Judgement::Fine;
        };
        let both = self.demand.askers == Askers::Both && !stale;
        let asked = if both { missing } else { vec![first] };
        let lines = asked.iter().map(|place| self.challenges(*place, stale)).collect();
        Judgement::Ask(self.status(first), lines)
    }

    fn status(&self, place: usize) -> u16 {
        if self.askers[place].proxy { 407 } else { 401 }
    }

    fn nonce(&self, asker: &Asker) -> String {
        format!("{}/{}={}", self.name, asker.realm, asker.nonce)
    }

    fn challenges(&self, place: usize, stale: bool) -> String {
        let asker = &self.askers[place];
        let name = if asker.proxy { "Proxy-Authenticate" } else { "WWW-Authenticate" };
        let algorithms: &[&str] = match self.demand.hash {
            Hash::Md5 => &["MD5"],
            Hash::Sha256 => &["SHA-256"],
            Hash::Choice => &["SHA-256", "MD5"],
        };
        let mut lines = String::new();
        for algorithm in algorithms {
            let _ = write!(
                lines,
                "{name}: Digest realm=\"{}\", nonce=\"{}\", algorithm={algorithm}{}{}, opaque=\"o\"\r\n",
                asker.realm,
                self.nonce(asker),
                if self.demand.qop { ", qop=\"auth\"" } else { "" },
                if stale { ", stale=true" } else { "" },
            );
        }
        lines
    }

    /// Are this asker's credentials there, and right?
    fn check(&mut self, place: usize, request: &Text) -> Result<bool, Wrong> {
        let asker = self.askers[place].clone();
        let name = if asker.proxy { "proxy-authorization" } else { "authorization" };
        let Some(line) = request.headers(name).find(|line| value(line, "realm") == asker.realm) else {
            return Ok(false);
        };
        if value(line, "nonce") != self.nonce(&asker) {
            return Err(Wrong::Stale);
        }
        let sha = self.demand.hash != Hash::Md5;
        let said = value(line, "algorithm");
        if said != if sha { "SHA-256" } else { "MD5" } {
            return Err(Wrong::Broken(format!("not the topmost algorithm but {said}")));
        }
        let count = u32::from_str_radix(value(line, "nc"), 16).unwrap_or(0);
        if self.demand.qop && !self.askers[place].counts.insert(count) {
            return Err(Wrong::Broken(format!("nonce count {count} a second time")));
        }
        if self.demand.wrong {
            return Ok(false);
        }
        let expected = response(line, request, sha, self.demand.qop);
        if value(line, "uri") != request.uri() || value(line, "response") != expected {
            return Err(Wrong::Broken(format!("wrong credentials: {line}")));
        }
        Ok(true)
    }
}

enum Wrong {
    Stale,
    Broken(String),
}

fn response(line: &str, request: &Text, sha: bool, qop: bool) -> String {
    let hash = |text: String| if sha { hex(&Sha256::digest(text)) } else { hex(&Md5::digest(text)) };
    let nonce = value(line, "nonce");
    let secret = hash(format!("{USER}:{}:{PASSWORD}", value(line, "realm")));
    let what = hash(format!("{}:{}", request.method(), value(line, "uri")));
    if qop {
        let (count, client) = (value(line, "nc"), value(line, "cnonce"));
        hash(format!("{secret}:{nonce}:{count}:{client}:auth:{what}"))
    } else {
        hash(format!("{secret}:{nonce}:{what}"))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// A value of a digest line.
fn value<'a>(line: &'a str, name: &str) -> &'a str {
    let items = line.trim_start_matches("Digest").split(',');
    let found = items.filter_map(|item| item.trim().split_once('=')).find(|(known, _)| *known == name);
    found.map_or("", |(_, value)| value.trim_matches('"'))
}

/// A `stale` that a challenge had is taken away.
pub(crate) fn without_stale(bytes: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(bytes).replace(", stale=true", "").into_bytes()
}

/// For the registrar: how long it shall hold.
pub(crate) fn expires(request: &Text) -> u64 {
    let contact = parameter(request.header("contact"), "expires");
    contact.parse().ok().or(request.header("expires").parse().ok()).unwrap_or(3600)
}
