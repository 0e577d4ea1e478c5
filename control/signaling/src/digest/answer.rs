//! Computing answers (RFC 7616 section 3.4).

use alloc::format;
use alloc::string::String;
use core::fmt::Write;

use md5::Md5;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::Credentials;
use super::challenge::{Algorithm, Challenged};
use crate::message::Quoted;

/// Hexadecimal digits of a client nonce: 64 bits.
const CNONCE_DIGITS: usize = 16;

/// What is to be answered.
pub(super) struct Question<'q> {
    pub(super) challenge: &'q Challenged,
    pub(super) method: &'q str,
    pub(super) uri: &'q str,
    /// How often the nonce has been used, this time included.
    pub(super) count: u32,
    /// A secret, and a number that is never the same again: they make the client nonce.
    pub(super) seed: (u64, u32),
}

/// The value of an Authorization or Proxy-Authorization header.
pub(super) fn authorization(credentials: &Credentials, question: &Question<'_>) -> String {
    let Question { challenge, method, uri, count, seed } = *question;
    let Challenged { realm, nonce, algorithm, .. } = challenge;
    let hash = |text: &str| hex(*algorithm, text);
    let password = credentials.password.expose_secret();
    let secret = hash(&format!("{}:{realm}:{password}", credentials.username));
    let request = hash(&format!("{method}:{uri}"));
    let mut cnonce = hex(Algorithm::Sha256, &format!("{:016x}:{}:{nonce}", seed.0, seed.1));
    cnonce.truncate(CNONCE_DIGITS);
    let response = match challenge.qop {
        true => hash(&format!("{secret}:{nonce}:{count:08x}:{cnonce}:auth:{request}")),
        false => hash(&format!("{secret}:{nonce}:{request}")),
    };
    let mut line = format!(
        "Digest username={}, realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\"",
        Quoted(&credentials.username)
    );
    // Writing into a string cannot fail.
    if challenge.named {
        let _ = write!(line, ", algorithm={}", algorithm.name());
    }
    if challenge.qop {
        let _ = write!(line, ", qop=auth, nc={count:08x}, cnonce=\"{cnonce}\"");
    }
    if let Some(opaque) = &challenge.opaque {
        let _ = write!(line, ", opaque=\"{opaque}\"");
    }
    line
}

fn hex(algorithm: Algorithm, text: &str) -> String {
    match algorithm {
        Algorithm::Md5 => digits(&Md5::digest(text)),
        Algorithm::Sha256 => digits(&Sha256::digest(text)),
    }
}

fn digits(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(algorithm: Algorithm) -> Challenged {
        Challenged {
            proxy: false,
            realm: "testrealm@host.com".into(),
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093".into(),
            opaque: None,
            algorithm,
            named: false,
            qop: false,
            stale: false,
        }
    }

    fn mufasa() -> Credentials {
        Credentials { username: "Mufasa".into(), password: "Circle Of Life".into(), realm: None }
    }

    fn response(challenge: &Challenged) -> String {
        let question = Question { challenge, method: "GET", uri: "/dir/index.html", count: 1, seed: (1, 1) };
        let line = authorization(&mufasa(), &question);
        let start = line.find("response=\"").unwrap() + 10;
        line[start..].split('"').next().unwrap().into()
    }

    /// The well-known example of RFC 2617 section 3.5, computed without qop (RFC 2069 errata 749).
    #[test]
    fn rfc7616_3_4_1_without_qop() {
        assert_eq!(response(&challenge(Algorithm::Md5)), "670fd8c2df070c60b045671b8b24ff02");
    }

    #[test]
    fn rfc7616_3_4_1_the_hash_is_as_long_as_its_algorithm_makes_it() {
        assert_eq!(response(&challenge(Algorithm::Sha256)).len(), 64);
    }

    /// RFC 7616 section 3.9.1, both hash functions, by the formula alone.
    #[test]
    fn rfc7616_3_9_1_the_examples_of_the_rfc() {
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, expected) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let secret = hex(algorithm, "Mufasa:http-auth@example.org:Circle of Life");
            let request = hex(algorithm, "GET:/dir/index.html");
            let answer = hex(algorithm, &format!("{secret}:{nonce}:00000001:{cnonce}:auth:{request}"));
            assert_eq!(answer, expected);
        }
    }
}
