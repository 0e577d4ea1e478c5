//! The end of an answered call (RFC 3261 section 15).

use std::time::Duration;

use duogate_signaling::leg::Output;

use crate::call::{Call, plain_sdp};
use crate::text;

#[test]
fn rfc3261_15_1_1_a_release_sends_bye_with_the_cause() {
    let (mut call, _) = Call::answered();
    call.release(603);
    let bye = call.one("BYE");
    assert_eq!(bye.start, "BYE sip:party@192.0.2.20:5060 SIP/2.0");
    assert_eq!((bye.header("CSeq"), bye.to_tag()), ("2 BYE", "one"));
    assert!(bye.header("Reason").starts_with("SIP;cause=603;text=\"Decline\""), "{}", bye.header("Reason"));
    call.answer(&bye, 200, "", "");
    call.ends();
    assert!(call.sent.is_empty());
}

#[test]
fn rfc3261_15_1_1_bye_ends_the_call_whatever_its_answer() {
    for status in [200, 401, 408, 481, 500, 603] {
        let (mut call, _) = Call::answered();
        call.release(200);
        let bye = call.one("BYE");
        call.answer(&bye, status, "", "");
        call.ends();
        assert!(call.sent.is_empty(), "{status}");
    }
}

#[test]
fn rfc3261_17_1_2_2_bye_is_repeated_and_given_up() {
    let (mut call, _) = Call::answered();
    call.release(200);
    call.elapse(Duration::from_secs(200));
    assert_eq!(call.take("BYE").len(), 11);
    assert_eq!(call.said, [Output::Gone]);
}

#[test]
fn a_bye_that_cannot_be_sent_ends_the_leg() {
    let (mut call, _) = Call::answered();
    call.release(200);
    call.one("BYE");
    call.unreachable(crate::call::PARTY);
    call.ends();
}

#[test]
fn rfc3261_15_1_2_bye_of_the_party_is_answered_and_reported() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request(&invite, "BYE", 1, "one", &[], ""));
    call.one("200");
    assert_eq!(call.said, [Output::Ended { cause: 200 }]);
    call.said.clear();
    call.release(200);
    call.silent();
    call.ends();
}

#[test]
fn rfc3326_the_cause_of_the_partys_bye_is_reported() {
    let (mut call, invite) = Call::answered();
    let reason = ["Reason: Q.850;cause=16, SIP;cause=480;text=\"gone\""];
    call.deliver(&text::request(&invite, "BYE", 1, "one", &reason, ""));
    assert_eq!(call.said, [Output::Ended { cause: 480 }]);
}

#[test]
fn rfc3261_17_2_2_a_repeated_bye_is_answered_again_and_reported_once() {
    let (mut call, invite) = Call::answered();
    for _ in 0..3 {
        call.deliver(&text::request(&invite, "BYE", 1, "one", &[], ""));
        call.one("200");
    }
    assert_eq!(call.said, [Output::Ended { cause: 200 }]);
}

#[test]
fn rfc5407_bye_crossing_bye() {
    let (mut call, invite) = Call::answered();
    call.release(200);
    let bye = call.one("BYE");
    call.deliver(&text::request(&invite, "BYE", 1, "one", &[], ""));
    call.one("200");
    call.answer(&bye, 481, "", "");
    call.ends();
}

#[test]
fn rfc5407_requests_after_our_bye_get_481() {
    let (mut call, invite) = Call::answered();
    call.release(200);
    call.one("BYE");
    call.deliver(&text::request(&invite, "INVITE", 1, "one", &[], &plain_sdp()));
    call.one("481");
    call.deliver(&text::request(&invite, "UPDATE", 2, "one", &[], &plain_sdp()));
    call.one("481");
    assert_eq!(call.said, []);
}

#[test]
fn rfc3261_15_1_2_bye_in_a_dialog_that_is_not_ours_gets_481_and_changes_nothing() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request(&invite, "BYE", 1, "stranger", &[], ""));
    call.one("481");
    call.silent();
}

#[test]
fn rfc3261_13_2_2_4_an_answer_repeated_after_the_partys_bye_is_acknowledged() {
    let (mut call, invite) = Call::answered();
    call.deliver(&text::request(&invite, "BYE", 1, "one", &[], ""));
    call.one("200");
    call.answer(&invite, 200, "one", &plain_sdp());
    call.one("ACK");
}

#[test]
fn a_long_call_needs_nothing_from_the_clock() {
    let (mut call, _) = Call::answered();
    call.elapse(Duration::from_secs(40));
    assert_eq!(call.leg.next_deadline(), None);
    call.elapse(Duration::from_secs(86_400));
    call.silent();
    call.release(200);
    let bye = call.one("BYE");
    call.answer(&bye, 200, "", "");
    call.ends();
}

#[test]
fn a_leg_is_small() {
    // 64 KiB are allowed for a connected pair, both processes together; a leg in conversation holds no messages.
    assert!(
        size_of::<duogate_signaling::leg::Leg>() <= 2_048,
        "{}",
        size_of::<duogate_signaling::leg::Leg>()
    );
}
