//! Challenges (RFC 7616, RFC 8760; RFC 3261 section 22): who is answered, how, and how often.

use std::fmt::Write;
use std::sync::Arc;

use duogate_signaling::digest::{Credentials, Login};
use duogate_signaling::leg::{Input, Output};
use duogate_signaling::message::Message;
use duogate_signaling::transaction::Path;
use md5::Md5;
use sha2::{Digest, Sha256};

use crate::call::{CONTACT, Call, a_dial, party_path, plain_sdp};
use crate::text::{self, Reply, Text};

const MD5: &str =
    "Proxy-Authenticate: Digest realm=\"carrier\", nonce=\"n1\", qop=\"auth,auth-int\", algorithm=MD5";

fn login(realm: Option<&str>) -> Login {
    let credentials = Credentials {
        username: "du\"o".into(),
        password: "secret word".into(),
        realm: realm.map(str::to_owned),
    };
    Login { credentials: Arc::new(credentials), seed: 7 }
}

fn dial() -> (Call, Text) {
    Call::dial_with(|dial| dial.login = Some(login(None)))
}

fn challenge(call: &mut Call, invite: &Text, status: u16, headers: &[&str]) {
    let reply = Reply { tag: "asks", contact: CONTACT, headers, sdp: "" };
    call.deliver(&text::response(invite, status, &reply));
}

fn value(line: &str, name: &str) -> String {
    let rest = line.split(&format!("{name}=")).nth(1).unwrap_or_else(|| panic!("no {name} in {line}"));
    let text = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split(',').next(),
    };
    text.unwrap_or_default().to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Checks an answer as the server does (RFC 7616 section 3.4.1).
fn verify(line: &str, method: &str, uri: &str, hash: impl Fn(&str) -> String) {
    assert!(line.starts_with("Digest username=\"du\\\"o\""), "{line}");
    assert_eq!(value(line, ", uri"), uri);
    let [realm, nonce, nc, cnonce] = ["realm", " nonce", "nc", "cnonce"].map(|name| value(line, name));
    let secret = hash(&format!("du\"o:{realm}:secret word"));
    let request = hash(&format!("{method}:{uri}"));
    assert_eq!(value(line, "response"), hash(&format!("{secret}:{nonce}:{nc}:{cnonce}:auth:{request}")));
}

fn md5(text: &str) -> String {
    hex(&Md5::digest(text))
}

fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// The INVITE that follows a challenge, its ACK looked at.
fn again(call: &mut Call) -> Text {
    let sent: Vec<Text> = call.sent.drain(..).map(|(_, text)| text).collect();
    let [ack, invite] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((ack.kind(), invite.kind()), ("ACK", "INVITE"));
    assert_eq!(call.said.drain(..).collect::<Vec<_>>(), [Output::Again]);
    invite.clone()
}

fn fails_with(call: &mut Call, wanted: u16) {
    call.one("ACK");
    assert!(
        matches!(call.said.as_slice(), [Output::Failed { status, .. }] if *status == wanted),
        "{:?}",
        call.said
    );
}

#[test]
fn rfc3261_22_2_a_challenged_invite_is_sent_again_as_a_new_one_of_the_same_call() {
    let (mut call, first) = dial();
    assert_eq!(first.header("Proxy-Authorization"), "");
    challenge(&mut call, &first, 407, &[MD5]);
    let second = again(&mut call);
    assert_eq!((second.cseq(), second.header("Call-ID")), (2, first.header("Call-ID")));
    assert_eq!(second.sender_tag(), first.sender_tag());
    assert_ne!(second.branch(), first.branch());
    assert_eq!(second.header("To"), first.header("To"), "without the tag of the refusal");
    let line = second.header("Proxy-Authorization");
    assert_eq!((value(line, "nc").as_str(), value(line, "algorithm").as_str()), ("00000001", "MD5"));
    verify(line, "INVITE", second.uri(), md5);
}

#[test]
fn rfc3261_22_1_the_ack_of_the_answer_carries_the_credentials_of_its_invite() {
    let (mut call, first) = dial();
    challenge(&mut call, &first, 407, &[MD5]);
    let second = again(&mut call);
    call.answer(&second, 200, "one", &plain_sdp());
    let ack = call.one("ACK");
    assert_eq!(ack.header("Proxy-Authorization"), second.header("Proxy-Authorization"));
    assert_eq!(ack.header("CSeq"), "2 ACK");
}

