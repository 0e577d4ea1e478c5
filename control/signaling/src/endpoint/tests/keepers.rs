//! OPTIONS with hysteresis (RFC 3261 section 11), REGISTER kept alive (section 10).

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::node::{Node, settings};
use crate::endpoint::Settings;
use crate::endpoint::settings::{Credentials, Ping, Registration};
use crate::message::{Builder, Message, Method, Name, Status};

fn pinging() -> Settings {
    let mut settings = settings();
    settings.trunks[0].ping = Some(Ping { every: Duration::from_secs(10), failures: 2, successes: 2 });
    settings
}

fn registering() -> Settings {
    let mut settings = settings();
    settings.trunks[0].registration = Some(Registration {
        aor: "sip:duo@carrier.example".into(),
        expires: Duration::from_secs(3600),
        retry: Duration::from_secs(30),
    });
    settings.trunks[0].credentials =
        Some(Arc::new(Credentials { username: "duo".into(), password: "secret word".into(), realm: None }));
    settings
}

/// The requests of that method that were sent since the last look.
fn take(node: &mut Node, method: Method<'_>) -> Vec<(SocketAddr, Vec<u8>)> {
    let all = core::mem::take(&mut node.sent);
    all.into_iter().filter(|(_, bytes)| Message::parse(bytes).unwrap().method() == method).collect()
}

fn answer(node: &mut Node, request: &(SocketAddr, Vec<u8>), status: u16, headers: &[(Name, &str)]) {
    let message = Message::parse(&request.1).unwrap();
    let status = Status::new(status).unwrap();
    let mut builder = Builder::response_to(&message, request.0, status, Some("t"));
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    node.receive(request.0, &builder.build().unwrap());
}

fn header(request: &(SocketAddr, Vec<u8>), name: Name) -> String {
    Message::parse(&request.1).unwrap().header(name).unwrap_or_default().to_string()
}

fn pass(node: &mut Node, seconds: u64) {
    for _ in 0..seconds * 2 {
        node.wait(Duration::from_millis(500));
    }
}

fn is_up(node: &Node) -> bool {
    node.endpoint.trunk_figures(node.now)[0].up
}

#[test]
fn rfc3261_11_a_trunk_that_answers_whatever_it_answers_is_up() {
    let mut node = Node::new(pinging());
    for status in [200, 404, 405, 501] {
        node.wait(Duration::ZERO);
        let sent = take(&mut node, Method::Options);
        assert_eq!(sent.len(), 1, "{status}");
        assert_eq!(sent[0].0.to_string(), "192.0.2.1:5060");
        answer(&mut node, &sent[0], status, &[]);
        assert!(is_up(&node));
        pass(&mut node, 10);
    }
}

#[test]
fn rfc3261_11_a_trunk_goes_down_after_two_failures_and_up_after_two_answers() {
    let mut node = Node::new(pinging());
    node.wait(Duration::ZERO);
    let first = take(&mut node, Method::Options);
    answer(&mut node, &first[0], 503, &[]);
    assert!(is_up(&node), "once is never");
    // The second is never answered: 32 s.
    pass(&mut node, 43);
    assert!(!is_up(&node));
    node.place(&["1@192.0.2.1", "1@192.0.2.2"], 0);
    assert_eq!(node.invites()[0].1, "192.0.2.2:5060", "one that is down is skipped");
    for up in [false, true] {
        take(&mut node, Method::Options);
        pass(&mut node, 10);
        let sent = take(&mut node, Method::Options);
        answer(&mut node, sent.last().unwrap(), 200, &[]);
        assert_eq!(is_up(&node), up);
    }
}

#[test]
fn rfc3261_10_2_a_registration_is_made_with_credentials_and_kept_alive() {
    let mut node = Node::new(registering());
    node.wait(Duration::ZERO);
    let first = take(&mut node, Method::Register).remove(0);
    let start = Message::parse(&first.1).unwrap().request_uri().unwrap().as_str().to_string();
    assert_eq!(start, "sip:carrier.example");
    assert_eq!(header(&first, Name::Expires), "3600");
    assert_eq!(node.endpoint.trunk_figures(node.now)[0].registered, Some(false));
    let challenge = "Digest realm=\"carrier\", nonce=\"n1\", qop=\"auth\"";
    answer(&mut node, &first, 401, &[(Name::WwwAuthenticate, challenge)]);
    let second = take(&mut node, Method::Register).remove(0);
    assert!(header(&second, Name::Authorization).contains("username=\"duo\""));
    assert_eq!(header(&second, Name::CallId), header(&first, Name::CallId));
    assert_eq!(header(&second, Name::CSeq), "2 REGISTER");
    let contact = alloc::format!("{};expires=60", header(&second, Name::Contact));
    answer(&mut node, &second, 200, &[(Name::Contact, &contact)]);
    assert_eq!(node.endpoint.trunk_figures(node.now)[0].registered, Some(true));
    pass(&mut node, 29);
    assert!(take(&mut node, Method::Register).is_empty());
    pass(&mut node, 1);
    let third = take(&mut node, Method::Register);
    assert_eq!(third.len(), 1, "at half of what the registrar granted");
    answer(&mut node, &third[0], 403, &[]);
    assert_eq!(node.endpoint.trunk_figures(node.now)[0].registered, Some(false));
    pass(&mut node, 30);
    assert_eq!(take(&mut node, Method::Register).len(), 1);
}

