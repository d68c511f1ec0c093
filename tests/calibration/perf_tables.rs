//! Steps from measured kernels: what was measured comes back as it is, nothing beats physics, and
//! the whole agrees with a published estimator on the same measurements.

#![allow(clippy::unwrap_used)]

use crate::common;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use seatrial::measure::CpuClock;
use seatrial::perf::tables::{
    AttentionKey, ExpertsKey, KernelBackend, KernelDtype, KernelTables, Spread,
};
use seatrial::perf::{
    AcceleratorCard, Dtype, ModelCard, Overheads, Parallelism, PrefillChunk, StepModel,
};
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::{Document, SourceText};

fn model(name: &str) -> ModelCard {
    ModelCard::load(name, Path::new(".")).unwrap()
}

fn device(name: &str) -> AcceleratorCard {
    AcceleratorCard::load(name, Path::new(".")).unwrap()
}

fn step_of(
    model: &ModelCard,
    on: &str,
    tp: u32,
    (weight, kv): (Dtype, Dtype),
    backend: KernelBackend,
) -> Option<StepModel> {
    StepModel::new(
        model,
        &device(on),
        &Parallelism::tensor(tp),
        weight,
        kv,
        Overheads::default(),
    )
    .ok()
    .map(|step| step.with_tables(Some(backend)).unwrap())
}

const MEASURED: [(&str, &str); 8] = [
    ("a100-sxm-80gb", "a100_sxm"),
    ("b200-sxm", "b200_sxm"),
    ("b300-sxm", "b300_sxm"),
    ("gb200-nvl72", "gb200"),
    ("gb300-nvl72", "gb300"),
    ("h100-sxm", "h100_sxm"),
    ("h200-sxm", "h200_sxm"),
    ("l40s", "l40s"),
];

/// A step model with tables: any model, device with tables, backend, TP and number types.
fn any_step() -> impl Strategy<Value = StepModel> {
    let models: Vec<_> = ModelCard::names().collect();
    let dtypes = prop::sample::select(Dtype::ALL.to_vec());
    (
        prop::sample::select(models),
        prop::sample::select(MEASURED.to_vec()),
        prop::sample::select(vec![1_u32, 2, 4, 8]),
        (dtypes.clone(), dtypes),
        prop::sample::select(KernelBackend::ALL.to_vec()),
    )
        .prop_filter_map("tp divides the heads", |(m, (a, _), tp, dtypes, b)| {
            step_of(&model(m), a, tp, dtypes, b)
        })
}

fn chunks(list: &[(u32, u32)]) -> Vec<PrefillChunk> {
    list.iter()
        .map(|&(tokens, context)| PrefillChunk { tokens, context })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_step_beats_physics(
        step in any_step(),
        prefill in prop::collection::vec((1_u32..20_000, 0_u32..200_000), 0..5),
        decodes in 0_u32..2_000,
        context in 0_u64..100_000_000,
    ) {
        let prefill = chunks(&prefill);
        let context = if decodes == 0 { 0 } else { context };
        let took = step.step_ns(&prefill, decodes, context);
        let floor = step.physical_floor_ns(&prefill, decodes, context);
        prop_assert!(took >= floor && took.is_finite(), "{took} < {floor}");
        prop_assert!(step.roofline_ns(&prefill, decodes, context) >= floor);
    }

    #[test]
    fn decode_pieces_equal_the_step(
        step in any_step(),
        decodes in 1_u32..2_000,
        mean in 0_u64..100_000,
        further in 0.0_f64..1.0,
    ) {
        let context = u64::from(decodes) * mean;
        let piece = step.decode_piece(decodes, context);
        prop_assert!(piece.until_context >= context);
        let end = piece.until_context.min(1_000_000_000).max(context);
        let inside = context + ((end - context) as f64 * further) as u64;
        for k in [context, inside, end] {
            let want = step.step_ns(&[], decodes, k);
            let got = piece.base_ns + piece.per_context_ns * k as f64;
            prop_assert!((got / want - 1.0).abs() < 1e-9, "{got} {want} at {k}");
        }
    }

    #[test]
    fn decode_pieces_go_on_to_the_end(step in any_step(), decodes in 1_u32..2_000) {
        let mut context = 0;
        for pieces in 1.. {
            let piece = step.decode_piece(decodes, context);
            if piece.until_context == u64::MAX {
                break;
            }
            context = piece.until_context.max(context + 1);
            prop_assert!(pieces < 100, "at {context}");
        }
    }

    #[test]
    fn decode_time_grows_with_context(
        step in any_step(),
        decodes in 1_u32..2_000,
        context in 0_u64..10_000_000,
        more in 1_u64..10_000_000,
    ) {
        let now = step.step_ns(&[], decodes, context);
        prop_assert!(step.step_ns(&[], decodes, context + more) >= now * (1.0 - 1e-12));
    }

    #[test]
    fn a_chunk_takes_longer_after_more_context(
        step in any_step(),
        tokens in 1_u32..8_192,
        context in 0_u32..60_000,
    ) {
        let at = |context| step.step_ns(&chunks(&[(tokens, context)]), 0, 0);
        // Measurements at neighbouring lengths differ by noise: a scan over all tables, models and number
        // types found steps of up to 6.5 % down.
        prop_assert!(at(context + context / 2 + 512) >= at(context) * 0.92);
    }
}

