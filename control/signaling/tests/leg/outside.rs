//! Requests that belong to no call (RFC 3261 sections 8.2, 12.2.2).

use std::net::SocketAddr;

use duogate_signaling::leg::outside;
use duogate_signaling::message::Message;

use crate::text::Text;

fn request(method: &str, to_tag: &str, headers: &str) -> Vec<u8> {
    let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
    let head = format!(
        "{method} sip:duogate@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.8.7:5555;branch=z9hG4bKx;rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:eve@example.com>;tag=e\r\nTo: <sip:duogate@192.0.2.10>{to_tag}\r\n\
         Call-ID: stranger\r\nCSeq: 1 {method}\r\n{headers}Content-Length: 0\r\n\r\n"
    );
    head.into_bytes()
}

fn source() -> SocketAddr {
    "203.0.113.9:1234".parse().expect("an address")
}

fn answer(bytes: &[u8]) -> Option<Text> {
    let message = Message::parse(bytes).expect("a message");
    let (destination, bytes) = outside::answer(&message, source(), 42)?;
    assert_eq!(destination, source());
    Some(Text::read(&bytes))
}

#[test]
fn rfc3261_8_2_1_each_method_outside_a_dialog_gets_its_answer() {
    let expected = [
        ("INVITE", "403"),
        ("OPTIONS", "200"),
        ("REGISTER", "405"),
        ("SUBSCRIBE", "405"),
        ("MESSAGE", "405"),
        ("REFER", "405"),
        ("PUBLISH", "405"),
        ("BYE", "481"),
        ("CANCEL", "481"),
        ("INFO", "481"),
        ("UPDATE", "481"),
        ("PRACK", "481"),
        ("NOTIFY", "481"),
        ("DANCE", "501"),
    ];
    for (method, status) in expected {
        let answer = answer(&request(method, "", "")).expect(method);
        assert_eq!(answer.kind(), status, "{method}");
        assert!(!answer.to_tag().is_empty(), "{method}");
        assert_eq!(answer.header("CSeq"), format!("1 {method}"));
        let allow = answer.header("Allow");
        assert_eq!(allow.contains("INVITE"), matches!(status, "200" | "405" | "501") || !allow.is_empty());
    }
}

#[test]
fn rfc3261_12_2_2_a_dialog_that_we_do_not_have_gets_481() {
    for method in ["INVITE", "OPTIONS", "BYE", "UPDATE", "INFO"] {
        assert_eq!(answer(&request(method, "old", "")).expect(method).kind(), "481", "{method}");
    }
}

#[test]
fn rfc3261_17_an_ack_is_dropped() {
    assert!(answer(&request("ACK", "", "")).is_none());
    assert!(answer(&request("ACK", "old", "")).is_none());
}

#[test]
fn responses_are_dropped() {
    let text = String::from_utf8(request("OPTIONS", "", "")).unwrap();
    let response = text.replacen("OPTIONS sip:duogate@192.0.2.10 SIP/2.0", "SIP/2.0 200 OK", 1);
    assert!(answer(response.as_bytes()).is_none());
}

#[test]
fn rfc3261_8_2_7_a_repeated_request_gets_the_same_tag() {
    let first = answer(&request("INVITE", "", "")).unwrap();
    let second = answer(&request("INVITE", "", "")).unwrap();
    assert_eq!(first.to_tag(), second.to_tag());
}

#[test]
fn rfc3261_8_2_2_3_options_with_an_unknown_extension_gets_420() {
    let answer = answer(&request("OPTIONS", "", "Require: dance\r\n")).unwrap();
    assert_eq!((answer.kind(), answer.header("Unsupported")), ("420", "dance"));
}

#[test]
fn rfc3581_4_the_answer_names_where_the_request_came_from() {
    let answer = answer(&request("INVITE", "", "")).unwrap();
    assert!(answer.header("Via").contains("received=203.0.113.9"));
    assert!(answer.header("Via").contains("rport=1234"));
}
