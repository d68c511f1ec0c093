//! One server with any service law: Pollaczek-Khinchine, and the hyperexponential case in full.

use super::numeric::quantile_of_tail;
use super::{TheoryError, at_least_one, non_negative, open_unit, positive, quantile_level, stable};

/// The M/G/1 queue, first come first served, by the first two moments of its service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mg1 {
    lambda: f64,
    mean: f64,
    scv: f64,
}

impl Mg1 {
    /// A queue with `lambda` arrivals per unit (above 0), a `mean` service time (above 0) and a squared
    /// coefficient of variation of service `scv` (0 or more; 0 is constant, 1 exponential).
    ///
    /// # Errors
    /// An argument out of range, or [`TheoryError::Unstable`] when `lambda * mean >= 1`.
    pub fn new(lambda: f64, mean: f64, scv: f64) -> Result<Self, TheoryError> {
        positive("lambda", lambda)?;
        positive("mean service time", mean)?;
        non_negative("service scv", scv)?;
        stable("utilization", lambda * mean)?;
        Ok(Self { lambda, mean, scv })
    }

    /// The share of time that the server is busy: lambda E\[S\].
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.lambda * self.mean
    }

    /// E\[S^2\] = E\[S\]^2 (1 + scv), in the unit squared.
    #[must_use]
    pub fn service_second_moment(&self) -> f64 {
        self.mean * self.mean * (1.0 + self.scv)
    }

    /// Mean wait, Wq = lambda E\[S^2\] / (2 (1 - rho)), in the caller's unit.
    ///
    /// Source: Pollaczek 1930, Khinchin 1932; Gross et al., 4th ed., ch. 5.
    #[must_use]
    pub fn mean_wait(&self) -> f64 {
        self.lambda * self.service_second_moment() / (2.0 * (1.0 - self.utilization()))
    }

    /// Mean time in the system, Wq + E\[S\], in the caller's unit.
    #[must_use]
    pub fn mean_sojourn(&self) -> f64 {
        self.mean_wait() + self.mean
    }

    /// E\[Wq^2\] = 2 Wq^2 + lambda E\[S^3\] / (3 (1 - rho)), in the unit squared, given the third moment of
    /// service (unit cubed, at least the cube of the mean).
    ///
    /// # Errors
    /// A third moment out of range.
    ///
    /// Source: Takacs 1962; Gross et al., 4th ed., ch. 5.
    pub fn wait_second_moment(&self, third_moment: f64) -> Result<f64, TheoryError> {
        positive("third moment of service", third_moment)?;
        // One part in 1e9 is left for a moment that was itself computed.
        if third_moment < self.mean.powi(3) * (1.0 - 1e-9) {
            return Err(TheoryError::OutOfRange {
                name: "third moment of service",
                value: third_moment,
                allowed: "at least the cube of the mean",
            });
        }
        Ok(2.0 * self.mean_wait().powi(2)
            + self.lambda * third_moment / (3.0 * (1.0 - self.utilization())))
    }

    /// The variance of the wait, E\[Wq^2\] - Wq^2, in the unit squared.
    ///
    /// # Errors
    /// As for [`Mg1::wait_second_moment`].
    pub fn wait_variance(&self, third_moment: f64) -> Result<f64, TheoryError> {
        Ok(self.wait_second_moment(third_moment)? - self.mean_wait().powi(2))
    }
}

/// Mean wait in M/G/1: [`Mg1::mean_wait`] in one call.
///
/// # Errors
/// As for [`Mg1::new`].
pub fn mg1_wait(lambda: f64, mean: f64, scv: f64) -> Result<f64, TheoryError> {
    Ok(Mg1::new(lambda, mean, scv)?.mean_wait())
}

/// Second moment of the wait in M/G/1: [`Mg1::wait_second_moment`] in one call.
///
/// # Errors
/// As for [`Mg1::new`] and [`Mg1::wait_second_moment`].
pub fn mg1_wait_second_moment(
    lambda: f64,
    mean: f64,
    scv: f64,
    third_moment: f64,
) -> Result<f64, TheoryError> {
    Mg1::new(lambda, mean, scv)?.wait_second_moment(third_moment)
}