#[test]
fn measured_products_come_back_as_they_are() {
    let mut seen = 0;
    for (name, system) in MEASURED {
        let card = device(name);
        let (flops, bytes) = (card.bf16_dense_tflops * 1e3, card.bandwidth_gb_per_s);
        for backend in KernelBackend::ALL {
            let tables = KernelTables::builtin(system, backend).unwrap();
            assert_eq!(
                (tables.system.as_str(), tables.backend.as_str()),
                (system, backend.name())
            );
            for (dtype, m, n, k, us) in tables.gemm.measurements().step_by(37) {
                assert_eq!(tables.gemm.measured_us(dtype, m, n, k), Some(us));
                let read = tables.gemm.us(dtype, (m, n, k), flops, bytes).unwrap();
                assert!(
                    (read / us - 1.0).abs() < 1e-12,
                    "{read} {us} at {m} {n} {k}"
                );
                seen += 1;
            }
        }
    }
    println!("{seen} products");
    assert!(seen > 10_000);
}

/// Figures of the tables as published, looked up by hand.
#[test]
fn tables_hold_what_was_published() {
    let tables = KernelTables::builtin("h100_sxm", KernelBackend::Trtllm).unwrap();
    let gemm = |m, n, k| tables.gemm.measured_us(KernelDtype::Bf16, m, n, k);
    assert_eq!(gemm(1, 256, 256), Some(3.003));
    assert_eq!(gemm(1, 256, 512), Some(3.38));
    let key = AttentionKey {
        query: KernelDtype::Bf16,
        kv: KernelDtype::Bf16,
        heads: 4,
        kv_heads: 1,
        head_dim: 128,
        window: 0,
    };
    assert_eq!(tables.prefill.measured_us(&key, 1, 1), Some(13.109));
    assert_eq!(tables.decode.measured_us(&key, 1, 2), Some(9.056));
    let experts = ExpertsKey {
        dtype: KernelDtype::Bf16,
        hidden: 4096,
        width: 14336,
        per_token: 2,
        experts: 8,
        tp: 2,
        ep: 1,
        spread: Spread::PowerLaw,
    };
    assert!(tables.moe.measured_us(&experts, 1).is_some());
    // Part of each product at fp8 there, and of none elsewhere.
    assert!(
        tables
            .gemm
            .scale_us(1, 8192)
            .is_some_and(|us| (6.0..9.0).contains(&us))
    );
    let sglang = KernelTables::builtin("h100_sxm", KernelBackend::Sglang).unwrap();
    assert_eq!(sglang.gemm.scale_us(1, 8192), None);
    assert_eq!(sglang.allreduce.measured_us(3, 128), None);
    assert!(sglang.allreduce.measured_us(2, 128).is_some());
}

/// How much longer an iteration takes in which 16 of 128 rows are a prompt: its attention.
fn attention_of_a_prompt_beside_decodes(on: &str, backend: KernelBackend) -> f64 {
    let bf16 = (Dtype::Bf16, Dtype::Bf16);
    let step = step_of(&model("llama-3.1-8b"), on, 1, bf16, backend).unwrap();
    let mixed = step.step_ns(&chunks(&[(16, 0)]), 112, 112 * 600);
    mixed - step.step_ns(&[], 128, 112 * 600)
}

