//! From a datagram to a message.

use alloc::vec::Vec;

use memchr::memchr;

use super::text::{Cursor, has_control, is_token_text, is_word, number, offset, trim};
use super::{CSeq, Fault, Method, Name, NameAddress, ParseError, Status, Uri, Via};

/// What a message may measure at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Octets of the whole message; a UDP datagram cannot have more than the default.
    pub message: usize,
    /// Header lines.
    pub headers: usize,
    /// Octets of one header, its folds included.
    pub header: usize,
}

impl Default for Limits {
    /// 64 KiB in at most 256 headers of at most 8 KiB.
    fn default() -> Self {
        Self { message: 65_536, headers: 256, header: 8_192 }
    }
}

/// The first line.
#[derive(Clone, Copy, Debug)]
pub enum StartLine<'a> {
    /// RFC 3261 section 7.1.
    Request {
        /// What is asked for.
        method: Method<'a>,
        /// Of whom.
        uri: Uri<'a>,
    },
    /// RFC 3261 section 7.2.
    Response {
        /// What came of it.
        status: Status,
        /// In words; may be empty, may be any language.
        reason: &'a str,
    },
}

/// One header line.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// The name, compact forms resolved.
    pub name: Name,
    /// The name as it was spelled.
    pub spelling: &'a str,
    /// The value without surrounding white space; folds stand in it as received (see [`super::Unfolded`]).
    pub value: &'a str,
}

/// A message in its datagram.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    pub(super) head: &'a str,
    pub(super) start: StartLine<'a>,
    pub(super) headers: Vec<Header<'a>>,
    pub(super) body: &'a [u8],
    pub(super) via: Via<'a>,
    pub(super) from: NameAddress<'a>,
    pub(super) to: NameAddress<'a>,
    pub(super) call_id: &'a str,
    pub(super) cseq: CSeq<'a>,
    pub(super) max_forwards: Option<u8>,
}

impl<'a> Message<'a> {
    /// Parses one datagram within the default [`Limits`].
    ///
    /// Octets beyond Content-Length are left out of the body (RFC 3261 section 18.3).
    ///
    /// # Errors
    /// What is wrong, where, and in which header. [`super::refusal`] makes the answer, where one is due.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, ParseError> {
        Self::parse_within(datagram, &Limits::default())
    }

    /// Parses one datagram.
    ///
    /// # Errors
    /// As [`Message::parse`].
    pub fn parse_within(datagram: &'a [u8], limits: &Limits) -> Result<Self, ParseError> {
        let frame = Frame::parse(datagram, limits)?;
        let start = start_line(frame.line)?;
        let essentials = Essentials::find(&frame)?;
        if let StartLine::Request { method, .. } = start
            && method != essentials.cseq.method
        {
            return Err(frame.error(Fault::MethodMismatch, Name::CSeq));
        }
        let body = match essentials.content_length {
            None => frame.body,
            Some(length) => frame
                .body
                .get(..length)
                .ok_or_else(|| frame.error(Fault::BodyTooShort, Name::ContentLength))?,
        };
        let Frame { head, headers, .. } = frame;
        let Essentials { via, from, to, call_id, cseq, max_forwards, .. } = essentials;
        Ok(Self { head, start, headers, body, via, from, to, call_id, cseq, max_forwards })
    }
}

/// A message cut into lines.
pub(super) struct Frame<'a> {
    /// All before the body, from the datagram's first octet on.
    pub(super) head: &'a str,
    /// The start line.
    pub(super) line: &'a str,
    pub(super) headers: Vec<Header<'a>>,
    /// All after the empty line.
    pub(super) body: &'a [u8],
}

impl<'a> Frame<'a> {
    pub(super) fn parse(datagram: &'a [u8], limits: &Limits) -> Result<Self, ParseError> {
        if datagram.len() > limits.message {
            return Err(ParseError::new(Fault::MessageTooLong, limits.message));
        }
        // Empty lines before the start line are skipped (RFC 3261 section 7.5).
        let first = datagram.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
        let first = first.ok_or(ParseError::new(Fault::Empty, 0))?;
        let end = head_end(datagram, first)?;
        let head = core::str::from_utf8(&datagram[..end])
            .map_err(|error| ParseError::new(Fault::NotUtf8, error.valid_up_to()))?;
        let line_end = memchr(b'\r', &datagram[first..end]).map_or(end, |at| first + at);
        if line_end - first > limits.header {
            return Err(ParseError::new(Fault::HeaderTooLong, first));
        }
        let headers = index(head, (line_end + 2).min(end), limits)?;
        Ok(Self { head, line: &head[first..line_end], headers, body: &datagram[end + 2..] })
    }

