//! A Hugging Face config gives the model's card, and what a card cannot express is refused.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use seatrial::calibrate::hugging_face::{import, to_toml};
use seatrial::perf::ModelCard;

const LLAMA_3_1_70B: &str = r#"{
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8192,
  "intermediate_size": 28672, "max_position_embeddings": 131072, "num_attention_heads": 64,
  "num_hidden_layers": 80, "num_key_value_heads": 8, "rope_theta": 500000.0,
  "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 128256
}"#;

const QWEN3_30B_A3B: &str = r#"{
  "model_type": "qwen3_moe", "decoder_sparse_step": 1, "head_dim": 128, "hidden_size": 2048,
  "intermediate_size": 6144, "max_position_embeddings": 40960, "max_window_layers": 48,
  "mlp_only_layers": [], "moe_intermediate_size": 768, "num_attention_heads": 32,
  "num_experts": 128, "num_experts_per_tok": 8, "num_hidden_layers": 48,
  "num_key_value_heads": 4, "sliding_window": null, "tie_word_embeddings": false,
  "torch_dtype": "bfloat16", "use_sliding_window": false, "vocab_size": 151936
}"#;

const MIXTRAL_8X7B: &str = r#"{
  "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336,
  "max_position_embeddings": 32768, "num_attention_heads": 32, "num_experts_per_tok": 2,
  "num_hidden_layers": 32, "num_key_value_heads": 8, "num_local_experts": 8,
  "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
  "vocab_size": 32000
}"#;

const DEEPSEEK_V3: &str = r#"{
  "model_type": "deepseek_v3", "first_k_dense_replace": 3, "hidden_size": 7168,
  "intermediate_size": 18432, "kv_lora_rank": 512, "max_position_embeddings": 163840,
  "moe_intermediate_size": 2048, "moe_layer_freq": 1, "n_routed_experts": 256,
  "n_shared_experts": 1, "num_attention_heads": 128, "num_experts_per_tok": 8,
  "num_hidden_layers": 61, "num_key_value_heads": 128, "num_nextn_predict_layers": 1,
  "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
  "quantization_config": {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
    "weight_block_size": [128, 128]},
  "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 129280
}"#;

const LLAMA_2_13B: &str = r#"{
  "model_type": "llama", "hidden_size": 5120, "intermediate_size": 13824,
  "max_position_embeddings": 4096, "num_attention_heads": 40, "num_hidden_layers": 40,
  "tie_word_embeddings": false, "dtype": "bfloat16", "vocab_size": 32000
}"#;

const BLOOM: &str = r#"{
  "model_type": "bloom", "n_embed": 14336, "n_layer": 70, "num_attention_heads": 112,
  "seq_length": 2048, "torch_dtype": "bfloat16", "vocab_size": 250880
}"#;

const GPT_3_IN_GPT_2_WORDS: &str = r#"{
  "model_type": "gpt2", "n_embd": 12288, "n_layer": 96, "n_head": 96, "n_positions": 2048,
  "n_inner": null, "torch_dtype": "float16", "vocab_size": 50257
}"#;

fn gpt_oss() -> String {
    let types = ["\"sliding_attention\"", "\"full_attention\""].repeat(18);
    format!(
        r#"{{
  "model_type": "gpt_oss", "experts_per_token": 4, "head_dim": 64, "hidden_size": 2880,
  "initial_context_length": 4096, "intermediate_size": 2880, "layer_types": [{}],
  "max_position_embeddings": 131072, "num_attention_heads": 64, "num_experts_per_tok": 4,
  "num_hidden_layers": 36, "num_key_value_heads": 8, "num_local_experts": 128,
  "quantization_config": {{"quant_method": "mxfp4"}}, "sliding_window": 128,
  "tie_word_embeddings": false, "vocab_size": 201088
}}"#,
        types.join(", ")
    )
}

#[test]
fn imported_cards_equal_the_shipped_ones_field_by_field() {
    let gpt_oss = gpt_oss();
    for (name, config) in [
        ("llama-3.1-70b", LLAMA_3_1_70B),
        ("qwen3-30b-a3b", QWEN3_30B_A3B),
        ("mixtral-8x7b", MIXTRAL_8X7B),
        ("gpt-oss-120b", gpt_oss.as_str()),
        ("deepseek-v3", DEEPSEEK_V3),
        ("llama-2-13b", LLAMA_2_13B),
        ("bloom-176b", BLOOM),
        ("gpt-3-175b", GPT_3_IN_GPT_2_WORDS),
    ] {
        let shipped = ModelCard::load(name, Path::new("")).unwrap();
        let mut imported = import("config.json", config, name).unwrap();
        let off = imported.published_params_b / shipped.published_params_b - 1.0;
        assert!(off.abs() < 0.02, "{name}: {off}");
        imported.published_params_b = shipped.published_params_b;
        imported.source.clone_from(&shipped.source);
        assert_eq!(imported, shipped, "{name}");
    }
}

