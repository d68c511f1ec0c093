//! A store against a mirror of it that knows every single record.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::engine::{SimDuration, SimTime};

use super::file::SortedFile;
use super::*;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Record {
    subject: Subject,
    stamp: SimTime,
    bytes: u64,
    /// Order of arrival.
    number: usize,
}

/// A source of the mirror: a memtable or a file.
#[derive(Debug, Clone, Default)]
struct Source {
    records: Vec<Record>,
    tombstones: Vec<(Subject, SimTime)>,
}

impl Source {
    fn covered(&self, record: &Record) -> bool {
        let mut own = self.tombstones.iter();
        own.any(|(subject, stamp)| *subject == record.subject && record.stamp <= *stamp)
    }
}

#[derive(Debug, Default)]
struct Mirror {
    memory: Source,
    frozen: Vec<Source>,
    files: BTreeMap<u64, Source>,
    all: Vec<Record>,
    erased: BTreeMap<Subject, SimTime>,
    /// Erasures under way: number, subject, up to when.
    open: Vec<(PurgeId, Subject, SimTime)>,
    done: BTreeMap<PurgeId, SimTime>,
}

impl Mirror {
    fn sources(&self) -> impl Iterator<Item = &Source> {
        let memory = std::iter::once(&self.memory).chain(&self.frozen);
        memory.chain(self.files.values())
    }

    /// What a read of what is held finds: no tombstone that is held covers it.
    fn read(&self, keys: Keys, subject: Subject) -> Vec<Record> {
        let covered = |r: &Record| self.sources().any(|source| source.covered(r));
        let records = self.sources().flat_map(|source| &source.records);
        let of = records.filter(|r| r.subject == subject && !covered(r));
        seen(keys, of.copied().collect())
    }

    /// What it should find.
    fn expected(&self, keys: Keys, subject: Subject) -> Vec<Record> {
        let until = self.erased.get(&subject);
        let of = self.all.iter().filter(|r| r.subject == subject);
        let left = of.filter(|r| until.is_none_or(|until| r.stamp > *until));
        seen(keys, left.copied().collect())
    }

    fn holds(&self, subject: Subject, until: SimTime) -> bool {
        let mut records = self.sources().flat_map(|source| &source.records);
        records.any(|r| r.subject == subject && r.stamp <= until)
    }

    fn settle(&mut self, now: SimTime) {
        let open = std::mem::take(&mut self.open);
        for (id, subject, until) in open {
            if self.holds(subject, until) {
                self.open.push((id, subject, until));
            } else {
                self.done.insert(id, now);
            }
        }
    }
}

fn seen(keys: Keys, mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by_key(|r| (r.stamp, r.number));
    match keys {
        Keys::Appended => records,
        Keys::Replaced => records.last().copied().into_iter().collect(),
    }
}

fn files(store: &LsmStore) -> BTreeMap<u64, SortedFile> {
    let files = store.levels.iter().flat_map(|level| level.files());
    files.map(|file| (file.id, (**file).clone())).collect()
}

/// What is left of sources that become one.
fn merged(keys: Keys, sources: &[Source]) -> Vec<Record> {
    let covered = |r: &Record| sources.iter().any(|source| source.covered(r));
    let records = sources.iter().flat_map(|source| &source.records);
    let left: Vec<Record> = records.filter(|r| !covered(r)).copied().collect();
    let subjects: BTreeSet<Subject> = left.iter().map(|r| r.subject).collect();
    let of = |subject| left.iter().filter(move |r| r.subject == subject).copied();
    subjects
        .into_iter()
        .flat_map(|subject| seen(keys, of(subject).collect()))
        .collect()
}

/// A store and its mirror, taken through time together.
struct Pair {
    store: LsmStore,
    mirror: Mirror,
    purged: BTreeMap<PurgeId, Purge>,
}

impl Pair {
    fn new(rule: LsmRule) -> Self {
        Self {
            store: LsmStore::new(rule).unwrap(),
            mirror: Mirror::default(),
            purged: BTreeMap::new(),
        }
    }

    /// One step of the store, then the same in the mirror.
    fn step(&mut self, due: SimTime) {
        let before = files(&self.store);
        let waiting = self.store.frozen.len();
        let frozen_now = self.store.memtable.is_empty();
        self.store.step(due);
        self.follow(&before, waiting, frozen_now);
        self.mirror.settle(due);
        self.compare(due);
    }

