//! Supply as a step function of time.

use proptest::prelude::*;
use seatrial::engine::{SimDuration, SimTime};
use seatrial::fleet::spot::availability::Availability;
use seatrial::fleet::spot::recording::{AfterEnd, RowOrder, TraceOptions};

const SECOND: u64 = 1_000_000_000;

fn options(after_end: AfterEnd) -> TraceOptions {
    TraceOptions {
        after_end,
        ..TraceOptions::default()
    }
}

fn parse(text: &str, options: &TraceOptions) -> Availability {
    Availability::parse("pool", text, options).unwrap()
}

/// Changes in whole seconds.
fn changes(pool: &Availability, count: usize) -> Vec<(u64, u32)> {
    let changes = pool.changes().take(count);
    changes.map(|(at, nodes)| (at.0 / SECOND, nodes)).collect()
}

#[test]
fn a_skypilot_trace_is_one_count_per_tick() {
    let text =
        r#"{"prices":[0.9,0.9],"metadata":{"gap_seconds":300,"zone":"a"},"data":[4,4,0,16]}"#;
    let pool = parse(text, &options(AfterEnd::Hold));
    assert_eq!(changes(&pool, 9), [(0, 4), (600, 0), (900, 16)]);
    assert_eq!(pool.duration(), SimDuration(1200 * SECOND));
    assert_eq!(pool.at(SimTime(600 * SECOND - 1)), 4);
    assert_eq!(pool.at(SimTime(600 * SECOND)), 0);
    assert_eq!(pool.at(SimTime(u64::MAX)), 16);
    assert_eq!(pool.report().rows, 4);
    assert_eq!(pool.report().ignored_fields, ["prices", "metadata.zone"]);
}

#[test]
fn a_membership_list_counts_who_is_there_from_its_first_row_on() {
    let text = "time,event,node\r\n5000,add,a\r\n5000,add,b\r\n\r\n# c joins as a leaves\r\n8000,remove,a\r\n8000,add,c\r\n9000,remove,b\r\n";
    let pool = parse(text, &options(AfterEnd::Hold));
    assert_eq!(changes(&pool, 9), [(0, 2), (4, 1)]);
    assert_eq!(pool.duration(), SimDuration(4 * SECOND));
    let report = pool.report();
    let counts = (
        report.rows,
        report.header_lines,
        report.blank_lines,
        report.comment_lines,
    );
    assert_eq!(counts, (5, 1, 1, 1));
    let summary = pool.summary();
    assert_eq!((summary.nodes_lost, summary.net_nodes_lost), (2, 1));
}

#[test]
fn dated_and_timed_counts_are_read() {
    let dated = "2021-12-31, 23:59:50, 3\n2022-01-01, 00:00:10, 5\n2022-01-01, 00:01:00, 2\n";
    let timed = "seconds,count\n7.5,3\n27.5,5\n77.500,2\n";
    for text in [dated, timed] {
        let pool = parse(text, &options(AfterEnd::Hold));
        assert_eq!(changes(&pool, 9), [(0, 3), (20, 5), (70, 2)]);
        assert_eq!(pool.duration(), SimDuration(70 * SECOND));
    }
}

#[test]
fn rows_out_of_order_are_sorted_on_request_and_counted() {
    let text = "0,1\n20,2\n10,3\n20,4\n30,0\n";
    let sorted = TraceOptions {
        order: RowOrder::Sort,
        ..TraceOptions::default()
    };
    let pool = parse(text, &sorted);
    assert_eq!(changes(&pool, 9), [(0, 1), (10, 3), (20, 4), (30, 0)]);
    assert_eq!(pool.report().reordered_rows, 1);
}

#[test]
fn after_its_end_a_recording_holds_or_repeats() {
    let gap = SimDuration(SECOND);
    let pool = |after_end| Availability::from_counts(gap, &[1, 2, 3], &options(after_end)).unwrap();
    assert_eq!(changes(&pool(AfterEnd::Hold), 9), [(0, 1), (1, 2), (2, 3)]);
    let repeated = changes(&pool(AfterEnd::Repeat), 5);
    assert_eq!(repeated, [(0, 1), (1, 2), (2, 3), (3, 1), (4, 2)]);
    // A round that ends as it begins does not change there.
    let pool = Availability::from_counts(gap, &[1, 2, 1], &options(AfterEnd::Repeat)).unwrap();
    assert_eq!(changes(&pool, 5), [(0, 1), (1, 2), (2, 1), (4, 2), (5, 1)]);
    let pool = Availability::from_counts(gap, &[7, 7], &options(AfterEnd::Repeat)).unwrap();
    assert_eq!(changes(&pool, 5), [(0, 7)]);
}

