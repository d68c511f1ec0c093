//! `seatrial model`: makes model cards.

use std::path::{Path, PathBuf};

use super::{Failure, Finished};
use crate::calibrate::hugging_face::{import, to_toml};
use crate::perf::ModelCard;
use crate::scenario::SourceText;
use crate::validate::scratch::Scratch;

/// What to do with models.
#[derive(Debug, clap::Subcommand)]
pub enum ModelCommand {
    /// Makes a model card of a Hugging Face config.json
    Import(ImportArgs),
}

/// Arguments of `model import`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// The config.json that was published with the model
    config: PathBuf,
    /// Name of the card [default: that of the config's folder, or `model`]
    #[arg(long)]
    name: Option<String>,
    /// Writes the card to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn model(command: &ModelCommand) -> Result<Finished, Failure> {
    let ModelCommand::Import(args) = command;
    let source = SourceText::load(&args.config).map_err(Failure::of)?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => folder_name(&args.config).unwrap_or_else(|| "model".to_owned()),
    };
    let mut card = import(&source.file, &source.text, &name).map_err(Failure::of)?;
    card.source = format!("Hugging Face config of {name}");
    let text = to_toml(&card);
    // What is written must be readable again, with every field in its range.
    let scratch = Scratch::new().map_err(Failure::of)?;
    let written = scratch.write("card.toml", &text).map_err(Failure::of)?;
    let folder = written.parent().unwrap_or(Path::new(""));
    ModelCard::load("./card.toml", folder).map_err(|error| {
        let shown = folder.join("./card.toml").display().to_string();
        Failure::of(error.to_string().replace(&shown, &source.file))
    })?;
    let Some(out) = &args.out else {
        return Ok(Finished::fine(text));
    };
    std::fs::write(out, &text).map_err(|error| {
        Failure::of(format!(
            "{}: cannot be written ({error}); check the folder and the space left",
            out.display()
        ))
    })?;
    Ok(Finished::fine(format!(
        "{}: {} with {} thousand million parameters written\n",
        out.display(),
        card.name,
        card.published_params_b
    )))
}

fn folder_name(config: &Path) -> Option<String> {
    let folder = config.canonicalize().ok()?;
    let name = folder.parent()?.file_name()?.to_str()?;
    Some(name.to_lowercase())
}
