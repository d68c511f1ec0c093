//! The page of a sweep.

use comfy_table::Table;

use super::page::{Page, WIDTH, add, table};
use crate::experiment::sweep::axis::shown;
use crate::experiment::sweep::effects::{Effects, Index};
use crate::experiment::sweep::outcome::SweepOutcome;
use crate::experiment::sweep::point::Valued;
use crate::experiment::sweep::schema::Goal;
use crate::report::number::{count, plural, significant, wrap};

/// Points that are listed.
const LISTED: usize = 20;

/// The page.
pub fn render(outcome: &SweepOutcome) -> String {
    let mut page = Page(String::new());
    head(&mut page, outcome);
    points(&mut page, outcome);
    for effects in &outcome.effects {
        effects_table(&mut page, effects);
    }
    doubts(&mut page, outcome);
    page.0
}

fn head(page: &mut Page, outcome: &SweepOutcome) {
    let header = &outcome.header;
    let experiment = &header.experiment;
    let replications = outcome.found.iter().map(|found| {
        found.metrics.first().map_or(0, |it| it.replications.len())
    });
    let (least, most) = (replications.clone().min().unwrap_or(0), replications.max().unwrap_or(0));
    let replications = match (least, most) {
        (1, 1) => "one replication each".to_owned(),
        (least, most) if least == most => format!("{} each", plural(most as u64, "replication")),
        (least, most) => format!("{least} to {most} replications each"),
    };
    page.line(&wrap(
        &format!(
            "{}: {} of {} along {} of the scenario {}, {replications}, on the same random numbers",
            experiment.name,
            experiment.design.name(),
            plural(outcome.points.len() as u64, "point"),
            plural(experiment.axes.len() as u64, "axis").replace("axiss", "axes"),
            header.scenario,
        ),
        WIDTH,
        0,
    ));
    if !experiment.description.is_empty() {
        page.line(&wrap(&experiment.description, WIDTH, 0));
    }
}

/// The front; all points where no metric has a goal.
fn points(page: &mut Page, outcome: &SweepOutcome) {
    let goals = outcome.goals();
    let experiment = &outcome.header.experiment;
    let all = outcome.points.len() as u64;
    let rows: Vec<usize> = if goals.is_empty() {
        page.title("Points (no metric has a goal, so that there is no front)");
        (0..outcome.points.len()).collect()
    } else {
        let named = goals.iter().map(|(index, goal)| {
            let name = &experiment.metrics[*index].name;
            match goal {
                Goal::Min => format!("least {name}"),
                Goal::Max => format!("most {name}"),
            }
        });
        let named: Vec<String> = named.collect();
        page.title(&format!(
            "Pareto front: {} of {}, by {}",
            count(outcome.front.len() as u64),
            plural(all, "point"),
            named.join(", ")
        ));
        outcome.front.clone()
    };
    if outcome.has_bounds() {
        let of = |what: Option<bool>| outcome.feasible.iter().filter(|it| **it == what).count() as u64;
        page.line(&format!(
            "  within all bounds: {} of {}; not: {}; not known well enough to say: {}",
            count(of(Some(true))),
            plural(all, "point"),
            count(of(Some(false))),
            count(of(None))
        ));
    }
    if rows.is_empty() {
        return;
    }
    let shown = &rows[..rows.len().min(LISTED)];
    let table = point_table(outcome, shown);
    match table.lines().all(|line| line.trim_end().chars().count() < WIDTH) {
        true => page.table(&table),
        false => point_list(page, outcome, shown),
    }
    if rows.len() > shown.len() {
        page.line(&format!("  and {} more in points.csv", count((rows.len() - shown.len()) as u64)));
    }
    let percent = significant(Some(100.0 * outcome.header.confidence));
    page.line(&format!("  from-to are {percent} % intervals, each for itself; the front is by the estimates"));
}

fn point_table(outcome: &SweepOutcome, rows: &[usize]) -> Table {
    let experiment = &outcome.header.experiment;
    let columns: Vec<String> = experiment.axes.iter().flat_map(|axis| axis.columns()).collect();
    let mut header = vec!["point".to_owned()];
    header.extend(columns.iter().map(|column| brief(column, &columns)));
    header.extend(experiment.metrics.iter().flat_map(|row| [row.name.clone(), "from-to".to_owned()]));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = table(&header);
    for row in rows {
        let mut cells = vec![row.to_string()];
        let settings = outcome.points[*row].settings.iter().flatten();
        cells.extend(settings.map(|value| shown(std::slice::from_ref(value))));
        let metrics = &outcome.found[*row].metrics;
        cells.extend(metrics.iter().flat_map(|it| [significant(it.value), span(it)]));
        add(&mut table, &cells);
    }
    table
}

