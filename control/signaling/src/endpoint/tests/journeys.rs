//! Where an attempt goes on to: other places, redirections, its turn, and what a trunk's prefixes allow.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::node::{Node, settings};
use crate::endpoint::Place;
use crate::endpoint::settings::{Rate, Transport};
use crate::message::{Message, Name};
use crate::resource::report::Event;

fn udp(address: &str) -> Place {
    Place { transport: Transport::Udp, address: address.parse().unwrap() }
}

fn went(node: &Node) -> Vec<String> {
    node.invites().into_iter().map(|(_, to)| to).collect()
}

fn failed_with(node: &Node) -> Option<u16> {
    node.reports.iter().rev().find_map(|event| match event {
        Event::DialCompleted { error: Some(failure), .. } => Some(failure.code),
        _ => None,
    })
}

#[test]
fn rfc3261_8_1_3_4_a_redirection_is_followed_by_preference() {
    let mut node = Node::new(settings());
    node.place(&["1@192.0.2.1"], 0);
    node.respond_with(
        302,
        &[(Name::Contact, "<sip:2@192.0.2.2>;q=0.3"), (Name::Contact, "<sip:3@203.0.113.3>;q=0.7")],
    );
    node.respond(404);
    let uris: Vec<String> = node.invites().into_iter().map(|(uri, _)| uri).collect();
    assert_eq!(uris, ["sip:1@192.0.2.1", "sip:3@203.0.113.3", "sip:2@192.0.2.2"]);
    assert_eq!(failed_with(&node), None, "the application hears of the end alone");
    node.respond(486);
    assert_eq!(failed_with(&node), Some(486));
}

#[test]
fn rfc3261_8_1_3_4_a_loop_and_a_redirection_too_many_are_refused() {
    let mut node = Node::new(settings());
    node.place(&["1@192.0.2.1"], 0);
    node.respond_with(302, &[(Name::Contact, "<sip:2@192.0.2.2>")]);
    node.respond_with(302, &[(Name::Contact, "<sip:1@192.0.2.1>")]);
    assert_eq!(failed_with(&node), Some(302));

    // The same place, spelled in another way, and twice in one list.
    let mut node = Node::new(settings());
    node.place(&["1@192.0.2.1"], 0);
    let contacts = ["<sip:1@192.0.2.1:5060>", "<sip:2@192.0.2.2>", "<sip:2@192.0.2.2:5060>"];
    node.respond_with(302, &contacts.map(|contact| (Name::Contact, contact)));
    node.respond(404);
    assert_eq!((node.invites().len(), failed_with(&node)), (2, Some(404)));

    let mut node = Node::new(settings());
    node.place(&["1@192.0.2.1"], 0);
    for number in 2..20 {
        let contact = alloc::format!("<sip:{number}@192.0.2.1>");
        node.respond_with(302, &[(Name::Contact, &contact)]);
    }
    assert_eq!(node.invites().len(), 4, "three redirections are followed");
    assert_eq!(failed_with(&node), Some(302));
}

#[test]
fn a_redirection_leads_nowhere_where_an_application_may_not_call() {
    let mut settings = settings();
    settings.policy.allow_any_destination = false;
    settings.trunks[0].refused = vec!["00".into()];
    let mut node = Node::new(settings);
    node.place(&["1@192.0.2.1"], 0);
    let contacts = [
        (Name::Contact, "<sip:fraud@203.0.113.66>"),
        (Name::Contact, "<sip:0088216@192.0.2.1>"),
        (Name::Contact, "<tel:+88216>"),
        (Name::Contact, "<sips:1@192.0.2.1>"),
    ];
    node.respond_with(302, &contacts);
    assert_eq!((node.invites().len(), failed_with(&node)), (1, Some(302)));
}

#[test]
fn rfc3263_4_3_the_next_place_is_tried_when_one_is_silent_or_overloaded() {
    let mut node = Node::new(settings());
    node.place(&["1@carrier.example"], 0);
    let (query, _) = node.queries[0].clone();
    let places = vec![udp("192.0.2.71:5060"), udp("192.0.2.72:5060"), udp("192.0.2.73:5060")];
    node.endpoint.located(node.now, query, Ok(places.clone()));
    node.drain();
    for _ in 0..40 {
        node.wait(Duration::from_secs(1));
    }
    assert_eq!(went(&node).last().unwrap(), "192.0.2.72:5060");
    node.respond(503);
    assert_eq!(went(&node).last().unwrap(), "192.0.2.73:5060");
    node.respond(486);
    assert_eq!(failed_with(&node), Some(486));
    // What was silent comes last for a while.
    node.place(&["1@carrier.example"], 1);
    let (query, _) = node.queries[1].clone();
    node.endpoint.located(node.now, query, Ok(places));
    node.drain();
    assert_eq!(went(&node).last().unwrap(), "192.0.2.72:5060");
}

