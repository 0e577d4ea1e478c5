//! Giving up before the answer, and its races (RFC 3261 sections 9.1 and 15).

use std::time::Duration;

use duogate_signaling::leg::Output;

use crate::call::{Call, plain_sdp};
use crate::text::Text;

const SECOND: Duration = Duration::from_secs(1);

/// A call that was released while it rang: the leg, the INVITE, the CANCEL.
fn canceled() -> (Call, Text, Text) {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 180, "one", "");
    call.said.clear();
    call.release(408);
    let cancel = call.one("CANCEL");
    fails_with_487(&mut call);
    (call, invite, cancel)
}

fn fails_with_487(call: &mut Call) {
    assert!(matches!(call.said.as_slice(), [Output::Failed { status: 487, .. }]), "{:?}", call.said);
    call.said.clear();
}

#[test]
fn rfc3261_9_1_cancel_names_the_invite_and_says_why() {
    let (call, invite, cancel) = canceled();
    assert_eq!(cancel.uri(), invite.uri());
    for name in ["Via", "From", "To", "Call-ID"] {
        assert_eq!(cancel.header(name), invite.header(name), "{name}");
    }
    assert_eq!(cancel.all("Via").count(), 1);
    assert_eq!(cancel.header("CSeq"), "1 CANCEL");
    assert!(cancel.header("Reason").starts_with("SIP;cause=408"), "{}", cancel.header("Reason"));
    call.silent();
}

#[test]
fn rfc3261_9_1_no_cancel_goes_out_before_a_provisional_response() {
    let (mut call, invite) = Call::dial();
    call.release(487);
    fails_with_487(&mut call);
    call.silent();
    call.answer(&invite, 100, "", "");
    call.one("CANCEL");
    call.answer(&invite, 180, "one", "");
    call.silent();
}

#[test]
fn rfc3261_9_1_a_release_before_any_response_ends_when_the_invite_does() {
    let (mut call, _) = Call::dial();
    call.release(487);
    fails_with_487(&mut call);
    call.elapse(200 * SECOND);
    assert!(call.take("INVITE").len() == 6, "the INVITE is repeated, and nothing else is sent");
    assert_eq!(call.said, [Output::Gone]);
}

#[test]
fn rfc3261_9_1_the_487_is_acknowledged_and_ends_the_leg() {
    let (mut call, invite, cancel) = canceled();
    call.answer(&cancel, 200, "one", "");
    call.answer(&invite, 487, "one", "");
    call.one("ACK");
    call.ends();
    assert!(call.sent.is_empty());
}

#[test]
fn rfc3261_9_1_a_487_may_overtake_the_answer_to_cancel() {
    let (mut call, invite, cancel) = canceled();
    call.answer(&invite, 487, "one", "");
    call.one("ACK");
    call.answer(&cancel, 200, "one", "");
    call.ends();
}

#[test]
fn rfc3261_15_an_answer_that_crosses_cancel_gets_ack_and_bye() {
    let (mut call, invite, cancel) = canceled();
    call.answer(&invite, 200, "one", &plain_sdp());
    let sent: Vec<Text> = call.sent.drain(..).map(|(_, text)| text).collect();
    let [ack, bye] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((ack.kind(), bye.kind()), ("ACK", "BYE"));
    assert_eq!((bye.header("CSeq"), bye.to_tag()), ("2 BYE", "one"));
    assert!(bye.header("Reason").starts_with("SIP;cause=408"));
    call.answer(&cancel, 481, "one", "");
    call.answer(bye, 200, "", "");
    call.ends();
    assert!(call.sent.is_empty());
}

#[test]
fn rfc3261_15_a_crossing_answer_without_media_gets_ack_and_bye_too() {
    let (mut call, invite, _) = canceled();
    call.answer(&invite, 200, "one", "");
    assert_eq!(call.kinds(), ["ACK", "BYE"]);
    assert_eq!(call.said, []);
}

#[test]
fn rfc3261_13_2_2_4_a_crossing_answer_is_acknowledged_each_time_it_is_repeated() {
    let (mut call, invite, _) = canceled();
    call.answer(&invite, 200, "one", &plain_sdp());
    assert_eq!(call.kinds(), ["ACK", "BYE"]);
    for _ in 0..3 {
        call.answer(&invite, 200, "one", &plain_sdp());
        call.one("ACK");
    }
}

#[test]
fn rfc3261_9_1_without_any_final_response_the_leg_gives_up_64_t1_after_cancel() {
    let (mut call, _, cancel) = canceled();
    call.answer(&cancel, 200, "one", "");
    call.elapse(31 * SECOND);
    assert!(!call.leg.is_gone());
    call.elapse(9 * SECOND);
    assert_eq!(call.said, [], "whoever answers late still finds somebody");
    call.elapse(32 * SECOND);
    assert_eq!(call.said, [Output::Gone]);
}

#[test]
fn rfc3261_9_1_a_cancel_that_nobody_answers_is_repeated_and_given_up() {
    let (mut call, _, _) = canceled();
    call.elapse(200 * SECOND);
    assert_eq!(call.take("CANCEL").len(), 10, "timer E and F");
    assert_eq!(call.said, [Output::Gone]);
}

#[test]
fn releasing_twice_sends_one_cancel() {
    let (mut call, _, _) = canceled();
    call.release(603);
    call.silent();
}

#[test]
fn rfc3261_9_1_a_refusal_that_crosses_cancel_ends_the_leg() {
    let (mut call, invite, cancel) = canceled();
    call.answer(&invite, 486, "one", "");
    call.one("ACK");
    call.answer(&cancel, 481, "", "");
    call.ends();
}

#[test]
fn rfc3261_9_1_an_answer_while_cancel_has_to_wait_gets_ack_and_bye() {
    let (mut call, invite) = Call::dial();
    call.release(487);
    fails_with_487(&mut call);
    call.answer(&invite, 200, "one", &plain_sdp());
    assert_eq!(call.kinds(), ["ACK", "BYE"]);
    assert_eq!(call.said, []);
}
