//! A log-structured merge tree, simulated at the level of sorted runs.
//!
//! Records are written to a log and gathered in a memtable, flushed as a run, and merged by compactions
//! that take time on a disk which foreground uses first. An erasure writes a tombstone: reads see the
//! subject's records no more from then on, and they are gone when compactions have brought the tombstone
//! down to the last of them, which without a deadline may take for ever.
//!
//! No value is held, and no record once it has left memory: a file keeps, for each subject in it, how many
//! records it has, their bytes and the span of their times ([`Segment`]). So a store costs memory for each
//! subject and level, not for each record.
//!
//! **Exact** are: who has how much where, file by file; which records an erasure takes, unless it names a
//! time that is more than `exact_lag_s` past; the instant of its completion; every byte read and written;
//! what a read sees. **Expected** are: which share of a group of records lies before a time that is further
//! past than that (evenly spread); false positives of Bloom filters, which are drawn one by one with the
//! textbook's probability; and blocks of lookups, one for each run that is read.
//!
//! One flush and one compaction run at a time; what a compaction writes is known when it starts and in
//! place when it ends.
//!
//! Sources: O'Neil, Cheng, Gawlick & O'Neil 1996, Acta Informatica 33:351 (the tree); the `RocksDB` wiki,
//! "Leveled Compaction" and "Universal Compaction" (levels, picking, moves); Dayan et al. 2017 (Monkey)
//! and Sarkar et al. 2020 (Lethe: deadlines for deletes, FADE), both SIGMOD.

mod check;
mod device;
mod file;
mod memtable;
mod merge;
mod meters;
mod pick;
mod purge;
mod reads;
mod record;
mod rule;
mod store;
#[cfg(test)]
mod tests;
mod work;

pub use meters::{Cause, Compacted, LsmMeters};
pub use purge::{Purge, PurgeId};
pub use reads::Lookup;
pub use record::{Amount, Segment, Subject, Tombstone};
pub use rule::{BLOCK_BYTES, Compaction, Erasing, Keys, LsmRule, Picking, STREAM_BYTES};
pub use store::{LsmStore, Stored};
pub use work::Running;
