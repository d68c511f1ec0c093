//! Engine profiles: what was fitted to an engine, put into the pools that name its file.

use std::path::Path;

use crate::calibrate::{OverheadEntry, OverheadTable};
use crate::scenario::fleet::{LlmPool, Pool};
use crate::scenario::problems::Problems;
use crate::scenario::schema::Scenario;
use crate::scenario::text::Document;
use crate::validate::cards::accelerator_card;

/// Gives the pools that name a profile what it says, except where they state it themselves.
pub(super) fn apply(
    scenario: &mut Scenario,
    document: &Document,
    base_dir: &Path,
    problems: &mut Problems<'_>,
) {
    let written = document.to_json();
    for (index, pool) in scenario.pools.iter_mut().enumerate() {
        let Pool::Llm(pool) = pool else { continue };
        let Some(name) = &pool.engine_profile else {
            continue;
        };
        let at = format!("pools.{index}.engine_profile");
        let path = base_dir.join(name);
        let entry = match read(&path) {
            Ok(table) => one_for(table, pool, &path),
            Err(reason) => Err(reason),
        };
        match entry {
            Ok(entry) => {
                let states = |field: &str| {
                    let place = format!("/pools/{index}/{field}");
                    written.pointer(&place).is_some()
                };
                fill(pool, &entry, &states);
            }
            Err(reason) => {
                let remedy = "write one with `seatrial calibrate fit`, or leave it out";
                problems.push(&at, format!("{name:?}"), &reason, remedy);
            }
        }
    }
}

fn read(path: &Path) -> Result<OverheadTable, String> {
    let file = path.display().to_string();
    crate::inputs::note(path);
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{file} cannot be read ({error}); check the path"))?;
    OverheadTable::parse(&file, &text).map_err(|error| error.to_string())
}

/// The one entry that was fitted on the pool's accelerator.
fn one_for(table: OverheadTable, pool: &LlmPool, path: &Path) -> Result<OverheadEntry, String> {
    let card = |name: &str| accelerator_card(name).unwrap_or(name).to_owned();
    let own = card(&pool.accelerator);
    let all: Vec<String> = table
        .overheads
        .iter()
        .map(|entry| format!("{} on {}", entry.engine, entry.system))
        .collect();
    let mut fitting = table
        .overheads
        .into_iter()
        .filter(|entry| card(&entry.system) == own);
    match (fitting.next(), fitting.next()) {
        (Some(entry), None) => Ok(entry),
        (found, _) => Err(format!(
            "must be of a file with one entry for `{}`; {} has {} ({})",
            pool.accelerator,
            path.display(),
            if found.is_some() { "several" } else { "none" },
            all.join(", ")
        )),
    }
}

/// `states` says whether the scenario states a field of the pool.
fn fill(pool: &mut LlmPool, entry: &OverheadEntry, states: &dyn Fn(&str) -> bool) {
    pool.profile_models.clone_from(&entry.fitted_to);
    let give = |field: &str, own: &mut f64, fitted: f64| {
        if !states(field) {
            *own = fitted;
        }
    };
    give(
        "request_overhead_ms",
        &mut pool.request_overhead_ms,
        entry.per_request_ms,
    );
    give(
        "overhead_per_prompt_token_us",
        &mut pool.overhead_per_prompt_token_us,
        entry.per_prompt_token_us,
    );
    give(
        "prefill_time_factor",
        &mut pool.prefill_time_factor,
        entry.prefill_time_factor,
    );
    give(
        "decode_time_factor",
        &mut pool.decode_time_factor,
        entry.decode_time_factor,
    );
    let fixed = pool.overhead_fixed_us;
    pool.overhead_fixed_us = fixed.or(Some(entry.fixed_us));
    let per_seq = pool.overhead_per_seq_us;
    pool.overhead_per_seq_us = per_seq.or(Some(entry.per_seq_us));
    if !states("async_scheduling") {
        pool.async_scheduling = entry.async_scheduling;
    }
}
