//! What few replications left open, and what they have shown already.

use super::Search;
use super::seen::price;
use crate::experiment::size::bench::Halt;
use crate::experiment::size::setup::At;
use crate::experiment::size::verdict::{Verdict, judge};

impl Search<'_> {
    /// Decides what was dropped after few replications though it may well meet all constraints, as long as it
    /// is cheaper than the winner: the cheapest first.
    pub(super) fn decide_open(&mut self) -> Result<(), Halt> {
        for (objective, at) in self.open()? {
            let best = self.winners()?.first().map(|it| it.objective);
            if best.is_some_and(|best| objective >= best) {
                return Ok(());
            }
            let decided = match self.decide(at) {
                // There is an answer; what is cheaper and open is told beside it.
                Err(Halt::Budget) if best.is_some() => return Ok(()),
                other => other?,
            };
            if decided.verdict == Verdict::Met {
                let level = self.decide_kind(at.kind, at.level)?;
                self.decided.insert(at.kind, level);
            }
        }
        Ok(())
    }

    /// Whether a look left a design open by its own intervals.
    pub(super) fn is_left_open(&self, at: At, replications: u32) -> Result<bool, Halt> {
        let mut purse = self.purse.clone();
        let look = self.bench.look(self.ready, at, replications, &mut purse)?;
        let judged = judge(&look, &self.ready.constraints, self.ready.confidence);
        // What its own interval does not show to be missed may still meet all.
        Ok(judged.verdict != Verdict::Missed && look.unsettled.is_none() && !look.exact)
    }

    /// Designs that few replications left open by their own intervals, without what many decisions at once
    /// ask of them; the cheapest first.
    fn open(&self) -> Result<Vec<(f64, At)>, Halt> {
        let most = self.looks.last().copied().unwrap_or(0);
        let mut open = Vec::new();
        for (at, replications) in self.seen.iter().filter(|it| *it.1 < most) {
            if !self.is_left_open(*at, *replications)? {
                continue;
            }
            let design = self.design(*at, *replications)?;
            let unknown = design.verdict == Verdict::Unknown;
            if let Some(objective) = design.objective.filter(|_| unknown) {
                open.push((objective, *at));
            }
        }
        open.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        Ok(open)
    }

    /// Takes designs that looks have shown to meet all constraints though their kind was not decided, or
    /// was for a dearer one. Of a search that was cut short before anything was decided nothing is taken:
    /// none of it is known to be the least.
    pub(super) fn take_what_is_met(&mut self, whole: bool) -> Result<(), Halt> {
        if !whole && self.winners()?.is_empty() {
            return Ok(());
        }
        for (at, design) in self.designs()? {
            if design.verdict != Verdict::Met {
                continue;
            }
            let decided = self.decided.get(&at.kind).copied().flatten();
            let dearer = match decided.map(|level| At { level, ..at }) {
                Some(known) => price(&self.design(known, self.seen[&known])?) > price(&design),
                None => true,
            };
            if dearer {
                self.decided.insert(at.kind, Some(at.level));
            }
        }
        Ok(())
    }
}
