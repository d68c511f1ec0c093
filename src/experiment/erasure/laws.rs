//! What theory says of a log, beside what it did.

use serde_json::{Value, json};

use crate::fleet::erasure::LogRow;
use crate::fleet::erasure::plan::LogPlan;
use crate::fleet::lsm::LsmRule;
use crate::scenario::resolve::Plan;
use crate::theory::{
    bloom_false_positive, delete_persistence, lsm_levels, lsm_space_amplification_bound,
    lsm_write_amplification,
};

/// The laws of a log of so many bytes that takes in so many a second; a law has no value where its
/// arguments have none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Laws {
    /// Bytes of a log, live ones.
    pub live_bytes: f64,
    /// Bytes that come to it a second.
    pub bytes_per_s: f64,
    /// What the formulas call the memtable, bytes: a T-th of what the first level may hold.
    pub buffer_bytes: f64,
    /// Levels.
    pub levels: Option<u64>,
    /// Least and most times that a byte is written.
    pub write_amplification: Option<(f64, f64)>,
    /// Most bytes held for each live one.
    pub space_amplification: Option<f64>,
    /// Share of absent keys that a filter lets pass.
    pub bloom_false_positive: Option<f64>,
    /// Expected time until a tombstone is at the last level without a deadline, seconds; there is no bound.
    pub persistence_s: Option<f64>,
    /// The bound with one, seconds.
    pub fade_bound_s: Option<f64>,
}

impl Laws {
    /// Of a rule and a load.
    #[must_use]
    pub fn new(rule: &LsmRule, live_bytes: f64, bytes_per_s: f64) -> Laws {
        let ratio = f64::from(rule.size_ratio);
        let merging = rule.merging();
        let buffer = rule.level_target_bytes(1) / ratio;
        let levels = lsm_levels(live_bytes, buffer, ratio).ok();
        let with_levels = |law: &dyn Fn(u64) -> Option<f64>| levels.and_then(law);
        Laws {
            live_bytes,
            bytes_per_s,
            buffer_bytes: buffer,
            levels,
            write_amplification: levels
                .and_then(|levels| lsm_write_amplification(merging, ratio, levels).ok()),
            space_amplification: lsm_space_amplification_bound(merging, ratio).ok(),
            bloom_false_positive: bloom_false_positive(rule.bloom_bits_per_key).ok(),
            persistence_s: with_levels(&|levels| {
                delete_persistence(merging, buffer, ratio, levels, bytes_per_s).ok()
            }),
            fade_bound_s: rule.delete_persistence_s,
        }
    }

    pub(super) fn to_json(self) -> Value {
        let (least, most) = self.write_amplification.unzip();
        json!({
            "levels": self.levels,
            "write_amplification_least": least,
            "write_amplification_most": most,
            "space_amplification_most": self.space_amplification,
            "bloom_false_positive": self.bloom_false_positive,
            "persistence_expected_s": self.persistence_s,
            "persistence_bound_s": self.fade_bound_s,
        })
    }
}

/// The laws of what a log came to.
#[must_use]
pub fn laws_of(log: &LogPlan, row: &LogRow, plan: &Plan) -> Laws {
    // Logs of all replications.
    let logs = row.logs as f64;
    let horizon_s = plan.fleet.horizon.as_secs_f64();
    let per_s = row.meters.taken_bytes() as f64 / logs / horizon_s;
    Laws::new(&log.rule, row.meters.live.bytes as f64 / logs, per_s)
}
