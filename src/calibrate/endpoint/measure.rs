//! A server, measured: probes, then every load of a plan.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::client::{Client, Dialect, Question};
use super::load::{Load, Target};
use super::outcome::{Answer, Failed, Failures, Kind, count};
use super::plan::{Cell, PROBE_OUTPUT, PROBE_WORDS, Plan};
use super::prompt::{Counting, text};
use crate::calibrate::engine::measurement::{MOST_FAILED, Measurement};
use crate::measure::quantile_of_sorted;
use crate::report::number::significant;

/// Pieces of text for each token below which times per token are not taken from every token's own event.
const LEAST_PIECES: f64 = 0.9;
/// The texts of probes are of a kind that no load has.
const PROBE_KIND: u64 = u64::MAX;

/// What is told while a measurement goes on.
pub trait Listener: Sync {
    /// So many requests will be sent.
    fn begins(&self, requests: u64);
    /// One of them has ended.
    fn ended(&self);
    /// That model will be asked for: nothing has been sent to it so far, and nothing will be after an
    /// error.
    ///
    /// # Errors
    /// In words, why it is not to be measured.
    fn model(&self, model: &str) -> Result<(), String>;
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct Request {
    /// The plan.
    pub plan: Plan,
    /// The model to ask for; absent: the only one that the server has.
    pub model: Option<String>,
    /// Ask for answers as long as stated, by `ignore_eos`.
    pub ignore_eos: bool,
    /// The seed of the texts.
    pub seed: u64,
    /// What goes into the rows beside what is measured: engine, version, model, accelerator, tp.
    pub row: Measurement,
}

/// Means and quantiles of some times, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Times {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 99th percentile; of fewer than 100 values the largest ones stand for it.
    pub p99: f64,
}

impl Times {
    fn of(mut values: Vec<f64>) -> Option<Times> {
        values.sort_unstable_by(f64::total_cmp);
        Some(Times {
            mean: values.iter().sum::<f64>() / values.len() as f64,
            p50: quantile_of_sorted(&values, 0.5)?,
            p99: quantile_of_sorted(&values, 0.99)?,
        })
    }
}

/// A load, measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// The load.
    pub cell: Cell,
    /// Requests that were answered.
    pub answered: u32,
    /// Requests that failed, by kind.
    pub failures: Failures,
    /// Requests that were not sent.
    pub not_sent: u32,
    /// Time to the first text.
    pub ttft_ms: Option<Times>,
    /// Time per token after the first, of each request.
    pub tpot_ms: Option<Times>,
    /// Time between texts.
    pub itl_ms: Option<Times>,
    /// Time to the end.
    pub e2e_ms: Option<Times>,
    /// Tokens of a prompt and of an answer, on average.
    pub tokens: Option<(f64, f64)>,
    /// Tokens of a piece of text, where the server counts them.
    pub tokens_per_piece: Option<f64>,
    /// Whether pieces held several tokens: the time per token is then taken from pieces, of which the
    /// first is assumed to hold as many as the others.
    pub several_tokens: bool,
    /// Whether this is a measurement of the load: nearly all was sent and answered.
    pub whole: bool,
}

/// A server, measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Its address.
    pub url: String,
    /// The model.
    pub model: String,
    /// What it understands.
    pub dialect: Dialect,
    /// How it counts.
    pub counting: Counting,
    /// The loads.
    pub cells: Vec<Measured>,
    /// Failures of all loads, warm-ups included.
    pub failures: Failures,
    /// What was assumed, or left out.
    pub notes: Vec<String>,
    /// The rows that can be fitted.
    pub rows: Vec<Measurement>,
}

/// Why a server could not be measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It does not answer as it should.
    #[error("{url}: {failed}; {remedy}")]
    Failed {
        /// The address.
        url: String,
        /// What went wrong.
        failed: Failed,
        /// What to do.
        remedy: String,
    },
    /// It does not have the model.
    #[error("{url}: has no model `{model}`; it has {listed}: name one of them by --model")]
    Model {
        /// The address.
        url: String,
        /// The model that was asked for.
        model: String,
        /// Those it has.
        listed: String,
    },
    /// Whoever asked will not have the model measured.
    #[error("{0}")]
    NotWanted(String),
}

