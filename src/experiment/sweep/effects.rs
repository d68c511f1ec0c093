//! What each axis does to a metric: main effects, and Sobol indices where the design permits.
//!
//! An axis' first-order index is the share of the metric's variance that it explains alone, its
//! total index the share that it has a part in; both take all values of an axis to be equally likely
//! (Saltelli et al., *Global Sensitivity Analysis*, Wiley 2008).

mod estimate;

use serde::Serialize;

use self::estimate::{Pair, bootstrap, jackknife, of_grid, of_saltelli};
use super::axis::{Axis, shown};
use super::design::{Design, Point};
use super::point::{Found, Valued};
use super::schema::Experiment;
use crate::experiment::claims::short;
use crate::experiment::metric::Metric;

/// Parts of an axis whose values cannot be listed.
const PARTS: usize = 4;

/// What the axes do to one metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effects {
    /// The metric.
    pub metric: String,
    /// Points with a value, which all of this is of.
    pub points: usize,
    /// Its mean over them.
    pub mean: f64,
    /// Its standard deviation over them.
    pub standard_deviation: f64,
    /// What the indices rest on, or why there are none.
    pub method: String,
    /// The axes, those that matter most first.
    pub axes: Vec<AxisEffect>,
}

/// What one axis does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AxisEffect {
    /// The axis.
    pub axis: String,
    /// Where the mean over all points with that value is least.
    pub lowest: LevelMean,
    /// Where it is greatest.
    pub highest: LevelMean,
    /// Its first-order index.
    pub first_order: Option<Index>,
    /// Its total index.
    pub total: Option<Index>,
}

/// The mean of the metric over the points with one value of an axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LevelMean {
    /// The value, or the range of values.
    pub at: String,
    /// The mean.
    pub mean: f64,
}

/// A Sobol index with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Index {
    /// The index; from 0 to 1 but for its error.
    pub value: f64,
    /// The lower end of its interval; none where there is none.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

/// What the axes do to each metric. A metric without values, or that is the same everywhere, has none;
/// nor has one that reads the scenario alone, since its formula says it.
pub fn effects(
    experiment: &Experiment,
    points: &[Point],
    found: &[Found],
    confidence: f64,
) -> Vec<Effects> {
    let metrics = experiment.metrics.iter().enumerate();
    let effects = metrics.filter_map(|(index, row)| {
        let metric = Metric::parse(&row.metric).ok()?;
        if metric
            .paths()
            .iter()
            .all(|path| path.starts_with("scenario."))
        {
            return None;
        }
        let values: Vec<&Valued> = found
            .iter()
            .filter_map(|it| it.metrics.get(index))
            .collect();
        let table = Table {
            experiment,
            points,
            values,
            confidence,
            exact: found.iter().all(|it| it.exact),
            stream: index as u64,
        };
        table.effects(&row.name)
    });
    effects.collect()
}

struct Table<'a> {
    experiment: &'a Experiment,
    points: &'a [Point],
    values: Vec<&'a Valued>,
    confidence: f64,
    /// Whether nothing in any of the runs is random.
    exact: bool,
    stream: u64,
}

/// The value of a point: that of all its replications together; without one of them, moved by as much as
/// that moves the mean of the replications.
fn value(valued: &Valued, without: Option<usize>) -> Option<f64> {
    let all: Vec<f64> = valued.replications.iter().copied().collect::<Option<_>>()?;
    let mean = |kept: &[f64]| kept.iter().sum::<f64>() / kept.len() as f64;
    let kept = all.iter().enumerate().filter(|it| Some(it.0) != without);
    let kept: Vec<f64> = kept.map(|it| *it.1).collect();
    let moved = (!kept.is_empty()).then(|| mean(&kept) - mean(&all))?;
    Some(valued.value? + moved)
}

