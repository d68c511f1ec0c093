//! The gateway's waiting room.

mod fair;
mod line;

use std::cmp::Reverse;
use std::hash::BuildHasherDefault;

use priority_queue::PriorityQueue;
use rustc_hash::FxHasher;

use self::fair::FairQueue;
use self::line::{Line, Links};
use crate::engine::{SimDuration, SimTime};
use crate::scenario::admission::{FairCost, QueueBound, QueueOrder, WaitingRoom as Config};

/// What the waiting room must know of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Index of its tenant.
    pub tenant: u32,
    /// Index of its tier.
    pub tier: u32,
    /// Prompt tokens and the output tokens that are expected.
    pub tokens: u64,
    /// When it came.
    pub enqueued: SimTime,
    /// When it should be done; [`SimTime::NEVER`] if that is no matter. Orders `earliest_deadline`.
    pub deadline: SimTime,
    /// When it stops waiting by itself, or [`SimTime::NEVER`].
    pub expires: SimTime,
}

/// What became of a request that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It waits.
    Ok,
    /// There is no room for it.
    Full,
}

/// Order never rests on hashes: every rank is unique.
type Hasher = BuildHasherDefault<FxHasher>;
/// The lowest goes first; ties in order of arrival.
type Ranked = PriorityQueue<u32, Reverse<(i128, u64)>, Hasher>;
type Expiries = PriorityQueue<u32, Reverse<(SimTime, u64)>, Hasher>;

/// Requests that wait, in the order of a policy.
///
/// Coming, going and leaving from the middle take O(log n) at most. A slot waits once at a time.
#[derive(Debug, Clone)]
pub struct WaitingRoom {
    order: Order,
    /// By slot; none where the slot does not wait.
    items: Vec<Option<Item>>,
    expiries: Expiries,
    all: Level,
    /// By tier.
    tiers: Vec<Level>,
    /// Priority number by tier; the lower goes first.
    priorities: Vec<i32>,
    arrivals: u64,
}

/// Each tier waits in a line of its own, so that one that may not go holds up no other.
#[derive(Debug, Clone)]
enum Order {
    Line {
        /// By tier.
        lines: Vec<Line>,
        links: Links,
        /// Who came when, by slot.
        serials: Vec<u64>,
        lifo_above: Option<u32>,
    },
    /// The lowest rank first.
    Ranked {
        /// By tier.
        queues: Vec<Ranked>,
        rank: Rank,
    },
    Fair {
        queue: FairQueue,
        cost: FairCost,
    },
}

/// What ranks go by.
#[derive(Debug, Clone, Copy)]
enum Rank {
    /// By priority number and arrival: `enqueued + priority * aging`, which keeps its order while
    /// all grow older alike. Without aging by the number alone.
    Priority {
        aging: Option<SimDuration>,
    },
    Deadline,
}

impl Rank {
    fn of(self, item: &Item, priority: i32) -> i128 {
        let priority = i128::from(priority);
        match self {
            Rank::Deadline => item.deadline.0.into(),
            Rank::Priority { aging: None } => priority,
            Rank::Priority { aging: Some(aging) } => {
                i128::from(item.enqueued.0) + priority * i128::from(aging.0)
            }
        }
    }
}

/// How much waits, and how much may.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    requests: u32,
    tokens: u64,
    bound: QueueBound,
}

impl Level {
    fn new(bound: QueueBound) -> Level {
        Level {
            bound,
            ..Level::default()
        }
    }

    fn has_room(&self, tokens: u64) -> bool {
        let requests = self.bound.requests.is_none_or(|most| self.requests < most);
        let sum = self.tokens.saturating_add(tokens);
        requests && self.bound.tokens.is_none_or(|most| sum <= most)
    }

    fn add(&mut self, tokens: u64) {
        self.requests += 1;
        self.tokens += tokens;
    }

    fn take(&mut self, tokens: u64) {
        self.requests -= 1;
        self.tokens -= tokens;
    }
}

