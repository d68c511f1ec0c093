//! Settings that change nothing in the scenario they are in.
//!
//! They are warned of, not refused: a sweep or a variant may well pass through such a corner (no
//! retries, say, where everything else says how to retry).

mod capacity;
mod erasure;

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
    idle.of_capacity(scenario);
    idle.of_erasure(scenario, plan);
    idle.of_cost(scenario);
    idle.of_faults(scenario, plan.fleet.end.as_secs_f64());
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
        let stated = clients.retry_on != RetryOn::ALL && clients.hedge.is_none();
        self.note(none && stated, "clients.retry_on", why);
        let gives_up = clients.timeout_ms.is_some()
            || clients.try_timeout_ms.is_some()
            || clients.first_token_timeout_ms.is_some()
            || clients.patience.is_some()
            || clients.hedge.is_some()
            // Gateways tell replicas, too.
            || scenario.gateway.timeout_ms.is_some()
            || !scenario.regions.is_empty();
        self.note(
            clients.propagate_cancel && !gives_up,
            "clients.propagate_cancel",
            "clients have no timeout, no patience and no hedges, so that none gives a try up",
        );
        // Of two at once it is the one for the whole request that counts, and a hedge goes before
        // the end of its try.
        let comes_after = |late: Option<f64>, early: Option<f64>, name: &str| {
            let both = late.zip(early);
            both.is_some_and(|(late, early)| {
                late > early || (late == early && name != "clients.hedge")
            })
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
            ("clients.hedge", hedge, "try_timeout_ms", one),
        ] {
            let why = format!("clients.{name} comes first");
            self.note(comes_after(late, early, path), path, &why);
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
            Router::LeastRequest { .. }
            | Router::RingHash { .. }
            | Router::Maglev { .. }
            | Router::Weighted {} => true,
            Router::RoundRobin {}
            | Router::Random {}
            | Router::LeastTokens { .. }
            | Router::Cheapest { .. }
            | Router::Fastest {}
            | Router::Scored { .. } => false,
        };
        let pools = &scenario.pools;
        let differ = pools.iter().any(|pool| pool.weight() != pools[0].weight());
        for (index, pool) in pools.iter().enumerate() {
            let why = match by_weight {
                true => "all pools have the same weight",
                false => "router.policy does not go by weights",
            };
            self.note(
                pool.weight() != 1 && !(by_weight && differ),
                &format!("pools.{index}.weight"),
                why,
            );
        }
        let sampled = matches!(router, Router::LeastRequest { choices: 2.., .. });
        self.note(
            sampled && differ && scenario.regions.len() < 2,
            "router.choices",
            "the weights of pools differ, so that replicas take turns by weight and load",
        );
        self.of_groups(scenario);
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
            self.0.push(
                "signals.loss is 1: no report ever comes, and routers go by what was so at the \
                 beginning"
                    .to_owned(),
            );
        }
        self.of_health(scenario);
    }

    /// What pools can serve, and what tiers ask for.
    fn of_groups(&mut self, scenario: &Scenario) {
        let serves = |pool: &Pool| match pool {
            Pool::Llm(pool) => !pool.serves.is_empty(),
            Pool::Abstract(pool) => !pool.serves.is_empty(),
        };
        let asked = scenario.tiers.iter().any(|tier| tier.model.is_some());
        for (index, pool) in scenario.pools.iter().enumerate() {
            self.note(
                serves(pool) && !asked,
                &format!("pools.{index}.serves"),
                "no tier asks for a model",
            );
        }
        let stated = scenario.pools.iter().any(serves);
        for (index, tier) in scenario.tiers.iter().enumerate() {
            self.note(
                tier.model.is_some() && !stated,
                &format!("tiers.{index}.model"),
                "no pool states what it serves, so that all serve it",
            );
        }
        let lengths = scenario
            .pools
            .iter()
            .any(|pool| matches!(pool, Pool::Llm(_)));
        self.note(
            scenario.capability.is_some() && !lengths,
            "capability",
            "abstract pools take requests of any length",
        );
    }

    fn of_health(&mut self, scenario: &Scenario) {
        let Some(health) = &scenario.health else {
            return;
        };
        let judges =
            health.active.is_some() || health.outlier.is_some() || health.breaker.is_some();
        self.note(
            !judges && health.limits.is_none() && health.slow_start.is_none(),
            "health",
            "it states no check, detection, breaker or limit",
        );
        self.note(
            health.slow_start.is_some() && !judges && !drains(scenario),
            "health.slow_start",
            "no check, detection or breaker takes a replica out, so that none comes back",
        );
        let Some(outlier) = &health.outlier else {
            return;
        };
        // Detection counts all replicas that a gateway knows.
        let all: u64 = scenario
            .pools
            .iter()
            .map(|pool| u64::from(pool.replicas()))
            .sum();
        let most = all * u64::from(outlier.max_ejection_pct) / 100;
        self.note(
            most == 0 && !outlier.always_eject_one_host,
            "health.outlier",
            &format!(
                "{} % of {all} replicas is less than one, so that none is ever ejected; raise \
                 max_ejection_pct, or set always_eject_one_host",
                outlier.max_ejection_pct
            ),
        );
    }

    fn of_regions(&mut self, scenario: &Scenario) {
        let Some(steering) = &scenario.steering else {
            return;
        };
        if let Steering::Dns(dns) = steering {
            let kept = dns.ignored_ttl_s != Dns::default().ignored_ttl_s;
            self.note(
                kept && dns.ignore_ttl_share == 0.0,
                "steering.ignored_ttl_s",
                "steering.ignore_ttl_share is 0",
            );
        }
    }

    fn of_faults(&mut self, scenario: &Scenario, end_s: f64) {
        for (index, fault) in scenario.faults.timeline.iter().enumerate() {
            let path = format!("faults.timeline.{index}");
            if fault.at_s >= end_s {
                let why = format!("it begins at {} s, when the run is over", fault.at_s);
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
                scenario.regions.is_empty()
                    || matches!(scenario.steering, Some(Steering::Anycast(_))),
                path,
                "clients find regions without names; state [[regions]] and steering by DNS",
            ),
            FaultKind::ControlPlaneLoss {} => self.note(
                scenario.health.is_none()
                    && scenario.regions.is_empty()
                    && scenario.capacity.groups.is_empty()
                    && !drains(scenario),
                path,
                "nothing here is told by a control plane: there are neither [health] nor \
                 [[regions]] nor [[capacity.groups]], and nothing drains",
            ),
            FaultKind::LaunchRefusal {} => self.note(
                scenario.capacity.groups.is_empty(),
                path,
                "no node is ever asked for: state [[capacity.groups]]",
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

/// Whether replicas are told to drain.
fn drains(scenario: &Scenario) -> bool {
    let timed = scenario.faults.timeline.iter().map(|fault| &fault.fault);
    let random = scenario.faults.random.iter().map(|random| &random.fault);
    let mut kinds = timed.chain(random);
    scenario.faults.file.is_some() || kinds.any(|kind| matches!(kind, FaultKind::Drain { .. }))
}
