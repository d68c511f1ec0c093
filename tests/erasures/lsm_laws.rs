//! Simulated log-structured stores meet the laws of such trees, and the work of a purge grows with the
//! logarithm of what is held.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests

use rand::RngExt;
use seatrial::engine::{SimDuration, SimRng, SimTime, Streams};
use seatrial::fleet::lsm::{Compaction, Keys, LsmRule, LsmStore, Picking, Subject};
use seatrial::theory::{
    Merging, absent_lookup_blocks, bloom_false_positive, delete_persistence, lsm_levels,
    lsm_space_amplification_bound, lsm_write_amplification,
};

const RECORD: u64 = 100;
const SECOND: SimDuration = SimDuration(1_000_000_000);

fn stream() -> SimRng {
    Streams {
        seed: 7,
        replication: 0,
    }
    .stream("lsm", 0, "laws")
}

/// A fast disk, and a memtable of 1,000 records.
fn small() -> LsmRule {
    LsmRule {
        memtable_mb: 0.1,
        size_ratio: 4,
        l0_trigger: 1,
        file_mb: Some(0.02),
        keys: Keys::Replaced,
        bandwidth_mb_per_s: 1e6,
        iops: 1e9,
        ..LsmRule::default()
    }
}

/// Writes `writes` records of subjects drawn evenly from `subjects`, one each millisecond.
fn fill(store: &mut LsmStore, subjects: u32, writes: u32, mut now: SimTime) -> SimTime {
    let mut rng = stream();
    for _ in 0..writes {
        now += SimDuration(1_000_000);
        store.put(Subject(rng.random_range(0..subjects)), RECORD, now);
    }
    now
}

/// Every subject once, then overwritten evenly for `rounds` times as many writes.
fn updated(rule: LsmRule, subjects: u32, rounds: u32) -> LsmStore {
    let mut store = LsmStore::new(rule).unwrap();
    let mut now = SimTime::ZERO;
    let step = 7919; // prime, so that every subject comes once, in no order
    for i in 0..u64::from(subjects) {
        now += SimDuration(1_000_000);
        store.put(
            Subject((i * step % u64::from(subjects)) as u32),
            RECORD,
            now,
        );
    }
    fill(&mut store, subjects, subjects * rounds, now);
    store.check().unwrap();
    store
}

#[test]
fn leveled_amplification_lies_within_the_laws() {
    for (ratio, subjects) in [(4, 60_000), (10, 95_000), (4, 240_000)] {
        let rule = LsmRule {
            size_ratio: ratio,
            ..small()
        };
        let store = updated(rule, subjects, 3);
        let t = f64::from(ratio);
        let data = f64::from(subjects) * RECORD as f64;
        let levels = lsm_levels(data, 1e5 / t, t).unwrap();
        let meters = store.meters();
        let written = meters.write_amplification().unwrap();
        let bounds = lsm_write_amplification(Merging::Leveled, t, levels).unwrap();
        let space = meters.space_amplification().unwrap();
        let bound = lsm_space_amplification_bound(Merging::Leveled, t).unwrap();
        eprintln!(
            "leveled T {ratio}, {subjects} subjects: depth {} (law {levels}), written x{written:.2} (law {:.1} to {:.1}), held x{space:.3} (law at most {bound:.3}), levels {:?}",
            store.depth(),
            bounds.0,
            bounds.1,
            store.level_bytes()
        );
        assert!(store.depth() as u64 == levels);
        assert!(written >= bounds.0 * 0.85 && written <= bounds.1 * 1.05);
        // A level may exceed its target by one arrival, and memory and level 0 hold a memtable each.
        assert!(space > 1.0 && space <= bound + 2.5e5 / data + 0.05);
    }
}

#[test]
fn tiered_amplification_lies_within_the_laws() {
    for ratio in [4, 8] {
        let rule = LsmRule {
            size_ratio: ratio,
            l0_trigger: ratio,
            compaction: Compaction::Tiered,
            ..small()
        };
        let store = updated(rule, 100_000, 4);
        let t = f64::from(ratio);
        let levels = store.depth() as u64 + 1;
        let meters = store.meters();
        let written = meters.write_amplification().unwrap();
        let bounds = lsm_write_amplification(Merging::Tiered, t, levels).unwrap();
        let space = meters.space_amplification().unwrap();
        let bound = lsm_space_amplification_bound(Merging::Tiered, t).unwrap();
        eprintln!(
            "tiered T {ratio}: levels {levels}, written x{written:.2} (law at most {:.1}), held x{space:.3} (law at most {bound:.1})",
            bounds.1
        );
        assert!(written > 1.0 && written <= bounds.1);
        assert!(space > 1.0 && space <= bound + 1.0);
        assert!(store.runs() <= (levels * u64::from(ratio)) as usize);
    }
}

