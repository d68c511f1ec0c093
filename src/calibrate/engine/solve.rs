//! The unknowns that fit rows best: Gauss-Newton steps, each a robust non-negative least squares
//! problem around simulated runs, shortened where the simulation does not follow its tangent.

use super::model::{LEAST_SCALE, Model};
use super::parameter::{Parameter, Values};
use crate::calibrate::regression::robust::{Loss, Problem, cost, scales};

/// Steps of a stage at most.
const MOST_STEPS: usize = 8;
/// Times that a step is halved.
const HALVINGS: u32 = 5;
/// A step that takes off less of the cost, relative, is the last.
const SETTLED: f64 = 1e-4;

/// What fits some rows best.
#[derive(Debug, Clone)]
pub struct Solved {
    /// All unknowns, those held included.
    pub values: Values,
    /// The rows around them, as a linear problem in the free unknowns.
    pub problem: Problem,
    /// Errors of all rows there, TTFT and TPOT in turn.
    pub residuals: Vec<f64>,
    /// Standard deviations of errors of TTFT and TPOT, relative.
    pub scales: Vec<f64>,
    /// Weights of the errors, 0 to 1.
    pub weights: Vec<f64>,
    /// Steps that were made.
    pub steps: usize,
}

/// Fits `free` unknowns to rows; the others stay what they are at the start.
///
/// First with Huber's loss, whose one minimum is found from anywhere near, then from there with the
/// loss asked for, the standard deviations of errors held: as V. J. Yohai does it (*High
/// breakdown-point and high efficiency robust estimates for regression*, Annals of Statistics 15, 1987).
///
/// # Errors
/// Where the rows cannot be simulated.
pub fn solve(
    model: &mut Model<'_>,
    rows: &[usize],
    free: &[Parameter],
    start: Values,
    loss: Loss,
) -> Result<Solved, String> {
    let first = match loss {
        Loss::Squares => Loss::Squares,
        Loss::Huber | Loss::Tukey => Loss::Huber,
    };
    let (mut values, mut steps) = descend(model, rows, free, start, first, None)?;
    if loss == Loss::Tukey {
        let own = residuals(model, rows, values)?;
        let held = scales(&own, &kinds(own.len()), LEAST_SCALE);
        let (found, more) = descend(model, rows, free, values, loss, Some(&held))?;
        (values, steps) = (found, steps + more);
    }
    let problem = linearised(model, rows, values, free)?;
    let residuals = residuals(model, rows, values)?;
    let scales = scales(&residuals, &problem.kinds, problem.least_scale);
    let weight = |(row, residual): (usize, &f64)| loss.weight(residual / scales[row % 2]);
    Ok(Solved {
        values,
        weights: residuals.iter().enumerate().map(weight).collect(),
        problem,
        residuals,
        scales,
        steps,
    })
}

/// Errors of TTFT and TPOT take turns.
fn kinds(count: usize) -> Vec<usize> {
    (0..count).map(|row| row % 2).collect()
}

fn cannot() -> String {
    "the rows cannot be simulated with the values of this step".to_owned()
}

fn residuals(model: &mut Model<'_>, rows: &[usize], at: Values) -> Result<Vec<f64>, String> {
    model.residuals(rows, at).ok_or_else(cannot)
}

fn linearised(
    model: &mut Model<'_>,
    rows: &[usize],
    at: Values,
    free: &[Parameter],
) -> Result<Problem, String> {
    model.linearised(rows, at, free).ok_or_else(cannot)
}

/// Steps down from `values` until one gains nothing.
fn descend(
    model: &mut Model<'_>,
    rows: &[usize],
    free: &[Parameter],
    mut values: Values,
    loss: Loss,
    held: Option<&[f64]>,
) -> Result<(Values, usize), String> {
    for step in 0..MOST_STEPS {
        let problem = linearised(model, rows, values, free)?;
        let start = free.iter().map(|one| values[*one as usize]);
        let solution = problem.solve_from(loss, held, start.collect::<Vec<f64>>().into());
        let spread = held.unwrap_or(&solution.scales);
        let of = |residuals: &[f64]| cost(residuals, &problem.kinds, spread, loss);
        let now = of(&residuals(model, rows, values)?);
        let mut share = 1.0;
        let mut better = None;
        for _ in 0..=HALVINGS {
            let mut trial = values;
            for (parameter, found) in free.iter().zip(solution.x.iter()) {
                let own = &mut trial[*parameter as usize];
                let to = found.min(parameter.most());
                *own += share * (to - *own);
            }
            // Where a row cannot be simulated the step was too long.
            let there = model.residuals(rows, trial).map(|found| of(&found));
            if let Some(there) = there.filter(|there| *there < now) {
                better = Some((trial, there));
                break;
            }
            share /= 2.0;
        }
        let Some((trial, there)) = better else {
            return Ok((values, step));
        };
        values = trial;
        if now - there <= SETTLED * now {
            return Ok((values, step + 1));
        }
    }
    Ok((values, MOST_STEPS))
}
