//! Where more is not better: what meets all constraints may be a band of designs, too little below it and
//! too much above (a fleet that must be in time and well used).
//!
//! A search by halves that finds nothing has looked at the most there is. What is not met there may have been
//! overshot on the way, so the least is looked for that meets what the most there is meets, too; it is an
//! answer only if it meets all.

use super::Search;
use crate::experiment::size::bench::Halt;
use crate::experiment::size::look::Look;
use crate::experiment::size::setup::At;
use crate::experiment::size::verdict::{Judged, Verdict, promising};
use crate::experiment::sizing::least;

impl Search<'_> {
    /// The least promising level of a kind whose greatest is beyond some of its bounds.
    pub(super) fn promise_below(
        &self,
        start: (usize, u32),
        look_at: &mut dyn FnMut(usize) -> Result<Look, Halt>,
    ) -> Result<Option<usize>, Halt> {
        let constraints = &self.ready.constraints;
        let within = |look: &Look| -> Vec<bool> {
            let rows = constraints.iter().zip(&look.constraints);
            rows.map(|(row, figure)| figure.value.is_some_and(|value| row.allows(value)))
                .collect()
        };
        let most = self.bench.setup().levels.len() - 1;
        let helped = within(&look_at(most)?);
        let found = self.least(start, &mut |level| {
            let look = look_at(level)?;
            let settled = look.unsettled.is_none() && look.partial.is_none();
            Ok(settled && all(&helped, &within(&look)))
        })?;
        match found {
            Some(level) if promising(&look_at(level)?, constraints) => Ok(Some(level)),
            _ => Ok(None),
        }
    }

    /// The least level of a kind that is shown to meet all constraints, where the greatest is not.
    pub(super) fn decide_below(
        &mut self,
        kind: usize,
        start: usize,
    ) -> Result<Option<usize>, Halt> {
        let levels = self.bench.setup().levels.len();
        let known = |judged: &Judged| {
            let mut rows = judged.standings.iter();
            rows.all(|row| row.verdict != Verdict::Unknown)
        };
        let met = |judged: &Judged| -> Vec<bool> {
            let rows = judged.standings.iter();
            rows.map(|row| row.verdict == Verdict::Met).collect()
        };
        let level = levels - 1;
        let helped = met(&self.judged_until(At { kind, level }, &known)?);
        let found = least((start as u32 + 1, 1), levels as u32, &mut |level| {
            let level = level as usize - 1;
            // That one bound is missed, which is soon known, says nothing of the others.
            let judged = self.judged_until(At { kind, level }, &known)?;
            Ok::<bool, Halt>(all(&helped, &met(&judged)))
        })?;
        let Some(level) = found.map(|level| level as usize - 1) else {
            return Ok(None);
        };
        let judged = self.decide(At { kind, level })?;
        Ok((judged.verdict == Verdict::Met).then_some(level))
    }
}

/// Whether all that more helps is met.
fn all(helped: &[bool], met: &[bool]) -> bool {
    helped.iter().zip(met).all(|(helped, met)| !helped || *met)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_is_found_from_anywhere() {
        // In time from `low` on, well used up to `high`.
        for (low, high) in [(3, 9), (5, 5), (1, 1), (12, 20), (7, 6)] {
            for start in 1..=20 {
                let within = |level: u32| [level >= low, level <= high];
                let helped = within(20);
                let found = least((start, 1), 20, &mut |level| {
                    Ok::<bool, ()>(all(&helped, &within(level)))
                });
                let found = found.unwrap().filter(|level| within(*level) == [true; 2]);
                assert_eq!(found, (low <= high).then_some(low), "{low} {high} {start}");
            }
        }
    }
}
