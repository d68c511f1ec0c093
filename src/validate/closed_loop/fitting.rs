//! Fits overheads to a table of servers, and judges the fit on rows that it has not seen.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::{Value, json};

use crate::calibrate::fit::{Fitter, Pair, folds};
use crate::calibrate::{ASSUMED, ModelEntry, OverheadEntry, OverheadTable, Overheads};

use super::case::{Case, case};
use super::choice::{CHOICES, chosen, kernel_key, kernels, may_overlap, own, per_prompt_token_us};
use super::row::Row;
use super::score::{Errors, Score};
use super::simulate::{Means, simulate};

/// Parts that rows are split into for cross-validation.
const FOLDS: usize = 5;
/// Fewer distinct servers than this are fitted with the engine's other systems.
const LEAST_SERVERS: usize = 3;
/// Times that kernels are chosen anew with the overheads that fit the ones before.
const ROUNDS: usize = 2;
/// What another's kernels must take off the loss, in logarithms.
const LEAST_GAIN: f64 = 0.01;

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
        // What is chosen by model is chosen where the engine ran.
        let one = fit_group(&group, &keys, changes, system != "*");
        if one.unseen.is_empty() {
            continue;
        }
        if system != "*" {
            unseen.extend(one.unseen.iter().copied());
        }
        fitted.push(Fitted {
            entry: OverheadEntry {
                async_scheduling: one.fit.overlaps,
                models: one
                    .fit
                    .models
                    .iter()
                    .map(|(key, fit)| named(key, *fit, &engine))
                    .collect(),
                per_prompt_token_us: 0.0,
                prefill_time_factor: 1.0,
                decode_time_factor: 1.0,
                provenance: None,
                fitted_to: Vec::new(),
                engine,
                system,
                fixed_us: one.fit.overheads.fixed_us,
                per_seq_us: one.fit.overheads.per_seq_us,
                per_request_ms: one.fit.overheads.per_request_ms,
                per_1k_tokens_ms: one.fit.overheads.per_1k_tokens_ms,
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
    fit: Choice,
    seen: Vec<(Pair, Means)>,
    unseen: Vec<(Pair, Means)>,
}

/// What was fitted to some rows: overheads, whether iterations overlap, and by [`kernel_key`] the
/// choice of kernels and the overheads with those per request.
#[derive(Debug, Clone)]
struct Choice {
    overheads: Overheads,
    overlaps: bool,
    models: BTreeMap<String, (usize, Overheads)>,
}

fn fit_group(
    group: &[(&Row, &Case)],
    keys: &[String],
    changes: &[(String, String)],
    choose: bool,
) -> Group {
    let measured: Vec<Pair> = group
        .iter()
        .map(|(_, case)| (case.ttft_ms, case.tpot_ms))
        .collect();
    let run = |index: usize, choice: usize, overheads: Overheads| {
        let case = chosen(group[index].1, choice);
        let means = simulate(&case, overheads, changes).ok()?;
        Some((measured[index], means))
    };
    let plain = |index: usize, choice: usize, fixed_us: f64, per_seq_us: f64| {
        let overheads = Overheads {
            fixed_us,
            per_seq_us,
            per_request_ms: 0.0,
            per_1k_tokens_ms: 0.0,
        };
        let (_, means) = run(index, choice, overheads)?;
        Some((means.ttft_ms, means.tpot_ms))
    };
    let prompts: Vec<f64> = group
        .iter()
        .map(|(_, case)| case.prompt_thousands())
        .collect();
    let mut fitter = Fitter::new(&measured, &prompts, &plain);
    let all: Vec<usize> = (0..group.len()).collect();
    let fold_of = folds(keys, FOLDS);
    let (mut seen, mut unseen) = (Vec::new(), Vec::new());
    for fold in 0..FOLDS {
        let (out, within): (Vec<usize>, Vec<usize>) =
            all.iter().partition(|index| fold_of[**index] == fold);
        if out.is_empty() || within.is_empty() {
            continue;
        }
        let fit = fit_choice(group, &mut fitter, &within, choose);
        let judge = |rows: &[usize]| -> Vec<(Pair, Means)> {
            let judged = rows.par_iter().filter_map(|index| {
                let (choice, overheads) = fit.of(group[*index].0);
                run(*index, choice, overheads)
            });
            judged.collect()
        };
        seen.extend(judge(&within));
        unseen.extend(judge(&out));
    }
    Group {
        fit: fit_choice(group, &mut fitter, &all, choose),
        seen,
        unseen,
    }
}

impl Choice {
    fn of(&self, row: &Row) -> (usize, Overheads) {
        let own_kernels = || own(&row.backend, self.overlaps).unwrap_or(0);
        let found = self.models.get(&kernel_key(row)).copied();
        found.unwrap_or_else(|| (own_kernels(), self.overheads))
    }
}

/// Fits overheads and choices to some rows, and to nothing else: for engines that overlap and for
/// those that do not, overheads with the engine's own kernels; then kernels by model and precision
/// with these overheads; then overheads with these kernels; the better of the two.
fn fit_choice(
    group: &[(&Row, &Case)],
    fitter: &mut Fitter<'_>,
    rows: &[usize],
    choose: bool,
) -> Choice {
    let mut models: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for row in rows {
        let key = kernel_key(group[*row].0);
        models.entry(key).or_default().push(*row);
    }
    let overlap = rows.iter().any(|row| may_overlap(group[*row].1));
    let mut best: Option<(f64, Choice)> = None;
    for overlaps in [false, true] {
        if overlaps && !(overlap && choose) {
            continue;
        }
        let backend = rows
            .first()
            .map_or("", |row| group[*row].0.backend.as_str());
        let plain = own(backend, overlaps).unwrap_or(0);
        fitter.set_variant(rows, plain);
        let (mut at, mut loss) = fitter.place(rows);
        let mut chosen_of = BTreeMap::new();
        for _ in 0..if choose { ROUNDS } else { 0 } {
            let before = chosen_of.clone();
            for (key, members) in &models {
                let mut least = (f64::INFINITY, plain);
                let others = (0..CHOICES).filter(|choice| choice % 2 == plain % 2);
                for choice in std::iter::once(plain).chain(others) {
                    fitter.set_variant(members, choice);
                    let loss = fitter.loss(members, at);
                    // Another's kernels must be better by more than noise.
                    if loss < least.0 - LEAST_GAIN {
                        least = (loss, choice);
                    }
                }
                fitter.set_variant(members, least.1);
                chosen_of.insert(key.clone(), least.1);
            }
            (at, loss) = fitter.place(rows);
            if chosen_of == before {
                break;
            }
        }
        if best.as_ref().is_none_or(|(least, _)| loss < *least) {
            let by_model = |(key, members): (&String, &Vec<usize>)| {
                let choice = chosen_of.get(key).copied().unwrap_or(plain);
                (key.clone(), (choice, fitter.overheads(members, at)))
            };
            let choice = Choice {
                overheads: fitter.overheads(rows, at),
                overlaps,
                models: models.iter().filter(|_| choose).map(by_model).collect(),
            };
            best = Some((loss, choice));
        }
    }
    best.map_or_else(
        || Choice {
            overheads: ASSUMED,
            overlaps: false,
            models: BTreeMap::new(),
        },
        |(_, choice)| choice,
    )
}

/// What was fitted for a model, in words.
fn named(model: &str, fit: (usize, Overheads), engine: &str) -> ModelEntry {
    let kernels = kernels(fit.0).filter(|kernels| *kernels != engine);
    ModelEntry {
        model: model.to_owned(),
        kernels: kernels.map(str::to_owned),
        per_request_ms: fit.1.per_request_ms,
        per_1k_tokens_ms: fit.1.per_1k_tokens_ms,
        per_prompt_token_us: per_prompt_token_us(fit.0),
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
