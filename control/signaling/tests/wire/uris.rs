//! URIs and the short forms of destinations.

use std::net::IpAddr;

use duogate_signaling::message::{Destination, Fault, Host, NameAddress, Scheme, ShortError, Uri, UriBuf};

fn uri(text: &str) -> Uri<'_> {
    Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn fault(text: &str) -> Fault {
    Uri::parse(text).expect_err(text).fault
}

#[test]
fn parts_of_a_sip_uri() {
    let uri = uri("sips:alice:secret@[2001:db8::9]:5061;transport=tls;lr?subject=x&priority=urgent");
    assert_eq!(uri.scheme(), Scheme::Sips);
    assert_eq!((uri.user(), uri.password()), (Some("alice"), Some("secret")));
    let address: IpAddr = "2001:db8::9".parse().expect("an address");
    assert_eq!((uri.host(), uri.port()), (Some(Host::Ip(address)), Some(5061)));
    assert_eq!(uri.parameters().value("TRANSPORT"), Some("tls"));
    assert!(uri.is_loose_router());
    assert_eq!(uri.headers(), "subject=x&priority=urgent");
}

#[test]
fn rfc3261_19_1_2_a_uri_without_a_port_has_that_of_its_scheme_and_transport() {
    // RFC 3261 section 19.1.2.
    let ports = [
        ("sip:192.0.2.1", 5060),
        ("sip:192.0.2.1;transport=tcp", 5060),
        ("sip:192.0.2.1;transport=TLS", 5061),
        ("sips:192.0.2.1", 5061),
        ("sips:192.0.2.1:5070", 5070),
    ];
    for (text, port) in ports {
        assert_eq!(uri(text).effective_port(), port, "{text}");
    }
}

#[test]
fn tel_keeps_its_plus() {
    // RFC 3966.
    let uri = uri("tel:+49-30-1234;phone-context=example.com");
    assert_eq!((uri.scheme(), uri.user(), uri.host()), (Scheme::Tel, Some("+49-30-1234"), None));
    assert_eq!(uri.parameters().value("phone-context"), Some("example.com"));
    assert_eq!(fault("tel:"), Fault::Uri);
    assert_eq!(fault("tel:+"), Fault::Uri);
    assert_eq!(fault("tel:1+2"), Fault::Uri);
}

#[test]
fn what_is_no_uri() {
    assert_eq!(fault("sip:"), Fault::Host);
    assert_eq!(fault("sip:@h"), Fault::Uri);
    assert_eq!(fault("1389@192.0.2.5"), Fault::Uri);
    assert_eq!(fault("sip:a b@h"), Fault::Uri);
    assert_eq!(fault("sip:a@h:0"), Fault::Port);
    assert_eq!(fault("sip:a@h:"), Fault::Port);
    assert_eq!(fault("sip:a@[::1"), Fault::Host);
    assert_eq!(fault("sip:a@::1"), Fault::Host);
    assert_eq!(fault("sip:a@1.2.3"), Fault::Host);
    assert_eq!(fault("sip:a@-h"), Fault::Host);
    assert_eq!(fault("sip:a@h;"), Fault::Parameter);
    assert_eq!(fault("sip:a@h;x="), Fault::Parameter);
    assert_eq!(fault("sip:a@h?x"), Fault::Uri);
    assert_eq!(fault("sip:a%zz@h"), Fault::Escape);
    assert_eq!(fault("sip:a%4"), Fault::Trailing);
    assert_eq!(fault(&format!("sip:{}@h", "a".repeat(3_000))), Fault::HeaderTooLong);
}

#[test]
fn rfc3261_19_1_4_equality() {
    let same = [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("tel:+1-201-555-0123", "tel:+12015550123"),
    ];
    for (a, b) in same {
        assert_eq!(uri(a), uri(b));
        assert_eq!(uri(b), uri(a));
    }
    let different = [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtlanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:a@h", "sips:a@h"),
        ("sip:a%40b@h", "sip:a&b@h"),
        ("tel:+12015550123", "tel:+12015550124"),
        ("tel:1234;phone-context=a.com", "tel:1234;phone-context=b.com"),
    ];
    for (a, b) in different {
        assert_ne!(uri(a), uri(b));
        assert_ne!(uri(b), uri(a));
    }
}

