//! What a SIP message costs: a 1 KB INVITE with its session description, read and printed; and what a callback costs the
//! signaling core as a whole.
//!
//! `cargo bench -p duogate-benches --bench sip`

#[path = "../../control/signaling/tests/endpoint/words.rs"]
#[allow(dead_code, reason = "a part of the world that only fuzzing needs")]
mod words;
#[path = "../../control/signaling/tests/endpoint/world.rs"]
#[allow(dead_code, reason = "other tests need what is not needed here")]
mod world;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;
use duogate_signaling::message::{Builder, Message, Method, Name, Status};
use duogate_signaling::sdp::LocalDescription;
use duogate_signaling::transaction::{Layer, Listener, Path, Settings, Transport};

/// As a carrier's proxy would hand it on: three Vias, two Record-Routes, the usual capabilities.
fn print(branch: u64, description: &[u8]) -> Vec<u8> {
    let message = Builder::request(Method::Invite, "sip:+4930123456789@192.0.2.5:5060;user=phone")
        .header(Name::Via, format_args!("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch:016x};rport"))
        .header(Name::Via, "SIP/2.0/UDP 198.51.100.4:5060;received=198.51.100.4;branch=z9hG4bKa7c6a8dlze.1")
        .header(Name::Via, "SIP/2.0/TCP [2001:db8::9:1]:5061;branch=z9hG4bK776asdhds")
        .header(Name::RecordRoute, "<sip:198.51.100.4;lr;ftag=88a7s>")
        .header(Name::RecordRoute, "<sip:proxy.example.com:5060;transport=tcp;lr>")
        .header(Name::MaxForwards, 68)
        .header(Name::From, "\"Duogate\" <sip:4940555@192.0.2.1>;tag=88a7s1928301774")
        .header(Name::To, "<sip:+4930123456789@192.0.2.5;user=phone>")
        .header(Name::CallId, "a84b4c76e66710-3848276298220188511@192.0.2.1")
        .header(Name::CSeq, "314159 INVITE")
        .header(Name::Contact, "<sip:4940555@192.0.2.1:5060>")
        .header(Name::Allow, "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE")
        .header(Name::Supported, "100rel, timer")
        .header(Name::SessionExpires, "1800;refresher=uac")
        .header(Name::PAssertedIdentity, "<sip:4940555@192.0.2.1>")
        .header(Name::UserAgent, "Duogate/0.1");
    message.build_with("application/sdp", description).unwrap_or_default()
}

fn description() -> LocalDescription {
    let address = "192.0.2.1:20000".parse().unwrap_or_else(|_| unreachable!("a literal address"));
    LocalDescription::new(7, address, &[Codec::Pcma, Codec::Pcmu])
}

fn path() -> Path {
    let address = "192.0.2.5:5060".parse().unwrap_or_else(|_| unreachable!("a literal address"));
    Path { listener: Listener(0), transport: Transport::Udp, address }
}

fn messages(criterion: &mut Criterion) {
    let offer = description().offer();
    let invite = print(1, &offer);
    assert!((950..1_500).contains(&invite.len()), "about 1 KB: {}", invite.len());
    let mut group = criterion.benchmark_group("sip");
    group.throughput(Throughput::Elements(1));
    group.bench_function("parse", |bencher| bencher.iter(|| Message::parse(black_box(&invite)).is_ok()));
    group.bench_function("print", |bencher| bencher.iter(|| print(black_box(1), black_box(&offer))));
    group.bench_function("parse and print", |bencher| {
        bencher.iter(|| (Message::parse(black_box(&invite)).is_ok(), print(black_box(1), black_box(&offer))));
    });
    let Ok(message) = Message::parse(&invite) else { return };
    group.bench_function("answer 180", |bencher| {
        bencher.iter(|| {
            Builder::response_to(black_box(&message), path().address, Status::RINGING, Some("t")).build()
        });
    });
    group.finish();
}

fn descriptions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sdp");
    let mut ours = description();
    let offer = ours.offer();
    let answer = description().answer(&offer).map(|(answer, _)| answer).unwrap_or_default();
    group.bench_function("offer", |bencher| bencher.iter(|| description().offer()));
    group.bench_function("accept an answer", |bencher| bencher.iter(|| ours.accept(black_box(&answer))));
    group.finish();
}

/// One client INVITE from its begin to its 486 and ACK, in a table with 10,000 others.
fn transactions(criterion: &mut Criterion) {
    let mut layer = Layer::new(Settings::default());
    for branch in 0..10_000 {
        let _ = layer.request(Instant::ZERO, path(), print(branch, b""));
        while layer.poll_output().is_some() {}
    }
    let mut branch = 10_000;
    let mut group = criterion.benchmark_group("transaction");
    group.bench_function("INVITE, 486, ACK", |bencher| {
        bencher.iter(|| {
            branch += 1;
            let invite = print(branch, b"");
            // Its topmost Via alone comes back.
            let invite: Vec<u8> = String::from_utf8_lossy(&invite)
                .split_inclusive("\r\n")
                .filter(|line| !line.contains("z9hG4bKa7c6a8dlze.1") && !line.contains("z9hG4bK776asdhds"))
                .collect::<String>()
                .into_bytes();
            let _ = layer.request(Instant::ZERO, path(), invite.clone());
            let Ok(message) = Message::parse(&invite) else { return };
            let busy = Builder::response_to(&message, path().address, Status::BUSY_HERE, Some("t")).build();
            let busy = busy.unwrap_or_default();
            let Ok(response) = Message::parse(&busy) else { return };
            black_box(layer.receive(Instant::ZERO, &response));
            while layer.poll_output().is_some() {}
        });
    });
    group.finish();
}

/// Callbacks through the whole endpoint, one after the other: each is four client transactions (two INVITEs, two BYEs),
/// with the parties' side of them. So many elements a second are so many transactions a second on this core.
fn endpoint(criterion: &mut Criterion) {
    let mut world = world::World::with_calls(100);
    let mut group = criterion.benchmark_group("endpoint");
    group.throughput(Throughput::Elements(4));
    group.bench_function("callback", |bencher| bencher.iter(|| world.callback()));
    group.finish();
}

criterion_group!(benches, messages, descriptions, transactions, endpoint);
criterion_main!(benches);
