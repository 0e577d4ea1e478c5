//! From INVITE to the first answer.

use std::time::Duration;

use duogate_signaling::leg::Output;

use crate::call::{Call, PARTY, plain_sdp};
use crate::text;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn rfc3261_8_1_1_the_invite_says_what_it_must() {
    let (call, invite) = Call::dial();
    assert_eq!(invite.start, "INVITE sip:1389@192.0.2.20:5060 SIP/2.0");
    assert!(invite.header("Via").starts_with("SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK"));
    assert!(invite.header("Via").ends_with(";rport"));
    assert_eq!(invite.header("Max-Forwards"), "70");
    assert_eq!(invite.header("From"), "<sip:4711@192.0.2.10>;tag=00000000000007a6");
    assert_eq!(invite.header("To"), "<sip:1389@192.0.2.20:5060>");
    assert_eq!(invite.header("Call-ID"), call.leg.call_id());
    assert_eq!(invite.header("CSeq"), "1 INVITE");
    assert_eq!(invite.header("Contact"), "<sip:192.0.2.10:5060>");
    assert_eq!(invite.header("Allow"), "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE");
    assert_eq!(invite.all("Supported").count(), 1);
    assert_eq!(invite.header("User-Agent"), "Duogate");
    assert_eq!(invite.header("Content-Type"), "application/sdp");
}

#[test]
fn rfc3264_5_1_the_offer_lists_codecs_in_the_order_asked_for() {
    let (_, invite) = Call::dial();
    assert!(invite.body.contains("c=IN IP4 192.0.2.11\r\n"), "{}", invite.body);
    assert!(invite.body.contains("m=audio 20000 RTP/AVP 8 0 101\r\n"), "{}", invite.body);
}

#[test]
fn rfc3261_13_2_2_4_an_answer_is_acknowledged_and_reported_once() {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 180, "one", "");
    assert_eq!(call.said, [Output::Provisional { status: 180, early_media: None }]);
    call.said.clear();
    call.answer(&invite, 200, "one", &plain_sdp());
    let ack = call.one("ACK");
    assert_eq!(ack.uri(), "sip:party@192.0.2.20:5060");
    assert_eq!(ack.header("CSeq"), "1 ACK");
    assert_eq!(ack.to_tag(), "one");
    assert_ne!(ack.branch(), invite.branch());
    let [Output::Answered { far_end }] = call.said.as_slice() else { panic!("{:?}", call.said) };
    assert_eq!(far_end.address.to_string(), "192.0.2.21:40000");
    assert!(far_end.send && far_end.receive);
}

#[test]
fn rfc3261_17_1_1_2_an_invite_that_nobody_answers_fails_with_408() {
    let (mut call, _) = Call::dial();
    call.elapse(Duration::from_millis(31_900));
    assert_eq!(call.take("INVITE").len(), 6);
    assert_eq!(call.said, []);
    call.elapse(2 * SECOND);
    assert!(matches!(call.said.as_slice(), [Output::Failed { status: 408, .. }, ..]), "{:?}", call.said);
    call.said.remove(0);
    call.elapse(200 * SECOND);
    assert_eq!(call.said, [Output::Gone]);
    assert!(call.sent.is_empty());
}

/// RFC 3261 forgets the INVITE; the party does not, and would wait for its ACK for 32 s.
#[test]
fn rfc3261_13_2_2_4_an_answer_after_the_timeout_gets_ack_and_bye() {
    let (mut call, invite) = Call::dial();
    call.elapse(33 * SECOND);
    call.take("INVITE");
    assert!(matches!(call.said.as_slice(), [Output::Failed { status: 408, .. }]), "{:?}", call.said);
    call.answer(&invite, 200, "one", &text::sdp("192.0.2.21", 40_000, "8", "sendrecv"));
    assert_eq!(call.kinds(), ["ACK", "BYE"]);
}

#[test]
fn rfc3261_9_1_what_rings_after_the_timeout_is_cancelled() {
    let (mut call, invite) = Call::dial();
    call.elapse(33 * SECOND);
    call.take("INVITE");
    call.said.clear();
    call.answer(&invite, 180, "one", "");
    let cancel = call.one("CANCEL");
    call.answer(&cancel, 200, "one", "");
    call.answer(&invite, 487, "one", "");
    call.one("ACK");
    assert_eq!(call.said, [], "it has failed once");
    call.elapse(33 * SECOND);
    assert_eq!(call.said, [Output::Gone]);
}

