//! Closed forms for erasures and the logs that they go to.

use super::{Row, Sheet, row};
use crate::experiment::erasure::Laws;
use crate::experiment::theory::{mean_tokens, offered};
use crate::fleet::erasure::plan::{ErasurePlan, LogPlan};
use crate::report::number::significant;
use crate::scenario::resolve::Plan;

/// How many erasures there are to do, and when, and a sheet for each log; none without erasures.
pub(super) fn erasure_sheets(plan: &Plan) -> Vec<Sheet> {
    let Some(rules) = &plan.fleet.erasure else {
        return Vec::new();
    };
    let mut sheets = vec![demand(plan, rules)];
    sheets.extend(rules.logs.iter().map(|log| log_sheet(plan, rules, log)));
    sheets
}

fn demand(plan: &Plan, rules: &ErasurePlan) -> Sheet {
    let horizon_s = plan.fleet.horizon.as_secs_f64();
    let mut rows = Vec::new();
    let mut expected = 0.0;
    for demand in &rules.demands {
        let lasts_s = demand.to.since(demand.from).as_secs_f64();
        let requests = demand.per_s * lasts_s;
        expected += requests;
        rows.push(Row {
            source: match demand.name.as_str() {
                "always" => "DataGrail, Data Privacy Trends: 137 (2020) to 859 (2023) requests per million people and \
                             year, where nothing else is stated"
                    .to_owned(),
                _ => String::new(),
            },
            ..row(
                &format!("erasure requests, {}", demand.name),
                "rate x time",
                format!(
                    "{} /s x {} s",
                    significant(Some(demand.per_s)),
                    significant(Some(lasts_s))
                ),
                Some(requests),
                "requests",
            )
        });
    }
    rows.push(row(
        "erasure requests a second, on average",
        "requests / horizon",
        format!(
            "{} / {} s",
            significant(Some(expected)),
            significant(Some(horizon_s))
        ),
        Some(expected / horizon_s),
        "requests/s",
    ));
    for backup in &rules.backups {
        let bound_s = rules.logs.get(backup.of);
        let bound_s = bound_s.and_then(|log| log.rule.delete_persistence_s);
        let kept_s = backup.retention.as_secs_f64();
        let days = |s: f64| significant(Some(s / 86_400.0));
        let mut longest = row(
            &format!("copies {} hold a subject, at most", backup.name),
            "the log's own bound + time that copies are kept",
            format!(
                "{} + {}",
                bound_s.map_or("no bound".to_owned(), days),
                days(kept_s)
            ),
            bound_s.map(|bound_s| (bound_s + kept_s) / 86_400.0),
            "days",
        );
        longest.note = Some(format!(
            "the deadline is {} days",
            days(rules.deadline.as_secs_f64())
        ));
        rows.push(longest);
    }
    let places: usize = rules.logs.len() + rules.caches.len() + rules.backups.len();
    let note = format!(
        "of {} simulated subjects (one in {}); each goes to {} stores in {} regions, to requests under way{}",
        rules.subjects,
        rules.sample,
        places,
        plan.fleet.topology.regions.len(),
        match rules.kv {
            Some(_) => " and to the prefix caches of all replicas",
            None => "",
        }
    );
    Sheet {
        title: "erasures".to_owned(),
        note: Some(note),
        rows,
    }
}

/// Bytes of a log at the horizon, and what comes to it a second.
fn load(plan: &Plan, rules: &ErasurePlan, log: &LogPlan) -> (f64, f64) {
    let tokens = mean_tokens(plan).map_or(0.0, |(prompt, output)| prompt + output);
    let record = f64::from(log.bytes.0) + log.bytes.1 * tokens;
    let regions = plan.fleet.topology.regions.len() as f64;
    // One in the sample, of all regions where they are replicated.
    let logs = match log.pool {
        None => regions,
        Some(pool) => f64::from(plan.fleet.pools[usize::from(pool)].replicas),
    };
    let share = match log.lag {
        Some(_) => 1.0,
        None => 1.0 / logs,
    };
    let served = offered(plan).map_or(0.0, |(rate, _)| rate) / f64::from(rules.of_requests) * share;
    let beside = log.records_per_s * share * logs;
    let per_s = served * record + beside * f64::from(log.bytes.0);
    let before = log.records_before * f64::from(rules.subjects) * f64::from(log.bytes.0);
    (before + per_s * plan.fleet.horizon.as_secs_f64(), per_s)
}

