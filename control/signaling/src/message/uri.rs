//! URIs: sip, sips (RFC 3261 section 19.1) and tel (RFC 3966).

use alloc::boxed::Box;
use core::fmt;

use super::text::Cursor;
use super::{Fault, Host, Parameters, ParseError, uri_parts};

/// The scheme of a URI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
    /// Any other absolute URI: a request for it is answered 416, a Contact of it cannot be followed.
    Other,
}

/// A URI, borrowed. Two are equal if RFC 3261 section 19.1.4 (RFC 3966 section 4 for tel) says so.
#[derive(Clone, Copy, Debug)]
pub struct Uri<'a> {
    pub(super) text: &'a str,
    pub(super) scheme: Scheme,
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a str>,
    pub(super) host: Option<Host<'a>>,
    pub(super) port: Option<u16>,
    pub(super) parameters: Parameters<'a>,
    pub(super) headers: &'a str,
}

impl<'a> Uri<'a> {
    /// Parses an absolute URI, its scheme included.
    ///
    /// # Errors
    /// What is wrong, and at which octet.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        uri_parts::parse(text)
    }

    /// As it stands.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// The scheme.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The user part, escapes as they stand; for tel the number, its `+` included.
    #[must_use]
    pub const fn user(&self) -> Option<&'a str> {
        self.user
    }

    /// The password (RFC 3261 advises against it).
    #[must_use]
    pub const fn password(&self) -> Option<&'a str> {
        self.password
    }

    /// The host; none for tel and other schemes.
    #[must_use]
    pub const fn host(&self) -> Option<Host<'a>> {
        self.host
    }

    /// The port, if one is given.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The parameters.
    #[must_use]
    pub const fn parameters(&self) -> Parameters<'a> {
        self.parameters
    }

    /// What follows the `?`, without it; empty if nothing does.
    #[must_use]
    pub const fn headers(&self) -> &'a str {
        self.headers
    }

    /// Its port, or the one that its scheme and transport have where it names none (RFC 3261 section 19.1.2).
    #[must_use]
    pub fn effective_port(&self) -> u16 {
        let over_tls =
            || self.parameters.value("transport").is_some_and(|name| name.eq_ignore_ascii_case("tls"));
        self.port().unwrap_or(if self.scheme() == Scheme::Sips || over_tls() { 5061 } else { 5060 })
    }

    /// Is it a loose router's (RFC 3261 section 19.1.1, `lr`)?
    #[must_use]
    pub fn is_loose_router(&self) -> bool {
        self.parameters.has("lr")
    }

    /// A copy that owns its text.
    #[must_use]
    pub fn to_owned(&self) -> UriBuf {
        UriBuf { text: self.text.into() }
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl PartialEq for Uri<'_> {
    fn eq(&self, other: &Self) -> bool {
        super::uri_equality::equal(self, other)
    }
}

/// A URI that owns its text, which has been checked.
#[derive(Clone, Debug)]
pub struct UriBuf {
    text: Box<str>,
}

impl UriBuf {
    /// Checks and keeps.
    ///
    /// # Errors
    /// As [`Uri::parse`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Uri::parse(text).map(|uri| uri.to_owned())
    }

    /// The URI.
    #[must_use]
    pub fn uri(&self) -> Uri<'_> {
        // Cannot fail: the text was parsed when it was taken in, and has not changed.
        Uri::parse(&self.text).expect("checked when it was taken in")
    }

    /// As it stands.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for UriBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for UriBuf {
    fn eq(&self, other: &Self) -> bool {
        self.uri() == other.uri()
    }
}

/// Takes the scheme and its colon.
pub(super) fn take_scheme(cursor: &mut Cursor<'_>) -> Result<Scheme, ParseError> {
    let start = *cursor;
    let scheme = cursor.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !cursor.eat(b':') {
        return Err(start.error(Fault::Uri));
    }
    Ok(match () {
        () if scheme.eq_ignore_ascii_case("sip") => Scheme::Sip,
        () if scheme.eq_ignore_ascii_case("sips") => Scheme::Sips,
        () if scheme.eq_ignore_ascii_case("tel") => Scheme::Tel,
        () => Scheme::Other,
    })
}
