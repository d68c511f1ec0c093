//! The page of a sizing.

use super::page::{Page, WIDTH, Written, add, fitting, table};
use crate::experiment::size::outcome::{CaseOutcome, Design, SizeOutcome, Tried};
use crate::experiment::size::verdict::{Standing, Verdict};
use crate::report::number::{count, plural, significant, wrap};

/// Designs that are listed of a case.
const LISTED: usize = 24;

/// The page.
pub fn render(outcome: &SizeOutcome) -> String {
    let mut page = Page(String::new());
    let knobs: Vec<&str> = outcome.knobs.iter().map(|it| it.0.as_str()).collect();
    page.line(&wrap(
        &format!(
            "{}: the least {} that {} can make of what must be met",
            outcome.name,
            outcome.objective,
            knobs.join(", ")
        ),
        WIDTH,
        0,
    ));
    if !outcome.description.is_empty() {
        page.line(&wrap(&outcome.description, WIDTH, 0));
    }
    if outcome.cases.len() > 1 {
        side_by_side(&mut page, outcome);
    }
    for case in &outcome.cases {
        one(&mut page, outcome, case);
    }
    page.0
}

/// A value of the objective, money as such.
fn price(outcome: &SizeOutcome, value: Option<f64>) -> String {
    match period(outcome) {
        Some(period) => format!("{} {period}", dollars(value)),
        None => format!("{} {}", outcome.objective, significant(value)),
    }
}

/// What the objective is dollars of, if it is.
fn period(outcome: &SizeOutcome) -> Option<&'static str> {
    match outcome.objective.as_str() {
        "cost.usd_per_year" | "cost.total_usd_per_year" => Some("a year"),
        "cost.usd_per_hour" => Some("an hour"),
        _ => None,
    }
}

/// Dollars; from ten million on in millions.
fn dollars(value: Option<f64>) -> String {
    match value {
        Some(value) if value >= 1e7 => format!("${} million", significant(Some(value / 1e6))),
        other => format!("${}", significant(other)),
    }
}

fn knob(outcome: &SizeOutcome) -> &str {
    outcome.more_helps.as_deref().unwrap_or("")
}

fn side_by_side(page: &mut Page, outcome: &SizeOutcome) {
    page.title("Answers");
    let least = knob(outcome).to_owned();
    let parts = outcome.cases.iter().any(|case| case.parts > 1);
    let mut header = vec!["case"];
    header.extend((!least.is_empty()).then_some(least.as_str()));
    let all = format!("{least} in all");
    header.extend((!least.is_empty() && parts).then_some(all.as_str()));
    let objective = match (period(outcome), parts) {
        (Some(period), true) => format!("{period} in all"),
        (Some(period), false) => period.to_owned(),
        (None, true) => format!("{} in all", outcome.objective),
        (None, false) => outcome.objective.clone(),
    };
    header.extend([objective.as_str(), "binding", "margin"]);
    let mut table = table(&header);
    for case in &outcome.cases {
        let winner = case.winner.as_ref();
        let mut cells = vec![case.case.clone()];
        if !least.is_empty() {
            cells.push(whole(winner.and_then(|it| it.level)));
            cells.extend(parts.then(|| whole(winner.and_then(|it| it.level_in_all))));
        }
        let value = winner.and_then(|it| it.objective_in_all);
        cells.push(match winner {
            Some(_) if period(outcome).is_some() => dollars(value),
            Some(_) => significant(value),
            None => "none found".to_owned(),
        });
        let binding = case.binding.as_ref();
        cells.push(match (binding, &case.stopped_by) {
            (Some(it), _) => it.constraint.clone(),
            (None, Some(_)) => "the load".to_owned(),
            (None, None) => "-".to_owned(),
        });
        let margin = binding.and_then(|it| it.margin_pct);
        cells.push(margin.map_or("-".to_owned(), |it| format!("{} %", significant(Some(it)))));
        add(&mut table, &cells);
    }
    page.table(&table);
}

fn whole(value: Option<f64>) -> String {
    match value {
        Some(value) if value.fract() == 0.0 && value >= 0.0 => count(value as u64),
        other => significant(other),
    }
}

