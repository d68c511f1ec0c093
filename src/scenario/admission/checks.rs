//! Checks of everything about admission.

use super::{
    Admission, ConcurrencyLimit, LoadSignal, QueueControl, QueueOrder, Quota, QuotaUnit,
    QuotaWindow, RateLimits, Shedding, Tenant, WaitingRoom,
};
use crate::scenario::problems::Problems;
use crate::scenario::suggest::nearest;
use crate::scenario::validate::{MOST_MS, MOST_PER_S, MOST_S};

/// Most units of a burst, a bound or a quota.
const MOST_UNITS: u64 = 1_000_000_000_000;
/// Highest limit on concurrency: no more can be in flight.
const MOST_IN_FLIGHT: u64 = 1_000_000_000;
/// Most tenants: each has a place in memory.
const MOST_TENANTS: usize = 1_000_000;
/// Heaviest weight beside the lightest possible one.
const MOST_WEIGHT: f64 = 1e6;

impl Admission {
    /// Notes every value out of range. `tiers` are the names of the scenario's tiers.
    pub fn check(&self, at: &str, tiers: &[&str], problems: &mut Problems<'_>) {
        if let Some(rate) = &self.rate {
            rate.check(&format!("{at}.rate"), problems);
        }
        if let Some(limit) = &self.concurrency {
            limit.check(&format!("{at}.concurrency"), problems);
        }
        if let Some(room) = &self.waiting_room {
            room.check(&format!("{at}.waiting_room"), tiers, problems);
        }
        if let Some(shedding) = &self.shedding {
            shedding.check(&format!("{at}.shedding"), tiers, problems);
        }
        if let Some(control) = &self.by_success {
            control.check(&format!("{at}.by_success"), problems);
        }
        let path = format!("{at}.expected_output_tokens");
        let expected = u64::from(self.expected_output_tokens);
        problems.int_in_range(&path, expected, 0, 10_000_000);
        let list = format!("{at}.tenants");
        if self.tenants.len() > MOST_TENANTS {
            let allowed = "must be 1,000,000 tenants at most";
            problems.push(&list, self.tenants.len(), allowed, "merge some");
        }
        problems.unique(
            &list,
            self.tenants.iter().map(|tenant| tenant.name.as_str()),
        );
        for (index, tenant) in self.tenants.iter().enumerate() {
            tenant.check(&format!("{list}.{index}"), problems);
        }
    }
}

impl RateLimits {
    /// Notes every value out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        if self.requests.is_none() && self.tokens.is_none() {
            let remedy = "state requests or tokens, or leave the table out";
            problems.push(at, "", "must limit something", remedy);
        }
        for (field, bucket) in [("requests", self.requests), ("tokens", self.tokens)] {
            if let Some(bucket) = bucket {
                problems.positive(&format!("{at}.{field}.per_s"), bucket.per_s, MOST_PER_S);
                let most = MOST_UNITS as f64;
                problems.in_range(&format!("{at}.{field}.burst"), bucket.burst, 1.0, most);
            }
        }
    }
}

impl ConcurrencyLimit {
    /// Notes every value out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        let mut count = |field: &str, value: u32, low: u32| {
            problems.int_in_range(&path(field), value.into(), low.into(), MOST_IN_FLIGHT)
        };
        match *self {
            ConcurrencyLimit::Fixed { limit } => {
                count("limit", limit, 1);
            }
            ConcurrencyLimit::Aimd {
                initial,
                min,
                max,
                backoff_ratio,
                timeout_ms,
            } => {
                // A limit of 0 lets nothing in, and then nothing can raise it.
                if count("min", min, 1) && count("max", max, min) {
                    let path = path("initial");
                    problems.int_in_range(&path, initial.into(), min.into(), max.into());
                }
                check_backoff(&path("backoff_ratio"), backoff_ratio, problems);
                problems.positive(&path("timeout_ms"), timeout_ms, MOST_MS);
            }
            ConcurrencyLimit::Gradient {
                update_interval_ms,
                min_rtt_interval_s,
                min_rtt_requests,
                min_rtt_jitter_pct,
                min_rtt_buffer_pct,
                min_concurrency,
                max_limit,
                percentile,
            } => {
                count("min_rtt_requests", min_rtt_requests, 1);
                if count("min_concurrency", min_concurrency, 1) {
                    count("max_limit", max_limit, min_concurrency);
                }
                // Envoy asks for a millisecond at least.
                problems.in_range(
                    &path("update_interval_ms"),
                    update_interval_ms,
                    1.0,
                    MOST_MS,
                );
                problems.in_range(
                    &path("min_rtt_interval_s"),
                    min_rtt_interval_s,
                    1e-3,
                    MOST_S,
                );
                problems.non_negative(&path("min_rtt_jitter_pct"), min_rtt_jitter_pct, 100.0);
                problems.non_negative(&path("min_rtt_buffer_pct"), min_rtt_buffer_pct, 100.0);
                problems.non_negative(&path("percentile"), percentile, 100.0);
            }
            ConcurrencyLimit::Vegas {
                initial,
                max,
                smoothing,
                probe_multiplier,
            } => {
                if count("max", max, 1) {
                    problems.int_in_range(&path("initial"), initial.into(), 1, max.into());
                }
                problems.positive(&path("smoothing"), smoothing, 1.0);
                let most = 1_000_000;
                problems.int_in_range(&path("probe_multiplier"), probe_multiplier.into(), 1, most);
            }
        }
    }
}

fn check_backoff(path: &str, ratio: f64, problems: &mut Problems<'_>) {
    if !(0.5..1.0).contains(&ratio) {
        let allowed = "must be 0.5 to below 1";
        problems.push(path, ratio, allowed, "change it to a value in this range");
    }
}

