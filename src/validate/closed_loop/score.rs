//! Errors of many rows, put together.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use crate::calibrate::{OverheadTable, Overheads};
use crate::measure::quantile_of_sorted;

use super::case::{Case, case};
use super::choice::{by_table, kernel_key};
use super::row::Row;
use super::simulate::{Means, simulate};

/// Errors of one metric over some rows, percent of the measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Errors {
    /// Median of the absolute errors.
    pub median_abs_pct: Option<f64>,
    /// Median of the signed errors.
    pub bias_pct: Option<f64>,
}

impl Errors {
    /// Of pairs of measured and simulated values.
    pub fn of(pairs: impl Iterator<Item = (f64, f64)>) -> Errors {
        let signed = pairs.map(|(measured, simulated)| (simulated / measured - 1.0) * 100.0);
        let mut signed: Vec<f64> = signed.collect();
        signed.sort_unstable_by(f64::total_cmp);
        let bias_pct = quantile_of_sorted(&signed, 0.5);
        let mut absolute: Vec<f64> = signed.iter().map(|error| error.abs()).collect();
        absolute.sort_unstable_by(f64::total_cmp);
        Errors {
            median_abs_pct: quantile_of_sorted(&absolute, 0.5),
            bias_pct,
        }
    }
}

/// Errors over some rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Score {
    /// Rows.
    pub scored: usize,
    /// Of the mean time to first token.
    pub ttft: Errors,
    /// Of the mean time per output token.
    pub tpot: Errors,
}

/// A row that was simulated.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The row.
    pub row: Row,
    /// What was simulated.
    pub case: Case,
    /// With which overheads.
    pub overheads: Overheads,
    /// What came out.
    pub means: Means,
}

/// A table, simulated.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Rows of the table.
    pub rows: usize,
    /// Rows that were simulated, in order.
    pub scored: Vec<Scored>,
    /// Rows that were not, by reason.
    pub skipped: BTreeMap<String, usize>,
}

/// Simulates every row, in parallel; the result does not depend on the number of threads.
pub fn score(rows: &[Row], table: &OverheadTable, changes: &[(String, String)]) -> Scores {
    let results: Vec<Result<Scored, String>> = rows
        .par_iter()
        .map(|row| {
            let case = by_table(row, &case(row)?, table);
            let overheads = table.of(&row.backend, &row.system, &kernel_key(row));
            let means = simulate(&case, overheads, changes)?;
            Ok(Scored {
                row: row.clone(),
                case,
                overheads,
                means,
            })
        })
        .collect();
    let mut scores = Scores {
        rows: rows.len(),
        scored: Vec::new(),
        skipped: BTreeMap::new(),
    };
    for result in results {
        match result {
            Ok(scored) => scores.scored.push(scored),
            Err(reason) => *scores.skipped.entry(reason).or_default() += 1,
        }
    }
    scores
}

/// What rows are put together by: a name, and the value of a row.
type Grouping = (&'static str, fn(&Row) -> String);

const GROUPINGS: [Grouping; 5] = [
    ("by_origin", |row| row.origin.clone()),
    ("by_system", |row| row.system.clone()),
    ("by_backend", |row| row.backend.clone()),
    ("by_model", |row| row.model.clone()),
    ("by_backend_and_system", |row| {
        format!("{} {}", row.backend, row.system)
    }),
];

impl Scores {
    /// The errors over the rows that pass a test.
    pub fn over(&self, test: impl Fn(&Row) -> bool) -> Score {
        let some: Vec<&Scored> = self.scored.iter().filter(|one| test(&one.row)).collect();
        Score {
            scored: some.len(),
            ttft: Errors::of(some.iter().map(|one| (one.case.ttft_ms, one.means.ttft_ms))),
            tpot: Errors::of(some.iter().map(|one| (one.case.tpot_ms, one.means.tpot_ms))),
        }
    }

    /// The errors by group, for every way of grouping; by engine, system and model only rows whose
    /// client is known count.
    pub fn groups(&self) -> Vec<(&'static str, BTreeMap<String, Score>)> {
        let known_only = |name: &str| name != "by_origin";
        GROUPINGS
            .iter()
            .map(|(name, key)| {
                let rows = self.scored.iter().map(|one| &one.row);
                let rows = rows.filter(|row| row.client_is_known() || !known_only(name));
                let keys: std::collections::BTreeSet<String> = rows.map(key).collect();
                let scores = keys.into_iter().map(|group| {
                    let score = self.over(|row| {
                        key(row) == group && (row.client_is_known() || !known_only(name))
                    });
                    (group, score)
                });
                (*name, scores.collect())
            })
            .collect()
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        let all = self.over(|_| true);
        let mut document = json!({
            "schema": 1,
            "rows": self.rows,
            "scored": self.scored.len(),
            "skipped": self.skipped,
            "ttft": all.ttft,
            "tpot": all.tpot,
            "known_clients": self.over(Row::client_is_known),
            "other_clients": self.over(|row| !row.client_is_known()),
        });
        for (name, groups) in self.groups() {
            document[name] = json!(groups);
        }
        document
    }

    /// One line of CSV per scored row, with a header.
    pub fn to_csv(&self) -> String {
        let mut out = String::from(
            "line,id,origin,system,backend,model_path,precision,tp_size,isl,osl,concurrency,\
             overhead_fixed_us,overhead_per_seq_us,overhead_per_request_ms,measured_ttft_ms,\
             simulated_ttft_ms,measured_tpot_ms,simulated_tpot_ms\n",
        );
        for one in &self.scored {
            let (row, case) = (&one.row, &one.case);
            let quote = |text: &str| match text.contains([',', '"', '\n']) {
                true => format!("\"{}\"", text.replace('"', "\"\"")),
                false => text.to_owned(),
            };
            let texts = [
                &row.id,
                &row.origin,
                &row.system,
                &row.backend,
                &row.model,
                &row.precision,
            ];
            let texts = texts.map(|text| quote(text)).join(",");
            out.push_str(&format!(
                "{},{texts},{},{},{},{},{},{},{},{},{},{},{}\n",
                row.line,
                case.server.tp,
                case.prompt.1,
                case.output.1,
                case.users,
                one.overheads.fixed_us,
                one.overheads.per_seq_us,
                one.overheads.per_request_ms,
                case.ttft_ms,
                one.means.ttft_ms,
                case.tpot_ms,
                one.means.tpot_ms
            ));
        }
        out
    }
}
