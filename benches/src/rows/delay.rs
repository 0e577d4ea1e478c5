//! The delay that a forwarder adds, from the generator's stamp to the sink.
//!
//! Flights are short, and those that are up take turns. A host that stands still for a millisecond spoils the tail of a
//! flight, whoever forwards: such a flight is flown again, a bounded number of times. Of each percentile the median over
//! the flights is told.

use std::io;
use std::time::Duration;

use crate::process::remark;
use crate::rows::cable::{PACKETS_OF_A_PAIR, Up};
use crate::rows::subject::Subject;
use crate::stalls::Stalls;
use crate::table::microseconds;

const FLIGHT: Duration = Duration::from_millis(250);

/// Flights of each, and so many more at most where the host stood still: fewer where the delay is told and not judged.
const fn flights_of(subject: Subject) -> usize {
    if subject.by_sockets() { 3 } else { 7 }
}

/// From this lateness of a bare timer on either core on a flight is spoiled, in nanoseconds: a hundredth of its packets
/// come in 2.5 ms.
const STOOD_STILL: u64 = 1_000_000;

/// Packets a second at which delay is measured: 1,000 pairs', and half of that for sockets, which on the cable are not
/// far from their capacity then.
#[must_use]
pub const fn delay_rate(subject: Subject) -> u64 {
    if subject.by_sockets() { 500 * PACKETS_OF_A_PAIR } else { 1000 * PACKETS_OF_A_PAIR }
}

/// p50, p99 and p99.9 of each, in nanoseconds.
///
/// # Errors
/// The kernel refuses, or one has ended.
pub fn in_turn(all: &mut [Up], stalls: &[Stalls; 2]) -> io::Result<Vec<[u64; 3]>> {
    let mut flights = vec![Vec::new(); all.len()];
    let mut spoiled = vec![0; all.len()];
    let most = all.iter().map(|up| flights_of(up.subject)).max().unwrap_or(0);
    for _ in 0..most {
        for (place, up) in all.iter_mut().enumerate() {
            loop {
                up.started.listen()?;
                let _before = stalls.each_ref().map(Stalls::take);
                let flight = up.started.fly(&mut up.bench, delay_rate(up.subject), FLIGHT)?;
                let late = stalls.each_ref().map(|stalls| stalls.take().worst);
                let delays = [0.5, 0.99, 0.999].map(|share| flight.delay(share));
                let told = delays.map(microseconds);
                remark(&format!(
                    "  {}: delay {told:?}, timers late {:?}",
                    up.subject.name(),
                    late.map(microseconds)
                ));
                if late.iter().any(|late| *late > STOOD_STILL) && spoiled[place] < flights_of(up.subject) {
                    spoiled[place] += 1;
                    continue;
                }
                flights[place].push(delays);
                break;
            }
        }
    }
    Ok(flights.iter().map(|flights| middle(flights)).collect())
}

/// The median of each percentile.
fn middle(flights: &[[u64; 3]]) -> [u64; 3] {
    [0, 1, 2].map(|place| {
        let mut all: Vec<u64> = flights.iter().map(|delays| delays[place]).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_flight_moves_no_median() {
        assert_eq!(middle(&[[1, 20, 30], [2, 21, 31], [900, 90_000, 900_000]]), [2, 21, 31]);
    }
}