#[test]
fn prompts_share_the_launch_of_attention_where_the_engine_has_one_kernel_for_all() {
    let shared = attention_of_a_prompt_beside_decodes("h100-sxm", KernelBackend::Vllm);
    let apart = attention_of_a_prompt_beside_decodes("b200-sxm", KernelBackend::Vllm);
    let own = attention_of_a_prompt_beside_decodes("h100-sxm", KernelBackend::Trtllm);
    // 32 layers of a kernel of several microseconds.
    assert!(shared < 100e3, "{shared}");
    assert!(apart > 150e3, "{apart}");
    assert!(own > 150e3, "{own}");
}

#[test]
fn rotations_are_added_where_attention_was_measured_without() {
    let bf16 = (Dtype::Bf16, Dtype::Bf16);
    let rotated = model("llama-3.1-8b");
    let biased = ModelCard {
        alibi: true,
        ..rotated.clone()
    };
    let rotation = |backend| {
        let [with, without] = [&rotated, &biased].map(|card| {
            let step = step_of(card, "h100-sxm", 1, bf16, backend).unwrap();
            step.step_ns(&[], 1, 100)
        });
        with - without
    };
    // A kernel in each of 32 layers: 3 us, and 40 heads of 128 values read and written.
    let expected = 32.0 * (3e3 + 4.0 * 40.0 * 128.0 / (0.8 * 3350.0));
    assert!((rotation(KernelBackend::Vllm) - expected).abs() < 1.0);
    assert!((rotation(KernelBackend::Sglang) - expected).abs() < 1.0);
    assert_eq!(rotation(KernelBackend::Trtllm), 0.0);
}

#[test]
fn a_bad_choice_of_a_kernel_stays_with_its_shape() {
    // vLLM's 12,288 x 8,192 product on H100 takes 85 us at 48 and 80 rows and 69 at 64 and 96.
    let tables = KernelTables::builtin("h100_sxm", KernelBackend::Vllm).unwrap();
    let us = |m, n| {
        tables
            .gemm
            .us(KernelDtype::Bf16, (m, n, 8192), 989e3, 3350.0)
    };
    let own = [48, 64, 80, 96].map(|m| us(m, 12_288).unwrap());
    assert!(own[0] > 1.15 * own[1] && own[2] > 1.15 * own[3]);
    // Nor is a product that was not measured a fast one: L40S at 160 rows and 57,344 columns.
    let l40s = KernelTables::builtin("l40s", KernelBackend::Vllm).unwrap();
    let wide = [129, 160, 192].map(|m| {
        let us = l40s
            .gemm
            .us(KernelDtype::Fp8, (m, 57_344, 8192), 733e3, 864.0);
        us.unwrap()
    });
    // Its neighbour lacks 160 rows, and takes as long there as at 129 and 192.
    assert!(
        wide[1] > 0.999 * wide[0] && wide[1] < 1.2 * wide[2],
        "{wide:?}"
    );
    let between: Vec<f64> = (1..=256).map(|m| us(m, 14_336).unwrap()).collect();
    for (at, pair) in between.windows(2).enumerate() {
        assert!(pair[1] > 0.985 * pair[0], "{} rows: {pair:?}", at + 1);
    }
}

#[test]
fn a_gpt3_prompt_takes_as_long_as_its_kernels() {
    let gpt3 = model("gpt-3-175b");
    for backend in KernelBackend::ALL {
        let fp16 = (Dtype::Fp16, Dtype::Fp16);
        let step = step_of(&gpt3, "h100-sxm", 8, fp16, backend).unwrap();
        let ms = step.step_ns(&chunks(&[(128, 0)]), 0, 0) / 1e6;
        let roof = step.roofline_ns(&chunks(&[(128, 0)]), 0, 0) / 1e6;
        println!("{backend}: {ms:.2} ms by kernels, {roof:.2} ms by the roofline");
        assert!((23.0..31.0).contains(&ms), "{ms}");
        for row in step
            .provenance()
            .iter()
            .filter(|row| row.0.starts_with("kernels"))
        {
            println!("    {row:?}");
        }
    }
}

