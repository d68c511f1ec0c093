//! The page of a design card.

use comfy_table::Table;
use serde_json::Value;

use super::page::{Page, WIDTH, Written, add, fitting, table};
use super::{are_abstract, part_name};
use crate::experiment::review::criteria::Better;
use crate::experiment::review::{Card, Scored, ScoredDimension};
use crate::report::number::{bar, count, plural, significant, wrap};

/// Columns of a score's bar.
const SCORE_BAR: usize = 20;
/// The best score.
const BEST: f64 = 5.0;

/// The page.
pub fn render(card: &Card) -> String {
    let mut page = Page(String::new());
    page.line(&format!("{}: the design card", card.scenario));
    if !card.description.is_empty() {
        let description: Vec<&str> = card.description.split_whitespace().collect();
        page.line(&wrap(&description.join(" "), WIDTH, 0));
    }
    summary(&mut page, card);
    for dimension in &card.dimensions {
        details(&mut page, dimension);
    }
    page.line("");
    let note = "score: of the worse end of the interval; -: does not apply and does not count; cuts: what \
                2, 3, 4 and 5 take";
    page.line(&format!("  {}", wrap(note, WIDTH, 2)));
    fleet(&mut page, card);
    equation(&mut page, card);
    for (title, rows) in [
        ("Assumptions", &card.assumptions),
        ("Doubts", &card.warnings),
    ] {
        if !rows.is_empty() {
            page.title(title);
            rows.iter().for_each(|row| page.item(row));
        }
    }
    page.line("");
    let runs = format!(
        "{} of the scenario and its probes, on the same random numbers (seed {}); criteria: {}",
        plural(card.simulations, "simulation"),
        card.seed,
        card.criteria
    );
    page.line(&wrap(&runs, WIDTH, 0));
    page.0
}

fn summary(page: &mut Page, card: &Card) {
    page.title(&format!("Score {:.1} of 5", card.score));
    for dimension in &card.dimensions {
        let name = dimension.dimension.words();
        let line = match dimension.score {
            Some(score) => format!(
                "  {name:<12} {score:>3.1}  {}",
                bar(score / BEST, SCORE_BAR)
            ),
            None => format!("  {name:<12}   -  none of its criteria applies"),
        };
        page.line(&line);
    }
    let met = match (card.objectives_met, card.objectives_shown) {
        (Some(true), Some(true)) => "All objectives are met as written.",
        (Some(true), Some(false)) => {
            "By their figures all objectives are met as written, but that is NOT shown: an interval reaches \
             across a target. More replications, or longer runs, narrow it."
        }
        (Some(true), None) => "All objectives are met as written, in this one run.",
        (Some(false), _) => "An objective is NOT met as written, or not shown to be.",
        (None, _) => {
            "The scenario states no objective, so that nothing can be said to be met: add [slo]."
        }
    };
    page.line(&format!("  {}", wrap(met, WIDTH, 2)));
    if !card.first.is_empty() {
        let text = format!("Where most is lost: {}.", card.first.join(", "));
        page.line(&format!("  {}", wrap(&text, WIDTH, 2)));
    }
}

fn details(page: &mut Page, dimension: &ScoredDimension) {
    let name = dimension.dimension.words();
    let mut title = name.to_owned();
    if let Some(first) = title.get(..1).map(str::to_uppercase) {
        title.replace_range(..1, &first);
    }
    page.title(&match dimension.score {
        Some(score) => format!("{title}: {score:.1}"),
        None => title,
    });
    let mut rows = table(&["criterion", "score", "value", "from-to", "cuts"]);
    for it in &dimension.criteria {
        add(&mut rows, &cells(it));
    }
    page.table(&rows);
    for it in &dimension.criteria {
        let mut text = format!("{}: {}", it.id, it.text);
        if !it.why.is_empty() {
            text.push_str("; ");
            text.push_str(&it.why);
        }
        page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
    }
}

fn cells(it: &Scored) -> [String; 5] {
    let score = match (it.score, it.at_best) {
        (Some(score), Some(best)) if best > score => format!("{score} (to {best})"),
        (Some(score), _) => score.to_string(),
        (None, _) => "-".to_owned(),
    };
    let span = match (it.low, it.high) {
        (Some(low), Some(high)) if low < high => {
            format!("{} to {}", short(low), short(high))
        }
        _ => "-".to_owned(),
    };
    let sign = match it.better {
        Better::More => "≥",
        Better::Less => "≤",
    };
    let cuts = it.cuts.map(|cut| significant(Some(cut)));
    [
        it.id.clone(),
        score,
        it.value.map_or("-".to_owned(), short),
        span,
        format!("{sign} {}", cuts.join(" ")),
    ]
}

/// A figure; beyond what can be told apart, only that it is.
fn short(value: f64) -> String {
    match value {
        it if it >= 1e9 => "> 1e9".to_owned(),
        it => significant(Some(it)),
    }
}

fn fleet(page: &mut Page, card: &Card) {
    page.title("The fleet");
    page.table(&fitting(&|written| pools(card, written)));
    page.line("");
    card.diagram.lines().for_each(|line| page.line(line));
}

fn pools(card: &Card, written: Written) -> Table {
    let mut rows = table(&[
        "pool",
        "replicas",
        "accelerators",
        "requests/s",
        "in it on average",
    ]);
    for pool in &card.fleet {
        let number = |name: &str| pool.get(name).and_then(Value::as_f64);
        let whole = |name: &str| {
            let value = pool.get(name).and_then(Value::as_u64);
            value.map_or("-".to_owned(), count)
        };
        let name = pool.get("name").and_then(Value::as_str).unwrap_or_default();
        let cells = [
            name.to_owned(),
            whole("replicas"),
            whole("accelerators"),
            written(number("requests_per_s")),
            written(number("mean_in_system")),
        ];
        add(&mut rows, &cells);
    }
    rows
}

/// The latency budget as an equation with the numbers put in.
fn equation(page: &mut Page, card: &Card) {
    page.title("Latency budget, ms");
    for (name, column, whole) in [
        ("E2E mean", "mean_ms", card.e2e_ms[0]),
        ("E2E around p99", "at_p99_ms", card.e2e_ms[1]),
    ] {
        let parts = card.budget.iter().filter_map(|row| {
            let part = row.get("part")?.as_str()?;
            let ms = row.get(column)?.as_f64().filter(|ms| *ms > 0.0)?;
            let part = part_name(part, are_abstract(&card.fleet));
            Some(format!("{part} {}", significant(Some(ms))))
        });
        let parts: Vec<String> = parts.collect();
        let text = match parts.is_empty() {
            true => format!("{name}: not known of so few requests"),
            false => format!("{name} {} = {}", significant(whole), parts.join(" + ")),
        };
        page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
    }
}
