//! Cards: their figures, and what errors say.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use seatrial::perf::{AcceleratorCard, Dtype, ModelCard, PerfError};

fn model(name: &str) -> ModelCard {
    ModelCard::load(name, Path::new(".")).unwrap()
}

fn model_error(name: &str) -> String {
    ModelCard::load(name, Path::new("."))
        .unwrap_err()
        .to_string()
}

#[test]
fn params_are_within_two_percent_of_the_published() {
    assert_eq!(ModelCard::names().count(), 15);
    for name in ModelCard::names() {
        let card = model(name);
        assert_eq!(card.name, name);
        let off = card.params() / 1e9 / card.published_params_b - 1.0;
        assert!(
            off.abs() < 0.02,
            "{name}: {} ({off:+.4})",
            card.params() / 1e9
        );
    }
}

#[test]
fn active_params_of_moe_models_match_the_published() {
    for (name, billions) in [
        ("deepseek-v3", 37.0),
        ("mixtral-8x7b", 12.9),
        ("qwen3-30b-a3b", 3.3),
        ("qwen3-235b-a22b", 22.2),
        ("gpt-oss-120b", 5.7),
    ] {
        let off = model(name).params_active_per_token() / 1e9 / billions - 1.0;
        assert!(off.abs() < 0.03, "{name}: {off:+.4}");
    }
}

#[test]
fn kv_bytes_per_token_by_hand() {
    // 2 x 8 heads x 128 x 80 layers x 2 bytes; DeepSeek-V3: (512 + 64) x 61 x 2.
    assert_eq!(
        model("llama-3.1-70b").kv_bytes_per_token(Dtype::Bf16),
        327_680.0
    );
    assert_eq!(
        model("deepseek-v3").kv_bytes_per_token(Dtype::Bf16),
        70_272.0
    );
    assert_eq!(
        model("gpt-3-175b").kv_bytes_per_token(Dtype::Fp16),
        4_718_592.0
    );
}

#[test]
fn kv_heads_are_copied_when_tp_exceeds_them() {
    let card = model("qwen3-32b");
    let all = card.kv_bytes_per_token(Dtype::Bf16);
    assert_eq!(
        card.kv_bytes_per_token_per_device(Dtype::Bf16, 8),
        all / 8.0
    );
    assert_eq!(
        card.kv_bytes_per_token_per_device(Dtype::Bf16, 16),
        all / 8.0
    );
    let mla = model("deepseek-v3");
    assert_eq!(
        mla.kv_bytes_per_token_per_device(Dtype::Bf16, 8),
        mla.kv_bytes_per_token(Dtype::Bf16)
    );
}

#[test]
fn attention_flops_add_up_over_chunks() {
    for name in ["llama-3.1-8b", "gpt-oss-120b", "deepseek-v3"] {
        let card = model(name);
        let whole = card.attention_flops(1000, 0);
        let parts = card.attention_flops(100, 0)
            + card.attention_flops(27, 100)
            + card.attention_flops(2, 127)
            + card.attention_flops(871, 129);
        assert!((parts / whole - 1.0).abs() < 1e-12, "{name}");
    }
}

#[test]
fn every_accelerator_card_loads_under_its_name() {
    assert_eq!(AcceleratorCard::names().count(), 25);
    for name in AcceleratorCard::names() {
        let card = AcceleratorCard::load(name, Path::new(".")).unwrap();
        assert_eq!(card.name, name);
        assert!(!card.source.contains("://"), "{name}");
        assert!(card.peak_tflops(Dtype::Fp8) >= card.peak_tflops(Dtype::Bf16));
    }
}

