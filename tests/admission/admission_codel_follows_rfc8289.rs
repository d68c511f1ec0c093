//! Controlled delay sheds whom its sources shed.

use std::collections::VecDeque;

use proptest::prelude::*;
use seatrial::engine::{SimDuration, SimTime};
use seatrial::fleet::admission::{Decision, QueueControl};
use seatrial::scenario::admission::QueueControl as Config;

const MS: u64 = 1_000_000;
const TARGET: u64 = 5 * MS;
const INTERVAL: u64 = 100 * MS;

fn codel() -> QueueControl {
    QueueControl::new(&Config::Codel {
        target_ms: 5.0,
        interval_ms: 100.0,
    })
}

/// The queue of RFC 8289, section 5.3 to 5.5, with its names; a packet is its time of arrival.
#[derive(Default)]
struct Rfc {
    queue: VecDeque<u64>,
    first_above_time: u64,
    drop_next: u64,
    count: u32,
    lastcount: u32,
    dropping: bool,
    dropped: Vec<u64>,
}

impl Rfc {
    fn control_law(time: u64, count: u32) -> u64 {
        time + (INTERVAL as f64 / f64::from(count).sqrt()).round() as u64
    }

    /// A packet, and whether it is ok to drop it.
    fn dodequeue(&mut self, now: u64) -> (Option<u64>, bool) {
        let Some(packet) = self.queue.pop_front() else {
            self.first_above_time = 0;
            return (None, false);
        };
        // A packet is of the largest size, so the backlog is too small at one or none.
        if now - packet < TARGET || self.queue.len() <= 1 {
            self.first_above_time = 0;
        } else if self.first_above_time == 0 {
            self.first_above_time = now + INTERVAL;
        } else if now >= self.first_above_time {
            return (Some(packet), true);
        }
        (Some(packet), false)
    }

    fn drop(&mut self, packet: Option<u64>) {
        self.dropped.extend(packet);
    }

    fn deque(&mut self, now: u64) -> Option<u64> {
        let mut r = self.dodequeue(now);
        if self.dropping {
            if !r.1 {
                self.dropping = false;
            }
            while self.dropping && now >= self.drop_next {
                self.drop(r.0);
                self.count += 1;
                r = self.dodequeue(now);
                if r.1 {
                    self.drop_next = Rfc::control_law(self.drop_next, self.count);
                } else {
                    self.dropping = false;
                }
            }
        } else if r.1 {
            self.drop(r.0);
            r = self.dodequeue(now);
            self.dropping = true;
            let delta = self.count - self.lastcount;
            self.count = 1;
            if delta > 1 && now.saturating_sub(self.drop_next) < 16 * INTERVAL {
                self.count = delta;
            }
            self.drop_next = Rfc::control_law(now, self.count);
            self.lastcount = self.count;
        }
        r.0
    }
}

/// The same queue with our controller.
struct Ours {
    queue: VecDeque<u64>,
    control: QueueControl,
    dropped: Vec<u64>,
}

impl Ours {
    fn new(control: QueueControl) -> Ours {
        Ours {
            queue: VecDeque::new(),
            control,
            dropped: Vec::new(),
        }
    }

