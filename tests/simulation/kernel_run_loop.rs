//! What ends a run, and what its digest sees.

use std::sync::atomic::AtomicBool;

use seatrial::engine::{Digest, Ended, EventQueue, Limits, Model, SimTime, run::run};

/// Ticks every nanosecond until it has ticked `left` times.
#[derive(Default)]
struct Ticker {
    left: u64,
    seen: Vec<(u64, u8)>,
    fails: bool,
}

impl Model for Ticker {
    type Event = u8;

    fn handle(&mut self, event: u8, queue: &mut EventQueue<u8>) {
        self.seen.push((queue.now().0, event));
        if self.left > 0 {
            self.left -= 1;
            queue.schedule(SimTime(queue.now().0 + 1), event);
        }
    }

    fn word(event: &u8) -> u64 {
        u64::from(*event)
    }

    fn failed(&self) -> bool {
        self.fails
    }
}

const FREE: Limits<'static> = Limits {
    end: SimTime::NEVER,
    max_events: u64::MAX,
    stop: None,
};

fn play(events: &[(u64, u8)], limits: Limits<'_>) -> (Ended, Vec<(u64, u8)>, Digest) {
    let mut queue = EventQueue::new();
    for &(time, event) in events {
        queue.schedule(SimTime(time), event);
    }
    let mut ticker = Ticker::default();
    let mut digest = Digest::default();
    let ended = run(&mut ticker, &mut queue, &mut digest, limits, |_, _| {});
    (ended, ticker.seen, digest)
}

#[test]
fn a_run_drains_when_nothing_is_pending() {
    let (ended, seen, _) = play(&[(3, 1), (1, 2)], FREE);
    assert_eq!(ended, Ended::Drained);
    assert_eq!(seen, [(1, 2), (3, 1)]);
}

#[test]
fn the_end_is_exclusive() {
    let limits = Limits {
        end: SimTime(3),
        ..FREE
    };
    let (ended, seen, _) = play(&[(2, 1), (3, 2), (4, 3)], limits);
    assert_eq!(ended, Ended::End);
    assert_eq!(seen, [(2, 1)]);
}

#[test]
fn no_more_events_run_than_the_budget_allows() {
    for budget in 0..4 {
        let limits = Limits {
            max_events: budget,
            ..FREE
        };
        let (ended, seen, _) = play(&[(1, 1), (2, 2), (3, 3), (4, 4)], limits);
        assert_eq!(ended, Ended::EventBudget);
        assert_eq!(seen.len() as u64, budget);
    }
}

#[test]
fn a_run_cut_into_budgets_has_the_digest_of_the_whole() {
    let whole = {
        let mut queue = EventQueue::new();
        queue.schedule(SimTime(0), 7);
        let mut ticker = Ticker {
            left: 999,
            ..Ticker::default()
        };
        let mut digest = Digest::default();
        run(&mut ticker, &mut queue, &mut digest, FREE, |_, _| {});
        digest
    };
    let mut queue = EventQueue::new();
    queue.schedule(SimTime(0), 7);
    let mut ticker = Ticker {
        left: 999,
        ..Ticker::default()
    };
    let mut digest = Digest::default();
    let limits = Limits {
        max_events: 17,
        ..FREE
    };
    while run(&mut ticker, &mut queue, &mut digest, limits, |_, _| {}) == Ended::EventBudget {}
    assert_eq!(ticker.seen.len(), 1_000);
    assert_eq!(digest, whole);
}

#[test]
fn a_raised_flag_ends_the_run_at_the_next_look_and_a_failed_model_at_once() {
    let stop = AtomicBool::new(true);
    for (flag, fails, expected) in [
        (Some(&stop), false, Ended::Interrupted),
        (None, true, Ended::Failed),
    ] {
        let mut queue = EventQueue::new();
        queue.schedule(SimTime(0), 1);
        let mut ticker = Ticker {
            left: u64::MAX,
            fails,
            ..Ticker::default()
        };
        let limits = Limits { stop: flag, ..FREE };
        let mut looks = Vec::new();
        let mut digest = Digest::default();
        let ended = run(
            &mut ticker,
            &mut queue,
            &mut digest,
            limits,
            |now, events| {
                looks.push((now.0, events));
            },
        );
        assert_eq!(ended, expected);
        if fails {
            assert_eq!((looks.len(), ticker.seen.len()), (0, 1));
            continue;
        }
        assert_eq!(looks.len(), 1);
        assert_eq!(looks[0].0 + 1, looks[0].1);
        assert_eq!(ticker.seen.len() as u64, looks[0].1);
    }
}

#[test]
fn the_digest_sees_every_time_and_every_event_and_their_order() {
    let digest = |events: &[(u64, u8)]| play(events, FREE).2;
    let base = digest(&[(1, 1), (2, 2)]);
    assert_eq!(base, digest(&[(2, 2), (1, 1)]), "only what runs counts");
    assert_ne!(base, digest(&[(1, 1), (3, 2)]), "another time");
    assert_ne!(base, digest(&[(1, 1), (2, 3)]), "another event");
    assert_ne!(base, digest(&[(1, 2), (2, 1)]), "events changed places");
    assert_ne!(base, digest(&[(1, 1)]), "one less");
    assert_ne!(
        digest(&[(1, 1), (1, 2)]),
        digest(&[(1, 2), (1, 1)]),
        "another order within an instant"
    );
    assert_eq!(base.hex().len(), 16);
}
