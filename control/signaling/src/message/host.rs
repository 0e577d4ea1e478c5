//! Hosts and ports (RFC 3261 section 25.1 `hostport`).

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::text::{Cursor, number};
use super::{Fault, ParseError};

/// The longest host name that DNS has (RFC 1035 section 2.3.4).
const MAX_HOST_NAME: usize = 255;

/// A host: a name or a literal address.
#[derive(Clone, Copy, Debug)]
pub enum Host<'a> {
    /// A DNS name; compared without regard to case.
    Name(&'a str),
    /// An IPv4 address, or an IPv6 address, which stands in square brackets.
    Ip(IpAddr),
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => a.eq_ignore_ascii_case(b),
            (Self::Ip(a), Self::Ip(b)) => a == b,
            (Self::Name(_), Self::Ip(_)) | (Self::Ip(_), Self::Name(_)) => false,
        }
    }
}

impl Eq for Host<'_> {}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl<'a> Host<'a> {
    /// From a name, an IPv4 address or an IPv6 reference in brackets.
    ///
    /// # Errors
    /// [`Fault::Host`] if it is none of them.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(text);
        let host = Self::take(&mut cursor)?;
        cursor.finish()?;
        Ok(host)
    }

    pub(crate) fn take(cursor: &mut Cursor<'a>) -> Result<Self, ParseError> {
        let start = *cursor;
        if cursor.eat(b'[') {
            let address = cursor.until(b']').and_then(|text| text.parse::<Ipv6Addr>().ok());
            return address.map(|address| Self::Ip(IpAddr::V6(address))).ok_or(start.error(Fault::Host));
        }
        let text =
            cursor.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(IpAddr::V4(address)));
        }
        if is_host_name(text) { Ok(Self::Name(text)) } else { Err(start.error(Fault::Host)) }
    }

    /// `:port`, if a colon follows. White space around the colon is let through where `spaced`.
    pub(crate) fn take_port(cursor: &mut Cursor<'a>, spaced: bool) -> Result<Option<u16>, ParseError> {
        let before = *cursor;
        if spaced {
            cursor.skip_space();
        }
        if !cursor.eat(b':') {
            *cursor = before;
            return Ok(None);
        }
        if spaced {
            cursor.skip_space();
        }
        let start = *cursor;
        let digits = cursor.take_while(|byte| byte.is_ascii_digit());
        let port = number(digits, u64::from(u16::MAX)).ok().and_then(|port| u16::try_from(port).ok());
        port.filter(|port| *port != 0).map(Some).ok_or(start.error(Fault::Port))
    }
}

/// Letters, digits, hyphens, and underscores (which the grammar lacks and the world uses), in labels. A name whose
/// last label is a number is a bad IPv4 address, not a name (RFC 1123 section 2.1).
fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let labels_good =
        name.split('.').all(|label| !label.is_empty() && label.len() <= 63 && !label.starts_with('-'));
    let last_is_number =
        name.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= MAX_HOST_NAME && labels_good && !last_is_number
}
