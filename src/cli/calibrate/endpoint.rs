//! `seatrial calibrate endpoint`: measures a live server, and fits its engine.

mod ahead;
mod page;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::fit::{FitOptions, write};
use crate::calibrate::endpoint::client::{Api, Client};
use crate::calibrate::endpoint::measure::{Listener, Report, Request, measure};
use crate::calibrate::endpoint::plan::{Grid, Limits, Plan};
use crate::calibrate::engine::fitted::Fit;
use crate::calibrate::engine::measurement::{Given, Measurement};
use crate::calibrate::engine::picture::draw;
use crate::calibrate::engine::read::{Rows, take_all};
use crate::cli::progress::Progress;
use crate::cli::{FAILURE, FINE, Failure, Finished, json_text};
use crate::report::number::{WIDTH, wrap};
use page::{document, nothing, page, plan_page};

/// The variable that a key is read from unless another is named.
const KEY: &str = "OPENAI_API_KEY";

/// Arguments of `calibrate endpoint`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Sends real requests to the server, no more than --max-requests, --max-tokens and \
                        --max-s allow: see them first with --dry-run. Where --accelerator is given the \
                        rows are fitted as by `calibrate fit`."
)]
pub struct EndpointArgs {
    /// The server, such as http://localhost:8000
    #[arg(value_name = "URL")]
    url: String,
    /// The model to ask for [default: the only one that the server lists]
    #[arg(long)]
    model: Option<String>,
    /// Which way of asking
    #[arg(long, value_enum, default_value_t = Api::Completions)]
    api: Api,
    /// Tokens of prompts
    #[arg(long, value_delimiter = ',', default_value = "128,512,2048", value_parser = tokens())]
    prompt_tokens: Vec<u32>,
    /// Tokens of answers, at least 2
    #[arg(long, value_delimiter = ',', default_value = "128", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    output_tokens: Vec<u32>,
    /// Numbers of users
    #[arg(long, value_delimiter = ',', default_value = "1,4,16", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    concurrency: Vec<u32>,
    /// Requests of a user that count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    requests_per_user: u32,
    /// Requests of a user before them, of every load
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    warmup_per_user: u32,
    /// Most requests of all
    #[arg(long, default_value_t = 1_000)]
    max_requests: u64,
    /// Most prompt and output tokens of all
    #[arg(long, default_value_t = 1_000_000)]
    max_tokens: u64,
    /// Most time of all, seconds
    #[arg(long, default_value_t = 900.0)]
    max_s: f64,
    /// Most time of a request, seconds
    #[arg(long, default_value_t = 120.0)]
    timeout_s: f64,
    /// The environment variable with the server's key, if it wants one [default: OPENAI_API_KEY]
    #[arg(long, value_name = "NAME")]
    api_key_env: Option<String>,
    /// Leaves out `ignore_eos`, which is no part of OpenAI's API
    #[arg(long)]
    plain: bool,
    /// The seed of the texts that are sent
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The engine, for the rows and the profile: vllm, sglang, trtllm, or any other name
    #[arg(long)]
    engine: Option<String>,
    /// Its version
    #[arg(long, value_name = "VERSION")]
    engine_version: Option<String>,
    /// The accelerator that it runs on, a card: the rows are then fitted
    #[arg(long, value_name = "CARD", requires = "engine")]
    accelerator: Option<String>,
    /// Tensor parallelism of the server
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    tp: u32,
    /// The model's card [default: that of the model's name]
    #[arg(long, value_name = "CARD")]
    card: Option<String>,
    #[command(flatten)]
    fit: FitOptions,
    /// Writes the rows to this file, as JSON Lines for `calibrate fit`
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Writes the fitted profile to this file, for `engine_profile` of a pool
    #[arg(long, value_name = "FILE", requires = "accelerator")]
    profile: Option<PathBuf>,
    /// Prints what would be sent, and sends nothing
    #[arg(long)]
    dry_run: bool,
    /// Prints one JSON document
    #[arg(long)]
    json: bool,
}

fn tokens() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=1_000_000)
}

pub fn endpoint(args: &EndpointArgs) -> Result<Finished, Failure> {
    for (option, value) in [("--max-s", args.max_s), ("--timeout-s", args.timeout_s)] {
        if !(value > 0.0 && value <= 1e6) {
            return Err(Failure::of(format!(
                "{option} {value}: must be above 0 seconds, at most 1e6"
            )));
        }
    }
    let plan = plan(args)?;
    let name = args.api_key_env.as_deref().unwrap_or(KEY);
    // An empty variable is as good as none.
    let key = std::env::var(name).ok().filter(|key| !key.is_empty());
    if args.api_key_env.is_some() && key.is_none() {
        return Err(Failure::of(format!(
            "--api-key-env {name}: the environment has no such variable, or an empty one; put the key \
             into it, or leave the option out"
        )));
    }
    let users = plan.cells.iter().map(|cell| cell.concurrency).max();
    let client = Client::new(&args.url, args.api, key, name, users.unwrap_or(1));
    let client = client.map_err(Failure::of)?;
    ahead::check(args, &plan)?;
    let _claims = ahead::claim(args)?;
    if args.dry_run {
        return Ok(Finished::fine(match args.json {
            true => json_text(&json!({ "schema": 1, "url": client.base(), "plan": plan })),
            false => plan_page(client.base(), &plan),
        }));
    }
    let request = Request {
        plan: plan.clone(),
        model: args.model.clone(),
        ignore_eos: !args.plain,
        seed: args.seed,
        row: row(args),
    };
    let bar = Bar {
        progress: Progress::new("measuring"),
        args,
        plan: &plan,
    };
    let report = measure(&client, &request, &bar);
    bar.progress.finish();
    let report = report.map_err(Failure::of)?;
    if report.rows.is_empty() {
        return Err(Failure::of(nothing(&report)));
    }
    finish(args, &report)
}

