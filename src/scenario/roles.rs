//! Roles of pools, and `[kv_transfer]`: prompts computed by some replicas, answers by others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fleet::{LlmPool, Pool};
use super::problems::Problems;
use super::resolve::LlmFacts;
use super::schema::Scenario;
use super::validate::MOST_MS;

/// Which part of a request a language-model pool computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// All of it.
    #[default]
    Mixed,
    /// The prompt and with it the first token; then its KV goes to a `decode` pool.
    Prefill,
    /// All tokens after the first. After a preemption it computes the prompt itself.
    Decode,
}

impl Role {
    /// The name used in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            Role::Mixed => "mixed",
            Role::Prefill => "prefill",
            Role::Decode => "decode",
        }
    }

    /// Whether it is the default: such a field is not written out.
    pub fn is_default(&self) -> bool {
        *self == Role::Mixed
    }

    /// Whether the gateway's router sends requests to it.
    pub fn is_entry(self) -> bool {
        self != Role::Decode
    }
}

/// Who shares one link out of the prefill pools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SharedBy {
    /// Every prefill replica has a link of its own.
    #[default]
    Replica,
    /// All replicas of a prefill pool share one.
    Pool,
    /// All prefill replicas of the fleet share one.
    Fleet,
}

/// `[kv_transfer]`: how the KV of a prompt gets from a `prefill` pool to a `decode` pool. Without
/// effect where no pool has a role.
///
/// A transfer is the KV of the whole prompt. A link sends one at a time, in the order in which
/// prompts were completed; one that waits for its link, or is on it, keeps its blocks at the
/// prefill replica. Receivers are never the bottleneck.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KvTransfer {
    /// Bandwidth of one link, GB (10^9 bytes) a second, 0.001 or more. Default 50, one port of 400 Gbit/s: an
    /// assumption.
    pub bandwidth_gb_per_s: f64,
    /// Time that each transfer takes on top, milliseconds; the link is free meanwhile. Default 0.
    pub latency_ms: f64,
    /// Who shares a link. Default `replica`.
    pub shared_by: SharedBy,
}

impl Default for KvTransfer {
    fn default() -> Self {
        KvTransfer {
            bandwidth_gb_per_s: 50.0,
            latency_ms: 0.0,
            shared_by: SharedBy::Replica,
        }
    }
}

impl KvTransfer {
    /// Whether it is the default: such a section is not written out.
    pub fn is_default(&self) -> bool {
        *self == KvTransfer::default()
    }
}

/// The language-model pools of a role, with their index.
fn of_role(scenario: &Scenario, role: Role) -> impl Iterator<Item = (usize, &LlmPool)> {
    let pools = scenario.pools.iter().enumerate();
    pools.filter_map(move |(index, pool)| match pool {
        Pool::Llm(pool) if pool.role == role => Some((index, &**pool)),
        _ => None,
    })
}

/// Checks that prompts find somebody who answers them, and `[kv_transfer]`.
pub(super) fn check_roles(scenario: &Scenario, problems: &mut Problems<'_>) {
    let transfer = &scenario.kv_transfer;
    let bandwidth = transfer.bandwidth_gb_per_s;
    problems.in_range("kv_transfer.bandwidth_gb_per_s", bandwidth, 0.001, 1e9);
    problems.non_negative("kv_transfer.latency_ms", transfer.latency_ms, MOST_MS);
    for (role, other, why) in [
        (
            Role::Prefill,
            Role::Decode,
            "needs a pool with role = \"decode\" to make the tokens after the first",
        ),
        (
            Role::Decode,
            Role::Prefill,
            "needs a pool with role = \"prefill\" to compute its prompts",
        ),
    ] {
        if of_role(scenario, other).next().is_none()
            && let Some((index, _)) = of_role(scenario, role).next()
        {
            problems.push(
                &format!("pools.{index}.role"),
                format!("{:?}", role.name()),
                why,
                "add one, or take the role away",
            );
        }
    }
}

/// Checks that all pools with a role hold the same KV: any prompt may go from any to any.
pub(super) fn check_same_kv(
    scenario: &Scenario,
    facts: &[Option<LlmFacts>],
    problems: &mut Problems<'_>,
) {
    let with_roles = of_role(scenario, Role::Prefill).chain(of_role(scenario, Role::Decode));
    let mut all = with_roles.filter_map(|(index, pool)| {
        let facts = facts.get(index)?.as_ref()?;
        Some((index, pool, facts))
    });
    let Some((_, first, expected)) = all.next() else {
        return;
    };
    for (index, pool, facts) in all {
        let mut same = |is_same: bool, field: &str, value: &str, wanted: &str| {
            if !is_same {
                problems.push(
                    &format!("pools.{index}.{field}"),
                    format!("{value:?}"),
                    &format!(
                        "must be {wanted:?} as in pool {}, since the KV of one is used by the other",
                        first.name
                    ),
                    "make them the same",
                );
            }
        };
        let (here, there) = (&facts.dtypes, &expected.dtypes);
        same(
            facts.model == expected.model,
            "model",
            &pool.model,
            &first.model,
        );
        let dtypes = [
            ("weight_dtype", here.weight, there.weight),
            ("kv_dtype", here.kv, there.kv),
        ];
        for (field, here, there) in dtypes {
            same(here == there, field, here.name(), there.name());
        }
    }
}
