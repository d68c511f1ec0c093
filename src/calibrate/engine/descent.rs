//! Down from one start: damped Gauss-Newton steps around simulated runs within bounds (K. Levenberg, *A
//! method for the solution of certain non-linear problems in least squares*, Quarterly of Applied
//! Mathematics 2, 1944; D. W. Marquardt, 1963), with secant updates between differences (C. G. Broyden,
//! *A class of methods for solving nonlinear simultaneous equations*, Mathematics of Computation 19, 1965).

use nalgebra::DVector;

use super::model::{Model, Side};
use super::parameter::{Parameter, Values};
use crate::calibrate::regression::problem::Problem;
use crate::calibrate::regression::robust::Objective;

/// Damping of the first step: a thousandth of what each unknown moves the rows by.
const FIRST_DAMPING: f64 = 1e-3;
/// By how much damping grows where a step does not help, and falls where one does.
const MORE: f64 = 8.0;
/// Damping beyond which no step is left: they are a thousandth of what they were.
const MOST_DAMPING: f64 = 1e3;
/// A step that takes off less of the cost, relative, gains nothing.
const SETTLED: f64 = 1e-5;
/// Share of what a step promises that it must keep for the slopes to be kept, too.
const KEPT: f64 = 0.5;

/// The way down.
pub struct Descent<'m, 'r> {
    /// The rows, simulated.
    pub model: &'m mut Model<'r>,
    /// Those that are fitted.
    pub rows: &'m [usize],
    /// The unknowns that are sought.
    pub free: Vec<Parameter>,
    /// What errors cost.
    pub objective: Objective,
}

/// Where a way down has come to.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The unknowns.
    pub values: Values,
    /// Errors of all rows there.
    pub residuals: Vec<f64>,
    /// What they cost.
    pub cost: f64,
    /// Steps that were made.
    pub steps: usize,
    /// Whether none is left that helps.
    pub settled: bool,
}

fn cannot() -> String {
    "the rows cannot be simulated with the values of this step".to_owned()
}

impl Descent<'_, '_> {
    /// Down from some values until no step gains anything, or so many were made.
    ///
    /// # Errors
    /// Where the rows cannot be simulated there.
    pub fn down(&mut self, values: Values, most_steps: usize) -> Result<Reached, String> {
        let residuals = self.model.residuals(self.rows, values).ok_or_else(cannot)?;
        let mut problem = self.linearised(values)?;
        let mut here = Reached {
            values,
            cost: self.objective.cost(&residuals, &problem.kinds),
            residuals,
            steps: 0,
            settled: false,
        };
        // Slopes by differences taken here; those on the other side of a kink are tried before it is
        // said that nothing helps.
        let (mut fresh, mut other_side) = (true, false);
        let mut damping = FIRST_DAMPING;
        while here.steps < most_steps {
            let step = self.step(&problem, &here, &mut damping);
            let gained = step
                .as_ref()
                .map_or(0.0, |(there, _)| here.cost - there.cost);
            let gains = gained > SETTLED * here.cost;
            let mut kept = false;
            if let Some((there, promised)) = step {
                kept = gains && gained >= KEPT * promised;
                if kept {
                    self.bend(&mut problem, &here, &there);
                }
                let steps = here.steps + 1;
                here = Reached { steps, ..there };
            }
            match (gains, fresh, other_side) {
                (true, _, _) if kept => fresh = false,
                (true, _, _) | (false, false, _) => {
                    problem = self.linearised(here.values)?;
                    (fresh, other_side) = (true, false);
                    damping = damping.min(FIRST_DAMPING);
                }
                (false, true, false) => {
                    let Some(beyond) = self.sloped(here.values, Side::Below) else {
                        here.settled = true;
                        break;
                    };
                    problem = beyond;
                    (other_side, damping) = (true, FIRST_DAMPING);
                }
                (false, true, true) => {
                    here.settled = true;
                    break;
                }
            }
        }
        Ok(here)
    }

    /// The first step that helps, damped more and more, and what the slopes promise of it.
    fn step(
        &mut self,
        problem: &Problem,
        here: &Reached,
        damping: &mut f64,
    ) -> Option<(Reached, f64)> {
        let pulls = self.objective.pulls(&here.residuals, &problem.kinds);
        let from = self.free_of(here.values);
        while *damping <= MOST_DAMPING {
            let mut x = problem.damped(&pulls, &from, *damping);
            let mut values = here.values;
            for (parameter, found) in self.free.iter().zip(x.iter_mut()) {
                *found = found.min(parameter.most());
                values[*parameter as usize] = *found;
            }
            // Where a row cannot be simulated the step was too long.
            if let Some(residuals) = self.model.residuals(self.rows, values) {
                let cost = self.objective.cost(&residuals, &problem.kinds);
                if cost < here.cost {
                    let ahead = problem.residuals(&x);
                    let promised =
                        here.cost - self.objective.cost(ahead.as_slice(), &problem.kinds);
                    *damping = (*damping / MORE).max(FIRST_DAMPING / MORE.powi(4));
                    let (steps, settled) = (here.steps, false);
                    let there = Reached {
                        values,
                        residuals,
                        cost,
                        steps,
                        settled,
                    };
                    return Some((there, promised));
                }
            }
            *damping *= MORE;
        }
        *damping = FIRST_DAMPING;
        None
    }

    /// Bends slopes so that they are right along the way from one place to another, and puts the rows
    /// to where they are there.
    fn bend(&self, problem: &mut Problem, here: &Reached, there: &Reached) {
        let way = self.free_of(there.values) - self.free_of(here.values);
        let sizes = self.free.iter().map(|one| one.difference());
        let sizes = DVector::from_iterator(self.free.len(), sizes);
        let scaled = way.component_div(&sizes);
        let length = scaled.norm_squared();
        if length <= 0.0 {
            return;
        }
        let moved = DVector::from_fn(here.residuals.len(), |row, _| {
            there.residuals[row] - here.residuals[row]
        });
        let missed = moved - &problem.a * &way;
        let share = scaled.component_div(&sizes) / length;
        problem.a += missed * share.transpose();
        let residuals = DVector::from_column_slice(&there.residuals);
        problem.b = &problem.a * self.free_of(there.values) - residuals;
    }

    fn free_of(&self, values: Values) -> DVector<f64> {
        let own = self.free.iter().map(|one| values[*one as usize]);
        DVector::from_iterator(self.free.len(), own)
    }

    fn sloped(&mut self, values: Values, side: Side) -> Option<Problem> {
        self.model.linearised(self.rows, values, &self.free, side)
    }

    /// The rows as a linear problem around some values.
    ///
    /// # Errors
    /// Where a row cannot be simulated there or beside it.
    pub fn linearised(&mut self, values: Values) -> Result<Problem, String> {
        self.sloped(values, Side::Above).ok_or_else(cannot)
    }
}
