//! Metrics of the server, in the text format of `OpenMetrics`.

use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The media type of [`Metrics::text`].
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Labels are words from closed lists, so there are few combinations.
type Labels = [(&'static str, &'static str); 2];

pub(crate) struct Metrics {
    registry: Registry,
    decisions: Family<Labels, Counter>,
    duration: Histogram,
    logouts: Family<Labels, Counter>,
    remembered: Counter,
    /// Open connections.
    pub(crate) connections: Gauge,
}

impl Metrics {
    /// Metrics of a process that repeats decisions for `cached` at most.
    pub(crate) fn new(cached: Duration) -> Self {
        let mut registry = Registry::with_prefix("gatehouse_forward_auth");
        let decisions = Family::<Labels, Counter>::default();
        registry.register(
            "decisions",
            "Decisions by outcome and reason",
            decisions.clone(),
        );
        // 50 us to 1.6 s: a decision is given up after 2.5 s.
        let duration = Histogram::new(exponential_buckets(0.000_05, 2.0, 16));
        registry.register_with_unit(
            "decision_duration",
            "Time of a decision",
            Unit::Seconds,
            duration.clone(),
        );
        let logouts = Family::<Labels, Counter>::default();
        let help = "Requests to /logout by outcome and reason";
        registry.register("logouts", help, logouts.clone());
        let remembered = Counter::default();
        registry.register(
            "cached_decisions",
            "Decisions answered from the cache",
            remembered.clone(),
        );
        let connections = Gauge::default();
        registry.register("connections", "Open connections", connections.clone());
        let bound: Gauge = Gauge::default();
        bound.set(i64::try_from(cached.as_secs()).unwrap_or(i64::MAX));
        let help = "How much later than its acknowledgement a logout may take effect";
        registry.register_with_unit("revocation_bound", help, Unit::Seconds, bound);
        Self {
            registry,
            decisions,
            duration,
            logouts,
            remembered,
            connections,
        }
    }

    pub(crate) fn count(&self, outcome: &'static str, reason: &'static str, took: Duration) {
        let labels = [("outcome", outcome), ("reason", reason)];
        self.decisions.get_or_create(&labels).inc();
        self.duration.observe(took.as_secs_f64());
    }

    pub(crate) fn count_logout(&self, outcome: &'static str, reason: &'static str) {
        let labels = [("outcome", outcome), ("reason", reason)];
        self.logouts.get_or_create(&labels).inc();
    }

    pub(crate) fn count_remembered(&self) {
        self.remembered.inc();
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
