//! Every record that crosses the wall: any bytes are refused, or are the one encoding of what they decode to.
//! The first byte of the input chooses the record.
#![no_main]

use duogate_channel::command::Command;
use duogate_channel::event::Event;
use duogate_channel::message::{ToControl, ToGateway};
use duogate_channel::record::Record;
use duogate_channel::snapshot::Snapshot;
use libfuzzer_sys::fuzz_target;

fn check<T: Record>(input: &[u8]) {
    let mut block = T::ZERO;
    for (to, from) in block.as_mut().iter_mut().zip(input) {
        *to = *from;
    }
    if let Ok(value) = T::decode(&block) {
        assert_eq!(value.encode().as_ref(), block.as_ref());
    }
}

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((0, rest)) => check::<Command>(rest),
        Some((1, rest)) => check::<Event>(rest),
        Some((2, rest)) => check::<Snapshot>(rest),
        Some((3, rest)) => check::<ToGateway>(rest),
        Some((4, rest)) => check::<ToControl>(rest),
        _ => {}
    }
});
