//! Whom to call, and as whom.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::endpoint::settings::{Settings, Trunk};
use crate::message::{Destination, Escaped, Scheme, Uri};
use crate::resource::error::ApiError;
use crate::resource::parameters::Parameters;
use crate::resource::plan::{PartyPlan, Target};
use crate::transaction::Transport;

/// Port of SIP over UDP (RFC 3261 section 19.1.2).
const DEFAULT_PORT: u16 = 5060;

pub(super) fn parties(settings: &Settings, given: &Parameters) -> Result<[PartyPlan; 2], ApiError> {
    let from1 = caller(settings, "from1_uri", given.from1_uri.as_ref())?;
    let to1 = list(settings, "to1_uri", &given.to1_uri)?;
    let from2 = caller(settings, "from2_uri", given.from2_uri.as_ref())?;
    let to2 = list(settings, "to2_uri", &given.to2_uri)?;
    if to1.iter().any(|one| to2.iter().any(|two| same(one, two))) {
        return Err(ApiError::invalid("to2_uri", "party 2 is party 1"));
    }
    Ok([PartyPlan { from: from1, to: to1 }, PartyPlan { from: from2, to: to2 }])
}

fn list(settings: &Settings, parameter: &'static str, given: &[String]) -> Result<Vec<Target>, ApiError> {
    if given.is_empty() {
        return Err(ApiError::invalid(parameter, "is required"));
    }
    if given.len() > settings.limits.max_uris {
        return Err(ApiError::invalid(parameter, format!("has more than {} URIs", settings.limits.max_uris)));
    }
    given.iter().map(|text| target(settings, parameter, text)).collect()
}

fn parse(settings: &Settings, parameter: &'static str, text: &str) -> Result<Destination, ApiError> {
    if text.len() > settings.limits.max_uri_bytes {
        let detail = format!("is longer than {} bytes", settings.limits.max_uri_bytes);
        return Err(ApiError::invalid(parameter, detail));
    }
    Uri::parse_short(text).map_err(|error| ApiError::invalid(parameter, error.to_string()))
}

fn target(settings: &Settings, parameter: &'static str, text: &str) -> Result<Target, ApiError> {
    let uri = match parse(settings, parameter, text)? {
        Destination::Number(number) => return numbered(settings, parameter, text, &number),
        Destination::Uri(uri) => uri,
    };
    let uri = uri.uri();
    if uri.scheme() == Scheme::Tel {
        return numbered(settings, parameter, text, &digits(uri.user().unwrap_or_default()));
    }
    let target = reached(settings, &uri).map_err(|objection| match objection {
        Objection::Invalid(detail) => ApiError::invalid(parameter, detail),
        Objection::Forbidden(detail) => ApiError::Forbidden { parameter: Some(parameter), detail },
    })?;
    Ok(Target { given: text.into(), ..target })
}

