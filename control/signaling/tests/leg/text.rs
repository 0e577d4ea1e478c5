//! SIP messages as plain text, read and written without the crate's own parser, so that the two check each other.

use std::fmt::Write;

/// One message, split at its lines.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) start: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Text {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("an empty line after the head");
        let mut lines = head.split("\r\n");
        let start = lines.next().expect("a start line").to_owned();
        let split = |line: &str| {
            let (name, value) = line.split_once(':').expect("a colon");
            (name.trim().to_owned(), value.trim().to_owned())
        };
        let message = Self { start, headers: lines.map(split).collect(), body: body.to_owned() };
        let length: usize = message.header("Content-Length").parse().expect("a length");
        assert_eq!(length, message.body.len(), "Content-Length");
        message
    }

    /// The first value of a header; empty if it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or("")
    }

    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The method of a request, the number of a response.
    pub(crate) fn kind(&self) -> &str {
        let mut words = self.start.split(' ');
        let first = words.next().unwrap_or("");
        if first == "SIP/2.0" { words.next().unwrap_or("") } else { first }
    }

    pub(crate) fn is_response(&self) -> bool {
        self.start.starts_with("SIP/2.0 ")
    }

    pub(crate) fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or("")
    }

    pub(crate) fn branch(&self) -> &str {
        parameter(self.header("Via"), "branch")
    }

    pub(crate) fn sender_tag(&self) -> &str {
        parameter(self.header("From"), "tag")
    }

    pub(crate) fn to_tag(&self) -> &str {
        parameter(self.header("To"), "tag")
    }

    pub(crate) fn cseq(&self) -> u32 {
        self.header("CSeq").split(' ').next().and_then(|number| number.parse().ok()).expect("a CSeq number")
    }

    pub(crate) fn cseq_method(&self) -> &str {
        self.header("CSeq").split(' ').nth(1).unwrap_or("")
    }
}

fn parameter<'a>(value: &'a str, name: &str) -> &'a str {
    let mut parts = value.split(';').map(|part| part.trim_end_matches('>'));
    parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).unwrap_or("")
}

/// What a response of the party says beyond its status.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) tag: &'a str,
    pub(crate) contact: &'a str,
    pub(crate) headers: &'a [&'a str],
    pub(crate) sdp: &'a str,
}

/// The response to a request, as a party writes it (RFC 3261 section 8.2.6).
pub(crate) fn response(request: &Text, status: u16, reply: &Reply<'_>) -> Vec<u8> {
    let mut text = format!("SIP/2.0 {status} Whatever\r\n");
    for via in request.all("Via") {
        let _ = write!(text, "Via: {via}\r\n");
    }
    let _ = write!(text, "From: {}\r\nTo: {}", request.header("From"), request.header("To"));
    if !reply.tag.is_empty() && request.to_tag().is_empty() {
        let _ = write!(text, ";tag={}", reply.tag);
    }
    let _ =
        write!(text, "\r\nCall-ID: {}\r\nCSeq: {}\r\n", request.header("Call-ID"), request.header("CSeq"));
    if !reply.contact.is_empty() {
        let _ = write!(text, "Contact: <{}>\r\n", reply.contact);
    }
    finish(text, reply.headers, reply.sdp)
}

/// A request of the party inside the dialog that it made of `invite` with `tag`.
pub(crate) fn request(
    invite: &Text,
    method: &str,
    cseq: u32,
    tag: &str,
    headers: &[&str],
    sdp: &str,
) -> Vec<u8> {
    let branch = format!("{method}{cseq}{tag}");
    request_with(invite, method, cseq, tag, &branch, headers, sdp)
}

/// The same with a branch of its own.
pub(crate) fn request_with(
    invite: &Text,
    method: &str,
    cseq: u32,
    tag: &str,
    branch: &str,
    headers: &[&str],
    sdp: &str,
) -> Vec<u8> {
    let contact = invite.header("Contact").trim_matches(['<', '>']);
    let mut text = format!("{method} {contact} SIP/2.0\r\n");
    let _ = write!(text, "Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK{branch};rport\r\n");
    let _ = write!(text, "Max-Forwards: 70\r\nFrom: {};tag={tag}\r\n", invite.header("To"));
    let _ = write!(text, "To: {}\r\nCall-ID: {}\r\n", invite.header("From"), invite.header("Call-ID"));
    let _ = write!(text, "CSeq: {cseq} {method}\r\nContact: <sip:party@192.0.2.20:5060>\r\n");
    finish(text, headers, sdp)
}

fn finish(mut text: String, headers: &[&str], sdp: &str) -> Vec<u8> {
    for header in headers {
        let _ = write!(text, "{header}\r\n");
    }
    if !sdp.is_empty() {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    let _ = write!(text, "Content-Length: {}\r\n\r\n{sdp}", sdp.len());
    text.into_bytes()
}

/// A session description of a party: address, port, payload types in order, direction.
pub(crate) fn sdp(address: &str, port: u16, formats: &str, direction: &str) -> String {
    let mut text = format!("v=0\r\no=party 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n");
    let _ = write!(text, "m=audio {port} RTP/AVP {formats}\r\n");
    for format in formats.split(' ') {
        let name = match format {
            "0" => "PCMU/8000",
            "8" => "PCMA/8000",
            "18" => "G729/8000",
            _ => "telephone-event/8000",
        };
        let _ = write!(text, "a=rtpmap:{format} {name}\r\n");
    }
    let _ = write!(text, "a={direction}\r\n");
    text
}
