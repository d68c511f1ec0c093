//! What a search that has ended says.

use super::{Promise, Search};
use crate::experiment::runner::Unsettled;
use crate::experiment::size::bench::Halt;
use crate::experiment::size::error::SizeError;
use crate::experiment::size::grows::may_be_overshot;
use crate::experiment::size::outcome::{CaseOutcome, Design, Tried};
use crate::experiment::size::setup::At;
use crate::experiment::size::theory::asked;
use crate::experiment::size::verdict::{Standing, Verdict};
use crate::report::number::significant;

impl Search<'_> {
    pub(super) fn told(&self, cut_short: Option<String>) -> Result<CaseOutcome, SizeError> {
        self.tell(cut_short).map_err(|halt| match halt {
            Halt::Failed(error) => error,
            // What was looked at is paid for.
            Halt::Budget => self.bench.stopped(),
        })
    }

    fn tell(&self, cut_short: Option<String>) -> Result<CaseOutcome, Halt> {
        let winners = self.winners()?;
        let first = winners.first();
        let design = |at: At| match self.seen.get(&at) {
            Some(replications) => self.design(at, *replications).map(Some),
            None => Ok(None),
        };
        let at = |promise: &Promise, level: usize| At {
            kind: promise.kind,
            level,
        };
        let (mut winner, mut runner_up, mut one_less) = (None, None, None);
        if let Some(first) = first {
            winner = design(at(first, first.level))?;
            if let Some(less) = first.level.checked_sub(1) {
                one_less = design(at(first, less))?;
            }
            runner_up = match winners.get(1) {
                Some(second) => design(at(second, second.level))?,
                None if self.bench.setup().kinds.len() == 1 => design(at(first, first.level + 1))?,
                None => None,
            };
            runner_up = runner_up.filter(|it: &Design| it.verdict == Verdict::Met);
            if runner_up.is_none() {
                let other = self.cheapest_met(Some(at(first, first.level)))?;
                runner_up = other.map(|(_, design)| design);
            }
        }
        let tried = self.tried()?;
        self.check_objective(&tried)?;
        let stopped_by = one_less.as_ref().and_then(stopped_by);
        let missed = one_less.as_ref().map(|it| it.verdict == Verdict::Missed);
        let mut doubts = self.doubts(&tried);
        doubts.extend(self.cheaper_but_open(winner.as_ref(), one_less.as_ref())?);
        let theory = match first {
            Some(first) => {
                let plan = self
                    .bench
                    .setup()
                    .plan(self.ready, at(first, first.level), 1)?;
                let servers = self.counts_servers();
                asked(&plan, &self.ready.constraints, servers)
            }
            None => Vec::new(),
        };
        Ok(CaseOutcome {
            case: self.ready.name().to_owned(),
            text: self
                .ready
                .case
                .as_ref()
                .map(|it| it.text.clone())
                .unwrap_or_default(),
            parts: self.ready.parts,
            constraints: self.ready.constraints.clone(),
            confidence: self.ready.confidence,
            confidence_each: self.confidence_each,
            binding: match stopped_by {
                Some(_) => None,
                None => winner
                    .as_ref()
                    .and_then(|it| binding(it, one_less.as_ref())),
            },
            stopped_by,
            one_less_is_missed: missed,
            why_none: match winner {
                Some(_) => None,
                None => Some(self.why_none(&cut_short)?),
            },
            doubts,
            winner,
            runner_up,
            one_less,
            theory,
            tried,
            events: self.purse.spent,
            budget_events: self.budget,
            left_out: self.left_out,
            cut_short,
        })
    }

    /// Refuses an objective without a value at all designs: any of them would be the least.
    fn check_objective(&self, tried: &[Tried]) -> Result<(), Halt> {
        let Some((at, replications)) = self.seen.first_key_value() else {
            return Ok(());
        };
        if tried.iter().any(|it| it.objective.is_some()) {
            return Ok(());
        }
        let mut purse = self.purse.clone();
        let look = self
            .bench
            .look(self.ready, *at, *replications, &mut purse)?;
        let reason = look.objective.doubt.unwrap_or_default();
        Err(self.bench.setup().no_objective(self.ready, reason).into())
    }

    fn tried(&self) -> Result<Vec<Tried>, Halt> {
        let row = |(at, replications): (&At, &u32)| {
            let design = self.design(*at, *replications)?;
            Ok(Tried {
                settings: design.settings,
                level: design.level,
                kind: at.kind,
                objective: design.objective,
                values: design.constraints.iter().map(|it| it.value).collect(),
                replications: design.replications,
                verdict: design.verdict,
            })
        };
        self.seen.iter().map(row).collect()
    }

    /// What is not as the search took it to be.
    fn doubts(&self, tried: &[Tried]) -> Vec<String> {
        let mut doubts = Vec::new();
        for pair in tried.windows(2) {
            let [less, more] = pair else { continue };
            if less.kind != more.kind {
                continue;
            }
            let levels = format!(
                "{} and {}",
                significant(less.level),
                significant(more.level)
            );
            // Too much of what is bounded from the other side is no surprise.
            let rows = self.ready.constraints.iter().zip(&more.values);
            let mut beyond = rows.filter(|(row, value)| value.is_none_or(|it| !row.allows(it)));
            let surprising = beyond.any(|(row, _)| !may_be_overshot(row));
            if less.verdict == Verdict::Met && more.verdict == Verdict::Missed && surprising {
                doubts.push(format!(
                    "more did harm between {levels}: the least may be elsewhere"
                ));
            }
            if let (Some(a), Some(b)) = (less.objective, more.objective)
                && b < a
                && less.verdict == Verdict::Met
            {
                doubts.push(format!(
                    "more cost less between {levels}: the cheapest may be elsewhere"
                ));
            }
        }
        doubts
    }

    fn why_none(&self, cut_short: &Option<String>) -> Result<String, Halt> {
        let last = self.bench.setup().levels.len() - 1;
        let most = self.closest()?;
        if let Some(cut) = cut_short {
            return Ok(match self.cheapest_met(None)? {
                None => format!("{cut} before any design was shown to meet all constraints"),
                Some((at, design)) => format!(
                    "{cut} before the least was found; the cheapest that was shown to meet all constraints so far \
                     is {} ({})",
                    self.bench.setup().words(at),
                    significant(design.objective)
                ),
            });
        }
        let Some((at, design)) = most else {
            return Ok("no design was shown to meet all constraints".to_owned());
        };
        let worst = worst(&design.constraints);
        let stands = worst.map(|it| {
            let value = match (it.value, it.low.zip(it.high)) {
                (None, _) => "has no value".to_owned(),
                (Some(value), Some((low, high))) if low < high => format!(
                    "is {} ({} to {})",
                    significant(Some(value)),
                    significant(Some(low)),
                    significant(Some(high))
                ),
                (value, _) => format!("is {}", significant(value)),
            };
            let doubt = it
                .doubt
                .as_deref()
                .map(|it| format!(" ({it})"))
                .unwrap_or_default();
            let bound = significant(Some(it.bound));
            let shown = match it.verdict {
                Verdict::Missed => "",
                _ => "shown to be ",
            };
            let relation = it.relation.replace('_', " ");
            format!(
                ": {} {value} there{doubt}, and must be {shown}{relation} {bound}",
                it.constraint
            )
        });
        // What hardly moves is due to something else.
        let less = self.seen.range(..at).next_back();
        let less = less.filter(|(less, _)| less.kind == at.kind);
        let moved = match less {
            Some((less, replications)) => {
                let (a, b) = (self.design(*less, *replications)?, &design);
                let pairs = a.constraints.iter().zip(&b.constraints);
                let same = |a: Option<f64>, b: Option<f64>| match (a, b) {
                    (Some(a), Some(b)) => (a - b).abs() <= 1e-3 * b.abs(),
                    _ => false,
                };
                !pairs.into_iter().all(|(a, b)| same(a.value, b.value))
            }
            None => true,
        };
        let unmoved = match moved {
            true => "",
            false => "; more of it changes next to nothing, so that something else is in the way",
        };
        if at.level < last {
            return Ok(format!(
                "no design that was looked at is shown to meet all constraints; the closest is {}{}{unmoved}",
                self.bench.setup().words(at),
                stands.unwrap_or_default()
            ));
        }
        Ok(format!(
            "not even {} is shown to meet all constraints{}{unmoved}",
            self.bench.setup().words(at),
            stands.unwrap_or_default()
        ))
    }
}

