//! The step model against its floor, its affine pieces and figures worked out by hand.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use proptest::prelude::*;
use seatrial::perf::{
    AcceleratorCard, Dtype, Dtypes, Floor, MemoryPlan, ModelCard, Overheads, Parallelism,
    PerfError, PrefillChunk, StepModel, arithmetic, tokens_per_request_at,
};

fn model(name: &str) -> ModelCard {
    ModelCard::load(name, Path::new(".")).unwrap()
}

fn device(name: &str) -> AcceleratorCard {
    AcceleratorCard::load(name, Path::new(".")).unwrap()
}

fn step(name: &str, on: &str, tp: u32, dtypes: (Dtype, Dtype)) -> StepModel {
    let overheads = Overheads::default();
    let tp = Parallelism::tensor(tp);
    StepModel::new(
        &model(name),
        &device(on),
        &tp,
        dtypes.0,
        dtypes.1,
        overheads,
    )
    .unwrap()
}

const BF16: (Dtype, Dtype) = (Dtype::Bf16, Dtype::Bf16);

fn any_step() -> impl Strategy<Value = StepModel> {
    let models: Vec<_> = ModelCard::names().collect();
    let devices = vec![
        "h100-sxm",
        "a100-pcie-80gb",
        "b200-sxm",
        "mi300x",
        "l4",
        "tpu-v5e",
    ];
    let dtypes = prop::sample::select(Dtype::ALL.to_vec());
    (
        prop::sample::select(models),
        prop::sample::select(devices),
        prop::sample::select(vec![1_u32, 2, 4, 8]),
        dtypes.clone(),
        dtypes,
    )
        .prop_filter_map("tp divides the heads", |(m, a, tp, w, k)| {
            let tp = Parallelism::tensor(tp);
            StepModel::new(&model(m), &device(a), &tp, w, k, Overheads::default()).ok()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_step_beats_the_floor(
        step in any_step(),
        prefill in prop::collection::vec((1_u32..20_000, 0_u32..200_000), 0..5),
        decodes in 0_u32..2_000,
        context in 0_u64..100_000_000,
    ) {
        let prefill: Vec<_> = prefill
            .into_iter()
            .map(|(tokens, context)| PrefillChunk { tokens, context })
            .collect();
        let context = if decodes == 0 { 0 } else { context };
        let took = step.step_ns(&prefill, decodes, context);
        let floor = step.physical_floor_ns(&prefill, decodes, context);
        prop_assert!(took >= floor, "{took} < {floor}");
        prop_assert!(took.is_finite() && floor >= 0.0);
    }

    #[test]
    fn decode_pieces_equal_the_step(
        step in any_step(),
        decodes in 1_u32..2_000,
        context in 0_u64..1_000_000,
        further in 0.0_f64..1.0,
    ) {
        let piece = step.decode_piece(decodes, context);
        prop_assert!(piece.until_context >= context);
        let end = piece.until_context.min(10_000_000);
        let inside = context + ((end.max(context) - context) as f64 * further) as u64;
        for k in [context, inside, end.max(context)] {
            let want = step.step_ns(&[], decodes, k);
            let got = piece.base_ns + piece.per_context_ns * k as f64;
            prop_assert!((got / want - 1.0).abs() < 1e-9, "{got} {want} at {k}");
        }
    }

    #[test]
    fn decode_time_grows_with_sequences_and_context(
        step in any_step(),
        decodes in 1_u32..2_000,
        context in 0_u64..10_000_000,
        more in 1_u32..100_000,
    ) {
        let now = step.step_ns(&[], decodes, context);
        let slack = 1.0 - 1e-12;
        prop_assert!(step.step_ns(&[], decodes, context + u64::from(more)) >= now * slack);
        prop_assert!(step.step_ns(&[], decodes + 1 + more % 64, context) >= now * slack);
    }

    #[test]
    fn the_request_floor_is_the_sum_of_its_steps(
        step in any_step(),
        prompt in 1_u32..3_000,
        output in 1_u32..400,
    ) {
        let chunk = PrefillChunk { tokens: prompt, context: 0 };
        let ttft = step.physical_floor_ns(&[chunk], 0, 0);
        let decode: f64 = (1..output)
            .map(|j| step.physical_floor_ns(&[], 1, u64::from(prompt + j)))
            .sum();
        let (got_ttft, got_e2e) = step.request_floor_ns(prompt, output);
        prop_assert_eq!(got_ttft, ttft);
        prop_assert!((got_e2e / (ttft + decode) - 1.0).abs() < 1e-9);
    }
}

#[test]
fn gpt3_weights_take_13_ms_on_eight_h100() {
    let (m, a) = (model("gpt-3-175b"), device("h100-sxm"));
    let (weight, kv) = (Dtype::Fp16, Dtype::Fp16);
    let memory = MemoryPlan::new(
        &m,
        &a,
        Parallelism::tensor(8),
        weight,
        kv,
        0.9,
        8192,
        256,
        16,
    )
    .unwrap();
    let dtypes = Dtypes { weight, kv };
    let sheet = arithmetic(&m, &a, 8, dtypes, &memory, 1000, 200);
    for r in &sheet {
        println!(
            "{}: {} = {} = {:?} {}",
            r.name, r.formula, r.substituted, r.value, r.unit
        );
    }
    // 175e9 x 2 bytes / (8 x 3350e9 bytes/s) = 13.06 ms
    let read = sheet[0].value.unwrap();
    assert!((12.9..13.2).contains(&read), "{read}");
    assert!(
        sheet
            .iter()
            .all(|r| r.value.is_some_and(|v| v.is_finite() && v > 0.0))
    );
    // 8 x 989e12 / (2 x 174.6e9) tokens/s, over 100 requests/s
    let per_request = tokens_per_request_at(&m, &a, 8, dtypes, 100.0).unwrap();
    assert!((226.0..227.0).contains(&per_request), "{per_request}");
    assert_eq!(tokens_per_request_at(&m, &a, 8, dtypes, 0.0), None);
}

#[test]
fn llama_70b_decode_steps_have_plausible_lengths() {
    let step = step("llama-3.1-70b", "h100-sxm", 8, BF16);
    let one = step.step_ns(&[], 1, 1024) / 1e6;
    let many = step.step_ns(&[], 64, 64 * 1024) / 1e6;
    println!("batch 1: {one:.3} ms, batch 64: {many:.3} ms");
    // Weights alone at peak: 139 GB / 26.8 TB/s = 5.2 ms.
    assert!((6.0..12.0).contains(&one), "{one}");
    assert!(many > one && many < 2.0 * one, "{many}");
}

#[test]
fn a_sliding_window_bends_the_decode_time_once() {
    let step = step("gpt-oss-120b", "h100-sxm", 1, (Dtype::Fp4, Dtype::Bf16));
    let below = step.decode_piece(10, 0);
    assert_eq!(below.until_context, 1280);
    let beyond = step.decode_piece(10, 1280);
    assert_eq!(beyond.until_context, u64::MAX);
    assert!((below.per_context_ns / beyond.per_context_ns - 2.0).abs() < 1e-12);
}

#[test]
fn an_empty_step_takes_no_time() {
    let step = step("llama-3.1-8b", "h100-sxm", 1, BF16);
    assert_eq!(step.step_ns(&[], 0, 0), 0.0);
    assert_eq!(step.decode_piece(0, 5).base_ns, 0.0);
}

#[test]
fn a_prompt_split_in_chunks_takes_longer() {
    let step = step("llama-3.1-8b", "h100-sxm", 1, BF16);
    let chunk = |tokens, context| step.step_ns(&[PrefillChunk { tokens, context }], 0, 0);
    assert!(chunk(4096, 0) + chunk(4096, 4096) > chunk(8192, 0));
}

#[test]
fn more_devices_and_fewer_bytes_make_steps_shorter() {
    let at = |tp, w| step("llama-3.1-70b", "h100-sxm", tp, (w, Dtype::Bf16)).step_ns(&[], 16, 9999);
    assert!(at(8, Dtype::Bf16) < at(4, Dtype::Bf16));
    assert!(at(8, Dtype::Fp8) < at(8, Dtype::Bf16));
}

#[test]
fn impossible_tp_is_refused_with_a_remedy() {
    let fails = |m: &str, a: &str, tp| {
        let tp = Parallelism::tensor(tp);
        StepModel::new(
            &model(m),
            &device(a),
            &tp,
            Dtype::Bf16,
            Dtype::Bf16,
            Overheads::default(),
        )
        .unwrap_err()
        .to_string()
    };
    assert!(fails("llama-3.1-70b", "h100-sxm", 16).contains("1 to 8"));
    assert!(fails("llama-3.1-70b", "h100-sxm", 0).contains("`tp` is 0"));
    assert!(fails("llama-3.1-70b", "h100-sxm", 7).contains("the next lower one is 4"));
    assert!(fails("llama-3.1-8b", "inferentia2", 2).contains("scale_up_gb_per_s_per_direction"));
}

#[test]
fn the_compute_ceiling_is_flops_over_peak() {
    let (m, a) = (model("llama-3.1-8b"), device("h100-sxm"));
    let (weight, kv) = (Dtype::Bf16, Dtype::Bf16);
    let ceiling = Floor::new(&m, &a, 1, Dtypes { weight, kv }).max_requests_per_s(1, 1);
    let flops = m.matmul_flops_per_token() + m.head_flops_per_row() + m.attention_flops(1, 0);
    assert!((ceiling.by_compute_rps / (989e12 / flops) - 1.0).abs() < 1e-12);
    assert_eq!(ceiling.by_bandwidth_rps, None);
}

#[test]
fn memory_plans_fit_or_say_what_would() {
    let (m, a) = (model("llama-3.1-70b"), device("h100-sxm"));
    let plan = |tp| {
        MemoryPlan::new(
            &m,
            &a,
            Parallelism::tensor(tp),
            Dtype::Bf16,
            Dtype::Bf16,
            0.9,
            8192,
            256,
            16,
        )
    };
    let error = plan(1).unwrap_err();
    assert!(matches!(error, PerfError::DoesNotFit { .. }));
    let said = error.to_string();
    println!("{said}");
    assert!(said.contains("smallest tp that fits is 2"), "{said}");
    for tp in [4, 8] {
        let fits = plan(tp).unwrap();
        println!("tp {tp}: {fits:?}");
        assert_eq!(fits.kv_tokens, fits.kv_blocks * 16);
        let sum = fits.weight_gb_per_device
            + fits.activation_gb_per_device
            + fits.reserve_gb
            + fits.kv_gb_per_device;
        assert!((sum - a.memory_bytes() * 0.9 / 1e9).abs() < 1e-9);
    }
    assert!(plan(8).unwrap().kv_blocks > 2 * plan(4).unwrap().kv_blocks);
    let large = model("llama-3.1-405b");
    let said = MemoryPlan::new(
        &large,
        &a,
        Parallelism::tensor(8),
        Dtype::Bf16,
        Dtype::Bf16,
        0.9,
        8192,
        256,
        16,
    )
    .unwrap_err()
    .to_string();
    assert!(
        said.contains("no tp fits; use fp8 weights at tp 8"),
        "{said}"
    );
    let said = MemoryPlan::new(
        &m,
        &a,
        Parallelism::tensor(8),
        Dtype::Bf16,
        Dtype::Bf16,
        1.5,
        8192,
        256,
        16,
    )
    .unwrap_err()
    .to_string();
    assert!(said.contains("`utilization` is 1.5"), "{said}");
}

#[test]
fn provenance_marks_every_figure() {
    let rows = step("deepseek-v3", "b200-sxm", 8, (Dtype::Fp8, Dtype::Bf16)).provenance();
    assert!(
        rows.iter()
            .any(|r| r.0 == "compute_efficiency" && r.2 == "assumed")
    );
    assert!(
        rows.iter()
            .any(|r| r.0 == "accelerator.peak" && r.2.starts_with("imported"))
    );
}
