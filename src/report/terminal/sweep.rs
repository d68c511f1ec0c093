//! The page of a sweep.

use comfy_table::Table;

use super::page::{Page, WIDTH, add, table};
use crate::experiment::sweep::axis::shown;
use crate::experiment::sweep::effects::{AxisEffect, Effects, Index};
use crate::experiment::sweep::outcome::SweepOutcome;
use crate::experiment::sweep::point::Valued;
use crate::experiment::sweep::schema::Goal;
use crate::report::number::{count, plural, significant, wrap};

/// Points that are listed.
const LISTED: usize = 20;
/// Of points of which none is better than another.
const FIRST: usize = 3;

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
    let replications = outcome
        .found
        .iter()
        .map(|found| found.metrics.first().map_or(0, |it| it.replications.len()));
    let (least, most) = (
        replications.clone().min().unwrap_or(0),
        replications.max().unwrap_or(0),
    );
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
        page.title("No metric has a goal, so that there is no Pareto front; the first points");
        (0..outcome.points.len().min(FIRST)).collect()
    } else {
        let named = goals.iter().map(|(index, goal)| {
            let name = &experiment.metrics[*index].name;
            match goal {
                Goal::Min => format!("least {name}"),
                Goal::Max => format!("most {name}"),
            }
        });
        let named: Vec<String> = named.collect();
        let title = format!(
            "Pareto front: {} of {}, by {}",
            count(outcome.front.len() as u64),
            plural(all, "point"),
            named.join(", ")
        );
        page.title(&wrap(&title, WIDTH, 2));
        outcome.front.clone()
    };
    if outcome.has_bounds() {
        let of =
            |what: Option<bool>| outcome.feasible.iter().filter(|it| **it == what).count() as u64;
        let text = format!(
            "within all bounds ({}): {} of {}; not: {}; not known well enough to say: {}",
            bounds(outcome),
            count(of(Some(true))),
            plural(all, "point"),
            count(of(Some(false))),
            count(of(None))
        );
        page.line(&format!("  {}", wrap(&text, WIDTH, 2)));
    }
    if rows.is_empty() {
        return;
    }
    let shown = &rows[..rows.len().min(LISTED)];
    let table = point_table(outcome, shown);
    match table
        .lines()
        .all(|line| line.trim_end().chars().count() < WIDTH)
    {
        true => page.table(&table),
        false => point_list(page, outcome, shown),
    }
    if rows.len() > shown.len() {
        page.line(&format!(
            "  and {} more in points.csv",
            count((rows.len() - shown.len()) as u64)
        ));
    }
    let percent = significant(Some(100.0 * outcome.header.confidence));
    let by = if goals.is_empty() {
        ""
    } else {
        "; the front is by the estimates"
    };
    match outcome.found.iter().all(|found| found.exact) {
        true => page.line(&format!(
            "  exact: nothing in these runs is random; from-to, where stated: {percent} % for other times \
             like these"
        )),
        false => page.line(&format!("  from-to are {percent} % intervals, each for itself{by}")),
    }
}

/// The bounds in words.
fn bounds(outcome: &SweepOutcome) -> String {
    let metrics = outcome.header.experiment.metrics.iter();
    let named = metrics.flat_map(|row| {
        let most = row
            .at_most
            .map(|it| format!("{} at most {}", row.name, significant(Some(it))));
        let least = row
            .at_least
            .map(|it| format!("{} at least {}", row.name, significant(Some(it))));
        [least, most].into_iter().flatten()
    });
    named.collect::<Vec<String>>().join(", ")
}

