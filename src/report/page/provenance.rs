//! Where the figures come from, and what they rest on.

use serde_json::Value;

use super::folder::RunFolder;
use super::value::{fields, rows, text, texts, whole};
use super::{Block, Section};
use crate::report::number::count;

/// What the figures of a run rest on.
pub(super) fn section(run: &RunFolder) -> Option<Section> {
    let result = &run.result;
    let figures = rows(result, "provenance").iter().map(|row| {
        let at = |field: &str| text(row, field).to_owned();
        vec![at("figure"), at("value"), at("origin")]
    });
    let blocks = vec![
        Block::list("Assumptions of the scenario", texts(result, "assumptions")),
        Block::table(
            "Figures and where they come from",
            &["Figure", "Value", "Origin"],
            figures.collect(),
            false,
        ),
        Block::table(
            "How it was run",
            &["Of the run", "Value"],
            of_run(result),
            true,
        ),
        Block::table("Events by kind", &["Kind", "Events"], events(result), true),
    ];
    Section::of("provenance", "Assumptions and sources", blocks)
}

fn of_run(result: &Value) -> Vec<Vec<String>> {
    let whole = |path: &str| count(whole(result, path).unwrap_or(0));
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    vec![
        row("Scenario", text(result, "scenario").to_owned()),
        row("Seed", whole("seed")),
        row("Replications", whole("replications")),
        row("Digest of events", text(result, "digest").to_owned()),
        row(
            "Digest of outcomes",
            text(result, "outcome_digest").to_owned(),
        ),
        row("Events", whole("sim.events")),
        row("Most requests in flight", whole("sim.most_in_flight")),
    ]
}

fn events(result: &Value) -> Vec<Vec<String>> {
    let kinds = fields(result, "sim.events_by_kind").into_iter();
    let rows =
        kinds.map(|(kind, value)| vec![kind.replace('_', " "), count(value.as_u64().unwrap_or(0))]);
    rows.collect()
}
