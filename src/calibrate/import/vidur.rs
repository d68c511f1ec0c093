//! Profiles of Vidur: one CSV file each of products and small kernels (`mlp.csv`), of attention
//! (`attention.csv`) and of all-reduces (`all_reduce.csv`). Columns `time_stats.KERNEL.STATISTIC`
//! are milliseconds; sizes of all-reduces are bytes of 16-bit values.

use std::path::{Path, PathBuf};

use super::gather::{Gather, NO_TIME};
use super::layers::Layer;
use super::lines::{Line, Lines, text_of};
use super::{Asked, ImportError, Told};
use crate::calibrate::gpu::operation::{NumberType, Operation};
use crate::calibrate::gpu::record::Spread;

const FORMAT: &str = "a profile of Vidur";
/// The files that a folder may have.
const FILES: [&str; 3] = ["mlp", "attention", "all_reduce"];
/// What columns of times begin with.
const TIMES: &str = "time_stats.";
const STATISTICS: [&str; 5] = ["median", "min", "max", "mean", "std"];

/// Whether the first line of a file has times of Vidur.
pub fn is_one(names: &[String]) -> bool {
    names.iter().any(|name| name.trim().starts_with(TIMES))
}

/// The profiles in a folder.
///
/// # Errors
/// A file of such a name cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let names = FILES
        .iter()
        .flat_map(|name| [".csv", ".csv.gz"].map(|ending| folder.join(format!("{name}{ending}"))));
    let mut found = Vec::new();
    for path in names.filter(|path| path.is_file()) {
        if is_one(&Lines::names(&text_of(&path)?)) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Reads a profile, or those of a folder.
pub fn read(path: &Path, asked: &Asked, gather: &mut Gather) -> Result<Told, ImportError> {
    let paths = match path.is_dir() {
        true => files(path)?,
        false => vec![path.to_owned()],
    };
    let mut told = Told {
        source: "profiles of Vidur (16-bit numbers of either kind are bf16 here)".to_owned(),
        framework: Some("sarathi or vllm, as Vidur called it".to_owned()),
        device: "device not told".to_owned(),
        ..Told::default()
    };
    // Vidur measures with 16 bits unless somebody changed it.
    let dtype = asked.dtype.unwrap_or(NumberType::Bf16);
    for path in paths {
        let text = text_of(&path)?;
        let file = path.display().to_string();
        let lines = Lines::new(file, &text, FORMAT)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        told.files.push(name.into_owned());
        if lines.find("is_prefill").is_some() {
            attention(lines, gather)?;
        } else if lines.find("collective").is_some() {
            all_reduce(lines, gather)?;
        } else {
            products(lines, dtype, gather)?;
        }
    }
    Ok(told)
}

/// The places of a kernel's statistics.
struct Times([usize; 5]);

impl Times {
    fn find(lines: &Lines<'_>, kernel: &str) -> Result<Option<Self>, ImportError> {
        let name = |statistic: &str| format!("{TIMES}{kernel}.{statistic}");
        if lines.find(&name("median")).is_none() {
            return Ok(None);
        }
        let mut places = [0; 5];
        for (place, statistic) in places.iter_mut().zip(STATISTICS) {
            *place = lines.column(&name(statistic))?;
        }
        Ok(Some(Self(places)))
    }

    /// Median and spread in microseconds; none where the cell is empty.
    fn read(&self, line: &Line<'_>) -> Result<Option<(f64, Option<Spread>)>, ImportError> {
        let [median, min, max, mean, std] = self.0;
        let us = |place| Ok::<_, ImportError>(line.number(place)?.map(|ms| ms * 1e3));
        let Some(median) = us(median)? else {
            return Ok(None);
        };
        let all = (us(min)?, us(max)?, us(mean)?, us(std)?);
        let spread = match all {
            (min_us, max_us, Some(mean_us), Some(std_us)) => Some(Spread {
                min_us,
                max_us,
                mean_us,
                std_us,
            }),
            _ => None,
        };
        Ok(Some((median, spread)))
    }

    /// Adds what a line has of an operation; times that cannot be of one kernel are left out.
    fn add(
        &self,
        line: &Line<'_>,
        operation: Operation,
        (dtype, kernel): (NumberType, &str),
        gather: &mut Gather,
    ) -> Result<(), ImportError> {
        let (us, spread) = self.read(line)?.unwrap_or((f64::NAN, None));
        match spread.is_none_or(|spread| spread.holds(us)) {
            true => gather.add(operation, Some(dtype), kernel, us, spread),
            false => gather.skip(DISORDER),
        }
        Ok(())
    }
}

/// Why times are left out that are no statistics of one sample.
const DISORDER: &str = "whose median or mean is not between least and greatest time";
/// Why lines are left out whose heads have no width.
const NO_WIDTH: &str = "of a hidden size that is no multiple of the heads";

/// A layer whose heads share the hidden size evenly, which is how Vidur tells their width.
fn whole_heads(layer: Layer) -> Result<Layer, &'static str> {
    match layer.hidden.is_multiple_of(layer.heads) {
        true => Ok(layer),
        false => Err(NO_WIDTH),
    }
}

