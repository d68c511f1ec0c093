//! Language-model pools: cards, memory, scheduler limits and step times.

use std::path::Path;
use std::sync::Arc;

use super::{LlmFacts, pipeline, speculative};
use crate::calibrate::tables::{self, TablesError};
use crate::fleet::llm::EngineRules;
use crate::fleet::plan::EnginePlan;
use crate::fleet::tiers::TierRule;
use crate::perf::tables::KernelTables;
use crate::perf::{
    AcceleratorCard, CapturedGraphs, Dtype, Dtypes, Floor, KernelFactors, MemoryPlan, ModelCard,
    Overheads, Overlapped, Parallelism, PerfError, ProfileSteps, PromptWork, Scaled, Staged,
    StepModel, StepTimes,
};
use crate::scenario::fleet::{KvTier, LlmPool, PromptBlocks, Scheduler, StepModelChoice};
use crate::scenario::problems::{Problems, grouped};

/// Engine overhead of an iteration when a scenario states none: an assumption, which brings the
/// roofline near the step times that published tools derive from measured kernels for dense
/// models. It stands for scheduling, input preparation and sampling, and is of the order that
/// engines with a scheduler in Python show between the kernels of successive iterations.
const ASSUMED_OVERHEADS: Overheads = Overheads {
    fixed_us: 1_500.0,
    per_seq_us: 5.0,
};

/// The same beside measured kernels, whose launches are part of their times: an assumption too.
const ASSUMED_OVERHEADS_WITH_TABLES: Overheads = Overheads {
    fixed_us: 500.0,
    per_seq_us: 5.0,
};

/// The step model a pool asks for, or the best there is; without the overhead of the engine where
/// that works beside the kernels.
fn step_model(
    pool: &LlmPool,
    model: &ModelCard,
    accelerator: &AcceleratorCard,
    dtypes: Dtypes,
    (tables, beside): (Option<&Arc<KernelTables>>, bool),
) -> Result<StepModel, PerfError> {
    let overheads = |assumed: Overheads| match beside {
        true => Overheads::default(),
        false => stated(pool, assumed),
    };
    step_model_with(pool, model, accelerator, dtypes, (tables, &overheads))
}

/// The same with the overheads that are made of those assumed.
pub(super) fn step_model_with(
    pool: &LlmPool,
    model: &ModelCard,
    accelerator: &AcceleratorCard,
    dtypes: Dtypes,
    (loaded, overheads): (Option<&Arc<KernelTables>>, &dyn Fn(Overheads) -> Overheads),
) -> Result<StepModel, PerfError> {
    let with = |assumed: Overheads| {
        let overheads = overheads(assumed);
        let spread = parallelism(pool);
        let step = StepModel::new(
            model,
            accelerator,
            &spread,
            dtypes.weight,
            dtypes.kv,
            overheads,
        )?;
        let step = step
            .with_graphs(graphs(pool))
            .with_all_reduce_skew(pool.all_reduce_skew_us);
        Ok(match pool.dp_link_gb_per_s {
            Some(rate) => step.with_rank_link(rate),
            None => step,
        })
    };
    if let Some(tables) = loaded {
        return Ok(with(ASSUMED_OVERHEADS_WITH_TABLES)?.with_kernel_tables(Arc::clone(tables)));
    }
    let tables = || with(ASSUMED_OVERHEADS_WITH_TABLES)?.with_tables(pool.kernel_backend);
    match pool.step_model {
        Some(StepModelChoice::Roofline) => with(ASSUMED_OVERHEADS),
        Some(StepModelChoice::Tables) => tables(),
        // Whoever names a framework wants its kernels.
        None if pool.kernel_backend.is_some() => tables(),
        None if accelerator.kernels.is_none() => with(ASSUMED_OVERHEADS),
        None => {
            let step = tables()?;
            if step.measures_products() {
                Ok(step)
            } else {
                with(ASSUMED_OVERHEADS)
            }
        }
    }
}

