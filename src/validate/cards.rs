//! Names that measured runs use for models and devices, and the cards they mean.

use crate::perf::{AcceleratorCard, ModelCard};

/// Words that a driver's or a table's name for a device has, and the card; the first whose words are all
/// there counts, if the rest of the name is of [`BESIDE`].
const DEVICES: &[(&[&str], &str)] = &[
    (&["gb300"], "gb300-nvl72"),
    (&["gb200"], "gb200-nvl72"),
    (&["b300"], "b300-sxm"),
    (&["b200"], "b200-sxm"),
    (&["h200"], "h200-sxm"),
    (&["h100", "pcie"], "h100-pcie"),
    (&["h100"], "h100-sxm"),
    (&["a100", "pcie", "80gb"], "a100-pcie-80gb"),
    (&["a100", "sxm4", "40gb"], "a100-sxm-40gb"),
    (&["a100", "sxm", "40gb"], "a100-sxm-40gb"),
    (&["a100"], "a100-sxm-80gb"),
    (&["l40s"], "l40s"),
    (&["a10g"], "a10g"),
    (&["a30"], "a30"),
    (&["l4"], "l4"),
    (&["rtx", "4090"], "rtx-4090"),
    (&["rtx", "pro", "6000"], "rtx-pro-6000"),
    (&["rtxpro6000"], "rtx-pro-6000"),
    (&["mi355x"], "mi355x"),
    (&["mi325x"], "mi325x"),
    (&["mi300x"], "mi300x"),
];

/// Words beside those that tell no other part: makers, families, boards, the memory of the card's own part.
/// A name with any other word (`NVL`, `Laptop`, `40GB` of a part of 80) is of no card that is known.
const BESIDE: &[&str] = &[
    "nvidia",
    "amd",
    "instinct",
    "tesla",
    "geforce",
    "sxm",
    "sxm4",
    "sxm5",
    "sxm6",
    "oam",
    "nvl72",
    "80gb",
    "141gb",
    "180gb",
    "186gb",
    "192gb",
    "288gb",
    "48gb",
    "24gb",
    "hbm2e",
    "hbm3",
    "hbm3e",
    "blackwell",
    "server",
    "workstation",
    "edition",
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

/// The card of a device by its own name, its driver's (`NVIDIA H100 80GB HBM3`) or a table's (`h100_sxm`).
pub fn accelerator_card(device: &str) -> Option<&'static str> {
    if let Some(own) = AcceleratorCard::names().find(|own| *own == device) {
        return Some(own);
    }
    let device = device.to_lowercase();
    let words: Vec<&str> = device
        .split(|it: char| !it.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let has = |needed: &&[&str]| needed.iter().all(|word| words.contains(word));
    let (needed, card) = DEVICES.iter().find(|(needed, _)| has(needed))?;
    let is_told = |word: &&str| needed.contains(word) || BESIDE.contains(word);
    words.iter().all(is_told).then_some(*card)
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
            (
                "NVIDIA RTX PRO 6000 Blackwell Server Edition",
                "rtx-pro-6000",
            ),
            ("NVIDIA H100 80GB HBM3", "h100-sxm"),
            ("NVIDIA H100 PCIe", "h100-pcie"),
            ("NVIDIA A100-SXM4-40GB", "a100-sxm-40gb"),
            ("NVIDIA A100-SXM4-80GB", "a100-sxm-80gb"),
            ("NVIDIA A100 80GB PCIe", "a100-pcie-80gb"),
            ("NVIDIA L4", "l4"),
            ("h200_sxm", "h200-sxm"),
            ("a100_sxm", "a100-sxm-80gb"),
            ("gb300", "gb300-nvl72"),
            ("AMD Instinct MI300X", "mi300x"),
        ] {
            assert_eq!(accelerator_card(device), Some(card), "{device}");
        }
        for card in AcceleratorCard::names() {
            assert_eq!(accelerator_card(card), Some(card));
        }
        for device in [
            "abacus",
            "NVIDIA L40",
            "NVIDIA H100 NVL",
            "NVIDIA H200 NVL",
            "NVIDIA GH200 480GB",
            "NVIDIA A100-PCIE-40GB",
            "a100-40gb",
            "NVIDIA A30X",
            "NVIDIA GeForce RTX 4090 Laptop GPU",
            "NVIDIA GeForce RTX 4090 D",
            "h1000",
            "h100-smx",
        ] {
            assert_eq!(accelerator_card(device), None, "{device}");
        }
    }
}
