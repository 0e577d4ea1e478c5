//! How messages find their transaction (RFC 3261 sections 17.1.3, 17.2.3).

use alloc::vec::Vec;
use core::fmt::{Display, Write};

use crate::message::{Message, Method, Via};

/// Writes keys into one buffer, so that a look-up allocates nothing.
#[derive(Debug, Default)]
pub(super) struct KeyWriter {
    bytes: Vec<u8>,
}

impl KeyWriter {
    /// The key of a client transaction, from its request or from a response: branch, sent-by and method.
    pub(super) fn client(&mut self, message: &Message<'_>) -> &[u8] {
        self.bytes.clear();
        self.field("client");
        self.branch(message.via());
        self.field(message.method());
        &self.bytes
    }

    /// The key of a server transaction; `method` stands for that of the message, so that ACK and CANCEL find
    /// their INVITE.
    pub(super) fn server(&mut self, request: &Message<'_>, method: Method<'_>) -> &[u8] {
        self.bytes.clear();
        let via = request.via();
        if via.is_rfc3261() {
            self.field("server");
            self.branch(via);
        } else {
            self.rfc2543(request);
        }
        self.field(method);
        &self.bytes
    }

    /// Branch and sent-by, without regard to case (section 7.3.1).
    fn branch(&mut self, via: &Via<'_>) {
        let start = self.bytes.len();
        self.field(via.branch().unwrap_or_default());
        self.field(via.host);
        self.field(via.port.unwrap_or(5060));
        self.bytes[start..].make_ascii_lowercase();
    }

    /// Clients of RFC 2543 have no unique branch. To's tag is left out: an ACK has another than its INVITE, and
    /// two requests of a dialog differ by their CSeq.
    fn rfc2543(&mut self, request: &Message<'_>) {
        self.field("rfc2543");
        self.field(request.request_uri().map_or("", |uri| uri.as_str()));
        self.field(request.from().tag().unwrap_or_default());
        self.field(request.call_id());
        self.field(request.cseq().number);
        self.field(request.via());
    }

    /// One field and a NUL, which no field has.
    fn field(&mut self, value: impl Display) {
        // Writing into a vector cannot fail, and nor do these values' own printers.
        let _ = write!(Sink(&mut self.bytes), "{value}");
        self.bytes.push(0);
    }
}

struct Sink<'b>(&'b mut Vec<u8>);

impl Write for Sink<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
