//! Whatever is sent arrives as it was, once; whatever else arrives is refused and changes nothing.

use duogate_channel::srtp::{Heard, Master, Suite};
use duogate_srtp::{Incoming, Outgoing, Refused, SealError};
use proptest::prelude::*;

fn master(suite: Suite, seed: u8) -> Master {
    let octets: Vec<u8> = (0..30).map(|at| seed.wrapping_mul(31).wrapping_add(at)).collect();
    Master::new(suite, &octets[..suite.master_octets()]).expect("as long as it must be")
}

fn packet(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 1, 0]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

/// A number as sequence numbers count.
fn low(number: usize) -> u16 {
    u16::try_from(number % 0x1_0000).expect("16 bits")
}

fn report(ssrc: u32) -> Vec<u8> {
    let mut report = vec![0x80, 201, 0, 1];
    report.extend(ssrc.to_be_bytes());
    report.extend([7; 12]);
    report
}

fn sealed(outgoing: &mut Outgoing, plain: &[u8]) -> Vec<u8> {
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + 32, 0xee);
    let length = outgoing.seal_rtp(&mut buffer, plain.len()).expect("room and a new number");
    buffer.truncate(length);
    buffer
}

fn sealed_report(outgoing: &mut Outgoing, plain: &[u8]) -> Vec<u8> {
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + 32, 0xee);
    let length = outgoing.seal_rtcp(&mut buffer, plain.len()).expect("room and a new number");
    buffer.truncate(length);
    buffer
}

fn ends(suite: Suite) -> (Outgoing, Incoming) {
    let key = master(suite, 1);
    (Outgoing::new(suite, &key), Incoming::new(suite, &key, None))
}

fn suite() -> impl Strategy<Value = Suite> {
    prop_oneof![Just(Suite::AesCm128HmacSha1_80), Just(Suite::AeadAes128Gcm)]
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened_once(
        suite in suite(),
        first in any::<u16>(),
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..40),
    ) {
        let (mut outgoing, mut incoming) = ends(suite);
        for (at, payload) in payloads.iter().enumerate() {
            let plain = packet(5, first.wrapping_add(low(at)), payload);
            let cipher = sealed(&mut outgoing, &plain);
            prop_assert!(payload.len() < 8 || cipher[12..12 + payload.len()] != payload[..]);
            let mut copy = cipher.clone();
            let length = incoming.open_rtp(&mut copy).unwrap();
            prop_assert_eq!(&copy[..length], &plain[..]);
            prop_assert_eq!(incoming.open_rtp(&mut cipher.clone()), Err(Refused::Replayed));
        }
    }

    #[test]
    fn random_octets_are_never_authentic(suite in suite(), mut octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (_, mut incoming) = ends(suite);
        prop_assert!(incoming.open_rtp(&mut octets.clone()).is_err());
        prop_assert!(incoming.open_rtcp(&mut octets).is_err());
        prop_assert_eq!(incoming.heard(), None);
    }

    #[test]
    fn headers_with_sources_and_extensions_survive(
        suite in suite(),
        sources in 0..16_u8,
        extension in proptest::option::of(0..5_u8),
    ) {
        let (mut outgoing, mut incoming) = ends(suite);
        let mut plain = packet(5, 1, &[]);
        plain[0] |= sources;
        plain.extend(std::iter::repeat_n(3, usize::from(sources) * 4));
        if let Some(words) = extension {
            plain[0] |= 0x10;
            plain.extend([0xbe, 0xde, 0, words]);
            plain.extend(std::iter::repeat_n(4, usize::from(words) * 4));
        }
        let clear = plain.len();
        plain.extend([9; 50]);
        let mut cipher = sealed(&mut outgoing, &plain);
        prop_assert_eq!(&cipher[..clear], &plain[..clear]);
        let length = incoming.open_rtp(&mut cipher).unwrap();
        prop_assert_eq!(&cipher[..length], &plain[..]);
    }
}