fn point_table(outcome: &SweepOutcome, rows: &[usize]) -> Table {
    let experiment = &outcome.header.experiment;
    let columns: Vec<String> = experiment
        .axes
        .iter()
        .flat_map(|axis| axis.columns())
        .collect();
    let mut header = vec!["point".to_owned()];
    header.extend(columns.iter().map(|column| brief(column, &columns)));
    // Columns of intervals only where there are any.
    let spanned = |metric: usize| {
        rows.iter()
            .any(|row| span(&outcome.found[*row].metrics[metric]) != "-")
    };
    let spanned: Vec<bool> = (0..experiment.metrics.len()).map(spanned).collect();
    for (row, spanned) in experiment.metrics.iter().zip(&spanned) {
        header.push(row.name.clone());
        header.extend(spanned.then(|| "from-to".to_owned()));
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = table(&header);
    for row in rows {
        let mut cells = vec![row.to_string()];
        let settings = outcome.points[*row].settings.iter().flatten();
        cells.extend(settings.map(|value| shown(std::slice::from_ref(value))));
        let metrics = &outcome.found[*row].metrics;
        for (it, spanned) in metrics.iter().zip(&spanned) {
            cells.push(significant(it.value));
            cells.extend(spanned.then(|| span(it)));
        }
        add(&mut table, &cells);
    }
    table
}

/// Where a table would be too wide: a paragraph for each point.
fn point_list(page: &mut Page, outcome: &SweepOutcome, rows: &[usize]) {
    let experiment = &outcome.header.experiment;
    let columns: Vec<String> = experiment
        .axes
        .iter()
        .flat_map(|axis| axis.columns())
        .collect();
    for row in rows {
        let settings = outcome.points[*row].settings.iter().flatten();
        let settings = columns.iter().zip(settings).map(|(column, value)| {
            let value = match value.as_f64() {
                Some(number) if !value.is_i64() => significant(Some(number)),
                _ => shown(std::slice::from_ref(value)),
            };
            format!("{} {value}", brief(column, &columns))
        });
        let words = settings.collect::<Vec<String>>().join(", ");
        page.line(&format!(
            "  {}",
            wrap(&format!("point {row}: {words}"), WIDTH, 4)
        ));
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
        let same = all
            .iter()
            .filter(|other| *other == end || other.ends_with(&format!(".{end}")));
        same.count() == 1
    };
    ends.into_iter()
        .find(alone)
        .unwrap_or_else(|| column.to_owned())
}

fn span(valued: &Valued) -> String {
    match (valued.low, valued.high) {
        (Some(low), Some(high)) if low == high => "same".to_owned(),
        (Some(low), Some(high)) => {
            format!("{}-{}", significant(Some(low)), significant(Some(high)))
        }
        _ => "-".to_owned(),
    }
}

fn effects_table(page: &mut Page, effects: &Effects) {
    let title = format!(
        "What moves {} (mean {}, standard deviation {} over {})",
        effects.metric,
        significant(Some(effects.mean)),
        significant(Some(effects.standard_deviation)),
        plural(effects.points as u64, "point")
    );
    page.title(&wrap(&title, WIDTH, 2));
    let wide = effect_rows(effects, true);
    let fits = |table: &Table| {
        table
            .lines()
            .all(|line| line.trim_end().chars().count() < WIDTH)
    };
    let short = !fits(&wide);
    page.table(&if short {
        effect_rows(effects, false)
    } else {
        wide
    });
    let more = if short {
        "; where the means are least and greatest is in summary.json"
    } else {
        ""
    };
    page.line(&format!(
        "  {}",
        wrap(&format!("{}{more}", effects.method), WIDTH, 2)
    ));
}

/// The axes as a table, with the values at which the means are least and greatest or without.
fn effect_rows(effects: &Effects, with_places: bool) -> Table {
    let labels: Vec<String> = effects.axes.iter().map(|axis| axis.axis.clone()).collect();
    let indices = |axis: &AxisEffect| [axis.first_order, axis.total];
    let any = |what: fn(&Index) -> bool| {
        let mut all = effects.axes.iter().flat_map(indices);
        all.any(|index| index.as_ref().is_some_and(what))
    };
    let (with_indices, with_spans) = (any(|_| true), any(|index| index.low.is_some()));
    let place = |text: &'static str| with_places.then_some(text);
    let mut header = vec!["axis", "lowest"];
    header.extend(place("at"));
    header.push("highest");
    header.extend(place("at"));
    for name in ["first-order", "total"]
        .into_iter()
        .filter(|_| with_indices)
    {
        header.push(name);
        header.extend(with_spans.then_some("from-to"));
    }
    let mut table = table(&header);
    for axis in &effects.axes {
        let mut cells = vec![middle_cut(&brief(&axis.axis, &labels), 24)];
        for level in [&axis.lowest, &axis.highest] {
            cells.push(significant(Some(level.mean)));
            cells.extend(with_places.then(|| cut(&level.at, 18)));
        }
        for index in indices(axis).into_iter().filter(|_| with_indices) {
            let [value, span] = index_cells(index);
            cells.push(value);
            cells.extend(with_spans.then_some(span));
        }
        add(&mut table, &cells);
    }
    table
}

/// A text that is no longer than so many characters; what is cut is in the files.
fn cut(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most - 3).chain("...".chars()).collect(),
        false => text.to_owned(),
    }
}

/// The same with both ends kept: long names begin, or end, alike.
fn middle_cut(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let front = (most - 3) / 3;
    let back = most - 3 - front;
    let end: String = text.chars().skip(count - back).collect();
    format!("{}...{end}", text.chars().take(front).collect::<String>())
}

fn index_cells(index: Option<Index>) -> [String; 2] {
    // Nothing is not less than nothing.
    let number = |value: f64| match format!("{value:.3}") {
        text if text == "-0.000" => "0.000".to_owned(),
        text => text,
    };
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
            said.push(format!(
                "{what} at {points}, the first of them point {first}: {why}"
            ));
        }
    };
    let found = || outcome.found.iter().enumerate();
    let partial = found().filter_map(|(index, it)| Some((index, it.partial.as_ref()?)));
    say("runs were cut short", partial.collect());
    for (metric, row) in outcome.header.experiment.metrics.iter().enumerate() {
        let whole = found().filter(|(_, it)| it.partial.is_none());
        let doubts =
            whole.filter_map(|(index, it)| Some((index, it.metrics[metric].doubt.as_ref()?)));
        let what = match found().any(|(_, it)| it.metrics[metric].value.is_some()) {
            true => format!("{} is no evidence", row.name),
            false => format!("{} HAS NO VALUE", row.name),
        };
        say(&what, doubts.collect());
    }
    if !said.is_empty() {
        page.title("Doubts");
        for text in &said {
            page.item(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::middle_cut;

    #[test]
    fn long_names_that_begin_alike_stay_apart() {
        let cut = |end: &str| middle_cut(&format!("variants.a-long-name-of-many-parts.{end}"), 24);
        assert_eq!(cut("window_ms"), "variant...arts.window_ms");
        assert_ne!(cut("window_ms"), cut("max_batch"));
        assert_eq!(middle_cut("short", 24), "short");
        assert_eq!(middle_cut(&"x".repeat(25), 24).chars().count(), 24);
    }
}
