//! A comparison as a page.

use super::{Comparison, How, Pair, Summary};
use crate::calibrate::gpu::operation::NumberType;
use crate::report::number::{WIDTH, significant, wrap};

/// The comparison as a page of lines of at most 100 characters.
#[must_use]
pub fn render(comparison: &Comparison) -> String {
    let mut page = Page::default();
    page.text(&format!("A: {}", comparison.a), 3);
    page.text(&format!("B: {}", comparison.b), 3);
    page.row("");
    if comparison.operations.is_empty() {
        page.row("No operation is on both sides with the same shape.");
    } else {
        page.row("Times of B over those of A, where both have the operation and the shape:");
        page.row(&cells(HEAD.map(str::to_owned)));
        for summary in &comparison.operations {
            page.row(&cells(summary_cells(summary)));
        }
        if comparison.operations.iter().any(|one| one.in_cache) {
            page.text(
                "* apart: pairs of which a side touched less than twice its second-level cache, and \
                 so read from it and not from memory",
                2,
            );
        }
        page.row("");
        page.row(match comparison.worst.is_empty() {
            true => "No pair differs by a thousandth.",
            false => "Farthest from 1:",
        });
        for pair in &comparison.worst {
            page.text(&pair_line(pair), 2);
        }
    }
    page.row("");
    page.row(&format!(
        "Operations without a pair, which the other side lacks or has in another shape: {} of A, {} of B.",
        comparison.only_a, comparison.only_b
    ));
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    /// A paragraph, broken where it is too long.
    fn text(&mut self, text: &str, indent: usize) {
        self.0.push_str(&wrap(text, WIDTH, indent));
        self.0.push('\n');
    }

    /// A line as it is.
    fn row(&mut self, row: &str) {
        self.0.push_str(row.trim_end());
        self.0.push('\n');
    }
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
        format!("{}{}", summary.operation, star(summary.in_cache)),
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
        "{}{} {}: {} us, {} us, ratio {}{how}",
        pair.operation.text(),
        star(pair.in_cache),
        name(pair.dtype),
        significant(Some(pair.a_us)),
        significant(Some(pair.b_us)),
        ratio(pair.ratio),
    )
}

fn star(in_cache: bool) -> &'static str {
    if in_cache { "*" } else { "" }
}

fn ratio(value: f64) -> String {
    format!("{value:.3}")
}

fn name(dtype: Option<NumberType>) -> &'static str {
    dtype.map_or("-", NumberType::name)
}
