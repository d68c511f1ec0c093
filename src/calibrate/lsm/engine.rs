//! One workload on `fjall`: puts, gets and deletes, each timed, and what the tree wrote and holds.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fjall::compaction::{Leveled, Strategy};
use fjall::{
    AbstractTree, CompressionType, Config, Keyspace, PartitionCreateOptions, PartitionHandle,
    PersistMode,
};

use super::measured::{Latency, Shape, Store};
use super::{LsmError, Workload};

/// How often is looked whether background work is done.
const LOOK: Duration = Duration::from_millis(1);
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Records written into a memtable that is never full, to know what the log writes for each.
const LOG_RECORDS: u32 = 2_000;

/// Runs the workload in `folder`, which is to be empty.
pub(super) fn run(workload: &Workload, folder: &Path) -> Result<Store, LsmError> {
    let log = log_bytes_per_record(workload, &folder.join("log"))?;
    let opened = open(&folder.join("store"), workload)?;
    let mut values = Values::new(workload.value_bytes);
    let before = bytes_written()?;
    let mut put_ns = Vec::new();
    let mut since_wait = 0;
    let mut puts = 0_u64;
    for key in workload.puts() {
        let value = values.next();
        let begun = now();
        opened
            .tree
            .insert(key.to_be_bytes(), value)
            .map_err(|e| LsmError::store("writing a record", &e))?;
        put_ns.push(elapsed_ns(begun));
        puts += 1;
        since_wait += workload.record_bytes();
        // Compactions keep up with writes, as on a disk that is fast enough.
        if since_wait >= workload.memtable_bytes / 4 {
            since_wait = 0;
            opened.rest(workload)?;
        }
    }
    opened.flush(workload)?;
    let taken = puts * workload.record_bytes();
    let tree_bytes = (bytes_written()? - before).saturating_sub((log * puts as f64) as u64);
    let shape = Shape {
        depth: opened.depth(),
        disk_bytes: opened.tree.disk_space(),
        level_files: opened.level_files(),
        write_amplification: tree_bytes as f64 / taken as f64,
        space_amplification: opened.tree.disk_space() as f64
            / (u64::from(workload.keys) * workload.record_bytes()) as f64,
    };
    let (present_ns, absent_ns) = opened.gets(workload)?;
    let (delete_ns, deleted) = opened.deletes(workload)?;
    let begun = now();
    opened
        .tree
        .major_compact()
        .map_err(|e| LsmError::store("compacting all", &e))?;
    let compact_s = begun.elapsed().as_secs_f64();
    Ok(Store {
        puts,
        taken_bytes: taken,
        log_bytes_per_record: log,
        shape,
        compaction_mb_per_s: 2.0 * opened.tree.disk_space() as f64 / 1e6 / compact_s.max(1e-9),
        disk_bytes_after_deletes: opened.tree.disk_space(),
        deleted,
        put: Latency::of(put_ns),
        get_present: Latency::of(present_ns),
        get_absent: Latency::of(absent_ns),
        delete_subject: Latency::of(delete_ns),
    })
}

struct Opened {
    keyspace: Keyspace,
    tree: PartitionHandle,
}

fn open(folder: &Path, workload: &Workload) -> Result<Opened, LsmError> {
    let keyspace = Config::new(folder)
        .cache_size(workload.cache_bytes)
        .flush_workers(1)
        .compaction_workers(1)
        .fsync_ms(None)
        .open()
        .map_err(|e| LsmError::store("opening a store", &e))?;
    let tree = keyspace
        .open_partition(
            "records",
            PartitionCreateOptions::default()
                .max_memtable_size(memtable(workload))
                .compression(CompressionType::None)
                .bloom_filter_bits(Some(workload.bloom_bits_per_key))
                .compaction_strategy(Strategy::Leveled(strategy(workload))),
        )
        .map_err(|e| LsmError::store("opening a partition", &e))?;
    Ok(Opened { keyspace, tree })
}

fn memtable(workload: &Workload) -> u32 {
    u32::try_from(workload.memtable_bytes).unwrap_or(u32::MAX)
}

fn strategy(workload: &Workload) -> Leveled {
    Leveled {
        l0_threshold: workload.l0_trigger,
        level_ratio: workload.size_ratio,
        target_size: memtable(workload),
    }
}

