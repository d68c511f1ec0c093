//! Active health checks with the semantics of Envoy (`health_checker_base_impl.cc`).

use rand::RngExt;

use crate::engine::time::NS_PER_MS;
use crate::engine::{SimDuration, SimRng, SimTime};
use crate::scenario::health::ActiveCheck as Config;

/// How a check of a host ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// The right answer in time.
    Passed,
    /// A wrong answer (such as status 503): the host itself says that it is not well.
    WrongAnswer,
    /// No answer: a timeout, or a connection refused or broken.
    NoAnswer,
}

/// What checks say of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It gets traffic.
    Healthy,
    /// It does not; also before its first check.
    Unhealthy,
}

/// What follows from a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// The host's health, if the check changed it.
    pub change: Option<Health>,
    /// When the next check of the host starts.
    pub next: SimTime,
}

/// The checks of the hosts of one cluster, each known by its index.
///
/// The caller starts a check at [`ActiveChecks::first`], gives it up after
/// [`ActiveChecks::timeout`], reports its end to [`ActiveChecks::on_probe`] and starts the next when
/// that says so.
#[derive(Debug, Clone)]
pub struct ActiveChecks {
    rules: Rules,
    hosts: Vec<Host>,
    healthy: u32,
}

#[derive(Debug, Clone, Copy)]
struct Host {
    healthy: bool,
    checked: bool,
    /// Passed in a row while unhealthy.
    passed: u32,
    /// Unanswered in a row while healthy.
    unanswered: u32,
}

impl Host {
    const NEW: Host = Host {
        healthy: false,
        checked: false,
        passed: 0,
        unanswered: 0,
    };
}

#[derive(Debug, Clone, Copy)]
struct Rules {
    timeout: SimDuration,
    healthy_threshold: u32,
    unhealthy_threshold: u32,
    initial_jitter: SimDuration,
    jitter: SimDuration,
    jitter_pct: u64,
    interval: SimDuration,
    healthy_edge: SimDuration,
    unhealthy: SimDuration,
    unhealthy_edge: SimDuration,
}

impl ActiveChecks {
    /// Checks of `hosts` hosts, all unhealthy until their first.
    pub fn new(config: &Config, hosts: u32) -> ActiveChecks {
        let seconds = SimDuration::from_secs_f64;
        let unhealthy = config.unhealthy_interval_s.unwrap_or(config.interval_s);
        ActiveChecks {
            rules: Rules {
                timeout: seconds(config.timeout_s),
                healthy_threshold: config.healthy_threshold,
                unhealthy_threshold: config.unhealthy_threshold,
                initial_jitter: seconds(config.initial_jitter_s),
                jitter: seconds(config.interval_jitter_s),
                jitter_pct: u64::from(config.interval_jitter_pct),
                interval: seconds(config.interval_s),
                healthy_edge: seconds(config.healthy_edge_interval_s.unwrap_or(config.interval_s)),
                unhealthy: seconds(unhealthy),
                unhealthy_edge: seconds(config.unhealthy_edge_interval_s.unwrap_or(unhealthy)),
            },
            hosts: vec![Host::NEW; hosts as usize],
            healthy: 0,
        }
    }

    /// When the first check of a host that joins at `now` starts.
    pub fn first(&self, now: SimTime, rng: &mut SimRng) -> SimTime {
        now + uniform_below(self.rules.initial_jitter, rng)
    }

    /// How long a check may take.
    pub fn timeout(&self) -> SimDuration {
        self.rules.timeout
    }

    /// Whether a host counts as healthy.
    pub fn is_healthy(&self, host: u32) -> bool {
        self.hosts
            .get(host as usize)
            .is_some_and(|host| host.healthy)
    }

    /// Hosts that count as healthy.
    pub fn healthy(&self) -> u32 {
        self.healthy
    }

    /// Forgets a host (it left, or another takes its index): it is as one never checked.
    pub fn forget(&mut self, host: u32) {
        let index = host as usize;
        if index >= self.hosts.len() {
            self.hosts.resize(index + 1, Host::NEW);
        }
        self.healthy -= u32::from(self.hosts[index].healthy);
        self.hosts[index] = Host::NEW;
    }

    /// A check of a host ended at `now`. None for a host that is not known.
    pub fn on_probe(
        &mut self,
        host: u32,
        probe: Probe,
        now: SimTime,
        rng: &mut SimRng,
    ) -> Option<Checked> {
        let rules = self.rules;
        let place = self.hosts.get_mut(host as usize)?;
        let before = place.healthy;
        let interval = match probe {
            Probe::Passed => place.pass(&rules),
            Probe::WrongAnswer => place.fail(true, &rules),
            Probe::NoAnswer => place.fail(false, &rules),
        };
        let change = match (before, place.healthy) {
            (false, true) => Some(Health::Healthy),
            (true, false) => Some(Health::Unhealthy),
            _ => None,
        };
        match change {
            Some(Health::Healthy) => self.healthy += 1,
            Some(Health::Unhealthy) => self.healthy -= 1,
            None => {}
        }
        let next = now + rules.jittered(interval, rng);
        Some(Checked { change, next })
    }
}

impl Host {
    /// A check passed; returns the interval to the next.
    fn pass(&mut self, rules: &Rules) -> SimDuration {
        self.unanswered = 0;
        let first = !std::mem::replace(&mut self.checked, true);
        if self.healthy {
            return rules.interval;
        }
        // The first check makes a host healthy at once, for a quick start.
        if !first {
            self.passed += 1;
        }
        self.healthy = first || self.passed == rules.healthy_threshold;
        if self.healthy {
            rules.interval
        } else {
            rules.healthy_edge
        }
    }

    /// A check failed; returns the interval to the next.
    fn fail(&mut self, at_once: bool, rules: &Rules) -> SimDuration {
        self.passed = 0;
        self.checked = true;
        if !self.healthy {
            return rules.unhealthy;
        }
        if !at_once {
            self.unanswered += 1;
        }
        self.healthy = !at_once && self.unanswered < rules.unhealthy_threshold;
        if self.healthy {
            rules.unhealthy_edge
        } else {
            rules.unhealthy
        }
    }
}

impl Rules {
    /// An interval with its random parts, never less than a millisecond.
    fn jittered(&self, interval: SimDuration, rng: &mut SimRng) -> SimDuration {
        let share = u128::from(interval.0) * u128::from(self.jitter_pct) / 100;
        let share = SimDuration(u64::try_from(share).unwrap_or(u64::MAX));
        let by_share = uniform_below(share, rng);
        let time = interval + by_share + uniform_below(self.jitter, rng);
        time.max(SimDuration(NS_PER_MS))
    }
}

/// A time below `most`; nothing is drawn where that is zero.
fn uniform_below(most: SimDuration, rng: &mut SimRng) -> SimDuration {
    if most == SimDuration::ZERO {
        return SimDuration::ZERO;
    }
    SimDuration(rng.random_range(0..most.0))
}