    pub(super) fn values(&self, name: Name) -> impl Iterator<Item = &'a str> + '_ {
        self.headers.iter().filter(move |header| header.name == name).map(|header| header.value)
    }

    fn error(&self, fault: Fault, name: Name) -> ParseError {
        let at = self.values(name).next().map_or(self.head.len(), |value| offset(self.head, value));
        ParseError { fault, at, header: Some(name) }
    }

    /// The value of a header that may stand once at most.
    pub(super) fn single(&self, name: Name) -> Result<Option<&'a str>, ParseError> {
        let mut values = self.values(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(second) => {
                let at = offset(self.head, second);
                Err(ParseError { fault: Fault::Repeated, at, header: Some(name) })
            }
        }
    }

    fn required(&self, name: Name) -> Result<&'a str, ParseError> {
        self.single(name)?.ok_or_else(|| self.error(Fault::Missing, name))
    }
}

/// Where the head ends: after the line end of its last header. Control characters have no business in it, but
/// for tabs, line ends, and what a quoted string has escaped (RFC 3261 section 25.1 `quoted-pair`).
fn head_end(datagram: &[u8], first: usize) -> Result<usize, ParseError> {
    let mut at = first;
    loop {
        let rest = &datagram[at..];
        let length = memchr(b'\n', rest);
        let line = &rest[..length.unwrap_or(rest.len())];
        let (line, whole) = match line.strip_suffix(b"\r") {
            Some(line) => (line, true),
            None => (line, false),
        };
        if has_control(line)
            && let Some(place) = first_control(line)
        {
            return Err(ParseError::new(Fault::Control, at + place));
        }
        match length {
            None => return Err(ParseError::new(Fault::Unterminated, datagram.len())),
            Some(length) if !whole => return Err(ParseError::new(Fault::Control, at + length)),
            Some(_) if line.is_empty() => return Ok(at),
            Some(length) => at += length + 1,
        }
    }
}

/// The first control character that no backslash escapes.
fn first_control(line: &[u8]) -> Option<usize> {
    let escaped = |at: usize| at > 0 && line[at - 1] == b'\\' && line[at] != b'\r';
    (0..line.len()).find(|at| has_control(&line[*at..=*at]) && !escaped(*at))
}

/// Cuts header lines apart, joining continuation lines to theirs.
fn index<'a>(head: &'a str, from: usize, limits: &Limits) -> Result<Vec<Header<'a>>, ParseError> {
    let mut headers = Vec::with_capacity(24); // what a usual INVITE has; grows to the limit at most
    let bytes = head.as_bytes();
    let mut at = from;
    while at < bytes.len() {
        let end = line_end(bytes, at);
        if headers.len() == limits.headers {
            return Err(ParseError::new(Fault::TooManyHeaders, at));
        }
        if end - at > limits.header {
            return Err(ParseError::new(Fault::HeaderTooLong, at));
        }
        headers.push(header(&head[at..end]).ok_or(ParseError::new(Fault::HeaderLine, at))?);
        at = end + 2;
    }
    Ok(headers)
}

/// `name: value`, with white space around the colon.
fn header(line: &str) -> Option<Header<'_>> {
    let mut cursor = Cursor::new(line);
    let spelling = cursor.token().ok()?;
    cursor.take_while(|byte| matches!(byte, b' ' | b'\t'));
    let found = cursor.eat(b':');
    found.then(|| Header { name: Name::from_spelling(spelling), spelling, value: trim(cursor.rest()) })
}

/// Where the header line that begins at `at` ends, its continuation lines included.
fn line_end(bytes: &[u8], at: usize) -> usize {
    let mut search = at;
    // Every LF has its CR: `head_end` has seen to that.
    while let Some(found) = memchr(b'\n', &bytes[search..]) {
        let next = search + found + 1;
        match bytes.get(next) {
            Some(b' ' | b'\t') => search = next,
            _ => return next - 2,
        }
    }
    bytes.len()
}

