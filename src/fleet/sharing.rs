//! Abstract engines under processor sharing: all present share the servers equally.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::engine::{SimTime, Timer};

use super::balance::Signals;
use super::context::Context;
use super::event::Event;
use super::ids::ReplicaId;

/// Slack when comparing attained with wanted service, nanoseconds: far below the clock's
/// resolution, far above the rounding of sums of nanoseconds in 53 bits over a busy period.
const SLACK_NS: f64 = 1e-3;

/// Processor sharing in virtual time: each request present has attained the same service since
/// it came, so it is enough to keep the service a request will have been given when it is done.
#[derive(Debug, Clone)]
pub struct Sharing {
    servers: u32,
    capacity: u32,
    /// Service attained by a request present since the busy period began, nanoseconds.
    attained_ns: f64,
    updated: SimTime,
    /// `(bits of the attained service at which it is done, slot)`; non-negative floats sort as
    /// their bits do.
    finishing: BinaryHeap<Reverse<(u64, u32)>>,
    timer: Option<Timer>,
    slowdown: f64,
    stalled: bool,
}

impl Sharing {
    /// `servers` servers shared by at most `servers + capacity` requests.
    pub fn new(servers: u32, capacity: u32) -> Sharing {
        Sharing {
            servers,
            capacity,
            attained_ns: 0.0,
            updated: SimTime::ZERO,
            finishing: BinaryHeap::new(),
            timer: None,
            slowdown: 1.0,
            stalled: false,
        }
    }

    /// Takes a request in; false when too many are present. Its demand is in its `work`.
    pub fn offer(&mut self, slot: u32, replica: ReplicaId, ctx: &mut Context<'_>) -> bool {
        let most = u64::from(self.servers) + u64::from(self.capacity);
        if self.finishing.len() as u64 >= most {
            return false;
        }
        self.settle(ctx);
        let request = ctx.requests.at_mut(slot);
        request.scheduled = ctx.now;
        let done_at = self.attained_ns + request.work.mark as f64;
        self.finishing.push(Reverse((done_at.to_bits(), slot)));
        self.arm(replica, ctx);
        true
    }

    /// The next request is served.
    pub fn share_done(&mut self, replica: ReplicaId, ctx: &mut Context<'_>) {
        self.timer = None;
        self.settle(ctx);
        let mut first = true;
        while let Some(&Reverse((bits, slot))) = self.finishing.peek() {
            // The timer was set for the first, so it is done whatever rounding says.
            if !first && f64::from_bits(bits) > self.attained_ns + SLACK_NS {
                break;
            }
            first = false;
            self.finishing.pop();
            ctx.requests.at_mut(slot).first_token = ctx.now;
            ctx.done.push(slot);
        }
        if self.finishing.is_empty() {
            self.attained_ns = 0.0;
        }
        self.arm(replica, ctx);
    }

    /// Who is present: all are served.
    pub fn signals(&self) -> Signals {
        Signals {
            running: self.finishing.len() as u32,
            ..Signals::default()
        }
    }

    /// Drops a request. Looks at all that are present.
    pub fn abort(&mut self, slot: u32, replica: ReplicaId, ctx: &mut Context<'_>) {
        self.settle(ctx);
        self.finishing
            .retain(|Reverse((_, present))| *present != slot);
        self.arm(replica, ctx);
    }

    /// Dies: it forgets everything, and is as new.
    pub fn crash(&mut self, replica: ReplicaId, ctx: &mut Context<'_>) {
        self.settle(ctx);
        self.finishing.clear();
        self.attained_ns = 0.0;
        self.arm(replica, ctx);
    }

    /// All takes `factor` times as long from now on.
    pub fn slow_down(&mut self, factor: f64, replica: ReplicaId, ctx: &mut Context<'_>) {
        self.settle(ctx);
        self.slowdown = factor;
        self.arm(replica, ctx);
    }

    /// Nothing is served for a while.
    pub fn stall(&mut self, replica: ReplicaId, ctx: &mut Context<'_>) {
        self.settle(ctx);
        self.stalled = true;
        self.arm(replica, ctx);
    }

    /// It goes on where it was.
    pub fn resume(&mut self, replica: ReplicaId, ctx: &mut Context<'_>) {
        self.settle(ctx);
        self.stalled = false;
        self.arm(replica, ctx);
    }

    /// Servers at work, and since when that has not been counted.
    pub fn at_work(&self) -> (u64, SimTime) {
        let at_work = self.finishing.len().min(self.servers as usize);
        (at_work as u64, self.updated)
    }

    /// Service each request gets per unit of time.
    fn speed(&self) -> f64 {
        let present = self.finishing.len() as f64;
        (f64::from(self.servers) / present).min(1.0) / self.slowdown
    }

    fn settle(&mut self, ctx: &mut Context<'_>) {
        let elapsed = ctx.now.since(self.updated);
        if !self.finishing.is_empty() && !self.stalled {
            self.attained_ns += elapsed.0 as f64 * self.speed();
            let at_work = self.finishing.len().min(self.servers as usize);
            let ns = ctx.meter.overlap_ns(self.updated, ctx.now);
            ctx.meter.busy_ns += u128::from(ns) * at_work as u128;
        }
        self.updated = ctx.now;
    }

    fn arm(&mut self, replica: ReplicaId, ctx: &mut Context<'_>) {
        if let Some(timer) = self.timer.take() {
            ctx.queue.cancel(timer);
        }
        let Some(&Reverse((bits, _))) = self.finishing.peek() else {
            return;
        };
        if self.stalled {
            return;
        }
        let left_ns = (f64::from_bits(bits) - self.attained_ns).max(0.0) / self.speed();
        let due = SimTime(ctx.now.0.saturating_add(left_ns.ceil() as u64));
        self.timer = Some(ctx.queue.schedule_timer(due, Event::ShareDone(replica)));
    }
}
