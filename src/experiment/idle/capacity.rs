//! Settings of `[capacity]` and `[cost]` that change nothing.

use super::Idle;
use crate::fleet::spot::interruption::Interruption;
use crate::scenario::capacity::{Market, NodeGroup, NodeStart, OnLoss, OnNotice};
use crate::scenario::resolve::serves;
use crate::scenario::scaling::{ScalePolicy, Signal};
use crate::scenario::schema::Scenario;

/// What `interval_s` and `scrape_delay_s` of a scaler are by default.
const DEFAULT_S: f64 = 15.0;

impl Idle {
    pub(super) fn of_capacity(&mut self, scenario: &Scenario) {
        let capacity = &scenario.capacity;
        for (index, group) in capacity.groups.iter().enumerate() {
            self.of_group(group, &format!("capacity.groups.{index}"), scenario);
        }
        for (index, scaler) in capacity.scalers.iter().enumerate() {
            let path = |field: &str| format!("capacity.scalers.{index}.{field}");
            let looks_elsewhere = match scaler.policy {
                ScalePolicy::Predictive(_) => Some("forecasts go by arrivals"),
                ScalePolicy::Scheduled(_) => Some("a schedule goes by the clock"),
                _ => None,
            };
            if let Some(why) = looks_elsewhere {
                let stated = scaler.signal != Signal::default();
                self.note(stated, &path("signal"), why);
                let stated = scaler.scrape_delay_s != DEFAULT_S;
                self.note(stated, &path("scrape_delay_s"), why);
            }
            let own_time = match scaler.policy {
                ScalePolicy::Hpa(_) => Some("the pod autoscaler decides every policy.sync_s"),
                ScalePolicy::Keda(_) => {
                    Some("KEDA looks every policy.poll_s and policy.hpa.sync_s")
                }
                ScalePolicy::Predictive(_) => Some("a forecast is made every policy.bucket_s"),
                _ => None,
            };
            if let Some(why) = own_time {
                let stated = scaler.interval_s != DEFAULT_S;
                self.note(stated, &path("interval_s"), why);
            }
        }
        for (index, limit) in capacity.limits.iter().enumerate() {
            let tier = scenario
                .tiers
                .iter()
                .find(|it| Some(&it.name) == limit.tier.as_ref());
            let asks = |group: &NodeGroup| {
                let scaled = capacity.scalers.iter().any(|it| it.covers(group));
                let mut pools = scenario.pools.iter();
                let pool = pools.find(|pool| pool.name() == group.pool);
                let of_tier = pool
                    .zip(tier)
                    .is_some_and(|(pool, tier)| serves(pool, tier));
                scaled && (limit.pool.as_ref() == Some(&group.pool) || of_tier)
            };
            self.note(
                !capacity.groups.iter().any(asks),
                &format!("capacity.limits.{index}"),
                "no scaler asks for nodes there",
            );
        }
    }

    fn of_group(&mut self, group: &NodeGroup, at: &str, scenario: &Scenario) {
        let path = |field: &str| format!("{at}.{field}");
        let capacity = &scenario.capacity;
        let taken = group.interruption != (Interruption::None {});
        let scaled = capacity.scalers.iter().any(|it| it.covers(group));
        let mut others = capacity.groups.iter();
        let lends = others.any(|it| it.on_loss.fall_back_on.as_ref() == Some(&group.name));
        let never = "its nodes are never taken back";
        let told = group.notice.notice_s > 0.0 || group.notice.rebalance.is_some();
        self.note(!taken && told, &path("notice"), never);
        let stated = group.on_notice != OnNotice::default();
        self.note(!taken && stated, &path("on_notice"), never);
        self.note(
            group.drain_s.is_some() && !(taken && told),
            &path("drain_s"),
            "no node is told before it goes",
        );
        self.note(
            taken && stated && group.notice.notice_s == 0.0,
            &path("on_notice"),
            "nothing is told before a node goes: notice_s is 0",
        );
        // Nodes are asked for in place of others, for others, and by scalers.
        let asks = taken || scaled || lends;
        let never = "no node is ever asked for";
        let stated = group.on_loss != OnLoss::default();
        self.note(!asks && stated, &path("on_loss"), never);
        let refused = group.refusal_probability > 0.0;
        self.note(!asks && refused, &path("refusal_probability"), never);
        let stated = group.start != NodeStart::default();
        self.note(!asks && stated, &path("start"), never);
    }

    pub(super) fn of_cost(&mut self, scenario: &Scenario) {
        let Some(cost) = &scenario.cost else { return };
        let groups = &scenario.capacity.groups;
        let own = |group: &NodeGroup| {
            group.usd_per_gpu_hour.is_some()
                || group.price.is_some()
                || group.price_series.is_some()
        };
        let mut spot = groups.iter().filter(|group| group.market == Market::Spot);
        self.note(
            cost.spot_usd_per_gpu_hour.is_some() && cost.spot_share == 0.0 && spot.all(own),
            "cost.spot_usd_per_gpu_hour",
            "cost.spot_share is 0, and no group of spot nodes goes by it",
        );
        let grouped = |name: &str| groups.iter().any(|group| group.pool == name);
        self.note(
            cost.spot_share > 0.0 && scenario.pools.iter().all(|pool| grouped(pool.name())),
            "cost.spot_share",
            "all pools have [[capacity.groups]], which say how they are bought",
        );
        let looked_up = groups.iter().any(|group| group.price.is_some());
        self.note(
            cost.price_book.is_some()
                && !looked_up
                && cost.energy.is_none()
                && cost.egress.is_none()
                && cost.storage.is_none(),
            "cost.price_book",
            "nothing is looked up: state price of a group, cost.energy, cost.egress or cost.storage",
        );
        let one_region = scenario.regions.len() < 2;
        self.note(
            cost.egress
                .as_ref()
                .is_some_and(|rule| !rule.to_clients && one_region),
            "cost.egress",
            "there is one region, and what goes to clients is not paid for",
        );
    }
}
