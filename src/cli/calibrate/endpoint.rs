//! `seatrial calibrate endpoint`: measures a live server, and fits its engine.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::fit::{FitOptions, write};
use super::fit_page::page as fit_page;
use crate::calibrate::endpoint::client::{Api, Client};
use crate::calibrate::endpoint::measure::{Listener, Measured, Report, Request, Times, measure};
use crate::calibrate::endpoint::plan::{Grid, Limits, Plan};
use crate::calibrate::engine::fitted::Fit;
use crate::calibrate::engine::measurement::{Given, Measurement};
use crate::calibrate::engine::read::{Rows, take_all};
use crate::cli::closed_loop::lines;
use crate::cli::progress::Progress;
use crate::cli::{Failure, Finished, json_text};
use crate::report::number::{WIDTH, count, significant, wrap};

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
    /// The environment variable with the server's key, if it wants one
    #[arg(long, value_name = "NAME", default_value = "OPENAI_API_KEY")]
    api_key_env: String,
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
    // An empty variable is as good as none.
    let key = std::env::var(&args.api_key_env).ok();
    let key = key.filter(|key| !key.is_empty());
    let users = plan.cells.iter().map(|cell| cell.concurrency).max();
    let client = Client::new(
        &args.url,
        args.api,
        key,
        &args.api_key_env,
        users.unwrap_or(1),
    );
    let client = client.map_err(Failure::of)?;
    if args.dry_run {
        return Ok(Finished::fine(match args.json {
            true => json_text(&json!({ "schema": 1, "url": client.base(), "plan": plan })),
            false => plan_page(client.base(), &plan),
        }));
    }
    let request = Request {
        plan,
        model: args.model.clone(),
        ignore_eos: !args.plain,
        seed: args.seed,
        row: Measurement {
            engine: args.engine.clone(),
            version: args.engine_version.clone(),
            model: args.card.clone(),
            accelerator: args.accelerator.clone(),
            tp: Some(args.tp),
            ..Measurement::default()
        },
    };
    let bar = Bar(Progress::new("measuring"));
    let report = measure(&client, &request, &bar);
    bar.0.finish();
    let report = report.map_err(Failure::of)?;
    if report.rows.is_empty() {
        return Err(Failure::of(nothing(&report)));
    }
    let mut written = String::new();
    if let Some(out) = &args.out {
        write(out, &rows_text(&report.rows)?)?;
        written = format!("{}: written\n", out.display());
    }
    let fit = fitted(args, &report)?;
    if let (Some(path), Some(Ok(fit))) = (&args.profile, &fit) {
        write(path, &fit.to_toml().map_err(Failure::of)?)?;
        written.push_str(&format!("{}: written\n", path.display()));
    }
    if let (Some(path), Some(Err(failure))) = (&args.profile, &fit) {
        let path = path.display();
        return Err(Failure::of(format!(
            "{path}: not written, since the rows could not be fitted: {failure}"
        )));
    }
    if let Some(Ok(fit)) = &fit {
        written.push_str(&args.fit.draw(fit)?);
    }
    Ok(Finished::fine(match args.json {
        true => json_text(&document(&report, fit.as_ref())),
        false => page(&report, fit.as_ref()) + &written,
    }))
}

