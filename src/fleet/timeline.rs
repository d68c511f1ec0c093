//! What happened when: counts by time, and what changed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::engine::{SimDuration, SimTime};

use super::faults::{Cause, Change, What};
use super::health::{State, Transition};
use super::ids::ReplicaId;
use super::request::{Outcome, Status};

/// Most stretches of time that are kept apart: when a run is longer, two become one.
const MOST_BUCKETS: usize = 1_200;
/// Stretches that the time of arrivals is divided into at first.
const FIRST_BUCKETS: u64 = 600;
/// Most notes that are kept.
const MOST_NOTES: usize = 4_000;

/// Something that changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Note {
    /// A fault began or ended.
    Fault(Change),
    /// Probes of a gateway replica say that a replica is well, or not.
    Health(u16, ReplicaId, bool),
    /// A gateway replica ejected a replica (true), or brought it back.
    Ejection(u16, ReplicaId, bool),
    /// A breaker of a gateway replica, by its index, changed to a state.
    Breaker(u16, u32, State),
    /// A gateway replica believes the health of a region's replicas no more (true), or again.
    Panic(u16, u16, bool),
    /// Something happened to nodes of a group.
    Node(u16, NodeChange),
}

/// What happened to nodes of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeChange {
    /// One became ready.
    Ready,
    /// One was given back.
    GivenBack,
    /// The provider takes so many away.
    Taken(u32),
}

/// What happened in one stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Requests that arrived.
    pub arrived: u64,
    /// Those that ended, by [`Status::index`].
    pub ended: [u64; Status::COUNT],
    /// Of those completed: within their objective.
    pub good: u64,
    /// Requests under way when the run ended that passed a bound of their objective here.
    pub overdue: u64,
    /// Tries made.
    pub tries: u64,
    /// Requests in flight, the most there were at once.
    pub in_flight: u64,
    /// Requests that waited at replicas and gateways when its first request arrived.
    pub waiting: u64,
    /// Replicas that were dead or hung, the most there were at once.
    pub down: u64,
    /// Breakers that were open, the most there were at once.
    pub breakers_open: u64,
    /// Transitions of breakers: to open, to half-open, to closed.
    pub transitions: [u64; 3],
    /// Whether those that wait were counted.
    sampled: bool,
}

impl Bucket {
    /// Requests that ended in one of the six ways.
    pub fn ended_in(&self, outcome: Outcome) -> u64 {
        let ended = Status::ALL.iter().zip(self.ended);
        let of_it = ended.filter(|(status, _)| status.outcome() == outcome);
        of_it.map(|(_, count)| count).sum()
    }

    fn add(&mut self, other: &Bucket) {
        self.arrived += other.arrived;
        self.overdue += other.overdue;
        for (mine, theirs) in self.transitions.iter_mut().zip(other.transitions) {
            *mine += theirs;
        }
        for (mine, theirs) in self.ended.iter_mut().zip(other.ended) {
            *mine += theirs;
        }
        self.good += other.good;
        self.tries += other.tries;
        self.in_flight = self.in_flight.max(other.in_flight);
        self.waiting = self.waiting.max(other.waiting);
        self.down = self.down.max(other.down);
        self.breakers_open = self.breakers_open.max(other.breakers_open);
        self.sampled |= other.sampled;
    }
}

/// Counts by time, in stretches of equal length, and the first changes.
#[derive(Debug, Clone)]
pub struct Timeline {
    on: bool,
    width: SimDuration,
    buckets: Vec<Bucket>,
    /// Tries that set out for each region, by stretch.
    tries_to: Vec<u64>,
    regions: usize,
    /// What was so at the last change, and is in every stretch until the next.
    in_flight: u64,
    down: u64,
    breakers_open: u64,
    /// Changes, and how many more there were than are kept.
    notes: Vec<(SimTime, Note)>,
    untold: u64,
    /// Users who were ever hit by a fault, as bits by their number.
    hit: Vec<u64>,
    hit_count: u64,
    /// Tries that were.
    tries_hit: u64,
    /// Faults that began, when the last one that ended did, and those in force by what they are
    /// of: a note of them may not be kept.
    faults: u64,
    last_fault_end: Option<SimTime>,
    in_force: BTreeMap<Cause, u64>,
}