pub(super) fn start_line(line: &str) -> Result<StartLine<'_>, ParseError> {
    let bad = ParseError::new(Fault::StartLine, 0);
    // A request line begins with a token, which has no slash.
    if line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("SIP/")) {
        return status_line(line);
    }
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad);
    };
    if !is_token_text(method) {
        return Err(bad);
    }
    if !version.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("SIP/")) {
        return Err(ParseError::new(Fault::StartLine, offset(line, version)));
    }
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(ParseError::new(Fault::Version, offset(line, version)));
    }
    let uri =
        Uri::parse(target).map_err(|error| ParseError { at: error.at + offset(line, target), ..error })?;
    if !uri.headers().is_empty() {
        // Headers may not stand in a Request-URI (RFC 3261 section 19.1.1, table 1).
        return Err(ParseError::new(Fault::Uri, offset(line, target)));
    }
    Ok(StartLine::Request { method: Method::from_token(method), uri })
}

fn status_line(line: &str) -> Result<StartLine<'_>, ParseError> {
    let (version, rest) = line.split_once(' ').ok_or(ParseError::new(Fault::StartLine, 0))?;
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(ParseError::new(Fault::Version, 0));
    }
    let bad = ParseError::new(Fault::Status, offset(line, rest));
    // The space after the code is there even if the phrase is empty; some leave it out all the same.
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let code = if code.len() == 3 { number(code, 999).map_err(|_| bad)? } else { return Err(bad) };
    let status = u16::try_from(code).ok().and_then(Status::new).ok_or(bad)?;
    Ok(StartLine::Response { status, reason })
}

/// The headers without which nothing can be done.
struct Essentials<'a> {
    via: Via<'a>,
    from: NameAddress<'a>,
    to: NameAddress<'a>,
    call_id: &'a str,
    cseq: CSeq<'a>,
    max_forwards: Option<u8>,
    content_length: Option<usize>,
}

impl<'a> Essentials<'a> {
    fn find(frame: &Frame<'a>) -> Result<Self, ParseError> {
        let within = |name: Name, value: &str| {
            let at = offset(frame.head, value);
            move |error: ParseError| error.within(name, at)
        };
        let vias = frame.values(Name::Via).next().ok_or_else(|| frame.error(Fault::Missing, Name::Via))?;
        let via = super::text::List::new(vias).next().unwrap_or_default();
        let from = frame.required(Name::From)?;
        let to = frame.required(Name::To)?;
        let call_id = frame.required(Name::CallId)?;
        let cseq = frame.required(Name::CSeq)?;
        if !is_call_id(call_id) {
            return Err(frame.error(Fault::Token, Name::CallId));
        }
        let max_forwards = small_number(frame, Name::MaxForwards, 255)?;
        let content_length = small_number(frame, Name::ContentLength, u64::from(u32::MAX))?;
        Ok(Self {
            via: Via::parse(via).map_err(within(Name::Via, via))?,
            from: NameAddress::parse(from).map_err(within(Name::From, from))?,
            to: NameAddress::parse(to).map_err(within(Name::To, to))?,
            call_id,
            cseq: CSeq::parse(cseq).map_err(within(Name::CSeq, cseq))?,
            max_forwards: max_forwards.and_then(|hops| u8::try_from(hops).ok()),
            content_length: content_length.and_then(|length| usize::try_from(length).ok()),
        })
    }
}

fn small_number(frame: &Frame<'_>, name: Name, most: u64) -> Result<Option<u64>, ParseError> {
    let value = frame.single(name)?;
    value.map(|text| number(text, most)).transpose().map_err(|fault| frame.error(fault, name))
}

/// `word ["@" word]` (RFC 3261 section 25.1).
fn is_call_id(text: &str) -> bool {
    let (first, second) = text.split_once('@').map_or((text, None), |(a, b)| (a, Some(b)));
    let is_word_text = |word: &str| !word.is_empty() && word.bytes().all(is_word);
    is_word_text(first) && second.is_none_or(is_word_text)
}
