//! What clients do: they wait, give up, and try again.
//!
//! ```text
//! call -> try -> (fleet) -> answered: the call is over, its other tries are given up
//!              |          -> failed, or given up: back off -> try again, or the call is over
//!              '-> nothing yet: another try beside it
//! ```

use crate::engine::{EventQueue, SimDuration, SimTime, Timer};
use crate::fleet::calls::{Call, Calls, Try, Why};
use crate::fleet::erasure::Served;
use crate::fleet::event::Event;
use crate::fleet::ids::{CallId, NONE, RequestId};
use crate::fleet::outcome::{Beside, RequestRow};
use crate::fleet::request::{Request, Status};
use crate::fleet::served::Answerer;
use crate::scenario::tries::Sign;
use crate::workload::Offered;

use super::World;
use super::replicas::user_bit;

impl World {
    /// A client wants something: its first try begins.
    pub(super) fn open_call(
        &mut self,
        offered: &Offered,
        serial: u64,
        queue: &mut EventQueue<Event>,
    ) {
        let (population, who) = self.client_of(offered.user);
        let (Some(calls), Some(plan)) = (&mut self.calls, &self.plan.clients) else {
            return;
        };
        let tenant = match &self.plan.gate {
            Some(gate) => Calls::tenant(&gate.tenant_shares, offered.tier, (population, who)),
            None => 0,
        };
        let deadline = self.plan.tiers[usize::from(offered.tier)].deadline;
        let id = calls.slab.insert(Call {
            tenant,
            due: deadline.map_or(SimTime::NEVER, |deadline| queue.now() + deadline),
            serial,
            arrival: queue.now(),
            prompt_tokens: offered.prompt_tokens,
            output_tokens: offered.output_tokens,
            tier: offered.tier,
            user: offered.user,
            prefix: offered.prefix.clone(),
            population,
            who,
            tries: 0,
            retries: 0,
            hedges: 0,
            live: Default::default(),
            backoff: Default::default(),
            deadline: None,
            leaves: None,
            retry: None,
            hedge: None,
        });
        calls.budget.on_request(queue.now());
        self.meters.began(population, tenant);
        if let Some(lane) = self.lanes.call_due {
            let timer = queue.schedule_timer_in_lane(lane, Event::CallDue(id));
            calls.slab.at_mut(id.slot).deadline = Some(timer);
        }
        if let Some((law, _)) = &plan.patience {
            let at = queue.now() + calls.patience(law);
            let timer = queue.schedule_timer(at, Event::UserLeaves(id));
            calls.slab.at_mut(id.slot).leaves = Some(timer);
        }
        self.begin_try(id.slot, Why::First, queue);
    }

    /// The population of the client that a call is of, and which of its users that is. Drawn anew
    /// for a call by itself; users of a closed loop stay who they are, and sessions who they were
    /// at their first turn, so that they are near the same region all the time.
    fn client_of(&mut self, user: u32) -> (u16, u32) {
        let Some(calls) = &mut self.calls else {
            return (0, user);
        };
        let populations = &self.plan.topology.populations;
        if user != NONE && self.source.users() > 0 {
            let home = calls.home(user, populations);
            return (home, user % populations[usize::from(home)].users);
        }
        if let Some(client) = self.source.session_client(user) {
            return client;
        }
        let faults = &self.faults;
        let weight = |population| super::faults::traffic_factor(faults, population);
        let client = calls.who(populations, weight);
        self.source.session_is_of(user, client);
        client
    }

