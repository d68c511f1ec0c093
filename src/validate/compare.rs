//! How far a simulated run is from the measured one.

use serde_json::{Map, Value, json};

use crate::measure::{ks_distance_two, ks_limit, quantile_of_sorted};

use super::measured::{MeasuredRequest, MeasuredRun, Stage};
use super::replay::{Replay, Simulated};

/// A latency that runs are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Time to first token.
    Ttft,
    /// Mean time per output token after the first.
    Tpot,
    /// End to end.
    E2e,
    /// In the engine's queue.
    Queue,
}

impl Metric {
    /// All of them.
    pub const ALL: [Metric; 4] = [Metric::Ttft, Metric::Tpot, Metric::E2e, Metric::Queue];

    /// Its name in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Metric::Ttft => "ttft_ms",
            Metric::Tpot => "tpot_ms",
            Metric::E2e => "e2e_ms",
            Metric::Queue => "queue_ms",
        }
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Metric::Ttft => "TTFT",
            Metric::Tpot => "TPOT",
            Metric::E2e => "E2E",
            Metric::Queue => "queue",
        }
    }

    fn observed(self, request: &MeasuredRequest) -> Option<f64> {
        match self {
            Metric::Ttft => request.ttft_ms,
            Metric::Tpot => request.tpot_ms(),
            Metric::E2e => request.e2e_ms,
            Metric::Queue => request.queue_ms,
        }
    }

    fn simulated(self, request: &Simulated) -> Option<f64> {
        match self {
            Metric::Ttft => request.ttft_ms,
            Metric::Tpot => request.tpot_ms,
            Metric::E2e => request.e2e_ms,
            Metric::Queue => request.queue_ms,
        }
    }
}

/// Mean and quantiles of a sample, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
}

impl Summary {
    /// Of a sample in ascending order; none without values.
    fn of(sorted: &[f64]) -> Option<Summary> {
        let at = |q| quantile_of_sorted(sorted, q);
        Some(Summary {
            mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
            p50: at(0.5)?,
            p90: at(0.9)?,
            p99: at(0.99)?,
        })
    }

    /// The four figures in order: mean, p50, p90, p99.
    pub fn figures(&self) -> [f64; 4] {
        [self.mean, self.p50, self.p90, self.p99]
    }
}

/// Names of [`Summary::figures`].
pub const FIGURES: [&str; 4] = ["mean", "p50", "p90", "p99"];

/// One latency compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Which.
    pub metric: Metric,
    /// Measured values, ascending.
    pub observed: Vec<f64>,
    /// Simulated values, ascending.
    pub simulated: Vec<f64>,
    /// Of the measured values.
    pub observed_summary: Summary,
    /// Of the simulated values.
    pub simulated_summary: Summary,
    /// Distance between the two distributions.
    pub ks: f64,
    /// The distance that two samples of one distribution exceed once in a hundred times.
    pub ks_limit: f64,
    /// Of every request's absolute error, percent: the median.
    pub per_request_median_abs_pct: Option<f64>,
}

impl Compared {
    /// Errors of mean, p50, p90 and p99 in percent of the measured; none where that is 0.
    pub fn errors_pct(&self) -> [Option<f64>; 4] {
        let observed = self.observed_summary.figures();
        let simulated = self.simulated_summary.figures();
        std::array::from_fn(|index| error_pct(observed[index], simulated[index]))
    }
}

/// `simulated` against `observed`, percent.
pub fn error_pct(observed: f64, simulated: f64) -> Option<f64> {
    (observed > 0.0).then(|| (simulated / observed - 1.0) * 100.0)
}

/// Requests and tokens per second, from the first arrival to the last token.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Throughput {
    /// Completed requests per second.
    pub requests_per_s: f64,
    /// Output tokens of completed requests per second.
    pub output_tokens_per_s: f64,
}

/// A whole run or a part of it, compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// `all`, or the stage's name.
    pub part: String,
    /// Requests offered.
    pub offered: usize,
    /// Requests compared: completed in both, and not of the warm-up.
    pub compared: usize,
    /// Requests of the warm-up, which are simulated and not compared.
    pub warmup: usize,
    /// Requests that failed when measured.
    pub failed: usize,
    /// Requests that the simulated fleet did not complete.
    pub not_simulated: usize,
    /// Latencies that were measured.
    pub metrics: Vec<Compared>,
    /// Measured, simulated.
    pub throughput: Option<(Throughput, Throughput)>,
    /// Whether the measured fleet did not keep up, and whether the simulated one did not.
    pub saturated: (bool, bool),
}

