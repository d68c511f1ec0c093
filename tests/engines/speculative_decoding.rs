//! Speculative decoding: what its law, its blocks and its step times promise.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use std::path::Path;

use common::{plan_of, run_rows, simulate};
use seatrial::experiment::runner::{Control, run_scenario};
use seatrial::fleet::outcome::RequestRow;
use seatrial::perf::{AcceleratorCard, Dtype, Dtypes, Floor, ModelCard, PrefillChunk};
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::{Document, SourceText};

/// A pool of one Llama-3.1-8B, with `output` output tokens a request.
fn scenario(rate: f64, output: u32, horizon_s: u32, pool: &str) -> String {
    format!(
        r#"
name = "drafts"
[run]
horizon_s = {horizon_s}
warmup_s = 0
[workload]
arrivals = {{ process = "poisson", rate_per_s = {rate} }}
prompt_tokens = {{ law = "constant", tokens = 100 }}
output_tokens = {{ law = "constant", tokens = {output} }}
[[pools]]
name = "llm"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
{pool}
"#
    )
}

fn drafts(k: u32, acceptance: f64) -> String {
    format!(
        "speculative = {{ draft_tokens = {k}, acceptance = {acceptance:?}, draft_us_per_token = 50 }}"
    )
}

/// What a request is and got, whatever the time it took.
fn lengths(rows: &[RequestRow]) -> Vec<(u64, u64, u32, u32, &str)> {
    rows.iter()
        .map(|row| {
            (
                row.id,
                row.arrival_ns,
                row.prompt_tokens,
                row.output_tokens,
                row.status,
            )
        })
        .collect()
}

#[test]
fn acceptance_0_gives_one_token_a_step_and_acceptance_1_gives_k_and_one() {
    // 1 + 200 tokens: 200 steps of one, or 40 of five.
    for (acceptance, steps) in [(0.0, 200), (1.0, 40)] {
        // All end before the horizon.
        let text = scenario(0.5, 201, 100, &drafts(4, acceptance)).replacen(
            "[workload]\n",
            "[workload]\nmax_requests = 30\n",
            1,
        );
        let (rows, mut simulation) = simulate(&text);
        let done = rows.iter().filter(|row| row.status == "completed").count() as u64;
        assert!(done > 10 && done == rows.len() as u64);
        let meter = simulation.world.pool_meter(0);
        assert_eq!(meter.verified, done * steps);
        assert_eq!(meter.decode_tokens, done * 200);
        let accepted = if acceptance == 0.0 { 0 } else { 4 };
        assert_eq!(meter.accepted_drafts, meter.verified * accepted);
    }
}

#[test]
fn tokens_a_step_have_the_mean_of_the_truncated_geometric_law() {
    for (k, a) in [(4, 0.7_f64), (1, 0.5), (8, 0.9)] {
        let plan = plan_of(&scenario(4.0, 300, 20, &drafts(k, a)));
        let means: Vec<f64> = (0..12)
            .map(|replication| {
                let mut simulation = run_rows(&plan, replication, |_| {});
                let meter = simulation.world.pool_meter(0);
                1.0 + meter.accepted_drafts as f64 / meter.verified as f64
            })
            .collect();
        let n = means.len() as f64;
        let mean = means.iter().sum::<f64>() / n;
        let variance = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let expected = (1.0 - a.powf(f64::from(k) + 1.0)) / (1.0 - a);
        // Student's t with 11 degrees of freedom at 99.9 %, two-sided.
        let limit = 4.437 * (variance / n).sqrt();
        assert!(
            (mean - expected).abs() < limit && limit < 0.02 * expected,
            "k {k}, a {a}: {mean} is not {expected} +- {limit}"
        );
    }
}

#[test]
fn answers_are_as_long_as_without_drafts() {
    let plain = scenario(6.0, 77, 20, "");
    let (without, _) = simulate(&plain);
    let (with, mut simulation) = simulate(&scenario(6.0, 77, 20, &drafts(5, 0.8)));
    assert_eq!(lengths(&without), lengths(&with));
    let meter = simulation.world.pool_meter(0);
    // Those that ended after the horizon are not in the meter.
    assert!(meter.decode_tokens <= with.len() as u64 * 76);
}

