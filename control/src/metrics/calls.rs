//! Figures of calls: measured times, and the endpoint's counters.

use std::sync::{Arc, Mutex, PoisonError};

use duogate_signaling::endpoint::{Counters, Measurement};
use duogate_signaling::resource::report::Event;
use duogate_signaling::resource::view::State;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::quality::QualityMetrics;
use super::{describe, register};
use crate::store::rows::Totals;
use crate::switchboard::Status;

/// What calls are measured by.
#[derive(Clone, Debug)]
pub(crate) struct CallMetrics {
    construct_to_invite: Histogram,
    answer_to_invite: Histogram,
    post_dial_delay: Histogram,
    set_up: Histogram,
    quality: QualityMetrics,
}

impl CallMetrics {
    /// Makes and registers the metrics.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let quick = vec![0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0];
        let slow = vec![0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0];
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            register(registry, Histogram::with_opts(options))
        };
        Ok(Self {
            construct_to_invite: histogram(
                "duogate_construct_to_invite_seconds",
                "From construct to party 1's INVITE",
                &quick,
            )?,
            answer_to_invite: histogram(
                "duogate_answer_to_invite_seconds",
                "From party 1's answer to party 2's INVITE",
                &quick,
            )?,
            post_dial_delay: histogram(
                "duogate_post_dial_delay_seconds",
                "From an INVITE to the first ringing",
                &slow,
            )?,
            set_up: histogram("duogate_set_up_seconds", "From construct to Connected", &slow)?,
            quality: QualityMetrics::new(registry)?,
        })
    }

    /// Something is told to the application: the record of a leg says how its sound was.
    pub(crate) fn reported(&self, event: &Event) {
        if let Event::ChannelClosed(record) = event {
            self.quality.closed(record);
        }
    }

    /// The endpoint has measured something.
    pub(crate) fn measured(&self, measurement: Measurement) {
        let (histogram, duration) = match measurement {
            Measurement::ConstructToInvite(duration) => (&self.construct_to_invite, duration),
            Measurement::AnswerToInvite(duration) => (&self.answer_to_invite, duration),
            Measurement::PostDialDelay(duration) => (&self.post_dial_delay, duration),
            Measurement::SetUp(duration) => (&self.set_up, duration),
        };
        histogram.observe(duration.as_secs_f64());
    }
}

/// Who needs a codec's help, and who had to do without.
fn transcoding(counters: &Counters, out: &mut Families) -> prometheus::Result<()> {
    out.gauges(
        "duogate_transcoding_places",
        "Callbacks that hold a place among those whose sound may be decoded and encoded",
        "state",
        [("held", u64::from(counters.transcoded))],
    )?;
    out.counters(
        "duogate_transcoding_refused_total",
        "Offers that left codecs out because no place for transcoding was free",
        "reason",
        [("places", counters.transcoding_refused)],
    )
}

/// Shows what the switchboard last said about the endpoint.
#[derive(Clone, Debug)]
pub(crate) struct EndpointFigures {
    status: Arc<Mutex<Status>>,
    description: Desc,
    outbox: IntGaugeVec,
    websockets: Gauge,
    store_filling: Gauge,
}

