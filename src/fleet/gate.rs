//! Who is let in at one gateway replica: the parts of admission, asked one after the other.
//!
//! Quotas, then shedding, then rates, then limits on what is under way: whoever one of them refuses
//! gets back from the others what they took. Whom a limit holds back waits, where there is a room.

use crate::engine::{SimRng, SimTime, Streams};
use crate::scenario::admission::{Admission, ConcurrencyLimit as LimitRule, Quota, RateLimits};
use crate::scenario::admission::{LoadSignal, Shedding};

use super::admission::{
    Buckets, ConcurrencyLimit, Decision, Item, Load, Outcome, Permit, Pushed, QueueControl, Quotas,
    Shedder, WaitingRoom,
};
use super::health::AdmissionControl;
use super::request::Status;

/// What a gate knows of a request.
#[derive(Debug, Clone, Copy)]
pub struct Asks {
    /// Index of its tier.
    pub tier: u16,
    /// The tier's priority: lower goes first.
    pub priority: i32,
    /// Index of its tenant.
    pub tenant: u32,
    /// Prompt tokens and the output tokens expected.
    pub tokens: u64,
    /// When it should be done, or [`SimTime::NEVER`].
    pub deadline: SimTime,
}

/// The places that a request holds among those under way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Permits {
    all: Option<Permit>,
    tier: Option<Permit>,
    /// Whether it was let in at all.
    inside: bool,
}

impl Permits {
    /// Whether it was let in.
    pub fn is_inside(&self) -> bool {
        self.inside
    }
}

/// What a gate says.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// It goes in.
    In(Permits),
    /// It waits.
    Waits,
    /// It is turned away.
    Refused(Status),
}

/// Who comes out of the waiting room.
#[derive(Debug, Clone, Copy)]
pub enum Next {
    /// It goes in.
    In(u32, Permits),
    /// It waited too long.
    Shed(u32),
    /// Nobody, for now.
    Nobody,
}

/// What gates are built from.
#[derive(Debug, Clone, Default)]
pub struct GatePlan {
    /// What holds for all.
    pub admission: Admission,
    /// What holds for each tier.
    pub tiers: Vec<TierGate>,
    /// Tenants: those stated, or else the tiers, with their weights.
    pub weights: Vec<f64>,
    /// Shares of the tenants in the traffic; empty where the tiers are the tenants.
    pub tenant_shares: Vec<f64>,
}

/// What holds for one tier.
#[derive(Debug, Clone, Default)]
pub struct TierGate {
    /// Name.
    pub name: String,
    /// Priority.
    pub priority: i32,
    /// Token buckets.
    pub rate: Option<RateLimits>,
    /// A limit on what is under way.
    pub concurrency: Option<LimitRule>,
    /// Quotas.
    pub quotas: Vec<Quota>,
}

/// One gateway replica's.
#[derive(Debug, Clone)]
pub struct Gate {
    quotas: Vec<Quotas>,
    tier_quotas: Vec<Quotas>,
    shedder: Option<(Shedder, LoadSignal)>,
    by_success: Option<AdmissionControl>,
    /// The load as it was last worked out, and when.
    load: f64,
    load_at: Option<SimTime>,
    rate: Option<Buckets>,
    tier_rates: Vec<Option<Buckets>>,
    limit: Option<ConcurrencyLimit>,
    tier_limits: Vec<Option<ConcurrencyLimit>>,
    /// Which tiers' own limits let somebody in, when that was last asked.
    open: Vec<bool>,
    room: Option<WaitingRoom>,
    /// By tier: one that is held up tells nothing of the others' waits.
    controls: Vec<QueueControl>,
    rng: SimRng,
}

