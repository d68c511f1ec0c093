//! The fewest servers of M/M/c that meet a target of time.

use super::{StaffingError, non_negative, open_unit, positive};
use crate::theory::erlang::fewest_servers;
use crate::theory::{erlang_c, servers_for_wait_quantile};

/// P(Wq > t) in M/M/c: C exp(-(c mu - lambda) t), with `spare` = c - a and `t` in mean service times.
fn wait_tail_of(p_wait: f64, spare: f64, t: f64) -> f64 {
    p_wait * (-spare * t).exp()
}

/// P(W > t) of wait and service together in M/M/c, with `spare` and `t` as above:
/// e^(-t) + C (e^(-t) - e^(-spare t)) / (spare - 1).
fn sojourn_tail_of(p_wait: f64, spare: f64, t: f64) -> f64 {
    let gap = (spare - 1.0).abs();
    // (e^(-slower t) - e^(-faster t)) / gap without the cancellation at spare = 1, where it is t e^(-t).
    let spread = if gap * t == 0.0 {
        t
    } else {
        -(-gap * t).exp_m1() / gap
    };
    let tail = (-t).exp() + p_wait * (-spare.min(1.0) * t).exp() * spread;
    tail.min(1.0)
}

/// The offered load in Erlangs and the time `t` in mean service times, in which the formulas have no rates
/// left that could overflow.
fn scaled(lambda: f64, mu: f64, t: f64) -> Result<(f64, f64), StaffingError> {
    positive("lambda", lambda)?;
    positive("mu", mu)?;
    non_negative("target time", t)?;
    let load = positive("offered load", lambda / mu)?;
    Ok((load, (mu * t).min(f64::MAX)))
}

/// The share of arrivals that wait for longer than `t` in M/M/c: `lambda` arrivals per unit and `servers`
/// servers (1 to 100,000,000) of rate `mu`, both rates above 0, `t` 0 or more.
///
/// # Errors
/// An argument out of range, or a load that the servers do not carry.
///
/// Source: Gross, Shortle, Thompson & Harris, Fundamentals of Queueing Theory, 4th ed., ch. 2.
pub fn wait_tail(lambda: f64, mu: f64, servers: u64, t: f64) -> Result<f64, StaffingError> {
    let (offered, t) = scaled(lambda, mu, t)?;
    let p_wait = erlang_c(servers, offered)?;
    Ok(wait_tail_of(p_wait, servers as f64 - offered, t))
}

/// The share of arrivals whose wait and service together take longer than `t` in M/M/c; arguments, errors
/// and source as of [`wait_tail`].
///
/// # Errors
/// An argument out of range, or a load that the servers do not carry.
pub fn sojourn_tail(lambda: f64, mu: f64, servers: u64, t: f64) -> Result<f64, StaffingError> {
    let (offered, t) = scaled(lambda, mu, t)?;
    let p_wait = erlang_c(servers, offered)?;
    Ok(sojourn_tail_of(p_wait, servers as f64 - offered, t))
}

/// The fewest servers for which at most a share `p` of the arrivals waits for longer than `max_wait` in
/// M/M/c: C(c, a) exp(-(c mu - lambda) t) <= p.
///
/// `lambda` (arrivals per unit) and `mu` (one server's rate) are above 0 ; `max_wait` is 0 or more; `p` is strictly between 0 and 1. With `max_wait` 0, `p` is
/// the probability of waiting at all.
///
/// # Errors
/// An argument out of range, or a load that 100,000,000 servers do not carry.
///
/// Source: Gross, Shortle, Thompson & Harris, Fundamentals of Queueing Theory, 4th ed., ch. 2.
pub fn servers_for_wait(lambda: f64, mu: f64, max_wait: f64, p: f64) -> Result<u64, StaffingError> {
    open_unit("share that may wait longer", p)?;
    Ok(servers_for_wait_quantile(lambda, mu, 1.0 - p, max_wait)?)
}