impl WaitingRoom {
    /// An empty room. `tiers` are names and priority numbers (the lower goes first) by index of the
    /// tier, `weights` those of the tenants by index; an empty list stands for one of them, with
    /// priority 0 and weight 1.
    pub fn new(config: &Config, tiers: &[(&str, i32)], weights: &[f64]) -> WaitingRoom {
        let bound = |&(name, _): &(&str, i32)| {
            let stated = config.tiers.iter().find(|tier| tier.tier == name);
            Level::new(stated.map_or(QueueBound::default(), |tier| QueueBound {
                requests: tier.requests,
                tokens: tier.tokens,
            }))
        };
        let tiers = if tiers.is_empty() { &[("", 0)] } else { tiers };
        let priorities: Vec<i32> = tiers.iter().map(|&(_, priority)| priority).collect();
        WaitingRoom {
            order: Order::new(&config.order, &priorities, weights),
            items: Vec::new(),
            expiries: PriorityQueue::with_default_hasher(),
            all: Level::new(config.bound),
            tiers: tiers.iter().map(bound).collect(),
            priorities,
            arrivals: 0,
        }
    }

    /// Requests that wait.
    pub fn len(&self) -> u32 {
        self.all.requests
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens of those that wait.
    pub fn tokens(&self) -> u64 {
        self.all.tokens
    }

    /// Requests of a tier that wait.
    pub fn len_of(&self, tier: u32) -> u32 {
        self.tiers[tier as usize].requests
    }

    /// What is known of a request that waits.
    pub fn get(&self, slot: u32) -> Option<&Item> {
        self.items.get(slot as usize)?.as_ref()
    }

    /// A request comes. One with more tokens than the room takes in all is always refused.
    pub fn push(&mut self, slot: u32, item: Item) -> Pushed {
        debug_assert!(self.get(slot).is_none(), "slot {slot} waits already");
        let tier = item.tier as usize;
        if !self.all.has_room(item.tokens) || !self.tiers[tier].has_room(item.tokens) {
            return Pushed::Full;
        }
        self.all.add(item.tokens);
        self.tiers[tier].add(item.tokens);
        let serial = self.arrivals;
        self.arrivals += 1;
        self.order.push(slot, &item, self.priorities[tier], serial);
        if item.expires != SimTime::NEVER {
            self.expiries.push(slot, Reverse((item.expires, serial)));
        }
        let at = slot as usize;
        if at >= self.items.len() {
            self.items.resize(at + 1, None);
        }
        self.items[at] = Some(item);
        Pushed::Ok
    }

    /// Who is let out next.
    pub fn peek(&self) -> Option<u32> {
        self.peek_among(|_| true)
    }

    /// Who is let out next of those whose tier may go.
    pub fn peek_among(&self, open: impl Fn(u32) -> bool) -> Option<u32> {
        let tiers = (0_u32..).zip(&self.tiers).filter(|(tier, _)| open(*tier));
        let waiting = tiers.map(|(_, level)| level.requests).sum();
        self.order.first(waiting, open)
    }

    /// Lets out the next one. Nobody there ends a busy period of a fair room: its tenants then start
    /// level.
    pub fn pop(&mut self) -> Option<(u32, Item)> {
        self.pop_among(|_| true)
    }

    /// Lets out the next one of those whose tier may go.
    pub fn pop_among(&mut self, open: impl Fn(u32) -> bool) -> Option<(u32, Item)> {
        if self.is_empty() {
            self.order.rest();
        }
        let slot = self.peek_among(open)?;
        let tier = self.get(slot)?.tier;
        self.order.serve(slot, tier);
        Some((slot, self.forget(slot)?))
    }

    /// Takes out a request that gives up; none if it does not wait.
    pub fn remove(&mut self, slot: u32) -> Option<Item> {
        let tier = self.get(slot)?.tier;
        self.order.remove(slot, tier);
        self.forget(slot)
    }

    /// When the next one expires.
    pub fn next_expiry(&self) -> Option<SimTime> {
        let (_, &Reverse((expires, _))) = self.expiries.peek()?;
        Some(expires)
    }

    /// Takes out a request that has expired by `now`, the earliest first; to be called until none
    /// is left.
    pub fn pop_expired(&mut self, now: SimTime) -> Option<(u32, Item)> {
        let (&slot, &Reverse((expires, _))) = self.expiries.peek()?;
        if expires > now {
            return None;
        }
        Some((slot, self.remove(slot)?))
    }

    /// Forgets a slot that is in no order any more.
    fn forget(&mut self, slot: u32) -> Option<Item> {
        let item = self.items.get_mut(slot as usize)?.take()?;
        self.all.take(item.tokens);
        self.tiers[item.tier as usize].take(item.tokens);
        if item.expires != SimTime::NEVER {
            self.expiries.remove(&slot);
        }
        Some(item)
    }
}

impl Order {
    fn new(config: &QueueOrder, priorities: &[i32], weights: &[f64]) -> Order {
        let tiers = priorities.len();
        let line = |lifo_above| Order::Line {
            lines: vec![Line::default(); tiers],
            links: Links::default(),
            serials: Vec::new(),
            lifo_above,
        };
        let ranked = |rank| Order::Ranked {
            queues: vec![Ranked::with_default_hasher(); tiers],
            rank,
        };
        match *config {
            QueueOrder::Fcfs {} => line(None),
            QueueOrder::AdaptiveLifo { lifo_above } => line(Some(lifo_above)),
            QueueOrder::Priority { aging_s } => ranked(Rank::Priority {
                aging: aging_s.map(SimDuration::from_secs_f64),
            }),
            QueueOrder::EarliestDeadline {} => ranked(Rank::Deadline),
            QueueOrder::Fair { cost, by_priority } => {
                let weights = if weights.is_empty() { &[1.0] } else { weights };
                Order::Fair {
                    queue: FairQueue::new(priorities, by_priority, weights),
                    cost,
                }
            }
        }
    }