/// Fits, writes and shows what was measured. What goes wrong from here on is told beside it: it is not
/// measured again.
fn finish(args: &EndpointArgs, report: &Report) -> Result<Finished, Failure> {
    let mut ended = Ended::default();
    if let Some(out) = &args.out {
        ended.write(out, rows_text(&report.rows));
    }
    let fit = fitted(args, report);
    match (&fit, &args.profile) {
        (Some(Ok(fit)), Some(path)) => ended.write(path, fit.to_toml().map_err(Failure::of)),
        (Some(Err(_)), Some(path)) => {
            let path = path.display();
            let why = format!("{path}: not written, since the rows could not be fitted");
            ended.failed.push(why);
        }
        _ => {}
    }
    if let (Some(Ok(fit)), Some(path)) = (&fit, args.fit.picture()) {
        ended.write(path, draw(fit).map_err(Failure::of));
    }
    if let Some(Err(failure)) = &fit {
        ended.failed.push(format!("not fitted: {failure}"));
    }
    Ok(Finished {
        text: match args.json {
            true => json_text(&document(report, fit.as_ref(), &ended.failed)),
            false => page(report, fit.as_ref()) + &ended.text(),
        },
        code: if ended.failed.is_empty() {
            FINE
        } else {
            FAILURE
        },
    })
}

/// What was written, and what went wrong.
#[derive(Default)]
struct Ended {
    written: String,
    failed: Vec<String>,
}

impl Ended {
    fn write(&mut self, path: &Path, text: Result<String, Failure>) {
        match text.and_then(|text| write(path, &text)) {
            Ok(()) => self
                .written
                .push_str(&format!("{}: written\n", path.display())),
            Err(failure) => self.failed.push(failure.to_string()),
        }
    }

    fn text(&self) -> String {
        let mut text = self.written.clone();
        for failed in &self.failed {
            text.push_str(&format!(
                "{}\n",
                wrap(&format!("error: {failed}"), WIDTH, 2)
            ));
        }
        text
    }
}

/// What rows have beside what is measured.
fn row(args: &EndpointArgs) -> Measurement {
    Measurement {
        engine: args.engine.clone(),
        version: args.engine_version.clone(),
        model: args.card.clone(),
        accelerator: args.accelerator.clone(),
        tp: Some(args.tp),
        ..Measurement::default()
    }
}

fn plan(args: &EndpointArgs) -> Result<Plan, Failure> {
    for (option, values) in [
        ("--prompt-tokens", &args.prompt_tokens),
        ("--output-tokens", &args.output_tokens),
        ("--concurrency", &args.concurrency),
    ] {
        let mut seen = BTreeSet::new();
        if let Some(twice) = values.iter().find(|value| !seen.insert(**value)) {
            return Err(Failure::of(format!(
                "{option}: {twice} is there twice, and would be measured twice; leave it out once (more \
                 requests of a load are had by --requests-per-user)"
            )));
        }
    }
    let grid = Grid {
        prompt_tokens: args.prompt_tokens.clone(),
        output_tokens: args.output_tokens.clone(),
        concurrency: args.concurrency.clone(),
        requests_per_user: args.requests_per_user,
        warmup_per_user: args.warmup_per_user,
    };
    let limits = Limits {
        max_requests: args.max_requests,
        max_tokens: args.max_tokens,
        max_s: args.max_s,
        timeout_s: args.timeout_s,
    };
    Plan::new(&grid, limits).map_err(Failure::of)
}

/// The fit of the rows, where the accelerator is known.
fn fitted(args: &EndpointArgs, report: &Report) -> Option<Result<Fit, Failure>> {
    args.accelerator.as_ref()?;
    let mut rows = Rows::default();
    let taken = take_all(
        "the measured rows",
        &report.rows,
        &Given::default(),
        &mut rows,
    );
    let source = format!("measured: {}", report.url);
    Some(match taken {
        Ok(()) => args.fit.fit(&rows, source),
        Err(error) => Err(Failure::of(error)),
    })
}

fn rows_text(rows: &[Measurement]) -> Result<String, Failure> {
    let mut text = String::new();
    for row in rows {
        text.push_str(&serde_json::to_string(row).map_err(Failure::of)?);
        text.push('\n');
    }
    Ok(text)
}

/// The progress bar, as measurements speak to it.
struct Bar<'a> {
    progress: Progress,
    args: &'a EndpointArgs,
    plan: &'a Plan,
}

impl Listener for Bar<'_> {
    fn begins(&self, requests: u64) {
        self.progress.expect(requests);
    }

    fn ended(&self) {
        self.progress.advance(1.0);
    }

    fn model(&self, model: &str) -> Result<(), String> {
        let wanted = ahead::check_model(self.args, self.plan, model);
        wanted.map_err(|failure| failure.to_string())
    }
}
