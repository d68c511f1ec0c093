//! A circuit breaker with the semantics of resilience4j (`CircuitBreakerStateMachine.java` and
//! `CircuitBreakerMetrics.java`, version 2.4).
//!
//! A result counts for the state that the breaker is in when it comes: a call let through while
//! closed that ends while half-open counts among the trial calls. That is what resilience4j does.

use super::calls::{Calls, CountWindow, TimeWindow, Window};
use crate::engine::{SimDuration, SimTime};
use crate::scenario::health::{AfterWait, CircuitBreaker as Config, SlidingWindow};

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All calls pass.
    Closed,
    /// No call passes.
    Open,
    /// A few calls pass, on trial.
    HalfOpen,
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// When.
    pub at: SimTime,
}

/// The answer to a call that wants to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acquired {
    /// Whether it may.
    pub permitted: bool,
    /// The change of state that the question itself made: open to half-open.
    pub transition: Option<Transition>,
}

/// A circuit breaker.
///
/// Each call permitted by [`Breaker::try_acquire`] ends in exactly one of [`Breaker::on_success`],
/// [`Breaker::on_error`] and [`Breaker::release`]. Where time alone changes the state,
/// [`Breaker::due`] says when; call [`Breaker::on_timer`] then.
#[derive(Debug, Clone)]
pub struct Breaker {
    rules: Rules,
    state: State,
    /// When an open breaker lets trial calls through, or a half-open one gives up.
    until: SimTime,
    /// Trial calls that may still pass.
    permits: u32,
    /// Results while closed.
    closed: Window,
    /// Results while half-open.
    trial: Window,
    refused: u64,
}

#[derive(Debug, Clone, Copy)]
struct Rules {
    failure_pct: f64,
    slow_pct: f64,
    slow_after: SimDuration,
    wait_in_open: SimDuration,
    permitted: u32,
    minimum_closed: u64,
    minimum_trial: u64,
    automatic: bool,
    /// Zero for no limit.
    max_wait: SimDuration,
    after_max_wait: AfterWait,
}

