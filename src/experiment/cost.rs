//! What a fleet costs: every node as billed, by pool, market, region, part, tier and tenant, and for
//! each million of what it served.

use serde_json::{Map, Value, json};

use crate::engine::SimDuration;
use crate::engine::SimTime;
use crate::fleet::served::Served;
use crate::money::bill::{
    self, Bill, BillKey, BillLine, BilledFrom, BillingRule, HourlyRate, Nanodollars, attribute,
};
use crate::scenario::capacity::Market;
use crate::scenario::resolve::Plan;

use super::energy::{egress_of, energy_of, pool_energy_kwh, storage_of};
use super::result::ratio;
use super::tally::Tally;

/// Hours of a year of 365 days.
pub(super) const HOURS_PER_YEAR: f64 = bill::HOURS_PER_YEAR as f64;

/// Time billed to the nanosecond: pools that are there all the time.
const EXACT: BillingRule = BillingRule {
    granularity: SimDuration::ZERO,
    minimum: SimDuration::ZERO,
    from: BilledFrom::Request,
};

/// What the fleet costs; empty without prices, energy and moved bytes.
pub fn cost_of(plan: &Plan, tally: &Tally) -> Value {
    let mut rows = match plan.fleet.capacity.is_some() {
        true => Map::new(),
        false => standing_cost(plan).unwrap_or_default(),
    };
    if let Some(bill) = bill_of(plan, tally) {
        rows.extend(Account::new(plan, tally, bill).rows());
    }
    if let Some(energy) = energy_of(plan, tally) {
        rows.insert("energy".to_owned(), energy);
    }
    if let Some(egress) = egress_of(plan, tally) {
        rows.insert("egress".to_owned(), egress);
    }
    if let Some(storage) = storage_of(plan) {
        rows.insert("storage".to_owned(), storage);
    }
    let year = |rows: &Map<String, Value>, part: Option<&str>| {
        let place = part.map_or(rows.get("usd_per_year"), |part| {
            rows.get(part).and_then(|part| part.get("usd_per_year"))
        });
        place.and_then(Value::as_f64)
    };
    if let Some(nodes) = year(&rows, None) {
        let more = ["energy", "egress", "storage"];
        let more = more.map(|part| year(&rows, Some(part)).unwrap_or(0.0));
        let total = nodes + more.iter().sum::<f64>();
        rows.insert("total_usd_per_year".to_owned(), json!(total));
    }
    Value::Object(rows)
}

/// The market of nodes that are spot for a share, as `cost.spot_share` has it.
const BLENDED: u32 = Market::ALL.len() as u32;

/// The cost of a fleet that is there all the time as plain arithmetic, and what mixing in spot
/// capacity saves; none without a price.
///
/// Spot capacity is taken to be always there: interruptions are not in these figures.
pub fn standing_cost(plan: &Plan) -> Option<Map<String, Value>> {
    let prices = plan.scenario.cost.as_ref()?;
    let on_demand = prices.on_demand_usd_per_gpu_hour?;
    let blended = prices.blended_usd_per_gpu_hour()?;
    let pools = &plan.fleet.pools;
    let accelerators: f64 = pools
        .iter()
        .map(|pool| f64::from(pool.at_start) * f64::from(pool.accelerators_per_replica))
        .sum();
    let per_hour = accelerators * blended;
    let rows = json!({
        "accelerators": accelerators,
        "usd_per_gpu_hour": blended,
        "usd_per_hour": per_hour,
        "usd_per_year": per_hour * HOURS_PER_YEAR,
        "all_on_demand_usd_per_year": accelerators * on_demand * HOURS_PER_YEAR,
        "saved_usd_per_year": accelerators * (on_demand - blended) * HOURS_PER_YEAR,
        "saved_pct": ratio(100.0 * (on_demand - blended), on_demand),
        "basis": "prices of [cost], assumed; spot capacity taken to be always there",
    });
    match rows {
        Value::Object(rows) => Some(rows),
        _ => None,
    }
}

