//! What `seatrial report` draws beside the result: whole distributions, the budget at the median, and
//! what happened when. `run --out` writes it as `charts.json`.

use serde::{Deserialize, Serialize};

use crate::fleet::series::Series;
use crate::measure::{LatencyBudget, LatencyHistogram, Part};
use crate::scenario::resolve::Plan;

use super::tally::{LATENCIES, Tally};

/// Version of the file.
pub const SCHEMA: u32 = 1;
/// Its name.
pub const FILE: &str = "charts.json";
/// Points of a distribution: each percent and half percent, then finer towards the tail.
const STEP: f64 = 0.005;
/// Quantiles at which the budget is split up.
const BUDGET_AT: [f64; 3] = [0.5, 0.9, 0.99];

/// What is drawn of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charts {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Digest of the run that it is of.
    pub digest: String,
    /// What the scenario is about, in its own words.
    pub description: String,
    /// Confidence of intervals, 0 to 1.
    pub confidence: f64,
    /// Distributions of latencies, in the order of the result's.
    pub latency: Vec<Curve>,
    /// The least TTFT and E2E that the hardware allows, of all requests measured; empty where nothing
    /// is known of it.
    pub floors: Vec<Curve>,
    /// Bounds of the objectives.
    pub objectives: Vec<Objective>,
    /// Where E2E goes at several quantiles.
    pub budget: Vec<BudgetAt>,
    /// What happened when, in the first replication.
    pub series: Option<SeriesReport>,
    /// Faults and when they were in force, in the first replication.
    pub marks: Vec<Mark>,
}

/// A distribution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// Of what, as the result names it.
    pub name: String,
    /// Samples.
    pub count: u64,
    /// Milliseconds, and the share of samples that are at most that, 0 to 1; both ascending.
    pub points: Vec<(f64, f64)>,
}

/// An objective of a tier; none of its bounds where it has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// The tier.
    pub tier: String,
    /// The latency that is bounded, as the result names it.
    pub latency: String,
    /// Its bound, milliseconds.
    pub at_most_ms: f64,
    /// The share of requests that are to meet all bounds of the tier.
    pub target: f64,
}

/// The parts of E2E about a quantile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetAt {
    /// The quantile, 0 to 1.
    pub quantile: f64,
    /// Each part with its mean, milliseconds, over the requests about that quantile.
    pub parts: Vec<(String, f64)>,
}

/// A fault and when it was in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// What it is and befalls, in words.
    pub what: String,
    /// From when, seconds.
    pub from_s: f64,
    /// Until when, seconds; none where it did not end.
    pub to_s: Option<f64>,
}

/// Columns over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesReport {
    /// Length of a row, seconds.
    pub bucket_s: f64,
    /// What is in a row; `NAME/COLUMN` for what is of a pool.
    pub columns: Vec<String>,
    /// The rows; none for what was not measured.
    pub rows: Vec<Vec<Option<f64>>>,
}

impl Charts {
    /// What is drawn of replications put together; the digest is that of the result.
    pub fn of(plan: &Plan, tally: &Tally, digest: &str) -> Charts {
        let latency = LATENCIES.iter().zip(&tally.latencies);
        let floors = ["ttft_ms", "e2e_ms"].into_iter().zip(&tally.floors);
        let timeline = tally.timeline.as_ref();
        Charts {
            schema: SCHEMA,
            digest: digest.to_owned(),
            description: plan.scenario.description.clone(),
            confidence: plan.scenario.run.confidence,
            latency: latency.map(|(name, it)| Curve::of(name, it)).collect(),
            floors: floors
                .filter(|(_, it)| it.max_ns().is_some_and(|most| most > 0))
                .map(|(name, it)| Curve::of(name, it))
                .collect(),
            objectives: objectives(plan),
            budget: budget(&tally.budget),
            series: tally.series.clone(),
            marks: timeline.map_or_else(Vec::new, |it| it.marks.clone()),
        }
    }
}

impl Curve {
    fn of(name: &str, histogram: &LatencyHistogram) -> Curve {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for share in shares(histogram.count()) {
            let Some(ns) = histogram.quantile(share) else {
                continue;
            };
            let ms = (ns / 1e3).round() / 1e3;
            match points.last_mut() {
                // The same value: the greater share is what is at most that.
                Some(last) if last.0 >= ms => last.1 = share,
                _ => points.push((ms, share)),
            }
        }
        Curve {
            name: name.to_owned(),
            count: histogram.count(),
            points,
        }
    }
}

