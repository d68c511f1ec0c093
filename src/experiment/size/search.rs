//! Which designs are looked at, and how often.
//!
//! A kind of design is a combination of the knobs that are not looked for by halves. Of each kind the
//! least that looks promising is found with the first few replications (steps that double, then halves);
//! the cheaper half of the kinds is looked at again with four times as many, until two are left
//! (successive halving; Karnin, Koren and Somekh, ICML 2013). Of very many kinds only those are looked at
//! that a model of the objective expects something of (in `model.rs`). Then kinds are decided in the order of
//! their price: the least of each that is *shown* to meet all constraints, with as many replications as
//! that takes. Where the most there is meets not all, since more may overshoot a bound on use or cost, a second
//! search looks for the least that meets what more helps (in `band.rs`). It ends when the winner and the runner-up are cheaper than every other kind looks, those
//! that were dropped among them. Intervals are as wide as Bonferroni has it for all decisions.

mod band;
mod open;
mod seen;
mod telling;

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::bench::{Bench, Halt, Purse};
use super::error::SizeError;
use super::grows::may_be_overshot;
use super::look::Look;
use super::model::{is_known, neighbours, points, spread, worth_a_look};
use super::outcome::{CaseOutcome, Design, SizeOutcome};
use super::schema::EVENTS_PER_CPU_S;
use super::setup::{At, Ready};
use super::theory::asked;
use super::verdict::{Judged, Verdict, judge, promising};
use crate::experiment::sizing::least;
use crate::experiment::sweep::axis::Axis;
use crate::report::number::count;

/// Kinds that are looked at before there is a model, at the least.
const FIRST_LOOKS: usize = 12;
/// Kinds that a model has looked at before it is fitted again.
const AT_ONCE: usize = 4;
/// What a kind must be expected to be better by, as a share of the objective.
const WORTH: f64 = 0.005;

/// Sizes all cases.
///
/// # Errors
/// When a run fails, or it was asked to stop.
pub fn search(bench: &Bench<'_>) -> Result<SizeOutcome, SizeError> {
    let setup = bench.setup();
    let sizing = &setup.sizing;
    let knob = |index: usize| sizing.knobs[index].label();
    let mut cases = Vec::new();
    for ready in &setup.cases {
        cases.push(Search::new(bench, ready).answer()?);
    }
    let paths = |knob: &Axis| {
        let paths = knob.paths().into_iter().map(str::to_owned);
        (knob.label(), paths.collect())
    };
    Ok(SizeOutcome {
        name: sizing.name.clone(),
        description: sizing.description.clone(),
        objective: sizing.objective.clone(),
        more_helps: sizing.ladder().map(knob),
        knobs: sizing.knobs.iter().map(paths).collect(),
        cases,
    })
}

/// A kind, and where its least promising design is.
#[derive(Debug, Clone, Copy)]
struct Promise {
    kind: usize,
    level: usize,
    objective: f64,
}

struct Search<'a> {
    bench: &'a Bench<'a>,
    ready: &'a Ready,
    /// Replications of looks, fewest first.
    looks: Vec<u32>,
    confidence_each: f64,
    budget: u64,
    purse: Purse,
    /// What was decided, by kind.
    decided: BTreeMap<usize, Option<usize>>,
    /// The last look at each design, by its replications.
    seen: BTreeMap<At, u32>,
    /// Kinds that were not looked at, since a model expects nothing of them.
    left_out: usize,
    /// Whether there is a constraint that more of what is looked for by halves may do harm to.
    may_overshoot: bool,
}

