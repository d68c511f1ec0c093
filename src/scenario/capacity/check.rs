//! Checks of `[capacity]`.

use super::{Capacity, Market, NodeGroup, OnNotice};
use crate::fleet::spot::interruption::Interruption;
use crate::scenario::fleet::Pool;
use crate::scenario::problems::Problems;
use crate::scenario::roles::Role;
use crate::scenario::schema::Scenario;
use crate::scenario::suggest::nearest;
use crate::scenario::validate::{MOST_MS, MOST_REPLICAS, MOST_S};

impl Capacity {
    /// Notes everything that is wrong with it. `at` is the path of the table, `capacity`.
    pub fn check(&self, at: &str, scenario: &Scenario, problems: &mut Problems<'_>) {
        let list = format!("{at}.groups");
        let names: Vec<&str> = self
            .groups
            .iter()
            .map(|group| group.name.as_str())
            .collect();
        problems.unique(&list, names.iter().copied());
        if self.groups.len() > 1_000 {
            let allowed = "must be 1,000 groups at most";
            problems.push(&list, self.groups.len(), allowed, "merge some");
        }
        for (index, group) in self.groups.iter().enumerate() {
            group.check(&format!("{list}.{index}"), &names, scenario, problems);
        }
        for pool in &scenario.pools {
            self.check_sum(&list, pool, problems);
        }
        self.check_circles(&list, problems);
        let pools: Vec<&str> = self.groups.iter().map(|it| it.pool.as_str()).collect();
        let tiers: Vec<&str> = scenario.tiers.iter().map(|it| it.name.as_str()).collect();
        for (index, limit) in self.limits.iter().enumerate() {
            limit.check(&format!("{at}.limits.{index}"), scenario, &tiers, problems);
        }
        for (index, scaler) in self.scalers.iter().enumerate() {
            let known = (&names[..], &pools[..]);
            scaler.check(&format!("{at}.scalers.{index}"), known, &tiers, problems);
        }
        let scaled = self.scalers.iter().enumerate();
        for (index, scaler) in scaled {
            let mut earlier = self.scalers[..index].iter();
            let mut both = self.groups.iter().filter(|group| scaler.covers(group));
            if both.any(|group| earlier.any(|other| other.covers(group))) {
                problems.push(
                    &format!("{at}.scalers.{index}"),
                    format!("{:?}", scaler.of()),
                    "has a scaler already",
                    "merge the two",
                );
            }
        }
    }

    /// No group falls back on itself by way of others.
    fn check_circles(&self, list: &str, problems: &mut Problems<'_>) {
        let next = |name: &str| {
            let mut groups = self.groups.iter();
            let group = groups.find(|group| group.name == name)?;
            group.on_loss.fall_back_on.as_deref()
        };
        for (index, group) in self.groups.iter().enumerate() {
            let mut at = next(&group.name);
            let mut way = vec![group.name.as_str()];
            while let Some(name) = at.filter(|name| !way.contains(name)) {
                way.push(name);
                at = next(name);
            }
            // Once, at the first of the circle; a group that names itself is refused by itself.
            let first = way.iter().all(|name| {
                let mut groups = self.groups.iter();
                groups
                    .position(|it| it.name == *name)
                    .is_none_or(|it| it >= index)
            });
            if at == Some(group.name.as_str()) && way.len() > 1 && first {
                way.push(&group.name);
                problems.push(
                    &format!("{list}.{index}.on_loss.fall_back_on"),
                    format!("{:?}", way[1]),
                    &format!("leads back to itself: {}", way.join(" -> ")),
                    "take one of them away",
                );
            }
        }
    }

    /// The groups of a pool make up its replicas.
    fn check_sum(&self, list: &str, pool: &Pool, problems: &mut Problems<'_>) {
        let of_pool = || {
            self.groups
                .iter()
                .enumerate()
                .filter(|(_, it)| it.pool == pool.name())
        };
        let Some((first, _)) = of_pool().next() else {
            return;
        };
        let rest = of_pool().filter(|(_, it)| it.share.is_none() && it.nodes.is_none());
        let replicas = u64::from(pool.replicas());
        let stated: u64 = of_pool()
            .filter_map(|(_, it)| it.stated_nodes(pool.replicas()))
            .map(u64::from)
            .sum();
        for (index, group) in of_pool() {
            let own = group.stated_nodes(pool.replicas()).map(u64::from);
            let own = own.unwrap_or(replicas.saturating_sub(stated));
            if group.market == Market::Reserved
                && let Some(most) = group.max_nodes.filter(|most| u64::from(*most) != own)
            {
                problems.push(
                    &format!("{list}.{index}.max_nodes"),
                    most,
                    &format!("is not the {own} nodes that are committed to"),
                    "take it away: of reserved nodes there are never more than at the start",
                );
            } else if let Some(most) = group.max_nodes.filter(|most| u64::from(*most) < own) {
                problems.push(
                    &format!("{list}.{index}.max_nodes"),
                    most,
                    &format!("must be at least the {own} nodes that it has at the start"),
                    "raise it, or lower share or nodes",
                );
            }
        }
        match rest.count() {
            0 if stated != replicas => problems.push(
                &format!("{list}.{first}"),
                "",
                &format!(
                    "and the other groups of pool {:?} have {stated} nodes at the start, and the \
                     pool {replicas} replicas",
                    pool.name()
                ),
                "leave share and nodes of one group out: it takes what the others leave",
            ),
            0 | 1 if stated > replicas => problems.push(
                &format!("{list}.{first}"),
                "",
                &format!(
                    "and the other groups of pool {:?} have {stated} nodes at the start, and the \
                     pool only {replicas} replicas",
                    pool.name()
                ),
                "lower their shares or nodes, or raise the pool's replicas",
            ),
            0 | 1 => {}
            _ => problems.push(
                &format!("{list}.{first}"),
                "",
                &format!(
                    "is not the only group of pool {:?} without share and nodes",
                    pool.name()
                ),
                "state share or nodes of all but one",
            ),
        }
    }
}

