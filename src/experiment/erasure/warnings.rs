//! What makes the figures of erasures doubtful, or a scenario's promise a hope.

use crate::engine::SimDuration;
use crate::experiment::tally::Tally;
use crate::fleet::erasure::LogRow;
use crate::fleet::erasure::plan::ErasurePlan;
use crate::report::number::{count, significant};
use crate::scenario::erasure::Shredding;
use crate::scenario::fleet::Pool;
use crate::scenario::resolve::Plan;

use super::laws_of;

/// Warnings about erasures, each with what to do.
pub fn erasure_warnings(plan: &Plan, tally: &Tally) -> Vec<String> {
    let (Some(rules), Some(erasure)) = (&plan.fleet.erasure, &tally.erasure) else {
        return Vec::new();
    };
    let mut warnings = Vec::new();
    if erasure.pending > 0 {
        warnings.push(format!(
            "{} erasures are not done at the end of the run: quantiles that fall among them are not known; \
             raise run.drain_limit_s, bound purges with lsm.delete_persistence_s, or keep copies for less",
            count(erasure.pending)
        ));
    }
    if erasure.meters.requested == 0 && rules.traffic {
        warnings.push(
            "nobody asked to be forgotten within the run: nothing is shown of erasures; run for longer, \
             or state a burst"
                .to_owned(),
        );
    }
    if erasure.meters.resurrected > 0 {
        warnings.push(format!(
            "{} records of people who had been forgotten came back: a log had forgotten the erasure \
             (remember_s) before the last of their records came; the audit log does not know of them",
            count(erasure.meters.resurrected)
        ));
    }
    if erasure.meters.requested > 0 && erasure.meters.requested == erasure.meters.rejected {
        warnings.push("every erasure was turned down: nothing is shown of erasures".to_owned());
    }
    warnings.extend(slow_logs(plan, rules, tally));
    let tiers = plan.scenario.pools.iter().any(|pool| match pool {
        Pool::Llm(pool) => !pool.kv_tiers.is_empty(),
        Pool::Abstract(_) => false,
    });
    if rules.kv.is_some() && (tiers || plan.scenario.kv_store.is_some()) {
        warnings.push(
            "tiers below prefix caches and shared stores of KV know no subjects: every erasure empties them"
                .to_owned(),
        );
    }
    let split: u64 = erasure
        .logs
        .iter()
        .map(|log| log.meters.estimated_splits)
        .sum();
    if split > 0 {
        warnings.push(format!(
            "{} groups of records were parted at an erasure's time by expectation, since it came more than \
             lsm.exact_lag_s late: raise that to have them exact",
            count(split)
        ));
    }
    warnings
}

/// What a tombstone takes to be on disk is no fault of the rule.
const SLACK: SimDuration = SimDuration(10_000_000);

fn rows_of<'a>(tally: &'a Tally, name: &'a str) -> impl Iterator<Item = &'a LogRow> {
    let rows = tally.erasure.iter().flat_map(|it| &it.logs);
    rows.filter(move |row| row.store == name)
}

/// Logs whose purges are bounded by nothing that keeps the deadline.
fn slow_logs(plan: &Plan, rules: &ErasurePlan, tally: &Tally) -> Vec<String> {
    let mut warnings = Vec::new();
    let deadline_s = rules.deadline.as_secs_f64();
    for log in &rules.logs {
        let row = rows_of(tally, &log.name).max_by_key(|row| row.meters.live.bytes);
        let Some(row) = row else { continue };
        let laws = laws_of(log, row, plan);
        let late = rows_of(tally, &log.name)
            .map(|row| row.purges.longest)
            .max();
        if let (Some(within), Some(longest)) = (log.rule.delete_persistence(), late)
            && longest > within + SLACK
        {
            warnings.push(format!(
                "{}: a purge took {} s, though its rule gives it {} s: its machine was down meanwhile, or its \
                 disk does not keep up; see its share of the time at work",
                log.name,
                significant(Some(longest.as_secs_f64())),
                significant(Some(within.as_secs_f64()))
            ));
        }
        match (laws.fade_bound_s, laws.persistence_s) {
            (Some(bound), _) if bound > deadline_s => warnings.push(format!(
                "{}: lsm.delete_persistence_s = {bound} is longer than the deadline of {} days; lower it",
                log.name,
                significant(Some(deadline_s / 86_400.0))
            )),
            (None, Some(expected)) if expected > deadline_s => warnings.push(format!(
                "{}: theory expects a purge to take {} days, without a bound, and the deadline is {} days; \
                 set lsm.delete_persistence_s",
                log.name,
                significant(Some(expected / 86_400.0)),
                significant(Some(deadline_s / 86_400.0))
            )),
            _ => {}
        }
    }
    for backup in &rules.backups {
        // A copy may be made just before the log itself is rid of a subject.
        let bound_s = rules.logs.get(backup.of);
        let bound_s = bound_s.and_then(|log| log.rule.delete_persistence_s);
        let longest_s = backup.retention.as_secs_f64() + bound_s.unwrap_or(0.0);
        if backup.on_erase == Shredding::Expire && longest_s > deadline_s {
            warnings.push(format!(
                "{}: copies may hold a subject for {} days, the log's own bound and the time that they are \
                 kept, which the deadline of {} days does not allow; keep them for less, or destroy keys",
                backup.name,
                significant(Some(longest_s / 86_400.0)),
                significant(Some(deadline_s / 86_400.0))
            ));
        }
    }
    warnings
}
