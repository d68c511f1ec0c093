//! `seatrial validate`: holds simulated runs against measured ones.

use std::path::PathBuf;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};

use super::closed_loop::{ClosedLoopArgs, closed_loop};
use super::{DOES_NOT_HOLD, FINE, Failure, Finished, json_text};
use crate::report::number::{WIDTH, count, significant, wrap};
use crate::validate::compare::{Compared, Comparison, Metric, compare, engine_state, error_pct};
use crate::validate::replay::{Replay, replay};
use crate::validate::{MeasuredRun, open, picture};

/// Share of the requests that the simulated fleet may leave unanswered under `--within`.
const MOST_MISSING: f64 = 0.05;

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
pub struct ValidateArgs {
    /// Measured runs: folders, or files of requests
    #[arg(required_unless_present = "closed_loop", value_name = "DIR")]
    runs: Vec<PathBuf>,
    /// What files of requests were measured on, a run.toml
    #[arg(long, value_name = "FILE")]
    fleet: Option<PathBuf>,
    /// Overrides a field of the runs' fleet, such as pools.0.kv_blocks=2588 (may be repeated)
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Exits with 1 unless the mean TTFT, TPOT and E2E of every run are within this many percent, and
    /// no more than 5 % of the requests were left unanswered in the simulation
    #[arg(long, value_name = "PERCENT")]
    within: Option<f64>,
    /// Simulates the requests of a run's first so many seconds without comparing them: a server
    /// that has just started may still compile its kernels
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    warmup_s: f64,
    /// Prints one JSON document instead of the page
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    closed_loop: ClosedLoopArgs,
}

/// One run, simulated and compared.
struct Judged {
    run: MeasuredRun,
    replay: Replay,
    parts: Vec<Comparison>,
}

pub fn validate(args: &ValidateArgs) -> Result<Finished, Failure> {
    let changes = changes(&args.set)?;
    if !(args.warmup_s >= 0.0 && args.warmup_s.is_finite()) {
        return Err(Failure::of(format!(
            "--warmup-s {}: must be 0 or more seconds",
            args.warmup_s
        )));
    }
    if let Some(within) = args.within
        && !(within >= 0.0 && within.is_finite())
    {
        return Err(Failure::of(format!(
            "--within {within}: must be 0 or more percent"
        )));
    }
    args.closed_loop.check().map_err(Failure::of)?;
    if args.warmup_s > 0.0 && args.closed_loop.closed_loop.is_some() {
        let why =
            "--warmup-s: does nothing with --closed-loop, whose client has a warm-up of its own";
        return Err(Failure::of(why));
    }
    if let Some(file) = &args.closed_loop.closed_loop {
        return closed_loop(&args.closed_loop, file, &changes, args.json);
    }
    let mut judged = Vec::new();
    for path in &args.runs {
        for run in open(path, args.fleet.as_deref()).map_err(Failure::of)? {
            let replay = replay(&run, &changes).map_err(Failure::of)?;
            let parts = compare(&run, &replay, args.warmup_s);
            judged.push(Judged { run, replay, parts });
        }
    }
    let text = match args.json {
        true => json_text(&document(&judged)),
        false => judged.iter().map(page).collect::<Vec<_>>().join("\n"),
    };
    let off = |judged: &Judged| {
        let Some(limit) = args.within else {
            return false;
        };
        judged.parts.first().is_none_or(|whole| {
            let metrics = whole.metrics.iter();
            // What was not compared is not within anything.
            let missing = whole.not_simulated as f64 > MOST_MISSING * whole.offered as f64;
            let judged = |compared: &&Compared| compared.metric != Metric::Queue;
            missing
                || !whole.metrics.iter().any(|compared| judged(&compared))
                || metrics.filter(judged).any(|compared| {
                    compared.errors_pct()[0].is_none_or(|error| error.abs() > limit)
                })
        })
    };
    Ok(Finished {
        text,
        code: match judged.iter().any(off) {
            true => DOES_NOT_HOLD,
            false => FINE,
        },
    })
}

/// The `PATH=VALUE` of `--set`, split.
pub(super) fn changes(set: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let split = set.iter().map(|change| match change.split_once('=') {
        Some((path, value)) => Ok((path.trim().to_owned(), value.trim().to_owned())),
        None => Err(Failure::of(format!(
            "--set {change}: must be PATH=VALUE, such as pools.0.kv_blocks=2588"
        ))),
    });
    split.collect()
}

/// One run gives one object; several give `{"schema": 1, "runs": [...]}`.
fn document(judged: &[Judged]) -> Value {
    let mut runs: Vec<Value> = judged.iter().map(one).collect();
    match runs.len() {
        1 => runs.remove(0),
        _ => json!({ "schema": 1, "runs": runs }),
    }
}

