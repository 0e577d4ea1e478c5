//! Figures of the trunks.

use duogate_signaling::endpoint::{POST_DIAL_BOUNDS, TrunkFigures};
use prometheus::core::Collector;
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{GaugeVec, IntCounterVec, Opts};

use super::calls::Families;

/// Adds what is known of each trunk.
pub(super) fn show(out: &mut Families, trunks: &[TrunkFigures]) -> prometheus::Result<()> {
    let each =
        |value: fn(&TrunkFigures) -> u64| trunks.iter().map(move |trunk| (trunk.name.as_str(), value(trunk)));
    out.gauges("duogate_trunk_calls", "Calls under way by trunk", "trunk", each(|it| it.calls.into()))?;
    out.gauges(
        "duogate_trunk_calls_per_second",
        "Calls begun in the last second by trunk",
        "trunk",
        each(|it| it.calls_per_second.into()),
    )?;
    out.gauges(
        "duogate_trunk_waiting",
        "Calls that wait for their trunk's pace",
        "trunk",
        each(|it| it.waiting as u64),
    )?;
    out.gauges(
        "duogate_trunk_up",
        "1 where the trunk answers, or is not asked",
        "trunk",
        each(|it| it.up.into()),
    )?;
    let registered = trunks.iter().filter_map(|it| Some((it.name.as_str(), u64::from(it.registered?))));
    out.gauges(
        "duogate_trunk_registered",
        "1 where the trunk's registrar has taken us; only where we register",
        "trunk",
        registered,
    )?;
    out.counters("duogate_trunk_attempts_total", "Calls begun by trunk", "trunk", each(|it| it.attempts))?;
    out.counters("duogate_trunk_answered_total", "Calls answered by trunk", "trunk", each(|it| it.answered))?;
    out.counters(
        "duogate_trunk_skipped_total",
        "Calls that were not placed: the trunk was full, down, or its queue had no room",
        "trunk",
        each(|it| it.skipped),
    )?;
    failures(out, trunks)?;
    ratios(out, trunks)
}

fn failures(out: &mut Families, trunks: &[TrunkFigures]) -> prometheus::Result<()> {
    let options =
        Opts::new("duogate_trunk_failures_total", "Calls unanswered, by trunk and final SIP status");
    let metric = IntCounterVec::new(options, &["trunk", "status"])?;
    for trunk in trunks {
        for (status, count) in &trunk.failures {
            metric.with_label_values(&[trunk.name.as_str(), &status.to_string()]).inc_by(*count);
        }
    }
    out.families.extend(metric.collect());
    Ok(())
}

fn ratios(out: &mut Families, trunks: &[TrunkFigures]) -> prometheus::Result<()> {
    let ratio =
        Opts::new("duogate_trunk_answer_seizure_ratio", "Answered calls among those decided, by trunk");
    let ratio = GaugeVec::new(ratio, &["trunk"])?;
    for trunk in trunks {
        if let Some(value) = trunk.answer_seizure_ratio() {
            ratio.with_label_values(&[&trunk.name]).set(value);
        }
    }
    out.families.extend(ratio.collect());
    out.families.push(post_dial_delays(trunks));
    Ok(())
}

/// A histogram by trunk, of counts that the endpoint keeps.
fn post_dial_delays(trunks: &[TrunkFigures]) -> MetricFamily {
    let metric = |trunk: &TrunkFigures| {
        let (rang, delay) = trunk.post_dial_delay;
        let bucket = |(count, bound): (&u64, std::time::Duration)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound.as_secs_f64());
            bucket.set_cumulative_count(*count);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(trunk.rang_within.iter().zip(POST_DIAL_BOUNDS).map(bucket).collect());
        histogram.set_sample_count(rang);
        histogram.set_sample_sum(delay.as_secs_f64());
        let mut label = LabelPair::default();
        label.set_name("trunk".to_owned());
        label.set_value(trunk.name.clone());
        let mut metric = Metric::default();
        metric.set_label(vec![label]);
        metric.set_histogram(histogram);
        metric
    };
    let mut family = MetricFamily::default();
    family.set_name("duogate_trunk_post_dial_delay_seconds".to_owned());
    family.set_help("From INVITE to ringing by trunk".to_owned());
    family.set_field_type(MetricType::HISTOGRAM);
    family.set_metric(trunks.iter().map(metric).collect());
    family
}