/// Why a URI is not called.
enum Objection {
    Invalid(&'static str),
    Forbidden(String),
}

/// Where a redirection points, if it may be followed: the same is allowed as when an application had asked for it.
pub(in crate::endpoint) fn redirected(settings: &Settings, text: &str) -> Option<Target> {
    if text.len() > settings.limits.max_uri_bytes {
        return None;
    }
    let uri = Uri::parse(text).ok()?;
    reached(settings, &uri).ok()
}

/// How a SIP URI is reached.
fn reached(settings: &Settings, uri: &Uri<'_>) -> Result<Target, Objection> {
    let secure = match uri.scheme() {
        Scheme::Sip => false,
        Scheme::Sips => true,
        Scheme::Tel | Scheme::Other => return Err(Objection::Invalid("scheme is not sip, sips or tel")),
    };
    // RFC 3261 section 19.1.1, table 1: neither may be in a Request-URI.
    if !uri.headers().is_empty() || uri.parameters().has("method") {
        return Err(Objection::Invalid("headers and method have no place in a URI to call"));
    }
    let transport = transport(uri, secure)?;
    // Section 19.1.5: a transport that is named is the one to use.
    if transport.is_some_and(|named| !settings.listeners.iter().any(|local| local.transport == named)) {
        return Err(Objection::Invalid(
            "asks for a transport that is not served; sip.listen names those that are",
        ));
    }
    let Some(host) = uri.host() else { return Err(Objection::Invalid("has no host")) };
    let host = host.to_string();
    let trunk = settings.trunks.iter().find(|trunk| serves(trunk, &host));
    if trunk.is_none() && !settings.policy.allow_any_destination {
        let detail = format!("{host} is no trunk's host, and policy.allow_any_destination is not set");
        return Err(Objection::Forbidden(detail));
    }
    if let Some(trunk) = trunk {
        permitted(trunk, uri.user().unwrap_or_default())?;
    }
    Ok(Target {
        given: String::new(),
        uri: uri.as_str().into(),
        host,
        port: uri.port(),
        transport,
        trunk: trunk.map(|trunk| trunk.name.clone()),
    })
}

fn transport(uri: &Uri<'_>, secure: bool) -> Result<Option<Transport>, Objection> {
    let named = match uri.parameters().value("transport") {
        None => None,
        Some(named) if named.eq_ignore_ascii_case("udp") => Some(Transport::Udp),
        Some(named) if named.eq_ignore_ascii_case("tcp") => Some(Transport::Tcp),
        Some(named) if named.eq_ignore_ascii_case("tls") => Some(Transport::Tls),
        Some(_) => return Err(Objection::Invalid("asks for a transport that is none of udp, tcp and tls")),
    };
    match (secure, named) {
        // RFC 3261 section 26.2.2: sips with tcp is TLS.
        (true, None | Some(Transport::Tcp | Transport::Tls)) => Ok(Some(Transport::Tls)),
        (true, Some(Transport::Udp)) => Err(Objection::Invalid("sips cannot travel over udp")),
        (false, named) => Ok(named),
    }
}

/// May that number or user be called over the trunk? Visual separators and letter case make no difference.
fn permitted(trunk: &Trunk, user: &str) -> Result<(), Objection> {
    let user = digits(user).to_ascii_lowercase();
    let begins = |prefix: &String| user.starts_with(&digits(prefix).to_ascii_lowercase());
    if trunk.refused.iter().any(begins) {
        return Err(Objection::Forbidden(format!("trunk {} refuses this prefix", trunk.name)));
    }
    if !trunk.allowed.is_empty() && !trunk.allowed.iter().any(begins) {
        return Err(Objection::Forbidden(format!("trunk {} does not allow this prefix", trunk.name)));
    }
    Ok(())
}

/// Hosts are compared as text without regard to case, IPv6 addresses with or without their brackets.
fn serves(trunk: &Trunk, host: &str) -> bool {
    let bare = |host: &str| host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    trunk.hosts.iter().any(|served| bare(served) == bare(host))
}

/// A number goes to the first host of the default trunk; one that names no host has its proxy's.
fn numbered(
    settings: &Settings,
    parameter: &'static str,
    given: &str,
    number: &str,
) -> Result<Target, ApiError> {
    let forbidden = |detail: &str| ApiError::Forbidden { parameter: Some(parameter), detail: detail.into() };
    let name: &Arc<str> = settings
        .policy
        .default_trunk
        .as_ref()
        .ok_or_else(|| forbidden("a number needs a default trunk, and there is none"))?;
    let trunk = settings
        .trunks
        .iter()
        .find(|trunk| trunk.name == *name)
        .ok_or_else(|| forbidden("the default trunk is not configured"))?;
    let host = trunk.hosts.first().or(trunk.address.as_ref());
    let host = host.ok_or_else(|| forbidden("the default trunk has no host"))?;
    if let Err(Objection::Forbidden(detail)) = permitted(trunk, number) {
        return Err(forbidden(&detail));
    }
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.clone() };
    let uri = format!("sip:{}@{host}", Escaped(number));
    let trunk = Some(trunk.name.clone());
    Ok(Target { given: given.into(), uri, host, port: None, transport: None, trunk })
}

/// A telephone number without its visual separators (RFC 3966 section 5.1.1).
fn digits(number: &str) -> String {
    number.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect()
}

/// The caller to show, as a URI for From.
fn caller(
    settings: &Settings,
    parameter: &'static str,
    given: Option<&String>,
) -> Result<Option<String>, ApiError> {
    let Some(text) = given else { return Ok(None) };
    match parse(settings, parameter, text)? {
        Destination::Number(number) => Ok(Some(own_uri(settings, &number))),
        Destination::Uri(uri) if !uri.uri().headers().is_empty() => {
            Err(ApiError::invalid(parameter, "headers have no place in a caller's URI"))
        }
        Destination::Uri(uri) => Ok(Some(uri.as_str().into())),
    }
}

/// A URI of this node.
pub(in crate::endpoint) fn own_uri(settings: &Settings, user: &str) -> String {
    match settings.listeners.first() {
        Some(local) => format!("sip:{}@{}", Escaped(user), local.address),
        None => format!("sip:{}@localhost", Escaped(user)),
    }
}

/// Where a target leads to, written in one way: case of the host, the default port and the case of parameters make no
/// difference, so that a loop is seen however its URIs are spelled. Of what differs further, a bound is kept.
pub(in crate::endpoint) fn spelled(target: &Target) -> String {
    let Ok(uri) = Uri::parse(&target.uri) else { return target.uri.clone() };
    let host = target.host.to_ascii_lowercase();
    let parameters = uri.parameters().as_str().to_ascii_lowercase();
    format!("{}@{host}:{};{parameters}", uri.user().unwrap_or_default(), uri.effective_port())
}

/// Do both lead to the same party? The default port and the case of the host make no difference.
fn same(one: &Target, two: &Target) -> bool {
    let parts = |target: &Target| {
        let user = Uri::parse(&target.uri).ok().and_then(|uri| uri.user().map(ToString::to_string));
        (user, target.host.to_ascii_lowercase(), target.port.unwrap_or(DEFAULT_PORT))
    };
    parts(one) == parts(two)
}
