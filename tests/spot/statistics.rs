//! Limits for random checks. Seeds are fixed, so a check that passes once
//! passes always; the limits say how surprised one had to be by a failure.

use rand::SeedableRng;
use seatrial::engine::SimRng;
use seatrial::engine::SimTime;

/// Largest accepted distance, standard errors. All random checks together (at
/// most 60) fail by chance with probability below 0.001: two-sided normal tail
/// of 0.001 / 60 = 1.7e-5 (Bonferroni).
pub const Z_LIMIT: f64 = 4.31;

/// Largest accepted `sqrt(n) * D` of Kolmogorov and Smirnov at the same tail:
/// `sqrt(ln(2 / 1.7e-5) / 2)`.
pub const KS_LIMIT: f64 = 2.42;

/// Nanoseconds in an hour.
pub const HOUR_NS: u64 = 3_600_000_000_000;

pub fn hours(h: f64) -> SimTime {
    SimTime((h * HOUR_NS as f64).round() as u64)
}

pub fn in_hours(time: SimTime) -> f64 {
    time.0 as f64 / HOUR_NS as f64
}

pub fn seeded(seed: u64) -> SimRng {
    SimRng::seed_from_u64(seed)
}

pub fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

/// Central moment of a given order.
pub fn moment(samples: &[f64], order: i32) -> f64 {
    let centre = mean(samples);
    let powers: Vec<f64> = samples.iter().map(|x| (x - centre).powi(order)).collect();
    mean(&powers)
}

/// Distance of the sample mean from `expected`, in standard errors of a law
/// with the given standard deviation.
pub fn mean_z(samples: &[f64], expected: f64, deviation: f64) -> f64 {
    (mean(samples) - expected) / (deviation / (samples.len() as f64).sqrt())
}

/// Distance of the sample variance from `expected`, in standard errors taken
/// from the sample's fourth moment.
pub fn variance_z(samples: &[f64], expected: f64) -> f64 {
    let variance = moment(samples, 2);
    let error = ((moment(samples, 4) - variance * variance) / samples.len() as f64).sqrt();
    (variance - expected) / error
}

/// Distance of a share from a probability, in standard errors.
pub fn share_z(hits: usize, of: usize, probability: f64) -> f64 {
    let n = of as f64;
    (hits as f64 / n - probability) / (probability * (1.0 - probability) / n).sqrt()
}

#[track_caller]
pub fn assert_z(z: f64, what: &str) {
    assert!(z.abs() < Z_LIMIT, "{what}: z = {z}");
}
