//! What the RFCs, and libsrtp's own test, say that must come out.

use alloc::vec::Vec;

use duogate_channel::srtp::{Master, Suite};

use crate::cipher::{Transform, apply_keystream, cipher, derive, session_key};
use crate::{Incoming, Outgoing, layout};

fn octets(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pairs = digits.as_chunks::<2>().0;
    pairs.iter().map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

const MASTER: &str = "e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6";

#[test]
fn rfc3711_b_2_the_keystream_of_counter_mode() {
    let cipher = cipher(&octets("2b7e151628aed2a6abf7158809cf4f3c"));
    let mut start = [0; 16];
    start.copy_from_slice(&octets("f0f1f2f3f4f5f6f7f8f9fafbfcfd0000"));
    let mut stream = [0; 48];
    apply_keystream(&cipher, start, &mut stream);
    let expected = "e03ead0935c95e80e166b16dd92b4eb4 d23513162b02d0f72a43a2fe4a5f97ab \
                    41e95b3bb0a2e8dd477901e4fca894c0";
    assert_eq!(stream[..], octets(expected));
}

#[test]
fn rfc3711_b_3_session_keys_come_from_the_master_key() {
    let master = octets(MASTER);
    assert_eq!(session_key::<16>(&master, 0)[..], octets("c61e7a93744f39ee10734afe3ff7a087"));
    assert_eq!(session_key::<14>(&master, 2)[..], octets("30cbbc08863d8c85d49db34a9ae1"));
    assert_eq!(session_key::<20>(&master, 1)[..], octets("cebe321f6ff7716b6fd4ab49af256a156d38baa4"));
}

/// A key, a salt, and what becomes of an RTP and an RTCP packet under them.
struct Case {
    suite: Suite,
    master: &'static str,
    rtp: &'static str,
    rtcp: &'static str,
}

/// As libsrtp's `srtp_driver` validates itself.
const CASES: [Case; 2] = [
    Case {
        suite: Suite::AesCm128HmacSha1_80,
        master: MASTER,
        rtp: "800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb",
        rtcp: "81c8000bcafebabe 7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798",
    },
    Case {
        suite: Suite::AeadAes128Gcm,
        master: "000102030405060708090a0b0c0d0e0f a0a1a2a3a4a5a6a7a8a9aaab",
        rtp: "800f1234decafbadcafebabe c5002ede04cfdd2eb91159e0880aa06e d2976826f796b201df3131a127e8a392",
        rtcp: "81c8000bcafebabe c98b8b5df0392a55852b6c21ac8e7025 c52c6fbea2b3b446ea31123ba88ce61e 80000001",
    },
];

#[test]
fn rfc3711_3_3_packets_are_those_that_libsrtp_makes() {
    for case in CASES {
        let master = Master::new(case.suite, &octets(case.master)).unwrap();
        let (mut outgoing, mut incoming) =
            (Outgoing::new(case.suite, &master), Incoming::new(case.suite, &master, None));
        for (sealed, header, is_rtp) in
            [(case.rtp, "800f1234decafbadcafebabe", true), (case.rtcp, "81c8000bcafebabe", false)]
        {
            let mut plain = octets(header);
            plain.extend([0xab; 16]);
            let mut packet = plain.clone();
            packet.resize(plain.len() + 32, 0);
            let length = match is_rtp {
                true => outgoing.seal_rtp(&mut packet, plain.len()),
                false => outgoing.seal_rtcp(&mut packet, plain.len()),
            }
            .unwrap();
            assert_eq!(packet[..length], octets(sealed), "{:?}", case.suite);
            let opened = match is_rtp {
                true => incoming.open_rtp(&mut packet[..length]),
                false => incoming.open_rtcp(&mut packet[..length]),
            };
            assert_eq!(packet[..opened.unwrap()], plain, "{:?}", case.suite);
        }
    }
}

/// Session keys as RFC 7714 gives them, past their derivation.
fn gcm_session() -> Transform {
    Transform::with_session_keys(
        &octets("000102030405060708090a0b0c0d0e0f"),
        octets("517569642070726f2071756f").try_into().unwrap(),
    )
}

const GALLIA: &[u8] = b"Gallia est omnis divisa in partes tres";

#[test]
fn rfc7714_16_1_1_an_rtp_packet_is_encrypted() {
    let mut packet = octets("8040f17b8041f8d35501a0b2");
    packet.extend(GALLIA);
    let end = packet.len();
    packet.resize(end + 16, 0);
    let header = layout::rtp(&packet[..end]).unwrap();
    gcm_session().seal_rtp(&mut packet, end, &header, u64::from(header.sequence));
    let expected = "8040f17b8041f8d35501a0b2 f24de3a3fb34de6cacba861c9d7e4bca be633bd50d294e6f42a5f47a51c7d19b \
                    36de3adf8833899d7f27beb16a9152cf 765ee4390cce";
    assert_eq!(packet, octets(expected));
}

#[test]
fn rfc7714_17_1_an_rtcp_packet_is_encrypted() {
    let plain = octets(
        "81c8000d4d6172734e5450314e545032 525450200000042a0000e9304c756e61 deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
    );
    let mut packet = plain.clone();
    packet.resize(plain.len() + 20, 0);
    let session = gcm_session();
    session.seal_rtcp(&mut packet, plain.len(), 0x4d61_7273, 0x5d4);
    let expected = "81c8000d4d617273 63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda \
                    4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf872 45d9eade800005d4";
    assert_eq!(packet[..8], octets(expected)[..8]);
    assert_eq!(packet, octets(expected));
}

#[test]
fn rfc7714_12_a_master_salt_of_twelve_octets_is_filled_up() {
    // The label stands seven octets from the beginning, as it does with fourteen: the zeros come behind.
    let (short, long) =
        (octets(CASES[1].master), octets(&(alloc::string::String::from(CASES[1].master) + "0000")));
    assert_eq!(session_key::<16>(&short, 3)[..], session_key::<16>(&long, 3)[..]);
    let _ = derive(Suite::AeadAes128Gcm, &short);
}
