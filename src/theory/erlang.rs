//! Erlang's loss and delay formulas, and how many servers a target needs.

use super::{TheoryError, at_least_one, non_negative, open_unit, positive, quantile_level, stable};

/// The most servers that the Erlang formulas take: the recursion is linear in their number.
pub const MAX_SERVERS: u64 = 100_000_000;

pub(crate) fn servers_in_range(servers: u64) -> Result<u64, TheoryError> {
    at_least_one("servers", servers)?;
    if servers > MAX_SERVERS {
        return Err(TheoryError::TooLarge {
            name: "servers",
            value: servers as f64,
            allowed: "100000000 or fewer",
        });
    }
    Ok(servers)
}

/// The inverse 1/B(c, a), which may be infinite: 1/B(n) = 1 + (n/a) / B(n - 1), 1/B(0) = 1.
pub(crate) fn inverse_erlang_b(servers: u64, offered: f64) -> f64 {
    if offered == 0.0 {
        return if servers == 0 { 1.0 } else { f64::INFINITY };
    }
    let mut inverse = 1.0_f64;
    for n in 1..=servers {
        inverse = 1.0 + (n as f64 / offered) * inverse;
        // From here on every step multiplies by at least 1, so that it stays infinite.
        if inverse.is_infinite() {
            return inverse;
        }
    }
    inverse
}

/// Erlang B: the probability that an arrival finds all `servers` busy and is lost, at an offered load of
/// `offered` Erlangs (arrival rate times mean service time).
///
/// It holds for any service law with that mean (M/G/c/c). `servers` is 1 to [`MAX_SERVERS`], `offered`
/// is 0 or more and may exceed `servers`. Values below about 1e-308 come out as 0.
///
/// # Errors
/// An argument out of range.
///
/// Source: Erlang 1917; insensitivity by Sevastyanov 1957; evaluated by the recursion in 1/B, which
/// neither overflows nor cancels.
pub fn erlang_b(servers: u64, offered: f64) -> Result<f64, TheoryError> {
    servers_in_range(servers)?;
    non_negative("offered load", offered)?;
    Ok(1.0 / inverse_erlang_b(servers, offered))
}

/// Erlang C: the probability that an arrival has to wait in M/M/c, at an offered load of `offered`
/// Erlangs.
///
/// `servers` is 1 to [`MAX_SERVERS`]; `offered` is 0 or more and below `servers`.
///
/// # Errors
/// An argument out of range, or [`TheoryError::Unstable`] when `offered >= servers`.
///
/// Source: Erlang 1917; Gross, Shortle, Thompson & Harris, 4th ed., ch. 2:
/// C = B / (1 - rho (1 - B)), rho = a / c.
pub fn erlang_c(servers: u64, offered: f64) -> Result<f64, TheoryError> {
    servers_in_range(servers)?;
    non_negative("offered load", offered)?;
    let rho = stable("utilization", offered / servers as f64)?;
    Ok(delay_from_loss(
        1.0 / inverse_erlang_b(servers, offered),
        rho,
    ))
}

/// C from B: B / (1 - rho + rho B).
pub(crate) fn delay_from_loss(blocking: f64, rho: f64) -> f64 {
    blocking / ((1.0 - rho) + rho * blocking)
}

/// The fewest servers for which the load is below 1 and `accept(servers, erlang_c)` holds.
pub(crate) fn fewest_servers(
    offered: f64,
    accept: impl Fn(u64, f64) -> bool,
) -> Result<u64, TheoryError> {
    let mut inverse = 1.0_f64;
    for n in 1..=MAX_SERVERS {
        inverse = 1.0 + (n as f64 / offered) * inverse;
        let rho = offered / n as f64;
        if rho < 1.0 && accept(n, delay_from_loss(1.0 / inverse, rho)) {
            return Ok(n);
        }
    }
    Err(TheoryError::TooLarge {
        name: "offered load",
        value: offered,
        allowed: "low enough for 100000000 servers to reach the target",
    })
}

/// The fewest servers for which the probability of waiting in M/M/c is at most `max_p_wait`, at an
/// offered load of `offered` Erlangs (above 0). `max_p_wait` is strictly between 0 and 1.
///
/// # Errors
/// An argument out of range, or a load that [`MAX_SERVERS`] servers do not carry.
///
/// Source: [`erlang_c`], which falls with every server added.
pub fn servers_for_erlang_c(offered: f64, max_p_wait: f64) -> Result<u64, TheoryError> {
    positive("offered load", offered)?;
    open_unit("target probability of waiting", max_p_wait)?;
    fewest_servers(offered, |_, p_wait| p_wait <= max_p_wait)
}

