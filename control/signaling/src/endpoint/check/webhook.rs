//! `callback_url`: http or https, to a host that the operator allows.

use alloc::string::String;

use crate::endpoint::settings::Policy;
use crate::resource::error::ApiError;

const PARAMETER: &str = "callback_url";
/// The longest URL.
const MAX_BYTES: usize = 2048;

pub(super) fn url(policy: &Policy, given: Option<&String>) -> Result<Option<String>, ApiError> {
    let Some(url) = given else { return Ok(None) };
    if url.len() > MAX_BYTES {
        return Err(ApiError::invalid(PARAMETER, "is longer than 2048 bytes"));
    }
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ApiError::invalid(PARAMETER, "has characters that a URL cannot have"));
    }
    let host =
        host(url).ok_or_else(|| ApiError::invalid(PARAMETER, "is no http or https URL with a host"))?;
    if policy.webhook_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)) {
        return Ok(Some(url.clone()));
    }
    Err(ApiError::Forbidden {
        parameter: Some(PARAMETER),
        detail: "its host is not in policy.webhook_hosts".into(),
    })
}

/// The host of an http or https URL, without brackets and port (RFC 3986 section 3.2). None if it is no such
/// URL; a user part is refused, because it is there to mislead.
fn host(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    // A backslash is a slash to some readers of URLs, so it may not be in the authority.
    let authority = rest.split(['/', '?', '#']).next()?;
    if authority.contains(['@', '\\', '%']) {
        return None;
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']')?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port_good = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    (!host.is_empty() && port_good).then_some(host)
}
