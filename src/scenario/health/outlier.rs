//! Passive health: hosts unlike the others are ejected.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check_pct;
use crate::scenario::problems::Problems;
use crate::scenario::validate::MOST_S;

/// Outlier detection with the semantics and defaults of Envoy (`outlier_detection.proto`). Errors
/// of the host and of the way to it are not told apart (`split_external_local_origin_errors` false).
///
/// With `max_ejection_pct` 10 and `always_eject_one_host` false a pool of fewer than 10 hosts never
/// loses one: the share after the ejection is what counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutlierDetection {
    /// Errors in a row that make an outlier, at least 1. Default 5.
    pub consecutive_5xx: u32,
    /// Chance that such an outlier is ejected, percent. Default 100.
    pub enforcing_consecutive_5xx_pct: u32,
    /// Gateway errors (502, 503, 504: also refused connections and timeouts) in a row that make an
    /// outlier, at least 1. Default 5.
    pub consecutive_gateway_failure: u32,
    /// Chance that such an outlier is ejected, percent. Default 0.
    pub enforcing_consecutive_gateway_failure_pct: u32,
    /// Time between two sweeps, which judge rates and end ejections, seconds. Default 10.
    pub interval_s: f64,
    /// An ejection lasts this times the number of ejections (one less for each sweep that finds
    /// the host healthy), seconds. Default 30.
    pub base_ejection_time_s: f64,
    /// Longest ejection without its jitter, seconds, at least `base_ejection_time_s`. Default: the
    /// greater of 300 and `base_ejection_time_s`.
    pub max_ejection_time_s: Option<f64>,
    /// Most that is added at random to an ejection, seconds. Default 0.
    pub max_ejection_time_jitter_s: f64,
    /// Largest share of hosts ejected at a time, percent. Default 10.
    pub max_ejection_pct: u32,
    /// Whether one host may be ejected even when that is more than `max_ejection_pct`.
    /// Default false.
    pub always_eject_one_host: bool,
    /// Success rates are compared when this many hosts have the volume. Default 5.
    pub success_rate_minimum_hosts: u32,
    /// Requests of a host between two sweeps for its success rate to count. Default 100.
    pub success_rate_request_volume: u32,
    /// Outliers are below mean less this many thousandths of a standard deviation. Default 1900.
    pub success_rate_stdev_factor: u32,
    /// Chance that such an outlier is ejected, percent. Default 100.
    pub enforcing_success_rate_pct: u32,
    /// Outliers fail this share of requests or more, percent. Default 85.
    pub failure_percentage_threshold_pct: u32,
    /// Failure shares are judged when this many hosts have the volume. Default 5.
    pub failure_percentage_minimum_hosts: u32,
    /// Requests of a host between two sweeps for its failure share to count. Default 50.
    pub failure_percentage_request_volume: u32,
    /// Chance that such an outlier is ejected, percent. Default 0.
    pub enforcing_failure_percentage_pct: u32,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        OutlierDetection {
            consecutive_5xx: 5,
            enforcing_consecutive_5xx_pct: 100,
            consecutive_gateway_failure: 5,
            enforcing_consecutive_gateway_failure_pct: 0,
            interval_s: 10.0,
            base_ejection_time_s: 30.0,
            max_ejection_time_s: None,
            max_ejection_time_jitter_s: 0.0,
            max_ejection_pct: 10,
            always_eject_one_host: false,
            success_rate_minimum_hosts: 5,
            success_rate_request_volume: 100,
            success_rate_stdev_factor: 1_900,
            enforcing_success_rate_pct: 100,
            failure_percentage_threshold_pct: 85,
            failure_percentage_minimum_hosts: 5,
            failure_percentage_request_volume: 50,
            enforcing_failure_percentage_pct: 0,
        }
    }
}

/// Envoy's longest ejection when nothing is stated, seconds.
const DEFAULT_MAX_EJECTION_TIME_S: f64 = 300.0;

impl OutlierDetection {
    /// Longest ejection without its jitter, seconds, as stated or by default.
    pub fn max_ejection_time_s(&self) -> f64 {
        self.max_ejection_time_s
            .unwrap_or(self.base_ejection_time_s.max(DEFAULT_MAX_EJECTION_TIME_S))
    }

    /// Notes what is out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        let in_a_row = [
            ("consecutive_5xx", self.consecutive_5xx),
            (
                "consecutive_gateway_failure",
                self.consecutive_gateway_failure,
            ),
        ];
        for (field, count) in in_a_row {
            problems.int_in_range(&path(field), u64::from(count), 1, u64::from(u32::MAX));
        }
        problems.positive(&path("interval_s"), self.interval_s, MOST_S);
        self.check_times(at, problems);
        let shares = [
            (
                "enforcing_consecutive_5xx_pct",
                self.enforcing_consecutive_5xx_pct,
            ),
            (
                "enforcing_consecutive_gateway_failure_pct",
                self.enforcing_consecutive_gateway_failure_pct,
            ),
            ("max_ejection_pct", self.max_ejection_pct),
            (
                "enforcing_success_rate_pct",
                self.enforcing_success_rate_pct,
            ),
            (
                "failure_percentage_threshold_pct",
                self.failure_percentage_threshold_pct,
            ),
            (
                "enforcing_failure_percentage_pct",
                self.enforcing_failure_percentage_pct,
            ),
        ];
        for (field, share) in shares {
            check_pct(&path(field), share, problems);
        }
    }

    fn check_times(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        let base = self.base_ejection_time_s;
        let base_is_fine = problems.positive(&path("base_ejection_time_s"), base, MOST_S);
        if let Some(max) = self.max_ejection_time_s
            && problems.positive(&path("max_ejection_time_s"), max, MOST_S)
            && base_is_fine
            && max < base
        {
            problems.push(
                &path("max_ejection_time_s"),
                max,
                "must be at least base_ejection_time_s",
                "raise it, or leave it out",
            );
        }
        let jitter = self.max_ejection_time_jitter_s;
        problems.non_negative(&path("max_ejection_time_jitter_s"), jitter, MOST_S);
    }
}
