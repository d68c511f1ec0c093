//! A fit and what it is worth: errors on rows seen and not seen, intervals, and which unknowns the
//! rows cannot tell apart.

use std::collections::BTreeMap;
use std::path::Path;

use super::beware::warnings;
use super::fitted::{Estimate, Fit, FittedRow};
use super::flat::Flat;
use super::measurement::Observed;
use super::model::Model;
use super::parameter::{Parameter, Values};
use super::refusal::{refuse_few, refuse_none};
use super::repeated::Repeated;
use super::solve::{Solved, past, solve, starts};
use super::split::{Split, cross_validate};
use crate::calibrate::OverheadEntry;
use crate::calibrate::regression::bootstrap;
use crate::calibrate::regression::identifiability::identifiability;
use crate::calibrate::regression::robust::Loss;
use crate::perf::ModelCard;
use crate::validate::closed_loop::score::{Errors, Score};
use crate::validate::closed_loop::simulate::Means;

pub use super::refusal::FitError;

/// Clusters from which on a bootstrap draws clusters and not rows.
const LEAST_CLUSTERS: usize = 6;

/// What is fitted, and how it is judged.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Unknowns that are not fitted, and the values they keep.
    pub held: BTreeMap<Parameter, f64>,
    /// What errors cost.
    pub loss: Loss,
    /// Parts that rows are split into for cross-validation, at least 2.
    pub folds: usize,
    /// Splits row by row, so that one server may be in several parts.
    pub by_row: bool,
    /// Fields of the scenarios to override.
    pub changes: Vec<(String, String)>,
    /// Where the rows are from, for the profile.
    pub source: String,
}

/// Fits the unknowns to rows and judges the fit. `left_out` is carried through.
///
/// # Errors
/// Rows of several engines or accelerators, too few rows, or rows that cannot be simulated.
pub fn fit(
    observed: &[Observed],
    left_out: &BTreeMap<String, usize>,
    asked: &Asked,
) -> Result<Fit, FitError> {
    refuse_none(observed.len(), left_out)?;
    let engine = only(observed, "engines", "--engine", |row| row.engine.clone())?;
    let accelerator = only(observed, "accelerators", "--accelerator", |row| {
        row.accelerator.clone()
    })?;
    let free = free(asked)?;
    let mut start = super::parameter::start();
    for (parameter, value) in &asked.held {
        start[*parameter as usize] = *value;
    }
    let mut model = Model::new(observed, &asked.changes);
    let mut left_out = left_out.clone();
    let rows = simulable(&mut model, start, &mut left_out);
    refuse_none(rows.len(), &left_out)?;
    refuse_few(rows.len(), free.len(), &left_out)?;
    let starts = starts(start, &free);
    let mut solved =
        solve(&mut model, &rows, &free, &starts, asked.loss).map_err(FitError::Simulation)?;
    let split = Split::of(observed, &rows, asked);
    let begun = [solved.start];
    let (mut unseen, parts) = cross_validate(&mut model, &rows, &split, &free, &begun, asked.loss);
    // Some of the rows may lead past where all of them together got stuck.
    if let Some(past) = past(&mut model, &rows, &free, &solved, &parts, asked.loss) {
        solved = past;
        let begun = [solved.start];
        (unseen, _) = cross_validate(&mut model, &rows, &split, &free, &begun, asked.loss);
    }
    let fit = Judged {
        observed,
        rows: &rows,
        free: &free,
        solved: &solved,
        split: &split,
        unseen: &unseen,
        asked,
    };
    Ok(fit.report(&mut model, engine, accelerator, left_out))
}

/// Whether rows like these could be fitted, whatever times they will have: the unknowns that are left,
/// the number of rows, and the scenarios that they are simulated by.
///
/// # Errors
/// What would be refused once they have been measured.
pub fn possible(observed: &[Observed], asked: &Asked) -> Result<(), FitError> {
    let free = free(asked)?;
    refuse_few(observed.len(), free.len(), &BTreeMap::new())?;
    let left_out = Model::new(observed, &asked.changes).refused();
    let rows = observed.len() - left_out.values().sum::<usize>();
    refuse_none(rows, &left_out)?;
    refuse_few(rows, free.len(), &left_out)
}

/// The unknowns that are not held.
///
/// # Errors
/// There is none.
pub fn free(asked: &Asked) -> Result<Vec<Parameter>, FitError> {
    let all = Parameter::ALL.into_iter();
    let free: Vec<Parameter> = all.filter(|one| !asked.held.contains_key(one)).collect();
    match free.is_empty() {
        true => Err(FitError::NothingFree),
        false => Ok(free),
    }
}

/// The one value that all rows have.
fn only(
    rows: &[Observed],
    what: &'static str,
    option: &'static str,
    of: impl Fn(&Observed) -> String,
) -> Result<String, FitError> {
    let mut found = distinct(rows, of);
    match found.len() {
        0 => Ok(String::new()),
        1 => Ok(found.remove(0)),
        _ => Err(FitError::Several {
            what,
            found: found.join(", "),
            option,
        }),
    }
}

