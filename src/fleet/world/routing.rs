//! What routers are asked, and what they are told of requests under way.

use crate::engine::{EventQueue, SimDuration, SimTime};
use crate::fleet::event::Event;
use crate::fleet::ids::{NONE, ReplicaId};
use crate::fleet::router::Wanted;
use crate::scenario::roles::Role;
use crate::scenario::routing::KeyOf;

use super::World;

/// Blocks that a key of the first tokens is of.
const KEY_TOKENS: u32 = 16;

impl World {
    /// Chooses a replica for a request at a gateway.
    #[inline]
    pub(super) fn choose(&mut self, slot: u32, gateway: u16, now: SimTime) -> Option<ReplicaId> {
        let (key, session) = self.keys_of(slot);
        let request = self.requests.at(slot);
        let wanted = Wanted {
            key,
            session,
            prompt_tokens: request.prompt_tokens,
            prefix: &request.prefix,
        };
        let group = self.plan.groups.of(request.tier, request.prompt_tokens);
        self.gateways.choose(gateway, group, &wanted, now)
    }

    /// Chooses where a request goes on whose prompt was computed in a region.
    pub(super) fn choose_decode(
        &mut self,
        slot: u32,
        region: u16,
        now: SimTime,
    ) -> Option<ReplicaId> {
        let (key, session) = self.keys_of(slot);
        let request = self.requests.at(slot);
        let wanted = Wanted {
            key,
            session,
            prompt_tokens: request.prompt_tokens,
            prefix: &request.prefix,
        };
        let group = self.plan.groups.of(request.tier, request.prompt_tokens);
        let gateway = request.gateway_replica;
        let routers = self.gateways.routers(gateway, Role::Decode, region);
        routers.get_mut(group)?.choose(&wanted, now)
    }

    /// What hashes and sessions of a request go by, where anything does.
    #[inline]
    fn keys_of(&self, slot: u32) -> (u64, u64) {
        let hashed = self.plan.router.hash_on();
        let kept = self.plan.affinity.map(|affinity| affinity.key);
        match (hashed, kept) {
            (None, None) => (0, 0),
            _ => {
                let key = |of: Option<KeyOf>| of.map_or(0, |of| self.key_of(slot, of));
                (key(hashed), key(kept))
            }
        }
    }

    fn key_of(&self, slot: u32, of: KeyOf) -> u64 {
        let request = self.requests.at(slot);
        match of {
            KeyOf::Session => request.prefix.own_name(),
            KeyOf::Prefix => request.prefix.key(0, KEY_TOKENS),
            KeyOf::User => match &self.calls {
                Some(calls) => {
                    let attempt = calls.attempt(slot);
                    let who = match attempt.call {
                        NONE => 0,
                        call => calls.slab.at(call).who,
                    };
                    u64::from(attempt.population) << 32 | u64::from(who)
                }
                None => u64::from(request.user),
            },
        }
    }

    /// Routers that remember prompts are told which one went where.
    pub(super) fn remember(&mut self, slot: u32, there: (Role, u16)) {
        let request = self.requests.at(slot);
        let wanted = Wanted {
            key: 0,
            session: 0,
            prompt_tokens: request.prompt_tokens,
            prefix: &request.prefix,
        };
        let (gateway, replica) = (request.gateway_replica, request.replica);
        self.gateways
            .each_router(gateway, there, replica, |router| {
                router.remember(replica, &wanted);
            });
    }

    /// Routers are told of first tokens that were just made.
    pub(super) fn tell_first_tokens(&mut self) {
        let mut firsts = std::mem::take(&mut self.firsts);
        for slot in firsts.drain(..) {
            let request = self.requests.at_mut(slot);
            request.work.told = true;
            let (gateway, replica) = (request.gateway_replica, request.replica);
            let prompt_tokens = request.prompt_tokens;
            let pool = self.replicas[replica.0 as usize].pool.0 as usize;
            let there = (self.plan.pools[pool].role, self.plan.pools[pool].region);
            if self.is_counted(slot) {
                self.gateways
                    .each_router(gateway, there, replica, |router| {
                        router.first_token(replica, prompt_tokens);
                    });
            }
        }
        self.firsts = firsts;
    }

    /// Whether the router that chose its replica counts a request.
    pub(super) fn is_counted(&self, slot: u32) -> bool {
        let calls = self.calls.as_ref();
        calls.is_none_or(|calls| calls.attempt(slot).counted)
    }

    /// A request leaves the count of the routers that sent it to its replica.
    #[inline]
    pub(super) fn uncount(&mut self, slot: u32) {
        // Where it goes next its prompt has not been computed.
        let begun = std::mem::take(&mut self.requests.at_mut(slot).work.told);
        if !self.is_counted(slot) {
            return;
        }
        let request = self.requests.at(slot);
        let (gateway, replica) = (request.gateway_replica, request.replica);
        let prompt_tokens = request.prompt_tokens;
        let pool = self.replicas[replica.0 as usize].pool.0 as usize;
        let there = (self.plan.pools[pool].role, self.plan.pools[pool].region);
        self.gateways
            .each_router(gateway, there, replica, |router| {
                router.returned(replica, prompt_tokens, begun);
            });
    }

    /// Routers are told which blocks an engine has stored and evicted, as late as its other signals.
    pub(super) fn tell_blocks(&mut self, replica: ReplicaId, queue: &mut EventQueue<Event>) {
        let delay = self
            .plan
            .signals
            .map_or(SimDuration::ZERO, |rule| rule.delay);
        let at = queue.now() + delay;
        let before = self.block_news.len();
        let news = &mut self.block_news;
        let tells = self.plan.tells_blocks();
        let there = &mut self.replicas[replica.0 as usize];
        let region = self.plan.pools[there.pool.0 as usize].region;
        let store = &mut self.store;
        there.drain_blocks(|key, stored| {
            if let Some(store) = store.as_deref_mut().filter(|_| stored) {
                store.put(key, region, queue.now());
            }
            if tells {
                news.push_back((at, replica, key, stored));
            }
        });
        if self.block_news.len() == before {
            return;
        }
        match delay {
            SimDuration::ZERO => self.blocks_told(queue),
            _ => queue.schedule(at, Event::BlocksTold),
        }
    }

    /// The news of blocks has come.
    pub(super) fn blocks_told(&mut self, queue: &EventQueue<Event>) {
        while let Some(&(at, replica, key, stored)) = self.block_news.front() {
            if at > queue.now() {
                return;
            }
            self.block_news.pop_front();
            self.gateways
                .everywhere(replica, |router| router.block(replica, key, stored));
        }
    }
}
