//! The endpoint as a whole, with calls up: the input is a program of datagrams, time, names, the gateway and the
//! application. Nothing panics, each input brings about a bounded number of messages, and at the end nothing is left.
#![no_main]

#[path = "../../control/signaling/tests/endpoint/words.rs"]
mod words;
#[path = "../../control/signaling/tests/endpoint/world.rs"]
mod world;

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use world::{Tape, World};

fuzz_target!(|input: &[u8]| {
    let mut tape = Tape(input);
    if tape.octet() % 2 == 0 {
        let mut world = World::with_calls(1);
        world.run(&mut tape);
        return world.ends();
    }
    // Strangers, who know none of our Call-IDs.
    let mut world = World::with_calls(2);
    for datagram in tape.0.split(|octet| *octet == 0xff).take(32) {
        world.deliver_strange(datagram);
        world.elapse(Duration::from_millis(400));
    }
    assert_eq!(world.connected(), 2, "the calls go on");
    world.ends();
});
