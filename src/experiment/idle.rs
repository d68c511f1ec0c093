//! Settings that change nothing in the scenario they are in.
//!
//! They are warned of, not refused: a sweep or a variant may well pass through such a corner (no
//! retries, say, where everything else says how to retry).

use crate::scenario::admission::QueueOrder;
use crate::scenario::balance::Scorers;
use crate::scenario::clients::Backoff;
use crate::scenario::faults::FaultKind;
use crate::scenario::fleet::{Pool, Router, SchedulingPolicy};
use crate::scenario::resolve::Plan;
use crate::scenario::routing::KeyOf;
use crate::scenario::schema::Scenario;
use crate::scenario::signals::Signals;
use crate::scenario::steering::{Dns, Steering};
use crate::scenario::tries::RetryOn;
use crate::scenario::workload::Arrivals;

/// What has no effect, each with the reason.
pub(super) fn settings_without_effect(plan: &Plan) -> Vec<String> {
    let scenario = &plan.scenario;
    let mut idle = Idle(Vec::new());
    idle.of_clients(scenario);
    idle.of_tiers(scenario);
    idle.of_admission(scenario);
    idle.of_routing(scenario);
    idle.of_regions(scenario);
    idle.of_faults(scenario, plan.fleet.horizon.as_secs_f64());
    idle.0
}

struct Idle(Vec<String>);

impl Idle {
    fn note(&mut self, is_idle: bool, path: &str, why: &str) {
        if is_idle {
            self.0.push(format!("{path} has no effect: {why}"));
        }
    }

    fn of_clients(&mut self, scenario: &Scenario) {
        let Some(clients) = &scenario.clients else {
            return;
        };
        let none = clients.max_retries == 0;
        let why = "clients.max_retries is 0";
        let stated = clients.backoff != Backoff::default();
        self.note(none && stated, "clients.backoff", why);
        let stated = clients.retry_on != RetryOn::ALL;
        self.note(none && stated, "clients.retry_on", why);
        let gives_up = clients.timeout_ms.is_some()
            || clients.try_timeout_ms.is_some()
            || clients.first_token_timeout_ms.is_some()
            || clients.patience.is_some()
            || clients.hedge.is_some();
        self.note(
            clients.propagate_cancel && !gives_up,
            "clients.propagate_cancel",
            "clients have no timeout, no patience and no hedges, so that none gives a try up",
        );
        let comes_after = |late: Option<f64>, early: Option<f64>| {
            late.zip(early).is_some_and(|(late, early)| late >= early)
        };
        let (whole, one) = (clients.timeout_ms, clients.try_timeout_ms);
        let first = clients.first_token_timeout_ms;
        let hedge = clients.hedge.map(|hedge| hedge.after_ms);
        for (path, late, name, early) in [
            ("clients.try_timeout_ms", one, "timeout_ms", whole),
            ("clients.first_token_timeout_ms", first, "timeout_ms", whole),
            (
                "clients.first_token_timeout_ms",
                first,
                "try_timeout_ms",
                one,
            ),
            ("clients.hedge", hedge, "timeout_ms", whole),
            ("clients.hedge", hedge, "try_timeout_ms", one),
        ] {
            let why = format!("clients.{name} comes first");
            self.note(comes_after(late, early), path, &why);
        }
    }

    fn of_tiers(&mut self, scenario: &Scenario) {
        let admission = scenario.admission.as_ref();
        let room = admission.and_then(|admission| admission.waiting_room.as_ref());
        let order = room.map(|room| room.order);
        let fair = matches!(order, Some(QueueOrder::Fair { .. }));
        let tenants = admission.is_some_and(|admission| !admission.tenants.is_empty());
        let by_engine = |pool: &Pool| match pool {
            Pool::Llm(pool) => pool.scheduling_policy == SchedulingPolicy::Priority,
            Pool::Abstract(_) => false,
        };
        let by_room = matches!(
            order,
            Some(
                QueueOrder::Priority { .. }
                    | QueueOrder::Fair {
                        by_priority: true,
                        ..
                    }
            )
        );
        let sheds = admission.is_some_and(|admission| admission.shedding.is_some());
        let ranks = by_room || sheds || scenario.pools.iter().any(by_engine);
        for (index, tier) in scenario.tiers.iter().enumerate() {
            let path = |field: &str| format!("tiers.{index}.{field}");
            self.note(
                tier.deadline_ms.is_some() && room.is_none(),
                &path("deadline_ms"),
                "there is no admission.waiting_room",
            );
            self.note(
                tier.weight != 1.0 && (!fair || tenants),
                &path("weight"),
                "weights of tiers count in a fair waiting room without tenants",
            );
            self.note(
                tier.priority != 0 && !ranks,
                &path("priority"),
                "neither the waiting room, nor shedding, nor the scheduling_policy of a pool goes \
                 by priorities",
            );
        }
    }

