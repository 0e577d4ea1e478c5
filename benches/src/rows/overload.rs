//! Ten times what is admitted: the node does what it can do, and refuses the rest at once, saying when to come back.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::application::Asked;
use crate::rows::setup::{Load, World, failed_calls, spans, three};
use crate::table::{Table, milliseconds, quantile};

/// Goals: of what is admitted, at least so much is placed, in percent; a refusal takes at most so long; who is
/// admitted waits for the first INVITE at most so long, or so many times what it takes without the crowd.
const GOAL_PLACED: usize = 90;
const GOAL_REFUSAL_NANOSECONDS: u64 = 5_000_000;
const GOAL_INVITE_NANOSECONDS: u64 = 10_000_000;
const GOAL_TIMES: u64 = 2;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// Callbacks a second that are admitted.
    pub admitted: u32,
    /// How many times that are asked for.
    pub times: u32,
    /// For so long.
    pub seconds: u32,
}

/// Offers it, first without a crowd and then with it.
///
/// # Errors
/// The system's, and whatever does not start.
pub fn run(crowd: Crowd, folder: &Path) -> io::Result<Table> {
    let Crowd { admitted, times, seconds } = crowd;
    // A little less than admitted, so that chance refuses nobody.
    let (calm, _) = offer(crowd, admitted * 9 / 10, folder)?;
    let (asked, failed) = offer(crowd, admitted * times, folder)?;
    let mut table = Table::default();
    let what = format!("overload: {admitted} callbacks a second admitted, {} asked for", admitted * times);
    let calls = (admitted * seconds) as usize;
    let figure = format!(
        "{} asked, {} taken, {} of them reached party 2, SIPp's failures {failed:?}",
        asked.asked, asked.taken, asked.placed
    );
    let whole = asked.placed == asked.taken && failed == [Some(0); 2];
    table.judged(&what, figure, "≥ 90 % of the admitted", whole && asked.placed * 100 >= calls * GOAL_PLACED);
    let p99 = quantile(&asked.refusals, 0.99);
    let what = "overload: refused within, p99";
    table.judged(what, milliseconds(p99), "≤ 5 ms", p99 <= GOAL_REFUSAL_NANOSECONDS);
    let silent = format!("{} of {}", asked.silent, asked.refusals.len());
    table.judged("overload: refusals without retry_after_seconds", silent, "none", asked.silent == 0);
    let (quiet, p99) = (quantile(&calm.first, 0.99), quantile(&asked.first, 0.99));
    let bound = GOAL_INVITE_NANOSECONDS.max(quiet * GOAL_TIMES);
    let what = "overload: construct to first INVITE, p99";
    table.judged(what, milliseconds(p99), "≤ 10 ms, or twice the calm", p99 <= bound);
    table.told("overload: construct to first INVITE, p50 / p99 / max", three(&asked.first));
    table.told("overload: the same without the crowd", three(&calm.first));
    table.told("overload: refused within, p50 / p99 / max", three(&asked.refusals));
    Ok(table)
}

/// What became of an offer.
struct Outcome {
    asked: usize,
    taken: usize,
    placed: usize,
    silent: usize,
    refusals: Vec<u64>,
    first: Vec<u64>,
}

fn offer(crowd: Crowd, rate: u32, folder: &Path) -> io::Result<(Outcome, [Option<u64>; 2])> {
    let duration = Duration::from_secs(crowd.seconds.into());
    // The parties would take all of them; they are ended when the offer is over.
    let world = World::start(Load { rate, duration, talk: 2 }, crowd.admitted, folder)?;
    let (asked, seen) = world.ask(world.order(rate * crowd.seconds, rate))?;
    std::thread::sleep(Duration::from_secs(2));
    drop(world);
    let taken: Vec<Asked> = asked.iter().filter(|call| call.accepted).copied().collect();
    let [first, second] = spans(&taken, &seen);
    let refused = asked.iter().filter(|call| !call.accepted);
    let mut refusals: Vec<u64> = refused.clone().map(|call| call.took).collect();
    refusals.sort_unstable();
    let outcome = Outcome {
        asked: asked.len(),
        taken: taken.len(),
        placed: second.len(),
        silent: refused.filter(|call| !call.later).count(),
        refusals,
        first,
    };
    Ok((outcome, [failed_calls(folder, "party1"), failed_calls(folder, "party2")]))
}
