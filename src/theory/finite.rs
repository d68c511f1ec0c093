//! Queues that cannot grow without bound: limited room, a limited population, customers who give up.

use super::erlang::{inverse_erlang_b, servers_in_range};
use super::numeric::{BirthDeath, birth_death};
use super::{TheoryError, at_least_one, positive};

/// The most waiting places, customers or states that these chains are solved for.
const MAX_STATES: u64 = 10_000_000;

fn states_in_range(name: &'static str, states: u64) -> Result<u64, TheoryError> {
    if states > MAX_STATES {
        return Err(TheoryError::TooLarge {
            name,
            value: states as f64,
            allowed: "10000000 or fewer",
        });
    }
    Ok(states)
}

/// The M/M/c/K queue: M/M/c with room for `capacity` customers in all, waiting and in service; an arrival
/// that finds it full is lost.
///
/// Source: Gross, Shortle, Thompson & Harris, 4th ed., ch. 2. The load may be any: rho >= 1 included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mmck {
    lambda: f64,
    mu: f64,
    servers: u64,
    p_loss: f64,
    p_busy: f64,
    mean_queue: f64,
}

impl Mmck {
    /// A queue with `lambda` arrivals per unit, `servers` servers of rate `mu` each and room for
    /// `capacity` customers in the system.
    ///
    /// Both rates are above 0; `servers` is 1 or more; `capacity` is at least `servers` and at most
    /// 10000000 above it.
    ///
    /// # Errors
    /// An argument out of range.
    pub fn new(lambda: f64, mu: f64, servers: u64, capacity: u64) -> Result<Self, TheoryError> {
        positive("lambda", lambda)?;
        positive("mu", mu)?;
        servers_in_range(servers)?;
        let Some(places) = capacity.checked_sub(servers) else {
            return Err(TheoryError::OutOfRange {
                name: "capacity",
                value: capacity as f64,
                allowed: "at least the number of servers",
            });
        };
        states_in_range("waiting places", places)?;
        let offered = lambda / mu;
        let rho = offered / servers as f64;
        // Weights of the states c ... K, the largest of them 1, and their moments.
        let ratio = if rho <= 1.0 { rho } else { 1.0 / rho };
        let (mut sum, mut moment, mut weight, mut last) = (0.0, 0.0, 1.0, 1.0);
        for step in 0..=places {
            let waiting = if rho <= 1.0 { step } else { places - step };
            sum += weight;
            moment += weight * waiting as f64;
            last = weight;
            weight *= ratio;
        }
        // The states below c weigh 1/B - 1 times state c.
        let (at_servers, at_capacity) = if rho <= 1.0 { (1.0, last) } else { (last, 1.0) };
        let below = if at_servers == 0.0 {
            0.0
        } else {
            (inverse_erlang_b(servers, offered) - 1.0) * at_servers
        };
        let total = below + sum;
        Ok(Self {
            lambda,
            mu,
            servers,
            p_loss: at_capacity / total,
            p_busy: sum / total,
            mean_queue: moment / total,
        })
    }

    /// The probability that an arrival is lost.
    #[must_use]
    pub fn p_loss(&self) -> f64 {
        self.p_loss
    }

    /// The probability that an accepted arrival has to wait.
    #[must_use]
    pub fn p_wait_accepted(&self) -> f64 {
        (self.p_busy - self.p_loss).max(0.0) / (1.0 - self.p_loss)
    }

    /// Customers accepted and served, lambda (1 - p_loss), per unit.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        self.lambda * (1.0 - self.p_loss)
    }

    /// The share of the servers that is busy, 0 to 1.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.throughput() / (self.servers as f64 * self.mu)
    }

    /// Mean number waiting, Lq.
    #[must_use]
    pub fn mean_queue(&self) -> f64 {
        self.mean_queue
    }

    /// Mean number in the system, L = Lq + throughput / mu.
    #[must_use]
    pub fn mean_in_system(&self) -> f64 {
        self.mean_queue + self.throughput() / self.mu
    }

    /// Mean wait of an accepted customer, Lq / throughput, in the caller's unit.
    #[must_use]
    pub fn mean_wait(&self) -> f64 {
        self.mean_queue / self.throughput()
    }

    /// Mean time in the system of an accepted customer, in the caller's unit.
    #[must_use]
    pub fn mean_sojourn(&self) -> f64 {
        self.mean_wait() + 1.0 / self.mu
    }
}

