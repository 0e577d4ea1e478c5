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
        text.push_str(&format!("Contact: <{contact}>\r\n"));
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

fn parameter<'a>(value: &'a str, name: &str) -> &'a str {
    let wanted = format!(";{name}=");
    let after = value.find(&wanted).map(|at| &value[at + wanted.len()..]);
    after.map_or("", |after| after.split([';', '>', ',', ' ']).next().unwrap_or_default())
}

/// The address that a session description wants sound sent to.
pub(crate) fn media_port(body: &str) -> Option<u16> {
    let line = body.lines().find(|line| line.starts_with("m=audio "))?;
    line.split(' ').nth(1)?.parse().ok().filter(|port| *port != 0)
}