fn plan(args: &EndpointArgs) -> Result<Plan, Failure> {
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

/// The fit of the rows, where the accelerator is known; one that fails is told of beside them.
fn fitted(args: &EndpointArgs, report: &Report) -> Result<Option<Result<Fit, Failure>>, Failure> {
    if args.accelerator.is_none() {
        return Ok(None);
    }
    let mut rows = Rows::default();
    let taken = take_all(
        "the measured rows",
        &report.rows,
        &Given::default(),
        &mut rows,
    );
    if let Err(error) = taken {
        return Ok(Some(Err(Failure::of(error))));
    }
    Ok(Some(
        args.fit.fit(&rows, format!("measured: {}", report.url)),
    ))
}

fn rows_text(rows: &[Measurement]) -> Result<String, Failure> {
    let mut text = String::new();
    for row in rows {
        text.push_str(&serde_json::to_string(row).map_err(Failure::of)?);
        text.push('\n');
    }
    Ok(text)
}

/// Why there is nothing to show.
fn nothing(report: &Report) -> String {
    let kinds = report.failures.iter().map(|(kind, counted)| {
        let (count, words) = (counted.count, kind.words());
        format!("{count} x {words} ({})", counted.first)
    });
    let kinds: Vec<String> = kinds.collect();
    let failed = match kinds.as_slice() {
        [] => "no answer had two tokens".to_owned(),
        some => format!("of the requests failed {}", some.join("; ")),
    };
    let notes = report.notes.join("; ");
    format!(
        "{}: no load could be measured: {failed}; {notes}; ask for fewer users or shorter lengths, or \
         raise --timeout-s and --max-s",
        report.url
    )
}

fn document(report: &Report, fit: Option<&Result<Fit, Failure>>) -> Value {
    let (fit, why) = match fit {
        None => (Value::Null, Some("--accelerator was not given".to_owned())),
        Some(Ok(fit)) => (json!(fit), None),
        Some(Err(failure)) => (Value::Null, Some(failure.to_string())),
    };
    json!({ "schema": 1, "measured": report, "fit": fit, "not_fitted": why })
}

fn plan_page(url: &str, plan: &Plan) -> String {
    let limits = plan.limits;
    let mut out = format!(
        "{url} would get at most {} requests of {} tokens in all (limits: {} requests, {} tokens, {} s, \
         {} s a request)",
        count(plan.requests),
        count(plan.tokens),
        count(limits.max_requests),
        count(limits.max_tokens),
        limits.max_s,
        limits.timeout_s
    );
    out = format!("{}\n\n", wrap(&out, WIDTH, 2));
    let head = [
        "users",
        "prompt tokens",
        "output tokens",
        "requests",
        "warm-up",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    table.extend(plan.cells.iter().map(|cell| {
        let figures = [
            cell.concurrency,
            cell.prompt_tokens,
            cell.output_tokens,
            cell.requests,
            cell.warmup,
        ];
        figures.map(|figure| count(u64::from(figure))).to_vec()
    }));
    out + &lines(table, 0)
}

fn page(report: &Report, fit: Option<&Result<Fit, Failure>>) -> String {
    let mut out = format!(
        "{} at {}; all times are measured, ms\n\n",
        report.model, report.url
    );
    out.push_str(&lines(table(report), 0));
    let counting = report.counting;
    let how = match counting.measured {
        true => format!(
            "tokens are the server's count: {} a word and {} for every prompt",
            significant(Some(counting.per_word)),
            significant(Some(counting.base))
        ),
        false => "tokens are assumed: one a word".to_owned(),
    };
    out.push_str(&format!("{}\n", wrap(&how, WIDTH, 2)));
    for note in &report.notes {
        out.push_str(&format!("{}\n", wrap(&format!("beware: {note}"), WIDTH, 2)));
    }
    if !report.failures.is_empty() {
        out.push_str("\nRequests that failed\n");
        for (kind, counted) in &report.failures {
            let count = count(counted.count);
            let text = format!("{count:>6}  {}: {}", kind.words(), counted.first);
            out.push_str(&format!("  {}\n", wrap(&text, WIDTH - 2, 8)));
        }
    }
    out.push('\n');
    match fit {
        None => out.push_str(
            "not fitted: the accelerator is not known (--engine NAME --accelerator CARD)\n",
        ),
        Some(Ok(fit)) => out.push_str(&fit_page(fit)),
        Some(Err(failure)) => {
            let text = format!("not fitted: {failure}");
            out.push_str(&format!("{}\n", wrap(&text, WIDTH, 2)));
        }
    }
    out
}

fn table(report: &Report) -> Vec<Vec<String>> {
    let head = [
        "users", "prompt", "output", "ok", "failed", "TTFT", "p99", "TPOT", "ITL p50", "p99", "E2E",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    table.extend(report.cells.iter().map(|one: &Measured| {
        let (prompt, output) = one.tokens.unzip();
        let of = |times: Option<Times>, of: fn(Times) -> f64| significant(times.map(of));
        let failed: u64 = one.failures.values().map(|counted| counted.count).sum();
        vec![
            count(u64::from(one.cell.concurrency)),
            significant(prompt),
            significant(output),
            count(u64::from(one.answered)),
            count(failed + u64::from(one.not_sent)),
            of(one.ttft_ms, |times| times.mean),
            of(one.ttft_ms, |times| times.p99),
            of(one.tpot_ms, |times| times.mean),
            of(one.itl_ms, |times| times.p50),
            of(one.itl_ms, |times| times.p99),
            of(one.e2e_ms, |times| times.mean),
        ]
    }));
    table
}

/// The progress bar, as measurements speak to it.
struct Bar(Progress);

impl Listener for Bar {
    fn begins(&self, requests: u64) {
        self.0.expect(requests);
    }

    fn ended(&self) {
        self.0.advance(1.0);
    }
}
