//! INFO: keys that a party presses, in the older use without a package.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use duogate_channel::digits::Key;

use super::requests::Reply;
use crate::message::{Message, Name, Status};

/// Bodies that we read.
const RELAY: (&str, &str) = ("application", "dtmf-relay");
const PLAIN: (&str, &str) = ("application", "dtmf");

/// How long a key was held where the body does not say.
const USUAL_MILLISECONDS: u16 = 100;

/// INFO (RFC 6086). Packages need to be agreed on first, and we offer none; the older use without a package
/// carries digits, or nothing. `taken`: digits are taken from this party.
pub(super) fn answer(request: &Message<'_>, taken: bool) -> Reply {
    if request.header(Name::InfoPackage).is_some() {
        return Reply::new(Status::BAD_INFO_PACKAGE).with(Name::RecvInfo, "");
    }
    let known = match request.content_type() {
        _ if request.body().is_empty() => true,
        Ok(Some(kind)) if taken => [RELAY, PLAIN].iter().any(|(one, other)| kind.is(one, other)),
        _ => false,
    };
    if known {
        return Reply::new(Status::OK);
    }
    // An empty Accept: nothing (RFC 3261 section 20.1).
    let kinds = if taken { [RELAY, PLAIN].as_slice() } else { &[] };
    let accepted: Vec<String> = kinds.iter().map(|(kind, subtype)| format!("{kind}/{subtype}")).collect();
    Reply::new(Status::UNSUPPORTED_MEDIA_TYPE).with(Name::Accept, accepted.join(", "))
}

/// The key that an INFO tells of, and how long it was held, in milliseconds.
pub(super) fn key(request: &Message<'_>) -> Option<(Key, u16)> {
    if request.header(Name::InfoPackage).is_some() {
        return None;
    }
    let body = core::str::from_utf8(request.body()).ok()?;
    match request.content_type() {
        Ok(Some(kind)) if kind.is(RELAY.0, RELAY.1) => relayed(body),
        Ok(Some(kind)) if kind.is(PLAIN.0, PLAIN.1) => Some((sign(body)?, USUAL_MILLISECONDS)),
        _ => None,
    }
}

/// Lines of `Signal=5` and `Duration=160`, with or without blanks, in any order.
fn relayed(body: &str) -> Option<(Key, u16)> {
    let (mut key, mut duration) = (None, USUAL_MILLISECONDS);
    for (name, value) in body.lines().filter_map(|line| line.split_once('=')) {
        match name.trim() {
            name if name.eq_ignore_ascii_case("signal") => key = sign(value),
            name if name.eq_ignore_ascii_case("duration") => {
                duration = value.trim().parse().unwrap_or(duration);
            }
            _ => {}
        }
    }
    Some((key?, duration))
}

/// A key as its sign, or as its event code, which some write for `*` and `#`.
fn sign(text: &str) -> Option<Key> {
    let text = text.trim();
    let mut signs = text.chars();
    match (signs.next(), signs.next()) {
        (Some(one), None) => Key::from_char(one),
        _ => Key::from_code(text.parse().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_form_of_a_key_is_read() {
        let read = |body| relayed(body).map(|(key, duration)| (key.sign(), duration));
        assert_eq!(read("Signal=5\r\nDuration=160\r\n"), Some(('5', 160)));
        assert_eq!(read("Signal= #\r\nDuration= 250"), Some(('#', 250)));
        assert_eq!(read("duration=80\nsignal=a\n"), Some(('A', 80)));
        assert_eq!(read("Signal=11\r\n"), Some(('#', 100)));
        assert_eq!(read("Signal=1\r\nDuration=70000\r\n"), Some(('1', 100)), "a duration beyond reason");
        for none in ["", "Signal=", "Signal=x", "Signal=16", "Duration=160", "Signal", "Signal=-1"] {
            assert_eq!(read(none), None, "{none:?}");
        }
        assert_eq!(sign(" 7\r\n").map(Key::sign), Some('7'));
    }
}
