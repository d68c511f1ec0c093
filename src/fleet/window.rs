//! The dynamic-batching window, with the semantics of Triton's dynamic batcher (triton-inference-
//! server/core, `dynamic_batch_scheduler.cc`): the timer is the age of the *oldest* queued
//! request; until the delay is over the largest preferred size that is queued goes at once, or else
//! a full batch; when the delay is over whatever is queued goes, up to a full batch.

use crate::engine::{SimDuration, SimTime};

use super::context::Context;
use super::event::Event;
use super::ids::ReplicaId;
use super::request::RequestList;

/// When a batch goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowRule {
    /// Longest wait of the oldest request.
    pub window: SimDuration,
    /// Most requests in a batch.
    pub max_batch: u32,
    /// Sizes worth sending at once, rising.
    pub preferred: Vec<u32>,
}

/// What the rule says of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// A batch of `size` goes now.
    Now {
        /// Requests in it.
        size: u32,
        /// Because it is full or of a preferred size, not because the window is over.
        by_size: bool,
    },
    /// Nothing goes before this instant.
    At(SimTime),
}

impl WindowRule {
    /// True when requests pass straight through.
    pub fn passes_through(&self) -> bool {
        self.window == SimDuration::ZERO
    }

    /// Decides over a queue of `len` (at least 1) whose oldest request came at `oldest`.
    pub fn decide(&self, len: u32, oldest: SimTime, now: SimTime) -> Close {
        let due = oldest.saturating_add(self.window);
        let full = len >= self.max_batch;
        let fitting = self.preferred.partition_point(|&size| size <= len);
        if now < due {
            // A preferred size comes before a full batch until the delay is over.
            let preferred = fitting.checked_sub(1).map(|index| self.preferred[index]);
            return match preferred.or(full.then_some(self.max_batch)) {
                Some(size) => Close::Now {
                    size,
                    by_size: true,
                },
                None => Close::At(due),
            };
        }
        Close::Now {
            size: len.min(self.max_batch),
            by_size: full,
        }
    }
}

/// A window before an engine with a queue of its own: it holds requests back and lets them go
/// together.
#[derive(Debug, Clone, Default)]
pub struct Window {
    held: RequestList,
    due: Option<SimTime>,
}

impl Window {
    /// Takes a request in and appends the slots that go now to `released`.
    pub fn offer(
        &mut self,
        slot: u32,
        rule: &WindowRule,
        replica: ReplicaId,
        ctx: &mut Context<'_>,
        released: &mut Vec<u32>,
    ) {
        self.held.push_back(ctx.requests, slot);
        self.release(rule, replica, ctx, released);
    }

    /// The pending `WindowDue` has come.
    pub fn window_due(
        &mut self,
        rule: &WindowRule,
        replica: ReplicaId,
        ctx: &mut Context<'_>,
        released: &mut Vec<u32>,
    ) {
        self.due = None;
        self.release(rule, replica, ctx, released);
    }

    /// Requests held back.
    pub fn len(&self) -> u32 {
        self.held.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Drops a request that is held back.
    pub fn abort(&mut self, slot: u32, ctx: &mut Context<'_>) {
        self.held.remove(ctx.requests, slot);
    }

    fn release(
        &mut self,
        rule: &WindowRule,
        replica: ReplicaId,
        ctx: &mut Context<'_>,
        released: &mut Vec<u32>,
    ) {
        while let Some(front) = self.held.front() {
            let oldest = ctx.requests.at(front).delivered;
            match rule.decide(self.held.len(), oldest, ctx.now) {
                Close::Now { size, by_size } => {
                    for _ in 0..size {
                        released.extend(self.held.pop_front(ctx.requests));
                    }
                    if ctx.meter.measures(ctx.now) {
                        if by_size {
                            ctx.meter.closed_by_size += 1;
                        } else {
                            ctx.meter.closed_by_window += 1;
                        }
                    }
                }
                Close::At(due) => {
                    if self.due.is_none_or(|pending| pending > due) {
                        self.due = Some(due);
                        ctx.queue.schedule(due, Event::WindowDue(replica));
                    }
                    return;
                }
            }
        }
    }
}
