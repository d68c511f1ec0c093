//! Which replica serves a request.

mod chooser;
mod priced;
mod scored;

use std::collections::BTreeMap;

use rand::RngExt;

use crate::engine::{SimRng, SimTime, Streams};
use crate::scenario::balance::Affinity;
use crate::scenario::fleet::Router as Policy;

use self::chooser::Chooser;
use self::priced::{Priced, PricedRule};
use super::balance::{AffinityTable, Signals, SlowStartRise};
use super::ids::{NONE, ReplicaId};
use super::least::LeastLoaded;
use super::prefix::Prefix;
use super::worth::WorthClass;

/// Where the loads come from that a router compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loads {
    /// What it sent itself and has not got back.
    Own,
    /// What it was told last.
    Told {
        /// And what it sent itself since.
        and_own: bool,
    },
}

/// What a router is asked: what it may know of a request.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What hashes go by.
    pub key: u64,
    /// What is kept together, by session affinity.
    pub session: u64,
    /// Prompt tokens.
    pub prompt_tokens: u32,
    /// The names of its blocks.
    pub prefix: &'a Prefix,
}

/// What a router is made of beside its members.
#[derive(Debug, Clone, Copy)]
pub struct RouterRule {
    /// How it chooses.
    pub policy: Policy,
    /// What it compares.
    pub loads: Loads,
    /// Whether sessions stay where they are.
    pub affinity: Option<Affinity>,
}

/// A router of one gateway replica, and what it believes of the replicas.
#[derive(Debug, Clone)]
pub struct Router {
    policy: Policy,
    rng: SimRng,
    /// Whom it chooses from.
    members: Vec<ReplicaId>,
    /// The index in `members` of each replica of all pools.
    index_of: Vec<u32>,
    /// The indices of those that may be chosen, rising.
    eligible: Vec<u32>,
    chooser: Chooser,
    source: Loads,
    /// Load it takes each eligible member to have; those of the others are in `aside`.
    loads: LeastLoaded,
    aside: BTreeMap<u32, u64>,
    /// What it sent and has not got back, over all members.
    outstanding: u64,
    /// The sum of the loads of those that may be chosen.
    load: u64,
    /// Shares of the members, and the sum of those that may be chosen.
    weights: Vec<u32>,
    eligible_weight: u64,
    /// Where sessions were sent last.
    affinity: Option<Box<AffinityTable>>,
    /// How a replica that comes back gets its share, and those that have come back lately.
    slow_start: Option<SlowStartRise>,
    rising: Vec<(u32, SimTime)>,
}

impl Router {
    /// Router number `number` of a fleet, over those replicas with their weights.
    pub fn new(
        rule: &RouterRule,
        members: Vec<ReplicaId>,
        weights: Vec<u32>,
        streams: Streams,
        number: u64,
    ) -> Router {
        let count = members.len();
        let all_replicas = members.iter().map(|id| id.0 as usize + 1).max();
        let mut index_of = vec![NONE; all_replicas.unwrap_or(0)];
        for (index, id) in members.iter().enumerate() {
            index_of[id.0 as usize] = index as u32;
        }
        Router {
            policy: rule.policy,
            rng: streams.stream("router", number, "choices"),
            chooser: Chooser::new(&rule.policy, &weights),
            eligible: (0..count as u32).collect(),
            source: rule.loads,
            loads: LeastLoaded::new(count),
            aside: BTreeMap::new(),
            outstanding: 0,
            load: 0,
            eligible_weight: weights.iter().map(|weight| u64::from(*weight)).sum(),
            affinity: rule
                .affinity
                .map(|affinity| Box::new(AffinityTable::new(&affinity, count as u32))),
            slow_start: None,
            rising: Vec::new(),
            members,
            index_of,
            weights,
        }
    }

    /// The same router, which goes by what its members are worth where its policy says so. `away_ns`
    /// is the way to the replicas of a pool and back.
    pub fn with_worth(mut self, classes: &[WorthClass], away_ns: &dyn Fn(u16) -> f64) -> Router {
        let rule = match self.policy {
            Policy::Cheapest { within_ms } => PricedRule {
                by_cost: true,
                within_ns: within_ms.map(|ms| ms * 1e6),
            },
            Policy::Fastest {} => PricedRule {
                by_cost: false,
                within_ns: None,
            },
            _ => return self,
        };
        let priced = Priced::new(rule, &self.members, classes, away_ns);
        self.chooser = Chooser::Priced(Box::new(priced));
        self
    }

