//! A shard's thread: pinned to its core, and its loop.

use std::io;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::clock;
use crate::schedule;
use crate::setup::Setup;
use crate::shard::Shard;
use crate::uring::{BATCH, Completion};

/// Starts the thread. It reports once over `started`, when its memory and ring are there or could not be had.
///
/// # Errors
/// The system's, if there is no thread to be had.
pub fn start(
    index: u16,
    core: u16,
    setup: Setup,
    started: Sender<io::Result<()>>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
        pin(core);
        schedule::be_punctual(setup.realtime_priority);
        let shard = match Shard::new(setup, clock::now()) {
            Ok(shard) => shard,
            Err(error) => return drop(started.send(Err(error))),
        };
        // If nobody listens any more the gateway is ending already.
        let _ = started.send(Ok(()));
        if let Err(error) = run(shard) {
            tracing::error!(shard = index, %error, "the shard's ring has failed");
        }
    })
}

/// Completions taken in one turn. Under overload new ones come as fast as they are taken; commands, prompts and the
/// heartbeat must have their turn all the same.
const MOST_A_TURN: usize = 8 * BATCH;

/// The loop. One clock reading a turn; everything in it is bounded.
fn run(mut shard: Shard) -> io::Result<()> {
    let mut batch: Vec<Completion> = Vec::with_capacity(2 * BATCH);
    let mut now = clock::now();
    while !shard.is_over(now) {
        shard.sleep(now)?;
        now = clock::now();
        let mut completions = 0;
        while completions < MOST_A_TURN && shard.uring().reap(&mut batch) {
            completions += batch.len();
            for place in 0..batch.len() {
                shard.foresee(&batch[place..]);
                shard.complete(now, batch[place])?;
            }
        }
        shard.hear(now)?;
        shard.obey(now)?;
        shard.advance(now);
        shard.act(now)?;
        shard.report(now);
        shard.account(now, completions);
    }
    shard.close()
}

fn pin(core: u16) {
    let mut cores = CpuSet::new();
    cores.set(usize::from(core));
    if let Err(error) = sched_setaffinity(None, &cores) {
        tracing::warn!(core, %error, "the shard's thread cannot be pinned; it runs where the kernel puts it");
    }
}
