//! Where data of subjects are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::lsm::LsmRule;

/// `[[erasure.stores]]`: a place that holds data of subjects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Store {
    /// A record of every request served, in a log-structured merge tree.
    RequestLog(LogStore),
    /// KV of prompts and answers in the prefix caches of the replicas.
    PrefixCache(PrefixStore),
    /// Answers kept to be given again, one for each subject's latest, in each region. What it answers
    /// by itself is not simulated.
    ResponseCache(CacheStore),
    /// What is kept of a session between its turns, for as long after each.
    SessionState(CacheStore),
    /// Copies of a request log, made every so often and kept for so long.
    Backup(BackupStore),
}

impl Store {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Store::RequestLog(store) => &store.name,
            Store::PrefixCache(store) => &store.name,
            Store::ResponseCache(store) | Store::SessionState(store) => &store.name,
            Store::Backup(store) => &store.name,
        }
    }
}

/// A request log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogStore {
    /// Name, unique.
    pub name: String,
    /// Bytes of a record, without its tokens; 1 to 1,000,000.
    pub record_bytes: u32,
    /// Bytes of a record for each token of prompt and answer, 0 to 1,000. Default 0: text is not kept.
    #[serde(default)]
    pub bytes_per_token: f64,
    /// Where it is. Default: one in each region.
    #[serde(default)]
    pub place: LogPlace,
    /// Records written a second beside those of the simulated requests, of all subjects and regions,
    /// until the horizon: traffic that the stores see and the fleet does not. Default 0.
    #[serde(default)]
    pub records_per_s: f64,
    /// Records of each subject from before the run, on average; 0 to 1e6. Default 0.
    #[serde(default)]
    pub records_before: f64,
    /// Time for records written in one region to come to the log of another; absent where each region
    /// has its own. Needs more than one region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication_lag_ms: Option<f64>,
    /// When a record is written. Default: after the answer.
    #[serde(default)]
    pub write: LogWrite,
    /// How long it remembers whom it has erased, seconds: a record from before an erasure that comes
    /// later than that is taken in (Cassandra's `gc_grace_seconds`: 864,000). Default: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remember_s: Option<f64>,
    /// What its work costs the replicas that it is on. Needs `place = { on = "replicas", .. }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub co_located: Option<CoLocated>,
    /// A calibration that `calibrate lsm` has written, by name or by path: the bandwidth and the times of
    /// single operations are those measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<String>,
    /// The tree and its disk, as they are for one log. With `sample_one_in` that is of the simulated part alone:
    /// `memtable_mb`, `file_mb`, `bandwidth_mb_per_s` and `iops` are to be as small a part of the whole, too.
    #[serde(default)]
    pub lsm: LsmRule,
}

/// Where a request log is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "on", rename_all = "snake_case", deny_unknown_fields)]
pub enum LogPlace {
    /// One in each region, on machines of its own.
    #[default]
    Regions,
    /// One on each replica of a pool, of the requests that it answered.
    Replicas {
        /// The pool.
        pool: String,
    },
}

/// When a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogWrite {
    /// When the answer is complete at its gateway: nobody waits for it.
    #[default]
    AfterAnswer,
    /// Before: the end of the answer waits until the record is on disk.
    BeforeAnswer,
}

/// What a log's work costs the replica that it is on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CoLocated {
    /// Iterations take so many times as long while the log flushes or compacts, above 1, 100 at most.
    pub slow_factor: f64,
}

/// The prefix caches of all replicas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrefixStore {
    /// Name, unique.
    pub name: String,
    /// What is done. Default: the subject's own blocks go.
    #[serde(default)]
    pub on_erase: OnKvErase,
}

/// What becomes of KV when a subject is forgotten. Blocks that requests under way hold are found by nobody
/// any more, and go with them. Tiers below a cache and a shared store ([`crate::scenario::kv_store`]) know
/// no subjects: every erasure empties them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnKvErase {
    /// The blocks that were named for the subject go.
    #[default]
    Subject,
    /// All blocks go, as for an engine that knows no subjects. vLLM's `/reset_prefix_cache` does that too, but
    /// refuses while blocks are in use, and has to be asked again.
    Reset,
}

/// A cache by subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheStore {
    /// Name, unique.
    pub name: String,
    /// How long something is kept after it was written, seconds; above 0.
    pub ttl_s: f64,
    /// What is done. Default: the subject's entry goes.
    #[serde(default)]
    pub on_erase: OnErase,
}

/// What a cache does when a subject is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnErase {
    /// The subject's entry goes at once.
    #[default]
    Invalidate,
    /// Nothing: it goes when its time is over, and is read until then.
    Expire,
}

/// Backups of a request log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupStore {
    /// Name, unique.
    pub name: String,
    /// The request log that is copied.
    pub of: String,
    /// A copy is made every so many seconds, the first at the start; above 0.
    pub interval_s: f64,
    /// And kept for so many seconds; above 0.
    pub retention_s: f64,
    /// What is done. Default: nothing, the copies expire.
    #[serde(default)]
    pub on_erase: Shredding,
}

/// What becomes of the copies of a subject's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shredding {
    /// They are there until the copy expires. Nobody reads them meanwhile: who restores a copy erases
    /// again what the audit log says.
    #[default]
    Expire,
    /// The subject's own key is destroyed, without which nobody can read them: that counts as gone.
    DestroyKey,
}
