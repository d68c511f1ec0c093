//! Which files are merged next, and why.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::engine::{SimDuration, SimTime};
use crate::theory::fade_deadline;

use super::file::{Input, Level, Run, SortedFile};
use super::merge::{Merged, Terms, merge};
use super::meters::Cause;
use super::record::{Segment, Subject};
use super::rule::{Compaction, Picking};
use super::store::LsmStore;

/// Where a level has twice as many files or more, about so many of them are compared, evenly spread over
/// it. A choice of this crate.
const MOST_LOOKED_AT: usize = 256;

/// Where the files of a compaction come from and where they go.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) cause: Cause,
    /// The upper level first.
    pub(super) inputs: Vec<Input>,
    pub(super) output: usize,
}

/// A compaction under way: what is to come of it is known, and happens when it is due.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) choice: Choice,
    pub(super) merged: Merged,
    pub(super) read: u64,
    pub(super) due: SimTime,
}

impl LsmStore {
    /// The compaction that is most called for, if one is.
    pub(super) fn choose(&self, now: SimTime) -> Option<Choice> {
        if let Some(choice) = self.choose_for_deadline(now) {
            return Some(choice);
        }
        match self.rule.compaction {
            Compaction::Leveled => {
                let level = self.fullest_level()?;
                let file = match level {
                    0 => None,
                    _ => Some(self.pick(level)?),
                };
                Some(self.down(level, file, Cause::Size))
            }
            Compaction::Tiered => {
                let level = self.levels.iter().enumerate().position(|(i, level)| {
                    let most = if i == 0 {
                        self.rule.l0_trigger
                    } else {
                        self.rule.size_ratio
                    };
                    level.runs.len() >= most as usize
                })?;
                Some(self.whole(level, level + 1, Cause::Size))
            }
        }
    }

    /// The level that exceeds what it may hold by the largest factor.
    fn fullest_level(&self) -> Option<usize> {
        let scores = self.levels.iter().enumerate().map(|(i, level)| {
            let score = if i == 0 {
                level.runs.len() as f64 / f64::from(self.rule.l0_trigger)
            } else {
                // A level that is just full is left alone.
                level.bytes() as f64 / self.rule.level_target_bytes(i)
            };
            (i, score)
        });
        scores
            .filter(|(i, score)| *score > 1.0 || (*i == 0 && *score >= 1.0))
            .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
            .map(|(i, _)| i)
    }

    /// The file of a level that goes down next, the best of those that are compared.
    fn pick(&self, level: usize) -> Option<&Arc<SortedFile>> {
        let files = self.levels.get(level)?.files();
        let cost = |file: &SortedFile| match self.rule.picking {
            Picking::Overlap => {
                let runs = self.runs_of(level + 1).iter();
                let below: u64 = runs.map(|run| run.overlapped_bytes(&file.range())).sum();
                below as f64 / file.bytes.max(1) as f64
            }
            Picking::Size => -(file.bytes as f64),
            Picking::Age => file.id as f64,
            Picking::TombstoneDensity => {
                let tombstones: u64 = file.tombstones.iter().map(|t| u64::from(t.entries)).sum();
                -(tombstones as f64) / file.entries.max(1) as f64
            }
        };
        // Looking at all of tens of thousands of files for each compaction would take longer than it.
        let step = (self.levels.get(level)?.count() / MOST_LOOKED_AT).max(1);
        files
            .step_by(step)
            .map(|file| (cost(file), file))
            .min_by(|(a, x), (b, y)| a.total_cmp(b).then(x.id.cmp(&y.id)))
            .map(|(_, file)| file)
    }

    fn runs_of(&self, level: usize) -> &[Run] {
        self.levels.get(level).map_or(&[], |it| it.runs.as_slice())
    }

    fn overlapping(
        &self,
        level: usize,
        range: RangeInclusive<Subject>,
    ) -> impl Iterator<Item = &Arc<SortedFile>> {
        let runs = self.runs_of(level).iter();
        runs.flat_map(move |run| run.overlapping(&range))
    }

    /// All of level 0, or one file of a deeper level, with what it overlaps in the next.
    fn down(&self, level: usize, file: Option<&Arc<SortedFile>>, cause: Cause) -> Choice {
        let taken: Vec<&Arc<SortedFile>> = match file {
            Some(file) => vec![file],
            None => self
                .levels
                .get(level)
                .into_iter()
                .flat_map(Level::files)
                .collect(),
        };
        let mut inputs = vec![Input::new(level, taken.iter().copied())];
        let first = taken.iter().map(|f| *f.range().start()).min();
        let last = taken.iter().map(|f| *f.range().end()).max();
        if let (Some(first), Some(last)) = (first, last) {
            inputs.push(Input::new(
                level + 1,
                self.overlapping(level + 1, first..=last),
            ));
        }
        Choice {
            cause,
            inputs,
            output: level + 1,
        }
    }

    /// All runs of a level.
    fn whole(&self, level: usize, output: usize, cause: Cause) -> Choice {
        let files = self.levels.get(level).into_iter().flat_map(Level::files);
        Choice {
            cause,
            inputs: vec![Input::new(level, files)],
            output,
        }
    }

