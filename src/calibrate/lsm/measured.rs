//! What was measured, as it is written.

use serde::{Deserialize, Serialize};

/// Times of one operation, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// Their mean.
    pub mean_us: f64,
    /// The median.
    pub p50_us: f64,
    /// The 99th percentile.
    pub p99_us: f64,
    /// The longest.
    pub max_us: f64,
}

#[cfg(feature = "lsm-calibration")]
impl Latency {
    pub(super) fn of(mut ns: Vec<u64>) -> Self {
        ns.sort_unstable();
        let count = ns.len();
        let at = |share: f64| {
            let rank = ((count as f64 * share).ceil() as usize).clamp(1, count.max(1)) - 1;
            ns.get(rank).map_or(0.0, |ns| *ns as f64 / 1e3)
        };
        Self {
            count: count as u64,
            mean_us: ns.iter().sum::<u64>() as f64 / 1e3 / count.max(1) as f64,
            p50_us: at(0.5),
            p99_us: at(0.99),
            max_us: at(1.0),
        }
    }
}

/// The tree when all writes were done and compactions had come to rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Levels below the first that hold something.
    pub depth: usize,
    /// Files of each level.
    pub level_files: Vec<usize>,
    /// Bytes of all files.
    pub disk_bytes: u64,
    /// Bytes written to files for each byte taken in, the log apart.
    pub write_amplification: f64,
    /// Bytes of files for each live byte taken in.
    pub space_amplification: f64,
}

/// What a store did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Records written.
    pub puts: u64,
    /// Bytes of their keys and values.
    pub taken_bytes: u64,
    /// Bytes that the log wrote for each.
    pub log_bytes_per_record: f64,
    /// The tree after them.
    pub shape: Shape,
    /// Megabytes each second, read and written, of a compaction of the whole tree.
    pub compaction_mb_per_s: f64,
    /// Bytes of all files after deletes and that compaction.
    pub disk_bytes_after_deletes: u64,
    /// Records deleted.
    pub deleted: u64,
    /// Writing a record.
    pub put: Latency,
    /// Reading one that is there.
    pub get_present: Latency,
    /// Reading one that is not.
    pub get_absent: Latency,
    /// Deleting all records of a subject.
    pub delete_subject: Latency,
}
