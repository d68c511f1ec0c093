//! Requests leave a node that was told to go: they come back to their gateways, which send them to
//! other nodes, with what was computed of them or without.

use crate::engine::{EventQueue, SimDuration, SimTime};
use crate::fleet::event::Event;
use crate::fleet::ids::{NONE, ReplicaId};
use crate::fleet::request::{Request, Work};
use crate::fleet::transfer::TransferPlan;

use super::World;

impl World {
    /// All requests at a replica go to others. Over a link those that are being answered take their
    /// KV with them, as far as that has come before the node is gone; of the others everything is
    /// computed again.
    pub(super) fn hand_over_all(
        &mut self,
        group: u16,
        replica: ReplicaId,
        link: Option<TransferPlan>,
        queue: &mut EventQueue<Event>,
    ) {
        let mut there = self.requests_of(replica);
        there.retain(|slot| self.requests.at(*slot).work.present && !self.was_dropped(*slot));
        let answered: Vec<bool> = there
            .iter()
            .map(|slot| self.requests.at(*slot).work.decoding)
            .collect();
        let pool = self.replicas[replica.0 as usize].pool.0 as usize;
        let plan = std::sync::Arc::clone(&self.plan);
        self.with_replica(replica, queue, |replica, id, ctx| {
            replica.crash(id, &plan.pools[pool].engine, ctx);
        });
        self.gateways
            .everywhere(replica, |router| router.forget(replica));
        let now = queue.now();
        let gone = self
            .capacity
            .as_ref()
            .map_or(now, |capacity| capacity.node(replica).gone_at);
        let mut link = link.map(|plan| NodeLink { plan, free: now });
        let (mut moved, mut tokens) = (0, 0);
        for (&slot, answered) in there.iter().zip(answered) {
            let request = self.requests.at(slot);
            // The token made last is computed with the next.
            let context = request.prompt_tokens + request.work.generated.saturating_sub(1);
            let sent = match &mut link {
                Some(link) if answered => link.send(context, gone),
                _ => None,
            };
            let at = match sent {
                Some(at) => {
                    moved += 1;
                    tokens += u64::from(context);
                    at
                }
                None => {
                    let gateway = self.gateways.region(request.gateway_replica);
                    now + self.plan.hop_back(gateway, pool)
                }
            };
            self.take_back(slot, sent.map(|_| context), at, queue);
        }
        if let Some(capacity) = &mut self.capacity {
            let counts = &mut capacity.groups[usize::from(group)].counts;
            counts.handed_over += there.len() as u64;
            counts.migrated += moved;
            counts.migrated_tokens += tokens;
        }
    }

    /// A request comes back to its gateway at an instant, which sends it to another replica. `kv`:
    /// tokens of it whose KV comes along.
    fn take_back(
        &mut self,
        slot: u32,
        kv: Option<u32>,
        at: SimTime,
        queue: &mut EventQueue<Event>,
    ) {
        self.leave_replica(slot, queue);
        self.uncount(slot);
        self.is_not_asked(slot, queue);
        self.no_place_is_held(slot);
        if let Some(calls) = &mut self.calls {
            let attempt = calls.attempt_mut(slot);
            attempt.counted = false;
            if let Some(timer) = attempt.timers[2].take() {
                queue.cancel(timer);
            }
        }
        let request = self.requests.at_mut(slot);
        request.replica = ReplicaId(NONE);
        let generated = request.work.generated;
        match kv {
            Some(computed) => {
                request.work = Work {
                    generated,
                    computed,
                    ..Work::default()
                };
            }
            // The client has seen its first token: the rest of the answer is late, as after a
            // preemption.
            None if request.first_token != SimTime::NEVER => request.work = Work::default(),
            None => begin_again(request),
        }
        request.work.generated = generated;
        let id = self.requests.id(slot);
        queue.schedule(at, Event::GatewayDone(id));
    }
}

/// Nothing has happened to a request yet but that it arrived.
fn begin_again(request: &mut Request) {
    let fresh = Request::new(
        request.serial,
        request.arrival,
        request.prompt_tokens,
        request.output_tokens,
    );
    *request = Request {
        tier: request.tier,
        rank: request.rank,
        gateway_replica: request.gateway_replica,
        user: request.user,
        prefix: request.prefix.clone(),
        preemptions: request.preemptions,
        ..fresh
    };
}

/// The link of a node that goes: one request's KV at a time.
struct NodeLink {
    plan: TransferPlan,
    free: SimTime,
}

impl NodeLink {
    /// When the KV of so many tokens will have come, if that is before the node is gone.
    fn send(&mut self, tokens: u32, gone: SimTime) -> Option<SimTime> {
        let sent = self.free.saturating_add(self.plan.on_the_link(tokens));
        let lag: SimDuration = self.plan.latency;
        (sent <= gone).then(|| {
            self.free = sent;
            sent.saturating_add(lag)
        })
    }
}
