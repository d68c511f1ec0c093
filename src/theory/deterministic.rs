//! Queues whose every service takes the same time: M/D/1 and M/D/c.

use super::numeric::{Complex, birth_death, fft, quantile_of_tail};
use super::{TheoryError, at_least_one, positive, quantile_level, stable};

/// The most servers that [`Mdc`] takes.
const MAX_MDC_SERVERS: u64 = 100_000;
/// The most complex factors evaluated for the law of the queue length.
const MAX_FACTORS: f64 = 5e7;

/// The M/D/c queue: Poisson arrivals, constant service, `c` like servers, one queue, first come first
/// served.
///
/// At a fixed time the number in the system obeys N(t + D) = (N(t) - c)^+ + Poisson(lambda D) (Crommelin
/// 1932). The generating function of the number waiting is then
/// q (z - 1) prod (z - z_k) / (z^c - e^(a (z - 1))), a = lambda D, with z_1 ... z_(c-1) the zeros of the
/// denominator inside the unit circle, from which the means follow in closed form (Tijms, A First Course
/// in Stochastic Models, ch. 9; Janssen & van Leeuwaarden 2005). The law of the wait is Franx's (2001,
/// Operations Research Letters 29:221), which sums positive terms only; the queue length law in it comes
/// from the generating function on the unit circle.
#[derive(Clone, Debug)]
pub struct Mdc {
    lambda: f64,
    service: f64,
    servers: u64,
    p_wait: f64,
    mean_queue: f64,
    /// The probability that at most m wait, for m = 0, 1, ...; 1 past the end. `None` when too large.
    at_most: Option<Vec<f64>>,
}

impl Mdc {
    /// A queue with `lambda` arrivals per unit and `servers` servers that take `service` units each time.
    ///
    /// `lambda` and `service` are above 0; `servers` is 1 to 100000.
    ///
    /// # Errors
    /// An argument out of range, or [`TheoryError::Unstable`] when `lambda * service >= servers`.
    pub fn new(lambda: f64, service: f64, servers: u64) -> Result<Self, TheoryError> {
        positive("lambda", lambda)?;
        positive("service time", service)?;
        at_least_one("servers", servers)?;
        if servers > MAX_MDC_SERVERS {
            return Err(TheoryError::TooLarge {
                name: "servers",
                value: servers as f64,
                allowed: "100000 or fewer",
            });
        }
        let c = servers as f64;
        let offered = lambda * service;
        let rho = stable("utilization", offered / c)?;
        let roots = roots_inside(servers, rho);
        let mut log_product = 0.0;
        let mut inverse_sum = 0.0;
        for root in &roots {
            let gap = Complex::ONE - *root;
            log_product += gap.norm().ln();
            inverse_sum += gap.inverse().re;
        }
        // The probability that an arrival finds a server free.
        let log_free = (c - offered).ln() - log_product;
        let p_wait = (-log_free.exp_m1()).clamp(0.0, 1.0);
        let mean_queue = inverse_sum - (c * (c - 1.0) - offered * offered) / (2.0 * (c - offered));
        Ok(Self {
            lambda,
            service,
            servers,
            p_wait,
            mean_queue: mean_queue.max(0.0),
            at_most: queue_law(servers, rho, log_free, &roots),
        })
    }

    /// The share of the servers that is busy: lambda D / c, 0 to 1.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.lambda * self.service / self.servers as f64
    }

    /// The probability that an arrival waits.
    #[must_use]
    pub fn p_wait(&self) -> f64 {
        self.p_wait
    }

    /// Mean number waiting, Lq.
    #[must_use]
    pub fn mean_queue(&self) -> f64 {
        self.mean_queue
    }

    /// Mean wait before service, Wq = Lq / lambda, in the caller's unit.
    #[must_use]
    pub fn mean_wait(&self) -> f64 {
        self.mean_queue / self.lambda
    }

    /// Mean time in the system, W = Wq + D, in the caller's unit.
    #[must_use]
    pub fn mean_sojourn(&self) -> f64 {
        self.mean_wait() + self.service
    }

    fn law(&self) -> Result<&[f64], TheoryError> {
        self.at_most.as_deref().ok_or(TheoryError::TooLarge {
            name: "utilization",
            value: self.utilization(),
            allowed: "further below 1 for the law of the wait at this many servers",
        })
    }

    /// P(Wq <= t), to about 1e-13; 0 for t below 0.
    ///
    /// # Errors
    /// [`TheoryError::TooLarge`] where the load is so near 1, with so many servers, that the law of the
    /// queue length would take too long.
    pub fn wait_cdf(&self, t: f64) -> Result<f64, TheoryError> {
        Ok(cdf(self, self.law()?, t))
    }

    /// The `level` quantile of the wait, in the caller's unit; 0 where that share does not wait.
    ///
    /// # Errors
    /// `level` outside 0 (included) to 1 (excluded), or as for [`Mdc::wait_cdf`].
    pub fn wait_quantile(&self, level: f64) -> Result<f64, TheoryError> {
        quantile_level("quantile level", level)?;
        let law = self.law()?;
        if self.p_wait <= 1.0 - level {
            return Ok(0.0);
        }
        Ok(quantile_of_tail(level, self.service, |t| {
            1.0 - cdf(self, law, t)
        }))
    }

    /// P(W <= t) = P(Wq <= t - D).
    ///
    /// # Errors
    /// As for [`Mdc::wait_cdf`].
    pub fn sojourn_cdf(&self, t: f64) -> Result<f64, TheoryError> {
        self.wait_cdf(t - self.service)
    }

    /// The `level` quantile of wait plus service, in the caller's unit.
    ///
    /// # Errors
    /// As for [`Mdc::wait_quantile`].
    pub fn sojourn_quantile(&self, level: f64) -> Result<f64, TheoryError> {
        Ok(self.wait_quantile(level)? + self.service)
    }
}

