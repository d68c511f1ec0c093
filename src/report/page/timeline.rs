//! What happened when.

use serde_json::Value;

use super::folder::RunFolder;
use super::value::{find, number, rows, texts};
use super::{Block, Section};
use crate::experiment::charts::SeriesReport;
use crate::report::chart::{Axis, Body, Chart, Line, Span, colour};
use crate::report::number::{plural, significant};

/// The most faults whose stretches are drawn: more would hide what they are drawn over.
const MOST_SPANS: usize = 24;

/// The most points of a rate over time.
const MOST_RATES: usize = 120;

/// One column over time.
type Points = Vec<(f64, Option<f64>)>;

/// What happened when in a run.
pub(super) fn section(run: &RunFolder, part: &str) -> Option<Section> {
    let story = Story::of(run, part);
    let mut blocks = vec![summary(&run.result)];
    blocks.push(Block::list(
        "Faults, as numbered in the charts",
        story.spans.iter().map(in_words).collect(),
    ));
    let left_out = run.charts.marks.len().saturating_sub(MOST_SPANS);
    if left_out > 0 {
        let text = format!(
            "The first {} are marked; {left_out} more are not.",
            plural(MOST_SPANS as u64, "fault")
        );
        blocks.push(Some(Block::Text(text)));
    }
    blocks.push(story.rates());
    blocks.push(story.latencies());
    blocks.push(story.in_flight());
    blocks.push(story.states());
    blocks.push(story.regions());
    blocks.push(Block::list(
        "What happened",
        texts(&run.result, "timeline.account"),
    ));
    Section::of("timeline", "What happened when", blocks)
}

/// Rates over longer stretches, so that what is seen is not mostly chance; each at the beginning of its
/// stretch.
fn averaged(points: &Points) -> Points {
    let each = points.len().div_ceil(MOST_RATES).max(1);
    let stretches = points.chunks(each).filter_map(|some| {
        let known: Vec<f64> = some.iter().filter_map(|point| point.1).collect();
        let mean = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
        Some((some.first()?.0, mean))
    });
    stretches.collect()
}

fn in_words(span: &Span) -> String {
    let from = significant(Some(span.from));
    match span.to {
        Some(to) => format!("{}: {from} s to {} s", span.what, significant(Some(to))),
        None => format!("{}: from {from} s on", span.what),
    }
}

fn summary(result: &Value) -> Option<Block> {
    let summary = find(result, "timeline.summary")?;
    let at = |path| significant(number(summary, path));
    let mut rows = vec![
        vec!["Faults that began".to_owned(), at("faults")],
        vec!["Requests not answered".to_owned(), at("lost")],
        vec!["Users ever hit".to_owned(), at("users_hit")],
        vec![
            "Time short of the objective, s".to_owned(),
            at("violation_s"),
        ],
    ];
    let optional = [
        ("Error budget burnt, times over", "error_budget_burnt"),
        ("Recovery after the last fault, s", "recovery_s"),
        ("Most tries per request", "most_tries_per_request"),
    ];
    for (name, path) in optional {
        if number(summary, path).is_some() {
            rows.push(vec![name.to_owned(), at(path)]);
        }
    }
    Block::table("How it went", &["Figure", "Value"], rows, false)
}

/// Columns over time, with the faults.
struct Story<'a> {
    part: &'a str,
    result: &'a Value,
    series: Option<&'a SeriesReport>,
    spans: Vec<Span>,
}

