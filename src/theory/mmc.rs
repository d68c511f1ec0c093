//! M/M/c, and M/M/1 as its case of one server.

use super::erlang::{erlang_c, servers_in_range};
use super::numeric::quantile_of_tail;
use super::{TheoryError, positive, quantile_level, stable};

/// The M/M/c queue: Poisson arrivals, exponential service, `c` like servers, one queue without bound,
/// first come first served.
///
/// Source of all its formulas: Gross, Shortle, Thompson & Harris, Fundamentals of Queueing Theory, 4th
/// ed., ch. 2. With C = C(c, lambda/mu) and theta = c mu - lambda, P(Wq > t) = C e^(-theta t).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mmc {
    lambda: f64,
    mu: f64,
    servers: u64,
    p_wait: f64,
}

impl Mmc {
    /// A queue with `lambda` arrivals per unit and `servers` servers of rate `mu` each.
    ///
    /// Both rates are above 0; `servers` is 1 to [`super::MAX_SERVERS`].
    ///
    /// # Errors
    /// An argument out of range, or [`TheoryError::Unstable`] when `lambda >= servers * mu`.
    pub fn new(lambda: f64, mu: f64, servers: u64) -> Result<Self, TheoryError> {
        positive("lambda", lambda)?;
        positive("mu", mu)?;
        servers_in_range(servers)?;
        stable("utilization", lambda / (servers as f64 * mu))?;
        let p_wait = erlang_c(servers, lambda / mu)?;
        Ok(Self {
            lambda,
            mu,
            servers,
            p_wait,
        })
    }

    /// Offered load in Erlangs: lambda / mu.
    #[must_use]
    pub fn offered_load(&self) -> f64 {
        self.lambda / self.mu
    }