/// Franx's sum: with k - 1 = floor(t / D) and u = k D - t, P(Wq <= t) is the probability that the number
/// waiting plus a Poisson(lambda u) number is at most k c - 1.
fn cdf(queue: &Mdc, at_most: &[f64], t: f64) -> f64 {
    if t.is_nan() || t < 0.0 {
        return 0.0;
    }
    let whole = (t / queue.service).floor();
    let places = (whole + 1.0) * queue.servers as f64 - 1.0;
    if places > 1e15 {
        return 1.0;
    }
    let limit = places as u64;
    let rest = ((whole + 1.0) * queue.service - t).clamp(0.0, queue.service);
    let mean = queue.lambda * rest;
    let last = (mean + 40.0 * mean.sqrt() + 60.0) as u64;
    let poisson = birth_death(last, |_| mean, |n| n as f64);
    poisson
        .mean(|j| match limit.checked_sub(j) {
            None => 0.0,
            Some(m) => usize::try_from(m)
                .ok()
                .and_then(|m| at_most.get(m))
                .copied()
                .unwrap_or(1.0),
        })
        .min(1.0)
}

/// The zeros of z^c - e^(c rho (z - 1)) strictly inside the unit circle.
fn roots_inside(servers: u64, rho: f64) -> Vec<Complex> {
    let c = servers as f64;
    (1..servers)
        .map(|k| {
            let turn = std::f64::consts::TAU * k as f64 / c;
            let image = |z: Complex| Complex::new(rho * (z.re - 1.0), rho * z.im + turn).exp();
            // A contraction by at least rho; Newton's steps then finish it.
            let mut z = Complex::new(0.0, 0.0);
            for _ in 0..20 {
                z = image(z);
            }
            for _ in 0..60 {
                let value = image(z);
                let slope = Complex::ONE - value.scale(rho);
                let step = (z - value) * slope.inverse();
                z = z - step;
                if step.norm() <= 1e-16 {
                    break;
                }
            }
            z
        })
        .collect()
}

