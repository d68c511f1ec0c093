//! One group of spot nodes as its pool treats it: which nodes are lost when,
//! and whether another may be launched.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;

use crate::engine::SimRng;
use crate::engine::SimTime;
use crate::fleet::spot::availability::Availability;
use crate::fleet::spot::errors::{RuleError, check_range};
use crate::fleet::spot::interruption::Interruption;
use crate::fleet::spot::lifetimes::{Life, PoolEvents, Streams};

/// Nodes that the pool takes back at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The nodes, never empty. When a recording's supply drops, the youngest
    /// come first (latest start, then highest number): they are the ones the
    /// pool could least supply. Otherwise in ascending number.
    pub nodes: Vec<u32>,
    /// When they are gone.
    pub at: SimTime,
}

/// A held node.
#[derive(Clone, Copy, Debug)]
struct Held {
    started: SimTime,
    /// When its own life ends, if it does.
    ends: Option<SimTime>,
}

/// What happens next; at one instant in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Life,
    Pool,
    Supply,
}

/// The spot market of one group of nodes.
///
/// Tell it which nodes start and end, ask it with [`Market::next_at`] when to
/// look again, and take what is lost with [`Market::take_due`]. Take everything
/// due by an instant before reporting a start or end at that instant: supply
/// that dropped and returned unnoticed takes nothing.
///
/// To warn nodes before they are lost, look ahead: `take_due(now + lead)`, at
/// `next_at() - lead`, decides now which nodes go within `lead`. Nodes that
/// start meanwhile are still exposed to every event up to then and may
/// be lost with less warning.
///
/// Equal rules, seeds and calls give equal losses. Every start of a node has a
/// life drawn from a stream of its own, so other nodes, or how often they
/// restart, do not change it; nor do they change when the pool's events come.
#[derive(Clone, Debug)]
pub struct Market {
    rule: Interruption,
    availability: Option<Availability>,
    refusal_probability: f64,
    life: Option<Life>,
    lives: Streams,
    refusals: Streams,
    pool: Option<PoolEvents>,
    held: BTreeMap<u32, Held>,
    /// Held nodes by the end of their life.
    ends: BTreeSet<(SimTime, u32)>,
    /// Held nodes by start: the youngest last.
    ages: BTreeSet<(SimTime, u32)>,
    /// Starts of every node ever seen, which number its streams.
    starts: BTreeMap<u32, u32>,
    /// Instant up to which supply has been compared with what is held.
    clock: SimTime,
}

impl Market {
    /// A market without any node. `availability` is the recording of a `trace`
    /// law (scaled in nodes by the law, in time by its own options) and must be
    /// absent for the other laws. `rng` should be a stream of this market only.
    ///
    /// # Errors
    /// `RuleError` when a setting is out of range, or a recording is missing or
    /// would go unused.
    pub fn new(
        rule: Interruption,
        availability: Option<Availability>,
        mut rng: SimRng,
    ) -> Result<Self, RuleError> {
        rule.check()?;
        let traced = matches!(rule, Interruption::Trace { .. });
        if traced != availability.is_some() {
            return Err(RuleError {
                field: "availability",
                value: String::from(if traced { "absent" } else { "given" }),
                allowed: "given for the law `trace`, absent for the others",
                remedy: "read the law's file for `trace`, or choose that law",
            });
        }
        let (lives, refusals) = (Streams::new(&mut rng), Streams::new(&mut rng));
        Ok(Self {
            life: Life::of(&rule),
            pool: PoolEvents::new(&rule, &mut rng),
            rule,
            availability,
            refusal_probability: 0.0,
            lives,
            refusals,
            held: BTreeMap::new(),
            ends: BTreeSet::new(),
            ages: BTreeSet::new(),
            starts: BTreeMap::new(),
            clock: SimTime(0),
        })
    }

    /// Refuses each launch with a probability, 0 to 1, whatever the supply.
    ///
    /// # Errors
    /// `RuleError` when it is out of range.
    pub fn with_refusal_probability(mut self, probability: f64) -> Result<Self, RuleError> {
        check_range("refusal_probability", probability, (0.0, 1.0), "0 to 1")?;
        self.refusal_probability = probability;
        Ok(self)
    }

    /// A node has started. From here its life runs. A node that is held already
    /// starts anew.
    pub fn node_started(&mut self, node: u32, now: SimTime) {
        let mut doomed = None;
        if let Some(pool) = &mut self.pool {
            if self.held.is_empty() {
                pool.skip_until(now);
            }
            doomed = pool.already_doomed(node, now);
        }
        self.remove(node);
        let start = self.starts.entry(node).or_insert(0);
        let mut stream = self.lives.of(node, *start);
        *start = start.wrapping_add(1);
        let life = self.life.and_then(|life| life.end(now, &mut stream));
        let ends = life.into_iter().chain(doomed).min();
        self.held.insert(node, Held { started: now, ends });
        self.ages.insert((now, node));
        if let Some(end) = ends {
            self.ends.insert((end, node));
        }
        // Backwards too, after looking ahead: the new node must be compared with
        // the supply from its start. Nodes that survived that look fit already.
        self.clock = now;
    }

