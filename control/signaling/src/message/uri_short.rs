//! The short forms of a destination that applications may give: `[[sip:]user@]host[:port]`, a bare number, and
//! the full forms.

use alloc::format;
use alloc::string::String;

use super::{Fault, Uri, UriBuf};

/// What an application meant by a destination.
#[derive(Clone, PartialEq, Debug)]
pub enum Destination {
    /// A complete URI: sip, sips or tel.
    Uri(UriBuf),
    /// A bare number, `+` and digits, `*`, `#` and letters A to D included: the default trunk routes it. Visual separators are gone.
    Number(String),
}

/// Why a destination was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ShortError {
    /// Nothing is there.
    #[error("empty")]
    Empty,
    /// Longer than a URI may be.
    #[error("longer than 2048 octets")]
    TooLong,
    /// White space, control characters or octets that are not ASCII.
    #[error("characters that a URI cannot have")]
    Characters,
    /// A scheme that cannot be called.
    #[error("scheme is not sip, sips or tel")]
    Scheme,
    /// Neither a URI, nor a short form, nor a number.
    #[error("{0}")]
    Uri(Fault),
}

/// The longest bare number: 15 digits of E.164, room for prefixes and dial strings.
const MAX_NUMBER: usize = 64;

pub(super) fn parse(text: &str) -> Result<Destination, ShortError> {
    if text.is_empty() {
        return Err(ShortError::Empty);
    }
    if text.len() > super::uri_parts::MAX_URI {
        return Err(ShortError::TooLong);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ShortError::Characters);
    }
    if let Some(number) = bare_number(text) {
        return Ok(Destination::Number(number));
    }
    let known = ["sip:", "sips:", "tel:"];
    let has_known = known.iter().any(|scheme| has_prefix(text, scheme));
    if !has_known && has_foreign_scheme(text) {
        return Err(ShortError::Scheme);
    }
    let full = if has_known { String::from(text) } else { format!("sip:{text}") };
    let uri = Uri::parse(&full).map_err(|error| ShortError::Uri(error.fault))?;
    Ok(Destination::Uri(uri.to_owned()))
}

fn has_prefix(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Digits as people dial them. A dotted name is no number, so `.` is no separator here.
fn bare_number(text: &str) -> Option<String> {
    let good = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#' | '-' | '(' | ')');
    let digits = text.strip_prefix('+').unwrap_or(text);
    let dialed = digits.chars().any(|c| c.is_ascii_digit());
    if !dialed || text.len() > MAX_NUMBER || !digits.chars().all(good) {
        return None;
    }
    Some(text.chars().filter(|c| !matches!(c, '-' | '(' | ')')).collect())
}

/// `http://…`, `mailto:a@b`: a word and a colon that no port follows. The short form has no password.
fn has_foreign_scheme(text: &str) -> bool {
    let Some((word, rest)) = text.split_once(':') else {
        return false;
    };
    let is_word = word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let is_port = rest.split([';', '?']).next().is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    is_word && !is_port
}

impl Uri<'_> {
    /// Parses a destination as an application gives it: a full URI, `user@host`, `host`, each with or without a
    /// port, an IPv6 address in brackets, or a bare number.
    ///
    /// # Errors
    /// Why it is none of them.
    pub fn parse_short(text: &str) -> Result<Destination, ShortError> {
        parse(text)
    }
}
