//! Two distributions drawn above one another, for the terminal.

use crate::report::number::significant;

use super::compare::Compared;

/// Columns of the drawing itself.
const WIDTH: usize = 72;
const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How the values of both samples are spread, on one axis from the least to the greatest: a
/// logarithmic one where they span more than a factor of 20. At most 100 columns wide.
pub fn draw(compared: &Compared) -> Vec<String> {
    let ends = |sorted: &[f64]| Some((*sorted.first()?, *sorted.last()?));
    let (Some(a), Some(b)) = (ends(&compared.observed), ends(&compared.simulated)) else {
        return Vec::new();
    };
    let (low, high) = (a.0.min(b.0), a.1.max(b.1));
    let positive = |sorted: &[f64]| sorted.iter().copied().find(|value| *value > 0.0);
    let least = match (positive(&compared.observed), positive(&compared.simulated)) {
        (Some(a), Some(b)) => a.min(b),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => high,
    };
    // Four decades at most: what is below them is drawn at the left edge.
    let axis = Axis::new(low, least.max(high / 1e4), high);
    let line = |name: &str, sorted: &[f64]| format!("  {name:<9} {}", axis.heights(sorted));
    vec![
        line("measured", &compared.observed),
        line("simulated", &compared.simulated),
        format!("  {:<9} {}", "ms", axis.marks()),
    ]
}

struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    fn new(low: f64, least_positive: f64, high: f64) -> Axis {
        let logarithmic = high > 20.0 * low.max(0.0) && high > least_positive * 20.0;
        Axis {
            low: if logarithmic { least_positive } else { low },
            high,
            logarithmic,
        }
    }

    /// The column of a value.
    fn column(&self, value: f64) -> usize {
        let (value, low, high) = match self.logarithmic {
            true => (value.max(self.low).ln(), self.low.ln(), self.high.ln()),
            false => (value, self.low, self.high),
        };
        let share = match high > low {
            true => (value - low) / (high - low),
            false => 0.5,
        };
        ((share.clamp(0.0, 1.0) * WIDTH as f64) as usize).min(WIDTH - 1)
    }

    /// The value at a share of the axis.
    fn value(&self, share: f64) -> f64 {
        match self.logarithmic {
            true => self.low * (self.high / self.low).powf(share),
            false => self.low + (self.high - self.low) * share,
        }
    }

    fn heights(&self, values: &[f64]) -> String {
        let mut counts = [0_usize; WIDTH];
        for value in values {
            counts[self.column(*value)] += 1;
        }
        let most = counts.iter().copied().max().unwrap_or(1).max(1);
        let drawn: String = counts
            .iter()
            .map(|count| HEIGHTS[(count * 8).div_ceil(most).min(8)])
            .collect();
        drawn.trim_end().to_owned()
    }

    fn marks(&self) -> String {
        let mut line = String::new();
        for quarter in 0..=4_u32 {
            let text = significant(Some(self.value(f64::from(quarter) / 4.0)));
            let at = WIDTH * quarter as usize / 4;
            // The first mark begins at its place, the others end there.
            let start = match quarter {
                0 => 0,
                _ => at.saturating_sub(text.chars().count()),
            };
            let used = line.chars().count();
            if start > used || quarter == 0 {
                line.push_str(&" ".repeat(start.saturating_sub(used)));
                line.push_str(&text);
            }
        }
        line
    }
}
