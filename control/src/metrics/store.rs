//! The store's figures.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Registry};

use super::register;

/// What the store tells about itself.
#[derive(Debug)]
pub(crate) struct StoreMetrics {
    commit_seconds: Histogram,
    commit_jobs: IntCounter,
    failures: IntCounter,
    missed: IntCounter,
    /// 1 while the store cannot be written.
    pub(crate) trouble: IntGauge,
}

impl StoreMetrics {
    /// Makes and registers the metrics.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let buckets = vec![0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0];
        let latency = HistogramOpts::new(
            "duogate_store_commit_seconds",
            "Time that a group of changes took to become durable",
        );
        Ok(Self {
            commit_seconds: register(registry, Histogram::with_opts(latency.buckets(buckets)))?,
            commit_jobs: register(
                registry,
                IntCounter::new("duogate_store_jobs_total", "Jobs that were committed"),
            )?,
            failures: register(
                registry,
                IntCounter::new("duogate_store_failures_total", "Commits that failed"),
            )?,
            missed: register(
                registry,
                IntCounter::new(
                    "duogate_events_deferred_total",
                    "Events that found no room on their way out and wait in the outbox",
                ),
            )?,
            trouble: register(
                registry,
                IntGauge::new("duogate_store_trouble", "1 while the store cannot be written"),
            )?,
        })
    }

    /// A group was committed.
    pub(crate) fn committed(&self, took: Duration, jobs: usize) {
        self.commit_seconds.observe(took.as_secs_f64());
        self.commit_jobs.inc_by(u64::try_from(jobs).unwrap_or(u64::MAX));
        self.trouble.set(0);
    }

    /// A commit failed.
    pub(crate) fn failed(&self) {
        self.failures.inc();
        self.trouble.set(1);
    }

    /// A change cannot be written, whatever the host does.
    pub(crate) fn given_up(&self) {
        self.failures.inc();
    }

    /// An event found no room on its way to its receivers.
    pub(crate) fn missed(&self) {
        self.missed.inc();
    }
}
