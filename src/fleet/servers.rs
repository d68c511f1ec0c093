//! Abstract engines: servers behind one queue, first come first served, one request at a time or
//! a batch at a time.

use rand_chacha::ChaCha8Rng;

use crate::engine::{SimDuration, SimTime};
use crate::workload::Sampler;

use super::balance::Signals;
use super::context::Context;
use super::event::Event;
use super::request::RequestList;
use super::window::{Close, WindowRule};

/// The time for which servers could work: it stands still while their replica hangs. Services end
/// by this clock, so that each goes on where it was.
#[derive(Debug, Clone, Copy, Default)]
struct WorkClock {
    stood: SimDuration,
    since: Option<SimTime>,
}

impl WorkClock {
    fn at(&self, now: SimTime) -> SimTime {
        SimTime(self.since.unwrap_or(now).0 - self.stood.0)
    }

    fn stop(&mut self, now: SimTime) {
        self.since.get_or_insert(now);
    }

    fn go_on(&mut self, now: SimTime) {
        if let Some(since) = self.since.take() {
            self.stood = self.stood + now.since(since);
        }
    }

    /// Begins a service of `time`, and says when it ends if nothing stops it.
    fn begin(&self, slot: u32, time: SimDuration, ctx: &mut Context<'_>) -> SimTime {
        ctx.requests.at_mut(slot).work.mark = (self.at(ctx.now) + time).0;
        ctx.now + time
    }

    /// Whether a service that was to end now has. One that stood still comes to its end later.
    #[inline]
    fn has_ended(&self, slot: u32, ctx: &mut Context<'_>) -> bool {
        let end = SimTime(ctx.requests.at(slot).work.mark);
        let now = self.at(ctx.now);
        if now >= end {
            return true;
        }
        // The news is of a batch that it led elsewhere, before it was handed over.
        if end == SimTime::NEVER {
            return false;
        }
        let id = ctx.requests.id(slot);
        let left = end.since(now);
        ctx.queue.schedule(ctx.now + left, Event::ServiceDone(id));
        false
    }
}

/// Servers that take one request each.
#[derive(Debug, Clone)]
pub struct Servers {
    servers: u32,
    capacity: u32,
    busy: u32,
    waiting: RequestList,
    slowdown: f64,
    clock: WorkClock,
}

impl Servers {
    /// `servers` servers and at most `capacity` requests waiting for them.
    pub fn new(servers: u32, capacity: u32) -> Servers {
        Servers {
            servers,
            capacity,
            busy: 0,
            waiting: RequestList::default(),
            slowdown: 1.0,
            clock: WorkClock::default(),
        }
    }

    /// Takes a request in; false when the queue is full. Its service time is in its `work`.
    pub fn offer(&mut self, slot: u32, ctx: &mut Context<'_>) -> bool {
        if self.busy < self.servers {
            self.start(slot, ctx);
            return true;
        }
        if self.waiting.len() >= self.capacity {
            return false;
        }
        self.waiting.push_back(ctx.requests, slot);
        true
    }

    /// A server has finished with a request.
    pub fn served(&mut self, slot: u32, ctx: &mut Context<'_>) {
        if !self.clock.has_ended(slot, ctx) {
            return;
        }
        self.busy -= 1;
        ctx.meter.ceased(ctx.now);
        ctx.requests.at_mut(slot).first_token = ctx.now;
        ctx.done.push(slot);
        if let Some(next) = self.waiting.pop_front(ctx.requests) {
            self.start(next, ctx);
        }
    }

    /// Who waits and who is served.
    pub fn signals(&self) -> Signals {
        Signals {
            waiting: self.waiting.len(),
            running: self.busy,
            ..Signals::default()
        }
    }

    /// Drops a request, wherever it is.
    pub fn abort(&mut self, slot: u32, ctx: &mut Context<'_>) {
        if ctx.requests.at(slot).scheduled == SimTime::NEVER {
            self.waiting.remove(ctx.requests, slot);
            return;
        }
        self.busy -= 1;
        ctx.meter.ceased(ctx.now);
        if let Some(next) = self.waiting.pop_front(ctx.requests) {
            self.start(next, ctx);
        }
    }