impl Table<'_> {
    fn effects(&self, name: &str) -> Option<Effects> {
        let values: Vec<Option<f64>> = self.values.iter().map(|it| value(it, None)).collect();
        // The mixed points of Saltelli's design are near copies of those they are mixed of.
        let own = |index: usize| match self.experiment.design {
            Design::Saltelli { .. } => index % (self.experiment.axes.len() + 2) < 2,
            _ => true,
        };
        let sample = values.iter().enumerate().filter(|it| own(it.0));
        let sample: Vec<(usize, f64)> = sample.filter_map(|it| Some((it.0, (*it.1)?))).collect();
        let count = sample.len() as f64;
        let mean = sample.iter().map(|it| it.1).sum::<f64>() / count;
        let squares = sample.iter().map(|it| (it.1 - mean).powi(2)).sum::<f64>();
        let standard_deviation = (squares / count).sqrt();
        if sample.len() < 2 || !standard_deviation.is_finite() || standard_deviation == 0.0 {
            return None;
        }
        let (indices, method) = self.indices(&values);
        let axes = self
            .experiment
            .axes
            .iter()
            .enumerate()
            .map(|(index, axis)| {
                let (lowest, highest) = self.extremes(axis, index, &sample);
                let pair = indices.as_ref().map(|indices| indices[index]);
                AxisEffect {
                    axis: axis.label(),
                    lowest,
                    highest,
                    first_order: pair.map(|pair| pair.first),
                    total: pair.map(|pair| pair.total),
                }
            });
        let mut axes: Vec<AxisEffect> = axes.collect();
        let weight = |axis: &AxisEffect| match axis.total {
            Some(index) => index.value,
            None => axis.highest.mean - axis.lowest.mean,
        };
        axes.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        Some(Effects {
            metric: name.to_owned(),
            points: sample.len(),
            mean,
            standard_deviation,
            method,
            axes,
        })
    }

    /// The means of the metric by value of an axis: the least and the greatest.
    fn extremes(
        &self,
        axis: &Axis,
        index: usize,
        sample: &[(usize, f64)],
    ) -> (LevelMean, LevelMean) {
        let listed = axis.few_values();
        // By value where there are few, else by part of the axis.
        let mut levels: Vec<(String, f64, u32)> = match &listed {
            Some(levels) => levels.iter().map(|level| (shown(level), 0.0, 0)).collect(),
            None => (0..PARTS)
                .map(|part| (part_of(axis, part), 0.0, 0))
                .collect(),
        };
        for (point, value) in sample {
            let point = &self.points[*point];
            let level = match &listed {
                Some(levels) => levels
                    .iter()
                    .position(|level| *level == point.settings[index]),
                None => Axis::level_at(point.places[index], PARTS),
            };
            if let Some(level) = level {
                levels[level].1 += value;
                levels[level].2 += 1;
            }
        }
        let means = levels.into_iter().filter(|level| level.2 > 0);
        let mut means: Vec<LevelMean> = means
            .map(|(at, sum, count)| LevelMean {
                at,
                mean: sum / f64::from(count),
            })
            .collect();
        // A stable order: of equal means the first level is the lowest and the last the highest.
        means.sort_by(|a, b| a.mean.total_cmp(&b.mean));
        let nothing = || LevelMean {
            at: String::new(),
            mean: f64::NAN,
        };
        let lowest = means.first().cloned().unwrap_or_else(nothing);
        let highest = means.pop().unwrap_or_else(nothing);
        (lowest, highest)
    }

    /// The Sobol indices of the axes, and what they rest on or why there are none.
    fn indices(&self, values: &[Option<f64>]) -> (Option<Vec<Pair>>, String) {
        let missing = values.iter().filter(|value| value.is_none()).count();
        let axes = &self.experiment.axes;
        let all: Option<Vec<f64>> = values.iter().copied().collect();
        let Some(all) = all else {
            let why = format!(
                "no Sobol indices: {missing} of {} points have no value",
                values.len()
            );
            return (None, why);
        };
        let percent = 100.0 * self.confidence;
        match self.experiment.design {
            Design::Grid {} => {
                let levels = |axis: &Axis| axis.levels().map_or(0, |levels| levels.len());
                let levels: Vec<usize> = axes.iter().map(levels).collect();
                let replications = self.values.iter().map(|it| it.replications.len()).min();
                let replications = replications.unwrap_or(0);
                let whole = of_grid(&levels, &all);
                let parts = (0..replications).map(|without| {
                    let values = self.values.iter().map(|it| value(it, Some(without)));
                    Some(of_grid(&levels, &values.collect::<Option<Vec<f64>>>()?))
                });
                let parts: Option<Vec<Vec<(f64, f64)>>> = parts.collect();
                let method = match (replications, &parts) {
                    _ if self.exact => {
                        "Sobol indices over all combinations; exact: nothing in these runs \
                                        is random"
                            .to_owned()
                    }
                    (2.., Some(_)) => format!(
                        "Sobol indices over all combinations; {percent} % intervals by a jackknife over \
                         {replications} replications"
                    ),
                    _ => "Sobol indices over all combinations, without intervals: they need two \
                          replications or more"
                        .to_owned(),
                };
                (Some(jackknife(&whole, parts, self.confidence)), method)
            }
            Design::Saltelli { .. } => {
                let rows: Vec<&[f64]> = all.chunks(axes.len() + 2).collect();
                let whole = of_saltelli(&rows);
                let seed = self.experiment.seed;
                let pairs = bootstrap(&rows, &whole, (seed, self.stream), self.confidence);
                let method = format!(
                    "Sobol indices by Jansen's estimators on {} base points; {percent} % intervals by a \
                     bootstrap over these",
                    rows.len()
                );
                (Some(pairs), method)
            }
            Design::LatinHypercube { .. } | Design::Sobol { .. } => {
                let why = "no Sobol indices: this design does not permit them; they need a grid, or \
                           design.kind = \"saltelli\"";
                (None, why.to_owned())
            }
        }
    }
}

/// A part of an axis, by its ends.
fn part_of(axis: &Axis, part: usize) -> String {
    let end = |part: usize| {
        let value = axis.at(part as f64 / PARTS as f64);
        let number = value.first().and_then(serde_json::Value::as_f64);
        number.map_or_else(|| shown(&value), short)
    };
    format!("{}-{}", end(part), end(part + 1))
}
