//! Speculative decoding: the draft model, its steps and its share of the memory.

use std::path::Path;
use std::sync::Arc;

use super::LlmFacts;
use super::llm::step_model_with;
use crate::fleet::llm::SpeculativeRule;
use crate::perf::tables::KernelTables;
use crate::perf::{
    AcceleratorCard, Drafter, Drafting, Dtype, Dtypes, Floor, MemoryPlan, ModelCard, Overheads,
    PerfError, StepModel, StepTimes,
};
use crate::scenario::fleet::LlmPool;

/// A draft model.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its card.
    pub model: ModelCard,
    /// How long its steps take, without any time between its kernels.
    pub step: StepModel,
}

/// What the engine is told of speculative decoding.
pub(super) fn rule(pool: &LlmPool) -> Option<SpeculativeRule> {
    pool.speculative.as_ref().map(|drafts| SpeculativeRule {
        draft_tokens: drafts.draft_tokens,
        acceptance: drafts.acceptance,
    })
}

/// Why a draft model cannot be: what is allowed, and a remedy.
pub(super) type Refused = (String, &'static str);

/// The pool's draft model if it has one, and the memory plan beside it.
pub(super) fn draft(
    pool: &LlmPool,
    base_dir: &Path,
    (model, accelerator): (&ModelCard, &AcceleratorCard),
    (memory, tables): (MemoryPlan, Option<&Arc<KernelTables>>),
) -> Result<(Option<Draft>, MemoryPlan), Refused> {
    let Some(name) = pool
        .speculative
        .as_ref()
        .and_then(|speculative| speculative.draft_model.as_deref())
    else {
        return Ok((None, memory));
    };
    let unfit = |error: PerfError| (error.to_string(), "");
    let card = ModelCard::load(name, base_dir).map_err(unfit)?;
    if card.vocab != model.vocab {
        return Err((
            format!(
                "must have the vocabulary of {}, {} tokens, and has {}: its drafts could not be \
                 verified",
                model.name, model.vocab, card.vocab
            ),
            "choose a draft model of the same family",
        ));
    }
    let kv = match &pool.kv_dtype {
        // It was checked with the pool's own model.
        Some(name) => Dtype::parse(name).map_err(unfit)?,
        None => card.kv_dtype,
    };
    let dtypes = Dtypes {
        weight: card.weight_dtype,
        kv,
    };
    // Its kernels follow one another without the scheduler between them.
    let none = |_| Overheads::default();
    let step = step_model_with(pool, &card, accelerator, dtypes, (tables, &none)).map_err(unfit)?;
    let own_kv = match &pool.kv_dtype {
        Some(_) => kv,
        None => model.kv_dtype,
    };
    let both = memory.beside_draft((model, own_kv), (&card, dtypes), pool.tp, pool.block_size);
    match both {
        Some(both) => Ok((Some(Draft { model: card, step }), both)),
        None => Err((
            format!(
                "must fit beside {}, which leaves {:.1} GB of each device",
                model.name, memory.kv_gb_per_device
            ),
            "raise tp, or use a smaller draft model",
        )),
    }
}

/// Iterations that draft before they verify, where the pool speculates.
pub(super) fn drafting(
    pool: &LlmPool,
    facts: &LlmFacts,
    kernels: Arc<dyn StepTimes>,
) -> Arc<dyn StepTimes> {
    let Some(speculative) = &pool.speculative else {
        return kernels;
    };
    let drafter = match &facts.draft {
        Some(draft) => Drafter::Model(Box::new(draft.step.clone())),
        None => Drafter::Fixed(speculative.draft_us_per_token.unwrap_or(0.0) * 1e3),
    };
    let floor = Floor::new(&facts.model, &facts.accelerator, pool.tp, facts.dtypes);
    Arc::new(Drafting::new(
        kernels,
        floor,
        drafter,
        speculative.draft_tokens,
    ))
}
