//! Lookups, with the Bloom filters that spare most of them from reading what is not there.

use rand::RngExt;

use crate::engine::{SimRng, SimTime};
use crate::theory::bloom_false_positive;

use super::record::{Amount, Subject};
use super::store::LsmStore;

/// What a lookup found and cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookup {
    /// Whether there is such a record.
    pub found: bool,
    /// Blocks read.
    pub blocks: u32,
    /// When the last block was there.
    pub done: SimTime,
}

impl LsmStore {
    /// Looks for the newest record of a subject: memory, then run by run from the newest, up to the first
    /// that holds a record or a tombstone of it. A run that does not is read in vain when its Bloom filter
    /// errs; one number is drawn from `rng` for each run asked that does not hold the subject.
    pub fn get(&mut self, subject: Subject, now: SimTime, rng: &mut SimRng) -> Lookup {
        self.advance(now);
        let pass = bloom_false_positive(self.rule.bloom_bits_per_key).unwrap_or(1.0);
        let found = self.visible(subject) != Amount::default();
        let mut blocks = 0_u32;
        let mut in_vain = 0_u32;
        let mut memory = std::iter::once(&self.memtable).chain(self.frozen.iter());
        if !memory.any(|table| table.knows(subject)) {
            for run in self.levels.iter().flat_map(|level| level.runs.iter().rev()) {
                let file = run.file_for(subject);
                let holds = file.is_some_and(|file| {
                    !file.of(subject).is_empty() || file.tombstone(subject).is_some()
                });
                if holds {
                    blocks += 1;
                    break;
                }
                // Key ranges of files spare a lookup as well, without a filter.
                let errs = rng.random::<f64>() < pass;
                if file.is_some() && errs {
                    blocks += 1;
                    in_vain += 1;
                }
            }
        }
        self.meters.lookups += 1;
        self.meters.blocks_read += u64::from(blocks);
        self.meters.false_positives += u64::from(in_vain);
        let (done, cost) = self.device.read(u64::from(blocks), now);
        self.hold_up_background(cost);
        Lookup {
            found,
            blocks,
            done,
        }
    }
}
