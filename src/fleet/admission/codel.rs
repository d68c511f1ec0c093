//! Whom to shed of those that waited too long: controlled delay, in three forms.

use crate::engine::{SimDuration, SimTime};
use crate::scenario::admission::QueueControl as Config;

/// What to do with a request that leaves the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It goes on.
    Keep,
    /// It is shed; the next one is taken at once.
    Shed,
}

/// A controller of a queue's delay.
///
/// The queue's owner says when a request comes ([`QueueControl::on_enqueue`]), when one is taken
/// ([`QueueControl::on_dequeue`]) and when it finds nothing to take ([`QueueControl::on_empty`]).
#[derive(Debug, Clone)]
pub enum QueueControl {
    /// RFC 8289.
    Codel(Codel),
    /// Maurer, "Fail at Scale", ACM Queue 13(8), 2015.
    ControlledDelay(ControlledDelay),
    /// folly, `executors/Codel.cpp`.
    Slough(Slough),
}

impl QueueControl {
    /// A controller of an empty queue at the start of the simulation.
    pub fn new(config: &Config) -> QueueControl {
        let ns = SimDuration::from_ms_f64;
        match *config {
            Config::Codel {
                target_ms,
                interval_ms,
            } => QueueControl::Codel(Codel::new(ns(target_ms), ns(interval_ms))),
            Config::ControlledDelay {
                target_ms,
                interval_ms,
            } => {
                QueueControl::ControlledDelay(ControlledDelay::new(ns(target_ms), ns(interval_ms)))
            }
            Config::Slough {
                target_ms,
                interval_ms,
            } => QueueControl::Slough(Slough::new(ns(target_ms), ns(interval_ms))),
        }
    }

    /// A request comes. The longest that it may wait before it expires; none where waits are judged
    /// at their end only.
    pub fn on_enqueue(&mut self, now: SimTime) -> Option<SimDuration> {
        match self {
            QueueControl::ControlledDelay(control) => Some(control.on_enqueue(now)),
            QueueControl::Codel(_) | QueueControl::Slough(_) => None,
        }
    }

    /// A request leaves the queue that `waited` so long; `behind` others still wait. After `Shed`
    /// the next one must be taken at the same instant, or [`QueueControl::on_empty`] called.
    pub fn on_dequeue(&mut self, now: SimTime, waited: SimDuration, behind: u32) -> Decision {
        let shed = match self {
            QueueControl::Codel(codel) => codel.sheds(now, waited, behind),
            // Those that waited too long have expired by themselves.
            QueueControl::ControlledDelay(control) => {
                if behind == 0 {
                    control.on_empty(now);
                }
                false
            }
            QueueControl::Slough(slough) => slough.sheds(now, waited),
        };
        if shed { Decision::Shed } else { Decision::Keep }
    }

    /// The queue is empty: nothing was there to take, or the last request in it gave up or expired.
    pub fn on_empty(&mut self, now: SimTime) {
        match self {
            QueueControl::Codel(codel) => codel.on_empty(),
            QueueControl::ControlledDelay(control) => control.on_empty(now),
            QueueControl::Slough(_) => {}
        }
    }
}

/// A request that is alone behind the one that leaves is not shed: RFC 8289 stops where the queue
/// holds no more than one packet of the largest size, so that the link never idles.
const MOST_BEHIND_UNSHED: u32 = 1;

/// After so many intervals without a shed request the rate of shedding is forgotten (RFC 8289).
const MEMORY_INTERVALS: u64 = 16;

/// CoDel (Nichols and Jacobson, RFC 8289, section 5).
#[derive(Debug, Clone)]
pub struct Codel {
    target: SimDuration,
    interval: SimDuration,
    /// When waits will have been above the target for an interval.
    above_since_interval: Option<SimTime>,
    /// When to shed next, while `shedding`.
    next: SimTime,
    /// Requests shed since shedding began.
    count: u32,
    /// `count` when shedding last began.
    count_at_start: u32,
    shedding: bool,
    /// What the decision before this one was, which the next one completes.
    last: Last,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Kept,
    /// Shed as the first: the next request goes on whatever it waited.
    Began,
    /// Shed as one of many.
    Went,
}

impl Codel {
    /// A controller at rest.
    pub fn new(target: SimDuration, interval: SimDuration) -> Codel {
        Codel {
            target,
            interval,
            above_since_interval: None,
            next: SimTime::ZERO,
            count: 0,
            count_at_start: 0,
            shedding: false,
            last: Last::Kept,
        }
    }

