//! What the parser makes of messages in the manner of RFC 4475, by its names, and of others like them. Its 49 messages
//! themselves, and what is answered to them, stand in `tests/rfc4475`.

use duogate_signaling::message::{Fault, Message, Method, Name, Scheme, refusal};

use crate::wire;

/// What to do with a message.
#[derive(Debug, PartialEq)]
enum Verdict {
    Accept,
    /// Refused, and answered with this status.
    Answer(u16),
    /// Refused, and dropped.
    Drop(Fault),
}

fn verdict(bytes: &[u8]) -> Verdict {
    let error = match Message::parse(bytes) {
        Ok(_) => return Verdict::Accept,
        Err(error) => error,
    };
    let source = "192.0.2.99:5060".parse().expect("an address");
    match refusal(bytes, &error, source) {
        None => Verdict::Drop(error.fault),
        Some(answer) => {
            // Not parsed: it has to carry what was wrong back.
            let line = String::from_utf8_lossy(&answer).lines().next().map(str::to_owned);
            let code = line.and_then(|line| line.split(' ').nth(1)?.parse().ok());
            Verdict::Answer(code.expect("a status line"))
        }
    }
}

const REST: &str = "Via: SIP/2.0/UDP host1.example.com;branch=z9hG4bK-1\nMax-Forwards: 70\n\
    To: sip:j.user@example.com\nFrom: sip:caller@example.net;tag=242\nCall-ID: torture@192.0.2.2\n";

/// A start line, the usual headers, then these; the empty line is added.
fn usual(start: &str, method: &str, extra: &str) -> Vec<u8> {
    wire(&format!("{start}\n{REST}CSeq: 8 {method}\n{extra}\n"))
}

#[test]
fn wsinv_a_short_tortuous_invite() {
    let body = "v=0\n";
    let bytes = wire(&format!(
        "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\nTO :\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\n\
         from   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\n  ;\n  tag = 98asjd8\nMaX-fOrWaRdS: 0068\n\
         Call-ID: wsinv.ndaksdj@192.0.2.1\nContent-Length   : 5\ncseq: 0009\n  INVITE\nVia  : SIP  /   2.0\n /UDP\n    192.0.2.2;branch=390skdjuw\n\
         s :\nNewFangledHeader:   newfangled value\n continued newfangled value\nUnknownHeaderWithUnusualValue: ;;,,;;,;\n\
         Content-Type: application/sdp\nRoute:\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\n\
         v:  SIP  / 2.0  / TCP     spindle.example.com   ;\n  branch  =   z9hG4bK9ikj8  ,\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\n z9hG4bK30239\n\
         m:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\n      newvalue ;\n  secondparam ; q = 0.33\n\n{body}"
    ));
    let message = Message::parse(&bytes).expect("valid");
    assert_eq!(message.body(), b"v=0\r\n");
    assert_eq!((message.cseq().number, message.max_forwards()), (9, Some(68)));
    assert_eq!((message.from().tag(), message.to().tag()), (Some("98asjd8"), Some("1918181833n")));
    let vias: Vec<_> = message.vias().map(|via| via.expect("good").branch().map(str::to_owned)).collect();
    let branches = ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"];
    assert_eq!(vias, branches.map(|branch| Some(branch.to_owned())));
    let contact = message.contacts().next().expect("one").expect("good");
    assert_eq!((contact.preference(), contact.parameters.value("newparam")), (330, Some("newvalue")));
    assert!(message.routes().next().expect("one").expect("good").uri.is_loose_router());
    assert_eq!(message.header(Name::Subject), Some(""));
}

#[test]
fn intmeth_the_wide_range_of_valid_characters() {
    let method = "!interesting-Method0123456789_*+`.%indeed'~";
    let uri = "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com";
    let bytes = wire(&format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\n\
         To: \"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\" <{uri}>\n\
         From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"р а б о т а ю щ и й\";tag=_token~1'+`*%!-.\n\
         Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}}{{\nCSeq: 139122385 {method}\nMax-Forwards: 255\n\
         extensionHeader-!.%*+_`'~: 大停電\nContent-Length: 0\n\n"
    ));
    let message = Message::parse(&bytes).expect("valid");
    assert_eq!(message.method(), Method::Extension(method));
    assert_eq!(
        message.request_uri().map(|uri| uri.user()),
        Some(Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"))
    );
    assert_eq!(message.from().tag(), Some("_token~1'+`*%!-."));
    assert_eq!(message.header_spelled("EXTENSIONHEADER-!.%*+_`'~"), Some("大停電"));
    // It can be answered, its escaped control characters copied; they can break nothing.
    let source = "192.0.2.99:5060".parse().expect("an address");
    let status = duogate_signaling::message::Status::NOT_IMPLEMENTED;
    let answer =
        duogate_signaling::message::Builder::response_to(&message, source, status, Some("t")).build();
    let answer = answer.expect("printed");
    assert_eq!(
        Message::parse(&answer).expect("valid").header(Name::To).map(|to| to.ends_with(";tag=t")),
        Some(true)
    );
}

