//! What a record costs on its way through a ring, without and with another thread at the other end.
//!
//! `cargo bench -p duogate-benches --bench ring`

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use duogate_channel::command::{Command, FarEnd};
use duogate_channel::event::{Event, LegStatistics};
use duogate_channel::identity::{Party, Session, Tag};
use duogate_channel::record::Record;
use duogate_channel::ring::ring;
use duogate_channel::sound::Codec;

const SESSION: Session = Session { slot: 7, generation: 1 };

fn command() -> Command {
    let address = "192.0.2.1:4000".parse().unwrap_or_else(|_| unreachable!("a literal address"));
    let far_end = FarEnd { telephone_event: Some(101), ..FarEnd::new(address, Codec::Pcma) };
    Command::FarEnd { session: SESSION, party: Party::One, far_end }
}

fn event() -> Event {
    Event::Closed { session: SESSION, tag: Tag(9), statistics: [LegStatistics::default(); 2] }
}

/// One record in, one record out, same thread: the instructions, without the cache lines' travel.
fn there_and_back<T: Record>(criterion: &mut Criterion, name: &str, record: &T) {
    let Ok((mut producer, mut consumer)) = ring::<T>(1024) else { return };
    let mut group = criterion.benchmark_group("ring");
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let _room = producer.push(black_box(record));
            black_box(consumer.pop())
        });
    });
    group.bench_function(format!("{name}, 64 at a time, doorbell looked at once"), |bencher| {
        bencher.iter_batched(
            || (),
            |()| {
                for _ in 0..64 {
                    let _room = producer.push(black_box(record));
                }
                black_box(producer.doorbell_due());
                while let Ok(Some(record)) = consumer.pop() {
                    black_box(record);
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn rings(criterion: &mut Criterion) {
    there_and_back(criterion, "a command", &command());
    there_and_back(criterion, "an event", &event());
}

criterion_group!(benches, rings);
criterion_main!(benches);
