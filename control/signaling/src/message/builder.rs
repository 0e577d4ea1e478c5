//! Printing messages.

use alloc::vec::Vec;
use core::fmt::{self, Display, Write};

use super::text::{has_control, is_token_text};
use super::{Method, Name, Status};

/// Why a message could not be printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BuildError {
    /// A value has CR, LF, NUL or another control character: it would break out of its line.
    #[error("control character in {0:?}")]
    Control(Name),
    /// The method, the Request-URI or the reason phrase is none.
    #[error("bad start line")]
    StartLine,
    /// A header name is not a token.
    #[error("bad header name")]
    HeaderName,
    /// A value's `Display` failed.
    #[error("value of {0:?} cannot be printed")]
    Value(Name),
    /// Longer than a UDP datagram can be.
    #[error("message too long")]
    TooLong,
}

/// The longest message that is printed: the payload of a UDP datagram over IPv4.
const MAX_MESSAGE: usize = 65_507;

/// Prints one message, top to bottom. Errors are kept until [`Builder::build`], so that calls can be chained.
#[derive(Debug)]
#[must_use = "nothing comes of it without build()"]
pub struct Builder {
    bytes: Vec<u8>,
    error: Option<BuildError>,
}

/// Which control characters a value may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Ours: none but tabs.
    Ours,
    /// Copied from a message that was parsed: also those that a quoted string escapes. CR and LF never.
    Copied,
}

impl Builder {
    /// `METHOD uri SIP/2.0`. Header lines are to follow in the order in which they shall stand.
    pub fn request(method: Method<'_>, uri: impl Display) -> Self {
        let mut builder = Self::empty();
        if !is_token_text(method.as_str()) {
            builder.fail(BuildError::StartLine);
        }
        let start = builder.bytes.len() + method.as_str().len() + 1;
        builder.line(Name::Other, Origin::Ours, format_args!("{method} {uri} SIP/2.0"));
        let target = builder.bytes.get(start..builder.bytes.len().saturating_sub("SIP/2.0 \r\n".len()));
        if target.is_none_or(|uri| uri.is_empty() || uri.contains(&b' ')) {
            builder.fail(BuildError::StartLine);
        }
        builder
    }

    /// `SIP/2.0 status reason`.
    pub fn response(status: Status, reason: &str) -> Self {
        let mut builder = Self::empty();
        builder.line(Name::Other, Origin::Ours, format_args!("SIP/2.0 {status} {reason}"));
        builder
    }

    fn empty() -> Self {
        Self { bytes: Vec::with_capacity(1024), error: None }
    }

    /// One header line.
    pub fn header(mut self, name: Name, value: impl Display) -> Self {
        if name == Name::Other {
            self.fail(BuildError::HeaderName);
            return self;
        }
        self.bytes.extend_from_slice(name.as_str().as_bytes());
        self.bytes.extend_from_slice(b": ");
        self.line(name, Origin::Ours, value);
        self
    }

    /// One header line with a value of a parsed message.
    pub(super) fn copied(mut self, name: Name, value: impl Display) -> Self {
        self.bytes.extend_from_slice(name.as_str().as_bytes());
        self.bytes.extend_from_slice(b": ");
        self.line(name, Origin::Copied, value);
        self
    }

    /// One header line, if there is a value.
    pub fn optional(self, name: Name, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// One header line of a name that [`Name`] lacks.
    pub fn extension(mut self, name: &str, value: impl Display) -> Self {
        if !is_token_text(name) {
            self.fail(BuildError::HeaderName);
            return self;
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
        self.line(Name::Other, Origin::Ours, value);
        self
    }

    /// Ends the message without a body.
    ///
    /// # Errors
    /// The first of what went wrong.
    pub fn build(self) -> Result<Vec<u8>, BuildError> {
        self.finish(&[])
    }

    /// Ends the message with a body of that media type (`application/sdp`).
    ///
    /// # Errors
    /// The first of what went wrong.
    pub fn build_with(self, media_type: impl Display, body: &[u8]) -> Result<Vec<u8>, BuildError> {
        self.header(Name::ContentType, media_type).finish(body)
    }

    fn finish(self, body: &[u8]) -> Result<Vec<u8>, BuildError> {
        let mut this = self.header(Name::ContentLength, body.len());
        this.bytes.extend_from_slice(b"\r\n");
        this.bytes.extend_from_slice(body);
        match this.error {
            Some(error) => Err(error),
            None if this.bytes.len() > MAX_MESSAGE => Err(BuildError::TooLong),
            None => Ok(this.bytes),
        }
    }

    /// The rest of a line, with its end.
    fn line(&mut self, name: Name, origin: Origin, value: impl Display) {
        let mut guard = Guard { bytes: &mut self.bytes, origin, control: false };
        let outcome = write!(guard, "{value}");
        let control = guard.control;
        self.bytes.extend_from_slice(b"\r\n");
        if control {
            self.fail(BuildError::Control(name));
        } else if outcome.is_err() {
            self.fail(BuildError::Value(name));
        }
    }

    fn fail(&mut self, error: BuildError) {
        self.error.get_or_insert(error);
    }
}

/// Takes text into a line; control characters are refused at the door.
struct Guard<'b> {
    bytes: &'b mut Vec<u8>,
    origin: Origin,
    control: bool,
}

impl fmt::Write for Guard<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.bytes.len() + text.len() > MAX_MESSAGE {
            return Err(fmt::Error);
        }
        if has_control(text.as_bytes()) && !self.lets_through(text) {
            self.control = true;
            return Err(fmt::Error);
        }
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl Guard<'_> {
    /// Are all control characters escaped by a backslash, and may they be?
    fn lets_through(&self, text: &str) -> bool {
        let last = self.bytes.last().copied().unwrap_or_default();
        let before = core::iter::once(last).chain(text.bytes());
        self.origin == Origin::Copied
            && before.zip(text.bytes()).all(|(before, byte)| {
                !has_control(&[byte]) || (before == b'\\' && !matches!(byte, b'\r' | b'\n'))
            })
    }
}
