//! What fits in a device's memory: weights, activations, a reserve and, with the rest, KV blocks.

use super::accelerator::AcceleratorCard;
use super::dtype::{Dtype, Dtypes};
use super::error::{PerfError, Shortfall, check_range};
use super::model::ModelCard;
use super::parallelism::{Parallelism, check_tp};
use super::staged::stage_layers;

/// GB (1e9 bytes) of every device taken by the driver's context, collective buffers and captured
/// graphs: an assumption, as measured values run from 0.5 to 3 GB.
pub const RESERVE_GB: f64 = 1.5;

/// The split of each device's memory. 1 GB is 1e9 bytes here (the card's `memory_gb` counts 2^30).
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct MemoryPlan {
    /// Weights on each device, in GB: all weights over `tp`; with pipeline stages those of the
    /// stage with the least room, which decides how many blocks there are.
    pub weight_gb_per_device: f64,
    /// Peak activations on each device, in GB, estimated: 2 bytes x `max_num_batched_tokens` x
    /// (4 `hidden` + w / `tp`), where w is the widest layer part's values per token (query, key
    /// and value, or the feed-forward's intermediates, times `experts_per_token` in MoE layers,
    /// which also hold `experts_per_token` copies of the hidden state), + 6 bytes (16-bit logits
    /// and their 32-bit copy) x `max_num_seqs` x `vocab`.
    pub activation_gb_per_device: f64,
    /// [`RESERVE_GB`].
    pub reserve_gb: f64,
    /// What remains of `utilization` x memory for the KV cache on each device, in GB.
    pub kv_gb_per_device: f64,
    /// KV blocks of the replica (every device keeps its part of each block).
    pub kv_blocks: u64,
    /// Tokens those blocks hold. Layers with a sliding window are counted in full, which
    /// understates what engines that free tokens beyond the window can hold.
    pub kv_tokens: u64,
    /// KV blocks in all the memory that the weights leave: no engine can have more.
    pub most_kv_blocks: u64,
}

/// What a plan is asked for.
#[derive(Clone, Copy)]
struct Ask {
    tp: u32,
    pp: u32,
    dp: u32,
    weight: Dtype,
    kv: Dtype,
    available: f64,
    batched_tokens: u32,
    seqs: u32,
    block_size: u32,
}

impl Ask {
    /// Bytes per device of weights, of activations and of one KV block, in the stage that has room
    /// for the fewest blocks.
    fn bytes(&self, model: &ModelCard) -> (f64, f64, f64) {
        let block =
            f64::from(self.block_size) * model.kv_bytes_per_token_per_device(self.kv, self.tp);
        let activations = activation_bytes(model, self.tp, self.batched_tokens, self.seqs);
        if self.pp <= 1 {
            let weights = model.weight_bytes(self.weight) / f64::from(self.tp);
            // Ranks of data-parallel attention share the experts.
            let experts = model.expert_weight_bytes(self.weight) / f64::from(self.tp);
            let elsewhere = experts * (1.0 - 1.0 / f64::from(self.dp));
            return (weights - elsewhere, activations, block);
        }
        let layers = stage_layers(model.layers, self.pp);
        let last = layers.len() - 1;
        let stage = |(at, &own): (usize, &u32)| {
            let share = f64::from(own) / f64::from(model.layers);
            let weights = model.stage_weight_bytes(self.weight, share, at == 0, at == last);
            (weights / f64::from(self.tp), activations, block * share)
        };
        let blocks = |&(weights, activations, block): &(f64, f64, f64)| {
            (self.available - weights - activations - RESERVE_GB * 1e9) / block
        };
        let stages = layers.iter().enumerate().map(stage);
        stages
            .min_by(|a, b| blocks(a).total_cmp(&blocks(b)))
            .unwrap_or((0.0, activations, block))
    }

    /// Bytes a device needs for the least useful plan, of one block.
    fn needed(&self, model: &ModelCard) -> f64 {
        let (weights, activations, block) = self.bytes(model);
        weights + activations + RESERVE_GB * 1e9 + block
    }

    fn fits(&self, model: &ModelCard) -> bool {
        self.needed(model) <= self.available
    }
}

impl MemoryPlan {
    /// The plan for `model` on devices spread like that. `utilization`, above 0 and at most 1, is the share of
    /// the device's memory that the engine may take; `max_num_batched_tokens` and `max_num_seqs`
    /// bound a step; `block_size` is the tokens of a KV block; all three are 1 or more.
    ///
    /// # Errors
    /// [`PerfError::DoesNotFit`], which names the smallest `tp` that fits or a smaller number type;
    /// [`PerfError::Field`] if a value is outside its range.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        model: &ModelCard,
        accelerator: &AcceleratorCard,
        parallelism: Parallelism,
        weight_dtype: Dtype,
        kv_dtype: Dtype,
        utilization: f64,
        max_num_batched_tokens: u32,
        max_num_seqs: u32,
        block_size: u32,
    ) -> Result<Self, PerfError> {
        let Parallelism { tp, pp, dp, .. } = parallelism;
        check_tp(model, accelerator, tp)?;
        let file = format!("memory plan of {}", model.name);
        check_range(&file, "utilization", utilization, (0.0, 1.0, false))?;
        for (field, value) in [
            ("max_num_batched_tokens", max_num_batched_tokens),
            ("max_num_seqs", max_num_seqs),
            ("block_size", block_size),
        ] {
            check_range(&file, field, f64::from(value), (1.0, f64::INFINITY, true))?;
        }
        check_range(
            &file,
            "pp",
            f64::from(pp),
            (1.0, f64::from(model.layers), true),
        )?;
        let ask = Ask {
            tp,
            pp,
            dp: dp.max(1),
            weight: weight_dtype,
            kv: kv_dtype,
            available: accelerator.memory_bytes() * utilization,
            batched_tokens: max_num_batched_tokens,
            seqs: max_num_seqs,
            block_size,
        };
        let (weights, activations, block) = ask.bytes(model);
        if !ask.fits(model) {
            return Err(PerfError::DoesNotFit(Box::new(Shortfall {
                model: model.name.clone(),
                accelerator: accelerator.name.clone(),
                tp,
                weight_dtype: weight_dtype.name(),
                weight_gb: weights / 1e9,
                activation_gb: activations / 1e9,
                reserve_gb: RESERVE_GB,
                needed_gb: ask.needed(model) / 1e9,
                available_gb: ask.available / 1e9,
                remedy: remedy(model, accelerator, ask),
            })));
        }
        let room = ask.available - weights - activations - RESERVE_GB * 1e9;
        let kv_blocks = (room / block) as u64;
        Ok(Self {
            weight_gb_per_device: weights / 1e9,
            activation_gb_per_device: activations / 1e9,
            reserve_gb: RESERVE_GB,
            kv_gb_per_device: room / 1e9,
            kv_blocks,
            kv_tokens: kv_blocks * u64::from(block_size),
            most_kv_blocks: ((accelerator.memory_bytes() - weights) / block) as u64,
        })
    }
}

