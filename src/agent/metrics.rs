//! Numbers for Prometheus.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, NoLabelSet},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Registry,
};
use tokio::time::Instant;

use crate::{
    engine::connection::{Attempted, RequestCounters, SECONDS as REQUEST_SECONDS},
    model::{Action, Outcome, ResourceId, policy::Policy},
    version,
};

use super::{
    manifests::Manifests,
    status::{ByKind, Report},
};

/// Seconds that tell passes apart: a local one takes milliseconds, one of many objects minutes.
const SECONDS: [f64; 11] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModeLabel {
    mode: &'static str,
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
    objects: Arc<Mutex<ByKind>>,
    lags: Arc<Mutex<BTreeMap<Arc<str>, Lag>>>,
    last_success: Gauge<f64, AtomicU64>,
    duration: Histogram,
    manifest_errors: Gauge,
    configuration_errors: Gauge,
    paused: Gauge,
    mode: Family<ModeLabel, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            passes: Family::default(),
            changes: Family::default(),
            objects: Arc::default(),
            lags: Arc::default(),
            last_success: Gauge::default(),
            duration: Histogram::new(SECONDS),
            manifest_errors: Gauge::default(),
            configuration_errors: Gauge::default(),
            paused: Gauge::default(),
            mode: Family::default(),
        }
    }
}

impl Metrics {
    /// Returns a registry with these numbers, and with those of the requests that were sent.
    pub fn registry(&self, counters: Option<Arc<RequestCounters>>) -> Registry {
        let mut registry = Registry::with_prefix("reconcile");
        registry.register("passes", "Passes that ended", self.passes.clone());
        registry.register("changes", "Changes that were carried out or tried", self.changes.clone());
        registry.register_collector(Box::new(Objects(self.objects.clone())));
        registry.register_collector(Box::new(Build));
        registry.register_collector(Box::new(Lags(self.lags.clone())));
        let help = "When a pass last found or left everything as declared";
        registry.register("last_success_timestamp_seconds", help, self.last_success.clone());
        registry.register("pass_duration_seconds", "How long passes took", self.duration.clone());
        let help = "Mistakes in the manifests, and files that could not be read";
        registry.register("manifest_errors", help, self.manifest_errors.clone());
        let help = "Mistakes in the configuration and the values files; with one, the last good ones are in force";
        registry.register("configuration_errors", help, self.configuration_errors.clone());
        registry.register("paused", "1 while the agent is paused and writes nothing", self.paused.clone());
        registry.register("mode", "Always 1; the label is what is done about drift", self.mode.clone());
        if let Some(counters) = counters {
            registry.register_collector(Box::new(Requests(counters)));
        }
        registry
    }

    /// Notes that an event has come about objects of a target.
    pub(super) fn event_waits(&self, target: &Arc<str>) {
        let mut lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        lags.entry(target.clone()).or_default().waiting.get_or_insert_with(Instant::now);
    }

    /// Notes that what the events of a target are about was looked at.
    pub(super) fn event_taken_in(&self, target: &Arc<str>) {
        if let Some(lag) = self.lags.lock().unwrap_or_else(PoisonError::into_inner).get_mut(target)
            && let Some(since) = lag.waiting.take()
        {
            lag.last = since.elapsed().as_secs_f64();
        }
    }

    pub(super) fn manifests(&self, manifests: &Manifests) {
        self.manifest_errors.set(number(manifests.errors()));
    }

    pub(super) fn configuration_errors(&self, count: usize) {
        self.configuration_errors.set(number(count));
    }

    pub(super) fn paused(&self, is_paused: bool) {
        self.paused.set(i64::from(is_paused));
    }

    pub(super) fn mode(&self, mode: Policy) {
        self.mode.clear();
        self.mode.get_or_create(&ModeLabel { mode: mode.name() }).set(1);
    }

    /// Forgets the objects and the events that wait, where nothing is looked at.
    pub(super) fn forget(&self) {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.lags.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn change(&self, id: &ResourceId, action: Action, outcome: &Outcome) {
        let labels = ChangeLabels { kind: id.kind, action: action.name(), outcome: outcome.name() };
        self.changes.get_or_create(&labels).inc();
    }

    /// Counts a pass. `by_kind` are the objects of all targets, and `last_success` is when all of them were
    /// last as declared.
    pub(super) fn pass(&self, report: &Report, by_kind: &ByKind, last_success: Option<Timestamp>) {
        self.passes.get_or_create(&ResultLabel { result: report.verdict.name() }).inc();
        self.duration.observe(report.end.duration_since(report.start).as_secs_f64());
        if !report.verdict.complete() {
            return;
        }
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).clone_from(by_kind);
        if let Some(time) = last_success {
            self.last_success.set(time.as_duration().as_secs_f64());
        }
    }
}

/// How long events wait.
#[derive(Debug, Clone, Copy, Default)]
struct Lag {
    /// How long the last one waited until its object had been looked at, in seconds.
    last: f64,
    /// Since when one waits that was not answered yet.
    waiting: Option<Instant>,
}

/// The lags of events by target.
#[derive(Debug)]
struct Lags(Arc<Mutex<BTreeMap<Arc<str>, Lag>>>);

