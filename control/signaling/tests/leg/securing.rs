//! Keys in offers and answers (RFC 4568, RFC 8643): what is asked for, what is taken, and what ends a call.

use duogate_channel::srtp::{Master, MasterKeys, Suite};
use duogate_signaling::leg::Output;
use duogate_signaling::sdp::{OwnKeys, SdpError};
use proptest::prelude::*;

use crate::call::{Call, plain_sdp};
use crate::text::{self, Text};

/// 30 octets of 0x11.
const THEIRS: &str = "ERERERERERERERERERERERERERERERERERERERER";
/// 30 octets of 0x22.
const OTHERS: &str = "IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIi";

fn master(octet: u8) -> Master {
    Master::new(Suite::AesCm128HmacSha1_80, &[octet; 30]).expect("30 octets")
}

fn own(required: bool) -> OwnKeys {
    let gcm = Master::new(Suite::AeadAes128Gcm, &[5; 28]).expect("28 octets");
    OwnKeys { required, keys: vec![(Suite::AesCm128HmacSha1_80, master(9)), (Suite::AeadAes128Gcm, gcm)] }
}

fn keys(theirs: u8) -> MasterKeys {
    MasterKeys { suite: Suite::AesCm128HmacSha1_80, ours: master(9), theirs: master(theirs) }
}

fn dial(required: bool) -> (Call, Text) {
    Call::dial_with(|dial| dial.offer.own_keys = Some(own(required)))
}

/// A description with this profile and these `a=crypto` values.
fn sdp(profile: &str, crypto: &[String]) -> String {
    let mut text = plain_sdp().replace("RTP/AVP", profile);
    for value in crypto {
        text.push_str(&format!("a=crypto:{value}\r\n"));
    }
    text
}

fn line(tag: u32, key: &str) -> String {
    format!("{tag} AES_CM_128_HMAC_SHA1_80 inline:{key}")
}

/// The keys that were told, if any, before the answer.
fn told(call: &mut Call) -> Option<MasterKeys> {
    let said: Vec<Output> = call.said.drain(..).collect();
    match said.as_slice() {
        [Output::Secured { keys }, Output::Answered { .. }] => *keys,
        [Output::Answered { .. }] => None,
        other => panic!("{other:?}"),
    }
}

