//! The circuit breaker against resilience4j's, one rule and one state after another.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use seatrial::engine::{SimDuration, SimTime};
use seatrial::fleet::health::{Breaker, State, Transition};
use seatrial::scenario::health::{AfterWait, CircuitBreaker, SlidingWindow};

const S: u64 = 1_000_000_000;
const QUICK: SimDuration = SimDuration(1);

fn s(seconds: u64) -> SimTime {
    SimTime(seconds * S)
}

/// Ten calls, of which half may fail; open for 5 s; four trial calls.
fn config() -> CircuitBreaker {
    CircuitBreaker {
        window_size: 10,
        minimum_calls: 10,
        wait_in_open_s: 5.0,
        slow_call_duration_s: 2.0,
        permitted_calls_in_half_open: 4,
        ..CircuitBreaker::default()
    }
}

/// One call, start to end, at an instant.
fn call(breaker: &mut Breaker, now: SimTime, fails: bool) -> Option<Transition> {
    assert!(breaker.try_acquire(now).permitted);
    if fails {
        breaker.on_error(now, QUICK)
    } else {
        breaker.on_success(now, QUICK)
    }
}

fn calls(breaker: &mut Breaker, now: SimTime, fails: &[bool]) -> Vec<Option<Transition>> {
    fails.iter().map(|fail| call(breaker, now, *fail)).collect()
}

fn transition(from: State, to: State, at: SimTime) -> Option<Transition> {
    Some(Transition { from, to, at })
}

/// A breaker that opened at 0 s.
fn open(config: &CircuitBreaker) -> Breaker {
    let mut breaker = Breaker::new(config);
    let count = config.minimum_calls.min(config.window_size) as usize;
    let changes = calls(&mut breaker, s(0), &vec![true; count]);
    assert_eq!(
        *changes.last().unwrap(),
        transition(State::Closed, State::Open, s(0))
    );
    breaker
}

/// A breaker that opened at 0 s and became half-open by a call at 6 s, which is still under way.
fn half_open(config: &CircuitBreaker) -> Breaker {
    let mut breaker = open(config);
    let acquired = breaker.try_acquire(s(6));
    assert!(acquired.permitted);
    let expected = transition(State::Open, State::HalfOpen, s(6));
    assert_eq!(acquired.transition, expected);
    breaker
}

#[test]
fn defaults_are_resilience4js() {
    let defaults: CircuitBreaker = toml::from_str("").unwrap();
    assert_eq!(defaults, CircuitBreaker::default());
    let mut breaker = Breaker::new(&defaults);
    // 100 calls at least, 50 %: the 100th is judged, and 50 failures of 100 are enough.
    let mut fails = vec![true; 50];
    fails.extend(vec![false; 49]);
    assert!(
        calls(&mut breaker, s(0), &fails)
            .iter()
            .all(Option::is_none)
    );
    assert_eq!(
        call(&mut breaker, s(0), false),
        transition(State::Closed, State::Open, s(0))
    );
    // 60 s; the call at their end is still refused, the next makes it half-open, and 10 pass.
    assert!(!breaker.try_acquire(s(60)).permitted);
    let passed = (0..20).filter(|_| breaker.try_acquire(SimTime(60 * S + 1)).permitted);
    assert_eq!(passed.count(), 10);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.due(), None);
}