/// The closed M/M/c//N system (machine repair): `population` customers, each of whom thinks for a mean
/// time and then asks for one exponential service at `servers` servers.
///
/// Source: Gross et al., 4th ed., ch. 2; Reiser & Lavenberg 1980. Think times may follow any law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MachineRepair {
    population: u64,
    think: f64,
    servers: u64,
    throughput: f64,
    mean_in_system: f64,
    mean_queue: f64,
}

impl MachineRepair {
    /// A system of `population` customers (1 to 10000000) with a mean `think` time (above 0) and
    /// `servers` servers of rate `mu` (above 0) each.
    ///
    /// # Errors
    /// An argument out of range.
    pub fn new(population: u64, think: f64, mu: f64, servers: u64) -> Result<Self, TheoryError> {
        at_least_one("population", population)?;
        states_in_range("population", population)?;
        positive("think time", think)?;
        positive("mu", mu)?;
        servers_in_range(servers)?;
        let chain = birth_death(
            population,
            |n| population.saturating_sub(n) as f64 / think,
            |n| n.min(servers) as f64 * mu,
        );
        Ok(Self {
            population,
            think,
            servers,
            throughput: chain.mean(|n| n.min(servers) as f64) * mu,
            mean_in_system: chain.mean(|n| n as f64),
            mean_queue: chain.mean(|n| n.saturating_sub(servers) as f64),
        })
    }

    /// Services completed per unit.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        self.throughput
    }

    /// Mean number waiting or in service.
    #[must_use]
    pub fn mean_in_system(&self) -> f64 {
        self.mean_in_system
    }

    /// Mean number waiting.
    #[must_use]
    pub fn mean_queue(&self) -> f64 {
        self.mean_queue
    }

    /// The number of servers.
    #[must_use]
    pub fn servers(&self) -> u64 {
        self.servers
    }

    /// Mean time from request to answer, W = N / X - Z, in the caller's unit (response-time law).
    #[must_use]
    pub fn mean_sojourn(&self) -> f64 {
        self.population as f64 / self.throughput - self.think
    }

    /// Mean wait before service, Lq / X, in the caller's unit.
    #[must_use]
    pub fn mean_wait(&self) -> f64 {
        self.mean_queue / self.throughput
    }
}

/// Erlang A, M/M/c+M: M/M/c whose waiting customers give up after an exponential time of rate `theta`.
///
/// Source: Palm 1957; Garnett, Mandelbaum & Reiman 2002, MSOM 4:208. The load may be any.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErlangA {
    lambda: f64,
    theta: f64,
    mu: f64,
    servers: u64,
    p_wait: f64,
    mean_queue: f64,
}

impl ErlangA {
    /// A queue with `lambda` arrivals per unit, `servers` servers of rate `mu` each and a rate `theta` of
    /// giving up. All rates are above 0.
    ///
    /// # Errors
    /// An argument out of range, or so large a load over so small a `theta` that the queue would hold
    /// more than 10000000 customers.
    pub fn new(lambda: f64, mu: f64, servers: u64, theta: f64) -> Result<Self, TheoryError> {
        positive("lambda", lambda)?;
        positive("mu", mu)?;
        positive("theta", theta)?;
        servers_in_range(servers)?;
        let spare = servers as f64 * mu - lambda;
        // Around the level at which arrivals and departures balance, the number waiting spreads by about
        // sqrt(lambda / theta); without such a level it falls by a factor of rho or faster.
        let reach = (-spare).max(0.0) / theta + 60.0 * (lambda / theta).sqrt() + 1000.0;
        if reach > MAX_STATES as f64 || servers > MAX_STATES {
            return Err(TheoryError::TooLarge {
                name: "reach of the queue",
                value: reach,
                allowed: "10000000 or fewer states",
            });
        }
        let chain: BirthDeath = birth_death(
            servers + reach as u64,
            |_| lambda,
            |n| n.min(servers) as f64 * mu + n.saturating_sub(servers) as f64 * theta,
        );
        Ok(Self {
            lambda,
            theta,
            mu,
            servers,
            p_wait: chain.mean(|n| f64::from(u8::from(n >= servers))),
            mean_queue: chain.mean(|n| n.saturating_sub(servers) as f64),
        })
    }

