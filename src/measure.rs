//! What a run is measured by: histograms, batch means, warm-up, latency budget, intervals.
//!
//! Every meter takes whole nanoseconds of simulated time, is bounded in memory however long the
//! run, and gives the same numbers for the same samples in the same order. Only [`CpuClock`]
//! and [`peak_rss_mb`] read the machine, and no result may depend on them.

mod batch;
mod buckets;
mod budget;
mod cpu;
mod histogram;
pub mod interval;
mod ks;
mod mser;
mod series;
mod sketch;
mod slo;

pub use batch::BatchMeans;
pub use budget::{BudgetRow, LatencyBudget, Part};
pub use cpu::{CpuClock, peak_rss_mb, reset_peak_rss};
pub use histogram::{LatencyHistogram, Summary};
pub use interval::{BATCH_MEANS, Interval, of_one};
pub use ks::{ks_distance, ks_distance_two, ks_limit, quantile_of_sorted};
pub use mser::{Mser5, Mser5Result};
pub use series::{TimeBin, TimeSeries, TimeWeighted};
pub use sketch::LatencySketch;
pub use slo::{SloMeter, SloRow, SloTargets};
