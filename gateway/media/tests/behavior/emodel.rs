//! The E-model against values that the ITU-T has published.

use duogate_channel::sound::Codec;
use duogate_media::emodel::{Connection, burst_ratio, jitter_buffer, opinion};
use proptest::prelude::*;

const PERFECT: Connection = Connection { codec: Codec::Pcma, loss: 0.0, burst_ratio: 1.0, delay: 0.0 };

fn near(found: f64, published: f64, tolerance: f64) {
    assert!((found - published).abs() <= tolerance, "{found}, not {published}");
}

#[test]
fn the_default_values_give_the_published_rating_and_score() {
    // G.107 (2015), 7.7: "R = 93.2", and MOS 4.41 of it.
    near(PERFECT.rating(), 93.2, 0.05);
    near(PERFECT.score(), 4.41, 0.005);
    assert_eq!(PERFECT.hundredths(), 441);
}

#[test]
fn ratings_are_scores_as_in_table_b_1() {
    for (rating, score) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
        // The table rounds 4.024 to 4.03.
        near(opinion(rating), score, 0.007);
    }
    near(opinion(0.0), 1.0, 0.0);
    near(opinion(-5.0), 1.0, 0.0);
    near(opinion(100.0), 4.5, 0.0);
}

#[test]
fn losses_impair_as_g_113_has_it() {
    // Ie,eff of G.711 with concealment, random losses: G.113 (1999) table I.2 has 5, 7, 10, 15 for 1, 2, 3 and 5 %; the
    // formula of 2002 with Bpl = 25.1 lies up to two below.
    for (loss, impairment) in [(0.01, 5.0), (0.02, 7.0), (0.03, 10.0), (0.05, 15.0)] {
        near(PERFECT.rating() - Connection { loss, ..PERFECT }.rating(), impairment, 2.0);
    }
    // And exactly, by equation 7-29.
    near(PERFECT.rating() - Connection { loss: 0.02, ..PERFECT }.rating(), 95.0 * 2.0 / (2.0 + 25.1), 1e-9);
    let bursty = Connection { loss: 0.02, burst_ratio: 2.0, ..PERFECT };
    near(PERFECT.rating() - bursty.rating(), 95.0 * 2.0 / (1.0 + 25.1), 1e-9);
}

#[test]
fn delay_impairs_as_the_published_curve() {
    // Cole and Rosenbluth (2001) read the curve of G.107 so, for delays of conversations.
    for delay in [0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0] {
        let read = 0.024 * delay + 0.11 * f64::max(delay - 177.3, 0.0);
        near(PERFECT.rating() - Connection { delay, ..PERFECT }.rating(), read, 1.3);
    }
}

#[test]
fn bursts_show_in_the_burst_ratio() {
    near(burst_ratio(1000, 0, 0), 1.0, 0.0);
    // Ten single losses in a thousand: as random as can be told.
    near(burst_ratio(1000, 10, 10), 1.0, 0.0);
    // One burst of ten: into loss 1/990, out of it 1/10.
    near(burst_ratio(1000, 10, 1), 1.0 / (1.0 / 990.0 + 0.1), 1e-9);
    near(burst_ratio(10, 10, 1), 1.0, 0.0);
}

#[test]
fn the_jitter_buffer_holds_what_it_can() {
    assert_eq!(jitter_buffer(0.0, 20.0), (20.0, 0.0));
    assert_eq!(jitter_buffer(10.0, 20.0), (60.0, 0.0));
    let (delay, late) = jitter_buffer(100.0, 20.0);
    near(delay, 200.0, 0.0);
    near(late, 0.5 * (-1.8_f64).exp(), 1e-9);
}

proptest! {
    #[test]
    fn worse_is_never_better(
        loss in 0.0..1.0_f64,
        more in 0.0..0.2_f64,
        burst_ratio in 1.0..20.0_f64,
        delay in 0.0..2_000.0_f64,
        later in 0.0..500.0_f64,
    ) {
        let before = Connection { loss, burst_ratio, delay, ..PERFECT };
        let score = before.score();
        prop_assert!((1.0..=4.5).contains(&score));
        let worse = [
            Connection { loss: loss + more, ..before },
            Connection { delay: delay + later, ..before },
            Connection { burst_ratio: burst_ratio * 2.0, ..before },
        ];
        for worse in worse {
            prop_assert!(worse.score() <= score + 1e-6, "{worse:?}");
        }
    }

    #[test]
    fn whatever_it_is_asked_it_answers(
        loss in proptest::num::f64::ANY,
        burst_ratio in proptest::num::f64::ANY,
        delay in proptest::num::f64::ANY,
    ) {
        let score = Connection { loss, burst_ratio, delay, ..PERFECT }.hundredths();
        prop_assert!(score <= 450, "{score}");
    }
}
