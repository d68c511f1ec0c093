//! How far off each series is, within the incident and outside it.

use serde_json::Value;

use super::super::value::{find, number, rows, text};
use super::super::{Block, Section};
use crate::replay::words;
use crate::report::chart::{Axis, BarSeries, Body, Chart, colour};
use crate::report::number::{percent, significant};

/// Whether a score is within its limit.
pub(super) fn fits(score: &Value) -> bool {
    find(score, "fits").and_then(Value::as_bool) == Some(true)
}

/// Whether a quantile is within its limit, where it has one: replays of before had none.
pub(super) fn quantile_fits(row: &Value) -> bool {
    find(row, "fits").and_then(Value::as_bool) != Some(false)
}

/// The scores of a series, by stretch.
pub(super) fn of<'a>(found: &'a Value, series: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = rows(found, "scores").iter();
    all.filter(move |score| text(score, "series") == series)
}

/// Scores of every stretch, and quantiles of all requests.
pub(super) fn section(found: &Value) -> Option<Section> {
    let mut blocks: Vec<Option<Block>> = rows(found, "stretches")
        .iter()
        .map(|stretch| table(found, stretch))
        .collect();
    blocks.push(Some(Block::Text(words::SCORES.to_owned())));
    blocks.push(quantiles(found));
    blocks.push(
        (!rows(found, "quantiles").is_empty()).then(|| Block::Text(words::QUANTILES.to_owned())),
    );
    Section::of("scores", "Scores inside and outside the incident", blocks)
}

fn table(found: &Value, stretch: &Value) -> Option<Block> {
    let name = text(stretch, "name");
    let scores = rows(found, "scores").iter();
    let of_it = scores.filter(|score| text(score, "stretch") == name);
    let rows_of = of_it.map(|score| {
        let s = |field: &str| significant(number(score, field));
        vec![
            text(score, "series").to_owned(),
            s("observed"),
            s("simulated"),
            s("bias"),
            s("bias_limit"),
            percent(number(score, "nrmse")),
            percent(number(score, "limit")),
            match fits(score) {
                true => "✓ fits".to_owned(),
                false => "✗ does not fit".to_owned(),
            },
        ]
    });
    let windows = rows(stretch, "windows").iter().filter_map(|window| {
        let (from_s, to_s) = (number(window, "from_s")?, number(window, "to_s")?);
        Some(format!("{} to {}", words::span(from_s), words::span(to_s)))
    });
    let caption = format!("{name} ({})", windows.collect::<Vec<String>>().join(", "));
    let head = [
        "Series",
        "Observed",
        "Simulated",
        "Bias",
        "May be",
        "Error",
        "May be",
        "Verdict",
    ];
    Block::table(&caption, &head, rows_of.collect(), false)
}

fn quantiles(found: &Value) -> Option<Block> {
    let rows_of = rows(found, "quantiles").iter().map(|row| {
        let quantile = number(row, "quantile").unwrap_or(0.0) * 100.0;
        vec![
            format!("{} p{quantile:.0}", text(row, "latency").to_uppercase()),
            text(row, "stretch").to_owned(),
            significant(number(row, "observed_ms")),
            significant(number(row, "simulated_ms")),
            format!("{:+.1} %", number(row, "error_pct").unwrap_or(0.0)),
            number(row, "may_be_factor").map_or_else(|| "-".to_owned(), |it| format!("{it:.2}")),
            match quantile_fits(row) {
                true => "✓ fits".to_owned(),
                false => "✗ does not fit".to_owned(),
            },
        ]
    });
    let head = [
        "Quantile",
        "Stretch",
        "Observed, ms",
        "Simulated, ms",
        "Error",
        "May be, times",
        "Verdict",
    ];
    Block::table("Quantiles of all requests", &head, rows_of.collect(), false)
}

/// Errors as shares of what they may be.
pub(super) fn chart(found: &Value, part: &str) -> Option<Block> {
    let mut names: Vec<String> = Vec::new();
    for score in rows(found, "scores") {
        let name = text(score, "series");
        if !names.iter().any(|it| it == name) {
            names.push(name.to_owned());
        }
    }
    let inks = [colour::BLUE, colour::RED, colour::GREY];
    let stretches = rows(found, "stretches").iter().zip(inks);
    let series = stretches.map(|(stretch, ink)| {
        let stretch = text(stretch, "name");
        let value = |name: &String| {
            let score = of(found, name).find(|score| text(score, "stretch") == stretch)?;
            let share = |of: &str, limit: &str| {
                let limit = number(score, limit).filter(|limit| *limit > 0.0)?;
                Some(number(score, of)?.abs() / limit)
            };
            let by_minute = share("nrmse", "limit")?;
            let on_average = share("bias", "bias_limit").unwrap_or(0.0);
            // What differs by the last digits of numbers is not off.
            Some((by_minute.max(on_average) * 1e4).round() / 1e4)
        };
        BarSeries {
            name: stretch.to_owned(),
            colour: ink,
            values: names.iter().map(value).collect(),
            intervals: Vec::new(),
        }
    });
    let series: Vec<BarSeries> = series
        .filter(|bars| bars.values.iter().any(Option::is_some))
        .collect();
    let worst = series
        .iter()
        .flat_map(|bars| bars.values.iter().zip(&names));
    let worst = worst.filter_map(|(value, name)| Some(((*value)?, name)));
    let worst = worst.max_by(|a, b| a.0.total_cmp(&b.0));
    let mut says = match worst {
        Some((share, name)) => format!(
            "Beyond 100 % a series does not fit. The farthest off is {name}, at {} of what it may be.",
            percent(Some(share))
        ),
        None => String::new(),
    };
    let unshown = rows(found, "scores")
        .iter()
        .filter(|score| number(score, "nrmse").is_none() && !fits(score));
    let unshown: Vec<String> = unshown
        .map(|score| format!("{} ({})", text(score, "series"), text(score, "stretch")))
        .collect();
    if !unshown.is_empty() {
        let names = unshown.join(", ");
        says = format!(
            "{says} Does not fit, though nothing of it was observed to be a share of: {names}."
        );
    }
    let axes = (
        Axis::share("Error, as a share of what it may be"),
        Axis::names("Series", names),
    );
    let body = Body::Bars {
        series,
        stacked: false,
    };
    let id = format!("{part}-how-far-off");
    Block::chart(Chart::new(&id, "How far off each series is", axes, body).saying(says))
}
