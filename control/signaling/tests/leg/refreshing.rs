//! Session timers (RFC 4028), by UPDATE (RFC 3311) and re-INVITE, and what stands in their way.

use std::time::Duration;

use duogate_signaling::leg::{Output, SessionInterval};

use crate::call::{CONTACT, Call, plain_sdp};
use crate::text::{self, Reply, Text};

const UPDATES: &str = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE";

fn dial() -> (Call, Text) {
    Call::dial_with(|dial| dial.session = Some(SessionInterval { seconds: 1800 }))
}

fn reply<'a>(headers: &'a [&'a str], sdp: &'a str) -> Reply<'a> {
    Reply { tag: "one", contact: CONTACT, headers, sdp }
}

/// Answered, with these headers in the 200.
fn answered(headers: &[&str]) -> (Call, Text) {
    let (mut call, invite) = dial();
    call.deliver(&text::response(&invite, 200, &reply(headers, &plain_sdp())));
    call.one("ACK");
    // The INVITE's transaction is over.
    call.said.clear();
    call.elapse(Duration::from_secs(40));
    call.silent();
    (call, invite)
}

fn lost(call: &mut Call) {
    assert!(!call.take("BYE").is_empty());
    assert_eq!(call.said, [Output::Ended { cause: 408 }]);
}

#[test]
fn rfc4028_7_1_the_interval_is_asked_for() {
    let (_, invite) = dial();
    assert_eq!(invite.header("Session-Expires"), "1800");
    assert!(invite.header("Supported").contains("timer"));
}

#[test]
fn rfc4028_7_3_a_422_is_followed_by_a_longer_interval_and_only_by_a_longer_one() {
    let (mut call, invite) = dial();
    call.deliver(&text::response(&invite, 422, &reply(&["Min-SE: 3600"], "")));
    let sent: Vec<Text> = call.sent.drain(..).map(|(_, text)| text).collect();
    let second = sent[1].clone();
    assert_eq!((sent[0].kind(), second.kind(), second.cseq()), ("ACK", "INVITE", 2));
    assert_eq!((second.header("Session-Expires"), second.header("Min-SE")), ("3600", "3600"));
    call.said.clear();
    call.deliver(&text::response(&second, 422, &reply(&["Min-SE: 3600"], "")));
    call.one("ACK");
    assert!(matches!(call.said.as_slice(), [Output::Failed { status: 422, .. }]));
}

#[test]
fn rfc4028_7_4_we_refresh_by_update_where_the_party_takes_it() {
    let (mut call, _) = answered(&[UPDATES, "Session-Expires: 1800;refresher=uac", "Require: timer"]);
    call.elapse(Duration::from_secs(860));
    let update = call.one("UPDATE");
    assert_eq!(update.header("Session-Expires"), "1800;refresher=uac");
    assert!(update.body.is_empty());
    call.deliver(&text::response(&update, 200, &reply(&["Session-Expires: 1800;refresher=uac"], "")));
    call.silent();
    call.elapse(Duration::from_secs(900));
    call.one("UPDATE");
}

#[test]
fn rfc4028_7_4_and_by_reinvite_where_it_does_not_saying_what_was_said_before() {
    let (mut call, invite) = answered(&["Session-Expires: 600;refresher=uac"]);
    call.elapse(Duration::from_secs(260));
    let again = call.one("INVITE");
    assert_eq!((again.body.as_str(), again.to_tag()), (invite.body.as_str(), "one"));
    call.deliver(&text::response(&again, 200, &reply(&["Session-Expires: 600;refresher=uac"], &plain_sdp())));
    let ack = call.one("ACK");
    assert_eq!(ack.cseq(), again.cseq());
    // A repetition gets the same ACK.
    call.deliver(&text::response(&again, 200, &reply(&[], &plain_sdp())));
    assert_eq!(call.one("ACK").branch(), ack.branch());
    call.silent();
}

#[test]
fn rfc4028_10_a_party_that_refreshes_no_more_is_gone() {
    let (mut call, _) = answered(&["Session-Expires: 600;refresher=uas"]);
    call.elapse(Duration::from_secs(600 - 32 - 40 - 1));
    call.silent();
    call.elapse(Duration::from_secs(2));
    lost(&mut call);
}

#[test]
fn rfc4028_9_a_refresh_of_the_party_is_answered_and_begins_the_interval_anew() {
    let (mut call, invite) = answered(&["Session-Expires: 600;refresher=uas"]);
    call.elapse(Duration::from_secs(400));
    let headers = ["Session-Expires: 600;refresher=uac", "Supported: timer"];
    call.deliver(&text::request(&invite, "UPDATE", 1, "one", &headers, ""));
    let answer = call.one("200");
    assert_eq!(answer.header("Session-Expires"), "600;refresher=uac");
    assert_eq!(answer.header("Require"), "timer");
    call.elapse(Duration::from_secs(400));
    call.silent();
    call.elapse(Duration::from_secs(170));
    lost(&mut call);
}