    /// Dies: it forgets everything, and is as new.
    pub fn crash(&mut self, ctx: &mut Context<'_>) {
        for _ in 0..std::mem::take(&mut self.busy) {
            ctx.meter.ceased(ctx.now);
        }
        self.waiting = RequestList::default();
    }

    /// What begins from now on takes `factor` times as long.
    pub fn slow_down(&mut self, factor: f64) {
        self.slowdown = factor;
    }

    /// Stands still for a while: what comes is taken in, and nothing gets on.
    pub fn stall(&mut self, now: SimTime) {
        self.clock.stop(now);
    }

    /// Goes on where it was.
    pub fn resume(&mut self, now: SimTime) {
        self.clock.go_on(now);
    }

    fn start(&mut self, slot: u32, ctx: &mut Context<'_>) {
        self.busy += 1;
        let request = ctx.requests.at_mut(slot);
        request.scheduled = ctx.now;
        let time = slowed(SimDuration(request.work.mark), self.slowdown);
        let end = self.clock.begin(slot, time, ctx);
        ctx.meter.began(ctx.now);
        let id = ctx.requests.id(slot);
        ctx.queue.schedule(end, Event::ServiceDone(id));
    }
}

/// A time that is `factor` times as long.
fn slowed(time: SimDuration, factor: f64) -> SimDuration {
    match factor == 1.0 {
        true => time,
        false => SimDuration((time.0 as f64 * factor).round() as u64),
    }
}

/// Time of a batch: `fixed + per_item * b`, times a random factor of mean 1.
#[derive(Debug, Clone)]
pub struct BatchTime {
    /// Time of any batch, nanoseconds.
    pub fixed_ns: f64,
    /// Time each request adds, nanoseconds.
    pub per_item_ns: f64,
    /// A law whose draws, over its mean, are the factor.
    pub variability: Option<Sampler>,
}

impl BatchTime {
    /// The mean time of a batch of `size`, nanoseconds.
    pub fn mean_ns(&self, size: f64) -> f64 {
        self.fixed_ns + self.per_item_ns * size
    }

    fn draw(&self, size: u32, rng: &mut ChaCha8Rng) -> SimDuration {
        let factor = match &self.variability {
            Some(law) => law.sample_ns(rng) / law.mean_ns(),
            None => 1.0,
        };
        SimDuration((self.mean_ns(f64::from(size)) * factor).round() as u64)
    }
}

/// Servers that take whole batches, formed by the window's rule when a server is free.
#[derive(Debug, Clone)]
pub struct BatchServers {
    servers: u32,
    capacity: u32,
    busy: u32,
    queue: RequestList,
    /// When the pending `WindowDue` comes, if one is pending.
    due: Option<SimTime>,
    slowdown: f64,
    clock: WorkClock,
}

impl BatchServers {
    /// `servers` servers and at most `capacity` requests queued.
    pub fn new(servers: u32, capacity: u32) -> BatchServers {
        BatchServers {
            servers,
            capacity,
            busy: 0,
            queue: RequestList::default(),
            due: None,
            slowdown: 1.0,
            clock: WorkClock::default(),
        }
    }

    /// Takes a request in and sends what may go; false when the queue is full.
    pub fn offer(&mut self, slot: u32, batching: &mut Batching<'_>, ctx: &mut Context<'_>) -> bool {
        if self.queue.len() >= self.capacity {
            return false;
        }
        self.queue.push_back(ctx.requests, slot);
        self.send(batching, ctx);
        true
    }

    /// The pending `WindowDue` has come.
    pub fn window_due(&mut self, batching: &mut Batching<'_>, ctx: &mut Context<'_>) {
        self.due = None;
        self.send(batching, ctx);
    }