    fn deque(&mut self, now: u64) -> Option<u64> {
        loop {
            let Some(came) = self.queue.pop_front() else {
                self.control.on_empty(SimTime(now));
                return None;
            };
            let behind = self.queue.len() as u32;
            let waited = SimDuration(now - came);
            match self.control.on_dequeue(SimTime(now), waited, behind) {
                Decision::Keep => return Some(came),
                Decision::Shed => self.dropped.push(came),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn codel_is_the_queue_of_the_rfc(
        // Stretches of so many arrivals and departures, so far apart, in tenths of a millisecond.
        stretches in prop::collection::vec((1u64..300, 1u64..60, 1u64..60), 1..12),
    ) {
        let mut rfc = Rfc::default();
        let mut ours = Ours::new(codel());
        // The RFC's clock is never 0: that means "not above".
        let mut start = MS;
        for (steps, arrival, departure) in stretches {
            let (arrival, departure) = (arrival * MS / 10, departure * MS / 10);
            let end = start + steps * arrival.max(departure);
            let (mut comes, mut goes) = (start, start);
            while comes.min(goes) < end {
                if comes <= goes {
                    rfc.queue.push_back(comes);
                    ours.queue.push_back(comes);
                    comes += arrival;
                } else {
                    prop_assert_eq!(rfc.deque(goes), ours.deque(goes));
                    prop_assert_eq!(&rfc.dropped, &ours.dropped);
                    goes += departure;
                }
            }
            start = end;
        }
    }
}

/// A queue that never gets shorter, looked at every 10 us: sheds come `interval / sqrt(count)` apart.
#[test]
fn sheds_follow_the_square_root_law() {
    let mut control = codel();
    let mut sheds = Vec::new();
    let long = SimDuration(20 * MS);
    for step in 0..100_000u64 {
        let now = SimTime(step * 10_000);
        while control.on_dequeue(now, long, 50) == Decision::Shed {
            sheds.push(now.0);
        }
    }
    // Above the target from time 0 on; the first is shed after an interval.
    let mut due = INTERVAL as f64;
    for (index, shed) in sheds.iter().enumerate() {
        // Looked at every 10 us, and each law is rounded to a nanosecond.
        assert!((due - 100.0..due + 10_000.0 + 100.0).contains(&(*shed as f64)));
        due += INTERVAL as f64 / ((index + 1) as f64).sqrt();
    }
    // The sum of 1 / sqrt(k) for k up to n is about 2 sqrt(n) - 1.46 + 1 / (2 sqrt(n)): 8.84 for 26
    // and 9.03 for 27, so that 9 intervals after the first one hold 26 more.
    assert_eq!(sheds.len(), 27);
}

#[test]
fn one_short_wait_ends_it_and_a_short_queue_is_left_alone() {
    let long = SimDuration(TARGET);
    let mut control = codel();
    assert_eq!(control.on_dequeue(SimTime(MS), long, 9), Decision::Keep);
    let early = SimTime(MS + INTERVAL - 1);
    assert_eq!(control.on_dequeue(early, long, 9), Decision::Keep);
    let due = SimTime(MS + INTERVAL);
    assert_eq!(control.clone().on_dequeue(due, long, 9), Decision::Shed);
    // Nothing of the kind with one behind, or with a wait below the target; both start anew.
    for (waited, behind) in [(TARGET, 1), (TARGET - 1, 9)] {
        let mut control = control.clone();
        let waited = SimDuration(waited);
        assert_eq!(control.on_dequeue(due, waited, behind), Decision::Keep);
        let later = SimTime(due.0 + INTERVAL);
        assert_eq!(control.on_dequeue(later, long, 9), Decision::Keep);
        let again = SimTime(later.0 + INTERVAL);
        assert_eq!(control.on_dequeue(again, long, 9), Decision::Shed);
    }
}

#[test]
fn controlled_delay_is_short_while_the_queue_does_not_empty() {
    let mut control = QueueControl::new(&Config::ControlledDelay {
        target_ms: 5.0,
        interval_ms: 100.0,
    });
    let ms = |ms: u64| SimTime(ms * MS);
    let (short, long) = (Some(SimDuration(TARGET)), Some(SimDuration(INTERVAL)));
    // Idle for long: the queue was empty a moment ago.
    assert_eq!(control.on_enqueue(ms(1_000)), long);
    assert_eq!(control.on_enqueue(ms(1_100)), long);
    assert_eq!(control.on_enqueue(SimTime(1_100 * MS + 1)), short);
    // One leaves, one is left behind: not empty.
    let waited = SimDuration(MS);
    assert_eq!(control.on_dequeue(ms(1_101), waited, 1), Decision::Keep);
    assert_eq!(control.on_enqueue(ms(1_102)), short);
    assert_eq!(control.on_dequeue(ms(1_103), waited, 0), Decision::Keep);
    assert_eq!(control.on_enqueue(ms(1_400)), long);
    assert_eq!(control.on_enqueue(ms(1_501)), short);
    control.on_empty(ms(1_502));
    assert_eq!(control.on_enqueue(ms(1_503)), long);
}

#[test]
fn slough_sheds_twice_the_target_while_the_shortest_wait_is_above_it() {
    let mut control = QueueControl::new(&Config::Slough {
        target_ms: 5.0,
        interval_ms: 100.0,
    });
    let mut ask =
        |at: u64, waited: u64| control.on_dequeue(SimTime(at * MS), SimDuration(waited * MS), 9);
    use Decision::{Keep, Shed};
    // The first tells nothing. The second ends the interval that never was, whose shortest wait
    // was 50 ms: overloaded from then on, and it is the first of the new interval.
    assert_eq!(ask(1, 50), Keep);
    assert_eq!(ask(2, 50), Keep);
    assert_eq!(ask(3, 50), Shed);
    assert_eq!(ask(4, 10), Keep, "twice the target is not more than twice");
    assert_eq!(ask(5, 11), Shed);
    assert_eq!(ask(102, 5), Keep);
    assert_eq!(ask(102, 50), Shed);
    // The interval that ended had a wait of 5 ms, which is not above the target.
    assert_eq!(ask(103, 50), Keep);
    assert_eq!(ask(104, 50), Keep);
    assert_eq!(ask(203, 50), Keep);
    // All of the last interval waited long.
    assert_eq!(ask(204, 50), Keep, "the first of an interval");
    assert_eq!(ask(205, 50), Shed);
}
