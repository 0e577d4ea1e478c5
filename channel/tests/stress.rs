//! Two processes, both rings, records in bursts, both sides asleep again and again: nothing may be lost, change
//! its order, or wait for ever.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::path::Path;
use std::process::Command as Process;
use std::thread;
use std::time::Duration;

use duogate_channel::command::{Command, LegOpening};
use duogate_channel::descriptors::Doorbell;
use duogate_channel::event::Event;
use duogate_channel::handover::Doorway;
use duogate_channel::identity::{LocalPort, Session, Shard, Tag};
use duogate_channel::message::ShardDescription;
use duogate_channel::page::PageWriter;
use duogate_channel::record::Record;
use duogate_channel::ring::{Consumer, Producer, PushError};
use duogate_channel::sides::{Attachment, offer_shard, welcome};

/// Records each way: two million in all, a quarter of that without optimization, to spare the tests beside it.
const RECORDS: u64 = if cfg!(debug_assertions) { 250_000 } else { 1_000_000 };

/// Longer than any pause that the scheduler makes; a sleeper that waits so long was forgotten.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// In the child's environment: where the parent listens.
const SOCKET: &str = "DUOGATE_STRESS_SOCKET";

fn command(number: u64) -> Command {
    Command::Open { tag: Tag(number + 1), legs: [LegOpening::FRESH; 2] }
}

fn event(number: u64) -> Event {
    let session = Session { slot: 1, generation: 1 };
    let ports = [20_000, 20_002].map(|port| LocalPort { address: 0, port });
    Event::Opened { tag: Tag(number + 1), session, ports }
}

/// Bursts of unlike lengths with unlike pauses, from a seed.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Spends a little time awake.
fn linger(turns: u64) {
    for _ in 0..turns {
        std::hint::spin_loop();
    }
}

fn ring_if_due<T: Record>(ring: &mut Producer<T>, bell: &Doorbell) {
    if ring.doorbell_due() {
        bell.ring();
    }
}

/// Bursts: some as fast as it goes with one look at the doorbell at the end, some slower than the consumer reads, with
/// a look after each record, so that it falls asleep and is woken in their midst.
fn produce<T: Record>(mut ring: Producer<T>, bell: &Doorbell, record: impl Fn(u64) -> T) {
    let (mut next, mut seed) = (0, 1);
    while next < RECORDS {
        let end = RECORDS.min(next + 1 + random(&mut seed) % 100);
        let gap = [0, random(&mut seed) % 50][usize::from(random(&mut seed).is_multiple_of(4))];
        while next < end {
            match ring.push(&record(next)) {
                Ok(()) => next += 1,
                Err(PushError::Full) => {
                    // The consumer may sleep on the first half of the burst.
                    ring_if_due(&mut ring, bell);
                    thread::yield_now();
                }
                Err(poisoned) => panic!("{poisoned}"),
            }
            if gap > 0 {
                ring_if_due(&mut ring, bell);
                linger(gap);
            }
        }
        ring_if_due(&mut ring, bell);
        // Nothing more until the consumer has taken all, so that no later doorbell mends a forgotten one.
        while ring.backlog().unwrap() > 0 {
            thread::yield_now();
        }
        linger(random(&mut seed) % 100);
    }
}

/// Gives how often it slept.
fn consume<T: Record + PartialEq + std::fmt::Debug>(
    mut ring: Consumer<T>,
    bell: &Doorbell,
    record: impl Fn(u64) -> T,
) -> u64 {
    let (mut next, mut slept, mut seed) = (0, 0, 2);
    while next < RECORDS {
        match ring.pop().unwrap() {
            Some(found) => {
                assert_eq!(found, record(next));
                next += 1;
            }
            None => {
                // Room for a record to come between the look and the sleep.
                linger(random(&mut seed) % 30);
                if ring.prepare_sleep().unwrap() {
                    slept += 1;
                    assert!(bell.wait(FORGOTTEN), "forgotten asleep after {next} records");
                    ring.wake();
                }
            }
        }
    }
    assert_eq!(ring.pop(), Ok(None));
    slept
}

#[test]
fn two_processes_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stress.sock");
    let doorway = Doorway::open(&path).unwrap();
    let mut child = Process::new(std::env::current_exe().unwrap())
        .args(["the_other_process", "--exact", "--nocapture"])
        .env(SOCKET, &path)
        .spawn()
        .unwrap();
    let connection = doorway.accept().unwrap();
    connection.receive_hello().unwrap().unwrap();
    let page = PageWriter::create(1, 1).unwrap();
    let description = ShardDescription {
        shard: Shard(0),
        core: 0,
        addresses: 1,
        first_port: 20_000,
        last_port: 20_999,
        sessions: 1,
    };
    let (side, offer) = offer_shard(description, 1, &page, 64, 64).unwrap();
    welcome(&connection, 1, &[offer]).unwrap();
    let slept = thread::scope(|scope| {
        scope.spawn(|| produce(side.events, &side.event_doorbell, event));
        scope.spawn(|| consume(side.commands, &side.command_doorbell, command)).join().unwrap()
    });
    assert!(child.wait().unwrap().success());
    assert!(slept > 100, "the gateway's side slept {slept} times only: the doorbell was not tried");
}

/// The other half of the test above; on its own it has nothing to do.
#[test]
fn the_other_process() {
    let Some(path) = std::env::var_os(SOCKET) else { return };
    let mut attachment = Attachment::open(Path::new(&path), FORGOTTEN).unwrap();
    let side = attachment.shards.remove(0);
    let slept = thread::scope(|scope| {
        scope.spawn(|| produce(side.commands, &side.command_doorbell, command));
        scope.spawn(|| consume(side.events, &side.event_doorbell, event)).join().unwrap()
    });
    assert!(slept > 100, "the control plane's side slept {slept} times only");
}
