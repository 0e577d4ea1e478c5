//! Figures for operators.

mod calls;
mod pages;
mod quality;
mod store;
mod trunks;

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

/// What a collector of many families gives the registry: one description that stands for all of them.
fn describe(name: &str, help: &str) -> prometheus::Result<prometheus::core::Desc> {
    prometheus::core::Desc::new(
        name.to_owned(),
        help.to_owned(),
        Vec::new(),
        std::collections::HashMap::new(),
    )
}

#[cfg(test)]
mod tests {
    use prometheus::{Encoder, TextEncoder};

    use super::*;

    #[test]
    fn every_metric_registers_and_renders() {
        let registry = Registry::new();
        StoreMetrics::new(&registry).unwrap();
        CallMetrics::new(&registry).unwrap();
        Pages::new(&registry).unwrap();
        let figures = EndpointFigures::new(&registry).unwrap();
        figures.set_outbox(crate::store::rows::Totals::default(), 3, 0.5);
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for line in
            ["duogate_calls{state=\"Connected\"} 0", "duogate_websockets 3", "duogate_store_trouble 0"]
        {
            assert!(text.lines().any(|candidate| candidate == line), "{line} in\n{text}");
        }
    }
}
