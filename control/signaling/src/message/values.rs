//! The smaller header values.

use super::text::{Cursor, number, trim};
use super::{Fault, Method, Parameters, ParseError};

/// CSeq (RFC 3261 section 20.16).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CSeq<'a> {
    /// Below 2^31.
    pub number: u32,
    /// The method of the request.
    pub method: Method<'a>,
}

/// The largest CSeq number (RFC 3261 section 8.1.1.5).
pub const MAX_CSEQ: u32 = (1 << 31) - 1;

impl<'a> CSeq<'a> {
    /// Parses the value.
    ///
    /// # Errors
    /// What is wrong, and at which octet.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(text);
        let number = take_number(&mut cursor, MAX_CSEQ)?;
        let method = take_method(&mut cursor)?;
        cursor.finish()?;
        Ok(Self { number, method })
    }
}

/// RAck (RFC 3262 section 7.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RAck<'a> {
    /// RSeq of the provisional response that is acknowledged.
    pub rseq: u32,
    /// Its CSeq.
    pub cseq: CSeq<'a>,
}

impl<'a> RAck<'a> {
    /// Parses the value.
    ///
    /// # Errors
    /// What is wrong, and at which octet.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(text);
        let rseq = take_number(&mut cursor, u32::MAX)?;
        let number = take_number(&mut cursor, MAX_CSEQ)?;
        let method = take_method(&mut cursor)?;
        cursor.finish()?;
        Ok(Self { rseq, cseq: CSeq { number, method } })
    }
}

fn take_number(cursor: &mut Cursor<'_>, most: u32) -> Result<u32, ParseError> {
    cursor.skip_space();
    let start = *cursor;
    let digits = cursor.take_while(|byte| byte.is_ascii_digit());
    let value = number(digits, u64::from(most)).map_err(|fault| start.error(fault))?;
    if cursor.peek().is_some_and(|byte| !super::text::is_space(byte)) {
        return Err(start.error(Fault::Number));
    }
    Ok(u32::try_from(value).unwrap_or(most))
}

fn take_method<'a>(cursor: &mut Cursor<'a>) -> Result<Method<'a>, ParseError> {
    cursor.skip_space();
    cursor.token().map(Method::from_token)
}

/// Seconds as Expires, Min-Expires and Min-SE have them, parameters let through where `parameters`.
pub(super) fn seconds(text: &str) -> Result<u32, ParseError> {
    let digits = text.split(';').next().map_or("", trim);
    let value = number(digits, u64::from(u32::MAX)).map_err(|fault| ParseError::new(fault, 0))?;
    Ok(u32::try_from(value).unwrap_or(u32::MAX))
}

/// Retry-After (RFC 3261 section 20.33): seconds; the comment and parameters are of no use to a machine.
pub(super) fn retry_after(text: &str) -> Result<u32, ParseError> {
    seconds(text.split('(').next().unwrap_or(text))
}

/// Session-Expires (RFC 4028 section 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionExpires {
    /// The interval in seconds.
    pub seconds: u32,
    /// Who refreshes; none if left open.
    pub refresher: Option<Refresher>,
}

/// Who refreshes a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refresher {
    /// The side that sent the request.
    Uac,
    /// The side that answered it.
    Uas,
}

impl SessionExpires {
    /// Parses the value.
    ///
    /// # Errors
    /// What is wrong, and at which octet.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let split = text.find(';').unwrap_or(text.len());
        let parameters = Parameters::parse(&text[split..])
            .map_err(|error| ParseError { at: error.at + split, ..error })?;
        let refresher = match parameters.value("refresher") {
            None => None,
            Some(who) if who.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
            Some(who) if who.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
            Some(_) => return Err(ParseError::new(Fault::Parameter, split)),
        };
        Ok(Self { seconds: seconds(text)?, refresher })
    }
}

/// Content-Type (RFC 3261 section 20.15).
#[derive(Clone, Copy, Debug)]
pub struct MediaType<'a> {
    /// `application`
    pub kind: &'a str,
    /// `sdp`
    pub subtype: &'a str,
    /// Parameters such as `charset`.
    pub parameters: Parameters<'a>,
}

impl<'a> MediaType<'a> {
    /// Parses the value.
    ///
    /// # Errors
    /// What is wrong, and at which octet.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(text);
        cursor.skip_space();
        let kind = cursor.token()?;
        cursor.skip_space();
        if !cursor.eat(b'/') {
            return Err(cursor.error(Fault::Trailing));
        }
        cursor.skip_space();
        let subtype = cursor.token()?;
        let at = cursor.at();
        let parameters =
            Parameters::parse(cursor.rest()).map_err(|error| ParseError { at: error.at + at, ..error })?;
        Ok(Self { kind, subtype, parameters })
    }

    /// Is it `kind/subtype`, whatever its case?
    #[must_use]
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
    }
}

/// Reason (RFC 3326).
#[derive(Clone, Copy, Debug)]
pub struct Reason<'a> {
    /// `SIP`, `Q.850` or another token.
    pub protocol: &'a str,
    /// The code within the protocol.
    pub cause: Option<u16>,
    /// The text, quotes included.
    pub text: Option<&'a str>,
}

impl<'a> Reason<'a> {
    /// Parses one value.
    ///
    /// # Errors
    /// What is wrong, and at which octet.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(text);
        cursor.skip_space();
        let protocol = cursor.token()?;
        let at = cursor.at();
        let parameters =
            Parameters::parse(cursor.rest()).map_err(|error| ParseError { at: error.at + at, ..error })?;
        let cause = parameters.value("cause").and_then(|cause| cause.parse().ok());
        Ok(Self { protocol, cause, text: parameters.value("text") })
    }
}

/// A challenge or credentials (RFC 3261 section 20.44, RFC 7616): `Digest realm="…", nonce="…"`.
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'a> {
    /// `Digest`, or another token.
    pub scheme: &'a str,
    parameters: &'a str,
}

impl<'a> Challenge<'a> {
    /// Parses the value of one header; challenges are never comma-joined, their parameters are.
    ///
    /// # Errors
    /// What is wrong, and at which octet.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(text);
        cursor.skip_space();
        let scheme = cursor.token()?;
        let parameters = cursor.rest();
        for parameter in super::text::List::new(parameters) {
            let mut inner = Cursor::new(parameter);
            inner.token()?;
            inner.skip_space();
            if !inner.eat(b'=') {
                return Err(ParseError::new(Fault::Parameter, super::text::offset(text, parameter)));
            }
        }
        Ok(Self { scheme, parameters })
    }

    /// The value of a parameter, quotes taken off, escapes left as they stand.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'a str> {
        let named = super::text::List::new(self.parameters).filter_map(|parameter| parameter.split_once('='));
        let mut found =
            named.filter(|(key, _)| trim(key).eq_ignore_ascii_case(name)).map(|(_, value)| trim(value));
        let value = found.next()?;
        Some(value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value))
    }
}
