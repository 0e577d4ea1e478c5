//! The shards' figures, read from the pages that the gateway shares.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use duogate_channel::counters::{Counter, Measure};
use duogate_channel::message::ShardDescription;
use duogate_channel::page::PageReader;
use duogate_channel::sides::ControlSide;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::describe;
use crate::clock;

/// The pages of the gateway that is attached. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    description: Desc,
    shards: Arc<Mutex<Vec<(ShardDescription, PageReader)>>>,
}

/// One shard as `GET /v1/shards` shows it.
#[derive(Clone, Debug)]
pub(crate) struct ShardFigures {
    /// The shard.
    pub(crate) description: ShardDescription,
    /// All its figures by name.
    pub(crate) figures: Vec<(&'static str, u64)>,
    /// Seconds since its loop last turned.
    pub(crate) heartbeat_age_seconds: f64,
}

impl Pages {
    /// Makes and registers them.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let description = describe("duogate_shard", "Figures of the gateway's shards")?;
        let pages = Self { description, shards: Arc::default() };
        registry.register(Box::new(pages.clone()))?;
        Ok(pages)
    }

    fn shards(&self) -> MutexGuard<'_, Vec<(ShardDescription, PageReader)>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A gateway is attached.
    pub(crate) fn show(&self, sides: &[ControlSide]) {
        *self.shards() = sides.iter().map(|side| (side.description, side.page.clone())).collect();
    }

    /// It is gone.
    pub(crate) fn hide(&self) {
        self.shards().clear();
    }

    /// Everything, now.
    pub(crate) fn read(&self) -> Vec<ShardFigures> {
        let now = clock::instant();
        self.shards()
            .iter()
            .map(|(description, page)| ShardFigures {
                description: *description,
                figures: Counter::ALL
                    .iter()
                    .filter(|counter| **counter != Counter::Heartbeat)
                    .map(|counter| (counter.name(), page.get(*counter)))
                    .collect(),
                heartbeat_age_seconds: now.since(page.heartbeat()).as_secs_f64(),
            })
            .collect()
    }

    fn gather(&self) -> prometheus::Result<Vec<MetricFamily>> {
        let mut families = Vec::new();
        let shards = self.shards();
        for counter in Counter::ALL.iter().filter(|counter| **counter != Counter::Heartbeat) {
            let name = format!("duogate_shard_{}", counter.name());
            match counter.measure() {
                Measure::Counter => {
                    let options = Opts::new(format!("{name}_total"), counter.help());
                    let metric = IntCounterVec::new(options, &["shard"])?;
                    for (description, page) in &*shards {
                        let shard = description.shard.0.to_string();
                        metric.with_label_values(&[&shard]).inc_by(page.get(*counter));
                    }
                    families.extend(metric.collect());
                }
                Measure::Gauge => {
                    let metric = IntGaugeVec::new(Opts::new(name, counter.help()), &["shard"])?;
                    for (description, page) in &*shards {
                        let shard = description.shard.0.to_string();
                        let value = i64::try_from(page.get(*counter)).unwrap_or(i64::MAX);
                        metric.with_label_values(&[&shard]).set(value);
                    }
                    families.extend(metric.collect());
                }
            }
        }
        let options = Opts::new(
            "duogate_shard_heartbeat_age_seconds",
            "Time since the shard's loop last turned; a shard that stands still shows here.",
        );
        let age = GaugeVec::new(options, &["shard"])?;
        let now = clock::instant();
        for (description, page) in &*shards {
            let shard = description.shard.0.to_string();
            age.with_label_values(&[&shard]).set(now.since(page.heartbeat()).as_secs_f64());
        }
        families.extend(age.collect());
        Ok(families)
    }
}

impl Collector for Pages {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Names come from a constant table: a test renders them all.
        self.gather().unwrap_or_default()
    }
}
