//! Little's law, and approximations for arrivals and service of any law.

use super::erlang::erlang_c;
use super::{TheoryError, at_least_one, non_negative, positive, stable};

/// The mean number in a system, L = lambda W, from a rate (0 or more, per unit) and a mean time in it
/// (0 or more).
///
/// # Errors
/// An argument out of range.
///
/// Source: Little 1961, Operations Research 9:383.
pub fn little_number(rate: f64, mean_time: f64) -> Result<f64, TheoryError> {
    Ok(non_negative("rate", rate)? * non_negative("mean time", mean_time)?)
}

/// The mean time in a system, W = L / lambda, from a mean number in it (0 or more) and a rate (above 0,
/// per unit).
///
/// # Errors
/// An argument out of range.
///
/// Source: Little 1961, Operations Research 9:383.
pub fn little_time(mean_number: f64, rate: f64) -> Result<f64, TheoryError> {
    Ok(non_negative("mean number", mean_number)? / positive("rate", rate)?)
}

/// The mean wait in G/G/c, approximately: the M/M/c wait times (ca2 + cs2) / 2.
///
/// `lambda` is arrivals per unit (above 0), `mean` the mean service time (above 0), `ca2` and `cs2` the
/// squared coefficients of variation of interarrival and service times (0 or more). Exact for M/M/c and
/// M/G/1; elsewhere good to a few per cent in heavy traffic, and worse in light traffic.
///
/// # Errors
/// An argument out of range, or [`TheoryError::Unstable`] when `lambda * mean >= servers`.
///
/// Source: Allen 1990, Probability, Statistics, and Queueing Theory, ch. 5 (Allen-Cunneen).
pub fn allen_cunneen(
    servers: u64,
    lambda: f64,
    mean: f64,
    ca2: f64,
    cs2: f64,
) -> Result<f64, TheoryError> {
    at_least_one("servers", servers)?;
    positive("lambda", lambda)?;
    positive("mean service time", mean)?;
    non_negative("arrival scv", ca2)?;
    non_negative("service scv", cs2)?;
    let offered = lambda * mean;
    stable("utilization", offered / servers as f64)?;
    let p_wait = erlang_c(servers, offered)?;
    Ok(p_wait * mean / (servers as f64 - offered) * (ca2 + cs2) / 2.0)
}

/// The mean wait in G/G/1, approximately: rho / (1 - rho) * (ca2 + cs2) / 2 * E\[S\].
///
/// Arguments as for [`allen_cunneen`]. Exact for M/G/1 and asymptotically in heavy traffic.
///
/// # Errors
/// An argument out of range, or [`TheoryError::Unstable`] when `lambda * mean >= 1`.
///
/// Source: Kingman 1961, Proc. Cambridge Phil. Soc. 57:902.
pub fn kingman(lambda: f64, mean: f64, ca2: f64, cs2: f64) -> Result<f64, TheoryError> {
    positive("lambda", lambda)?;
    positive("mean service time", mean)?;
    non_negative("arrival scv", ca2)?;
    non_negative("service scv", cs2)?;
    let rho = stable("utilization", lambda * mean)?;
    Ok(rho / (1.0 - rho) * (ca2 + cs2) / 2.0 * mean)
}

/// An upper bound of the mean wait in GI/G/1: lambda (var A + var S) / (2 (1 - rho)).
///
/// Arguments as for [`allen_cunneen`].
///
/// # Errors
/// An argument out of range, or [`TheoryError::Unstable`] when `lambda * mean >= 1`.
///
/// Source: Kingman 1962; Gross, Shortle, Thompson & Harris, 4th ed., ch. 7.
pub fn kingman_bound(lambda: f64, mean: f64, ca2: f64, cs2: f64) -> Result<f64, TheoryError> {
    positive("lambda", lambda)?;
    positive("mean service time", mean)?;
    non_negative("arrival scv", ca2)?;
    non_negative("service scv", cs2)?;
    let rho = stable("utilization", lambda * mean)?;
    Ok((ca2 / lambda + lambda * mean * mean * cs2) / (2.0 * (1.0 - rho)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::{Mmc, mg1_wait};
    use proptest::prelude::*;

    #[test]
    fn little_inverts() {
        let number = little_number(3.0, 0.5).unwrap();
        assert!((little_time(number, 3.0).unwrap() - 0.5).abs() < 1e-15);
        assert!(little_time(1.0, 0.0).is_err());
    }

    proptest! {
        #[test]
        fn exact_where_it_should_be(c in 1_u64..100, rho in 0.05_f64..0.98, cs2 in 0.0_f64..9.0) {
            let lambda = rho * c as f64 / 2.0;
            let approximate = allen_cunneen(c, lambda, 2.0, 1.0, 1.0).unwrap();
            let exact = Mmc::new(lambda, 0.5, c).unwrap().mean_wait();
            prop_assert!((approximate - exact).abs() <= 1e-9 * exact);
            let exact = mg1_wait(rho, 1.0, cs2).unwrap();
            prop_assert!((kingman(rho, 1.0, 1.0, cs2).unwrap() / exact - 1.0).abs() < 1e-9);
            prop_assert!((allen_cunneen(1, rho, 1.0, 1.0, cs2).unwrap() / exact - 1.0).abs() < 1e-9);
            prop_assert!(kingman_bound(rho, 1.0, 1.0, cs2).unwrap() >= exact);
        }
    }
}