/// What to do about a failure of a first request.
fn remedy(kind: Kind) -> &'static str {
    match kind {
        Kind::Connection => "check that the server runs, and its address and port",
        Kind::Timeout => {
            "check that the server works, or give it more time by --timeout-s and --max-s"
        }
        Kind::Unauthorized => "give the server's key in the environment variable of --api-key-env",
        Kind::NotFound => {
            "check the address (an OpenAI-compatible server has /v1/models) and --model"
        }
        Kind::RateLimited => "wait, or ask for fewer users",
        Kind::Refused => "try the other --api, shorter lengths, or --plain",
        Kind::ServerError | Kind::Cut | Kind::Empty => "see the server's log",
        Kind::NotAStream | Kind::Malformed | Kind::NotUtf8 => {
            "is it an OpenAI-compatible server (vLLM, SGLang, TensorRT-LLM, llama.cpp)?"
        }
    }
}

/// Measures a server.
///
/// # Errors
/// When the server cannot be reached, is of another kind, or answers none of the probes. What fails
/// later is counted in the report.
#[allow(clippy::disallowed_methods)] // a measurement of a server, no simulated result
pub fn measure(
    client: &Client,
    request: &Request,
    listener: &dyn Listener,
) -> Result<Report, EndpointError> {
    let limits = request.plan.limits;
    let end = Instant::now() + Duration::from_secs_f64(limits.max_s);
    let timeout = Duration::from_secs_f64(limits.timeout_s);
    listener.begins(request.plan.requests);
    let mut notes = Vec::new();
    let model = model_of(client, request.model.as_deref(), timeout, &mut notes)?;
    let wanted = listener.model(&model);
    wanted.map_err(EndpointError::NotWanted)?;
    let mut target = Target {
        client,
        model: &model,
        dialect: Dialect {
            counts: true,
            ignores_eos: request.ignore_eos,
        },
        timeout,
        end,
    };
    let counting = probe(&mut target, request, &mut notes, listener)?;
    let mut report = Report {
        url: client.base().to_owned(),
        model: model.clone(),
        dialect: target.dialect,
        counting,
        cells: Vec::new(),
        failures: Failures::new(),
        notes,
        rows: Vec::new(),
    };
    let mut failed = Vec::new();
    for (kind, cell) in request.plan.cells.iter().enumerate() {
        let words = counting.words(cell.prompt_tokens);
        let question = |number: u32| Question {
            text: text(request.seed, kind as u64, u64::from(number), words),
            output_tokens: cell.output_tokens,
        };
        let ended = || listener.ended();
        let warmup = target.load(cell.concurrency, cell.warmup, &question, &ended);
        failed.extend(warmup.failed);
        // Texts of the warm-up are not sent again: the server may keep their prefixes.
        let fresh = |number: u32| question(number + cell.warmup);
        let load = target.load(cell.concurrency, cell.requests, &fresh, &ended);
        failed.extend(load.failed.iter().cloned());
        report.cells.push(measured(*cell, load));
    }
    report.failures = count(failed.into_iter());
    note(&mut report, &target);
    report.rows = report
        .cells
        .iter()
        .filter_map(|one| row(one, &request.row, &report))
        .collect();
    Ok(report)
}

fn model_of(
    client: &Client,
    asked: Option<&str>,
    within: Duration,
    notes: &mut Vec<String>,
) -> Result<String, EndpointError> {
    let fail = |failed: Failed| EndpointError::Failed {
        url: client.base().to_owned(),
        remedy: remedy(failed.kind).to_owned(),
        failed,
    };
    let listed = match (client.models(within), asked) {
        (Ok(listed), _) => listed,
        // Some front ends pass completions on and nothing else.
        (Err(failed), Some(model)) if failed.kind == Kind::NotFound => {
            notes
                .push("the server lists no models: the one named is asked for as it is".to_owned());
            return Ok(model.to_owned());
        }
        (Err(failed), _) => return Err(fail(failed)),
    };
    match (asked, listed.as_slice()) {
        (Some(model), _) if listed.iter().any(|own| own == model) => Ok(model.to_owned()),
        (None, [only]) => Ok(only.clone()),
        _ => Err(EndpointError::Model {
            url: client.base().to_owned(),
            model: asked.unwrap_or("(none was named)").to_owned(),
            listed: match listed.as_slice() {
                [] => "none".to_owned(),
                some => some.join(", "),
            },
        }),
    }
}