#[test]
fn a_request_alone_takes_the_steps_that_its_model_and_its_drafts_take() {
    let text = scenario(0.05, 41, 100, &drafts(3, 1.0));
    let (rows, simulation) = simulate(&text);
    let plan = plan_of(&text);
    let step = &plan.llm[0].as_ref().unwrap().step;
    let overhead_ns = step.overheads().per_seq_us * 1e3;
    // Four rows read the KV once: four sequences that share it, with one sequence's overhead; and
    // three drafts of 50 us.
    let verify = |context: u64| {
        let read_once = step.step_ns(&[], 4, context) - 3.0 * overhead_ns;
        let chunk = PrefillChunk {
            tokens: 4,
            context: context as u32,
        };
        read_once.max(step.step_ns(&[chunk], 0, 0)) + 150_000.0
    };
    let decode_ns: u64 = (0..10).map(|i| verify(100 + 4 * i).round() as u64).sum();
    let row = &rows[0];
    assert_eq!(
        row.last_token_ns.unwrap() - row.first_token_ns.unwrap(),
        decode_ns
    );
    assert_eq!(
        simulation.world.meters.tpot.histogram.count(),
        rows.len() as u64
    );
    let tpot = simulation.world.meters.tpot.histogram.mean_ns().unwrap();
    // Requests that meet share their steps: TPOT is close to that of one alone.
    assert!((tpot / (decode_ns as f64 / 40.0) - 1.0).abs() < 0.05);
}

#[test]
fn a_draft_model_takes_k_steps_of_its_own_and_part_of_the_memory() {
    let pool = |draft: &str| {
        format!(
            "model = \"llama-3.1-70b\"\ntp = 4\n\
             speculative = {{ draft_tokens = 4, acceptance = 1.0, {draft} }}"
        )
    };
    let text = |draft: &str| {
        scenario(0.01, 51, 300, &pool(draft)).replacen("model = \"llama-3.1-8b\"\n", "", 1)
    };
    let with_model = text("draft_model = \"llama-3.1-8b\"");
    let plan = plan_of(&with_model);
    let facts = plan.llm[0].as_ref().unwrap();
    let draft = &facts.draft.as_ref().unwrap().step;
    let (rows, _) = simulate(&with_model);
    let (free, _) = simulate(&text("draft_us_per_token = 0"));
    let decode = |row: &RequestRow| row.last_token_ns.unwrap() - row.first_token_ns.unwrap();
    let drafting: f64 = (0..10)
        .map(|i| {
            let context = 100 + 5 * i;
            draft.step_ns(&[], 1, context) + 3.0 * draft.step_ns(&[], 1, context + 2)
        })
        .sum();
    let more = (decode(&rows[0]) - decode(&free[0])) as f64;
    assert!((more - drafting).abs() < 20.0, "{more} is not {drafting}");
    let alone = plan_of(&text("draft_us_per_token = 0"));
    let alone = alone.llm[0].as_ref().unwrap();
    // 16 GB of weights, and 32 layers of KV beside 80 of like width.
    let (both, all) = (facts.kv_blocks as f64, alone.kv_blocks as f64);
    let blocks_of = |gb: f64, layers: f64| gb / layers;
    let expected = blocks_of(alone.memory.kv_gb_per_device - 16.06 / 4.0, 112.0)
        / blocks_of(alone.memory.kv_gb_per_device, 80.0);
    assert!(
        (both / all / expected - 1.0).abs() < 0.01,
        "{} {expected}",
        both / all
    );
}