    fn follow(&mut self, before: &BTreeMap<u64, SortedFile>, waiting: usize, was_empty: bool) {
        let keys = self.store.rule.keys;
        let after = files(&self.store);
        let mirror = &mut self.mirror;
        let new: Vec<&SortedFile> = after
            .values()
            .filter(|file| !before.contains_key(&file.id))
            .collect();
        let gone: Vec<u64> = before
            .keys()
            .filter(|id| !after.contains_key(id))
            .copied()
            .collect();
        let mut sources: Vec<Source> = gone
            .iter()
            .filter_map(|id| mirror.files.remove(id))
            .collect();
        if !was_empty && self.store.memtable.is_empty() {
            mirror.frozen.push(std::mem::take(&mut mirror.memory));
        }
        if self.store.frozen.len() < waiting {
            assert!(gone.is_empty());
            sources.push(mirror.frozen.remove(0));
        }
        let mut left = merged(keys, &sources);
        for file in new {
            let inside = |r: &Record| file.range().contains(&r.subject);
            let records: Vec<Record> = left.iter().filter(|r| inside(r)).copied().collect();
            left.retain(|r| !inside(r));
            let tombstones = file.tombstones.iter().map(|t| (t.subject, t.stamp));
            let tombstones = tombstones.collect();
            mirror.files.insert(
                file.id,
                Source {
                    records,
                    tombstones,
                },
            );
        }
        assert!(left.is_empty(), "lost: {left:?}");
        for (id, file) in &after {
            let source = &mirror.files[id];
            let records: u64 = file.segments.iter().map(|s| u64::from(s.records)).sum();
            let bytes: u64 = file.segments.iter().map(|s| s.bytes).sum();
            assert_eq!(records, source.records.len() as u64);
            assert_eq!(bytes, source.records.iter().map(|r| r.bytes).sum::<u64>());
        }
    }

    fn compare(&mut self, now: SimTime) {
        self.store.check().unwrap();
        for purge in self.store.take_purged() {
            self.purged.insert(purge.id, purge);
        }
        let mine: BTreeSet<PurgeId> = self.purged.keys().copied().collect();
        let theirs: BTreeSet<PurgeId> = self.mirror.done.keys().copied().collect();
        assert_eq!(mine, theirs, "done at {now}");
        let keys = self.store.rule.keys;
        for number in 0..SUBJECTS {
            let subject = Subject(number);
            let expected = self.mirror.expected(keys, subject);
            // Never resurrected, never lost.
            assert_eq!(self.mirror.read(keys, subject), expected);
            let visible = self.store.visible(subject);
            assert_eq!(visible.records, expected.len() as u64);
            assert_eq!(visible.bytes, expected.iter().map(|r| r.bytes).sum::<u64>());
        }
    }

    fn advance(&mut self, now: SimTime) {
        while let Some(due) = self.store.next_due().filter(|due| *due <= now) {
            self.step(due);
        }
    }

    fn put(&mut self, subject: Subject, bytes: u64, stamp: SimTime, now: SimTime) {
        self.advance(now);
        let before = files(&self.store);
        let waiting = self.store.frozen.len();
        let stored = if stamp == now {
            self.store.put(subject, bytes, now)
        } else {
            self.store.put_replica(subject, bytes, stamp, now)
        };
        let until = self.mirror.erased.get(&subject);
        let late = until.is_some_and(|until| stamp <= *until);
        assert_eq!(stored == Stored::DroppedLate, late);
        if !late {
            let record = Record {
                subject,
                stamp,
                bytes,
                number: self.mirror.all.len(),
            };
            self.mirror.all.push(record);
            self.mirror.memory.records.push(record);
        }
        self.follow(&before, waiting, late && self.store.memtable.is_empty());
        self.compare(now);
    }

    fn erase(&mut self, subject: Subject, stamp: SimTime, now: SimTime) {
        self.advance(now);
        let before = files(&self.store);
        let waiting = self.store.frozen.len();
        let nothing = self.store.memtable.is_empty();
        let id = self.store.erase(subject, stamp, now);
        let until = self.mirror.erased.entry(subject).or_insert(SimTime::ZERO);
        let fresh = *until < stamp || stamp == SimTime::ZERO;
        if fresh {
            *until = stamp;
            self.mirror.memory.tombstones.push((subject, stamp));
        }
        self.mirror.open.push((id, subject, stamp));
        self.mirror.settle(now);
        self.follow(&before, waiting, nothing && !fresh);
        self.compare(now);
    }
}

const SUBJECTS: u32 = 12;
const MS: u64 = 1_000_000;
const STEP: u64 = MS / 10;

#[derive(Debug, Clone, Copy)]
enum Op {
    Put(u32, u64, u64),
    Erase(u32, u64),
    Wait(u64),
    Flush,
}

