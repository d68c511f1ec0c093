//! Measures an embedded log-structured store, `fjall`, on the local disk, and runs the same workload on
//! the simulated one.

#[cfg(feature = "lsm-calibration")]
mod engine;
mod measured;

use std::path::Path;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::engine::{SimDuration, SimTime, Streams};
use crate::fleet::lsm::{Keys, LsmRule, LsmStore, Picking, Subject};
use crate::fleet::spot::errors::RuleError;

pub use measured::{Latency, Shape, Store};

/// Why a store could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum LsmError {
    /// The store gave an error.
    #[error("{doing}: {reason}; see whether the disk is full or the folder may not be written")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// What the store said.
        reason: String,
    },
    /// The folder cannot be made, or the file not written.
    #[error("{path}: {reason}; name another place with --dir or --out")]
    Folder {
        /// Its path.
        path: String,
        /// What the operating system said.
        reason: String,
    },
    /// The system does not tell how much a process writes.
    #[error("/proc/self/io does not tell what this process writes; measure on Linux")]
    NoCounts,
    /// Compactions did not come to rest.
    #[error("compactions have been under way for ten minutes; measure on a faster disk or --quick")]
    Behind,
    /// A read did not find what was written.
    #[error(
        "the store found key {key} where it should not, or did not where it should; check the disk"
    )]
    Wrong {
        /// The key.
        key: u64,
    },
    /// The program has no store to measure.
    #[error(
        "this program was built without the store it would measure; build it with `--features lsm-calibration`"
    )]
    NotBuilt,
    /// The simulated store cannot be made.
    #[error(transparent)]
    Rule(#[from] RuleError),
}

impl LsmError {
    #[cfg(feature = "lsm-calibration")]
    fn store(doing: &'static str, error: &fjall::Error) -> Self {
        Self::Store {
            doing,
            reason: error.to_string(),
        }
    }
}

/// What is done: every key is written once, in no order; then evenly drawn ones are written anew; some
/// are read, some subjects are erased.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Keys, above 0.
    pub keys: u32,
    /// Keys of each subject.
    pub keys_per_subject: u32,
    /// How many times as many writes follow as there are keys.
    pub rounds: u32,
    /// Bytes of a value; a key has 8.
    pub value_bytes: u32,
    /// Bytes of the memtable and of a file.
    pub memtable_bytes: u64,
    /// Size ratio of levels.
    pub size_ratio: u8,
    /// Runs of level 0 that start a compaction.
    pub l0_trigger: u8,
    /// Bits of Bloom filter for each key.
    pub bloom_bits_per_key: u8,
    /// Bytes of the cache of blocks.
    pub cache_bytes: u64,
    /// Reads of keys that are there, and as many of keys that are not.
    pub reads: u32,
    /// Subjects erased.
    pub erasures: u32,
}

