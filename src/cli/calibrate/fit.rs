//! `seatrial calibrate fit`: engine overheads from end-to-end measurements.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::claim::Claim;
use super::fit_page::page;
use crate::calibrate::engine::fitted::Fit;
use crate::calibrate::engine::judge::{Asked, fit as fit_rows};
use crate::calibrate::engine::measurement::Given;
use crate::calibrate::engine::parameter::Parameter;
use crate::calibrate::engine::picture::draw;
use crate::calibrate::engine::read::{Rows, read};
use crate::calibrate::regression::robust::Loss;
use crate::cli::spare::spare;
use crate::cli::validate::changes;
use crate::cli::{Failure, Finished, json_text};

/// Fields of pools that are fitted, and the names of their unknowns.
const FITTED: [(&str, &str); 6] = [
    ("overhead_fixed_us", "fixed_us"),
    ("overhead_per_seq_us", "per_seq_us"),
    ("request_overhead_ms", "per_request_ms"),
    ("overhead_per_prompt_token_us", "per_prompt_token_us"),
    ("prefill_time_factor", "prefill_time_factor"),
    ("decode_time_factor", "decode_time_factor"),
];
/// Fields of pools whose iterations have parts that the unknowns are not of.
const NOT_FITTED_WITH: [&str; 6] = [
    "pp",
    "dp",
    "speculative",
    "draft_tokens",
    "engine_profile",
    "replicas",
];

/// How a fit is made, whatever the rows are from.
#[derive(Debug, clap::Args)]
pub struct FitOptions {
    /// Keeps an unknown at a value instead of fitting it, such as decode_time_factor=1 (may be repeated)
    #[arg(long, value_name = "NAME=VALUE")]
    hold: Vec<String>,
    /// What an error costs: tukey (wild rows do not count), huber (they count less), squares
    #[arg(long, value_enum, default_value_t = Loss::Tukey)]
    loss: Loss,
    /// Parts of the cross-validation
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..=1_000))]
    folds: u16,
    /// Splits the rows one by one; without it rows of one server and its lengths stay together
    #[arg(long)]
    by_row: bool,
    /// Overrides a field of all rows' scenarios, such as pools.0.async_scheduling=true (may be repeated)
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Draws fitted over measured times to this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Arguments of `calibrate fit`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Rows are JSON Lines or CSV of engine, version, model, accelerator, tp, \
                        prompt_tokens, output_tokens, concurrency or batch, ttft_ms and tpot_ms; results of \
                        `vllm bench serve --save-result`; or a table with the columns of `validate \
                        --closed-loop`. See calibration/README.md."
)]
pub struct FitArgs {
    /// Files of measurements
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The engine of rows that do not say, and leaves out those of others
    #[arg(long)]
    engine: Option<String>,
    /// The model, likewise
    #[arg(long)]
    model: Option<String>,
    /// The accelerator, likewise
    #[arg(long)]
    accelerator: Option<String>,
    /// The tensor parallelism, likewise
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    tp: Option<u32>,
    #[command(flatten)]
    options: FitOptions,
    /// Writes the profile to this file, for `engine_profile` of a pool
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Prints one JSON document
    #[arg(long)]
    json: bool,
}

pub fn fit(args: &FitArgs) -> Result<Finished, Failure> {
    let given = Given {
        engine: args.engine.clone(),
        model: args.model.clone(),
        accelerator: args.accelerator.clone(),
        tp: args.tp,
    };
    // What is wrong from the start is told before the work.
    args.options.asked(String::new())?;
    let sources: Vec<&Path> = args.files.iter().map(PathBuf::as_path).collect();
    let written = [
        ("--out", args.out.as_deref()),
        ("--svg", args.options.picture()),
    ];
    spare(&sources, &written)?;
    let rows = read(&args.files, &given).map_err(Failure::of)?;
    let files = written.into_iter();
    let _claims = Claim::all(files.filter_map(|(option, path)| Some((option, path?))))?;
    let names = args.files.iter().map(|file| file_name(file));
    let source = names.collect::<Vec<_>>().join(", ");
    let fit = args.options.fit(&rows, source)?;
    let mut written = args.options.draw(&fit)?;
    if let Some(out) = &args.out {
        write(out, &fit.to_toml().map_err(Failure::of)?)?;
        written.push_str(&format!("{}: written\n", out.display()));
    }
    Ok(Finished::fine(match args.json {
        true => json_text(&json!({ "schema": 1, "fit": fit })),
        false => page(&fit) + &written,
    }))
}

