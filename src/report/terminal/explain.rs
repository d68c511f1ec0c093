//! The page of an explanation.

use comfy_table::Table;

use super::page::{Page, WIDTH, Written, add, fitting, table};
use super::part_name;
use crate::experiment::explain::{Explanation, InPool, Known, Share};
use crate::report::number::{count, percent, plural, significant, wrap};

/// Share of the figure below which a cause is not worth a sentence.
const TELLING: f64 = 1e-3;

/// The page.
pub fn render(it: &Explanation) -> String {
    let mut page = Page(String::new());
    page.line(&format!("{}: where {} comes from", it.scenario, it.metric));
    page.line("");
    for sentence in sentences(it) {
        page.line(&wrap(&sentence, WIDTH, 0));
    }
    shares(&mut page, it);
    remedies(&mut page, it);
    if let Some(first) = it.doubts.first() {
        page.title("Doubts");
        let runs = plural(it.doubts.len() as u64, "run");
        page.item(&format!("{first} ({runs} that show nothing)"));
    }
    if !it.left_out.is_empty() {
        page.title("Not looked at, since the scenario would not be valid");
        for (what, why) in &it.left_out {
            page.item(&format!("{what}: {why}"));
        }
    }
    page.0
}

fn with_span(known: &Known) -> String {
    match (known.low, known.high) {
        (Some(low), Some(high)) if low < high => format!(
            "{} ({} to {})",
            significant(Some(known.value)),
            significant(Some(low)),
            significant(Some(high))
        ),
        _ => significant(Some(known.value)),
    }
}

/// What the numbers say, in words.
fn sentences(it: &Explanation) -> Vec<String> {
    let mut said = vec![format!(
        "{} is {}, of {}.",
        it.metric,
        with_span(&it.figure),
        plural(it.replications as u64, "replication")
    )];
    let whole = it.figure.value;
    let of_whole = |value: f64| percent((whole != 0.0).then(|| value / whole));
    if !it.exact && it.replications < 2 {
        said.push(
            "One run of what is random cannot tell causes from luck: --replications 5 gives intervals."
                .to_owned(),
        );
    }
    // Only what is beyond doubt.
    let sure =
        |known: &Known| known.value > 0.0 && (it.exact || known.low.is_some_and(|low| low > 0.0));
    let causes: Vec<String> = it
        .parts
        .iter()
        .filter(|part| sure(&part.share) && part.share.value >= TELLING * whole.abs())
        .take(3)
        .map(|part| {
            let value = part.share.value;
            let there = match where_most(part, it.exact) {
                Some(pool) => format!(
                    ", in pool {} most ({} if it is ideal there alone)",
                    pool.pool,
                    significant(Some(pool.alone.value))
                ),
                None => String::new(),
            };
            format!(
                "{} ({}) is {}{there}",
                significant(Some(value)),
                of_whole(value),
                part.text
            )
        })
        .collect();
    match causes.is_empty() {
        true => said.push("No part of it is shown to be due to one of the parts below.".to_owned()),
        false => said.push(format!("Of that, {}.", causes.join("; "))),
    }
    let is_less = |part: &&Share| part.share.value <= -TELLING * whole.abs();
    let less = it.parts.iter().filter(is_less).map(|part| {
        let share = &part.share;
        let sure = it.exact || share.high.is_some_and(|high| high < 0.0);
        let doubt = if sure { "" } else { ", which luck may be" };
        let value = significant(Some(-share.value));
        format!("{value} less by {}{doubt}", part.text)
    });
    let less: Vec<String> = less.collect();
    if !less.is_empty() {
        said.push(format!("It is {}.", less.join(", and ")));
    }
    said.push(format!(
        "{} ({}) is left when all parts below are ideal.",
        significant(Some(it.left.value)),
        of_whole(it.left.value)
    ));
    if it.metric == "latency.e2e_ms.p99" && !it.budget.is_empty() {
        let sum: f64 = it.budget.iter().map(|(_, ms)| ms).sum();
        let spent = it.budget.iter().map(|(part, ms)| {
            format!(
                "{} {} ms ({})",
                part_name(part, it.all_abstract),
                significant(Some(*ms)),
                percent(Some(ms / sum))
            )
        });
        let spent: Vec<String> = spent.collect();
        said.push(format!(
            "The requests closest to the E2E p99 (0.2 % of all, 20 at least) take {} ms on the mean: {}.",
            significant(Some(sum)),
            spent.join(", ")
        ));
    }
    let helps = it.remedies.iter().filter(|tried| {
        tried.change.value < 0.0 && (it.exact || tried.change.high.is_some_and(|high| high < 0.0))
    });
    let helps: Vec<String> = helps
        .take(2)
        .map(|tried| {
            let cost = match tried.usd_per_year {
                Some(usd) if usd.abs() >= 1.0 => {
                    format!(", for ${} a year", significant(Some(usd)))
                }
                _ => String::new(),
            };
            format!(
                "{} would make it {}{cost}",
                tried.remedy.text,
                significant(Some(tried.value))
            )
        })
        .collect();
    if !helps.is_empty() {
        let mut text = helps.join("; ");
        if let Some(first) = text.get(..1).map(str::to_uppercase) {
            text.replace_range(..1, &first);
        }
        said.push(format!("{text}."));
    }
    said
}