fn distinct(rows: &[Observed], of: impl Fn(&Observed) -> String) -> Vec<String> {
    let mut found: Vec<String> = rows.iter().map(of).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The rows that can be simulated at the start; the others are counted by reason.
fn simulable(
    model: &mut Model<'_>,
    start: Values,
    left_out: &mut BTreeMap<String, usize>,
) -> Vec<usize> {
    let asked: Vec<(usize, Values)> = (0..model.rows.len()).map(|row| (row, start)).collect();
    let mut rows = Vec::new();
    for (row, means) in model.means(&asked).into_iter().enumerate() {
        match means {
            Ok(_) => rows.push(row),
            Err(reason) => *left_out.entry(reason).or_default() += 1,
        }
    }
    rows
}

/// Everything that a report is made of.
struct Judged<'a> {
    observed: &'a [Observed],
    rows: &'a [usize],
    free: &'a [Parameter],
    solved: &'a Solved,
    split: &'a Split,
    unseen: &'a [Option<Means>],
    asked: &'a Asked,
}

impl Judged<'_> {
    fn report(
        &self,
        model: &mut Model<'_>,
        engine: String,
        accelerator: String,
        left_out: BTreeMap<String, usize>,
    ) -> Fit {
        let found = identifiability(&self.design());
        let (values, flats) = self.flats(model, &found.without_effect);
        let own: Vec<(usize, Values)> = self.rows.iter().map(|row| (*row, values)).collect();
        let fitted: Vec<Option<Means>> = model.means(&own).into_iter().map(Result::ok).collect();
        let named = |at: &usize| self.free[*at].name();
        let parameters = self.parameters(values, &flats, &found.confounded);
        // A profile needs no more digits than its rows give.
        let value = |parameter: Parameter| rounded(values[parameter as usize]);
        let models = self.models();
        let mut fit = Fit {
            versions: distinct(self.observed, |row| row.version.clone())
                .into_iter()
                .filter(|version| !version.is_empty())
                .collect(),
            models: models.clone(),
            loss: self.asked.loss,
            deviation_pct: (self.solved.scales[0] * 100.0, self.solved.scales[1] * 100.0),
            repeated: Repeated::of(self.observed, self.rows),
            folds: self.split.folds,
            together: self.split.together,
            seen: self.score(&fitted),
            unseen: self.score(self.unseen),
            condition: found.condition,
            correlations: found
                .correlations
                .iter()
                .map(|(one, other, correlation)| (named(one), named(other), *correlation))
                .collect(),
            confounded: found
                .confounded
                .iter()
                .map(|set| set.iter().map(named).collect())
                .collect(),
            warnings: Vec::new(),
            rows: self.fitted_rows(&fitted),
            left_out,
            steps: self.solved.steps,
            settled: self.solved.settled,
            profile: OverheadEntry {
                engine: engine.clone(),
                system: accelerator.clone(),
                fixed_us: value(Parameter::FixedUs),
                per_seq_us: value(Parameter::PerSeqUs),
                per_request_ms: value(Parameter::PerRequestMs),
                per_1k_tokens_ms: 0.0,
                rows: self.rows.len(),
                source: self.asked.source.clone(),
                fitted_to: models,
                async_scheduling: self.overlaps(),
                per_prompt_token_us: value(Parameter::PerPromptTokenUs),
                prefill_time_factor: value(Parameter::PrefillTimeFactor),
                decode_time_factor: value(Parameter::DecodeTimeFactor),
                provenance: Some("fitted".to_owned()),
                models: Vec::new(),
            },
            parameters,
            engine,
            accelerator,
        };
        fit.warnings = warnings(&fit, &flats, self.free.len());
        fit
    }

    /// Unknowns that may go somewhere from where the fit has ended without moving anything, and the values with
    /// each of them as it is written. `idle` ones move nothing there.
    fn flats(&self, model: &mut Model<'_>, idle: &[usize]) -> (Values, Vec<Flat>) {
        let mut values = self.solved.values;
        let mut flats = Vec::new();
        for (at, parameter) in self.free.iter().enumerate() {
            let asked = (*parameter, idle.contains(&at));
            let flat = Flat::around(model, self.rows, &self.solved.weights, values, asked);
            if flat.is_wide() || flat.idle {
                values[*parameter as usize] = flat.written;
                flats.push(flat);
            }
        }
        (values, flats)
    }

    /// The names of the cards of the rows' models.
    fn models(&self) -> Vec<String> {
        let own = self.rows.iter().map(|row| &self.observed[*row]);
        let mut models: Vec<String> = own.map(|row| row.case.server.model.clone()).collect();
        models.sort_unstable();
        models.dedup();
        let name = |model: String| match ModelCard::load(&model, Path::new("")) {
            Ok(card) => card.name,
            // It was simulated, so that there is one; by another name it is known no less.
            Err(_) => model,
        };
        models.into_iter().map(name).collect()
    }

    /// Whether the rows were simulated with iterations planned ahead.
    fn overlaps(&self) -> bool {
        let set = self.asked.changes.iter().rev();
        let found = set
            .filter(|(path, _)| path.ends_with(".async_scheduling"))
            .map(|(_, value)| value == "true");
        let own = self.observed.first();
        let own = own.and_then(|row| row.case.server.async_scheduling);
        found.into_iter().next().or(own).unwrap_or(false)
    }

    /// The design whose rows carry the roots of their weights, over standard deviations.
    fn design(&self) -> nalgebra::DMatrix<f64> {
        let mut design = self.solved.problem.a.clone();
        for (at, mut row) in design.row_iter_mut().enumerate() {
            row *= self.solved.weights[at].sqrt() / self.solved.scales[at % 2];
        }
        design
    }

    fn parameters(
        &self,
        values: Values,
        flats: &[Flat],
        confounded: &[Vec<usize>],
    ) -> Vec<Estimate> {
        let means = |rows: &[usize]| -> Vec<usize> {
            rows.iter().flat_map(|row| [2 * row, 2 * row + 1]).collect()
        };
        let clusters: Vec<Vec<usize>> = match self.split.clusters.len() {
            0..LEAST_CLUSTERS => (0..self.rows.len()).map(|row| means(&[row])).collect(),
            _ => self.split.clusters.iter().map(|rows| means(rows)).collect(),
        };
        let own = self.free.iter();
        let estimates: Vec<f64> = own.map(|one| self.solved.values[*one as usize]).collect();
        let most: Vec<f64> = self.free.iter().map(|one| one.most()).collect();
        let solved = self.solved;
        let mut intervals = bootstrap::intervals(
            &solved.problem,
            &solved.objective,
            &estimates.into(),
            &most,
            &clusters,
        );
        let place = |parameter: Parameter| self.free.iter().position(|own| *own == parameter);
        // Of what moves nothing the rows say how far it may go.
        for flat in flats {
            if let Some(at) = place(flat.parameter) {
                let (low, high) = &mut intervals[at];
                (*low, *high) = (low.min(flat.low), high.max(flat.high));
            }
        }
        let bounds: Vec<(f64, f64)> = self
            .free
            .iter()
            .map(|one| (one.least(), one.most()))
            .collect();
        open_undecided(&mut intervals, confounded, &bounds);
        let of = |parameter: Parameter| {
            let at = place(parameter);
            let value = values[parameter as usize];
            Estimate {
                name: parameter.name(),
                unit: parameter.unit(),
                value,
                interval: at.map(|at| intervals[at]),
                held: at.is_none(),
                at_bound: at.is_some() && value <= parameter.least(),
            }
        };
        Parameter::ALL.into_iter().map(of).collect()
    }

    fn score(&self, means: &[Option<Means>]) -> Score {
        let pairs = || {
            let both = self.rows.iter().zip(means);
            both.filter_map(|(row, means)| Some((&self.observed[*row].case, (*means)?)))
        };
        Score {
            scored: pairs().count(),
            ttft: Errors::of(pairs().map(|(case, means)| (case.ttft_ms, means.ttft_ms))),
            tpot: Errors::of(pairs().map(|(case, means)| (case.tpot_ms, means.tpot_ms))),
        }
    }

    fn fitted_rows(&self, fitted: &[Option<Means>]) -> Vec<FittedRow> {
        let of = |(at, row): (usize, &usize)| {
            let observed = &self.observed[*row];
            let means = fitted[at]?;
            Some(FittedRow {
                place: observed.place.clone(),
                server: observed.server.clone(),
                users: observed.case.users,
                ttft_ms: (observed.case.ttft_ms, means.ttft_ms),
                tpot_ms: (observed.case.tpot_ms, means.tpot_ms),
                weights: (self.solved.weights[2 * at], self.solved.weights[2 * at + 1]),
                unseen_ms: self.unseen[at].map(|means| (means.ttft_ms, means.tpot_ms)),
            })
        };
        self.rows.iter().enumerate().filter_map(of).collect()
    }
}

/// Opens intervals of no width to all values that are sought, of unknowns that the rows cannot tell from
/// others: at its bound an unknown does not move from draw to draw, which says nothing where others take up what
/// it would do.
fn open_undecided(intervals: &mut [(f64, f64)], confounded: &[Vec<usize>], bounds: &[(f64, f64)]) {
    for at in confounded.iter().flatten() {
        if intervals[*at].0 == intervals[*at].1 {
            intervals[*at] = bounds[*at];
        }
    }
}

/// To five digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::open_undecided;

    #[test]
    fn an_interval_of_no_width_is_certain_only_where_rows_decide() {
        let mut intervals = [(0.1, 0.1), (5.0, 9.0), (3.0, 3.0)];
        let bounds = [(0.1, 100.0); 3];
        open_undecided(&mut intervals, &[vec![0, 1]], &bounds);
        assert_eq!(intervals, [(0.1, 100.0), (5.0, 9.0), (3.0, 3.0)]);
    }
}
