//! Dialogs of an outbound call (RFC 3261 section 12), told apart by the party's tag.

mod call;

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::message::{Host, Message, Method, Name, NameAddress, Scheme, Uri, UriBuf};
use crate::transaction::{Question, Transport, Way};

pub(crate) use call::{ACCEPT, ALLOW, Call, Request, SERVED, reason};

/// Ports of SIP (RFC 3261 section 19.1.2).
const DEFAULT_PORT: u16 = 5060;
const SECURE_PORT: u16 = 5061;

/// One peer-to-peer relation with the party, early or confirmed.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    /// The party's tag; empty for one of RFC 2543 that gave none (RFC 3261 section 12.1.2).
    pub(crate) remote_tag: String,
    /// Where the party wants requests to go: its latest Contact.
    target: UriBuf,
    /// The route set in sending order, each `<uri>`.
    routes: Vec<String>,
    /// Number of our latest request.
    local_cseq: u32,
    /// Number of the party's latest request, once it has sent one.
    remote_cseq: Option<u32>,
}

/// Where a dialog's requests go (RFC 3261 section 8.1.2): to its first route, or else to its target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Hop {
    /// To a literal address; by the transport that its URI names, if it names one.
    There(SocketAddr, Option<Transport>),
    /// To a host that has to be located (RFC 3263).
    Named(Question),
    /// The URI says nothing that could be followed: the way the INVITE went.
    Nowhere,
}

/// What one request of a dialog says of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    /// The method.
    pub(crate) method: Method<'a>,
    /// The branch of our Via.
    pub(crate) branch: &'a str,
    /// The cause for a Reason header (RFC 3326).
    pub(crate) reason: Option<u16>,
    /// Further header lines.
    pub(crate) headers: &'a [(Name, String)],
    /// A session description.
    pub(crate) body: Option<&'a [u8]>,
}

/// The party's request has a lower CSeq than one before it (RFC 3261 section 12.2.2): 500.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OutOfOrder;

impl Dialog {
    /// The dialog that a response to our INVITE creates (RFC 3261 section 12.1.2). A response without a usable
    /// Contact leaves the target that was called.
    pub(crate) fn from_response(call: &Call, response: &Message<'_>) -> Self {
        let mut dialog = Self {
            remote_tag: response.to().tag().unwrap_or_default().into(),
            target: call.target.clone(),
            routes: Vec::new(),
            local_cseq: response.cseq().number,
            remote_cseq: None,
        };
        dialog.confirm(response);
        dialog
    }

    /// A dialog as it was noted down: the party's tag, its target, the route set, and the numbers of our latest
    /// request and of the party's.
    pub(crate) fn with(
        remote_tag: String,
        target: UriBuf,
        routes: Vec<String>,
        (local_cseq, remote_cseq): (u32, Option<u32>),
    ) -> Self {
        Self { remote_tag, target, routes, local_cseq, remote_cseq }
    }

    /// Takes route set and target from a later response to the same INVITE: a 2xx decides them anew
    /// (RFC 3261 section 13.2.2.4).
    pub(crate) fn confirm(&mut self, response: &Message<'_>) {
        let mut routes: Vec<String> =
            response.record_routes().flatten().map(|route| alloc::format!("<{}>", route.uri)).collect();
        routes.reverse();
        self.routes = routes;
        self.refresh(response);
    }

    /// Takes the Contact of a target refresh request or its 2xx (RFC 3261 section 12.2).
    pub(crate) fn refresh(&mut self, message: &Message<'_>) {
        let contact = message.contacts().next().and_then(Result::ok).map(|contact| contact.uri);
        if let Some(uri) = contact.filter(|uri| matches!(uri.scheme(), Scheme::Sip | Scheme::Sips)) {
            self.target = uri.to_owned();
        }
    }

    /// Where the party wants requests to go.
    pub(crate) fn target(&self) -> &str {
        self.target.as_str()
    }

    /// The route set in sending order, each `<uri>`.
    pub(crate) fn routes(&self) -> &[String] {
        &self.routes
    }

    /// Number of our latest request.
    pub(crate) fn local_sequence(&self) -> u32 {
        self.local_cseq
    }

    /// Number of the party's latest request, once it has sent one.
    pub(crate) fn remote_sequence(&self) -> Option<u32> {
        self.remote_cseq
    }

    /// Does a request of the party, sent within a dialog with us, belong to this one?
    pub(crate) fn matches(&self, request: &Message<'_>) -> bool {
        request.from().tag().unwrap_or_default() == self.remote_tag
    }

