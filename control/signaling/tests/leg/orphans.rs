//! Calls of a process that died, ended by its successor from the journal alone.

use std::time::Duration;

use duogate_signaling::endpoint::NotACall;
use duogate_signaling::resource::note::LegNote;

use crate::call::plain_sdp;
use crate::node::{Node, ONE, TWO};
use crate::text::Text;

/// What the journal of a process knows of a party's call when the process dies.
fn row(node: &Node, party: usize) -> LegNote {
    let note = node.journal.as_ref().expect("a row was written");
    note.legs[party].clone().expect("the party was called")
}

/// Its successor, with nothing but the journal.
fn successor() -> Node {
    Node::started(8)
}

fn gone(mut node: Node) {
    node.elapse(Duration::from_secs(100));
    assert!(node.endpoint.is_idle(), "nothing is left of it");
    assert_eq!(node.events, [], "nobody is told about a call that is nobody's");
}

#[test]
fn an_answered_call_gets_bye_in_its_dialog() {
    let (former, invite) = Node::calling_two();
    let mut node = successor();
    node.end_orphan(&row(&former, 0), 20_000).expect("a call");
    let bye = node.one(ONE, "BYE");
    assert_eq!(bye.header("Call-ID"), invite.header("Call-ID"));
    assert_eq!(bye.header("From"), invite.header("From"));
    assert_eq!((bye.header("CSeq"), bye.to_tag()), ("2 BYE", "one"));
    assert!(bye.header("Reason").starts_with("SIP;cause=500;"), "{}", bye.header("Reason"));
    assert_ne!(bye.branch(), invite.branch());
    node.answer(ONE, &bye, 200, "", "");
    gone(node);
}

#[test]
fn rfc3263_4_the_bye_of_an_answered_call_goes_to_where_its_contact_is_located() {
    let (former, _) = Node::calling_two();
    let mut named = row(&former, 0);
    named.remote_target = "sip:b@party.example;transport=udp".into();
    let mut node = successor();
    node.end_orphan(&named, 20_000).expect("a call");
    assert!(node.sent.is_empty(), "nothing goes elsewhere meanwhile");
    let [host] = node.asked_hosts().try_into().expect("one question");
    assert_eq!(host, "party.example");
    node.located(&["192.0.2.77:5070"]);
    let bye = node.one("192.0.2.77:5070", "BYE");
    assert!(bye.start.contains("sip:b@party.example"), "{}", bye.start);
    node.answer("192.0.2.77:5070", &bye, 200, "", "");
    gone(node);
    // One that is nowhere is reached the way the INVITE went.
    let mut node = successor();
    node.end_orphan(&named, 20_000).expect("a call");
    node.located(&[]);
    let bye = node.one(ONE, "BYE");
    node.answer(ONE, &bye, 200, "", "");
    gone(node);
}

#[test]
fn a_bye_that_nobody_answers_is_repeated_and_given_up() {
    let (former, _) = Node::calling_two();
    let mut node = successor();
    node.end_orphan(&row(&former, 0), 20_000).expect("a call");
    node.elapse(Duration::from_secs(40));
    assert_eq!(node.kinds(ONE).len(), 11, "RFC 3261 section 17.1.2.2");
    gone(node);
}

#[test]
fn a_ringing_call_is_canceled() {
    let (mut former, _) = Node::calling_two();
    let invite = former.one(TWO, "INVITE");
    former.answer(TWO, &invite, 180, "two", "");
    let mut node = successor();
    node.end_orphan(&row(&former, 1), 20_002).expect("a call");
    let again = node.one(TWO, "INVITE");
    assert_eq!((again.start.as_str(), &again.body), (invite.start.as_str(), &invite.body));
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        assert_eq!(again.header(name), invite.header(name), "a repetition of the first INVITE: {name}");
    }
    node.answer(TWO, &again, 180, "two", "");
    let cancel = node.one(TWO, "CANCEL");
    assert_eq!(cancel.header("Via"), invite.header("Via"));
    node.answer(TWO, &cancel, 200, "two", "");
    node.answer(TWO, &again, 487, "two", "");
    node.one(TWO, "ACK");
    gone(node);
}

#[test]
fn a_call_that_was_answered_meanwhile_is_acknowledged_and_ended() {
    let (former, _) = Node::calling_two();
    let mut node = successor();
    node.end_orphan(&row(&former, 1), 20_002).expect("a call");
    let again = node.one(TWO, "INVITE");
    node.answer(TWO, &again, 200, "two", &plain_sdp());
    let kinds: Vec<String> = node.kinds(TWO);
    assert_eq!(kinds, ["ACK", "BYE"]);
    let bye: Text = node.take(TWO).pop().expect("counted before");
    node.answer(TWO, &bye, 200, "", "");
    gone(node);
}

#[test]
fn a_row_that_describes_no_call_does_nothing() {
    let (former, _) = Node::calling_two();
    let good = row(&former, 0);
    let damaged: [fn(&mut LegNote); 7] = [
        |row| row.call_id.clear(),
        |row| row.local_tag = "no tag of ours".into(),
        |row| row.branch = 0,
        |row| row.address = None,
        |row| row.listener = 9,
        |row| row.remote_uri = "nonsense".into(),
        |row| row.remote_target.clear(),
    ];
    for damage in damaged {
        let mut row = good.clone();
        damage(&mut row);
        let mut node = successor();
        assert_eq!(node.end_orphan(&row, 20_000), Err(NotACall), "{row:?}");
        assert!(node.sent.is_empty() && node.endpoint.is_idle());
    }
}
