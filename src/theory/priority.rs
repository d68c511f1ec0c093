//! Non-preemptive priority: a free server takes the waiting customer of the highest class.

use super::erlang::{erlang_c, servers_in_range};
use super::{TheoryError, non_negative, positive, stable};

/// One class of customers, by its rate and the first two moments of its service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PriorityClass {
    /// Arrivals per unit, 0 or more.
    pub lambda: f64,
    /// Mean service time, above 0, in the caller's unit.
    pub mean: f64,
    /// Squared coefficient of variation of service, 0 or more.
    pub scv: f64,
}

/// The mean wait of each class in non-preemptive M/G/1, highest class first, in the caller's unit:
/// W0 / ((1 - s_(k-1)) (1 - s_k)), s_k the load of classes 1 to k, W0 = sum lambda E\[S^2\] / 2.
///
/// # Errors
/// A class out of range, or [`TheoryError::Unstable`] when the classes together load the server to 1.
///
/// Source: Cobham 1954, Operations Research 2:70; Gross et al., 4th ed., ch. 3.
pub fn priority_waits_mg1(classes: &[PriorityClass]) -> Result<Vec<f64>, TheoryError> {
    let mut residual = 0.0;
    for class in classes {
        non_negative("lambda", class.lambda)?;
        positive("mean service time", class.mean)?;
        non_negative("service scv", class.scv)?;
        residual += class.lambda * class.mean * class.mean * (1.0 + class.scv) / 2.0;
    }
    waits(
        residual,
        classes.iter().map(|class| class.lambda * class.mean),
    )
}

/// The mean wait of each class in non-preemptive M/M/c with one service rate for all, highest class
/// first, in the caller's unit: C(c, a) / (c mu) / ((1 - s_(k-1)) (1 - s_k)), s_k the load of classes 1 to
/// k over c.
///
/// `lambdas` are arrivals per unit (0 or more, not all 0); `mu` is one server's rate, above 0.
///
/// # Errors
/// An argument out of range, or [`TheoryError::Unstable`] at a load of 1 or more.
///
/// Source: Cobham 1954; Gross et al., 4th ed., ch. 3.
pub fn priority_waits_mmc(servers: u64, mu: f64, lambdas: &[f64]) -> Result<Vec<f64>, TheoryError> {
    servers_in_range(servers)?;
    positive("mu", mu)?;
    for lambda in lambdas {
        non_negative("lambda", *lambda)?;
    }
    let capacity = servers as f64 * mu;
    let total: f64 = positive("total lambda", lambdas.iter().sum())?;
    let p_wait = erlang_c(servers, total / mu)?;
    waits(
        p_wait / capacity,
        lambdas.iter().map(|lambda| lambda / capacity),
    )
}

fn waits(residual: f64, loads: impl Iterator<Item = f64>) -> Result<Vec<f64>, TheoryError> {
    let mut above = 0.0;
    loads
        .map(|load| {
            let upto = stable("utilization", above + load)?;
            let wait = residual / ((1.0 - above) * (1.0 - upto));
            above = upto;
            Ok(wait)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::Mmc;
    use proptest::prelude::*;

    #[test]
    fn unstable_and_wrong_arguments() {
        assert!(priority_waits_mmc(1, 1.0, &[0.5, 0.6]).is_err());
        assert!(priority_waits_mmc(1, 1.0, &[]).is_err());
        assert!(priority_waits_mmc(1, 1.0, &[-0.1, 0.6]).is_err());
    }

    proptest! {
        #[test]
        fn work_is_conserved(c in 1_u64..20, rho in 0.1_f64..0.95, share in 0.05_f64..0.95) {
            // With one service law for all, the order of service leaves the mean wait as it is.
            let total = rho * c as f64;
            let lambdas = [total * share, total * (1.0 - share)];
            let waits = priority_waits_mmc(c, 1.0, &lambdas).unwrap();
            let mean = share * waits[0] + (1.0 - share) * waits[1];
            let exact = Mmc::new(total, 1.0, c).unwrap().mean_wait();
            prop_assert!((mean / exact - 1.0).abs() < 1e-9);
            prop_assert!(waits[0] <= waits[1]);
        }

        #[test]
        fn the_two_forms_agree(low in 0.05_f64..0.45, high in 0.05_f64..0.45) {
            let class = |lambda| PriorityClass { lambda, mean: 1.0, scv: 1.0 };
            let general = priority_waits_mg1(&[class(high), class(low)]).unwrap();
            let exponential = priority_waits_mmc(1, 1.0, &[high, low]).unwrap();
            for (a, b) in general.iter().zip(&exponential) {
                prop_assert!((a / b - 1.0).abs() < 1e-9);
            }
        }
    }
}