#[test]
fn without_drafts_nothing_is_said_of_them_and_nothing_changes() {
    let json = |pool: &str| {
        let text = scenario(6.0, 60, 20, pool);
        let document = Document::parse(SourceText::new("off.toml", text)).unwrap();
        let outcome = run_scenario(&document, Path::new(""), Control::default()).unwrap();
        serde_json::to_value(&outcome.result).unwrap()
    };
    // Times that no new measurement changes.
    let pinned = "step_model = \"roofline\"\noverhead_fixed_us = 1000\noverhead_per_seq_us = 5\n\
                  kv_blocks = 100";
    let off = json(pinned);
    // A digest that an engine without any notion of drafts gave.
    assert_eq!(off["digest"], OFF_DIGEST, "off is no longer off");
    assert!(off["pools"][0].get("mean_acceptance_length").is_none());
    assert!(off["pools"][0].get("draft_tokens").is_none());
    let on = json(&format!("{pinned}\n{}", drafts(2, 1.0)));
    assert_eq!(on["pools"][0]["mean_acceptance_length"], 3.0);
    assert_eq!(on["requests"]["arrived"], off["requests"]["arrived"]);
}

/// Of the run above, before there was speculative decoding.
const OFF_DIGEST: &str = "b1484ad1db2ab2d3";

#[test]
fn a_shortage_of_blocks_preempts_and_ends_and_conserves_them() {
    for policy in ["fcfs", "priority"] {
        for (prefix_caching, scheduler, k) in [
            (false, "vllm_v1", 4),
            (true, "vllm_v1", 7),
            (true, "sarathi", 15),
        ] {
            let pool = format!(
                "kv_blocks = 60\nblock_size = 8\nmax_num_seqs = 32\nmax_num_batched_tokens = 640\n\
                 scheduling_policy = \"{policy}\"\nscheduler = \"{scheduler}\"\n\
                 prefix_caching = {prefix_caching}\n{}",
                drafts(k, 0.6)
            );
            let (rows, mut simulation) = simulate(&scenario(20.0, 150, 10, &pool));
            assert!(rows.iter().all(|row| row.status == "completed"));
            let meter = simulation.world.pool_meter(0);
            assert!(meter.preemptions > 20, "{}", meter.preemptions);
            assert!(meter.kv_blocks_most <= 60 && meter.kv_blocks_most > 50);
            // Checked at every event in debug builds, and here at the end.
            assert_eq!(simulation.check(), Ok(()));
        }
    }
}

#[test]
fn an_engine_that_plans_ahead_speculates_too() {
    let pool = |ahead: bool| format!("async_scheduling = {ahead}\n{}", drafts(4, 0.7));
    let mean_ns = |ahead| {
        let (rows, simulation) = simulate(&scenario(6.0, 77, 20, &pool(ahead)));
        assert!(rows.iter().all(|row| row.status == "completed"));
        simulation.world.meters.tpot.histogram.mean_ns().unwrap()
    };
    // The engine's own work is hidden behind the kernels.
    assert!(mean_ns(true) < mean_ns(false));
}

#[test]
fn a_pool_that_only_decodes_speculates_on_what_it_is_given() {
    let pools = |drafts: &str| {
        let decode = format!("role = \"decode\"\nkv_blocks = 60\nmax_num_seqs = 32\n{drafts}");
        let mut text = scenario(8.0, 200, 10, &decode).replacen(
            "[workload]\n",
            "[workload]\nmax_requests = 40\n",
            1,
        );
        text.push_str(
            "[[pools]]\nname = \"first\"\nengine = \"llm\"\nrole = \"prefill\"\n\
             model = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"\n",
        );
        text
    };
    let (without, _) = simulate(&pools(""));
    let (with, mut simulation) = simulate(&pools(&drafts(4, 0.7)));
    assert_eq!(lengths(&without), lengths(&with));
    assert!(with.iter().all(|row| row.status == "completed"));
    let meter = simulation.world.pool_meter(0);
    assert!(meter.accepted_drafts > 0 && meter.kv_blocks_most <= 60);
}

#[test]
fn a_request_that_just_fits_is_served_whatever_the_drafts() {
    // 250 tokens fill 32 blocks of 8 but for 6: no room for 16 rows at its end.
    let pool = format!("kv_blocks = 32\nblock_size = 8\n{}", drafts(15, 0.9));
    let (rows, mut simulation) = simulate(&scenario(3.0, 150, 10, &pool));
    assert!(rows.iter().all(|row| row.status == "completed"));
    assert!(simulation.world.pool_meter(0).kv_blocks_most <= 32);
}