/// Finds out what the server understands, and how many tokens a word has.
fn probe(
    target: &mut Target<'_>,
    request: &Request,
    notes: &mut Vec<String>,
    listener: &dyn Listener,
) -> Result<Counting, EndpointError> {
    let ask = |target: &Target<'_>, number: usize| {
        let words = PROBE_WORDS[number];
        let answer = target.ask(&Question {
            text: text(request.seed, PROBE_KIND, number as u64, words),
            output_tokens: PROBE_OUTPUT,
        });
        listener.ended();
        answer
    };
    let fail = |failed: Failed| EndpointError::Failed {
        url: target.client.base().to_owned(),
        remedy: remedy(failed.kind).to_owned(),
        failed,
    };
    let full = target.dialect;
    let mut first = ask(target, 0);
    // A strict server refuses what it does not know: less is asked for, one thing at a time.
    for (counts, ignores_eos) in [(true, false), (false, full.ignores_eos), (false, false)] {
        let refused = matches!(&first, Err(failed) if failed.kind == Kind::Refused);
        let same = target.dialect.counts == counts && target.dialect.ignores_eos == ignores_eos;
        if refused && !same {
            target.dialect = Dialect {
                counts,
                ignores_eos,
            };
            first = ask(target, 0);
        }
    }
    let first = first.map_err(fail)?;
    if full.ignores_eos && !target.dialect.ignores_eos {
        notes.push(
            "the server refuses `ignore_eos`: answers may be shorter than asked for".to_owned(),
        );
    }
    if !first.counted {
        notes.push(
            "the server does not count tokens (stream_options.include_usage): a prompt is taken to have \
             a token a word, and an answer a token for each piece of text"
                .to_owned(),
        );
        return Ok(Counting::ASSUMED);
    }
    let second = ask(target, 1).map_err(fail)?;
    let counts = (first.prompt_tokens, second.prompt_tokens);
    let counting = match counts {
        (Some(few), Some(many)) => Counting::of((PROBE_WORDS[0], few), (PROBE_WORDS[1], many)),
        _ => None,
    };
    Ok(counting.unwrap_or_else(|| {
        notes.push(format!(
            "the server counts {} and {} tokens in texts of {} and {} words, which makes no sense: a \
             token a word is assumed",
            counts.0.unwrap_or(0),
            counts.1.unwrap_or(0),
            PROBE_WORDS[0],
            PROBE_WORDS[1]
        ));
        Counting::ASSUMED
    }))
}

fn measured(cell: Cell, load: Load) -> Measured {
    let answers = &load.answers;
    let times =
        |of: &dyn Fn(&Answer) -> Option<f64>| Times::of(answers.iter().filter_map(of).collect());
    let gaps = answers
        .iter()
        .flat_map(|answer| answer.itl_ms.iter().copied());
    let mean = |of: &dyn Fn(&Answer) -> Option<u32>| -> Option<f64> {
        let values: Option<Vec<u32>> = answers.iter().map(of).collect();
        let values = values.filter(|values| !values.is_empty())?;
        let sum: f64 = values.iter().copied().map(f64::from).sum();
        Some(sum / values.len() as f64)
    };
    let prompt = mean(&|answer| answer.prompt_tokens);
    let output = mean(&|answer| Some(answer.output_tokens));
    let counted = answers.iter().filter(|answer| answer.counted);
    let (tokens, pieces) = counted.fold((0.0, 0.0), |(tokens, pieces), answer| {
        let own = f64::from(answer.pieces());
        (tokens + f64::from(answer.output_tokens), pieces + own)
    });
    let lost = load.failed.len() as f64 + f64::from(load.not_sent);
    Measured {
        answered: answers.len() as u32,
        not_sent: load.not_sent,
        ttft_ms: times(&|answer| Some(answer.ttft_ms)),
        tpot_ms: times(&Answer::tpot_ms),
        itl_ms: Times::of(gaps.collect()),
        e2e_ms: times(&|answer| Some(answer.e2e_ms)),
        // Where the server does not count, the prompt is what was asked for.
        tokens: output.map(|output| (prompt.unwrap_or(f64::from(cell.prompt_tokens)), output)),
        tokens_per_piece: (pieces > 0.0).then(|| tokens / pieces),
        several_tokens: pieces < LEAST_PIECES * tokens,
        whole: lost <= MOST_FAILED * f64::from(cell.requests),
        failures: count(load.failed.into_iter()),
        cell,
    }
}