impl FitOptions {
    /// What is asked of a fit.
    pub fn asked(&self, source: String) -> Result<Asked, Failure> {
        Ok(Asked {
            held: held(&self.hold)?,
            loss: self.loss,
            folds: usize::from(self.folds),
            by_row: self.by_row,
            changes: self.changes()?,
            source,
        })
    }

    /// The first option that was given and needs a fit.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            ("--hold", !self.hold.is_empty()),
            ("--set", !self.set.is_empty()),
            ("--svg", self.svg.is_some()),
            ("--by-row", self.by_row),
        ];
        let mut given = given.into_iter().filter(|(_, given)| *given);
        given.next().map(|(option, _)| option)
    }

    /// Where the picture goes, if one is wanted.
    pub fn picture(&self) -> Option<&Path> {
        self.svg.as_deref()
    }

    /// Fits rows.
    pub fn fit(&self, rows: &Rows, source: String) -> Result<Fit, Failure> {
        let asked = self.asked(source)?;
        fit_rows(&rows.observed, &rows.left_out, &asked).map_err(Failure::of)
    }

    /// The fields to override; what is fitted is none of them.
    fn changes(&self) -> Result<Vec<(String, String)>, Failure> {
        let changes = changes(&self.set)?;
        for (path, _) in &changes {
            let field = path.rsplit('.').next().unwrap_or(path);
            if let Some((_, name)) = FITTED.iter().find(|(own, _)| *own == field) {
                return Err(Failure::of(format!(
                    "--set {path}: is what is fitted; hold it by --hold {name}=VALUE"
                )));
            }
            if NOT_FITTED_WITH.contains(&field) {
                return Err(Failure::of(format!(
                    "--set {path}: iterations of several stages, ranks or drafts are not fitted; leave it out"
                )));
            }
        }
        Ok(changes)
    }

    /// Draws a fit, where that was asked for, and says so.
    pub fn draw(&self, fit: &Fit) -> Result<String, Failure> {
        let Some(path) = &self.svg else {
            return Ok(String::new());
        };
        write(path, &draw(fit).map_err(Failure::of)?)?;
        Ok(format!("{}: written\n", path.display()))
    }
}

fn held(given: &[String]) -> Result<BTreeMap<Parameter, f64>, Failure> {
    let mut held = BTreeMap::new();
    for text in given {
        let refuse = |allowed: String| {
            Failure::of(format!(
                "--hold {text}: must be NAME=VALUE, such as decode_time_factor=1; {allowed}"
            ))
        };
        let names = Parameter::ALL.map(Parameter::name);
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| refuse(format!("names are {}", names.join(", "))))?;
        let Some(parameter) = Parameter::named(name.trim()) else {
            let near = crate::scenario::nearest(name, names.into_iter());
            let near = near.map_or_else(String::new, |near| format!(" (nearest: `{near}`)"));
            return Err(refuse(format!("names are {}{near}", names.join(", "))));
        };
        if held.contains_key(&parameter) {
            return Err(Failure::of(format!(
                "--hold {text}: {name} is held twice; leave one of the two out",
                name = parameter.name()
            )));
        }
        let allowed = parameter.least()..=parameter.most();
        match value.trim().parse::<f64>() {
            Ok(value) if allowed.contains(&value) => held.insert(parameter, value),
            _ => {
                let (least, most) = (parameter.least(), parameter.most());
                return Err(refuse(format!("values of {name} are {least} to {most}")));
            }
        };
    }
    Ok(held)
}

pub(super) fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| {
        Failure::of(format!(
            "{}: cannot be written ({error}); check the folder and the space left",
            path.display()
        ))
    })
}
