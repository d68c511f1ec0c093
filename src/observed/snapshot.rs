//! One scrape of vLLM's metrics: what each series of it was at one instant.

use std::collections::{BTreeMap, BTreeSet};

use super::scrape::Sample;
use super::stamp;

pub(super) const TTFT: &str = "vllm:time_to_first_token_seconds";
pub(super) const E2E: &str = "vllm:e2e_request_latency_seconds";
pub(super) const SUCCESS: &str = "vllm:request_success_total";
pub(super) const PROMPT: &str = "vllm:prompt_tokens_total";
pub(super) const OUTPUT: &str = "vllm:generation_tokens_total";
const RUNNING: &str = "vllm:num_requests_running";
const WAITING: &str = "vllm:num_requests_waiting";
/// The share of a KV cache in use, 0 to 1; and its name before.
const KV: [&str; 2] = ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"];

/// The part of [`SUCCESS`] that was aborted, as a counter of its own.
pub(super) const SUCCESS_ABORTED: &str = "aborted";
/// The part of [`SUCCESS`] that failed.
pub(super) const SUCCESS_FAILED: &str = "failed";

/// Whole numbers up to here are exact in the floating-point numbers of a scrape: 2^53.
const MOST: f64 = 9_007_199_254_740_992.0;

/// Cumulative counts of one histogram of one replica, by upper edge in ns.
pub(super) type Cumulative = BTreeMap<u64, f64>;

/// A series: its metric and its labels.
pub(super) type Series = (&'static str, String);

/// One scrape.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) at_ns: Option<u64>,
    seen: BTreeSet<String>,
    /// What `seen` and the rest take in memory, bytes, near enough.
    pub(super) bytes: usize,
    /// Counters by metric and labels.
    pub(super) counters: BTreeMap<Series, f64>,
    pub(super) histograms: BTreeMap<Series, Cumulative>,
    pub(super) sums: BTreeMap<Series, f64>,
    /// Requests running and waiting: sums and numbers of replicas.
    pub(super) gauges: [(f64, u64); 2],
    /// Shares of KV caches by labels, and whether by the newer name.
    kv: BTreeMap<String, (bool, f64)>,
    /// Whether a share of a KV cache was told by both names.
    pub(super) told_twice: bool,
}

impl Snapshot {
    /// Whether a series is in it already; it is from now on.
    pub(super) fn knows(&mut self, sample: &Sample<'_>) -> bool {
        let identity = format!("{}{{{}}}", sample.name, sample.labels);
        if self.seen.contains(&identity) {
            return true;
        }
        // Beside its name, a series may be in one of the maps.
        self.bytes += 2 * identity.len() + 128;
        self.seen.insert(identity);
        false
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Takes a sample, if it is of a metric that is read; the error says why its value counts for
    /// nothing.
    pub(super) fn take(&mut self, sample: &Sample<'_>) -> Result<(), &'static str> {
        let (name, value) = (sample.name, sample.value);
        match name {
            SUCCESS => {
                let name = match sample.label("finished_reason") {
                    Some("abort") => SUCCESS_ABORTED,
                    Some("error") => SUCCESS_FAILED,
                    _ => SUCCESS,
                };
                self.counter(name, sample)
            }
            PROMPT => self.counter(PROMPT, sample),
            OUTPUT => self.counter(OUTPUT, sample),
            RUNNING => self.gauge(0, value),
            WAITING => self.gauge(1, value),
            name if KV.contains(&name) => self.kv(name == KV[0], sample),
            name => self.histogram(name, sample),
        }
    }

    fn counter(&mut self, name: &'static str, sample: &Sample<'_>) -> Result<(), &'static str> {
        let value = checked(sample.value)?;
        self.counters
            .insert((name, sample.labels.to_owned()), value);
        Ok(())
    }

    fn gauge(&mut self, which: usize, value: f64) -> Result<(), &'static str> {
        self.gauges[which].0 += checked(value)?;
        self.gauges[which].1 += 1;
        Ok(())
    }

    /// A release between the two names has both: the newer one counts.
    fn kv(&mut self, newer: bool, sample: &Sample<'_>) -> Result<(), &'static str> {
        let value = checked(sample.value)?;
        if value > 1.0 {
            return Err("samples of a share of the KV cache above 1");
        }
        let known = self.kv.get(sample.labels);
        self.told_twice |= known.is_some();
        if known.is_none_or(|(by_newer, _)| newer || !by_newer) {
            self.kv.insert(sample.labels.to_owned(), (newer, value));
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, sample: &Sample<'_>) -> Result<(), &'static str> {
        for metric in [TTFT, E2E] {
            match name.strip_prefix(metric) {
                Some("_bucket") => {
                    let value = checked(sample.value)?;
                    let edge = sample.label("le").and_then(edge_ns);
                    let edge = edge.ok_or("samples of a histogram without an upper edge")?;
                    let key = (metric, sample.labels_without("le"));
                    let edges = self.histograms.entry(key).or_default();
                    edges.insert(edge, value);
                }
                Some("_sum") => {
                    let value = checked(sample.value)?;
                    let key = (metric, sample.labels_without("le"));
                    self.sums.insert(key, value);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Mean share of the KV caches in use; none where none is told.
    pub(super) fn kv_usage(&self) -> Option<f64> {
        let sum: f64 = self.kv.values().map(|(_, value)| value).sum();
        (!self.kv.is_empty()).then(|| sum / self.kv.len() as f64)
    }

    /// Replicas that it is of.
    pub(super) fn replicas(&self) -> u64 {
        self.gauges[0].1.max(self.kv.len() as u64)
    }
}

/// A value that can be one of a counter or a gauge.
fn checked(value: f64) -> Result<f64, &'static str> {
    if !value.is_finite() {
        return Err("samples that are no finite number (NaN or Inf)");
    }
    match (0.0..=MOST).contains(&value) {
        true => Ok(value),
        false => Err("samples out of range: below 0 or above 2^53"),
    }
}

/// An upper edge in s, as ns; that of the last bucket is unbounded.
fn edge_ns(text: &str) -> Option<u64> {
    match text {
        "+Inf" => Some(u64::MAX),
        text => stamp::number(text, 9).ok(),
    }
}
