//! What a user says of a store.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::SimDuration;
use crate::fleet::spot::errors::{RuleError, check_range};
use crate::theory::Merging;

/// Bytes of a megabyte.
const MB: f64 = 1e6;
/// Bytes of a block, the least that a lookup reads.
pub const BLOCK_BYTES: u64 = 4096;
/// Bytes of one sequential input or output operation of a flush or a compaction. A choice of this crate.
pub const STREAM_BYTES: u64 = 256 * 1024;

/// When runs are merged, and into what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compaction {
    /// One run in each level below the first, merged file by file.
    #[default]
    Leveled,
    /// As many runs in a level as the size ratio, merged all at once.
    Tiered,
}

/// Which file of a level that is too large is merged into the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Picking {
    /// The one with the fewest bytes below it for each of its own: least work now.
    #[default]
    Overlap,
    /// The largest.
    Size,
    /// The one that was written first.
    Age,
    /// The one with the largest share of tombstones.
    TombstoneDensity,
}

/// What the key of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keys {
    /// Subject and time: a log, in which no record replaces another.
    #[default]
    Appended,
    /// The subject alone: a state, in which the record with the latest time replaces the others.
    Replaced,
}

/// How a subject's records are erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Erasing {
    /// One range tombstone for all of the subject's records.
    #[default]
    Range,
    /// One point tombstone for each record that is visible, as where ranges cannot be deleted.
    Points,
}

/// A log-structured merge tree and the disk it is on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LsmRule {
    /// Megabytes that are gathered in memory before they are written out, 0.001 to 100,000.
    pub memtable_mb: f64,
    /// How much larger each level is than the one above it, 2 to 100.
    pub size_ratio: u32,
    /// Runs in the first level that start a compaction, 1 to 100.
    pub l0_trigger: u32,
    /// When runs are merged.
    pub compaction: Compaction,
    /// Which file goes first, where compaction is leveled.
    pub picking: Picking,
    /// Megabytes of a file, 0.001 to 100,000; absent for those of the memtable. The records of one subject
    /// are never parted, so that a file with a large subject is larger.
    pub file_mb: Option<f64>,
    /// What the key of a record is.
    pub keys: Keys,
    /// How records are erased.
    pub erasing: Erasing,
    /// Bits of Bloom filter for each key, 0 to 64; 0 is without filters.
    pub bloom_bits_per_key: f64,
    /// Megabytes of the disk each second, read or written, 0.001 to 1,000,000; foreground goes first.
    pub bandwidth_mb_per_s: f64,
    /// Operations of the disk each second, 1 to 1e9.
    pub iops: f64,
    /// Bytes of a tombstone: key, time and overhead, 1 to 65,536.
    pub tombstone_bytes: u32,
    /// Seconds within which every deletion is to be done on disk, 0.001 to 1e9, by merging files whose
    /// tombstones are due before others; absent where nothing hurries them.
    pub delete_persistence_s: Option<f64>,
    /// Seconds by which a deletion may be later than the time it names, 0 to 1e6, and still part earlier
    /// records from later ones exactly; beyond it the share of each is an expected value.
    pub exact_lag_s: f64,
}

impl Default for LsmRule {
    fn default() -> Self {
        Self {
            memtable_mb: 64.0,
            size_ratio: 10,
            l0_trigger: 4,
            compaction: Compaction::Leveled,
            picking: Picking::Overlap,
            file_mb: None,
            keys: Keys::Appended,
            erasing: Erasing::Range,
            bloom_bits_per_key: 10.0,
            bandwidth_mb_per_s: 500.0,
            iops: 50_000.0,
            tombstone_bytes: 32,
            delete_persistence_s: None,
            exact_lag_s: 10.0,
        }
    }
}