fn log_sheet(plan: &Plan, rules: &ErasurePlan, log: &LogPlan) -> Sheet {
    let (bytes, per_s) = load(plan, rules, log);
    let laws = Laws::new(&log.rule, bytes, per_s);
    let mb = |bytes: f64| format!("{} MB", significant(Some(bytes / 1e6)));
    let (t, l) = (log.rule.size_ratio, laws.levels);
    let levels = l.map_or("-".to_owned(), |l| l.to_string());
    let sourced = |source: &str, row: Row| Row {
        source: source.to_owned(),
        ..row
    };
    let (least, most) = laws.write_amplification.unzip();
    let mut rows = vec![
        row(
            "bytes at the horizon",
            "",
            String::new(),
            Some(bytes / 1e6),
            "MB",
        ),
        row("bytes coming", "", String::new(), Some(per_s / 1e6), "MB/s"),
        sourced(
            "Dayan et al. 2017 (Monkey), eq. 1",
            row(
                "levels L",
                "ceil(log_T(N/M (T-1)/T))",
                format!("T = {t}, N = {}, M = {}", mb(bytes), mb(laws.buffer_bytes)),
                l.map(|l| l as f64),
                "1",
            ),
        ),
        sourced(
            "O'Neil et al. 1996; Dayan et al. 2017",
            row(
                "write amplification, at least",
                "leveled 1 + (L-1) T/2, tiered 1",
                format!("T = {t}, L = {levels}"),
                least,
                "1",
            ),
        ),
        sourced(
            "O'Neil et al. 1996; Dayan et al. 2017",
            row(
                "write amplification, at most",
                "leveled 1 + L (T+1), tiered 1 + L",
                format!("T = {t}, L = {levels}"),
                most,
                "1",
            ),
        ),
        sourced(
            "Dayan & Idreos 2018 (Dostoevsky)",
            row(
                "space amplification, at most",
                "leveled T/(T-1), tiered T",
                format!("T = {t}"),
                laws.space_amplification,
                "1",
            ),
        ),
        sourced(
            "Bloom 1970",
            row(
                "absent keys that a filter lets pass",
                "exp(-bits (ln 2)^2)",
                format!("bits = {}", log.rule.bloom_bits_per_key),
                laws.bloom_false_positive,
                "1",
            ),
        ),
    ];
    let mut persistence = sourced(
        "Sarkar et al. 2020 (Lethe), sec. 3",
        row(
            "purge without a deadline, expected",
            "leveled M T^(L-1) / rate, tiered T times that",
            format!(
                "M = {}, T = {t}, L = {levels}, {}/s",
                mb(laws.buffer_bytes),
                mb(per_s)
            ),
            laws.persistence_s.map(|s| s / 86_400.0),
            "days",
        ),
    );
    persistence.note = Some("there is no bound: it never ends where writes stop".to_owned());
    rows.push(persistence);
    if let Some(bound) = laws.fade_bound_s {
        rows.push(sourced(
            "Sarkar et al. 2020 (Lethe), sec. 4.1 (FADE)",
            row(
                "purge with its deadline, at most",
                "D",
                "as stated".to_owned(),
                Some(bound / 86_400.0),
                "days",
            ),
        ));
    }
    Sheet {
        title: format!("log {}", log.name),
        note: Some("of one log: of a region, or of a replica".to_owned()),
        rows,
    }
}
