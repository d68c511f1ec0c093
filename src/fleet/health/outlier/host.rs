//! What outlier detection knows of one host.

use super::{Cause, HostResult};
use crate::engine::{SimDuration, SimTime};

/// Requests of one interval.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    total: u64,
    succeeded: u64,
}

/// One host's counters and ejections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Host {
    member: bool,
    ejected: bool,
    /// Errors in a row.
    row_5xx: u32,
    /// Gateway errors in a row.
    row_gateway: u32,
    /// The interval that is running.
    current: Bucket,
    /// The interval before.
    last: Bucket,
    /// Whether the interval before is compared with that of others: not ejected at its end.
    weighed: bool,
    /// An ejection lasts the base time so many times.
    multiplier: u64,
    ejected_at: SimTime,
    jitter: SimDuration,
    returned_at: Option<SimTime>,
}

impl Host {
    /// A member never seen before.
    pub fn new() -> Host {
        Host {
            member: true,
            ejected: false,
            row_5xx: 0,
            row_gateway: 0,
            current: Bucket::default(),
            last: Bucket::default(),
            weighed: false,
            multiplier: 0,
            ejected_at: SimTime::ZERO,
            jitter: SimDuration::ZERO,
            returned_at: None,
        }
    }

    /// No member.
    pub fn absent() -> Host {
        Host {
            member: false,
            ..Host::new()
        }
    }

    pub fn is_member(&self) -> bool {
        self.member
    }

    pub fn is_ejected(&self) -> bool {
        self.ejected
    }

    /// Counts a result and says which rows of errors just became long enough.
    pub fn count(
        &mut self,
        result: HostResult,
        gateway_limit: u32,
        limit: u32,
    ) -> [Option<Cause>; 2] {
        if !self.member {
            return [None; 2];
        }
        self.current.total += 1;
        if result == HostResult::Success {
            self.current.succeeded += 1;
            self.row_5xx = 0;
            self.row_gateway = 0;
            return [None; 2];
        }
        self.row_5xx = self.row_5xx.saturating_add(1);
        self.row_gateway = match result {
            HostResult::GatewayError => self.row_gateway.saturating_add(1),
            _ => 0,
        };
        // Exactly at the limit, as Envoy: a row that goes on while ejected is not found again.
        [
            (result == HostResult::GatewayError && self.row_gateway == gateway_limit)
                .then_some(Cause::ConsecutiveGatewayFailure),
            (self.row_5xx == limit).then_some(Cause::Consecutive5xx),
        ]
    }

    /// The row of errors that was found begins anew.
    pub fn reset_row(&mut self, cause: Cause) {
        match cause {
            Cause::Consecutive5xx => self.row_5xx = 0,
            Cause::ConsecutiveGatewayFailure => self.row_gateway = 0,
            Cause::SuccessRate | Cause::FailurePercentage => {}
        }
    }

    /// An interval ends and the next begins.
    pub fn next_bucket(&mut self) {
        self.last = std::mem::take(&mut self.current);
    }

    /// Settles whether the interval that ended is compared.
    pub fn weigh(&mut self) {
        self.weighed = self.member && !self.ejected && self.last.total > 0;
    }

    /// The success rate of the interval that ended, percent, if it is compared and had `volume`
    /// requests.
    pub fn success_pct(&self, volume: u64) -> Option<f64> {
        (self.weighed && self.last.total >= volume)
            .then(|| self.last.succeeded as f64 * 100.0 / self.last.total as f64)
    }

    /// Ejects the host. The multiplier grows until it reaches the longest ejection.
    pub fn eject(
        &mut self,
        now: SimTime,
        jitter: SimDuration,
        base: SimDuration,
        max: SimDuration,
    ) {
        self.ejected = true;
        self.ejected_at = now;
        self.jitter = jitter;
        if self.multiplier.saturating_mul(base.0) < max.0.saturating_add(base.0) {
            self.multiplier += 1;
        }
    }

    /// Whether the host is ejected and its time is over.
    pub fn ends_by(&self, now: SimTime, base: SimDuration, max: SimDuration) -> bool {
        let length = SimDuration(self.multiplier.saturating_mul(base.0).min(max.0)) + self.jitter;
        self.ejected && now.since(self.ejected_at) >= length
    }

    /// Ends the ejection.
    pub fn bring_back(&mut self, now: SimTime) {
        self.ejected = false;
        self.row_5xx = 0;
        self.row_gateway = 0;
        self.returned_at = Some(now);
    }

    /// Takes one from the multiplier if the host has been back for an interval.
    pub fn decay(&mut self, now: SimTime, interval: SimDuration) {
        let settled = |at: SimTime| now.since(at) >= interval;
        if !self.ejected && self.returned_at.is_some_and(settled) {
            self.multiplier = self.multiplier.saturating_sub(1);
        }
    }
}
