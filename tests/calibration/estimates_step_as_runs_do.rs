//! The steps that `estimate` tells are those that a run takes: by the pool's time factors, with what its
//! engine adds, and beside the kernels where that is planned ahead.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;

use seatrial::experiment::estimate::sheets;
use seatrial::fleet::plan::EnginePlan;
use seatrial::perf::PrefillChunk;
use seatrial::scenario::resolve::{Plan, resolve};
use seatrial::scenario::{Document, SourceText};

fn plan(pool: &str) -> Plan {
    let text = format!(
        r#"
        name = "steps"
        run = {{ horizon_s = 30 }}
        workload.arrivals = {{ process = "poisson", rate_per_s = 2 }}
        workload.prompt_tokens = {{ law = "constant", tokens = 700 }}
        workload.output_tokens = {{ law = "constant", tokens = 100 }}
        [[pools]]
        name = "llama"
        engine = "llm"
        model = "llama-3.1-8b"
        accelerator = "h100-sxm"
        overhead_fixed_us = 1000
        overhead_per_seq_us = 10
        {pool}
        "#
    );
    let document = Document::parse(SourceText::new("steps.toml", text.as_str())).unwrap();
    resolve(&document, Path::new("")).unwrap()
}

/// Milliseconds of a prompt's step and of a decode step by the kernels.
fn told(plan: &Plan) -> [f64; 2] {
    ["step of a prompt", "step of 32 sequences"].map(|begin| {
        let all = sheets(plan);
        let mut rows = all.iter().flat_map(|sheet| &sheet.rows);
        let row = rows.find(|row| row.name.starts_with(begin) && row.name.ends_with("by kernels"));
        row.unwrap().value.unwrap()
    })
}

/// The same as the simulated pool takes them.
fn taken(plan: &Plan) -> [f64; 2] {
    let EnginePlan::Llm { step, .. } = &plan.fleet.pools[0].engine else {
        return [f64::NAN; 2];
    };
    let chunk = PrefillChunk {
        tokens: 700,
        context: 0,
    };
    [
        step.step_ns(&[chunk], 0, 0),
        step.step_ns(&[], 32, 32 * 750),
    ]
    .map(|ns| ns / 1e6)
}

#[test]
fn factors_and_overheads_are_in_the_steps_of_an_estimate() {
    let plain = told(&plan(""));
    for pool in [
        "",
        "prefill_time_factor = 1.5\ndecode_time_factor = 2.0",
        "overhead_per_prompt_token_us = 10",
        "async_scheduling = true\ndecode_time_factor = 1.5",
    ] {
        let plan = plan(pool);
        assert_eq!(told(&plan), taken(&plan), "{pool}");
    }
    // Kernels take twice as long, the engine's 1 ms and 32 x 10 us do not.
    let [prompt, decode] = told(&plan("prefill_time_factor = 1.5\ndecode_time_factor = 2.0"));
    let near = |one: f64, other: f64| (one - other).abs() < 1e-5 * other;
    assert!(
        near(decode - 1.32, 2.0 * (plain[1] - 1.32)),
        "{decode} {plain:?}"
    );
    assert!(
        near(prompt - 1.01, 1.5 * (plain[0] - 1.01)),
        "{prompt} {plain:?}"
    );
}
