//! The physical floor: the least time that peak FLOP/s and peak bandwidth permit, and the most
//! requests per second.

use super::accelerator::AcceleratorCard;
use super::dtype::Dtypes;
use super::model::ModelCard;
use super::shape::table_dtype;
use super::step::{DecodePiece, PrefillChunk};

/// Upper bounds on the requests per second of one replica. Neither counts weight reads (shared
/// by a large batch) and neither holds where prompts are served from a prefix cache.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct NodeCeiling {
    /// All devices' peak FLOP/s over the FLOPs of one request.
    pub by_compute_rps: f64,
    /// All devices' peak bandwidth over the KV bytes that one request's decode steps read; absent
    /// if a request has no decode step.
    pub by_bandwidth_rps: Option<f64>,
}

impl NodeCeiling {
    /// The same of that many times the devices.
    #[must_use]
    pub fn times(&self, count: f64) -> Self {
        Self {
            by_compute_rps: self.by_compute_rps * count,
            by_bandwidth_rps: self.by_bandwidth_rps.map(|rate| rate * count),
        }
    }
}

impl NodeCeiling {
    /// The lower of the two.
    #[must_use]
    pub fn most(&self) -> f64 {
        let other = self.by_bandwidth_rps.unwrap_or(f64::INFINITY);
        self.by_compute_rps.min(other)
    }
}

/// A time of the form `base` + `slope` x context, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) base: f64,
    pub(crate) slope: f64,
}

/// Work per token and peak rates of a deployment, all devices together.
#[derive(Debug, Clone)]
pub struct Floor {
    /// Kept for the pairs of query and key of a prompt.
    model: ModelCard,
    /// FLOPs of the blocks per token.
    pub(crate) row_flops: f64,
    /// FLOPs of the LM head per row.
    pub(crate) head_flops: f64,
    /// Bytes of the weights that every step reads: one token's share of the blocks, and the head.
    pub(crate) weight_bytes: f64,
    /// FLOPs per nanosecond with weights of the blocks' number type.
    pub(crate) row_rate: f64,
    /// FLOPs per nanosecond in the LM head.
    pub(crate) head_rate: f64,
    /// FLOPs per nanosecond in attention.
    pub(crate) attention_rate: f64,
    /// Bytes per nanosecond.
    pub(crate) byte_rate: f64,
    /// Layers without and with a sliding window.
    layers: [f64; 2],
    /// FLOPs per token of context, in a layer, while decoding.
    decode_flops: f64,
    /// KV bytes per token of context in a layer, not replicated.
    kv_bytes: f64,
    /// The window in tokens, 0 if no layer has one.
    window: u64,
}

impl Floor {
    /// The floor of `model` on `tp` devices (0 is taken as 1).
    #[must_use]
    pub fn new(model: &ModelCard, accelerator: &AcceleratorCard, tp: u32, dtypes: Dtypes) -> Self {
        let devices = f64::from(tp.max(1));
        let rate = |dtype| accelerator.peak_tflops(dtype) * 1e3 * devices;
        let head_dtype = table_dtype(dtypes.weight);
        Self {
            row_flops: model.matmul_flops_per_token(),
            head_flops: model.head_flops_per_row(),
            weight_bytes: model.matmul_flops_per_token() / 2.0 * dtypes.weight.bytes()
                + model.head_params() * head_dtype.bytes(),
            row_rate: rate(dtypes.weight),
            head_rate: rate(head_dtype),
            attention_rate: rate(dtypes.kv),
            byte_rate: accelerator.bandwidth_gb_per_s * devices,
            layers: [model.layers - model.window_layers, model.window_layers].map(f64::from),
            decode_flops: model.decode_pair_flops(),
            kv_bytes: model.kv_bytes_per_layer(dtypes.kv),
            window: u64::from(model.sliding_window),
            model: model.clone(),
        }
    }

    /// Layers x tokens of context that `sequences` sequences with `context` tokens in all read.
    fn layer_tokens(&self, sequences: u32, context: u64) -> f64 {
        let windowed = context.min(self.window.saturating_mul(u64::from(sequences)));
        self.layers[0] * context as f64 + self.layers[1] * windowed as f64
    }

