//! Figures for operators.

mod calls;
mod pages;
mod store;

pub(crate) use calls::{CallMetrics, EndpointFigures};
pub(crate) use pages::Pages;
use prometheus::Registry;
pub(crate) use store::StoreMetrics;

/// Registers a metric; two of one name would be a mistake of this program that its first test shows.
pub(crate) fn register<M: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<M>,
) -> prometheus::Result<M> {
    let metric = metric?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
