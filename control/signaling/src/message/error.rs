//! What is wrong with a message, and where.

use super::Name;

/// Why a message, or one value in it, was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{fault}, byte {at}{}", InHeader(*header))]
pub struct ParseError {
    /// What is wrong.
    pub fault: Fault,
    /// Offset in octets: from the start of the datagram for errors of [`Message::parse`](super::Message::parse)
    /// and of the accessors of a message, from the start of the value for a parser that was given one value.
    pub at: usize,
    /// The header that it is wrong in; none for the start line, the framing and single values.
    pub header: Option<Name>,
}

struct InHeader(Option<Name>);

impl core::fmt::Display for InHeader {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(name) => write!(f, ", in {}", name.as_str()),
            None => Ok(()),
        }
    }
}

impl ParseError {
    /// An error in a single value.
    #[must_use]
    pub const fn new(fault: Fault, at: usize) -> Self {
        Self { fault, at, header: None }
    }

    /// The same error, told from the start of the datagram.
    #[must_use]
    pub(crate) const fn within(self, header: Name, offset: usize) -> Self {
        Self { fault: self.fault, at: self.at + offset, header: Some(header) }
    }
}

/// What can be wrong with a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Fault {
    /// Nothing but line ends: a keep-alive (RFC 5626 section 3.5.1), or nothing at all.
    #[error("no message")]
    Empty,
    /// Longer than [`Limits`](super::Limits) allow.
    #[error("message too long")]
    MessageTooLong,
    /// More headers than [`Limits`](super::Limits) allow.
    #[error("too many headers")]
    TooManyHeaders,
    /// One header longer than [`Limits`](super::Limits) allow.
    #[error("header too long")]
    HeaderTooLong,
    /// More values in a list than [`Limits`](super::Limits) allow.
    #[error("too many values")]
    TooManyValues,
    /// The head is not UTF-8 (RFC 3261 section 25.1).
    #[error("not UTF-8")]
    NotUtf8,
    /// CR or LF alone, or another control character in the head.
    #[error("control character")]
    Control,
    /// The empty line that ends the head is missing (RFC 3261 section 7).
    #[error("the head does not end")]
    Unterminated,
    /// Neither a request line nor a status line (RFC 3261 sections 7.1, 7.2).
    #[error("not a start line")]
    StartLine,
    /// The protocol version is not SIP/2.0.
    #[error("not SIP/2.0")]
    Version,
    /// The status code is not 100 to 699.
    #[error("bad status code")]
    Status,
    /// A header line without a name, or without a colon.
    #[error("not a header")]
    HeaderLine,
    /// A header that every message must carry (RFC 3261 section 8.1.1) is missing.
    #[error("header missing")]
    Missing,
    /// A header that may stand only once stands twice.
    #[error("header repeated")]
    Repeated,
    /// The method in CSeq is not that of the request line.
    #[error("CSeq of another method")]
    MethodMismatch,
    /// Content-Length is larger than what follows the head (RFC 3261 section 18.3).
    #[error("body shorter than Content-Length")]
    BodyTooShort,
    /// A number was expected.
    #[error("not a number")]
    Number,
    /// A number is larger than its field can be.
    #[error("number out of range")]
    Range,
    /// A token (RFC 3261 section 25.1) was expected.
    #[error("not a token")]
    Token,
    /// A quoted string does not end.
    #[error("unterminated quote")]
    Quote,
    /// `<` without `>`.
    #[error("unterminated angle bracket")]
    Bracket,
    /// A host name, IPv4 address or IPv6 reference was expected.
    #[error("bad host")]
    Host,
    /// A port was expected.
    #[error("bad port")]
    Port,
    /// The URI is none.
    #[error("bad URI")]
    Uri,
    /// `%` is not followed by two hexadecimal digits.
    #[error("bad escape")]
    Escape,
    /// A parameter is none, or stands twice where it may not.
    #[error("bad parameter")]
    Parameter,
    /// Something stands where nothing should.
    #[error("unexpected text")]
    Trailing,
    /// A value is missing.
    #[error("empty value")]
    NoValue,
}
