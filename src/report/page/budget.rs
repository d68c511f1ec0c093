//! Where the end-to-end latency goes, on the mean and at quantiles.

use super::folder::RunFolder;
use super::value::{number, rows, text};
use super::{Block, Section};
use crate::report::chart::{Axis, BarSeries, Body, Chart, colour};
use crate::report::number::{percent, significant};

/// A column of the budget: its name, and the mean of each part in milliseconds.
type Column = (String, Vec<(String, f64)>);

/// The latency budget of a run.
pub(super) fn section(run: &RunFolder, part: &str) -> Option<Section> {
    let columns = columns(run);
    let chart = Block::chart(chart(&columns, part));
    Section::of("budget", "Latency budget", vec![chart, table(&columns)])
}

fn columns(run: &RunFolder) -> Vec<Column> {
    let means = rows(&run.result, "budget").iter().filter_map(|row| {
        let mean = number(row, "mean_ms")?;
        Some((text(row, "part").to_owned(), mean))
    });
    let mut columns: Vec<Column> = vec![("mean".to_owned(), means.collect())];
    for at in &run.charts.budget {
        let name = format!("p{}", significant(Some(at.quantile * 100.0)));
        columns.push((name, at.parts.clone()));
    }
    columns.retain(|column| column.1.iter().any(|part| part.1 > 0.0));
    columns
}

fn of_part(part: &str) -> usize {
    match part {
        "network" => colour::GREY,
        "gateway" => colour::TEAL,
        "window" => colour::MUSTARD,
        "queue" => colour::RED,
        "prefill" => colour::BLUE,
        "decode" => colour::GREEN,
        _ => colour::PURPLE,
    }
}

/// The parts that take any time in some column, in their order.
fn parts(columns: &[Column]) -> Vec<String> {
    let first = columns.first().map_or(&[][..], |column| &column.1);
    let parts = first.iter().map(|part| part.0.clone());
    let takes = |name: &String| {
        let mut all = columns.iter().flat_map(|column| &column.1);
        all.any(|part| part.0 == *name && part.1 > 0.0)
    };
    parts.filter(takes).collect()
}

fn value(column: &Column, part: &str) -> Option<f64> {
    let found = column.1.iter().find(|it| it.0 == part);
    found.map(|it| it.1)
}

fn chart(columns: &[Column], part: &str) -> Chart {
    let series = parts(columns).into_iter().map(|name| BarSeries {
        colour: of_part(&name),
        values: columns.iter().map(|column| value(column, &name)).collect(),
        intervals: Vec::new(),
        name,
    });
    let names = columns.iter().map(|column| column.0.clone());
    let axes = (
        Axis::linear("Milliseconds of the end-to-end latency"),
        Axis::names("Requests", names.collect()),
    );
    let body = Body::Bars {
        series: series.collect(),
        stacked: true,
    };
    Chart::new(&format!("{part}-budget"), "Where the time goes", axes, body).saying(says(columns))
}

fn says(columns: &[Column]) -> String {
    let greatest = |column: &Column| {
        let total: f64 = column.1.iter().map(|part| part.1).sum();
        let most = column.1.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(format!(
            "{}: {} takes most, {} ms of {} ms ({})",
            column.0,
            most.0,
            significant(Some(most.1)),
            significant(Some(total)),
            percent(Some(most.1 / total))
        ))
    };
    let each: Vec<String> = columns.iter().filter_map(greatest).collect();
    format!(
        "{}. At a quantile: the mean over the requests whose latency lies about it.",
        each.join("; ")
    )
}

fn table(columns: &[Column]) -> Option<Block> {
    let rows = parts(columns).into_iter().map(|name| {
        let mut row = vec![name.clone()];
        row.extend(columns.iter().map(|it| significant(value(it, &name))));
        row
    });
    let mut head = vec!["Part, ms"];
    head.extend(columns.iter().map(|column| column.0.as_str()));
    Block::table("The budget in milliseconds", &head, rows.collect(), true)
}
