//! What the hardware of a pool could do, by arithmetic.

use super::{Row, Sheet, row};
use crate::experiment::theory::{mean_tokens, offered};
use crate::fleet::plan::EnginePlan;
use crate::fleet::world::handover::ceiling;
use crate::perf::{self, NodeCeiling, PrefillChunk};
use crate::report::number::significant;
use crate::scenario::fleet::Pool;
use crate::scenario::resolve::{LlmFacts, Plan};
use crate::scenario::roles::Role;

/// What the hardware of a pool could do.
pub(super) fn hardware(plan: &Plan, name: &str, index: usize, facts: &LlmFacts) -> Sheet {
    let (prompt, output) = mean_tokens(plan).unwrap_or((512.0, 128.0));
    let (prompt, output) = (prompt.round() as u32, output.round() as u32);
    let pool = &plan.fleet.pools[index];
    let spread = Spread::of(plan, index);
    let tp = pool.accelerators_per_replica / spread.groups();
    let mut rows: Vec<Row> = perf::arithmetic(
        &facts.model,
        &facts.accelerator,
        tp,
        facts.dtypes,
        &facts.memory,
        prompt,
        output,
    )
    .into_iter()
    .map(|figure| spread.of_replica(Row::from(figure)))
    .collect();
    let bound = ceiling(&plan.fleet, index, prompt, output);
    let each = offered(plan).map(|(rate, _)| rate / f64::from(sharers(plan, pool.role)));
    if let Some(each) = each {
        let tokens =
            perf::tokens_per_request_at(&facts.model, &facts.accelerator, tp, facts.dtypes, each);
        let numbers = format!("at {} requests/s a replica", significant(Some(each)));
        let formula = "peak FLOP/s / FLOPs per token / rate";
        let tokens = tokens.map(|tokens| tokens * f64::from(spread.groups()));
        let name = "tokens of compute there are per offered request";
        rows.push(row(name, formula, numbers, tokens, "tokens"));
    }
    rows.extend(steps(facts, &pool.engine, prompt, output));
    if pool.role != Role::Mixed {
        rows.retain_mut(|row| of_role(pool.role, bound.as_ref(), row));
    }
    let beyond = matches!((each, &bound), (Some(each), Some(bound)) if each > bound.by_compute_rps);
    let mut note =
        "roofline arithmetic at peak rates: a bound, not a forecast; a simulated run adds \
                    efficiencies, overheads and queueing"
            .to_owned();
    if let Some(Pool::Llm(written)) = plan.scenario.pools.get(index)
        && let Some(drafts) = &written.speculative
    {
        note.push_str(&format!(
            "; figures are for one token a step: with drafts up to {} come of one, and the TPOT floor \
             and the KV bytes are as many times less",
            drafts.draft_tokens + 1
        ));
    }
    if matches!(plan.scenario.pools.get(index), Some(Pool::Llm(pool)) if pool.prefix_caching) {
        note.push_str(
            "; whole prompts are computed here: what prefix caching finds is not computed, so that a \
             run may do more than the most requests at peak compute, and beat the TTFT floor",
        );
    }
    if beyond {
        note.push_str("; MORE IS OFFERED than peak compute can do");
    }
    Sheet {
        title: format!(
            "Pool {name}: {} on {} x {}, for {prompt} prompt and {output} output tokens",
            facts.model.name, pool.accelerators_per_replica, facts.accelerator.name
        ),
        note: Some(note),
        rows,
    }
}

/// Replicas that share the requests which the router, or the second one, deals out: on average all
/// replicas of pools with that part get as many.
fn sharers(plan: &Plan, role: Role) -> u32 {
    let decodes = role == Role::Decode;
    let alike = plan.fleet.pools.iter();
    let alike = alike.filter(|pool| (pool.role == Role::Decode) == decodes);
    alike.map(|pool| pool.at_start).sum::<u32>().max(1)
}

