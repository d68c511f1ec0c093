//! Rules that decide how many replicas a fleet should have, and the forecasts that some of them
//! look at. All are plain state machines: the caller tells them the time and what was measured.
//!
//! - [`hpa`]: the Kubernetes horizontal pod autoscaler.
//! - [`keda`]: KEDA, which adds the step between none and one to it.
//! - [`target`]: target tracking with cooldowns, as cloud providers offer it.
//! - [`schedule`]: replicas by the hour of the day.
//! - [`forecast`]: forecasts of a series from its past, and how good they were.
//! - [`predictive`]: replicas for the highest demand that is forecast for the near future.
//! - [`metric`]: which measurements are believed.

pub mod forecast;
pub mod hpa;
pub mod keda;
pub mod metric;
pub mod predictive;
pub mod schedule;
pub mod target;
