//! The ways of dialogs, and of calls that must be secure on every hop.

use core::net::{Ipv4Addr, SocketAddr};

use super::node::{Node, settings};
use crate::endpoint::output::Transport;
use crate::endpoint::{Local, Place, Settings};
use crate::message::{Message, Method, Name};

/// Sockets of all three transports.
fn all_transports() -> Settings {
    let local = |transport, port| Local { transport, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) };
    let listeners =
        [(Transport::Udp, 5060), (Transport::Tcp, 5060), (Transport::Tls, 5061)].map(|(t, p)| local(t, p));
    Settings { listeners: listeners.into(), ..settings() }
}

fn last(node: &Node) -> (alloc::string::String, alloc::vec::Vec<u8>) {
    let (to, bytes) = node.sent.last().cloned().unwrap();
    (alloc::format!("{to}"), bytes)
}

#[test]
fn rfc3263_4_a_dialog_that_leads_to_a_name_waits_for_it_and_no_other_call_does() {
    let mut node = Node::new(all_transports());
    node.place(&["1@192.0.2.1"], 0);
    node.respond_with(200, &[(Name::Contact, "<sip:b@party.example>")]);
    let (query, host) = node.queries.remove(0);
    assert_eq!((host.as_str(), node.sent.len()), ("party.example", 1), "{:?}", node.destinations());
    node.place(&["1@192.0.2.1"], 1);
    assert_eq!(node.sent.len(), 2, "another call begins meanwhile");
    let place = Place { transport: Transport::Tcp, address: "192.0.2.99:5070".parse().unwrap() };
    node.endpoint.located(node.now, query, Ok(alloc::vec![place]));
    node.drain();
    let there: alloc::vec::Vec<_> = node.sent.iter().filter(|(to, _)| to.port() == 5070).collect();
    assert_eq!(Message::parse(&there[0].1).unwrap().method(), Method::Ack);
    assert_eq!(Message::parse(&there[0].1).unwrap().via().transport, "TCP");
}

#[test]
fn rfc3261_26_2_2_sips_travels_by_tls_whatever_its_trunk_is_used_to() {
    let mut settings = all_transports();
    settings.trunks[0].transport = Some(Transport::Udp);
    settings.trunks[1].address = Some("198.51.100.9".into());
    settings.trunks[1].transport = Some(Transport::Tcp);
    let mut node = Node::new(settings);
    for (slot, uri, to) in
        [(0, "sips:1@192.0.2.1", "192.0.2.1:5061"), (1, "sips:1@192.0.2.2", "198.51.100.9:5061")]
    {
        node.construct(&[uri], &["2@192.0.2.1"]).map(|view| node.noted(&view)).unwrap();
        node.open(slot);
        let (went, invite) = last(&node);
        let invite = Message::parse(&invite).unwrap();
        assert_eq!((went.as_str(), invite.via().transport), (to, "TLS"));
        assert!(invite.header(Name::Contact).unwrap().starts_with("<sips:"), "{invite:?}");
    }
}

#[test]
fn rfc3261_26_2_2_a_secure_call_is_not_redirected_to_an_open_one() {
    let mut node = Node::new(all_transports());
    node.construct(&["sips:1@192.0.2.1"], &["2@192.0.2.1"]).map(|view| node.noted(&view)).unwrap();
    node.open(0);
    node.respond_with(302, &[(Name::Contact, "<sip:1@192.0.2.7>;q=1, <sips:1@192.0.2.8>;q=0.5")]);
    let uris: alloc::vec::Vec<_> = node.invites().into_iter().map(|(uri, _)| uri).collect();
    assert_eq!(uris, ["sips:1@192.0.2.1", "sips:1@192.0.2.8"]);
}