    /// A node has ended otherwise: it cannot be lost any more. Nodes taken by
    /// [`Market::take_due`] need no report; unknown nodes are ignored.
    pub fn node_ended(&mut self, node: u32, now: SimTime) {
        self.remove(node);
        self.clock = self.clock.max(now);
    }

    /// Whether one more node may be launched while `held` nodes are held or on
    /// their way. A pure question: asked twice with the same `held` at the same
    /// instant, it has the same answer; chance speaks anew at every other
    /// instant and every other `held`.
    #[must_use]
    pub fn may_launch(&self, held: u32, now: SimTime) -> bool {
        if self.capacity(now).is_some_and(|capacity| held >= capacity) {
            return false;
        }
        let mut stream = self.refusals.wide(now.0);
        // Far enough apart that no two counts share a block of the stream.
        stream.set_word_pos(u128::from(held) * 16);
        stream.random::<f64>() >= self.refusal_probability
    }

    /// Nodes that the pool supplies at an instant; `None` without a limit.
    #[must_use]
    pub fn capacity(&self, now: SimTime) -> Option<u32> {
        let availability = self.availability.as_ref()?;
        self.rule.capacity(availability.at(now))
    }

    /// Nodes held and not yet lost.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// When [`Market::take_due`] should be called next, if nothing starts or
    /// ends before; `None` when nothing can be lost. An event of the pool may
    /// turn out to take no node.
    #[must_use]
    pub fn next_at(&self) -> Option<SimTime> {
        self.next().map(|next| next.0)
    }

    /// Takes the earliest loss at or before `now`; call again until `None`.
    pub fn take_due(&mut self, now: SimTime) -> Option<Loss> {
        while let Some((at, cause)) = self.next().filter(|next| next.0 <= now) {
            let nodes = match cause {
                Cause::Life => self.ending(at),
                Cause::Pool => self.struck(),
                Cause::Supply => self.excess(at),
            };
            for node in &nodes {
                self.remove(*node);
            }
            self.clock = self.clock.max(at);
            if !nodes.is_empty() {
                return Some(Loss { nodes, at });
            }
        }
        self.clock = self.clock.max(now);
        None
    }

    /// The earliest thing that may take nodes.
    fn next(&self) -> Option<(SimTime, Cause)> {
        if self.held.is_empty() {
            return None;
        }
        let life = self.ends.first().map(|end| (end.0, Cause::Life));
        let pool = self.pool.as_ref().and_then(PoolEvents::next_at);
        let pool = pool.map(|at| (at, Cause::Pool));
        let supply = self.shortage().map(|at| (at, Cause::Supply));
        life.into_iter().chain(pool).chain(supply).min()
    }

    /// When supply first falls short of what is held.
    fn shortage(&self) -> Option<SimTime> {
        let availability = self.availability.as_ref()?;
        let short = |recorded| {
            let capacity = self.rule.capacity(recorded);
            capacity.is_some_and(|nodes| (nodes as usize) < self.held.len())
        };
        // Spares the search through a recording that never falls so low.
        if !short(availability.min_nodes()) {
            return None;
        }
        availability.first_where(self.clock, short)
    }

    /// Nodes whose life ends at an instant, ascending.
    fn ending(&self, at: SimTime) -> Vec<u32> {
        let all_nodes = (at, u32::MIN)..=(at, u32::MAX);
        self.ends.range(all_nodes).map(|end| end.1).collect()
    }

    /// Nodes that the pool's next event takes, ascending.
    fn struck(&mut self) -> Vec<u32> {
        let Some(pool) = &mut self.pool else {
            return Vec::new();
        };
        let Some((at, event)) = pool.take() else {
            return Vec::new();
        };
        let exposed = self.held.iter().filter(|held| held.1.started < at);
        let hit = exposed.filter(|held| pool.hits(event, *held.0));
        hit.map(|held| *held.0).collect()
    }

    /// Nodes beyond the supply at an instant, youngest first.
    fn excess(&self, at: SimTime) -> Vec<u32> {
        let capacity = self.capacity(at).map_or(usize::MAX, |nodes| nodes as usize);
        let excess = self.held.len().saturating_sub(capacity);
        let youngest = self.ages.iter().rev().take(excess);
        youngest.map(|age| age.1).collect()
    }

    /// Forgets a held node.
    fn remove(&mut self, node: u32) {
        if let Some(held) = self.held.remove(&node) {
            self.ages.remove(&(held.started, node));
            if let Some(end) = held.ends {
                self.ends.remove(&(end, node));
            }
        }
    }
}