/// The specification table beside the project, where it is present.
#[test]
fn accelerator_cards_agree_with_the_table() {
    let path = Path::new("../shared/data/silicon/accelerators.csv");
    if !path.exists() {
        println!("skipped: no ../shared/data/silicon/accelerators.csv");
        return;
    }
    let mut reader = csv::Reader::from_path(path).unwrap();
    let mut rows = 0;
    for record in reader.records() {
        let record = record.unwrap();
        let card = AcceleratorCard::load(&record[0].to_lowercase(), Path::new(".")).unwrap();
        let number = |i: usize| record[i].parse::<f64>().ok();
        assert_eq!(number(1), Some(card.bf16_dense_tflops), "{}", card.name);
        assert_eq!(number(2), card.fp8_dense_tflops, "{}", card.name);
        if card.name != "l40s" {
            assert_eq!(number(3), Some(card.memory_gb), "{}", card.name);
        }
        assert_eq!(number(4), Some(card.bandwidth_gb_per_s), "{}", card.name);
        assert_eq!(
            number(5),
            card.scale_up_gb_per_s_per_direction,
            "{}",
            card.name
        );
        assert_eq!(number(9), card.tdp_w, "{}", card.name);
        rows += 1;
    }
    assert_eq!(rows, 23);
}

#[test]
fn unknown_names_offer_the_nearest_and_list_all() {
    let said = model_error("lama-3.1-70b");
    assert!(said.contains("did you mean `llama-3.1-70b`"), "{said}");
    assert!(
        said.contains("gpt-3-175b") && said.contains("mixtral-8x7b"),
        "{said}"
    );
    let said = AcceleratorCard::load("H100_SXM", Path::new("."))
        .unwrap_err()
        .to_string();
    assert!(said.contains("did you mean `h100-sxm`"), "{said}");
    let said = Dtype::parse("bf61").unwrap_err().to_string();
    assert!(
        said.contains("did you mean `bf16`") && said.contains("int8"),
        "{said}"
    );
    assert_eq!(Dtype::parse("FP8"), Ok(Dtype::Fp8));
}

#[test]
fn a_card_of_the_users_is_read_from_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let text = include_str!("../../models/llama-3.1-8b.toml");
    std::fs::write(
        dir.path().join("mine.toml"),
        text.replace("layers = 32", "layers = 16"),
    )
    .unwrap();
    assert_eq!(ModelCard::load("mine.toml", dir.path()).unwrap().layers, 16);
    assert_eq!(
        ModelCard::load("./mine.toml", dir.path()).unwrap().layers,
        16
    );
    let missing = ModelCard::load("other.toml", dir.path()).unwrap_err();
    assert!(matches!(missing, PerfError::Read { .. }), "{missing}");
}

#[test]
fn errors_in_a_card_name_file_and_field() {
    let dir = tempfile::tempdir().unwrap();
    let text = include_str!("../../models/llama-3.1-8b.toml");
    let fails = |from: &str, to: &str| {
        std::fs::write(dir.path().join("mine.toml"), text.replace(from, to)).unwrap();
        ModelCard::load("mine.toml", dir.path())
            .unwrap_err()
            .to_string()
    };
    let said = fails("kv_heads", "kv_head");
    assert!(
        said.contains("mine.toml") && said.contains("`kv_head`"),
        "{said}"
    );
    assert!(
        said.contains("did you mean `kv_heads`") && said.contains("line 6"),
        "{said}"
    );
    let said = fails("kv_heads = 8", "kv_heads = 5");
    assert!(
        said.contains("mine.toml: `kv_heads` is 5") && said.contains("divisor"),
        "{said}"
    );
    let said = fails("layers = 32\n", "");
    assert!(
        said.contains("mine.toml") && said.contains("`layers`"),
        "{said}"
    );
    let said = fails("\"bf16\"", "\"bf61\"");
    assert!(said.contains("did you mean `bf16`"), "{said}");

    let text = include_str!("../../calibration/accelerators/h100-sxm.toml");
    let wrong = format!("{text}[efficiency]\ncompute_efficiency = 1.2\n");
    std::fs::write(dir.path().join("gpu.toml"), wrong).unwrap();
    let said = AcceleratorCard::load("gpu.toml", dir.path())
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("gpu.toml: `efficiency.compute_efficiency` is 1.2"),
        "{said}"
    );
}
