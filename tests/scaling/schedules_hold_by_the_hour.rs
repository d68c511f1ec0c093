//! Timetables of replicas.

use seatrial::engine::{NS_PER_S, SimTime};
use seatrial::fleet::scaling::schedule::{Schedule, ScheduleEntry, ScheduleRule};

const DAY_S: u64 = 86_400;

fn at(seconds: u64) -> SimTime {
    SimTime(seconds * NS_PER_S)
}

fn schedule(entries: &[(f64, u32)], repeats: bool, period_s: f64) -> Schedule {
    let entries = entries
        .iter()
        .map(|&(at_s, replicas)| ScheduleEntry { at_s, replicas });
    Schedule::new(&ScheduleRule {
        entries: entries.collect(),
        repeats,
        period_s,
    })
}

#[test]
fn a_day_repeats() {
    // In any order: 10 from 08:00, 4 from 20:00.
    let day = schedule(&[(72_000.0, 4), (28_800.0, 10)], true, 86_400.0);
    for start in [0, DAY_S, 700 * DAY_S] {
        // Before the first entry that of the evening before holds, on the first day too.
        assert_eq!(day.desired(at(start)), Some(4));
        assert_eq!(day.desired(at(start + 28_799)), Some(4));
        assert_eq!(day.desired(at(start + 28_800)), Some(10));
        assert_eq!(day.desired(at(start + 71_999)), Some(10));
        assert_eq!(day.desired(at(start + 72_000)), Some(4));
        assert_eq!(day.next_change(at(start)), Some(at(start + 28_800)));
        assert_eq!(
            day.next_change(at(start + 28_800)),
            Some(at(start + 72_000))
        );
        let next_morning = at(start + DAY_S + 28_800);
        assert_eq!(day.next_change(at(start + 72_000)), Some(next_morning));
    }
}

#[test]
fn without_repetition_the_last_entry_holds_for_ever() {
    let once = schedule(&[(100.0, 3), (200.0, 7)], false, 86_400.0);
    assert_eq!(once.desired(at(99)), None);
    assert_eq!(once.desired(at(100)), Some(3));
    assert_eq!(once.desired(at(10 * DAY_S)), Some(7));
    assert_eq!(once.next_change(at(0)), Some(at(100)));
    assert_eq!(once.next_change(at(100)), Some(at(200)));
    assert_eq!(once.next_change(at(200)), None);
}

#[test]
fn of_entries_at_one_time_the_last_holds() {
    let twice = schedule(&[(10.0, 1), (10.0, 2), (0.0, 9)], true, 60.0);
    assert_eq!(twice.desired(at(10)), Some(2));
    assert_eq!(twice.next_change(at(0)), Some(at(10)));
}

#[test]
fn an_entry_out_of_range_is_left_out() {
    let odd = [
        (f64::NAN, 1),
        (-1.0, 2),
        (60.0, 3),
        (f64::INFINITY, 4),
        (5.0, 5),
    ];
    let minute = schedule(&odd, true, 60.0);
    for seconds in [0, 5, 59, 60, 120] {
        assert_eq!(minute.desired(at(seconds)), Some(5));
    }
    let empty = schedule(&[], true, 60.0);
    assert_eq!(
        (empty.desired(at(5)), empty.next_change(at(5))),
        (None, None)
    );
    // A period of no length does not repeat.
    for period_s in [0.0, -1.0, f64::NAN] {
        let once = schedule(&[(5.0, 5)], true, period_s);
        assert_eq!(once.desired(at(4)), None);
        assert_eq!(once.desired(at(4_000)), Some(5));
    }
}

#[test]
fn the_end_of_time_is_no_end() {
    let day = schedule(&[(0.0, 1), (5.0, 2)], true, 86_400.0);
    assert!(day.desired(SimTime(u64::MAX)).is_some());
    assert!(day.next_change(SimTime(u64::MAX)).is_some());
}
