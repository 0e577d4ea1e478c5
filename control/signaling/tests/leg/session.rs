//! Re-INVITE and UPDATE: hold, moves, delayed offers (RFC 3261 section 14, RFC 3311, RFC 3264 section 8).

use std::time::Duration;

use duogate_channel::command::FarEnd;
use duogate_channel::sound::Codec;
use duogate_signaling::leg::Output;

use crate::call::{Call, plain_sdp};
use crate::text::{self, Text};

/// The only thing said: the party's new media.
fn moved(call: &mut Call) -> FarEnd {
    match call.said.drain(..).collect::<Vec<_>>().as_slice() {
        [Output::FarEnd { far_end }] => *far_end,
        other => panic!("{other:?}"),
    }
}

/// The party offers, and we accept: our answer.
fn reinvite(call: &mut Call, invite: &Text, cseq: u32, sdp: &str) -> Text {
    call.deliver(&text::request(invite, "INVITE", cseq, "one", &[], sdp));
    let answer = call.one("200");
    call.deliver(&text::request(invite, "ACK", cseq, "one", &[], ""));
    answer
}

fn version(text: &Text) -> u64 {
    let origin = text.body.lines().find_map(|line| line.strip_prefix("o=")).expect("o=");
    origin.split(' ').nth(2).and_then(|version| version.parse().ok()).expect("a version")
}

#[test]
fn rfc3264_8_4_hold_and_resume() {
    let (mut call, invite) = Call::answered();
    for (cseq, direction, ours, send, receive) in [
        (1, "sendonly", "recvonly", false, true),
        (2, "inactive", "inactive", false, false),
        (3, "recvonly", "sendonly", true, false),
        (4, "sendrecv", "sendrecv", true, true),
    ] {
        let answer = reinvite(&mut call, &invite, cseq, &text::sdp("192.0.2.21", 40_000, "8 101", direction));
        assert!(answer.body.contains(&format!("a={ours}\r\n")), "{direction}: {}", answer.body);
        let far_end = moved(&mut call);
        assert_eq!((far_end.send, far_end.receive), (send, receive), "{direction}");
        assert_eq!(answer.header("Contact"), "<sip:192.0.2.10:5060>");
    }
}

#[test]
fn rfc3264_8_4_the_old_form_of_hold_keeps_the_address() {
    let (mut call, invite) = Call::answered();
    reinvite(&mut call, &invite, 1, &text::sdp("0.0.0.0", 40_000, "8 101", "sendrecv"));
    let far_end = moved(&mut call);
    assert!(!far_end.send);
    assert_eq!(far_end.address.to_string(), "192.0.2.21:40000");
    reinvite(&mut call, &invite, 2, &plain_sdp());
    assert!(moved(&mut call).send);
}

#[test]
fn rfc3264_8_3_address_and_codec_may_change() {
    let (mut call, invite) = Call::answered();
    let answer = reinvite(&mut call, &invite, 1, &text::sdp("192.0.2.77", 41_000, "0", "sendrecv"));
    let far_end = moved(&mut call);
    assert_eq!((far_end.address.to_string().as_str(), far_end.codec), ("192.0.2.77:41000", Codec::Pcmu));
    assert_eq!(far_end.telephone_event, None);
    assert!(answer.body.contains("m=audio 20000 RTP/AVP 0\r\n"), "our port stays: {}", answer.body);
}

#[test]
fn rfc3264_8_an_offer_that_changes_nothing_is_no_event_and_no_new_version() {
    let (mut call, invite) = Call::answered();
    let first = reinvite(&mut call, &invite, 1, &plain_sdp());
    let second = reinvite(&mut call, &invite, 2, &plain_sdp());
    assert_eq!(call.said, []);
    assert_eq!(version(&first), version(&second));
}

#[test]
fn rfc3261_14_2_an_offer_that_cannot_be_met_gets_488_and_changes_nothing() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request(
        &invite,
        "INVITE",
        1,
        "one",
        &[],
        &text::sdp("192.0.2.21", 40_000, "18", "sendrecv"),
    ));
    assert!(call.one("488").header("Warning").starts_with("305 "));
    call.deliver(&text::request_with(&invite, "ACK", 1, "one", "INVITE1one", &[], ""));
    call.silent();
    call.elapse(Duration::from_secs(60));
    call.silent();
}

#[test]
fn rfc3261_8_2_3_a_body_that_is_no_description_gets_415() {
    let (mut call, invite) = Call::answered();
    let bytes = text::request(&invite, "INVITE", 1, "one", &[], &plain_sdp());
    let text = String::from_utf8(bytes).unwrap().replace("application/sdp", "application/isup");
    call.deliver(text.as_bytes());
    assert_eq!(call.one("415").header("Accept"), "application/sdp");
}

#[test]
fn rfc3261_13_3_1_4_the_200_is_repeated_until_the_ack_comes() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request(&invite, "INVITE", 1, "one", &[], &plain_sdp()));
    call.one("200");
    call.elapse(Duration::from_secs(8));
    assert_eq!(call.take("200").len(), 4, "at 0.5, 1.5, 3.5 and 7.5 s");
    call.deliver(&text::request(&invite, "ACK", 1, "one", &[], ""));
    call.elapse(Duration::from_secs(60));
    call.silent();
}

#[test]
fn rfc3261_13_3_1_4_without_an_ack_the_call_is_ended() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request(&invite, "INVITE", 1, "one", &[], &plain_sdp()));
    call.elapse(Duration::from_secs(40));
    let kinds = call.kinds();
    assert!(kinds.contains(&"BYE".to_owned()), "{kinds:?}");
    assert_eq!(call.said, [Output::Ended { cause: 408 }]);
    call.said.clear();
    call.ends();
}

