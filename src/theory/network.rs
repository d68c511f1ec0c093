//! Queues in series, with feedback, with retrials or breakdowns, and the power of two choices.

use super::{TheoryError, non_negative, positive, stable};

/// Single-server exponential queues in series, each a Jackson node.
///
/// Source: Jackson 1957, 1963: every node behaves as an M/M/1 queue of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Jackson {
    lambda: f64,
    loads: Vec<f64>,
}

impl Jackson {
    /// A tandem that `lambda` customers per unit (above 0) pass through, with service rates `mus` (each
    /// above `lambda`).
    ///
    /// # Errors
    /// An argument out of range, or [`TheoryError::Unstable`] at a node with a load of 1 or more.
    pub fn tandem(lambda: f64, mus: &[f64]) -> Result<Self, TheoryError> {
        positive("lambda", lambda)?;
        let loads = mus
            .iter()
            .map(|mu| stable("utilization", lambda / positive("mu", *mu)?))
            .collect::<Result<_, _>>()?;
        Ok(Self { lambda, loads })
    }

    /// Mean number in the whole system: sum rho_i / (1 - rho_i).
    #[must_use]
    pub fn mean_in_system(&self) -> f64 {
        self.loads.iter().map(|rho| rho / (1.0 - rho)).sum()
    }

    /// Mean time through the whole system, L / lambda, in the caller's unit.
    #[must_use]
    pub fn mean_sojourn(&self) -> f64 {
        self.mean_in_system() / self.lambda
    }
}

/// What [`mm1_feedback`] finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeedbackQueue {
    /// The share of time that the server is busy.
    pub utilization: f64,
    /// Mean number in the system.
    pub mean_in_system: f64,
    /// Mean total time in the system over all passes, in the caller's unit.
    pub mean_sojourn: f64,
}

/// An M/M/1 queue whose customers go back to the end of the queue with probability `p_back` after each
/// service: lambda = gamma / (1 - p_back), L = rho / (1 - rho), W = L / gamma.
///
/// `gamma` is new arrivals per unit and `mu` the service rate, both above 0; `p_back` is 0 or more and
/// below 1.
///
/// # Errors
/// An argument out of range, or a load of 1 or more.
///
/// Source: Jackson 1957.
pub fn mm1_feedback(gamma: f64, mu: f64, p_back: f64) -> Result<FeedbackQueue, TheoryError> {
    positive("gamma", gamma)?;
    positive("mu", mu)?;
    super::quantile_level("probability of return", p_back)?;
    let rho = stable("utilization", gamma / (1.0 - p_back) / mu)?;
    let mean_in_system = rho / (1.0 - rho);
    Ok(FeedbackQueue {
        utilization: rho,
        mean_in_system,
        mean_sojourn: mean_in_system / gamma,
    })
}

/// The mean time in one of very many M/M/1 queues when each arrival looks at `choices` queues drawn at
/// random and joins the shortest: sum over i >= 1 of rho^((d^i - d)/(d - 1)), over mu, in the caller's
/// unit.
///
/// `lambda` (arrivals per unit and queue) and `mu` are above 0; `choices` is 1 or more, and 1 gives M/M/1.
///
/// # Errors
/// An argument out of range, or a load of 1 or more.
///
/// Source: Vvedenskaya, Dobrushin & Karpelevich 1996; Mitzenmacher 2001. It is the limit for ever more
/// queues.
pub fn supermarket_mean_sojourn(lambda: f64, mu: f64, choices: u64) -> Result<f64, TheoryError> {
    positive("lambda", lambda)?;
    positive("mu", mu)?;
    super::at_least_one("choices", choices)?;
    let rho = stable("utilization", lambda / mu)?;
    if choices == 1 {
        return Ok(1.0 / (mu - lambda));
    }
    let d = choices as f64;
    // The exponents are 0, d, d + d^2, ...: e(i + 1) = d (e(i) + 1).
    let (mut sum, mut exponent) = (0.0_f64, 0.0_f64);
    loop {
        let term = rho.powf(exponent);
        sum += term;
        if term <= sum * 1e-18 {
            return Ok(sum / mu);
        }
        exponent = d * (exponent + 1.0);
    }
}

