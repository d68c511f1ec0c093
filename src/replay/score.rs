//! How far the simulated night is from the observed one, and where it is not to be trusted.
//!
//! The model simulates the night several times, each with luck and fitted values of its own. If it
//! is right the observed night is one more of these, about as far from the others as they are from
//! one another. A series does not fit a window where it is much farther off than that, than what it
//! was off by in the part of the calm window that was not fitted to, and than what would matter. What
//! minutes are off by hides a bias where they are noisy: the mean over the stretch is held against what luck
//! makes of it, too, and so are quantiles of all its requests.

mod luck;
mod quantiles;
#[cfg(test)]
mod tests;

use std::ops::Range;

use serde::Serialize;

pub use self::quantiles::{QuantileError, quantile_errors};
use super::night::Seen;
use super::series::{Kind, Minutes, Series};
use super::window::Window;

/// How many times farther off than the worst of eight simulated nights.
const TIMES_WORST: f64 = 2.0;
/// How many times farther off than in the held-out part of the calm window.
const TIMES_CALM: f64 = 3.0;
/// A minute is named when it is off by so many standard deviations.
const DEVIATIONS: f64 = 3.0;
/// Minutes of a window that are compared at least.
pub(super) const LEAST_MINUTES: usize = 3;

/// A stretch of a night that is scored by itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stretch {
    /// Its name.
    pub name: &'static str,
    /// Its windows.
    pub windows: Vec<Window>,
    /// Whether the model was fitted to nothing of it and it is calm: what noise is, is told by it.
    #[serde(skip)]
    pub is_yardstick: bool,
}

impl Stretch {
    /// Whether a minute is within, by its middle.
    fn holds(&self, minute: usize, minutes: Minutes) -> bool {
        let middle_s = (minute as f64 + 0.5) * minutes.bin_s;
        let mut windows = self.windows.iter();
        windows.any(|window| middle_s >= window.from_s && middle_s < window.to_s)
    }

    fn requests(&self, requests: &[Seen]) -> Vec<Range<usize>> {
        let at = |ns: u64| requests.partition_point(|it| it.t_ns < ns);
        let windows = self.windows.iter();
        windows.map(|it| at(it.from_ns())..at(it.to_ns())).collect()
    }
}

/// One series, observed and simulated several times.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// As it was observed; none where no log or monitor tells of it.
    pub observed: Option<Series>,
    /// As it was simulated, night by night.
    pub simulated: Vec<Series>,
}

impl Pair {
    /// Its name.
    pub fn name(&self) -> &str {
        let first = self.simulated.first().or(self.observed.as_ref());
        first.map_or("", |series| series.name.as_str())
    }

    /// The mean of the simulated nights in a minute.
    pub fn mean(&self, minute: usize) -> Option<f64> {
        mean(self.simulated.iter().filter_map(|it| it.values[minute]))
    }

    /// The observed value of a minute.
    pub fn seen(&self, minute: usize) -> Option<f64> {
        self.observed.as_ref()?.values[minute]
    }

    /// The least and the most of the simulated nights in a minute.
    pub fn span(&self, minute: usize) -> Option<(f64, f64)> {
        let values = || self.simulated.iter().filter_map(|it| it.values[minute]);
        Some((values().reduce(f64::min)?, values().reduce(f64::max)?))
    }

    fn variance(&self, minute: usize) -> Option<f64> {
        let values: Vec<f64> = self
            .simulated
            .iter()
            .filter_map(|it| it.values[minute])
            .collect();
        let mean = mean(values.iter().copied())?;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (values.len() > 1).then(|| squares / (values.len() - 1) as f64)
    }

    /// What it counts by; none where nothing was simulated.
    fn kind(&self) -> Option<Kind> {
        self.simulated.first().map(|series| series.kind)
    }

    /// Whether nothing ever happens in it.
    pub fn is_empty(&self) -> bool {
        let all = self.simulated.iter().chain(&self.observed);
        let mut values = all.flat_map(|series| series.values.iter().flatten());
        values.all(|value| *value == 0.0)
    }
}

