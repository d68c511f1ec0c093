//! Batches: how fast a batching server can go, what a batching window costs, and bulk service.

use super::numeric::birth_death;
use super::{TheoryError, at_least_one, non_negative, positive, stable};

/// The time that a server takes for a batch of `batch` items: fixed + per_item * batch, in the caller's
/// unit.
///
/// `fixed` and `per_item` are 0 or more; `batch` is 1 or more.
///
/// # Errors
/// An argument out of range.
///
/// Source: the affine service model of Neuts 1967 and of Inoue 2021, Performance Evaluation 147.
pub fn batch_service_time(fixed: f64, per_item: f64, batch: u64) -> Result<f64, TheoryError> {
    non_negative("fixed time", fixed)?;
    non_negative("time per item", per_item)?;
    at_least_one("batch", batch)?;
    Ok(fixed + per_item * batch as f64)
}

/// The most items per unit that `servers` servers of this kind can do: each one always full at
/// `max_batch`, c b / (fixed + per_item b). Above it no window and no router keeps the queue bounded.
///
/// # Errors
/// As for [`batch_service_time`], or when a batch takes no time.
///
/// Source: a full batch every t(b); Bailey 1954 for the condition of stability.
pub fn batch_saturation_rate(
    servers: u64,
    fixed: f64,
    per_item: f64,
    max_batch: u64,
) -> Result<f64, TheoryError> {
    at_least_one("servers", servers)?;
    let time = positive(
        "time of a full batch",
        batch_service_time(fixed, per_item, max_batch)?,
    )?;
    Ok(servers as f64 * max_batch as f64 / time)
}

/// The most items that a window is evaluated for.
const MAX_WINDOW_ARRIVALS: f64 = 1e7;

/// A batching window: the first arrival starts a timer, and the batch closes when the timer runs out or
/// the batch is full, whichever is first. Arrivals are Poisson and a server is always free.
///
/// Source: a renewal argument. With N Poisson(lambda d), a batch holds 1 + E\[min(N, b - 1)\] items; the
/// time that its items spend waiting is in all the integral over the window of the number present,
/// sum over k = 1 ... b - 1 of k P(N >= k) / lambda.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchingWindow {
    mean_batch: f64,
    p_close_by_size: f64,
    mean_wait: f64,
    mean_open: f64,
}

impl BatchingWindow {
    /// A window of `window` units (0 or more) and at most `max_batch` items, with `lambda` arrivals per
    /// unit (above 0).
    ///
    /// # Errors
    /// An argument out of range, or more than 1e7 arrivals expected in a window.
    pub fn new(lambda: f64, window: f64, max_batch: u64) -> Result<Self, TheoryError> {
        positive("lambda", lambda)?;
        non_negative("window", window)?;
        at_least_one("maximum batch", max_batch)?;
        let mean = lambda * window;
        if mean > MAX_WINDOW_ARRIVALS {
            return Err(TheoryError::TooLarge {
                name: "arrivals in a window",
                value: mean,
                allowed: "10000000 or fewer",
            });
        }
        let last = (mean + 40.0 * mean.sqrt() + 100.0) as u64;
        let poisson = birth_death(last, |_| mean, |n| n as f64);
        let room = max_batch - 1;
        // k P(N >= k) summed over k = 1 ... room is E[m (m + 1) / 2] with m = min(N, room).
        let waits = poisson.mean(|n| {
            let m = n.min(room) as f64;
            m * (m + 1.0) / 2.0
        }) / lambda;
        let extra = poisson.mean(|n| n.min(room) as f64);
        Ok(Self {
            mean_batch: 1.0 + extra,
            p_close_by_size: poisson.mean(|n| f64::from(u8::from(n >= room))),
            mean_wait: waits / (1.0 + extra),
            mean_open: extra / lambda,
        })
    }

    /// Mean items in a batch, 1 to the maximum.
    #[must_use]
    pub fn mean_batch(&self) -> f64 {
        self.mean_batch
    }

    /// The probability that a batch closes because it is full.
    #[must_use]
    pub fn p_close_by_size(&self) -> f64 {
        self.p_close_by_size
    }

    /// Mean wait that the window adds to an item, in the caller's unit.
    #[must_use]
    pub fn mean_wait(&self) -> f64 {
        self.mean_wait
    }

    /// Mean time that a window stays open, E\[min(N, b - 1)\] / lambda, in the caller's unit.
    #[must_use]
    pub fn mean_open(&self) -> f64 {
        self.mean_open
    }
}

/// The M/M\[1,b\]/1 bulk queue: a server that falls free takes all who wait, at most `max_batch`, and
/// serves them together for one exponential time; an idle server starts with one.
///
/// The number waiting while the server is busy is geometric with ratio r, the root in (0, 1) of
/// mu r^(b+1) - (lambda + mu) r + lambda = 0. Source: Bailey 1954; Gross et al., 4th ed., ch. 3
/// (partial-batch model).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BulkService {
    lambda: f64,
    mu: f64,
    ratio: f64,
    p_busy: f64,
}

