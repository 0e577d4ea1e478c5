//! What the builder prints, and what it refuses to.

use duogate_signaling::message::{
    BuildError, Builder, Escaped, Message, Method, Name, NameAddress, Quoted, Status,
};

fn request() -> Builder {
    Builder::request(Method::Invite, "sip:b@192.0.2.2")
        .header(Name::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
        .header(Name::From, "<sip:a@192.0.2.1>;tag=1")
        .header(Name::To, "<sip:b@192.0.2.2>")
        .header(Name::CallId, "x")
        .header(Name::CSeq, "1 INVITE")
}

#[test]
fn a_request_in_print() {
    let bytes = request().extension("X-Own", 5).build_with("application/sdp", b"v=0\r\n").expect("good");
    let text = String::from_utf8(bytes).expect("ASCII");
    assert_eq!(
        text,
        "INVITE sip:b@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
         From: <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:b@192.0.2.2>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nX-Own: 5\r\n\
         Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    );
}

#[test]
fn rfc3261_25_1_nothing_breaks_out_of_its_line() {
    for evil in ["a\r\nX: y", "a\nX: y", "a\rb", "a\0b", "a\u{7f}", "a\u{1b}[2J", "\\\u{7}"] {
        let outcome = request().header(Name::Subject, evil).build();
        assert_eq!(outcome, Err(BuildError::Control(Name::Subject)), "{evil:?}");
        let quoted = request().header(Name::Subject, Quoted(evil)).build();
        assert_eq!(quoted, Err(BuildError::Control(Name::Subject)), "{evil:?}");
        assert!(Builder::request(Method::Bye, format_args!("sip:{evil}@h")).build().is_err());
        assert!(Builder::response(Status::OK, evil).build().is_err());
        assert!(request().extension("X-Own", evil).build().is_err());
        assert!(request().build_with(evil, b"x").is_err());
    }
    assert_eq!(request().extension("X: y\r\nZ", "v").build(), Err(BuildError::HeaderName));
    assert_eq!(request().header(Name::Other, "v").build(), Err(BuildError::HeaderName));
    assert_eq!(Builder::request(Method::Bye, "sip:a@h x").build(), Err(BuildError::StartLine));
    assert_eq!(Builder::request(Method::Bye, "").build(), Err(BuildError::StartLine));
    assert_eq!(Builder::request(Method::Extension("A B"), "sip:a@h").build(), Err(BuildError::StartLine));
}

#[test]
fn what_is_too_long_is_not_printed() {
    let long = "x".repeat(70_000);
    assert!(request().header(Name::Subject, &long).build().is_err());
    assert_eq!(request().build_with("text/plain", long.as_bytes()), Err(BuildError::TooLong));
}

#[test]
fn quoting_and_escaping_come_back_as_they_went() {
    let display = "Joe \"the \\ man\" <x>, y;z";
    let text = format!("{} <sip:a@h>", Quoted(display));
    let parsed = NameAddress::parse(&text).expect("good");
    assert_eq!(parsed.display, Some("\"Joe \\\"the \\\\ man\\\" <x>, y;z\""));
    assert_eq!(Escaped("a@b:c 张#%\r\n").to_string(), "a%40b%3Ac%20%E5%BC%A0%23%25%0D%0A");
}

#[test]
fn optional_headers() {
    let with = request().optional(Name::Reason, Some("SIP;cause=487")).build().expect("good");
    assert_eq!(Message::parse(&with).expect("valid").header(Name::Reason), Some("SIP;cause=487"));
    let without = request().optional(Name::Reason, None::<&str>).build().expect("good");
    assert_eq!(Message::parse(&without).expect("valid").header(Name::Reason), None);
}
