//! Figures that two gateways told of the same leg.

use duogate_channel::event::LegStatistics;
use duogate_channel::time::Instant;

#[test]
fn figures_of_a_leg_that_two_gateways_carried_are_one_legs() {
    let at = Instant::from_nanoseconds;
    let first = LegStatistics {
        packets_received: 10,
        octets_received: 1_600,
        packets_sent: u64::MAX,
        octets_sent: 3_200,
        packets_lost: 1,
        packets_refused: 2,
        jitter_microseconds: 500,
        worst_jitter_microseconds: 900,
        first_packet: at(7),
        last_packet: at(70),
    };
    let later = LegStatistics {
        packets_received: 5,
        octets_received: 800,
        packets_sent: 5,
        octets_sent: 800,
        packets_lost: 3,
        packets_refused: 4,
        jitter_microseconds: 100,
        worst_jitter_microseconds: 800,
        first_packet: at(100),
        last_packet: at(200),
    };
    let both = LegStatistics {
        packets_received: 15,
        octets_received: 2_400,
        packets_sent: u64::MAX,
        octets_sent: 4_000,
        packets_lost: 4,
        packets_refused: 6,
        jitter_microseconds: 100,
        worst_jitter_microseconds: 900,
        first_packet: at(7),
        last_packet: at(200),
    };
    assert_eq!(first.then(&later), both);
    // A gateway that nothing came through adds nothing, and takes nothing away.
    let nothing = LegStatistics::default();
    assert_eq!(first.then(&nothing), first);
    assert_eq!(nothing.then(&later), later);
}
