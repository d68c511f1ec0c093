//! Generators that are shipped (`traces/generators`).

use std::path::Path;

use super::error::SynthesisError;
use crate::scenario::{Document, ScenarioError, SourceText};

/// A generator that is shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is, for a list.
    pub about: &'static str,
    /// Where its figures are from.
    pub source: &'static str,
    /// The generator.
    pub toml: &'static str,
}

macro_rules! preset {
    ($name:literal, $about:literal, $source:literal) => {
        Preset {
            name: $name,
            about: $about,
            source: $source,
            toml: include_str!(concat!("../../traces/generators/", $name, ".toml")),
        }
    };
}

/// All of them.
pub const PRESETS: [Preset; 10] = [
    preset!(
        "azure-code-2023",
        "code completions, one hour: an on-off process",
        "fitted to traces/azure-2023-code.csv.gz (CC-BY-4.0)"
    ),
    preset!(
        "azure-conv-2023",
        "conversations, one hour",
        "fitted to traces/azure-2023-conv.csv.gz (CC-BY-4.0)"
    ),
    preset!(
        "mooncake-conv",
        "conversations with Kimi, one hour, with prefix reuse",
        "fitted to traces/mooncake-conversation.jsonl.gz (Apache-2.0)"
    ),
    preset!(
        "azure-code-2024",
        "code completions, a week",
        "digitised from the dataset's notebook (CC-BY-4.0), DynamoLLM"
    ),
    preset!(
        "azure-conv-2024",
        "conversations, a week",
        "digitised from the dataset's notebook (CC-BY-4.0), DynamoLLM"
    ),
    preset!(
        "servegen-m-large",
        "162 clients of a large language model",
        "measured from ServeGen's client data (Apache-2.0)"
    ),
    preset!(
        "servegen-m-mid",
        "109 clients of a middle-sized language model",
        "measured from ServeGen's client data (Apache-2.0)"
    ),
    preset!(
        "servegen-m-small",
        "43 clients of a small language model",
        "measured from ServeGen's client data (Apache-2.0)"
    ),
    preset!(
        "servegen-deepseek-r1",
        "73 clients of a reasoning model",
        "measured from ServeGen's client data (Apache-2.0)"
    ),
    preset!(
        "servegen-mm-image",
        "35 clients who send images; text tokens only",
        "measured from ServeGen's client data (Apache-2.0)"
    ),
];

/// The preset of that name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// Reads a generator by the path of its file or, where there is no such file, by the name of a
/// preset.
///
/// # Errors
/// When it is neither, or cannot be read.
pub fn load(name: &str) -> Result<Document, SynthesisError> {
    let path = Path::new(name);
    if let (false, Some(preset)) = (path.exists(), preset(name)) {
        return Ok(parse(preset)?);
    }
    if !path.exists() && path.extension().is_none() && path.components().count() == 1 {
        let known: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        return Err(SynthesisError::Unknown {
            name: name.to_owned(),
            known: known.join(", "),
        });
    }
    Ok(Document::parse(SourceText::load(path)?)?)
}

/// The document of a preset.
///
/// # Errors
/// None for those that are shipped; a test reads them all.
pub fn parse(preset: &Preset) -> Result<Document, ScenarioError> {
    Document::parse(SourceText::new(preset.name, preset.toml))
}
