//! What a message says, header by header.

use alloc::vec::Vec;
use core::iter::FusedIterator;

use super::text::{List, is_token_text, number, offset};
use super::values::{retry_after, seconds};
use super::{
    CSeq, Fault, Header, MediaType, Message, Method, Name, NameAddress, ParseError, RAck, Reason,
    SessionExpires, StartLine, Status, Uri, Via,
};

/// Values of one list in one message at most; a longer one is an error of its accessor.
const MAX_VALUES: usize = 256;

impl<'a> Message<'a> {
    /// The first line.
    #[must_use]
    pub const fn start(&self) -> &StartLine<'a> {
        &self.start
    }

    /// Is it a request?
    #[must_use]
    pub const fn is_request(&self) -> bool {
        matches!(self.start, StartLine::Request { .. })
    }

    /// The method of the request, or of the request that a response answers.
    #[must_use]
    pub const fn method(&self) -> Method<'a> {
        self.cseq.method
    }

    /// The Request-URI; none for a response.
    #[must_use]
    pub const fn request_uri(&self) -> Option<&Uri<'a>> {
        match &self.start {
            StartLine::Request { uri, .. } => Some(uri),
            StartLine::Response { .. } => None,
        }
    }

    /// The status; none for a request.
    #[must_use]
    pub const fn status(&self) -> Option<Status> {
        match self.start {
            StartLine::Request { .. } => None,
            StartLine::Response { status, .. } => Some(status),
        }
    }

    /// The reason phrase; none for a request.
    #[must_use]
    pub const fn reason_phrase(&self) -> Option<&'a str> {
        match self.start {
            StartLine::Request { .. } => None,
            StartLine::Response { reason, .. } => Some(reason),
        }
    }

    /// The topmost Via.
    #[must_use]
    pub const fn via(&self) -> &Via<'a> {
        &self.via
    }

    /// All Vias, the topmost first.
    #[must_use]
    pub fn vias(&self) -> Vias<'a, '_> {
        Vias(self.values(Name::Via))
    }

    /// From.
    #[must_use]
    pub const fn from(&self) -> &NameAddress<'a> {
        &self.from
    }

    /// To.
    #[must_use]
    pub const fn to(&self) -> &NameAddress<'a> {
        &self.to
    }

    /// Call-ID; case counts.
    #[must_use]
    pub const fn call_id(&self) -> &'a str {
        self.call_id
    }

    /// CSeq.
    #[must_use]
    pub const fn cseq(&self) -> CSeq<'a> {
        self.cseq
    }

    /// Max-Forwards; RFC 2543 clients leave it out.
    #[must_use]
    pub const fn max_forwards(&self) -> Option<u8> {
        self.max_forwards
    }

    /// The body, as long as Content-Length says.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The message as it came, without what followed its body.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), b"\r\n", self.body].concat()
    }

    /// Every header line in its order.
    #[must_use]
    pub fn headers(&self) -> &[Header<'a>] {
        &self.headers
    }

    /// The raw value of the first header of that name.
    #[must_use]
    pub fn header(&self, name: Name) -> Option<&'a str> {
        self.headers.iter().find(|header| header.name == name).map(|header| header.value)
    }

    /// The raw value of the first header spelled so, known or not, whatever its case.
    #[must_use]
    pub fn header_spelled(&self, spelling: &str) -> Option<&'a str> {
        let mut found = self.headers.iter().filter(|header| header.spelling.eq_ignore_ascii_case(spelling));
        found.next().map(|header| header.value)
    }

    /// The values of all headers of that name, comma-joined ones taken apart (RFC 3261 section 7.3.1).
    #[must_use]
    pub fn values(&self, name: Name) -> Values<'a, '_> {
        Values { head: self.head, name, headers: self.headers.iter(), list: None, left: MAX_VALUES }
    }

    /// Contacts. `*` is an error here: it has meaning in REGISTER alone, which we do not serve.
    #[must_use]
    pub fn contacts(&self) -> Addresses<'a, '_> {
        Addresses(self.values(Name::Contact))
    }

    /// Record-Routes, the topmost first.
    #[must_use]
    pub fn record_routes(&self) -> Addresses<'a, '_> {
        Addresses(self.values(Name::RecordRoute))
    }

    /// Routes, the topmost first.
    #[must_use]
    pub fn routes(&self) -> Addresses<'a, '_> {
        Addresses(self.values(Name::Route))
    }

    /// Asserted identities (RFC 3325).
    #[must_use]
    pub fn asserted_identities(&self) -> Addresses<'a, '_> {
        Addresses(self.values(Name::PAssertedIdentity))
    }

    /// The tokens of a list header: Require, Supported, Unsupported, Allow.
    #[must_use]
    pub fn tokens(&self, name: Name) -> Tokens<'a, '_> {
        Tokens(self.values(name))
    }

    /// Does a list header name this option (RFC 3261 section 19.2)? An ill-formed list names nothing.
    #[must_use]
    pub fn lists(&self, name: Name, option: &str) -> bool {
        self.tokens(name).flatten().any(|token| token.eq_ignore_ascii_case(option))
    }

    /// Content-Type.
    ///
    /// # Errors
    /// What is wrong with it, as with all accessors below.
    pub fn content_type(&self) -> Result<Option<MediaType<'a>>, ParseError> {
        self.single(Name::ContentType, MediaType::parse)
    }

    /// Expires, in seconds.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn expires(&self) -> Result<Option<u32>, ParseError> {
        self.single(Name::Expires, seconds)
    }

    /// Retry-After, in seconds.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn retry_after(&self) -> Result<Option<u32>, ParseError> {
        self.single(Name::RetryAfter, retry_after)
    }

    /// RSeq (RFC 3262 section 7.1).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn rseq(&self) -> Result<Option<u32>, ParseError> {
        self.single(Name::RSeq, |text| {
            let value = number(text, u64::from(u32::MAX)).map_err(|fault| ParseError::new(fault, 0))?;
            Ok(u32::try_from(value).unwrap_or(u32::MAX))
        })
    }

    /// RAck (RFC 3262 section 7.2).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn rack(&self) -> Result<Option<RAck<'a>>, ParseError> {
        self.single(Name::RAck, RAck::parse)
    }

    /// Session-Expires (RFC 4028 section 4).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn session_expires(&self) -> Result<Option<SessionExpires>, ParseError> {
        self.single(Name::SessionExpires, SessionExpires::parse)
    }

    /// Min-SE (RFC 4028 section 5), in seconds.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn min_se(&self) -> Result<Option<u32>, ParseError> {
        self.single(Name::MinSe, seconds)
    }

    /// The Reason of that protocol (RFC 3326: at most one for each), if there is a good one.
    #[must_use]
    pub fn reason(&self, protocol: &str) -> Option<Reason<'a>> {
        let reasons = self.values(Name::Reason).filter_map(|value| Reason::parse(value.ok()?).ok());
        reasons.into_iter().find(|reason| reason.protocol.eq_ignore_ascii_case(protocol))
    }

    /// A header that may stand once at most.
    fn single<T>(
        &self,
        name: Name,
        parse: impl FnOnce(&'a str) -> Result<T, ParseError>,
    ) -> Result<Option<T>, ParseError> {
        let mut found = self.headers.iter().filter(|header| header.name == name);
        let Some(header) = found.next() else {
            return Ok(None);
        };
        if let Some(second) = found.next() {
            let at = offset(self.head, second.value);
            return Err(ParseError { fault: Fault::Repeated, at, header: Some(name) });
        }
        let at = offset(self.head, header.value);
        parse(header.value).map(Some).map_err(|error| error.within(name, at))
    }
}