/// The bill of all nodes until the horizon: those that were bought one by one, and those that are
/// there all the time, at the prices of `[cost]`. None where nothing has a price.
fn bill_of(plan: &Plan, tally: &Tally) -> Option<Bill> {
    let prices = plan.scenario.cost.as_ref();
    let blended = prices.and_then(|prices| prices.blended_usd_per_gpu_hour());
    let bought = tally.capacity.as_ref();
    let mut bill = match (bought, blended) {
        (None, None) => return None,
        (bought, _) => bought.map(|it| it.bill.clone()).unwrap_or_default(),
    };
    let groups = &plan.scenario.capacity.groups;
    let horizon = plan.fleet.horizon;
    for (index, pool) in (0_u32..).zip(&plan.fleet.pools) {
        let Some(usd) = blended.filter(|_| !groups.iter().any(|it| it.pool == pool.name)) else {
            continue;
        };
        let node = usd * f64::from(pool.accelerators_per_replica);
        let rate = HourlyRate::from_usd_per_hour(node).ok()?;
        let key = BillKey {
            pool: index,
            market: match prices.is_some_and(|prices| prices.spot_share > 0.0) {
                true => BLENDED,
                false => Market::OnDemand as u32,
            },
            region: u32::from(pool.region),
        };
        let nodes = u64::from(pool.at_start) * u64::from(tally.replications);
        for _ in 0..nodes {
            let added = bill.add_at(key, EXACT, (SimTime::ZERO, horizon), rate);
            debug_assert!(added.is_ok(), "{added:?}");
        }
    }
    Some(bill)
}

/// A bill beside what was served for it.
struct Account<'a> {
    plan: &'a Plan,
    tally: &'a Tally,
    bill: Bill,
    /// Hours that it is of, over all replications.
    hours: f64,
}