#[test]
fn writes_of_new_subjects_only_move_and_merge() {
    // Nothing is ever shadowed: space is exactly what is live.
    let rule = LsmRule {
        keys: Keys::Appended,
        ..small()
    };
    let mut store = LsmStore::new(rule).unwrap();
    fill(&mut store, 50_000, 200_000, SimTime::ZERO);
    store.check().unwrap();
    assert_eq!(store.meters().space_amplification(), Some(1.0));
}

#[test]
fn lookups_of_what_is_nowhere_read_what_filters_let_pass() {
    // What a lookup asks without filters: runs whose files span the key. Levels have gaps where a file has
    // just gone down.
    let mut spanned = 0.0;
    for bits in [0.0, 4.0, 10.0] {
        let rule = LsmRule {
            bloom_bits_per_key: bits,
            ..small()
        };
        let mut store = LsmStore::new(rule).unwrap();
        let mut now = SimTime::ZERO;
        // Odd subjects are there, even ones are not, and lie within the files.
        let mut rng = stream();
        for _ in 0..150_000 {
            now += SimDuration(1_000_000);
            let subject = Subject(rng.random_range(0..50_000) * 2 + 1);
            store.put(subject, RECORD, now);
        }
        let before = store.meters();
        let lookups = 50_000_u32;
        for _ in 0..lookups {
            let subject = Subject(rng.random_range(500..49_500) * 2);
            let lookup = store.get(subject, now, &mut rng);
            assert!(!lookup.found);
        }
        let blocks = store.meters().blocks_read - before.blocks_read;
        let measured = blocks as f64 / f64::from(lookups);
        if bits == 0.0 {
            spanned = measured;
            assert!(spanned <= store.runs() as f64 && spanned > 0.7 * store.runs() as f64);
        }
        let expected = absent_lookup_blocks(spanned, bits).unwrap();
        let p = bloom_false_positive(bits).unwrap();
        eprintln!(
            "{bits} bits: {measured:.5} blocks (law {expected:.5}) over {} runs",
            store.runs()
        );
        let error = 4.0 * (spanned * p * (1.0 - p) / f64::from(lookups)).sqrt();
        assert!((measured - expected).abs() <= error + 0.01 * expected);
    }
}

#[test]
fn without_a_deadline_a_delete_takes_as_long_as_writes_do_and_with_one_it_does_not() {
    let subjects = 100_000;
    let run = |within: Option<f64>, writes: u32| {
        let rule = LsmRule {
            delete_persistence_s: within,
            ..small()
        };
        let mut store = updated(rule, subjects, 1);
        store.take_purged();
        let mut now = SimTime(1_000 * SECOND.0);
        for subject in 0..100 {
            store.delete(Subject(subject * 997), now);
        }
        // Nobody erased comes back on their own account: others write.
        let mut rng = stream();
        for _ in 0..writes {
            now += SimDuration(1_000_000);
            let mut subject = rng.random_range(0..subjects);
            subject += u32::from(subject % 997 == 0);
            store.put(Subject(subject), RECORD, now);
        }
        store.advance(SimTime(100_000 * SECOND.0));
        store.check().unwrap();
        store
    };
    // No more writes: for ever without a deadline.
    let idle = run(None, 0);
    assert!(idle.pending() >= 95, "{}", idle.pending());
    // As many writes as there are subjects, over and over: sooner or later, but most not within a level's time.
    let busy = run(None, 400_000);
    assert!(busy.pending() < 100);
    for writes in [0, 50_000] {
        let mut store = run(Some(60.0), writes);
        assert_eq!(store.pending(), 0);
        let took = store.take_purged();
        let longest = took
            .iter()
            .map(|p| p.physical.unwrap().since(p.received))
            .max();
        assert_eq!(took.len(), 100);
        assert!(
            longest.unwrap() <= SimDuration(60 * SECOND.0),
            "{longest:?}"
        );
    }
}

