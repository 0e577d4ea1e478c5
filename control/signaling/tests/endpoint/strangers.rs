//! Strangers and parties that say anything at all, to an endpoint with calls up.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::allocator::during;
use crate::words;
use crate::world::{STRANGER, Tape, World, method};

/// What a flood may leave in memory: buffers that grew once.
const LEFT: isize = 64 * 1024;

/// Messages of strangers, likely and unlikely, made of what a program says.
fn strange(tape: &mut Tape<'_>) -> Vec<u8> {
    let seed = format!(
        "OPTIONS sip:us@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK{}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@203.0.113.5>;tag=a\r\nTo: <sip:us@127.0.0.1>\r\nCall-ID: {:032x}\r\nCSeq: 1 OPTIONS\r\n\r\n",
        tape.octet(),
        tape.octet(),
    );
    let mut message = words::reply(seed.as_bytes(), tape).unwrap_or_default();
    for _ in 0..tape.octet() % 6 {
        words::spoil(&mut message, tape);
    }
    message
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rfc3261_26_3_2_4_any_bytes_of_strangers_leave_calls_and_memory_as_they_were(
        noise in vec(vec(any::<u8>(), 0..200), 0..8),
        program in vec(any::<u8>(), 0..1_500),
    ) {
        let mut world = World::with_calls(2);
        for bytes in &noise {
            world.deliver_strange(bytes);
        }
        let mut tape = Tape(&program);
        while !tape.0.is_empty() {
            let message = strange(&mut tape);
            world.deliver_strange(&message);
            world.elapse(Duration::from_millis(50));
        }
        prop_assert_eq!(world.connected(), 2);
        world.ends();
    }

    #[test]
    fn whatever_parties_network_and_application_do_all_ends(program in vec(any::<u8>(), 0..1_500)) {
        let mut world = World::with_calls(1);
        world.run(&mut Tape(&program));
        world.ends();
    }
}

#[test]
fn rfc3261_26_3_2_4_a_flood_of_strangers_keeps_no_memory_and_makes_no_call_wait() {
    let mut world = World::with_calls(50);
    let programs: Vec<Vec<u8>> = (0..=255_u8).map(|octet| vec![octet; 40]).collect();
    let flood = |world: &mut World| {
        for number in 0..5_000_usize {
            let mut program = programs[number % 256].clone();
            program[0] = u8::try_from(number / 256).unwrap_or(0);
            world.deliver_strange(&strange(&mut Tape(&program)));
        }
    };
    // Once, so that buffers have grown.
    flood(&mut world);
    let ((), _, left) = during(|| flood(&mut world));
    assert!(left.abs() < LEFT, "{left} octets are left of 5,000 datagrams");
    assert_eq!(world.connected(), 50);
    assert!(world.sent.iter().all(|(_, to, bytes)| *to == STRANGER && method(bytes).is_none()));
    world.ends();
}
