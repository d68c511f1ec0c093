//! Square-root staffing and the Halfin-Whitt limit.

use statrs::function::erf::erfc;

use super::{StaffingError, non_negative, open_unit, positive};
use crate::theory::erlang::servers_in_range;
use crate::theory::square_root_staffing;

/// Above this margin the probability of waiting is below 1e-300.
const MAX_BETA: f64 = 38.0;

/// The standard normal distribution function and density at `x`.
fn normal(x: f64) -> (f64, f64) {
    let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    (0.5 * erfc(-x / std::f64::consts::SQRT_2), density)
}

/// The Halfin-Whitt function: what the probability of waiting in M/M/c tends to when a large pool has
/// `beta` square roots of its load to spare, [1 + beta Phi(beta) / phi(beta)]^-1.
///
/// `beta` is 0 or more; the result falls from 1 at 0 towards 0.
///
/// # Errors
/// A `beta` out of range.
///
/// Source: Halfin & Whitt, Heavy-traffic limits for queues with many exponential servers, Operations
/// Research 29:567, 1981.
pub fn halfin_whitt_p_wait(beta: f64) -> Result<f64, StaffingError> {
    non_negative("beta", beta)?;
    let (below, density) = normal(beta.min(MAX_BETA));
    // The same with both sides multiplied by phi, which does not divide by what underflows.
    Ok(density / (density + beta * below))
}

/// The margin `beta` for which [`halfin_whitt_p_wait`] is `p_wait`, strictly between 0 and 1. Found by
/// bisection to the last bit; at most 38, where the probability is below 1e-300.
///
/// # Errors
/// A probability out of range.
pub fn halfin_whitt_beta(p_wait: f64) -> Result<f64, StaffingError> {
    open_unit("probability of waiting", p_wait)?;
    let (mut low, mut high) = (0.0, MAX_BETA);
    // The bracket is at most 6 + 1074 halvings wide; a double runs out of bits well before.
    for _ in 0..1_100 {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if halfin_whitt_p_wait(middle)? > p_wait {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(high)
}

/// Square-root staffing for a probability of waiting of `p_wait` (strictly between 0 and 1) in the limit
/// of large pools: [`square_root_staffing`] with [`halfin_whitt_beta`].
///
/// # Errors
/// As those two.
pub fn square_root_staffing_for_wait(offered: f64, p_wait: f64) -> Result<u64, StaffingError> {
    Ok(square_root_staffing(offered, halfin_whitt_beta(p_wait)?)?)
}

/// The margin that `servers` (1 to 100,000,000) leave at an offered load of `offered` Erlangs (above
/// 0): (c - R) / sqrt(R), negative for an overloaded pool.
///
/// # Errors
/// An argument out of range.
pub fn beta_of(servers: u64, offered: f64) -> Result<f64, StaffingError> {
    servers_in_range(servers)?;
    positive("offered load", offered)?;
    Ok((servers as f64 - offered) / offered.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::erlang_c;

    #[test]
    fn halfin_whitt_by_hand() {
        // beta = 1: Phi = 0.84134475, phi = 0.24197072: 1 / (1 + 3.47705) = 0.22336.
        assert!((halfin_whitt_p_wait(1.0).unwrap() - 0.223_361).abs() < 1e-6);
        // beta = 0.5: Phi = 0.69146246, phi = 0.35206533: 1 / (1 + 0.98202) = 0.50454.
        assert!((halfin_whitt_p_wait(0.5).unwrap() - 0.504_54).abs() < 1e-5);
        // beta = 2: Phi = 0.97724987, phi = 0.05399097: 1 / (1 + 36.2005) = 0.026881.
        assert!((halfin_whitt_p_wait(2.0).unwrap() - 0.026_881).abs() < 1e-6);
        assert_eq!(halfin_whitt_p_wait(0.0), Ok(1.0));
        assert!(halfin_whitt_p_wait(f64::MAX).unwrap() < 1e-300);
    }

    #[test]
    fn both_ways() {
        for beta in [1e-9, 0.1, 0.5, 1.0, 3.0, 10.0, 30.0] {
            let back = halfin_whitt_beta(halfin_whitt_p_wait(beta).unwrap()).unwrap();
            assert!((back - beta).abs() < 1e-6 * beta.max(1e-9), "{beta} {back}");
        }
        assert!(halfin_whitt_beta(1e-308).unwrap() <= MAX_BETA);
        for bad in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(halfin_whitt_beta(bad).is_err());
        }
    }

    #[test]
    fn staffing_by_hand() {
        // 100 + 1 x 10; 81.48 + 0.5 x 9.0266 = 85.99.
        assert_eq!(square_root_staffing(100.0, 1.0), Ok(110));
        assert_eq!(square_root_staffing(81.48, 0.5), Ok(86));
        assert_eq!(square_root_staffing(1e-9, 0.0), Ok(1));
        assert_eq!(beta_of(110, 100.0), Ok(1.0));
        assert!(beta_of(90, 100.0).unwrap() < 0.0);
        for (offered, beta) in [
            (0.0, 1.0),
            (f64::NAN, 1.0),
            (1e8, 1.0),
            (1.0, -1.0),
            (1.0, 1e9),
        ] {
            assert!(square_root_staffing(offered, beta).is_err());
        }
    }

    #[test]
    fn the_limit_is_what_large_pools_do() {
        let servers = square_root_staffing_for_wait(1e6, 0.2).unwrap();
        assert!((erlang_c(servers, 1e6).unwrap() - 0.2).abs() < 2e-3);
        // Small ones are off by some points: 10 Erlangs with 14 servers wait with 0.1741, the limit says 0.2.
        let servers = square_root_staffing_for_wait(10.0, 0.2).unwrap();
        assert_eq!(servers, 14);
        assert!((erlang_c(servers, 10.0).unwrap() - 0.174_1).abs() < 1e-4);
    }
}