    /// Whether it is shedding.
    pub fn is_shedding(&self) -> bool {
        self.shedding
    }

    fn sheds(&mut self, now: SimTime, waited: SimDuration, behind: u32) -> bool {
        let may_shed = self.stays_above(now, waited, behind);
        match std::mem::replace(&mut self.last, Last::Kept) {
            Last::Began => return false,
            Last::Went if may_shed => self.next = self.after(self.next),
            Last::Kept if !self.shedding && may_shed => {
                self.begin(now);
                return true;
            }
            Last::Went | Last::Kept => {}
        }
        self.shedding &= may_shed;
        if self.shedding && now >= self.next {
            self.count = self.count.saturating_add(1);
            self.last = Last::Went;
            return true;
        }
        false
    }

    fn on_empty(&mut self) {
        self.above_since_interval = None;
        if std::mem::replace(&mut self.last, Last::Kept) != Last::Began {
            self.shedding = false;
        }
    }

    /// Whether every request of the last interval waited as long as the target or longer.
    fn stays_above(&mut self, now: SimTime, waited: SimDuration, behind: u32) -> bool {
        if waited < self.target || behind <= MOST_BEHIND_UNSHED {
            self.above_since_interval = None;
            return false;
        }
        match self.above_since_interval {
            Some(since) => now >= since,
            None => {
                self.above_since_interval = Some(now + self.interval);
                false
            }
        }
    }

    fn begin(&mut self, now: SimTime) {
        self.shedding = true;
        self.last = Last::Began;
        // Back soon after the last time: the rate of then is a good one to start from.
        let earlier = self.count.saturating_sub(self.count_at_start);
        let memory = self.interval.0.saturating_mul(MEMORY_INTERVALS);
        let recent = now.since(self.next).0 < memory;
        self.count = if earlier > 1 && recent { earlier } else { 1 };
        self.next = self.after(now);
        self.count_at_start = self.count;
    }

    /// The control law: `interval / sqrt(count)` later.
    fn after(&self, time: SimTime) -> SimTime {
        let wait = self.interval.0 as f64 / f64::from(self.count).sqrt();
        time + SimDuration(wait.round() as u64)
    }
}

/// A timeout of the queue that is short while it does not get empty.
#[derive(Debug, Clone)]
pub struct ControlledDelay {
    target: SimDuration,
    interval: SimDuration,
    /// When the queue was last empty; it is now where `empty`.
    last_empty: SimTime,
    empty: bool,
}

impl ControlledDelay {
    /// For an empty queue at the start of the simulation.
    pub fn new(target: SimDuration, interval: SimDuration) -> ControlledDelay {
        ControlledDelay {
            target,
            interval,
            last_empty: SimTime::ZERO,
            empty: true,
        }
    }

    /// `target` if the queue was last empty more than an interval ago, else `interval`.
    fn on_enqueue(&mut self, now: SimTime) -> SimDuration {
        if std::mem::replace(&mut self.empty, false) {
            self.last_empty = now;
        }
        if now.since(self.last_empty) > self.interval {
            self.target
        } else {
            self.interval
        }
    }

    fn on_empty(&mut self, now: SimTime) {
        self.last_empty = now;
        self.empty = true;
    }
}

/// Sheds whoever waited more than twice the target while the shortest wait is above it.
#[derive(Debug, Clone)]
pub struct Slough {
    target: SimDuration,
    interval: SimDuration,
    shortest: SimDuration,
    interval_ends: SimTime,
    fresh: bool,
    overloaded: bool,
}

impl Slough {
    /// A controller at rest.
    pub fn new(target: SimDuration, interval: SimDuration) -> Slough {
        Slough {
            target,
            interval,
            shortest: SimDuration::ZERO,
            interval_ends: SimTime::ZERO,
            fresh: true,
            overloaded: false,
        }
    }

    /// Whether the shortest wait of the last interval was above the target.
    pub fn is_overloaded(&self) -> bool {
        self.overloaded
    }

    fn sheds(&mut self, now: SimTime, waited: SimDuration) -> bool {
        if now > self.interval_ends && !self.fresh {
            self.fresh = true;
            self.interval_ends = now + self.interval;
            self.overloaded = self.shortest > self.target;
        }
        if self.fresh {
            // One request tells nothing: the first of an interval is never shed.
            self.fresh = false;
            self.shortest = waited;
            return false;
        }
        self.shortest = self.shortest.min(waited);
        self.overloaded && waited > SimDuration(self.target.0.saturating_mul(2))
    }
}