impl<'a> Search<'a> {
    fn new(bench: &'a Bench<'a>, ready: &'a Ready) -> Search<'a> {
        let sizing = &bench.setup().sizing;
        let looks = sizing.replications.looks();
        let budget = (sizing.budget_cpu_s * EVENTS_PER_CPU_S) as u64;
        let may_overshoot = ready.constraints.iter().any(may_be_overshot);
        let searches = if may_overshoot { 2 } else { 1 };
        let (kinds, levels) = (bench.setup().kinds.len(), bench.setup().levels.len());
        let decisions = decisions(kinds, levels, searches);
        let each = (1.0 - ready.confidence) / (decisions * looks.len() as u64) as f64;
        Search {
            bench,
            ready,
            looks,
            confidence_each: 1.0 - each,
            budget,
            purse: Purse::of(budget),
            decided: BTreeMap::new(),
            seen: BTreeMap::new(),
            left_out: 0,
            may_overshoot,
        }
    }

    fn answer(mut self) -> Result<CaseOutcome, SizeError> {
        let mut cut_short = None;
        match self.find() {
            Ok(()) => {}
            Err(Halt::Failed(error)) => return Err(error),
            Err(Halt::Budget) => {
                cut_short = Some(format!(
                    "the budget of {} CPU-seconds ({} events) was used up",
                    self.bench.setup().sizing.budget_cpu_s,
                    count(self.budget)
                ));
            }
        }
        match self.take_what_is_met(cut_short.is_none()) {
            Err(Halt::Failed(error)) => Err(error),
            // What was looked at is paid for.
            Ok(()) | Err(Halt::Budget) => self.told(cut_short),
        }
    }

    fn find(&mut self) -> Result<(), Halt> {
        let mut promises = self.promises()?;
        promises.sort_by(|a, b| a.objective.total_cmp(&b.objective));
        for promise in promises {
            // Neither the winner nor the runner-up can be beaten by what looks dearer.
            let mut found: Vec<f64> = self.winners()?.iter().map(|it| it.objective).collect();
            found.sort_by(f64::total_cmp);
            if found.get(1).is_some_and(|it| *it <= promise.objective) {
                break;
            }
            let level = self.decide_kind(promise.kind, promise.level)?;
            self.decided.insert(promise.kind, level);
        }
        let only = self.bench.setup().kinds.len() == 1;
        if only && let Some(Some(level)) = self.decided.get(&0).copied() {
            let next = level + 1;
            if next < self.bench.setup().levels.len() {
                self.decide(At {
                    kind: 0,
                    level: next,
                })?;
            }
        }
        self.decide_open()
    }

    /// The least promising design of every kind that has one; of those that stay, by more replications.
    fn promises(&mut self) -> Result<Vec<Promise>, Halt> {
        let setup = self.bench.setup();
        let first = self.start()?;
        let mut known: BTreeMap<usize, Promise> = BTreeMap::new();
        let mut running: Vec<usize> = match setup.sizing.goes_by_model(setup.kinds.len()) {
            true => self.by_model(first)?,
            false => (0..setup.kinds.len()).collect(),
        };
        for replications in self.looks.clone() {
            self.look_at(&running, first, replications, &mut known)?;
            let mut order: Vec<Promise> = running
                .iter()
                .filter_map(|kind| known.get(kind).copied())
                .collect();
            order.sort_by(|a, b| a.objective.total_cmp(&b.objective));
            // Two are decided in any case, and looked at more closely then.
            if order.len() <= 2 {
                break;
            }
            running = order[..order.len().div_ceil(2)]
                .iter()
                .map(|it| it.kind)
                .collect();
            running.sort_unstable();
        }
        let mut promises: Vec<Promise> = known.into_values().collect();
        if promises.is_empty() {
            // Nothing looks promising: the most of the first kinds is decided, so that it can be told why.
            promises.push(Promise {
                kind: 0,
                level: setup.levels.len() - 1,
                objective: f64::INFINITY,
            });
        }
        Ok(promises)
    }

    /// The kinds that a model of the objective leads to, by first looks.
    fn by_model(&mut self, first: (usize, u32)) -> Result<Vec<usize>, Halt> {
        let points = points(&self.bench.setup().kinds);
        let knobs = self.bench.setup().sizing.knobs.len();
        let mut fresh = spread(&points, FIRST_LOOKS.max(4 * knobs));
        let mut known: BTreeMap<usize, Promise> = BTreeMap::new();
        let mut looked: Vec<usize> = Vec::new();
        let replications = self.looks[0];
        while !fresh.is_empty() {
            looked.extend(&fresh);
            self.left_out = points.len() - looked.len();
            self.look_at(&fresh, first, replications, &mut known)?;
            let objective = |kind: &usize| (*kind, known.get(kind).map(|it| it.objective));
            let told: Vec<(usize, Option<f64>)> = looked.iter().map(objective).collect();
            fresh = worth_a_look(&points, &told, AT_ONCE, WORTH);
            if fresh.is_empty() && is_known(&told) {
                // The best is not left before what is next to it was looked at.
                let objective = |it: &(usize, Option<f64>)| it.1.unwrap_or(f64::INFINITY);
                let best = told
                    .iter()
                    .min_by(|a, b| objective(a).total_cmp(&objective(b)));
                let kinds = &self.bench.setup().kinds;
                let beside = best.map(|best| neighbours(kinds, &points, best.0));
                fresh = beside.unwrap_or_default();
                fresh.retain(|kind| !looked.contains(kind));
            }
            if !is_known(&told) && looked.len() < points.len() {
                // Nothing will do so far, or nothing has a figure: a model has nothing to go by.
                let more = spread(&points, looked.len() * 2).into_iter();
                fresh = more.filter(|kind| !looked.contains(kind)).collect();
            }
        }
        looked.sort_unstable();
        Ok(looked)
    }

    /// The least promising design of each of some kinds, all at once.
    fn look_at(
        &mut self,
        kinds: &[usize],
        first: (usize, u32),
        replications: u32,
        known: &mut BTreeMap<usize, Promise>,
    ) -> Result<(), Halt> {
        let shares = self.purse.split(kinds.len());
        let work = kinds.par_iter().zip(shares).map(|(kind, mut purse)| {
            let start = known.get(kind).map_or(first, |it| (it.level, 1));
            let mut seen = Vec::new();
            let found = self.promise(*kind, start, replications, &mut purse, &mut seen);
            (*kind, found, purse, seen)
        });
        let work: Vec<_> = work.collect();
        let mut purses = Vec::new();
        let mut halted = Vec::new();
        for (kind, found, purse, seen) in work {
            purses.push(purse);
            self.seen
                .extend(seen.into_iter().map(|at| (at, replications)));
            match found {
                Ok(Some(promise)) => _ = known.insert(kind, promise),
                Ok(None) => _ = known.remove(&kind),
                Err(Halt::Failed(error)) => return Err(error.into()),
                Err(Halt::Budget) => halted.push(kind),
            }
        }
        self.purse.gather(purses);
        // A share may be too small where the whole is not: one after another, on what is left.
        for kind in halted {
            let start = known.get(&kind).map_or(first, |it| (it.level, 1));
            let (mut purse, mut seen) = (std::mem::take(&mut self.purse), Vec::new());
            let found = self.promise(kind, start, replications, &mut purse, &mut seen);
            self.purse = purse;
            self.seen
                .extend(seen.into_iter().map(|at| (at, replications)));
            match found? {
                Some(promise) => _ = known.insert(kind, promise),
                None => _ = known.remove(&kind),
            }
        }
        Ok(())
    }

    /// Where to begin, and the first step: where closed forms do, or in the middle with long steps.
    fn start(&self) -> Result<(usize, u32), Halt> {
        let setup = self.bench.setup();
        let last = setup.levels.len() - 1;
        let numbers = |level: usize| setup.level(At { kind: 0, level });
        let plan = setup.plan(
            self.ready,
            At {
                kind: 0,
                level: last,
            },
            1,
        )?;
        let asked = asked(&plan, &self.ready.constraints, self.counts_servers());
        let most = asked.iter().map(|it| it.count).max();
        Ok(match most {
            Some(most) if last > 0 => {
                let enough = |level: &usize| numbers(*level).is_some_and(|it| it >= most as f64);
                ((0..last).find(enough).unwrap_or(last), 1)
            }
            _ => (setup.levels.len() / 2, setup.levels.len() as u32 / 4),
        })
    }

    fn promise(
        &self,
        kind: usize,
        start: (usize, u32),
        replications: u32,
        purse: &mut Purse,
        seen: &mut Vec<At>,
    ) -> Result<Option<Promise>, Halt> {
        let mut objectives = BTreeMap::new();
        let constraints = &self.ready.constraints;
        let mut look_at = |level: usize| -> Result<Look, Halt> {
            let at = At { kind, level };
            let look = self.bench.look(self.ready, at, replications, purse)?;
            seen.push(at);
            objectives.insert(level, look.objective.value);
            Ok(look)
        };
        let mut found = self.least(start, &mut |level| {
            Ok(promising(&look_at(level)?, constraints))
        })?;
        if found.is_none() && self.may_overshoot {
            found = self.promise_below(start, &mut look_at)?;
        }
        Ok(found.map(|level| Promise {
            kind,
            level,
            // Without a figure it is dearer than any.
            objective: objectives[&level].unwrap_or(f64::INFINITY),
        }))
    }

    /// The least level that is, beginning at `start`.
    fn least(
        &self,
        (start, step): (usize, u32),
        is: &mut dyn FnMut(usize) -> Result<bool, Halt>,
    ) -> Result<Option<usize>, Halt> {
        let most = self.bench.setup().levels.len() as u32;
        let found = least((start as u32 + 1, step), most, &mut |level| {
            is(level as usize - 1)
        })?;
        Ok(found.map(|level| level as usize - 1))
    }

    /// The least design of a kind that is shown to meet all constraints.
    fn decide_kind(&mut self, kind: usize, start: usize) -> Result<Option<usize>, Halt> {
        let most = self.bench.setup().levels.len() as u32;
        let found = least((start as u32 + 1, 1), most, &mut |level| {
            let level = level as usize - 1;
            let judged = self.decide(At { kind, level })?;
            Ok::<bool, Halt>(judged.verdict == Verdict::Met)
        })?;
        match found {
            None if self.may_overshoot => self.decide_below(kind, start),
            _ => Ok(found.map(|level| level as usize - 1)),
        }
    }

    /// Looks at a design until it is known, or there are no more replications.
    fn decide(&mut self, at: At) -> Result<Judged, Halt> {
        self.judged_until(at, &|judged| judged.verdict != Verdict::Unknown)
    }

    /// Looks at a design until what is asked for is known, or there are no more replications.
    fn judged_until(&mut self, at: At, is_known: &dyn Fn(&Judged) -> bool) -> Result<Judged, Halt> {
        let mut judged = None;
        for replications in self.looks.clone() {
            let look = self
                .bench
                .look(self.ready, at, replications, &mut self.purse)?;
            self.seen.insert(at, replications);
            let found = judge(&look, &self.ready.constraints, self.confidence_each);
            let known = is_known(&found) || look.exact;
            judged = Some(found);
            if known {
                break;
            }
        }
        judged.ok_or(Halt::Budget)
    }

    /// What is known of a design that was looked at.
    fn design(&self, at: At, replications: u32) -> Result<Design, Halt> {
        let setup = self.bench.setup();
        let mut purse = self.purse.clone();
        let look = self.bench.look(self.ready, at, replications, &mut purse)?;
        let judged = judge(&look, &self.ready.constraints, self.confidence_each);
        let parts = f64::from(self.ready.parts);
        let level = setup.level(at);
        Ok(Design {
            settings: setup.settings(at),
            level,
            level_in_all: level.map(|level| level * parts),
            objective: look.objective.value,
            objective_in_all: look.objective.value.map(|value| value * parts),
            replications,
            exact: look.exact,
            unsettled: look.unsettled,
            verdict: judged.verdict,
            constraints: judged.standings,
            digest: look.digest,
        })
    }

    /// The best of each kind that was decided, the best first.
    fn winners(&self) -> Result<Vec<Promise>, Halt> {
        let mut found = Vec::new();
        for (kind, level) in &self.decided {
            let Some(level) = *level else { continue };
            let at = At { kind: *kind, level };
            let design = self.design(at, self.seen[&at])?;
            found.push(Promise {
                kind: *kind,
                level,
                objective: design.objective.unwrap_or(f64::INFINITY),
            });
        }
        found.sort_by(|a, b| {
            a.objective
                .total_cmp(&b.objective)
                .then(a.kind.cmp(&b.kind))
        });
        Ok(found)
    }

    /// Whether the knob looked for by halves is a number of servers rather than of nodes.
    fn counts_servers(&self) -> bool {
        let sizing = &self.bench.setup().sizing;
        let knob = sizing.ladder().map(|index| &sizing.knobs[index]);
        let path = knob.and_then(|knob| knob.path.as_deref()).unwrap_or("");
        path.ends_with(".servers")
    }
}

/// Designs of which one may be said to meet the constraints though it does not: all, or as many as so many
/// searches by halves of every kind lead to.
fn decisions(kinds: usize, levels: usize, searches: u64) -> u64 {
    let (kinds, levels) = (kinds as u64, levels as u64);
    let halves = 2 * u64::from(u64::BITS - levels.leading_zeros()) + 1;
    kinds * levels.min(searches * halves)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_no_more_than_designs() {
        assert_eq!(decisions(3, 1, 1), 3);
        assert_eq!(decisions(2, 4, 2), 8);
        // 2 x 7 halves and the next one.
        assert_eq!(decisions(1, 100, 1), 15);
        assert_eq!(decisions(1, 100, 2), 30);
    }
}
