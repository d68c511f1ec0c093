//! Measurements of other tools, read into the one calibration format.
//!
//! Read `format` (what is read, and how it is told apart), then `gather` (how measurements become
//! rows), then any reader: [`wheel`], `vidur`, `servingsim`, `splitwise`, `bench`.

mod bench;
mod error;
mod format;
mod gather;
mod layers;
mod lines;
mod servingsim;
mod splitwise;
mod vidur;
pub mod wheel;

use std::path::Path;

pub use error::ImportError;
pub use format::ImportFormat;

use super::gpu::operation::NumberType;
use super::gpu::plan::card_of;
use super::gpu::record::{Calibration, DeviceFacts, PlanFacts, SCHEMA, Software};
use gather::Gather;

/// What a user says of files that do not say it themselves. Options that a format has no use for
/// are refused.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The format, instead of finding it from the content.
    pub format: Option<ImportFormat>,
    /// The system whose tables are read (`h100_sxm`), of a wheel.
    pub system: Option<String>,
    /// The framework whose tables are read (`vllm`), of a wheel.
    pub framework: Option<String>,
    /// The device.
    pub device: Option<String>,
    /// The model: a card's name or path where shapes are made of it, else any name.
    pub model: Option<String>,
    /// Devices that a replica's layers are split over.
    pub tp: Option<u32>,
    /// Number type of the inputs.
    pub dtype: Option<NumberType>,
    /// Requests of a batch, of `vllm bench latency`.
    pub sequences: Option<u32>,
    /// Prompt tokens of each, of `vllm bench latency`.
    pub prompt_tokens: Option<u32>,
    /// Output tokens of each, of `vllm bench latency`.
    pub output_tokens: Option<u32>,
}

/// What a reader found beside its measurements.
#[derive(Debug, Default)]
struct Told {
    source: String,
    files: Vec<String>,
    device: String,
    driver_cuda: String,
    framework: Option<String>,
    attention_kernels: Option<[String; 2]>,
    models: Vec<String>,
    tp: Vec<u32>,
}

/// Reads a file or folder into a calibration.
///
/// # Errors
/// The format is not known, a file cannot be read or is not what it should be (with line and
/// column), an option is missing or of no use, or nothing is left.
pub fn import(path: &Path, asked: &Asked) -> Result<Calibration, ImportError> {
    let format = match asked.format {
        Some(format) => format,
        None => ImportFormat::of(path)?,
    };
    format.check_options(asked)?;
    let mut gather = Gather::default();
    let told = match format {
        ImportFormat::Wheel => wheel::read(path, asked, &mut gather)?,
        ImportFormat::Vidur => vidur::read(path, asked, &mut gather)?,
        ImportFormat::ServingSim => servingsim::read(path, asked, &mut gather)?,
        ImportFormat::Splitwise => splitwise::read(path, asked, &mut gather)?,
        ImportFormat::BenchLatency => bench::read_latency(path, asked, &mut gather)?,
        ImportFormat::BenchServe => bench::read_serve(path, asked, &mut gather)?,
    };
    let Told {
        source,
        files,
        device,
        driver_cuda,
        framework,
        attention_kernels,
        models,
        tp,
    } = told;
    let (rows, facts) = gather.finish(source, files);
    if rows.is_empty() {
        return Err(ImportError::Nothing {
            path: path.display().to_string(),
            read: facts.read,
            skipped: facts.skipped,
        });
    }
    let calibration = Calibration {
        schema: SCHEMA,
        tool: format!("seatrial {}", env!("CARGO_PKG_VERSION")),
        provenance: format!(
            "imported by seatrial calibrate import from {}",
            facts.source
        ),
        device: DeviceFacts {
            name: device_of(asked, device)?,
            driver_cuda,
            ..DeviceFacts::default()
        },
        software: Software {
            framework,
            attention_kernels,
            ..Software::default()
        },
        plan: PlanFacts {
            effort: "imported".to_owned(),
            models,
            tp,
            only: Vec::new(),
        },
        import: Some(facts),
        rows,
        failures: Vec::new(),
    };
    calibration.check(&path.display().to_string())?;
    Ok(calibration)
}

/// The device: as asked for where the files do not tell it, or by another name of the same card.
fn device_of(asked: &Asked, told: String) -> Result<String, ImportError> {
    let Some(name) = &asked.device else {
        return Ok(told);
    };
    match (card_of(&told), card_of(name)) {
        (Some(own), other) if other != Some(own) => Err(ImportError::Asked {
            option: "device",
            value: Some(name.clone()),
            why: format!("the files say that it was {told}"),
            remedy: format!("leave it out, or give that card's name, {own}"),
        }),
        _ => Ok(name.clone()),
    }
}
