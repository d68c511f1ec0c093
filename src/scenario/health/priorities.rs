//! Which priority level gets traffic, and when health is no longer believed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check_pct;
use crate::scenario::problems::Problems;

/// Priority levels and panic with the semantics and defaults of Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Priorities {
    /// A level with a smaller share of its hosts healthy is in panic, as long as the health of all
    /// levels together is below 100 %: its traffic goes to all its hosts, healthy or not. Percent;
    /// 0 for no panic. Default 50.
    pub panic_threshold_pct: u32,
    /// Health of a level is this times the share of its hosts that are healthy, at most 100 %.
    /// Percent, 100 to 10,000. Default 140: full health down to 72 of 100 hosts.
    pub overprovisioning_factor_pct: u32,
    /// Whether a level in panic fails its traffic instead of sending it to all its hosts.
    /// Default false.
    pub fail_traffic_on_panic: bool,
}

impl Default for Priorities {
    fn default() -> Self {
        Priorities {
            panic_threshold_pct: 50,
            overprovisioning_factor_pct: 140,
            fail_traffic_on_panic: false,
        }
    }
}

impl Priorities {
    /// Notes what is out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        check_pct(
            &path("panic_threshold_pct"),
            self.panic_threshold_pct,
            problems,
        );
        let factor = u64::from(self.overprovisioning_factor_pct);
        problems.int_in_range(&path("overprovisioning_factor_pct"), factor, 100, 10_000);
    }
}
