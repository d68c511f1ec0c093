//! Maps of a metric over the two axes that matter most to it.

use std::collections::BTreeMap;

use super::sweep::{Sweep, axis_for, stride};
use super::value::{rows, text};
use super::{Block, Section};
use crate::report::chart::{Axis, Body, Chart, Cloud, Scale, colour};
use crate::report::number::{plural, significant};

/// The most metrics that are drawn.
const MOST_METRICS: usize = 8;
/// The most values of an axis that a map has room for.
const MOST_LEVELS: usize = 40;

/// What the metrics are over the axes.
pub(super) fn section(sweep: &Sweep<'_>, part: &str) -> Option<Section> {
    let metrics = rows(sweep.summary, "effects").iter().take(MOST_METRICS);
    let blocks = metrics.map(|effects| {
        let metric = text(effects, "metric");
        let order = rows(effects, "axes").iter().filter_map(|axis| {
            let name = text(axis, "axis");
            sweep.axes.iter().position(|it| it.0 == name)
        });
        let order: Vec<usize> = order.collect();
        match order[..] {
            [first, second, ..] => Block::chart(
                map(sweep, part, metric, (first, second))
                    .unwrap_or_else(|| scatter(sweep, part, metric, first)),
            ),
            [only] => Block::chart(scatter(sweep, part, metric, only)),
            [] => None,
        }
    });
    Section::of("maps", "Metrics over the axes", blocks.collect())
}

/// The values of an axis, in order, and the place of each point's.
fn levels(sweep: &Sweep<'_>, axis: usize) -> (Vec<String>, Vec<usize>) {
    let mut seen: Vec<(Option<f64>, String)> = Vec::new();
    let mut of_point = Vec::with_capacity(sweep.points.len());
    for point in sweep.points {
        let name = sweep.level(point, axis);
        let number = sweep.level_number(point, axis);
        let place = seen.iter().position(|it| it.1 == name);
        of_point.push(place.unwrap_or(seen.len()));
        if place.is_none() {
            if seen.len() > MOST_LEVELS {
                break;
            }
            seen.push((number, name));
        }
    }
    let mut order: Vec<usize> = (0..seen.len()).collect();
    if seen.iter().all(|it| it.0.is_some()) {
        order.sort_by(|a, b| {
            let of = |at: &usize| seen[*at].0.unwrap_or(0.0);
            of(a).total_cmp(&of(b))
        });
    }
    let mut place = vec![0; seen.len()];
    for (to, from) in order.iter().enumerate() {
        place[*from] = to;
    }
    let names = order.iter().map(|at| seen[*at].1.clone()).collect();
    let of_point = of_point.into_iter();
    (
        names,
        of_point
            .map(|at| place.get(at).copied().unwrap_or(0))
            .collect(),
    )
}

/// A map over two axes; none where they have more values than it has room for.
fn map(
    sweep: &Sweep<'_>,
    part: &str,
    metric: &str,
    (first, second): (usize, usize),
) -> Option<Chart> {
    let (x_names, x_of) = levels(sweep, first);
    let (y_names, y_of) = levels(sweep, second);
    if x_names.len() > MOST_LEVELS || y_names.len() > MOST_LEVELS {
        return None;
    }
    let mut sums: BTreeMap<(usize, usize), (f64, u32)> = BTreeMap::new();
    for (point, at) in sweep.points.iter().zip(x_of.into_iter().zip(y_of)) {
        if let Some(value) = sweep.metric(point, metric) {
            let sum = sums.entry(at).or_default();
            sum.0 += value;
            sum.1 += 1;
        }
    }
    let averaged = sums.values().any(|sum| sum.1 > 1);
    let cells: Vec<(usize, usize, f64)> = sums
        .into_iter()
        .map(|((x, y), (sum, count))| (x, y, sum / f64::from(count)))
        .collect();
    let says = says(&cells, metric, (&x_names, &y_names), (sweep, first, second));
    let over = match averaged {
        true => " Each cell is the mean over all other axes.",
        false => "",
    };
    let values = cells.iter().map(|cell| cell.2);
    let body = Body::Heat {
        value: metric.to_owned(),
        log: axis_for("", values).scale == Scale::Log,
        cells,
    };
    let axes = (
        Axis::names(&sweep.axes[first].0, x_names),
        Axis::names(&sweep.axes[second].0, y_names),
    );
    let chart = Chart::new(&format!("{part}-map-{metric}"), metric, axes, body);
    Some(chart.saying(format!("{says}{over}")))
}

fn says(
    cells: &[(usize, usize, f64)],
    metric: &str,
    (x, y): (&[String], &[String]),
    (sweep, first, second): (&Sweep<'_>, usize, usize),
) -> String {
    let place = |cell: &(usize, usize, f64)| {
        format!(
            "{} at {} {} and {} {}",
            significant(Some(cell.2)),
            sweep.axes[first].0,
            x[cell.0],
            sweep.axes[second].0,
            y[cell.1]
        )
    };
    let least = cells.iter().min_by(|a, b| a.2.total_cmp(&b.2)).map(place);
    let most = cells.iter().max_by(|a, b| a.2.total_cmp(&b.2)).map(place);
    match (least, most) {
        (Some(least), Some(most)) => format!("{metric}: least {least}, most {most}."),
        _ => String::new(),
    }
}

/// A metric over one axis, point by point.
fn scatter(sweep: &Sweep<'_>, part: &str, metric: &str, axis: usize) -> Chart {
    let every = stride(sweep.points.len());
    let name = &sweep.axes[axis].0;
    let points = sweep.points.iter().enumerate().step_by(every);
    let points: Vec<(f64, f64, String)> = points
        .filter_map(|(index, point)| {
            let x = sweep.level_number(point, axis)?;
            let y = sweep.metric(point, metric)?;
            Some((x, y, format!("point {index}")))
        })
        .collect();
    let says = format!(
        "{metric} over {name}, of {}; every {} drawn.",
        plural(sweep.points.len() as u64, "point"),
        match every {
            1 => "one is".to_owned(),
            every => format!("{every}th is"),
        }
    );
    let axes = (
        axis_for(name, points.iter().map(|it| it.0)),
        axis_for(metric, points.iter().map(|it| it.1)),
    );
    let series = vec![Cloud {
        name: metric.to_owned(),
        colour: colour::BLUE,
        joined: false,
        points,
    }];
    let title = format!("{metric} over {name}");
    let id = format!("{part}-map-{metric}");
    Chart::new(&id, &title, axes, Body::Points { series }).saying(says)
}