fn one(page: &mut Page, outcome: &SizeOutcome, case: &CaseOutcome) {
    match case.case.as_str() {
        "" => page.title("Answer"),
        name => page.title(&format!("Case {name}")),
    }
    let mut said = Vec::new();
    if !case.text.is_empty() {
        said.push(case.text.clone());
    }
    let sure = percent(case.confidence);
    match &case.winner {
        Some(winner) if winner.exact => said.push(format!(
            "{}. It meets all that must be met; nothing in its run is random.",
            in_words(outcome, case, winner)
        )),
        Some(winner) => said.push(format!(
            "{}. It is shown to meet all that must be met with {sure} % confidence, by {}.",
            in_words(outcome, case, winner),
            plural(u64::from(winner.replications), "replication")
        )),
        None => said.push(format!(
            "No answer: {}.",
            case.why_none.as_deref().unwrap_or("none was found")
        )),
    }
    if let Some(binding) = &case.binding {
        said.push(format!("Binding: {}.", standing(binding)));
    }
    let less = case.one_less.as_ref();
    said.extend(match (less, &case.stopped_by) {
        (Some(less), Some(why)) => Some(format!(
            "Binding: no constraint by itself; with {} {} {why}.",
            knob(outcome),
            whole(less.level)
        )),
        (less, _) => less.and_then(|less| why_not(outcome, less)),
    });
    match &case.runner_up {
        Some(runner) => said.push(format!("Runner-up: {}.", in_words(outcome, case, runner))),
        None if case.winner.is_some() => {
            said.push("Runner-up: no other design was shown to meet them.".to_owned());
        }
        None => {}
    }
    for asked in &case.theory {
        said.push(format!(
            "Closed forms ask for {} for {} ({}).",
            plural(asked.count, asked.unit.trim_end_matches('s')),
            asked.constraint,
            asked.basis
        ));
    }
    if case.left_out > 0 {
        let why = match case.cut_short {
            Some(_) => "",
            None => {
                ": a model of the objective, fitted to those that were, expects none of them to be \
                     half a percent better"
            }
        };
        said.push(format!(
            "{} of the other knobs were not looked at{why}.",
            plural(case.left_out as u64, "combination")
        ));
    }
    for text in said {
        page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
    }
    tried(page, outcome, case);
    if let Some(cut) = &case.cut_short {
        page.line(&format!(
            "  {}",
            wrap(&format!("CUT SHORT: {cut}"), WIDTH, 4)
        ));
    }
    for doubt in &case.doubts {
        page.line(&format!(
            "  {}",
            wrap(&format!("DOUBTFUL: {doubt}"), WIDTH, 4)
        ));
    }
}

/// What a design sets, and what it costs.
fn in_words(outcome: &SizeOutcome, case: &CaseOutcome, design: &Design) -> String {
    let mut set = Vec::new();
    for (name, paths) in &outcome.knobs {
        let values = paths.iter().filter_map(|path| design.settings.get(path));
        let values: Vec<String> = values.map(|it| it.to_string().replace('"', "")).collect();
        let in_all = match (name == knob(outcome) && case.parts > 1, design.level_in_all) {
            (true, Some(all)) => format!(" of {} parts ({} in all)", case.parts, whole(Some(all))),
            _ => String::new(),
        };
        set.push(format!("{name} {}{in_all}", values.join(", ")));
    }
    let price = match case.parts {
        1 => price(outcome, design.objective),
        _ => format!("{} in all", price(outcome, design.objective_in_all)),
    };
    format!("{}, {price}", set.join(", "))
}

fn standing(it: &Standing) -> String {
    let relation = it.relation.replace('_', " ");
    let bound = significant(Some(it.bound));
    let value = significant(it.value);
    let span = match (it.low, it.high) {
        (Some(low), Some(high)) if low < high => {
            format!(
                " ({} to {})",
                significant(Some(low)),
                significant(Some(high))
            )
        }
        _ => String::new(),
    };
    let margin = match (it.verdict, it.margin, it.margin_pct) {
        (Verdict::Met, Some(margin), Some(pct)) => {
            let of = if it.metric.starts_with("slo.") {
                "what may be missed"
            } else {
                "it"
            };
            format!(
                "; the margin is {}, {} % of {of}",
                significant(Some(margin)),
                significant(Some(pct))
            )
        }
        _ => String::new(),
    };
    format!(
        "{} must be {relation} {bound} and is {value}{span}{margin}",
        it.constraint
    )
}

