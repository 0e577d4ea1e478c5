//! What the parser takes in, and what the accessors say of it.

use duogate_signaling::message::{
    CSeq, Challenge, Fault, Limits, Message, Method, Name, Refresher, StartLine, Status, Unfolded,
};

use crate::{message, wire};

fn fault(bytes: &[u8]) -> Fault {
    Message::parse(bytes).expect_err("refused").fault
}

#[test]
fn a_request_says_what_stands_in_it() {
    let bytes = message("INVITE sip:b@192.0.2.2 SIP/2.0", "Contact: <sip:a@192.0.2.1:5062>\n", "v=0\n");
    let message = Message::parse(&bytes).expect("valid");
    let StartLine::Request { method, uri } = message.start() else { panic!("a request") };
    assert_eq!((*method, uri.user()), (Method::Invite, Some("b")));
    assert_eq!(message.via().branch(), Some("z9hG4bKtest"));
    assert_eq!(message.via().rport(), Some(None));
    assert_eq!(message.from().tag(), Some("from1"));
    assert_eq!(message.to().tag(), None);
    assert_eq!(message.call_id(), "call-1@192.0.2.1");
    assert_eq!(message.cseq(), CSeq { number: 7, method: Method::Invite });
    assert_eq!(message.max_forwards(), Some(70));
    assert_eq!(message.body(), b"v=0\r\n");
    let contact = message.contacts().next().expect("one").expect("good");
    assert_eq!((contact.uri.user(), contact.uri.port()), (Some("a"), Some(5062)));
}

#[test]
fn a_response_says_what_stands_in_it() {
    let bytes = message("SIP/2.0 480 Niemand da, größte Not", "Retry-After: 18 (bald) ;duration=3\n", "");
    let message = Message::parse(&bytes).expect("valid");
    assert_eq!(message.status(), Some(Status::TEMPORARILY_UNAVAILABLE));
    assert_eq!(message.reason_phrase(), Some("Niemand da, größte Not"));
    assert_eq!(message.retry_after(), Ok(Some(18)));
    assert_eq!(message.method(), Method::Invite);
}

#[test]
fn rfc3261_7_3_3_compact_forms_and_any_case_are_the_same_header() {
    // RFC 3261 sections 7.3.1, 7.3.3.
    let bytes = wire(
        "BYE sip:b@192.0.2.2 SIP/2.0\nv: SIP/2.0/UDP h;branch=z9hG4bK1\nF: <sip:a@h>;tag=1\nt: <sip:b@h>;tag=2\n\
         I: x\ncSEQ: 1 BYE\nk: timer\nM: <sip:a@h>\nx: 90;refresher=uas\nl: 0\n\n",
    );
    let message = Message::parse(&bytes).expect("valid");
    assert_eq!(message.to().tag(), Some("2"));
    assert!(message.lists(Name::Supported, "TIMER"));
    let timer = message.session_expires().expect("good").expect("there");
    assert_eq!((timer.seconds, timer.refresher), (90, Some(Refresher::Uas)));
    assert_eq!(message.contacts().count(), 1);
}

#[test]
fn rfc3261_7_3_1_comma_joined_values_are_as_good_as_lines() {
    // RFC 3261 section 7.3.1.
    let extra = "Record-Route: <sip:p1;lr>, \"a, b\" <sip:p2,x@h;lr>\nRecord-Route: <sip:p3;lr>\nAllow: INVITE,ACK , BYE\n";
    let bytes = message("INVITE sip:b@h SIP/2.0", extra, "");
    let message = Message::parse(&bytes).expect("valid");
    let routes: Vec<_> = message.record_routes().map(|r| r.expect("good").uri.as_str()).collect();
    assert_eq!(routes, ["sip:p1;lr", "sip:p2,x@h;lr", "sip:p3;lr"]);
    let allowed: Result<Vec<_>, _> = message.tokens(Name::Allow).collect();
    assert_eq!(allowed, Ok(vec!["INVITE", "ACK", "BYE"]));
}

#[test]
fn rfc3261_8_2_6_2_vias_come_in_their_order() {
    let bytes =
        message("INVITE sip:b@h SIP/2.0", "Via: SIP/2.0/TCP [2001:db8::1]:5061;branch=z9hG4bKx\n", "");
    let message = Message::parse(&bytes).expect("valid");
    let vias: Vec<_> = message.vias().map(|via| via.expect("good").to_string()).collect();
    assert_eq!(vias[0], "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKtest;rport");
    assert_eq!(vias[1], "SIP/2.0/TCP [2001:db8::1]:5061;branch=z9hG4bKx");
}

