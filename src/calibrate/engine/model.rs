//! Measured rows, simulated: what an engine with given overheads and factors would have shown, and how
//! that moves with each of them.

use std::collections::BTreeMap;

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use super::measurement::Observed;
use super::parameter::{COUNT, Parameter, Values};
use crate::calibrate::Overheads;
use crate::calibrate::regression::robust::Problem;
use crate::validate::closed_loop::simulate::{Means, simulate};

/// Errors smaller than this, relative, are none: the order of events in a simulation moves means by
/// as much.
pub const LEAST_SCALE: f64 = 1e-3;

/// What is simulated of a row, and at which values of the unknowns.
type Key = (usize, [u64; COUNT]);

/// The rows, with what was simulated of them so far.
pub struct Model<'a> {
    /// The rows.
    pub rows: &'a [Observed],
    changes: &'a [(String, String)],
    known: BTreeMap<Key, Result<Means, String>>,
}

impl<'a> Model<'a> {
    /// Rows, and fields of their scenarios to override, `(path, value)`.
    pub fn new(rows: &'a [Observed], changes: &'a [(String, String)]) -> Model<'a> {
        Model {
            rows,
            changes,
            known: BTreeMap::new(),
        }
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
        let (rows, changes) = (self.rows, self.changes);
        let found: Vec<(Key, Result<Means, String>)> = missing
            .par_iter()
            .map(|one| (key(one), at(&rows[one.0], one.1, changes)))
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
    ) -> Option<Problem> {
        let beside = |parameter: Parameter| {
            let mut beside = values;
            // What is at its greatest is looked at from below.
            let up = values[parameter as usize] + parameter.difference() <= parameter.most();
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
            least_scale: LEAST_SCALE,
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

fn at(row: &Observed, values: Values, changes: &[(String, String)]) -> Result<Means, String> {
    let value = |parameter: Parameter| values[parameter as usize];
    let mut case = row.case.clone();
    let server = &mut case.server;
    server.overhead_per_prompt_token_us = Some(value(Parameter::PerPromptTokenUs));
    server.prefill_time_factor = Some(value(Parameter::PrefillTimeFactor));
    server.decode_time_factor = Some(value(Parameter::DecodeTimeFactor));
    let overheads = Overheads {
        fixed_us: value(Parameter::FixedUs),
        per_seq_us: value(Parameter::PerSeqUs),
        per_request_ms: value(Parameter::PerRequestMs),
        per_1k_tokens_ms: 0.0,
    };
    simulate(&case, overheads, changes)
}
