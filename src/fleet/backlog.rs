//! Requests of a tier that have come and are not over, and whether they are over by their deadline.

use crate::engine::{SimDuration, SimTime};

/// The backlog of a tier over the measured window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    window: (SimTime, SimTime),
    deadline: Option<SimDuration>,
    present: u64,
    since: SimTime,
    /// Request-nanoseconds.
    present_ns: u128,
    most: u64,
    /// Answered by their deadline, of those that came within the window.
    pub by_deadline: u64,
    /// Those that were not: answered late, or ended otherwise.
    pub past_deadline: u64,
}

impl Backlog {
    /// Nobody yet. The window is that of the measurement.
    pub fn new(window: (SimTime, SimTime), deadline: Option<SimDuration>) -> Backlog {
        Backlog {
            window,
            deadline,
            present: 0,
            since: SimTime::ZERO,
            present_ns: 0,
            most: 0,
            by_deadline: 0,
            past_deadline: 0,
        }
    }

    /// How long a request may take, where that is stated.
    pub fn deadline(&self) -> Option<SimDuration> {
        self.deadline
    }

    /// How many are there.
    pub fn present(&self) -> u64 {
        self.present
    }

    fn advance(&mut self, now: SimTime) {
        let (start, end) = self.window;
        let from = self.since.max(start);
        let to = now.min(end);
        if to > from {
            self.present_ns += u128::from(self.present) * u128::from((to - from).0);
        }
        self.since = now;
    }

    /// A request has come.
    #[inline]
    pub fn came(&mut self, now: SimTime) {
        self.advance(now);
        self.present += 1;
        if now >= self.window.0 && now < self.window.1 {
            self.most = self.most.max(self.present);
        }
    }

    /// One that came at `arrival` is over, answered or not.
    #[inline]
    pub fn went(&mut self, arrival: SimTime, answered: bool, now: SimTime) {
        self.advance(now);
        self.present = self.present.saturating_sub(1);
        if arrival < self.window.0 || arrival >= self.window.1 {
            return;
        }
        if let Some(deadline) = self.deadline {
            match answered && now.since(arrival) <= deadline {
                true => self.by_deadline += 1,
                false => self.past_deadline += 1,
            }
        }
    }

    /// One that came at `arrival` and is not over at `now`, the end of the run.
    pub fn still_there(&mut self, arrival: SimTime, now: SimTime) {
        let counted = arrival >= self.window.0 && arrival < self.window.1;
        let late = |deadline: SimDuration| now.since(arrival) > deadline;
        if counted && self.deadline.is_some_and(late) {
            self.past_deadline += 1;
        }
    }

    /// Requests present, on average over the window, and at most; and how many are there at `now`.
    pub fn at_end(mut self, now: SimTime) -> (f64, u64, u64) {
        self.advance(now.max(self.window.1));
        let length = (self.window.1 - self.window.0).0.max(1) as f64;
        (self.present_ns as f64 / length, self.most, self.present)
    }
}