/// What the totals of a window say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    TooFewCalls,
    Good,
    Bad,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(config: &Config) -> Breaker {
        let minimum = u64::from(config.minimum_calls);
        let size = config.window_size;
        let (closed, minimum_closed) = match config.window {
            SlidingWindow::CountBased => (
                Window::Count(CountWindow::new(size)),
                minimum.min(u64::from(size)),
            ),
            SlidingWindow::TimeBased => (Window::Time(TimeWindow::new(size)), minimum),
        };
        let permitted = config.permitted_calls_in_half_open;
        Breaker {
            rules: Rules {
                failure_pct: config.failure_rate_threshold_pct,
                slow_pct: config.slow_call_rate_threshold_pct,
                slow_after: SimDuration::from_secs_f64(config.slow_call_duration_s),
                wait_in_open: SimDuration::from_secs_f64(config.wait_in_open_s),
                permitted,
                minimum_closed,
                minimum_trial: minimum.min(u64::from(permitted)),
                automatic: config.automatic_half_open,
                max_wait: SimDuration::from_secs_f64(config.max_wait_in_half_open_s),
                after_max_wait: config.after_max_wait,
            },
            state: State::Closed,
            until: SimTime::NEVER,
            permits: 0,
            closed,
            trial: Window::Count(CountWindow::new(permitted)),
            refused: 0,
        }
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether it waits for trial calls though all are taken, and for as long as that takes: with no
    /// call under way it would for ever.
    pub fn waits_for_calls(&self) -> bool {
        let patient = self.rules.max_wait == SimDuration::ZERO;
        self.state == State::HalfOpen && self.permits == 0 && patient
    }

    /// Calls refused so far.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// A call wants to pass. The first one *after* the wait (not at its very end) makes an open
    /// breaker half-open.
    pub fn try_acquire(&mut self, now: SimTime) -> Acquired {
        let waited = self.state == State::Open && now > self.until;
        let transition = waited.then(|| self.go(State::HalfOpen, now));
        let permitted = match self.state {
            State::Closed => true,
            State::Open => false,
            State::HalfOpen => self.permits > 0,
        };
        if self.state == State::HalfOpen && permitted {
            self.permits -= 1;
        }
        self.refused += u64::from(!permitted);
        Acquired {
            permitted,
            transition,
        }
    }

    /// A call that had passed succeeded after `duration`.
    pub fn on_success(&mut self, now: SimTime, duration: SimDuration) -> Option<Transition> {
        self.on_result(now, duration, false)
    }

    /// A call that had passed failed after `duration`.
    pub fn on_error(&mut self, now: SimTime, duration: SimDuration) -> Option<Transition> {
        self.on_result(now, duration, true)
    }

    /// A call that had passed ended without a result that counts (cancelled, never sent): its
    /// permit, if it needed one, is free again. Permits belong to the state of the moment, as
    /// results do.
    pub fn release(&mut self) {
        if self.state == State::HalfOpen {
            self.permits = self.permits.saturating_add(1);
        }
    }

    /// When time alone changes the state next. It may change before that; ask again after each
    /// transition.
    pub fn due(&self) -> Option<SimTime> {
        let timed = match self.state {
            State::Closed => false,
            State::Open => self.rules.automatic,
            State::HalfOpen => self.rules.max_wait > SimDuration::ZERO,
        };
        timed.then_some(self.until)
    }

    /// When a call may pass again, or time alone changes the state: when to look at it next. Just
    /// after the wait, not at its very end, where a call is needed.
    pub fn wakes_at(&self) -> Option<SimTime> {
        match self.state {
            State::Open if !self.rules.automatic => Some(self.until + SimDuration(1)),
            _ => self.due(),
        }
    }

    /// Changes the state if that was due; does nothing otherwise, so that a timer set for a state
    /// since left is harmless.
    pub fn on_timer(&mut self, now: SimTime) -> Option<Transition> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        let next = match (self.state, self.rules.after_max_wait) {
            (State::Open, _) => State::HalfOpen,
            (_, AfterWait::Open) => State::Open,
            (_, AfterWait::Closed) => State::Closed,
        };
        Some(self.go(next, now))
    }

    fn on_result(
        &mut self,
        now: SimTime,
        duration: SimDuration,
        failed: bool,
    ) -> Option<Transition> {
        let slow = duration > self.rules.slow_after;
        match self.state {
            State::Closed => {
                let totals = self.closed.record(now, failed, slow);
                let verdict = self.rules.judge(totals, self.rules.minimum_closed);
                (verdict == Verdict::Bad).then(|| self.go(State::Open, now))
            }
            // resilience4j keeps counting, but nothing follows from it.
            State::Open => None,
            State::HalfOpen => {
                let totals = self.trial.record(now, failed, slow);
                match self.rules.judge(totals, self.rules.minimum_trial) {
                    Verdict::TooFewCalls => None,
                    Verdict::Good => Some(self.go(State::Closed, now)),
                    Verdict::Bad => Some(self.go(State::Open, now)),
                }
            }
        }
    }

    fn go(&mut self, to: State, at: SimTime) -> Transition {
        let from = self.state;
        self.state = to;
        match to {
            State::Closed => {
                self.until = SimTime::NEVER;
                self.closed.clear();
            }
            State::Open => self.until = at + self.rules.wait_in_open,
            State::HalfOpen => {
                self.until = at + self.rules.max_wait;
                self.permits = self.rules.permitted;
                self.trial.clear();
            }
        }
        Transition { from, to, at }
    }
}

impl Rules {
    /// Rates that reach their threshold are too high.
    fn judge(&self, totals: Calls, minimum: u64) -> Verdict {
        if totals.calls < minimum {
            return Verdict::TooFewCalls;
        }
        let reaches = |part: u64, pct: f64| 100.0 * part as f64 >= pct * totals.calls as f64;
        if reaches(totals.failed, self.failure_pct) || reaches(totals.slow, self.slow_pct) {
            Verdict::Bad
        } else {
            Verdict::Good
        }
    }
}