/// Where a table would be too wide: a paragraph for each point.
fn point_list(page: &mut Page, outcome: &SweepOutcome, rows: &[usize]) {
    let experiment = &outcome.header.experiment;
    for row in rows {
        let words = outcome.points[*row].words(&experiment.axes);
        page.line(&format!("  point {row}: {}", wrap(&words, WIDTH, 4)));
        let metrics = experiment.metrics.iter().zip(&outcome.found[*row].metrics);
        let metrics = metrics.map(|(spec, it)| match span(it) {
            span if span == "-" => format!("{} {}", spec.name, significant(it.value)),
            span => format!("{} {} ({span})", spec.name, significant(it.value)),
        });
        let metrics: Vec<String> = metrics.collect();
        page.line(&format!("    {}", wrap(&metrics.join(", "), WIDTH, 4)));
    }
}

/// The end of a path that tells it from the others.
fn brief(column: &str, all: &[String]) -> String {
    let parts: Vec<&str> = column.split('.').collect();
    let ends = (1..=parts.len()).map(|count| parts[parts.len() - count..].join("."));
    let alone = |end: &String| {
        let same = all.iter().filter(|other| *other == end || other.ends_with(&format!(".{end}")));
        same.count() == 1
    };
    ends.into_iter().find(alone).unwrap_or_else(|| column.to_owned())
}

fn span(valued: &Valued) -> String {
    match (valued.low, valued.high) {
        (Some(low), Some(high)) if low == high => "same".to_owned(),
        (Some(low), Some(high)) => format!("{}-{}", significant(Some(low)), significant(Some(high))),
        _ => "-".to_owned(),
    }
}

fn effects_table(page: &mut Page, effects: &Effects) {
    page.title(&format!(
        "What moves {} (mean {}, standard deviation {} over {})",
        effects.metric,
        significant(Some(effects.mean)),
        significant(Some(effects.standard_deviation)),
        plural(effects.points as u64, "point")
    ));
    let labels: Vec<String> = effects.axes.iter().map(|axis| axis.axis.clone()).collect();
    let with_indices = effects.axes.iter().any(|axis| axis.total.is_some());
    let mut header = vec!["axis", "lowest mean", "at", "highest mean", "at"];
    if with_indices {
        header.extend(["first-order", "from-to", "total", "from-to"]);
    }
    let mut table = table(&header);
    for axis in &effects.axes {
        let mut cells = vec![
            cut(&brief(&axis.axis, &labels), 24),
            significant(Some(axis.lowest.mean)),
            cut(&axis.lowest.at, 18),
            significant(Some(axis.highest.mean)),
            cut(&axis.highest.at, 18),
        ];
        if with_indices {
            cells.extend(index_cells(axis.first_order));
            cells.extend(index_cells(axis.total));
        }
        add(&mut table, &cells);
    }
    page.table(&table);
    page.line(&format!("  {}", wrap(&effects.method, WIDTH, 2)));
}

/// A text that is no longer than so many characters; what is cut is in the files.
fn cut(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most - 3).chain("...".chars()).collect(),
        false => text.to_owned(),
    }
}

fn index_cells(index: Option<Index>) -> [String; 2] {
    let number = |value: f64| format!("{value:.3}");
    let Some(index) = index else {
        return ["-".to_owned(), "-".to_owned()];
    };
    let span = match (index.low, index.high) {
        (Some(low), Some(high)) => format!("{}-{}", number(low), number(high)),
        _ => "-".to_owned(),
    };
    [number(index.value), span]
}

/// What is no evidence: points that were cut short, and metrics that cannot be trusted at some.
fn doubts(page: &mut Page, outcome: &SweepOutcome) {
    let mut said = Vec::new();
    let mut say = |what: &str, of: Vec<(usize, &String)>| {
        if let Some((first, why)) = of.first() {
            let points = plural(of.len() as u64, "point");
            said.push(format!("{what} at {points}, the first of them point {first}: {why}"));
        }
    };
    let found = || outcome.found.iter().enumerate();
    let partial = found().filter_map(|(index, it)| Some((index, it.partial.as_ref()?)));
    say("runs were cut short", partial.collect());
    for (metric, row) in outcome.header.experiment.metrics.iter().enumerate() {
        let whole = found().filter(|(_, it)| it.partial.is_none());
        let doubts = whole.filter_map(|(index, it)| Some((index, it.metrics[metric].doubt.as_ref()?)));
        say(&format!("{} is no evidence", row.name), doubts.collect());
    }
    if !said.is_empty() {
        page.title("Doubts");
        for text in &said {
            page.item(text);
        }
    }
}