    fn begin_try(&mut self, call_slot: u32, why: Why, queue: &mut EventQueue<Event>) {
        let (Some(calls), Some(plan)) = (&mut self.calls, &self.plan.clients) else {
            return;
        };
        let call_id = calls.slab.id(call_slot);
        let call = calls.slab.at_mut(call_slot);
        let now = queue.now();
        let mut request = Request::new(call.serial, now, call.prompt_tokens, call.output_tokens);
        request.tier = call.tier;
        request.rank = self.plan.tiers[call.tier as usize].rank;
        request.prefix = call.prefix.clone();
        let id = self.requests.insert(request);
        call.tries = call.tries.saturating_add(1);
        call.live.push(id.slot);
        let meter = &mut self.meters.tries;
        meter.made += 1;
        match why {
            Why::First => {}
            Why::Retry => {
                call.retries += 1;
                meter.retries += 1;
            }
            Why::Hedge => {
                call.hedges += 1;
                meter.hedges += 1;
            }
        }
        if let (Some((_, most)), Some(lane)) = (plan.hedge, self.lanes.hedge)
            && call.hedges < most
        {
            let timer = queue.schedule_timer_in_lane(lane, Event::Hedge(call_id));
            if let Some(former) = call.hedge.replace(timer) {
                queue.cancel(former);
            }
        }
        self.meters.timeline.tried(now);
        let mut attempt = Try::new(call_slot, why);
        attempt.population = call.population;
        attempt.tenant = call.tenant;
        attempt.deadline = call.due;
        for (timer, lane) in attempt.timers.iter_mut().zip(self.lanes.try_due) {
            *timer = lane.map(|lane| queue.schedule_timer_in_lane(lane, Event::TryDue(id)));
        }
        let (population, who) = (call.population, call.who);
        calls.waited_for += 1;
        calls.begin(id.slot, attempt);
        self.set_out(id, population, who, queue);
    }

    /// A try has ended at the fleet.
    pub(super) fn try_ended(&mut self, slot: u32, status: Status, queue: &mut EventQueue<Event>) {
        let Some(calls) = &mut self.calls else { return };
        let attempt = calls.attempt_mut(slot);
        cancel(&mut attempt.timers, queue);
        let attempt = *attempt;
        let request = self.requests.at(slot);
        let meter = &mut self.meters.tries;
        meter.ended[status.index()] += 1;
        self.meters.regions[usize::from(attempt.region)].ended[status.index()] += 1;
        let meter = &mut self.meters.tries;
        let answered = status == Status::Completed;
        if attempt.is_given_up() || !answered {
            meter.wasted_output_tokens += u64::from(request.tokens_made());
        }
        if attempt.is_given_up() {
            meter.answered_for_nobody += u64::from(answered);
            self.remove_try(slot, queue);
            return;
        }
        if attempt.why != Why::First {
            calls.budget.on_retry_end();
        }
        calls.waited_for -= 1;
        let call = calls.slab.at_mut(attempt.call);
        call.live.retain(|live| *live != slot);
        if answered {
            calls.budget.on_success();
            self.close(attempt.call, status, Some(slot), queue);
        } else {
            self.try_failed(attempt.call, status, slot, queue);
        }
        self.remove_try(slot, queue);
    }

    fn remove_try(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let request = self.requests.at(slot);
        let name = request.prefix.own_name();
        self.requests.remove(slot);
        self.kv_gone(name, queue);
    }

    /// A try of a call has failed, or was given up: tries again if it may.
    pub(super) fn try_failed(
        &mut self,
        call_slot: u32,
        status: Status,
        slot: u32,
        queue: &mut EventQueue<Event>,
    ) {
        let (Some(calls), Some(plan)) = (&mut self.calls, &self.plan.clients) else {
            return;
        };
        let again = plan.retries(status);
        if again {
            calls.budget.on_failure();
        }
        let call = calls.slab.at(call_slot);
        if !call.live.is_empty() {
            // Another try is under way.
            return;
        }
        if !again || call.retries >= plan.max_retries {
            return self.close(call_slot, status, Some(slot), queue);
        }
        let id = calls.slab.id(call_slot);
        let load = calls.waited_for;
        if !calls.budget.try_retry(queue.now(), load) {
            self.meters.tries.refused += 1;
            return self.close(call_slot, status, Some(slot), queue);
        }
        let at = queue.now() + calls.back_off(plan, call_slot);
        let call = calls.slab.at_mut(call_slot);
        cancel([&mut call.hedge], queue);
        call.retry = Some(queue.schedule_timer(at, Event::Retry(id)));
    }

    /// The backoff of a call is over.
    pub(super) fn retry(&mut self, id: CallId, queue: &mut EventQueue<Event>) {
        let Some(call) = self.live_call(id) else {
            return;
        };
        call.retry = None;
        self.begin_try(id.slot, Why::Retry, queue);
    }

