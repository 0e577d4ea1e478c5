//! Responses, ACK and CANCEL made from what they answer, acknowledge or cancel.

use std::net::SocketAddr;

use duogate_signaling::message::{Builder, Message, Method, Name, Status, refusal};

use crate::{message, wire};

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn a_response_copies_what_rfc_3261_section_8_2_6_wants() {
    let extra = "Via: SIP/2.0/TCP [2001:db8::1]\n ;branch=z9hG4bKy, SIP/2.0/UDP c\nRecord-Route: <sip:p1;lr>,\n <sip:p2;lr>\n";
    let bytes = message("INVITE sip:b@h SIP/2.0", extra, "");
    let request = Message::parse(&bytes).expect("valid");
    let source = address("198.51.100.7:40000");
    let response =
        Builder::response_to(&request, source, Status::RINGING, Some("ours")).build().expect("good");
    let response = Message::parse(&response).expect("valid");
    let vias: Vec<_> = response.vias().map(|via| via.expect("good").to_string()).collect();
    assert_eq!(
        vias,
        [
            // RFC 3261 section 18.2.1, RFC 3581 section 4.
            "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKtest;received=198.51.100.7;rport=40000",
            "SIP/2.0/TCP [2001:db8::1];branch=z9hG4bKy",
            "SIP/2.0/UDP c",
        ]
    );
    assert_eq!((response.from().tag(), response.to().tag()), (Some("from1"), Some("ours")));
    assert_eq!((response.call_id(), response.cseq()), (request.call_id(), request.cseq()));
    let routes: Vec<_> = response.record_routes().map(|route| route.expect("good").to_string()).collect();
    assert_eq!(routes, ["<sip:p1;lr>", "<sip:p2;lr>"]);
    // RFC 3261 section 12.1.1: not in one that makes no dialog.
    let refused =
        Builder::response_to(&request, source, Status::FORBIDDEN, Some("ours")).build().expect("good");
    assert_eq!(Message::parse(&refused).expect("valid").record_routes().count(), 0);
}

#[test]
fn a_tag_is_added_where_there_is_none() {
    let text = String::from_utf8(message("BYE sip:b@h SIP/2.0", "", "")).expect("ASCII");
    let text = text.replace("To: <sip:b@192.0.2.2>", "To: <sip:b@192.0.2.2>;tag=theirs");
    let request = Message::parse(text.as_bytes()).expect("valid");
    let source = address("192.0.2.1:5060");
    let response = Builder::response_to(&request, source, Status::OK, Some("ours")).build().expect("good");
    assert_eq!(Message::parse(&response).expect("valid").to().tag(), Some("theirs"));
}

#[test]
fn replies_go_to_the_source_whatever_the_via_claims() {
    // RFC 3261 section 18.2.2, RFC 3581 section 4.
    let source = address("198.51.100.7:40000");
    let reply = |via: &str| {
        let via = duogate_signaling::message::Via::parse(via).expect("good");
        via.reply_address(source)
    };
    assert_eq!(reply("SIP/2.0/UDP 203.0.113.1:7;rport;maddr=203.0.113.2"), source);
    assert_eq!(reply("SIP/2.0/UDP 203.0.113.1:7;received=203.0.113.3"), address("198.51.100.7:7"));
    assert_eq!(reply("SIP/2.0/UDP 203.0.113.1"), address("198.51.100.7:5060"));
}

#[test]
fn received_is_left_out_where_it_says_nothing_new() {
    let bytes = wire(
        "BYE sip:b@h SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1;received=203.0.113.9;branch=z9hG4bK1\n\
         From: <sip:a@h>;tag=1\nTo: <sip:b@h>;tag=2\nCall-ID: x\nCSeq: 1 BYE\n\n",
    );
    let request = Message::parse(&bytes).expect("valid");
    let response =
        Builder::response_to(&request, address("192.0.2.1:5060"), Status::OK, None).build().expect("good");
    let response = Message::parse(&response).expect("valid");
    assert_eq!(response.via().to_string(), "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1");
}

#[test]
fn ack_and_cancel_are_of_the_invites_hop() {
    // RFC 3261 sections 17.1.1.3, 9.1.
    let extra = "Via: SIP/2.0/UDP second\nRoute: <sip:p1;lr>, <sip:p2;lr>\nContact: <sip:a@h>\n";
    let bytes = message("INVITE sip:b@h SIP/2.0", extra, "v=0\n");
    let invite = Message::parse(&bytes).expect("valid");
    let busy = Builder::response_to(&invite, address("192.0.2.2:5060"), Status::BUSY_HERE, Some("theirs"));
    let busy = busy.build().expect("good");
    let busy = Message::parse(&busy).expect("valid");
    let ack = Builder::acknowledgement(&invite, &busy).build().expect("good");
    let cancel = Builder::cancellation(&invite).build().expect("good");
    for (bytes, method, tag) in [(&ack, Method::Ack, Some("theirs")), (&cancel, Method::Cancel, None)] {
        let message = Message::parse(bytes).expect("valid");
        assert_eq!(message.method(), method);
        assert_eq!((message.cseq().number, message.to().tag()), (7, tag));
        assert_eq!(message.via().to_string(), invite.via().to_string());
        assert_eq!(message.vias().count(), 1);
        assert_eq!(message.routes().count(), 2);
        assert_eq!(message.request_uri(), invite.request_uri());
        assert_eq!((message.call_id(), message.from().tag()), (invite.call_id(), invite.from().tag()));
        assert_eq!((message.max_forwards(), message.body().len()), (Some(70), 0));
        assert_eq!(message.header(Name::Contact), None);
    }
}

#[test]
fn a_refusal_reveals_nothing_and_is_not_much_larger() {
    let bytes = message("INVITE sip:b@h SIP/2.0", "l: 99999\n", "");
    let error = Message::parse(&bytes).expect_err("refused");
    let answer = refusal(&bytes, &error, address("198.51.100.7:40000")).expect("answered");
    assert!(answer.len() < bytes.len() + 150, "no amplification");
    let answer = Message::parse(&answer).expect("valid");
    assert_eq!(answer.status(), Some(Status::BAD_REQUEST));
    assert_eq!(answer.via().rport(), Some(Some(40000)));
}
