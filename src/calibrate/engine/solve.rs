//! The unknowns that fit rows best, from several starts: each with one factor held first and freed then,
//! the best of them on to the end.

use super::descent::{Descent, Reached};
use super::model::{LEAST_SCALE, Model};
use super::parameter::{Parameter, Values};
use crate::calibrate::regression::problem::Problem;
use crate::calibrate::regression::robust::{Loss, Objective, scales};

/// Steps of a stage at most; most stages settle within ten.
const MOST_STEPS: usize = 60;
/// Steps with a factor held, after which starts are compared.
const FIRST_STEPS: usize = 6;
/// Factors that a search begins at, beside 1: kernels of half and of twice the step model's time.
const FACTORS: [f64; 2] = [0.5, 2.0];
/// Starts that are followed to the end.
const FOLLOWED: usize = 2;
/// Another start must be better than the usual one by this share of its cost to be taken for it.
const BETTER: f64 = 0.01;

/// Where a search begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Start {
    /// The unknowns there.
    pub values: Values,
    /// A factor that is held at first.
    held: Option<Parameter>,
}

impl Start {
    /// From these values, all free at once.
    pub fn at(values: Values) -> Start {
        Start { values, held: None }
    }
}

/// The starts of a search for `free` unknowns: the usual one, `values`, and those with other factors.
pub fn starts(values: Values, free: &[Parameter]) -> Vec<Start> {
    let mut found = vec![Start::at(values)];
    for factor in [Parameter::PrefillTimeFactor, Parameter::DecodeTimeFactor] {
        // With nothing else free there is nothing to be found while it is held.
        if !free.contains(&factor) || free.len() < 2 {
            continue;
        }
        for value in FACTORS {
            let mut values = values;
            values[factor as usize] = value;
            let held = Some(factor);
            found.push(Start { values, held });
        }
    }
    found
}

/// What fits some rows best.
#[derive(Debug, Clone)]
pub struct Solved {
    /// All unknowns, those held included.
    pub values: Values,
    /// The rows around them, as a linear problem in the free unknowns.
    pub problem: Problem,
    /// What errors cost there, with standard deviations that stay.
    pub objective: Objective,
    /// Errors of all rows there, TTFT and TPOT in turn.
    pub residuals: Vec<f64>,
    /// Standard deviations of errors of TTFT and TPOT, relative.
    pub scales: Vec<f64>,
    /// Weights of the errors, 0 to 1.
    pub weights: Vec<f64>,
    /// Steps that were made from the best start on.
    pub steps: usize,
    /// Whether no step was left that helps.
    pub settled: bool,
    /// The start that led there.
    pub start: Start,
}

/// Fits `free` unknowns to rows; the others stay what they are at the starts.
///
/// First with Huber's loss, then from there with the loss asked for, the standard deviations of errors
/// held: as V. J. Yohai does it (*High breakdown-point and high efficiency robust estimates for
/// regression*, Annals of Statistics 15, 1987).
///
/// # Errors
/// Where the rows cannot be simulated.
pub fn solve(
    model: &mut Model<'_>,
    rows: &[usize],
    free: &[Parameter],
    starts: &[Start],
    loss: Loss,
) -> Result<Solved, String> {
    let first = match loss {
        Loss::Squares => Loss::Squares,
        Loss::Huber | Loss::Tukey => Loss::Huber,
    };
    let mut descent = Descent {
        model,
        rows,
        free: free.to_vec(),
        objective: Objective::seeking(first, LEAST_SCALE),
    };
    let (mut reached, start) = best(&mut descent, starts)?;
    let mut objective = descent.objective.clone();
    if loss == Loss::Tukey {
        let held = scales(&reached.residuals, &kinds(rows), LEAST_SCALE);
        objective = objective.holding(held, loss);
        descent.objective = objective.clone();
        let steps = reached.steps;
        reached = descent.down(reached.values, MOST_STEPS)?;
        reached.steps += steps;
    } else {
        let own = objective.scales(&reached.residuals, &kinds(rows));
        objective = objective.holding(own, loss);
    }
    let Reached {
        values,
        residuals,
        steps,
        settled,
        ..
    } = reached;
    let scales = scales(&residuals, &kinds(rows), LEAST_SCALE);
    let weight = |(row, residual): (usize, &f64)| loss.weight(residual / scales[row % 2]);
    Ok(Solved {
        values,
        weights: residuals.iter().enumerate().map(weight).collect(),
        problem: descent.linearised(values)?,
        objective,
        residuals,
        scales,
        steps,
        settled,
        start,
    })
}