    fn push(&mut self, slot: u32, item: &Item, priority: i32, serial: u64) {
        match self {
            Order::Line {
                lines,
                links,
                serials,
                ..
            } => {
                let at = slot as usize;
                if at >= serials.len() {
                    serials.resize(at + 1, 0);
                }
                serials[at] = serial;
                lines[item.tier as usize].push(links, slot);
            }
            Order::Ranked { queues, rank } => {
                let rank = rank.of(item, priority);
                queues[item.tier as usize].push(slot, Reverse((rank, serial)));
            }
            Order::Fair { queue, cost } => {
                let cost = match cost {
                    FairCost::Requests => 1,
                    FairCost::Tokens => item.tokens,
                };
                queue.push(slot, item.tier, item.tenant, cost, serial);
            }
        }
    }

    /// Who is next of the tiers that are `open` when `waiting` wait.
    fn first(&self, waiting: u32, open: impl Fn(u32) -> bool) -> Option<u32> {
        match self {
            Order::Line {
                lines,
                serials,
                lifo_above,
                ..
            } => {
                let open = (0_u32..).zip(lines).filter(|(tier, _)| open(*tier));
                let serial = |slot: &u32| serials[*slot as usize];
                if lifo_above.is_some_and(|most| waiting > most) {
                    open.filter_map(|(_, line)| line.last()).max_by_key(serial)
                } else {
                    open.filter_map(|(_, line)| line.first()).min_by_key(serial)
                }
            }
            Order::Ranked { queues, .. } => {
                let open = (0_u32..).zip(queues).filter(|(tier, _)| open(*tier));
                let heads = open.filter_map(|(_, queue)| queue.peek());
                let first = heads.max_by_key(|(_, rank)| **rank)?;
                Some(*first.0)
            }
            Order::Fair { queue, .. } => queue.first(open),
        }
    }

    /// Takes out a slot that was first, and is served.
    fn serve(&mut self, slot: u32, tier: u32) {
        match self {
            Order::Fair { queue, .. } => queue.serve(slot),
            _ => self.remove(slot, tier),
        }
    }

    /// Takes out a slot that waits.
    fn remove(&mut self, slot: u32, tier: u32) {
        match self {
            Order::Line { lines, links, .. } => lines[tier as usize].remove(links, slot),
            Order::Ranked { queues, .. } => {
                queues[tier as usize].remove(&slot);
            }
            Order::Fair { queue, .. } => queue.remove(slot),
        }
    }

    /// Nobody waits, and the next one who comes is served at once.
    fn rest(&mut self) {
        if let Order::Fair { queue, .. } = self {
            queue.rest();
        }
    }
}