#[test]
fn esc01_esc02_escnull_escapes_stay_as_they_are() {
    let bytes = usual(
        "INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0",
        "INVITE",
        "Contact: <sip:cal%6Cer@host5.example.com;%6C%72;n%61me=v%61lue%25%34%31>\n",
    );
    let message = Message::parse(&bytes).expect("valid");
    assert_eq!(message.request_uri().and_then(|uri| uri.user()), Some("sips%3Auser%40example.com"));
    let contact = message.contacts().next().expect("one").expect("good");
    assert_eq!(contact.uri.parameters().value("n%61me"), Some("v%61lue%25%34%31"));
    let bytes =
        usual("RE%47IST%45R sip:registrar.example.com SIP/2.0", "RE%47IST%45R", "C%6Fntact: <sip:a@h>\n");
    let message = Message::parse(&bytes).expect("valid");
    assert_eq!(message.method(), Method::Extension("RE%47IST%45R"));
    assert_eq!(message.contacts().count(), 0);
    assert_eq!(
        verdict(&usual("REGISTER sip:null-%00-null@example.com SIP/2.0", "REGISTER", "")),
        Verdict::Accept
    );
}

#[test]
fn lwsdisp_semiuri_transports() {
    let text =
        String::from_utf8(usual("OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0", "OPTIONS", ""))
            .expect("ASCII")
            .replace("From: sip:caller@example.net;", "From: caller<sip:caller@example.com>;")
            .replace("SIP/2.0/UDP", "SIP/2.0/UNKNOWN");
    let message = Message::parse(text.as_bytes()).expect("valid");
    assert_eq!(message.from().display, Some("caller"));
    assert_eq!(message.request_uri().and_then(|uri| uri.user()), Some("user;par=u%40example.net"));
    assert_eq!(message.via().transport, "UNKNOWN");
}

#[test]
fn longreq_long_values_are_values() {
    let name = "a".repeat(300);
    let extra = format!(
        "Unknown-{name}: {}\nContact: \"{}\" <sip:{}@{}.com;{name}={name}>\n",
        "v".repeat(2_000),
        "q".repeat(500),
        "u".repeat(500),
        "d".repeat(60)
    );
    let bytes = usual("INVITE sip:user@example.com SIP/2.0", "INVITE", &extra);
    let message = Message::parse(&bytes).expect("valid");
    assert!(message.contacts().next().expect("one").is_ok());
}

#[test]
fn dblreq_the_second_message_of_a_datagram_is_not_read() {
    let mut bytes = usual("REGISTER sip:example.com SIP/2.0", "REGISTER", "Content-Length: 0\n");
    bytes.extend(usual("INVITE sip:joe@example.com SIP/2.0", "INVITE", ""));
    let message = Message::parse(&bytes).expect("valid");
    assert_eq!((message.method(), message.body()), (Method::Register, &b""[..]));
}

#[test]
fn unreason_noreason_bigcode() {
    let response = |line: &str| usual(line, "INVITE", "");
    assert_eq!(
        verdict(&response("SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое")),
        Verdict::Accept
    );
    assert_eq!(verdict(&response("SIP/2.0 100 ")), Verdict::Accept);
    assert_eq!(
        verdict(&response("SIP/2.0 4294967301 better not break the receiver")),
        Verdict::Drop(Fault::Status)
    );
}

#[test]
fn badinv01_separators_without_values() {
    let text = String::from_utf8(usual("INVITE sip:user@example.com SIP/2.0", "INVITE", "")).expect("ASCII");
    let text = text.replace(";branch=z9hG4bK-1", ";;,;,,");
    assert_eq!(verdict(text.as_bytes()), Verdict::Answer(400));
    let bytes = usual(
        "INVITE sip:user@example.com SIP/2.0",
        "INVITE",
        "Contact: \"Joe\" <sip:joe@example.org>;;;;\n",
    );
    let message = Message::parse(&bytes).expect("the Contact is looked at when it is needed");
    assert!(message.contacts().next().expect("one").is_err());
}

