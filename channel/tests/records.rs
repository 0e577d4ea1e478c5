//! Every record survives the way into bytes and back, and bytes that are no record are refused, never more.

mod common;

use duogate_channel::command::{Command, FarEnd, LegOpening, Rtcp};
use duogate_channel::digits::Keys;
use duogate_channel::event::Event;
use duogate_channel::identity::{Action, LocalPort, Party, Recording, Session, Tag};
use duogate_channel::message::{ToControl, ToGateway};
use duogate_channel::record::{Record, RecordError};
use duogate_channel::snapshot::Snapshot;
use duogate_channel::sound::Codec;
use duogate_channel::srtp::{Master, MasterKeys, Suite};
use proptest::prelude::*;

/// There and back again, in exactly the record's size.
fn round_trip<T: Record + PartialEq + std::fmt::Debug>(value: &T) {
    let bytes = value.encode();
    assert_eq!(bytes.as_ref().len(), T::SIZE);
    assert_eq!(T::SIZE % 8, 0);
    assert_eq!(T::decode(&bytes).as_ref(), Ok(value));
}

/// Whatever the bytes: an error, or the one value whose encoding they are.
fn refused_or_canonical<T: Record>(bytes: &[u8]) {
    let mut block = T::ZERO;
    for (to, from) in block.as_mut().iter_mut().zip(bytes) {
        *to = *from;
    }
    if let Ok(value) = T::decode(&block) {
        assert_eq!(value.encode().as_ref(), block.as_ref());
    }
}

/// Changes some bytes of a valid record.
fn mutated<T: Record>(value: &T, changes: &[(usize, u8)]) {
    let mut bytes = value.encode();
    for (place, byte) in changes {
        bytes.as_mut()[place % T::SIZE] = *byte;
    }
    refused_or_canonical::<T>(bytes.as_ref());
}

fn changes() -> impl Strategy<Value = Vec<(usize, u8)>> {
    // Small values are those that kinds and enums are made of.
    proptest::collection::vec((any::<usize>(), prop_oneof![0..8_u8, any::<u8>()]), 1..4)
}

proptest! {
    #[test]
    fn a_command_round_trips(value in common::command()) { round_trip(&value); }

    #[test]
    fn an_event_round_trips(value in common::event()) { round_trip(&value); }

    #[test]
    fn a_snapshot_round_trips(value in common::snapshot()) { round_trip(&value); }

    #[test]
    fn a_message_to_the_gateway_round_trips(value in common::to_gateway()) { round_trip(&value); }

    #[test]
    fn a_message_to_the_control_plane_round_trips(value in common::to_control()) { round_trip(&value); }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 504)) {
        refused_or_canonical::<Command>(&bytes);
        refused_or_canonical::<Event>(&bytes);
        refused_or_canonical::<Snapshot>(&bytes);
        refused_or_canonical::<ToGateway>(&bytes);
        refused_or_canonical::<ToControl>(&bytes);
    }

    #[test]
    fn a_garbled_command_is_refused_or_another(value in common::command(), changes in changes()) {
        mutated(&value, &changes);
    }

    #[test]
    fn a_garbled_event_is_refused_or_another(value in common::event(), changes in changes()) {
        mutated(&value, &changes);
    }

    #[test]
    fn a_garbled_snapshot_is_refused_or_another(value in common::snapshot(), changes in changes()) {
        mutated(&value, &changes);
    }

    #[test]
    fn a_garbled_message_is_refused_or_another(
        one in common::to_gateway(),
        two in common::to_control(),
        changes in changes(),
    ) {
        mutated(&one, &changes);
        mutated(&two, &changes);
    }
}

const SESSION: Session = Session { slot: 7, generation: 3 };

/// `bytes` with one byte replaced.
fn with<const N: usize>(mut bytes: [u8; N], place: usize, byte: u8) -> [u8; N] {
    bytes[place] = byte;
    bytes
}

fn impossible(field: &'static str, value: u64) -> RecordError {
    RecordError::Impossible { field, value }
}

