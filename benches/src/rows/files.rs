//! Files of pairs that are recorded while the program forwards them: whole or not.
//!
//! The cable loses nothing here: the generator holds back what its ends have no room for, as a switch does. So each packet
//! that was sent is to be in a file, and none is excused.

use std::io;
use std::path::Path;
use std::time::Duration;

use duogate_channel::counters::Counter;

use crate::flight::Flight;
use crate::live::Bench;
use crate::process::remark;
use crate::recorded::Tally;
use crate::rows::cable::{PACKETS_OF_A_PAIR, RING_LOSS};
use crate::rows::subject::{self, Subject};
use crate::table::{Table, thousands};

/// Pairs that are recorded, at the rate that they send: what a search for the highest rate is made of is overloads,
/// which no file stays whole in.
const PAIRS: u16 = 5_000;
/// For so long.
const TIME: Duration = Duration::from_secs(4);

/// Of what is due so much is to be sent in time, in hundredths: a forwarder that does not keep up holds the rest back.
const KEPT_UP: u64 = 99;

/// What became of the files.
pub struct Files {
    pairs: usize,
    flight: Flight,
    /// Packets that were copied for the files, and copies that found the ring full.
    copied: u64,
    refused: u64,
    /// Processor time of all of the gateway's threads and of polling, as a share of one core.
    busy: f64,
    tally: Tally,
}

/// Records [`PAIRS`] for a while.
///
/// # Errors
/// The cable cannot be laid, or the gateway does not start.
#[allow(clippy::cast_precision_loss)] // Figures for people.
pub fn record(bench: &Bench, folder: &Path) -> io::Result<Files> {
    let mut bench = bench.another()?;
    // From the first packet on: what a stream lost before its recording began is a gap too.
    bench.hold_back(true);
    let mut started = subject::start(&mut bench, Subject::Recorded, PAIRS, folder)?;
    let pairs = started.pairs;
    let counts = [Counter::PathTapped, Counter::PathTapFull];
    let before = counts.map(|which| started.counter(which));
    let flight = started.fly(&mut bench, pairs as u64 * PACKETS_OF_A_PAIR, TIME)?;
    // The gateway counts once a second.
    let _lost = started.lost_copies();
    let [copied, refused] = [0, 1].map(|place| started.counter(counts[place]) - before[place]);
    let tally = started.stop(&mut bench)?;
    let busy = flight.cpu as f64 / 1e9 / flight.seconds;
    remark(&format!(
        "files: {} of {} due sent, {}; {copied} copied, {refused} refused, {busy:.2} of a core; {tally:?}",
        flight.sent,
        flight.due,
        flight.losses()
    ));
    Ok(Files { pairs, flight, copied, refused, busy, tally })
}

/// Judges them: every packet that was sent is in them.
pub fn report(table: &mut Table, files: &Files) {
    let Files { pairs, flight, copied, refused, busy, tally } = files;
    table.judged(
        "files of recorded pairs on the XDP path",
        format!(
            "{} of {} whole, {} MB; sent {} of {} due, the files lack {}; copied {}, refused by a full ring {refused}; \
             {} gaps; {busy:.2} of a core",
            thousands(tally.saved as u64),
            thousands(*pairs as u64),
            tally.octets >> 20,
            thousands(flight.sent),
            thousands(flight.due),
            tally.lost + tally.missing,
            thousands(*copied),
            tally.gaps,
        ),
        &format!("all of ≥ {}, no gap", thousands(u64::from(PAIRS))),
        *pairs >= usize::from(PAIRS)
            && tally.saved == *pairs
            && tally.spoiled == 0
            && tally.missing + tally.lost + tally.gaps == 0
            && *refused == 0
            && *copied == flight.sent
            && flight.sent * 100 >= flight.due * KEPT_UP
            && flight.loss() < RING_LOSS
            && *busy <= 1.0,
    );
}