/// Raw values of a list header. After an error it is at its end.
#[derive(Clone)]
pub struct Values<'a, 'm> {
    head: &'a str,
    name: Name,
    headers: core::slice::Iter<'m, Header<'a>>,
    list: Option<List<'a>>,
    left: usize,
}

impl<'a> Values<'a, '_> {
    fn fail(&mut self, fault: Fault, value: &str) -> ParseError {
        self.left = 0;
        self.list = None;
        self.headers = [].iter();
        ParseError { fault, at: offset(self.head, value), header: Some(self.name) }
    }

    /// The next value through a parser.
    fn parsed<T>(
        &mut self,
        parse: impl FnOnce(&'a str) -> Result<T, ParseError>,
    ) -> Option<Result<T, ParseError>> {
        let value = match self.next()? {
            Ok(value) => value,
            Err(error) => return Some(Err(error)),
        };
        Some(parse(value).map_err(|error| {
            let offset = offset(self.head, value);
            self.fail(error.fault, value);
            error.within(self.name, offset)
        }))
    }
}

impl<'a> Iterator for Values<'a, '_> {
    type Item = Result<&'a str, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(value) = self.list.as_mut().and_then(Iterator::next) {
                if self.left == 0 {
                    return Some(Err(self.fail(Fault::TooManyValues, value)));
                }
                self.left -= 1;
                return Some(Ok(value));
            }
            let name = self.name;
            let header = self.headers.find(|header| header.name == name)?;
            // An empty header is an empty list (`Supported:` and `Accept:` may be), not a list of one nothing.
            self.list = (!header.value.is_empty()).then(|| List::new(header.value));
        }
    }
}

impl FusedIterator for Values<'_, '_> {}

/// Vias of a message.
#[derive(Clone)]
pub struct Vias<'a, 'm>(Values<'a, 'm>);

impl<'a> Iterator for Vias<'a, '_> {
    type Item = Result<Via<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.parsed(Via::parse)
    }
}

/// Addresses of a message.
#[derive(Clone)]
pub struct Addresses<'a, 'm>(Values<'a, 'm>);

impl<'a> Iterator for Addresses<'a, '_> {
    type Item = Result<NameAddress<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.parsed(NameAddress::parse)
    }
}

/// Tokens of a message.
#[derive(Clone)]
pub struct Tokens<'a, 'm>(Values<'a, 'm>);

impl<'a> Iterator for Tokens<'a, '_> {
    type Item = Result<&'a str, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0
            .parsed(|text| if is_token_text(text) { Ok(text) } else { Err(ParseError::new(Fault::Token, 0)) })
    }
}
