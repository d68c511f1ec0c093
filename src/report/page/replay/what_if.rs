//! The same night with one thing changed.

use serde_json::Value;

use super::super::value::{number, rows, text, whole};
use super::super::{Block, Section};
use crate::replay::words;
use crate::report::chart::{Axis, BarSeries, Body, Chart, colour};
use crate::report::number::{count, significant};

/// What changes would have done; none where none was asked for.
pub(super) fn section(found: &Value, part: &str) -> Option<Section> {
    let changes = rows(found, "what_if");
    if changes.is_empty() {
        return None;
    }
    let rows_of = changes.iter().map(|change| {
        let net = rows(change, "net");
        let end = |place: usize| significant(net.get(place).and_then(Value::as_f64));
        vec![
            text(change, "change").to_owned(),
            count(whole(change, "saved").unwrap_or(0)),
            count(whole(change, "lost").unwrap_or(0)),
            match net.len() {
                2 => format!("{} to {}", end(0), end(1)),
                _ => "-".to_owned(),
            },
        ]
    });
    let head = [
        "Change",
        "Saved",
        "Lost",
        "Saved less lost, mean of nights, 95 %",
    ];
    let doubtful = (!super::fits(found)).then(|| Block::Warnings(vec![words::DOUBTFUL.to_owned()]));
    let blocks = vec![
        doubtful,
        Block::table("Requests saved and lost", &head, rows_of.collect(), false),
        chart(changes, part),
        figures(changes),
        Some(Block::Text(words::WHAT_IFS.to_owned())),
    ];
    Section::of("what-if", "What if", blocks)
}

fn chart(changes: &[Value], part: &str) -> Option<Block> {
    let bars = |name: &str, field: &str, ink: usize| BarSeries {
        name: name.to_owned(),
        colour: ink,
        values: changes.iter().map(|it| number(it, field)).collect(),
        intervals: Vec::new(),
    };
    let names = changes.iter().map(|it| text(it, "change").to_owned());
    let axes = (
        Axis::linear("Requests"),
        Axis::names("Change", names.collect()),
    );
    let body = Body::Bars {
        series: vec![
            bars("Saved", "saved", colour::GREEN),
            bars("Lost", "lost", colour::RED),
        ],
        stacked: false,
    };
    let each = changes.iter().map(|it| {
        format!(
            "{}: {} saved, {} lost",
            text(it, "change"),
            count(whole(it, "saved").unwrap_or(0)),
            count(whole(it, "lost").unwrap_or(0))
        )
    });
    let says = format!("{}.", each.collect::<Vec<String>>().join("; "));
    let id = format!("{part}-what-if");
    Block::chart(Chart::new(&id, "Requests saved and lost", axes, body).saying(says))
}

fn figures(changes: &[Value]) -> Option<Block> {
    let row = |name: String, night: &Value| {
        let s = |field: &str| significant(number(night, field));
        vec![
            name,
            count(whole(night, "good").unwrap_or(0)),
            count(whole(night, "answered").unwrap_or(0)),
            s("tries_per_request"),
            s("ttft_p99_ms"),
            s("e2e_p99_ms"),
        ]
    };
    let none = Value::Null;
    let before = changes.first().and_then(|it| it.get("before"));
    let mut rows = vec![row("as it was".to_owned(), before.unwrap_or(&none))];
    rows.extend(changes.iter().map(|change| {
        let name = text(change, "change").to_owned();
        row(name, change.get("after").unwrap_or(&none))
    }));
    let head = [
        "Night",
        "Within the objective",
        "Answered",
        "Tries a request",
        "TTFT p99, ms",
        "E2E p99, ms",
    ];
    Block::table("The nights in figures", &head, rows, false)
}