    /// A call has waited long enough for the first token of its last try.
    pub(super) fn hedge(&mut self, id: CallId, queue: &mut EventQueue<Event>) {
        let Some(call) = self.live_call(id) else {
            return;
        };
        call.hedge = None;
        if self.has_sign(id.slot, Sign::FirstToken, queue.now()) {
            return;
        }
        let Some(calls) = &mut self.calls else { return };
        let load = calls.waited_for;
        match calls.budget.try_retry(queue.now(), load) {
            true => self.begin_try(id.slot, Why::Hedge, queue),
            false => self.meters.tries.refused += 1,
        }
    }

    /// A call has come to its deadline.
    pub(super) fn call_due(&mut self, id: CallId, queue: &mut EventQueue<Event>) {
        let Some(call) = self.live_call(id) else {
            return;
        };
        call.deadline = None;
        let last = call.live.last().copied();
        self.close(id.slot, Status::TimedOut, last, queue);
    }

    /// The patience of a user is over.
    pub(super) fn user_leaves(&mut self, id: CallId, queue: &mut EventQueue<Event>) {
        let Some(call) = self.live_call(id) else {
            return;
        };
        call.leaves = None;
        let last = call.live.last().copied();
        let sign = self
            .plan
            .clients
            .as_ref()
            .and_then(|plan| plan.patience.as_ref());
        if let Some((_, sign)) = sign
            && !self.has_sign(id.slot, *sign, queue.now())
        {
            self.close(id.slot, Status::Cancelled, last, queue);
        }
    }

    /// A try has taken too long, if it has no sign of its first token or was due in full.
    pub(super) fn try_due(&mut self, id: RequestId, queue: &mut EventQueue<Event>) {
        let Some(slot) = self.requests.live_slot(id) else {
            return;
        };
        let (Some(calls), Some(plan)) = (&mut self.calls, &self.plan.clients) else {
            return;
        };
        let call = calls.attempt(slot).call;
        if call == NONE {
            return;
        }
        let age = queue.now().since(self.requests.at(slot).arrival);
        let due = plan.try_timeout.is_some_and(|limit| age >= limit);
        if !due && self.token_is_there(slot, queue.now()) {
            return;
        }
        self.give_up(slot, queue);
        self.try_failed(call, Status::TimedOut, slot, queue);
        self.drop_try(slot, queue);
    }

    /// Whether a call has seen a sign of an answer.
    fn has_sign(&self, call: u32, sign: Sign, now: SimTime) -> bool {
        let Some(calls) = &self.calls else {
            return false;
        };
        let mut live = calls.slab.at(call).live.iter();
        live.any(|&slot| match sign {
            Sign::FirstToken => self.token_is_there(slot, now),
            Sign::Scheduled => self.requests.at(slot).scheduled != SimTime::NEVER,
        })
    }

    /// Whether the first token of a try has come to its client.
    fn token_is_there(&self, slot: u32, now: SimTime) -> bool {
        let request = self.requests.at(slot);
        if request.first_token == SimTime::NEVER || request.replica.0 == NONE {
            return false;
        }
        let pool = self.replicas[request.replica.0 as usize].pool.0 as usize;
        let Some(calls) = &self.calls else {
            return false;
        };
        let attempt = calls.attempt(slot);
        let population = &self.plan.topology.populations[usize::from(attempt.population)];
        let way = population.one_way[usize::from(attempt.region)];
        let gateway = self.gateways.region(request.gateway_replica);
        request.first_token + self.plan.hop_back(gateway, pool) + way <= now
    }

    /// A try is waited for no more. It goes on at the fleet until [`Self::drop_try`] drops it.
    pub(super) fn give_up(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let Some(calls) = &mut self.calls else { return };
        let attempt = calls.attempt_mut(slot);
        let call = std::mem::replace(&mut attempt.call, NONE);
        let why = attempt.why;
        calls.waited_for -= 1;
        cancel(&mut calls.attempt_mut(slot).timers, queue);
        calls.slab.at_mut(call).live.retain(|live| *live != slot);
        if why != Why::First {
            calls.budget.on_retry_end();
        }
        self.meters.tries.given_up += 1;
    }

