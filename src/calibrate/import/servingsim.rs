//! Profiles of LLMServingSim 2: `dense.csv` (kernels by tokens), `per_sequence.csv` (by sequences)
//! and `attention.csv` (mixed batches) in a folder `tpN`, `meta.yaml` above. Times are microseconds;
//! what shapes the kernels have follows from the model card.

use std::path::{Path, PathBuf};

use super::gather::Gather;
use super::layers::Layer;
use super::lines::{Lines, text_of};
use super::{Asked, ImportError, Told};
use crate::calibrate::gpu::operation::{NumberType, Operation};
use crate::perf::ModelCard;

const FORMAT: &str = "a profile of LLMServingSim";
/// The major version of the profiler whose files are known.
const PROFILER: &str = "1";

/// The folders with a profile at or below a folder, with the devices that their names tell.
pub fn folders(path: &Path) -> Vec<(Option<u32>, PathBuf)> {
    let is_profile = |folder: &Path| {
        ["dense.csv", "dense.csv.gz"]
            .iter()
            .any(|name| folder.join(name).is_file())
    };
    let told = |folder: &Path| {
        let name = folder.file_name()?.to_str()?;
        name.strip_prefix("tp")?.parse().ok()
    };
    if is_profile(path) {
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        return vec![(told(&whole), path.to_owned())];
    }
    let Ok(entries) = std::fs::read_dir(path) else {
        return Vec::new();
    };
    let entries = entries.flatten().map(|entry| entry.path());
    let mut found: Vec<_> = entries
        .filter(|folder| is_profile(folder))
        .map(|folder| (told(&folder), folder))
        .collect();
    found.sort();
    found
}

/// Reads the profile of a folder, or those of the folders `tpN` in it.
pub fn read(path: &Path, asked: &Asked, gather: &mut Gather) -> Result<Told, ImportError> {
    let mut found = folders(path);
    if let Some(tp) = asked.tp {
        if found.len() > 1 {
            found.retain(|(told, _)| *told == Some(tp));
        }
        for (told, _) in &mut found {
            *told = Some(tp);
        }
    }
    if found.is_empty() {
        return Err(ImportError::File {
            file: path.display().to_string(),
            cause: "has no profile (dense.csv, per_sequence.csv, attention.csv)".to_owned(),
            remedy: "give the folder that has the folders tp1, tp2 and so on",
        });
    }
    let meta = Meta::near(path)?;
    let card = card(asked, &meta)?;
    let dtype = number_type(asked, &meta)?;
    let version = |name: &str| meta.get(name).unwrap_or("not told").to_owned();
    let mut told = Told {
        source: source(&meta)?,
        device: version("gpu"),
        driver_cuda: meta.get("cuda_version").unwrap_or_default().to_owned(),
        framework: Some(format!("vllm {}", version("vllm_version"))),
        models: vec![card.name.clone()],
        ..Told::default()
    };
    for (tp, folder) in &found {
        let Some(tp) = *tp else {
            return Err(ImportError::Asked {
                option: "tp",
                value: None,
                why: format!("the folder {} does not tell it", folder.display()),
                remedy: "give the devices that layers were split over, --tp 1 say".to_owned(),
            });
        };
        let layer = Layer::of(&card, tp).map_err(|why| ImportError::Asked {
            option: "tp",
            value: Some(tp.to_string()),
            why: format!("{} would be {why}", card.name),
            remedy: "give the devices that its layers were split over".to_owned(),
        })?;
        told.tp.push(tp);
        for name in ["dense", "per_sequence", "attention", "moe"] {
            let Some(path) = file(folder, name) else {
                continue;
            };
            let text = text_of(&path)?;
            told.files.push(format!(
                "tp{tp}/{}",
                path.file_name().unwrap_or_default().to_string_lossy()
            ));
            let lines = Lines::new(path.display().to_string(), &text, FORMAT)?;
            match name {
                "dense" => by_count(lines, "tokens", &layer, dtype, gather)?,
                "per_sequence" => by_count(lines, "sequences", &layer, dtype, gather)?,
                "attention" => attention(lines, &layer, gather)?,
                _ => lines.for_each(|_| {
                    gather.skip("of experts by how many are busy, which are no operation here");
                    Ok(())
                })?,
            }
        }
    }
    Ok(told)
}

/// The profile with the version of what wrote it, which must be one whose columns are known.
fn source(meta: &Meta) -> Result<String, ImportError> {
    let version = meta.get("profiler_version").unwrap_or("not told");
    let major = version.split('.').next();
    match (&meta.file, meta.get("profiler_version").is_some()) {
        (Some(file), true) if major != Some(PROFILER) => Err(ImportError::Field {
            file: file.clone(),
            field: "profiler_version".to_owned(),
            value: version.to_owned(),
            allowed: "1.x, whose columns and units are known",
            remedy: "profile by that version, or, where its files are alike, change the line to 1.0.0",
        }),
        _ => Ok(format!("a profile of LLMServingSim {version}")),
    }
}

fn file(folder: &Path, name: &str) -> Option<PathBuf> {
    let paths = [".csv", ".csv.gz"].map(|ending| folder.join(format!("{name}{ending}")));
    paths.into_iter().find(|path| path.is_file())
}

/// The plain fields of `meta.yaml`.
#[derive(Default)]
struct Meta {
    /// The file, if there is one.
    file: Option<String>,
    fields: Vec<(String, String)>,
}