/// Writes alone bring a tombstone down in about the time that the law says: a deadline well below it is
/// missed, and one well above it is not.
#[test]
fn without_a_deadline_a_delete_takes_about_the_time_of_the_law() {
    let subjects = 60_000;
    let mut store = updated(small(), subjects, 1);
    store.take_purged();
    let mut now = SimTime(1_000 * SECOND.0);
    for subject in 0..100 {
        store.delete(Subject(subject * 599), now);
    }
    let mut rng = stream();
    for _ in 0..600_000 {
        now += SimDuration(1_000_000);
        let subject = rng.random_range(0..subjects);
        store.put(
            Subject(subject + u32::from(subject % 599 == 0)),
            RECORD,
            now,
        );
    }
    assert_eq!(store.pending(), 0);
    let purged = store.take_purged();
    let mut took: Vec<f64> = purged
        .iter()
        .map(|p| p.physical.unwrap().since(p.received).as_secs_f64())
        .collect();
    took.sort_by(f64::total_cmp);
    let mean = took.iter().sum::<f64>() / took.len() as f64;
    // The first level below level 0 holds one memtable at a trigger of 1: M is a quarter of that.
    let law = delete_persistence(Merging::Leveled, 0.025, 4.0, 4, 0.1).unwrap();
    eprintln!(
        "deletes: mean {mean:.1} s, median {:.1}, last {:.1} (law {law:.1})",
        took[50], took[99]
    );
    assert!(mean > law / 3.0 && mean < law * 3.0);
    assert!(took.iter().filter(|s| **s > law / 10.0).count() > 90);
}

/// The least squares slope of y over x, and the share of the variance it explains.
fn line(points: &[(f64, f64)]) -> (f64, f64, f64) {
    let n = points.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(&|p| p.0), mean(&|p| p.1));
    let xy = mean(&|p| (p.0 - x) * (p.1 - y));
    let xx = mean(&|p| (p.0 - x).powi(2));
    let yy = mean(&|p| (p.1 - y).powi(2));
    (xy / xx, y - xy / xx * x, xy * xy / (xx * yy))
}

/// Lone purges, each with the tree to itself, in stores of 10^2 to 10^6 records: what they touch and read
/// and write grows by a constant for each decade.
#[test]
fn work_of_a_purge_grows_with_the_logarithm_of_what_is_held() {
    let (mut work, mut jobs, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for decade in 2..=6 {
        let records = 10_u32.pow(decade);
        let rule = LsmRule {
            // A memtable of 100 records, files of as many.
            memtable_mb: 0.01,
            file_mb: Some(0.01),
            size_ratio: 10,
            l0_trigger: 2,
            keys: Keys::Appended,
            picking: Picking::Age,
            delete_persistence_s: Some(50.0),
            ..small()
        };
        let mut store = LsmStore::new(rule).unwrap();
        let mut now = SimTime::ZERO;
        // Ten records each, written in no order.
        let subjects = u64::from(records / 10);
        for i in 0..u64::from(records) {
            now += SimDuration(1_000);
            store.put(Subject((i * 7919 % subjects) as u32), RECORD, now);
        }
        let mut bytes = 0.0;
        let (mut merges, mut held) = (0.0, 0.0);
        let purges = subjects.min(40);
        for i in 0..purges {
            now += SimDuration(100 * SECOND.0);
            store.erase(
                Subject((i * subjects / purges + subjects / 80) as u32),
                now,
                now,
            );
            now += SimDuration(100 * SECOND.0);
            store.advance(now);
        }
        let done = store.take_purged();
        assert_eq!(done.len() as u64, purges);
        for purge in &done {
            bytes += purge.work_bytes as f64 / done.len() as f64;
            merges += f64::from(purge.jobs) / done.len() as f64;
            held += f64::from(purge.probed) / done.len() as f64;
        }
        eprintln!(
            "10^{decade} records: {bytes:.0} bytes, {merges:.2} jobs, {held:.2} places asked, depth {}, kept {}",
            store.depth(),
            store.kept()
        );
        let n = f64::from(decade);
        work.push((n, bytes));
        jobs.push((n, merges));
        places.push((n, held));
    }
    for (name, points) in [("bytes", &work), ("jobs", &jobs), ("places", &places)] {
        let (slope, at_zero, explained) = line(points);
        eprintln!("{name}: {at_zero:.2} + {slope:.2} log10(n), R2 {explained:.3}");
        assert!(slope > 0.0);
    }
    // A decade is one level more at a size ratio of 10, and a level costs at most one merge of a file with
    // the 10 or so below it, read and written, however much is held. It may cost less: where the level had
    // a gap the tombstone goes down alone.
    let file = 10_000.0;
    for (n, bytes) in &work {
        assert!(*bytes <= (n + 1.0) * 2.0 * 12.0 * file, "10^{n}: {bytes}");
    }
    for pair in jobs.windows(2) {
        assert!((pair[1].1 - pair[0].1 - 1.0).abs() < 0.5, "{pair:?}");
    }
}