/// Shares at which a distribution of so many samples is shown: none beyond which there is none.
fn shares(count: u64) -> Vec<f64> {
    let steps = (1.0 / STEP) as u32;
    let mut shares: Vec<f64> = (0..steps).map(|step| f64::from(step) * STEP).collect();
    let mut beyond = 1.0 - STEP;
    let mut step = STEP / 10.0;
    while step * count as f64 >= 1.0 && step > 1e-7 {
        // Nine steps to where the next decimal begins.
        shares.extend((1..=9).map(|at| beyond + step * f64::from(at)));
        beyond += step * 9.0;
        step /= 10.0;
    }
    shares.push(1.0);
    shares
}

fn objectives(plan: &Plan) -> Vec<Objective> {
    let tiers = plan.fleet.tiers.iter();
    let all = tiers.flat_map(|tier| {
        let bounds = tier.slo.iter().flat_map(|slo| {
            [
                ("ttft_ms", slo.ttft_ms),
                ("tpot_ms", slo.tpot_ms),
                ("e2e_ms", slo.e2e_ms),
            ]
            .map(|(latency, bound)| (latency, bound, slo.target))
        });
        bounds.filter_map(|(latency, bound, target)| {
            Some(Objective {
                tier: tier.name.clone(),
                latency: latency.to_owned(),
                at_most_ms: bound?,
                target,
            })
        })
    });
    all.collect()
}

fn budget(budget: &LatencyBudget) -> Vec<BudgetAt> {
    let quantiles = BUDGET_AT.iter().filter_map(|&quantile| {
        let means = budget.at_ms(quantile)?;
        let parts = Part::ALL.iter().zip(means);
        Some(BudgetAt {
            quantile,
            parts: parts
                .map(|(part, ms)| (part.name().to_owned(), ms))
                .collect(),
        })
    });
    quantiles.collect()
}

impl SeriesReport {
    /// What a run kept; `pools` are their names.
    pub fn of(series: &Series, pools: &[&str]) -> SeriesReport {
        const OWN: [&str; 10] = [
            "t_s",
            "arrived_per_s",
            "completed_per_s",
            "good_per_s",
            "unanswered_per_s",
            "in_flight",
            "ttft_p50_ms",
            "ttft_p99_ms",
            "e2e_p50_ms",
            "e2e_p99_ms",
        ];
        const OF_POOL: [&str; 4] = ["utilization", "kv_share", "waiting", "replicas"];
        let width_s = series.width().as_secs_f64();
        let mut columns: Vec<String> = OWN.iter().map(|name| (*name).to_owned()).collect();
        for pool in pools {
            columns.extend(OF_POOL.iter().map(|column| format!("{pool}/{column}")));
        }
        let rows = series.rows().enumerate().map(|(index, (stretch, pools))| {
            let rate = |count: u64| Some(short(count as f64 / width_s));
            let ms = |ns: Option<f64>| ns.map(|ns| short(ns / 1e6));
            let mut row = vec![
                Some(index as f64 * width_s),
                rate(stretch.arrived),
                rate(stretch.completed),
                rate(stretch.good),
                rate(stretch.unanswered),
                Some(stretch.in_flight as f64),
                ms(stretch.ttft.quantile_ns(0.5)),
                ms(stretch.ttft.quantile_ns(0.99)),
                ms(stretch.e2e.quantile_ns(0.5)),
                ms(stretch.e2e.quantile_ns(0.99)),
            ];
            for pool in pools {
                row.extend([
                    pool.utilization().map(short),
                    pool.kv_share().map(short),
                    pool.mean(pool.waiting),
                    pool.mean(pool.replicas),
                ]);
            }
            row
        });
        SeriesReport {
            bucket_s: width_s,
            rows: rows.collect(),
            columns,
        }
    }

    /// A column by its name.
    pub fn column(&self, name: &str) -> Option<Vec<Option<f64>>> {
        let index = self.columns.iter().position(|column| column == name)?;
        let rows = self.rows.iter();
        Some(rows.map(|row| row.get(index).copied().flatten()).collect())
    }
}

/// A number to four decimals: more cannot be seen, and files stay small.
fn short(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_ascend_and_have_samples_beyond() {
        for count in [0, 1, 10, 1_000, 1_000_000] {
            let shares = shares(count);
            assert!(shares.is_sorted(), "{count}");
            let beyond = (1.0 - shares[shares.len() - 2]) * count as f64;
            assert!(
                count < 1_000 || (0.1..5.1).contains(&beyond),
                "{count}: {beyond}"
            );
        }
    }

    #[test]
    fn a_constant_is_one_point() {
        let mut histogram = LatencyHistogram::new();
        for _ in 0..1_000 {
            histogram.record(2_000_000);
        }
        let curve = Curve::of("e2e_ms", &histogram);
        assert_eq!(curve.points, [(2.0, 1.0)]);
        assert!(
            Curve::of("e2e_ms", &LatencyHistogram::new())
                .points
                .is_empty()
        );
    }
}
