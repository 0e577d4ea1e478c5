//! Early dialogs, early media and forks (RFC 3261 sections 12.1, 13.2.2; RFC 3264).

use std::time::Duration;

use duogate_signaling::leg::Output;

use crate::call::{Call, plain_sdp};
use crate::text;

fn sdp_at(port: u16) -> String {
    text::sdp("192.0.2.21", port, "8 101", "sendrecv")
}

/// The early media's port of each `Provisional`, in order; 0 where there is none.
fn early_ports(call: &mut Call) -> Vec<(u16, u16)> {
    let port = |output: Output| match output {
        Output::Provisional { status, early_media } => {
            (status, early_media.map_or(0, |far| far.address.port()))
        }
        other => panic!("{other:?}"),
    };
    call.said.drain(..).map(port).collect()
}

fn answered_port(call: &mut Call) -> u16 {
    match call.said.drain(..).collect::<Vec<_>>().as_slice() {
        [Output::Answered { far_end }] => far_end.address.port(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rfc3261_21_1_a_100_is_not_reported_and_others_are() {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 100, "", "");
    call.silent();
    for status in [180, 181, 182, 183] {
        call.answer(&invite, status, "one", "");
        assert_eq!(early_ports(&mut call), [(status, 0)]);
    }
}

#[test]
fn rfc3261_13_2_1_early_media_then_the_same_in_the_answer() {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 183, "one", &sdp_at(40_000));
    assert_eq!(early_ports(&mut call), [(183, 40_000)]);
    call.answer(&invite, 200, "one", &sdp_at(40_000));
    call.one("ACK");
    assert_eq!(answered_port(&mut call), 40_000);
}

#[test]
fn rfc3261_13_2_1_the_answer_may_replace_early_media() {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 183, "one", &sdp_at(40_000));
    call.answer(&invite, 200, "one", &sdp_at(40_002));
    call.said.remove(0);
    assert_eq!(answered_port(&mut call), 40_002);
}

#[test]
fn rfc3261_13_2_1_an_answer_without_description_keeps_that_of_its_own_early_dialog() {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 183, "one", &sdp_at(40_000));
    call.answer(&invite, 183, "two", &sdp_at(40_002));
    early_ports(&mut call);
    call.answer(&invite, 200, "one", "");
    call.one("ACK");
    assert_eq!(answered_port(&mut call), 40_000);
}

#[test]
fn rfc3261_13_2_1_early_media_of_another_branch_is_no_answer() {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 183, "one", &sdp_at(40_000));
    early_ports(&mut call);
    call.answer(&invite, 200, "two", "");
    assert_eq!(call.kinds(), ["ACK", "BYE"]);
    assert!(matches!(call.said.as_slice(), [Output::Failed { status: 488, .. }]));
}

#[test]
fn rfc3261_13_2_2_1_the_latest_early_media_of_a_fork_is_heard() {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 183, "one", &sdp_at(40_000));
    call.answer(&invite, 183, "two", &sdp_at(40_002));
    call.answer(&invite, 180, "three", "");
    call.answer(&invite, 183, "one", &sdp_at(40_004));
    assert_eq!(early_ports(&mut call), [(183, 40_000), (183, 40_002), (180, 40_002), (183, 40_004)]);
}

#[test]
fn early_media_that_cannot_be_used_is_passed_over() {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 183, "one", &text::sdp("192.0.2.21", 40_000, "18", "sendrecv"));
    call.answer(&invite, 183, "one", "garbage");
    assert_eq!(early_ports(&mut call), [(183, 0), (183, 0)]);
}

#[test]
fn two_183s_then_200_of_the_first() {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 183, "one", &sdp_at(40_000));
    call.answer(&invite, 183, "two", &sdp_at(40_002));
    early_ports(&mut call);
    call.answer(&invite, 200, "one", &sdp_at(40_000));
    assert_eq!(call.one("ACK").to_tag(), "one");
    assert_eq!(answered_port(&mut call), 40_000);
    call.release(200);
    let bye = call.one("BYE");
    assert_eq!(bye.to_tag(), "one");
    call.answer(&bye, 200, "", "");
    call.ends();
}

#[test]
fn rfc3261_13_2_2_4_a_second_answer_of_a_fork_gets_ack_and_bye() {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 200, "one", &plain_sdp());
    call.one("ACK");
    answered_port(&mut call);
    call.answer(&invite, 200, "two", &plain_sdp());
    let sent: Vec<_> = call.sent.drain(..).map(|(_, text)| text).collect();
    let [ack, bye] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((ack.kind(), ack.to_tag(), ack.header("CSeq")), ("ACK", "two", "1 ACK"));
    assert_eq!((bye.kind(), bye.to_tag(), bye.header("CSeq")), ("BYE", "two", "2 BYE"));
    call.answer(bye, 200, "", "");
    call.silent();

    // Its repetition gets the ACK again and no second BYE; the call itself goes on.
    call.answer(&invite, 200, "two", &plain_sdp());
    assert_eq!(call.one("ACK").to_tag(), "two");
    call.elapse(Duration::from_secs(60));
    call.silent();
    call.release(200);
    assert_eq!(call.one("BYE").to_tag(), "one");
}

#[test]
fn rfc3261_13_2_2_4_a_repeated_answer_gets_the_same_ack_again() {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 200, "one", &plain_sdp());
    let first = call.one("ACK");
    answered_port(&mut call);
    for _ in 0..4 {
        call.answer(&invite, 200, "one", &plain_sdp());
        assert_eq!(call.one("ACK").branch(), first.branch());
    }
    call.silent();
}

#[test]
fn rfc3261_12_1_2_a_party_without_a_tag_can_answer() {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 180, "", "");
    call.answer(&invite, 200, "", &plain_sdp());
    assert_eq!(call.one("ACK").header("To"), "<sip:1389@192.0.2.20:5060>");
    call.said.remove(0);
    assert_eq!(answered_port(&mut call), 40_000);
}

#[test]
fn of_a_fork_without_end_the_oldest_early_media_is_forgotten() {
    for (branches, status) in [(8, 200), (9, 488)] {
        let (mut call, invite) = Call::dial();
        for branch in 0..branches {
            call.answer(&invite, 183, &format!("early{branch}"), &sdp_at(40_000));
        }
        early_ports(&mut call);
        call.answer(&invite, 200, "early0", "");
        let kept = matches!(call.said.as_slice(), [Output::Answered { .. }]);
        assert_eq!(kept, status == 200, "{branches} branches: {:?}", call.said);
    }
}

#[test]
fn a_fork_without_end_costs_bounded_memory_and_datagrams() {
    let (mut call, invite) = Call::dial();
    for branch in 0..100 {
        call.answer(&invite, 183, &format!("early{branch}"), &sdp_at(40_000));
    }
    early_ports(&mut call);
    for branch in 0..100 {
        call.answer(&invite, 200, &format!("early{branch}"), &plain_sdp());
    }
    assert_eq!(answered_port(&mut call), 40_000);
    let kinds = call.kinds();
    let count = |kind: &str| kinds.iter().filter(|other| *other == kind).count();
    assert_eq!((count("ACK"), count("BYE")), (9, 8));
}