#[test]
fn rfc3711_3_4_every_octet_of_a_packet_is_authenticated() {
    for suite in Suite::ALL {
        let (mut outgoing, mut incoming) = ends(suite);
        let plain = packet(5, 100, &[7; 160]);
        let cipher = sealed(&mut outgoing, &plain);
        let report = sealed_report(&mut outgoing, &report(5));
        for bit in [1, 0x10, 0x80] {
            for at in 0..cipher.len() {
                let mut changed = cipher.clone();
                changed[at] ^= bit;
                assert!(incoming.open_rtp(&mut changed).is_err(), "{suite:?} {at}");
            }
            for at in 0..report.len() {
                let mut changed = report.clone();
                changed[at] ^= bit;
                assert!(incoming.open_rtcp(&mut changed).is_err(), "{suite:?} {at}");
            }
        }
        for length in 0..cipher.len() {
            assert!(incoming.open_rtp(&mut cipher[..length].to_vec()).is_err(), "{suite:?} {length}");
        }
        for length in 0..report.len() {
            assert!(incoming.open_rtcp(&mut report[..length].to_vec()).is_err(), "{suite:?} {length}");
        }
        assert_eq!(incoming.heard(), None, "none of them has changed anything");
        assert_eq!(incoming.open_rtp(&mut cipher.clone()), Ok(plain.len()));
        assert_eq!(incoming.open_rtcp(&mut report.clone()), Ok(20));
        assert_eq!(incoming.open_rtcp(&mut report.clone()), Err(Refused::Replayed));
    }
}

#[test]
fn another_key_opens_nothing() {
    for suite in Suite::ALL {
        let mut outgoing = Outgoing::new(suite, &master(suite, 1));
        let mut incoming = Incoming::new(suite, &master(suite, 2), None);
        for sequence in 0..200 {
            let mut cipher = sealed(&mut outgoing, &packet(5, sequence, &[7; 160]));
            assert_eq!(incoming.open_rtp(&mut cipher), Err(Refused::Unauthentic));
        }
        assert_eq!(incoming.heard(), None);
    }
}

#[test]
fn rfc3711_3_3_1_sequence_numbers_wrap_again_and_again_with_losses_and_late_packets() {
    for suite in Suite::ALL {
        let (mut outgoing, mut incoming) = ends(suite);
        let mut late = None;
        // Three wraps, every 7th packet lost, every 50th late by three.
        for number in 0..200_000_u32 {
            let plain = packet(5, low(number as usize + 65_000), &number.to_be_bytes());
            let mut cipher = sealed(&mut outgoing, &plain);
            if number % 7 == 3 {
                continue;
            }
            if number % 50 == 0 {
                late = Some((number, cipher));
                continue;
            }
            assert_eq!(incoming.open_rtp(&mut cipher), Ok(plain.len()), "{number}");
            if let Some((_, mut cipher)) = late.take_if(|(since, _)| number >= *since + 3) {
                assert_eq!(incoming.open_rtp(&mut cipher), Ok(plain.len()), "late before {number}");
            }
        }
        assert_eq!(incoming.heard().map(|heard| heard.index >> 16), Some(4), "{suite:?}");
    }
}

#[test]
fn another_gateway_goes_on_with_what_was_heard() {
    for suite in Suite::ALL {
        let (mut outgoing, mut incoming) = ends(suite);
        let mut old = Vec::new();
        for number in 0..70_000_u32 {
            let mut cipher = sealed(&mut outgoing, &packet(5, low(number as usize), &[7; 20]));
            if number > 69_900 {
                old.push(cipher.clone());
            }
            incoming.open_rtp(&mut cipher).unwrap();
        }
        let heard = incoming.heard();
        assert_eq!(heard, Some(Heard { ssrc: 5, index: 69_999 }));
        let mut next = Incoming::new(suite, &master(suite, 1), heard);
        for mut cipher in old {
            assert_eq!(next.open_rtp(&mut cipher), Err(Refused::Replayed));
        }
        // Some packets were lost meanwhile.
        for number in 70_100..70_200_u32 {
            let mut cipher = sealed(&mut outgoing, &packet(5, low(number as usize), &[7; 20]));
            assert!(next.open_rtp(&mut cipher).is_ok(), "{number}");
        }
    }
}

#[test]
fn a_packet_number_is_sealed_once_and_never_again() {
    for suite in Suite::ALL {
        let (mut outgoing, _) = ends(suite);
        let mut buffer = packet(5, 9, &[7; 20]);
        buffer.resize(100, 0);
        assert!(outgoing.seal_rtp(&mut buffer.clone(), 32).is_ok());
        assert_eq!(outgoing.seal_rtp(&mut buffer.clone(), 32), Err(SealError::Exhausted));
        buffer[3] = 10;
        assert_eq!(outgoing.seal_rtp(&mut buffer[..36], 32), Err(SealError::NoRoom));
        assert_eq!(outgoing.seal_rtp(&mut buffer[..20], 32), Err(SealError::NoRoom));
        assert!(outgoing.seal_rtp(&mut buffer, 32).is_ok(), "what was not sent does not count");
    }
}

#[test]
fn keys_do_not_print() {
    let (outgoing, incoming) = ends(Suite::AeadAes128Gcm);
    assert_eq!(format!("{outgoing:?} {incoming:?}"), "Outgoing(…) Incoming(…)");
}
