//! What all dialogs of one outbound call have in common, and the writing of its requests.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::message::{BuildError, Builder, Method, Name, Scheme, Status, UriBuf};
use crate::transaction::{Transport, Way};

/// Methods that we take in a dialog (RFC 3261 section 20.5).
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE";

/// Extensions that we know: reliable provisional responses to our INVITE (RFC 3262), session timers (RFC 4028).
const SUPPORTED: &str = "100rel, timer";

/// Of these, what a party that asks us can use.
pub(crate) const SERVED: &str = "timer";

/// Bodies that we read (RFC 3261 section 20.1).
pub(crate) const ACCEPT: &str = "application/sdp";

/// Max-Forwards of our requests (RFC 3261 section 8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// The ends of a call and how they are written.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Call-ID of every message.
    pub(crate) call_id: String,
    /// Our From URI.
    pub(crate) caller: UriBuf,
    /// Our From tag.
    pub(crate) tag: String,
    /// The To URI and the request URI of the INVITE.
    pub(crate) target: UriBuf,
    /// Our SIP address.
    pub(crate) local: SocketAddr,
    /// How the INVITE travels.
    pub(crate) transport: Transport,
    /// What User-Agent says.
    pub(crate) user_agent: String,
}

/// One request to write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// The method.
    pub(crate) method: Method<'a>,
    /// The request URI.
    pub(crate) uri: &'a str,
    /// Route values in order, each `<uri>`.
    pub(crate) routes: &'a [String],
    /// The party's tag; empty outside a dialog, and for a party of RFC 2543 that gave none.
    pub(crate) to_tag: &'a str,
    /// CSeq.
    pub(crate) cseq: u32,
    /// The branch of our Via.
    pub(crate) branch: &'a str,
    /// The cause for a Reason header (RFC 3326).
    pub(crate) reason: Option<u16>,
    /// Further header lines.
    pub(crate) headers: &'a [(Name, String)],
    /// A session description.
    pub(crate) body: Option<&'a [u8]>,
}

impl Call {
    /// Our Contact value. A party that is called by `sips` is given nothing less (RFC 3261 section 8.1.1.8).
    pub(crate) fn contact(&self) -> String {
        let local = self.local;
        match self.transport {
            _ if self.is_secure() => format!("<sips:{local}>"),
            Transport::Udp => format!("<sip:{local}>"),
            Transport::Tcp => format!("<sip:{local};transport=tcp>"),
            Transport::Tls => format!("<sip:{local};transport=tls>"),
        }
    }

    /// Must every hop be encrypted (RFC 3261 section 26.2.2)?
    pub(crate) fn is_secure(&self) -> bool {
        self.target.uri().scheme() == Scheme::Sips
    }

    /// Writes a request of this call that goes this way (RFC 3261 section 8.1.1).
    ///
    /// # Errors
    /// Those of [`Builder::build`].
    pub(crate) fn write(&self, way: Way, request: &Request<'_>) -> Result<Vec<u8>, BuildError> {
        let Request { method, branch, .. } = *request;
        let transport = way.path.transport.as_str();
        let via = format_args!("SIP/2.0/{transport} {};branch={branch};rport", way.local);
        let mut builder = Builder::request(method, request.uri).header(Name::Via, via);
        for route in request.routes {
            builder = builder.header(Name::Route, route);
        }
        let to_tag =
            if request.to_tag.is_empty() { String::new() } else { format!(";tag={}", request.to_tag) };
        builder = builder
            .header(Name::MaxForwards, MAX_FORWARDS)
            .header(Name::From, format_args!("<{}>;tag={}", self.caller, self.tag))
            .header(Name::To, format_args!("<{}>{to_tag}", self.target))
            .header(Name::CallId, &self.call_id)
            .header(Name::CSeq, format_args!("{} {method}", request.cseq));
        if matches!(method, Method::Invite | Method::Update) {
            builder = builder
                .header(Name::Contact, self.contact())
                .header(Name::Allow, ALLOW)
                .header(Name::Supported, if method == Method::Invite { SUPPORTED } else { SERVED })
                .header(Name::Accept, ACCEPT);
        }
        for (name, value) in request.headers {
            builder = builder.header(*name, value);
        }
        builder = builder
            .optional(Name::Reason, request.reason.map(reason))
            .header(Name::UserAgent, &self.user_agent);
        match request.body {
            Some(body) => builder.build_with(ACCEPT, body),
            None => builder.build(),
        }
    }
}

/// A Reason value for a SIP status (RFC 3326 section 2).
pub(crate) fn reason(cause: u16) -> String {
    let text = Status::new(cause).map_or("", Status::phrase);
    format!("SIP;cause={cause};text=\"{text}\"")
}
