//! Arrivals and lengths have the rates, variations, counts and correlations that the scenario
//! states, as far as chance can tell: every check is against the law of the estimate.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::common;

use common::{plan_of, rows_of, run_rows};
use seatrial::fleet::outcome::RequestRow;
use seatrial::measure::Interval;
use seatrial::measure::interval::{bonferroni_t_limit, t_quantile};

const ALPHA: f64 = 1e-4;

fn text(workload: &str, horizon_s: f64) -> String {
    format!(
        "name = \"arrivals\"\n[run]\nseed = 4\nhorizon_s = {horizon_s}\nwarmup_s = 0\n\
         [workload]\n{workload}\n[[pools]]\nname = \"pool\"\nengine = \"abstract\"\n\
         servers = 1000\nservice = {{ law = \"deterministic\", mean_ms = 1 }}\n"
    )
}

/// One number from each of 24 replications against its exact mean.
fn holds(text: &str, checks: usize, exact: f64, statistic: impl Fn(&[RequestRow]) -> f64) {
    let plan = plan_of(text);
    let values: Vec<f64> = (0..24)
        .map(|replication| {
            let mut rows = Vec::new();
            run_rows(&plan, replication, |row| rows.push(row.clone()));
            rows.sort_by_key(|row| row.id);
            statistic(&rows)
        })
        .collect();
    let dof = values.len() as f64 - 1.0;
    let interval = Interval::from_replications(&values, 0.95).unwrap();
    let error = interval.half_width / t_quantile(0.975, dof);
    let limit = bonferroni_t_limit(ALPHA, checks, dof);
    assert!(
        (interval.estimate - exact).abs() <= limit * error.max(1e-12 * exact.abs()),
        "{} +- {error} is not {exact} in\n{text}",
        interval.estimate
    );
}

fn gaps(rows: &[RequestRow]) -> impl Iterator<Item = f64> + '_ {
    let first = std::iter::once(rows[0].arrival_ns);
    let rest = rows
        .windows(2)
        .map(|pair| pair[1].arrival_ns - pair[0].arrival_ns);
    first.chain(rest).map(|ns| ns as f64 / 1e9)
}

#[test]
fn renewal_processes_have_their_rate_and_variation() {
    for (process, cv) in [
        ("process = \"poisson\", rate_per_s = 80", 1.0),
        ("process = \"gamma\", rate_per_s = 80, cv = 0.5", 0.5),
        ("process = \"gamma\", rate_per_s = 80, cv = 3", 3.0),
        ("process = \"weibull\", rate_per_s = 80, cv = 0.3", 0.3),
        ("process = \"weibull\", rate_per_s = 80, cv = 2", 2.0_f64),
    ] {
        let text = text(
            &format!("arrivals = {{ {process} }}\nmax_requests = 10000"),
            1e6,
        );
        holds(&text, 10, 1.0 / 80.0, |rows| {
            gaps(rows).sum::<f64>() / rows.len() as f64
        });
        holds(&text, 10, cv * cv, |rows| {
            let square: f64 = gaps(rows).map(|gap| (80.0 * gap).powi(2)).sum();
            square / rows.len() as f64 - 1.0
        });
    }
}

#[test]
fn constant_gaps_are_equal() {
    let rows = rows_of(&text(
        "arrivals = { process = \"constant\", rate_per_s = 80 }",
        100.0,
    ));
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row.arrival_ns, 12_500_000 * (index as u64 + 1));
    }
}

#[test]
fn modulated_processes_have_their_mean_rate() {
    for (process, rate) in [
        (
            "process = \"on_off\", on_rate_per_s = 120, on_mean_s = 1, off_mean_s = 3",
            30.0,
        ),
        (
            "process = \"on_off\", on_rate_per_s = 120, on_mean_s = 1, off_mean_s = 3, \
             off_rate_per_s = 8",
            36.0,
        ),
        (
            "process = \"mmpp\", states = [{ rate_per_s = 10, mean_s = 2 }, \
             { rate_per_s = 0, mean_s = 1 }, { rate_per_s = 100, mean_s = 0.5 }]",
            20.0,
        ),
    ] {
        // The first 50 s, which know how the process began, do not count.
        let text = text(&format!("arrivals = {{ {process} }}"), 450.0);
        holds(&text, 3, rate, |rows| {
            rows.iter()
                .filter(|row| row.arrival_ns >= 50_000_000_000)
                .count() as f64
                / 400.0
        });
    }
}

/// Counts within `[from, to)` seconds against Poisson with the integral of the rate.
fn counts(profile: &str, segments: &[(f64, f64, f64)], end_s: f64) {
    let workload = format!(
        "arrivals = {{ process = \"poisson\", rate_per_s = 200 }}\nprofile = {{ {profile} }}"
    );
    let rows = rows_of(&text(&workload, end_s));
    let limit = bonferroni_t_limit(ALPHA, segments.len(), 1e9);
    for &(from, to, factor_seconds) in segments {
        let within = |row: &&RequestRow| {
            let at = row.arrival_ns as f64 / 1e9;
            at >= from && at < to
        };
        let count = rows.iter().filter(within).count() as f64;
        let expected = 200.0 * factor_seconds;
        assert!(
            (count - expected).abs() <= limit * expected.sqrt(),
            "{count} of {expected} in {from}..{to} of {profile}"
        );
    }
}