impl Gate {
    /// The gate of gateway replica `gateway`, with nobody in it.
    pub fn new(plan: &GatePlan, gateway: u16, streams: Streams) -> Gate {
        let mut rng = streams.stream("gateway", u64::from(gateway), "admission");
        let admission = &plan.admission;
        let names: Vec<&str> = plan.tiers.iter().map(|tier| tier.name.as_str()).collect();
        let ranked: Vec<(&str, i32)> = plan
            .tiers
            .iter()
            .map(|tier| (tier.name.as_str(), tier.priority))
            .collect();
        let signal = |shedding: &Shedding| match shedding {
            Shedding::ByTier { signal, .. } | Shedding::Probabilistic { signal, .. } => *signal,
        };
        let room = admission.waiting_room.as_ref();
        let limit = admission.concurrency.as_ref();
        let limit = limit.map(|rule| ConcurrencyLimit::new(rule, &mut rng));
        let tier_limits = plan.tiers.iter().map(|tier| {
            let rule = tier.concurrency.as_ref()?;
            Some(ConcurrencyLimit::new(rule, &mut rng))
        });
        Gate {
            tier_limits: tier_limits.collect(),
            open: vec![false; plan.tiers.len()],
            quotas: admission
                .tenants
                .iter()
                .map(|tenant| Quotas::new(&tenant.quotas))
                .collect(),
            tier_quotas: plan
                .tiers
                .iter()
                .map(|tier| Quotas::new(&tier.quotas))
                .collect(),
            shedder: admission
                .shedding
                .as_ref()
                .map(|rule| (Shedder::new(rule, &names), signal(rule))),
            by_success: admission.by_success.as_ref().map(AdmissionControl::new),
            load: 0.0,
            load_at: None,
            rate: admission.rate.as_ref().map(Buckets::new),
            tier_rates: plan
                .tiers
                .iter()
                .map(|tier| tier.rate.as_ref().map(Buckets::new))
                .collect(),
            limit,
            room: room.map(|rule| WaitingRoom::new(rule, &ranked, &plan.weights)),
            controls: room
                .and_then(|rule| rule.control.as_ref())
                .map_or(Vec::new(), |rule| {
                    vec![QueueControl::new(rule); plan.tiers.len()]
                }),
            rng,
        }
    }

    /// Whether the load is to be worked out before the next request is asked about: once an
    /// interval of `every_ns`.
    pub fn wants_load(&self, now: SimTime, every_ns: u64) -> bool {
        self.shedder.is_some() && self.load_at.is_none_or(|at| now.since(at).0 >= every_ns)
    }

    /// Notes the load of the replicas: of each what is known of its queue and its cache, or nothing
    /// recent.
    pub fn note_load(&mut self, replicas: impl Iterator<Item = Option<(u32, f64)>>, now: SimTime) {
        let Some((_, signal)) = &self.shedder else {
            return;
        };
        let mut load = Load::new(*signal);
        for replica in replicas {
            match replica {
                Some((waiting, kv_use)) => load.add(waiting, kv_use),
                None => load.add_stale(),
            }
        }
        self.load = load.signal();
        self.load_at = Some(now);
    }

    /// Asks for a request that comes to the gateway at `slot`.
    pub fn admit(&mut self, slot: u32, asks: &Asks, now: SimTime) -> Answer {
        if let Some(control) = &mut self.by_success
            && !control.admits(now, &mut self.rng)
        {
            return Answer::Refused(Status::ShedLoad);
        }
        if let Some((shedder, _)) = &self.shedder {
            // What goes first has the lower number in queues, and the higher one with llm-d.
            let priority = asks.priority.saturating_neg();
            let tier = u32::from(asks.tier);
            if shedder.sheds(tier, priority, self.load, &mut self.rng) {
                return Answer::Refused(Status::ShedLoad);
            }
        }
        if let Err(status) = self.take_shares(asks, now) {
            return Answer::Refused(status);
        }
        // Who waits is not overtaken by who comes, unless it is its own tier that holds it up.
        let tier = u32::from(asks.tier);
        let of_its_tier = self.room.as_ref().map_or(0, |room| room.len_of(tier));
        let waits = of_its_tier > 0 || self.has_next(now);
        if !waits && let Some(permits) = self.try_acquire(asks.tier, now) {
            return Answer::In(permits);
        }
        let answer = self.take_in(slot, asks, now);
        if let Answer::Refused(_) = answer {
            self.give_shares_back(asks, now);
        }
        answer
    }

    fn take_in(&mut self, slot: u32, asks: &Asks, now: SimTime) -> Answer {
        let Some(room) = &mut self.room else {
            return Answer::Refused(Status::ShedLimit);
        };
        let control = self.controls.get_mut(usize::from(asks.tier));
        let patience = control.and_then(|it| it.on_enqueue(now));
        let expires = patience.map_or(SimTime::NEVER, |patience| now + patience);
        let item = Item {
            tenant: asks.tenant,
            tier: u32::from(asks.tier),
            tokens: asks.tokens,
            enqueued: now,
            deadline: asks.deadline,
            expires: expires.min(asks.deadline),
        };
        match room.push(slot, item) {
            Pushed::Ok => Answer::Waits,
            Pushed::Full => Answer::Refused(Status::ShedFull),
        }
    }

