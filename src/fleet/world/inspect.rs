//! What can be seen of the fleet from outside, and what must hold in it.

use crate::engine::SimTime;
use crate::fleet::backlog::Backlog;
use crate::fleet::calls::Call;
use crate::fleet::erasure::Erasure;
#[cfg(debug_assertions)]
use crate::fleet::event::Event;
use crate::fleet::ids::ReplicaId;
use crate::fleet::meters::PoolMeter;
use crate::fleet::outcome::{Ending, RequestRow};
use crate::fleet::plan::EnginePlan;
use crate::fleet::replica::ReplicaEngine;
use crate::fleet::request::Request;
use crate::fleet::series::PoolState;
use crate::fleet::signals::SignalMeter;
use crate::fleet::timeline::Timeline;
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

    /// Requests in flight, however many tries they have under way.
    pub fn in_flight(&self) -> u64 {
        match &self.calls {
            Some(calls) => calls.slab.len() as u64,
            None => self.requests.len() as u64,
        }
    }

    /// The most requests that were in flight at once.
    pub fn most_in_flight(&self) -> u64 {
        match &self.calls {
            Some(calls) => calls.slab.most() as u64,
            None => self.requests.most() as u64,
        }
    }

    /// Requests that wait at replicas and gateways. Looks at all replicas: for what is rare.
    pub fn waiting(&self) -> u64 {
        let replicas = self.replicas.iter().map(|replica| replica.waiting());
        let gates = self.gates.iter().map(|gate| gate.waiting());
        replicas.chain(gates).map(u64::from).sum()
    }

    /// Tries in flight, those given up among them.
    pub fn tries_in_flight(&self) -> u64 {
        self.requests.len() as u64
    }

    /// How old the loads were that routers went by, where they are told of them.
    pub fn signal_meter(&self) -> Option<SignalMeter> {
        self.gateways.signal_meter()
    }

    /// The requests in flight: of each what would be known at its end, and its last try, if one is
    /// under way. Looks at all of them: for the end of a run.
    fn live(&self) -> Vec<(Ending, Option<&Request>)> {
        let Some(calls) = &self.calls else {
            let live = self.requests.live();
            return live
                .map(|request| (Ending::of(request), Some(request)))
                .collect();
        };
        let last = |call: &Call| call.live.last().map(|slot| self.requests.at(*slot));
        let live = calls.slab.live();
        live.map(|call| (call.ending(), last(call))).collect()
    }

    /// Counts the measured requests in flight at `now` against their objectives: for the end of a
    /// run.
    pub fn slo_with_in_flight(&self, now: SimTime) -> Vec<SloMeter> {
        let mut meters = self.meters.slo.clone();
        for (call, request) in self.live() {
            if self.meters.measures(call.arrival) {
                let seen = request.is_some_and(|request| request.first_token != SimTime::NEVER);
                let age_ns = now.since(call.arrival).0;
                meters[call.tier as usize].record_in_flight(age_ns, seen);
            }
        }
        meters
    }

    /// The backlogs with their requests in flight at `now` that are past their deadline: for the
    /// end of a run.
    pub fn backlogs_with_in_flight(&self, now: SimTime) -> Vec<Backlog> {
        let mut backlogs = self.meters.backlogs.clone();
        for (call, _) in self.live() {
            backlogs[usize::from(call.tier)].still_there(call.arrival, now);
        }
        backlogs
    }

    /// What happened when, with the requests in flight at `now` that are late: for the end of a
    /// run.
    pub fn timeline_with_in_flight(&self, now: SimTime) -> Timeline {
        let mut timeline = self.meters.timeline.clone();
        if !timeline.is_on() {
            return timeline;
        }
        for (call, request) in self.live() {
            let seen = request.is_some_and(|request| request.first_token != SimTime::NEVER);
            let after_ns = self.meters.slo[usize::from(call.tier)].late_after_ns(seen);
            let late = SimTime(call.arrival.0.saturating_add(after_ns));
            if late < now {
                timeline.overdue(late);
            }
        }
        timeline
    }

    /// Requests in flight that arrived within the measured window.
    pub fn measured_in_flight(&self) -> u64 {
        let live = self.live().into_iter();
        live.filter(|(call, _)| self.meters.measures(call.arrival))
            .count() as u64
    }

    /// Rows of the requests in flight, in order of arrival.
    pub fn in_flight_rows(&self) -> Vec<RequestRow> {
        let row = |(call, request): (Ending, Option<&Request>)| {
            // Between two tries nothing is known but when it came.
            let waits = Request::new(call.serial, call.arrival, 0, 0);
            let seen = request.unwrap_or(&waits);
            let mut row = RequestRow::new(seen, &call, "in_flight", &self.plan, &self.replicas);
            row.region = row.region.filter(|_| request.is_some());
            row
        };
        let mut rows: Vec<RequestRow> = self.live().into_iter().map(row).collect();
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

    /// What each pool does at `now`. Looks at all replicas: for what is rare.
    pub fn pool_states(&self, now: SimTime) -> Vec<PoolState> {
        let pools = self.plan.pools.iter().zip(&self.pools).enumerate();
        let states = pools.map(|(index, (plan, pool))| PoolState {
            busy_ns: pool.meter.busy_ns_at(now) + self.busy_under_way_ns(index, now),
            measured_ns: pool.meter.overlap_ns(SimTime::ZERO, now),
            servers: match &plan.engine {
                EnginePlan::Abstract { servers, .. } => u64::from(*servers),
                EnginePlan::Llm { .. } => 1,
            },
            ..PoolState::default()
        });
        let mut states: Vec<PoolState> = states.collect();
        let mut there = vec![0; states.len()];
        for (index, replica) in (0_u32..).zip(&self.replicas) {
            let (id, pool) = (ReplicaId(index), usize::from(replica.pool.0));
            if self.is_absent(id) {
                continue;
            }
            there[pool] += 1;
            let state = &mut states[pool];
            state.waiting += u64::from(replica.waiting());
            let faults = self.faults.as_ref();
            if faults.is_none_or(|faults| faults.answers(id)) {
                state.replicas += 1;
                if matches!(
                    replica.engine,
                    ReplicaEngine::Llm(_) | ReplicaEngine::Ranks(_)
                ) {
                    state.kv_usage += replica.signals(&self.requests, now).kv_usage;
                    state.kv_replicas += 1;
                }
            }
        }
        for (state, replicas) in states.iter_mut().zip(there) {
            state.servers *= replicas;
        }
        states
    }

    /// Notes an arrival in the series that reports draw, where they are kept.
    #[inline]
    pub(super) fn keep_series(&mut self, now: SimTime) {
        if self.meters.series.is_some() {
            self.extend_series(now, true);
        }
    }

    /// Notes what the pools did up to `now`, and perhaps an arrival.
    pub fn extend_series(&mut self, now: SimTime, arrived: bool) {
        let Some(mut series) = self.meters.series.take() else {
            return;
        };
        if series.is_new(now) || !arrived {
            series.sample(now, &self.pool_states(now));
        }
        if arrived {
            series.arrived(now, self.in_flight());
        }
        self.meters.series = Some(series);
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

    /// With nothing in flight no place, permit or part of a budget is taken.
    fn check_idle(&self) -> Result<(), String> {
        self.gateways.check_idle()?;
        let retries = self.calls.as_ref().filter(|calls| calls.slab.is_empty());
        let retries = retries.map_or(0, |calls| calls.budget.outstanding());
        if retries != 0 {
            return Err(format!(
                "nothing is in flight but {retries} retries are counted"
            ));
        }
        for gate in &self.gates {
            let (inside, waiting) = (gate.inside(), gate.waiting());
            if inside != 0 || waiting != 0 {
                return Err(format!(
                    "nothing is in flight but a gateway counts {inside} inside and {waiting} waiting"
                ));
            }
        }
        Ok(())
    }

    /// Checks that requests by tier and by population, and tries by region, are those that ended and
    /// those under way.
    fn check_parts(&self) -> Result<(), String> {
        let mut tiers = vec![0; self.meters.tiers.len()];
        for (call, _) in self.live() {
            tiers[usize::from(call.tier)] += 1;
        }
        for (tier, (counts, live)) in self.meters.tiers.iter().zip(tiers).enumerate() {
            if counts.under_way() != live {
                return Err(format!("tier {tier}: {counts:?}, but {live} are in flight"));
            }
        }
        let Some(calls) = &self.calls else {
            return Ok(());
        };
        let mut populations = vec![0; self.meters.populations.len()];
        for (call, _) in self.live() {
            populations[usize::from(call.population)] += 1;
        }
        let mut tenants = vec![0; self.meters.tenants.len()];
        for (call, _) in self.live() {
            if let Some(live) = tenants.get_mut(call.tenant as usize) {
                *live += 1;
            }
        }
        let parts = self.meters.populations.iter().zip(populations);
        for (meter, live) in parts.chain(self.meters.tenants.iter().zip(tenants)) {
            if meter.counts.under_way() != live {
                return Err(format!("{meter:?}, but {live} are in flight"));
            }
        }
        let mut regions = vec![0; self.meters.regions.len()];
        for slot in self.requests.live_slots() {
            regions[usize::from(calls.attempt(slot).region)] += 1;
        }
        for (region, (counts, live)) in self.meters.regions.iter().zip(regions).enumerate() {
            if counts.under_way() != live {
                return Err(format!(
                    "region {region}: {counts:?}, but {live} tries are under way"
                ));
            }
        }
        Ok(())
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

    /// Checks what must hold of erasures (see [`crate::fleet::erasure::Erasure::check`]), and that the requests that they count
    /// as under way are those that are. For the end of a run.
    ///
    /// # Errors
    /// The first thing that does not hold, in words.
    pub fn check_erasure(&self) -> Result<(), String> {
        let Some(erasure) = &self.erasure else {
            return Ok(());
        };
        erasure.check()?;
        let names: Vec<u64> = match &self.calls {
            Some(calls) => calls.slab.live().map(|it| it.prefix.own_name()).collect(),
            None => self
                .requests
                .live()
                .map(|it| it.prefix.own_name())
                .collect(),
        };
        let mut there = std::collections::BTreeMap::new();
        for subject in names.iter().filter_map(|name| erasure.subject_of(*name)) {
            *there.entry(subject.0).or_insert(0_u32) += 1;
        }
        let counted = erasure.under_way_by_subject();
        match counted == there {
            true => Ok(()),
            false => Err(format!(
                "erasures count requests under way of {} subjects, but there are some of {}",
                counted.len(),
                there.len()
            )),
        }
    }

    /// Erasures, where there are any.
    pub fn erasure(&self) -> Option<&Erasure> {
        self.erasure.as_deref()
    }

    /// The same, to wind them up at the end of a run.
    pub fn erasure_mut(&mut self) -> Option<&mut Erasure> {
        self.erasure.as_deref_mut()
    }

    /// Checks what must hold at any instant between events: KV blocks held are KV blocks taken,
    /// and the router counts what is outstanding. Returns the first thing that does not hold.
    pub fn check_conservation(&self) -> Result<(), String> {
        if let Some(capacity) = self.capacity_at_end() {
            capacity.check()?;
        }
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
        let tries = &self.meters.tries;
        let ended: u64 = tries.ended.iter().sum();
        let under_way = self.tries_in_flight();
        if self.calls.is_some() && tries.made != ended + under_way {
            return Err(format!(
                "{} tries were made, but {ended} ended and {under_way} are under way",
                tries.made
            ));
        }
        self.check_parts()?;
        if self.requests.is_empty() {
            self.check_idle()?;
        }
        if self.requests.is_empty() && outstanding != 0 {
            return Err(format!(
                "nothing is in flight but the routers count {outstanding} outstanding"
            ));
        }
        Ok(())
    }
}
