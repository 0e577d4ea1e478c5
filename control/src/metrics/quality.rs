//! How good sound was, by trunk.

use duogate_signaling::resource::report::ChannelRecord;
use prometheus::{HistogramOpts, HistogramVec, Registry};

use super::register;

/// What the record of each leg that carried sound is measured by. The label is the trunk, of which there are as many as
/// the configuration names; calls over none have none.
#[derive(Clone, Debug)]
pub(super) struct QualityMetrics {
    mos: HistogramVec,
    heard_mos: HistogramVec,
    loss: HistogramVec,
    jitter: HistogramVec,
    round_trip: HistogramVec,
}

impl QualityMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let histogram = register(registry, HistogramVec::new(options, &["trunk"]))?;
            // Shown before the first call, too: that of calls over no trunk.
            let _shown = histogram.with_label_values(&[""]);
            Ok::<_, prometheus::Error>(histogram)
        };
        let scores = [1.5, 2.0, 2.5, 3.0, 3.5, 3.8, 4.0, 4.2, 4.3, 4.4];
        let times = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0];
        Ok(Self {
            mos: histogram("duogate_mos", "MOS (E-model) of what a party sent, over its call", &scores)?,
            heard_mos: histogram(
                "duogate_heard_mos",
                "MOS of what a party heard, as its RTCP tells",
                &scores,
            )?,
            loss: histogram(
                "duogate_loss_ratio",
                "Share of a party's packets that did not arrive",
                &[0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5],
            )?,
            jitter: histogram(
                "duogate_jitter_seconds",
                "Worst interarrival jitter of a party's packets",
                &times,
            )?,
            round_trip: histogram("duogate_round_trip_seconds", "Round trip to a party, by RTCP", &times)?,
        })
    }

    /// A leg has ended.
    pub(super) fn closed(&self, record: &ChannelRecord) {
        let Some(statistics) = &record.quality else { return };
        if statistics.packets_received == 0 {
            return;
        }
        let trunk = [record.trunk.as_deref().unwrap_or_default()];
        let quality = &statistics.quality;
        for (histogram, score) in
            [(&self.mos, quality.sent.average), (&self.heard_mos, quality.heard.average)]
        {
            if score > 0 {
                histogram.with_label_values(&trunk).observe(f64::from(score) / 100.0);
            }
        }
        // Duplicates may outnumber what is missing. Counts of packets of one call are exact as floating-point numbers.
        #[expect(clippy::cast_precision_loss, reason = "a call of 2^53 packets lasts six million years")]
        let (lost, received) = (statistics.packets_lost.max(0) as f64, statistics.packets_received as f64);
        self.loss.with_label_values(&trunk).observe(lost / (lost + received));
        let seconds = |microseconds: u32| f64::from(microseconds) / 1e6;
        self.jitter.with_label_values(&trunk).observe(seconds(statistics.worst_jitter_microseconds));
        if quality.round_trip_microseconds > 0 {
            self.round_trip.with_label_values(&trunk).observe(seconds(quality.round_trip_microseconds));
        }
    }
}