#[test]
fn rfc4028_9_who_knows_no_timers_is_refreshed_by_us() {
    let (mut call, invite) = answered(&[]);
    call.deliver(&text::request(&invite, "INVITE", 1, "one", &[UPDATES], &plain_sdp()));
    let answer = call.one("200");
    assert_eq!(answer.header("Session-Expires"), "1800;refresher=uas");
    assert_eq!(answer.header("Require"), "");
    call.deliver(&text::request(&invite, "ACK", 1, "one", &[], ""));
    call.elapse(Duration::from_secs(900));
    call.one("UPDATE");
}

#[test]
fn rfc4028_9_too_short_an_interval_gets_422() {
    let (mut call, invite) = answered(&[]);
    let headers = ["Session-Expires: 30", "Supported: timer"];
    call.deliver(&text::request(&invite, "UPDATE", 1, "one", &headers, ""));
    assert_eq!(call.one("422").header("Min-SE"), "90");
    call.silent();
}

#[test]
fn rfc3261_14_1_after_a_491_we_wait_as_the_owner_of_the_call_id_does() {
    let (mut call, _) = answered(&[UPDATES, "Session-Expires: 600;refresher=uac"]);
    call.elapse(Duration::from_secs(260));
    let update = call.one("UPDATE");
    call.deliver(&text::response(&update, 491, &Reply::default()));
    call.elapse(Duration::from_millis(2_090));
    call.silent();
    call.elapse(Duration::from_millis(1_920));
    assert!(!call.take("UPDATE").is_empty());
}

#[test]
fn rfc3261_14_2_glare_a_reinvite_that_crosses_ours_gets_491() {
    let (mut call, invite) = answered(&["Session-Expires: 600;refresher=uac"]);
    call.elapse(Duration::from_secs(260));
    let ours = call.one("INVITE");
    call.deliver(&text::request(&invite, "INVITE", 1, "one", &[], &plain_sdp()));
    call.one("491");
    // Its ACK.
    call.deliver(&text::request_with(&invite, "ACK", 1, "one", "INVITE1one", &[], ""));
    // Theirs with an offer in UPDATE, too (RFC 3311 section 5.2); without an offer it collides with nothing.
    call.deliver(&text::request(&invite, "UPDATE", 2, "one", &[], &plain_sdp()));
    call.one("491");
    call.deliver(&text::request(&invite, "UPDATE", 3, "one", &[], ""));
    call.one("200");
    call.deliver(&text::response(&ours, 491, &Reply::default()));
    call.one("ACK");
    call.silent();
}

#[test]
fn rfc3311_5_1_where_update_is_refused_a_reinvite_takes_its_place() {
    for status in [405, 501] {
        let (mut call, _) = answered(&[UPDATES, "Session-Expires: 600;refresher=uac"]);
        call.elapse(Duration::from_secs(260));
        let update = call.one("UPDATE");
        call.deliver(&text::response(&update, status, &Reply::default()));
        call.one("INVITE");
    }
}

#[test]
fn rfc3261_12_2_1_2_a_refresh_that_finds_no_dialog_or_no_answer_ends_the_call() {
    let (mut call, _) = answered(&[UPDATES, "Session-Expires: 600;refresher=uac"]);
    call.elapse(Duration::from_secs(260));
    let update = call.one("UPDATE");
    call.deliver(&text::response(&update, 481, &Reply::default()));
    lost(&mut call);

    let (mut call, _) = answered(&[UPDATES, "Session-Expires: 600;refresher=uac"]);
    call.elapse(Duration::from_secs(260));
    call.take("UPDATE");
    call.elapse(Duration::from_secs(33));
    assert_eq!(call.sent.pop().map(|(_, text)| text.kind().to_owned()).as_deref(), Some("BYE"));
    assert_eq!(call.said, [Output::Ended { cause: 408 }]);
}

#[test]
fn a_reinvite_that_nobody_answers_ends_with_the_call() {
    let (mut call, _) = answered(&["Session-Expires: 600;refresher=uac"]);
    call.elapse(Duration::from_secs(260));
    let again = call.one("INVITE");
    call.answer(&again, 100, "", "");
    call.release(200);
    assert_eq!(call.kinds(), ["CANCEL", "BYE"]);
    call.ends();
}

#[test]
fn rfc4028_9_a_hold_by_reinvite_is_no_reason_to_forget_the_timer() {
    let (mut call, invite) = answered(&["Session-Expires: 600;refresher=uas"]);
    let held = text::sdp("192.0.2.21", 40_000, "8 101", "sendonly");
    let headers = ["Session-Expires: 600", "Supported: timer"];
    call.deliver(&text::request(&invite, "INVITE", 1, "one", &headers, &held));
    assert_eq!(call.one("200").header("Session-Expires"), "600;refresher=uac");
    call.deliver(&text::request(&invite, "ACK", 1, "one", &[], ""));
    assert!(matches!(call.said.as_slice(), [Output::FarEnd { .. }]));
    call.said.clear();
    call.elapse(Duration::from_secs(570));
    lost(&mut call);
}