#[test]
fn what_no_table_has_is_the_roofline_and_says_so() {
    let step = step_of(
        &model("llama-3.1-8b"),
        "h100-sxm",
        1,
        (Dtype::Int8, Dtype::Bf16),
        KernelBackend::Vllm,
    )
    .unwrap();
    let rows = step.provenance();
    let gemm = rows.iter().find(|row| row.0 == "kernels.gemm").unwrap();
    assert!(gemm.2.starts_with("assumed"), "{gemm:?}");
    let decode = rows.iter().find(|row| row.0 == "kernels.decode_attention");
    assert_eq!(decode.unwrap().2, "measured: calibration/kernels");
}

fn scenario(accelerator: &str, more: &str) -> String {
    format!(
        "name = \"s\"\nworkload.arrivals = {{ process = \"poisson\", rate_per_s = 5 }}\n\
         [run]\nhorizon_s = 20\n[[pools]]\nname = \"llama\"\nengine = \"llm\"\n\
         model = \"llama-3.1-8b\"\naccelerator = \"{accelerator}\"\n{more}"
    )
}

#[test]
fn a_pool_takes_tables_where_there_are_and_the_roofline_where_asked() {
    let uses = |accelerator: &str, more: &str| {
        let plan = common::plan_of(&scenario(accelerator, more));
        plan.llm[0].as_ref().unwrap().step.uses_tables()
    };
    assert!(uses("h100-sxm", ""));
    assert!(uses("b300-sxm", "kernel_backend = \"sglang\""));
    assert!(!uses("h100-sxm", "step_model = \"roofline\""));
    assert!(!uses("mi300x", ""));
    // Products of 8-bit integers were measured on the A100 alone.
    assert!(!uses("h100-sxm", "weight_dtype = \"int8\""));
    assert!(uses("a100-sxm-80gb", "weight_dtype = \"int8\""));
}

#[test]
fn a_choice_that_cannot_be_is_refused_with_a_remedy() {
    let said = |accelerator: &str, more: &str| {
        let text = scenario(accelerator, more);
        let document = Document::parse(SourceText::new("s.toml", text)).unwrap();
        resolve(&document, Path::new("")).unwrap_err().to_string()
    };
    let both = said(
        "h100-sxm",
        "step_model = \"roofline\"\nkernel_backend = \"vllm\"",
    );
    println!("{both}");
    assert!(
        both.contains("kernel_backend") && both.contains("drop one of the two"),
        "{both}"
    );
    let none = said("mi300x", "step_model = \"tables\"");
    println!("{none}");
    assert!(
        none.contains("step_model") && none.contains("h100-sxm"),
        "{none}"
    );
    let unknown = said("h100-sxm", "kernel_backend = \"vlm\"");
    println!("{unknown}");
    assert!(unknown.contains("`vllm`"), "{unknown}");
}

/// Off means off: a card that names no kernels and a pool that asks for the roofline give the same
/// run, to the nanosecond.
#[test]
fn the_roofline_is_untouched_by_tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("h100.toml");
    let card = include_str!("../../calibration/accelerators/h100-sxm.toml");
    std::fs::write(&path, card.replace("kernels = \"h100_sxm\"", "")).unwrap();
    let plain = common::rows_of(&scenario(path.to_str().unwrap(), ""));
    let asked = common::rows_of(&scenario("h100-sxm", "step_model = \"roofline\""));
    assert_eq!(plain, asked);
    assert_ne!(plain, common::rows_of(&scenario("h100-sxm", "")));
}

/// What a step costs the simulator; the figure is for reading, the bound only keeps mistakes out.
#[test]
fn a_step_is_cheap_to_time() {
    let step = step_of(
        &model("llama-3.1-70b"),
        "h100-sxm",
        8,
        (Dtype::Bf16, Dtype::Bf16),
        KernelBackend::Vllm,
    )
    .unwrap();
    let list = chunks(&[(512, 0), (300, 1024)]);
    let start = CpuClock::start();
    let mut sum = 0.0;
    for i in 0..100_000_u32 {
        sum += step.step_ns(&list, 1 + i % 200, u64::from(i));
    }
    let mixed = start.elapsed_s();
    println!("{:.0} ns a mixed step of two chunks ({sum})", mixed * 1e4);
    let start = CpuClock::start();
    for i in 0..100_000_u32 {
        sum += step.decode_piece(1 + i % 200, u64::from(i)).base_ns;
    }
    let piece = start.elapsed_s();
    println!("{:.0} ns a decode piece ({sum})", piece * 1e4);
    assert!(mixed < 1.0 && piece < 1.0);
}