/// What a kernel of `mlp.csv` is here.
enum Is {
    Operation(fn(&Layer, u64) -> Operation),
    /// Where the feed-forward part is gated: other activations are other kernels.
    Gated(fn(&Layer, u64) -> Operation),
    Nothing(&'static str),
}

const PRODUCTS: [(&str, Is); 10] = [
    ("attn_pre_proj", Is::Operation(Layer::qkv)),
    ("attn_post_proj", Is::Operation(Layer::attention_out)),
    ("mlp_up_proj", Is::Operation(Layer::up)),
    ("mlp_down_proj", Is::Operation(Layer::down)),
    ("mlp_act", Is::Gated(Layer::activation)),
    ("attn_rope", Is::Operation(Layer::rotary)),
    ("input_layernorm", Is::Nothing(NORM)),
    ("post_attention_layernorm", Is::Nothing(NORM)),
    (
        "emb",
        Is::Nothing("of embeddings, which are no operation here"),
    ),
    (
        "add",
        Is::Nothing("of additions, which are part of norms here"),
    ),
];
const NORM: &str = "of norms without the residual, which are no operation here";
const ACTIVATION: &str = "of activations without a gate, which are no operation here";

/// Products and small kernels: one line for a number of tokens.
fn products(lines: Lines<'_>, dtype: NumberType, gather: &mut Gather) -> Result<(), ImportError> {
    let sizes = lines.columns([
        "n_head",
        "n_kv_head",
        "n_embd",
        "n_expanded_embd",
        "vocab_size",
        "num_tokens",
        "num_tensor_parallel_workers",
    ])?;
    let gate = lines.column("use_gated_mlp")?;
    let mut kernels = Vec::new();
    for (name, is) in &PRODUCTS {
        if let Some(times) = Times::find(&lines, name)? {
            kernels.push((times, is));
        }
    }
    lines.for_each(|line| {
        let mut values = [0; 7];
        for (value, place) in values.iter_mut().zip(sizes) {
            *value = line.whole(place, 1)?;
        }
        let [heads, kv_heads, hidden, ffn, vocab, tokens, tp] = values;
        let gated = truth(line, gate)?;
        let layer = Layer {
            hidden,
            heads,
            kv_heads,
            head_dim: hidden / heads,
            ffn,
            gated,
            vocab,
        };
        let layer = whole_heads(layer).and_then(|layer| layer.split(tp));
        for (times, is) in &kernels {
            let layer = match layer {
                Ok(layer) => layer,
                Err(why) => {
                    gather.skip(why);
                    continue;
                }
            };
            let make = match is {
                Is::Operation(make) => make,
                Is::Gated(make) if gated => make,
                Is::Gated(_) => {
                    gather.skip(ACTIVATION);
                    continue;
                }
                Is::Nothing(why) => {
                    gather.skip(why);
                    continue;
                }
            };
            let operation = make(&layer, tokens);
            // Quantization is of products: between them numbers have 16 bits.
            let own = match operation {
                Operation::Gemm { .. } => dtype,
                _ => NumberType::Bf16,
            };
            times.add(line, operation, (own, ""), gather)?;
        }
        Ok(())
    })
}

/// Attention: one line for a batch of prompts, or of decoding sequences.
fn attention(lines: Lines<'_>, gather: &mut Gather) -> Result<(), ImportError> {
    let sizes = lines.columns([
        "n_q_head",
        "n_kv_head",
        "n_embd",
        "num_tensor_parallel_workers",
        "batch_size",
    ])?;
    let [chunk, cached, prefill] =
        lines.columns(["prefill_chunk_size", "kv_cache_size", "is_prefill"])?;
    let backend = lines.find("attention_backend");
    let [prompt, decode] = [
        Times::find(&lines, "attn_prefill")?,
        Times::find(&lines, "attn_decode")?,
    ];
    lines.for_each(|line| {
        let mut values = [0; 5];
        for (value, place) in values.iter_mut().zip(sizes) {
            *value = line.whole(place, 1)?;
        }
        let [heads, kv_heads, hidden, tp, sequences] = values;
        let layer = Layer {
            hidden,
            heads,
            kv_heads,
            head_dim: hidden / heads,
            // Neither is told here, and neither is of attention.
            ffn: tp,
            gated: true,
            vocab: tp,
        };
        let layer = match whole_heads(layer).and_then(|layer| layer.split(tp)) {
            Ok(layer) => layer,
            Err(why) => {
                gather.skip(why);
                return Ok(());
            }
        };
        let cached = line.whole(cached, 0)?;
        let (times, operation) = match truth(line, prefill)? {
            true => {
                let tokens = line.whole(chunk, 1)?;
                if cached > 0 {
                    gather.skip("of prompt chunks after earlier context");
                    return Ok(());
                }
                (&prompt, layer.prefill(sequences, tokens))
            }
            // What is in the cache, and the new token.
            false => (&decode, layer.decode(sequences, cached + 1)),
        };
        let kernel = backend.map_or("", |place| line.text(place));
        match times {
            Some(times) => times.add(line, operation, (NumberType::Bf16, kernel), gather)?,
            None => gather.skip(NO_TIME),
        }
        Ok(())
    })
}

/// Collective operations: one line for a number of bytes.
fn all_reduce(lines: Lines<'_>, gather: &mut Gather) -> Result<(), ImportError> {
    let [workers, size, collective, per_node] =
        lines.columns(["num_workers", "size", "collective", "devices_per_node"])?;
    let times = Times::find(&lines, "all_reduce")?;
    lines.for_each(|line| {
        let devices = line.whole(workers, 1)?;
        let bytes = line.whole(size, 2)?;
        let per_node = line.whole(per_node, 1)?;
        let Some(times) = times
            .as_ref()
            .filter(|_| line.text(collective) == "all_reduce")
        else {
            gather.skip("of other collective operations");
            return Ok(());
        };
        if per_node < devices {
            gather.skip("across nodes");
            return Ok(());
        }
        if devices < 2 {
            gather.skip("over one device, which has nothing to exchange");
            return Ok(());
        }
        if bytes % 2 != 0 {
            gather.skip("of an odd number of bytes, which is no number of 16-bit values");
            return Ok(());
        }
        let operation = Operation::AllReduce {
            devices: devices as u32,
            values: bytes / 2,
        };
        times.add(line, operation, (NumberType::Bf16, ""), gather)
    })
}

fn truth(line: &Line<'_>, place: usize) -> Result<bool, ImportError> {
    match line.text(place) {
        "True" | "true" | "1" => Ok(true),
        "False" | "false" | "0" => Ok(false),
        _ => Err(line.refuse(place, "True or False")),
    }
}