impl WaitingRoom {
    /// Notes every value out of range. `tiers` are the names of the scenario's tiers.
    pub fn check(&self, at: &str, tiers: &[&str], problems: &mut Problems<'_>) {
        let mut bound = |at: &str, requests: Option<u32>, tokens: Option<u64>| {
            if let Some(most) = requests {
                let path = format!("{at}.requests");
                problems.int_in_range(&path, most.into(), 0, MOST_IN_FLIGHT);
            }
            if let Some(most) = tokens {
                problems.int_in_range(&format!("{at}.tokens"), most, 0, MOST_UNITS);
            }
        };
        bound(
            &format!("{at}.bound"),
            self.bound.requests,
            self.bound.tokens,
        );
        for (index, tier) in self.tiers.iter().enumerate() {
            bound(&format!("{at}.tiers.{index}"), tier.requests, tier.tokens);
        }
        let named = self.tiers.iter().map(|tier| tier.tier.as_str());
        check_tier_names(&format!("{at}.tiers"), named, tiers, problems);
        if let QueueOrder::Priority {
            aging_s: Some(aging),
        } = self.order
        {
            problems.positive(&format!("{at}.order.aging_s"), aging, MOST_S);
        }
        if let Some(control) = &self.control {
            control.check(&format!("{at}.control"), problems);
        }
    }
}

impl QueueControl {
    /// Notes every value out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let (QueueControl::Codel {
            target_ms,
            interval_ms,
        }
        | QueueControl::ControlledDelay {
            target_ms,
            interval_ms,
        }
        | QueueControl::Slough {
            target_ms,
            interval_ms,
        }) = *self;
        if problems.positive(&format!("{at}.interval_ms"), interval_ms, MOST_MS) {
            let path = format!("{at}.target_ms");
            if problems.positive(&path, target_ms, MOST_MS) && target_ms > interval_ms {
                let allowed = format!("must be at most interval_ms = {interval_ms}");
                problems.push(&path, target_ms, &allowed, "lower it, or raise interval_ms");
            }
        }
    }
}

impl Shedding {
    /// Notes every value out of range. `tiers` are the names of the scenario's tiers.
    pub fn check(&self, at: &str, tiers: &[&str], problems: &mut Problems<'_>) {
        match self {
            Shedding::ByTier {
                signal,
                tiers: shed,
            } => {
                signal.check(&format!("{at}.signal"), problems);
                let named = shed.iter().map(|tier| tier.tier.as_str());
                check_tier_names(&format!("{at}.tiers"), named, tiers, problems);
                for (index, tier) in shed.iter().enumerate() {
                    let path = |field: &str| format!("{at}.tiers.{index}.{field}");
                    let fine = problems.non_negative(&path("above"), tier.above, 1e6);
                    if let (true, Some(all_from)) = (fine, tier.all_from) {
                        problems.in_range(&path("all_from"), all_from, tier.above, 1e6);
                    }
                }
            }
            Shedding::Probabilistic {
                signal,
                exponent,
                factor,
            } => {
                signal.check(&format!("{at}.signal"), problems);
                problems.positive(&format!("{at}.exponent"), *exponent, 100.0);
                problems.positive(&format!("{at}.factor"), *factor, 1e9);
            }
        }
    }
}

impl LoadSignal {
    /// Notes every value out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        match *self {
            LoadSignal::Saturation { queue_depth, kv } => {
                problems.positive(&format!("{at}.queue_depth"), queue_depth, 1e9);
                problems.positive(&format!("{at}.kv"), kv, 1.0);
            }
            LoadSignal::KvUse {} => {}
            LoadSignal::Queue { limit } => {
                problems.positive(&format!("{at}.limit"), limit, 1e9);
            }
        }
    }
}

impl Tenant {
    /// Notes every value out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        problems.name(&format!("{at}.name"), &self.name);
        let low = 1.0 / MOST_WEIGHT;
        problems.in_range(&format!("{at}.weight"), self.weight, low, MOST_WEIGHT);
        for (index, quota) in self.quotas.iter().enumerate() {
            quota.check(&format!("{at}.quotas.{index}"), problems);
        }
    }
}

impl Quota {
    /// Notes every value out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let most = match self.of {
            QuotaUnit::Requests => MOST_IN_FLIGHT,
            QuotaUnit::Tokens => MOST_UNITS,
        };
        problems.int_in_range(&format!("{at}.amount"), self.amount, 1, most);
        problems.in_range(&format!("{at}.window_s"), self.window_s, 1e-3, MOST_S);
        if let QuotaWindow::Sliding { cells } = self.window {
            problems.int_in_range(&format!("{at}.window.cells"), cells.into(), 1, 10_000);
        }
    }
}

/// The names of a list of tables about tiers must differ, and each must be a tier's.
fn check_tier_names<'n>(
    list: &str,
    named: impl Iterator<Item = &'n str>,
    tiers: &[&str],
    problems: &mut Problems<'_>,
) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, name) in named.enumerate() {
        let path = format!("{list}.{index}.tier");
        if !tiers.contains(&name) {
            let remedy = match nearest(name, tiers.iter().copied()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => "add a [[tiers]] table of this name".to_owned(),
            };
            let allowed = "must be the name of a tier";
            problems.push(&path, format!("{name:?}"), allowed, &remedy);
        } else if seen.contains(&name) {
            let remedy = "merge the two tables";
            problems.push(&path, format!("{name:?}"), "is stated twice", remedy);
        }
        seen.push(name);
    }
}