#[test]
fn rfc3261_7_3_1_folds_are_white_space() {
    let bytes = message("INVITE sip:b@h SIP/2.0", "Subject: one\n two\n\t three\n", "");
    let message = Message::parse(&bytes).expect("valid");
    let raw = message.header(Name::Subject).expect("there");
    assert_eq!(Unfolded(raw).to_string(), "one two three");
}

#[test]
fn the_smaller_headers() {
    let extra = "Reason: Q.850;cause=16;text=\"a; b\", SIP;cause=487\nRSeq: 988789\nRAck: 776656 1 INVITE\nMin-SE: 120\n\
                 Expires: 30\nContent-Type: Application / SDP;charset=x\nWWW-Authenticate: Digest realm=\"a, b\", \
                 nonce=\"n\",qop=\"auth,auth-int\", algorithm=MD5\n";
    let bytes = message("INVITE sip:b@h SIP/2.0", extra, "v=0\n");
    let message = Message::parse(&bytes).expect("valid");
    assert_eq!(message.reason("sip").and_then(|reason| reason.cause), Some(487));
    assert_eq!(message.reason("Q.850").and_then(|reason| reason.cause), Some(16));
    assert_eq!(message.rseq(), Ok(Some(988_789)));
    let rack = message.rack().expect("good").expect("there");
    assert_eq!((rack.rseq, rack.cseq.number, rack.cseq.method), (776_656, 1, Method::Invite));
    assert_eq!((message.min_se(), message.expires()), (Ok(Some(120)), Ok(Some(30))));
    assert!(message.content_type().expect("good").expect("there").is("application", "sdp"));
    let challenge = Challenge::parse(message.header(Name::WwwAuthenticate).expect("there")).expect("good");
    assert_eq!(challenge.value("REALM"), Some("a, b"));
    assert_eq!((challenge.value("qop"), challenge.value("algorithm")), (Some("auth,auth-int"), Some("MD5")));
    assert_eq!(challenge.value("opaque"), None);
}

#[test]
fn rfc3261_18_3_a_body_ends_where_content_length_says() {
    // RFC 3261 section 18.3.
    let mut bytes = message("INVITE sip:b@h SIP/2.0", "", "v=0\n");
    bytes.extend_from_slice(b"more");
    assert_eq!(Message::parse(&bytes).expect("valid").body(), b"v=0\r\n");
    bytes.truncate(bytes.len() - 5);
    assert_eq!(fault(&bytes), Fault::BodyTooShort);
}

#[test]
fn bodies_are_bytes() {
    let mut bytes = message("MESSAGE sip:b@h SIP/2.0", "", "....");
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&[0, 255, 13, 10]);
    assert_eq!(Message::parse(&bytes).expect("valid").body(), [0, 255, 13, 10]);
}

#[test]
fn rfc3261_7_5_empty_lines_before_the_message_are_skipped_and_alone_are_none() {
    // RFC 3261 section 7.5; RFC 5626 section 3.5.1.
    let mut bytes = b"\r\n\r\n".to_vec();
    bytes.extend(message("BYE sip:b@h SIP/2.0", "", ""));
    assert!(Message::parse(&bytes).is_ok());
    assert_eq!(fault(b"\r\n\r\n"), Fault::Empty);
    assert_eq!(fault(b""), Fault::Empty);
}

#[test]
fn limits_hold() {
    let bytes = message("BYE sip:b@h SIP/2.0", &"X: y\n".repeat(300), "");
    assert_eq!(fault(&bytes), Fault::TooManyHeaders);
    let bytes = message("BYE sip:b@h SIP/2.0", &format!("X: {}\n", "y".repeat(9_000)), "");
    assert_eq!(fault(&bytes), Fault::HeaderTooLong);
    let bytes = message("BYE sip:b@h SIP/2.0", &format!("X: y\n {}\n", "y\n ".repeat(4_000)), "");
    assert_eq!(fault(&bytes), Fault::HeaderTooLong);
    let bytes = message("BYE sip:b@h SIP/2.0", "", &"x".repeat(70_000));
    assert_eq!(fault(&bytes), Fault::MessageTooLong);
    let small = Limits { message: 100, ..Limits::default() };
    let bytes = message("BYE sip:b@h SIP/2.0", "", "");
    assert_eq!(
        Message::parse_within(&bytes, &small).map(|_| ()).map_err(|e| e.fault),
        Err(Fault::MessageTooLong)
    );
    let bytes = message("BYE sip:b@h SIP/2.0", &format!("Allow: {}\n", "A,".repeat(1_000)), "");
    let message = Message::parse(&bytes).expect("lists are read when asked for");
    let last = message.tokens(Name::Allow).last().expect("some");
    assert_eq!(last.map_err(|error| error.fault), Err(Fault::TooManyValues));
}