/// Says what was not measured as planned.
fn note(report: &mut Report, target: &Target<'_>) {
    let broken = report.cells.iter().filter(|one| !one.whole).count();
    if broken > 0 {
        report.notes.push(format!(
            "{broken} of {} loads are no measurements, since more than 5 % of their requests failed or \
             were not sent; they are in no row",
            report.cells.len()
        ));
    }
    if !target.has_time() {
        let notes = &mut report.notes;
        notes.push("the time of --max-s was over before the plan was".to_owned());
    }
    let several = report.cells.iter().filter(|one| one.several_tokens);
    let most = several.clone().filter_map(|one| one.tokens_per_piece);
    let (loads, most) = (several.count(), most.fold(0.0, f64::max));
    if loads > 0 {
        report.notes.push(format!(
            "in {loads} of {} loads, marked *, an event held several tokens (up to {} on average): their \
             TTFT is that of the first event, in which as many tokens as in the others are assumed, and \
             ITL is between events",
            report.cells.len(),
            significant(Some(most))
        ));
    }
    let uncounted = |one: &Measured| one.tokens.is_some_and(|tokens| tokens.1 < 1.0);
    if report
        .cells
        .iter()
        .any(|one| one.answered > 0 && uncounted(one))
    {
        report.notes.push(
            "the server counts no tokens of its answers (`usage` says 0): there is no time per token, and \
             its loads are in no row"
                .to_owned(),
        );
    }
    let long = |one: &Measured| {
        let tokens = one.tokens.map(|tokens| tokens.1);
        tokens.is_some_and(|tokens| tokens > 1.1 * f64::from(one.cell.output_tokens))
    };
    if report.cells.iter().any(long) {
        report.notes.push(
            "the server counts more tokens than `max_tokens` lets it write: times per token are of its own \
             count, and are in doubt"
                .to_owned(),
        );
    }
    let at_once = |one: &&Measured| one.answered > 0 && one.tpot_ms.is_none() && !uncounted(one);
    let at_once = report.cells.iter().filter(at_once).count();
    if at_once > 0 {
        report.notes.push(format!(
            "in {at_once} of {} loads every answer came in one event, which tells no time per token: they \
             are in no row",
            report.cells.len()
        ));
    }
    let short = |one: &Measured| {
        let tokens = one.tokens.map(|tokens| tokens.1);
        tokens
            .is_some_and(|tokens| (1.0..0.9 * f64::from(one.cell.output_tokens)).contains(&tokens))
    };
    if report.cells.iter().any(short) {
        report.notes.push(
            "answers were shorter than asked for: rows have the lengths that came, and users were more \
             out of step than simulated ones"
                .to_owned(),
        );
    }
}

/// A load as a row that can be fitted.
fn row(one: &Measured, given: &Measurement, report: &Report) -> Option<Measurement> {
    let (prompt, output) = one.tokens.filter(|_| one.whole)?;
    let output = output.round() as u32;
    (output >= 2).then_some(())?;
    Some(Measurement {
        model: given.model.clone().or_else(|| Some(report.model.clone())),
        prompt_tokens: Some((prompt.round() as u32).max(1)),
        output_tokens: Some(output),
        concurrency: Some(one.cell.concurrency),
        requests: Some(one.cell.requests),
        ttft_ms: Some(one.ttft_ms?.mean),
        tpot_ms: Some(one.tpot_ms?.mean),
        source: Some(match one.tokens_per_piece.filter(|_| one.several_tokens) {
            None => format!("measured: {}", report.url),
            Some(tokens) => {
                let tokens = significant(Some(tokens));
                format!("measured: {}, {tokens} tokens an event", report.url)
            }
        }),
        ..given.clone()
    })
}
