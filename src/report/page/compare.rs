//! Several runs, side by side.

use super::folder::{RunFolder, Source};
use super::latency::named;
use super::value::{number, rows, text};
use super::{Block, Part, Section};
use crate::report::chart::{Axis, Body, Chart, Line, Scale};
use crate::report::number::{percent, significant};

/// The part that holds several runs against one another; none where there is one or none.
pub(super) fn part(sources: &[Source], names: &[String]) -> Option<Part> {
    let runs: Vec<(&RunFolder, &str)> = sources
        .iter()
        .zip(names)
        .filter_map(|(source, name)| match source {
            Source::Run(run) => Some((run.as_ref(), name.as_str())),
            Source::Sweep(_) | Source::Replay(_) | Source::Size(_) => None,
        })
        .collect();
    if runs.len() < 2 {
        return None;
    }
    let mut blocks = vec![figures(&runs)];
    for latency in ["ttft_ms", "e2e_ms"] {
        blocks.push(Block::chart(curves(&runs, latency)));
    }
    let note = "Runs of one seed share their random numbers; `seatrial compare` gives paired \
                intervals of the differences.";
    blocks.push(Some(Block::Text(note.to_owned())));
    Some(Part {
        id: "side-by-side".to_owned(),
        title: "Side by side".to_owned(),
        kind: "comparison",
        sections: Section::of("figures", "Figures", blocks)
            .into_iter()
            .collect(),
    })
}

fn figures(runs: &[(&RunFolder, &str)]) -> Option<Block> {
    let rows = runs.iter().map(|(run, name)| {
        let result = &run.result;
        let s = |path: &str| significant(number(result, path));
        let claims = rows(result, "claims");
        let holds = claims.iter().filter(|it| text(it, "verdict") == "holds");
        let slo = rows(result, "slo").iter();
        let attained = slo.filter(|row| number(row, "target").is_some());
        let attained = attained.filter_map(|row| number(row, "attained"));
        let year = number(result, "cost.total_usd_per_year")
            .or_else(|| number(result, "cost.usd_per_year"));
        vec![
            (*name).to_owned(),
            match claims.len() {
                0 => "-".to_owned(),
                all => format!("{} of {all}", holds.count()),
            },
            percent(attained.reduce(f64::min)),
            s("throughput.requests_per_s"),
            s("latency.ttft_ms.p50"),
            s("latency.ttft_ms.p99"),
            s("latency.e2e_ms.p50"),
            s("latency.e2e_ms.p99"),
            year.map_or_else(
                || "-".to_owned(),
                |usd| format!("${}", significant(Some(usd))),
            ),
        ]
    });
    let head = [
        "Run",
        "Claims that hold",
        "Within the objective",
        "Requests/s",
        "TTFT p50, ms",
        "TTFT p99, ms",
        "E2E p50, ms",
        "E2E p99, ms",
        "Cost a year",
    ];
    Block::table("The runs in figures", &head, rows.collect(), false)
}

fn curves(runs: &[(&RunFolder, &str)], latency: &str) -> Chart {
    let lines = runs.iter().enumerate().filter_map(|(index, (run, name))| {
        let curve = run.charts.latency.iter().find(|it| it.name == latency)?;
        let points = curve.points.iter().filter(|point| point.0 > 0.0);
        let points = points.map(|point| (point.0, Some(point.1))).collect();
        let mut line = Line::new(name, index, points);
        line.dashed = index % 2 == 1;
        Some(line)
    });
    let (name, _) = named(latency);
    let each = runs.iter().map(|(run, name)| {
        let p99 = number(&run.result, &format!("latency.{latency}.p99"));
        format!("{name}: 99 % within {} ms", significant(p99))
    });
    let says = each.collect::<Vec<String>>().join("; ");
    let axes = (
        Axis::of(&format!("{name}, ms"), Scale::Log),
        Axis::share("Share of requests at most that"),
    );
    let body = Body::Lines {
        series: lines.collect(),
    };
    let id = format!("side-by-side-{latency}");
    Chart::new(&id, &format!("{name} of each run"), axes, body).saying(format!("{says}."))
}
