//! Via (RFC 3261 section 20.42, RFC 3581).

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use super::text::{Cursor, number};
use super::{Fault, Host, Parameter, Parameters, ParseError};

/// What every branch of RFC 3261 begins with (section 8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// One Via value.
#[derive(Clone, Copy, Debug)]
pub struct Via<'a> {
    /// The version of the protocol; `2.0`, unless the request gets a 505.
    pub version: &'a str,
    /// `UDP`, `TCP`, `TLS`, or another token.
    pub transport: &'a str,
    /// sent-by: the host.
    pub host: Host<'a>,
    /// sent-by: the port, if one is given.
    pub port: Option<u16>,
    /// All parameters.
    pub parameters: Parameters<'a>,
}

impl<'a> Via<'a> {
    /// Parses one value (no comma-joined list).
    ///
    /// # Errors
    /// What is wrong, and at which octet.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(text);
        cursor.skip_space();
        let start = cursor;
        if !cursor.token()?.eq_ignore_ascii_case("SIP") {
            return Err(start.error(Fault::Token));
        }
        slash(&mut cursor)?;
        let version = cursor.token()?;
        slash(&mut cursor)?;
        let transport = cursor.token()?;
        cursor.skip_space();
        let host = Host::take(&mut cursor)?;
        let port = Host::take_port(&mut cursor, true)?;
        let at = cursor.at();
        let parameters =
            Parameters::parse(cursor.rest()).map_err(|error| ParseError { at: error.at + at, ..error })?;
        let via = Self { version, transport, host, port, parameters };
        via.check(at)?;
        Ok(via)
    }

    /// The parameters that we act on must make sense, and stand once.
    fn check(&self, at: usize) -> Result<(), ParseError> {
        let bad = Err(ParseError::new(Fault::Parameter, at));
        let mut seen = [false; 3];
        for Parameter { name, value } in self.parameters.iter() {
            let (place, good) = match () {
                () if name.eq_ignore_ascii_case("branch") => (0, true),
                () if name.eq_ignore_ascii_case("rport") => {
                    (1, value.is_none_or(|port| number(port, u64::from(u16::MAX)).is_ok()))
                }
                () if name.eq_ignore_ascii_case("received") => (2, value.and_then(address).is_some()),
                () => continue,
            };
            if seen[place] || !good {
                return bad;
            }
            seen[place] = true;
        }
        Ok(())
    }

    /// The transaction's name.
    #[must_use]
    pub fn branch(&self) -> Option<&'a str> {
        self.parameters.value("branch")
    }

    /// Does the branch promise to be unique (RFC 3261 section 8.1.1.7)?
    #[must_use]
    pub fn is_rfc3261(&self) -> bool {
        self.branch().is_some_and(|branch| {
            let start = branch.get(..MAGIC_COOKIE.len());
            // The cookie alone names no transaction.
            branch.len() > MAGIC_COOKIE.len()
                && start.is_some_and(|start| start.eq_ignore_ascii_case(MAGIC_COOKIE))
        })
    }

    /// The address that the request came from, as the server wrote it.
    #[must_use]
    pub fn received(&self) -> Option<IpAddr> {
        self.parameters.value("received").and_then(address)
    }

    /// `rport` (RFC 3581): none if absent, `Some(None)` if asked for, the port if filled in.
    #[must_use]
    pub fn rport(&self) -> Option<Option<u16>> {
        let parameter = self.parameters.get("rport")?;
        Some(parameter.value.and_then(|port| port.parse().ok()))
    }

    /// Where a response to a request with this topmost Via goes that came over UDP from `source` (RFC 3261
    /// section 18.2.2, RFC 3581 section 4). Always to the source's own address: `maddr` and sent-by's host are
    /// a stranger's claim, and would make us a reflector.
    #[must_use]
    pub fn reply_address(&self, source: SocketAddr) -> SocketAddr {
        match self.rport() {
            Some(_) => source,
            None => SocketAddr::new(source.ip(), self.port.unwrap_or(5060)),
        }
    }
}

fn slash(cursor: &mut Cursor<'_>) -> Result<(), ParseError> {
    cursor.skip_space();
    if !cursor.eat(b'/') {
        return Err(cursor.error(Fault::Token));
    }
    cursor.skip_space();
    Ok(())
}

/// An address; IPv6 with or without brackets, as both are found in `received`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}

impl fmt::Display for Via<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/{}/{} {}", self.version, self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.parameters)
    }
}
