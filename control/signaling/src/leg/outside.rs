//! Requests that belong to no call of ours. They are answered without keeping anything (RFC 3261 section
//! 8.2.7): Duogate takes no calls, and a stranger's packet shall cost one packet at most.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::requests::{Described, Reply, description, refused_extension, refused_media, refused_method};
use crate::dialog::ACCEPT;
use crate::message::{Message, Method, Name, Scheme, Status};

/// The answer to a message with an unknown Call-ID, and where it goes: for a request that came over UDP from
/// `source`. `None` for responses and ACK, which are dropped.
///
/// `secret` is any number that strangers do not know and that stays the same, so that a repeated request gets
/// the same tag.
#[must_use]
pub fn answer(request: &Message<'_>, source: SocketAddr, secret: u64) -> Option<(SocketAddr, Vec<u8>)> {
    if !request.is_request() || request.method() == Method::Ack {
        return None;
    }
    let reply = reply(request);
    let bytes = reply.print(request, source, &tag(request, secret)).ok()?;
    Some((request.via().reply_address(source), bytes))
}

fn reply(request: &Message<'_>) -> Reply {
    let method = request.method();
    if let Some(refused) = refused_method(method) {
        return refused;
    }
    // A dialog that we do not have (any more), and a transaction that never was.
    if request.to().tag().is_some() || method == Method::Cancel {
        return Reply::new(Status::NO_SUCH_TRANSACTION);
    }
    match method {
        Method::Invite => refused_head(request)
            .or_else(|| refused_body(request))
            .unwrap_or_else(|| Reply::new(Status::FORBIDDEN)),
        Method::Options => refused_head(request).unwrap_or_else(Reply::capabilities),
        // BYE, INFO and UPDATE make sense in a dialog alone.
        _ => Reply::new(Status::NO_SUCH_TRANSACTION),
    }
}

/// RFC 3261 section 8.2.2: a scheme that we do not know, an extension that we do not serve.
fn refused_head(request: &Message<'_>) -> Option<Reply> {
    if request.request_uri().is_some_and(|uri| uri.scheme() == Scheme::Other) {
        return Some(Reply::new(Status::UNSUPPORTED_URI_SCHEME));
    }
    refused_extension(request)
}

/// RFC 3261 section 8.2.3: a body that we cannot read, an answer that its sender could not.
fn refused_body(request: &Message<'_>) -> Option<Reply> {
    match description(request) {
        Described::Foreign => Some(Reply::new(Status::UNSUPPORTED_MEDIA_TYPE).with(Name::Accept, ACCEPT)),
        Described::Nothing | Described::Sdp(_) => refused_media(request),
    }
}

/// A tag that is the same for each repetition of a request (FNV-1a over its Call-ID and branch).
fn tag(request: &Message<'_>, secret: u64) -> String {
    let branch = request.via().branch().unwrap_or_default();
    let parts = request.call_id().bytes().chain(branch.bytes());
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    format!("{:016x}", parts.fold(secret ^ 0xcbf2_9ce4_8422_2325, step))
}
