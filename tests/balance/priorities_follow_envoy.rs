//! Priority levels and panic against the tables of Envoy's documentation
//! (`load_balancing/priority.rst` and `panic_threshold.rst`).

use proptest::prelude::*;
use seatrial::engine::Streams;
use seatrial::fleet::health::{Level, PriorityLoad};
use seatrial::measure::interval::bonferroni_t_limit;
use seatrial::scenario::health::Priorities;

fn levels(healthy: &[u32]) -> Vec<Level> {
    let level = |healthy: &u32| Level {
        hosts: 100,
        healthy: *healthy,
    };
    healthy.iter().map(level).collect()
}

fn load(healthy: &[u32]) -> PriorityLoad {
    PriorityLoad::new(&Priorities::default(), &levels(healthy))
}

fn shares(load: &PriorityLoad, count: usize) -> Vec<u64> {
    (0..count).map(|level| load.share_pct(level)).collect()
}

fn panics(load: &PriorityLoad, count: usize) -> Vec<bool> {
    (0..count).map(|level| load.in_panic(level)).collect()
}

/// `priority.rst`, the tables of two levels.
#[test]
fn two_levels_share_as_published() {
    let rows = [
        ([100, 100], [100, 0]),
        ([72, 100], [100, 0]),
        ([71, 100], [99, 1]),
        ([50, 100], [70, 30]),
        ([25, 100], [35, 65]),
        ([0, 100], [0, 100]),
        ([72, 72], [100, 0]),
        ([71, 71], [99, 1]),
        ([50, 50], [70, 30]),
        ([25, 25], [50, 50]),
    ];
    for (healthy, expected) in rows {
        assert_eq!(shares(&load(&healthy), 2), expected, "{healthy:?}");
    }
}

/// `priority.rst`, the table of three levels.
#[test]
fn three_levels_share_as_published() {
    let rows = [
        ([100, 100, 100], [100, 0, 0]),
        ([72, 72, 100], [100, 0, 0]),
        ([71, 71, 100], [99, 1, 0]),
        ([50, 50, 100], [70, 30, 0]),
        ([25, 100, 100], [35, 65, 0]),
        ([25, 25, 100], [35, 35, 30]),
    ];
    for (healthy, expected) in rows {
        assert_eq!(shares(&load(&healthy), 3), expected, "{healthy:?}");
    }
    // The last row, published as 36, 36 and 28. Health is 35, 35 and 28 of 98, which gives 35.7,
    // 35.7 and 28.6; Envoy cuts each. It is also a total panic, where hosts are counted instead:
    // all levels are below half. Without panic the two percent left go to the first level.
    let low = [25, 25, 20];
    assert_eq!(shares(&load(&low), 3), [34, 33, 33]);
    let calm = Priorities {
        panic_threshold_pct: 0,
        ..Priorities::default()
    };
    let calm = PriorityLoad::new(&calm, &levels(&low));
    assert_eq!(shares(&calm, 3), [37, 35, 28]);
    assert_eq!(panics(&calm, 3), [false; 3]);
}

/// `panic_threshold.rst`. Its rows 50/60 and 25/100 state shares without overprovisioning (50/50
/// and 25/75), against `priority.rst` and the source: theirs are here.
#[test]
fn panic_is_as_published() {
    let rows = [
        ([72, 100], [100, 0], [false, false], 100),
        ([71, 100], [99, 1], [false, false], 100),
        ([50, 100], [70, 30], [false, false], 100),
        ([25, 100], [35, 65], [false, false], 100),
        ([0, 100], [0, 100], [false, false], 100),
        ([72, 72], [100, 0], [false, false], 100),
        ([71, 71], [99, 1], [false, false], 100),
        ([50, 60], [70, 30], [false, false], 100),
        ([25, 25], [50, 50], [true, true], 70),
        // Published as 7 and 93; 7 and 91 of 98 are cut to 7 and 92, and the percent left goes to
        // the first.
        ([5, 65], [8, 92], [true, false], 98),
    ];
    for (healthy, share, panic, total) in rows {
        let load = load(&healthy);
        assert_eq!(shares(&load, 2), share, "{healthy:?}");
        assert_eq!(panics(&load, 2), panic, "{healthy:?}");
        assert_eq!(load.total_health(), total, "{healthy:?}");
    }
}

