//! A store costs memory for each subject and level, not for each record.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests

use rand::RngExt;
use seatrial::engine::{SimDuration, SimTime, Streams};
use seatrial::fleet::lsm::{LsmRule, LsmStore, Subject};

fn run(subjects: u32, records: u64, erasures: u32) {
    let rule = LsmRule {
        bandwidth_mb_per_s: 2_000.0,
        delete_persistence_s: Some(1_000.0),
        exact_lag_s: 1.0,
        ..LsmRule::default()
    };
    let mut store = LsmStore::new(rule).unwrap();
    let streams = Streams {
        seed: 3,
        replication: 0,
    };
    let mut rng = streams.stream("lsm", 0, "scale");
    let mut now = SimTime::ZERO;
    let each = records / u64::from(erasures);
    for i in 0..records {
        now += SimDuration(20_000);
        store.put(Subject(rng.random_range(0..subjects)), 500, now);
        if i % each == 0 {
            store.erase(Subject(rng.random_range(0..subjects)), now, now);
        }
    }
    store.advance(now + SimDuration(1_000_000_000_000));
    store.check().unwrap();
    assert_eq!(store.pending(), 0);
    let purged = store.take_purged();
    let took = |p: &seatrial::fleet::lsm::Purge| p.physical.unwrap().since(p.received);
    let longest = purged.iter().map(took).max().unwrap();
    assert!(longest <= SimDuration(1_000_000_000_000), "{longest:?}");
    let most = subjects as usize * (store.depth() + 1);
    eprintln!(
        "{records} records of {subjects} subjects: {} kept (at most {most}), levels {:?}, written x{:.2}, {} purges, the longest {:.1} s",
        store.kept(),
        store.level_bytes(),
        store.meters().write_amplification().unwrap(),
        purged.len(),
        longest.as_secs_f64()
    );
    assert!(store.kept() <= most + 200_000);
}

#[test]
fn a_store_of_many_records_is_small() {
    run(20_000, 2_000_000, 100);
}

/// As many subjects as a whole fleet needs.
#[test]
fn ten_million_records_of_a_million_subjects() {
    run(1_000_000, 10_000_000, 1_000);
}