#[test]
fn rfc3261_14_2_without_an_offer_we_offer_and_the_ack_answers() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request(&invite, "INVITE", 1, "one", &[], ""));
    let offer = call.one("200");
    assert!(offer.body.contains("m=audio 20000 RTP/AVP 8 0 101\r\n"), "{}", offer.body);
    call.silent();
    let answer = text::sdp("192.0.2.88", 42_000, "0 101", "sendrecv");
    call.deliver(&text::request(&invite, "ACK", 1, "one", &[], &answer));
    assert_eq!(moved(&mut call).address.to_string(), "192.0.2.88:42000");
}

#[test]
fn rfc3261_14_2_while_our_offer_is_open_others_get_491() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request(&invite, "INVITE", 1, "one", &[], ""));
    call.one("200");
    call.deliver(&text::request(&invite, "INVITE", 2, "one", &[], &plain_sdp()));
    call.one("491");
    call.deliver(&text::request_with(&invite, "ACK", 2, "one", "INVITE2one", &[], ""));
    call.deliver(&text::request(&invite, "UPDATE", 3, "one", &[], &plain_sdp()));
    call.one("491");
    call.deliver(&text::request(&invite, "ACK", 1, "one", &[], &plain_sdp()));
    call.deliver(&text::request(&invite, "UPDATE", 4, "one", &[], &plain_sdp()));
    call.one("200");
}

#[test]
fn rfc3261_13_2_1_an_answer_in_the_ack_that_cannot_be_used_ends_the_call() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request(&invite, "INVITE", 1, "one", &[], ""));
    call.one("200");
    let answer = text::sdp("192.0.2.88", 42_000, "18", "sendrecv");
    call.deliver(&text::request(&invite, "ACK", 1, "one", &[], &answer));
    call.one("BYE");
    assert!(matches!(call.said.as_slice(), [Output::Ended { .. }]), "{:?}", call.said);
}

#[test]
fn an_ack_without_the_answer_that_is_due_changes_nothing() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request(&invite, "INVITE", 1, "one", &[], ""));
    call.one("200");
    call.deliver(&text::request(&invite, "ACK", 1, "one", &[], ""));
    call.elapse(Duration::from_secs(60));
    call.silent();
}

#[test]
fn rfc5407_a_reinvite_says_that_the_200_before_it_arrived() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request(
        &invite,
        "INVITE",
        1,
        "one",
        &[],
        &text::sdp("192.0.2.21", 40_000, "8", "sendonly"),
    ));
    call.one("200");
    assert!(!moved(&mut call).send);
    call.deliver(&text::request(
        &invite,
        "INVITE",
        2,
        "one",
        &[],
        &text::sdp("192.0.2.21", 40_000, "8", "sendrecv"),
    ));
    assert_eq!(call.one("200").cseq(), 2);
    assert!(moved(&mut call).send);
    call.deliver(&text::request(&invite, "ACK", 2, "one", &[], ""));
    call.elapse(Duration::from_secs(60));
    call.silent();
}

#[test]
fn rfc3311_5_2_update_with_an_offer_is_answered() {
    let (mut call, invite) = Call::answered();
    let offer = text::sdp("192.0.2.21", 40_000, "8 101", "sendonly");
    call.deliver(&text::request(&invite, "UPDATE", 1, "one", &[], &offer));
    let answer = call.one("200");
    assert!(answer.body.contains("a=recvonly"));
    assert_eq!(answer.header("Contact"), "<sip:192.0.2.10:5060>");
    assert!(!moved(&mut call).send);
}

#[test]
fn rfc3311_5_2_update_without_an_offer_refreshes_the_target_alone() {
    let (mut call, invite) = Call::answered();
    let bytes = text::request(&invite, "UPDATE", 1, "one", &[], "");
    let moved =
        String::from_utf8(bytes).unwrap().replace("<sip:party@192.0.2.20:5060>", "<sip:x@192.0.2.99>");
    call.deliver(moved.as_bytes());
    assert!(call.one("200").body.is_empty());
    assert_eq!(call.said, []);
    call.release(200);
    assert_eq!(call.one("BYE").uri(), "sip:x@192.0.2.99");
}

#[test]
fn rfc3311_5_2_update_in_an_early_dialog() {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 180, "one", "");
    call.said.clear();
    // Our offer has no answer in this dialog yet.
    call.deliver(&text::request(&invite, "UPDATE", 1, "one", &[], &plain_sdp()));
    call.one("491");
    call.answer(&invite, 183, "one", &plain_sdp());
    call.said.clear();
    call.deliver(&text::request(
        &invite,
        "UPDATE",
        2,
        "one",
        &[],
        &text::sdp("192.0.2.55", 40_010, "8", "sendrecv"),
    ));
    call.one("200");
    assert_eq!(moved(&mut call).address.to_string(), "192.0.2.55:40010");
    // What UPDATE said stands when the answer says nothing.
    call.answer(&invite, 200, "one", "");
    call.one("ACK");
    let [Output::Answered { far_end }] = call.said.as_slice() else { panic!("{:?}", call.said) };
    assert_eq!(far_end.address.to_string(), "192.0.2.55:40010");
}

#[test]
fn rfc3261_15_1_2_bye_while_a_200_waits_for_its_ack() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request(&invite, "INVITE", 1, "one", &[], &plain_sdp()));
    call.one("200");
    call.deliver(&text::request(&invite, "BYE", 2, "one", &[], ""));
    call.one("200");
    assert_eq!(call.said, [Output::Ended { cause: 200 }]);
    call.said.clear();
    call.ends();
    assert!(call.sent.is_empty(), "{:?}", call.sent);
}