fn op() -> impl Strategy<Value = Op> {
    // In steps of those between operations, so that times coincide.
    let back = prop_oneof![3 => Just(0), 1 => (0..200_u64).prop_map(|n| n * STEP)];
    prop_oneof![
        8 => (0..SUBJECTS, 20..300_u64, back.clone()).prop_map(|(s, b, t)| Op::Put(s, b, t)),
        2 => (0..SUBJECTS, back).prop_map(|(s, t)| Op::Erase(s, t)),
        2 => (0..300_u64).prop_map(|n| Op::Wait(n * STEP)),
        4 => Just(Op::Wait(STEP)),
        1 => Just(Op::Flush),
    ]
}

fn rule() -> impl Strategy<Value = LsmRule> {
    let compaction = prop_oneof![Just(Compaction::Leveled), Just(Compaction::Tiered)];
    let picking = prop_oneof![
        Just(Picking::Overlap),
        Just(Picking::Size),
        Just(Picking::Age),
        Just(Picking::TombstoneDensity),
    ];
    let keys = prop_oneof![Just(Keys::Appended), Just(Keys::Replaced)];
    let erasing = prop_oneof![Just(Erasing::Range), Just(Erasing::Points)];
    let bandwidth = prop_oneof![Just(0.02), Just(0.5), Just(100.0)];
    let within = prop_oneof![Just(None), Just(Some(0.5))];
    let sizes = (2..5_u32, 1..4_u32, prop_oneof![Just(0.001), Just(0.004)]);
    (compaction, picking, keys, erasing, bandwidth, within, sizes).prop_map(
        |(compaction, picking, keys, erasing, bandwidth, within, (ratio, trigger, file))| LsmRule {
            memtable_mb: 0.001,
            size_ratio: ratio,
            l0_trigger: trigger,
            compaction,
            picking,
            file_mb: Some(file),
            keys,
            erasing,
            bandwidth_mb_per_s: bandwidth,
            delete_persistence_s: within,
            exact_lag_s: 0.02,
            ..LsmRule::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn a_store_is_what_its_records_are(rule in rule(), ops in prop::collection::vec(op(), 1..250)) {
        let mut pair = Pair::new(rule);
        let mut now = SimTime(1_000 * MS);
        for op in ops {
            match op {
                Op::Put(subject, bytes, back) => {
                    pair.put(Subject(subject), bytes, SimTime(now.0 - back), now);
                }
                Op::Erase(subject, back) => pair.erase(Subject(subject), SimTime(now.0 - back), now),
                Op::Wait(time) => {
                    now += SimDuration(time);
                    pair.advance(now);
                }
                Op::Flush => {
                    pair.advance(now);
                    let before = files(&pair.store);
                    let waiting = pair.store.frozen.len();
                    let nothing = pair.store.memtable.is_empty();
                    pair.store.flush(now);
                    pair.follow(&before, waiting, nothing);
                }
            }
        }
        pair.advance(now + SimDuration(60_000 * MS));
        // Deadlines are kept where the disk is fast enough, and nothing is left to be done.
        if rule.delete_persistence_s.is_some() {
            prop_assert_eq!(pair.store.pending(), 0);
            for purge in pair.purged.values() {
                let took = purge.physical.unwrap().since(purge.received);
                if rule.bandwidth_mb_per_s >= 100.0 {
                    prop_assert!(took.as_secs_f64() <= 0.5, "{purge:?}");
                }
            }
        }
        // The instants are those of the mirror, but for the write of a tombstone that found nothing.
        for (id, at) in &pair.mirror.done {
            let purge = &pair.purged[id];
            prop_assert_eq!(purge.physical.unwrap(), (*at).max(purge.logical));
        }
        prop_assert_eq!(pair.store.meters().estimated_splits, 0);
    }
    /// Where single times are no longer known, shares are estimated, and the books still agree.
    #[test]
    fn estimates_keep_the_books(rule in rule(), ops in prop::collection::vec(op(), 1..250)) {
        let rule = LsmRule { exact_lag_s: 0.0, ..rule };
        let mut store = LsmStore::new(rule).unwrap();
        let mut now = SimTime(1_000 * MS);
        for op in ops {
            match op {
                Op::Put(subject, bytes, back) => {
                    store.put_late(Subject(subject), bytes, SimTime(now.0 - back), now);
                }
                Op::Erase(subject, back) => {
                    store.erase(Subject(subject), SimTime(now.0 - back), now);
                }
                Op::Wait(time) => now += SimDuration(time),
                Op::Flush => store.flush(now),
            }
            store.advance(now);
            prop_assert_eq!(store.check(), Ok(()));
        }
        while let Some(due) = store.next_due().filter(|due| due.0 < 60_000 * MS) {
            store.step(due);
            prop_assert_eq!(store.check(), Ok(()));
        }
        prop_assert!(rule.delete_persistence_s.is_none() || store.pending() == 0);
    }
}
