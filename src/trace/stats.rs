//! What a trace is like: rate, burstiness, lengths.

use serde::Serialize;

use super::error::TraceError;
use super::source::TraceSource;

const SECOND_NS: u64 = 1_000_000_000;
const MINUTE_NS: u64 = 60 * SECOND_NS;

/// Lengths of prompts or of answers, in tokens. Quantiles are by nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LengthStats {
    /// Mean.
    pub mean: f64,
    /// Shortest.
    pub min: u32,
    /// Median.
    pub p50: u32,
    /// 90th percentile.
    pub p90: u32,
    /// 99th percentile.
    pub p99: u32,
    /// Longest.
    pub max: u32,
}

/// What a trace is like. Failed requests count only in `failed`. A figure that the trace is too
/// short for is none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TraceStats {
    /// Requests with an answer.
    pub count: u64,
    /// Requests that failed when they were recorded.
    pub failed: u64,
    /// From the first request to the last, in s.
    pub span_s: f64,
    /// (count - 1) / span, in requests/s.
    pub rate_per_s: Option<f64>,
    /// Coefficient of variation of the times between arrivals (1: Poisson).
    pub interarrival_cv: Option<f64>,
    /// The busiest second over the mean one, of the full seconds of the trace.
    pub peak_over_mean_1s: Option<f64>,
    /// The busiest minute over the mean one, of the full minutes of the trace.
    pub peak_over_mean_60s: Option<f64>,
    /// Variance over mean of the arrivals in a full second (1: Poisson).
    pub dispersion_1s: Option<f64>,
    /// Variance over mean of the arrivals in a full minute (1: Poisson).
    pub dispersion_60s: Option<f64>,
    /// Lengths of prompts.
    pub prompt: LengthStats,
    /// Lengths of answers.
    pub output: LengthStats,
    /// Spearman's rank correlation of prompt and answer lengths, ties at their average rank.
    pub spearman: Option<f64>,
}

impl TraceStats {
    /// Names, values and units in the order of a table; a figure there is none of is `-`.
    #[must_use]
    pub fn rows(&self) -> Vec<(&'static str, String, &'static str)> {
        let some = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.3}"));
        let mut rows = vec![
            ("requests", self.count.to_string(), ""),
            ("failed, skipped", self.failed.to_string(), ""),
            ("span", format!("{:.3}", self.span_s), "s"),
            ("rate", some(self.rate_per_s), "requests/s"),
            ("inter-arrival CV", some(self.interarrival_cv), ""),
            ("peak / mean second", some(self.peak_over_mean_1s), ""),
            ("peak / mean minute", some(self.peak_over_mean_60s), ""),
            ("dispersion, 1 s", some(self.dispersion_1s), ""),
            ("dispersion, 60 s", some(self.dispersion_60s), ""),
        ];
        rows.extend(
            self.prompt
                .rows(["prompt mean", "prompt min", "prompt p50"]),
        );
        rows.extend(self.prompt.tail(["prompt p90", "prompt p99", "prompt max"]));
        rows.extend(
            self.output
                .rows(["output mean", "output min", "output p50"]),
        );
        rows.extend(self.output.tail(["output p90", "output p99", "output max"]));
        rows.push(("rank correlation", some(self.spearman), ""));
        rows
    }
}