impl MemoryPlan {
    /// The same beside a draft model on the same `tp` devices: its weights are there too, and a KV
    /// block keeps the KV of both models. Its activations are no larger and used at other times.
    /// None if no block is left.
    #[must_use]
    pub fn beside_draft(
        &self,
        (model, kv_dtype): (&ModelCard, Dtype),
        (draft, dtypes): (&ModelCard, Dtypes),
        tp: u32,
        block_size: u32,
    ) -> Option<Self> {
        let size = f64::from(block_size);
        let own = size * model.kv_bytes_per_token_per_device(kv_dtype, tp);
        let both = own + size * draft.kv_bytes_per_token_per_device(dtypes.kv, tp);
        let weights = draft.weight_bytes(dtypes.weight) / f64::from(tp.max(1));
        let room = self.kv_gb_per_device * 1e9 - weights;
        // What the blocks of the model alone would take is all that its weights leave.
        let most = self.most_kv_blocks as f64 * own - weights;
        if room < both {
            return None;
        }
        let kv_blocks = (room / both) as u64;
        Some(Self {
            weight_gb_per_device: self.weight_gb_per_device + weights / 1e9,
            kv_gb_per_device: room / 1e9,
            kv_blocks,
            kv_tokens: kv_blocks * u64::from(block_size),
            most_kv_blocks: (most / both) as u64,
            ..self.clone()
        })
    }
}

/// Peak activations of a device in bytes: the formula of
/// [`MemoryPlan::activation_gb_per_device`].
fn activation_bytes(model: &ModelCard, tp: u32, batched_tokens: u32, seqs: u32) -> f64 {
    let [hidden, heads, kv_heads, dim] =
        [model.hidden, model.heads, model.kv_heads, model.head_dim].map(f64::from);
    let matrices = if model.gated_ffn { 3.0 } else { 1.0 };
    let attention = (heads * 2.0 + kv_heads * 2.0) * dim;
    let (ffn, copies) = if model.experts == 0 {
        (matrices * f64::from(model.ffn), 0.0)
    } else {
        let active = f64::from(model.experts_per_token);
        let routed = active * matrices * f64::from(model.ffn);
        (
            routed.max(matrices * f64::from(model.dense_ffn)),
            active * hidden,
        )
    };
    let per_token = 4.0 * hidden + copies + attention.max(ffn) / f64::from(tp);
    2.0 * f64::from(batched_tokens) * per_token + 6.0 * f64::from(seqs) * f64::from(model.vocab)
}

/// What would fit: a larger `tp`, else a smaller number type, else both.
fn remedy(model: &ModelCard, accelerator: &AcceleratorCard, ask: Ask) -> String {
    let smallest_tp = |weight: Dtype| {
        (1..=accelerator.scale_up_domain.min(model.heads))
            .filter(|tp| check_tp(model, accelerator, *tp).is_ok())
            .find(|tp| {
                Ask {
                    tp: *tp,
                    weight,
                    ..ask
                }
                .fits(model)
            })
    };
    let smaller = [Dtype::Fp8, Dtype::Fp4]
        .into_iter()
        .filter(|d| d.bytes() < ask.weight.bytes());
    let here = smaller.clone().find(|weight| {
        Ask {
            weight: *weight,
            ..ask
        }
        .fits(model)
    });
    // More stages: the fewest at the number of devices asked for.
    let stages = || {
        let most = model.layers.min(64);
        let fits = |pp: &u32| Ask { pp: *pp, ..ask }.fits(model);
        let found = (ask.pp + 1..=most).find(fits).filter(|_| ask.dp <= 1);
        found.map_or(String::new(), |pp| format!(", or pp = {pp} stages of it"))
    };
    match (smallest_tp(ask.weight), here) {
        (Some(tp), Some(d)) => {
            format!("the smallest tp that fits is {tp}, or use {d} weights at tp {}", ask.tp)
        }
        (Some(tp), None) => format!("the smallest tp that fits is {tp}"),
        (None, Some(d)) => format!(
            "no tp fits; use {d} weights at tp {}{}",
            ask.tp,
            stages()
        ),
        (None, None) => smaller
            .into_iter()
            .find_map(|d| smallest_tp(d).map(|tp| (d, tp)))
            .map_or_else(
                || format!("no tp and no smaller number type fits: use a device with more memory, or lower max_num_batched_tokens{}", stages()),
                |(d, tp)| format!("no tp fits; use {d} weights at tp {tp}{}", stages()),
            ),
    }
}