    /// Checks the order of the party's requests (RFC 3261 section 12.2.2).
    ///
    /// # Errors
    /// [`OutOfOrder`] when a later request has been seen.
    pub(crate) fn order(&mut self, cseq: u32) -> Result<(), OutOfOrder> {
        if self.remote_cseq.is_some_and(|last| cseq < last) {
            return Err(OutOfOrder);
        }
        self.remote_cseq = Some(cseq);
        Ok(())
    }

    /// The ACK for the 2xx of an INVITE (RFC 3261 section 13.2.2.4); `cseq` is the INVITE's, and `headers` are its
    /// credentials, which no server may ask for anew (section 22.1).
    pub(crate) fn acknowledge(
        &self,
        call: &Call,
        way: Way,
        cseq: u32,
        branch: &str,
        headers: &[(Name, String)],
    ) -> Option<Vec<u8>> {
        self.write(
            call,
            way,
            cseq,
            &Content { method: Method::Ack, branch, reason: None, headers, body: None },
        )
    }

    /// The next request in this dialog.
    pub(crate) fn request(&mut self, call: &Call, way: Way, content: &Content<'_>) -> Option<Vec<u8>> {
        self.local_cseq += 1;
        self.write(call, way, self.local_cseq, content)
    }

    /// The latest request once more, written for another way.
    pub(crate) fn rewrite(&self, call: &Call, way: Way, content: &Content<'_>) -> Option<Vec<u8>> {
        self.write(call, way, self.local_cseq, content)
    }

    /// None if the result would be longer than a datagram.
    fn write(&self, call: &Call, way: Way, cseq: u32, content: &Content<'_>) -> Option<Vec<u8>> {
        let (uri, routes) = self.request_line_and_routes();
        let to_tag = self.remote_tag.as_str();
        let Content { method, branch, reason, headers, body } = *content;
        let request =
            Request { method, uri: &uri, routes: &routes, to_tag, cseq, branch, reason, headers, body };
        call.write(way, &request).ok()
    }

    /// What stands in the request line of the dialog's requests.
    pub(crate) fn request_uri(&self) -> String {
        self.request_line_and_routes().0
    }

    /// RFC 3261 section 12.2.1.1: a strict router's own URI goes into the request line, and the target to the
    /// end of the route.
    fn request_line_and_routes(&self) -> (String, Cow<'_, [String]>) {
        let first = self.routes.first().and_then(|route| NameAddress::parse(route).ok());
        match first {
            Some(first) if !first.uri.is_loose_router() => {
                let mut routes = self.routes[1..].to_vec();
                routes.push(alloc::format!("<{}>", self.target));
                (request_line_uri(first.uri.as_str()), Cow::Owned(routes))
            }
            _ => (request_line_uri(self.target.as_str()), Cow::Borrowed(&self.routes)),
        }
    }

    /// Where a request of this dialog goes (RFC 3261 section 8.1.2). `secure`: over TLS on every hop, whatever the URI
    /// says (section 26.2.2).
    pub(crate) fn next_hop(&self, secure: bool) -> Hop {
        let first = self.routes.first().and_then(|route| NameAddress::parse(route).ok());
        first.map_or_else(|| hop(&self.target.uri(), secure), |first| hop(&first.uri, secure))
    }
}

fn hop(uri: &Uri<'_>, secure: bool) -> Hop {
    let named = uri.parameters().value("transport");
    let transport = match uri.scheme() {
        Scheme::Sips => Some(Transport::Tls),
        _ if secure => Some(Transport::Tls),
        _ => [Transport::Udp, Transport::Tcp, Transport::Tls]
            .into_iter()
            .find(|known| named.is_some_and(|named| named.eq_ignore_ascii_case(known.as_str()))),
    };
    // RFC 3261 section 16.6 step 7: `maddr` is where the URI is reached.
    let maddr = uri.parameters().value("maddr").and_then(|text| Host::parse(text).ok());
    match maddr.or(uri.host()) {
        Some(Host::Ip(address)) => {
            let default = if transport == Some(Transport::Tls) { SECURE_PORT } else { DEFAULT_PORT };
            Hop::There(SocketAddr::new(address, uri.port().unwrap_or(default)), transport)
        }
        Some(Host::Name(name)) => {
            Hop::Named(Question { host: name.to_ascii_lowercase(), port: uri.port(), transport })
        }
        None => Hop::Nowhere,
    }
}

/// A URI without what may not stand in a request line (RFC 3261 section 19.1.1, table 1): headers, `method`.
fn request_line_uri(uri: &str) -> String {
    let text = uri.split('?').next().unwrap_or_default();
    let mut parts = text.split(';');
    let mut line = String::from(parts.next().unwrap_or_default());
    let is_method = |part: &str| part.get(..7).is_some_and(|name| name.eq_ignore_ascii_case("method="));
    for part in parts.filter(|part| !is_method(part)) {
        line.push(';');
        line.push_str(part);
    }
    line
}