    /// Takes from quotas and buckets, from all or from none.
    fn take_shares(&mut self, asks: &Asks, now: SimTime) -> Result<(), Status> {
        let tier = usize::from(asks.tier);
        let tokens = asks.tokens;
        if let Some(quotas) = self.quotas.get_mut(asks.tenant as usize)
            && quotas.take(now, tokens).is_err()
        {
            return Err(Status::RejectedQuota);
        }
        if self.tier_quotas[tier].take(now, tokens).is_err() {
            self.give_tenant_back(asks, now);
            return Err(Status::RejectedQuota);
        }
        let take = |rate: &mut Option<Buckets>| {
            let rate = rate.as_mut();
            rate.is_none_or(|rate| rate.take(now, tokens))
        };
        let from_tier = take(&mut self.tier_rates[tier]);
        if from_tier && take(&mut self.rate) {
            return Ok(());
        }
        if let Some(rate) = self.tier_rates[tier].as_mut().filter(|_| from_tier) {
            rate.give_back(tokens);
        }
        self.tier_quotas[tier].give_back(now, now, tokens);
        self.give_tenant_back(asks, now);
        Err(Status::RejectedRateLimit)
    }

    fn give_tenant_back(&mut self, asks: &Asks, now: SimTime) {
        if let Some(quotas) = self.quotas.get_mut(asks.tenant as usize) {
            quotas.give_back(now, now, asks.tokens);
        }
    }

    fn give_shares_back(&mut self, asks: &Asks, now: SimTime) {
        let tier = usize::from(asks.tier);
        for rate in [self.tier_rates[tier].as_mut(), self.rate.as_mut()]
            .into_iter()
            .flatten()
        {
            rate.give_back(asks.tokens);
        }
        self.tier_quotas[tier].give_back(now, now, asks.tokens);
        self.give_tenant_back(asks, now);
    }

    fn try_acquire(&mut self, tier: u16, now: SimTime) -> Option<Permits> {
        let mut permits = Permits {
            inside: true,
            ..Permits::default()
        };
        if let Some(limit) = &mut self.tier_limits[usize::from(tier)] {
            permits.tier = Some(limit.try_acquire(now)?);
        }
        if let Some(limit) = &mut self.limit {
            permits.all = limit.try_acquire(now);
            if permits.all.is_none() {
                self.release_tier(tier, permits, Outcome::Ignored, now);
                return None;
            }
        }
        Some(permits)
    }

    fn release_tier(&mut self, tier: u16, permits: Permits, outcome: Outcome, now: SimTime) {
        if let (Some(limit), Some(permit)) =
            (&mut self.tier_limits[usize::from(tier)], permits.tier)
        {
            limit.release(now, permit, outcome, &mut self.rng);
        }
    }

    /// A request that was let in has left. True when somebody waits who may go in now.
    pub fn release(&mut self, tier: u16, permits: Permits, outcome: Outcome, now: SimTime) -> bool {
        self.release_tier(tier, permits, outcome, now);
        if let (Some(limit), Some(permit)) = (&mut self.limit, permits.all) {
            limit.release(now, permit, outcome, &mut self.rng);
        }
        if let Some(control) = &mut self.by_success
            && outcome != Outcome::Ignored
        {
            control.on_outcome(now, outcome == Outcome::Answered);
        }
        self.room.as_ref().is_some_and(|room| !room.is_empty())
    }

    /// What a request was counted for in tokens was not what it took.
    pub fn correct_tokens(
        &mut self,
        tier: u16,
        tenant: u32,
        at: SimTime,
        now: SimTime,
        tokens: (u64, u64),
    ) {
        let (estimated, actual) = tokens;
        let tier = usize::from(tier);
        for rate in [self.tier_rates[tier].as_mut(), self.rate.as_mut()]
            .into_iter()
            .flatten()
        {
            rate.correct_tokens(now, estimated, actual);
        }
        self.tier_quotas[tier].correct_tokens(at, now, estimated, actual);
        if let Some(quotas) = self.quotas.get_mut(tenant as usize) {
            quotas.correct_tokens(at, now, estimated, actual);
        }
    }