impl LsmRule {
    /// Checks every setting against its range.
    ///
    /// # Errors
    /// `RuleError` for the first setting out of range.
    pub fn check(&self) -> Result<(), RuleError> {
        let megabytes =
            |field, value| check_range(field, value, (0.001, 1e5), "0.001 to 100,000 megabytes");
        megabytes("memtable_mb", self.memtable_mb)?;
        let ratio = f64::from(self.size_ratio);
        check_range("size_ratio", ratio, (2.0, 100.0), "2 to 100")?;
        let trigger = f64::from(self.l0_trigger);
        check_range("l0_trigger", trigger, (1.0, 100.0), "1 to 100 runs")?;
        if let Some(file) = self.file_mb {
            megabytes("file_mb", file)?;
        }
        let bits = self.bloom_bits_per_key;
        check_range("bloom_bits_per_key", bits, (0.0, 64.0), "0 to 64 bits")?;
        let allowed = "0.001 to 1,000,000 megabytes a second";
        let bandwidth = self.bandwidth_mb_per_s;
        check_range("bandwidth_mb_per_s", bandwidth, (0.001, 1e6), allowed)?;
        check_range("iops", self.iops, (1.0, 1e9), "1 to 1e9 a second")?;
        let tombstone = f64::from(self.tombstone_bytes);
        let allowed = "1 to 65,536 bytes";
        check_range("tombstone_bytes", tombstone, (1.0, 65_536.0), allowed)?;
        if let Some(within) = self.delete_persistence_s {
            let allowed = "0.001 to 1e9 seconds";
            check_range("delete_persistence_s", within, (0.001, 1e9), allowed)?;
        }
        check_range(
            "exact_lag_s",
            self.exact_lag_s,
            (0.0, 1e6),
            "0 to 1e6 seconds",
        )
    }

    /// Bytes of the memtable.
    #[must_use]
    pub fn memtable_bytes(&self) -> u64 {
        (self.memtable_mb * MB).round() as u64
    }

    /// Bytes at which a file is closed.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        (self.file_mb.unwrap_or(self.memtable_mb) * MB).round() as u64
    }

    /// Bytes that level `level` may hold before it is merged into the next, where compaction is leveled:
    /// the first below level 0 as much as the runs that come down at once, each further one the size ratio
    /// times as much.
    #[must_use]
    pub fn level_target_bytes(&self, level: usize) -> f64 {
        let first = self.memtable_mb * MB * f64::from(self.l0_trigger);
        first * f64::from(self.size_ratio).powf(level.max(1) as f64 - 1.0)
    }

    /// The kind of merging, for the laws.
    #[must_use]
    pub fn merging(&self) -> Merging {
        match self.compaction {
            Compaction::Leveled => Merging::Leveled,
            Compaction::Tiered => Merging::Tiered,
        }
    }

    /// Bytes of the disk each second.
    #[must_use]
    pub fn bandwidth(&self) -> f64 {
        self.bandwidth_mb_per_s * MB
    }

    /// The delete persistence threshold.
    #[must_use]
    pub fn delete_persistence(&self) -> Option<SimDuration> {
        self.delete_persistence_s.map(SimDuration::from_secs_f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named() {
        assert!(LsmRule::default().check().is_ok());
        let rule = LsmRule {
            size_ratio: 1,
            ..LsmRule::default()
        };
        let text = rule.check().unwrap_err().to_string();
        let expected = "size_ratio is 1; allowed: 2 to 100; set it to a number within the range";
        assert_eq!(text, expected);
        for (field, rule) in [
            ("memtable_mb", r#"{"memtable_mb": 0}"#),
            ("l0_trigger", r#"{"l0_trigger": 0}"#),
            ("file_mb", r#"{"file_mb": 1e9}"#),
            ("bloom_bits_per_key", r#"{"bloom_bits_per_key": -1}"#),
            ("bandwidth_mb_per_s", r#"{"bandwidth_mb_per_s": 0}"#),
            ("iops", r#"{"iops": 0.5}"#),
            ("tombstone_bytes", r#"{"tombstone_bytes": 0}"#),
            ("delete_persistence_s", r#"{"delete_persistence_s": 0}"#),
            ("exact_lag_s", r#"{"exact_lag_s": -1}"#),
        ] {
            let rule: LsmRule = serde_json::from_str(rule).unwrap();
            assert_eq!(rule.check().unwrap_err().field, field);
        }
        assert!(serde_json::from_str::<LsmRule>(r#"{"memtable": 1}"#).is_err());
    }

    #[test]
    fn levels_grow_by_the_ratio() {
        let rule = LsmRule::default();
        assert_eq!(rule.level_target_bytes(1), 256e6);
        assert_eq!(rule.level_target_bytes(3), 25_600e6);
        assert_eq!(rule.file_bytes(), 64_000_000);
    }
}