pub(super) fn resolve_llm(
    pool: &LlmPool,
    at: &str,
    base_dir: &Path,
    problems: &mut Problems<'_>,
) -> Option<(EnginePlan, LlmFacts)> {
    let mut asked = |result: Result<(), PerfError>, field: &str, value: &str| {
        if let Err(error) = &result {
            problems.push(
                &format!("{at}.{field}"),
                match field {
                    "tp" => value.to_owned(),
                    _ => format!("{value:?}"),
                },
                &error.to_string(),
                "",
            );
        }
        result.ok()
    };
    let model = ModelCard::load(&pool.model, base_dir);
    let accelerator = AcceleratorCard::load(&pool.accelerator, base_dir);
    let dtype = |name: &Option<String>, own: Option<Dtype>| match name {
        Some(name) => Dtype::parse(name).map(Some),
        None => Ok(own),
    };
    let own = model.as_ref().ok();
    let weight = dtype(&pool.weight_dtype, own.map(|model| model.weight_dtype));
    let kv = dtype(&pool.kv_dtype, own.map(|model| model.kv_dtype));
    let as_written = |name: &Option<String>| name.clone().unwrap_or_default();
    let checks = [
        asked(
            model.as_ref().map(|_| ()).map_err(Clone::clone),
            "model",
            &pool.model,
        ),
        asked(
            accelerator.as_ref().map(|_| ()).map_err(Clone::clone),
            "accelerator",
            &pool.accelerator,
        ),
        asked(
            weight.as_ref().map(|_| ()).map_err(Clone::clone),
            "weight_dtype",
            &as_written(&pool.weight_dtype),
        ),
        asked(
            kv.as_ref().map(|_| ()).map_err(Clone::clone),
            "kv_dtype",
            &as_written(&pool.kv_dtype),
        ),
    ];
    if checks.contains(&None) {
        return None;
    }
    let (model, accelerator) = (model.ok()?, accelerator.ok()?);
    let dtypes = Dtypes {
        weight: weight.ok()??,
        kv: kv.ok()??,
    };
    let tables = match loaded(pool, base_dir) {
        Ok(tables) => tables,
        Err(error) => {
            let file = pool.kernel_tables.as_deref().unwrap_or_default();
            let path = format!("{at}.kernel_tables");
            problems.push(&path, format!("{file:?}"), &error.to_string(), "");
            return None;
        }
    };
    let step = step_model(pool, &model, &accelerator, dtypes, (tables.as_ref(), false));
    let field = match &step {
        Err(PerfError::Field { field, .. }) if *field == "step_model" => "step_model",
        _ => "tp",
    };
    let written = match field {
        "tp" => pool.tp.to_string(),
        _ => "tables".to_owned(),
    };
    asked(
        step.as_ref().map(|_| ()).map_err(Clone::clone),
        field,
        &written,
    )?;
    // With the blocks pinned by a measurement only the weights must fit.
    let utilization = match pool.kv_blocks {
        Some(_) => 1.0,
        None => pool.memory_utilization,
    };
    let memory = MemoryPlan::new(
        &model,
        &accelerator,
        parallelism(pool),
        dtypes.weight,
        dtypes.kv,
        utilization,
        pool.max_num_batched_tokens,
        pool.max_num_seqs,
        pool.block_size,
    );
    asked(
        memory.as_ref().map(|_| ()).map_err(Clone::clone),
        "model",
        &pool.model,
    )?;
    let (step, memory) = (step.ok()?, memory.ok()?);
    let cards = (&model, &accelerator);
    let draft = speculative::draft(pool, base_dir, cards, (memory, tables.as_ref()));
    let (draft, memory) = match draft {
        Ok(found) => found,
        Err((reason, remedy)) => {
            let drafts = pool.speculative.as_ref();
            let name = drafts.and_then(|drafts| drafts.draft_model.as_deref());
            problems.push(
                &format!("{at}.speculative.draft_model"),
                format!("{:?}", name.unwrap_or_default()),
                &reason,
                remedy,
            );
            return None;
        }
    };
    let kv_blocks = pool.kv_blocks.unwrap_or(memory.kv_blocks);
    if kv_blocks > memory.most_kv_blocks {
        problems.push(
            &format!("{at}.kv_blocks"),
            kv_blocks,
            &format!(
                "must be at most {}, the blocks that fit beside the weights",
                grouped(memory.most_kv_blocks)
            ),
            "give the block count that the engine prints, or leave it out",
        );
        return None;
    }
    let links = pipeline::check_ranks(pool, &model, &accelerator);
    let pipeline = match links.and_then(|()| pipeline::rule(pool, &model, &accelerator)) {
        Ok(rule) => rule,
        Err((field, value, allowed, remedy)) => {
            problems.push(&format!("{at}.{field}"), value, &allowed, remedy);
            return None;
        }
    };
    for (index, tier) in tiers(pool, &model, dtypes).iter().enumerate() {
        if tier.blocks == 0 {
            problems.push(
                &format!("{at}.kv_tiers.{index}.capacity_gb"),
                pool.kv_tiers[index].capacity_gb,
                "must hold at least one KV block",
                "raise it",
            );
            return None;
        }
    }
    let kv_tokens = kv_blocks * u64::from(pool.block_size);
    let longest = u64::from(pool.max_model_len.unwrap_or(model.max_context));
    let rules = EngineRules {
        scheduler: pool.scheduler,
        policy: pool.scheduling_policy,
        preempts_running: pool.preempt_running,
        padded_budget: pool.padded_budget,
        long_prefill_token_threshold: pool.long_prefill_token_threshold,
        prompt_blocks: match pool.scheduler {
            Scheduler::VllmV1 => pool.prompt_blocks.unwrap_or_default(),
            Scheduler::VllmV0 | Scheduler::Sarathi => PromptBlocks::ReserveWhole,
        },
        prefix_caching: pool.prefix_caching,
        tiers: tiers(pool, &model, dtypes),
        async_scheduling: pool.async_scheduling,
        prompt_wait_iterations: pool.prompt_wait_iterations,
        prompt_wait_tokens: pool.prompt_wait_tokens,
        max_num_seqs: pool.max_num_seqs,
        max_num_batched_tokens: pool.max_num_batched_tokens,
        chunked_prefill: pool.chunked_prefill,
        max_model_len: longest.min(kv_tokens),
        block_size: pool.block_size,
        kv_blocks,
        watermark_blocks: (pool.watermark * kv_blocks as f64).ceil() as u64,
        speculative: speculative::rule(pool),
        pipeline,
        data_parallel: pool.dp as u16,
        step_by_step: pool.step_by_step,
    };
    let assumed = match step.uses_tables() || pool.profile.is_some() {
        true => ASSUMED_OVERHEADS_WITH_TABLES,
        false => ASSUMED_OVERHEADS,
    };
    let facts = LlmFacts {
        model,
        accelerator,
        dtypes,
        memory,
        kv_blocks,
        kv_blocks_pinned: pool.kv_blocks.is_some(),
        overheads: stated(pool, assumed),
        step,
        draft,
        kernel_tables: tables,
    };
    let kernels = kernel_times(pool, &facts, base_dir);
    asked(
        kernels.as_ref().map(|_| ()).map_err(Clone::clone),
        "profile",
        pool.profile.as_deref().unwrap_or_default(),
    )?;
    let step = kernels.ok()?;
    Some((EnginePlan::Llm { rules, step }, facts))
}

