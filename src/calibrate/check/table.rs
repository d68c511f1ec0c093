//! The errors of a calibration as a page.

use super::{Check, Errors, Whole};
use crate::report::number::{WIDTH, count, wrap};

/// The errors as a page of lines of at most 100 characters.
#[must_use]
pub fn render(check: &Check) -> String {
    let mut page = String::new();
    let mut line = |text: &str| {
        page.push_str(text.trim_end());
        page.push('\n');
    };
    line(&wrap(&check.source, WIDTH, 2));
    line(&format!("read by the peaks of the card {}", check.card));
    line("");
    line(&wrap(
        "Each measured time is left out in turn and read from the others, as a step reads it. Errors \
         are shares of what was measured.",
        WIDTH,
        0,
    ));
    if !check.operations.is_empty() {
        line("");
        line(&format!(
            "{:<53} {:>7} {:>8} {:>8}",
            "By operation, between other measurements of the shape", "median", "p90", "goal"
        ));
        for whole in &check.operations {
            line(&whole_row(whole));
        }
    }
    for whole in &check.operations {
        if let Some(said) = beyond(whole, &check.errors) {
            line(&wrap(&said, WIDTH, 2));
        }
    }
    if !check.tables_beyond.is_empty() {
        let each = check.tables_beyond.iter();
        let each: Vec<String> = each
            .map(|it| format!("{} of {} ({})", it.operation, it.tables, percent(it.median)))
            .collect();
        let said = format!(
            "Of single tables, beyond their goal by themselves: {}",
            each.join(", ")
        );
        line(&wrap(&said, WIDTH, 2));
    }
    for (way, title) in [
        ("between", "Between other measurements of the shape"),
        (
            "at_the_end",
            "Before the first of the shape, or after the last",
        ),
        (
            "whole_shape",
            "With all of its shape, n and k, between other shapes",
        ),
    ] {
        let rows = check.errors.iter().filter(|errors| errors.way == way);
        let rows: Vec<&Errors> = rows.collect();
        if rows.is_empty() {
            continue;
        }
        line("");
        line(&format!(
            "{title:<53} {:>7} {:>8} {:>8} {:>8} {:>8}",
            "median", "p90", "max", "bias", "alone"
        ));
        for errors in rows {
            line(&row(errors));
        }
    }
    line("");
    line(&wrap(
        "bias: the median error with its sign. alone: the median where only times of the same shape \
         are read, and not what its neighbours show at that point.",
        WIDTH,
        0,
    ));
    page
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn whole_row(whole: &Whole) -> String {
    let verdict = match whole.met {
        None => "",
        Some(true) => "  met",
        Some(false) => "  missed",
    };
    format!(
        "  {:<31} {:>10} times   {:>8} {:>8} {:>8}{verdict}",
        whole.operation,
        count(whole.count as u64),
        percent(whole.median),
        percent(whole.p90),
        whole
            .goal
            .map_or_else(|| "-".to_owned(), |goal| format!("{:.0} %", goal * 100.0)),
    )
}

/// The number types that miss the goal of their operation, with their medians, in words.
fn beyond(whole: &Whole, errors: &[Errors]) -> Option<String> {
    let own = errors.iter().filter(|errors| {
        let own = errors.operation == whole.operation && errors.way == "between";
        own && whole.beyond.contains(&errors.dtype)
    });
    let types = own.map(|errors| format!("{} ({})", errors.dtype, percent(errors.median)));
    let types = types.collect::<Vec<_>>().join(", ");
    (!types.is_empty()).then(|| {
        format!(
            "{} by itself is beyond the goal of {} in: {types}",
            whole.operation,
            percent(whole.goal.unwrap_or_default())
        )
    })
}

fn row(errors: &Errors) -> String {
    format!(
        "  {:<20} {:<10} {:>10} times   {:>8} {:>8} {:>8} {:>8} {:>8}",
        errors.operation,
        errors.dtype,
        count(errors.count as u64),
        percent(errors.median),
        percent(errors.p90),
        percent(errors.max),
        percent(errors.bias),
        errors.alone_median.map_or_else(|| "-".to_owned(), percent),
    )
}
