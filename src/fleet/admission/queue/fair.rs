//! Start-time fair queueing between tenants (Goyal, Vin and Cheng, SIGCOMM 1996).
//!
//! A request's start tag is the larger of the virtual time at its arrival and the finish tag of the
//! tenant's request before it; its finish tag is that plus cost over weight. The lowest start tag is
//! served first, and is the virtual time. Over any stretch in which two tenants have requests
//! waiting, what they got over their weights differs by at most one largest request of each over
//! its weight. Requests whose tier is at a limit of its own are passed over; when it is not any
//! more, their tenant gets what it missed before the others go on.
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
    /// By tier.
    lines: Vec<Line>,
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
    tier: u32,
    /// Virtual time at its arrival.
    arrived: u128,
}

#[derive(Debug, Clone)]
pub(super) struct FairQueue {
    bands: Vec<Band>,
    /// Band by tier.
    band_of: Vec<u32>,
    /// In millionths, by tenant.
    weights: Vec<u128>,
    /// The first request of each line that is not empty, by (band, tenant); of each tier.
    heads: Vec<PriorityQueue<(u32, u32), Rank, Hasher>>,
    /// By slot.
    waiting: Vec<Waiting>,
    links: Links,
    idle: bool,
}

impl FairQueue {
    /// `priorities` are those of the tiers, and make bands where `by_priority`; `weights` are those
    /// of the tenants.
    pub fn new(priorities: &[i32], by_priority: bool, weights: &[f64]) -> FairQueue {
        let priorities = match by_priority {
            true => priorities.to_vec(),
            false => vec![0; priorities.len()],
        };
        let mut distinct = priorities.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let place = |priority: &i32| {
            let place = distinct.iter().position(|other| other == priority);
            place.unwrap_or(0) as u32
        };
        let band = |&priority: &i32| Band {
            priority,
            virtual_time: 0,
            latest_finish: 0,
            flows: Vec::new(),
        };
        let millionths = |weight: &f64| ((weight * WEIGHT_SCALE).round() as u128).max(1);
        let no_heads = PriorityQueue::with_default_hasher();
        FairQueue {
            bands: distinct.iter().map(band).collect(),
            band_of: priorities.iter().map(place).collect(),
            weights: weights.iter().map(millionths).collect(),
            heads: vec![no_heads; priorities.len()],
            waiting: Vec::new(),
            links: Links::default(),
            idle: true,
        }
    }

    pub fn push(&mut self, slot: u32, tier: u32, tenant: u32, cost: u64, serial: u64) {
        let at = slot as usize;
        if at >= self.waiting.len() {
            self.waiting.resize(at + 1, Waiting::default());
        }
        let (tenants, tiers) = (self.weights.len(), self.heads.len());
        let band = self.band_of[tier as usize];
        let group = &mut self.bands[band as usize];
        if group.flows.is_empty() {
            group.flows.resize_with(tenants, || Flow {
                lines: vec![Line::default(); tiers],
                finish: 0,
            });
        }
        self.waiting[at] = Waiting {
            serial,
            cost,
            band,
            tenant,
            tier,
            arrived: group.virtual_time,
        };
        let line = &mut group.flows[tenant as usize].lines[tier as usize];
        let was_empty = line.first().is_none();
        line.push(&mut self.links, slot);
        if was_empty {
            self.rank_head(band, tenant, tier);
        }
        self.idle = false;
    }

    /// Who is next of those tiers.
    pub fn first(&self, open: impl Fn(u32) -> bool) -> Option<u32> {
        let tiers = (0_u32..).zip(&self.heads).filter(|(tier, _)| open(*tier));
        let heads = tiers.filter_map(|(tier, heads)| Some((tier, heads.peek()?)));
        let (tier, (&(band, tenant), _)) = heads.max_by_key(|(_, (_, rank))| **rank)?;
        let flow = &self.bands[band as usize].flows[tenant as usize];
        flow.lines[tier as usize].first()
    }

    /// Serves a request that is the first of its tenant and tier.
    pub fn serve(&mut self, slot: u32) {
        let Waiting {
            band,
            tenant,
            tier,
            cost,
            arrived,
            ..
        } = self.waiting[slot as usize];
        let weight = self.weights[tenant as usize];
        let group = &mut self.bands[band as usize];
        let flow = &mut group.flows[tenant as usize];
        let start = arrived.max(flow.finish);
        let share = u128::from(cost) * SCALE * WEIGHT_SCALE as u128 / weight;
        flow.finish = start.saturating_add(share);
        // Who was held up by its tier comes late, and does not turn back the time of the others.
        group.virtual_time = group.virtual_time.max(start);
        group.latest_finish = group.latest_finish.max(flow.finish);
        flow.lines[tier as usize].remove(&mut self.links, slot);
        // Those of its other tiers wait behind it, too.
        for tier in 0..self.heads.len() as u32 {
            if self.band_of[tier as usize] == band {
                self.rank_head(band, tenant, tier);
            }
        }
    }

    /// Takes out a request that is not served.
    pub fn remove(&mut self, slot: u32) {
        let Waiting {
            band, tenant, tier, ..
        } = self.waiting[slot as usize];
        let flow = &mut self.bands[band as usize].flows[tenant as usize];
        let line = &mut flow.lines[tier as usize];
        let was_first = line.first() == Some(slot);
        line.remove(&mut self.links, slot);
        if was_first {
            self.rank_head(band, tenant, tier);
        }
    }

    /// Gives the head of a line its start tag.
    fn rank_head(&mut self, band: u32, tenant: u32, tier: u32) {
        let group = &self.bands[band as usize];
        let flow = &group.flows[tenant as usize];
        let heads = &mut self.heads[tier as usize];
        let Some(slot) = flow.lines[tier as usize].first() else {
            heads.remove(&(band, tenant));
            return;
        };
        let head = self.waiting[slot as usize];
        let start = head.arrived.max(flow.finish);
        let rank = Reverse((group.priority, start, head.serial));
        heads.push((band, tenant), rank);
    }

    /// The end of a busy period: all tenants start level.
    pub fn rest(&mut self) {
        if std::mem::replace(&mut self.idle, true) {
            return;
        }
        for band in &mut self.bands {
            band.virtual_time = band.latest_finish;
        }
    }
}