#[test]
fn rfc3261_21_5_4_retry_after_sends_calls_to_the_next_uri_for_that_time() {
    let mut node = Node::new(settings());
    node.place(&["1@192.0.2.1", "1@192.0.2.2"], 0);
    node.respond_with(503, &[(Name::RetryAfter, "20")]);
    assert_eq!(went(&node), ["192.0.2.1:5060", "192.0.2.2:5060"]);
    node.place(&["1@192.0.2.1", "1@192.0.2.2"], 1);
    assert_eq!(went(&node).last().unwrap(), "192.0.2.2:5060");
    node.wait(Duration::from_secs(21));
    node.place(&["1@192.0.2.1", "1@192.0.2.2"], 2);
    assert_eq!(went(&node).last().unwrap(), "192.0.2.1:5060");
}

#[test]
fn calls_over_a_trunk_are_paced_and_those_beyond_its_queue_go_on() {
    let mut settings = settings();
    settings.trunks[0].rate = Some(Rate { per_second: 2.0, queue: 2 });
    let mut node = Node::new(settings);
    for slot in 0..4 {
        node.place(&["1@192.0.2.1", "1@203.0.113.1"], slot);
    }
    assert_eq!(went(&node), ["192.0.2.1:5060", "203.0.113.1:5060"]);
    assert_eq!(node.endpoint.trunk_figures(node.now)[0].waiting, 2);
    node.wait(Duration::from_millis(499));
    assert_eq!(went(&node).len(), 2);
    node.wait(Duration::from_millis(1));
    assert_eq!(went(&node).len(), 3);
    node.wait(Duration::from_millis(500));
    assert_eq!(went(&node).len(), 4);
    let figures = node.endpoint.trunk_figures(node.now)[0].clone();
    assert_eq!((figures.waiting, figures.attempts, figures.skipped), (0, 3, 1));
}

#[test]
fn a_call_that_is_given_up_leaves_its_place_in_the_queue() {
    let mut settings = settings();
    settings.trunks[0].rate = Some(Rate { per_second: 1.0, queue: 1 });
    let mut node = Node::new(settings);
    node.place(&["1@192.0.2.1"], 0);
    let view = node.place(&["1@192.0.2.1"], 1);
    node.endpoint.cancel(node.now, &view.res_id).unwrap();
    node.drain();
    assert_eq!(node.endpoint.trunk_figures(node.now)[0].waiting, 0);
    node.wait(Duration::from_secs(5));
    assert_eq!(went(&node).len(), 1);
}

#[test]
fn prefixes_decide_who_may_be_called() {
    let mut settings = settings();
    settings.trunks[0].allowed = vec!["+49".into(), "0".into()];
    settings.trunks[0].refused = vec!["00".into(), "+49900".into()];
    settings.policy.default_trunk = Some("a".into());
    let mut node = Node::new(settings);
    for (to, allowed) in [
        ("sip:+4930123@192.0.2.1", true),
        ("tel:+49-30-123", true),
        ("030123", true),
        ("sip:0088216@192.0.2.1", false),
        ("tel:+49(900)1", false),
        ("sip:+1555@192.0.2.1", false),
        ("sip:192.0.2.1", false),
        ("sip:+1555@203.0.113.1", true),
    ] {
        let outcome = node.construct(&[to], &["2@192.0.2.2"]);
        assert_eq!(outcome.is_ok(), allowed, "{to}: {outcome:?}");
        if let Err(error) = outcome {
            assert_eq!((error.code(), error.parameter()), (-32006, Some("to1_uri")));
        }
        node.wait(Duration::from_secs(1));
    }
}

#[test]
fn rfc3325_the_caller_is_asserted_kept_private_or_fixed_by_trunk() {
    let mut settings = settings();
    settings.trunks[0].caller_id = Some("sip:4711@carrier.example".into());
    settings.trunks[0].asserts_identity = true;
    settings.trunks[0].private = true;
    settings.trunks[1].caller_id = Some("sip:4711@carrier.example".into());
    settings.trunks[1].caller_fixed = true;
    let mut node = Node::new(settings);
    node.place(&["1@192.0.2.1"], 0);
    node.place(&["1@192.0.2.2"], 1);
    let header = |place: usize, name| {
        let message = Message::parse(&node.sent[place].1).unwrap();
        message.header(name).unwrap_or_default().to_string()
    };
    assert_eq!(header(0, Name::PAssertedIdentity), "<sip:4711@carrier.example>");
    assert_eq!(header(0, Name::Privacy), "id");
    assert!(header(0, Name::From).starts_with("<sip:anonymous@anonymous.invalid>;tag="));
    assert_eq!(header(1, Name::PAssertedIdentity), "");
    assert!(header(1, Name::From).starts_with("<sip:4711@carrier.example>;tag="));
}

#[test]
fn a_trunks_figures_tell_what_became_of_its_calls() {
    let mut node = Node::new(settings());
    node.place(&["1@192.0.2.1"], 0);
    node.wait(Duration::from_millis(300));
    node.respond(180);
    node.respond(486);
    node.place(&["1@192.0.2.1"], 1);
    let figures = node.endpoint.trunk_figures(node.now)[0].clone();
    assert_eq!((figures.name.as_str(), figures.attempts, figures.calls), ("a", 2, 1));
    assert_eq!(figures.failures.get(&486), Some(&1));
    assert_eq!(figures.post_dial_delay, (1, Duration::from_millis(300)));
    assert_eq!(figures.answer_seizure_ratio(), Some(0.0));
}