/// The pool in which a part does most, where it does anything beyond doubt.
fn where_most(part: &Share, exact: bool) -> Option<&InPool> {
    let sure =
        |known: &Known| known.value < 0.0 && (exact || known.high.is_some_and(|it| it < 0.0));
    // A pool that does more by itself than all of them draws traffic away from others: it is not the cause.
    // One that does less than half of it is no place where it is most.
    let (least, most) = (0.5 * part.alone.value, 1.05 * part.alone.value);
    let within = |pool: &&InPool| (most..=least).contains(&pool.alone.value);
    let first = part.pools.first();
    first.filter(within).filter(|pool| sure(&pool.alone))
}

fn shares(page: &mut Page, it: &Explanation) {
    page.title("What it is made of");
    page.table(&fitting(&|written| table_of_shares(it, written)));
    let confidence = significant(Some(100.0 * it.confidence));
    let text = format!(
        "share: Shapley values from {} runs on the same random numbers, first among what could be built \
         otherwise, then, with all of that ideal, among capacity and traffic; alone: the change when only \
         that part is ideal; from-to: {confidence} % intervals, each for itself",
        count(it.counterfactuals as u64)
    );
    page.line(&format!("  {}", wrap(&text, WIDTH, 2)));
    for part in &it.parts {
        let name = serde_json::to_value(part.part).unwrap_or_default();
        let name = name.as_str().unwrap_or("").replace('_', " ");
        page.line(&format!("  {name}: {}", part.text));
        let pools = part.pools.iter();
        let pools = pools.map(|it| format!("{} {}", it.pool, with_span(&it.alone)));
        let pools: Vec<String> = pools.collect();
        if !pools.is_empty() {
            let text = format!("alone, in one pool only: {}", pools.join("; "));
            page.line(&format!("    {}", wrap(&text, WIDTH, 4)));
        }
    }
}

/// From where to where a number may be.
fn span(known: Option<&Known>, written: Written) -> String {
    match known.and_then(|it| it.low.zip(it.high)) {
        Some((low, high)) => format!("{} to {}", written(Some(low)), written(Some(high))),
        None => "-".to_owned(),
    }
}

fn table_of_shares(it: &Explanation, written: Written) -> Table {
    let spans = it.parts.iter().any(|part| part.share.low.is_some());
    let mut header = vec!["part", "share"];
    header.extend(spans.then_some("from-to"));
    header.extend(["%", "alone"]);
    header.extend(spans.then_some("from-to"));
    let mut table = table(&header);
    let whole = it.figure.value;
    let mut row = |name: String, known: &Known, alone: Option<&Known>| {
        let mut cells = vec![name, written(Some(known.value))];
        cells.extend(spans.then(|| span(Some(known), written)));
        cells.push(percent((whole != 0.0).then(|| known.value / whole)));
        cells.push(written(alone.map(|it| it.value)));
        cells.extend(spans.then(|| span(alone, written)));
        add(&mut table, &cells);
    };
    for part in &it.parts {
        let name = serde_json::to_value(part.part).unwrap_or_default();
        let name = name.as_str().unwrap_or("").replace('_', " ");
        row(name, &part.share, Some(&part.alone));
    }
    row("left".to_owned(), &it.left, None);
    table
}

fn remedies(page: &mut Page, it: &Explanation) {
    if it.remedies.is_empty() {
        return;
    }
    page.title("What would help");
    page.table(&fitting(&|written| table_of_remedies(it, written)));
}

fn table_of_remedies(it: &Explanation, written: Written) -> Table {
    let priced = it.remedies.iter().any(|tried| tried.usd_per_year.is_some());
    let mut header = vec!["change", "then", "difference", "from-to"];
    header.extend(priced.then_some("$ a year"));
    let mut table = table(&header);
    for tried in &it.remedies {
        let mut cells = vec![
            tried.remedy.text.clone(),
            written(Some(tried.value)),
            written(Some(tried.change.value)),
            span(Some(&tried.change), written),
        ];
        cells.extend(priced.then(|| written(tried.usd_per_year.map(f64::round))));
        add(&mut table, &cells);
    }
    table
}