    /// The probability that an arrival finds all servers busy.
    #[must_use]
    pub fn p_wait(&self) -> f64 {
        self.p_wait
    }

    /// The share of the arrivals that gives up: theta Lq / lambda.
    #[must_use]
    pub fn p_abandon(&self) -> f64 {
        self.theta * self.mean_queue / self.lambda
    }

    /// Mean number waiting.
    #[must_use]
    pub fn mean_queue(&self) -> f64 {
        self.mean_queue
    }

    /// Mean time spent waiting, over all arrivals whether served or not: Lq / lambda.
    #[must_use]
    pub fn mean_wait(&self) -> f64 {
        self.mean_queue / self.lambda
    }

    /// Customers served per unit: lambda (1 - P(abandon)).
    #[must_use]
    pub fn throughput(&self) -> f64 {
        self.lambda * (1.0 - self.p_abandon())
    }

    /// The share of the servers that is busy.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.throughput() / (self.servers as f64 * self.mu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::{Mmc, erlang_b};
    use proptest::prelude::*;

    #[test]
    fn extremes_stay_finite() {
        for (lambda, servers, capacity) in [
            (1e6, 10, 5000),
            (1e-3, 1000, 2000),
            (5.0, 5, 5000),
            (99_999.0, 100_000, 200_000),
        ] {
            let queue = Mmck::new(lambda, 1.0, servers, capacity).unwrap();
            assert!(queue.p_loss() >= 0.0 && queue.p_loss() < 1.0);
            assert!(queue.mean_in_system() <= capacity as f64 + 1e-6);
            assert!(queue.mean_wait().is_finite());
        }
        assert!(Mmck::new(1.0, 1.0, 4, 3).is_err());
        // Patience of 1000 services at twice the load: half of the arrivals give up.
        let queue = ErlangA::new(200.0, 1.0, 100, 0.001).unwrap();
        assert!((queue.p_abandon() - 0.5).abs() < 1e-6);
    }

    #[test]
    fn patience_equal_to_service_is_infinite_servers() {
        // With theta = mu the number in the system is Poisson(lambda / mu).
        let queue = ErlangA::new(3.0, 1.0, 2, 1.0).unwrap();
        let below = (-3.0_f64).exp() * 4.0;
        assert!((queue.p_wait() - (1.0 - below)).abs() < 1e-12);
    }

    #[test]
    fn a_server_each_means_no_waiting() {
        let system = MachineRepair::new(10, 4.0, 1.0, 10).unwrap();
        assert!((system.mean_sojourn() - 1.0).abs() < 1e-12);
        assert!(system.mean_wait().abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn no_waiting_room_is_erlang_b(c in 1_u64..200, a in 0.1_f64..400.0) {
            let queue = Mmck::new(a, 1.0, c, c).unwrap();
            let exact = erlang_b(c, a).unwrap();
            prop_assert!((queue.p_loss() - exact).abs() <= 1e-12 * exact);
        }

        #[test]
        fn much_room_is_mmc(c in 1_u64..50, rho in 0.1_f64..0.9) {
            let lambda = rho * c as f64;
            let queue = Mmck::new(lambda, 1.0, c, c + 2000).unwrap();
            let open = Mmc::new(lambda, 1.0, c).unwrap();
            prop_assert!((queue.mean_queue() - open.mean_queue()).abs() < 1e-9);
            prop_assert!((queue.mean_in_system() - queue.throughput() * queue.mean_sojourn()).abs() < 1e-9);
        }

        #[test]
        fn loss_grows_with_load(c in 1_u64..50, room in 0_u64..100, a in 0.1_f64..100.0) {
            let low = Mmck::new(a, 1.0, c, c + room).unwrap();
            let high = Mmck::new(a * 1.1, 1.0, c, c + room).unwrap();
            prop_assert!(high.p_loss() >= low.p_loss());
        }

        #[test]
        fn closed_system_keeps_its_population(n in 1_u64..300, c in 1_u64..40, think in 0.1_f64..20.0) {
            let system = MachineRepair::new(n, think, 1.0, c).unwrap();
            let thinking = system.throughput() * think;
            prop_assert!((thinking + system.mean_in_system() - n as f64).abs() < 1e-8);
        }
    }
}