/// Why less is not enough.
fn why_not(outcome: &SizeOutcome, less: &Design) -> Option<String> {
    let level = whole(less.level);
    let knob = knob(outcome);
    let rows = less.constraints.iter();
    let row = match less.verdict {
        Verdict::Met => return None,
        verdict => rows.clone().find(|it| it.verdict == verdict)?,
    };
    let bound = significant(Some(row.bound));
    Some(match (less.verdict, &row.doubt) {
        (Verdict::Missed, _) => format!(
            "{knob} {level} is not enough: {} is {} ({} to {}), beyond {bound}.",
            row.constraint,
            significant(row.value),
            significant(row.low),
            significant(row.high)
        ),
        (_, Some(doubt)) => format!("{knob} {level} is not shown to be enough: {doubt}."),
        (_, None) => format!(
            "{knob} {level} is not shown to be enough after {}: {} is {} to {}, across {bound}.",
            plural(u64::from(less.replications), "replication"),
            row.constraint,
            significant(row.low),
            significant(row.high)
        ),
    })
}

fn tried(page: &mut Page, outcome: &SizeOutcome, case: &CaseOutcome) {
    if case.tried.is_empty() {
        return;
    }
    let names = outcome.knobs.iter().map(|it| it.0.clone());
    let mut header: Vec<String> = names.collect();
    header.push("objective".to_owned());
    header.extend(case.constraints.iter().map(|it| it.name.clone()));
    header.extend(["replications".to_owned(), "constraints".to_owned()]);
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let draw = |written: Written| {
        let mut table = table(&header);
        for row in nearest(case) {
            let mut cells = Vec::new();
            for (_, paths) in &outcome.knobs {
                let values = paths.iter().filter_map(|path| row.settings.get(path));
                let values: Vec<String> =
                    values.map(|it| it.to_string().replace('"', "")).collect();
                cells.push(values.join(", "));
            }
            cells.push(written(row.objective));
            cells.extend(row.values.iter().map(|it| written(*it)));
            cells.push(row.replications.to_string());
            cells.push(row.verdict.words().to_owned());
            add(&mut table, &cells);
        }
        table
    };
    page.table(&fitting(&draw));
    let listed = case.tried.len().min(LISTED);
    let rest = match case.tried.len() - listed {
        0 => String::new(),
        more => format!("{} more in --json; ", plural(more as u64, "design")),
    };
    let beyond = match case.events.saturating_sub(case.budget_events) {
        0 => String::new(),
        more => format!(
            ", {} more than the budget, since what has begun is finished",
            count(more)
        ),
    };
    let text = format!(
        "{rest}{} events simulated{beyond}; each interval is of {} % confidence, so that all decisions together are \
         of {} %",
        count(case.events),
        percent(case.confidence_each),
        percent(case.confidence)
    );
    page.line(&format!("  {}", wrap(&text, WIDTH, 2)));
}

/// A share of nearly one in percent; less than all of it is never said to be 100.
fn percent(share: f64) -> String {
    let value = 100.0 * share;
    let text = significant(Some(value));
    if share >= 1.0 || !text.starts_with("100") {
        return text;
    }
    let exact = (3..12).map(|digits| format!("{value:.digits$}"));
    let mut below = exact.filter(|text| !text.starts_with("100"));
    below.next().unwrap_or_else(|| "nearly 100".to_owned())
}

/// The designs listed: those with the most replications, in their order.
fn nearest(case: &CaseOutcome) -> Vec<&Tried> {
    let mut order: Vec<usize> = (0..case.tried.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(case.tried[*index].replications));
    order.truncate(LISTED);
    order.sort_unstable();
    order.into_iter().map(|index| &case.tried[index]).collect()
}
