//! Where the ticks of a logarithmic axis are, so that the numbers beside them do not overlap.

/// Leading digits of ticks in each power of ten, from the most ticks to the fewest.
const DIGITS: [&[f64]; 5] = [
    &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0],
    &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
    &[1.0, 2.0, 5.0],
    &[1.0, 3.0],
    &[1.0],
];
/// Steps of even ticks in each power of ten, where the axis is so short that all numbers begin alike.
const STEPS: [f64; 4] = [1.0, 2.0, 2.5, 5.0];

/// The ticks of a logarithmic axis from `low` to `high`, both above 0, on whose length `most`
/// numbers (6 or more) have room beside one another: as many as keep that distance. None where that
/// is no axis.
#[must_use]
pub fn log_ticks(low: f64, high: f64, most: u32) -> Vec<f64> {
    let within = low > 0.0 && low < high && high.is_finite();
    if !within {
        return Vec::new();
    }
    let least_gap = (high / low).ln() / f64::from(most.max(1));
    let apart = |ticks: &[f64]| {
        let gaps = ticks.windows(2).map(|pair| (pair[1] / pair[0]).ln());
        gaps.fold(f64::INFINITY, f64::min) >= least_gap
    };
    let powers = power(low)..=power(high);
    for digits in DIGITS {
        let of_power = |power: i32| digits.iter().map(move |digit| digit * 10_f64.powi(power));
        let ticks = powers.clone().flat_map(of_power);
        let ticks: Vec<f64> = ticks.filter(|at| (low..=high).contains(at)).collect();
        if apart(&ticks) {
            return match ticks.len() {
                0 | 1 => even(low, high, most),
                _ => ticks,
            };
        }
    }
    // More powers of ten than numbers have room: every second, third and so on.
    let ticks: Vec<f64> = powers.map(|power| 10_f64.powi(power)).collect();
    let each = ticks.len().div_ceil(most.max(1) as usize).max(1);
    let kept = ticks.into_iter().step_by(each);
    kept.filter(|at| (low..=high).contains(at)).collect()
}

/// The power of ten at or below a number.
fn power(value: f64) -> i32 {
    value.log10().floor() as i32
}

/// Ticks as far from one another as numbers.
fn even(low: f64, high: f64, most: u32) -> Vec<f64> {
    let wanted = (high - low) / f64::from(most.max(1));
    let unit = 10_f64.powi(power(wanted));
    let mut steps = STEPS.into_iter().map(|step| step * unit);
    let step = steps.find(|step| *step >= wanted).unwrap_or(unit * 10.0);
    let first = (low / step).ceil();
    (0..=most)
        .map(|at| (first + f64::from(at)) * step)
        .take_while(|at| *at <= high)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(
            log_ticks(28.0, 1_200.0, 9),
            [50.0, 100.0, 200.0, 500.0, 1_000.0]
        );
        assert_eq!(
            log_ticks(2.7, 34.0, 9),
            [3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0]
        );
        let apart = log_ticks(0.9, 1.1e9, 6);
        assert_eq!(apart.len(), 5, "{apart:?}");
        assert_eq!(log_ticks(101.0, 104.0, 5), [101.0, 102.0, 103.0, 104.0]);
        assert!(log_ticks(0.0, 1.0, 5).is_empty());
        assert!(log_ticks(2.0, 1.0, 5).is_empty());
    }

    proptest! {
        /// Wherever an axis lies: at least two ticks, as far from one another as numbers need.
        #[test]
        fn numbers_never_overlap(low in 1e-9_f64..1e9, span in 1.001_f64..1e12, most in 6_u32..12) {
            let high = low * span;
            let ticks = log_ticks(low, high, most);
            prop_assert!(ticks.len() >= 2, "{ticks:?}");
            prop_assert!(ticks.iter().all(|at| (low..=high).contains(at)), "{ticks:?}");
            let length = span.ln();
            for pair in ticks.windows(2) {
                let gap = (pair[1] / pair[0]).ln() / length;
                // Even ticks stand closer towards the end of an axis that is drawn by logarithms.
                prop_assert!(gap > 0.5 / f64::from(most), "{ticks:?}");
            }
        }
    }
}
