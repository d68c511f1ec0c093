//! The part of a report that is of a sweep: its front, its maps and its effects.

use serde_json::Value;

use super::folder::SweepFolder;
use super::value::{fields, find, number, rows, text, whole};
use super::{Block, Part, Section, Tile, effects, heat};
use crate::report::chart::{Axis, Body, Chart, Cloud, Scale, colour};
use crate::report::number::{count, percent, plural, significant};

/// The most points of a chart; of more, the front and every so-manieth other are drawn.
pub(super) const MOST_POINTS: usize = 3_000;
/// The most rows of the table of all points: the rest is in points.csv.
const MOST_ROWS: usize = 200;
/// The most pairs of goals that are drawn.
const MOST_PAIRS: usize = 3;
/// A greatest value so many times the least asks for a logarithmic axis.
const WIDE: f64 = 100.0;

/// A sweep as the page needs it.
pub(super) struct Sweep<'a> {
    /// The summary.
    pub summary: &'a Value,
    /// Names of the axes, each with the fields that it sets.
    pub axes: Vec<(String, Vec<String>)>,
    /// The points.
    pub points: &'a [Value],
}

impl<'a> Sweep<'a> {
    fn of(summary: &'a Value) -> Sweep<'a> {
        let axes = rows(summary, "axes").iter().map(|axis| {
            let paths = super::value::texts(axis, "paths");
            (text(axis, "name").to_owned(), paths)
        });
        Sweep {
            summary,
            axes: axes.collect(),
            points: rows(summary, "points"),
        }
    }

    /// A metric of a point.
    pub fn metric(&self, point: &Value, name: &str) -> Option<f64> {
        number(point.get("metrics")?.get(name)?, "value")
    }

    /// What an axis is set to at a point, in words.
    pub fn level(&self, point: &Value, axis: usize) -> String {
        let paths = self.axes.get(axis).map_or(&[][..], |axis| &axis.1);
        let each = paths.iter().map(|path| {
            let value = point.get("settings").and_then(|it| it.get(path));
            match value {
                Some(Value::Number(value)) => significant(value.as_f64()),
                Some(Value::String(value)) => value.clone(),
                Some(value) => value.to_string(),
                None => "-".to_owned(),
            }
        });
        each.collect::<Vec<String>>().join(" · ")
    }

    /// What an axis is set to at a point, if that is one number.
    pub fn level_number(&self, point: &Value, axis: usize) -> Option<f64> {
        match self.axes.get(axis)?.1.as_slice() {
            [path] => point.get("settings")?.get(path)?.as_f64(),
            _ => None,
        }
    }

    /// All settings of a point in words.
    fn settings(&self, point: &Value) -> String {
        let each = self.axes.iter().enumerate();
        let each = each.map(|(index, axis)| format!("{} {}", axis.0, self.level(point, index)));
        each.collect::<Vec<String>>().join(", ")
    }

    /// Metrics with a goal, and whether less is better.
    fn goals(&self) -> Vec<(&'a str, bool)> {
        let metrics = rows(self.summary, "metrics").iter();
        let goals = metrics.filter_map(|row| match text(row, "goal") {
            "min" => Some((text(row, "name"), true)),
            "max" => Some((text(row, "name"), false)),
            _ => None,
        });
        goals.collect()
    }
}

/// The part of a sweep.
pub(super) fn part(sweep: &SweepFolder, id: String, name: &str) -> Part {
    let sweep = Sweep::of(&sweep.summary);
    let sections = [
        summary(&sweep),
        front(&sweep, &id),
        heat::section(&sweep, &id),
        effects::section(&sweep, &id),
        points(&sweep),
    ];
    Part {
        title: name.to_owned(),
        kind: "sweep",
        sections: sections.into_iter().flatten().collect(),
        id,
    }
}

fn summary(sweep: &Sweep<'_>) -> Option<Section> {
    let of = |feasible: Option<bool>| {
        let all = sweep.points.iter();
        all.filter(|it| find(it, "feasible").and_then(Value::as_bool) == feasible)
            .count() as u64
    };
    let about = format!(
        "{} of {}, design {}; {} % intervals; seatrial {}.",
        plural(sweep.points.len() as u64, "point"),
        text(sweep.summary, "scenario"),
        text(sweep.summary, "design.kind").replace('_', " "),
        significant(number(sweep.summary, "confidence").map(|it| it * 100.0)),
        text(sweep.summary, "seatrial"),
    );
    let tile = |name: &str, value: String, more: String| Tile {
        name: name.to_owned(),
        value,
        more,
        good: None,
    };
    let undecided = of(None);
    let more = match undecided {
        0 => String::new(),
        many => format!("{} not decided", count(many)),
    };
    let tiles = vec![
        tile("Points", count(sweep.points.len() as u64), String::new()),
        tile("Within all bounds", count(of(Some(true))), more),
        tile(
            "On the front",
            count(rows(sweep.summary, "front").len() as u64),
            String::new(),
        ),
        tile("Axes", count(sweep.axes.len() as u64), String::new()),
    ];
    let bounds = rows(sweep.summary, "metrics").iter().map(|row| {
        let bound = |path| number(row, path).map(|it| significant(Some(it)));
        vec![
            text(row, "name").to_owned(),
            text(row, "metric").to_owned(),
            match text(row, "goal") {
                "min" => "less is better".to_owned(),
                "max" => "more is better".to_owned(),
                _ => String::new(),
            },
            bound("at_least").unwrap_or_default(),
            bound("at_most").unwrap_or_default(),
        ]
    });
    let head = ["Metric", "Of the result", "Goal", "At least", "At most"];
    let blocks = vec![
        Some(Block::Text(about)),
        Some(Block::Tiles(tiles)),
        Block::table("What is measured", &head, bounds.collect(), false),
    ];
    Section::of("summary", "Summary", blocks)
}

fn front(sweep: &Sweep<'_>, part: &str) -> Option<Section> {
    let goals = sweep.goals();
    let mut blocks = Vec::new();
    for first in 0..goals.len() {
        for second in first + 1..goals.len() {
            if blocks.len() < MOST_PAIRS {
                blocks.push(Block::chart(trade(
                    sweep,
                    part,
                    (goals[first], goals[second]),
                )));
            }
        }
    }
    blocks.push(front_table(sweep, &goals));
    Section::of("front", "Pareto front", blocks)
}

/// An axis over values, logarithmic where they are far apart.
pub(super) fn axis_for(label: &str, values: impl Iterator<Item = f64> + Clone) -> Axis {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let most = values.fold(f64::NEG_INFINITY, f64::max);
    let scale = match least > 0.0 && most / least > WIDE {
        true => Scale::Log,
        false => Scale::Linear,
    };
    Axis::of(label, scale)
}

/// Of so many: each of them, or every so-manieth.
pub(super) fn stride(all: usize) -> usize {
    all.div_ceil(MOST_POINTS).max(1)
}

fn trade(sweep: &Sweep<'_>, part: &str, (x, y): ((&str, bool), (&str, bool))) -> Chart {
    let (mut on_front, mut others, mut infeasible) = (Vec::new(), Vec::new(), Vec::new());
    let every = stride(sweep.points.len());
    for (index, point) in sweep.points.iter().enumerate() {
        let ends = (sweep.metric(point, x.0), sweep.metric(point, y.0));
        let (Some(at), Some(up)) = ends else { continue };
        let told = (at, up, format!("point {index}: {}", sweep.settings(point)));
        let is = |field: &str| find(point, field).and_then(Value::as_bool);
        match (is("on_front"), is("feasible")) {
            (Some(true), _) => on_front.push(told),
            _ if index % every != 0 => {}
            (_, Some(true)) => others.push(told),
            _ => infeasible.push(told),
        }
    }
    on_front.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (drawn, fronted) = (
        on_front.len() + others.len() + infeasible.len(),
        on_front.len(),
    );
    let all = on_front.iter().chain(&others).chain(&infeasible);
    let better = |goal: (&str, bool)| match goal.1 {
        true => format!("{} (less is better)", goal.0),
        false => format!("{} (more is better)", goal.0),
    };
    let axes = (
        axis_for(&better(x), all.clone().map(|it| it.0)),
        axis_for(&better(y), all.map(|it| it.1)),
    );
    // In more than two dimensions the front is no line.
    let joined = sweep.goals().len() == 2;
    let cloud = |name: &str, colour: usize, joined: bool, points| Cloud {
        name: name.to_owned(),
        colour,
        joined,
        points,
    };
    let series = vec![
        cloud(
            "Not within the bounds, or not decided",
            colour::GREY,
            false,
            infeasible,
        ),
        cloud("Within all bounds", colour::BLUE, false, others),
        cloud("On the front", colour::RED, joined, on_front),
    ];
    let series: Vec<Cloud> = series
        .into_iter()
        .filter(|it| !it.points.is_empty())
        .collect();
    let left_out = match every {
        1 => String::new(),
        _ => format!(
            " {} of {} are drawn: the front, and every {every}th other; all are in points.csv.",
            count(drawn as u64),
            plural(sweep.points.len() as u64, "point")
        ),
    };
    let says = format!(
        "{} on the front of {}.{left_out}",
        plural(fronted as u64, "point"),
        plural(sweep.points.len() as u64, "point"),
    );
    let title = format!("{} against {}", y.0, x.0);
    let id = format!("{part}-front-{}-{}", x.0, y.0);
    Chart::new(&id, &title, axes, Body::Points { series }).saying(says)
}

fn valued(point: &Value, metric: &str) -> String {
    let Some(found) = point.get("metrics").and_then(|it| it.get(metric)) else {
        return "-".to_owned();
    };
    let value = significant(number(found, "value"));
    match (number(found, "low"), number(found, "high")) {
        (Some(low), Some(high)) => format!(
            "{value} [{}, {}]",
            significant(Some(low)),
            significant(Some(high))
        ),
        _ => value,
    }
}

fn front_table(sweep: &Sweep<'_>, goals: &[(&str, bool)]) -> Option<Block> {
    let front = rows(sweep.summary, "front").iter();
    let points = front.filter_map(|index| sweep.points.get(index.as_u64()? as usize));
    let all = whole(sweep.summary, "schema").map_or(0, |_| rows(sweep.summary, "front").len());
    let rows = points.take(MOST_ROWS).map(|point| {
        let mut row = vec![count(whole(point, "point").unwrap_or(0))];
        row.extend((0..sweep.axes.len()).map(|axis| sweep.level(point, axis)));
        row.extend(goals.iter().map(|goal| valued(point, goal.0)));
        row
    });
    let mut head = vec!["Point"];
    head.extend(sweep.axes.iter().map(|axis| axis.0.as_str()));
    head.extend(goals.iter().map(|goal| goal.0));
    let caption = match all > MOST_ROWS {
        true => format!(
            "The first {MOST_ROWS} of {} points on the front",
            count(all as u64)
        ),
        false => "The points on the front".to_owned(),
    };
    Block::table(&caption, &head, rows.collect(), false)
}

fn points(sweep: &Sweep<'_>) -> Option<Section> {
    let metrics = sweep
        .points
        .first()
        .map_or(Vec::new(), |it| fields(it, "metrics"));
    let metrics: Vec<&str> = metrics.iter().map(|it| it.0).collect();
    let rows = sweep.points.iter().take(MOST_ROWS).map(|point| {
        let mut row = vec![count(whole(point, "point").unwrap_or(0))];
        row.extend((0..sweep.axes.len()).map(|axis| sweep.level(point, axis)));
        row.extend(metrics.iter().map(|metric| valued(point, metric)));
        let feasible = find(point, "feasible").and_then(Value::as_bool);
        row.push(match feasible {
            Some(true) => "yes".to_owned(),
            Some(false) => "no".to_owned(),
            None => "not decided".to_owned(),
        });
        row
    });
    let mut head = vec!["Point"];
    head.extend(sweep.axes.iter().map(|axis| axis.0.as_str()));
    head.extend(&metrics);
    head.push("Within bounds");
    let caption = match sweep.points.len() > MOST_ROWS {
        true => format!(
            "The first {MOST_ROWS} of {} points; all are in points.csv. Intervals of {}",
            count(sweep.points.len() as u64),
            percent(number(sweep.summary, "confidence"))
        ),
        false => "All points".to_owned(),
    };
    Section::of(
        "points",
        "Points",
        vec![Block::table(&caption, &head, rows.collect(), true)],
    )
}