#[test]
fn unknown_kinds_are_refused_by_number() {
    for kind in [0, 100, 128, 255] {
        let command = Command::decode(&with([0; 128], 0, kind));
        assert_eq!(command, Err(RecordError::UnknownKind { record: "command", kind }));
        let event = Event::decode(&with([0; 256], 0, kind));
        assert_eq!(event, Err(RecordError::UnknownKind { record: "event", kind }));
        let message = ToGateway::decode(&with([0; 64], 0, kind));
        assert_eq!(message, Err(RecordError::UnknownKind { record: "message", kind }));
        let message = ToControl::decode(&with([0; 64], 0, kind % 128));
        assert_eq!(message, Err(RecordError::UnknownKind { record: "message", kind: kind % 128 }));
    }
}

/// A far-end command, in which: 0 kind, 1 session, 9 party, 10 family, 11 port, 13 address, 29 flow, 33 scope,
/// 37 codec, 38 payload type, 39 telephone-event or not, 40 its number, 41 send, 42 receive, 43 comfort noise or
/// not, 44 its number, 45 RTCP, 46 its port, 48
/// in-band.
fn far_end() -> [u8; 128] {
    Command::FarEnd {
        session: SESSION,
        party: Party::One,
        far_end: FarEnd {
            rtcp: Rtcp::Muxed,
            ..FarEnd::new(std::net::SocketAddr::from(([192, 0, 2, 1], 4000)), Codec::Pcma)
        },
    }
    .encode()
}

#[test]
fn impossible_fields_are_refused_by_name() {
    let refused = [
        (9, 0, "party", 0),
        (9, 3, "party", 3),
        (10, 5, "address family", 5),
        (10, 0, "address family", 0),
        (20, 1, "IPv4 address", 0xC000_0201),
        (29, 1, "IPv4 address", 0xC000_0201),
        (33, 1, "IPv4 address", 0xC000_0201),
        (37, 0, "codec", 0),
        (37, 9, "codec", 9),
        (38, 128, "payload type", 128),
        (39, 2, "telephone-event", 2),
        (40, 101, "telephone-event", 101),
        (41, 7, "send", 7),
        (42, 255, "receive", 255),
        (43, 2, "comfort noise", 2),
        (44, 13, "comfort noise", 13),
        (45, 0, "rtcp", 0),
        (45, 4, "rtcp", 4),
        (46, 1, "rtcp", 2),
        (48, 2, "in-band", 2),
    ];
    assert!(Command::decode(&far_end()).is_ok());
    for (place, byte, field, value) in refused {
        let refusal = Command::decode(&with(far_end(), place, byte));
        assert_eq!(refusal, Err(impossible(field, value)), "byte {place} = {byte}");
    }
}

#[test]
fn keys_that_are_none_are_refused() {
    let keys = Keys::from_text("15").unwrap();
    let send = Command::SendKeys { session: SESSION, party: Party::One, action: Action(1), keys }.encode();
    // Behind kind, session, party and action stand the number of keys and their codes.
    assert!(Command::decode(&send).is_ok());
    for (place, byte, field) in [(14, 0, "number of keys"), (14, 65, "number of keys"), (15, 16, "key")] {
        assert_eq!(Command::decode(&with(send, place, byte)), Err(impossible(field, u64::from(byte))));
    }
}

#[test]
fn keys_are_read_from_text_and_written_as_it() {
    let all = "0123456789*#ABCD";
    assert_eq!(Keys::from_text(all).unwrap().to_string(), all);
    assert_eq!(Keys::from_text("a#").unwrap().to_string(), "A#");
    assert_eq!(Keys::from_text(&"7".repeat(64)).unwrap().len(), 64);
    for wrong in ["", "1x", "1 2", "٣", &"7".repeat(65)] {
        assert!(Keys::from_text(wrong).is_none(), "{wrong}");
    }
}

