//! The races of a whole callback: two legs, one resource.

use std::time::Duration;

use duogate_signaling::resource::report::{Event, Reason};

use crate::call::plain_sdp;
use crate::node::{Node, ONE, TWO};
use crate::text;

const SECOND: Duration = Duration::from_secs(1);

/// Why and by whom the callback was released.
fn released(node: &Node) -> (Option<Reason>, u8) {
    let release = node.events.iter().find_map(|event| match event {
        Event::Released(release) => Some((release.error.map(|error| error.reason), release.released_by)),
        _ => None,
    });
    release.expect("released")
}

#[test]
fn a_callback_from_the_first_invite_to_the_last_bye() {
    let (mut node, one) = Node::calling_two();
    let two = node.one(TWO, "INVITE");
    assert!(
        two.body.contains("m=audio 20002 RTP/AVP 8 0 101\r\n"),
        "leg 1's codec comes first: {}",
        two.body
    );
    node.answer(TWO, &two, 180, "two", "");
    node.answer(TWO, &two, 200, "two", &plain_sdp());
    node.one(TWO, "ACK");
    assert_eq!(node.reported("on_connected"), 1);
    node.deliver(ONE, &text::request(&one, "BYE", 1, "one", &[], ""));
    node.one(ONE, "200");
    let bye = node.one(TWO, "BYE");
    node.answer(TWO, &bye, 200, "", "");
    node.ends();
    assert_eq!(released(&node), (None, 1));
    assert_eq!(node.reported("on_chan_closed"), 2);
}

#[test]
fn rfc3261_15_party_2_answers_while_its_cancel_is_on_the_way() {
    let (mut node, _) = Node::calling_two();
    let two = node.one(TWO, "INVITE");
    node.answer(TWO, &two, 180, "two", "");
    node.elapse(11 * SECOND);
    // The ring time is over: CANCEL to party 2, BYE to party 1, and nobody waits for either.
    assert!(node.kinds(TWO).contains(&"CANCEL".to_owned()), "{:?}", node.kinds(TWO));
    assert!(node.kinds(ONE).contains(&"BYE".to_owned()), "{:?}", node.kinds(ONE));
    assert_eq!(released(&node), (Some(Reason::NoAnswer), 0));
    node.take(TWO);
    node.answer(TWO, &two, 200, "two", &plain_sdp());
    assert_eq!(node.kinds(TWO), ["ACK", "BYE"]);
    assert_eq!(node.reported("on_connected"), 0);
    node.ends();
}

#[test]
fn rfc3261_9_1_party_1_hangs_up_while_party_2_rings() {
    let (mut node, one) = Node::calling_two();
    let two = node.one(TWO, "INVITE");
    node.answer(TWO, &two, 183, "two", &plain_sdp());
    node.deliver(ONE, &text::request(&one, "BYE", 1, "one", &[], ""));
    node.one(ONE, "200");
    let cancel = node.one(TWO, "CANCEL");
    node.answer(TWO, &cancel, 200, "two", "");
    node.answer(TWO, &two, 487, "two", "");
    node.one(TWO, "ACK");
    node.ends();
    assert_eq!(released(&node), (Some(Reason::HungUp), 1));
    assert!(node.sent.is_empty());
}

#[test]
fn rfc3261_9_1_party_1_hangs_up_before_party_2_says_anything() {
    let (mut node, one) = Node::calling_two();
    let two = node.one(TWO, "INVITE");
    node.deliver(ONE, &text::request(&one, "BYE", 1, "one", &[], ""));
    assert!(node.kinds(TWO).is_empty(), "no CANCEL before a provisional response");
    node.answer(TWO, &two, 180, "two", "");
    node.one(TWO, "CANCEL");
    node.answer(TWO, &two, 487, "two", "");
    node.ends();
}

