//! Outlier detection with the semantics of Envoy (`outlier_detection_impl.cc`).

mod host;

use rand::RngExt;

use self::host::Host;
use crate::engine::{SimDuration, SimRng, SimTime};
use crate::scenario::health::OutlierDetection as Config;

/// How a request to a host ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostResult {
    /// No server error.
    Success,
    /// A server error that is none of the gateway's: 500, 501, ...
    ServerError,
    /// 502, 503 or 504: also a refused connection (503) and a timeout (504).
    GatewayError,
}

/// Why a host was found to be an outlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Too many errors in a row.
    Consecutive5xx,
    /// Too many gateway errors in a row.
    ConsecutiveGatewayFailure,
    /// A success rate far below that of the others.
    SuccessRate,
    /// Too large a share of failures.
    FailurePercentage,
}

/// A host that is ejected, or comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// No longer used.
    Ejected {
        /// Its index.
        host: u32,
        /// Why.
        cause: Cause,
    },
    /// Used again.
    Returned {
        /// Its index.
        host: u32,
    },
}

/// Detects outliers among the hosts of one cluster, each known by its index.
///
/// [`OutlierDetector::on_interval`] is to be called at [`OutlierDetector::next_interval`]; only
/// then, or when an active check passes, does a host come back. Hosts are looked at in the order of
/// their indices, where Envoy's order is that of a hash map.
#[derive(Debug, Clone)]
pub struct OutlierDetector {
    rules: Rules,
    hosts: Vec<Host>,
    members: u32,
    ejected: u32,
    next_interval: SimTime,
    ejections: u64,
    overflows: u64,
}

#[derive(Debug, Clone, Copy)]
struct Rules {
    config: Config,
    interval: SimDuration,
    base: SimDuration,
    max: SimDuration,
    jitter: SimDuration,
}

impl OutlierDetector {
    /// A detector over `hosts` hosts, none ejected, whose first sweep is one interval after `now`.
    pub fn new(config: &Config, hosts: u32, now: SimTime) -> OutlierDetector {
        let rules = Rules {
            config: *config,
            interval: SimDuration::from_secs_f64(config.interval_s),
            base: SimDuration::from_secs_f64(config.base_ejection_time_s),
            max: SimDuration::from_secs_f64(config.max_ejection_time_s()),
            jitter: SimDuration::from_secs_f64(config.max_ejection_time_jitter_s),
        };
        OutlierDetector {
            rules,
            hosts: vec![Host::new(); hosts as usize],
            members: hosts,
            ejected: 0,
            next_interval: now + rules.interval,
            ejections: 0,
            overflows: 0,
        }
    }

    /// Whether a host is ejected; one that is no member is not.
    pub fn is_ejected(&self, host: u32) -> bool {
        self.hosts.get(host as usize).is_some_and(Host::is_ejected)
    }

    /// Hosts ejected now.
    pub fn ejected(&self) -> u32 {
        self.ejected
    }

    /// Hosts that are members now.
    pub fn members(&self) -> u32 {
        self.members
    }

    /// Ejections so far.
    pub fn ejections(&self) -> u64 {
        self.ejections
    }

    /// Outliers that were not ejected because too many hosts already were.
    pub fn overflows(&self) -> u64 {
        self.overflows
    }

    /// When the next sweep is due.
    pub fn next_interval(&self) -> SimTime {
        self.next_interval
    }

    /// A host joins (as one never seen before) or leaves (its ejection is forgotten).
    pub fn set_member(&mut self, host: u32, present: bool) {
        let index = host as usize;
        if index >= self.hosts.len() {
            if !present {
                return;
            }
            self.hosts.resize(index + 1, Host::absent());
        }
        let place = &mut self.hosts[index];
        if place.is_member() == present {
            return;
        }
        if present {
            *place = Host::new();
            self.members += 1;
        } else {
            self.ejected -= u32::from(place.is_ejected());
            *place = Host::absent();
            self.members -= 1;
        }
    }

    /// A request to a host ended.
    pub fn on_result(
        &mut self,
        host: u32,
        result: HostResult,
        now: SimTime,
        rng: &mut SimRng,
    ) -> Option<Change> {
        let config = self.rules.config;
        let place = self.hosts.get_mut(host as usize)?;
        let found = place.count(
            result,
            config.consecutive_gateway_failure,
            config.consecutive_5xx,
        );
        // Gateway failures come first; a host that they eject is not looked at again.
        let mut change = None;
        for cause in found.into_iter().flatten() {
            if self.is_ejected(host) {
                break;
            }
            change = self.eject(host, cause, now, rng);
            // Also where it was not ejected: it may come to as many errors again.
            self.hosts[host as usize].reset_row(cause);
        }
        change
    }

    /// The sweep: ejections that are over end, rates of the interval are judged, and multipliers of
    /// hosts that stayed healthy go down. Appends what changed to `changes`.
    pub fn on_interval(&mut self, now: SimTime, rng: &mut SimRng, changes: &mut Vec<Change>) {
        for host in 0..self.hosts.len() as u32 {
            let place = &mut self.hosts[host as usize];
            place.next_bucket();
            if place.ends_by(now, self.rules.base, self.rules.max) {
                changes.extend(self.bring_back(host, now));
            }
        }
        self.judge_rates(now, rng, changes);
        for place in &mut self.hosts {
            place.decay(now, self.rules.interval);
        }
        self.next_interval = now + self.rules.interval;
    }

