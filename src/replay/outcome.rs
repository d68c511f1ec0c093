//! What a replay found.

use serde::Serialize;
use serde_json::{Value, json};

use super::fit::Fit;
use super::levels::Telemetry;
use super::night::Lengths;
use super::score::{Pair, QuantileError, Score, Stretch};
use super::series::{Kind, Minutes};
use super::what_if::{Figures, WhatIf};
use super::window::Window;
use super::words;

/// What a replay found.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Name of the scenario.
    pub scenario: String,
    /// Seed of the first simulated night.
    pub seed: u64,
    /// What was read.
    pub log: Log,
    /// Replicas and queues, as far as they were observed.
    pub telemetry: Telemetry,
    /// What the replay takes to be so.
    pub assumptions: Vec<String>,
    /// Where all was well.
    pub calm: Window,
    /// Where it was not, where that is stated.
    pub incident: Option<Window>,
    /// What was fitted.
    pub fit: Fit,
    /// Simulated nights.
    pub nights: usize,
    /// Minutes that series are laid beside each other by.
    pub minutes: Minutes,
    /// The series.
    pub pairs: Vec<Pair>,
    /// The stretches that are scored.
    pub stretches: Vec<Stretch>,
    /// Series by stretch.
    pub scores: Vec<Score>,
    /// Quantiles by stretch.
    pub quantiles: Vec<QuantileError>,
    /// The night as observed.
    pub observed: Figures,
    /// The night as simulated.
    pub simulated: Figures,
    /// What changes would have done.
    pub what_ifs: Vec<WhatIf>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Log {
    /// Requests.
    pub requests: u64,
    /// From the start to the last arrival, seconds.
    pub span_s: f64,
    /// Where its time 0 is, ns since 1970, where it has dates.
    pub zero_ns: Option<u64>,
    /// Left out: before the start.
    pub before_start: u64,
    /// What lengths rest on.
    pub lengths: Lengths,
    /// Whether it has times of first tokens.
    pub has_ttft: bool,
    /// Whether it tells how often requests were tried.
    pub has_tries: bool,
    /// What an importer said of it.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Whether the model fits everywhere it was held against what was observed.
    pub fn fits(&self) -> bool {
        self.scores.iter().all(|score| score.fits) && self.quantiles.iter().all(|it| it.fits)
    }

    /// Series that were observed in too little of a stretch to be judged there, and the stretch.
    pub fn not_judged(&self) -> Vec<(&str, &'static str)> {
        let observed = self.pairs.iter().filter(|pair| pair.observed.is_some());
        let all = observed.flat_map(|pair| self.stretches.iter().map(|it| (pair.name(), it.name)));
        let is_judged = |series: &str, stretch: &str| {
            let mut scores = self.scores.iter();
            scores.any(|score| score.series == series && score.stretch == stretch)
        };
        all.filter(|(series, stretch)| !is_judged(series, stretch))
            .collect()
    }

    /// What does not fit, and where.
    fn not_to_be_trusted(&self) -> Vec<Value> {
        let scores = self.scores.iter().filter(|score| !score.fits);
        let scores = scores.map(|score| {
            json!({
                "series": score.series,
                "stretch": score.stretch,
                "windows": score.off,
                "says": words::failing(score),
            })
        });
        let quantiles = self.quantiles.iter().filter(|it| !it.fits);
        let quantiles = quantiles.map(|it| {
            json!({
                "series": format!("{} of all requests", it.name()),
                "stretch": it.stretch,
                "windows": [],
                "says": words::failing_quantile(it),
            })
        });
        scores.chain(quantiles).collect()
    }

    /// As one document.
    pub fn to_json(&self) -> Value {
        json!({
            "schema": 1,
            "scenario": self.scenario,
            "seed": self.seed,
            "log": self.log,
            "notes": words::notes(self),
            "telemetry": self.telemetry,
            "assumptions": self.assumptions,
            "calm": self.calm,
            "incident": self.incident,
            "fit": self.fit,
            "fitted_to": words::fitted(self),
            "nights": self.nights,
            "verdict": {
                "fits": self.fits(),
                "says": words::verdict(self),
                "not_judged": self.not_judged().iter().map(|(series, stretch)| json!({
                    "series": series,
                    "stretch": stretch,
                })).collect::<Vec<_>>(),
                "rests_on": words::few_nights(self),
                "not_to_be_trusted": self.not_to_be_trusted(),
            },
            "observed": self.observed,
            "simulated": self.simulated,
            "stretches": self.stretches,
            "scores": self.scores,
            "quantiles": self.quantiles,
            "what_if": self.what_ifs,
            "minutes": self.minutes,
            "series": self.pairs.iter().map(|pair| self.series(pair)).collect::<Vec<_>>(),
        })
    }

    fn series(&self, pair: &Pair) -> Value {
        let all = 0..self.minutes.count;
        let unit = match pair.simulated.first().map(|it| it.kind) {
            Some(Kind::Rate) => "requests/s",
            Some(Kind::Latency) => "ms",
            Some(Kind::Share) => "share",
            _ => "count",
        };
        let simulated: Vec<Option<f64>> = all.clone().map(|at| pair.mean(at)).collect();
        let low: Vec<Option<f64>> = all.clone().map(|at| Some(pair.span(at)?.0)).collect();
        let high: Vec<Option<f64>> = all.map(|at| Some(pair.span(at)?.1)).collect();
        json!({
            "name": pair.name(),
            "unit": unit,
            "observed": pair.observed.as_ref().map(|it| &it.values),
            "simulated": simulated,
            "simulated_low": low,
            "simulated_high": high,
        })
    }

    /// The series as CSV: a row for each minute, observed and simulated beside each other.
    pub fn csv(&self) -> String {
        let mut text = "t_s".to_owned();
        for pair in &self.pairs {
            let name = pair.name().replace(' ', "_");
            text += &format!(",{name}_observed,{name}_simulated");
        }
        text.push('\n');
        let shown = |value: Option<f64>| value.map(|it| it.to_string()).unwrap_or_default();
        for minute in 0..self.minutes.count {
            text += &(minute as f64 * self.minutes.bin_s).to_string();
            for pair in &self.pairs {
                text += &format!(",{},{}", shown(pair.seen(minute)), shown(pair.mean(minute)));
            }
            text.push('\n');
        }
        text
    }
}
