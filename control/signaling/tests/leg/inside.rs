//! Requests of the party that change nothing (RFC 3261 sections 8.2, 12.2.2).

use duogate_channel::digits::Key;
use duogate_signaling::leg::Output;
use duogate_signaling::sdp::KeyWay;

use crate::call::{CONTACT, Call, plain_sdp};
use crate::text::{self, Reply};

#[test]
fn rfc3261_11_2_options_in_a_dialog_says_what_we_can_do() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request(&invite, "OPTIONS", 1, "one", &[], ""));
    let answer = call.one("200");
    assert_eq!(answer.header("Allow"), "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE");
    assert_eq!(answer.header("Accept"), "application/sdp");
    assert_eq!(answer.to_tag(), invite.sender_tag());
    call.silent();
}

#[test]
fn rfc3261_8_2_1_methods_that_we_do_not_take_are_refused_as_each_wants() {
    let expected = [
        ("REFER", "405"),
        ("MESSAGE", "405"),
        ("SUBSCRIBE", "405"),
        ("PUBLISH", "405"),
        ("REGISTER", "405"),
        ("PRACK", "481"),
        ("NOTIFY", "481"),
        ("DANCE", "501"),
    ];
    let (mut call, invite) = Call::answered();
    for (number, (method, status)) in expected.into_iter().enumerate() {
        let cseq = u32::try_from(number).unwrap() + 1;
        call.deliver(&text::request(&invite, method, cseq, "one", &[], ""));
        let answer = call.one(status);
        assert!(answer.header("Allow").contains("INVITE"), "{method}");
    }
    call.silent();
}

#[test]
fn rfc3261_8_2_2_3_required_extensions_are_refused_by_name() {
    let (mut call, invite) = Call::answered();
    let require = ["Require: 100rel, timer"];
    call.deliver(&text::request(&invite, "INVITE", 1, "one", &require, &plain_sdp()));
    // Session timers are known (RFC 4028).
    assert_eq!(call.one("420").header("Unsupported"), "100rel");
    call.silent();
}

#[test]
fn rfc6086_info_with_digits_or_nothing_is_taken() {
    let (mut call, invite) = Call::answered();
    let typed = "Content-Type: application/dtmf-relay";
    let bytes = text::request(&invite, "INFO", 1, "one", &[typed, "Content-Length: 9"], "");
    let text = String::from_utf8(bytes).unwrap().replace("Content-Length: 0\r\n\r\n", "\r\nSignal=5\n");
    call.deliver(text.as_bytes());
    call.one("200");
    let key = Key::from_char('5').unwrap();
    assert_eq!(call.said, [Output::Pressed { key, milliseconds: 100 }]);
    call.deliver(&text::request(&invite, "INFO", 2, "one", &[], ""));
    call.one("200");
}

#[test]
fn rfc6086_info_of_another_kind_is_refused_as_each_wants() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request(&invite, "INFO", 1, "one", &[], "v=0\r\n"));
    assert!(call.one("415").header("Accept").contains("application/dtmf-relay"));
    call.deliver(&text::request(&invite, "INFO", 2, "one", &["Info-Package: foo"], ""));
    let answer = call.one("469");
    assert_eq!(answer.all("Recv-Info").count(), 1);
}

#[test]
fn info_with_digits_is_refused_where_they_come_another_way() {
    for keys in [KeyWay::Events, KeyWay::Tones] {
        let (mut call, invite) = Call::dial_with(|dial| dial.offer.keys = keys);
        call.answer(&invite, 200, "one", &plain_sdp());
        call.one("ACK");
        call.said.clear();
        let typed = "Content-Type: application/dtmf-relay";
        let bytes = text::request(&invite, "INFO", 1, "one", &[typed, "Content-Length: 9"], "");
        let text = String::from_utf8(bytes).unwrap().replace("Content-Length: 0\r\n\r\n", "\r\nSignal=5\n");
        call.deliver(text.as_bytes());
        assert_eq!(call.one("415").header("Accept"), "", "nothing is taken");
        assert_eq!(call.said, [], "no key was pressed");
        // One without a body asks whether we are there (RFC 2976 section 2).
        call.deliver(&text::request(&invite, "INFO", 2, "one", &[], ""));
        call.one("200");
    }
}

#[test]
fn rfc3261_9_2_cancel_of_nothing_gets_481() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request(&invite, "CANCEL", 9, "one", &[], ""));
    call.one("481");
    call.silent();
}

#[test]
fn rfc3261_9_2_cancel_of_a_reinvite_comes_too_late() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request_with(&invite, "INVITE", 1, "one", "same", &[], &plain_sdp()));
    call.one("200");
    call.deliver(&text::request_with(&invite, "CANCEL", 1, "one", "same", &[], ""));
    let answer = call.one("200");
    assert_eq!(answer.cseq_method(), "CANCEL");
    call.deliver(&text::request(&invite, "ACK", 1, "one", &[], ""));
    call.silent();
}

#[test]
fn rfc3261_17_2_2_a_repeated_request_gets_the_same_answer() {
    let (mut call, invite) = Call::answered();
    let request = text::request(&invite, "OPTIONS", 1, "one", &[], "");
    call.deliver(&request);
    let first = call.one("200");
    call.deliver(&text::request(&invite, "OPTIONS", 2, "one", &[], ""));
    call.one("200");
    call.deliver(&request);
    assert_eq!(call.one("200").header("CSeq"), first.header("CSeq"));
}

#[test]
fn rfc3261_12_2_2_requests_outside_the_dialog_get_481() {
    let (mut call, invite) = Call::answered();
    for method in ["INVITE", "OPTIONS", "INFO", "UPDATE", "DANCE"] {
        call.deliver(&text::request(&invite, method, 1, "stranger", &[], ""));
        call.one("481");
    }
    // The same Call-ID without our tag.
    let bytes = text::request(&invite, "OPTIONS", 2, "one", &[], "");
    let text = String::from_utf8(bytes).unwrap().replace(&format!(";tag={}", invite.sender_tag()), "");
    call.deliver(text.as_bytes());
    call.one("481");
    // An ACK for nobody.
    call.deliver(&text::request(&invite, "ACK", 1, "stranger", &[], ""));
    call.silent();
}

#[test]
fn requests_in_an_early_dialog_are_answered() {
    let (mut call, invite) = Call::dial();
    call.deliver(&text::response(&invite, 180, &Reply { tag: "one", contact: CONTACT, ..Reply::default() }));
    call.said.clear();
    call.deliver(&text::request(&invite, "OPTIONS", 1, "one", &[], ""));
    call.one("200");
    call.deliver(&text::request(&invite, "INVITE", 2, "one", &[], &plain_sdp()));
    call.one("491");
    call.deliver(&text::request_with(&invite, "ACK", 2, "one", "INVITE2one", &[], ""));
    call.deliver(&text::request(&invite, "BYE", 3, "one", &[], ""));
    call.one("200");
    call.silent();
    // The INVITE is still to be answered, with whatever.
    call.answer(&invite, 480, "one", "");
    call.one("ACK");
}

#[test]
fn rfc3261_26_3_2_4_a_flood_of_requests_is_bounded_and_leaves_room_for_our_own() {
    let (mut call, invite) = Call::answered();
    for number in 1..=500 {
        call.deliver(&text::request(&invite, "OPTIONS", number, "one", &[], ""));
    }
    let answered = call.take("200").len();
    assert!((30..=40).contains(&answered), "{answered}");
    call.release(200);
    let bye = call.one("BYE");
    call.answer(&bye, 200, "", "");
    call.ends();
}