#[test]
fn owned_uris_keep_their_text() {
    let owned = UriBuf::parse("sip:+49%2530@[::1]:5062;lr").expect("good");
    assert_eq!(owned.as_str(), "sip:+49%2530@[::1]:5062;lr");
    assert_eq!(owned.uri().port(), Some(5062));
}

#[test]
fn short_forms_of_the_interface() {
    let full = |text: &str| match Uri::parse_short(text) {
        Ok(Destination::Uri(uri)) => uri.as_str().to_owned(),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(full("sip:1389@192.0.2.5:5060"), "sip:1389@192.0.2.5:5060");
    assert_eq!(full("192.0.2.5:5060"), "sip:192.0.2.5:5060");
    assert_eq!(full("192.0.2.5"), "sip:192.0.2.5");
    assert_eq!(full("1389@192.0.2.5"), "sip:1389@192.0.2.5");
    assert_eq!(full("alice@example.com:5070;transport=udp"), "sip:alice@example.com:5070;transport=udp");
    assert_eq!(full("example.com:5070"), "sip:example.com:5070");
    assert_eq!(full("+4930@[2001:db8::1]:5060"), "sip:+4930@[2001:db8::1]:5060");
    assert_eq!(full("SIPS:a@h"), "SIPS:a@h");
    assert_eq!(full("tel:+4930"), "tel:+4930");
    let number = |text: &str| Uri::parse_short(text).expect(text);
    assert_eq!(number("13800138000"), Destination::Number("13800138000".into()));
    assert_eq!(number("+86-138-0013-8000"), Destination::Number("+8613800138000".into()));
    assert_eq!(number("*67(0)1#"), Destination::Number("*6701#".into()));
}

#[test]
fn short_forms_that_are_none() {
    let error = |text: &str| Uri::parse_short(text).expect_err(text);
    assert_eq!(error(""), ShortError::Empty);
    assert_eq!(error("a b@h"), ShortError::Characters);
    assert_eq!(error("a@h\r\nX: y"), ShortError::Characters);
    assert_eq!(error("张@h"), ShortError::Characters);
    assert_eq!(error("http://example.com/"), ShortError::Scheme);
    assert_eq!(error("mailto:a@example.com"), ShortError::Scheme);
    assert_eq!(error("alice:pw@example.com"), ShortError::Scheme);
    assert_eq!(error("@h"), ShortError::Uri(Fault::Uri));
    assert_eq!(error("h:99999"), ShortError::Uri(Fault::Port));
    assert_eq!(error("::1"), ShortError::Uri(Fault::Host));
    assert_eq!(error("sip:"), ShortError::Uri(Fault::Host));
    assert_eq!(error(&"1".repeat(2_100)), ShortError::TooLong);
}

#[test]
fn addresses_with_and_without_brackets() {
    let address = NameAddress::parse("\"Bob \\\" B\" <sip:bob@h;x=y>;tag=1;q=0.5").expect("good");
    assert_eq!(address.display, Some("\"Bob \\\" B\""));
    assert_eq!(address.uri.parameters().value("x"), Some("y"));
    assert_eq!((address.tag(), address.preference()), (Some("1"), 500));
    // Without brackets, parameters are the header's (RFC 3261 section 20).
    let bare = NameAddress::parse("sip:bob@h;tag=1").expect("good");
    assert_eq!((bare.uri.as_str(), bare.tag()), ("sip:bob@h", Some("1")));
    let unquoted = NameAddress::parse("Bob B<sip:bob@h>").expect("good");
    assert_eq!(unquoted.display, Some("Bob B"));
    assert!(NameAddress::parse("Bell, Alexander <sip:bob@h>").is_err());
    assert!(NameAddress::parse("<sip:bob@h>x").is_err());
    assert!(NameAddress::parse("sip:bob@h?x=y").is_err());
    assert!(NameAddress::parse("*").is_err());
    assert!(NameAddress::parse("").is_err());
}