impl Workload {
    /// A few seconds.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            keys: 60_000,
            keys_per_subject: 10,
            rounds: 2,
            value_bytes: 392,
            memtable_bytes: 512 * 1024,
            size_ratio: 4,
            l0_trigger: 2,
            bloom_bits_per_key: 10,
            cache_bytes: 1 << 20,
            reads: 20_000,
            erasures: 200,
        }
    }

    /// About a minute or two.
    #[must_use]
    pub fn full() -> Self {
        Self {
            keys: 1_000_000,
            memtable_bytes: 4 << 20,
            size_ratio: 8,
            l0_trigger: 4,
            cache_bytes: 16 << 20,
            reads: 100_000,
            erasures: 2_000,
            ..Self::quick()
        }
    }

    /// Bytes of a key and its value.
    #[must_use]
    pub fn record_bytes(&self) -> u64 {
        8 + u64::from(self.value_bytes)
    }

    /// Keys in the order they are written.
    pub fn puts(&self) -> impl Iterator<Item = u64> + use<> {
        let keys = self.keys.max(1);
        let mut rng = self.stream("puts");
        // A step that shares no factor with the number of keys comes to each of them once.
        let mut step = keys / 2 + 7;
        while gcd(step, keys) != 1 {
            step += 1;
        }
        let first = (0..u64::from(keys)).map(move |i| i * u64::from(step) % u64::from(keys));
        let again = u64::from(keys) * u64::from(self.rounds);
        let again = (0..again).map(move |_| u64::from(rng.random_range(0..keys)));
        // Even numbers: odd ones are not there.
        first.chain(again).map(|key| key * 2)
    }

    #[cfg(feature = "lsm-calibration")]
    fn gets(&self) -> impl Iterator<Item = (u64, bool)> + use<> {
        let mut rng = self.stream("gets");
        let keys = u64::from(self.keys.max(1));
        (0..u64::from(self.reads) * 2).map(move |i| {
            let there = i % 2 == 0;
            (rng.random_range(0..keys) * 2 + u64::from(!there), there)
        })
    }

    /// The keys of each subject that is erased.
    #[cfg(feature = "lsm-calibration")]
    fn erased_ranges(&self) -> impl Iterator<Item = std::ops::Range<u64>> + use<> {
        let each = u64::from(self.keys_per_subject.max(1));
        let subjects = (u64::from(self.keys) / each).max(1);
        let erasures = u64::from(self.erasures).min(subjects);
        (0..erasures).map(move |i| {
            let subject = i * subjects / erasures;
            subject * each * 2..(subject + 1) * each * 2
        })
    }

    fn stream(&self, purpose: &str) -> crate::engine::SimRng {
        let streams = Streams {
            seed: 1,
            replication: 0,
        };
        streams.stream("calibrate-lsm", 0, purpose)
    }

    /// The rule of a simulated store of the same shape.
    #[must_use]
    pub fn rule(&self) -> LsmRule {
        LsmRule {
            memtable_mb: self.memtable_bytes as f64 / 1e6,
            size_ratio: u32::from(self.size_ratio),
            l0_trigger: u32::from(self.l0_trigger),
            picking: Picking::Overlap,
            keys: Keys::Replaced,
            bloom_bits_per_key: f64::from(self.bloom_bits_per_key),
            bandwidth_mb_per_s: 1e6,
            iops: 1e9,
            ..LsmRule::default()
        }
    }

    /// The same writes on the simulated store, on a disk that keeps up.
    ///
    /// # Errors
    /// A workload that no store can be made for.
    pub fn simulate(&self) -> Result<Shape, LsmError> {
        let mut store = LsmStore::new(self.rule())?;
        let mut now = SimTime::ZERO;
        for key in self.puts() {
            now += SimDuration(1_000_000);
            let subject = Subject(u32::try_from(key / 2).unwrap_or(u32::MAX));
            store.put(subject, self.record_bytes(), now);
        }
        store.flush(now);
        store.advance(now + SimDuration(3_600_000_000_000));
        let levels = store.level_bytes();
        let disk_bytes = levels.iter().sum();
        let live = u64::from(self.keys) * self.record_bytes();
        Ok(Shape {
            depth: store.depth(),
            level_files: store.level_files(),
            disk_bytes,
            write_amplification: store.meters().write_amplification().unwrap_or(0.0),
            space_amplification: disk_bytes as f64 / live as f64,
        })
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The machine a store was measured on; nothing that would tell one from another of its kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many of them the program may use.
    pub processors: usize,
    /// The operating system.
    pub system: String,
    /// Version of the kernel.
    pub kernel: String,
}

