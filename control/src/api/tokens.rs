//! Who may do what.

use axum::http::{HeaderMap, header};
use duogate_configuration::{Right, Token, TokenHash};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The tokens of the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens(Vec<Token>);

/// Somebody who may do something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Caller {
    /// The token's name, for the log; none without tokens.
    pub(crate) name: Option<String>,
    /// By which the token is found again.
    sha256: Option<TokenHash>,
    rights: Vec<Right>,
}

impl Caller {
    /// Whether it has one of these rights.
    pub(crate) fn may(&self, any_of: &[Right]) -> bool {
        any_of.iter().any(|right| self.rights.contains(right))
    }
}

impl Tokens {
    /// With no token at all everyone who reaches the address may do everything: the configuration allows that
    /// on loopback only.
    pub(crate) fn new(tokens: Vec<Token>) -> Self {
        Self(tokens)
    }

    /// Who sent a request; none: nobody who may do anything.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        if self.0.is_empty() {
            return Some(anyone());
        }
        let value = headers.get(header::AUTHORIZATION)?.as_bytes();
        let (scheme, token) = value.split_at_checked(7)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return None;
        }
        let hash = Sha256::digest(token.trim_ascii());
        // All are compared, each in constant time, so that the time tells nothing about any.
        let mut found = None;
        for candidate in &self.0 {
            if bool::from(candidate.sha256.bytes().as_slice().ct_eq(hash.as_slice())) {
                found = Some(candidate);
            }
        }
        found.map(holder)
    }

    /// What somebody who came before may do by now; none: the token is gone.
    pub(crate) fn again(&self, caller: &Caller) -> Option<Caller> {
        if self.0.is_empty() {
            return Some(anyone());
        }
        self.0.iter().find(|token| Some(&token.sha256) == caller.sha256.as_ref()).map(holder)
    }
}

fn anyone() -> Caller {
    Caller { name: None, sha256: None, rights: vec![Right::Call, Right::Read, Right::Operate] }
}

fn holder(token: &Token) -> Caller {
    Caller { name: Some(token.name.clone()), sha256: Some(token.sha256), rights: token.rights.clone() }
}

/// Whether a browser sent this from a page of somebody else. Without tokens, a page that the operator looks at
/// could otherwise place calls through the loopback address.
pub(crate) fn is_from_foreign_page(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let Some(origin) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    // A name could have been made to point here (DNS rebinding); an address or `localhost` cannot.
    let name = origin.1.rsplit_once(':').map_or(origin.1, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { origin.1 }
    });
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let is_literal = name == "localhost" || address.parse::<std::net::IpAddr>().is_ok();
    !(is_literal && host == Some(origin.1))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use duogate_configuration::TokenHash;

    use super::*;

    fn tokens() -> Tokens {
        let hash: TokenHash =
            // printf %s secret | sha256sum
            "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b".parse().unwrap();
        Tokens::new(vec![Token { name: "app".into(), sha256: hash, rights: vec![Right::Call] }])
    }

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_token_opens_what_its_rights_say() {
        let caller = tokens().caller(&headers(header::AUTHORIZATION, "Bearer secret")).unwrap();
        assert_eq!(caller.name.as_deref(), Some("app"));
        assert!(caller.may(&[Right::Call, Right::Read]) && !caller.may(&[Right::Read, Right::Operate]));
    }

    #[test]
    fn a_token_that_was_taken_back_opens_nothing_any_more() {
        let caller = tokens().caller(&headers(header::AUTHORIZATION, "Bearer secret")).unwrap();
        assert_eq!(tokens().again(&caller), Some(caller.clone()));
        let mut less = tokens();
        less.0[0].rights = vec![Right::Read];
        assert!(!less.again(&caller).unwrap().may(&[Right::Call]), "its rights are what they are by now");
        let other: TokenHash = "00".repeat(32).parse().unwrap();
        let others =
            Tokens::new(vec![Token { name: "app".into(), sha256: other, rights: vec![Right::Call] }]);
        assert_eq!(others.again(&caller), None);
        let anyone = Tokens::default().caller(&HeaderMap::new()).unwrap();
        assert_eq!(tokens().again(&anyone), None, "tokens are needed by now");
    }

    #[test]
    fn everything_else_opens_nothing() {
        for value in ["Bearer Secret", "Bearer", "Bearer ", "Basic secret", "secret", "Bearer secret x"] {
            assert!(tokens().caller(&headers(header::AUTHORIZATION, value)).is_none(), "{value}");
        }
        assert!(tokens().caller(&HeaderMap::new()).is_none());
        assert!(Tokens::default().caller(&HeaderMap::new()).is_some(), "loopback without tokens is open");
    }

    #[test]
    fn pages_of_others_are_recognized() {
        let from = |origin: &str, host: &str| {
            let mut headers = headers(header::ORIGIN, origin);
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
            is_from_foreign_page(&headers)
        };
        assert!(!from("http://127.0.0.1:8080", "127.0.0.1:8080"));
        assert!(!from("http://localhost:8080", "localhost:8080"));
        assert!(!from("http://[::1]:8080", "[::1]:8080"));
        assert!(from("http://evil.example", "127.0.0.1:8080"));
        assert!(from("http://evil.example:8080", "evil.example:8080"), "rebinding");
        assert!(from("null", "127.0.0.1:8080"));
        assert!(!is_from_foreign_page(&HeaderMap::new()), "programs send no Origin");
    }
}
