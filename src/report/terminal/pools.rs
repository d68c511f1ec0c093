//! What each pool did, and what its hardware could do.

use serde_json::Value;

use super::page::{BAR, Page, WIDTH};
use crate::experiment::result::RunResult;
use crate::report::number::{bar, count, percent, significant, wrap};

/// Stages and ranks of a replica, where there are several.
fn spread(pool: &Value) -> String {
    let several = |key: &str| pool.get(key).and_then(Value::as_u64).filter(|n| *n > 1);
    let part = |key: &str| several(key).map_or(String::new(), |n| format!(", {n} {key}"));
    part("stages") + &part("ranks")
}

/// The longest requests that the pools serve.
pub(super) fn longest_requests(page: &mut Page, result: &RunResult) {
    for pool in &result.pools {
        let text = |key: &str| pool.get(key).and_then(Value::as_str).unwrap_or_default();
        let tokens = pool.get("longest_request_tokens").and_then(Value::as_u64);
        if let Some(tokens) = tokens {
            let line = format!(
                "{} serves at most {} tokens of prompt and output: bounded by {}",
                text("name"),
                count(tokens),
                text("longest_request_bound")
            );
            page.line(&format!("  {}", wrap(&line, WIDTH, 4)));
        }
    }
}

/// What each pool did.
pub(super) fn pools(page: &mut Page, result: &RunResult) {
    page.title("Pools");
    for pool in &result.pools {
        let text = |key: &str| pool.get(key).and_then(Value::as_str).unwrap_or("");
        let number = |key: &str| pool.get(key).and_then(Value::as_f64);
        let whole = |key: &str| count(pool.get(key).and_then(Value::as_u64).unwrap_or(0));
        let share = number("utilization");
        let what = match text("engine") {
            "llm" => format!(
                "{} on {}{}",
                text("model"),
                text("accelerator"),
                spread(pool)
            ),
            _ => format!("{} server(s) each", whole("servers")),
        };
        let line = format!(
            "{}: {} replica(s), {} accelerator(s), {what}",
            text("name"),
            whole("replicas"),
            whole("accelerators")
        );
        page.line(&format!("  {}", wrap(&line, WIDTH, 4)));
        page.line(&format!(
            "    utilization {:>8}  {}",
            percent(share),
            bar(share.unwrap_or(0.0), BAR)
        ));
        let load = format!(
            "{} requests/s a replica, {} requests in the pool on average, {} ms of work a request",
            significant(number("requests_per_s_per_replica")),
            significant(number("mean_in_system")),
            significant(number("busy_ms_per_request"))
        );
        page.line(&format!("    {}", wrap(&load, WIDTH, 6)));
        if text("engine") == "llm" {
            page.line(&format!(
                "    {} iterations of {} sequences and {} ms on average, {} preemptions",
                whole("iterations"),
                significant(number("mean_sequences")),
                significant(number("mean_iteration_ms")),
                whole("preemptions")
            ));
            if let Some(length) = number("mean_acceptance_length") {
                page.line(&format!(
                    "    speculation: {} tokens a sequence and iteration on average, of {} drafts and one",
                    significant(Some(length)),
                    whole("draft_tokens")
                ));
            }
            let peak = number("kv_peak_share");
            if number("cached_tokens").unwrap_or(0.0) > 0.0 {
                page.line(&format!(
                    "    prefix cache      {:>7}  {}  of prompt tokens found",
                    percent(number("cached_share")),
                    bar(number("cached_share").unwrap_or(0.0), BAR)
                ));
            }
            if number("tier_tokens").unwrap_or(0.0) > 0.0 {
                page.line(&format!(
                    "      of these {} tokens came back from the tiers below",
                    whole("tier_tokens")
                ));
            }
            page.line(&format!(
                "    KV cache at most {:>7}  {}  of {} blocks",
                percent(peak),
                bar(peak.unwrap_or(0.0), BAR),
                whole("kv_blocks")
            ));
        } else if number("batches").unwrap_or(0.0) > 0.0 {
            let line = format!(
                "{} batches of {} requests on average; {} sent full or of a preferred size, {} when \
                 due",
                whole("batches"),
                significant(number("mean_batch")),
                whole("batches_closed_by_size"),
                whole("batches_closed_by_window")
            );
            page.line(&format!("    {}", wrap(&line, WIDTH, 4)));
        }
        kv_transfer(page, pool);
    }
    rate_matching(page, result);
    hardware(page, result);
}

fn kv_transfer(page: &mut Page, pool: &Value) {
    let Some(transfer) = pool.get("kv_transfer") else {
        return;
    };
    let number = |key: &str| transfer.get(key).and_then(Value::as_f64);
    let text = format!(
        "{} KV transfers of {} MB and {} ms on average, {} ms of it waiting for the link; {} link(s) \
         busy {}",
        count(
            transfer
                .get("transfers")
                .and_then(Value::as_u64)
                .unwrap_or(0)
        ),
        significant(number("mean_mb")),
        significant(number("mean_ms")),
        significant(number("mean_wait_ms")),
        significant(number("links")),
        percent(number("link_utilization"))
    );
    page.line(&format!("    {}", wrap(&text, WIDTH, 4)));
}

fn rate_matching(page: &mut Page, result: &RunResult) {
    let sides = &result.disaggregation;
    let number = |key: &str| sides.get(key).and_then(Value::as_f64);
    if let Some(limits) = sides.get("limits").and_then(Value::as_str) {
        let text = format!(
            "prefill is busy {} of the time and waited for {} ms on average, its links {} and {} \
             ms, decode {} and {} ms: {limits} limits",
            percent(number("prefill_utilization")),
            significant(number("prefill_mean_wait_ms")),
            percent(number("link_utilization")),
            significant(number("link_mean_wait_ms")),
            percent(number("decode_utilization")),
            significant(number("decode_mean_wait_ms"))
        );
        page.line(&format!("  {}", wrap(&text, WIDTH, 2)));
    }
}

fn hardware(page: &mut Page, result: &RunResult) {
    let pools = result.physics.get("pools").and_then(Value::as_array);
    for pool in pools.into_iter().flatten() {
        let number = |key: &str| pool.get(key).and_then(Value::as_f64);
        let name = pool.get("name").and_then(Value::as_str).unwrap_or("");
        let first = match number("ttft_floor_ms") {
            Some(ms) => format!("{} ms to its first token and ", significant(Some(ms))),
            None => String::new(),
        };
        let cached = match pool.get("floors_with_prompt_cached") {
            Some(Value::Bool(true)) => ", with all in the cache that it may have in common,",
            _ => "",
        };
        let note = wrap(
            &format!(
                "physics, {name}: of requests like those completed one replica can do at most {} \
                 requests/s; one of mean lengths alone{cached} needs at least {first}{} ms in all",
                significant(number("max_requests_per_s_per_replica")),
                significant(number("e2e_floor_ms"))
            ),
            WIDTH,
            4,
        );
        page.line(&format!("    {note}"));
    }
}
