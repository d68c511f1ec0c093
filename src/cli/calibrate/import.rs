//! `seatrial calibrate import`: measurements of other tools in the one calibration format.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::calibrate::gpu::operation::NumberType;
use crate::calibrate::gpu::record::{Calibration, ImportFacts};
use crate::calibrate::import::wheel::Wheel;
use crate::calibrate::import::{Asked, ImportError, ImportFormat, import as read};
use crate::calibrate::tables::{Digits, packed, text};
use crate::cli::progress::Progress;
use crate::cli::spare::spare;
use crate::cli::{Failure, Finished};
use crate::perf::tables::KernelBackend;
use crate::report::number::{WIDTH, count, plural, wrap};

/// Arguments of `calibrate import`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "PATH is the folder that a wheel of kernel tables (aiconfigurator-core, aisimulate) was installed \
                  or unpacked to; a profile of Vidur (mlp.csv, attention.csv, all_reduce.csv, or their folder); \
                  the folder of a profile of LLMServingSim; Splitwise's perf_model.csv; or the result of `vllm \
                  bench latency --output-json` or `vllm bench serve --save-result`. Files may be gzipped."
)]
pub struct ImportArgs {
    /// What to read
    path: PathBuf,
    /// Its format, wheel, vidur, servingsim, splitwise, bench-latency or bench-serve, instead of
    /// finding it from the content
    #[arg(long, value_parser = ImportFormat::from_str)]
    format: Option<ImportFormat>,
    /// Writes the calibration to this file, gzipped where its name ends in .gz
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Writes kernel tables of the wheel to this folder, as they lie in calibration/kernels: of all
    /// systems and frameworks there, or of those named
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "json", "format"])]
    tables: Option<PathBuf>,
    /// The system, of a wheel: h100_sxm, say
    #[arg(long)]
    system: Option<String>,
    /// The framework, of a wheel: vllm, trtllm or sglang
    #[arg(long)]
    framework: Option<String>,
    /// The device, where the files do not tell it, or whose lines to read
    #[arg(long)]
    device: Option<String>,
    /// The model: of a profile a card, where its own is not known; of `vllm bench latency` any name
    #[arg(long, value_name = "CARD")]
    model: Option<String>,
    /// Devices that layers were split over
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    tp: Option<u32>,
    /// Number type of products, where the files do not tell it: bf16, fp8_e4m3, fp8_block, nvfp4,
    /// mxfp4 or int8
    #[arg(long, value_parser = number_type)]
    dtype: Option<NumberType>,
    /// Requests of a batch, of `vllm bench latency`
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: Option<u32>,
    /// Prompt tokens of each, of `vllm bench latency`
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    input_len: Option<u32>,
    /// Output tokens of each, of `vllm bench latency`
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    output_len: Option<u32>,
    /// Prints the calibration, one JSON document
    #[arg(long)]
    json: bool,
}

pub fn import(args: &ImportArgs) -> Result<Finished, Failure> {
    if let Some(folder) = &args.tables {
        return tables(args, folder);
    }
    let sources = sources(&args.path);
    let sources: Vec<&Path> = sources.iter().map(PathBuf::as_path).collect();
    spare(&sources, &[("--out", args.out.as_deref())])?;
    let calibration = read(&args.path, &asked(args)).map_err(Failure::of)?;
    if let Some(out) = &args.out {
        let page = calibration.to_text();
        let bytes = match out.extension().is_some_and(|ending| ending == "gz") {
            true => packed(&page).map_err(Failure::of)?,
            false => page.into_bytes(),
        };
        write(out, &bytes)?;
    }
    if args.json {
        return Ok(Finished::fine(calibration.to_text()));
    }
    let end = match &args.out {
        Some(out) => format!("{}: written\n", out.display()),
        None => "nothing was written: name a file with --out, or print it with --json\n".to_owned(),
    };
    Ok(Finished::fine(page(&calibration) + &end))
}

/// What is read: a file, or those of a folder.
fn sources(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_owned()];
    if let Ok(entries) = std::fs::read_dir(path) {
        all.extend(entries.flatten().map(|entry| entry.path()));
    }
    all
}

fn asked(args: &ImportArgs) -> Asked {
    Asked {
        format: args.format,
        system: args.system.clone(),
        framework: args.framework.clone(),
        device: args.device.clone(),
        model: args.model.clone(),
        tp: args.tp,
        dtype: args.dtype,
        sequences: args.batch_size,
        prompt_tokens: args.input_len,
        output_tokens: args.output_len,
    }
}

fn number_type(text: &str) -> Result<NumberType, String> {
    let mut all = NumberType::ALL.into_iter();
    all.find(|dtype| dtype.name() == text).ok_or_else(|| {
        format!(
            "must be one of {}",
            NumberType::ALL.map(NumberType::name).join(", ")
        )
    })
}