/// How far off a series is in a stretch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// The series.
    pub series: String,
    /// The stretch.
    pub stretch: &'static str,
    /// Minutes that were compared.
    pub minutes: usize,
    /// Its mean as observed.
    pub observed: f64,
    /// Its mean as simulated.
    pub simulated: f64,
    /// Simulated less observed, on average.
    pub bias: f64,
    /// Root mean square of simulated less observed, over the mean as observed (over that of the
    /// arrivals for what counts requests). None where that is 0.
    pub nrmse: Option<f64>,
    /// The most that may be.
    pub limit: f64,
    /// The most that the bias may be, either way; none where luck is not known.
    pub bias_limit: Option<f64>,
    /// Whether both are within.
    pub fits: bool,
    /// Where it is far off, if it does not fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub off: Vec<Window>,
}

/// Scores every series in every stretch. The stretch that is the yardstick comes first.
pub fn scores(pairs: &[Pair], stretches: &[Stretch], minutes: Minutes) -> Vec<Score> {
    let arrivals = pairs.iter().find(|pair| pair.name() == "arrivals");
    let mut all = Vec::new();
    for pair in pairs {
        let mut calm = None;
        for stretch in stretches {
            let scale_of = match pair.kind() {
                Some(Kind::Rate) => arrivals.unwrap_or(pair),
                _ => pair,
            };
            let Some((score, error)) = score(pair, scale_of, stretch, minutes, calm) else {
                continue;
            };
            if stretch.is_yardstick && score.fits {
                calm = Some(error);
            }
            all.push(score);
        }
    }
    all
}

impl Score {
    /// Whether its bias is within what it may be.
    pub fn bias_fits(&self) -> bool {
        self.bias_limit.is_none_or(|limit| self.bias.abs() <= limit)
    }
}

/// How far off a series was in a stretch, in its own unit, and the size that is held against.
#[derive(Debug, Clone, Copy)]
struct Error {
    off_by: f64,
    /// Its bias, as far as that is more than luck.
    bias: f64,
    scale: f64,
}

impl Error {
    /// What it comes to where a series has another size. Errors of rates and latencies grow with them. Of
    /// how many there are the least of both is taken: a trace of a queue that hardly is one may be many
    /// times its size, and says nothing of a long one.
    fn at(self, kind: Option<Kind>, scale: f64) -> Error {
        let of = |error: f64| {
            let in_proportion = match self.scale > 0.0 {
                true => error / self.scale * scale,
                false => 0.0,
            };
            match kind {
                Some(Kind::Level | Kind::Queue | Kind::Share) => in_proportion.min(error),
                _ => in_proportion,
            }
        };
        Error {
            off_by: of(self.off_by),
            bias: of(self.bias),
            scale,
        }
    }
}

fn score(
    pair: &Pair,
    scale_of: &Pair,
    stretch: &Stretch,
    minutes: Minutes,
    calm: Option<Error>,
) -> Option<(Score, Error)> {
    let within = (0..minutes.count).filter(|minute| stretch.holds(*minute, minutes));
    let within: Vec<usize> = within
        .filter(|minute| pair.seen(*minute).is_some() && pair.mean(*minute).is_some())
        .collect();
    if within.len() < LEAST_MINUTES {
        return None;
    }
    let seen = |minute: &usize| pair.seen(*minute).unwrap_or_default();
    let made = |minute: &usize| pair.mean(*minute).unwrap_or_default();
    let observed = mean(within.iter().map(seen))?;
    let simulated = mean(within.iter().map(made))?;
    let scale = mean(within.iter().filter_map(|minute| scale_of.seen(*minute)))?;
    let off_by = rms(within.iter().map(|minute| made(minute) - seen(minute)))?;
    let nights = 0..pair.simulated.len();
    let apart: Vec<f64> = nights
        .clone()
        .filter_map(|night| apart(pair, night, &within))
        .collect();
    let trace = least_that_matters(pair);
    let calm = calm.map(|calm| calm.at(pair.kind(), scale));
    // In the series' own unit, so that it holds where nothing was observed to take a share of.
    let matters = (what_matters(pair) * scale).max(trace);
    let allowed = (TIMES_WORST * luck::worst(&apart))
        .max(TIMES_CALM * calm.map_or(0.0, |calm| calm.off_by))
        .max(matters);
    let off_nights: Vec<Vec<f64>> = nights.map(|night| off_mean(pair, night, &within)).collect();
    let by_luck = luck::of_mean(&off_nights);
    let bias = simulated - observed;
    let bias_allowed = matters
        .max(by_luck)
        .max(TIMES_CALM * calm.map_or(0.0, |calm| calm.bias));
    let fits = off_by <= allowed && bias.abs() <= bias_allowed;
    let off = match fits {
        true => Vec::new(),
        false => off_minutes(pair, &within, minutes, allowed.min(scale).max(trace)),
    };
    let share = |error: f64| (scale > 0.0).then_some(error / scale);
    let score = Score {
        series: pair.name().to_owned(),
        stretch: stretch.name,
        minutes: within.len(),
        observed,
        simulated,
        bias,
        nrmse: share(off_by),
        limit: share(allowed).unwrap_or(what_matters(pair)),
        bias_limit: Some(bias_allowed).filter(|limit| limit.is_finite()),
        fits,
        off,
    };
    let error = Error {
        off_by,
        bias: (bias.abs() - by_luck).max(0.0),
        scale,
    };
    Some((score, error))
}