#[test]
fn rfc7616_3_3_of_several_algorithms_the_topmost_that_is_known_is_used() {
    for (headers, expected) in [
        (
            [
                "WWW-Authenticate: Digest realm=\"r\", nonce=\"a\", qop=\"auth\", algorithm=SHA-256",
                "WWW-Authenticate: Digest realm=\"r\", nonce=\"b\", qop=\"auth\", algorithm=MD5",
            ],
            "SHA-256",
        ),
        (
            [
                "WWW-Authenticate: Digest realm=\"r\", nonce=\"a\", qop=\"auth\", algorithm=SHA-512-256",
                "WWW-Authenticate: Digest realm=\"r\", nonce=\"b\", qop=\"auth\", algorithm=MD5",
            ],
            "MD5",
        ),
    ] {
        let (mut call, first) = dial();
        challenge(&mut call, &first, 401, &headers);
        let second = again(&mut call);
        assert_eq!(second.all("Authorization").count(), 1);
        let line = second.header("Authorization");
        assert_eq!(value(line, "algorithm"), expected);
        verify(line, "INVITE", second.uri(), if expected == "MD5" { md5 } else { sha256 });
    }
}

#[test]
fn rfc3261_22_3_a_proxy_and_the_server_are_answered_at_once() {
    let (mut call, first) = dial();
    let server = "WWW-Authenticate: Digest realm=\"home\", nonce=\"n2\", qop=\"auth\", opaque=\"keep\"";
    challenge(&mut call, &first, 401, &[MD5, server]);
    let second = again(&mut call);
    verify(second.header("Proxy-Authorization"), "INVITE", second.uri(), md5);
    let line = second.header("Authorization");
    verify(line, "INVITE", second.uri(), md5);
    assert_eq!(value(line, "opaque"), "keep");
    assert!(!line.contains("algorithm"), "it was not named: {line}");
}

#[test]
fn rfc3261_22_3_one_after_the_other_too_and_both_are_given_then() {
    let (mut call, first) = dial();
    challenge(&mut call, &first, 407, &[MD5]);
    let second = again(&mut call);
    let server = "WWW-Authenticate: Digest realm=\"home\", nonce=\"n2\", qop=\"auth\"";
    challenge(&mut call, &second, 401, &[server]);
    let third = again(&mut call);
    assert_eq!(value(third.header("Proxy-Authorization"), "nc"), "00000002", "the same nonce once more");
    verify(third.header("Authorization"), "INVITE", third.uri(), md5);
}

#[test]
fn rfc7616_3_3_a_stale_nonce_is_replaced_and_a_wrong_password_is_not_tried_again() {
    let (mut call, first) = dial();
    challenge(&mut call, &first, 407, &[MD5]);
    let second = again(&mut call);
    let stale = "Proxy-Authenticate: Digest realm=\"carrier\", nonce=\"n9\", qop=\"auth\", stale=TRUE";
    challenge(&mut call, &second, 407, &[stale]);
    let third = again(&mut call);
    assert_eq!(value(third.header("Proxy-Authorization"), " nonce"), "n9");
    challenge(&mut call, &third, 407, &[MD5]);
    fails_with(&mut call, 407);
}

#[test]
fn a_server_that_challenges_without_end_is_given_up() {
    let (mut call, mut invite) = dial();
    let stale = "Proxy-Authenticate: Digest realm=\"carrier\", nonce=\"n\", qop=\"auth\", stale=true";
    for _ in 0..4 {
        challenge(&mut call, &invite, 407, &[stale]);
        invite = again(&mut call);
    }
    challenge(&mut call, &invite, 407, &[stale]);
    fails_with(&mut call, 407);
    call.said.clear();
    call.ends();
}

#[test]
fn rfc7616_3_5_the_next_nonce_is_used_and_counted_from_one() {
    let (mut call, first) = dial();
    challenge(&mut call, &first, 407, &[MD5]);
    let second = again(&mut call);
    let info = ["Proxy-Authentication-Info: nextnonce=\"n2\""];
    let reply = Reply { tag: "one", contact: CONTACT, headers: &info, sdp: &plain_sdp() };
    call.deliver(&text::response(&second, 200, &reply));
    call.one("ACK");
    call.release(200);
    let bye = call.one("BYE");
    let line = bye.header("Proxy-Authorization");
    assert_eq!((value(line, " nonce").as_str(), value(line, "nc").as_str()), ("n2", "00000001"));
    verify(line, "BYE", bye.uri(), md5);
}

