//! Fits overheads to a table of servers, and judges the fit on rows that it has not seen.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::{Value, json};

use crate::calibrate::fit::{Fitter, Pair, folds};
use crate::calibrate::{OverheadEntry, OverheadTable, Overheads};

use super::case::{Case, case};
use super::row::Row;
use super::score::{Errors, Score};
use super::simulate::{Means, simulate};

/// Parts that rows are split into for cross-validation.
const FOLDS: usize = 5;
/// Fewer distinct servers than this are fitted with the engine's other systems.
const LEAST_SERVERS: usize = 5;

/// An engine on a system, fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The overheads that fit all its rows, and where they hold.
    pub entry: OverheadEntry,
    /// Errors on the rows that a fit has seen.
    pub in_fold: Score,
    /// Errors on the rows that a fit has not seen.
    pub out_of_fold: Score,
}

/// All engines and systems of a table, fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// By engine and system.
    pub fitted: Vec<Fitted>,
    /// Errors on rows not seen, over all groups that have a fit of their own.
    pub out_of_fold: Score,
}

/// Fits the rows whose client is known; `source` goes into the entries.
pub fn fit(rows: &[Row], source: &str, changes: &[(String, String)]) -> Fit {
    let cases: Vec<(&Row, Case)> = rows
        .iter()
        .filter(|row| row.client_is_known())
        .filter_map(|row| Some((row, case(row).ok()?)))
        .collect();
    let mut groups: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for (index, (row, _)) in cases.iter().enumerate() {
        for system in [row.system.as_str(), "*"] {
            let key = (row.backend.clone(), system.to_owned());
            groups.entry(key).or_default().push(index);
        }
    }
    let mut fitted = Vec::new();
    let mut unseen: Vec<(Pair, Means)> = Vec::new();
    for ((engine, system), members) in groups {
        let group: Vec<(&Row, &Case)> = members
            .iter()
            .map(|index| (cases[*index].0, &cases[*index].1))
            .collect();
        let keys: Vec<String> = group.iter().map(|(row, _)| row.server_key()).collect();
        let mut servers = keys.clone();
        servers.sort_unstable();
        servers.dedup();
        if servers.len() < LEAST_SERVERS {
            continue;
        }
        let one = fit_group(&group, &keys, changes);
        if one.unseen.is_empty() {
            continue;
        }
        if system != "*" {
            unseen.extend(one.unseen.iter().copied());
        }
        fitted.push(Fitted {
            entry: OverheadEntry {
                engine,
                system,
                fixed_us: one.overheads.fixed_us,
                per_seq_us: one.overheads.per_seq_us,
                per_request_ms: one.overheads.per_request_ms,
                rows: group.len(),
                source: source.to_owned(),
            },
            in_fold: together(&one.seen),
            out_of_fold: together(&one.unseen),
        });
    }
    Fit {
        fitted,
        out_of_fold: together(&unseen),
    }
}

struct Group {
    overheads: Overheads,
    seen: Vec<(Pair, Means)>,
    unseen: Vec<(Pair, Means)>,
}

fn fit_group(group: &[(&Row, &Case)], keys: &[String], changes: &[(String, String)]) -> Group {
    let measured: Vec<Pair> = group
        .iter()
        .map(|(_, case)| (case.ttft_ms, case.tpot_ms))
        .collect();
    let run = |index: usize, overheads: Overheads| {
        let means = simulate(group[index].1, overheads, changes).ok()?;
        Some((measured[index], means))
    };
    let plain = |index: usize, fixed_us: f64, per_seq_us: f64| {
        let overheads = Overheads {
            fixed_us,
            per_seq_us,
            per_request_ms: 0.0,
        };
        let (_, means) = run(index, overheads)?;
        Some((means.ttft_ms, means.tpot_ms))
    };
    let mut fitter = Fitter::new(&measured, &plain);
    let all: Vec<usize> = (0..group.len()).collect();
    let fold_of = folds(keys, FOLDS);
    let (mut seen, mut unseen) = (Vec::new(), Vec::new());
    for fold in 0..FOLDS {
        let (out, within): (Vec<usize>, Vec<usize>) =
            all.iter().partition(|index| fold_of[**index] == fold);
        if out.is_empty() || within.is_empty() {
            continue;
        }
        let (overheads, _) = fitter.fit(&within);
        let judge = |rows: &[usize]| -> Vec<(Pair, Means)> {
            let judged = rows.par_iter().filter_map(|index| run(*index, overheads));
            judged.collect()
        };
        seen.extend(judge(&within));
        unseen.extend(judge(&out));
    }
    let (overheads, _) = fitter.fit(&all);
    Group {
        overheads,
        seen,
        unseen,
    }
}

fn together(pairs: &[(Pair, Means)]) -> Score {
    Score {
        scored: pairs.len(),
        ttft: Errors::of(
            pairs
                .iter()
                .map(|((ttft, _), means)| (*ttft, means.ttft_ms)),
        ),
        tpot: Errors::of(
            pairs
                .iter()
                .map(|((_, tpot), means)| (*tpot, means.tpot_ms)),
        ),
    }
}

impl Fit {
    /// The table to ship.
    pub fn table(&self) -> OverheadTable {
        OverheadTable {
            overheads: self.fitted.iter().map(|one| one.entry.clone()).collect(),
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        let groups: Vec<Value> = self
            .fitted
            .iter()
            .map(|one| {
                json!({
                    "overheads": one.entry,
                    "in_fold": one.in_fold,
                    "out_of_fold": one.out_of_fold,
                })
            })
            .collect();
        json!({ "schema": 1, "folds": FOLDS, "groups": groups, "out_of_fold": self.out_of_fold })
    }
}
