//! `seatrial trace presets`: the generators that are shipped.

use serde_json::json;

use crate::cli::{Failure, Finished, json_text};
use crate::synthesis::SynthesisError;
use crate::synthesis::presets::{PRESETS, preset};

/// Arguments of `trace presets`.
#[derive(Debug, clap::Args)]
pub struct PresetsArgs {
    /// Prints this one as TOML instead of the list
    name: Option<String>,
    /// Prints one JSON document instead of a table
    #[arg(long, conflicts_with = "name")]
    json: bool,
}

pub fn list(args: &PresetsArgs) -> Result<Finished, Failure> {
    if let Some(name) = &args.name {
        let known = || PRESETS.map(|preset| preset.name).join(", ");
        let found = preset(name).ok_or_else(|| {
            Failure::of(SynthesisError::Unknown {
                name: name.clone(),
                known: known(),
            })
        })?;
        return Ok(Finished::fine(found.toml.to_owned()));
    }
    if args.json {
        let each = PRESETS.map(
            |preset| json!({ "name": preset.name, "about": preset.about, "source": preset.source }),
        );
        return Ok(Finished::fine(json_text(&json!({ "presets": each }))));
    }
    let mut text = String::new();
    for preset in &PRESETS {
        text.push_str(&format!("{:<21} {}\n", preset.name, preset.about));
        text.push_str(&format!("{:<21}   {}\n", "", preset.source));
    }
    Ok(Finished::fine(text))
}
