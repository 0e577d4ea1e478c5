//! Messages made from messages: responses, ACK, CANCEL.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::reading::Frame;
use super::text::List;
use super::{Builder, Fault, Limits, Message, Method, Name, ParseError, Status, Unfolded, Via};

impl Builder {
    /// A response to a request (RFC 3261 section 8.2.6): its Vias, From, To, Call-ID and CSeq, in that order.
    ///
    /// - `source` is where the request came from: the topmost Via gets `received` (section 18.2.1) and a filled
    ///   in `rport` (RFC 3581 section 4).
    /// - `tag` becomes To's tag, if To has none; 100 does without.
    /// - For a response that makes a dialog (101 to 299 to INVITE), Record-Routes are copied (section 12.1.1).
    ///   Contact is left to the caller.
    pub fn response_to(request: &Message<'_>, source: SocketAddr, status: Status, tag: Option<&str>) -> Self {
        let mut builder = Self::response(status, status.phrase());
        for (place, value) in request.values(Name::Via).flatten().enumerate() {
            builder = match place {
                0 => builder.copied(Name::Via, Received { via: request.via(), source }),
                _ => builder.copied(Name::Via, Unfolded(value)),
            };
        }
        if request.method() == Method::Invite && (101..300).contains(&status.code()) {
            for value in request.values(Name::RecordRoute).flatten() {
                builder = builder.copied(Name::RecordRoute, Unfolded(value));
            }
        }
        let to = Unfolded(request.header(Name::To).unwrap_or_default());
        builder = builder.copied(Name::From, Unfolded(request.header(Name::From).unwrap_or_default()));
        builder = match tag {
            Some(tag) if request.to().tag().is_none() => {
                builder.copied(Name::To, format_args!("{to};tag={tag}"))
            }
            _ => builder.copied(Name::To, to),
        };
        builder
            .header(Name::CallId, request.call_id())
            .copied(Name::CSeq, Unfolded(request.header(Name::CSeq).unwrap_or_default()))
    }

    /// The ACK for a final response other than 2xx (RFC 3261 section 17.1.1.3): of the INVITE's own branch, to
    /// where the INVITE went.
    pub fn acknowledgement(invite: &Message<'_>, response: &Message<'_>) -> Self {
        let to = response.header(Name::To).unwrap_or_default();
        Self::hop_by_hop(invite, Method::Ack, to)
    }

    /// CANCEL of a request (RFC 3261 section 9.1).
    pub fn cancellation(invite: &Message<'_>) -> Self {
        Self::hop_by_hop(invite, Method::Cancel, invite.header(Name::To).unwrap_or_default())
    }

    fn hop_by_hop(invite: &Message<'_>, method: Method<'_>, to: &str) -> Self {
        let target = invite.request_uri().map_or("", |uri| uri.as_str());
        let mut builder = Self::request(method, target).copied(Name::Via, invite.via());
        for value in invite.values(Name::Route).flatten() {
            builder = builder.copied(Name::Route, Unfolded(value));
        }
        builder
            .header(Name::MaxForwards, 70)
            .copied(Name::From, Unfolded(invite.header(Name::From).unwrap_or_default()))
            .copied(Name::To, Unfolded(to))
            .header(Name::CallId, invite.call_id())
            .header(Name::CSeq, format_args!("{} {method}", invite.cseq().number))
    }
}

/// A Via as the server passes it back.
struct Received<'a, 'v> {
    via: &'v Via<'a>,
    source: SocketAddr,
}

impl core::fmt::Display for Received<'_, '_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { via, source } = self;
        write!(f, "SIP/{}/{} {}", via.version, via.transport, via.host)?;
        if let Some(port) = via.port {
            write!(f, ":{port}")?;
        }
        for parameter in via.parameters.iter() {
            let name = parameter.name;
            if ["received", "rport"].iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
                continue;
            }
            write!(f, ";{name}")?;
            if let Some(value) = parameter.value {
                write!(f, "={}", Unfolded(value))?;
            }
        }
        let asked = via.rport().is_some();
        if asked || via.host != super::Host::Ip(source.ip()) {
            write!(f, ";received={}", source.ip())?;
        }
        if asked {
            write!(f, ";rport={}", source.port())?;
        }
        Ok(())
    }
}

/// The answer to a datagram that [`Message::parse`] refused: 400 or 505, made without a transaction (RFC 3261
/// sections 8.2, 8.2.7, 21.5.6).
///
/// It carries back what can be told apart: the Vias, and the first From, To, Call-ID and CSeq that there are (RFC 4475
/// sections 3.3.1, 3.3.8). None where no answer is due or possible: responses, ACK, keep-alives, what is no request,
/// and requests without any Via.
///
/// The answer goes to `source` alone and is no larger than what it answers, apart from its reason.
#[must_use]
pub fn refusal(datagram: &[u8], error: &ParseError, source: SocketAddr) -> Option<Vec<u8>> {
    let frame = Frame::parse(datagram, &Limits::default()).ok()?;
    // Spaces after the version are what may be wrong with it.
    let line = frame.line.trim_end_matches(' ');
    let method = line.split(' ').next()?;
    let is_request = line.rsplit(' ').next()?.get(..4)?.eq_ignore_ascii_case("SIP/");
    if !is_request || !super::text::is_token_text(method) || method == "ACK" {
        return None;
    }
    let status = match error.fault {
        Fault::Version => Status::VERSION_NOT_SUPPORTED,
        _ => Status::BAD_REQUEST,
    };
    let mut builder = returned_vias(&frame, Builder::response(status, status.phrase()), source)?;
    for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
        if let Some(value) = frame.values(name).next() {
            builder = builder.copied(name, Unfolded(value));
        }
    }
    builder.header(Name::Warning, format_args!("399 duogate \"{error}\"")).build().ok()
}

/// The Vias of a refused request. One that cannot be read goes back as it is.
fn returned_vias(frame: &Frame<'_>, mut builder: Builder, source: SocketAddr) -> Option<Builder> {
    frame.values(Name::Via).next()?;
    let top = frame.values(Name::Via).flat_map(List::new).next().and_then(|via| Via::parse(via).ok());
    let Some(top) = top else {
        for line in frame.values(Name::Via) {
            builder = builder.copied(Name::Via, Unfolded(line));
        }
        return Some(builder);
    };
    builder = builder.copied(Name::Via, Received { via: &top, source });
    for via in frame.values(Name::Via).flat_map(List::new).skip(1) {
        builder = builder.copied(Name::Via, Unfolded(via));
    }
    Some(builder)
}