/// The engine's state over a run: means of samples taken at the same instants.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct EngineState {
    /// Sequences running, measured.
    pub running_observed: f64,
    /// Sequences running, simulated.
    pub running_simulated: f64,
    /// Requests waiting, measured.
    pub waiting_observed: f64,
    /// Requests waiting, simulated.
    pub waiting_simulated: f64,
}

/// Compares the engine's state where it was sampled. A simulated sequence runs from when it was
/// first scheduled to its last token, preempted or not.
pub fn engine_state(run: &MeasuredRun, replay: &Replay) -> Option<EngineState> {
    let count = run.engine.len() as f64;
    if run.engine.is_empty() {
        return None;
    }
    let stamps = |of: &dyn Fn(&Simulated) -> Option<u64>| {
        let mut stamps: Vec<u64> = replay.simulated.iter().filter_map(of).collect();
        stamps.sort_unstable();
        stamps
    };
    let arrived = stamps(&|simulated| Some(simulated.arrival_ns));
    let scheduled = stamps(&|simulated| simulated.scheduled_ns);
    let ended = stamps(&|simulated| simulated.last_token_ns);
    let mut sums = EngineState {
        running_observed: 0.0,
        running_simulated: 0.0,
        waiting_observed: 0.0,
        waiting_simulated: 0.0,
    };
    for sample in &run.engine {
        let at = (sample.t_s * 1e9) as u64;
        let before = |stamps: &[u64]| stamps.partition_point(|stamp| *stamp <= at) as f64;
        sums.running_observed += sample.running / count;
        sums.waiting_observed += sample.waiting / count;
        sums.running_simulated += (before(&scheduled) - before(&ended)) / count;
        sums.waiting_simulated += (before(&arrived) - before(&scheduled)) / count;
    }
    Some(sums)
}

/// Compares a run as a whole, then each of its stages. Requests that arrived in the first
/// `warmup_s` seconds are simulated, but not compared.
pub fn compare(run: &MeasuredRun, replay: &Replay, warmup_s: f64) -> Vec<Comparison> {
    let whole = Stage {
        name: "all".to_owned(),
        from_s: 0.0,
        to_s: f64::INFINITY,
    };
    let stages = std::iter::once(&whole).chain(&run.stages);
    stages
        .map(|stage| compare_part(stage, warmup_s, &run.requests, &replay.simulated))
        .collect()
}

fn compare_part(
    stage: &Stage,
    warmup_s: f64,
    requests: &[MeasuredRequest],
    simulated: &[Simulated],
) -> Comparison {
    let pairs: Vec<(&MeasuredRequest, &Simulated)> = requests
        .iter()
        .zip(simulated)
        .filter(|(request, _)| {
            let at = request.arrival_ns as f64 / 1e9;
            at >= stage.from_s && at < stage.to_s
        })
        .collect();
    let warms_up = |request: &MeasuredRequest| (request.arrival_ns as f64) < warmup_s * 1e9;
    let both: Vec<(&MeasuredRequest, &Simulated)> = pairs
        .iter()
        .copied()
        .filter(|(request, simulated)| {
            request.completed && simulated.completed && !warms_up(request)
        })
        .collect();
    let count = |test: &dyn Fn(&(&MeasuredRequest, &Simulated)) -> bool| {
        pairs.iter().filter(|pair| test(pair)).count()
    };
    let failed = count(&|(request, _)| !request.completed);
    let first_tokens = |of: &dyn Fn(&(&MeasuredRequest, &Simulated)) -> Option<f64>| {
        pairs.iter().filter_map(of).collect::<Vec<f64>>()
    };
    let observed = first_tokens(&|(request, _)| request.ttft_ms.filter(|_| request.completed));
    let modelled = first_tokens(&|(_, simulated)| simulated.ttft_ms);
    let many_failed = failed * 20 > pairs.len();
    Comparison {
        part: stage.name.clone(),
        offered: pairs.len(),
        compared: both.len(),
        warmup: count(&|(request, _)| warms_up(request)),
        failed,
        not_simulated: count(&|(_, simulated)| !simulated.completed),
        metrics: Metric::ALL
            .into_iter()
            .filter_map(|metric| compare_metric(metric, &both))
            .collect(),
        throughput: throughput(&pairs),
        saturated: (many_failed || is_rising(&observed), is_rising(&modelled)),
    }
}