/// The kernels of the file that a pool names.
fn loaded(pool: &LlmPool, base_dir: &Path) -> Result<Option<Arc<KernelTables>>, TablesError> {
    let file = pool.kernel_tables.as_ref();
    let tables = file.map(|file| tables::load(&base_dir.join(file)).map(Arc::new));
    tables.transpose()
}

fn graphs(pool: &LlmPool) -> CapturedGraphs {
    CapturedGraphs::up_to(pool.max_graph_tokens)
}

/// How a pool spreads a replica over devices.
fn parallelism(pool: &LlmPool) -> Parallelism {
    Parallelism {
        tp: pool.tp,
        pp: pool.pp,
        dp: pool.dp,
        ep: pool.expert_parallel,
    }
}

/// The overheads that a pool states, or else those assumed.
fn stated(pool: &LlmPool, assumed: Overheads) -> Overheads {
    Overheads {
        fixed_us: pool.overhead_fixed_us.unwrap_or(assumed.fixed_us),
        per_seq_us: pool.overhead_per_seq_us.unwrap_or(assumed.per_seq_us),
    }
}

/// The tiers in blocks: of each device's share of the KV, all devices together.
fn tiers(pool: &LlmPool, model: &ModelCard, dtypes: Dtypes) -> Vec<TierRule> {
    let token = model.kv_bytes_per_token_per_device(dtypes.kv, pool.tp) * f64::from(pool.tp);
    let bytes = token * f64::from(pool.block_size);
    let rule = |tier: &KvTier| TierRule {
        blocks: (tier.capacity_gb * 1e9 / bytes) as u64,
        block_ns: bytes / tier.bandwidth_gb_per_s,
        latency_ns: tier.latency_ms * 1e6,
    };
    pool.kv_tiers.iter().map(rule).collect()
}

/// How long the iterations of a pool take.
fn kernel_times(
    pool: &LlmPool,
    facts: &LlmFacts,
    base_dir: &Path,
) -> Result<Arc<dyn StepTimes>, PerfError> {
    let (model, accelerator) = (&facts.model, &facts.accelerator);
    // With asynchronous scheduling the engine works beside the kernels and not between them.
    let beside = pool.async_scheduling;
    let factors = KernelFactors {
        prefill: pool.prefill_time_factor,
        decode: pool.decode_time_factor,
    };
    // Overheads are not scaled: they are added to scaled kernels.
    let scaled = factors != KernelFactors::default();
    let bare = beside || scaled;
    let kernels: Arc<dyn StepTimes> = match &pool.profile {
        Some(folder) => {
            let floor = Floor::new(model, accelerator, pool.tp, facts.dtypes);
            let folder = base_dir.join(folder);
            let between = if bare {
                Overheads::default()
            } else {
                facts.overheads
            };
            let steps = ProfileSteps::load(&folder, model.layers, floor, between)?;
            Arc::new(steps.with_graphs(graphs(pool)))
        }
        None => Arc::new({
            let tables = facts.kernel_tables.as_ref();
            step_model(pool, model, accelerator, facts.dtypes, (tables, bare))?
        }),
    };
    let kernels: Arc<dyn StepTimes> = match (scaled, beside) {
        (false, _) => kernels,
        (true, true) => Arc::new(Scaled::new(kernels, factors, Overheads::default())),
        (true, false) => Arc::new(Scaled::new(kernels, factors, facts.overheads)),
    };
    let kernels = speculative::drafting(pool, facts, kernels);
    let times: Arc<dyn StepTimes> = match beside {
        true => Arc::new(Overlapped::new(kernels, facts.overheads)),
        false => kernels,
    };
    let times = match pool.overhead_per_prompt_token_us {
        per_token_us if per_token_us > 0.0 => Arc::new(PromptWork::new(times, per_token_us)),
        _ => times,
    };
    Ok(match pool.pp {
        0 | 1 => times,
        stages => Arc::new(Staged::new(times, stages)),
    })
}