    /// The file whose deadline is the first to have passed, with what it has to be merged with.
    fn choose_for_deadline(&self, now: SimTime) -> Option<Choice> {
        if self.file_deadline.is_none_or(|deadline| deadline > now) {
            return None;
        }
        let (level, file) = self.first_due()?;
        let last = self.last_level();
        Some(match self.rule.compaction {
            Compaction::Leveled if level == 0 => self.down(0, None, Cause::Deadline),
            Compaction::Leveled if level < last => self.down(level, Some(file), Cause::Deadline),
            // Nothing is below: the file is written anew without its tombstones.
            Compaction::Leveled => Choice {
                cause: Cause::Deadline,
                inputs: vec![Input::new(level, std::iter::once(file))],
                output: level,
            },
            Compaction::Tiered if level < last || level == 0 => {
                self.whole(level, level + 1, Cause::Deadline)
            }
            Compaction::Tiered => self.whole(level, level, Cause::Deadline),
        })
    }

    fn first_due(&self) -> Option<(usize, &Arc<SortedFile>)> {
        let levels = self.levels.iter().enumerate();
        let runs = levels.flat_map(|(i, level)| level.runs.iter().map(move |run| (i, run)));
        let files = runs.flat_map(|(i, run)| run.tombstone_files().map(move |file| (i, file)));
        files
            .filter_map(|(i, file)| Some((self.deadline(i + 1, file.oldest_tombstone?)?, i, file)))
            .min_by_key(|(deadline, level, file)| (*deadline, *level, file.id))
            .map(|(_, level, file)| (level, file))
    }

    /// When a tombstone written at `written` has to leave a stage: 0 for the memtable, 1 for level 0.
    pub(super) fn deadline(&self, stage: usize, written: SimTime) -> Option<SimTime> {
        let age = self.ages.get(stage).or(self.ages.last())?;
        Some(written + *age)
    }

    /// Plans anew how long tombstones may stay where: the shape of the tree has changed.
    ///
    /// The time to read and write all that is held twice is kept in reserve, half of the threshold at
    /// most, so that what falls due together is done in time.
    pub(super) fn plan_deadlines(&mut self) {
        let Some(threshold) = self.rule.delete_persistence() else {
            return;
        };
        let work = self
            .device
            .stream(self.meters.held_bytes().saturating_mul(4));
        let reserve = work.0.min(threshold.0 / 2);
        let within = SimDuration(threshold.0 - reserve).as_secs_f64();
        let last = self.last_level();
        let stages = match self.rule.compaction {
            Compaction::Leveled => last.max(1) + 1,
            Compaction::Tiered => last + 2,
        } as u64;
        let ratio = f64::from(self.rule.size_ratio);
        self.ages = (0..stages)
            .filter_map(|stage| fade_deadline(within, ratio, stages, stage).ok())
            .map(SimDuration::from_secs_f64)
            .collect();
        self.file_deadline = self
            .first_due()
            .and_then(|(level, file)| self.deadline(level + 1, file.oldest_tombstone?));
    }

    /// A file that can go down as it is: nothing is below it, and it has no tombstones to be rid of.
    pub(super) fn movable(&self, choice: &Choice) -> bool {
        let [above, below] = choice.inputs.as_slice() else {
            return false;
        };
        above.level > 0
            && below.is_empty()
            && self.levels.get(above.level).is_some_and(|level| {
                let mut files = level.taken(above);
                files.all(|file| file.tombstones.is_empty())
            })
    }

    /// Merges the files of a choice; gives what comes of it and the bytes read.
    pub(super) fn merge_choice(&mut self, choice: &Choice, now: SimTime) -> (Merged, u64) {
        let (mut segments, mut tombstones): (Vec<Segment>, _) = (Vec::new(), Vec::new());
        let mut read = 0;
        for file in self.taken(choice) {
            read += file.bytes;
            segments.extend_from_slice(&file.segments);
            tombstones.extend_from_slice(&file.tombstones);
        }
        let taken = |file: &SortedFile| choice.inputs.iter().any(|input| input.has(file));
        let below = self.levels.get(choice.output..).unwrap_or(&[]);
        let held_below = |subject| {
            let mut runs = below.iter().flat_map(|level| &level.runs);
            runs.any(|run| run.file_for(subject).is_some_and(|file| !taken(file)))
        };
        let terms = Terms {
            keys: self.rule.keys,
            settled: self.settled(now),
            erased: &self.purges.erased,
            file_bytes: Some(self.rule.file_bytes()),
        };
        let merged = merge(
            segments,
            tombstones,
            &terms,
            &held_below,
            &mut self.next_file,
        );
        (merged, read)
    }

    /// The files of a choice, from the newest to the oldest.
    pub(super) fn taken<'a>(
        &'a self,
        choice: &'a Choice,
    ) -> impl Iterator<Item = &'a Arc<SortedFile>> {
        let inputs = choice.inputs.iter();
        inputs.flat_map(|input| {
            let level = self.levels.get(input.level);
            level.into_iter().flat_map(|level| level.taken(input))
        })
    }

    /// Before when records need not be known one by one.
    pub(super) fn settled(&self, now: SimTime) -> SimTime {
        let lag = SimDuration::from_secs_f64(self.rule.exact_lag_s);
        SimTime(now.0.saturating_sub(lag.0))
    }
}