#[test]
fn rfc3261_10_2_8_too_brief_an_interval_is_lengthened() {
    let mut node = Node::new(registering());
    node.wait(Duration::ZERO);
    let first = take(&mut node, Method::Register).remove(0);
    answer(&mut node, &first, 423, &[(Name::MinExpires, "7200")]);
    let second = take(&mut node, Method::Register).remove(0);
    assert_eq!(header(&second, Name::Expires), "7200");
    answer(&mut node, &second, 423, &[(Name::MinExpires, "7200")]);
    assert!(take(&mut node, Method::Register).is_empty());
}

#[test]
fn rfc3261_22_2_a_challenge_from_elsewhere_is_not_answered() {
    let mut node = Node::new(registering());
    node.wait(Duration::ZERO);
    let first = take(&mut node, Method::Register).remove(0);
    let stranger = ("203.0.113.66:5060".parse().unwrap(), first.1);
    answer(&mut node, &stranger, 401, &[(Name::WwwAuthenticate, "Digest realm=\"carrier\", nonce=\"n\"")]);
    assert!(take(&mut node, Method::Register).is_empty());
}

#[test]
fn a_reload_ends_keepers_that_are_no_longer_wanted_and_begins_others() {
    let mut node = Node::new(pinging());
    node.wait(Duration::ZERO);
    assert_eq!(take(&mut node, Method::Options).len(), 1);
    node.endpoint.reload(node.now, registering());
    pass(&mut node, 50);
    let sent = core::mem::take(&mut node.sent);
    let methods: Vec<bool> =
        sent.iter().map(|(_, bytes)| Message::parse(bytes).unwrap().method() == Method::Register).collect();
    assert!(!methods.is_empty() && methods.iter().all(|register| *register));
}

/// Settings in which the first trunk is gone.
fn without_it() -> Settings {
    let mut settings = settings();
    settings.trunks.remove(0);
    settings
}

#[test]
fn rfc3261_10_2_2_a_trunk_that_a_reload_takes_away_is_unregistered() {
    let mut node = Node::new(registering());
    node.wait(Duration::ZERO);
    let first = take(&mut node, Method::Register).remove(0);
    answer(&mut node, &first, 200, &[]);
    node.endpoint.reload(node.now, without_it());
    node.drain();
    let last = take(&mut node, Method::Register).remove(0);
    assert_eq!(header(&last, Name::Expires), "0");
    assert_eq!(header(&last, Name::CallId), header(&first, Name::CallId));
    // Its registrar may ask for credentials once more.
    let challenge = "Digest realm=\"carrier\", nonce=\"n2\", qop=\"auth\"";
    answer(&mut node, &last, 401, &[(Name::WwwAuthenticate, challenge)]);
    let again = take(&mut node, Method::Register).remove(0);
    assert!(header(&again, Name::Authorization).contains("username=\"duo\""));
    answer(&mut node, &again, 200, &[]);
    pass(&mut node, 4_000);
    assert!(node.sent.is_empty(), "nothing more is said");
    assert_eq!(node.endpoint.next_deadline(), None, "and nothing is waited for");
}

#[test]
fn the_pings_of_a_trunk_that_a_reload_takes_away_stop_at_once() {
    let mut node = Node::new(pinging());
    node.wait(Duration::ZERO);
    assert_eq!(take(&mut node, Method::Options).len(), 1);
    node.endpoint.reload(node.now, without_it());
    pass(&mut node, 60);
    assert!(node.sent.is_empty(), "not even the last one is repeated");
}

#[test]
fn a_registration_that_changes_goes_over_and_new_credentials_are_used() {
    let mut node = Node::new(registering());
    node.wait(Duration::ZERO);
    let first = take(&mut node, Method::Register).remove(0);
    answer(&mut node, &first, 200, &[]);
    let mut changed = registering();
    changed.trunks[0].credentials =
        Some(Arc::new(Credentials { username: "other".into(), password: "word".into(), realm: None }));
    node.endpoint.reload(node.now, changed);
    node.wait(Duration::ZERO);
    let next = take(&mut node, Method::Register);
    assert_eq!(next.len(), 1, "the old one is not taken back: it would take the new one along");
    assert_eq!(header(&next[0], Name::Expires), "3600");
    answer(&mut node, &next[0], 401, &[(Name::WwwAuthenticate, "Digest realm=\"carrier\", nonce=\"n\"")]);
    let again = take(&mut node, Method::Register).remove(0);
    assert!(header(&again, Name::Authorization).contains("username=\"other\""));
}
