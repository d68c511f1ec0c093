//! Times launches on the device: warm-up, many launches between two events, the median of many.

use super::device::{Device, Event, Graph};
use super::error::GpuError;

/// Time that the launches between two events take at least, microseconds. Events tick every half
/// microsecond, and a replayed graph starts some microseconds after the one before.
const LEAST_SAMPLE_US: f64 = 800.0;
/// The most launches between two events for the sake of their time.
const MOST_FOR_TIME: u32 = 256;
/// The most launches between two events: nodes of a graph.
pub const MOST_LAUNCHES: u32 = 2_048;
/// The most samples.
const MOST_SAMPLES: u32 = 200;
/// A launch longer than this needs no second look before the samples, microseconds.
const LONG_US: f64 = 1_000.0;
/// The share by which the medians of the two halves of the samples may differ.
pub const MOST_DRIFT: f64 = 0.03;

/// How long to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Time that all samples together are to take, seconds.
    pub samples_s: f64,
    /// The fewest samples.
    pub least_samples: u32,
}

/// How an operation is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Whether launches are nodes of a captured graph, where they can be.
    pub graph: bool,
    /// The fewest launches in a sample: so many go through all that is to be touched.
    pub least_launches: u32,
}

/// Times of a launch.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// Time of a launch by sample, microseconds, in the order taken.
    pub samples_us: Vec<f64>,
    /// Launches in each sample.
    pub launches: u32,
    /// Whether they were nodes of a graph.
    pub graph: bool,
    /// Whether the halves differ, also when measured again.
    pub drifted: bool,
}

impl Timing {
    /// The time that a share of the samples is not above, microseconds (the nearest rank).
    #[must_use]
    pub fn quantile_us(&self, share: f64) -> f64 {
        quantile(&self.samples_us, share)
    }
}

/// The nearest-rank quantile of some values; NaN of none.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    let index = rank.clamp(1, sorted.len().max(1)) - 1;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// Whether the medians of the two halves differ by more than [`MOST_DRIFT`].
#[must_use]
pub fn drifts(samples: &[f64]) -> bool {
    let (first, second) = samples.split_at(samples.len() / 2);
    let [first, second] = [first, second].map(|half| quantile(half, 0.5));
    (first - second).abs() > MOST_DRIFT * first.min(second)
}

/// Times `launch`, which is given the number of the launch, so that it may go through buffers.
///
/// # Errors
/// A launch fails.
pub fn time(
    device: &Device,
    budget: Budget,
    way: Way,
    launch: &mut dyn FnMut(u64) -> Result<(), GpuError>,
) -> Result<Timing, GpuError> {
    let once_us = pilot(device, launch)?;
    let launches = (LEAST_SAMPLE_US / once_us).ceil();
    let launches = (launches as u32).clamp(1, MOST_FOR_TIME);
    let launches = launches.max(way.least_launches).min(MOST_LAUNCHES);
    let wanted = budget.samples_s * 1e6 / (once_us * f64::from(launches));
    let samples = (wanted as u32).clamp(budget.least_samples, MOST_SAMPLES);
    let mut next = 0;
    let mut ask = || {
        for _ in 0..launches {
            launch(next)?;
            next += 1;
        }
        Ok(())
    };
    let graph = if way.graph {
        Graph::record(device, &mut ask).ok()
    } else {
        None
    };
    let mut sample = || match &graph {
        Some(graph) => graph.launch(device),
        None => ask(),
    };
    let mut samples_us = take(device, samples, launches, &mut sample)?;
    let mut drifted = false;
    if drifts(&samples_us) {
        samples_us = take(device, samples, launches, &mut sample)?;
        drifted = drifts(&samples_us);
    }
    Ok(Timing {
        samples_us,
        launches,
        graph: graph.is_some(),
        drifted,
    })
}

/// Warms up, and finds about how long a launch takes, microseconds.
fn pilot(
    device: &Device,
    launch: &mut dyn FnMut(u64) -> Result<(), GpuError>,
) -> Result<f64, GpuError> {
    launch(0)?;
    device.wait()?;
    let mut once_us = 0.0;
    for launches in [1_u32, 4, 16] {
        let (begin, end) = (Event::new()?, Event::new()?);
        begin.record(device)?;
        for index in 0..launches {
            launch(u64::from(index))?;
        }
        end.record(device)?;
        end.wait()?;
        once_us = (end.us_since(&begin)? / f64::from(launches)).max(0.5);
        if once_us > LONG_US {
            break;
        }
    }
    Ok(once_us)
}

/// So many samples, after one that warms up. All are asked for before the first is waited for, so
/// that the device never waits for the host in between.
fn take(
    device: &Device,
    samples: u32,
    launches: u32,
    sample: &mut dyn FnMut() -> Result<(), GpuError>,
) -> Result<Vec<f64>, GpuError> {
    sample()?;
    let mut events = Vec::new();
    for _ in 0..samples {
        let (begin, end) = (Event::new()?, Event::new()?);
        begin.record(device)?;
        sample()?;
        end.record(device)?;
        events.push((begin, end));
    }
    device.wait()?;
    events
        .iter()
        .map(|(begin, end)| Ok(end.us_since(begin)? / f64::from(launches)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&values, 0.5), 2.0);
        assert_eq!(quantile(&values, 0.1), 1.0);
        assert_eq!(quantile(&values, 0.9), 4.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn a_drift_is_a_difference_of_halves() {
        assert!(!drifts(&[1.0, 1.01, 1.0, 1.02, 1.01, 1.0]));
        assert!(drifts(&[1.0, 1.0, 1.0, 1.05, 1.05, 1.05]));
        assert!(drifts(&[1.05, 1.05, 1.0, 1.0]));
    }
}