/// The probabilities that at most m wait, m = 0, 1, ..., up to where the rest is below 1e-16.
fn queue_law(servers: u64, rho: f64, log_free: f64, roots: &[Complex]) -> Option<Vec<f64>> {
    // The tail falls by 1/tau a customer, tau > 1 with ln tau = rho (tau - 1).
    let excess = |tau: f64| rho * (tau - 1.0) - tau.ln();
    let (mut low, mut high) = (1.0 / rho, 2.0 / rho);
    while excess(high) < 0.0 {
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if excess(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let needed = (40.0 / low.ln()).ceil() + 8.0;
    if !needed.is_finite() || needed * servers as f64 > MAX_FACTORS {
        return None;
    }
    let points = (needed as usize).next_power_of_two();
    let c = servers as f64;
    let mut values = vec![Complex::ONE; points];
    for k in 1..=points / 2 {
        let angle = std::f64::consts::TAU * k as f64 / points as f64;
        let z = Complex::new(angle.cos(), angle.sin());
        let mut log = Complex::new(log_free, 0.0) + (z - Complex::ONE).ln();
        for root in roots {
            log = log + (z - *root).ln();
        }
        let turn = angle * c;
        let arrivals = Complex::new(c * rho * (z.re - 1.0), c * rho * z.im).exp();
        let denominator = Complex::new(turn.cos(), turn.sin()) - arrivals;
        let value = (log - denominator.ln()).exp();
        values[k] = value;
        values[points - k] = Complex::new(value.re, -value.im);
    }
    fft(&mut values);
    let mut sum = 0.0;
    Some(
        values
            .iter()
            .map(|value| {
                sum += value.re.max(0.0) / points as f64;
                f64::min(sum, 1.0)
            })
            .collect(),
    )
}

/// The M/D/1 queue: [`Mdc`] with one server, whose means have short closed forms.
#[derive(Clone, Debug)]
pub struct Md1(Mdc);

impl Md1 {
    /// A queue with `lambda` arrivals per unit and one server that takes `service` units each time.
    ///
    /// # Errors
    /// An argument that is not above 0, or [`TheoryError::Unstable`] when `lambda * service >= 1`.
    pub fn new(lambda: f64, service: f64) -> Result<Self, TheoryError> {
        Ok(Self(Mdc::new(lambda, service, 1)?))
    }

    /// The share of time that the server is busy: lambda D.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.0.utilization()
    }

    /// Mean wait, Wq = rho D / (2 (1 - rho)), in the caller's unit (Pollaczek 1930, Khinchin 1932).
    #[must_use]
    pub fn mean_wait(&self) -> f64 {
        let rho = self.utilization();
        rho * self.0.service / (2.0 * (1.0 - rho))
    }

    /// Mean time in the system, Wq + D, in the caller's unit.
    #[must_use]
    pub fn mean_sojourn(&self) -> f64 {
        self.mean_wait() + self.0.service
    }

    /// E\[Wq^2\] = 2 Wq^2 + lambda D^3 / (3 (1 - rho)), in the unit squared (Takacs 1962).
    #[must_use]
    pub fn wait_second_moment(&self) -> f64 {
        2.0 * self.mean_wait().powi(2)
            + self.0.lambda * self.0.service.powi(3) / (3.0 * (1.0 - self.utilization()))
    }

    /// P(Wq <= t): Erlang's law of 1909, in Franx's form without alternating signs.
    ///
    /// # Errors
    /// As for [`Mdc::wait_cdf`].
    pub fn wait_cdf(&self, t: f64) -> Result<f64, TheoryError> {
        self.0.wait_cdf(t)
    }

    /// The `level` quantile of the wait, in the caller's unit.
    ///
    /// # Errors
    /// As for [`Mdc::wait_quantile`].
    pub fn wait_quantile(&self, level: f64) -> Result<f64, TheoryError> {
        self.0.wait_quantile(level)
    }

    /// The `level` quantile of wait plus service, in the caller's unit.
    ///
    /// # Errors
    /// As for [`Mdc::wait_quantile`].
    pub fn sojourn_quantile(&self, level: f64) -> Result<f64, TheoryError> {
        self.0.sojourn_quantile(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_server_law_matches_erlangs_first_interval() {
        // For t below D, P(Wq <= t) = (1 - rho) e^(lambda t).
        let queue = Md1::new(0.8, 1.0).unwrap();
        for t in [0.0, 0.25, 0.9] {
            let exact = 0.2 * (0.8_f64 * t).exp();
            assert!((queue.wait_cdf(t).unwrap() - exact).abs() < 1e-13);
        }
        assert_eq!(queue.wait_cdf(-0.1).unwrap(), 0.0);
    }

    #[test]
    fn mean_agrees_with_the_closed_form() {
        let queue = Mdc::new(0.9, 1.0, 1).unwrap();
        assert!((queue.mean_wait() - 4.5).abs() < 1e-12);
        assert!((queue.p_wait() - 0.9).abs() < 1e-13);
    }

    #[test]
    fn many_servers_and_near_saturation() {
        let queue = Mdc::new(990.0, 1.0, 1000).unwrap();
        assert!(queue.mean_wait() > 0.0 && queue.mean_wait().is_finite());
        assert!(queue.wait_quantile(0.99).unwrap() > 0.0);
        assert!(Md1::new(0.9999, 1.0).unwrap().wait_quantile(0.99).unwrap() > 1e4);
        assert!(Mdc::new(4.0, 1.0, 4).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn quantile_inverts_cdf(c in 1_u64..20, rho in 0.2_f64..0.95, level in 0.1_f64..0.999) {
            let queue = Mdc::new(rho * c as f64 / 2.5, 2.5, c).unwrap();
            prop_assert!((1.0 - queue.wait_cdf(0.0).unwrap() - queue.p_wait()).abs() < 1e-11);
            let t = queue.wait_quantile(level).unwrap();
            if t > 0.0 {
                prop_assert!((queue.wait_cdf(t).unwrap() - level).abs() < 1e-10);
            } else {
                prop_assert!(queue.p_wait() <= 1.0 - level);
            }
        }

        #[test]
        fn waits_less_than_exponential_service(c in 1_u64..30, rho in 0.3_f64..0.97) {
            let lambda = rho * c as f64;
            let fixed = Mdc::new(lambda, 1.0, c).unwrap().mean_wait();
            let random = crate::theory::Mmc::new(lambda, 1.0, c).unwrap().mean_wait();
            prop_assert!(fixed <= random + 1e-12);
            prop_assert!(fixed >= 0.5 * random - 1e-12);
        }
    }
}