#[test]
fn names_that_are_never_zero_are_refused_when_zero() {
    let open = Command::Open { tag: Tag(0), legs: [LegOpening::FRESH; 2] }.encode();
    assert_eq!(Command::decode(&open), Err(impossible("tag", 0)));
    let stop = Command::RecordStop { session: SESSION, recording: Recording(0) }.encode();
    assert_eq!(Command::decode(&stop), Err(impossible("recording", 0)));
}

#[test]
fn an_opening_says_no_more_than_it_means() {
    // In it: 0 kind, 1 tag, then each leg: 9 port choice, 10 addresses, 11 port, 13 beginning or not, 14 SSRC, …
    let open = Command::Open { tag: Tag(1), legs: [LegOpening::FRESH; 2] }.encode();
    assert!(Command::decode(&open).is_ok());
    let refused = [
        (9, 3, "port choice", 3),
        (10, 0, "media addresses", 0),
        (11, 7, "media addresses", 255),
        (13, 2, "beginning", 2),
        (14, 9, "beginning", 9),
    ];
    for (place, byte, field, value) in refused {
        assert_eq!(Command::decode(&with(open, place, byte)), Err(impossible(field, value)), "byte {place}");
    }
    let opened = Event::Opened { tag: Tag(1), session: SESSION, ports: [LocalPort::default(); 2] }.encode();
    // Behind kind, tag and session stands the first address.
    assert_eq!(Event::decode(&with(opened, 17, 8)), Err(impossible("media address", 8)));
}

#[test]
fn bytes_behind_the_last_field_are_refused() {
    let join = Command::Join { session: SESSION }.encode();
    assert_eq!(Command::decode(&with(join, 9, 1)), Err(RecordError::Trailing));
    assert_eq!(Command::decode(&with(join, 127, 1)), Err(RecordError::Trailing));
}

#[test]
fn a_duration_has_less_than_a_second_of_nanoseconds() {
    let event = Event::Recorded {
        session: SESSION,
        recording: Recording(1),
        outcome: duogate_channel::event::RecordOutcome::Saved,
        duration: std::time::Duration::from_secs(1),
        bytes: 0,
        missing: 0,
        tracks: [duogate_channel::event::Track::default(); 2],
    };
    // Behind kind, session, recording, outcome, errno and seconds stand the nanoseconds.
    let bytes = with(event.encode(), 1 + 8 + 8 + 1 + 4 + 8 + 3, 0x40);
    assert_eq!(Event::decode(&bytes), Err(impossible("nanoseconds", 0x4000_0000)));
}

#[test]
fn a_greeting_without_the_magic_word_is_refused() {
    let hello = ToGateway::Hello { abi: 1, pid: 2 }.encode();
    assert!(matches!(
        ToGateway::decode(&with(hello, 1, b'x')),
        Err(RecordError::Impossible { field: "magic", .. })
    ));
}

#[test]
fn keys_do_not_print() {
    let octets: Vec<u8> = (100..130).collect();
    let master = Master::new(Suite::AesCm128HmacSha1_80, &octets).unwrap();
    let keys = MasterKeys { suite: Suite::AesCm128HmacSha1_80, ours: master, theirs: master };
    let secure = Command::Secure { session: SESSION, party: Party::One, keys: Some(keys), heard: None };
    let printed = format!("{secure:?}");
    assert!(
        printed.contains("Master(…)") && !printed.contains("100") && !printed.contains("129"),
        "{printed}"
    );
}

#[test]
fn a_master_key_is_as_long_as_its_suite_wants() {
    for (suite, right) in [(Suite::AesCm128HmacSha1_80, 30), (Suite::AeadAes128Gcm, 28)] {
        for length in 0..64 {
            assert_eq!(Master::new(suite, &vec![1; length]).is_some(), length == right, "{length}");
        }
    }
}

#[test]
fn a_suite_is_known_by_its_name() {
    for suite in Suite::ALL {
        assert_eq!(Suite::from_name(suite.name()), Some(suite));
        assert_eq!(Suite::from_name(&suite.name().to_lowercase()), Some(suite));
    }
    assert_eq!(Suite::from_name("AES_CM_128_HMAC_SHA1_32"), None);
}