impl LengthStats {
    fn rows(&self, names: [&'static str; 3]) -> [(&'static str, String, &'static str); 3] {
        let mean = format!("{:.1}", self.mean);
        let values = [mean, self.min.to_string(), self.p50.to_string()];
        zip(names, values)
    }

    fn tail(&self, names: [&'static str; 3]) -> [(&'static str, String, &'static str); 3] {
        zip(names, [self.p90, self.p99, self.max].map(|v| v.to_string()))
    }
}

fn zip(names: [&'static str; 3], values: [String; 3]) -> [(&'static str, String, &'static str); 3] {
    let [a, b, c] = values;
    let tokens = "tokens";
    [
        (names[0], a, tokens),
        (names[1], b, tokens),
        (names[2], c, tokens),
    ]
}

/// Reads the trace as `source` says (slice, scale, spreading) and describes it. It holds the
/// lengths, 8 bytes a request, and for the correlation 16 more.
///
/// # Errors
/// As [`TraceSource::scan`].
pub fn stats(source: &TraceSource) -> Result<TraceStats, TraceError> {
    let mut source = source.clone();
    source.keep_failed = false;
    let scan = source.scan()?;
    let mut cursor = source.cursor()?;
    let (mut prompts, mut outputs) = (Vec::new(), Vec::new());
    let mut gaps = Moments::default();
    let (mut seconds, mut minutes) = (Windows::new(SECOND_NS), Windows::new(MINUTE_NS));
    let mut last = scan.first_ns;
    while let Some(record) = cursor.next_record()? {
        if !prompts.is_empty() {
            gaps.add((record.t_ns - last) as f64 / 1e9);
        }
        last = record.t_ns;
        let since = record.t_ns - scan.first_ns;
        seconds.add(since);
        minutes.add(since);
        prompts.push(record.prompt_tokens);
        outputs.push(record.output_tokens);
    }
    Ok(TraceStats {
        count: scan.requests,
        failed: scan.skipped.failed(),
        span_s: scan.span_s,
        rate_per_s: ratio(gaps.count, scan.span_s),
        interarrival_cv: ratio(gaps.variance().sqrt(), gaps.mean),
        peak_over_mean_1s: seconds.peak_over_mean(),
        peak_over_mean_60s: minutes.peak_over_mean(),
        dispersion_1s: seconds.dispersion(),
        dispersion_60s: minutes.dispersion(),
        spearman: spearman(&prompts, &outputs),
        prompt: lengths(prompts),
        output: lengths(outputs),
    })
}

fn ratio(above: f64, below: f64) -> Option<f64> {
    (below > 0.0).then(|| above / below)
}

/// Mean and variance by Welford's recurrence.
#[derive(Debug, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let apart = value - self.mean;
        self.mean += apart / self.count;
        self.squares += apart * (value - self.mean);
    }

    /// Variance of the values as a whole population; 0 for none.
    fn variance(&self) -> f64 {
        if self.count > 0.0 {
            self.squares / self.count
        } else {
            0.0
        }
    }
}

/// Arrivals in back-to-back windows from the first arrival; the last, partial one is left out.
#[derive(Debug)]
struct Windows {
    width_ns: u64,
    index: u64,
    here: u64,
    peak: u64,
    sum: f64,
    squares: f64,
}

impl Windows {
    fn new(width_ns: u64) -> Self {
        Self {
            width_ns,
            index: 0,
            here: 0,
            peak: 0,
            sum: 0.0,
            squares: 0.0,
        }
    }

    fn add(&mut self, t_ns: u64) {
        let index = t_ns / self.width_ns;
        if index > self.index {
            let count = self.here as f64;
            self.peak = self.peak.max(self.here);
            self.sum += count;
            self.squares += count * count;
            (self.index, self.here) = (index, 0);
        }
        self.here += 1;
    }

    /// Mean over the full windows, empty ones included, if there are two or more.
    fn mean(&self) -> Option<f64> {
        (self.index >= 2).then(|| self.sum / self.index as f64)
    }

    fn peak_over_mean(&self) -> Option<f64> {
        ratio(self.peak as f64, self.mean()?)
    }

    fn dispersion(&self) -> Option<f64> {
        let mean = self.mean()?;
        let variance = self.squares / self.index as f64 - mean * mean;
        ratio(variance.max(0.0), mean)
    }
}

fn lengths(mut values: Vec<u32>) -> LengthStats {
    values.sort_unstable();
    let total: u64 = values.iter().map(|v| u64::from(*v)).sum();
    let at = |percent: usize| {
        let rank = (values.len() * percent).div_ceil(100).max(1);
        values.get(rank - 1).copied().unwrap_or(0)
    };
    LengthStats {
        mean: total as f64 / values.len().max(1) as f64,
        min: at(0),
        p50: at(50),
        p90: at(90),
        p99: at(99),
        max: at(100),
    }
}

/// Spearman's rank correlation; none where either side is all one value.
pub(crate) fn spearman(x: &[u32], y: &[u32]) -> Option<f64> {
    let (x, y) = (ranks(x), ranks(y));
    let mean = (x.len() as f64 + 1.0) / 2.0;
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(&y) {
        xy += (x - mean) * (y - mean);
        xx += (x - mean) * (x - mean);
        yy += (y - mean) * (y - mean);
    }
    ratio(xy, (xx * yy).sqrt())
}

/// Ranks from 1; equal values share the average of theirs.
pub(crate) fn ranks(values: &[u32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|i| values[*i]);
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for tied in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = before as f64 + (tied.len() as f64 + 1.0) / 2.0;
        for i in tied {
            ranks[*i] = rank;
        }
        before += tied.len();
    }
    ranks
}
