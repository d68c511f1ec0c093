//! What it costs.

use serde_json::Value;

use super::folder::RunFolder;
use super::value::{fields, find, number, text};
use super::{Block, Section};
use crate::report::chart::{Axis, BarSeries, Body, Chart, colour};
use crate::report::number::significant;

/// The cost of a run.
pub(super) fn section(run: &RunFolder, part: &str) -> Option<Section> {
    let cost = find(&run.result, "cost")?;
    let mut blocks = vec![breakdown(cost, part)];
    for (name, field) in [
        ("pool", "by_pool"),
        ("tier", "by_tier"),
        ("market", "by_market"),
        ("region", "by_region"),
        ("tenant", "by_tenant"),
    ] {
        blocks.push(split(cost, part, name, field));
    }
    blocks.push(table(cost));
    if blocks.iter().any(Option::is_some) && !text(cost, "basis").is_empty() {
        blocks.push(Some(Block::Text(format!(
            "Basis: {}.",
            text(cost, "basis")
        ))));
    }
    Section::of("cost", "Cost", blocks)
}

fn one(name: &str, colour: usize, values: Vec<Option<f64>>) -> BarSeries {
    BarSeries {
        name: name.to_owned(),
        colour,
        values,
        intervals: Vec::new(),
    }
}

/// What a year costs, by what is paid for.
fn breakdown(cost: &Value, part: &str) -> Option<Block> {
    let nodes = number(cost, "usd_per_year");
    let parts = [
        ("Nodes", nodes, colour::BLUE),
        (
            "Energy",
            number(cost, "energy.usd_per_year"),
            colour::ORANGE,
        ),
        (
            "Moved bytes",
            number(cost, "egress.usd_per_year"),
            colour::TEAL,
        ),
        (
            "Storage",
            number(cost, "storage.usd_per_year"),
            colour::PURPLE,
        ),
    ];
    let there: Vec<(&str, f64, usize)> = parts
        .into_iter()
        .filter_map(|(name, usd, colour)| Some((name, usd.filter(|it| *it > 0.0)?, colour)))
        .collect();
    let other = number(cost, "all_on_demand_usd_per_year");
    let other = other.filter(|usd| nodes.is_some_and(|nodes| nodes != *usd));
    let mut rows = vec!["This fleet".to_owned()];
    if other.is_some() {
        rows.push("All on demand".to_owned());
    }
    let rest = rows.len() - 1;
    let mut series: Vec<BarSeries> = there
        .iter()
        .map(|(name, usd, colour)| {
            let mut values = vec![Some(*usd)];
            values.extend(vec![None; rest]);
            one(name, *colour, values)
        })
        .collect();
    if let Some(usd) = other {
        series.push(one(
            "Nodes, all on demand",
            colour::GREY,
            vec![None, Some(usd)],
        ));
    }
    let each = there
        .iter()
        .map(|(name, usd, _)| format!("{name} ${}", significant(Some(*usd))));
    let mut says = format!("A year: {}", each.collect::<Vec<String>>().join(", "));
    if let Some(usd) = other {
        says.push_str(&format!("; all on demand ${}", significant(Some(usd))));
    }
    let axes = (Axis::linear("US dollars a year"), Axis::names("", rows));
    let body = Body::Bars {
        series,
        stacked: true,
    };
    let chart = Chart::new(&format!("{part}-cost"), "Cost of a year", axes, body);
    Block::chart(chart.saying(format!("{says}.")))
}

/// A year's cost split one way, where it is split at all.
fn split(cost: &Value, part: &str, name: &str, field: &str) -> Option<Block> {
    let rows = fields(cost, field);
    if rows.len() < 2 {
        return None;
    }
    // Some splits are of the run's own cost only.
    let (unit, label) = match rows
        .iter()
        .all(|row| number(row.1, "usd_per_year").is_some())
    {
        true => ("usd_per_year", "US dollars a year"),
        false => ("usd", "US dollars of the run"),
    };
    let values: Vec<Option<f64>> = rows.iter().map(|row| number(row.1, unit)).collect();
    let each = rows.iter().zip(&values);
    let each = each.map(|(row, usd)| format!("{} ${}", row.0, significant(*usd)));
    let says = each.collect::<Vec<String>>().join(", ");
    let names = rows.iter().map(|row| row.0.to_owned()).collect();
    let body = Body::Bars {
        series: vec![one("Cost", colour::BLUE, values)],
        stacked: false,
    };
    let axes = (Axis::linear(label), Axis::names(name, names));
    let chart = Chart::new(
        &format!("{part}-cost-by-{name}"),
        &format!("Cost by {name}"),
        axes,
        body,
    );
    Block::chart(chart.saying(format!("{says}.")))
}

fn table(cost: &Value) -> Option<Block> {
    let rows = [
        ("An hour", "usd_per_hour"),
        ("A year", "usd_per_year"),
        (
            "A year, with energy, moved bytes and storage",
            "total_usd_per_year",
        ),
        ("A year, all on demand", "all_on_demand_usd_per_year"),
        ("Saved a year against all on demand", "saved_usd_per_year"),
        ("A million requests", "usd_per_million_requests"),
        ("A million prompt tokens", "usd_per_million_prompt_tokens"),
        ("A million output tokens", "usd_per_million_output_tokens"),
        (
            "A million requests within the objective",
            "usd_per_million_within_objective",
        ),
    ];
    let rows = rows.into_iter().filter_map(|(name, path)| {
        let usd = number(cost, path)?;
        Some(vec![
            name.to_owned(),
            format!("${}", significant(Some(usd))),
        ])
    });
    Block::table("Costs", &["Of", "US dollars"], rows.collect(), false)
}