/// Makes a figure that of the part of requests which a pool computes; false where there is none.
fn of_role(role: Role, bound: Option<&NodeCeiling>, row: &mut Row) -> bool {
    match row.name.as_str() {
        "most requests per second at peak compute" => {
            row.value = bound.map(|bound| bound.by_compute_rps);
            row.substituted = format!("the {} of a request only", role.name());
            true
        }
        "TTFT floor" => role == Role::Prefill,
        "TPOT floor" | "most requests per second at peak bandwidth" => role == Role::Decode,
        name => !(role == Role::Decode && name.contains("step of a prompt")),
    }
}

/// How a replica is spread over groups of `tp` devices.
struct Spread {
    stages: u32,
    ranks: u32,
}

impl Spread {
    fn of(plan: &Plan, index: usize) -> Spread {
        match plan.scenario.pools.get(index) {
            Some(Pool::Llm(pool)) => Spread {
                stages: pool.pp.max(1),
                ranks: pool.dp.max(1),
            },
            _ => Spread {
                stages: 1,
                ranks: 1,
            },
        }
    }

    fn groups(&self) -> u32 {
        self.stages * self.ranks
    }

    /// A figure of `tp` devices as one of the replica: rates are those of all groups. A request
    /// passes the stages one after the other, so that its times stay; of ranks it is at one, but the
    /// experts are on the devices of all, so that no more than their share of a time is certain.
    fn of_replica(&self, mut row: Row) -> Row {
        if row.name == "TTFT floor" && self.stages > 1 {
            // Chunks of a prompt may be in all stages at once.
            row.value = row.value.map(|value| value / f64::from(self.stages));
            row.substituted
                .push_str(&format!(", in chunks over {} stages", self.stages));
            return row;
        }
        let (factor, text) = match row.unit.as_str() {
            "requests/s" | "tokens/s" => {
                let groups = self.groups();
                (f64::from(groups), format!(" x {groups} groups of devices"))
            }
            "sequences" => {
                let ranks = self.ranks;
                (f64::from(ranks), format!(" x {ranks} ranks"))
            }
            "ms" => (
                1.0 / f64::from(self.ranks),
                format!(", over {} ranks", self.ranks),
            ),
            _ => return row,
        };
        if factor != 1.0 {
            row.value = row.value.map(|value| value * factor);
            row.substituted.push_str(&text);
        }
        row
    }
}

/// Where steps come from measured kernels: two of them, as a run takes them, beside the roofline's.
fn steps(facts: &LlmFacts, engine: &EnginePlan, prompt: u32, output: u32) -> Vec<Row> {
    let EnginePlan::Llm { step: run, .. } = engine else {
        return Vec::new();
    };
    if !facts.step.uses_tables() {
        return Vec::new();
    }
    let step = &facts.step;
    let chunk = PrefillChunk {
        tokens: prompt,
        context: 0,
    };
    let context = u64::from(prompt) + u64::from(output) / 2;
    let decodes = 32;
    let all = context * u64::from(decodes);
    let prefill = format!("step of a prompt of {prompt} tokens alone");
    let decode = format!("step of {decodes} sequences with {context} tokens of context each");
    let kernels = "sum of measured kernels and engine overhead";
    let roofline =
        "sum of max(FLOPs / rate, bytes / bandwidth) at assumed efficiencies, and overhead";
    [
        (&prefill, "kernels", kernels, run.step_ns(&[chunk], 0, 0)),
        (
            &prefill,
            "roofline",
            roofline,
            step.roofline_ns(&[chunk], 0, 0),
        ),
        (&decode, "kernels", kernels, run.step_ns(&[], decodes, all)),
        (
            &decode,
            "roofline",
            roofline,
            step.roofline_ns(&[], decodes, all),
        ),
    ]
    .into_iter()
    .map(|(name, by, formula, ns)| {
        let name = format!("{name}, by {by}");
        row(&name, formula, String::new(), Some(ns / 1e6), "ms")
    })
    .collect()
}
