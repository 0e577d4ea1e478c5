//! Reading challenges.

use alloc::string::String;
use alloc::vec::Vec;

use crate::message::{Challenge, Message, Name};

/// Octets of a realm, nonce or opaque value: they are sent back, so they must leave room in a datagram.
const MAX_VALUE: usize = 512;

/// Challenges of one response that are looked at.
const MAX_CHALLENGES: usize = 8;

/// The hash function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Algorithm {
    /// RFC 1321; also where none is named.
    Md5,
    /// RFC 6234.
    Sha256,
}

impl Algorithm {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }
}

/// One challenge that can be answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Challenged {
    /// By a proxy (407's header), or by the server.
    pub(super) proxy: bool,
    /// As it stands between the quotes, like all texts here.
    pub(super) realm: String,
    pub(super) nonce: String,
    pub(super) opaque: Option<String>,
    pub(super) algorithm: Algorithm,
    /// Was the algorithm named? Only then is it named in the answer: some old servers refuse to be told.
    pub(super) named: bool,
    /// Quality of protection `auth` is offered.
    pub(super) qop: bool,
    pub(super) stale: bool,
}

impl Challenged {
    /// Does it ask for the same credentials?
    pub(super) fn is_same_space(&self, other: &Self) -> bool {
        (self.proxy, &self.realm) == (other.proxy, &other.realm)
    }
}

/// All challenges of a response that can be answered, in their order.
pub(super) fn read(response: &Message<'_>) -> Vec<Challenged> {
    let lines = response.headers().iter().filter_map(|header| match header.name {
        Name::WwwAuthenticate => Some((false, header.value)),
        Name::ProxyAuthenticate => Some((true, header.value)),
        _ => None,
    });
    lines.take(MAX_CHALLENGES).filter_map(|(proxy, value)| challenge(proxy, value)).collect()
}

fn challenge(proxy: bool, value: &str) -> Option<Challenged> {
    let challenge = Challenge::parse(value).ok()?;
    if !challenge.scheme.eq_ignore_ascii_case("Digest") {
        return None;
    }
    let text = |name: &str| challenge.value(name).filter(|text| text.len() <= MAX_VALUE).map(String::from);
    let named = challenge.value("algorithm");
    let algorithm = match named {
        None => Algorithm::Md5,
        Some(name) if name.eq_ignore_ascii_case("MD5") => Algorithm::Md5,
        Some(name) if name.eq_ignore_ascii_case("SHA-256") => Algorithm::Sha256,
        Some(_) => return None,
    };
    let qop = match challenge.value("qop") {
        None => false,
        Some(options) if options.split(',').any(|option| option.trim().eq_ignore_ascii_case("auth")) => true,
        Some(_) => return None,
    };
    if challenge.value("opaque").is_some_and(|opaque| opaque.len() > MAX_VALUE) {
        return None;
    }
    Some(Challenged {
        proxy,
        realm: text("realm")?,
        nonce: text("nonce")?,
        opaque: text("opaque"),
        algorithm,
        named: named.is_some(),
        qop,
        stale: challenge.value("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
    })
}

/// `nextnonce` of an Authentication-Info.
pub(super) fn next_nonce(value: &str) -> Option<String> {
    // Its grammar is that of a challenge without the scheme.
    let line = alloc::format!("Digest {value}");
    let info = Challenge::parse(&line).ok()?;
    info.value("nextnonce").filter(|nonce| nonce.len() <= MAX_VALUE).map(String::from)
}