#[test]
fn rfc3264_5_1_two_183s_then_200_of_party_2_keep_its_port() {
    let (mut node, _) = Node::calling_two();
    let two = node.one(TWO, "INVITE");
    node.answer(TWO, &two, 183, "left", &text::sdp("192.0.2.31", 41_000, "8 101", "sendrecv"));
    node.answer(TWO, &two, 183, "right", &text::sdp("192.0.2.32", 42_000, "8 101", "sendrecv"));
    node.answer(TWO, &two, 200, "left", &text::sdp("192.0.2.31", 41_000, "8 101", "sendrecv"));
    assert_eq!(node.one(TWO, "ACK").to_tag(), "left");
    assert_eq!((node.reported("on_ringing2"), node.reported("on_connected")), (1, 1));
    // The other branch answers too: it is dismissed, and the callback goes on.
    node.answer(TWO, &two, 200, "right", &plain_sdp());
    assert_eq!(node.kinds(TWO), ["ACK", "BYE"]);
    node.take(TWO);
    node.elapse(60 * SECOND);
    assert_eq!(node.reported("on_released"), 0);
}

#[test]
fn retransmissions_of_all_kinds_change_nothing() {
    let (mut node, one) = Node::calling_two();
    let two = node.one(TWO, "INVITE");
    for _ in 0..3 {
        node.answer(ONE, &one, 200, "one", &plain_sdp());
        node.answer(TWO, &two, 180, "two", "");
    }
    for _ in 0..3 {
        node.answer(TWO, &two, 200, "two", &plain_sdp());
    }
    assert_eq!(node.take(ONE).len(), 3, "an ACK for each");
    assert_eq!(node.take(TWO).len(), 3, "an ACK for each");
    for _ in 0..3 {
        node.deliver(TWO, &text::request(&two, "BYE", 1, "two", &[], ""));
    }
    assert_eq!(node.kinds(TWO), ["200", "200", "200"]);
    node.one(ONE, "BYE");
    for event in ["on_ringing2", "on_dial1_completed", "on_dial2_completed", "on_connected", "on_released"] {
        assert_eq!(node.reported(event), 1, "{event}");
    }
    node.ends();
    assert_eq!(released(&node), (None, 2));
}

#[test]
fn rfc3261_17_1_1_2_nobody_answers_party_1s_invite() {
    let mut node = Node::calling();
    node.ends();
    assert!(node.take(ONE).iter().all(|text| text.kind() == "INVITE"));
    assert_eq!(released(&node), (Some(Reason::NoAnswer), 0));
}

#[test]
fn rfc3725_7_hold_of_one_party_leaves_the_other_undisturbed() {
    let (mut node, one) = Node::calling_two();
    let two = node.one(TWO, "INVITE");
    node.answer(TWO, &two, 200, "two", &plain_sdp());
    node.take(TWO);
    let hold = text::sdp("192.0.2.21", 40_000, "8 101", "sendonly");
    node.deliver(ONE, &text::request(&one, "INVITE", 1, "one", &[], &hold));
    assert!(node.one(ONE, "200").body.contains("a=recvonly"));
    node.deliver(ONE, &text::request(&one, "ACK", 1, "one", &[], ""));
    assert!(node.kinds(TWO).is_empty());
    assert_eq!(node.reported("on_released"), 0);
}

#[test]
fn strangers_are_answered_without_a_trace() {
    let (mut node, one) = Node::calling_two();
    node.take(TWO);
    let stranger = "203.0.113.9:5060";
    let bytes = text::request(&one, "OPTIONS", 1, "x", &[], "");
    let text = String::from_utf8(bytes).expect("UTF-8").replace(one.header("Call-ID"), "no-such-call");
    node.deliver(stranger, text.as_bytes());
    node.one(stranger, "481");
    node.deliver(stranger, b"\r\n\r\n");
    node.deliver(stranger, b"BYE everything");
    assert!(node.sent.is_empty());
    assert_eq!(node.reported("on_released"), 0);
}