    /// Where cancellation is propagated: the news that a try was given up sets out for its replica.
    pub(super) fn drop_try(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        if !self
            .plan
            .clients
            .as_ref()
            .is_some_and(|plan| plan.propagate_cancel)
        {
            return;
        }
        let id = self.requests.id(slot);
        let Some(calls) = &self.calls else { return };
        let attempt = calls.attempt(slot);
        let way = self.plan.topology.populations[usize::from(attempt.population)].one_way
            [usize::from(attempt.region)];
        let request = self.requests.at(slot);
        let replica = request.replica;
        if replica.0 == NONE {
            if way == SimDuration::ZERO {
                return self.cancel(slot, queue);
            }
            return queue.schedule(queue.now() + way, Event::Cancel(id));
        }
        let pool = self.replicas[replica.0 as usize].pool.0 as usize;
        let region = self.gateways.region(request.gateway_replica);
        if way == SimDuration::ZERO {
            let (lane, _) = self.lanes.to_replica(region, pool);
            return queue.schedule_in_lane(lane, Event::Cancel(id));
        }
        let there = self.plan.hop_to(region, pool);
        queue.schedule(queue.now() + way + there, Event::Cancel(id));
    }

    /// A call is over: whatever of it is still under way is given up.
    pub(super) fn close(
        &mut self,
        call_slot: u32,
        status: Status,
        last: Option<u32>,
        queue: &mut EventQueue<Event>,
    ) {
        let Some(calls) = &mut self.calls else { return };
        let call = calls.slab.at_mut(call_slot);
        // A retry that was granted and will not come holds its place no longer.
        if call.retry.is_some() {
            calls.budget.on_retry_end();
        }
        cancel(
            [
                &mut call.deadline,
                &mut call.leaves,
                &mut call.retry,
                &mut call.hedge,
            ],
            queue,
        );
        if status != Status::Completed {
            let user = u64::from(call.population) << 32 | u64::from(call.who);
            self.meters.timeline.user_hit(user_bit(&self.plan, user));
        }
        let (live, user) = (call.live.clone(), call.user);
        let ending = call.ending();
        let name = call.prefix.own_name();
        let tokens = (call.prompt_tokens, call.output_tokens);
        let unsent;
        let Some(calls) = &self.calls else { return };
        let request = match last {
            Some(slot) => self.requests.at(slot),
            None => {
                unsent = Request::new(ending.serial, ending.arrival, tokens.0, tokens.1);
                &unsent
            }
        };
        let beside = last.map_or(Beside::NOTHING, |slot| {
            let attempt = calls.attempt(slot);
            Beside {
                outward: attempt.outward,
                logged: attempt.logged,
            }
        });
        let kept = self.plan.keeps_account && status == Status::Completed;
        let who = kept.then(|| {
            let region = self.gateways.region(request.gateway_replica);
            Answerer::of(request, &self.replicas, region)
        });
        self.meters
            .ended(request, &ending, status, beside, who, queue.now());
        let served = self.erasure.as_ref().map(|_| Served {
            name,
            ..self.served(request, &ending, status == Status::Completed)
        });
        if self.plan.record_requests {
            let name = status.name();
            let mut row = RequestRow::new(request, &ending, name, &self.plan, &self.replicas);
            let region = last.map(|slot| calls.attempt(slot).region);
            let found = |region: &u16| usize::from(*region) < self.plan.topology.regions.len();
            row.region = region.filter(found);
            row.ended_ns = Some(queue.now().0);
            if let (Status::Completed, Some(slot)) = (status, last) {
                let attempt = calls.attempt(slot);
                row.last_token_came(SimTime(attempt.back_at.0 - attempt.logged.0));
            }
            self.rows.push(row);
        }
        for slot in live {
            self.give_up(slot, queue);
            self.drop_try(slot, queue);
        }
        if let Some(calls) = &mut self.calls {
            calls.slab.remove(call_slot);
        }
        if let Some(served) = served {
            self.erasure_ended(&served, queue);
        }
        self.user_goes_on(user, status == Status::Completed, queue);
        self.rest_if_over(queue);
    }

    fn live_call(&mut self, id: CallId) -> Option<&mut Call> {
        let calls = self.calls.as_mut()?;
        let slot = calls.slab.live_slot(id)?;
        Some(calls.slab.at_mut(slot))
    }
}

/// Cancels the timers that are set.
fn cancel<'a>(
    timers: impl IntoIterator<Item = &'a mut Option<Timer>>,
    queue: &mut EventQueue<Event>,
) {
    for timer in timers {
        if let Some(timer) = timer.take() {
            queue.cancel(timer);
        }
    }
}
