//! Splitwise's `perf_model.csv`: whole models, by batch; times are milliseconds.

use std::collections::BTreeSet;
use std::path::Path;

use super::gather::Gather;
use super::lines::{Lines, text_of};
use super::{Asked, ImportError, Told};
use crate::calibrate::gpu::operation::Operation;

const FORMAT: &str = "Splitwise's perf_model.csv";
/// What two times of one batch may be off by, relative, since they are printed with few digits.
const ROUNDING: f64 = 1e-3;
/// A whole that takes so many times its parts is of another batch, or in another unit.
const MUCH_MORE: f64 = 10.0;

/// Whether the first line of a file is that of one.
pub fn is_one(names: &[String]) -> bool {
    ["prompt_size", "token_size", "prompt_time", "token_time"]
        .iter()
        .all(|name| names.iter().any(|other| other == name))
}

/// Reads the lines of one hardware.
pub fn read(path: &Path, asked: &Asked, gather: &mut Gather) -> Result<Told, ImportError> {
    let text = text_of(path)?;
    let file = path.display().to_string();
    let hardware = hardware(&file, &text, asked)?;
    let lines = Lines::new(file, &text, FORMAT)?;
    let [model, place] = lines.columns(["model", "hardware"])?;
    let sizes = lines.columns(["prompt_size", "batch_size", "token_size", "tensor_parallel"])?;
    let times = lines.columns(["prompt_time", "token_time", "e2e_time"])?;
    let mut models = BTreeSet::new();
    let mut degrees = BTreeSet::new();
    lines.for_each(|line| {
        let mut values = [0; 4];
        for (value, place) in values.iter_mut().zip(sizes) {
            *value = line.whole(place, 1)?;
        }
        let [prompt_tokens, sequences, output_tokens, tp] = values;
        let mut us = [f64::NAN; 3];
        for (us, place) in us.iter_mut().zip(times) {
            *us = line.number(place)?.map_or(f64::NAN, |ms| ms * 1e3);
        }
        if line.text(place) != hardware {
            for _ in times {
                gather.skip("of other hardware");
            }
            return Ok(());
        }
        let [prompt_us, token_us, whole_us] = us;
        let parts_us = prompt_us + (output_tokens - 1) as f64 * token_us;
        // The whole has its prompt's time in it, but for the rounding of what was printed.
        let doubt = if whole_us < (1.0 - ROUNDING) * prompt_us {
            Some("whose whole time is less than that of its prompts")
        } else if whole_us > MUCH_MORE * parts_us {
            Some("whose whole time is many times that of its prompts and tokens")
        } else {
            None
        };
        if let Some(why) = doubt {
            for _ in times {
                gather.skip(why);
            }
            return Ok(());
        }
        let model = line.text(model).to_owned();
        models.insert(model.clone());
        degrees.insert(tp as u32);
        let prompt = Operation::PromptStep {
            model: model.clone(),
            tp,
            sequences,
            tokens: prompt_tokens,
        };
        let decode = Operation::DecodeStep {
            model: model.clone(),
            tp,
            sequences,
            prompt_tokens,
            output_tokens,
        };
        let batch = Operation::Batch {
            model,
            tp,
            sequences,
            prompt_tokens,
            output_tokens,
        };
        for (operation, us) in [prompt, decode, batch].into_iter().zip(us) {
            if output_tokens == 1 && matches!(operation, Operation::DecodeStep { .. }) {
                gather.skip("of decode steps of batches whose only token is the prompt's");
                continue;
            }
            gather.add(operation, None, "", us, None);
        }
        Ok(())
    })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Told {
        source: FORMAT.to_owned(),
        files: vec![name.into_owned()],
        device: hardware,
        models: models.into_iter().collect(),
        tp: degrees.into_iter().collect(),
        ..Told::default()
    })
}

/// The hardware asked for, or the only one there is.
fn hardware(file: &str, text: &str, asked: &Asked) -> Result<String, ImportError> {
    let lines = Lines::new(file.to_owned(), text, FORMAT)?;
    let place = lines.column("hardware")?;
    let mut known = BTreeSet::new();
    lines.for_each(|line| {
        known.insert(line.text(place).to_owned());
        Ok(())
    })?;
    let list = known.iter().cloned().collect::<Vec<_>>().join(", ");
    if known.is_empty() {
        return Err(ImportError::File {
            file: file.to_owned(),
            cause: "has names of columns, and no line below them".to_owned(),
            remedy: "give one with measurements",
        });
    }
    match &asked.device {
        Some(device) if known.contains(device) => Ok(device.clone()),
        None if known.len() == 1 => Ok(list),
        device => Err(ImportError::Asked {
            option: "device",
            value: device.clone(),
            why: format!("{file} has lines of {list}, and a calibration is of one device"),
            remedy: "give one of these".to_owned(),
        }),
    }
}
