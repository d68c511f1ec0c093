//! Start-time fair queueing between tenants (Goyal, Vin and Cheng, SIGCOMM 1996).
//!
//! A request's start tag is the larger of the virtual time at its arrival and the finish tag of the
//! tenant's request before it; its finish tag is that plus cost over weight. The lowest start tag is
//! served first, and is the virtual time. Over any stretch in which two tenants have requests
//! waiting, what they got over their weights differs by at most one largest request of each over
//! its weight.
//!
//! Tags are given out at the head of a tenant's line, not on arrival: a request that leaves without
//! being served then costs its tenant nothing, and the tags of all others are the same.

use std::cmp::Reverse;

use priority_queue::PriorityQueue;

use super::Hasher;
use super::line::{Line, Links};

/// Virtual time of a cost of 1 at weight 1: fine enough that rounding is lost in any cost.
const SCALE: u128 = 1 << 40;
/// Weights are counted in millionths.
const WEIGHT_SCALE: f64 = 1e6;

/// Who goes first: the lower priority number, then the lower start tag, then who came earlier.
type Rank = Reverse<(i32, u128, u64)>;

/// A tenant's requests of one priority.
#[derive(Debug, Clone, Default)]
struct Flow {
    line: Line,
    /// Finish tag of the last request served.
    finish: u128,
}

/// The requests of one priority: fair among themselves.
#[derive(Debug, Clone)]
struct Band {
    priority: i32,
    virtual_time: u128,
    latest_finish: u128,
    /// By tenant; made when the first request comes.
    flows: Vec<Flow>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    serial: u64,
    cost: u64,
    band: u32,
    tenant: u32,
    /// Virtual time at its arrival.
    arrived: u128,
}

#[derive(Debug, Clone)]
pub(super) struct FairQueue {
    bands: Vec<Band>,
    /// In millionths, by tenant.
    weights: Vec<u128>,
    /// The first request of each line that is not empty, by (band, tenant).
    heads: PriorityQueue<(u32, u32), Rank, Hasher>,
    /// By slot.
    waiting: Vec<Waiting>,
    links: Links,
    idle: bool,
}

impl FairQueue {
    /// `priorities` are those that differ; `weights` those of the tenants.
    pub fn new(priorities: &[i32], weights: &[f64]) -> FairQueue {
        let band = |&priority: &i32| Band {
            priority,
            virtual_time: 0,
            latest_finish: 0,
            flows: Vec::new(),
        };
        let millionths = |weight: &f64| ((weight * WEIGHT_SCALE).round() as u128).max(1);
        FairQueue {
            bands: priorities.iter().map(band).collect(),
            weights: weights.iter().map(millionths).collect(),
            heads: PriorityQueue::with_default_hasher(),
            waiting: Vec::new(),
            links: Links::default(),
            idle: true,
        }
    }

    pub fn push(&mut self, slot: u32, band: u32, tenant: u32, cost: u64, serial: u64) {
        let at = slot as usize;
        if at >= self.waiting.len() {
            self.waiting.resize(at + 1, Waiting::default());
        }
        let tenants = self.weights.len();
        let group = &mut self.bands[band as usize];
        if group.flows.is_empty() {
            group.flows.resize(tenants, Flow::default());
        }
        self.waiting[at] = Waiting {
            serial,
            cost,
            band,
            tenant,
            arrived: group.virtual_time,
        };
        let line = &mut group.flows[tenant as usize].line;
        let was_empty = line.first().is_none();
        line.push(&mut self.links, slot);
        if was_empty {
            self.rank_head(band, tenant);
        }
        self.idle = false;
    }

    pub fn first(&self) -> Option<u32> {
        let (&(band, tenant), _) = self.heads.peek()?;
        self.bands[band as usize].flows[tenant as usize]
            .line
            .first()
    }

    pub fn pop(&mut self) -> Option<u32> {
        let Some((&(band, tenant), &Reverse((_, start, _)))) = self.heads.peek() else {
            self.rest();
            return None;
        };
        let weight = self.weights[tenant as usize];
        let group = &mut self.bands[band as usize];
        let flow = &mut group.flows[tenant as usize];
        let slot = flow.line.first()?;
        let cost = u128::from(self.waiting[slot as usize].cost);
        let share = cost * SCALE * WEIGHT_SCALE as u128 / weight;
        flow.finish = start.saturating_add(share);
        group.virtual_time = start;
        group.latest_finish = group.latest_finish.max(flow.finish);
        flow.line.remove(&mut self.links, slot);
        self.rank_head(band, tenant);
        Some(slot)
    }

    /// Takes out a request that is not served.
    pub fn remove(&mut self, slot: u32) {
        let Waiting { band, tenant, .. } = self.waiting[slot as usize];
        let line = &mut self.bands[band as usize].flows[tenant as usize].line;
        let was_first = line.first() == Some(slot);
        line.remove(&mut self.links, slot);
        if was_first {
            self.rank_head(band, tenant);
        }
    }

    /// Gives the head of a line its start tag.
    fn rank_head(&mut self, band: u32, tenant: u32) {
        let group = &self.bands[band as usize];
        let flow = &group.flows[tenant as usize];
        let Some(slot) = flow.line.first() else {
            self.heads.remove(&(band, tenant));
            return;
        };
        let head = self.waiting[slot as usize];
        let start = head.arrived.max(flow.finish);
        let rank = Reverse((group.priority, start, head.serial));
        self.heads.push((band, tenant), rank);
    }

    /// The end of a busy period: all tenants start level.
    fn rest(&mut self) {
        if std::mem::replace(&mut self.idle, true) {
            return;
        }
        for band in &mut self.bands {
            band.virtual_time = band.latest_finish;
        }
    }
}
