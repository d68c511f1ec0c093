//! The gateway replicas: each decides by itself, on what it knows itself.

use rand::RngExt;

use crate::engine::{EventQueue, SimRng};
use crate::fleet::event::Event;
use crate::fleet::ids::ReplicaId;
use crate::fleet::plan::FleetPlan;
use crate::fleet::router::{Loads, Router, weight_of};
use crate::fleet::signals::Signals;
use crate::scenario::roles::Role;

use super::World;
use super::handover::replicas_where;

/// One gateway replica.
#[derive(Debug, Clone)]
struct Front {
    /// Over the replicas that requests enter at.
    entry: Router,
    /// Over those that go on with what others began, where there are any.
    decode: Option<Router>,
    /// What replicas have told it, where it asks them.
    signals: Option<Signals>,
}

/// All of them, and how requests are spread over them.
#[derive(Debug, Clone)]
pub(super) struct Gateways {
    fronts: Vec<Front>,
    spread: SimRng,
    /// Load at each replica, where gateways ask for it.
    present: Vec<u64>,
}

impl Gateways {
    pub fn new(plan: &FleetPlan) -> Gateways {
        let entry = replicas_where(plan, Role::is_entry);
        let decode = replicas_where(plan, |role| role == Role::Decode);
        let source = match plan.signals {
            None => Loads::Own,
            Some(rule) => Loads::Told {
                and_own: rule.count_own,
            },
        };
        // Each counts from another replica on: who see none loaded do not all choose the same.
        let router = |members: &Vec<ReplicaId>, gateway: u16, number| {
            let mut members = members.clone();
            let first = members.len() * usize::from(gateway) / usize::from(plan.gateways);
            members.rotate_left(first);
            Router::new(plan.router, source, members, plan.streams, number)
        };
        let replicas = plan.replicas() as usize;
        let fronts = (0..plan.gateways).map(|index| {
            // The first two numbers are those of a fleet with one gateway replica.
            let number = 2 * u64::from(index);
            let signals = plan
                .signals
                .map(|rule| Signals::new(rule, index, plan.gateways, replicas, plan.streams));
            Front {
                entry: router(&entry, index, number),
                decode: (!decode.is_empty()).then(|| router(&decode, index, number + 1)),
                signals,
            }
        });
        Gateways {
            fronts: fronts.collect(),
            spread: plan.streams.stream("gateway", 0, "spread"),
            present: vec![0; plan.signals.map_or(0, |_| replicas)],
        }
    }

    /// The gateway replica that a request comes to.
    pub fn pick(&mut self) -> u16 {
        match self.fronts.len() {
            1 => 0,
            all => self.spread.random_range(0..all as u32) as u16,
        }
    }

    /// The router of a gateway replica over the replicas of that role.
    pub fn router(&mut self, gateway: u16, role: Role) -> &mut Router {
        let front = &mut self.fronts[usize::from(gateway)];
        match (&mut front.decode, role) {
            (Some(decode), Role::Decode) => decode,
            _ => &mut front.entry,
        }
    }

    /// See [`Router::total_outstanding`].
    pub fn total_outstanding(&self) -> u64 {
        let routers = self
            .fronts
            .iter()
            .flat_map(|front| std::iter::once(&front.entry).chain(&front.decode));
        routers.map(Router::total_outstanding).sum()
    }
}

impl World {
    /// A request comes to a replica, or leaves it.
    #[inline]
    pub(super) fn note_present(
        &mut self,
        replica: ReplicaId,
        prompt_tokens: u32,
        comes: bool,
        queue: &mut EventQueue<Event>,
    ) {
        if self.gateways.present.is_empty() {
            return;
        }
        let weight = weight_of(&self.plan.router, prompt_tokens);
        let present = &mut self.gateways.present[replica.0 as usize];
        *present = match comes {
            true => *present + weight,
            false => *present - weight,
        };
        for front in &mut self.gateways.fronts {
            if let Some(signals) = &mut front.signals {
                signals.changed(replica, queue);
            }
        }
    }

    /// A gateway replica asks the replicas for their load.
    pub(super) fn ask_replicas(&mut self, gateway: u16, queue: &mut EventQueue<Event>) {
        let front = &mut self.gateways.fronts[usize::from(gateway)];
        let present = &self.gateways.present;
        if let Some(signals) = &mut front.signals {
            signals.ask(|replica| present[replica.0 as usize], queue);
        }
        self.reports_seen(gateway, queue);
    }

    /// Answers have come to a gateway replica.
    pub(super) fn reports_seen(&mut self, gateway: u16, queue: &EventQueue<Event>) {
        let front = &mut self.gateways.fronts[usize::from(gateway)];
        let Some(signals) = &mut front.signals else {
            return;
        };
        while let Some((replica, reading)) = signals.next_answer(queue.now()) {
            let role = self.plan.pools[self.replicas[replica.0 as usize].pool.0 as usize].role;
            match (&mut front.decode, role) {
                (Some(decode), Role::Decode) => decode.told(replica, reading.load),
                _ => front.entry.told(replica, reading.load),
            }
        }
    }
}
