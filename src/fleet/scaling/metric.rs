//! Which measurements are believed, and how a number becomes a count of replicas.

/// The largest magnitude that is taken for a measurement, in the unit of the metric. Kubernetes
/// keeps a metric as a signed 64-bit count of thousandths, so that it ends at about 9.22e15.
pub const LARGEST_METRIC: f64 = 9.2e15;

/// How far above a whole number of replicas a quotient may lie and still count as that number,
/// relative. An assumption: far above what rounding does (about 1e-16 an operation) and far below
/// what any measurement resolves.
const ROUNDING: f64 = 1e-9;

/// A measurement that cannot be negative (a count, a rate, a share): `None`, for missing, where
/// it is NaN, infinite, negative or above [`LARGEST_METRIC`].
pub fn usable(value: f64) -> Option<f64> {
    (0.0..=LARGEST_METRIC).contains(&value).then_some(value)
}

/// A value of a series that may be negative: `None`, for missing, where it is NaN, infinite or
/// beyond [`LARGEST_METRIC`] either way.
pub fn usable_signed(value: f64) -> Option<f64> {
    (value.abs() <= LARGEST_METRIC).then_some(value)
}

/// A divisor (a target, a capacity): `None` unless above 0 and at most [`LARGEST_METRIC`].
pub fn usable_divisor(value: f64) -> Option<f64> {
    (value > 0.0 && value <= LARGEST_METRIC).then_some(value)
}

/// The whole number of replicas that `amount` takes, rounded up, 0 to `u32::MAX`.
///
/// `0.3 / 0.1` is a little above 3 in floating point, which must not cost a fourth replica.
pub fn replicas_for(amount: f64) -> u32 {
    // `as` saturates and maps NaN to zero.
    (amount * (1.0 - ROUNDING)).ceil() as u32
}

/// `replicas` within `min` and `max`; where those contradict each other `max` wins.
pub fn within(replicas: u32, min: u32, max: u32) -> u32 {
    replicas.max(min).min(max)
}
