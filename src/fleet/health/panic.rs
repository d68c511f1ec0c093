//! Priority levels and panic with the semantics of Envoy (`load_balancer_impl.cc`,
//! `LoadBalancerBase`).
//!
//! Where its documentation's tables and its source differ by rounding, this follows the source:
//! shares are cut to whole percents, and what is left goes to the first level with any health.

use rand::RngExt;

use crate::engine::SimRng;
use crate::scenario::health::Priorities as Config;

/// The hosts of one priority level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    /// All of them.
    pub hosts: u32,
    /// Those healthy, `hosts` at most.
    pub healthy: u32,
}

/// How traffic is shared among priority levels.
#[derive(Debug, Clone)]
pub struct PriorityLoad {
    config: Config,
    health: Vec<u64>,
    share: Vec<u64>,
    panic: Vec<bool>,
    total_health: u64,
}

impl PriorityLoad {
    /// The shares among levels (at least one, the preferred one first).
    pub fn new(config: &Config, levels: &[Level]) -> PriorityLoad {
        let mut load = PriorityLoad {
            config: *config,
            health: Vec::with_capacity(levels.len()),
            share: Vec::with_capacity(levels.len()),
            panic: Vec::with_capacity(levels.len()),
            total_health: 0,
        };
        load.update(levels);
        load
    }

    /// Works the shares out anew. To be called when the hosts or the health of a level change, not
    /// for each request.
    pub fn update(&mut self, levels: &[Level]) {
        let factor = u64::from(self.config.overprovisioning_factor_pct);
        let health = |level: &Level| match u64::from(level.hosts) {
            0 => 0,
            hosts => (factor * u64::from(level.healthy) / hosts).min(100),
        };
        self.health.clear();
        self.health.extend(levels.iter().map(health));
        self.total_health = self.health.iter().sum::<u64>().min(100);
        let threshold = u64::from(self.config.panic_threshold_pct);
        let calm = self.total_health == 100;
        self.panic.clear();
        self.panic
            .extend(levels.iter().map(|level| !calm && below(level, threshold)));
        self.share.clear();
        if self.panic.iter().all(|panic| *panic) {
            self.share_by_hosts(levels);
        } else {
            self.share_by_health();
        }
    }

    /// The share of traffic of a level, whole percents; those of all levels are 100 together.
    pub fn share_pct(&self, level: usize) -> u64 {
        self.share.get(level).copied().unwrap_or(0)
    }

    /// Whether a level is in panic: its traffic goes to all its hosts, or to none with
    /// `fail_traffic_on_panic`.
    pub fn in_panic(&self, level: usize) -> bool {
        self.panic.get(level).copied().unwrap_or(false)
    }

    /// Health of a level: 0 to 100.
    pub fn health(&self, level: usize) -> u64 {
        self.health.get(level).copied().unwrap_or(0)
    }

    /// Health of all levels together, 0 to 100 ("normalized total health").
    pub fn total_health(&self) -> u64 {
        self.total_health
    }

    /// Draws the level of a request.
    pub fn choose(&self, rng: &mut SimRng) -> usize {
        let drawn = rng.random_range(1..=100);
        let mut up_to = 0;
        let level = self.share.iter().position(|share| {
            up_to += share;
            drawn <= up_to
        });
        level.unwrap_or(0)
    }

    /// Each level takes what its health allows, in their order, until all traffic has a place.
    fn share_by_health(&mut self) {
        let mut left = 100;
        for health in &self.health {
            // Without any health in any level and without panic, there is nothing to divide by.
            let share = (health * 100).checked_div(self.total_health);
            let share = share.unwrap_or(0).min(left);
            self.share.push(share);
            left -= share;
        }
        let first = self.health.iter().position(|health| *health > 0);
        if let Some(share) = self.share.get_mut(first.unwrap_or(0)) {
            *share += left;
        }
    }

    /// All levels are in panic: health is not believed, and hosts are counted instead.
    fn share_by_hosts(&mut self, levels: &[Level]) {
        let hosts: u64 = levels.iter().map(|level| u64::from(level.hosts)).sum();
        let mut left = 100;
        for level in levels {
            let share = (100 * u64::from(level.hosts)).checked_div(hosts);
            let share = share.unwrap_or(0);
            self.share.push(share);
            left -= share;
        }
        let first = levels.iter().position(|level| level.hosts > 0);
        if let Some(share) = self.share.get_mut(first.unwrap_or(0)) {
            *share += left;
        }
    }
}

/// Whether a smaller share of a level than the threshold is healthy; a level without hosts has
/// none.
fn below(level: &Level, threshold_pct: u64) -> bool {
    match u64::from(level.hosts) {
        0 => threshold_pct > 0,
        hosts => 100 * u64::from(level.healthy) < threshold_pct * hosts,
    }
}