/// What was read, kept and left out.
fn page(calibration: &Calibration) -> String {
    let mut page = String::new();
    let line = |text: &str, page: &mut String| {
        page.push_str(&wrap(text, WIDTH, 2));
        page.push('\n');
    };
    let software = calibration.software.framework.as_deref();
    let device = &calibration.device.name;
    if let Some(import) = &calibration.import {
        line(&import.source, &mut page);
        line(&format!("files: {}", import.files.join(", ")), &mut page);
        let software = software.unwrap_or("not told");
        line(
            &format!("device: {device}; software: {software}"),
            &mut page,
        );
        line(&kept(import, calibration.rows.len()), &mut page);
        for (why, number) in &import.skipped {
            page.push_str(&format!("  {} {why}\n", count(*number)));
        }
    }
    let mut operations: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for row in &calibration.rows {
        let dtype = row.dtype.map_or("", NumberType::name);
        *operations.entry((row.operation.name(), dtype)).or_default() += 1;
    }
    let lacks = lacking(calibration);
    if calibration.software.attention_kernels.is_some() && !lacks.is_empty() {
        line(
            &format!("beware: the wheel has no rows of {}", lacks.join(", ")),
            &mut page,
        );
    }
    page.push_str("rows by operation:\n");
    for ((operation, dtype), number) in operations {
        page.push_str(&format!(
            "  {operation:<20} {dtype:<10} {:>9}\n",
            count(number)
        ));
    }
    page
}

fn kept(import: &ImportFacts, rows: usize) -> String {
    let out = import.read - import.kept;
    let all = plural(import.read, "measurement");
    let rows = plural(rows as u64, "row");
    match out {
        0 => format!("{all} read, all kept, in {rows}"),
        _ => format!(
            "{all} read, {} kept in {rows}, {} left out:",
            count(import.kept),
            count(out)
        ),
    }
}

/// What every wheel's tables of a system and framework have.
const NEEDED: [&str; 3] = ["gemm", "prefill_attention", "decode_attention"];

/// Which of them are not there.
fn lacking(calibration: &Calibration) -> Vec<&'static str> {
    let has = |name: &str| {
        let mut rows = calibration.rows.iter();
        rows.any(|row| row.operation.name() == name)
    };
    NEEDED.into_iter().filter(|name| !has(name)).collect()
}

/// Writes the tables of a wheel.
fn tables(args: &ImportArgs, folder: &Path) -> Result<Finished, Failure> {
    let Some(wheel) = Wheel::open(&args.path) else {
        return Err(Failure::of(format!(
            "{}: has no systems/data/SYSTEM/gemm; give the folder that the wheel was installed or \
             unpacked to",
            args.path.display()
        )));
    };
    let wanted: Vec<(&str, KernelBackend)> = Wheel::shipped()
        .filter(|(system, _)| args.system.as_deref().is_none_or(|it| it == *system))
        .filter(|(_, backend)| {
            args.framework
                .as_deref()
                .is_none_or(|it| it == backend.name())
        })
        .collect();
    if wanted.is_empty() {
        let mut systems: Vec<&str> = Wheel::shipped().map(|(system, _)| system).collect();
        systems.dedup();
        return Err(Failure::of(format!(
            "--system {} --framework {}: tables are made of the systems {} and the frameworks \
             trtllm, vllm, sglang; give one of these",
            args.system.as_deref().unwrap_or("(all)"),
            args.framework.as_deref().unwrap_or("(all)"),
            systems.join(", ")
        )));
    }
    std::fs::create_dir_all(folder).map_err(|error| {
        Failure::of(format!(
            "{}: cannot be made ({error}); check the path given with --tables",
            folder.display()
        ))
    })?;
    let bar = Progress::new("tables");
    bar.expect(wanted.len() as u64);
    let mut page = String::new();
    let mut all = ImportFacts::default();
    let mut rows = 0;
    for (system, backend) in wanted {
        let calibration = wheel.calibration(system, backend).map_err(Failure::of)?;
        let lacks = lacking(&calibration);
        if !lacks.is_empty() {
            bar.finish();
            return Err(Failure::of(format!(
                "{}: has no {} of {system} with {backend}, without which no iteration can be read from a \
                 table; install the wheel anew, or name others by --system and --framework (nothing was \
                 written for {system} with {backend}; `import --out` takes what there is)",
                args.path.display(),
                lacks.join(", ")
            )));
        }
        let bytes = packed(&text(&calibration, Digits::Thousandths)).map_err(Failure::of)?;
        let path = folder.join(format!("{system}-{backend}.csv.gz"));
        write(&path, &bytes)?;
        page.push_str(&format!(
            "{:<60} {:>7} times {:>8} bytes\n",
            path.display(),
            count(calibration.rows.len() as u64),
            count(bytes.len() as u64)
        ));
        rows += calibration.rows.len();
        if let Some(import) = calibration.import {
            all.read += import.read;
            all.kept += import.kept;
            for (why, number) in import.skipped {
                *all.skipped.entry(why).or_default() += number;
            }
        }
        bar.advance(1.0);
    }
    bar.finish();
    page.push_str(&kept(&all, rows));
    page.push('\n');
    for (why, number) in &all.skipped {
        page.push_str(&format!("  {} {why}\n", count(*number)));
    }
    Ok(Finished::fine(page))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|error| {
        Failure::of(ImportError::File {
            file: path.display().to_string(),
            cause: format!("cannot be written ({error})"),
            remedy: "check the folder and the space left",
        })
    })
}
