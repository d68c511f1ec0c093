//! What was answered, by which pool and for whom: costs are shared out by it.

use super::ids::{NONE, ReplicaId};
use super::outcome::Ending;
use super::plan::FleetPlan;
use super::replica::Replica;
use super::request::Request;

/// Requests answered within the measured window, and their tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests.
    pub requests: u64,
    /// Those of them that met their objective.
    pub good: u64,
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
}

impl Served {
    /// Prompt and output tokens.
    pub fn tokens(&self) -> u64 {
        self.prompt_tokens + self.output_tokens
    }

    /// Both together.
    pub fn plus(self, other: Served) -> Served {
        Served {
            requests: self.requests + other.requests,
            good: self.good + other.good,
            prompt_tokens: self.prompt_tokens + other.prompt_tokens,
            output_tokens: self.output_tokens + other.output_tokens,
        }
    }
}

/// Who answered a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answerer {
    /// The pool that made the last token.
    pub pool: u16,
    /// The pool that computed the prompt: the same, unless prompts have pools of their own.
    pub prompt_pool: u16,
    /// The region of the gateway that it came to.
    pub region: u16,
}

impl Answerer {
    /// Who answered a completed request.
    pub fn of(request: &Request, replicas: &[Replica], region: u16) -> Answerer {
        let pool = |replica: ReplicaId| replicas[replica.0 as usize].pool.0;
        let last = pool(request.replica);
        Answerer {
            pool: last,
            prompt_pool: match request.prefill_replica {
                ReplicaId(NONE) => last,
                first => pool(first),
            },
            region,
        }
    }
}

/// What every pool answered, by tier and tenant, and what of it came from other regions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServedMeter {
    tiers: usize,
    tenants: usize,
    pools: usize,
    by_tier: Vec<Served>,
    by_tenant: Vec<Served>,
    by_gateway: Vec<Served>,
}

impl ServedMeter {
    /// Nothing yet.
    pub fn new(plan: &FleetPlan) -> ServedMeter {
        let (pools, tiers, tenants) = (plan.pools.len(), plan.tiers.len(), plan.tenants());
        let regions = plan.topology.regions.len();
        ServedMeter {
            tiers,
            tenants,
            pools,
            by_tier: vec![Served::default(); pools * tiers],
            by_tenant: vec![Served::default(); pools * tenants],
            by_gateway: vec![Served::default(); pools * regions],
        }
    }

    /// A request was answered within the measured window.
    #[inline]
    pub fn answered(&mut self, who: Answerer, request: &Request, ending: &Ending, good: bool) {
        let prompt = Served {
            prompt_tokens: u64::from(request.prompt_tokens),
            ..Served::default()
        };
        let rest = Served {
            requests: 1,
            good: u64::from(good),
            output_tokens: u64::from(request.output_tokens),
            prompt_tokens: 0,
        };
        for (pool, part) in [(who.prompt_pool, prompt), (who.pool, rest)] {
            let pool = usize::from(pool);
            add(
                &mut self.by_tier,
                pool * self.tiers + usize::from(ending.tier),
                part,
            );
            if self.tenants > 0 {
                let place = pool * self.tenants + ending.tenant as usize;
                add(&mut self.by_tenant, place, part);
            }
            let place = usize::from(who.region) * self.pools + pool;
            add(&mut self.by_gateway, place, part);
        }
    }

    /// Adds what another replication counted.
    pub fn merge(&mut self, other: &ServedMeter) {
        for (mine, theirs) in [
            (&mut self.by_tier, &other.by_tier),
            (&mut self.by_tenant, &other.by_tenant),
            (&mut self.by_gateway, &other.by_gateway),
        ] {
            for (mine, theirs) in mine.iter_mut().zip(theirs) {
                *mine = mine.plus(*theirs);
            }
        }
    }

    /// What a pool answered for each tier.
    pub fn tiers_of(&self, pool: usize) -> &[Served] {
        &self.by_tier[pool * self.tiers..(pool + 1) * self.tiers]
    }

    /// What a pool answered for each tenant.
    pub fn tenants_of(&self, pool: usize) -> &[Served] {
        &self.by_tenant[pool * self.tenants..(pool + 1) * self.tenants]
    }

    /// What each pool answered of what came to the gateways of a region.
    pub fn pools_for(&self, region: usize) -> &[Served] {
        &self.by_gateway[region * self.pools..(region + 1) * self.pools]
    }

    /// What a pool answered.
    pub fn of_pool(&self, pool: usize) -> Served {
        sum(self.tiers_of(pool).iter())
    }

    /// What was answered for a tier.
    pub fn of_tier(&self, tier: usize) -> Served {
        sum(self.by_tier.iter().skip(tier).step_by(self.tiers.max(1)))
    }

    /// What was answered for a tenant.
    pub fn of_tenant(&self, tenant: usize) -> Served {
        let tenants = self.tenants.max(1);
        sum(self.by_tenant.iter().skip(tenant).step_by(tenants))
    }
}

fn add(all: &mut [Served], place: usize, part: Served) {
    if let Some(held) = all.get_mut(place) {
        *held = held.plus(part);
    }
}

fn sum<'a>(all: impl Iterator<Item = &'a Served>) -> Served {
    all.fold(Served::default(), |sum, part| sum.plus(*part))
}