impl BulkService {
    /// A queue with `lambda` arrivals per unit and `mu` batches per unit, both above 0, and at most
    /// `max_batch` in a batch.
    ///
    /// # Errors
    /// An argument out of range, or [`TheoryError::Unstable`] when `lambda >= mu * max_batch`.
    pub fn new(lambda: f64, mu: f64, max_batch: u64) -> Result<Self, TheoryError> {
        positive("lambda", lambda)?;
        positive("mu", mu)?;
        at_least_one("maximum batch", max_batch)?;
        stable("utilization", lambda / (mu * max_batch as f64))?;
        // Divided by (1 - r): lambda = mu (r + r^2 + ... + r^b), which rises in r.
        let b = max_batch as f64;
        let powers = |r: f64| {
            let log = r.ln();
            r * (-(b * log).exp_m1()) / (-log.exp_m1())
        };
        let (mut low, mut high) = (0.0_f64, 1.0_f64);
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                break;
            }
            if mu * powers(middle) < lambda {
                low = middle;
            } else {
                high = middle;
            }
        }
        let ratio = low;
        let busy_weight = 1.0 / (1.0 - ratio);
        Ok(Self {
            lambda,
            mu,
            ratio,
            p_busy: busy_weight / (busy_weight + mu / lambda),
        })
    }

    /// The geometric ratio r of the number waiting.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.ratio
    }

    /// The probability that the server is busy.
    #[must_use]
    pub fn p_busy(&self) -> f64 {
        self.p_busy
    }

    /// Mean number waiting, Lq = P(busy) r / (1 - r).
    #[must_use]
    pub fn mean_queue(&self) -> f64 {
        self.p_busy * self.ratio / (1.0 - self.ratio)
    }

    /// Mean wait before service, Lq / lambda, in the caller's unit.
    #[must_use]
    pub fn mean_wait(&self) -> f64 {
        self.mean_queue() / self.lambda
    }

    /// Mean time in the system, Wq + 1/mu, in the caller's unit.
    #[must_use]
    pub fn mean_sojourn(&self) -> f64 {
        self.mean_wait() + 1.0 / self.mu
    }

    /// Mean customers in a batch: lambda / (mu P(busy)).
    #[must_use]
    pub fn mean_batch(&self) -> f64 {
        self.lambda / (self.mu * self.p_busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::Mmc;
    use proptest::prelude::*;

    #[test]
    fn saturation() {
        // 10 + 2 x 8 = 26 ms for 8: 307.7 a second and server.
        let rate = batch_saturation_rate(2, 0.010, 0.002, 8).unwrap();
        assert!((rate - 2.0 * 8.0 / 0.026).abs() < 1e-9);
        assert!(batch_saturation_rate(1, 0.0, 0.0, 8).is_err());
    }

    #[test]
    fn windows_at_their_limits() {
        let alone = BatchingWindow::new(100.0, 0.002, 1).unwrap();
        assert_eq!((alone.mean_batch(), alone.mean_wait()), (1.0, 0.0));
        let none = BatchingWindow::new(100.0, 0.0, 8).unwrap();
        assert_eq!((none.mean_batch(), none.mean_wait()), (1.0, 0.0));
        // Room without end: the first waits d, the others d/2 on average.
        let (m, d) = (3.0, 0.01);
        let wide = BatchingWindow::new(m / d, d, 10_000).unwrap();
        assert!((wide.mean_batch() - (1.0 + m)).abs() < 1e-12);
        assert!((wide.mean_wait() - d * (1.0 + m / 2.0) / (1.0 + m)).abs() < 1e-14);
        assert!(BatchingWindow::new(1e6, 1.0, 32).unwrap().p_close_by_size() > 1.0 - 1e-12);
    }

    proptest! {
        #[test]
        fn batches_of_one_are_mm1(rho in 0.01_f64..0.98) {
            let bulk = BulkService::new(rho, 1.0, 1).unwrap();
            let exact = Mmc::new(rho, 1.0, 1).unwrap();
            prop_assert!((bulk.mean_wait() / exact.mean_wait() - 1.0).abs() < 1e-8);
            prop_assert!((bulk.p_busy() - rho).abs() < 1e-9);
        }

        #[test]
        fn waits_grow_with_load(b in 1_u64..64, rho in 0.05_f64..0.95) {
            let low = BulkService::new(rho * b as f64, 1.0, b).unwrap();
            let high = BulkService::new((rho + 0.02) * b as f64, 1.0, b).unwrap();
            prop_assert!(high.mean_wait() >= low.mean_wait());
            prop_assert!(low.mean_batch() <= b as f64 + 1e-9);
        }
    }
}
