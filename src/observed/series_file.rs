//! Series in a file: a row a bin.

use std::path::Path;

use super::error::ObservedError;
use super::record::Ending;
use super::series::{ObservedBin, ObservedSeries};
use super::write::Whole;
use crate::report::columns::{Column, Columns};

/// Writes series as CSV, or with a name in `.parquet` as Parquet: a row a bin.
///
/// # Errors
/// When it cannot be written.
pub fn write_series(path: &Path, series: &ObservedSeries) -> Result<(), ObservedError> {
    let name = path.display().to_string();
    let failed = |fault: &dyn std::fmt::Display| ObservedError::write(&name, fault);
    let table = series_columns(series);
    let bytes = match name.ends_with(".parquet") {
        true => table.to_parquet("series").map_err(|fault| failed(&fault))?,
        false => table.to_csv().map_err(|fault| failed(&fault))?,
    };
    let mut out = Whole::create(path)?;
    out.put(&bytes)?;
    out.finish()
}

/// Quantiles that series are written with.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];

/// Columns: `start_ns`, counts (empty where nothing told them), then for each latency and quantile the edges that it lies between
/// (`ttft_p99_low_ns`, `ttft_p99_high_ns`, empty where the bucket has no upper edge), then gauges.
fn series_columns(series: &ObservedSeries) -> Columns {
    let bins = &series.bins;
    let int = |pick: &dyn Fn(&ObservedBin) -> Option<u64>| {
        let all = bins
            .iter()
            .map(|bin| pick(bin).and_then(|it| i64::try_from(it).ok()));
        Column::Int(all.collect())
    };
    let float =
        |pick: &dyn Fn(&ObservedBin) -> Option<f64>| Column::Float(bins.iter().map(pick).collect());
    let mut table = Columns::default();
    let starts = (0..bins.len() as u64).map(|place| {
        let ns = series.start_ns.saturating_add(place * series.bin_ns);
        i64::try_from(ns).ok()
    });
    table.push("start_ns", Column::Int(starts.collect()));
    table.push("arrived", int(&|bin| bin.arrived));
    for ending in Ending::ALL {
        table.push(ending.name(), int(&|bin| bin.ended_as(ending)));
    }
    table.push("retries", int(&|bin| bin.retries));
    table.push("prompt_tokens", int(&|bin| bin.prompt_tokens));
    table.push("output_tokens", int(&|bin| bin.output_tokens));
    for latency in ["ttft", "e2e"] {
        let of = |bin: &ObservedBin| match latency {
            "ttft" => bin.ttft.clone(),
            _ => bin.e2e.clone(),
        };
        for (name, q) in QUANTILES {
            let low = |bin: &ObservedBin| of(bin).quantile(q).map(|it| it.low_ns);
            let high = |bin: &ObservedBin| of(bin).quantile(q).and_then(|it| it.high_ns);
            table.push(format!("{latency}_{name}_low_ns"), int(&low));
            table.push(format!("{latency}_{name}_high_ns"), int(&high));
        }
        table.push(
            format!("{latency}_mean_ns"),
            float(&|bin| of(bin).mean_ns()),
        );
    }
    table.push("running", float(&|bin| bin.running));
    table.push("waiting", float(&|bin| bin.waiting));
    table.push("kv_usage", float(&|bin| bin.kv_usage));
    table.push("replicas", float(&|bin| bin.replicas));
    table
}