    /// The same router, which gives replicas that come back their share little by little.
    pub fn with_slow_start(mut self, rise: Option<SlowStartRise>) -> Router {
        self.slow_start = rise;
        self
    }

    /// Chooses a replica for a request of which nothing need be known, and notes that it is sent
    /// there.
    #[inline]
    pub fn send_plainly(&mut self, prompt_tokens: u32) -> Option<ReplicaId> {
        let index = self.choose_by_count()?;
        let weight = weight_of(&self.policy, prompt_tokens);
        self.outstanding += weight;
        self.load += weight;
        self.loads.set(index, self.loads.load(index) + weight);
        Some(self.members[index as usize])
    }

    /// Notes that such a request came back.
    #[inline]
    pub fn returned_plainly(&mut self, replica: ReplicaId, prompt_tokens: u32) {
        let index = self.index_of[replica.0 as usize];
        let weight = weight_of(&self.policy, prompt_tokens);
        self.outstanding -= weight;
        self.load -= weight;
        self.loads.set(index, self.loads.load(index) - weight);
    }

    /// Chooses a replica; none when none may be chosen.
    pub fn choose(&mut self, wanted: &Wanted<'_>, now: SimTime) -> Option<ReplicaId> {
        if self.affinity.is_some() {
            return self.choose_by_session(wanted, now);
        }
        let index = self.choose_index(wanted, now)?;
        Some(self.members[index as usize])
    }

    #[inline]
    fn choose_index(&mut self, wanted: &Wanted<'_>, now: SimTime) -> Option<u32> {
        let mut index = self.choose_by_policy(wanted)?;
        if !self.rising.is_empty() {
            index = self.thinned(index, now);
        }
        Some(index)
    }

    /// Where its session was last, if that may be chosen; else where the policy says.
    fn choose_by_session(&mut self, wanted: &Wanted<'_>, now: SimTime) -> Option<ReplicaId> {
        let kept = self
            .affinity
            .as_mut()
            .and_then(|table| table.get(wanted.session, now));
        let kept = kept.filter(|index| self.may_be_chosen(*index));
        let index = match kept {
            Some(index) => index,
            None => self.choose_index(wanted, now)?,
        };
        if let Some(table) = &mut self.affinity {
            table.put(wanted.session, index, now);
        }
        Some(self.members[index as usize])
    }

    fn may_be_chosen(&self, index: u32) -> bool {
        self.loads.load(index) != LeastLoaded::NEVER
    }

    /// The choice that fell on `index`: another one, as likely as that has not yet its full share.
    fn thinned(&mut self, index: u32, now: SimTime) -> u32 {
        let Some(rise) = &self.slow_start else {
            return index;
        };
        let window = rise.window();
        self.rising.retain(|(_, since)| now.since(*since) < window);
        let rising = self.rising.iter().find(|(member, _)| *member == index);
        match rising {
            Some((_, since)) if self.rng.random::<f64>() >= rise.factor(now.since(*since)) => {
                self.draw()
            }
            _ => index,
        }
    }

    /// Whether a replica may be chosen from now on.
    pub fn set_eligible(&mut self, replica: ReplicaId, may: bool, now: SimTime) {
        let index = self.index_of[replica.0 as usize];
        let weight = u64::from(self.weights[index as usize]);
        match (self.eligible.binary_search(&index), may) {
            (Err(place), true) => {
                self.eligible.insert(place, index);
                let load = self.aside.remove(&index).unwrap_or(0);
                self.set_load(index, load);
                self.load += load;
                self.eligible_weight += weight;
                if self.slow_start.is_some() {
                    self.rising.push((index, now));
                }
            }
            (Ok(place), false) => {
                self.eligible.remove(place);
                let load = self.loads.load(index);
                self.aside.insert(index, load);
                self.set_load(index, LeastLoaded::NEVER);
                self.load -= load;
                self.eligible_weight -= weight;
                self.rising.retain(|(member, _)| *member != index);
            }
            _ => {}
        }
    }

    /// A replica has lost all it had, and says so where it tells of its blocks.
    pub fn forget(&mut self, replica: ReplicaId) {
        if let Chooser::Scored(scored) = &mut self.chooser {
            scored.forget(self.index_of[replica.0 as usize]);
        }
    }