impl Collector for Lags {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help =
            "How long an event waited until its object had been looked at; of one that waits, how long it does so far";
        let mut family = encoder.encode_descriptor("event_lag_seconds", help, None, MetricType::Gauge)?;
        let lags = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (target, lag) in &lags {
            let seconds = lag.waiting.map_or(lag.last, |since| since.elapsed().as_secs_f64());
            ConstGauge::new(seconds).encode(family.encode_family(&[("target", &**target)])?)?;
        }
        Ok(())
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The objects of the last pass. All numbers are of one pass, and what is no longer declared is gone.
#[derive(Debug)]
struct Objects(Arc<Mutex<ByKind>>);

impl Collector for Objects {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let by_kind = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let help = "Declared objects after the last pass";
        let mut family = encoder.encode_descriptor("objects", help, None, MetricType::Gauge)?;
        for ((target, kind), found) in &by_kind {
            for (state, count) in found.counts.by_state() {
                let labels = [("target", &**target), ("kind", *kind), ("state", state)];
                ConstGauge::new(number(count)).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Objects that the last pass found to differ";
        let mut family = encoder.encode_descriptor("drift", help, None, MetricType::Gauge)?;
        for ((target, kind), found) in &by_kind {
            let labels = [("target", &**target), ("kind", *kind)];
            ConstGauge::new(number(found.drift)).encode(family.encode_family(&labels)?)?;
        }
        let help = "Objects that differ, and that a window or a suspension holds back";
        let mut family = encoder.encode_descriptor("held", help, None, MetricType::Gauge)?;
        for ((target, kind), found) in &by_kind {
            let labels = [("target", &**target), ("kind", *kind)];
            ConstGauge::new(number(found.held)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// The version of the program.
#[derive(Debug)]
struct Build;

impl Collector for Build {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "The version of the program, and the commit that it was built from";
        let mut family = encoder.encode_descriptor("build_info", help, None, MetricType::Gauge)?;
        let labels = [("version", version::NUMBER), ("commit", version::commit().unwrap_or("unknown"))];
        ConstGauge::new(1_i64).encode(family.encode_family(&labels)?)
    }
}

/// The requests that were sent, read where they are counted: they move while a pass still runs.
#[derive(Debug)]
struct Requests(Arc<RequestCounters>);

impl Collector for Requests {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests that were sent and have ended";
        let mut family = encoder.encode_descriptor("calls", help, None, MetricType::Counter)?;
        for ((target, operation, write, result), count) in self.0.ended() {
            let write = if write { "true" } else { "false" };
            let labels = [("target", &*target), ("operation", operation), ("write", write), ("result", result.name())];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        let targets = self.0.by_target();
        let help = "Attempts at requests by what came of them";
        let mut family = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
        for (target, requests) in &targets {
            for attempted in [Attempted::Answered, Attempted::Refused, Attempted::Failed] {
                let count = requests.outcomes.get(&attempted).copied().unwrap_or_default();
                let labels = [("target", &**target), ("outcome", attempted.name())];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Requests that were sent once more";
        let mut family = encoder.encode_descriptor("retries", help, None, MetricType::Counter)?;
        for (target, requests) in &targets {
            ConstCounter::new(requests.retries).encode(family.encode_family(&[("target", &**target)])?)?;
        }
        let help = "Requests that wait for their turn";
        let mut family = encoder.encode_descriptor("requests_waiting", help, None, MetricType::Gauge)?;
        for (target, requests) in &targets {
            ConstGauge::new(number(requests.waiting)).encode(family.encode_family(&[("target", &**target)])?)?;
        }
        let help = "Requests that were sent and are not answered yet";
        let mut family = encoder.encode_descriptor("requests_in_flight", help, None, MetricType::Gauge)?;
        for (target, requests) in &targets {
            ConstGauge::new(number(requests.in_flight())).encode(family.encode_family(&[("target", &**target)])?)?;
        }
        let help = "How long requests took, from sending to the answer";
        let mut family = encoder.encode_descriptor("request_duration_seconds", help, None, MetricType::Histogram)?;
        for (target, requests) in &targets {
            let bounds = REQUEST_SECONDS.iter().copied().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(requests.buckets).collect();
            let count = requests.buckets.iter().sum();
            let labels = [("target", &**target)];
            let mut encoder = family.encode_family(&labels)?;
            encoder.encode_histogram::<NoLabelSet>(requests.seconds, count, &buckets, None)?;
        }
        let help = "1 if the platform answers, even where it refuses; 0 if the last request failed or is overdue";
        let mut family = encoder.encode_descriptor("target_up", help, None, MetricType::Gauge)?;
        for (target, requests) in &targets {
            let up = i64::from(requests.is_up());
            ConstGauge::new(up).encode(family.encode_family(&[("target", &**target)])?)?;
        }
        let help = "When a read was last answered";
        let mut family =
            encoder.encode_descriptor("target_last_read_timestamp_seconds", help, None, MetricType::Gauge)?;
        for (target, requests) in &targets {
            if let Some(seconds) = requests.last_read {
                ConstGauge::new(seconds).encode(family.encode_family(&[("target", &**target)])?)?;
            }
        }
        Ok(())
    }
}
