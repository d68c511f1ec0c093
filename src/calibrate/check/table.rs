//! The errors of a calibration as a page.

use super::{Check, Errors};
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
            "{title:<52} {:>7} {:>8} {:>8} {:>8} {:>8}",
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

fn row(errors: &Errors) -> String {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
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
