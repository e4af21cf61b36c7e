//! Numbers for Prometheus.

use std::sync::{Arc, atomic::AtomicU64};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::Registry,
};

use crate::{
    engine::connection::RequestCounters,
    model::{Action, Outcome, ResourceId},
};

use super::{
    manifests::Manifests,
    status::{Report, Verdict},
};

/// Seconds that tell passes apart: a local one takes milliseconds, one of many objects minutes.
const SECONDS: [f64; 11] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChangeLabels {
    kind: &'static str,
    action: &'static str,
    outcome: &'static str,
}

/// The agent's numbers; clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    passes: Family<ResultLabel, Counter>,
    changes: Family<ChangeLabels, Counter>,
    objects: Family<StateLabel, Gauge>,
    drift: Gauge,
    last_success: Gauge<f64, AtomicU64>,
    duration: Histogram,
    manifest_errors: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            passes: Family::default(),
            changes: Family::default(),
            objects: Family::default(),
            drift: Gauge::default(),
            last_success: Gauge::default(),
            duration: Histogram::new(SECONDS),
            manifest_errors: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Returns a registry with these numbers, and with those of the requests that were sent.
    pub fn registry(&self, counters: Option<Arc<RequestCounters>>) -> Registry {
        let mut registry = Registry::with_prefix("reconcile");
        registry.register("passes", "Passes that ended", self.passes.clone());
        registry.register("changes", "Changes that were carried out or tried", self.changes.clone());
        registry.register("objects", "Declared objects after the last pass", self.objects.clone());
        registry.register("drift", "Objects that the last pass found to differ", self.drift.clone());
        let help = "When a pass last found or left everything as declared";
        registry.register("last_success_timestamp_seconds", help, self.last_success.clone());
        registry.register("pass_duration_seconds", "How long passes took", self.duration.clone());
        let help = "Mistakes in the manifests, and files that could not be read";
        registry.register("manifest_errors", help, self.manifest_errors.clone());
        if let Some(counters) = counters {
            registry.register_collector(Box::new(Calls(counters)));
        }
        registry
    }

    pub(super) fn manifests(&self, manifests: &Manifests) {
        self.manifest_errors.set(number(manifests.errors()));
    }

    pub(super) fn change(&self, id: &ResourceId, action: Action, outcome: &Outcome) {
        let labels = ChangeLabels { kind: id.kind, action: action.name(), outcome: outcome.name() };
        self.changes.get_or_create(&labels).inc();
    }

    pub(super) fn pass(&self, report: &Report) {
        self.passes.get_or_create(&ResultLabel { result: report.verdict.name() }).inc();
        self.duration.observe(report.end.duration_since(report.start).as_secs_f64());
        if !report.verdict.complete() {
            return;
        }
        for (state, count) in report.counts.by_state() {
            self.objects.get_or_create(&StateLabel { state }).set(number(count));
        }
        self.drift.set(number(report.drift));
        if report.verdict == Verdict::Converged {
            self.last_success.set(report.end.as_duration().as_secs_f64());
        }
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The requests that were sent, read where they are counted.
#[derive(Debug)]
struct Calls(Arc<RequestCounters>);

impl Collector for Calls {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut family = encoder.encode_descriptor("calls", "Requests that were sent", None, MetricType::Counter)?;
        for (write, label) in [(false, "false"), (true, "true")] {
            for (operation, count) in self.0.by_operation(write) {
                let labels = [("operation", operation), ("write", label)];
                ConstCounter::new(count as u64).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
