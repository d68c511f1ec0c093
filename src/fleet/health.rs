//! How a fleet judges its own health. Each is a state machine fed with results and instants; none
//! knows of events: where time alone moves one on, it says when.

pub mod active;
pub mod admission_control;
pub mod breaker;
mod calls;
pub mod outlier;
pub mod panic;
pub mod thresholds;
pub mod watch;

pub use active::{ActiveChecks, Checked, Health, Probe};
pub use admission_control::AdmissionControl;
pub use breaker::{Acquired, Breaker, State, Transition};
pub use outlier::{Cause, Change, HostResult, OutlierDetector};
pub use panic::{Level, PriorityLoad};
pub use thresholds::{Limits, Resource};
pub use watch::{Reason, Watch};