#[test]
fn rfc3261_22_2_a_challenged_bye_is_sent_again_once() {
    let (mut call, invite) = dial();
    call.answer(&invite, 200, "one", &plain_sdp());
    call.one("ACK");
    call.release(200);
    let first = call.one("BYE");
    challenge(&mut call, &first, 407, &[MD5]);
    let second = call.one("BYE");
    assert_eq!(second.cseq(), first.cseq() + 1);
    verify(second.header("Proxy-Authorization"), "BYE", second.uri(), md5);
    challenge(&mut call, &second, 407, &[MD5]);
    call.said.clear();
    call.ends();
}

#[test]
fn rfc3261_22_2_a_challenged_bye_of_a_late_fork_is_sent_again_once() {
    let (mut call, invite) = dial();
    call.answer(&invite, 200, "one", &plain_sdp());
    call.one("ACK");
    call.said.clear();
    call.answer(&invite, 200, "two", &plain_sdp());
    let sent: Vec<_> = call.sent.drain(..).map(|(_, text)| text).collect();
    let [_, first] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((first.kind(), first.to_tag()), ("BYE", "two"));
    challenge(&mut call, first, 407, &[MD5]);
    let second = call.one("BYE");
    assert_eq!((second.cseq(), second.to_tag()), (first.cseq() + 1, "two"));
    verify(second.header("Proxy-Authorization"), "BYE", second.uri(), md5);
    challenge(&mut call, &second, 407, &[MD5]);
    call.silent();
    call.release(200);
    assert_eq!(call.one("BYE").to_tag(), "one", "the call itself went on");
}

#[test]
fn without_credentials_for_that_realm_a_challenge_is_the_end() {
    for realm in [None, Some("another")] {
        let (mut call, first) = Call::dial_with(|dial| dial.login = realm.map(|realm| login(Some(realm))));
        challenge(&mut call, &first, 407, &[MD5]);
        fails_with(&mut call, 407);
    }
}

#[test]
fn only_challenges_of_a_known_kind_and_size_are_answered() {
    let long = format!("WWW-Authenticate: Digest realm=\"r\", nonce=\"{}\"", "n".repeat(600));
    for header in [
        "WWW-Authenticate: Basic realm=\"r\"",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
        "WWW-Authenticate: Digest realm=\"r\"",
        "X-None: of all",
        &long,
    ] {
        let (mut call, first) = dial();
        challenge(&mut call, &first, 401, &[header]);
        fails_with(&mut call, 401);
    }
}

/// A party may lead the requests of a dialog to where it likes, and challenge them there, or speak from elsewhere.
#[test]
fn rfc3261_22_2_challenges_of_another_address_are_never_answered() {
    let (mut call, invite) = dial();
    let elsewhere = "sip:thief@203.0.113.66:5060";
    call.deliver(&text::response(
        &invite,
        200,
        &Reply { tag: "one", contact: elsewhere, headers: &[], sdp: &plain_sdp() },
    ));
    call.take("ACK");
    call.release(200);
    let (path, bye) = call.sent.remove(0);
    assert_eq!(path.address.to_string(), "203.0.113.66:5060");
    let asked = text::response(
        &bye,
        401,
        &Reply { headers: &["WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n\""], ..Reply::default() },
    );
    let message = Message::parse(&asked).expect("a message");
    call.leg.handle(call.now, Input::Received { path, message: &message });
    assert_eq!(call.leg.poll_output(), None, "no second BYE");

    let (mut call, invite) = dial();
    let asked = text::response(
        &invite,
        401,
        &Reply {
            tag: "x",
            headers: &["WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n\""],
            ..Reply::default()
        },
    );
    let message = Message::parse(&asked).expect("a message");
    let path = Path { address: "203.0.113.66:5060".parse().expect("an address"), ..party_path() };
    call.leg.handle(call.now, Input::Received { path, message: &message });
    let sent: Vec<_> = std::iter::from_fn(|| call.leg.poll_output()).collect();
    assert!(!format!("{sent:?}").contains("Digest"), "{sent:?}");
}

#[test]
fn a_password_is_nowhere_to_be_read() {
    let mut dial = a_dial();
    dial.login = Some(login(None));
    let (mut call, invite) = Call::dial_with(|other| *other = dial.clone());
    challenge(&mut call, &invite, 407, &[MD5]);
    let second = again(&mut call);
    for text in [format!("{dial:?}"), format!("{:?}", call.leg), format!("{second:?}")] {
        assert!(!text.contains("secret word"), "{text}");
    }
}