impl Meta {
    /// That of a folder or of the one above.
    fn near(folder: &Path) -> Result<Self, ImportError> {
        let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let folders = [Some(whole.as_path()), whole.parent()];
        let mut paths = folders.into_iter().flatten().map(|it| it.join("meta.yaml"));
        let Some(path) = paths.find(|path| path.is_file()) else {
            return Ok(Self::default());
        };
        let text = text_of(&path)?;
        let fields = text
            .lines()
            .filter(|line| !line.starts_with([' ', '#', '-']))
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim(), value.trim().trim_matches(['"', '\''])))
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Self {
            file: Some(path.display().to_string()),
            fields: fields.collect(),
        })
    }

    fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|field| field.0 == name)
            .map(|field| field.1.as_str())
    }
}

/// The model card that is named, or that the profile's model is.
fn card(asked: &Asked, meta: &Meta) -> Result<ModelCard, ImportError> {
    let model = meta.get("model").unwrap_or_default();
    let base = model.rsplit('/').next().unwrap_or_default().to_lowercase();
    let fits = |name: &&str| base == **name || base.starts_with(&format!("{name}-"));
    if let Some(name) = &asked.model {
        let own = ModelCard::names().find(fits);
        return match own {
            // A card of the user's own may be of any model.
            Some(own) if own != *name && ModelCard::names().any(|known| known == *name) => {
                Err(ImportError::Asked {
                    option: "model",
                    value: Some(name.clone()),
                    why: format!("is not of the profile, whose model is `{model}`"),
                    remedy: format!("take it away: the card is {own}"),
                })
            }
            _ => Ok(ModelCard::load(name, Path::new(""))?),
        };
    }
    match ModelCard::names().find(fits) {
        Some(name) => Ok(ModelCard::load(name, Path::new(""))?),
        None => Err(ImportError::Asked {
            option: "model",
            value: None,
            why: match (model, &meta.file) {
                ("", Some(file)) => format!(
                    "{file} has no line `model: NAME`, and the card of the model has the shapes"
                ),
                ("", None) => {
                    "there is no meta.yaml that tells the model, whose card has the shapes"
                        .to_owned()
                }
                _ => format!("there is no card for `{model}`, whose shapes are needed"),
            },
            remedy: format!(
                "give a card of your own (--model my.toml) or one of {}",
                ModelCard::names().collect::<Vec<_>>().join(", ")
            ),
        }),
    }
}

fn number_type(asked: &Asked, meta: &Meta) -> Result<NumberType, ImportError> {
    if let Some(dtype) = asked.dtype {
        return Ok(dtype);
    }
    match meta.get("variant") {
        None | Some("bf16" | "fp16") => Ok(NumberType::Bf16),
        Some("fp8") => Ok(NumberType::Fp8E4m3),
        Some(other) => Err(ImportError::Asked {
            option: "dtype",
            value: None,
            why: format!("meta.yaml has the variant `{other}`, which is none of this format"),
            remedy: "name the number type of the products, --dtype bf16 say".to_owned(),
        }),
    }
}

/// Kernels by tokens, or by sequences.
fn by_count(
    lines: Lines<'_>,
    count: &str,
    layer: &Layer,
    dtype: NumberType,
    gather: &mut Gather,
) -> Result<(), ImportError> {
    let [name, count, time] = lines.columns(["layer", count, "time_us"])?;
    let bf16 = NumberType::Bf16;
    lines.for_each(|line| {
        let count = line.whole(count, 1)?;
        let us = line.number(time)?.unwrap_or(f64::NAN);
        let (operation, dtype) = match line.text(name) {
            "qkv_proj" => (layer.qkv(count), dtype),
            "o_proj" => (layer.attention_out(count), dtype),
            "gate_up_proj" => (layer.up(count), dtype),
            "down_proj" => (layer.down(count), dtype),
            // Heads stay at 16 bits.
            "lm_head" => (layer.head(count), bf16),
            "layernorm" | "final_layernorm" => (layer.norm(count), bf16),
            "act_fn" if layer.gated => (layer.activation(count), bf16),
            "rotary_emb" => (layer.rotary(count), bf16),
            "" => return Err(line.refuse(name, "the name of a kernel")),
            other => {
                gather.skip(&format!("of {other}, which is no operation here"));
                return Ok(());
            }
        };
        gather.add(operation, Some(dtype), "", us, None);
        Ok(())
    })
}

/// Attention of batches: those of one prompt alone, and of decoding sequences alone.
fn attention(lines: Lines<'_>, layer: &Layer, gather: &mut Gather) -> Result<(), ImportError> {
    let [chunk, before, decodes, context, time] = lines.columns([
        "prefill_chunk",
        "kv_prefill",
        "n_decode",
        "kv_decode",
        "time_us",
    ])?;
    lines.for_each(|line| {
        let chunk = line.whole(chunk, 0)?;
        let before = line.whole(before, 0)?;
        let decodes = line.whole(decodes, 0)?;
        let context = line.whole(context, 0)?;
        let us = line.number(time)?.unwrap_or(f64::NAN);
        let operation: Operation = match (chunk, before, decodes, context) {
            (1.., 0, 0, _) => layer.prefill(1, chunk),
            (0, _, 1.., 1..) => layer.decode(decodes, context),
            (1.., 1.., 0, _) => {
                gather.skip("of prompt chunks after earlier context");
                return Ok(());
            }
            (1.., _, 1.., _) => {
                gather.skip("of prompts and decoding sequences in one kernel");
                return Ok(());
            }
            _ => {
                gather.skip("of nothing (no chunk and no decoding sequence)");
                return Ok(());
            }
        };
        gather.add(operation, Some(NumberType::Bf16), "", us, None);
        Ok(())
    })
}
