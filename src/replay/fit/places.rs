//! Places in the range of what is open.

use crate::measure::quantile_of_sorted;

/// A place moved within its bounds.
pub(super) fn moved(place: &[f64], by: &[f64]) -> Vec<f64> {
    let both = place.iter().zip(by);
    both.map(|(place, by)| (place + by).clamp(0.0, 1.0))
        .collect()
}

/// Bases of the dimensions.
pub(super) const PRIMES: [u32; 8] = [2, 3, 5, 7, 11, 13, 17, 19];

/// The radical inverse: evenly spread places between 0 and 1 (J. H. Halton, 1960).
pub(super) fn halton(mut number: u32, base: u32) -> f64 {
    let (mut place, mut share) = (0.0, 1.0);
    while number > 0 {
        share /= f64::from(base);
        place += share * f64::from(number % base);
        number /= base;
    }
    place
}

/// The middle one; 0 of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    quantile_of_sorted(&values, 0.5).unwrap_or(0.0)
}