    /// Least nanoseconds of a step: the larger of FLOPs over peak FLOP/s and bytes over peak
    /// bandwidth, all `tp` devices together. FLOPs: blocks, causal attention, LM head for one row
    /// per chunk and sequence. Bytes: the weights, with no more experts than one token uses (the
    /// least that routing permits), and the KV of the context, not replicated.
    #[must_use]
    pub fn physical_floor_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        self.floor_of_ns(prefill.iter(), decodes, context)
    }

    /// The same for chunks from anywhere.
    pub(crate) fn floor_of_ns<'a>(
        &self,
        prefill: impl Iterator<Item = &'a PrefillChunk>,
        decodes: u32,
        context: u64,
    ) -> f64 {
        let mut heads = f64::from(decodes);
        let mut rows = f64::from(decodes);
        let mut attention = self.layer_tokens(decodes, context) * self.decode_flops;
        let mut kv = self.layer_tokens(decodes, context) * self.kv_bytes;
        for chunk in prefill {
            heads += 1.0;
            rows += f64::from(chunk.tokens);
            attention += self.model.attention_flops(chunk.tokens, chunk.context);
            kv += self.layer_tokens(1, u64::from(chunk.context)) * self.kv_bytes;
        }
        if rows == 0.0 {
            return 0.0;
        }
        let compute = rows * self.row_flops / self.row_rate
            + heads * self.head_flops / self.head_rate
            + attention / self.attention_rate;
        compute.max((self.weight_bytes + kv) / self.byte_rate)
    }

    /// The two lines whose larger one is the floor of a pure decode step as a function of the total
    /// context, from `context` on, and the last context for which they hold.
    pub(crate) fn decode_lines(&self, decodes: u32, context: u64) -> ([Line; 2], u64) {
        let rows = f64::from(decodes);
        let cap = self.window.saturating_mul(u64::from(decodes));
        let within = self.layers[1] > 0.0 && context < cap;
        let (slope, constant, until) = if within {
            (self.layers[0] + self.layers[1], 0.0, cap)
        } else {
            let constant = self.layers[1] * cap as f64;
            (self.layers[0], constant, u64::MAX)
        };
        let flops = self.decode_flops / self.attention_rate;
        let bytes = self.kv_bytes / self.byte_rate;
        let compute = Line {
            base: rows * (self.row_flops / self.row_rate + self.head_flops / self.head_rate)
                + constant * flops,
            slope: slope * flops,
        };
        let memory = Line {
            base: self.weight_bytes / self.byte_rate + constant * bytes,
            slope: slope * bytes,
        };
        ([compute, memory], until)
    }

    /// The floor of a pure decode step as a function of the total context, from `context` on.
    pub(crate) fn decode_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        let ([compute, memory], until) = self.decode_lines(decodes, context);
        let at = |line: &Line| line.base + line.slope * context as f64;
        let compute_is_top = at(&compute) > at(&memory)
            || (at(&compute) == at(&memory) && compute.slope > memory.slope);
        let (top, below) = match compute_is_top {
            true => (compute, memory),
            false => (memory, compute),
        };
        let overtaken = match below.slope > top.slope {
            // `as` saturates: what is far away is no bound.
            true => ((top.base - below.base) / (below.slope - top.slope)) as u64,
            false => u64::MAX,
        };
        DecodePiece {
            base_ns: top.base,
            per_context_ns: top.slope,
            until_context: until.min(overtaken).max(context),
        }
    }

    /// Least nanoseconds to the first token, and to the last, of one request of `prompt` tokens
    /// and `output` tokens alone on the replica: one step for the whole prompt, then `output` - 1
    /// steps of one token whose context grows from `prompt` + 1. Speculative decoding, which
    /// yields several tokens a step, is not considered. A sum of arithmetic series: O(1).
    #[must_use]
    pub fn request_floor_ns(&self, prompt: u32, output: u32) -> (f64, f64) {
        let chunk = PrefillChunk {
            tokens: prompt,
            context: 0,
        };
        let ttft = self.physical_floor_ns(&[chunk], 0, 0);
        if output <= 1 {
            return (ttft, ttft);
        }
        let first = u64::from(prompt) + 1;
        let last = u64::from(prompt) + u64::from(output) - 1;
        let (inside, outside) = self.decode_sums(first, last);
        (ttft, ttft + inside + outside)
    }

    /// The same where a step makes up to `most` (1 or more) tokens: drafts that are all accepted,
    /// made in no time. The least is ceil((`output` - 1) / `most`) steps, of which the last begins
    /// `most` tokens before the end, the one before it twice as many, and the first after the
    /// prompt. As no floor falls with the context, that of a step is at least the mean of those of
    /// the `most` contexts up to its own, and these add up to the sum of one-token steps over
    /// `most`.
    #[must_use]
    pub fn speculative_request_floor_ns(&self, prompt: u32, output: u32, most: u32) -> (f64, f64) {
        let most = u64::from(most.max(1));
        let chunk = PrefillChunk {
            tokens: prompt,
            context: 0,
        };
        let ttft = self.physical_floor_ns(&[chunk], 0, 0);
        if output <= 1 {
            return (ttft, ttft);
        }
        let first = u64::from(prompt) + 1;
        let last = (u64::from(prompt) + u64::from(output)).saturating_sub(most);
        let sum = |(inside, outside): (f64, f64)| inside + outside;
        let begin = sum(self.decode_sums(first, first));
        let later = sum(self.decode_sums(first + 1, last)) / most as f64;
        (ttft, ttft + begin + later)
    }

    /// The floors of one-token steps with contexts `first` to `last` (none if empty) summed: those
    /// within the window, and those beyond it.
    fn decode_sums(&self, first: u64, last: u64) -> (f64, f64) {
        let split = if self.layers[1] > 0.0 {
            self.window.min(last)
        } else {
            last
        };
        let inside = self.decode_sum(first, split, true);
        let outside = self.decode_sum(first.max(split.saturating_add(1)), last, false);
        (inside, outside)
    }

    /// The floors of one-token steps with contexts `first` to `last` (none if empty) summed, all
    /// of them within the window or all of them beyond it.
    fn decode_sum(&self, first: u64, last: u64, within: bool) -> f64 {
        let (slope, constant) = if within {
            (self.layers[0] + self.layers[1], 0.0)
        } else {
            (self.layers[0], self.layers[1] * self.window as f64)
        };
        let flops = self.decode_flops / self.attention_rate;
        let bytes = self.kv_bytes / self.byte_rate;
        let compute = Line {
            base: self.row_flops / self.row_rate
                + self.head_flops / self.head_rate
                + constant * flops,
            slope: slope * flops,
        };
        let memory = Line {
            base: self.weight_bytes / self.byte_rate + constant * bytes,
            slope: slope * bytes,
        };
        sum_of_max(first, last, compute, memory)
    }

    /// FLOPs of a whole request: blocks for `prompt` + `output` - 1 tokens, attention, and the LM
    /// head for `output` rows; then nanoseconds of them at peak, all devices together.
    fn request_compute_ns(&self, prompt: u32, output: u32) -> f64 {
        let steps = f64::from(output.saturating_sub(1));
        let attention = self.model.attention_flops(prompt, 0)
            + self.decoded_layer_tokens(prompt, output) * self.decode_flops;
        (f64::from(prompt) + steps) * self.row_flops / self.row_rate
            + f64::from(output.max(1)) * self.head_flops / self.head_rate
            + attention / self.attention_rate
    }

    /// Layers x tokens of context that a request's decode steps read.
    fn decoded_layer_tokens(&self, prompt: u32, output: u32) -> f64 {
        if output <= 1 {
            return 0.0;
        }
        let first = u64::from(prompt) + 1;
        self.layer_tokens_over(first, u64::from(prompt) + u64::from(output) - 1)
    }

    /// Layers x tokens of context that one-token steps with contexts `first` to `last` read.
    fn layer_tokens_over(&self, first: u64, last: u64) -> f64 {
        let capped = Line {
            base: self.window as f64,
            slope: 0.0,
        };
        let own = Line {
            base: 0.0,
            slope: 1.0,
        };
        let all = sum_line(first, last, own);
        // min(a, b) = a + b - max(a, b)
        let windowed = all + sum_line(first, last, capped) - sum_of_max(first, last, own, capped);
        self.layers[0] * all + self.layers[1] * windowed
    }

    /// Upper bounds on requests of `prompt` and `output` tokens per second of one replica.
    #[must_use]
    pub fn max_requests_per_s(&self, prompt: u32, output: u32) -> NodeCeiling {
        let kv = self.decoded_layer_tokens(prompt, output) * self.kv_bytes;
        NodeCeiling {
            by_compute_rps: 1e9 / self.request_compute_ns(prompt, output),
            by_bandwidth_rps: (kv > 0.0).then(|| 1e9 * self.byte_rate / kv),
        }
    }

    /// The same where a step makes up to `most` (1 or more) tokens of a request: the arithmetic is
    /// that of every token all the same, but the KV is read once for all tokens of a step, by the
    /// argument of [`Floor::speculative_request_floor_ns`].
    #[must_use]
    pub fn speculative_max_requests_per_s(
        &self,
        prompt: u32,
        output: u32,
        most: u32,
    ) -> NodeCeiling {
        let most = u64::from(most.max(1));
        let first = u64::from(prompt) + 1;
        let last = (u64::from(prompt) + u64::from(output)).saturating_sub(most);
        let read = match output {
            0 | 1 => 0.0,
            _ => {
                self.layer_tokens_over(first, first)
                    + self.layer_tokens_over(first + 1, last) / most as f64
            }
        };
        let kv = read * self.kv_bytes;
        NodeCeiling {
            by_compute_rps: 1e9 / self.request_compute_ns(prompt, output),
            by_bandwidth_rps: (kv > 0.0).then(|| 1e9 * self.byte_rate / kv),
        }
    }
}

/// The sum of a line over the integers `first` to `last`, 0 if there are none.
fn sum_line(first: u64, last: u64, line: Line) -> f64 {
    if last < first {
        return 0.0;
    }
    let count = (last - first) as f64 + 1.0;
    count * (line.base + line.slope * (first as f64 + last as f64) / 2.0)
}

/// The sum of the larger of two lines over the integers `first` to `last`.
fn sum_of_max(first: u64, last: u64, a: Line, b: Line) -> f64 {
    if last < first {
        return 0.0;
    }
    let (flat, steep) = if a.slope <= b.slope { (a, b) } else { (b, a) };
    let rise = steep.slope - flat.slope;
    let gap = flat.base - steep.base;
    if rise <= 0.0 {
        let line = if gap >= 0.0 { flat } else { steep };
        return sum_line(first, last, line);
    }
    // The flat line is the larger one up to the crossing.
    let crossing = (gap / rise).floor();
    if crossing < first as f64 {
        sum_line(first, last, steep)
    } else if crossing >= last as f64 {
        sum_line(first, last, flat)
    } else {
        let k = crossing as u64;
        sum_line(first, k, flat) + sum_line(k + 1, last, steep)
    }
}
