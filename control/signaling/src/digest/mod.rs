//! Digest authentication, client side (RFC 7616; RFC 3261 section 22; RFC 8760).
//!
//! A [`Wallet`] holds the credentials of one trunk and what its servers asked for. Who may ask is the caller's to
//! decide: a wallet answers whatever it is shown.

mod answer;
mod challenge;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use secrecy::SecretString;

use crate::message::{Message, Method, Name};

use answer::{Question, authorization};
use challenge::{Challenged, next_nonce, read};

/// Protection spaces of one trunk: a proxy and the server behind it, and one more of each.
const MAX_SPACES: usize = 4;

/// Challenges answered for one request: one by the proxy, one by the server, and each once more because its nonce
/// went stale. Whoever asks on is not answered.
const MAX_ROUNDS: u8 = 4;

/// Who we are to a trunk.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// `username` of the digest.
    pub username: String,
    /// Never printed; goes nowhere but into the hash.
    pub password: SecretString,
    /// The one realm that is answered; none: any that the trunk's own address names.
    pub realm: Option<String>,
}

impl PartialEq for Credentials {
    /// Without the password, which is compared nowhere.
    fn eq(&self, other: &Self) -> bool {
        (&self.username, &self.realm) == (&other.username, &other.realm)
    }
}

/// Credentials for one call or registration, and what makes its client nonces unpredictable.
#[derive(Clone, PartialEq, Debug)]
pub struct Login {
    /// Who we are.
    pub credentials: Arc<Credentials>,
    /// Drawn at random; never sent.
    pub seed: u64,
}

/// Why a challenge is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// No challenge of a kind that we know: Digest with MD5 or SHA-256, and qop absent or with `auth`.
    #[error("no challenge that can be answered")]
    Unknown,
    /// The realm is not the one that the credentials are for.
    #[error("the challenge is of another realm")]
    Realm,
    /// The credentials were given and not accepted (RFC 3261 section 22.1).
    #[error("the credentials were not accepted")]
    Rejected,
    /// Asked more often than any honest server does.
    #[error("challenged too often")]
    TooOften,
}

/// One protection space (RFC 7616 section 2.2), and how far its nonce is used.
#[derive(Clone, Debug)]
struct Space {
    challenge: Challenged,
    /// Requests that carried the present nonce.
    count: u32,
    /// Was the present request challenged for it?
    asked: bool,
}

/// The answers of one dialog or registration.
#[derive(Clone, Debug)]
pub struct Wallet {
    login: Login,
    spaces: Vec<Space>,
    rounds: u8,
    drawn: u32,
}

impl Wallet {
    /// Nothing has been asked yet.
    #[must_use]
    pub const fn new(login: Login) -> Self {
        Self { login, spaces: Vec::new(), rounds: 0, drawn: 0 }
    }

    /// Takes in a 401 or 407. All its challenges are looked at, a proxy's and the server's (RFC 3261 section
    /// 22.3); of several for one realm the topmost that we know counts (RFC 8760 section 2.4).
    ///
    /// # Errors
    /// Why the request is not to be sent again.
    pub fn challenged(&mut self, response: &Message<'_>) -> Result<(), Refused> {
        self.rounds += 1;
        if self.rounds > MAX_ROUNDS {
            return Err(Refused::TooOften);
        }
        let all = read(response);
        if all.is_empty() {
            return Err(Refused::Unknown);
        }
        let wanted = self.login.credentials.realm.as_deref();
        let mut ours =
            all.into_iter().filter(|challenge| wanted.is_none_or(|realm| realm == challenge.realm));
        let first = ours.next().ok_or(Refused::Realm)?;
        let mut seen: Vec<Challenged> = alloc::vec![first];
        for challenge in ours {
            if !seen.iter().any(|other| other.is_same_space(&challenge)) {
                seen.push(challenge);
            }
        }
        for challenge in seen {
            self.take(challenge)?;
        }
        Ok(())
    }

    fn take(&mut self, challenge: Challenged) -> Result<(), Refused> {
        let place = self.spaces.iter().position(|space| space.challenge.is_same_space(&challenge));
        let space = Space { challenge, count: 0, asked: true };
        match place {
            // A nonce that went stale says nothing of the password (RFC 7616 section 3.3).
            Some(place) if self.spaces[place].asked && !space.challenge.stale => Err(Refused::Rejected),
            Some(place) => {
                self.spaces[place] = space;
                Ok(())
            }
            None if self.spaces.len() == MAX_SPACES => Err(Refused::TooOften),
            None => {
                self.spaces.push(space);
                Ok(())
            }
        }
    }

    /// A new request begins. What was given with the last one is given with it too, and may be asked for anew: not
    /// every server says by `stale` that a nonce has lapsed.
    pub fn begin(&mut self) {
        self.rounds = 0;
        for space in &mut self.spaces {
            space.asked = false;
        }
    }

    /// The request was accepted: a `nextnonce` takes the place of the old nonce (RFC 7616 section 3.5).
    pub fn accepted(&mut self, response: &Message<'_>) {
        self.begin();
        for (name, proxy) in [(Name::AuthenticationInfo, false), (Name::ProxyAuthenticationInfo, true)] {
            let Some(nonce) = response.header(name).and_then(next_nonce) else { continue };
            for space in self.spaces.iter_mut().filter(|space| space.challenge.proxy == proxy) {
                space.challenge.nonce = nonce.clone();
                space.count = 0;
            }
        }
    }

    /// The header lines that answer all challenges so far, for one request.
    #[must_use]
    pub fn headers(&mut self, method: Method<'_>, uri: &str) -> Vec<(Name, String)> {
        let mut lines = Vec::with_capacity(self.spaces.len());
        for space in &mut self.spaces {
            space.count = space.count.saturating_add(1);
            self.drawn = self.drawn.wrapping_add(1);
            let question = Question {
                challenge: &space.challenge,
                method: method.as_str(),
                uri,
                count: space.count,
                seed: (self.login.seed, self.drawn),
            };
            let name = if space.challenge.proxy { Name::ProxyAuthorization } else { Name::Authorization };
            lines.push((name, authorization(&self.login.credentials, &question)));
        }
        lines
    }
}