    /// A request that waits does so no more; false where it did not wait.
    pub fn forget(&mut self, slot: u32, now: SimTime) -> bool {
        let Some(room) = &mut self.room else {
            return false;
        };
        let left = room.remove(slot);
        if let Some(item) = left {
            self.now_empty(item.tier, now);
        }
        left.is_some()
    }

    /// Nobody of a tier waits any more, if that is so.
    fn now_empty(&mut self, tier: u32, now: SimTime) {
        let waiting = self.room.as_ref().map_or(0, |room| room.len_of(tier));
        if let Some(control) = self
            .controls
            .get_mut(tier as usize)
            .filter(|_| waiting == 0)
        {
            control.on_empty(now);
        }
    }

    /// Who comes out of the waiting room now.
    pub fn next(&mut self, now: SimTime) -> Next {
        let Some(room) = &mut self.room else {
            return Next::Nobody;
        };
        if let Some((slot, item)) = room.pop_expired(now) {
            self.now_empty(item.tier, now);
            return Next::Shed(slot);
        }
        if room.is_empty() {
            // What lets tenants out in turn notes that nobody is there.
            room.pop();
            for tier in 0..self.controls.len() as u32 {
                self.now_empty(tier, now);
            }
            return Next::Nobody;
        }
        let Some((slot, item, permits)) = self.take_next(now) else {
            return Next::Nobody;
        };
        let tier = item.tier as u16;
        let room = self.room.as_ref();
        let behind = room.map_or(0, |room| room.len_of(item.tier));
        let waited = now.since(item.enqueued);
        let control = self.controls.get_mut(usize::from(tier));
        let decision = control.map_or(Decision::Keep, |it| it.on_dequeue(now, waited, behind));
        if decision == Decision::Shed && behind == 0 {
            self.now_empty(item.tier, now);
        }
        if decision == Decision::Shed {
            self.release_tier(tier, permits, Outcome::Ignored, now);
            if let (Some(limit), Some(permit)) = (&mut self.limit, permits.all) {
                limit.release(now, permit, Outcome::Ignored, &mut self.rng);
            }
            return Next::Shed(slot);
        }
        Next::In(slot, permits)
    }

    /// Takes out of the waiting room whoever is first of those whom the limits let in.
    fn take_next(&mut self, now: SimTime) -> Option<(u32, Item, Permits)> {
        self.note_open(now)?;
        let (room, open) = (self.room.as_mut()?, &self.open);
        let (slot, item) = room.pop_among(|tier| open[tier as usize])?;
        let permits = self.try_acquire(item.tier as u16, now)?;
        Some((slot, item, permits))
    }

    /// Whether somebody waits whom the limits let in.
    fn has_next(&mut self, now: SimTime) -> bool {
        let waits = self.waiting() > 0;
        waits && self.note_open(now).is_some() && {
            let open = &self.open;
            let next = self.room.as_ref();
            next.is_some_and(|room| room.peek_among(|tier| open[tier as usize]).is_some())
        }
    }

    /// Notes the tiers whose own limits let somebody in; none where the limit of all does not.
    fn note_open(&mut self, now: SimTime) -> Option<()> {
        if !self.limit.as_mut().is_none_or(|limit| limit.has_room(now)) {
            return None;
        }
        for (open, limit) in self.open.iter_mut().zip(&mut self.tier_limits) {
            *open = limit.as_mut().is_none_or(|limit| limit.has_room(now));
        }
        Some(())
    }

    /// When somebody who waits gives up, or a limit changes, next.
    pub fn wakes_at(&mut self, now: SimTime) -> Option<SimTime> {
        let room = self.room.as_ref().filter(|room| !room.is_empty())?;
        let limits = self.tier_limits.iter_mut().chain([&mut self.limit]);
        let changes = limits.flatten().filter_map(|limit| {
            // What was to change by now has: it is the change after that which counts.
            limit.limit(now);
            limit.next_change()
        });
        changes.chain(room.next_expiry()).min()
    }

    /// Places of limits that are taken.
    pub fn inside(&self) -> u64 {
        let limits = self.tier_limits.iter().chain([&self.limit]).flatten();
        limits.map(|limit| u64::from(limit.in_flight())).sum()
    }

    /// Requests that wait.
    pub fn waiting(&self) -> u32 {
        self.room.as_ref().map_or(0, WaitingRoom::len)
    }
}