#[test]
fn tables_are_refused_where_there_are_none() {
    let step = StepModel::new(
        &model("llama-3.1-8b"),
        &device("mi300x"),
        &Parallelism::tensor(1),
        Dtype::Bf16,
        Dtype::Bf16,
        Overheads::default(),
    )
    .unwrap();
    assert!(!step.uses_tables());
    let said = step.with_tables(None).unwrap_err().to_string();
    assert!(said.contains("h100-sxm"), "{said}");
}

/// The folder of published data, if it is there.
fn published(file: &str) -> Option<String> {
    let folder = std::env::var_os("SEATRIAL_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let packed = std::fs::read(folder.join(file)).ok()?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_slice())
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

fn median(errors: &mut [f64]) -> f64 {
    errors.sort_by(f64::total_cmp);
    errors[errors.len() / 2]
}

/// Times that the estimator of the tables' authors composes from the same measurements.
#[test]
fn steps_agree_with_the_estimator_of_the_tables() {
    let Some(text) = published("silicon/aiconfigurator_grid.csv.gz") else {
        println!(
            "SKIPPED: set SEATRIAL_DATA to the folder that has silicon/aiconfigurator_grid.csv.gz"
        );
        return;
    };
    let mut steps: BTreeMap<String, Option<StepModel>> = BTreeMap::new();
    let mut errors: BTreeMap<String, [Vec<f64>; 2]> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let cell: Vec<&str> = line.split(',').collect();
        let [
            name,
            system,
            backend,
            _,
            precision,
            tp,
            batch,
            isl,
            prefill,
            decode,
            ..,
        ] = cell[..]
        else {
            panic!("{line}");
        };
        let key = format!("{name},{system},{backend},{precision},{tp}");
        let step = steps.entry(key).or_insert_with(|| {
            let card = match name {
                "gpt3-175b-like" => ModelCard {
                    gated_ffn: true,
                    ffn: 32_768,
                    ..model("gpt-3-175b")
                },
                _ => model(name),
            };
            // The estimator leaves out the rotation of queries and keys.
            let card = ModelCard {
                alibi: true,
                ..card
            };
            let on = MEASURED.iter().find(|row| row.1 == system).unwrap().0;
            let dtype = Dtype::parse(precision).unwrap();
            let backend = KernelBackend::ALL.into_iter().find(|b| b.name() == backend);
            step_of(
                &card,
                on,
                tp.parse().unwrap(),
                (dtype, dtype),
                backend.unwrap(),
            )
        });
        let step = step.as_ref().unwrap();
        let (batch, isl): (u32, u32) = (batch.parse().unwrap(), isl.parse().unwrap());
        let list = vec![(isl, 0); batch as usize];
        let context = u64::from(batch) * u64::from(isl + 1);
        let got = [
            (prefill, step.step_ns(&chunks(&list), 0, 0)),
            (decode, step.step_ns(&[], batch, context)),
        ];
        for group in [
            format!("{system} {backend}"),
            format!("model {name} {backend} {precision}"),
            "all".to_owned(),
        ] {
            let group = errors.entry(group).or_default();
            for (errors, (want, ns)) in group.iter_mut().zip(got) {
                if let Ok(want) = want.parse::<f64>() {
                    errors.push(100.0 * (ns / 1e6 / want - 1.0));
                }
            }
        }
    }
    for (group, kinds) in &mut errors {
        let said = ["prefill", "decode"]
            .into_iter()
            .zip(kinds)
            .map(|(kind, signed)| {
                let mut absolute: Vec<f64> = signed.iter().map(|e| e.abs()).collect();
                let (rows, bias, error) = (signed.len(), median(signed), median(&mut absolute));
                if group == "all" {
                    assert!(error < 2.0, "{kind}: median error {error} %");
                }
                format!("{kind} {error:.1} % (bias {bias:+.1} %, {rows} rows)")
            });
        let said: Vec<_> = said.collect();
        println!("{group}: {}", said.join(", "));
    }
}