#[test]
fn clerr_ncl_content_lengths_that_cannot_be() {
    let with = |value: &str| {
        usual("INVITE sip:user@example.com SIP/2.0", "INVITE", &format!("Content-Length: {value}\n"))
    };
    for bad in ["9999", "-999", "", "1 0", "0x0", "99999999999999999999999"] {
        assert_eq!(verdict(&with(bad)), Verdict::Answer(400), "{bad}");
    }
    assert_eq!(verdict(&with("0")), Verdict::Accept);
}

#[test]
fn scalar02_scalarlg_numbers_too_large() {
    let text = String::from_utf8(usual("REGISTER sip:example.com SIP/2.0", "REGISTER", "")).expect("ASCII");
    let large = text.replace("CSeq: 8", "CSeq: 36893488147419103232");
    assert_eq!(verdict(large.as_bytes()), Verdict::Answer(400));
    assert_eq!(verdict(text.replace("Forwards: 70", "Forwards: 300").as_bytes()), Verdict::Answer(400));
    let bytes =
        usual("SIP/2.0 503 Service Unavailable", "OPTIONS", "Retry-After: 949302838503028349304023988\n");
    assert!(Message::parse(&bytes).expect("usable without it").retry_after().is_err());
    let text = String::from_utf8(bytes).expect("ASCII").replace("CSeq: 8", "CSeq: 9292394834772304023312");
    assert_eq!(verdict(text.as_bytes()), Verdict::Drop(Fault::Range));
}

#[test]
fn start_lines_that_are_none() {
    let cases = [
        ("INVITE <sip:user@example.com> SIP/2.0", 400),   // ltgtruri
        ("INVITE sip:user@example.com; lr SIP/2.0", 400), // lwsruri
        ("INVITE  sip:user@example.com  SIP/2.0", 400),   // lwsstart
        ("INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0", 400), // escruri
        ("INVITE sip:user@example.com SIP/7.0", 505),     // badvers
    ];
    for (line, status) in cases {
        assert_eq!(verdict(&usual(line, "INVITE", "")), Verdict::Answer(status), "{line}");
    }
    // trws
    assert_eq!(verdict(&usual("OPTIONS sip:u@example.com SIP/2.0  ", "OPTIONS", "")), Verdict::Answer(400));
}

#[test]
fn badvers_with_a_via_of_that_version() {
    let text = String::from_utf8(usual("OPTIONS sip:t@example.org SIP/7.0", "OPTIONS", "")).expect("ASCII");
    assert_eq!(verdict(text.replace("SIP/2.0/UDP", "SIP/7.0/UDP").as_bytes()), Verdict::Answer(505));
}

#[test]
fn quotbal_badaspec_baddn_addresses_that_are_none() {
    let text = String::from_utf8(usual("INVITE sip:user@example.com SIP/2.0", "INVITE", "")).expect("ASCII");
    let cases = [
        ("To: sip:j.user@example.com", "To: \"Mr. J. User <sip:j.user@example.com>"),
        ("To: sip:j.user@example.com", "To: \"Watson, Thomas\" < sip:t.watson@example.org >"),
        ("From: sip:caller@example.net", "From: Bell, Alexander <sip:a.g.bell@example.com>"),
        ("From: sip:caller@example.net", "From: <sip:a@h"),
        ("From: sip:caller@example.net", "From:"),
    ];
    for (good, bad) in cases {
        assert_eq!(verdict(text.replace(good, bad).as_bytes()), Verdict::Answer(400), "{bad}");
    }
}

#[test]
fn regbadct_regescrt_a_uri_with_headers_needs_brackets() {
    let contact = |value: &str| {
        let bytes = usual("REGISTER sip:example.com SIP/2.0", "REGISTER", &format!("Contact: {value}\n"));
        let message = Message::parse(&bytes).expect("valid");
        message.contacts().next().expect("one").is_ok()
    };
    assert!(!contact("sip:user@example.com?Route=%3Csip:sip.example.com%3E"));
    assert!(contact("<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"));
}

