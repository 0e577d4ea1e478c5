//! When two URIs are the same (RFC 3261 section 19.1.4, RFC 3966 section 4).

use super::{Parameters, Scheme, Uri};

/// Parameters that must be equal, or be absent from both.
const SIGNIFICANT: [&str; 4] = ["user", "ttl", "method", "maddr"];

pub(super) fn equal(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    if a.scheme() != b.scheme() {
        return false;
    }
    match a.scheme() {
        Scheme::Sip | Scheme::Sips => sip_equal(a, b),
        Scheme::Tel => tel_equal(a, b),
        Scheme::Other => a.as_str() == b.as_str(),
    }
}

fn sip_equal(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    same_option(a.user(), b.user(), same_exactly)
        && same_option(a.password(), b.password(), same_exactly)
        && a.host() == b.host()
        && a.port() == b.port()
        && same_parameters(a.parameters(), b.parameters())
        && same_headers(a.headers(), b.headers())
}

/// Every parameter of both agrees; those of [`SIGNIFICANT`] may not be missing from one. `transport` neither
/// (19.1.4 gives `transport=udp` and none as different).
fn same_parameters(a: Parameters<'_>, b: Parameters<'_>) -> bool {
    let agree = a.iter().all(|left| {
        b.get(left.name).is_none_or(|right| same_option(left.value, right.value, same_ignoring_case))
    });
    let needed = SIGNIFICANT.iter().chain(&["transport"]);
    agree && needed.copied().all(|name| a.has(name) == b.has(name))
}

/// Headers count whatever their order.
fn same_headers(a: &str, b: &str) -> bool {
    let among = |field: &str, all: &str| all.split('&').any(|other| same_header(field, other));
    a.split('&').count() == b.split('&').count() && a.split('&').all(|field| among(field, b))
}

fn same_header(a: &str, b: &str) -> bool {
    let (left, right) = (a.split_once('=').unwrap_or((a, "")), b.split_once('=').unwrap_or((b, "")));
    same_ignoring_case(left.0, right.0) && same_exactly(left.1, right.1)
}

/// Numbers without their visual separators; parameters in any order.
fn tel_equal(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    let digits = |uri: &Uri<'_>, other: &Uri<'_>| {
        let left = uri.user().unwrap_or_default().bytes().filter(|byte| !is_separator(*byte));
        let right = other.user().unwrap_or_default().bytes().filter(|byte| !is_separator(*byte));
        left.map(|b| b.to_ascii_lowercase()).eq(right.map(|b| b.to_ascii_lowercase()))
    };
    let (left, right) = (a.parameters(), b.parameters());
    let within = |one: Parameters<'_>, other: Parameters<'_>| {
        one.iter().all(|parameter| {
            other
                .get(parameter.name)
                .is_some_and(|found| same_option(parameter.value, found.value, same_ignoring_case))
        })
    };
    digits(a, b) && within(left, right) && within(right, left)
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b'.' | b'(' | b')')
}

fn same_option(a: Option<&str>, b: Option<&str>, same: impl Fn(&str, &str) -> bool) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same(a, b),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn same_exactly(a: &str, b: &str) -> bool {
    unescaped(a).eq(unescaped(b))
}

fn same_ignoring_case(a: &str, b: &str) -> bool {
    unescaped(a)
        .map(|(octet, escaped)| (octet.to_ascii_lowercase(), escaped))
        .eq(unescaped(b).map(|(octet, escaped)| (octet.to_ascii_lowercase(), escaped)))
}

/// The octets that text stands for. An escaped octet outside `unreserved` is not the same as that octet bare,
/// so the escape is told beside it.
fn unescaped(text: &str) -> impl Iterator<Item = (u8, bool)> {
    let mut bytes = text.bytes();
    core::iter::from_fn(move || {
        let byte = bytes.next()?;
        if byte != b'%' {
            return Some((byte, false));
        }
        let high = hexadecimal(bytes.next()?);
        let octet = high << 4 | hexadecimal(bytes.next()?);
        Some((octet, !super::uri_parts::is_unreserved(octet)))
    })
}

const fn hexadecimal(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0, // a parsed URI has none other
    }
}