    /// Its members.
    pub fn members(&self) -> &[ReplicaId] {
        &self.members
    }

    /// Whether a replica is one of them.
    pub fn has(&self, replica: ReplicaId) -> bool {
        let index = self.index_of.get(replica.0 as usize);
        index.is_some_and(|index| *index != NONE)
    }

    /// Whether there is a replica that may be chosen.
    #[inline]
    pub fn has_eligible(&self) -> bool {
        !self.eligible.is_empty()
    }

    /// Load for each member that may be chosen; infinite where none may.
    pub fn load_per_member(&self) -> f64 {
        match self.eligible.len() {
            0 => f64::INFINITY,
            members => self.load as f64 / members as f64,
        }
    }

    /// Notes that a request was sent to `replica`.
    #[inline]
    pub fn sent(&mut self, replica: ReplicaId, prompt_tokens: u32) {
        let weight = weight_of(&self.policy, prompt_tokens);
        self.outstanding += weight;
        if self.source != (Loads::Told { and_own: false }) {
            self.change(replica, |load| load + weight);
        }
        if let Chooser::Scored(scored) = &mut self.chooser {
            let index = self.index_of[replica.0 as usize];
            scored.sent(index, prompt_tokens, self.source);
        }
    }

    /// Notes which prompt that was, for what remembers prompts.
    pub fn remember(&mut self, replica: ReplicaId, wanted: &Wanted<'_>) {
        if let Chooser::Scored(scored) = &mut self.chooser {
            scored.remember(self.index_of[replica.0 as usize], wanted);
        }
    }

    /// Notes that a request has made its first token.
    pub fn first_token(&mut self, replica: ReplicaId, prompt_tokens: u32) {
        if let Chooser::Scored(scored) = &mut self.chooser {
            let index = self.index_of[replica.0 as usize];
            scored.first_token(index, prompt_tokens, self.source);
        }
    }

    /// Notes that a request came back from `replica`; whether it had made its first token.
    #[inline]
    pub fn returned(&mut self, replica: ReplicaId, prompt_tokens: u32, begun: bool) {
        let weight = weight_of(&self.policy, prompt_tokens);
        self.outstanding -= weight;
        if self.source == Loads::Own {
            self.change(replica, |load| load - weight);
        }
        if let Chooser::Scored(scored) = &mut self.chooser {
            let index = self.index_of[replica.0 as usize];
            scored.returned(index, prompt_tokens, begun, self.source);
        }
    }

    /// Notes what `replica` says of itself.
    pub fn told(&mut self, replica: ReplicaId, load: u64, signals: &Signals) {
        self.change(replica, |_| load);
        if let Chooser::Scored(scored) = &mut self.chooser {
            scored.told(self.index_of[replica.0 as usize], signals);
        }
    }

    /// A replica has stored a block of that name, or has it no more.
    pub fn block(&mut self, replica: ReplicaId, key: u64, stored: bool) {
        if let Chooser::Scored(scored) = &mut self.chooser {
            scored.block(self.index_of[replica.0 as usize], key, stored);
        }
    }

    /// Load outstanding over all replicas: 0 when nothing is in flight (checked at a run's end).
    pub fn total_outstanding(&self) -> u64 {
        self.outstanding
    }

    #[inline]
    fn change(&mut self, replica: ReplicaId, to: impl Fn(u64) -> u64) {
        let index = self.index_of[replica.0 as usize];
        match self.loads.load(index) {
            LeastLoaded::NEVER => {
                if let Some(load) = self.aside.get_mut(&index) {
                    *load = to(*load);
                }
            }
            load => {
                let after = to(load);
                self.load = self.load - load + after;
                self.set_load(index, after);
            }
        }
    }

    #[inline]
    fn set_load(&mut self, index: u32, load: u64) {
        self.loads.set(index, load);
        if let Chooser::Priced(priced) = &mut self.chooser {
            priced.set(index, load);
        }
    }

    fn draw(&mut self) -> u32 {
        let eligible = self.eligible.len() as u32;
        self.eligible[self.rng.random_range(0..eligible) as usize]
    }
}

/// The load that one request is to a policy.
#[inline]
pub fn weight_of(policy: &Policy, prompt_tokens: u32) -> u64 {
    match policy {
        Policy::LeastTokens {
            expected_output_tokens,
        } => u64::from(prompt_tokens) + u64::from(*expected_output_tokens),
        _ => 1,
    }
}
