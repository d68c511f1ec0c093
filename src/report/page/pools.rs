//! How busy each pool was, and how full its KV cache.

use serde_json::Value;

use super::folder::RunFolder;
use super::value::{number, rows, text, whole};
use super::{Block, Section};
use crate::report::chart::{Axis, BarSeries, Body, Chart, Line, colour};
use crate::report::number::{count, percent, significant};

/// The pools of a run.
pub(super) fn section(run: &RunFolder, part: &str) -> Option<Section> {
    let pools = rows(&run.result, "pools");
    let over = |name: &str, title: &str, column: &str, y: Axis| {
        over_time(run, part, (name, title), column, y)
    };
    let blocks = vec![
        bars(pools, part),
        over(
            "utilization",
            "Utilisation over time",
            "utilization",
            Axis::share("Share of the time at work"),
        ),
        over(
            "kv",
            "KV cache over time",
            "kv_share",
            Axis::share("Share of KV blocks in use"),
        ),
        over(
            "waiting",
            "Queues over time",
            "waiting",
            Axis::linear("Requests waiting"),
        ),
        replicas(run, part),
        table(pools),
    ];
    Section::of("pools", "Pools", blocks)
}

fn bars(pools: &[Value], part: &str) -> Option<Block> {
    let names: Vec<String> = pools
        .iter()
        .map(|pool| text(pool, "name").to_owned())
        .collect();
    let of = |field: &str| -> Vec<Option<f64>> {
        pools.iter().map(|pool| number(pool, field)).collect()
    };
    let mut series = vec![BarSeries {
        name: "Utilisation, mean".to_owned(),
        colour: colour::BLUE,
        values: of("utilization"),
        intervals: Vec::new(),
    }];
    let kv = of("kv_peak_share");
    if kv.iter().any(Option::is_some) {
        series.push(BarSeries {
            name: "KV blocks in use, most at one replica".to_owned(),
            colour: colour::PURPLE,
            values: kv,
            intervals: Vec::new(),
        });
    }
    let each = pools.iter().map(|pool| {
        let kv = number(pool, "kv_peak_share");
        let kv = kv.map_or_else(String::new, |kv| {
            format!(", KV at most {}", percent(Some(kv)))
        });
        let busy = percent(number(pool, "utilization"));
        format!("{}: {busy} busy{kv}", text(pool, "name"))
    });
    let says = each.collect::<Vec<String>>().join("; ");
    let axes = (Axis::share("Share"), Axis::names("Pool", names));
    let body = Body::Bars {
        series,
        stacked: false,
    };
    let id = format!("{part}-pools");
    let chart = Chart::new(&id, "Utilisation and KV use by pool", axes, body);
    Block::chart(chart.saying(format!("{says}.")))
}

/// A column of every pool over time.
fn over_time(
    run: &RunFolder,
    part: &str,
    (name, title): (&str, &str),
    column: &str,
    y: Axis,
) -> Option<Block> {
    let series = run.charts.series.as_ref()?;
    let times = series.column("t_s")?;
    let pools = rows(&run.result, "pools").iter().enumerate();
    let lines = pools.filter_map(|(index, pool)| {
        let pool = text(pool, "name");
        let values = series.column(&format!("{pool}/{column}"))?;
        let points = times.iter().zip(values);
        let points: Vec<(f64, Option<f64>)> = points
            .filter_map(|(t, value)| Some(((*t)?, value)))
            .collect();
        let mut line = Line::new(pool, index, points);
        line.dashed = index % 2 == 1;
        Some(line)
    });
    let lines: Vec<Line> = lines.collect();
    let means: Vec<String> = lines.iter().filter_map(|line| most(line, &y)).collect();
    if means.is_empty() {
        return None;
    }
    let id = format!("{part}-{name}");
    let axes = (Axis::linear("Simulated time, s"), y);
    let mut chart = Chart::new(&id, title, axes, Body::Lines { series: lines });
    chart.group = Some(format!("{part}-time"));
    let says = format!("{}; of the first replication.", means.join("; "));
    Block::chart(chart.saying(says))
}

/// The most of a line, in words; none where it is nothing all the time.
fn most(line: &Line, y: &Axis) -> Option<String> {
    let values = line.points.iter().filter_map(|point| point.1);
    let most = values.reduce(f64::max).filter(|most| *most > 0.0)?;
    let shown = match y.scale {
        crate::report::chart::Scale::Share => percent(Some(most)),
        _ => significant(Some(most)),
    };
    Some(format!("{}: at most {shown}", line.name))
}

/// Replicas that are there, where their number ever changed.
fn replicas(run: &RunFolder, part: &str) -> Option<Block> {
    let series = run.charts.series.as_ref()?;
    let of_replicas = series.columns.iter().filter(|it| it.ends_with("/replicas"));
    let changes = of_replicas.into_iter().any(|column| {
        let values = series.column(column).unwrap_or_default();
        let mut known = values.into_iter().flatten();
        known
            .next()
            .is_some_and(|first| known.any(|it| it != first))
    });
    let y = Axis::linear("Replicas that are there and answer");
    changes
        .then(|| over_time(run, part, ("replicas", "Replicas over time"), "replicas", y))
        .flatten()
}

fn table(pools: &[Value]) -> Option<Block> {
    let rows = pools.iter().map(|pool| {
        let what = [text(pool, "model"), text(pool, "accelerator")];
        let what: Vec<&str> = what.into_iter().filter(|it| !it.is_empty()).collect();
        vec![
            text(pool, "name").to_owned(),
            match what.is_empty() {
                true => text(pool, "engine").to_owned(),
                false => what.join(" on "),
            },
            count(whole(pool, "replicas").unwrap_or(0)),
            count(whole(pool, "accelerators").unwrap_or(0)),
            percent(number(pool, "utilization")),
            significant(number(pool, "requests_per_s")),
            significant(number(pool, "mean_in_system")),
            significant(number(pool, "mean_sequences").or_else(|| number(pool, "mean_batch"))),
            percent(number(pool, "kv_peak_share")),
            whole(pool, "preemptions").map_or_else(|| "-".to_owned(), count),
        ]
    });
    let head = [
        "Pool",
        "What",
        "Replicas",
        "Accelerators",
        "Utilisation",
        "Requests/s",
        "Mean in system",
        "Mean batch",
        "KV, most",
        "Preemptions",
    ];
    Block::table("The pools in figures", &head, rows.collect(), false)
}
