//! Erlang's loss and delay formulas.

use super::{StaffingError, non_negative, positive};

/// The most servers that any formula here takes: the recursion is linear in their number.
pub const MAX_SERVERS: u64 = 10_000_000;

pub(super) fn servers_in_range(servers: u64) -> Result<u64, StaffingError> {
    if (1..=MAX_SERVERS).contains(&servers) {
        return Ok(servers);
    }
    Err(StaffingError::OutOfRange {
        name: "servers",
        value: servers as f64,
        allowed: "1 to 10000000",
    })
}

/// An offered load above 0 that [`MAX_SERVERS`] servers carry.
pub(super) fn load_in_range(offered: f64) -> Result<f64, StaffingError> {
    positive("offered load in Erlangs", offered)?;
    if offered < MAX_SERVERS as f64 {
        return Ok(offered);
    }
    Err(StaffingError::OutOfRange {
        name: "offered load in Erlangs",
        value: offered,
        allowed: "below 10000000",
    })
}

/// One step of the recursion in 1/B: 1/B(n) = 1 + (n/a) / B(n - 1), from 1/B(0) = 1. It only adds and
/// multiplies what is positive, so that it neither cancels nor underflows; infinity stands for B = 0.
pub(super) fn next_inverse_loss(inverse: f64, servers: u64, offered: f64) -> f64 {
    1.0 + (servers as f64 / offered) * inverse
}

/// C from B: B / (1 - rho (1 - B)), written without the cancellation at rho near 1.
pub(super) fn delay_from_loss(loss: f64, rho: f64) -> f64 {
    loss / ((1.0 - rho) + rho * loss)
}

fn loss(servers: u64, offered: f64) -> f64 {
    if offered == 0.0 {
        return 0.0;
    }
    let mut inverse = 1.0;
    for n in 1..=servers {
        inverse = next_inverse_loss(inverse, n, offered);
        // Every later step multiplies by more than 1 once n exceeds the load, where this happens.
        if inverse == f64::INFINITY {
            return 0.0;
        }
    }
    1.0 / inverse
}

/// Erlang B: the probability that an arrival finds all of `servers` (1 to [`MAX_SERVERS`]) busy and is
/// lost, at an offered load of `offered` Erlangs (0 or more, it may exceed `servers`). Any service law.
///
/// # Errors
/// An argument out of range.
///
/// Source: Erlang 1917; insensitive to the service law (Sevastyanov 1957).
pub fn erlang_b(servers: u64, offered: f64) -> Result<f64, StaffingError> {
    servers_in_range(servers)?;
    non_negative("offered load in Erlangs", offered)?;
    Ok(loss(servers, offered))
}

/// Erlang C: the probability that an arrival has to wait in M/M/c with `servers` servers (1 to
/// [`MAX_SERVERS`]) at an offered load of `offered` Erlangs, 0 or more and below `servers`.
///
/// # Errors
/// An argument out of range; a load of `servers` or more has no steady state.
///
/// Source: Erlang 1917; Gross, Shortle, Thompson & Harris, Fundamentals of Queueing Theory, 4th ed., ch. 2.
pub fn erlang_c(servers: u64, offered: f64) -> Result<f64, StaffingError> {
    servers_in_range(servers)?;
    non_negative("offered load in Erlangs", offered)?;
    let rho = offered / servers as f64;
    if rho < 1.0 {
        return Ok(delay_from_loss(loss(servers, offered), rho));
    }
    Err(StaffingError::OutOfRange {
        name: "offered load in Erlangs",
        value: offered,
        allowed: "below the number of servers, or the queue grows without bound",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // B(1, 1) = 1/2, B(2, 1) = (1/2) / (2 + 1/2) = 1/5; C(2, 1) = (1/5) / (1 - (1/2)(4/5)) = 1/3.
        assert!((erlang_b(1, 1.0).unwrap() - 0.5).abs() < 1e-15);
        assert!((erlang_b(2, 1.0).unwrap() - 0.2).abs() < 1e-15);
        assert!((erlang_c(2, 1.0).unwrap() - 1.0 / 3.0).abs() < 1e-15);
        // One server waits with probability rho.
        assert!((erlang_c(1, 0.8).unwrap() - 0.8).abs() < 1e-15);
        assert_eq!(erlang_c(3, 0.0), Ok(0.0));
    }

    #[test]
    fn extremes_stay_finite() {
        assert_eq!(erlang_b(100_000, 1.0), Ok(0.0));
        assert_eq!(erlang_b(4, 1e-320), Ok(0.0));
        assert!(erlang_b(5, f64::MAX).unwrap() <= 1.0);
        let p = erlang_c(100_000, 99_900.0).unwrap();
        assert!(p > 0.0 && p < 1.0);
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(erlang_b(4, bad).is_err());
            assert!(erlang_c(4, bad).is_err());
        }
        assert!(erlang_c(4, 4.0).is_err());
        assert!(erlang_b(0, 1.0).is_err());
        assert!(erlang_b(u64::MAX, 1.0).is_err());
    }
}
