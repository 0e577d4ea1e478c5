//! What became of packets that were sent over a cable at a constant rate.

use crate::veth::Counts;

/// Width of the sink's buckets of delays in nanoseconds.
const DELAY_NANOSECONDS: u64 = 512;

/// What a run has seen.
#[derive(Clone, Debug, Default)]
pub struct Flight {
    /// Packets that were transmitted.
    pub sent: u64,
    /// Packets that were due; more than sent where the generator was held up.
    pub due: u64,
    /// Packets that came back, on their right way or not.
    pub received: u64,
    /// Packets that came back from another address or port than they should have.
    pub astray: u64,
    /// What the gateway's end of the cable counted.
    pub counts: Counts,
    /// Seconds that it lasted.
    pub seconds: f64,
    /// Processor time of the gateway's side while it lasted, in nanoseconds: of polling, and of the process that
    /// forwards.
    pub cpu: u64,
    /// Of that, the process's.
    pub process: u64,
    /// Packets by their delay, in steps of [`DELAY_NANOSECONDS`]; one in sixteen.
    pub(crate) delays: Vec<u64>,
}

#[allow(clippy::cast_precision_loss)] // Figures for people.
impl Flight {
    /// Nanoseconds of the gateway's side for each packet that came back.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.cpu as f64 / self.received.max(1) as f64
    }

    /// Share of the packets that never came back.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.sent.saturating_sub(self.received) as f64 / self.sent.max(1) as f64
    }

    /// Was it carried as it came? What took more than the time of the core while it lasted waited in sockets, for thousands
    /// of them hold more than a short flight sends, and was carried when nothing came any more.
    #[must_use]
    pub fn kept_up(&self) -> bool {
        self.cpu as f64 <= self.seconds * 1e9
    }

    /// In words, for whoever looks into a figure: where those that never came back were lost.
    #[must_use]
    pub fn losses(&self) -> String {
        let Counts { lost_before, lost_behind, .. } = self.counts;
        let own = self.sent.saturating_sub(self.received + lost_before + lost_behind);
        format!(
            "loss {:.3} % (cable before {lost_before}, behind {lost_behind}; forwarder {own})",
            self.loss() * 100.0
        )
    }

    /// Packets a second that were in fact sent.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.sent as f64 / self.seconds
    }

    /// The delay that `share` of the packets do not exceed, in nanoseconds.
    #[must_use]
    pub fn delay(&self, share: f64) -> u64 {
        let all: u64 = self.delays.iter().sum();
        let mut sum = 0;
        for (upper, count) in (1..).zip(&self.delays) {
            sum += count;
            if sum > 0 && sum as f64 >= all as f64 * share {
                return upper * DELAY_NANOSECONDS;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_more_than_the_core_had_was_not_kept_up_with() {
        let flight = |cpu| Flight { seconds: 0.5, cpu, ..Flight::default() };
        assert!(flight(490_000_000).kept_up());
        assert!(!flight(510_000_000).kept_up(), "it went on when nothing came any more");
    }
}
