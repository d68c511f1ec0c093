//! What happened when, as a picture and in words.

use serde_json::Value;

use crate::experiment::result::RunResult;
use crate::experiment::timeline::{Summary, TimelineReport};

use super::page::{Page, WIDTH};
use crate::report::number::{count, plural, significant, wrap};
use crate::report::terminal::part;

/// Columns of the picture.
const COLUMNS: usize = 60;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A line of the picture: what it shows, and its values by column.
struct Line {
    name: String,
    values: Vec<f64>,
}

/// The section, where there is a timeline.
pub(super) fn timeline(page: &mut Page, result: &RunResult) {
    let Some(timeline) = &result.timeline else {
        return;
    };
    let only = match result.replications {
        1 => "",
        _ => " (first replication)",
    };
    page.title(&format!("What happened when{only}"));
    picture(page, timeline);
    for sentence in &timeline.account {
        page.item(sentence);
    }
    summary(page, timeline);
    for population in &result.populations {
        part(page, "population", population, result);
    }
    definitions(page, result, timeline);
}

/// What the words of the summary mean, and which requests it counts: tables of objectives leave
/// those of the warm-up out.
fn definitions(page: &mut Page, result: &RunResult, timeline: &TimelineReport) {
    let warmup = match result.sim.warmup_s > 0.0 {
        true => " All requests count here, those of the warm-up too.",
        false => "",
    };
    let text = format!(
        "(Short of the objective are stretches of {} s in which over three standard deviations more \
         requests miss it than may; well again is from the end of the last such stretch on.{warmup})",
        significant(Some(timeline.bucket_s)),
    );
    page.line(&format!("  {}", wrap(&text, WIDTH, 2)));
}

fn picture(page: &mut Page, timeline: &TimelineReport) {
    let rows = timeline.rows.len();
    let together = rows.div_ceil(COLUMNS).max(1);
    let span_s = together as f64 * timeline.bucket_s;
    let mut lines = vec![
        rate("arrivals/s", &["arrived"], timeline, together),
        rate("within objective/s", &["good"], timeline, together),
        rate(
            "not answered/s",
            &["rejected", "shed", "timed_out", "failed", "cancelled"],
            timeline,
            together,
        ),
        rate("tries/s", &["tries"], timeline, together),
        most("in flight", "in_flight", timeline, together),
        most("waiting", "waiting", timeline, together),
        most("breakers open", "breakers_open", timeline, together),
        most("replicas down", "replicas_down", timeline, together),
    ];
    let regions = timeline
        .columns
        .iter()
        .filter_map(|name| name.strip_prefix("tries_to_"));
    for region in regions {
        let column = format!("tries_to_{region}");
        let name = format!("tries/s to {region}");
        lines.push(rate(&name, &[&column], timeline, together));
    }
    let columns = rows.div_ceil(together);
    for line in lines {
        let highest = line.values.iter().copied().fold(0.0, f64::max);
        // A line that is flat at nothing says so by not being there.
        if highest == 0.0 {
            continue;
        }
        let drawn: String = line
            .values
            .iter()
            .map(|value| level(*value, highest))
            .collect();
        let name: String = line.name.chars().take(20).collect();
        page.line(&format!(
            "  {name:<20} {drawn} most {}",
            significant(Some(highest))
        ));
    }
    let end = format!("{} s", significant(Some(columns as f64 * span_s)));
    let gap = columns.saturating_sub(3 + end.chars().count());
    page.line(&format!("  {:<20} 0 s{}{end}", "", " ".repeat(gap)));
}

fn level(value: f64, highest: f64) -> char {
    if value <= 0.0 {
        return ' ';
    }
    let level = (value / highest * LEVELS.len() as f64).ceil() as usize;
    LEVELS[level.clamp(1, LEVELS.len()) - 1]
}

/// Sums of columns, per second.
fn rate(name: &str, columns: &[&str], timeline: &TimelineReport, together: usize) -> Line {
    let span_s = together as f64 * timeline.bucket_s;
    let values = timeline.rows.chunks(together).map(|rows| {
        let sum: f64 = rows
            .iter()
            .flat_map(|row| columns.iter().map(|column| at(timeline, row, column)))
            .sum();
        sum / span_s
    });
    Line {
        name: name.to_owned(),
        values: values.collect(),
    }
}

fn most(name: &str, column: &str, timeline: &TimelineReport, together: usize) -> Line {
    let values = timeline.rows.chunks(together).map(|rows| {
        let values = rows.iter().map(|row| at(timeline, row, column));
        values.fold(0.0, f64::max)
    });
    Line {
        name: name.to_owned(),
        values: values.collect(),
    }
}

fn at(timeline: &TimelineReport, row: &[Value], column: &str) -> f64 {
    let index = timeline.columns.iter().position(|name| name == column);
    let value = index.and_then(|index| row.get(index));
    value.and_then(Value::as_f64).unwrap_or(0.0)
}

/// Whether the fleet was well again, and which faults were still on when it was.
fn recovery(summary: &Summary) -> Option<String> {
    let still = summary.faults_not_ended;
    let last = match still {
        0 => "the last fault ended".to_owned(),
        still => format!("the last fault that ended ({} had not ended)", count(still)),
    };
    match (summary.recovered, summary.recovery_s) {
        (Some(true), Some(seconds)) => Some(format!(
            "well again {} s after {last}",
            significant(Some(seconds))
        )),
        (Some(false), _) => Some(format!("NOT WELL AGAIN after {last}")),
        _ => (still > 0).then(|| format!("no fault ended ({} began)", count(still))),
    }
}

fn summary(page: &mut Page, timeline: &TimelineReport) {
    let summary = &timeline.summary;
    let mut parts = vec![
        format!("{} lost", plural(summary.lost, "request")),
        format!(
            "{} s short of the objective",
            significant(Some(summary.violation_s))
        ),
    ];
    if let Some(burnt) = summary.error_budget_burnt {
        parts.push(format!(
            "error budget burnt {} times over",
            significant(Some(burnt))
        ));
    }
    if summary.overdue > 0 {
        let overdue = plural(summary.overdue, "request");
        parts.insert(1, format!("{overdue} late and still under way"));
    }
    if summary.users_hit > 0 {
        parts.push(format!("{} hit", plural(summary.users_hit, "user")));
    }
    if summary.tries_hit > 0 {
        let tries = plural(summary.tries_hit, "try");
        parts.push(format!("{tries} failed or misrouted by a bad deployment"));
    }
    parts.extend(recovery(summary));
    if let Some(tries) = summary
        .most_tries_per_request
        .filter(|tries| *tries > 1.005)
    {
        parts.push(format!(
            "up to {} tries a request",
            significant(Some(tries))
        ));
    }
    page.line(&format!("  {}", wrap(&parts.join(", "), WIDTH, 2)));
}
