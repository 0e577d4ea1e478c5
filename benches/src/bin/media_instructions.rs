//! Instructions of the media core per received packet, counted by callgrind: see `benches/media.rs`.
// The one thing it has to say goes to its terminal.
#![allow(clippy::print_stdout)]

use std::hint::black_box;

use duogate_benches::shard::Shard;
use duogate_channel::sound::Codec;

const PACKETS: u32 = 100_000;

#[inline(never)]
fn measured(shard: &mut Shard) {
    for _ in 0..PACKETS {
        black_box(shard.packet());
    }
}

fn main() {
    let mut shard = Shard::new(100);
    shard.join_all([Codec::Pcma, Codec::Pcma], false);
    measured(&mut shard);
    println!("{PACKETS} packets: divide what callgrind collected by that");
}
