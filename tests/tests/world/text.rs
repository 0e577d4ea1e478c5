//! SIP as a party of the model reads and writes it: plain text, by hand, so that Duogate's own parser and printer
//! are held against something else.

/// A message that Duogate sent.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) start: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Text {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).expect("Duogate sends UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("an empty line ends the header");
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .map(|line| line.split_once(':').expect("each header has a colon"))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self { start, headers, body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// All values of a header, line by line.
    pub(crate) fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Does a list, such as Supported, name it?
    pub(crate) fn lists(&self, name: &str, wanted: &str) -> bool {
        self.headers(name).any(|value| value.split(',').any(|item| item.trim() == wanted))
    }

    /// The request URI.
    pub(crate) fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// User and host of the request URI.
    pub(crate) fn user_and_host(&self) -> (&str, &str) {
        let bare = self.uri().trim_start_matches("sip:");
        let (user, host) = bare.split_once('@').unwrap_or(("", bare));
        (user, host.split([':', ';']).next().unwrap_or_default())
    }

    /// Seconds of Session-Expires, and who refreshes.
    pub(crate) fn session(&self) -> Option<(u32, &str)> {
        let value = self.header("session-expires");
        let seconds = value.split(';').next()?.trim().parse().ok()?;
        Some((seconds, parameter(value, "refresher")))
    }

    /// Does it begin a call, or try to?
    pub(crate) fn is_first_invite(&self) -> bool {
        self.method() == "INVITE" && self.tag_of_to().is_empty()
    }

    /// The method of a request; "" for a response.
    pub(crate) fn method(&self) -> &str {
        if self.start.starts_with("SIP/2.0") { "" } else { self.start.split(' ').next().unwrap_or_default() }
    }

    /// The status of a response; 0 for a request.
    pub(crate) fn status(&self) -> u16 {
        let status = self.start.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3));
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn call_id(&self) -> &str {
        self.header("call-id")
    }

    pub(crate) fn cseq(&self) -> (u32, &str) {
        let (number, method) = self.header("cseq").split_once(' ').expect("CSeq has two parts");
        (number.parse().expect("a number"), method)
    }

    pub(crate) fn branch(&self) -> &str {
        parameter(self.header("via"), "branch")
    }

    pub(crate) fn tag_of_to(&self) -> &str {
        parameter(self.header("to"), "tag")
    }

    pub(crate) fn tag_of_from(&self) -> &str {
        parameter(self.header("from"), "tag")
    }

    /// A response to this request.
    pub(crate) fn answer(&self, status: u16, tag: &str, contact: &str, body: &str) -> Vec<u8> {
        let contact = format!("Contact: <{contact}>\r\n");
        self.answer_with(status, tag, &contact, body)
    }

    /// The same, with header lines of the caller's.
    pub(crate) fn answer_with(&self, status: u16, tag: &str, lines: &str, body: &str) -> Vec<u8> {
        let mut text = format!("SIP/2.0 {status} Whatever\r\n");
        for (name, value) in &self.headers {
            if matches!(name.as_str(), "via" | "from" | "call-id" | "cseq") {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        let to = self.header("to");
        if tag.is_empty() || to.contains(";tag=") {
            text.push_str(&format!("To: {to}\r\n"));
        } else {
            text.push_str(&format!("To: {to};tag={tag}\r\n"));
        }
        text.push_str(lines);
        close(text, body)
    }
}

/// Ends a message with its body.
pub(crate) fn close(mut text: String, body: &str) -> Vec<u8> {
    if !body.is_empty() {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

/// A parameter of a header, unquoted.
pub(crate) fn parameter<'a>(value: &'a str, name: &str) -> &'a str {
    let wanted = format!(";{name}=");
    let after = value.find(&wanted).map(|at| &value[at + wanted.len()..]);
    after.map_or("", |after| after.split([';', '>', ',', ' ']).next().unwrap_or_default())
}

/// The address that a session description wants sound sent to.
pub(crate) fn media_port(body: &str) -> Option<u16> {
    let line = body.lines().find(|line| line.starts_with("m=audio "))?;
    line.split(' ').nth(1)?.parse().ok().filter(|port| *port != 0)
}

/// The message without the header lines of that name.
pub(crate) fn without_line(bytes: &[u8], name: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split("\r\n").filter(|line| !line.starts_with(name));
    lines.collect::<Vec<_>>().join("\r\n").into_bytes()
}

/// The message without the preferences of its contacts.
pub(crate) fn without_preference(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let bare = |line: &str| match line.split_once(";q=") {
        Some((contact, _)) if line.starts_with("Contact") => contact.to_owned(),
        _ => line.to_owned(),
    };
    text.split("\r\n").map(bare).collect::<Vec<_>>().join("\r\n").into_bytes()
}