/// Mean wait in M/G/1 whose server takes vacations whenever it finds nobody waiting, one after another:
/// the M/G/1 wait plus E\[V^2\] / (2 E\[V\]).
///
/// `vacation_mean` (above 0) is in the caller's unit and `vacation_scv` is 0 or more; the rest is as for
/// [`Mg1::new`].
///
/// # Errors
/// An argument out of range, or a load of 1 or more.
///
/// Source: Fuhrmann & Cooper 1985; Doshi 1986, Queueing Systems 1:29.
pub fn mg1_vacation_wait(
    lambda: f64,
    mean: f64,
    scv: f64,
    vacation_mean: f64,
    vacation_scv: f64,
) -> Result<f64, TheoryError> {
    positive("mean vacation", vacation_mean)?;
    non_negative("vacation scv", vacation_scv)?;
    Ok(mg1_wait(lambda, mean, scv)? + vacation_mean * (1.0 + vacation_scv) / 2.0)
}

/// Mean number in the system of M\[k\]/M/1: groups of exactly `group` customers arrive at `lambda` groups
/// per unit to one server of rate `mu`. L = rho (1 + k) / (2 (1 - rho)), rho = lambda k / mu.
///
/// # Errors
/// An argument that is not above 0, or a load of 1 or more.
///
/// Source: Gross et al., 4th ed., ch. 3.
pub fn batch_arrivals_mean_in_system(lambda: f64, mu: f64, group: u64) -> Result<f64, TheoryError> {
    positive("lambda", lambda)?;
    positive("mu", mu)?;
    at_least_one("group size", group)?;
    let k = group as f64;
    let rho = stable("utilization", lambda * k / mu)?;
    Ok(rho * (1.0 + k) / (2.0 * (1.0 - rho)))
}

/// The M/H2/1 queue: service is exponential of rate `mu1` with probability `p`, else of rate `mu2`.
///
/// The Pollaczek-Khinchine transform then has two poles, -r1 and -r2, so that P(Wq > t) and P(W > t) are
/// sums of two exponentials. Source: Gross et al., 4th ed., ch. 5 (transform), inverted by partial
/// fractions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mh21 {
    moments: Mg1,
    rates: [f64; 2],
    wait: [f64; 2],
    sojourn: [f64; 2],
}

impl Mh21 {
    /// A queue with `lambda` arrivals per unit and service rates `mu1` (probability `p`) and `mu2`.
    ///
    /// All rates are above 0; `p` is strictly between 0 and 1.
    ///
    /// # Errors
    /// An argument out of range, or [`TheoryError::Unstable`] at a load of 1 or more.
    pub fn new(lambda: f64, p: f64, mu1: f64, mu2: f64) -> Result<Self, TheoryError> {
        positive("lambda", lambda)?;
        open_unit("p", p)?;
        positive("mu1", mu1)?;
        positive("mu2", mu2)?;
        let q = 1.0 - p;
        let mean = p / mu1 + q / mu2;
        let second = 2.0 * (p / (mu1 * mu1) + q / (mu2 * mu2));
        let moments = Mg1::new(lambda, mean, (second / (mean * mean) - 1.0).max(0.0))?;
        let rho = moments.utilization();
        // s^2 + b s + c, whose zeros are -r1 and -r2.
        let b = mu1 + mu2 - lambda;
        let c = mu1 * mu2 * (1.0 - rho);
        let root = (b * b - 4.0 * c).max(0.0).sqrt();
        let fast = (b + root) / 2.0;
        let slow = c / fast;
        let rates = [slow, fast];
        let weight = |residue: &dyn Fn(f64) -> f64| {
            [
                (1.0 - rho) * residue(slow) / ((fast - slow) * slow),
                (1.0 - rho) * residue(fast) / ((slow - fast) * fast),
            ]
        };
        Ok(Self {
            moments,
            rates,
            wait: weight(&|r| (mu1 - r) * (mu2 - r)),
            sojourn: weight(&|r| p * mu1 * (mu2 - r) + q * mu2 * (mu1 - r)),
        })
    }

    /// A queue whose service has the given `mean` (above 0) and `scv` (above 1), with balanced means:
    /// p / mu1 = (1 - p) / mu2, p = (1 + sqrt((scv - 1) / (scv + 1))) / 2.
    ///
    /// # Errors
    /// An argument out of range, or [`TheoryError::Unstable`] at a load of 1 or more.
    ///
    /// Source: Tijms, A First Course in Stochastic Models, app. B.
    pub fn balanced(lambda: f64, mean: f64, scv: f64) -> Result<Self, TheoryError> {
        positive("mean service time", mean)?;
        if !(scv.is_finite() && scv > 1.0) {
            return Err(TheoryError::OutOfRange {
                name: "service scv",
                value: scv,
                allowed: "finite and above 1",
            });
        }
        let p = 0.5 * (1.0 + ((scv - 1.0) / (scv + 1.0)).sqrt());
        Self::new(lambda, p, 2.0 * p / mean, 2.0 * (1.0 - p) / mean)
    }