/// The fewest servers for which the `level` quantile of the wait in M/M/c is at most `max_wait`.
///
/// `lambda` (arrivals per unit) and `mu` (one server's rate) are above 0; `level` is 0 or more and below
/// 1; `max_wait` is 0 or more, in the caller's unit.
///
/// # Errors
/// An argument out of range, or a load that [`MAX_SERVERS`] servers do not carry.
///
/// Source: P(Wq > t) = C exp(-(c mu - lambda) t); Gross et al., 4th ed., ch. 2.
pub fn servers_for_wait_quantile(
    lambda: f64,
    mu: f64,
    level: f64,
    max_wait: f64,
) -> Result<u64, TheoryError> {
    positive("lambda", lambda)?;
    positive("mu", mu)?;
    quantile_level("quantile level", level)?;
    non_negative("target wait", max_wait)?;
    fewest_servers(lambda / mu, |servers, p_wait| {
        let spare = servers as f64 * mu - lambda;
        p_wait * (-spare * max_wait).exp() <= 1.0 - level
    })
}

/// Square-root staffing: a + beta sqrt(a) servers, rounded up and at least 1.
///
/// `offered` is the load in Erlangs, above 0; `beta` (0 or more) is the quality-of-service margin, near 1
/// for a balanced system, and the probability of waiting then tends to the Halfin-Whitt function of beta.
///
/// # Errors
/// An argument out of range, or a result above [`MAX_SERVERS`].
///
/// Source: Halfin & Whitt 1981, Operations Research 29:567; Borst, Mandelbaum & Reiman 2004.
pub fn square_root_staffing(offered: f64, beta: f64) -> Result<u64, TheoryError> {
    positive("offered load", offered)?;
    non_negative("beta", beta)?;
    let servers = (offered + beta * offered.sqrt()).ceil().max(1.0);
    if servers > MAX_SERVERS as f64 {
        return Err(TheoryError::TooLarge {
            name: "servers",
            value: servers,
            allowed: "100000000 or fewer",
        });
    }
    Ok(servers as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values() {
        assert!((erlang_b(10, 5.0).unwrap() - 0.018_384_570_336_648_14).abs() < 1e-15);
        assert!((erlang_c(1, 0.8).unwrap() - 0.8).abs() < 1e-15);
        assert!((erlang_c(2, 1.8).unwrap() - 0.852_631_578_947_368_3).abs() < 1e-14);
    }

    #[test]
    fn large_numbers_of_servers_stay_finite() {
        let b = erlang_b(100_000, 100_000.0).unwrap();
        // B(c, c) tends to sqrt(2 / (pi c)).
        let limit = (2.0 / (std::f64::consts::PI * 100_000.0)).sqrt();
        assert!((b / limit - 1.0).abs() < 0.01);
        assert_eq!(erlang_b(100_000, 1.0).unwrap(), 0.0);
        let c = erlang_c(100_000, 99_900.0).unwrap();
        assert!(c > 0.0 && c < 1.0);
        assert!(erlang_b(5, 1e300).unwrap() <= 1.0);
    }

    #[test]
    fn halfin_whitt_limit() {
        // beta = 1: 1 / (1 + sqrt(2 pi) Phi(1) e^{1/2}) = 0.2234.
        let offered = 1e6;
        let servers = square_root_staffing(offered, 1.0).unwrap();
        assert!((erlang_c(servers, offered).unwrap() - 0.2234).abs() < 1e-3);
    }

    #[test]
    fn errors_name_the_argument() {
        let message = erlang_c(4, 4.0).unwrap_err().to_string();
        assert!(message.contains("utilization = 1"), "{message}");
        let message = erlang_b(0, 4.0).unwrap_err().to_string();
        assert!(message.contains("servers = 0"), "{message}");
        assert!(erlang_b(4, f64::NAN).is_err());
        assert!(servers_for_erlang_c(3.0, 0.0).is_err());
    }

    proptest! {
        #[test]
        fn delay_is_at_least_loss(servers in 1_u64..500, rho in 0.01_f64..0.999) {
            let offered = rho * servers as f64;
            let b = erlang_b(servers, offered).unwrap();
            let c = erlang_c(servers, offered).unwrap();
            prop_assert!(c >= b && c <= 1.0);
        }

        #[test]
        fn both_grow_with_load(servers in 1_u64..300, rho in 0.05_f64..0.98) {
            let (low, high) = (rho * servers as f64, (rho + 0.01) * servers as f64);
            prop_assert!(erlang_b(servers, high).unwrap() >= erlang_b(servers, low).unwrap());
            prop_assert!(erlang_c(servers, high).unwrap() >= erlang_c(servers, low).unwrap());
        }

        #[test]
        fn fewest_servers_is_the_fewest(offered in 0.1_f64..200.0, target in 0.001_f64..0.9) {
            let servers = servers_for_erlang_c(offered, target).unwrap();
            prop_assert!(erlang_c(servers, offered).unwrap() <= target);
            if servers > 1 && offered < (servers - 1) as f64 {
                prop_assert!(erlang_c(servers - 1, offered).unwrap() > target);
            }
        }

        #[test]
        fn wait_target_is_met(offered in 0.1_f64..100.0, level in 0.5_f64..0.999, wait in 0.0_f64..2.0) {
            let servers = servers_for_wait_quantile(offered, 1.0, level, wait).unwrap();
            let queue = crate::theory::Mmc::new(offered, 1.0, servers).unwrap();
            prop_assert!(queue.wait_quantile(level).unwrap() <= wait + 1e-9);
        }
    }
}