/// Whether the time to first token rises over a run as it does where a backlog builds up: the
/// median of the last quarter is above 1 s and five times that of the first quarter.
fn is_rising(in_order_of_arrival: &[f64]) -> bool {
    let quarter = in_order_of_arrival.len() / 4;
    let median = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        quantile_of_sorted(&sorted, 0.5)
    };
    let first = median(&in_order_of_arrival[..quarter]);
    let last = median(&in_order_of_arrival[in_order_of_arrival.len() - quarter..]);
    matches!((first, last), (Some(first), Some(last)) if last > 1e3 && last > 5.0 * first)
}

fn compare_metric(metric: Metric, both: &[(&MeasuredRequest, &Simulated)]) -> Option<Compared> {
    let pairs: Vec<(f64, f64)> = both
        .iter()
        .filter_map(|(request, simulated)| {
            Some((metric.observed(request)?, metric.simulated(simulated)?))
        })
        .collect();
    let (mut observed, mut simulated): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let ks = ks_distance_two(&mut observed, &mut simulated);
    let mut errors: Vec<f64> = pairs
        .iter()
        .filter_map(|(observed, simulated)| error_pct(*observed, *simulated))
        .map(f64::abs)
        .collect();
    errors.sort_unstable_by(f64::total_cmp);
    Some(Compared {
        metric,
        observed_summary: Summary::of(&observed)?,
        simulated_summary: Summary::of(&simulated)?,
        ks,
        ks_limit: ks_limit(observed.len() as f64 / 2.0, 0.01),
        per_request_median_abs_pct: quantile_of_sorted(&errors, 0.5),
        observed,
        simulated,
    })
}

fn throughput(pairs: &[(&MeasuredRequest, &Simulated)]) -> Option<(Throughput, Throughput)> {
    let start_s = pairs.first()?.0.arrival_ns as f64 / 1e9;
    let rate = |ends: Vec<(f64, u32)>| {
        let last = ends.iter().map(|(end, _)| *end).fold(start_s, f64::max);
        let span = last - start_s;
        let tokens: f64 = ends.iter().map(|(_, tokens)| f64::from(*tokens)).sum();
        (span > 0.0).then(|| Throughput {
            requests_per_s: ends.len() as f64 / span,
            output_tokens_per_s: tokens / span,
        })
    };
    let end = |at: u64, e2e_ms: f64, tokens: u32| (at as f64 / 1e9 + e2e_ms / 1e3, tokens);
    let observed = pairs.iter().filter(|(request, _)| request.completed);
    let observed = observed
        .filter_map(|(request, _)| {
            Some(end(
                request.arrival_ns,
                request.e2e_ms?,
                request.output_tokens,
            ))
        })
        .collect();
    let simulated = pairs.iter().filter(|(_, simulated)| simulated.completed);
    let simulated = simulated
        .filter_map(|(request, simulated)| {
            Some(end(
                simulated.arrival_ns,
                simulated.e2e_ms?,
                request.output_tokens,
            ))
        })
        .collect();
    Some((rate(observed)?, rate(simulated)?))
}

impl Comparison {
    /// As JSON: `errors_pct`, `ks`, `observed`, `simulated` and more.
    pub fn to_json(&self) -> Value {
        let by_metric = |value: &dyn Fn(&Compared) -> Value| {
            let fields = self.metrics.iter();
            Value::Object(
                fields
                    .map(|compared| (compared.metric.key().to_owned(), value(compared)))
                    .collect::<Map<String, Value>>(),
            )
        };
        let errors = by_metric(&|compared| {
            let errors = FIGURES.into_iter().zip(compared.errors_pct());
            Value::Object(
                errors
                    .map(|(name, error)| (name.to_owned(), json!(error)))
                    .collect(),
            )
        });
        let throughput = self.throughput.map(|(observed, simulated)| {
            json!({
                "observed": observed,
                "simulated": simulated,
                "error_pct": error_pct(observed.requests_per_s, simulated.requests_per_s),
            })
        });
        json!({
            "part": self.part,
            "requests": {
                "offered": self.offered,
                "compared": self.compared,
                "warmup": self.warmup,
                "failed": self.failed,
                "not_completed_in_simulation": self.not_simulated,
            },
            "errors_pct": errors,
            "ks": by_metric(&|compared| json!(compared.ks)),
            "ks_limit_1pct": by_metric(&|compared| json!(compared.ks_limit)),
            "per_request_median_abs_pct":
                by_metric(&|compared| json!(compared.per_request_median_abs_pct)),
            "observed": by_metric(&|compared| json!(compared.observed_summary)),
            "simulated": by_metric(&|compared| json!(compared.simulated_summary)),
            "throughput": throughput,
            "saturated": { "observed": self.saturated.0, "simulated": self.saturated.1 },
        })
    }
}