#[test]
fn the_floor_of_a_request_counts_the_steps_that_drafts_leave() {
    let accelerator = AcceleratorCard::load("h100-sxm", Path::new("")).unwrap();
    let dtypes = Dtypes {
        weight: Dtype::Bf16,
        kv: Dtype::Bf16,
    };
    for card in ["llama-3.1-70b", "gpt-oss-120b"] {
        let model = ModelCard::load(card, Path::new("")).unwrap();
        let floor = Floor::new(&model, &accelerator, 4, dtypes);
        for (prompt, output) in [(1, 2), (100, 1), (1000, 500), (60_000, 37), (3, 4000)] {
            let plain = floor.request_floor_ns(prompt, output);
            let (_, one) = floor.speculative_request_floor_ns(prompt, output, 1);
            assert!((one / plain.1 - 1.0).abs() < 1e-12);
            let ceiling = floor.max_requests_per_s(prompt, output);
            for most in [2, 3, 5, 9, 65] {
                let (ttft, e2e) = floor.speculative_request_floor_ns(prompt, output, most);
                assert_eq!(ttft, plain.0);
                assert!(e2e <= plain.1);
                // Any way of making the tokens takes longer: all drafts accepted and the odd ones
                // first, or last.
                let steps = (output - 1).div_ceil(most);
                let odd = output - 1 - steps.saturating_sub(1) * most;
                for odd_first in [false, true] {
                    let (mut made, mut ns) = (0, ttft);
                    for step in 0..steps {
                        let context = u64::from(prompt) + 1 + u64::from(made);
                        ns += floor.physical_floor_ns(&[], 1, context);
                        made += if odd_first && step == 0 { odd } else { most };
                    }
                    assert!(e2e <= ns * (1.0 + 1e-12), "{card} {prompt} {output} {most}");
                    assert!(
                        ns - e2e < 0.35 * ns,
                        "loose: {card} {prompt} {output} {most}"
                    );
                }
                let spec = floor.speculative_max_requests_per_s(prompt, output, most);
                assert_eq!(spec.by_compute_rps, ceiling.by_compute_rps);
                if let (Some(spec), Some(plain)) = (spec.by_bandwidth_rps, ceiling.by_bandwidth_rps)
                {
                    assert!(spec >= plain * (1.0 - 1e-12));
                    assert!(spec <= plain * f64::from(most) * 1.2);
                }
            }
        }
    }
}

#[test]
fn a_claim_that_only_drafts_make_true_is_not_called_impossible() {
    // One request at a time on the bare roofline: one token a step cannot be as fast as this.
    let mut text = scenario(0.2, 400, 2000, "model = \"llama-3.1-70b\"\ntp = 8\nstep_model = \"roofline\"\noverhead_fixed_us = 0\noverhead_per_seq_us = 0\nspeculative = { draft_tokens = 8, acceptance = 1.0, draft_us_per_token = 0 }")
        .replacen("model = \"llama-3.1-8b\"\n", "", 1);
    text.push_str("[[claims]]\nid = \"fast\"\ntext = \"fast\"\nmetric = \"latency.e2e_ms.mean\"\nat_most = 1300\n");
    let plain = text.replace("speculative = {", "# {");
    for (text, verdict) in [(text, "holds"), (plain, "impossible")] {
        let document = Document::parse(SourceText::new("fast.toml", text)).unwrap();
        let outcome = run_scenario(&document, Path::new(""), Control::default()).unwrap();
        let result = serde_json::to_value(&outcome.result).unwrap();
        assert_eq!(
            result["claims"][0]["verdict"], verdict,
            "{}",
            result["claims"][0]
        );
    }
}

