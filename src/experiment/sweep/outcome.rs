//! What comes of a sweep: its points, the front and the effects.

use serde_json::{Map, Value, json};

use super::design::{Point, points};
use super::effects::{Effects, effects};
use super::error::SweepError;
use super::front::front;
use super::identity::Header;
use super::journal::Points;
use super::point::Found;
use super::schema::Goal;

/// A sweep whose points have all been run.
#[derive(Debug)]
pub struct SweepOutcome {
    /// What it is of.
    pub header: Header,
    /// Its points.
    pub points: Vec<Point>,
    /// What was found at them, in their order.
    pub found: Vec<Found>,
    /// Whether each is within all bounds: none where that is not known well enough.
    pub feasible: Vec<Option<bool>>,
    /// The points of the front, the best by the first goal first.
    pub front: Vec<usize>,
    /// What the axes do to each metric.
    pub effects: Vec<Effects>,
}

impl SweepOutcome {
    /// Puts it together.
    ///
    /// # Errors
    /// [`SweepError::Merge`] when points are missing.
    pub fn new(header: Header, mut found: Points) -> Result<SweepOutcome, SweepError> {
        let experiment = &header.experiment;
        let points = points(experiment);
        let taken: Vec<Option<Found>> = (0..points.len())
            .map(|index| found.remove(&index))
            .collect();
        let missing: Vec<usize> = (0..points.len())
            .filter(|index| taken[*index].is_none())
            .collect();
        if let Some(first) = missing.first() {
            return Err(SweepError::Merge(format!(
                "{} of {} points are missing, the first is point {first}: run them",
                missing.len(),
                points.len()
            )));
        }
        let found: Vec<Found> = taken.into_iter().flatten().collect();
        let feasible: Vec<Option<bool>> = found
            .iter()
            .map(|found| {
                let rows = experiment.metrics.iter().enumerate();
                let met: Vec<Option<bool>> =
                    rows.map(|(index, row)| found.meets(row, index)).collect();
                match (met.contains(&Some(false)), met.contains(&None)) {
                    (true, _) => Some(false),
                    (_, true) => None,
                    _ => Some(true),
                }
            })
            .collect();
        let goals = goals(&header);
        let values: Vec<Vec<Option<f64>>> = found
            .iter()
            .zip(&feasible)
            .map(|(found, feasible)| {
                // What was cut short shows nothing.
                let takes_part = *feasible == Some(true) && found.partial.is_none();
                let value =
                    |(index, _): &(usize, Goal)| found.metrics[*index].value.filter(|_| takes_part);
                goals.iter().map(value).collect()
            })
            .collect();
        let bare: Vec<Goal> = goals.iter().map(|goal| goal.1).collect();
        Ok(SweepOutcome {
            front: front(&values, &bare),
            effects: effects(experiment, &points, &found, header.confidence),
            points,
            found,
            feasible,
            header,
        })
    }

    /// Whether any metric has a bound.
    pub fn has_bounds(&self) -> bool {
        let mut metrics = self.header.experiment.metrics.iter();
        metrics.any(|row| row.at_most.is_some() || row.at_least.is_some())
    }

    /// The metrics that have a goal, by their place.
    pub fn goals(&self) -> Vec<(usize, Goal)> {
        goals(&self.header)
    }

    /// As a JSON document.
    pub fn to_json(&self) -> Value {
        let header = &self.header;
        let experiment = &header.experiment;
        let mut on_front = vec![false; self.points.len()];
        for index in &self.front {
            on_front[*index] = true;
        }
        let rows = self.points.iter().zip(&self.found).map(|(point, found)| {
            let settings: Map<String, Value> = point
                .overrides(&experiment.axes)
                .map(|(path, value)| (path.to_owned(), value.clone()))
                .collect();
            let metrics = experiment.metrics.iter().zip(&found.metrics);
            let metrics: Map<String, Value> = metrics
                .map(|(row, valued)| (row.name.clone(), json!(valued)))
                .collect();
            json!({
                "point": point.index,
                "settings": settings,
                "metrics": metrics,
                "feasible": self.feasible[point.index],
                "on_front": on_front[point.index],
                "exact": found.exact,
                "partial": found.partial,
                "digest": found.digest,
            })
        });
        json!({
            "schema": 1,
            "experiment": experiment.name,
            "scenario": header.scenario,
            "seatrial": header.seatrial,
            "design": experiment.design,
            "axes": experiment
                .axes
                .iter()
                .map(|axis| json!({"name": axis.label(), "paths": axis.paths()}))
                .collect::<Vec<Value>>(),
            "metrics": experiment.metrics,
            "confidence": header.confidence,
            "scenario_sha256": header.scenario_sha256,
            "files": header.files,
            "points": rows.collect::<Vec<Value>>(),
            "front": self.front,
            "effects": self.effects,
        })
    }
}

fn goals(header: &Header) -> Vec<(usize, Goal)> {
    let metrics = header.experiment.metrics.iter().enumerate();
    metrics
        .filter_map(|(index, row)| Some((index, row.goal?)))
        .collect()
}