    /// The share of the servers that is busy: lambda / (c mu), 0 to 1.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.lambda / (self.servers as f64 * self.mu)
    }

    /// The rate at which the wait's tail falls: c mu - lambda, per unit.
    #[must_use]
    pub fn spare_rate(&self) -> f64 {
        self.servers as f64 * self.mu - self.lambda
    }

    /// The probability that an arrival waits (Erlang C).
    #[must_use]
    pub fn p_wait(&self) -> f64 {
        self.p_wait
    }

    /// Mean wait before service, Wq = C / (c mu - lambda), in the caller's unit.
    #[must_use]
    pub fn mean_wait(&self) -> f64 {
        self.p_wait / self.spare_rate()
    }

    /// Mean time in the system, W = Wq + 1/mu, in the caller's unit.
    #[must_use]
    pub fn mean_sojourn(&self) -> f64 {
        self.mean_wait() + 1.0 / self.mu
    }

    /// Mean number waiting, Lq = lambda Wq (Little 1961).
    #[must_use]
    pub fn mean_queue(&self) -> f64 {
        self.lambda * self.mean_wait()
    }

    /// Mean number in the system, L = lambda W (Little 1961).
    #[must_use]
    pub fn mean_in_system(&self) -> f64 {
        self.mean_queue() + self.offered_load()
    }

    /// P(Wq > t), for any t; 1 below 0.
    #[must_use]
    pub fn wait_tail(&self, t: f64) -> f64 {
        if t < 0.0 {
            1.0
        } else {
            self.p_wait * (-self.spare_rate() * t).exp()
        }
    }

    /// P(Wq <= t).
    #[must_use]
    pub fn wait_cdf(&self, t: f64) -> f64 {
        1.0 - self.wait_tail(t)
    }

    /// The time that a share `level` of the arrivals does not wait longer than; 0 where that share does
    /// not wait at all.
    ///
    /// # Errors
    /// `level` outside 0 (included) to 1 (excluded).
    pub fn wait_quantile(&self, level: f64) -> Result<f64, TheoryError> {
        quantile_level("quantile level", level)?;
        Ok(((self.p_wait / (1.0 - level)).ln() / self.spare_rate()).max(0.0))
    }

    /// P(W > t), the tail of wait plus service, for any t; 1 below 0.
    ///
    /// e^(-mu t) + C mu (e^(-mu t) - e^(-theta t)) / (theta - mu), written so that theta = mu and its
    /// neighbourhood are no special case.
    #[must_use]
    pub fn sojourn_tail(&self, t: f64) -> f64 {
        if t < 0.0 {
            return 1.0;
        }
        let theta = self.spare_rate();
        let gap = (theta - self.mu).abs();
        let slower = theta.min(self.mu);
        // (e^(-slower t) - e^(-faster t)) / gap, whose limit at gap 0 is t e^(-slower t).
        let spread = if gap * t == 0.0 {
            t
        } else {
            -(-gap * t).exp_m1() / gap
        };
        let tail = (-self.mu * t).exp() + self.p_wait * self.mu * (-slower * t).exp() * spread;
        tail.clamp(0.0, 1.0)
    }

    /// P(W <= t).
    #[must_use]
    pub fn sojourn_cdf(&self, t: f64) -> f64 {
        1.0 - self.sojourn_tail(t)
    }

    /// The `level` quantile of wait plus service, in the caller's unit.
    ///
    /// # Errors
    /// `level` outside 0 (included) to 1 (excluded).
    pub fn sojourn_quantile(&self, level: f64) -> Result<f64, TheoryError> {
        quantile_level("quantile level", level)?;
        Ok(quantile_of_tail(level, self.mean_sojourn(), |t| {
            self.sojourn_tail(t)
        }))
    }

    /// The variance of the wait: C (2 - C) / (c mu - lambda)^2, in the unit squared.
    #[must_use]
    pub fn wait_variance(&self) -> f64 {
        self.p_wait * (2.0 - self.p_wait) / self.spare_rate().powi(2)
    }

    /// The variance of wait plus service, in the unit squared: the two are independent.
    #[must_use]
    pub fn sojourn_variance(&self) -> f64 {
        self.wait_variance() + 1.0 / self.mu.powi(2)
    }

    /// For one server, the asymptotic variance of the time average of the number in the system:
    /// 2 rho (1 + rho) / (mu (1 - rho)^4). Over a run of length T the average then has a variance of
    /// about this over T. `None` for more than one server.
    ///
    /// Source: Whitt 1989, Planning queueing simulations, Management Science 35:1341.
    #[must_use]
    pub fn asymptotic_variance_of_number(&self) -> Option<f64> {
        let rho = self.utilization();
        (self.servers == 1).then(|| {
            2.0 * rho * (1.0 + rho) / (self.mu * ((self.mu - self.lambda) / self.mu).powi(4))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_rates_are_no_special_case() {
        // c mu - lambda = mu: the tail is (1 + C mu t) e^(-mu t).
        let queue = Mmc::new(1.0, 1.0, 2).unwrap();
        let t = 1.7_f64;
        let exact = (1.0 + queue.p_wait() * t) * (-t).exp();
        assert!((queue.sojourn_tail(t) - exact).abs() < 1e-15);
        let near = Mmc::new(1.0 + 1e-12, 1.0, 2).unwrap();
        assert!((near.sojourn_tail(t) - exact).abs() < 1e-10);
    }

    #[test]
    fn large_and_extreme_queues_are_finite() {
        let queue = Mmc::new(99_900.0, 1.0, 100_000).unwrap();
        for value in [
            queue.mean_wait(),
            queue.mean_in_system(),
            queue.wait_quantile(0.999).unwrap(),
            queue.sojourn_quantile(0.999).unwrap(),
        ] {
            assert!(value.is_finite() && value >= 0.0);
        }
        assert!(queue.sojourn_tail(1e9) == 0.0);
        assert!(Mmc::new(2.0, 1.0, 2).is_err());
        assert!(queue.wait_quantile(1.0).is_err());
    }

    proptest! {
        #[test]
        fn one_server_is_mm1(rho in 0.01_f64..0.999, mu in 0.01_f64..100.0, level in 0.01_f64..0.9999) {
            let lambda = rho * mu;
            let queue = Mmc::new(lambda, mu, 1).unwrap();
            let w = 1.0 / (mu - lambda);
            prop_assert!((queue.mean_sojourn() / w - 1.0).abs() < 1e-9);
            let quantile = -(1.0 - level).ln() * w;
            prop_assert!((queue.sojourn_quantile(level).unwrap() / quantile - 1.0).abs() < 1e-8);
            prop_assert!((queue.sojourn_variance() / (w * w) - 1.0).abs() < 1e-9);
        }

        #[test]
        fn littles_law(servers in 1_u64..200, rho in 0.01_f64..0.99, mu in 0.1_f64..10.0) {
            let lambda = rho * mu * servers as f64;
            let queue = Mmc::new(lambda, mu, servers).unwrap();
            prop_assert!((queue.mean_in_system() - lambda * queue.mean_sojourn()).abs()
                < 1e-9 * queue.mean_in_system());
        }

        #[test]
        fn quantile_inverts_cdf(
            servers in 1_u64..100,
            rho in 0.05_f64..0.99,
            level in 0.01_f64..0.9999,
        ) {
            let queue = Mmc::new(rho * servers as f64, 1.0, servers).unwrap();
            let t = queue.sojourn_quantile(level).unwrap();
            prop_assert!((queue.sojourn_cdf(t) - level).abs() < 1e-10);
            let t = queue.wait_quantile(level).unwrap();
            if t > 0.0 {
                prop_assert!((queue.wait_cdf(t) - level).abs() < 1e-10);
            } else {
                prop_assert!(queue.wait_cdf(0.0) >= level);
            }
        }

        #[test]
        fn waits_grow_with_load(servers in 1_u64..100, rho in 0.05_f64..0.97) {
            let low = Mmc::new(rho * servers as f64, 1.0, servers).unwrap();
            let high = Mmc::new((rho + 0.02) * servers as f64, 1.0, servers).unwrap();
            prop_assert!(high.mean_wait() >= low.mean_wait());
            prop_assert!(high.sojourn_quantile(0.95).unwrap() >= low.sojourn_quantile(0.95).unwrap());
        }
    }
}