#[test]
fn mismatch01_mismatch02_another_method_in_cseq() {
    assert_eq!(verdict(&usual("OPTIONS sip:user@example.com SIP/2.0", "INVITE", "")), Verdict::Answer(400));
    assert_eq!(verdict(&usual("NEWMETHOD sip:user@example.com SIP/2.0", "INVITE", "")), Verdict::Answer(400));
}

#[test]
fn badbranch_the_cookie_alone_is_no_branch_of_rfc_3261() {
    let text =
        String::from_utf8(usual("OPTIONS sip:user@example.com SIP/2.0", "OPTIONS", "")).expect("ASCII");
    let text = text.replace("z9hG4bK-1", "z9hG4bK");
    assert!(!Message::parse(text.as_bytes()).expect("valid").via().is_rfc3261());
}

#[test]
fn insuf_multi01_mcl01_headers_missing_or_repeated() {
    let start = "INVITE sip:user@example.com SIP/2.0";
    let text = String::from_utf8(usual(start, "INVITE", "")).expect("ASCII");
    let missing = text.replace("Call-ID: torture@192.0.2.2\r\n", "");
    assert_eq!(verdict(missing.as_bytes()), Verdict::Answer(400));
    let nowhere = text.replace("Via: ", "Away: ");
    assert_eq!(verdict(nowhere.as_bytes()), Verdict::Drop(Fault::Missing));
    for twice in ["CSeq: 9 INVITE\n", "Call-ID: b\n", "From: <sip:x@h>;tag=1\n", "t: <sip:x@h>\n"] {
        assert_eq!(verdict(&usual(start, "INVITE", twice)), Verdict::Answer(400), "{twice}");
    }
    assert_eq!(verdict(&usual(start, "INVITE", "Max-Forwards: 5\n")), Verdict::Answer(400));
    let lengths = "Content-Length: 0\nl: 0\n";
    assert_eq!(verdict(&usual(start, "INVITE", lengths)), Verdict::Answer(400));
}

#[test]
fn unkscm_novelsc_unksm2_schemes_that_we_do_not_know() {
    let bytes = usual("OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0", "OPTIONS", "");
    let message = Message::parse(&bytes).expect("valid, and answered 416");
    assert_eq!(message.request_uri().map(|uri| uri.scheme()), Some(Scheme::Other));
    assert_eq!(
        verdict(&usual("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0", "OPTIONS", "")),
        Verdict::Accept
    );
    let text =
        String::from_utf8(usual("OPTIONS sip:user@example.com SIP/2.0", "OPTIONS", "")).expect("ASCII");
    let text = text.replace("To: sip:j.user@example.com", "To: isbn:2983792873");
    assert_eq!(verdict(text.as_bytes()), Verdict::Accept);
}

#[test]
fn bext01_invut_zeromf_are_for_those_above() {
    let extra =
        "Require: nothingSupportsThis, nothingSupportsThisEither\nContent-Type: application/unknownformat\n";
    let bytes = usual("OPTIONS sip:user@example.com SIP/2.0", "OPTIONS", extra);
    let text = String::from_utf8(bytes).expect("ASCII").replace("Forwards: 70", "Forwards: 0");
    let message = Message::parse(text.as_bytes()).expect("valid");
    assert_eq!(message.max_forwards(), Some(0));
    assert_eq!(message.tokens(Name::Require).flatten().count(), 2);
    assert!(!message.content_type().expect("good").expect("there").is("application", "sdp"));
}

#[test]
fn inv2543_an_old_client_is_understood() {
    let bytes = wire(
        "INVITE sip:UserB@example.com SIP/2.0\nVia: SIP/2.0/UDP iftgw.example.com\n\
         From: <sip:+13035551111@ift.client.example.net;user=phone>\nTo: <sip:+16505552222@ss1.example.net;user=phone>\n\
         Call-ID: 1717@ift.client.example.net\nCSeq: 56 INVITE\nContent-Type: application/sdp\n\nv=0\n",
    );
    let message = Message::parse(&bytes).expect("valid");
    assert_eq!((message.from().tag(), message.via().branch(), message.max_forwards()), (None, None, None));
    assert_eq!(message.body(), b"v=0\r\n");
}

#[test]
fn no_answer_to_a_response_or_an_ack() {
    assert_eq!(verdict(&usual("SIP/2.0 200 OK", "INVITE", "l: 9\n")), Verdict::Drop(Fault::BodyTooShort));
    assert_eq!(verdict(&usual("ACK sip:u@h SIP/2.0", "ACK", "l: 9\n")), Verdict::Drop(Fault::BodyTooShort));
}
