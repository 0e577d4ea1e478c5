//! What belongs to nobody, and what comes too late.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use duogate_channel::event::{Event, LegStatistics, Refusal};
use duogate_channel::identity::{LocalPort, Session, Shard, Tag};

use super::node::{Node, settings};
use crate::message::Message;
use crate::resource::view::State;

fn stranger() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(203, 0, 113, 5), 5060))
}

const INVITE: &[u8] = b"INVITE sip:us@127.0.0.1 SIP/2.0\r\n\
Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:us@127.0.0.1>\r\n\
Call-ID: 0123456789abcdef0123456789abcdef\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";

#[test]
fn rfc3261_8_2_7_a_strangers_invite_is_refused_once_and_leaves_nothing() {
    let mut node = Node::new(settings());
    node.receive(stranger(), INVITE);
    let (to, answer) = &node.sent[0];
    assert_eq!(*to, stranger());
    assert_eq!(Message::parse(answer).unwrap().status().map(|status| status.code()), Some(403));
    assert!(node.endpoint.is_idle());
    assert_eq!(node.endpoint.counters().stray_requests, 1);
}

#[test]
fn a_response_to_nothing_is_dropped_and_counted() {
    let mut node = Node::new(settings());
    let response = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
    node.receive(stranger(), response);
    assert!(node.sent.is_empty());
    assert_eq!(node.endpoint.counters().stray_responses, 1);
}

#[test]
fn noise_is_counted_and_keep_alives_are_not() {
    let mut node = Node::new(settings());
    for noise in [b"\0\x01\x02".as_slice(), b"hello\r\n\r\n", b"\xff"] {
        node.receive(stranger(), noise);
    }
    node.receive(stranger(), b"\r\n\r\n");
    node.receive(stranger(), b"");
    assert!(node.sent.is_empty());
    assert_eq!(node.endpoint.counters().datagrams_malformed, 3);
}

#[test]
fn a_session_that_nobody_asked_for_is_closed() {
    let mut node = Node::new(settings());
    let session = Session { slot: 1, generation: 1 };
    node.endpoint.media(
        node.now,
        Shard(0),
        Event::Opened { tag: Tag(5), session, ports: [LocalPort::first(2), LocalPort::first(4)] },
    );
    node.drain();
    assert_eq!(node.closes(), 1);
    node.endpoint.media(node.now, Shard(7), Event::Refused { tag: Tag(5), reason: Refusal::NoSlot });
    node.endpoint.media(node.now, Shard(0), Event::Joined { session });
    assert_eq!(node.endpoint.counters().stray_media, 3);
}

#[test]
fn a_session_opened_twice_is_closed_once_more() {
    let mut node = Node::new(settings());
    let view = node.construct_one();
    node.noted(&view);
    node.open(3);
    let (shard, tag) = node.asked();
    let session = Session { slot: 4, generation: 1 };
    node.endpoint.media(
        node.now,
        shard,
        Event::Opened { tag, session, ports: [LocalPort::first(2), LocalPort::first(4)] },
    );
    node.drain();
    assert_eq!(node.closes(), 1);
    assert_eq!(node.endpoint.get(&view.res_id).unwrap().state, State::Initiated);
}

#[test]
fn a_resource_that_was_not_noted_is_forgotten_with_its_session() {
    for open_first in [true, false] {
        let mut node = Node::new(settings());
        let view = node.construct_one();
        if open_first {
            node.open(3);
        }
        node.endpoint.unnoted(&view.res_id);
        node.drain();
        if !open_first {
            node.open(3);
        }
        assert_eq!(node.closes(), 1);
        assert!(node.endpoint.get(&view.res_id).is_err());
        let closed = Event::Closed {
            session: Session { slot: 3, generation: 1 },
            tag: node.asked().1,
            statistics: [LegStatistics::default(); 2],
        };
        node.endpoint.media(node.now, node.asked().0, closed);
        node.drain();
        assert!(node.endpoint.is_idle() && node.reports.is_empty());
        assert_eq!(node.endpoint.counters().states, [0; 5]);
    }
}

#[test]
fn the_loss_of_the_gateway_ends_all_calls_and_its_stale_events_harm_nobody() {
    let mut node = Node::new(settings());
    let view = node.place(&["1@192.0.2.1"], 3);
    let (shard, tag) = node.asked();
    node.endpoint.media_lost(node.now);
    node.drain();
    assert_eq!(node.endpoint.get(&view.res_id).unwrap().state, State::Released);
    node.endpoint.media_attached(node.now, &[100, 100]);
    let session = Session { slot: 3, generation: 1 };
    node.endpoint.media(
        node.now,
        shard,
        Event::Opened { tag, session, ports: [LocalPort::first(2), LocalPort::first(4)] },
    );
    node.drain();
    assert_eq!(node.closes(), 1, "what an earlier life opened is closed");
}

#[test]
fn in_the_end_nothing_is_left_and_nothing_is_waited_for() {
    let mut node = Node::new(settings());
    node.place(&["1@192.0.2.1"], 3);
    node.respond(486);
    let session = Session { slot: 3, generation: 1 };
    let (shard, tag) = node.asked();
    let statistics = [LegStatistics::default(); 2];
    node.endpoint.media(node.now, shard, Event::Closed { session, tag, statistics });
    node.drain();
    assert_eq!(node.reports.len(), 3, "dial, release, leg: {:?}", node.reports);
    assert!(!node.endpoint.is_idle(), "the refusal may come again");
    node.wait(Duration::from_secs(33));
    assert!(node.endpoint.is_idle());
    assert_eq!(node.endpoint.next_deadline(), None);
    assert_eq!(node.endpoint.counters().states, [0; 5]);
}

/// An OPTIONS from there.
fn options(node: &mut Node, from: SocketAddr) -> bool {
    let text = alloc::format!(
        "OPTIONS sip:us@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:us@127.0.0.1>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    );
    let before = node.sent.len();
    node.receive(from, text.as_bytes());
    node.sent.len() > before
}

#[test]
fn a_trunk_that_asks_is_answered_in_the_midst_of_strangers_who_ask_more_than_all_may() {
    let mut node = Node::new(settings());
    let from = |a: u8, b: u8| SocketAddr::from((Ipv4Addr::new(203, 0, a, b), 5060));
    let answered = (0..12).flat_map(|a| (0..250).map(move |b| (a, b)));
    let answered = answered.filter(|(a, b)| options(&mut node, from(*a, *b))).count();
    assert_eq!(answered, 2_000);
    assert!(!options(&mut node, stranger()));
    assert!(options(&mut node, SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 5060))), "trunk `a`");
    let mut other = settings();
    other.trunks.retain(|trunk| *trunk.name == *"b");
    node.endpoint.reload(node.now, other);
    assert!(!options(&mut node, SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 5060))), "no trunk any more");
    assert!(options(&mut node, SocketAddr::from((Ipv4Addr::new(192, 0, 2, 2), 5060))));
}