/// What fits rows better than `solved`, from the unknowns that fits to parts of the rows found; none where
/// nothing does.
pub fn past(
    model: &mut Model<'_>,
    rows: &[usize],
    free: &[Parameter],
    solved: &Solved,
    parts: &[Values],
    loss: Loss,
) -> Option<Solved> {
    let seeking = match loss {
        Loss::Squares => Loss::Squares,
        Loss::Huber | Loss::Tukey => Loss::Huber,
    };
    let objective = Objective::seeking(seeking, LEAST_SCALE);
    let cost = |residuals: &[f64]| objective.cost(residuals, &kinds(rows));
    let here = cost(&solved.residuals);
    let mut least: Option<(f64, Values)> = None;
    for values in parts {
        let Some(residuals) = model.residuals(rows, *values) else {
            continue;
        };
        let there = cost(&residuals);
        if there < here && least.is_none_or(|(least, _)| there < least) {
            least = Some((there, *values));
        }
    }
    let (_, values) = least?;
    let again = solve(model, rows, free, &[Start::at(values)], loss).ok()?;
    (cost(&again.residuals) < (1.0 - BETTER) * here).then_some(again)
}

/// Errors of TTFT and TPOT take turns.
fn kinds(rows: &[usize]) -> Vec<usize> {
    (0..2 * rows.len()).map(|row| row % 2).collect()
}

/// The best that is reached from some starts. A start whose rows cannot be simulated counts only where
/// there is no other.
fn best(descent: &mut Descent<'_, '_>, starts: &[Start]) -> Result<(Reached, Start), String> {
    let all = descent.free.clone();
    let mut begun: Vec<(Reached, Start)> = Vec::new();
    let mut failed = None;
    for start in starts {
        let others = all.iter().copied();
        descent.free = others.filter(|one| Some(*one) != start.held).collect();
        match descent.down(start.values, FIRST_STEPS) {
            Ok(reached) => begun.push((reached, *start)),
            Err(reason) => failed = Some(reason),
        }
    }
    descent.free = all;
    begun.sort_by(|(one, _), (other, _)| one.cost.total_cmp(&other.cost));
    // The usual start is followed in any case.
    let usual = begun.iter().position(|(_, start)| start.held.is_none());
    if let Some(at) = usual.filter(|at| *at >= FOLLOWED) {
        begun.swap(FOLLOWED - 1, at);
    }
    let mut found: Option<(Reached, Start)> = None;
    for (before, start) in begun.into_iter().take(FOLLOWED) {
        let on = match before.settled && start.held.is_none() {
            true => Ok(before.clone()),
            false => descent.down(before.values, MOST_STEPS).map(|mut on| {
                on.steps += before.steps;
                on
            }),
        };
        let reached = match on {
            Ok(reached) => reached,
            Err(reason) => {
                failed = Some(reason);
                continue;
            }
        };
        let better = found.as_ref().is_none_or(|(best, first)| {
            // Between nearly equal ones the usual start decides, so that the choice is steady.
            let share = match (first.held.is_none(), start.held.is_none()) {
                (true, false) => 1.0 - BETTER,
                (false, true) => 1.0 + BETTER,
                _ => 1.0,
            };
            reached.cost < share * best.cost
        });
        if better {
            found = Some((reached, start));
        }
    }
    found.ok_or_else(|| failed.unwrap_or_else(|| "there is no start".to_owned()))
}
