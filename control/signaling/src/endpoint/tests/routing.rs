//! Trunks, hosts and where the INVITE goes.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use duogate_channel::command::{Command, PortChoice};
use duogate_channel::event::Event as MediaEvent;
use duogate_channel::identity::{LocalPort, Session};

use super::node::{Node, settings, trunk};
use crate::endpoint::output::Transport;
use crate::endpoint::{LocateFailure, Place, Settings};
use crate::message::Message;
use crate::resource::report::{Event, Reason};

fn udp(address: &str) -> Place {
    Place { transport: Transport::Udp, address: address.parse().unwrap() }
}

#[test]
fn a_uri_goes_to_its_own_host_and_port_or_to_its_trunks_address() {
    let mut settings = settings();
    settings.trunks[0].port = Some(5080);
    settings.trunks[1].address = Some("198.51.100.9".into());
    let mut node = Node::new(settings);
    node.place(&["1@192.0.2.1"], 0);
    node.place(&["1@192.0.2.1:5090"], 1);
    node.place(&["1@192.0.2.2:5090"], 2);
    node.place(&["1@203.0.113.1"], 3);
    let went = ["192.0.2.1:5080", "192.0.2.1:5090", "198.51.100.9:5060", "203.0.113.1:5060"];
    assert_eq!(node.destinations(), went);
}

/// Those that were offered to parties: connection line and port.
fn offered(node: &Node) -> Vec<String> {
    let lines = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).map(ToString::to_string);
        Some(alloc::format!("{} {}", line("c=")?, line("m=")?))
    };
    node.sent.iter().filter_map(|(_, bytes)| lines(bytes)).collect()
}

#[test]
fn each_leg_is_told_the_address_of_its_own_port() {
    let addresses = ["192.0.2.11", "2001:db8::11", "192.0.2.12"];
    let media_addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let mut node = Node::new(Settings { media_addresses, ..settings() });
    let view = node.construct(&["1@192.0.2.1"], &["2@[2001:db8::2]"]).unwrap();
    let Some((shard, Command::Open { tag, legs })) = node.commands.last().copied() else { panic!() };
    let ports = legs.map(|leg| leg.port);
    let bits = |addresses| PortChoice::Any { addresses };
    assert_eq!(ports, [bits(0b101), bits(0b010)], "of the family that the party is called over");
    node.noted(&view);
    let ports = [LocalPort { address: 2, port: 4000 }, LocalPort { address: 1, port: 4000 }];
    let session = Session { slot: 1, generation: 1 };
    node.endpoint.media(node.now, shard, MediaEvent::Opened { tag, session, ports });
    node.drain();
    assert_eq!(offered(&node), ["c=IN IP4 192.0.2.12 m=audio 4000 RTP/AVP 8 0 101"]);
}

#[test]
fn a_port_of_an_address_that_we_do_not_know_is_no_port() {
    let mut node = Node::new(settings());
    let view = node.construct_one();
    node.noted(&view);
    let (shard, tag) = node.asked();
    let session = Session { slot: 1, generation: 1 };
    let ports = [LocalPort::first(4000), LocalPort { address: 1, port: 4000 }];
    node.endpoint.media(node.now, shard, MediaEvent::Opened { tag, session, ports });
    node.drain();
    assert_eq!((node.closes(), offered(&node).len()), (1, 0), "nobody is called");
    assert_eq!(node.endpoint.counters().failures.get(&Reason::MediaRefused), Some(&1));
}

#[test]
fn a_full_trunk_and_one_that_is_down_are_skipped() {
    let mut settings = settings();
    settings.trunks[0].max_calls = Some(1);
    let mut node = Node::new(settings);
    node.place(&["1@192.0.2.1"], 0);
    node.place(&["1@192.0.2.1", "3@192.0.2.2"], 1);
    assert_eq!(node.destinations(), ["192.0.2.1:5060", "192.0.2.2:5060"]);
    assert_eq!(node.endpoint.trunk_calls(), [("a".into(), 1), ("b".into(), 1)]);
    node.endpoint.set_trunk_up("b", false);
    node.place(&["1@192.0.2.1", "3@192.0.2.2"], 2);
    let last = node.reports.last().unwrap();
    assert!(
        matches!(last, Event::DialCompleted { error: Some(failure), .. } if failure.reason == Reason::NoRoute),
        "{last:?}"
    );
}

#[test]
fn a_trunk_has_room_again_when_its_call_is_refused() {
    let mut settings = settings();
    settings.trunks[0].max_calls = Some(1);
    let mut node = Node::new(settings);
    node.place(&["1@192.0.2.1"], 0);
    node.respond(486);
    assert!(node.endpoint.trunk_calls().is_empty());
    node.place(&["1@192.0.2.1"], 1);
    assert_eq!(node.sent.len(), 3, "INVITE, ACK, INVITE");
}

#[test]
fn a_host_name_is_looked_up_and_an_unknown_one_is_skipped() {
    let mut node = Node::new(settings());
    node.place(&["1@carrier.example:5070", "1@gone.example"], 0);
    let (query, host) = node.queries[0].clone();
    assert_eq!(host, "carrier.example");
    let places = vec![udp("[2001:db8::1]:5070"), udp("192.0.2.77:5070")];
    node.endpoint.located(node.now, query, Ok(places));
    node.drain();
    assert_eq!(node.destinations(), ["192.0.2.77:5070"], "the address that a listener can reach");
    node.respond(503);
    let (query, host) = node.queries[1].clone();
    assert_eq!(host, "gone.example");
    node.endpoint.located(node.now, query, Err(LocateFailure::Unknown));
    node.drain();
    assert!(matches!(node.reports[0], Event::DialCompleted { error: Some(_), .. }));
}

#[test]
fn an_answer_that_comes_after_the_end_is_ignored() {
    let mut node = Node::new(settings());
    let view = node.place(&["1@carrier.example"], 0);
    let (query, _) = node.queries[0].clone();
    node.endpoint.cancel(node.now, &view.res_id).unwrap();
    node.endpoint.located(node.now, query, Ok(vec![udp("192.0.2.77:5060")]));
    node.drain();
    assert!(node.sent.is_empty());
}

#[test]
fn the_caller_is_the_applications_or_the_trunks_or_our_own() {
    let mut settings = settings();
    settings.trunks[1].caller_id = Some("sip:4711@carrier.example".into());
    let mut node = Node::new(settings);
    node.place(&["1@192.0.2.1"], 0);
    node.place(&["1@192.0.2.2:5099"], 1);
    let froms = node.sent.iter().map(|(_, bytes)| {
        let message = Message::parse(bytes).unwrap();
        alloc::string::String::from(message.from().uri.as_str())
    });
    let froms: alloc::vec::Vec<_> = froms.collect();
    assert_eq!(froms, ["sip:duogate@127.0.0.1:5060", "sip:4711@carrier.example"]);
}

#[test]
fn a_reload_changes_trunks_and_limits_but_not_who_we_are() {
    let mut node = Node::new(settings());
    let mut other = settings();
    other.node = "n2".into();
    other.trunks = vec![trunk("c", "192.0.2.9")];
    other.policy.allow_any_destination = false;
    node.endpoint.reload(node.now, other);
    let refused = node.construct(&["1@192.0.2.1"], &["2@192.0.2.9"]).unwrap_err();
    assert_eq!(refused.parameter(), Some("to1_uri"));
    let view = node.construct(&["1@192.0.2.9"], &["2@192.0.2.9"]).unwrap();
    assert!(view.res_id.starts_with("n1-"));
}