#[cfg(feature = "lsm-calibration")]
impl Machine {
    fn here() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let name = cpu.lines().find(|line| line.starts_with("model name"));
        let name = name.and_then(|line| line.split_once(':'));
        Self {
            processor: name.map_or("unknown", |(_, name)| name.trim()).to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            system: std::env::consts::OS.to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// A calibration of a log-structured store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LsmCalibration {
    /// Version of the form of this file.
    pub schema: u32,
    /// What was measured.
    pub engine: String,
    /// Where.
    pub machine: Machine,
    /// What it was made to do.
    pub workload: Workload,
    /// What it did.
    pub measured: Store,
    /// The tree that the simulated store has after the same writes.
    pub simulated: Shape,
}

/// The calibrations that the program has by name.
const SHIPPED: [(&str, &str); 1] = [(
    "fjall-epyc-2",
    include_str!("../../calibration/lsm/fjall-epyc-2.json"),
)];

/// Why a calibration cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Neither a name nor a file.
    #[error(
        "{path}: {reason}; give the path of a file that `calibrate lsm` wrote, or fjall-epyc-2"
    )]
    File {
        /// Where it was looked for.
        path: String,
        /// What the operating system said.
        reason: String,
    },
    /// Not what `calibrate lsm` writes.
    #[error("{path}, line {line}, column {column}: {reason}; write it anew with `calibrate lsm`")]
    Form {
        /// The file or the name.
        path: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// A value that cannot be.
    #[error("{path}: {field} is {value}; it must be above 0: write it anew with `calibrate lsm`")]
    Value {
        /// The file or the name.
        path: String,
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
    },
}

impl LsmCalibration {
    /// Reads one that the program has by name, or a file; paths are taken from `base_dir`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(name: &str, base_dir: &Path) -> Result<LsmCalibration, ReadError> {
        let shipped = SHIPPED.iter().find(|(known, _)| *known == name);
        let text = match shipped {
            Some((_, text)) => (*text).to_owned(),
            None => {
                let path = base_dir.join(name);
                crate::inputs::note(&path);
                std::fs::read_to_string(&path).map_err(|error| ReadError::File {
                    path: path.display().to_string(),
                    reason: error.to_string(),
                })?
            }
        };
        let form = |line, column, reason: String| ReadError::Form {
            path: name.to_owned(),
            line,
            column,
            reason,
        };
        let read: LsmCalibration = serde_json::from_str(&text)
            .map_err(|error| form(error.line(), error.column(), error.to_string()))?;
        if read.schema != 1 {
            let reason = format!("schema {} is not known, only 1 is", read.schema);
            return Err(form(1, 1, reason));
        }
        let measured = &read.measured;
        for (field, value) in [
            ("measured.compaction_mb_per_s", measured.compaction_mb_per_s),
            ("measured.put.p50_us", measured.put.p50_us),
            (
                "measured.delete_subject.p50_us",
                measured.delete_subject.p50_us,
            ),
        ] {
            if !(value.is_finite() && value > 0.0) {
                return Err(ReadError::Value {
                    path: name.to_owned(),
                    field,
                    value,
                });
            }
        }
        Ok(read)
    }
}

/// Says that there is no store to measure.
///
/// # Errors
/// Always: the program was built without `lsm-calibration`.
#[cfg(not(feature = "lsm-calibration"))]
pub fn calibrate(_: &Workload, _: &Path) -> Result<LsmCalibration, LsmError> {
    Err(LsmError::NotBuilt)
}

/// Measures the workload in a new folder inside `dir`, which is removed afterwards.
///
/// # Errors
/// A disk that cannot be written, or a store that fails.
#[cfg(feature = "lsm-calibration")]
pub fn calibrate(workload: &Workload, dir: &Path) -> Result<LsmCalibration, LsmError> {
    let folder = dir.join(format!("seatrial-lsm-{}", std::process::id()));
    let of = |error: &std::io::Error| LsmError::Folder {
        path: folder.display().to_string(),
        reason: error.to_string(),
    };
    std::fs::create_dir_all(&folder).map_err(|e| of(&e))?;
    let measured = engine::run(workload, &folder);
    let removed = std::fs::remove_dir_all(&folder).map_err(|e| of(&e));
    let measured = measured?;
    removed?;
    Ok(LsmCalibration {
        schema: 1,
        engine: "fjall 2.11.2".to_owned(),
        machine: Machine::here(),
        workload: *workload,
        measured,
        simulated: workload.simulate()?,
    })
}