/// The M/M/1 retrial queue: an arrival that finds the server busy tries again after exponential times of
/// rate `theta`, independently of the others, until it finds the server free.
///
/// Source: Falin & Templeton 1997, Retrial Queues, ch. 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retrial {
    /// The probability that the server is busy: lambda / mu.
    pub p_busy: f64,
    /// Mean number of customers who are trying again.
    pub mean_orbit: f64,
    /// Mean time from arrival to the start of service, in the caller's unit.
    pub mean_wait: f64,
}

impl Retrial {
    /// A queue with `lambda` arrivals per unit, a service rate `mu` and a retrial rate `theta`, all above
    /// 0: E\[orbit\] = rho^2 (mu + theta) / ((1 - rho) theta).
    ///
    /// # Errors
    /// An argument out of range, or a load of 1 or more.
    pub fn new(lambda: f64, mu: f64, theta: f64) -> Result<Self, TheoryError> {
        positive("lambda", lambda)?;
        positive("mu", mu)?;
        positive("theta", theta)?;
        let rho = stable("utilization", lambda / mu)?;
        let mean_orbit = rho * rho * (mu + theta) / ((1.0 - rho) * theta);
        Ok(Self {
            p_busy: rho,
            mean_orbit,
            mean_wait: mean_orbit / lambda,
        })
    }
}

/// The mean number in M/M/1 whose server fails at rate `fail` (busy or idle) and is repaired at rate
/// `repair`; a service cut short is resumed.
///
/// `lambda` and `mu` are above 0, `fail` 0 or more and `repair` above 0. Stable when
/// lambda < mu repair / (fail + repair).
///
/// # Errors
/// An argument out of range, or [`TheoryError::Unstable`].
///
/// Source: White & Christie 1958; Avi-Itzhak & Naor 1963. With D = mu - lambda - lambda fail / repair and
/// up = repair / (fail + repair), the generating functions of the two server states give
/// L = L1 + (fail / repair) (L1 + up lambda / repair),
/// L1 = up (lambda + lambda fail / repair + fail (lambda / repair)^2) / D.
pub fn breakdown_mean_in_system(
    lambda: f64,
    mu: f64,
    fail: f64,
    repair: f64,
) -> Result<f64, TheoryError> {
    positive("lambda", lambda)?;
    positive("mu", mu)?;
    non_negative("failure rate", fail)?;
    positive("repair rate", repair)?;
    let down_ratio = fail / repair;
    stable("utilization", lambda * (1.0 + down_ratio) / mu)?;
    let up = 1.0 / (1.0 + down_ratio);
    let spare = mu - lambda - lambda * down_ratio;
    let per_repair = lambda / repair;
    let in_up = up * (lambda + lambda * down_ratio + fail * per_repair * per_repair) / spare;
    Ok(in_up + down_ratio * (in_up + up * per_repair))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn limits_are_mm1(rho in 0.05_f64..0.95) {
            let mean = rho / (1.0 - rho);
            prop_assert!((Jackson::tandem(rho, &[1.0]).unwrap().mean_in_system() / mean - 1.0).abs() < 1e-12);
            prop_assert!((mm1_feedback(rho, 1.0, 0.0).unwrap().mean_in_system / mean - 1.0).abs() < 1e-12);
            prop_assert!((breakdown_mean_in_system(rho, 1.0, 0.0, 1.0).unwrap() / mean - 1.0).abs() < 1e-9);
            prop_assert!((supermarket_mean_sojourn(rho, 1.0, 1).unwrap() * rho / mean - 1.0).abs() < 1e-9);
            // Retrials at once are a queue without its order.
            let waiting = rho * mean;
            prop_assert!((Retrial::new(rho, 1.0, 1e12).unwrap().mean_orbit / waiting - 1.0).abs() < 1e-9);
        }

        #[test]
        fn choices_help(rho in 0.05_f64..0.99, d in 1_u64..10) {
            let few = supermarket_mean_sojourn(rho, 1.0, d).unwrap();
            let more = supermarket_mean_sojourn(rho, 1.0, d + 1).unwrap();
            prop_assert!(more <= few && more >= 1.0);
        }
    }

    #[test]
    fn unstable_networks_are_refused() {
        assert!(Jackson::tandem(0.95, &[1.0, 0.9]).is_err());
        assert!(mm1_feedback(0.5, 1.0, 0.5).is_err());
        assert!(breakdown_mean_in_system(0.95, 1.0, 0.1, 1.0).is_err());
        assert!(supermarket_mean_sojourn(1.0, 1.0, 2).is_err());
    }
}