    /// The next sweep is one interval later: for one that has nothing to judge and nobody to bring
    /// back, and is not made.
    pub fn skip_interval(&mut self) {
        self.next_interval += self.rules.interval;
    }

    /// Ends the ejection of a host, as Envoy does when an active check of it passes.
    pub fn bring_back(&mut self, host: u32, now: SimTime) -> Option<Change> {
        let place = self.hosts.get_mut(host as usize)?;
        if !place.is_ejected() {
            return None;
        }
        place.bring_back(now);
        self.ejected -= 1;
        Some(Change::Returned { host })
    }

    /// Success rates and failure shares of the interval that just ended.
    fn judge_rates(&mut self, now: SimTime, rng: &mut SimRng, changes: &mut Vec<Change>) {
        let config = self.rules.config;
        // Which hosts are compared is settled before the first is ejected.
        let (by_rate, by_share) = (
            u64::from(config.success_rate_request_volume),
            u64::from(config.failure_percentage_request_volume),
        );
        let (mut rated, mut shared, mut sum) = (0_u32, 0_u32, 0.0);
        for place in &mut self.hosts {
            place.weigh();
            if let Some(rate) = place.success_pct(by_rate) {
                rated += 1;
                sum += rate;
            }
            shared += u32::from(place.success_pct(by_share).is_some());
        }
        if rated > 0 && rated >= config.success_rate_minimum_hosts {
            let threshold = self.success_rate_threshold(by_rate, sum / f64::from(rated), rated);
            let below = |rate: f64| rate < threshold;
            self.eject_where(by_rate, below, Cause::SuccessRate, now, rng, changes);
        }
        if shared > 0 && shared >= config.failure_percentage_minimum_hosts {
            let limit = f64::from(config.failure_percentage_threshold_pct);
            let failing = |rate: f64| 100.0 - rate >= limit;
            let cause = Cause::FailurePercentage;
            self.eject_where(by_share, failing, cause, now, rng, changes);
        }
    }

    /// Mean less so many standard deviations (of the hosts, not of a sample), percent.
    fn success_rate_threshold(&self, volume: u64, mean: f64, rated: u32) -> f64 {
        let rates = self
            .hosts
            .iter()
            .filter_map(|host| host.success_pct(volume));
        let squares: f64 = rates.map(|rate| (rate - mean) * (rate - mean)).sum();
        let deviation = (squares / f64::from(rated)).sqrt();
        mean - f64::from(self.rules.config.success_rate_stdev_factor) / 1_000.0 * deviation
    }

    fn eject_where(
        &mut self,
        volume: u64,
        outlies: impl Fn(f64) -> bool,
        cause: Cause,
        now: SimTime,
        rng: &mut SimRng,
        changes: &mut Vec<Change>,
    ) {
        for host in 0..self.hosts.len() as u32 {
            let place = &self.hosts[host as usize];
            let outlier = place.success_pct(volume).is_some_and(&outlies);
            if outlier && !place.is_ejected() {
                changes.extend(self.eject(host, cause, now, rng));
            }
        }
    }

    /// Ejects an outlier if not too many are already and chance has it so.
    fn eject(&mut self, host: u32, cause: Cause, now: SimTime, rng: &mut SimRng) -> Option<Change> {
        let config = &self.rules.config;
        let after = 100 * (u64::from(self.ejected) + 1);
        let fits = after <= u64::from(config.max_ejection_pct) * u64::from(self.members);
        let only_one = config.always_eject_one_host && self.ejected == 0;
        if !(fits || only_one) {
            self.overflows += 1;
            return None;
        }
        if !self.rules.enforces(cause, rng) {
            return None;
        }
        let jitter = self.rules.draw_jitter(rng);
        self.hosts[host as usize].eject(now, jitter, self.rules.base, self.rules.max);
        self.ejected += 1;
        self.ejections += 1;
        Some(Change::Ejected { host, cause })
    }
}

impl Rules {
    /// Chance is asked only where it can go both ways.
    fn enforces(&self, cause: Cause, rng: &mut SimRng) -> bool {
        let pct = match cause {
            Cause::Consecutive5xx => self.config.enforcing_consecutive_5xx_pct,
            Cause::ConsecutiveGatewayFailure => {
                self.config.enforcing_consecutive_gateway_failure_pct
            }
            Cause::SuccessRate => self.config.enforcing_success_rate_pct,
            Cause::FailurePercentage => self.config.enforcing_failure_percentage_pct,
        };
        match pct {
            0 => false,
            100.. => true,
            pct => rng.random_range(0..100) < pct,
        }
    }

    fn draw_jitter(&self, rng: &mut SimRng) -> SimDuration {
        if self.jitter == SimDuration::ZERO {
            return SimDuration::ZERO;
        }
        SimDuration(rng.random_range(0..=self.jitter.0))
    }
}