#[test]
fn a_step_that_verifies_takes_no_less_than_the_hardware_needs() {
    for card in [
        "llama-3.1-8b",
        "deepseek-v3",
        "gpt-oss-120b",
        "qwen3-30b-a3b",
    ] {
        let tp = if card == "deepseek-v3" { 8 } else { 1 };
        let text = scenario(
            1.0,
            10,
            10,
            &format!("model = \"{card}\"\ntp = {tp}\n{}", drafts(4, 0.5)),
        )
        .replacen("model = \"llama-3.1-8b\"\n", "", 1)
        .replacen("h100-sxm", "h200-sxm", 1);
        let plan = plan_of(&text);
        let seatrial::fleet::plan::EnginePlan::Llm { step, .. } = &plan.fleet.pools[0].engine
        else {
            panic!("no engine");
        };
        for count in [1, 7, 64, 200] {
            for context in [0, 100, 5_000, 60_000] {
                for prompts in [0, 1] {
                    let mut chunks = vec![PrefillChunk { tokens: 5, context }; count];
                    if prompts == 1 {
                        chunks.insert(
                            0,
                            PrefillChunk {
                                tokens: 300,
                                context: 40,
                            },
                        );
                    }
                    let ns = step.verify_ns(&chunks, prompts, 0.0);
                    assert!(ns >= step.physical_floor_ns(&chunks, 0, 0));
                    // Nor less than a step that makes one token of each.
                    let all = u64::from(context) * count as u64;
                    let plain = step.step_ns(&chunks[..prompts], count as u32, all);
                    assert!(
                        ns >= plain * 0.98,
                        "{card} {count} {context}: {ns} < {plain}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_value_out_of_range_is_refused_with_its_line_and_a_remedy() {
    let refused = |speculative: &str, parts: &[&str]| {
        let text = scenario(1.0, 10, 10, speculative);
        let document = Document::parse(SourceText::new("s.toml", text)).unwrap();
        let message = resolve(&document, Path::new("")).unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "no {part:?} in {message}");
        }
    };
    let with = |fields: &str| format!("speculative = {{ {fields} }}");
    refused(
        &with("draft_tokens = 0, acceptance = 0.5, draft_us_per_token = 1"),
        &[
            "s.toml:15",
            "pools.llm.speculative.draft_tokens",
            "0",
            "1 to 64",
        ],
    );
    refused(
        &with("draft_tokens = 4, acceptance = 1.5, draft_us_per_token = 1"),
        &[
            "s.toml:15",
            "pools.llm.speculative.acceptance",
            "1.5",
            "0 to 1",
        ],
    );
    refused(
        &with("draft_tokens = 4, acceptance = 0.5, draft_us_per_token = -1"),
        &["pools.llm.speculative.draft_us_per_token", "-1"],
    );
    refused(
        &with("draft_tokens = 4, acceptance = 0.5"),
        &[
            "pools.llm.speculative",
            "must state draft_model or draft_us_per_token",
        ],
    );
    refused(
        &with(
            "draft_tokens = 4, acceptance = 0.5, draft_model = \"llama-2-7b\", draft_us_per_token = 1",
        ),
        &["cannot be stated beside draft_model", "remove one"],
    );
    refused(
        &with("draft_tokens = 4, acceptance = 0.5, draft_model = \"lama-3.1-8b\""),
        &["s.toml:15", "speculative.draft_model", "lama-3.1-8b"],
    );
    refused(
        &with("draft_tokens = 4, acceptance = 0.5, draft_model = \"qwen3-30b-a3b\""),
        &["speculative.draft_model", "vocabulary", "128256", "151936"],
    );
    refused(
        &with("draft_tokens = 4, acceptance = 0.5, draft_model = \"llama-3.1-70b\""),
        &[
            "speculative.draft_model",
            "must fit beside llama-3.1-8b",
            "raise tp",
        ],
    );
    refused(
        &format!(
            "max_num_batched_tokens = 512\n{}",
            with("draft_tokens = 4, acceptance = 0.5, draft_us_per_token = 1")
        ),
        &["max_num_batched_tokens", "512", "1,280"],
    );
    refused(
        &format!(
            "scheduler = \"vllm_v0\"\n{}",
            with("draft_tokens = 4, acceptance = 0.5, draft_us_per_token = 1")
        ),
        &["pools.llm.speculative", "is not an option of `vllm_v0`"],
    );
    refused(
        &with("draft_tokens = 4, acceptance = 0.5, draft_us_per_token = 1, tokens = 3"),
        &["tokens"],
    );
}
