//! The designs that were looked at: the cheapest that will do, the closest that will not.

use super::Search;
use super::telling::worst;
use crate::experiment::size::bench::Halt;
use crate::experiment::size::outcome::Design;
use crate::experiment::size::setup::At;
use crate::experiment::size::verdict::Verdict;
use crate::report::number::significant;

/// What a design costs; one without a figure is dearer than any.
pub(super) fn price(design: &Design) -> f64 {
    design.objective.unwrap_or(f64::INFINITY)
}

impl Search<'_> {
    /// All of them, by the last look at each.
    pub(super) fn designs(&self) -> Result<Vec<(At, Design)>, Halt> {
        let seen = self.seen.iter();
        seen.map(|(at, replications)| Ok((*at, self.design(*at, *replications)?)))
            .collect()
    }

    /// The cheapest that was shown to meet all constraints, beside one of them.
    pub(super) fn cheapest_met(&self, beside: Option<At>) -> Result<Option<(At, Design)>, Halt> {
        let met = self.designs()?.into_iter();
        let met = met.filter(|(at, it)| it.verdict == Verdict::Met && Some(*at) != beside);
        Ok(met.min_by(|(_, a), (_, b)| price(a).total_cmp(&price(b))))
    }

    /// The cheapest that costs less than the winner and is not known to be too little, in words, if there
    /// is one beside the one below the winner, which is told anyway.
    pub(super) fn cheaper_but_open(
        &self,
        winner: Option<&Design>,
        one_less: Option<&Design>,
    ) -> Result<Option<String>, Halt> {
        let Some(winner) = winner.filter(|it| it.objective.is_some()) else {
            return Ok(None);
        };
        let mut least: Option<(At, Design)> = None;
        for (at, design) in self.designs()? {
            let told = one_less
                .is_some_and(|it| it.settings == design.settings && it.level == design.level);
            let open = design.verdict == Verdict::Unknown
                && !told
                && self.is_left_open(at, design.replications)?;
            let cheaper = price(&design) < price(winner);
            let first = least
                .as_ref()
                .is_none_or(|it| price(&design) < price(&it.1));
            if open && cheaper && first {
                least = Some((at, design));
            }
        }
        Ok(least.map(|(at, design)| {
            format!(
                "{} would cost less ({}), and is not known to be enough or not after {} replications",
                self.bench.setup().words(at),
                significant(design.objective),
                design.replications
            )
        }))
    }

    /// The one that is least beyond its bounds: one with the most of what is looked for by halves, unless
    /// less of it comes a hundredth of a bound closer. What is not known goes before what is missed.
    pub(super) fn closest(&self) -> Result<Option<(At, Design)>, Halt> {
        let last = self.bench.setup().levels.len() - 1;
        let rank = |(at, design): &(At, Design)| {
            let margin = worst(&design.constraints).and_then(|it| it.margin_pct);
            let beyond = -margin.unwrap_or(f64::NEG_INFINITY);
            let less = if at.level == last { 0.0 } else { 1.0 };
            (design.verdict == Verdict::Missed, beyond + less)
        };
        let designs = self.designs()?.into_iter();
        Ok(designs.min_by(|a, b| {
            let (a, b) = (rank(a), rank(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        }))
    }
}
