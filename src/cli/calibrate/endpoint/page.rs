//! Plans and measurements of an endpoint as pages and documents.

use serde_json::{Value, json};

use super::super::fit_page::page as fit_page;
use crate::calibrate::endpoint::measure::{Measured, Report, Times};
use crate::calibrate::endpoint::plan::Plan;
use crate::calibrate::engine::fitted::Fit;
use crate::cli::Failure;
use crate::cli::closed_loop::lines;
use crate::report::number::{WIDTH, count, significant, wrap};

/// Why there is nothing to show.
pub(super) fn nothing(report: &Report) -> String {
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

pub(super) fn document(
    report: &Report,
    fit: Option<&Result<Fit, Failure>>,
    failed: &[String],
) -> Value {
    let (fit, why) = match fit {
        None => (Value::Null, Some("--accelerator was not given".to_owned())),
        Some(Ok(fit)) => (json!(fit), None),
        Some(Err(failure)) => (Value::Null, Some(failure.to_string())),
    };
    json!({ "schema": 1, "measured": report, "fit": fit, "not_fitted": why, "failed": failed })
}

pub(super) fn plan_page(url: &str, plan: &Plan) -> String {
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

pub(super) fn page(report: &Report, fit: Option<&Result<Fit, Failure>>) -> String {
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

/// What marks times per token that are not of every token's own event.
fn mark(one: &Measured) -> &'static str {
    if one.several_tokens { "*" } else { "" }
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
            of(one.tpot_ms, |times| times.mean) + mark(one),
            of(one.itl_ms, |times| times.p50),
            of(one.itl_ms, |times| times.p99),
            of(one.e2e_ms, |times| times.mean),
        ]
    }));
    table
}
