//! How a fleet judges its own health: breakers, ejection, probes, priorities and limits.

mod active;
mod admission;
mod breaker;
mod limits;
mod outlier;
mod priorities;
mod watch;

pub use self::active::ActiveCheck;
pub use self::admission::AdmissionControl;
pub use self::breaker::{AfterWait, CircuitBreaker, SlidingWindow};
pub use self::limits::CircuitLimits;
pub use self::outlier::OutlierDetection;
pub use self::priorities::Priorities;
pub use self::watch::{BreakerScope, HealthRules, RequestLimit};

use super::problems::Problems;

/// A whole percentage, 0 to 100.
fn check_pct(path: &str, value: u32, problems: &mut Problems<'_>) {
    problems.int_in_range(path, u64::from(value), 0, 100);
}