impl<'a> Account<'a> {
    fn new(plan: &'a Plan, tally: &'a Tally, bill: Bill) -> Account<'a> {
        let hours = plan.fleet.horizon.as_secs_f64() / 3_600.0 * f64::from(tally.replications);
        Account {
            plan,
            tally,
            bill,
            hours,
        }
    }

    fn rows(&self) -> Map<String, Value> {
        let total = self.bill.total();
        let pools = 0..self.plan.fleet.pools.len();
        let all = pools.map(|pool| self.tally.served_billed.of_pool(pool));
        let served = all.fold(Served::default(), Served::plus);
        let mut rows = self.units(total.cost, served);
        let bought = self.plan.fleet.capacity.is_some();
        let basis = match bought {
            true => {
                "nodes as billed from 0 to run.horizon_s; by tier and tenant by the tokens that each \
                 pool answered"
            }
            false => {
                "prices of [cost], assumed; spot capacity taken to be always there; by tier and \
                 tenant by the tokens that each pool answered"
            }
        };
        for (key, value) in [
            ("node_hours", json!(total.billed_node_hours())),
            ("nodes", json!(total.nodes)),
            ("mean_nodes", json!(total.billed_node_hours() / self.hours)),
            ("by_pool", self.by_pool()),
            ("by_market", self.by_market()),
            ("by_region", self.by_region()),
            ("by_part", self.by_part()),
            ("by_tier", self.by_tier()),
            ("basis", json!(basis)),
        ] {
            rows.insert(key.to_owned(), value);
        }
        if let Some(tenants) = self.by_tenant() {
            rows.insert("by_tenant".to_owned(), tenants);
        }
        rows
    }

    /// A cost, by the hour and year and for each million of what was served for it.
    fn units(&self, cost: Nanodollars, served: Served) -> Map<String, Value> {
        let per_hour = cost.as_usd() / self.hours;
        let per_million = |count: u64| bill::usd_per_million(cost, count);
        let rows = json!({
            "usd": cost.as_usd(),
            "usd_per_hour": per_hour,
            "usd_per_year": per_hour * HOURS_PER_YEAR,
            "usd_per_million_requests": per_million(served.requests),
            "usd_per_million_prompt_tokens": per_million(served.prompt_tokens),
            "usd_per_million_output_tokens": per_million(served.output_tokens),
            "usd_per_million_within_objective": per_million(served.good),
        });
        match rows {
            Value::Object(rows) => rows,
            _ => Map::new(),
        }
    }

    fn line(&self, line: BillLine, served: Served) -> Value {
        let mut row = self.units(line.cost, served);
        row.insert("node_hours".to_owned(), json!(line.billed_node_hours()));
        Value::Object(row)
    }

    fn by_pool(&self) -> Value {
        let lines = self.bill.by_pool();
        let rows = self
            .plan
            .fleet
            .pools
            .iter()
            .enumerate()
            .map(|(index, pool)| {
                let line = lines.get(&(index as u32)).copied().unwrap_or_default();
                let row = self.line(line, self.tally.served_billed.of_pool(index));
                (pool.name.clone(), row)
            });
        Value::Object(rows.collect())
    }

    fn by_market(&self) -> Value {
        let rows = self.bill.by_market().into_iter().map(|(index, line)| {
            let market = Market::ALL.get(index as usize);
            let name = market.map_or("mixed", |market| market.name()).to_owned();
            let row = json!({"usd": line.cost.as_usd(), "node_hours": line.billed_node_hours()});
            (name, row)
        });
        Value::Object(rows.collect())
    }

    fn by_region(&self) -> Value {
        let fleet = &self.plan.fleet;
        let rows = self.bill.by_region().into_iter().map(|(index, line)| {
            let pools = fleet.pools.iter().enumerate();
            let here = pools.filter(|(_, pool)| u32::from(pool.region) == index);
            let served = here.map(|(pool, _)| self.tally.served_billed.of_pool(pool));
            let row = self.line(line, served.fold(Served::default(), Served::plus));
            (fleet.topology.regions[index as usize].name.clone(), row)
        });
        Value::Object(rows.collect())
    }

    /// Price and performance of each kind of accelerator.
    fn by_part(&self) -> Value {
        let mut parts: Vec<(String, Vec<usize>)> = Vec::new();
        for index in 0..self.plan.fleet.pools.len() {
            let name = part_of(self.plan, index);
            match parts.iter_mut().find(|(part, _)| *part == name) {
                Some((_, pools)) => pools.push(index),
                None => parts.push((name, vec![index])),
            }
        }
        let rows = parts
            .into_iter()
            .map(|(part, pools)| self.part(&part, &pools));
        Value::Array(rows.collect())
    }

    fn part(&self, part: &str, pools: &[usize]) -> Value {
        let lines = self.bill.by_pool();
        let (mut cost, mut gpu_hours, mut gpu_s, mut kwh) =
            (Nanodollars::default(), 0.0, 0.0, None);
        let (mut busy_s, mut available_s) = (0.0, 0.0);
        let (mut served, mut measured) = (Served::default(), Served::default());
        for &index in pools {
            let pool = &self.plan.fleet.pools[index];
            let devices = f64::from(pool.accelerators_per_replica);
            let line = lines.get(&(index as u32)).copied().unwrap_or_default();
            cost = cost.checked_add(line.cost).unwrap_or(cost);
            gpu_hours += line.billed_node_hours() * devices;
            let counted = &self.tally.pools[index];
            gpu_s += counted.replica_s * devices;
            let share = ratio(counted.busy_s, counted.available_s).unwrap_or(0.0);
            busy_s += share * counted.replica_s * devices;
            available_s += counted.replica_s * devices;
            served = served.plus(self.tally.served_billed.of_pool(index));
            measured = measured.plus(self.tally.served.of_pool(index));
            if let Some(more) = pool_energy_kwh(self.plan, self.tally, index) {
                kwh = Some(kwh.unwrap_or(0.0) + more);
            }
        }
        let mut row = self.units(cost, served);
        let names = pools
            .iter()
            .map(|&index| &self.plan.fleet.pools[index].name);
        let per_s = |count: u64| ratio(count as f64, self.tally.measured_s);
        let extra = json!({
            "name": part,
            "pools": names.collect::<Vec<&String>>(),
            "mean_accelerators": ratio(gpu_s, self.tally.measured_s),
            "usd_per_gpu_hour": ratio(cost.as_usd(), gpu_hours),
            "utilization": ratio(busy_s, available_s),
            "requests_per_s": per_s(measured.requests),
            "output_tokens_per_s": per_s(measured.output_tokens),
            "output_tokens_per_s_per_gpu": ratio(measured.output_tokens as f64, gpu_s),
            "within_objective": ratio(measured.good as f64, measured.requests as f64),
            "kwh_per_million_output_tokens": kwh
                .and_then(|kwh: f64| ratio(kwh * 1e6, measured.output_tokens as f64)),
        });
        if let Value::Object(extra) = extra {
            row.extend(extra);
        }
        Value::Object(row)
    }

    /// What each tier's share of every pool's cost comes to: by the tokens that the pool answered.
    fn by_tier(&self) -> Value {
        let tiers = &self.plan.fleet.tiers;
        let weights = |pool: usize| self.tally.served_billed.tiers_of(pool).to_vec();
        let served = |tier: usize| self.tally.served_billed.of_tier(tier);
        let names: Vec<&str> = tiers.iter().map(|tier| tier.name.as_str()).collect();
        self.split(&names, &weights, &served)
    }

    fn by_tenant(&self) -> Option<Value> {
        let admission = self.plan.scenario.admission.as_ref()?;
        let names: Vec<&str> = admission
            .tenants
            .iter()
            .map(|tenant| tenant.name.as_str())
            .collect();
        if names.is_empty() {
            return None;
        }
        let weights = |pool: usize| self.tally.served_billed.tenants_of(pool).to_vec();
        let served = |tenant: usize| self.tally.served_billed.of_tenant(tenant);
        Some(self.split(&names, &weights, &served))
    }

    /// Shares out the cost of every pool by the tokens that it answered for each; the cost of one
    /// that answered nothing by those of all pools. To the nano-dollar.
    fn split(
        &self,
        names: &[&str],
        weights_of: &dyn Fn(usize) -> Vec<Served>,
        served: &dyn Fn(usize) -> Served,
    ) -> Value {
        let tokens = |all: &[Served]| -> Vec<u128> {
            all.iter().map(|it| u128::from(it.tokens())).collect()
        };
        let overall: Vec<Served> = (0..names.len()).map(served).collect();
        let mut shares = vec![Nanodollars::default(); names.len()];
        for (pool, line) in self.bill.by_pool() {
            let own = attribute(line.cost, &tokens(&weights_of(pool as usize)));
            let Ok(parts) = own.or_else(|_| attribute(line.cost, &tokens(&overall))) else {
                // Nothing was answered, so that nobody is to pay for it.
                return Value::Null;
            };
            for (share, part) in shares.iter_mut().zip(parts) {
                *share = share.checked_add(part).unwrap_or(*share);
            }
        }
        let rows = names.iter().zip(shares).zip(overall);
        let rows = rows.map(|((name, share), served)| {
            ((*name).to_owned(), Value::Object(self.units(share, served)))
        });
        Value::Object(rows.collect())
    }
}

/// The kind of accelerator of a pool.
pub(super) fn part_of(plan: &Plan, pool: usize) -> String {
    let facts = plan.llm.get(pool).and_then(Option::as_ref);
    let written = &plan.scenario.pools[pool];
    match (facts, written.accelerator()) {
        (Some(facts), _) => facts.accelerator.name.clone(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "not stated".to_owned(),
    }
}