/// An error that would matter, as a share.
fn what_matters(pair: &Pair) -> f64 {
    match pair.kind() {
        Some(Kind::Rate) => 0.05,
        _ if pair.name().ends_with("p99") => 0.2,
        _ => 0.1,
    }
}

/// What is too little to matter, whatever the series comes to: half a request that waits.
fn least_that_matters(pair: &Pair) -> f64 {
    match pair.kind() {
        Some(Kind::Queue) => 0.5,
        _ => 0.0,
    }
}

/// How far one simulated night is from the mean of the others.
fn apart(pair: &Pair, night: usize, within: &[usize]) -> Option<f64> {
    let differences = within.iter().filter_map(|minute| {
        let one = pair.simulated[night].values[*minute]?;
        let others = pair.simulated.iter().enumerate();
        let others = others.filter(|(other, _)| *other != night);
        Some(one - mean(others.filter_map(|(_, it)| it.values[*minute]))?)
    });
    rms(differences)
}

/// How far one simulated night is from the mean of all, minute by minute; where it has no value, not at all.
fn off_mean(pair: &Pair, night: usize, within: &[usize]) -> Vec<f64> {
    let off = |minute: &usize| {
        let value = pair.simulated[night].values[*minute];
        value
            .zip(pair.mean(*minute))
            .map_or(0.0, |(one, mean)| one - mean)
    };
    within.iter().map(off).collect()
}

/// The minutes that are far off, those beside one another as one.
fn off_minutes(pair: &Pair, within: &[usize], minutes: Minutes, least: f64) -> Vec<Window> {
    let nights = pair.simulated.len().max(1) as f64;
    let is_off = |minute: &usize| {
        let around = minute.saturating_sub(1)..(minute + 2).min(minutes.count);
        let variance = mean(around.filter_map(|near| pair.variance(near))).unwrap_or(0.0);
        let deviation = (variance * (1.0 + 1.0 / nights)).sqrt();
        let apart = match (pair.seen(*minute), pair.mean(*minute)) {
            (Some(seen), Some(made)) => (seen - made).abs(),
            _ => 0.0,
        };
        apart > (DEVIATIONS * deviation).max(least)
    };
    let mut windows: Vec<Window> = Vec::new();
    for minute in within.iter().filter(|minute| is_off(minute)) {
        let (from_s, to_s) = (
            *minute as f64 * minutes.bin_s,
            (*minute + 1) as f64 * minutes.bin_s,
        );
        match windows.last_mut() {
            // One minute that is not off between two that are is of the same stretch.
            Some(last) if from_s - last.to_s < 1.5 * minutes.bin_s => last.to_s = to_s,
            _ => windows.push(Window { from_s, to_s }),
        }
    }
    windows
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), it| (sum + it, count + 1));
    (count > 0).then(|| sum / count as f64)
}

fn rms(values: impl Iterator<Item = f64>) -> Option<f64> {
    mean(values.map(|value| value * value)).map(f64::sqrt)
}
