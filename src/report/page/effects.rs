//! What each axis of a sweep does to each metric.

use serde_json::Value;

use super::sweep::Sweep;
use super::value::{number, rows, text};
use super::{Block, Section};
use crate::report::chart::{Axis, BarSeries, Body, Chart, colour};
use crate::report::number::{percent, significant};

/// The most metrics that are drawn.
const MOST_METRICS: usize = 8;

/// The effects of a sweep.
pub(super) fn section(sweep: &Sweep<'_>, part: &str) -> Option<Section> {
    let all = rows(sweep.summary, "effects");
    let mut blocks = Vec::new();
    for effects in all.iter().take(MOST_METRICS) {
        blocks.push(Block::chart(indices(effects, part)));
        blocks.push(Block::chart(means(effects, part)));
    }
    blocks.push(table(all));
    Section::of("effects", "What each axis does", blocks)
}

fn axes(effects: &Value) -> Vec<String> {
    let axes = rows(effects, "axes").iter();
    axes.map(|axis| text(axis, "axis").to_owned()).collect()
}

fn indices(effects: &Value, part: &str) -> Chart {
    let metric = text(effects, "metric");
    let of = |name: &str, field: &str, colour: usize| {
        let at = |end: &str| -> Vec<Option<f64>> {
            let axes = rows(effects, "axes").iter();
            axes.map(|axis| number(axis, &format!("{field}.{end}")))
                .collect()
        };
        let ends = at("low").into_iter().zip(at("high"));
        BarSeries {
            name: name.to_owned(),
            colour,
            values: at("value"),
            intervals: ends.map(|(low, high)| Some((low?, high?))).collect(),
        }
    };
    let series = vec![
        of("Alone (first order)", "first_order", colour::BLUE),
        of("With others (total)", "total", colour::ORANGE),
    ];
    let first = rows(effects, "axes").first();
    let says = first.map_or_else(String::new, |axis| {
        format!(
            "{} has a part in {} of the variance of {metric}. {}.",
            text(axis, "axis"),
            percent(number(axis, "total.value")),
            text(effects, "method")
        )
    });
    let body = Body::Bars {
        series,
        stacked: false,
    };
    let names = Axis::names("Axis", axes(effects));
    let id = format!("{part}-sobol-{metric}");
    let title = format!("Sobol indices of {metric}");
    let x = Axis::share("Share of the variance explained");
    Chart::new(&id, &title, (x, names), body).saying(says)
}

/// The mean of the metric where an axis makes it least and most.
fn means(effects: &Value, part: &str) -> Chart {
    let metric = text(effects, "metric");
    let of = |name: &str, field: &str, colour: usize| BarSeries {
        name: name.to_owned(),
        colour,
        values: {
            let axes = rows(effects, "axes").iter();
            axes.map(|axis| number(axis, &format!("{field}.mean")))
                .collect()
        },
        intervals: Vec::new(),
    };
    let series = vec![
        of("Least mean", "lowest", colour::TEAL),
        of("Greatest mean", "highest", colour::PURPLE),
    ];
    let first = rows(effects, "axes").first();
    let says = first.map_or_else(String::new, |axis| {
        format!(
            "{}: from {} at {} to {} at {}.",
            text(axis, "axis"),
            significant(number(axis, "lowest.mean")),
            text(axis, "lowest.at"),
            significant(number(axis, "highest.mean")),
            text(axis, "highest.at"),
        )
    });
    let body = Body::Bars {
        series,
        stacked: false,
    };
    let names = Axis::names("Axis", axes(effects));
    let id = format!("{part}-effect-{metric}");
    let title = format!("Mean {metric} at the ends of each axis");
    Chart::new(&id, &title, (Axis::linear(metric), names), body).saying(says)
}

fn table(all: &[Value]) -> Option<Block> {
    let rows = all.iter().flat_map(|effects| {
        rows(effects, "axes").iter().map(|axis| {
            let index = |field: &str| {
                let at = |end: &str| number(axis, &format!("{field}.{end}"));
                match (at("low"), at("high")) {
                    (Some(low), Some(high)) => format!(
                        "{} [{}, {}]",
                        significant(at("value")),
                        significant(Some(low)),
                        significant(Some(high))
                    ),
                    _ => significant(at("value")),
                }
            };
            let end = |field: &str| {
                format!(
                    "{} at {}",
                    significant(number(axis, &format!("{field}.mean"))),
                    text(axis, &format!("{field}.at"))
                )
            };
            vec![
                text(effects, "metric").to_owned(),
                text(axis, "axis").to_owned(),
                end("lowest"),
                end("highest"),
                index("first_order"),
                index("total"),
            ]
        })
    });
    let head = [
        "Metric",
        "Axis",
        "Least mean",
        "Greatest mean",
        "First order",
        "Total",
    ];
    Block::table("Effects in figures", &head, rows.collect(), true)
}
