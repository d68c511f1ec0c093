//! The fleet as those see it who look on.

use crate::engine::SimTime;
use crate::fleet::event::Event;
use crate::fleet::ids::{NONE, ReplicaId, RequestId};
use crate::fleet::llm::FlightView;
use crate::fleet::observer::Touched;
use crate::fleet::replica::ReplicaEngine;

use super::World;

/// A pool at an instant.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PoolView {
    /// Replicas that are there and answer.
    pub up: u32,
    /// Requests that wait at its replicas.
    pub waiting: u64,
    /// Requests that run there.
    pub running: u64,
    /// Share of the KV blocks in use, on average over the replicas that answer; 0 where there are
    /// no blocks.
    pub kv_usage: f64,
}

/// A replica at an instant.
#[derive(Debug, Clone)]
pub struct ReplicaView {
    /// Its pool.
    pub pool: u16,
    /// Requests that wait there.
    pub waiting: u32,
    /// Requests that run there.
    pub running: u32,
    /// Share of the KV blocks in use.
    pub kv_usage: f64,
    /// What its engine is computing; nothing where it is an abstract one.
    pub flights: Vec<FlightView>,
}

impl World {
    /// A pool at `now`. Looks at all of its replicas: for what is rare.
    pub fn pool_view(&self, pool: u16, now: SimTime) -> PoolView {
        let mut view = PoolView::default();
        for (index, replica) in self.replicas.iter().enumerate() {
            if replica.pool.0 != pool {
                continue;
            }
            let signals = replica.signals(&self.requests, now);
            view.waiting += u64::from(replica.waiting());
            view.running += u64::from(signals.running);
            if self.is_up(ReplicaId(index as u32)) {
                view.up += 1;
                view.kv_usage += signals.kv_usage;
            }
        }
        view.kv_usage /= f64::from(view.up.max(1));
        view
    }

    /// A replica at `now`; none where there is none of that number.
    pub fn replica_view(&self, replica: ReplicaId, now: SimTime) -> Option<ReplicaView> {
        let it = self.replicas.get(replica.0 as usize)?;
        let signals = it.signals(&self.requests, now);
        Some(ReplicaView {
            pool: it.pool.0,
            waiting: it.waiting(),
            running: signals.running,
            kv_usage: signals.kv_usage,
            flights: match &it.engine {
                ReplicaEngine::Llm(engine) => engine.flights(),
                ReplicaEngine::Ranks(ranks) => ranks.flights(),
                ReplicaEngine::Servers(_)
                | ReplicaEngine::Batches(_)
                | ReplicaEngine::Sharing(_) => Vec::new(),
            },
        })
    }

    /// Replicas of all pools, those that are not there among them.
    pub fn replica_count(&self) -> u32 {
        self.replicas.len() as u32
    }

    /// Whether a replica is there and answers.
    pub fn is_up(&self, replica: ReplicaId) -> bool {
        let faults = self.faults.as_ref();
        faults.is_none_or(|faults| faults.answers(replica))
    }

    /// What an event is about, as far as can be seen now.
    pub(in crate::fleet) fn touched_by(&self, event: &Event) -> Touched {
        match event {
            Event::Step(replica, _) | Event::WindowDue(replica) | Event::ShareDone(replica) => {
                Touched::Replicas(*replica, *replica)
            }
            Event::Delivered(id)
            | Event::ServiceDone(id)
            | Event::KvArrived(id)
            | Event::Cancel(id)
            | Event::TryDue(id)
            | Event::GatewayDue(id) => self.touched_with(*id),
            Event::Fault | Event::NodeDue(_) | Event::ErasureDue => Touched::Any,
            _ => Touched::Nothing,
        }
    }

    fn touched_with(&self, id: RequestId) -> Touched {
        let slot = self.requests.live_slot(id);
        let replica = slot.map(|slot| self.requests.at(slot).replica);
        match replica.filter(|replica| replica.0 != NONE) {
            Some(replica) => Touched::Replicas(replica, replica),
            None => Touched::Nothing,
        }
    }
}