#[test]
fn the_last_row_of_a_list_lasts_no_time_when_repeated() {
    let text = "0,1\n10,2\n20,9\n";
    let repeated = parse(text, &options(AfterEnd::Repeat));
    assert_eq!(changes(&repeated, 4), [(0, 1), (10, 2), (20, 1), (30, 2)]);
    let held = parse(text, &options(AfterEnd::Hold));
    assert_eq!(changes(&held, 4), [(0, 1), (10, 2), (20, 9)]);
    assert_eq!(held.summary().max_nodes, 9);
}

#[test]
fn time_scale_stretches_and_offset_starts_within_the_recording() {
    let text = "0,1\n10,2\n20,3\n30,3\n";
    let laid = TraceOptions {
        time_scale: 2.0,
        offset_s: 5.0,
        after_end: AfterEnd::Repeat,
        order: RowOrder::Strict,
    };
    let pool = parse(text, &laid);
    assert_eq!(
        changes(&pool, 5),
        [(0, 1), (10, 2), (30, 3), (50, 1), (70, 2)]
    );
    assert_eq!(pool.duration(), SimDuration(60 * SECOND));
}

#[test]
fn the_summary_of_a_small_recording_is_that_worked_out_by_hand() {
    // Ticks of half an hour: up 1 h, down 1.5 h, up 0.5 h.
    let gap = SimDuration(1800 * SECOND);
    let counts = [4, 2, 0, 0, 0, 1];
    let pool = Availability::from_counts(gap, &counts, &TraceOptions::default()).unwrap();
    let summary = pool.summary();
    assert_eq!(summary.duration_days, 0.125);
    assert_eq!((summary.max_nodes, summary.up_spells), (4, 2));
    assert_eq!(
        (summary.time_any_fraction, summary.capacity_fraction),
        (0.5, 7.0 / 24.0)
    );
    assert_eq!((summary.mean_up_h, summary.mean_down_h), (0.75, 1.5));
    assert_eq!((summary.nodes_lost, summary.net_nodes_lost), (4, 4));
    assert_eq!(summary.largest_loss_nodes, 2);
    assert_eq!(summary.losses_per_node_hour, 4.0 / 3.5);
    assert_eq!((pool.min_nodes(), pool.max_nodes()), (0, 4));
}

#[test]
fn a_pool_that_is_never_there_has_a_summary_of_zeros() {
    let gap = SimDuration(SECOND);
    let pool = Availability::from_counts(gap, &[0, 0], &TraceOptions::default()).unwrap();
    let summary = pool.summary();
    assert_eq!((summary.capacity_fraction, summary.mean_up_h), (0.0, 0.0));
    assert_eq!(summary.losses_per_node_hour, 0.0);
}

#[test]
fn changes_stop_at_the_end_of_time() {
    let gap = SimDuration(SECOND);
    let pool = Availability::from_counts(gap, &[1, 2], &options(AfterEnd::Repeat)).unwrap();
    assert_eq!(pool.next_change(SimTime(u64::MAX)), None);
    let last = pool.next_change(SimTime(u64::MAX - SECOND)).unwrap();
    assert!(last.0 > SimTime(u64::MAX - SECOND));
}

proptest! {
    #[test]
    fn changes_and_counts_agree_at_every_instant(
        counts in prop::collection::vec(0_u32..4, 1..10),
        gap in 1_u64..4,
        start in 0_u64..9,
        repeat: bool,
    ) {
        let length = counts.len() as u64 * gap;
        let laid = TraceOptions {
            offset_s: (start % length) as f64,
            ..options(if repeat { AfterEnd::Repeat } else { AfterEnd::Hold })
        };
        let pool = Availability::from_counts(SimDuration(gap * SECOND), &counts, &laid).unwrap();
        let expected = |second: u64| {
            let position = second + start % length;
            let tick = if repeat { position % length } else { position.min(length - 1) } / gap;
            counts[tick as usize]
        };
        let horizon = 3 * length;
        let mut listed = Vec::new();
        for second in 0..horizon {
            prop_assert_eq!(pool.at(SimTime(second * SECOND)), expected(second));
            if second == 0 || expected(second) != expected(second - 1) {
                listed.push((second, expected(second)));
            }
        }
        let found: Vec<(u64, u32)> = pool.changes()
            .map(|(at, nodes)| (at.0 / SECOND, nodes))
            .take_while(|change| change.0 < horizon)
            .collect();
        prop_assert_eq!(found, listed);
        for wanted in 0..4 {
            let first = (0..horizon).find(|second| expected(*second) <= wanted);
            let found = pool.first_where(SimTime(0), |nodes| nodes <= wanted);
            prop_assert_eq!(found.map(|at| at.0 / SECOND), first);
        }
    }
}
