//! OPTIONS and REGISTER in print.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::Wish;
use crate::leg::Identity;
use crate::message::{Builder, MAGIC_COOKIE, Method, Name, Uri};
use crate::transaction::Transport;

/// How a trunk is watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ping {
    /// Between two OPTIONS.
    pub every: Duration,
    /// It is down after so many in a row without an answer.
    pub failures: u32,
    /// It is up again after so many in a row with one.
    pub successes: u32,
}

/// How we make ourselves known to a trunk (RFC 3261 section 10).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    /// Address of record: the URI in To and From.
    pub aor: String,
    /// What we ask for; the registrar decides.
    pub expires: Duration,
    /// Between two tries while it does not take us.
    pub retry: Duration,
}

/// What a keeper says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Errand {
    /// OPTIONS.
    Ping {
        /// The host that is asked, as a URI has it.
        host: String,
        /// How.
        ping: Ping,
    },
    /// REGISTER.
    Register(Registration),
}

impl Errand {
    pub(super) const fn is_ping(&self) -> bool {
        matches!(self, Self::Ping { .. })
    }

    pub(super) const fn method(&self) -> Method<'static> {
        match self {
            Self::Ping { .. } => Method::Options,
            Self::Register(_) => Method::Register,
        }
    }

    /// How long a registration shall hold, in seconds, where the registrar wants `minimum` at least.
    pub(super) fn expires(&self, minimum: Option<u32>, wish: Wish) -> Option<u64> {
        match (self, wish) {
            (Self::Ping { .. }, _) => None,
            (Self::Register(_), Wish::Leave) => Some(0),
            (Self::Register(registration), Wish::Stay) => {
                Some(registration.expires.as_secs().max(minimum.unwrap_or(0).into()))
            }
        }
    }

    /// For REGISTER the domain of the address of record, without its user (RFC 3261 section 10.2).
    pub(super) fn request_uri(&self) -> String {
        match self {
            Self::Ping { host, .. } => format!("sip:{host}"),
            Self::Register(registration) => match Uri::parse(&registration.aor) {
                Ok(uri) => {
                    let host = uri.host().map_or_else(String::new, |host| host.to_string());
                    uri.port().map_or_else(|| format!("sip:{host}"), |port| format!("sip:{host}:{port}"))
                }
                Err(_) => registration.aor.clone(),
            },
        }
    }

    /// To and From: OPTIONS are said by the node itself.
    fn to_and_from(&self, local: SocketAddr) -> (String, String) {
        match self {
            Self::Ping { .. } => (self.request_uri(), format!("sip:{local}")),
            Self::Register(registration) => (registration.aor.clone(), registration.aor.clone()),
        }
    }
}

/// How we name ourselves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Voice {
    /// User-Agent.
    pub user_agent: String,
}

/// One request.
pub(super) struct Request<'a> {
    pub(super) errand: &'a Errand,
    pub(super) voice: &'a Voice,
    pub(super) identity: Identity,
    pub(super) transport: Transport,
    pub(super) local: SocketAddr,
    pub(super) cseq: u32,
    /// How long a registration shall hold, in seconds; of OPTIONS nothing.
    pub(super) expires: Option<u64>,
    pub(super) credentials: &'a [(Name, String)],
}

impl Request<'_> {
    /// None if it cannot be written.
    pub(super) fn write(&self) -> Option<Vec<u8>> {
        let Self { errand, identity, transport, local, cseq, .. } = self;
        let method = errand.method();
        let (to, from) = errand.to_and_from(*local);
        let branch = format_args!("{MAGIC_COOKIE}{:016x}.{cseq}", identity.branch).to_string();
        let via = format!("SIP/2.0/{} {local};branch={branch};rport", transport.as_str());
        let parameter = match transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
        };
        let mut builder = Builder::request(method, errand.request_uri())
            .header(Name::Via, via)
            .header(Name::MaxForwards, 70)
            .header(Name::From, format_args!("<{from}>;tag={:016x}", identity.tag))
            .header(Name::To, format_args!("<{to}>"))
            .header(Name::CallId, super::call_id(*identity))
            .header(Name::CSeq, format_args!("{cseq} {method}"))
            .header(Name::Contact, format_args!("<sip:{local}{parameter}>"));
        builder = match self.expires {
            Some(expires) => builder.header(Name::Expires, expires),
            None => builder.header(Name::Accept, "application/sdp"),
        };
        for (name, value) in self.credentials {
            builder = builder.header(*name, value);
        }
        builder.header(Name::UserAgent, &self.voice.user_agent).build().ok()
    }
}