fn failure(call: &mut Call) -> (u16, String, Option<SdpError>) {
    let said: Vec<Output> = call.said.drain(..).collect();
    match said.as_slice() {
        [Output::Failed { status, text, unusable, .. }] => (*status, text.clone(), *unusable),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rfc4568_5_1_1_required_keys_are_offered_under_the_secured_profile() {
    let (_, invite) = dial(true);
    assert!(invite.body.contains("m=audio 20000 RTP/SAVP "), "{}", invite.body);
    let ours = invite.body.lines().filter(|line| line.starts_with("a=crypto:")).collect::<Vec<_>>();
    assert!(ours[0].starts_with("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:CQkJ"), "{ours:?}");
    assert!(ours[1].starts_with("a=crypto:2 AEAD_AES_128_GCM inline:BQUF"), "{ours:?}");
}

#[test]
fn rfc8643_3_1_optional_keys_are_offered_beside_plain_rtp() {
    let (_, invite) = dial(false);
    assert!(invite.body.contains("m=audio 20000 RTP/AVP "), "{}", invite.body);
    assert_eq!(invite.body.matches("a=crypto:").count(), 2);
}

#[test]
fn rfc4568_5_1_3_the_answers_key_is_taken_under_the_tag_of_ours() {
    for (required, profile) in [(true, "RTP/SAVP"), (false, "RTP/AVP"), (false, "RTP/SAVP")] {
        let (mut call, invite) = dial(required);
        call.answer(&invite, 200, "one", &sdp(profile, &[line(1, THEIRS)]));
        call.one("ACK");
        assert_eq!(told(&mut call), Some(keys(0x11)), "{profile}");
    }
}

#[test]
fn a_plain_answer_is_taken_where_keys_are_optional() {
    let (mut call, invite) = dial(false);
    call.answer(&invite, 200, "one", &plain_sdp());
    call.one("ACK");
    assert_eq!(told(&mut call), None);
}

#[test]
fn an_answer_that_is_not_secured_as_it_must_be_ends_the_call_with_488() {
    for (required, answer, reason) in [
        (true, plain_sdp(), "not secured"),
        (true, sdp("RTP/AVP", &[line(1, THEIRS)]), "not secured"),
        (true, sdp("RTP/SAVP", &[]), "crypto"),
        (true, sdp("RTP/SAVP", &[line(2, THEIRS)]), "crypto"),
        (true, sdp("RTP/SAVP", &[line(3, THEIRS)]), "crypto"),
        (true, sdp("RTP/SAVP", &[line(0, THEIRS)]), "crypto"),
        (true, sdp("RTP/SAVP", &[line(1, &THEIRS[4..])]), "crypto"),
        (true, sdp("RTP/SAVP", &[line(1, THEIRS), line(1, OTHERS)]), "crypto"),
        (true, sdp("RTP/SAVP", &[line(1, THEIRS) + "|1:4"]), "crypto"),
        (true, sdp("RTP/SAVP", &[line(1, THEIRS) + " UNENCRYPTED_SRTP"]), "crypto"),
        (true, sdp("RTP/SAVP", &[line(1, THEIRS).replace("_80", "_32")]), "crypto"),
        (false, sdp("RTP/SAVP", &[]), "crypto"),
        (false, sdp("RTP/AVP", &[line(7, THEIRS)]), "crypto"),
    ] {
        let (mut call, invite) = dial(required);
        call.answer(&invite, 200, "one", &answer);
        call.drain();
        let (status, text, unusable) = failure(&mut call);
        assert_eq!(status, 488, "{answer}");
        assert!(matches!(unusable, Some(SdpError::Insecure | SdpError::Crypto)), "{unusable:?}: {answer}");
        assert!(text.contains(reason), "{text}: {answer}");
    }
}

#[test]
fn without_keys_of_ours_a_secured_answer_is_refused() {
    let (mut call, invite) = Call::dial();
    assert!(!invite.body.contains("crypto"));
    call.answer(&invite, 200, "one", &sdp("RTP/SAVP", &[line(1, THEIRS)]));
    call.drain();
    assert_eq!(failure(&mut call).0, 488);
}

/// A call with keys, answered.
fn secured(required: bool) -> (Call, Text) {
    let (mut call, invite) = dial(required);
    let profile = if required { "RTP/SAVP" } else { "RTP/AVP" };
    call.answer(&invite, 200, "one", &sdp(profile, &[line(1, THEIRS)]));
    call.one("ACK");
    assert_eq!(told(&mut call), Some(keys(0x11)));
    (call, invite)
}

#[test]
fn rfc4568_7_1_4_another_key_in_mid_call_is_answered_with_ours_under_its_tag() {
    let (mut call, invite) = secured(true);
    let offer = sdp("RTP/SAVP", &["4 AES_CM_256_HMAC_SHA1_80 inline:AAAA".into(), line(8, OTHERS)]);
    call.deliver(&text::request(&invite, "INVITE", 1, "one", &[], &offer));
    let answer = call.one("200");
    assert!(answer.body.contains("RTP/SAVP"), "{}", answer.body);
    let ours: Vec<&str> = answer.body.lines().filter(|line| line.starts_with("a=crypto:")).collect();
    assert_eq!(ours.len(), 1);
    assert!(ours[0].starts_with("a=crypto:8 AES_CM_128_HMAC_SHA1_80 inline:CQkJ"), "{ours:?}");
    let said: Vec<Output> = call.said.drain(..).collect();
    assert!(
        matches!(said.as_slice(), [Output::Secured { keys: Some(told) }] if *told == keys(0x22)),
        "{said:?}"
    );
}

#[test]
fn an_offer_in_plain_is_refused_where_keys_are_required_and_taken_where_not() {
    let (mut call, invite) = secured(true);
    call.deliver(&text::request(&invite, "INVITE", 1, "one", &[], &plain_sdp()));
    assert!(call.one("488").header("Warning").contains("not secured"));
    let (mut call, invite) = secured(false);
    call.deliver(&text::request(&invite, "INVITE", 1, "one", &[], &plain_sdp()));
    assert!(!call.one("200").body.contains("crypto"));
    let said: Vec<Output> = call.said.drain(..).collect();
    assert!(matches!(said.as_slice(), [Output::Secured { keys: None }]), "{said:?}");
}

#[test]
fn of_a_plain_and_a_secured_line_the_secured_one_is_taken() {
    let (mut call, invite) = secured(false);
    let mut offer = plain_sdp();
    offer.push_str(&format!(
        "m=audio 40010 RTP/SAVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=crypto:{}\r\n",
        line(1, OTHERS)
    ));
    call.deliver(&text::request(&invite, "INVITE", 1, "one", &[], &offer));
    let answer = call.one("200");
    assert!(answer.body.contains("m=audio 0 RTP/AVP"), "{}", answer.body);
    assert!(answer.body.contains("m=audio 20000 RTP/SAVP"), "{}", answer.body);
}

#[test]
fn keys_never_print_with_what_a_leg_says() {
    let (mut call, invite) = dial(true);
    call.answer(&invite, 200, "one", &sdp("RTP/SAVP", &[line(1, THEIRS)]));
    let printed = format!("{:?} {:?}", call.said, own(true));
    assert!(
        printed.contains("Master(…)") && !printed.contains("17, 17") && !printed.contains("9, 9"),
        "{printed}"
    );
}

proptest! {
    /// Whatever stands in the crypto lines of an answer: the call is secured with a key that was given there, or over.
    #[test]
    fn strange_lines_end_the_call_or_secure_it(
        values in proptest::collection::vec(
            prop_oneof![
                "[ -~]{0,80}",
                "[0-9]{1,10} (AES_CM_128_HMAC_SHA1_80|AEAD_AES_128_GCM|F8) inline:[A-Za-z0-9+/=|:^]{0,60}( [ -~]{0,20})?",
            ],
            0..4,
        ),
    ) {
        let (mut call, invite) = dial(true);
        call.answer(&invite, 200, "one", &sdp("RTP/SAVP", &values));
        let said: Vec<Output> = call.said.drain(..).collect();
        let fine = said.iter().any(|output| match output {
            Output::Secured { keys } => keys.is_some(),
            Output::Failed { status, .. } => *status == 488,
            _ => false,
        });
        prop_assert!(fine, "{:?}", said);
    }
}
