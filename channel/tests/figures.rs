//! Figures that two gateways told of the same leg.

use duogate_channel::event::LegStatistics;
use duogate_channel::quality::{Fault, Quality, Scores};
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
        quality: Quality::default(),
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
        quality: Quality::default(),
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
        quality: Quality::default(),
    };
    assert_eq!(first.then(&later), both);
    // A gateway that nothing came through adds nothing, and takes nothing away.
    let nothing = LegStatistics::default();
    assert_eq!(first.then(&nothing), first);
    assert_eq!(nothing.then(&later), later);
}

#[test]
fn the_quality_of_a_leg_that_two_gateways_carried_is_one_legs() {
    let first = Quality {
        reports_sent: 3,
        reports_received: 2,
        round_trip_microseconds: 40_000,
        heard_lost: 7,
        heard_fraction: 9,
        heard_jitter_microseconds: 800,
        sent: Scores { last: 430, average: 440, worst: 300 },
        heard: Scores { last: 400, average: 410, worst: 390 },
        interval_loss: 50,
        burst_ratio: 130,
        absent_milliseconds: 1_000,
        mute_milliseconds: 2_000,
        fault: None,
        bye: true,
    };
    let later = Quality {
        reports_sent: 1,
        sent: Scores { last: 420, average: 425, worst: 410 },
        absent_milliseconds: 500,
        fault: Some(Fault::Absent),
        ..Quality::default()
    };
    let leg =
        |packets_received, quality| LegStatistics { packets_received, quality, ..LegStatistics::default() };
    let both = Quality {
        reports_sent: 4,
        // The first stretch was the longer one: its average counts.
        sent: Scores { last: 420, average: 440, worst: 300 },
        interval_loss: 0,
        absent_milliseconds: 1_500,
        fault: Some(Fault::Absent),
        ..first
    };
    assert_eq!(leg(10, first).then(&leg(5, later)).quality, both);
    assert_eq!(leg(10, first).then(&LegStatistics::default()).quality, first);
    assert_eq!(LegStatistics::default().then(&leg(5, later)).quality, later);
}
