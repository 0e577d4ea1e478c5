//! Two processes, both rings, records in bursts, both sides asleep again and again: nothing may be lost, change
//! its order, or wait for ever.

use std::path::Path;
use std::process::Command as Process;
use std::thread;
use std::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::descriptors::Doorbell;
use duogate_channel::event::Event;
use duogate_channel::handover::Doorway;
use duogate_channel::identity::{Session, Shard, Tag};
use duogate_channel::message::ShardDescription;
use duogate_channel::page::PageWriter;
use duogate_channel::record::Record;
use duogate_channel::ring::{Consumer, Producer, PushError};
use duogate_channel::sides::{Attachment, offer_shard, welcome};

/// Records each way.
const RECORDS: u64 = 1_000_000;

/// Longer than any pause that the scheduler makes; a sleeper that waits so long was forgotten.
const FORGOTTEN: Duration = Duration::from_secs(20);

/// In the child's environment: where the parent listens.
const SOCKET: &str = "DUOGATE_STRESS_SOCKET";

fn command(number: u64) -> Command {
    Command::Open { tag: Tag(number + 1), ports: [20_000, 20_002] }
}

fn event(number: u64) -> Event {
    let session = Session { slot: 1, generation: 1 };
    Event::Opened { tag: Tag(number + 1), session, ports: [20_000, 20_002] }
}

/// Bursts of unlike lengths with unlike pauses, from a seed.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

fn produce<T: Record>(mut ring: Producer<T>, bell: &Doorbell, record: impl Fn(u64) -> T) {
    let (mut next, mut seed) = (0, 1);
    while next < RECORDS {
        let end = RECORDS.min(next + 1 + random(&mut seed) % 200);
        while next < end {
            match ring.push(&record(next)) {
                Ok(()) => next += 1,
                Err(PushError::Full) => {
                    // The consumer may sleep on the first half of the burst.
                    if ring.doorbell_due() {
                        bell.ring();
                    }
                    thread::yield_now();
                }
                Err(poisoned) => panic!("{poisoned}"),
            }
        }
        if ring.doorbell_due() {
            bell.ring();
        }
        // Long enough, at times, for the consumer to fall asleep, and to be caught while it does.
        for _ in 0..random(&mut seed) % 400 {
            std::hint::spin_loop();
        }
    }
}

/// Gives how often it slept.
fn consume<T: Record + PartialEq + std::fmt::Debug>(
    mut ring: Consumer<T>,
    bell: &Doorbell,
    record: impl Fn(u64) -> T,
) -> u64 {
    let (mut next, mut slept) = (0, 0);
    while next < RECORDS {
        match ring.pop().unwrap() {
            Some(found) => {
                assert_eq!(found, record(next));
                next += 1;
            }
            None if ring.prepare_sleep().unwrap() => {
                slept += 1;
                assert!(bell.wait(FORGOTTEN), "forgotten asleep after {next} records");
                ring.wake();
            }
            None => {}
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
    let description =
        ShardDescription { shard: Shard(0), core: 0, first_port: 20_000, last_port: 20_999, sessions: 1 };
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