fn one(judged: &Judged) -> Value {
    let mut parts = judged.parts.iter().map(Comparison::to_json);
    let mut value = parts.next().unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        fields.insert("schema".to_owned(), json!(1));
        fields.insert("run".to_owned(), json!(judged.run.name));
        fields.insert("format".to_owned(), json!(judged.run.format));
        fields.insert("stages".to_owned(), Value::Array(parts.collect()));
        fields.insert("notes".to_owned(), json!(judged.run.notes));
        let state = engine_state(&judged.run, &judged.replay);
        fields.insert("engine_state".to_owned(), json!(state));
        let preemptions = judged.replay.preemptions;
        fields.insert("preemptions_simulated".to_owned(), json!(preemptions));
    }
    value
}

fn page(judged: &Judged) -> String {
    let mut out = format!("{} ({})\n", judged.run.name, judged.run.format);
    for note in &judged.run.notes {
        out.push_str(&format!("  - {}\n", wrap(note, WIDTH - 4, 4)));
    }
    for part in &judged.parts {
        out.push('\n');
        out.push_str(&part_page(part));
    }
    if let Some(state) = engine_state(&judged.run, &judged.replay) {
        let means = format!(
            "engine state, mean: {} sequences running measured, {} simulated; {} waiting measured, \
             {} simulated",
            significant(Some(state.running_observed)),
            significant(Some(state.running_simulated)),
            significant(Some(state.waiting_observed)),
            significant(Some(state.waiting_simulated))
        );
        out.push_str(&format!("{}\n", wrap(&means, WIDTH, 2)));
    }
    out
}

fn part_page(part: &Comparison) -> String {
    let counts = format!(
        "{}: {} requests offered, {} compared, {} failed when measured, {} not completed in the \
         simulation",
        match part.part.as_str() {
            "all" => "The whole run".to_owned(),
            stage => format!("Stage {stage}"),
        },
        count(part.offered as u64),
        count(part.compared as u64),
        count(part.failed as u64),
        count(part.not_simulated as u64)
    );
    let mut out = wrap(&counts, WIDTH, 2);
    out.push('\n');
    if part.warmup > 0 {
        let warmup = count(part.warmup as u64);
        out.push_str(&format!(
            "  {warmup} requests of the warm-up were simulated and not compared\n"
        ));
    }
    if part.compared == 0 {
        out.push_str(
            "  NOTHING WAS COMPARED: no request has stamps, was answered in both, and came after the \
             warm-up\n",
        );
    }
    let (observed, simulated) = part.saturated;
    if observed || simulated {
        let which = match (observed, simulated) {
            (true, true) => "measured and simulated",
            (true, false) => "measured, but not simulated",
            _ => "simulated, but not measured",
        };
        out.push_str(&format!("SATURATED as {which}: a backlog builds up\n"));
    }
    out.push_str(&table(part));
    for compared in &part.metrics {
        out.push_str(&format!(
            "{}, ms: KS distance {} (chance alone: up to {})\n",
            compared.metric.title(),
            significant(Some(compared.ks)),
            significant(Some(compared.ks_limit))
        ));
        for line in picture::draw(compared) {
            out.push_str(&line);
            out.push('\n');
        }
    }
    out
}

fn table(part: &Comparison) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.add_row(["ms", "", "mean", "p50", "p90", "p99"]);
    let mut row = |name: &str, of: &str, values: [String; 4]| {
        let mut cells = vec![name.to_owned(), of.to_owned()];
        cells.extend(values);
        table.add_row(cells);
    };
    for compared in &part.metrics {
        let figures = |figures: [f64; 4]| figures.map(|value| significant(Some(value)));
        let title = compared.metric.title();
        row(
            title,
            "measured",
            figures(compared.observed_summary.figures()),
        );
        row(
            "",
            "simulated",
            figures(compared.simulated_summary.figures()),
        );
        row("", "error", compared.errors_pct().map(signed));
    }
    for index in 2..6 {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    if let Some((observed, simulated)) = part.throughput {
        let rates = format!(
            "requests/s: {} measured, {} simulated, {}; output tokens/s: {} and {}",
            significant(Some(observed.requests_per_s)),
            significant(Some(simulated.requests_per_s)),
            signed(error_pct(observed.requests_per_s, simulated.requests_per_s)),
            significant(Some(observed.output_tokens_per_s)),
            significant(Some(simulated.output_tokens_per_s))
        );
        out.push_str(&format!("{}\n", wrap(&rates, WIDTH, 2)));
    }
    out
}

/// A signed percentage: `+1.7 %`.
pub(super) fn signed(error_pct: Option<f64>) -> String {
    error_pct.map_or_else(|| "-".to_owned(), |error| format!("{error:+.1} %"))
}
