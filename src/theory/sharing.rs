//! Processor sharing: the server's rate is divided evenly among the customers present.

use super::{Mmc, TheoryError, positive, stable};

/// How many times longer a customer stays under M/G/1 processor sharing than alone: 1 / (1 - rho), on
/// average and at every service requirement.
///
/// `lambda` (arrivals per unit) and `mean` (service time when alone) are above 0.
///
/// # Errors
/// An argument out of range, or [`TheoryError::Unstable`] when `lambda * mean >= 1`.
///
/// Source: Kleinrock 1967, JACM 14:242; insensitive to the law of service.
pub fn ps_slowdown(lambda: f64, mean: f64) -> Result<f64, TheoryError> {
    positive("lambda", lambda)?;
    positive("mean service time", mean)?;
    let rho = stable("utilization", lambda * mean)?;
    Ok(1.0 / (1.0 - rho))
}

/// The mean time in M/G/1 processor sharing, E\[S\] / (1 - rho), in the caller's unit.
///
/// # Errors
/// As for [`ps_slowdown`].
///
/// Source: Kleinrock 1967.
pub fn ps_mean_sojourn(lambda: f64, mean: f64) -> Result<f64, TheoryError> {
    Ok(mean * ps_slowdown(lambda, mean)?)
}

/// The mean time in M/G/1 processor sharing of a customer that needs `size` units of service (above 0):
/// size / (1 - rho), in the caller's unit.
///
/// # Errors
/// An argument out of range, or as for [`ps_slowdown`].
///
/// Source: Kleinrock 1967.
pub fn ps_conditional_sojourn(lambda: f64, mean: f64, size: f64) -> Result<f64, TheoryError> {
    Ok(positive("size", size)? * ps_slowdown(lambda, mean)?)
}

/// The variance of the time in M/M/1 processor sharing, in the unit squared:
/// E\[S\]^2 (2 + rho) / ((2 - rho) (1 - rho)^2). It depends on the law of service being exponential.
///
/// # Errors
/// As for [`ps_slowdown`].
///
/// Source: Coffman, Muntz & Trotter 1970, JACM 17:123.
pub fn mm1_ps_sojourn_variance(lambda: f64, mean: f64) -> Result<f64, TheoryError> {
    let slowdown = ps_slowdown(lambda, mean)?;
    let rho = lambda * mean;
    Ok(mean * mean * (2.0 + rho) / (2.0 - rho) * slowdown * slowdown)
}

/// The mean time in M/M/c processor sharing, where up to `servers` customers run at full speed and more
/// share the servers evenly. It equals the first-come-first-served mean, 1/mu + C / (c mu - lambda), and
/// holds for any law of service with the mean 1/mu.
///
/// # Errors
/// As for [`Mmc::new`].
///
/// Source: Cohen 1979, Acta Informatica 12:245 (generalized processor sharing is insensitive).
pub fn mmc_ps_mean_sojourn(lambda: f64, mu: f64, servers: u64) -> Result<f64, TheoryError> {
    Ok(Mmc::new(lambda, mu, servers)?.mean_sojourn())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert!((ps_mean_sojourn(0.8, 1.0).unwrap() - 5.0).abs() < 1e-12);
        assert!((ps_conditional_sojourn(0.8, 1.0, 2.0).unwrap() - 10.0).abs() < 1e-12);
        assert!((mmc_ps_mean_sojourn(0.8, 1.0, 1).unwrap() - 5.0).abs() < 1e-12);
        assert!(ps_slowdown(1.0, 1.0).is_err());
        // Time scales out: twice as slow a server at half the rate has four times the variance.
        let one = mm1_ps_sojourn_variance(0.5, 1.0).unwrap();
        let two = mm1_ps_sojourn_variance(0.25, 2.0).unwrap();
        assert!((two / one - 4.0).abs() < 1e-12);
    }
}
