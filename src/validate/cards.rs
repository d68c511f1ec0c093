//! Names that measured runs use for models and devices, and the cards they mean.

use crate::perf::ModelCard;

/// Words in a driver's or a table's name for a device, and the card; the first that fits counts.
const DEVICES: &[(&str, &str)] = &[
    ("gb300", "gb300-nvl72"),
    ("gb200", "gb200-nvl72"),
    ("b300", "b300-sxm"),
    ("b200", "b200-sxm"),
    ("h200", "h200-sxm"),
    ("h100 pcie", "h100-pcie"),
    ("h100", "h100-sxm"),
    ("a100 pcie 80gb", "a100-pcie-80gb"),
    ("a100 sxm4 40gb", "a100-sxm-40gb"),
    ("a100", "a100-sxm-80gb"),
    ("l40s", "l40s"),
    ("a10g", "a10g"),
    ("a30", "a30"),
    ("nvidia l4", "l4"),
    ("rtx 4090", "rtx-4090"),
    ("rtx pro 6000", "rtx-pro-6000"),
    ("mi355x", "mi355x"),
    ("mi325x", "mi325x"),
    ("mi300x", "mi300x"),
];

/// What the ends of a published name say of number types and tuning, not of shape.
const TUNINGS: &[&str] = &[
    "-instruct",
    "-chat",
    "-it",
    "-hf",
    "-v0.1",
    "-2507",
    "-0528",
    "-0324",
    "-fp8",
    "-fp4",
    "-nvfp4",
    "-mxfp4",
    "-bf16",
    "-fp8-kv",
    "-base",
    "-dynamic",
    "-thinking",
    "-v0-1",
];

/// Names that differ from the card's by more than a tuning.
const SAME_SHAPE: &[(&str, &str)] = &[
    ("deepseek-r1", "deepseek-v3"),
    ("deepseek-v3.1", "deepseek-v3"),
    ("llama-3.3-70b", "llama-3.1-70b"),
    ("llama-3-70b", "llama-3.1-70b"),
    ("llama-3-8b", "llama-3.1-8b"),
    ("bloom", "bloom-176b"),
];

/// The built-in model card for a published name such as `meta-llama/Llama-3.1-70B-Instruct`.
pub fn model_card(published: &str) -> Option<&'static str> {
    let name = published.rsplit('/').next().unwrap_or(published);
    let lowered = name.to_lowercase();
    let mut name = lowered.strip_prefix("meta-").unwrap_or(&lowered);
    loop {
        if let Some(found) = named(name) {
            return Some(found);
        }
        name = TUNINGS.iter().find_map(|end| name.strip_suffix(end))?;
    }
}

fn named(name: &str) -> Option<&'static str> {
    let same = SAME_SHAPE.iter().find(|(other, _)| *other == name);
    let name = same.map_or(name, |(_, card)| card);
    ModelCard::names().find(|card| *card == name)
}

/// The card of a device by its driver's name (`NVIDIA H100 80GB HBM3`) or a table's (`h100_sxm`).
pub fn accelerator_card(device: &str) -> Option<&'static str> {
    let device = device.to_lowercase().replace(['_', '-'], " ");
    let found = DEVICES.iter().find(|(words, _)| device.contains(words));
    found.map(|(_, card)| *card)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_names_find_their_cards() {
        for (published, card) in [
            ("meta-llama/Llama-3.1-70B", "llama-3.1-70b"),
            ("meta-llama/Meta-Llama-3.1-8B-Instruct", "llama-3.1-8b"),
            ("nvidia/Llama-3.1-8B-Instruct-FP8", "llama-3.1-8b"),
            ("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", "qwen3-235b-a22b"),
            ("nvidia/DeepSeek-R1-0528-NVFP4", "deepseek-v3"),
            ("openai/gpt-oss-120b", "gpt-oss-120b"),
            ("codellama/CodeLlama-34b-Instruct-hf", "codellama-34b"),
            ("mistralai/Mixtral-8x7B-v0.1", "mixtral-8x7b"),
        ] {
            assert_eq!(model_card(published), Some(card), "{published}");
        }
        assert_eq!(model_card("Qwen/Qwen3.5-397B-A17B"), None);
        assert_eq!(model_card(""), None);
    }

    #[test]
    fn devices_find_their_cards() {
        for (device, card) in [
            ("NVIDIA GeForce RTX 4090", "rtx-4090"),
            ("RTXPRO6000", "rtx-pro-6000"),
            ("NVIDIA H100 80GB HBM3", "h100-sxm"),
            ("h200_sxm", "h200-sxm"),
            ("gb300", "gb300-nvl72"),
        ] {
            let spaced = device.replace("RTXPRO", "RTX PRO ");
            assert_eq!(accelerator_card(&spaced), Some(card), "{device}");
        }
        assert_eq!(accelerator_card("abacus"), None);
    }
}