impl Opened {
    /// Waits until no flush is under way, and compacts until there is nothing to compact: by itself this
    /// engine does one compaction for each flush, and falls behind.
    fn rest(&self, workload: &Workload) -> Result<(), LsmError> {
        let begun = now();
        loop {
            while self.tree.tree.sealed_memtable_count() > 0
                || self.keyspace.active_compactions() > 0
            {
                std::thread::sleep(LOOK);
                if begun.elapsed() > PATIENCE {
                    return Err(LsmError::Behind);
                }
            }
            // Every compaction writes, if only the list of files.
            let before = bytes_written()?;
            self.tree
                .tree
                .compact(Arc::new(strategy(workload)), self.keyspace.instant())
                .map_err(|e| LsmError::store("compacting", &e.into()))?;
            if before == bytes_written()? {
                return Ok(());
            }
        }
    }

    fn flush(&self, workload: &Workload) -> Result<(), LsmError> {
        self.tree
            .rotate_memtable_and_wait()
            .map_err(|e| LsmError::store("flushing the memtable", &e))?;
        self.rest(workload)
    }

    fn level_files(&self) -> Vec<usize> {
        let levels = (0..7).map_while(|i| self.tree.tree.level_segment_count(i));
        levels.collect()
    }

    /// Levels below the first that hold something.
    fn depth(&self) -> usize {
        self.level_files().iter().rposition(|n| *n > 0).unwrap_or(0)
    }

    fn gets(&self, workload: &Workload) -> Result<(Vec<u64>, Vec<u64>), LsmError> {
        let (mut present, mut absent) = (Vec::new(), Vec::new());
        for (key, there) in workload.gets() {
            let begun = now();
            let found = self
                .tree
                .get(key.to_be_bytes())
                .map_err(|e| LsmError::store("reading a record", &e))?;
            let took = elapsed_ns(begun);
            if found.is_some() != there {
                return Err(LsmError::Wrong { key });
            }
            if there {
                present.push(took);
            } else {
                absent.push(took);
            }
        }
        Ok((present, absent))
    }

    /// Erases subjects, each a range of keys: this engine has no range tombstones, so that the keys are
    /// read and deleted one by one.
    fn deletes(&self, workload: &Workload) -> Result<(Vec<u64>, u64), LsmError> {
        let mut took = Vec::new();
        let mut deleted = 0;
        for range in workload.erased_ranges() {
            let begun = now();
            let keys = self
                .tree
                .range(range.start.to_be_bytes()..range.end.to_be_bytes());
            for pair in keys {
                let (key, _) = pair.map_err(|e| LsmError::store("reading a range", &e))?;
                self.tree
                    .remove(key)
                    .map_err(|e| LsmError::store("deleting a record", &e))?;
                deleted += 1;
            }
            took.push(elapsed_ns(begun));
        }
        self.keyspace
            .persist(PersistMode::SyncAll)
            .map_err(|e| LsmError::store("writing the log", &e))?;
        self.flush(workload)?;
        Ok((took, deleted))
    }
}

/// What the log writes for one record, from a store that writes nothing else.
fn log_bytes_per_record(workload: &Workload, folder: &Path) -> Result<f64, LsmError> {
    let large = Workload {
        memtable_bytes: 1 << 30,
        ..*workload
    };
    let opened = open(folder, &large)?;
    let mut values = Values::new(workload.value_bytes);
    let before = bytes_written()?;
    for key in 0..LOG_RECORDS {
        opened
            .tree
            .insert(u64::from(key).to_be_bytes(), values.next())
            .map_err(|e| LsmError::store("writing a record", &e))?;
    }
    opened
        .keyspace
        .persist(PersistMode::SyncAll)
        .map_err(|e| LsmError::store("writing the log", &e))?;
    Ok((bytes_written()? - before) as f64 / f64::from(LOG_RECORDS))
}

/// Values that do not compress, by xorshift (Marsaglia 2003).
struct Values {
    state: u64,
    value: Vec<u8>,
}

impl Values {
    fn new(bytes: u32) -> Self {
        Self {
            state: 0x9e37_79b9_7f4a_7c15,
            value: vec![0; bytes as usize],
        }
    }

    fn next(&mut self) -> &[u8] {
        for chunk in self.value.chunks_mut(8) {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            let bytes = self.state.to_le_bytes();
            chunk.copy_from_slice(bytes.get(..chunk.len()).unwrap_or(&bytes));
        }
        &self.value
    }
}

/// Bytes that this process has written with system calls, to whatever files.
fn bytes_written() -> Result<u64, LsmError> {
    let text = std::fs::read_to_string("/proc/self/io").map_err(|_| LsmError::NoCounts)?;
    let line = text.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|n| n.trim().parse().ok())
        .ok_or(LsmError::NoCounts)
}

#[allow(clippy::disallowed_methods)] // how long a store takes, no simulated result
fn now() -> Instant {
    Instant::now()
}

fn elapsed_ns(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
