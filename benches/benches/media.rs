//! What a packet costs in the media core: judging and rewriting a received one, recording it, pacing a prompt's.
//!
//! `cargo bench -p duogate-benches --bench media`
//!
//! Instructions per packet, free of noise, with valgrind installed: `target/release/rig instructions`

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use duogate_benches::shard::Shard;
use duogate_channel::command::Repeat;
use duogate_channel::sound::Codec;

const SAME: [Codec; 2] = [Codec::Pcma, Codec::Pcma];
const OTHER: [Codec; 2] = [Codec::Pcma, Codec::Pcmu];

fn relay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receive");
    group.throughput(Throughput::Elements(1));
    for (name, pairs, codecs, recorded) in [
        ("one pair", 1, SAME, false),
        ("5,000 pairs in turn", 5000, SAME, false),
        ("one pair, translated", 1, OTHER, false),
        ("one pair, recorded", 1, SAME, true),
    ] {
        let mut shard = Shard::new(pairs);
        shard.join_all(codecs, recorded);
        group.bench_function(name, |bencher| bencher.iter(|| black_box(shard.packet())));
        assert_eq!(shard.forwarded(), shard.received(), "every packet was forwarded");
    }
    group.finish();
}

fn play(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("play");
    group.throughput(Throughput::Elements(2000));
    let mut shard = Shard::new(1000);
    shard.play_all(Codec::Pcma, Repeat::Forever);
    group.bench_function("20 ms of 2,000 prompts", |bencher| {
        bencher.iter(|| shard.pass(Duration::from_millis(20)));
    });
    group.finish();
}

criterion_group!(benches, relay, play);
criterion_main!(benches);