#[test]
fn rfc3261_9_1_ringing_that_a_late_answer_overtook_keeps_nothing_open() {
    let (mut call, invite) = Call::dial();
    call.elapse(33 * SECOND);
    call.take("INVITE");
    call.answer(&invite, 200, "one", "");
    call.sent.remove(0);
    let bye = call.one("BYE");
    call.answer(&invite, 180, "one", "");
    call.answer(&bye, 200, "one", "");
    call.elapse(65 * SECOND);
    assert!(call.said.ends_with(&[Output::Gone]), "{:?}", call.said);
}

#[test]
fn rfc3261_17_1_1_3_a_late_refusal_is_acknowledged() {
    let (mut call, invite) = Call::dial();
    call.elapse(33 * SECOND);
    call.take("INVITE");
    call.answer(&invite, 486, "one", "");
    call.one("ACK");
}

#[test]
fn rfc3261_17_1_1_3_a_refusal_is_acknowledged_and_reported_with_its_words() {
    let (mut call, invite) = Call::dial();
    let reply = text::Reply {
        tag: "one",
        headers: &["Retry-After: 30 (lunch)", "Warning: 399 party.example \"no\u{fc} lines\""],
        ..text::Reply::default()
    };
    call.deliver(&text::response(&invite, 503, &reply));
    let ack = call.one("ACK");
    assert_eq!((ack.branch(), ack.to_tag()), (invite.branch(), "one"));
    let text = "no\u{fc} lines".into();
    let failed = Output::Failed {
        status: 503,
        retry_after: Some(30),
        text,
        contacts: Vec::new(),
        unusable: None,
        silent: false,
    };
    assert_eq!(call.said, [failed]);
    call.said.clear();
    call.ends();
}

#[test]
fn rfc3261_17_1_1_2_a_repeated_refusal_is_acknowledged_again_and_not_reported_again() {
    let (mut call, invite) = Call::dial();
    for _ in 0..3 {
        call.answer(&invite, 486, "one", "");
        call.one("ACK");
    }
    assert!(matches!(call.said.as_slice(), [Output::Failed { status: 486, .. }]));
}

#[test]
fn rfc3261_8_1_3_1_an_invite_that_cannot_be_sent_fails_with_503() {
    let (mut call, _) = Call::dial();
    call.unreachable(PARTY);
    assert!(matches!(call.said.first(), Some(Output::Failed { status: 503, .. })), "{:?}", call.said);
    call.said.remove(0);
    call.elapse(200 * SECOND);
    assert_eq!(call.said, [Output::Gone]);
}

#[test]
fn rfc3264_6_an_answer_without_a_common_codec_ends_the_call_with_488() {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 200, "one", &text::sdp("192.0.2.21", 40_000, "18", "sendrecv"));
    assert_eq!(call.kinds(), ["ACK", "BYE"]);
    assert!(matches!(call.said.as_slice(), [Output::Failed { status: 488, .. }]), "{:?}", call.said);
}

#[test]
fn rfc3261_13_2_1_an_answer_without_any_description_ends_the_call_with_488() {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 200, "one", "");
    assert_eq!(call.kinds(), ["ACK", "BYE"]);
    assert!(matches!(call.said.as_slice(), [Output::Failed { status: 488, .. }]), "{:?}", call.said);
}

#[test]
fn rfc3261_7_3_1_text_of_strangers_reaches_nobody_with_control_characters_or_at_length() {
    let (mut call, invite) = Call::dial();
    let long = format!("Warning: 399 x \"{}\"", "\u{e9}".repeat(400));
    call.deliver(&text::response(
        &invite,
        480,
        &text::Reply { tag: "one", headers: &[&long], ..text::Reply::default() },
    ));
    let [Output::Failed { status: 480, text, .. }] = call.said.as_slice() else { panic!("{:?}", call.said) };
    assert_eq!(text.len(), 128);
}
