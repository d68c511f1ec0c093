//! The event queue against the simplest thing that could be right: a list searched for the least
//! `(time, late, rank, sequence)`.

use proptest::prelude::*;
use seatrial::engine::{EventQueue, LaneId, SimDuration, SimTime, Timer};

const DELAYS: [u64; 3] = [0, 5, 12];

/// `(time, late, rank, sequence)`.
type Key = (u64, bool, u32, u64);

#[derive(Debug, Clone)]
enum Action {
    Schedule(u64),
    Lane(usize),
    Timer(u64),
    TimerInLane(usize),
    Late(u64, u32),
    /// Cancels one of the handles ever given out, fired and cancelled ones too.
    Cancel(prop::sample::Index),
    Pop,
    PopBefore(u64),
    /// Many timers at once, so many that they are kept by their time: `(how many, a seed, bits of
    /// the longest delay)`.
    Burst(u64, u64, u32),
    /// Many events taken at once.
    PopMany(usize),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => (0u64..30).prop_map(Action::Schedule),
        2 => (0..DELAYS.len()).prop_map(Action::Lane),
        4 => (0u64..30).prop_map(Action::Timer),
        2 => (0..DELAYS.len()).prop_map(Action::TimerInLane),
        3 => (0u64..30, 0u32..4).prop_map(|(after, rank)| Action::Late(after, rank)),
        5 => any::<prop::sample::Index>().prop_map(Action::Cancel),
        4 => Just(Action::Pop),
        2 => (0u64..20).prop_map(Action::PopBefore),
        1 => (0u64..500, any::<u64>(), 0u32..62)
            .prop_map(|(count, seed, bits)| Action::Burst(count, seed, bits)),
        1 => (0usize..300).prop_map(Action::PopMany),
    ]
}

#[derive(Default)]
struct Model {
    now: u64,
    sequence: u64,
    pending: Vec<Key>,
}

impl Model {
    fn add(&mut self, time: u64, late: Option<u32>) -> Key {
        self.sequence += 1;
        let key = (time, late.is_some(), late.unwrap_or(0), self.sequence);
        self.pending.push(key);
        key
    }

    fn cancel(&mut self, key: Key) -> bool {
        let at = self.pending.iter().position(|&pending| pending == key);
        at.map(|at| self.pending.remove(at)).is_some()
    }

    fn pop_before(&mut self, end: u64) -> Option<(SimTime, u64)> {
        let key = *self.pending.iter().min()?;
        if key.0 >= end {
            return None;
        }
        self.cancel(key);
        self.now = key.0;
        Some((SimTime(key.0), key.3))
    }
}