#[test]
fn errors_say_where() {
    let bytes = message("BYE sip:b@h SIP/2.0", "", "");
    let text = String::from_utf8(bytes).expect("ASCII").replace("CSeq: 7 BYE", "CSeq: 7x BYE");
    let error = Message::parse(text.as_bytes()).expect_err("refused");
    assert_eq!(error.header, Some(Name::CSeq));
    assert_eq!(error.at, text.find("7x").expect("there"));
    assert_eq!(error.to_string(), format!("not a number, byte {}, in CSeq", error.at));
}

#[test]
fn one_error_of_each_kind() {
    let good = String::from_utf8(message("BYE sip:b@h SIP/2.0", "", "")).expect("ASCII");
    let spoil = |from: &str, to: &str| {
        assert!(good.contains(from), "{from} is not there");
        fault(good.replacen(from, to, 1).as_bytes())
    };
    assert_eq!(spoil("BYE sip:b@h SIP/2.0", "garbage"), Fault::StartLine);
    assert_eq!(spoil("BYE sip:b@h SIP/2.0", "BYE sip:b@h SIP/3.0"), Fault::Version);
    assert_eq!(spoil("BYE sip:b@h SIP/2.0", "SIP/2.0 99 No"), Fault::Status);
    assert_eq!(spoil("BYE sip:b@h SIP/2.0", "SIP/2.0 700 No"), Fault::Status);
    assert_eq!(spoil("BYE sip:b@h", "BYE sip:b@"), Fault::Host);
    assert_eq!(spoil("BYE sip:b@h", "BYE sip:%4@h"), Fault::Escape);
    assert_eq!(spoil("BYE sip:b@h", "BYE sip:b@h:70000"), Fault::Port);
    assert_eq!(spoil("7 BYE", "7 INVITE"), Fault::MethodMismatch);
    assert_eq!(spoil("7 BYE", "2147483648 BYE"), Fault::Range);
    assert_eq!(spoil("7 BYE", "-7 BYE"), Fault::Number);
    assert_eq!(spoil("Max-Forwards: 70", "Max-Forwards: 256"), Fault::Range);
    assert_eq!(spoil("Max-Forwards: 70", "Max-Forwards: many"), Fault::Number);
    assert_eq!(spoil("Call-ID", "X-Call-ID"), Fault::Missing);
    assert_eq!(spoil("Max-Forwards: 70", "Call-ID: 2"), Fault::Repeated);
    assert_eq!(spoil("Max-Forwards: 70", "Max Forwards: 70"), Fault::HeaderLine);
    assert_eq!(spoil("Max-Forwards: 70", "Max-Forwards"), Fault::HeaderLine);
    assert_eq!(spoil("Max-Forwards: 70", ": 70"), Fault::HeaderLine);
    assert_eq!(spoil("Max-Forwards: 70", "X: a\rb"), Fault::Control);
    assert_eq!(spoil("Max-Forwards: 70\r\n", "X: a\n"), Fault::Control);
    assert_eq!(spoil("Max-Forwards: 70", "X: a\0b"), Fault::Control);
    assert_eq!(spoil("<sip:a@192.0.2.1>", "<sip:a@192.0.2.1"), Fault::Bracket);
    assert_eq!(spoil("<sip:a@192.0.2.1>", "\"a <sip:a@192.0.2.1>"), Fault::Quote);
    assert_eq!(spoil(";tag=from1", ";tag="), Fault::Parameter);
    assert_eq!(spoil("192.0.2.1:5060", "192.0.2.256:5060"), Fault::Host);
    assert_eq!(spoil(";rport", ";rport=x"), Fault::Parameter);
    assert_eq!(spoil(";rport", ";branch=2"), Fault::Parameter);
    assert_eq!(spoil("Content-Length: 0", "Content-Length: 1"), Fault::BodyTooShort);
    assert_eq!(spoil("\r\n\r\n", "\r\n"), Fault::Unterminated);
    let mut bytes = good.clone().into_bytes();
    bytes[5] = 0xff;
    assert_eq!(fault(&bytes), Fault::NotUtf8);
}