/// Why a design is not enough where that is no constraint's doing: no bound would change it.
fn stopped_by(less: &Design) -> Option<String> {
    let words = match less.unsettled? {
        Unsettled::Overloaded => "more work is offered than can be done",
        Unsettled::Growing => "requests in flight grow until the last arrival",
    };
    (less.verdict != Verdict::Met).then(|| words.to_owned())
}

/// The constraint that decides.
fn binding(winner: &Design, one_less: Option<&Design>) -> Option<Standing> {
    let decides = match one_less {
        Some(less) => worst(&less.constraints)?.constraint.clone(),
        None => worst(&winner.constraints)?.constraint.clone(),
    };
    let mut rows = winner.constraints.iter();
    rows.find(|row| row.constraint == decides).cloned()
}

/// The constraint with the least margin; one that is missed or not known goes before all that are met.
pub(super) fn worst(standings: &[Standing]) -> Option<&Standing> {
    let rank = |it: &Standing| match it.verdict {
        Verdict::Missed => 0,
        Verdict::Unknown => 1,
        Verdict::Met => 2,
    };
    let margin = |it: &Standing| it.margin_pct.unwrap_or(f64::NEG_INFINITY);
    standings
        .iter()
        .min_by(|a, b| rank(a).cmp(&rank(b)).then(margin(a).total_cmp(&margin(b))))
}