#[test]
fn panic_begins_below_its_threshold() {
    // One level: half is not below half.
    assert!(!load(&[50]).in_panic(0));
    assert!(load(&[49]).in_panic(0));
    assert_eq!(load(&[50]).total_health(), 70);
    assert_eq!(load(&[49]).share_pct(0), 100);
    // 72 % of a level is full health, whatever the threshold.
    let wary = Priorities {
        panic_threshold_pct: 100,
        ..Priorities::default()
    };
    assert!(!PriorityLoad::new(&wary, &levels(&[72])).in_panic(0));
    assert!(PriorityLoad::new(&wary, &levels(&[71])).in_panic(0));
}

#[test]
fn without_any_healthy_host() {
    // All in panic: shares by hosts.
    let sizes = |hosts: [u32; 3]| hosts.map(|hosts| Level { hosts, healthy: 0 });
    let load = PriorityLoad::new(&Priorities::default(), &sizes([10, 20, 3]));
    assert_eq!(shares(&load, 3), [31, 60, 9]);
    assert_eq!(panics(&load, 3), [true; 3]);
    let load = PriorityLoad::new(&Priorities::default(), &sizes([0, 20, 10]));
    assert_eq!(shares(&load, 3), [0, 67, 33]);
    // No hosts at all, or panic off: all to the first, which has nobody to give it to.
    let load = PriorityLoad::new(&Priorities::default(), &sizes([0, 0, 0]));
    assert_eq!(shares(&load, 3), [100, 0, 0]);
    let calm = Priorities {
        panic_threshold_pct: 0,
        ..Priorities::default()
    };
    let load = PriorityLoad::new(&calm, &sizes([10, 20, 3]));
    assert_eq!(shares(&load, 3), [100, 0, 0]);
    assert_eq!(panics(&load, 3), [false; 3]);
}

#[test]
fn levels_are_drawn_by_their_shares() {
    let load = load(&[25, 25, 100]);
    let streams = Streams {
        seed: 1,
        replication: 0,
    };
    let mut rng = streams.stream("priorities test", 0, "choose");
    let draws = 100_000;
    let mut counts = [0.0; 3];
    for _ in 0..draws {
        counts[load.choose(&mut rng)] += 1.0;
    }
    let limit = bonferroni_t_limit(1e-6, 3, 1e9);
    for (count, p) in counts.into_iter().zip([0.35, 0.35, 0.3]) {
        let n = f64::from(draws);
        let z = (count - n * p) / (n * p * (1.0 - p)).sqrt();
        assert!(z.abs() < limit, "z {z}");
    }
}

proptest! {
    /// Shares are whole and 100 together; no level is in panic while health is full; a level
    /// without a healthy host gets nothing unless it is in panic or there is no other.
    #[test]
    fn shares_are_a_hundred_together(
        sizes in prop::collection::vec((0_u32..50, 0.0_f64..=1.0), 1..8),
        panic_threshold_pct in 0_u32..=100,
        factor in 100_u32..300,
    ) {
        let config = Priorities {
            panic_threshold_pct,
            overprovisioning_factor_pct: factor,
            fail_traffic_on_panic: false,
        };
        let levels: Vec<Level> = sizes
            .iter()
            .map(|(hosts, share)| Level {
                hosts: *hosts,
                healthy: (f64::from(*hosts) * share).round() as u32,
            })
            .collect();
        let mut load = PriorityLoad::new(&config, &[Level { hosts: 1, healthy: 1 }]);
        load.update(&levels);
        let all = shares(&load, levels.len());
        prop_assert_eq!(all.iter().sum::<u64>(), 100);
        let any = levels.iter().any(|level| level.healthy > 0);
        for (index, level) in levels.iter().enumerate() {
            prop_assert!(!(load.in_panic(index) && load.total_health() == 100));
            let total_panic = (0..levels.len()).all(|index| load.in_panic(index));
            if any && !total_panic && level.healthy == 0 {
                prop_assert_eq!(all[index], 0);
            }
        }
    }
}