impl<'a> Story<'a> {
    fn of(run: &'a RunFolder, part: &'a str) -> Story<'a> {
        let marks = run.charts.marks.iter().take(MOST_SPANS);
        let spans = marks.map(|mark| Span {
            what: mark.what.clone(),
            from: mark.from_s,
            to: mark.to_s,
        });
        Story {
            part,
            result: &run.result,
            series: run.charts.series.as_ref(),
            spans: spans.collect(),
        }
    }

    /// A column of the timeline, divided by its rows' length where it counts.
    fn of_timeline(&self, name: &str, rate: bool) -> Option<Points> {
        let columns = texts(self.result, "timeline.columns");
        let index = columns.iter().position(|column| column == name)?;
        let width = number(self.result, "timeline.bucket_s")?;
        let divisor = if rate { width } else { 1.0 };
        let cell = |row: &Value, at: usize| row.get(at).and_then(Value::as_f64);
        let rows = rows(self.result, "timeline.rows").iter();
        let points = rows.filter_map(|row| {
            let value = cell(row, index).map(|it| it / divisor);
            Some((cell(row, 0)?, value))
        });
        let points: Points = points.collect();
        Some(if rate { averaged(&points) } else { points })
    }

    fn of_series(&self, name: &str) -> Option<Points> {
        let series = self.series?;
        let times = series.column("t_s")?;
        let values = series.column(name)?;
        let points = times.into_iter().zip(values);
        let points: Points = points.filter_map(|(t, value)| Some((t?, value))).collect();
        Some(if name.ends_with("_per_s") {
            averaged(&points)
        } else {
            points
        })
    }

    /// A chart over time; none without anything to be drawn.
    fn chart(&self, name: &str, title: &str, y: Axis, lines: Vec<Line>) -> Option<Chart> {
        let id = format!("{}-{name}", self.part);
        let axes = (Axis::linear("Simulated time, s"), y);
        let mut chart = Chart::new(&id, title, axes, Body::Lines { series: lines });
        chart.spans = self.spans.clone();
        chart.group = Some(format!("{}-time", self.part));
        (!chart.is_empty()).then_some(chart)
    }

    fn rates(&self) -> Option<Block> {
        let mut lines = Vec::new();
        let mut push = |name: &str, colour: usize, points: Option<Points>, dashed: bool| {
            // What never happened needs no line.
            let some = |points: &Points| points.iter().any(|it| it.1.is_some_and(|y| y > 0.0));
            if let Some(points) = points.filter(some) {
                let mut line = Line::new(name, colour, points);
                line.dashed = dashed;
                lines.push(line);
            }
        };
        match self.of_timeline("arrived", true) {
            Some(arrived) => {
                let tries = self.of_timeline("tries", true);
                // Where each request is one try, one line is enough.
                let tries = tries.filter(|tries| *tries != arrived);
                push("Arrived", colour::GREY, Some(arrived), true);
                for (name, column, colour) in [
                    ("Answered", "completed", colour::BLUE),
                    ("Within the objective", "good", colour::GREEN),
                    ("Failed", "failed", colour::RED),
                    ("Timed out", "timed_out", colour::ORANGE),
                    ("Shed", "shed", colour::PURPLE),
                    ("Rejected", "rejected", colour::MUSTARD),
                    ("Given up", "cancelled", colour::MAGENTA),
                ] {
                    push(name, colour, self.of_timeline(column, true), false);
                }
                push("Tries", colour::TEAL, tries, true);
            }
            None => {
                for (name, column, colour, dashed) in [
                    ("Arrived", "arrived_per_s", colour::GREY, true),
                    ("Answered", "completed_per_s", colour::BLUE, false),
                    ("Within the objective", "good_per_s", colour::GREEN, false),
                    ("Not answered", "unanswered_per_s", colour::RED, false),
                ] {
                    push(name, colour, self.of_series(column), dashed);
                }
            }
        }
        let y = Axis::linear("Requests per second");
        let chart = self.chart("rates", "Requests over time", y, lines)?;
        let goodput = rows(self.result, "timeline.summary.goodput_rps");
        let says = match (goodput, self.spans.len()) {
            ([least, most], faults) => format!(
                "Goodput between {} and {} requests/s; {} marked.",
                significant(least.as_f64()),
                significant(most.as_f64()),
                plural(faults as u64, "fault")
            ),
            _ => "Requests that came and how they ended, of the first replication.".to_owned(),
        };
        Block::chart(chart.saying(says))
    }

    fn latencies(&self) -> Option<Block> {
        let columns = [
            ("TTFT, median", "ttft_p50_ms", colour::BLUE, true, false),
            ("TTFT, p99", "ttft_p99_ms", colour::BLUE, false, false),
            ("E2E, median", "e2e_p50_ms", colour::ORANGE, true, true),
            ("E2E, p99", "e2e_p99_ms", colour::ORANGE, false, true),
        ];
        let mut lines = Vec::new();
        for (name, column, colour, dashed, hidden) in columns {
            if let Some(points) = self.of_series(column) {
                let mut line = Line::new(name, colour, points);
                (line.dashed, line.hidden) = (dashed, hidden);
                lines.push(line);
            }
        }
        // Single-pass work has no first token before its last.
        let same = |lines: &[Line]| {
            let ys = |at: usize| lines.get(at).map(|line| &line.points);
            ys(0) == ys(2) && ys(1) == ys(3)
        };
        if same(&lines) {
            lines.drain(..2);
            lines.iter_mut().for_each(|line| line.hidden = false);
        }
        let y = Axis::linear("Milliseconds");
        let says = "Of the requests answered in each stretch of time, the first replication.";
        let chart = self.chart("latency-over-time", "Latency over time", y, lines)?;
        Block::chart(chart.saying(says))
    }

    fn in_flight(&self) -> Option<Block> {
        let in_flight = self
            .of_timeline("in_flight", false)
            .or_else(|| self.of_series("in_flight"))?;
        let mut lines = vec![Line::new("In flight", colour::BLUE, in_flight)];
        if let Some(waiting) = self.of_timeline("waiting", false) {
            lines.push(Line::new("Waiting", colour::RED, waiting));
        }
        let most = lines[0].points.iter().filter_map(|it| it.1);
        let most = most.reduce(f64::max);
        let y = Axis::linear("Requests");
        let says = format!("At most {} requests in flight at once.", significant(most));
        let chart = self.chart("in-flight", "Requests in flight", y, lines)?;
        Block::chart(chart.saying(says))
    }

    /// Breakers and replicas, where any of them ever changed.
    fn states(&self) -> Option<Block> {
        let columns = [
            ("Replicas down", "replicas_down", colour::RED, false),
            ("Breakers open", "breakers_open", colour::ORANGE, false),
            (
                "Breakers that opened",
                "breakers_opened",
                colour::MUSTARD,
                true,
            ),
            (
                "went half-open",
                "breakers_half_opened",
                colour::PURPLE,
                true,
            ),
            ("closed", "breakers_closed", colour::GREEN, true),
        ];
        let mut lines = Vec::new();
        for (name, column, colour, hidden) in columns {
            let points = self.of_timeline(column, false).unwrap_or_default();
            if points.iter().any(|it| it.1.is_some_and(|y| y > 0.0)) {
                let mut line = Line::new(name, colour, points);
                line.hidden = hidden;
                lines.push(line);
            }
        }
        let mosts: Vec<String> = lines
            .iter()
            .filter(|line| !line.hidden)
            .filter_map(|line| {
                let most = line.points.iter().filter_map(|it| it.1);
                let most = most.reduce(f64::max)?;
                Some(format!(
                    "{}: at most {}",
                    line.name,
                    significant(Some(most))
                ))
            })
            .collect();
        let y = Axis::linear("How many at once");
        let chart = self.chart("states", "Breakers and replicas", y, lines)?;
        Block::chart(chart.saying(format!("{}.", mosts.join("; "))))
    }

    fn regions(&self) -> Option<Block> {
        let columns = texts(self.result, "timeline.columns");
        let regions: Vec<&str> = columns
            .iter()
            .filter_map(|column| column.strip_prefix("tries_to_"))
            .collect();
        let lines = regions.iter().enumerate().filter_map(|(index, region)| {
            let points = self.of_timeline(&format!("tries_to_{region}"), true)?;
            let mut line = Line::new(region, index, points);
            line.dashed = index % 2 == 1;
            Some(line)
        });
        let y = Axis::linear("Tries per second");
        let chart = self.chart("regions", "Where tries went", y, lines.collect())?;
        Block::chart(chart.saying(format!("Tries to {}.", regions.join(", "))))
    }
}