impl EndpointFigures {
    /// Makes and registers them.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let depth = Opts::new("duogate_outbox_events", "Events that wait, by what they wait for");
        let figures = Self {
            status: Arc::default(),
            description: describe("duogate_endpoint", "Figures of the signaling endpoint")?,
            outbox: register(registry, IntGaugeVec::new(depth, &["waiting_for"]))?,
            websockets: register(registry, Gauge::new("duogate_websockets", "WebSockets that are open"))?,
            store_filling: register(
                registry,
                Gauge::new("duogate_store_queue_filling_ratio", "How full the queue to the store is, 0 to 1"),
            )?,
        };
        registry.register(Box::new(figures.clone()))?;
        Ok(figures)
    }

    /// How much waits to be told.
    pub(crate) fn set_outbox(&self, totals: Totals, websockets: usize, filling: f64) {
        for (what, count) in [("webhook", totals.for_webhooks), ("subscriber", totals.uncollected)] {
            self.outbox.with_label_values(&[what]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.websockets.set(f64::from(u32::try_from(websockets).unwrap_or(u32::MAX)));
        self.store_filling.set(filling);
    }

    /// Puts new figures in place of the old.
    pub(crate) fn set(&self, status: Status) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    fn gather(&self) -> prometheus::Result<Vec<MetricFamily>> {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let counters = &status.counters;
        let mut out = Families::default();
        let states = State::ALL.iter().map(|state| state.name()).zip(counters.states.map(u64::from));
        out.gauges("duogate_calls", "Callbacks by state", "state", states)?;
        out.counters(
            "duogate_callbacks_total",
            "Callbacks by what became of them",
            "outcome",
            [
                ("constructed", counters.constructed),
                ("connected", counters.connected),
                ("released_normally", counters.released_normally),
            ],
        )?;
        let failures = counters.failures.iter().map(|(reason, count)| (reason.name(), *count));
        out.counters(
            "duogate_failures_total",
            "Callbacks released with an error, by reason",
            "reason",
            failures,
        )?;
        let attempts = counters.attempts.iter().map(|(cause, count)| (cause.to_string(), *count));
        out.counters("duogate_attempts_total", "Calls to parties by final SIP status", "status", attempts)?;
        out.counters(
            "duogate_refused_total",
            "construct refused, by reason",
            "reason",
            [
                ("calls_at_once", counters.refused_full),
                ("calls_per_second", counters.refused_rate),
                ("unavailable", counters.refused_unavailable),
            ],
        )?;
        transcoding(counters, &mut out)?;
        out.counters(
            "duogate_sip_datagrams_total",
            "SIP datagrams",
            "kind",
            [
                ("received", counters.datagrams_received),
                ("sent", counters.datagrams_sent),
                ("malformed", counters.datagrams_malformed),
                ("stray_response", counters.stray_responses),
                ("stray_request", counters.stray_requests),
                ("stranger_unanswered", counters.strangers_unanswered),
            ],
        )?;
        out.media(counters)?;
        super::trunks::show(&mut out, &status.trunks)?;
        let node = [("draining", u64::from(status.draining)), ("media_attached", u64::from(status.attached))];
        out.gauges("duogate_node", "1 where it is so", "condition", node)?;
        Ok(out.families)
    }
}

impl Collector for EndpointFigures {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Names and labels are constants of this file, good ones: a test renders them all.
        self.gather().unwrap_or_default()
    }
}

/// Metric families that are made for one look.
#[derive(Default)]
pub(super) struct Families {
    pub(super) families: Vec<MetricFamily>,
}

impl Families {
    /// What came of sessions at the gateway.
    fn media(&mut self, counters: &Counters) -> prometheus::Result<()> {
        self.counters(
            "duogate_resumed_sessions_total",
            "Sessions of a gateway that died which the next one goes on with",
            "kind",
            [("resumed", counters.resumed)],
        )?;
        self.counters(
            "duogate_taken_over_calls_total",
            "Calls of a control plane that died which this one goes on with",
            "kind",
            [("taken_over", counters.taken_over)],
        )?;
        self.counters(
            "duogate_stray_media_events_total",
            "Events of the gateway for sessions that are not known",
            "kind",
            [("stray", counters.stray_media)],
        )?;
        self.counters(
            "duogate_sound_faults_total",
            "Times that nothing, or nothing but silence, came from a connected party",
            "fault",
            [("absent", counters.found_absent), ("mute", counters.found_mute)],
        )
    }

    /// Counters with one label.
    pub(super) fn counters<L: AsRef<str>>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> prometheus::Result<()> {
        let metric = IntCounterVec::new(Opts::new(name, help), &[label])?;
        for (value, count) in values {
            metric.with_label_values(&[value.as_ref()]).inc_by(count);
        }
        self.families.extend(metric.collect());
        Ok(())
    }

    /// Gauges with one label.
    pub(super) fn gauges<L: AsRef<str>>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> prometheus::Result<()> {
        let metric = IntGaugeVec::new(Opts::new(name, help), &[label])?;
        for (value, count) in values {
            metric.with_label_values(&[value.as_ref()]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.families.extend(metric.collect());
        Ok(())
    }
}