impl NodeGroup {
    /// Nodes at the start, where they are stated; of a pool of so many replicas.
    pub fn stated_nodes(&self, replicas: u32) -> Option<u32> {
        let shared = self
            .share
            .map(|share| (share * f64::from(replicas)).round() as u32);
        self.nodes.or(shared)
    }

    fn check(&self, at: &str, names: &[&str], scenario: &Scenario, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        problems.name(&path("name"), &self.name);
        let pools = || scenario.pools.iter().map(Pool::name);
        if !pools().any(|name| name == self.pool) {
            let remedy = match nearest(&self.pool, pools()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => "name one of [[pools]]".to_owned(),
            };
            let allowed = "is not the name of a pool";
            problems.push(&path("pool"), format!("{:?}", self.pool), allowed, &remedy);
        }
        if let Some(share) = self.share {
            problems.in_range(&path("share"), share, 0.0, 1.0);
        }
        if self.share.is_some() && self.nodes.is_some() {
            let remedy = "remove one of the two";
            problems.push(&path("nodes"), "", "cannot be stated beside share", remedy);
        }
        if let Some(most) = self.max_nodes {
            problems.int_in_range(&path("max_nodes"), most.into(), 0, MOST_REPLICAS);
        }
        problems.in_range(
            &path("refusal_probability"),
            self.refusal_probability,
            0.0,
            1.0,
        );
        if let Some(price) = self.usd_per_gpu_hour {
            problems.positive(&path("usd_per_gpu_hour"), price, 1e6);
        }
        let prices = [
            ("usd_per_gpu_hour", self.usd_per_gpu_hour.is_some()),
            ("price", self.price.is_some()),
            ("price_series", self.price_series.is_some()),
        ];
        let stated: Vec<&str> = prices.iter().filter(|it| it.1).map(|it| it.0).collect();
        if let [first, second, ..] = stated[..] {
            let allowed = format!("cannot be stated beside {first}");
            problems.push(&path(second), "", &allowed, "remove all but one of them");
        }
        if let Some(price) = &self.price
            && self.market != Market::Reserved
            && (price.term_years.is_some() || price.upfront.is_some())
        {
            let allowed = "has terms, which only reserved nodes have";
            let remedy = "state market = \"reserved\", or take term_years and upfront away";
            problems.push(&path("price"), "", allowed, remedy);
        }
        if self.price_series.is_some() && self.market != Market::Spot {
            let allowed = "is of spot markets: other prices stay as they are";
            let remedy = "state market = \"spot\", or usd_per_gpu_hour";
            problems.push(&path("price_series"), "", allowed, remedy);
        }
        for (field, checked) in [
            ("interruption", self.interruption.check()),
            ("notice", self.notice.check()),
        ] {
            if let Err(error) = checked {
                let at = format!("{}.{}", path(field), error.field);
                let allowed = format!("must be {}", error.allowed);
                problems.push(&at, error.value, &allowed, error.remedy);
            }
        }
        if let Some(drain_s) = self.drain_s {
            problems.in_range(&path("drain_s"), drain_s, 0.0, MOST_S);
        }
        self.start.check(&path("start"), problems);
        self.check_migration(&path("on_notice"), scenario, problems);
        self.check_loss(at, names, problems);
    }

    fn check_migration(&self, at: &str, scenario: &Scenario, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        let policy = match self.on_notice {
            OnNotice::Drain {} | OnNotice::Ignore {} => return,
            OnNotice::HandOver {} => "\"hand_over\"",
            OnNotice::Migrate {
                bandwidth_gb_per_s,
                latency_ms,
            } => {
                let bandwidth = path("bandwidth_gb_per_s");
                problems.in_range(&bandwidth, bandwidth_gb_per_s, 0.001, 1e9);
                problems.non_negative(&path("latency_ms"), latency_ms, MOST_MS);
                "\"migrate\""
            }
        };
        if scenario.pools.iter().any(|pool| pool.role() != Role::Mixed) {
            let allowed = "is not for fleets with prefill and decode pools, whose requests are under way \
                           between two nodes";
            let remedy = "state policy = \"drain\"";
            problems.push(&path("policy"), policy, allowed, remedy);
        }
    }

    fn check_loss(&self, at: &str, names: &[&str], problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.on_loss.{field}");
        problems.in_range(&path("retry_s"), self.on_loss.retry_s, 1e-3, MOST_S);
        if let Some(other) = &self.on_loss.fall_back_on {
            if *other == self.name || !names.contains(&other.as_str()) {
                let remedy = match nearest(other, names.iter().copied()) {
                    Some(near) if near != self.name => format!("did you mean {near:?}?"),
                    _ => "name another of [[capacity.groups]]".to_owned(),
                };
                let allowed = "is not the name of another group";
                let field = path("fall_back_on");
                problems.push(&field, format!("{other:?}"), allowed, &remedy);
            }
            if self.on_loss.never {
                let remedy = "remove one of the two";
                let allowed = "cannot be stated beside fall_back_on";
                problems.push(&path("never"), "true", allowed, remedy);
            }
        }
        let lost = self.interruption != (Interruption::None {});
        if self.market != Market::Spot && lost {
            problems.push(
                &format!("{at}.interruption"),
                "",
                "is of spot nodes only: others are not taken back",
                "state market = \"spot\", or [[faults.random]] for nodes that break",
            );
        }
    }
}
