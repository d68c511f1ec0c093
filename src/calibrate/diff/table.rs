//! A comparison as a page.

use super::{Comparison, How, Pair, Summary};
use crate::calibrate::gpu::operation::NumberType;
use crate::report::number::{WIDTH, significant, wrap};

/// The comparison as a page of lines of at most 100 characters.
#[must_use]
pub fn render(comparison: &Comparison) -> String {
    let mut text = String::new();
    let mut line = |line: &str, indent: usize| {
        text.push_str(&wrap(line.trim_end(), WIDTH, indent));
        text.push('\n');
    };
    line(&format!("A: {}", comparison.a), 3);
    line(&format!("B: {}", comparison.b), 3);
    line("", 0);
    if comparison.operations.is_empty() {
        line("No operation is on both sides with the same shape.", 0);
    } else {
        line(
            "Times of B over those of A, where both have the operation and the shape:",
            0,
        );
        line(&cells(HEAD.map(str::to_owned)), 0);
        for summary in &comparison.operations {
            line(&cells(summary_cells(summary)), 0);
        }
        line("", 0);
        line("Farthest from 1:", 0);
        for pair in &comparison.worst {
            line(&pair_line(pair), 2);
        }
    }
    line("", 0);
    line(
        &format!(
            "Operations that only A lists: {}; that only B lists: {}.",
            comparison.only_a, comparison.only_b
        ),
        0,
    );
    text
}

const HEAD: [&str; 9] = [
    "operation",
    "",
    "pairs",
    "exact",
    "between",
    "beyond",
    "p10",
    "median",
    "p90",
];

fn cells(
    [
        operation,
        dtype,
        pairs,
        exact,
        between,
        beyond,
        p10,
        median,
        p90,
    ]: [String; 9],
) -> String {
    format!(
        "{operation:<18} {dtype:<8} {pairs:>7} {exact:>7} {between:>8} {beyond:>7} {p10:>9} \
         {median:>9} {p90:>9}"
    )
}

fn summary_cells(summary: &Summary) -> [String; 9] {
    [
        summary.operation.to_owned(),
        name(summary.dtype).to_owned(),
        summary.count.to_string(),
        summary.exact.to_string(),
        summary.interpolated.to_string(),
        summary.extrapolated.to_string(),
        ratio(summary.ratio_p10),
        ratio(summary.ratio_median),
        ratio(summary.ratio_p90),
    ]
}

fn pair_line(pair: &Pair) -> String {
    let how = match pair.how {
        How::Exact => "",
        How::Interpolated => ", read between shapes measured",
        How::Extrapolated => ", scaled from the nearest shape measured",
    };
    format!(
        "  {} {}: {} us, {} us, ratio {}{how}",
        pair.operation.text(),
        name(pair.dtype),
        significant(Some(pair.a_us)),
        significant(Some(pair.b_us)),
        ratio(pair.ratio),
    )
}

fn ratio(value: f64) -> String {
    format!("{value:.3}")
}

fn name(dtype: Option<NumberType>) -> &'static str {
    dtype.map_or("-", NumberType::name)
}
