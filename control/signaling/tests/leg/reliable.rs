//! Reliable provisional responses (RFC 3262).

use std::time::Duration;

use duogate_signaling::leg::Output;

use crate::call::{CONTACT, Call, plain_sdp};
use crate::text::{self, Reply, Text};

fn ring(call: &mut Call, invite: &Text, status: u16, tag: &str, rseq: u32, sdp: &str) {
    let rseq = format!("RSeq: {rseq}");
    let headers = ["Require: 100rel", rseq.as_str()];
    call.deliver(&text::response(invite, status, &Reply { tag, contact: CONTACT, headers: &headers, sdp }));
}

#[test]
fn rfc3262_4_support_is_offered_and_a_reliable_response_gets_its_prack() {
    let (mut call, invite) = Call::dial();
    assert!(invite.header("Supported").contains("100rel"));
    ring(&mut call, &invite, 183, "one", 4_711, &plain_sdp());
    let prack = call.one("PRACK");
    assert_eq!(prack.header("RAck"), "4711 1 INVITE");
    assert_eq!((prack.header("CSeq"), prack.to_tag()), ("2 PRACK", "one"));
    assert_eq!(prack.uri(), CONTACT);
    assert!(matches!(call.said.as_slice(), [Output::Provisional { status: 183, early_media: Some(_) }]));
    call.said.clear();
    call.answer(&prack, 200, "", "");
    call.elapse(Duration::from_secs(40));
    call.silent();
}

#[test]
fn rfc3262_4_a_prack_is_repeated_until_it_is_answered() {
    let (mut call, invite) = Call::dial();
    ring(&mut call, &invite, 180, "one", 1, "");
    let first = call.one("PRACK");
    call.elapse(Duration::from_millis(500));
    assert_eq!(call.one("PRACK").branch(), first.branch());
}

#[test]
fn rfc3262_4_repetitions_and_overtakers_are_as_if_they_had_not_come() {
    let (mut call, invite) = Call::dial();
    ring(&mut call, &invite, 180, "one", 5, "");
    call.one("PRACK");
    call.said.clear();
    ring(&mut call, &invite, 180, "one", 5, "");
    ring(&mut call, &invite, 183, "one", 7, &plain_sdp());
    ring(&mut call, &invite, 183, "one", 4, &plain_sdp());
    call.silent();
    ring(&mut call, &invite, 183, "one", 6, "");
    assert_eq!(call.one("PRACK").header("RAck"), "6 1 INVITE");
}

#[test]
fn rfc3262_4_each_early_dialog_counts_for_itself() {
    let (mut call, invite) = Call::dial();
    ring(&mut call, &invite, 180, "one", 5, "");
    ring(&mut call, &invite, 180, "two", 900, "");
    let sent: Vec<Text> = call.take("PRACK");
    assert_eq!(sent.iter().map(Text::to_tag).collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn rfc3262_5_the_answer_in_a_reliable_response_is_the_answer_and_cseqs_go_on() {
    let (mut call, invite) = Call::dial();
    ring(&mut call, &invite, 183, "one", 1, &plain_sdp());
    let prack = call.one("PRACK");
    call.answer(&prack, 200, "", "");
    call.said.clear();
    call.answer(&invite, 200, "one", "");
    assert_eq!(call.one("ACK").header("CSeq"), "1 ACK");
    assert!(matches!(call.said.as_slice(), [Output::Answered { .. }]));
    call.release(200);
    assert_eq!(call.one("BYE").header("CSeq"), "3 BYE");
}

#[test]
fn a_storm_of_reliable_responses_costs_a_bounded_number_of_pracks() {
    let (mut call, invite) = Call::dial();
    for rseq in 1..200 {
        ring(&mut call, &invite, 180, "one", rseq, "");
    }
    assert_eq!(call.take("PRACK").len(), 16);
    call.answer(&invite, 486, "one", "");
    call.said.clear();
    call.elapse(Duration::from_secs(200));
    assert!(call.leg.is_gone());
}