#[test]
fn a_written_card_is_read_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    for config in [DEEPSEEK_V3.to_owned(), gpt_oss(), BLOOM.to_owned()] {
        let card = import("config.json", &config, "mine").unwrap();
        std::fs::write(folder.path().join("mine.toml"), to_toml(&card)).unwrap();
        assert_eq!(ModelCard::load("./mine.toml", folder.path()).unwrap(), card);
    }
}

#[test]
fn windows_count_only_where_they_are_used() {
    let with = |change: &str| {
        let config = format!(
            r#"{{"model_type": "qwen2", "hidden_size": 4096, "intermediate_size": 8192,
            "max_position_embeddings": 8192, "num_attention_heads": 32, "num_hidden_layers": 32,
            "vocab_size": 1000, "sliding_window": 1024, "max_window_layers": 24 {change}}}"#
        );
        let card = import("config.json", &config, "qwen").unwrap();
        (card.sliding_window, card.window_layers)
    };
    assert_eq!(with(""), (0, 0));
    assert_eq!(with(r#", "use_sliding_window": false"#), (0, 0));
    assert_eq!(with(r#", "use_sliding_window": true"#), (1024, 8));
}

#[test]
fn what_a_card_cannot_express_is_refused() {
    let error = |config: &str| import("c.json", config, "x").unwrap_err().to_string();
    for (config, wanted) in [
        (
            r#"{"model_type": "mamba"}"#,
            "`model_type` is `mamba`; allowed: llama,",
        ),
        (
            r#"{"model_type": "llama4", "text_config": {}}"#,
            "give its `text_config`",
        ),
        ("{}", "`model_type` is missing"),
        ("[1]", "c.json, line 1"),
        (r#"{"model_type": "llama"}"#, "`hidden_size` is missing"),
    ] {
        let error = error(config);
        assert!(error.contains(wanted), "{config}: {error}");
    }
    for (from, to, wanted) in [
        (
            "\"num_hidden_layers\": 80",
            "\"num_hidden_layers\": -3",
            "`num_hidden_layers` is -3",
        ),
        (
            "\"num_attention_heads\": 64",
            "\"num_attention_heads\": 63",
            "`head_dim` is missing",
        ),
        ("\"bfloat16\"", "\"int3\"", "`torch_dtype` is \"int3\""),
        (
            "\"vocab_size\"",
            "\"quantization_config\": {\"quant_method\": \"awq\", \"bits\": 4}, \"vocab_size\"",
            "`quantization_config` is",
        ),
    ] {
        let error = error(&LLAMA_3_1_70B.replace(from, to));
        assert!(error.contains(wanted), "{to}: {error}");
    }
    let sparse = QWEN3_30B_A3B.replace("\"decoder_sparse_step\": 1", "\"decoder_sparse_step\": 2");
    assert!(error(&sparse).contains("`decoder_sparse_step` is 2"));
    let scattered = QWEN3_30B_A3B.replace("\"mlp_only_layers\": []", "\"mlp_only_layers\": [5]");
    assert!(error(&scattered).contains("`mlp_only_layers` is [5]"));
}

#[test]
fn the_command_prints_or_writes_a_card() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    std::fs::write(&config, MIXTRAL_8X7B).unwrap();
    let seatrial = || assert_cmd::Command::new(env!("CARGO_BIN_EXE_seatrial"));
    let printed = seatrial()
        .args(["model", "import"])
        .arg(&config)
        .args(["--name", "mix"])
        .assert();
    let text = String::from_utf8(printed.success().get_output().stdout.clone()).unwrap();
    assert!(
        text.starts_with("name = \"mix\"\n") && text.contains("experts = 8\n"),
        "{text}"
    );
    let out = folder.path().join("mix.toml");
    let mut command = seatrial();
    command
        .args(["model", "import"])
        .arg(&config)
        .arg("--out")
        .arg(&out);
    command.assert().success();
    assert!(ModelCard::load("./mix.toml", folder.path()).is_ok());
    let zero = MIXTRAL_8X7B.replace("\"num_experts_per_tok\": 2", "\"num_experts_per_tok\": 9");
    std::fs::write(&config, zero).unwrap();
    let mut command = seatrial();
    command.args(["model", "import"]).arg(&config);
    let refused = command.assert().code(2);
    let said = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(
        said.contains("config.json: `experts_per_token` is 9"),
        "{said}"
    );
}
