//! Work that nobody waits for any more is taken back.

use std::sync::Arc;

use crate::engine::EventQueue;
use crate::fleet::event::Event;
use crate::fleet::request::Status;

use super::World;
use super::handover::Task;

impl World {
    /// The news that a try was given up has come to where it is, or was going.
    pub(super) fn cancel(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        // Nothing is left to be done for it.
        if let Some(calls) = &self.calls
            && let Some(status) = calls.attempt(slot).ended
        {
            return self.try_ended(slot, status, queue);
        }
        let request = self.requests.at(slot);
        // On its way there, or on its way back: nothing works on it.
        if !request.work.present {
            return self.end(slot, Status::Cancelled, queue);
        }
        if self.is_being_sent(slot) {
            return self.end_sent(slot, queue);
        }
        if self.abort(slot, queue) {
            self.end(slot, Status::Cancelled, queue);
        } else if let Some(calls) = &mut self.calls {
            calls.attempt_mut(slot).dropped = true;
        }
        // What its place made room for may be done at once.
        self.send_done(queue);
    }

    /// Whether the KV of a prompt is on its way to another replica.
    fn is_being_sent(&self, slot: u32) -> bool {
        self.goes_on_elsewhere(slot) && self.requests.at(slot).work.generated > 0
    }

    /// Ends a request whose KV a prefill replica keeps for the link.
    fn end_sent(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let replica = self.requests.at(slot).replica;
        self.with_engine(slot, replica, queue.now(), queue, Task::Sent);
        self.end(slot, Status::Cancelled, queue);
    }

    fn abort(&mut self, slot: u32, queue: &mut EventQueue<Event>) -> bool {
        let id = self.requests.at(slot).replica;
        let pool = self.replicas[id.0 as usize].pool.0 as usize;
        let plan = Arc::clone(&self.plan);
        self.with_replica(id, queue, |replica, id, ctx| {
            replica.abort(slot, id, &plan.pools[pool].engine, ctx)
        })
    }

    /// Whether a request that is reported as done was to be dropped.
    pub(super) fn was_dropped(&self, slot: u32) -> bool {
        self.calls
            .as_ref()
            .is_some_and(|calls| calls.attempt(slot).dropped)
    }

    /// Ends one of those.
    pub(super) fn end_dropped(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        // It may have made its first token just before, and wait for the link.
        match self.is_being_sent(slot) {
            true => self.end_sent(slot, queue),
            false => self.end(slot, Status::Cancelled, queue),
        }
    }
}