impl Timeline {
    /// Nothing yet, of arrivals up to `horizon`; nothing is kept unless it is `on`.
    pub fn new(on: bool, horizon: SimTime, regions: usize) -> Timeline {
        // Whole tenths of a second, so that times are easy to read.
        let tenth = 100_000_000;
        let width = (horizon.0 / FIRST_BUCKETS).max(1).next_multiple_of(tenth);
        Timeline {
            on,
            width: SimDuration(width),
            buckets: Vec::new(),
            tries_to: Vec::new(),
            regions,
            in_flight: 0,
            down: 0,
            breakers_open: 0,
            notes: Vec::new(),
            untold: 0,
            hit: Vec::new(),
            hit_count: 0,
            tries_hit: 0,
            faults: 0,
            last_fault_end: None,
            in_force: BTreeMap::new(),
        }
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// The length of a stretch.
    pub fn width(&self) -> SimDuration {
        self.width
    }

    /// The stretches, from time 0 on.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// The first changes, in order, and how many came after them.
    pub fn notes(&self) -> (&[(SimTime, Note)], u64) {
        (&self.notes, self.untold)
    }

    /// Users who were ever hit.
    pub fn users_hit(&self) -> u64 {
        self.hit_count
    }

    /// Faults that began.
    pub fn faults(&self) -> u64 {
        self.faults
    }

    /// When the last fault that ended did.
    pub fn last_fault_end(&self) -> Option<SimTime> {
        self.last_fault_end
    }

    /// Faults that have not ended: entries of the timeline of faults, and groups of replicas that
    /// broke by chance.
    pub fn faults_in_force(&self) -> u64 {
        self.in_force.len() as u64
    }

    /// Tries that were hit by a bad deployment.
    pub fn tries_hit(&self) -> u64 {
        self.tries_hit
    }

    fn at(&mut self, now: SimTime) -> &mut Bucket {
        let mut index = (now.0 / self.width.0) as usize;
        while index >= MOST_BUCKETS {
            self.halve();
            index = (now.0 / self.width.0) as usize;
        }
        if index >= self.buckets.len() {
            self.buckets.resize(index + 1, self.unchanged());
            self.tries_to.resize((index + 1) * self.regions, 0);
        }
        &mut self.buckets[index]
    }

    /// A stretch in which nothing happens: what was so goes on.
    fn unchanged(&self) -> Bucket {
        Bucket {
            in_flight: self.in_flight,
            down: self.down,
            breakers_open: self.breakers_open,
            ..Bucket::default()
        }
    }

    /// Two stretches become one.
    fn halve(&mut self) {
        self.width = SimDuration(self.width.0.saturating_mul(2));
        let pairs = self.buckets.chunks(2).map(|pair| {
            let mut both = pair[0];
            if let Some(second) = pair.get(1) {
                both.add(second);
            }
            both
        });
        self.buckets = pairs.collect();
        let regions = self.regions;
        let mut tries_to = vec![0; self.buckets.len() * regions];
        for (index, tries) in self.tries_to.iter().enumerate() {
            tries_to[index / regions / 2 * regions + index % regions] += tries;
        }
        self.tries_to = tries_to;
    }

    /// Whether `now` is in a stretch in which requests that wait have not been counted yet: they
    /// are once in each, whatever else happened in it before.
    pub fn is_new(&self, now: SimTime) -> bool {
        let bucket = self.buckets.get((now.0 / self.width.0) as usize);
        self.on && bucket.is_none_or(|bucket| !bucket.sampled)
    }

    /// So many requests wait.
    pub fn waiting(&mut self, now: SimTime, waiting: u64) {
        if self.on {
            let bucket = self.at(now);
            bucket.waiting = waiting;
            bucket.sampled = true;
        }
    }

    /// A request arrived, and so many are in flight.
    pub fn arrived(&mut self, now: SimTime, in_flight: u64) {
        if self.on {
            let bucket = self.at(now);
            bucket.arrived += 1;
            bucket.in_flight = bucket.in_flight.max(in_flight);
            self.in_flight = in_flight;
        }
    }

    /// A try was made.
    pub fn tried(&mut self, now: SimTime) {
        if self.on {
            self.at(now).tries += 1;
        }
    }

    /// A try set out for a region.
    pub fn set_out(&mut self, now: SimTime, region: u16) {
        if self.on {
            self.at(now);
            let index = (now.0 / self.width.0) as usize;
            self.tries_to[index * self.regions + usize::from(region)] += 1;
        }
    }

    /// Tries that set out in a stretch, by region.
    pub fn tries_to(&self, bucket: usize) -> &[u64] {
        &self.tries_to[bucket * self.regions..][..self.regions]
    }

    /// A request ended.
    pub fn ended(&mut self, now: SimTime, status: Status, good: bool) {
        if self.on {
            let bucket = self.at(now);
            bucket.ended[status.index()] += 1;
            bucket.good += u64::from(good);
            self.in_flight = self.in_flight.saturating_sub(1);
        }
    }

    /// A request that is under way at the end of the run passed a bound of its objective at `at`.
    pub fn overdue(&mut self, at: SimTime) {
        if self.on {
            self.at(at).overdue += 1;
        }
    }

    /// A breaker changed.
    pub fn breaker(&mut self, transition: &Transition) {
        let open = |state| u64::from(state != State::Closed);
        let open = self.breakers_open + open(transition.to) - open(transition.from);
        if self.on {
            // The stretches before this one had what was so until now.
            let bucket = self.at(transition.at);
            bucket.breakers_open = bucket.breakers_open.max(open);
            let to = match transition.to {
                State::Open => 0,
                State::HalfOpen => 1,
                State::Closed => 2,
            };
            bucket.transitions[to] += 1;
        }
        self.breakers_open = open;
    }

    /// So many replicas are dead or hung.
    pub fn down(&mut self, now: SimTime, down: u64) {
        if self.on {
            let bucket = self.at(now);
            bucket.down = bucket.down.max(down);
        }
        self.down = down;
    }

    /// Something changed.
    pub fn note(&mut self, now: SimTime, note: Note) {
        if !self.on {
            return;
        }
        if let Note::Fault(change) = &note {
            self.fault(now, change);
        }
        match self.notes.len() < MOST_NOTES {
            true => self.notes.push((now, note)),
            false => self.untold += 1,
        }
    }

    fn fault(&mut self, now: SimTime, change: &Change) {
        match change.what {
            What::Begin(_) => {
                self.faults += 1;
                *self.in_force.entry(change.cause).or_default() += 1;
            }
            What::End(_) => {
                self.last_fault_end = Some(now);
                if let Entry::Occupied(mut entry) = self.in_force.entry(change.cause) {
                    *entry.get_mut() -= 1;
                    if *entry.get() == 0 {
                        entry.remove();
                    }
                }
            }
        }
    }

    /// A try of a user, by number, was hit by a bad deployment.
    pub fn try_hit(&mut self, user: u64) {
        self.tries_hit += 1;
        self.user_hit(user);
    }

    /// A user, by number, was hit: by a bad deployment, or by a request that was not answered.
    pub fn user_hit(&mut self, user: u64) {
        if !self.on {
            return;
        }
        let (word, bit) = ((user / 64) as usize, 1 << (user % 64));
        if word >= self.hit.len() {
            self.hit.resize(word + 1, 0);
        }
        if self.hit[word] & bit == 0 {
            self.hit[word] |= bit;
            self.hit_count += 1;
        }
    }
}
