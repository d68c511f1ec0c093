//! Measured rows, simulated: what an engine with given overheads and factors would have shown, and how
//! that moves with each of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use super::measurement::Observed;
use super::parameter::{COUNT, Parameter, Values};
use crate::calibrate::Overheads;
use crate::calibrate::regression::problem::Problem;
use crate::engine::SimDuration;
use crate::fleet::plan::EnginePlan;
use crate::perf::{self, KernelFactors, Overlapped, PromptWork, Scaled, StepTimes};
use crate::scenario::resolve::Plan;
use crate::validate::closed_loop::simulate::{Means, plan, run};

/// Errors smaller than this, relative, are none: the order of events in a simulation moves means by
/// as much.
pub const LEAST_SCALE: f64 = 1e-3;

/// On which side of some values differences are taken; on the other where there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// At greater ones.
    Above,
    /// At lower ones.
    Below,
}

/// What is simulated of a row, and at which values of the unknowns.
type Key = (usize, [u64; COUNT]);

/// The rows, with what was simulated of them so far.
pub struct Model<'a> {
    /// The rows.
    pub rows: &'a [Observed],
    bare: Vec<Bare>,
    known: BTreeMap<Key, Result<Means, String>>,
}

impl<'a> Model<'a> {
    /// Rows, and fields of their scenarios to override, `(path, value)`.
    pub fn new(rows: &'a [Observed], changes: &[(String, String)]) -> Model<'a> {
        Model {
            rows,
            bare: rows.par_iter().map(|row| bare(row, changes)).collect(),
            known: BTreeMap::new(),
        }
    }

    /// Rows that have no scenario to be simulated by, counted by reason.
    pub fn refused(&self) -> BTreeMap<String, usize> {
        let mut refused = BTreeMap::new();
        for reason in self.bare.iter().filter_map(|bare| bare.as_ref().err()) {
            *refused.entry(reason.clone()).or_default() += 1;
        }
        refused
    }

    /// Means of some rows at some values each, in order; what is not known yet is simulated in
    /// parallel, and the result does not depend on the number of threads.
    pub fn means(&mut self, asked: &[(usize, Values)]) -> Vec<Result<Means, String>> {
        let key = |(row, values): &(usize, Values)| (*row, values.map(f64::to_bits));
        let mut missing: Vec<&(usize, Values)> = asked
            .iter()
            .filter(|one| !self.known.contains_key(&key(one)))
            .collect();
        missing.sort_by_key(|one| key(one));
        missing.dedup_by_key(|one| key(one));
        let bare = &self.bare;
        let found: Vec<(Key, Result<Means, String>)> = missing
            .par_iter()
            .map(|one| (key(one), at(&bare[one.0], one.1)))
            .collect();
        self.known.extend(found);
        let unknown = || Err("not simulated".to_owned());
        asked
            .iter()
            .map(|one| self.known.get(&key(one)).cloned().unwrap_or_else(unknown))
            .collect()
    }

    /// Relative errors of TTFT and TPOT, row by row, the simulated less the measured; none where a row
    /// cannot be simulated at these values.
    pub fn residuals(&mut self, rows: &[usize], values: Values) -> Option<Vec<f64>> {
        let asked: Vec<(usize, Values)> = rows.iter().map(|row| (*row, values)).collect();
        let means = self.means(&asked);
        let mut residuals = Vec::with_capacity(2 * rows.len());
        for (row, means) in rows.iter().zip(means) {
            residuals.extend(errors(&self.rows[*row], means.ok()?));
        }
        Some(residuals)
    }

    /// The rows as a linear problem in the free unknowns, exact at `values`; none where a row cannot
    /// be simulated there or beside it.
    pub fn linearised(
        &mut self,
        rows: &[usize],
        values: Values,
        free: &[Parameter],
        side: Side,
    ) -> Option<Problem> {
        let beside = |parameter: Parameter| {
            let mut beside = values;
            let (value, difference) = (values[parameter as usize], parameter.difference());
            let up = match side {
                Side::Above => value + difference <= parameter.most(),
                Side::Below => value - difference < parameter.least(),
            };
            let sign = if up { 1.0 } else { -1.0 };
            beside[parameter as usize] += sign * parameter.difference();
            (beside, sign * parameter.difference())
        };
        // All at once, so that all threads have something to do.
        let mut asked: Vec<(usize, Values)> = rows.iter().map(|row| (*row, values)).collect();
        for parameter in free {
            asked.extend(rows.iter().map(|row| (*row, beside(*parameter).0)));
        }
        self.means(&asked);
        let here = self.residuals(rows, values)?;
        let mut a = DMatrix::zeros(here.len(), free.len());
        for (column, parameter) in free.iter().enumerate() {
            let (values, difference) = beside(*parameter);
            let there = self.residuals(rows, values)?;
            for (row, (there, here)) in there.iter().zip(&here).enumerate() {
                a[(row, column)] = (there - here) / difference;
            }
        }
        let at = DVector::from_iterator(free.len(), free.iter().map(|one| values[*one as usize]));
        let b = &a * at - DVector::from_vec(here);
        Some(Problem {
            kinds: (0..b.len()).map(|row| row % 2).collect(),
            a,
            b,
            lower: DVector::from_iterator(free.len(), free.iter().map(|one| one.least())),
        })
    }
}

/// Relative errors of TTFT and TPOT.
pub fn errors(row: &Observed, means: Means) -> [f64; 2] {
    [
        means.ttft_ms / row.case.ttft_ms - 1.0,
        means.tpot_ms / row.case.tpot_ms - 1.0,
    ]
}

/// A row's plan without overheads and factors.
type Bare = Result<Plan, String>;

/// What no overhead is.
const NO_OVERHEADS: Overheads = Overheads {
    fixed_us: 0.0,
    per_seq_us: 0.0,
    per_request_ms: 0.0,
    per_1k_tokens_ms: 0.0,
};

/// The plan of a row without overheads and factors: most of the time of a short simulation goes into
/// the reading of cards, tables and prices, which are the same for all values.
fn bare(row: &Observed, changes: &[(String, String)]) -> Bare {
    let mut case = row.case.clone();
    case.server.overhead_per_prompt_token_us = None;
    case.server.prefill_time_factor = None;
    case.server.decode_time_factor = None;
    plan(&case, NO_OVERHEADS, changes)
}

/// The row with values of the unknowns, as a pool that states them would be.
fn at(bare: &Bare, values: Values) -> Result<Means, String> {
    let value = |parameter: Parameter| values[parameter as usize];
    let plan = bare.as_ref().map_err(Clone::clone)?;
    let mut fleet = plan.fleet.clone();
    let Some(pool) = fleet.pools.first_mut() else {
        return Err("the row has no pool".to_owned());
    };
    let EnginePlan::Llm { rules, step } = &mut pool.engine else {
        return Err("the row's pool is no language model".to_owned());
    };
    let overheads = perf::Overheads {
        fixed_us: value(Parameter::FixedUs),
        per_seq_us: value(Parameter::PerSeqUs),
    };
    let factors = KernelFactors {
        prefill: value(Parameter::PrefillTimeFactor),
        decode: value(Parameter::DecodeTimeFactor),
    };
    let kernels = Arc::clone(step);
    let times: Arc<dyn StepTimes> = match rules.async_scheduling {
        true => {
            let scaled = Scaled::new(kernels, factors, perf::Overheads::default());
            Arc::new(Overlapped::new(Arc::new(scaled), overheads))
        }
        false => Arc::new(Scaled::new(kernels, factors, overheads)),
    };
    *step = Arc::new(PromptWork::new(times, value(Parameter::PerPromptTokenUs)));
    pool.inbound = SimDuration::from_ms_f64(value(Parameter::PerRequestMs));
    run(fleet)
}