    fn of_admission(&mut self, scenario: &Scenario) {
        let Some(admission) = &scenario.admission else {
            return;
        };
        let order = admission.waiting_room.as_ref().map(|room| room.order);
        let fair = matches!(order, Some(QueueOrder::Fair { .. }));
        for (index, tenant) in admission.tenants.iter().enumerate() {
            self.note(
                tenant.weight != 1.0 && !fair,
                &format!("admission.tenants.{index}.weight"),
                "weights count in a waiting room with order.policy = \"fair\"",
            );
        }
        let tiers = &scenario.tiers;
        let alike = tiers
            .windows(2)
            .all(|pair| pair[0].priority == pair[1].priority);
        let why = match order {
            Some(QueueOrder::EarliestDeadline {})
                if tiers.iter().all(|tier| tier.deadline_ms.is_none()) =>
            {
                "no tier has a deadline_ms, so that all come in order of arrival"
            }
            Some(QueueOrder::Priority { .. }) if alike => {
                "all tiers have the same priority, so that all come in order of arrival"
            }
            Some(QueueOrder::Fair { .. })
                if alike && tiers.len().max(admission.tenants.len()) < 2 =>
            {
                "there is one tenant, so that all come in order of arrival"
            }
            _ => return,
        };
        self.note(true, "admission.waiting_room.order", why);
    }

    fn of_routing(&mut self, scenario: &Scenario) {
        let router = &scenario.router;
        let by_weight = match router {
            Router::LeastRequest { choices, .. } => *choices != 1,
            Router::RingHash { .. } | Router::Maglev { .. } | Router::Weighted {} => true,
            Router::RoundRobin {}
            | Router::Random {}
            | Router::LeastTokens { .. }
            | Router::Scored { .. } => false,
        };
        for (index, pool) in scenario.pools.iter().enumerate() {
            self.note(
                pool.weight() != 1 && !by_weight,
                &format!("pools.{index}.weight"),
                "router.policy does not go by weights",
            );
        }
        let workload = &scenario.workload;
        let traced = matches!(workload.arrivals, Arrivals::Trace { .. });
        let shares = workload.sessions.is_some() || workload.prefix.is_some() || traced;
        let kept = scenario.affinity.map(|affinity| affinity.key);
        let keys = [("router.hash_on", router.hash_on()), ("affinity.key", kept)];
        for (path, key) in keys {
            self.note(
                key == Some(KeyOf::Session) && workload.sessions.is_none(),
                path,
                "there are no workload.sessions, so that each request is by itself",
            );
            self.note(
                key == Some(KeyOf::Prefix) && !shares,
                path,
                "prompts have nothing in common (workload.prefix, workload.sessions or the hashes \
                 of a trace), so that each request is by itself",
            );
        }
        let unread = match router {
            Router::Scored {
                scorers: Scorers::Weighted { prefix_cache, .. },
                prefix_index,
                ..
            } => prefix_index.is_none() && *prefix_cache > 0.0,
            _ => false,
        };
        self.note(
            unread,
            "router.scorers.prefix_cache",
            "there is no router.prefix_index",
        );
        if let Signals::Reported { loss: 1.0, .. } = scenario.signals {
            self.note(true, "signals", "signals.loss is 1: no report ever comes");
        }
        if let Some(health) = &scenario.health {
            let judges = health.active.is_some() || health.outlier.is_some();
            self.note(
                health.slow_start.is_some() && !judges && health.breaker.is_none(),
                "health.slow_start",
                "no check, detection or breaker takes a replica out, so that none comes back",
            );
        }
    }

    fn of_regions(&mut self, scenario: &Scenario) {
        let Some(steering) = &scenario.steering else {
            return;
        };
        self.note(
            scenario.regions.len() < 2,
            "steering",
            "there is one region, so that there is nothing to choose",
        );
        if let Steering::Dns(dns) = steering {
            let kept = dns.ignored_ttl_s != Dns::default().ignored_ttl_s;
            self.note(
                kept && dns.ignore_ttl_share == 0.0,
                "steering.ignored_ttl_s",
                "steering.ignore_ttl_share is 0",
            );
        }
    }

    fn of_faults(&mut self, scenario: &Scenario, horizon_s: f64) {
        for (index, fault) in scenario.faults.timeline.iter().enumerate() {
            let path = format!("faults.timeline.{index}");
            if fault.at_s >= horizon_s {
                let why = format!("it begins at {} s, when arrivals are over", fault.at_s);
                self.note(true, &path, &why);
            }
            self.of_fault(&fault.fault, &path, scenario);
        }
        for (index, random) in scenario.faults.random.iter().enumerate() {
            self.of_fault(&random.fault, &format!("faults.random.{index}"), scenario);
        }
    }

    fn of_fault(&mut self, fault: &FaultKind, path: &str, scenario: &Scenario) {
        match fault {
            FaultKind::Oscillating { fault, .. } => self.of_fault(fault, path, scenario),
            FaultKind::DnsOutage {} => self.note(
                !matches!(scenario.steering, Some(Steering::Dns(_))),
                path,
                "clients find regions without names; state [steering] with via = \"dns\"",
            ),
            FaultKind::ControlPlaneLoss {} => self.note(
                scenario.health.is_none() && scenario.steering.is_none(),
                path,
                "nothing here is told by a control plane: there is neither [health] nor [steering]",
            ),
            FaultKind::BadDeploy {
                share, share_steps, ..
            } => self.note(
                *share == 0.0 && share_steps.iter().all(|(_, share)| *share == 0.0),
                path,
                "its share is 0",
            ),
            FaultKind::TrafficSpike { factor } => {
                self.note(*factor == 1.0, path, "its factor is 1");
            }
            _ => {}
        }
    }
}