    /// The share of time that the server is busy.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.moments.utilization()
    }

    /// Mean wait, in the caller's unit.
    #[must_use]
    pub fn mean_wait(&self) -> f64 {
        self.moments.mean_wait()
    }

    /// Mean time in the system, in the caller's unit.
    #[must_use]
    pub fn mean_sojourn(&self) -> f64 {
        self.moments.mean_sojourn()
    }

    fn tail(&self, weights: [f64; 2], t: f64) -> f64 {
        if t < 0.0 {
            return 1.0;
        }
        let sum = weights[0] * (-self.rates[0] * t).exp() + weights[1] * (-self.rates[1] * t).exp();
        sum.clamp(0.0, 1.0)
    }

    /// P(Wq <= t).
    #[must_use]
    pub fn wait_cdf(&self, t: f64) -> f64 {
        1.0 - self.tail(self.wait, t)
    }

    /// P(W <= t), wait plus service.
    #[must_use]
    pub fn sojourn_cdf(&self, t: f64) -> f64 {
        1.0 - self.tail(self.sojourn, t)
    }

    /// The `level` quantile of the wait, in the caller's unit.
    ///
    /// # Errors
    /// `level` outside 0 (included) to 1 (excluded).
    pub fn wait_quantile(&self, level: f64) -> Result<f64, TheoryError> {
        quantile_level("quantile level", level)?;
        Ok(quantile_of_tail(level, self.mean_sojourn(), |t| {
            self.tail(self.wait, t)
        }))
    }

    /// The `level` quantile of wait plus service, in the caller's unit.
    ///
    /// # Errors
    /// `level` outside 0 (included) to 1 (excluded).
    pub fn sojourn_quantile(&self, level: f64) -> Result<f64, TheoryError> {
        quantile_level("quantile level", level)?;
        Ok(quantile_of_tail(level, self.mean_sojourn(), |t| {
            self.tail(self.sojourn, t)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_mean_is_the_integral_of_the_tail() {
        let queue = Mh21::balanced(0.8, 1.0, 4.0).unwrap();
        let wait: f64 = queue.wait.iter().zip(queue.rates).map(|(w, r)| w / r).sum();
        let sojourn: f64 = queue
            .sojourn
            .iter()
            .zip(queue.rates)
            .map(|(w, r)| w / r)
            .sum();
        assert!((wait - queue.mean_wait()).abs() < 1e-10);
        assert!((sojourn - queue.mean_sojourn()).abs() < 1e-10);
        assert!((queue.wait_cdf(0.0) - 0.2).abs() < 1e-12);
        assert!(queue.sojourn_cdf(0.0).abs() < 1e-12);
    }

    #[test]
    fn equal_rates_are_mm1() {
        let queue = Mh21::new(0.7, 0.4, 1.0, 1.0).unwrap();
        assert!((queue.wait_cdf(2.0) - (1.0 - 0.7 * (-0.6_f64).exp())).abs() < 1e-12);
    }

    #[test]
    fn impossible_moments_are_refused() {
        assert!(Mg1::new(0.5, 1.0, -0.1).is_err());
        assert!(
            Mg1::new(0.5, 1.0, 0.0)
                .unwrap()
                .wait_second_moment(0.5)
                .is_err()
        );
        assert!(Mh21::balanced(0.5, 1.0, 1.0).is_err());
        assert!(batch_arrivals_mean_in_system(0.2, 1.0, 5).is_err());
    }

    proptest! {
        #[test]
        fn quantile_inverts_cdf(rho in 0.05_f64..0.98, scv in 1.1_f64..50.0, level in 0.01_f64..0.999) {
            let queue = Mh21::balanced(rho / 3.0, 3.0, scv).unwrap();
            let t = queue.sojourn_quantile(level).unwrap();
            prop_assert!((queue.sojourn_cdf(t) - level).abs() < 1e-9);
            prop_assert!((queue.mean_wait() / mg1_wait(rho / 3.0, 3.0, scv).unwrap() - 1.0).abs() < 1e-9);
        }

        #[test]
        fn exponential_service_is_mm1(rho in 0.01_f64..0.99) {
            let queue = crate::theory::Mmc::new(rho, 1.0, 1).unwrap();
            prop_assert!((mg1_wait(rho, 1.0, 1.0).unwrap() / queue.mean_wait() - 1.0).abs() < 1e-9);
            let variance = Mg1::new(rho, 1.0, 1.0).unwrap().wait_variance(6.0).unwrap();
            prop_assert!((variance / queue.wait_variance() - 1.0).abs() < 1e-9);
        }
    }
}
