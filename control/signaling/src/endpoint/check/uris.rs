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
    match uri.scheme() {
        Scheme::Tel => return numbered(settings, parameter, text, &digits(uri.user().unwrap_or_default())),
        Scheme::Sip => {}
        Scheme::Sips => {
            return Err(ApiError::invalid(parameter, "sips needs a TLS listener, and there is none"));
        }
        Scheme::Other => return Err(ApiError::invalid(parameter, "scheme is not sip, sips or tel")),
    }
    // RFC 3261 section 19.1.1, table 1: neither may be in a Request-URI.
    if !uri.headers().is_empty() || uri.parameters().has("method") {
        return Err(ApiError::invalid(parameter, "headers and method have no place in a URI to call"));
    }
    // Section 19.1.5: a transport that is named is the one to use.
    if uri.parameters().value("transport").is_some_and(|named| !named.eq_ignore_ascii_case("udp")) {
        return Err(ApiError::invalid(parameter, "asks for a transport that is not served, only udp is"));
    }
    let Some(host) = uri.host() else { return Err(ApiError::invalid(parameter, "has no host")) };
    let host = host.to_string();
    let trunk = settings.trunks.iter().find(|trunk| serves(trunk, &host));
    if trunk.is_none() && !settings.policy.allow_any_destination {
        return Err(ApiError::Forbidden {
            parameter: Some(parameter),
            detail: format!("{host} is no trunk's host, and policy.allow_any_destination is not set"),
        });
    }
    Ok(Target {
        given: text.into(),
        uri: uri.as_str().into(),
        host,
        port: uri.port(),
        trunk: trunk.map(|trunk| trunk.name.clone()),
    })
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
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.clone() };
    let uri = format!("sip:{}@{host}", Escaped(number));
    Ok(Target { given: given.into(), uri, host, port: None, trunk: Some(trunk.name.clone()) })
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
        Some(address) => format!("sip:{}@{address}", Escaped(user)),
        None => format!("sip:{}@localhost", Escaped(user)),
    }
}

/// Do both lead to the same party? The default port and the case of the host make no difference.
fn same(one: &Target, two: &Target) -> bool {
    let parts = |target: &Target| {
        let user = Uri::parse(&target.uri).ok().and_then(|uri| uri.user().map(ToString::to_string));
        (user, target.host.to_ascii_lowercase(), target.port.unwrap_or(DEFAULT_PORT))
    };
    parts(one) == parts(two)
}
