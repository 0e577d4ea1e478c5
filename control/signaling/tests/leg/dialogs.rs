//! Route sets, targets and order within a dialog (RFC 3261 section 12).

use crate::call::{Call, plain_sdp};
use crate::text::{self, Reply, Text};

/// An answered call whose 200 had these headers: the leg, the INVITE, the ACK and where it went.
fn answered_with(contact: &str, headers: &[&str]) -> (Call, Text, Text, String) {
    let (mut call, invite) = Call::dial();
    let sdp = plain_sdp();
    call.deliver(&text::response(&invite, 200, &Reply { tag: "one", contact, headers, sdp: &sdp }));
    let (path, ack) = call.sent.remove(0);
    assert_eq!(ack.kind(), "ACK");
    call.said.clear();
    (call, invite, ack, path.address.to_string())
}

fn bye_of(call: &mut Call) -> (Text, String) {
    call.release(200);
    let (path, bye) = call.sent.remove(0);
    assert_eq!(bye.kind(), "BYE");
    (bye, path.address.to_string())
}

#[test]
fn rfc3261_12_1_2_requests_go_to_the_contact() {
    let (mut call, _, ack, to) = answered_with("sip:bob@198.51.100.7:5070", &[]);
    assert_eq!((ack.uri(), to.as_str()), ("sip:bob@198.51.100.7:5070", "198.51.100.7:5070"));
    let (bye, to) = bye_of(&mut call);
    assert_eq!((bye.uri(), to.as_str()), ("sip:bob@198.51.100.7:5070", "198.51.100.7:5070"));
    assert_eq!(bye.all("Route").count(), 0);
}

#[test]
fn rfc3261_12_2_1_1_loose_routes_are_followed_in_reverse() {
    let routes =
        ["Record-Route: <sip:10.0.0.3;lr>, <sip:10.0.0.2:5062;lr>", "Record-Route: <sip:10.0.0.1;lr>"];
    let (mut call, _, ack, to) = answered_with("sip:bob@198.51.100.7", &routes);
    let expected = ["<sip:10.0.0.1;lr>", "<sip:10.0.0.2:5062;lr>", "<sip:10.0.0.3;lr>"];
    assert_eq!(ack.all("Route").collect::<Vec<_>>(), expected);
    assert_eq!((ack.uri(), to.as_str()), ("sip:bob@198.51.100.7", "10.0.0.1:5060"));
    let (bye, to) = bye_of(&mut call);
    assert_eq!(bye.all("Route").collect::<Vec<_>>(), expected);
    assert_eq!((bye.uri(), to.as_str()), ("sip:bob@198.51.100.7", "10.0.0.1:5060"));
}

#[test]
fn rfc3261_12_2_1_1_a_strict_router_stands_in_the_request_line() {
    let routes = ["Record-Route: <sip:10.0.0.2;lr>, <sip:10.0.0.1;method=INVITE;x=y?Subject=no>"];
    let (_, _, ack, to) = answered_with("sip:bob@198.51.100.7", &routes);
    assert_eq!((ack.uri(), to.as_str()), ("sip:10.0.0.1;x=y", "10.0.0.1:5060"));
    assert_eq!(ack.all("Route").collect::<Vec<_>>(), ["<sip:10.0.0.2;lr>", "<sip:bob@198.51.100.7>"]);
}

#[test]
fn rfc3261_13_2_2_4_the_answer_decides_the_route_set_anew() {
    let (mut call, invite) = Call::dial();
    let early = ["Record-Route: <sip:10.0.0.9;lr>"];
    let reply = Reply { tag: "one", contact: "sip:early@198.51.100.9", headers: &early, sdp: "" };
    call.deliver(&text::response(&invite, 180, &reply));
    let (headers, sdp) = (["Record-Route: <sip:10.0.0.1;lr>"], plain_sdp());
    let reply = Reply { tag: "one", contact: "sip:bob@198.51.100.7", headers: &headers, sdp: &sdp };
    call.deliver(&text::response(&invite, 200, &reply));
    let ack = call.one("ACK");
    assert_eq!(ack.all("Route").collect::<Vec<_>>(), ["<sip:10.0.0.1;lr>"]);
    assert_eq!(ack.uri(), "sip:bob@198.51.100.7");
}

#[test]
fn an_answer_without_a_usable_contact_keeps_the_target() {
    for contact in ["", "mailto:bob@example.com"] {
        let (_, _, ack, to) = answered_with(contact, &[]);
        assert_eq!((ack.uri(), to.as_str()), ("sip:1389@192.0.2.20:5060", crate::call::PARTY));
    }
}

#[test]
fn rfc3261_12_2_2_a_reinvite_moves_the_target() {
    let (mut call, invite) = Call::answered();
    let request = text::request(&invite, "INVITE", 1, "one", &[], &plain_sdp());
    let moved =
        String::from_utf8(request).unwrap().replace("<sip:party@192.0.2.20:5060>", "<sip:x@192.0.2.99>");
    call.deliver(moved.as_bytes());
    call.one("200");
    let (bye, to) = bye_of(&mut call);
    assert_eq!((bye.uri(), to.as_str()), ("sip:x@192.0.2.99", "192.0.2.99:5060"));
}

#[test]
fn rfc3261_12_2_2_a_lower_cseq_gets_500() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request(&invite, "OPTIONS", 7, "one", &[], ""));
    call.one("200");
    call.deliver(&text::request(&invite, "OPTIONS", 6, "one", &[], ""));
    call.one("500");
    call.deliver(&text::request(&invite, "OPTIONS", 1_000_000, "one", &[], ""));
    call.one("200");
}

#[test]
fn the_journal_can_have_the_dialog() {
    let headers = ["Record-Route: <sip:10.0.0.1;lr>"];
    let (mut call, invite, ..) = answered_with("sip:bob@198.51.100.7", &headers);
    call.deliver(&text::request(&invite, "OPTIONS", 7, "one", &[], ""));
    let snapshot = call.leg.snapshot();
    assert_eq!(snapshot.remote_tag, "one");
    assert_eq!(snapshot.local_tag, invite.sender_tag());
    assert_eq!(snapshot.remote_target, "sip:bob@198.51.100.7");
    assert_eq!(snapshot.routes, ["<sip:10.0.0.1;lr>"]);
    assert_eq!((snapshot.local_sequence, snapshot.remote_sequence), (1, Some(7)));
    assert!(snapshot.answered);
    call.release(200);
    assert!(!call.leg.snapshot().answered);
}