fn play(actions: &[Action]) -> Result<(), TestCaseError> {
    let mut queue: EventQueue<u64> = EventQueue::new();
    let lanes: Vec<LaneId> = DELAYS.map(|ns| queue.lane(SimDuration(ns))).to_vec();
    let mut model = Model::default();
    let mut handles: Vec<(Timer, Key)> = Vec::new();
    let (mut fired, mut cancelled) = (0, 0);
    for action in actions {
        // The event is its own sequence, as the model counts it.
        let event = model.sequence + 1;
        match *action {
            Action::Schedule(after) => {
                let key = model.add(model.now + after, None);
                queue.schedule(SimTime(key.0), event);
            }
            Action::Lane(lane) => {
                model.add(model.now + DELAYS[lane], None);
                queue.schedule_in_lane(lanes[lane], event);
            }
            Action::Timer(after) => {
                let key = model.add(model.now + after, None);
                handles.push((queue.schedule_timer(SimTime(key.0), event), key));
            }
            Action::TimerInLane(lane) => {
                let key = model.add(model.now + DELAYS[lane], None);
                handles.push((queue.schedule_timer_in_lane(lanes[lane], event), key));
            }
            Action::Late(after, rank) => {
                let key = model.add(model.now + after, Some(rank));
                handles.push((queue.schedule_late(SimTime(key.0), rank, event), key));
            }
            Action::Cancel(index) => {
                if !handles.is_empty() {
                    let (timer, key) = handles[index.index(handles.len())];
                    let was_pending = model.cancel(key);
                    prop_assert_eq!(queue.cancel(timer), was_pending);
                    cancelled += u64::from(was_pending);
                }
            }
            Action::Pop => {
                let expected = model.pop_before(u64::MAX);
                prop_assert_eq!(queue.pop(), expected);
                fired += u64::from(expected.is_some());
            }
            Action::Burst(count, seed, bits) => {
                for at in 0..count {
                    // Delays of all magnitudes, many of them equal.
                    let word = seed
                        .wrapping_add(at / 2)
                        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    let after = (word >> 2) >> (62 - bits);
                    let key = model.add((model.now + after).min(u64::MAX / 2), None);
                    let timer = queue.schedule_timer(SimTime(key.0), model.sequence);
                    handles.push((timer, key));
                }
            }
            Action::PopMany(count) => {
                for _ in 0..count {
                    let expected = model.pop_before(u64::MAX);
                    prop_assert_eq!(queue.pop(), expected);
                    fired += u64::from(expected.is_some());
                }
            }
            Action::PopBefore(after) => {
                let end = model.now + after;
                let expected = model.pop_before(end);
                prop_assert_eq!(queue.pop_before(SimTime(end)), expected);
                fired += u64::from(expected.is_some());
            }
        }
        let counts = queue.counts();
        prop_assert_eq!(queue.now(), SimTime(model.now));
        prop_assert_eq!(counts.scheduled, model.sequence);
        prop_assert_eq!(counts.fired, fired);
        prop_assert_eq!(counts.cancelled, cancelled);
        prop_assert_eq!(
            counts.scheduled - counts.fired - counts.cancelled,
            model.pending.len() as u64
        );
        // Cancelled entries may still be there, but none that is alive may be missing.
        prop_assert!(queue.pending() >= model.pending.len());
    }
    while let Some(expected) = model.pop_before(u64::MAX) {
        prop_assert_eq!(queue.pop(), Some(expected));
    }
    prop_assert_eq!(queue.pop(), None);
    prop_assert_eq!(queue.pending(), 0);
    for (timer, _) in handles {
        prop_assert!(!queue.cancel(timer), "a handle outlived its event");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_queue_does_what_a_sorted_list_does(actions in prop::collection::vec(action(), 0..400)) {
        play(&actions)?;
    }

    #[test]
    fn it_still_does_when_most_timers_are_cancelled(
        actions in prop::collection::vec(
            prop_oneof![
                4 => (0u64..1_000).prop_map(Action::Timer),
                1 => (0u64..1_000).prop_map(Action::Schedule),
                8 => any::<prop::sample::Index>().prop_map(Action::Cancel),
                1 => Just(Action::Pop),
            ],
            500..1_500,
        )
    ) {
        play(&actions)?;
    }
}

#[test]
fn a_timer_that_fired_cannot_be_cancelled_nor_cancel_its_successor() {
    let mut queue: EventQueue<u64> = EventQueue::new();
    let first = queue.schedule_timer(SimTime(10), 1);
    assert_eq!(queue.pop(), Some((SimTime(10), 1)));
    let second = queue.schedule_timer(SimTime(20), 2);
    assert!(!queue.cancel(first), "stale, though its slot lives again");
    assert!(queue.cancel(second));
    assert!(!queue.cancel(second));
    assert_eq!(queue.pop(), None);
}

#[test]
fn late_events_wait_for_ordinary_ones_scheduled_after_them() {
    let mut queue: EventQueue<&str> = EventQueue::new();
    queue.schedule_late(SimTime(5), 2, "late 2");
    queue.schedule_late(SimTime(5), 1, "late 1");
    queue.schedule(SimTime(5), "first");
    let lane = queue.lane(SimDuration(5));
    queue.schedule_in_lane(lane, "second");
    assert_eq!(queue.pop(), Some((SimTime(5), "first")));
    // Scheduled at the present instant, and still before what is late.
    queue.schedule(SimTime(5), "third");
    let rest: Vec<&str> = std::iter::from_fn(|| queue.pop())
        .map(|(_, event)| event)
        .collect();
    assert_eq!(rest, ["second", "third", "late 1", "late 2"]);
}

#[test]
fn one_delay_has_one_lane() {
    let mut queue: EventQueue<u8> = EventQueue::new();
    let lane = queue.lane(SimDuration(7));
    assert_ne!(queue.lane(SimDuration(8)), lane);
    assert_eq!(queue.lane(SimDuration(7)), lane);
}

#[test]
#[should_panic(expected = "before the present")]
fn nothing_is_scheduled_in_the_past() {
    let mut queue: EventQueue<u8> = EventQueue::new();
    queue.schedule(SimTime(10), 0);
    queue.pop();
    queue.schedule(SimTime(9), 1);
}