    /// A server has finished the batch led by `leader`.
    pub fn served(&mut self, leader: u32, batching: &mut Batching<'_>, ctx: &mut Context<'_>) {
        if !self.clock.has_ended(leader, ctx) {
            return;
        }
        self.busy -= 1;
        ctx.meter.ceased(ctx.now);
        let mut slot = leader;
        while slot != super::ids::NONE {
            let request = ctx.requests.at_mut(slot);
            request.first_token = ctx.now;
            let next = request.next;
            ctx.done.push(slot);
            slot = next;
        }
        self.send(batching, ctx);
    }

    /// Who waits, and batches under way.
    pub fn signals(&self) -> Signals {
        Signals {
            waiting: self.queue.len(),
            running: self.busy,
            ..Signals::default()
        }
    }

    /// Drops a request that waits; one that is in a batch under way goes with it: false.
    pub fn abort(&mut self, slot: u32, ctx: &mut Context<'_>) -> bool {
        let waits = ctx.requests.at(slot).scheduled == SimTime::NEVER;
        if waits {
            self.queue.remove(ctx.requests, slot);
        }
        waits
    }

    /// Dies: it forgets everything, and is as new.
    pub fn crash(&mut self, ctx: &mut Context<'_>) {
        for _ in 0..std::mem::take(&mut self.busy) {
            ctx.meter.ceased(ctx.now);
        }
        self.queue = RequestList::default();
        self.due = None;
    }

    /// Batches that begin from now on take `factor` times as long.
    pub fn slow_down(&mut self, factor: f64) {
        self.slowdown = factor;
    }

    /// Stands still for a while: what comes is taken in, and nothing gets on.
    pub fn stall(&mut self, now: SimTime) {
        self.clock.stop(now);
    }

    /// Goes on where it was.
    pub fn resume(&mut self, now: SimTime) {
        self.clock.go_on(now);
    }

    fn send(&mut self, batching: &mut Batching<'_>, ctx: &mut Context<'_>) {
        while self.busy < self.servers {
            let Some(front) = self.queue.front() else {
                return;
            };
            let oldest = ctx.requests.at(front).delivered;
            match batching.rule.decide(self.queue.len(), oldest, ctx.now) {
                Close::Now { size, by_size } => self.start(size, by_size, batching, ctx),
                Close::At(due) => {
                    if self.due.is_none_or(|pending| pending > due) {
                        self.due = Some(due);
                        ctx.queue.schedule(due, Event::WindowDue(batching.replica));
                    }
                    return;
                }
            }
        }
    }

    fn start(
        &mut self,
        size: u32,
        by_size: bool,
        batching: &mut Batching<'_>,
        ctx: &mut Context<'_>,
    ) {
        self.busy += 1;
        let mut batch = RequestList::default();
        for _ in 0..size {
            if let Some(slot) = self.queue.pop_front(ctx.requests) {
                let request = ctx.requests.at_mut(slot);
                // What it waited beyond the window it waited for a server.
                let released = request.delivered.saturating_add(batching.rule.window);
                request.queued = released.min(ctx.now);
                request.scheduled = ctx.now;
                // Its leader knows when it ends.
                request.work.mark = SimTime::NEVER.0;
                batch.push_back(ctx.requests, slot);
            }
        }
        let time = slowed(batching.time.draw(size, batching.rng), self.slowdown);
        ctx.meter.began(ctx.now);
        if ctx.meter.measures(ctx.now) {
            ctx.meter.batches += 1;
            ctx.meter.batched += u64::from(size);
            if by_size {
                ctx.meter.closed_by_size += 1;
            } else {
                ctx.meter.closed_by_window += 1;
            }
        }
        if let Some(leader) = batch.front() {
            let end = self.clock.begin(leader, time, ctx);
            let id = ctx.requests.id(leader);
            ctx.queue.schedule(end, Event::ServiceDone(id));
        }
    }
}

/// What batch servers need of their pool.
pub struct Batching<'a> {
    /// Which replica this is, for its events.
    pub replica: super::ids::ReplicaId,
    /// When a batch goes.
    pub rule: &'a WindowRule,
    /// How long it takes.
    pub time: &'a BatchTime,
    /// The pool's service stream.
    pub rng: &'a mut ChaCha8Rng,
}
