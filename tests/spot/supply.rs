//! Pools that follow a recording.

use std::collections::BTreeMap;

use proptest::prelude::*;
use seatrial::engine::{SimDuration, SimTime};
use seatrial::fleet::spot::availability::Availability;
use seatrial::fleet::spot::interruption::Interruption;
use seatrial::fleet::spot::market::Market;
use seatrial::fleet::spot::recording::{AfterEnd, RowOrder, TraceOptions};

use super::statistics::seeded;

fn trace(max_nodes: Option<u32>, scale: f64) -> Interruption {
    Interruption::Trace {
        file: "pool.json".into(),
        max_nodes,
        scale,
        after_end: AfterEnd::Hold,
        time_scale: 1.0,
        offset_s: 0.0,
        order: RowOrder::Strict,
    }
}

/// One count per 10 ns.
fn recording(counts: &[u32], after_end: AfterEnd) -> Availability {
    let options = TraceOptions {
        after_end,
        ..TraceOptions::default()
    };
    Availability::from_counts(SimDuration(10), counts, &options).unwrap()
}

fn market(counts: &[u32], after_end: AfterEnd) -> Market {
    let recording = recording(counts, after_end);
    Market::new(trace(None, 1.0), Some(recording), seeded(1)).unwrap()
}

#[test]
fn the_excess_is_lost_at_the_tick_that_supply_drops_youngest_first() {
    let mut market = market(&[4, 4, 1], AfterEnd::Hold);
    for (node, start) in [(7, 0), (3, 5), (8, 5), (1, 2)] {
        market.node_started(node, SimTime(start));
    }
    assert_eq!(market.next_at(), Some(SimTime(20)));
    assert_eq!(market.take_due(SimTime(19)), None);
    let loss = market.take_due(SimTime(50)).unwrap();
    assert_eq!((loss.nodes, loss.at), (vec![8, 3, 1], SimTime(20)));
    assert_eq!(market.take_due(SimTime(50)), None);
    assert_eq!(market.held(), 1);
}

#[test]
fn launches_beyond_supply_are_refused() {
    let market = market(&[2, 0, 3], AfterEnd::Hold);
    assert!(market.may_launch(1, SimTime(0)));
    assert!(!market.may_launch(2, SimTime(0)));
    assert!(!market.may_launch(0, SimTime(10)));
    assert!(market.may_launch(2, SimTime(1_000_000)));
}

#[test]
fn a_node_started_beyond_supply_is_due_at_once() {
    let mut market = market(&[1, 5], AfterEnd::Hold);
    market.node_started(0, SimTime(3));
    market.node_started(1, SimTime(3));
    assert_eq!(market.next_at(), Some(SimTime(3)));
    assert_eq!(market.take_due(SimTime(3)).unwrap().nodes, [1]);
}

#[test]
fn a_dip_before_the_start_takes_nothing() {
    let mut market = market(&[2, 0, 2], AfterEnd::Hold);
    market.node_started(0, SimTime(25));
    assert_eq!(market.next_at(), None);
}

#[test]
fn a_node_ending_makes_room() {
    let mut market = market(&[2, 1], AfterEnd::Hold);
    market.node_started(0, SimTime(0));
    market.node_started(1, SimTime(0));
    market.node_ended(0, SimTime(4));
    assert_eq!(market.next_at(), None);
}

#[test]
fn a_repeated_recording_takes_again_and_a_held_one_does_not() {
    let lost = |after_end| {
        let mut market = market(&[1, 0, 1], after_end);
        let mut times = Vec::new();
        market.node_started(0, SimTime(0));
        while let Some(loss) = market.take_due(SimTime(75)) {
            times.push(loss.at.0);
            market.node_started(0, SimTime(loss.at.0 + 10));
        }
        times
    };
    assert_eq!(lost(AfterEnd::Hold), [10]);
    assert_eq!(lost(AfterEnd::Repeat), [10, 40, 70]);
}

#[test]
fn nodes_per_recorded_node_and_the_cap_set_the_supply() {
    let supply = |max_nodes, scale, recorded| {
        let recording = recording(&[recorded], AfterEnd::Hold);
        let market = Market::new(trace(max_nodes, scale), Some(recording), seeded(1));
        market.unwrap().capacity(SimTime(0)).unwrap()
    };
    assert_eq!(supply(None, 1.0, 16), 16);
    assert_eq!(supply(None, 97.0 / 16.0, 16), 97);
    assert_eq!(supply(None, 1.0 / 49.0, 49), 1);
    assert_eq!(supply(None, 0.5, 3), 1);
    assert_eq!(supply(Some(10), 1.0, 16), 10);
    assert_eq!(supply(Some(10), 4.0, 2), 8);
}

#[test]
fn a_node_starting_after_the_market_looked_ahead_still_meets_the_drop() {
    let mut market = market(&[3, 1, 3], AfterEnd::Hold);
    for node in 0..3 {
        market.node_started(node, SimTime(0));
    }
    assert_eq!(market.take_due(SimTime(25)).unwrap().nodes, [2, 1]);
    // By the end of the look ahead, supply has returned.
    assert_eq!(market.take_due(SimTime(25)), None);
    market.node_started(3, SimTime(5));
    let loss = market.take_due(SimTime(25)).unwrap();
    assert_eq!((loss.nodes, loss.at), (vec![3], SimTime(10)));
    assert_eq!(market.take_due(SimTime(25)), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn held_nodes_never_exceed_supply_and_none_is_taken_needlessly(
        counts in prop::collection::vec(0_u32..6, 1..12),
        repeat: bool,
        steps in prop::collection::vec((0_u64..25, 0_u32..8, any::<bool>()), 1..60),
    ) {
        let after_end = if repeat { AfterEnd::Repeat } else { AfterEnd::Hold };
        let pool = recording(&counts, after_end);
        let mut market = market(&counts, after_end);
        let mut held: BTreeMap<u32, u64> = BTreeMap::new();
        let mut now = 0;
        for (wait, node, start) in steps {
            // Every nanosecond, so that no drop can hide between two looks.
            for _ in 0..wait {
                now += 1;
                let supply = pool.at(SimTime(now)) as usize;
                let excess = held.len().saturating_sub(supply);
                let loss = market.take_due(SimTime(now));
                let mut youngest: Vec<(u64, u32)> = held.iter().map(|(n, s)| (*s, *n)).collect();
                youngest.sort_unstable_by(|a, b| b.cmp(a));
                let expected: Vec<u32> = youngest.iter().take(excess).map(|y| y.1).collect();
                prop_assert_eq!(loss.map_or(Vec::new(), |loss| loss.nodes), expected.clone());
                expected.iter().for_each(|node| { held.remove(node); });
                prop_assert!(market.take_due(SimTime(now)).is_none());
                prop_assert!(held.len() <= supply);
            }
            let count = held.len() as u32;
            let room = count < pool.at(SimTime(now));
            prop_assert_eq!(market.may_launch(count, SimTime(now)), room);
            if start && room && !held.contains_key(&node) {
                market.node_started(node, SimTime(now));
                held.insert(node, now);
            } else if !start && held.remove(&node).is_some() {
                market.node_ended(node, SimTime(now));
            }
            prop_assert_eq!(market.held(), held.len());
        }
    }
}