#[test]
fn nothing_is_judged_before_the_minimum_of_calls() {
    let mut breaker = Breaker::new(&config());
    for change in calls(&mut breaker, s(0), &[true; 9]) {
        assert_eq!(change, None);
    }
    assert_eq!(breaker.state(), State::Closed);
    // A success as the tenth opens it as well: the rate counts, not the last result.
    assert!(call(&mut breaker, s(0), false).is_some());
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn the_minimum_is_at_most_the_window_of_calls() {
    let mut breaker = Breaker::new(&CircuitBreaker {
        minimum_calls: 100,
        ..config()
    });
    let changes = calls(&mut breaker, s(0), &[true; 10]);
    assert!(changes[..9].iter().all(Option::is_none));
    assert!(changes[9].is_some());
}

#[test]
fn it_opens_exactly_at_the_failure_rate() {
    // 4 of 10 do not, 5 of 10 do.
    for (failures, opens) in [(4, false), (5, true), (6, true)] {
        let mut breaker = Breaker::new(&config());
        let fails: Vec<bool> = (0..10).map(|index| index < failures).collect();
        let changes = calls(&mut breaker, s(0), &fails);
        assert_eq!(changes[9].is_some(), opens, "{failures} failures");
    }
}

#[test]
fn the_window_slides_over_calls() {
    let mut breaker = Breaker::new(&config());
    // Four failures, then six successes: 40 %. Four more successes push the failures out.
    calls(&mut breaker, s(0), &[true, true, true, true]);
    calls(&mut breaker, s(0), &[false; 10]);
    // Four failures again are 40 % again; the fifth is 50 %.
    let changes = calls(&mut breaker, s(0), &[true; 5]);
    assert!(changes[..4].iter().all(Option::is_none));
    assert!(changes[4].is_some());
}

#[test]
fn slow_calls_open_it_whether_they_fail_or_not() {
    let slow = CircuitBreaker {
        slow_call_rate_threshold_pct: 30.0,
        ..config()
    };
    let limit = SimDuration(2 * S);
    // A call of exactly the limit is not slow.
    for (duration, opens) in [(limit, false), (SimDuration(limit.0 + 1), true)] {
        let mut breaker = Breaker::new(&slow);
        let mut change = None;
        for index in 0..10 {
            assert!(breaker.try_acquire(s(0)).permitted);
            change = if index < 3 {
                breaker.on_success(s(0), duration)
            } else {
                breaker.on_success(s(0), QUICK)
            };
        }
        assert_eq!(change.is_some(), opens);
    }
    // A slow failure counts for both rates.
    let mut breaker = Breaker::new(&slow);
    for _ in 0..3 {
        breaker.on_error(s(0), SimDuration(3 * S));
    }
    let changes = calls(&mut breaker, s(0), &[false; 7]);
    assert!(changes[6].is_some());
}

#[test]
fn a_time_window_holds_whole_seconds() {
    let timed = CircuitBreaker {
        window: SlidingWindow::TimeBased,
        window_size: 3,
        minimum_calls: 4,
        ..config()
    };
    // Three failures at the end of second 0. In second 2 they still count...
    let late = SimTime(S - 1);
    let mut breaker = Breaker::new(&timed);
    calls(&mut breaker, late, &[true; 3]);
    assert!(call(&mut breaker, SimTime(3 * S - 1), false).is_some());
    // ... and in second 3, two seconds and a nanosecond later, no more.
    let mut breaker = Breaker::new(&timed);
    calls(&mut breaker, late, &[true; 3]);
    assert_eq!(call(&mut breaker, s(3), true), None);
    // The minimum is not cut to the size of a window of seconds.
    let changes = calls(&mut breaker, s(3), &[true; 3]);
    assert!(changes[..2].iter().all(Option::is_none));
    assert!(changes[2].is_some());
}

#[test]
fn open_refuses_and_needs_a_call_after_the_wait() {
    let mut breaker = open(&config());
    for now in [s(0), s(4), s(5)] {
        let acquired = breaker.try_acquire(now);
        assert!(!acquired.permitted && acquired.transition.is_none());
    }
    assert_eq!(breaker.refused(), 3);
    // Time alone does nothing.
    assert_eq!(breaker.due(), None);
    assert_eq!(breaker.on_timer(s(1_000)), None);
    let acquired = breaker.try_acquire(SimTime(5 * S + 1));
    assert!(acquired.permitted);
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn results_that_come_while_open_change_nothing() {
    let mut breaker = open(&config());
    for _ in 0..100 {
        assert_eq!(breaker.on_success(s(1), QUICK), None);
        assert_eq!(breaker.on_error(s(1), QUICK), None);
    }
    breaker.release();
    assert!(!breaker.try_acquire(s(2)).permitted);
}

#[test]
fn it_becomes_half_open_by_itself_where_that_is_asked_for() {
    let automatic = CircuitBreaker {
        automatic_half_open: true,
        ..config()
    };
    let mut breaker = open(&automatic);
    assert_eq!(breaker.due(), Some(s(5)));
    assert_eq!(breaker.on_timer(SimTime(5 * S - 1)), None);
    assert_eq!(
        breaker.on_timer(s(5)),
        transition(State::Open, State::HalfOpen, s(5))
    );
    assert_eq!(breaker.due(), None);
    // A timer that fires again is harmless.
    assert_eq!(breaker.on_timer(s(5)), None);
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn half_open_lets_its_permits_through_and_no_more() {
    let mut breaker = half_open(&config());
    // One of four is under way.
    for _ in 0..3 {
        assert!(breaker.try_acquire(s(6)).permitted);
    }
    assert!(!breaker.try_acquire(s(6)).permitted);
    // A result gives no permit back; a call without one does.
    assert_eq!(breaker.on_success(s(7), QUICK), None);
    assert!(!breaker.try_acquire(s(7)).permitted);
    breaker.release();
    assert!(breaker.try_acquire(s(7)).permitted);
    assert!(!breaker.try_acquire(s(7)).permitted);
}

#[test]
fn half_open_closes_below_the_rates() {
    let mut breaker = half_open(&config());
    for _ in 0..3 {
        assert!(breaker.try_acquire(s(6)).permitted);
    }
    // 1 failure of 4 is 25 %: nothing is said before the fourth.
    assert_eq!(breaker.on_error(s(7), QUICK), None);
    assert_eq!(breaker.on_success(s(7), QUICK), None);
    assert_eq!(breaker.on_success(s(7), QUICK), None);
    assert_eq!(
        breaker.on_success(s(8), QUICK),
        transition(State::HalfOpen, State::Closed, s(8))
    );
    // And begins with an empty window: nine failures are too few to judge.
    let changes = calls(&mut breaker, s(8), &[true; 10]);
    assert!(changes[..9].iter().all(Option::is_none));
    assert!(changes[9].is_some());
}

#[test]
fn half_open_opens_again_at_a_rate() {
    let mut breaker = half_open(&config());
    for _ in 0..3 {
        assert!(breaker.try_acquire(s(6)).permitted);
    }
    for _ in 0..2 {
        assert_eq!(breaker.on_success(s(7), QUICK), None);
    }
    assert_eq!(breaker.on_error(s(7), QUICK), None);
    // 2 of 4 is the threshold.
    assert_eq!(
        breaker.on_error(s(8), QUICK),
        transition(State::HalfOpen, State::Open, s(8))
    );
    // The wait begins anew, and so do the permits after it.
    assert!(!breaker.try_acquire(s(13)).permitted);
    let passed = (0..9).filter(|_| breaker.try_acquire(s(14)).permitted);
    assert_eq!(passed.count(), 4);
}

#[test]
fn a_small_minimum_judges_trial_calls_early() {
    let mut breaker = half_open(&CircuitBreaker {
        minimum_calls: 2,
        ..config()
    });
    assert_eq!(breaker.on_success(s(7), QUICK), None);
    assert!(breaker.on_success(s(7), QUICK).is_some());
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn slow_trial_calls_open_it_again() {
    let mut breaker = half_open(&config());
    for _ in 0..3 {
        assert!(breaker.try_acquire(s(6)).permitted);
    }
    let slow = SimDuration(3 * S);
    for _ in 0..3 {
        assert_eq!(breaker.on_success(s(9), slow), None);
    }
    // All four, 100 %.
    assert!(breaker.on_success(s(9), slow).is_some());
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn half_open_waits_for_ever_or_for_a_limit() {
    let breaker = half_open(&config());
    assert_eq!(breaker.due(), None);
    for (after_max_wait, next) in [
        (AfterWait::Open, State::Open),
        (AfterWait::Closed, State::Closed),
    ] {
        let mut breaker = half_open(&CircuitBreaker {
            max_wait_in_half_open_s: 3.0,
            after_max_wait,
            ..config()
        });
        assert_eq!(breaker.due(), Some(s(9)));
        assert_eq!(breaker.on_timer(SimTime(9 * S - 1)), None);
        let expected = transition(State::HalfOpen, next, s(9));
        assert_eq!(breaker.on_timer(s(9)), expected);
    }
    // A verdict before the limit takes the timer away.
    let mut breaker = half_open(&CircuitBreaker {
        max_wait_in_half_open_s: 3.0,
        minimum_calls: 1,
        ..config()
    });
    assert!(breaker.on_success(s(7), QUICK).is_some());
    assert_eq!(breaker.due(), None);
    assert_eq!(breaker.on_timer(s(9)), None);
}

/// resilience4j has no memory of the state in which a call began.
#[test]
fn a_late_result_counts_among_the_trial_calls() {
    let mut breaker = Breaker::new(&config());
    // Five calls begin while closed and stay away; ten failures open the breaker.
    for _ in 0..5 {
        assert!(breaker.try_acquire(s(0)).permitted);
    }
    calls(&mut breaker, s(0), &[true; 10]);
    assert!(breaker.try_acquire(s(6)).permitted);
    // Four of the five end well now: that closes it, though no trial call has ended.
    for _ in 0..3 {
        assert_eq!(breaker.on_success(s(6), QUICK), None);
    }
    assert!(breaker.on_success(s(6), QUICK).is_some());
    assert_eq!(breaker.state(), State::Closed);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Acquire,
    End { fails: bool, slow: bool },
    Release,
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        3 => Just(Step::Acquire),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(fails, slow)| Step::End { fails, slow }),
        1 => Just(Step::Release),
    ];
    prop::collection::vec((0_u64..3_000, step), 1..300)
}

proptest! {
    /// Of calls that begin and end in one half-open state, never more are under way or recorded
    /// than it permits; each change is one the machine has, and happens when it is told.
    #[test]
    fn permits_are_never_exceeded(
        steps in steps(),
        permitted in 1_u32..6,
        minimum in 1_u32..8,
        by_time in any::<bool>(),
        automatic in any::<bool>(),
        max_wait_s in 0_u32..3,
    ) {
        let config = CircuitBreaker {
            permitted_calls_in_half_open: permitted,
            minimum_calls: minimum,
            window_size: 5,
            window: if by_time { SlidingWindow::TimeBased } else { SlidingWindow::CountBased },
            automatic_half_open: automatic,
            max_wait_in_half_open_s: f64::from(max_wait_s),
            wait_in_open_s: 4.0,
            slow_call_duration_s: 1.0,
            ..CircuitBreaker::default()
        };
        let mut breaker = Breaker::new(&config);
        let mut now = SimTime::ZERO;
        let (mut under_way, mut ended) = (0_u32, 0_u32);
        for (gap_ms, step) in steps {
            let then = now + SimDuration(gap_ms * 1_000_000);
            let mut changes = Vec::new();
            while let Some(due) = breaker.due().filter(|due| *due <= then) {
                prop_assert!(due >= now);
                now = due;
                changes.extend(breaker.on_timer(now));
            }
            now = then;
            // Calls of a state that was left are not reported here.
            if !changes.is_empty() {
                (under_way, ended) = (0, 0);
            }
            let before = breaker.state();
            let change = match step {
                Step::Acquire => {
                    let acquired = breaker.try_acquire(now);
                    if acquired.transition.is_some() {
                        (under_way, ended) = (0, 0);
                    }
                    under_way += u32::from(acquired.permitted);
                    prop_assert!(breaker.state() != State::Open || !acquired.permitted);
                    prop_assert!(breaker.state() != State::Closed || acquired.permitted);
                    acquired.transition
                }
                Step::End { fails, slow } if under_way > 0 => {
                    under_way -= 1;
                    ended += 1;
                    let duration = SimDuration(if slow { 2 * S } else { 1 });
                    let change = if fails {
                        breaker.on_error(now, duration)
                    } else {
                        breaker.on_success(now, duration)
                    };
                    if change.is_some() {
                        (under_way, ended) = (0, 0);
                    }
                    change
                }
                Step::Release if under_way > 0 => {
                    under_way -= 1;
                    breaker.release();
                    None
                }
                _ => None,
            };
            if let Some(change) = change {
                prop_assert_eq!((change.from, change.to), (before, breaker.state()));
                prop_assert_eq!(change.at, now);
            } else {
                prop_assert_eq!(before, breaker.state());
            }
            if breaker.state() == State::HalfOpen {
                prop_assert!(under_way + ended <= permitted);
            }
        }
    }
}
