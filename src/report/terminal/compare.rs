//! The page of a comparison.

use super::page::{Page, WIDTH, Written, add, fitting, table};
use crate::experiment::compare::side::Side;
use crate::experiment::compare::{Basis, Compared, Comparison, Overall, Verdict};
use crate::report::number::{count, percent, plural, significant, wrap};

/// The page.
pub fn render(a: &Side, b: &Side, comparison: &Comparison) -> String {
    let mut page = Page(String::new());
    for (name, side) in [("A", a), ("B", b)] {
        let text = format!(
            "{name}: {} ({}, seed {}, {}, digest {})",
            side.label,
            side.scenario(),
            side.seed().unwrap_or(0),
            plural(side.replications.len() as u64, "replication"),
            side.digest()
        );
        page.line(&wrap(&text, WIDTH, 3));
    }
    let replications = [a, b].map(|side| side.replications.len());
    figures(&mut page, comparison);
    for it in comparison.figures.iter().filter(|it| it.doubt.is_some()) {
        let why = it.doubt.as_deref().unwrap_or("");
        page.item(&format!("{}: {why}", it.figure.name));
    }
    page.line(&format!(
        "  {}",
        wrap(&basis(comparison, replications), WIDTH, 2)
    ));
    page.title("Verdict");
    for line in verdict(comparison, replications) {
        page.line(&format!("  {}", wrap(&line, WIDTH, 2)));
    }
    page.0
}

fn figures(page: &mut Page, comparison: &Comparison) {
    page.title("B next to A");
    let spans = comparison.figures.iter().any(|it| it.low.is_some());
    let mut header = vec!["figure", "A", "B", "B - A"];
    header.extend(spans.then_some("from-to"));
    header.extend(["%", "B is"]);
    let draw = |written: Written| {
        let mut table = table(&header);
        for it in &comparison.figures {
            let mut cells = vec![it.figure.name.clone()];
            cells.extend([Some(it.a), Some(it.b), Some(it.difference)].map(written));
            if spans {
                cells.push(match (it.low, it.high) {
                    (Some(low), Some(high)) => {
                        format!("{} to {}", written(Some(low)), written(Some(high)))
                    }
                    _ => "-".to_owned(),
                });
            }
            cells.push(it.percent.map_or("-".to_owned(), change));
            cells.push(word(it.verdict).to_owned());
            add(&mut table, &cells);
        }
        table
    };
    page.table(&fitting(&draw));
}

/// A change in percent; of more than a thousandfold the digits say nothing.
fn change(percent: f64) -> String {
    match percent.abs() < 1e5 {
        true => format!("{percent:+.1}"),
        false => format!("{percent:+.1e}"),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::Differs => "different",
        Verdict::Same => "the same",
        Verdict::NotShown => "not shown",
        Verdict::NoEvidence => "no evidence",
    }
}

fn basis(comparison: &Comparison, [of_a, of_b]: [usize; 2]) -> String {
    let confidence = percent(Some(comparison.confidence));
    let pairs = count(comparison.pairs as u64);
    match comparison.basis {
        Basis::Exact => "exact: nothing in either is random".to_owned(),
        Basis::Paired => format!(
            "from-to: intervals over {pairs} pairs of replications on the same random numbers; all together \
             they hold with {confidence}"
        ),
        Basis::Independent => format!(
            "from-to: intervals over {pairs} pairs of replications, each on random numbers of its own (the \
             seeds differ); all together they hold with {confidence}"
        ),
        Basis::Single => {
            let asked = match of_a == of_b {
                true => 5,
                false => of_a.max(of_b),
            };
            format!(
                "differences have no intervals: both need as many replications, two or more \
                 (--replications {asked}; of folders, with the `run --out` that writes them)"
            )
        }
    }
}

/// A figure and by how much it differs, in words.
fn phrase(it: &Compared) -> String {
    let size = match it.percent {
        Some(percent) if percent.abs() < 0.1 => format!("{} %", significant(Some(percent.abs()))),
        Some(percent) => format!("{:.1} %", percent.abs()),
        None => significant(Some(it.difference.abs())),
    };
    let way = if it.difference < 0.0 { "less" } else { "more" };
    format!("{}: {size} {way}", it.figure.name)
}

fn verdict(comparison: &Comparison, [of_a, of_b]: [usize; 2]) -> Vec<String> {
    let of = |verdict: Verdict| {
        let found = comparison.figures.iter().filter(|it| it.verdict == verdict);
        found.map(phrase).collect::<Vec<String>>()
    };
    let (better, worse) = (of(Verdict::Better), of(Verdict::Worse));
    let differs = of(Verdict::Differs);
    let unlike = format!(
        "Nothing is shown: {of_a} and {of_b} replications make no pairs, and without pairs design cannot be \
         told from luck."
    );
    let first = match comparison.verdict {
        Overall::Better => "B is better, and nothing of it is shown to be worse.",
        Overall::Worse => "B is worse, and nothing of it is shown to be better.",
        Overall::Mixed => {
            "B is better in some and worse in others: which counts more is for you to say."
        }
        Overall::Differs => {
            "B is different, in what neither way is said to be better (`less:` or `more:` before a \
                             metric says one)."
        }
        Overall::Same => "Both are the same.",
        Overall::NotShown => match comparison.basis {
            Basis::Single if of_a != of_b => &unlike,
            Basis::Single => {
                "Nothing is shown: single runs of what is random cannot tell design from luck."
            }
            _ => "No difference is shown that luck could not explain.",
        },
    };
    let mut lines = vec![first.to_owned()];
    for (name, list) in [("better", better), ("worse", worse), ("different", differs)] {
        if !list.is_empty() {
            lines.push(format!("{name}: {}", list.join("; ")));
        }
    }
    let left = of(Verdict::NotShown).len() + of(Verdict::NoEvidence).len();
    if left > 0 && comparison.basis != Basis::Single {
        let named = comparison.figures.iter();
        let named =
            named.filter(|it| matches!(it.verdict, Verdict::NotShown | Verdict::NoEvidence));
        let (extremes, narrowed): (Vec<_>, Vec<_>) =
            named.partition(|it| it.figure.metric.is_of_extremes());
        for (rows, why) in [
            (narrowed, "more replications narrow what is open"),
            (
                extremes,
                "the most of a run has no interval: compare a quantile, such as p999",
            ),
        ] {
            let names: Vec<&str> = rows.iter().map(|it| it.figure.name.as_str()).collect();
            if !names.is_empty() {
                lines.push(format!("open: {} ({why})", names.join("; ")));
            }
        }
    }
    lines
}