#[test]
fn a_spike_brings_its_factor_while_it_lasts() {
    counts(
        "shape = \"spike\", start_s = 20, duration_s = 10, factor = 5",
        &[(0.0, 20.0, 20.0), (20.0, 30.0, 50.0), (30.0, 60.0, 30.0)],
        60.0,
    );
}

#[test]
fn a_ramp_rises_in_a_straight_line_and_holds() {
    counts(
        "shape = \"ramp\", start_s = 10, end_s = 30, factor = 3",
        &[
            (0.0, 10.0, 10.0),
            (10.0, 20.0, 15.0),
            (20.0, 30.0, 25.0),
            (30.0, 60.0, 90.0),
        ],
        60.0,
    );
}

#[test]
fn a_day_has_its_peak_and_its_trough() {
    let (day, amplitude, peak) = (120.0, 0.8, 40.0);
    let turn = std::f64::consts::TAU / day;
    let integral = |t: f64| t + amplitude / turn * (turn * (t - peak)).sin();
    let segments: Vec<(f64, f64, f64)> = (0..24)
        .map(|index| {
            let (from, to) = (10.0 * f64::from(index), 10.0 * f64::from(index + 1));
            (from, to, integral(to) - integral(from))
        })
        .collect();
    counts(
        "shape = \"diurnal\", period_s = 120, amplitude = 0.8, peak_s = 40",
        &segments,
        240.0,
    );
}

fn lengths(extra: &str) -> String {
    text(
        &format!(
            "arrivals = {{ process = \"poisson\", rate_per_s = 100 }}\nmax_requests = 5000\n{extra}"
        ),
        1e6,
    )
}

fn share(rows: &[RequestRow], of: impl Fn(&RequestRow) -> bool) -> f64 {
    rows.iter().filter(|row| of(row)).count() as f64 / rows.len() as f64
}

#[test]
fn lengths_have_their_mean_and_their_quantiles() {
    let text = lengths(
        "prompt_tokens = { law = \"lognormal\", mean_tokens = 900, cv = 1.5 }\n\
         output_tokens = { law = \"exponential\", mean_tokens = 300, max_tokens = 400 }",
    );
    holds(&text, 5, 900.0, |rows| {
        rows.iter()
            .map(|row| f64::from(row.prompt_tokens))
            .sum::<f64>()
            / rows.len() as f64
    });
    // The median of a lognormal is its mean over the root of 1 + cv^2; tokens are rounded.
    let median = 900.0 / (1.0 + 1.5 * 1.5_f64).sqrt();
    let rounds_to = median.floor();
    let sigma = (1.0 + 1.5 * 1.5_f64).ln().sqrt();
    let density = 0.398_942_280_4 / sigma;
    let exact = 0.5 + density * ((rounds_to + 0.5) / median).ln();
    holds(&text, 5, exact, |rows| {
        share(rows, |row| f64::from(row.prompt_tokens) <= rounds_to)
    });
    let below = |tokens: f64| 1.0 - (-tokens / 300.0_f64).exp();
    for tokens in [50.0, 200.0, 350.0] {
        let exact = below(tokens + 0.5) / below(400.0);
        holds(&text, 5, exact, |rows| {
            assert!(
                rows.iter()
                    .all(|row| (1..=400).contains(&row.output_tokens))
            );
            share(rows, |row| f64::from(row.output_tokens) <= tokens)
        });
    }
}

#[test]
fn empirical_lengths_pass_through_their_knots() {
    let text = lengths(
        "prompt_tokens = { law = \"quantiles\", knots = [[0, 10], [0.5, 110], [0.9, 1110], [1, 5110]] }",
    );
    for (tokens, exact) in [
        (60, 0.2525),
        (110, 0.5 + 0.5 * 0.0004),
        (610, 0.7002),
        (1110, 0.9 + 0.5 * 0.1 / 4000.0),
    ] {
        holds(&text, 4, exact, |rows| {
            share(rows, |row| row.prompt_tokens <= tokens)
        });
    }
}

/// Spearman's rank correlation.
fn rank_correlation(rows: &[RequestRow]) -> f64 {
    let ranks = |of: &dyn Fn(&RequestRow) -> u32| -> Vec<f64> {
        let mut sorted: Vec<u32> = rows.iter().map(of).collect();
        sorted.sort_unstable();
        let rank = |value: u32| {
            let below = sorted.partition_point(|&other| other < value);
            let with = sorted.partition_point(|&other| other <= value);
            (below + with) as f64 / 2.0
        };
        rows.iter().map(|row| rank(of(row))).collect()
    };
    let (a, b) = (
        ranks(&|row| row.prompt_tokens),
        ranks(&|row| row.output_tokens),
    );
    let middle = rows.len() as f64 / 2.0;
    let product = |a: &[f64], b: &[f64]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| (a - middle) * (b - middle))
            .sum()
    };
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

#[test]
fn lengths_have_the_rank_correlation_stated() {
    for correlation in [-0.8, -0.3, 0.0, 0.4, 0.9] {
        let text = lengths(&format!(
            "length_rank_correlation = {correlation}\n\
             prompt_tokens = {{ law = \"lognormal\", mean_tokens = 90000, cv = 1 }}\n\
             output_tokens = {{ law = \"exponential\", mean_tokens = 50000 }}"
        ));
        holds(&text, 5, correlation, rank_correlation);
    }
}