/// The fewest servers for which the `level` quantile (strictly between 0 and 1) of the response time, wait
/// and service together, is at most `max_sojourn` in M/M/c. Other arguments as of [`servers_for_wait`].
///
/// # Errors
/// An argument out of range, or [`StaffingError::Unreachable`] when service alone takes too long:
/// exp(-mu t) >= 1 - level holds whatever the number of servers.
///
/// Source: the convolution of wait and service; Gross et al., 4th ed., ch. 2.
pub fn servers_for_sojourn(
    lambda: f64,
    mu: f64,
    level: f64,
    max_sojourn: f64,
) -> Result<u64, StaffingError> {
    let (offered, t) = scaled(lambda, mu, max_sojourn)?;
    open_unit("quantile level", level)?;
    let late = 1.0 - level;
    if (-t).exp() >= late {
        return Err(StaffingError::Unreachable {
            what: "servers",
            because: "service alone takes longer than the target for more requests than may be late",
        });
    }
    Ok(fewest_servers(offered, |servers, p_wait| {
        sojourn_tail_of(p_wait, servers as f64 - offered, t) <= late
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_by_hand() {
        // 2 Erlangs: C(3, 2) = 4/9, C(4, 2) = 4/23 = 0.1739.
        assert_eq!(servers_for_wait(2.0, 1.0, 0.0, 0.45), Ok(3));
        assert_eq!(servers_for_wait(2.0, 1.0, 0.0, 0.2), Ok(4));
        // 3 servers: 4/9 e^(-t) <= 0.1 from t = ln(40/9) = 1.4917.
        assert_eq!(servers_for_wait(2.0, 1.0, 1.492, 0.1), Ok(3));
        assert_eq!(servers_for_wait(2.0, 1.0, 1.491, 0.1), Ok(4));
        // Times scale with the unit.
        assert_eq!(servers_for_wait(2_000.0, 1_000.0, 0.001_492, 0.1), Ok(3));
    }

    #[test]
    fn response_times_by_hand() {
        // One server: P(W > t) = e^(-(mu - lambda) t), 1 % at ln(100) / 0.5 = 9.2103.
        assert_eq!(servers_for_sojourn(0.5, 1.0, 0.99, 9.211), Ok(1));
        assert_eq!(servers_for_sojourn(0.5, 1.0, 0.99, 9.210), Ok(2));
        // Service alone is above ln(100) = 4.6052 for 1 %.
        assert!(matches!(
            servers_for_sojourn(0.5, 1.0, 0.99, 4.605),
            Err(StaffingError::Unreachable { .. })
        ));
        assert!(servers_for_sojourn(0.5, 1.0, 0.99, 4.606).is_ok());
    }

    #[test]
    fn equal_rates_are_no_special_case() {
        // c mu - lambda = mu for 2 servers at lambda = 1: (1 + C t) e^(-t), C = 1/3.
        let tail = sojourn_tail(1.0, 1.0, 2, 3.0).unwrap();
        assert!((tail - 2.0 * (-3.0_f64).exp()).abs() < 1e-15);
        let near = sojourn_tail(1.0 + 1e-9, 1.0, 2, 3.0).unwrap();
        assert!((near - tail).abs() < 1e-8);
    }

    #[test]
    fn bad_arguments_are_refused() {
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(servers_for_wait(bad, 1.0, 1.0, 0.1).is_err());
            assert!(servers_for_wait(1.0, bad, 1.0, 0.1).is_err());
            assert!(servers_for_wait(1.0, 1.0, bad, 0.1).is_err());
            assert!(servers_for_wait(1.0, 1.0, 1.0, bad).is_err());
            assert!(servers_for_sojourn(1.0, 1.0, bad, 9.0).is_err());
        }
        assert!(servers_for_wait(f64::MAX, f64::MIN_POSITIVE, 1.0, 0.1).is_err());
        assert!(servers_for_wait(2e8, 1.0, 1.0, 0.1).is_err());
        assert!(wait_tail(2.0, 1.0, 2, 1.0).is_err());
    }
}
