//! What can be seen of the fleet from outside, and what must hold in it.

use crate::engine::SimTime;
#[cfg(debug_assertions)]
use crate::fleet::event::Event;
use crate::fleet::meters::PoolMeter;
use crate::fleet::outcome::RequestRow;
use crate::fleet::replica::ReplicaEngine;
use crate::measure::SloMeter;
use crate::workload::sessions::SessionCounts;

use super::World;

impl World {
    /// Whether more requests came than may be in flight: the run ends there.
    pub fn over_limit(&self) -> bool {
        self.requests.most() as u64 > self.plan.max_in_flight
    }

    /// What went wrong with the workload, if anything did.
    pub fn failure(&self) -> Option<&str> {
        self.source.failure()
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u64 {
        self.requests.len() as u64
    }

    /// The most requests that were in flight at once.
    pub fn most_in_flight(&self) -> u64 {
        self.requests.most() as u64
    }

    /// Counts the measured requests in flight at `now` against their objectives: for the end of a
    /// run.
    pub fn slo_with_in_flight(&self, now: SimTime) -> Vec<SloMeter> {
        let mut meters = self.meters.slo.clone();
        for request in self.requests.live() {
            if self.meters.measures(request.arrival) {
                let seen = request.first_token != SimTime::NEVER;
                let age_ns = now.since(request.arrival).0;
                meters[request.tier as usize].record_in_flight(age_ns, seen);
            }
        }
        meters
    }

    /// Requests in flight that arrived within the measured window.
    pub fn measured_in_flight(&self) -> u64 {
        let live = self.requests.live();
        live.filter(|request| self.meters.measures(request.arrival))
            .count() as u64
    }

    /// Rows of the requests in flight, in order of arrival.
    pub fn in_flight_rows(&self) -> Vec<RequestRow> {
        let row = |request| RequestRow::new(request, "in_flight", &self.plan, &self.replicas);
        let mut rows: Vec<RequestRow> = self.requests.live().map(row).collect();
        rows.sort_by_key(|row| row.id);
        rows
    }

    /// Work of a pool that is under way at `now` and not yet in its meters, nanoseconds within the
    /// measured window.
    pub fn busy_under_way_ns(&self, pool: usize, now: SimTime) -> u128 {
        let meter = &self.pools[pool].meter;
        let replicas = self
            .replicas
            .iter()
            .filter(|replica| replica.pool.0 as usize == pool);
        let under_way = replicas.map(|replica| match &replica.engine {
            ReplicaEngine::Llm(engine) => engine.busy_under_way_ns(meter, now),
            ReplicaEngine::Ranks(ranks) => ranks.busy_under_way_ns(meter, now),
            ReplicaEngine::Sharing(sharing) => {
                let (servers, since) = sharing.at_work();
                u128::from(servers) * u128::from(meter.overlap_ns(since, now))
            }
            // Their meter counts the servers at work.
            ReplicaEngine::Servers(_) | ReplicaEngine::Batches(_) => 0,
        });
        under_way.sum()
    }

    /// Meters of a pool.
    pub fn pool_meter(&mut self, pool: usize) -> &mut PoolMeter {
        &mut self.pools[pool].meter
    }

    /// What became of sessions, where there are any.
    pub fn session_counts(&self) -> Option<SessionCounts> {
        self.source.session_counts()
    }

    /// In debug builds: the part of [`World::check_conservation`] that an event may have upset: blocks change hands
    /// where an iteration begins or ends, and where KV comes or has gone.
    #[cfg(debug_assertions)]
    pub(super) fn check_after(&self, event: &Event) -> Result<(), String> {
        match event {
            Event::Step(replica, _) => self.check_blocks(replica.0 as usize),
            Event::KvArrived(_) => self.check_conservation(),
            _ => Ok(()),
        }
    }

    /// Checks that the KV blocks held at a replica are those taken there.
    fn check_blocks(&self, index: usize) -> Result<(), String> {
        let balance = match &self.replicas[index].engine {
            ReplicaEngine::Llm(engine) => engine.block_balance(&self.requests),
            ReplicaEngine::Ranks(ranks) => ranks.block_balance(&self.requests),
            _ => return Ok(()),
        };
        match balance {
            (held, taken) if held != taken => Err(format!(
                "replica {index}: sequences hold {held} KV blocks but {taken} are taken"
            )),
            _ => Ok(()),
        }
    }

    /// Checks what must hold at any instant between events: KV blocks held are KV blocks taken,
    /// and the router counts what is outstanding. Returns the first thing that does not hold.
    pub fn check_conservation(&self) -> Result<(), String> {
        for index in 0..self.replicas.len() {
            self.check_blocks(index)?;
        }
        for (pool, plan) in self.pools.iter().zip(&self.plan.pools) {
            let count = pool.meter.faster_than_physics;
            if count > 0 {
                return Err(format!(
                    "{count} iterations of pool {} were given less time than the hardware needs",
                    plan.name
                ));
            }
        }
        let outstanding = self.gateways.total_outstanding();
        if let Some(counts) = self.session_counts()
            && !counts.balances()
        {
            return Err(format!("sessions do not add up: {counts:?}"));
        }
        if self.requests.is_empty() && outstanding != 0 {
            return Err(format!(
                "nothing is in flight but the routers count {outstanding} outstanding"
            ));
        }
        Ok(())
    }
}
