//! `seatrial schema`: the JSON Schemas of scenarios, experiments, sizings, criteria and calibrations.

use super::{Failure, Finished, json_text};
use crate::calibrate::gpu::record::Calibration;
use crate::experiment::review::Criteria;
use crate::experiment::size::schema::SizingFile;
use crate::experiment::sweep::schema::Experiment;
use crate::scenario::schema::Scenario;

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {
    /// What the schema is of
    #[arg(long, value_enum, default_value = "scenario")]
    of: Document,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Document {
    // As `run` takes it.
    Scenario,
    // As `sweep` takes it.
    Experiment,
    // As `size` takes it.
    Sizing,
    // As `review --criteria` takes it.
    Criteria,
    // As `calibrate gpu` writes it.
    Calibration,
}

pub fn schema(args: &SchemaArgs) -> Result<Finished, Failure> {
    let schema = match args.of {
        Document::Scenario => schemars::schema_for!(Scenario),
        Document::Experiment => schemars::schema_for!(Experiment),
        Document::Sizing => schemars::schema_for!(SizingFile),
        Document::Criteria => schemars::schema_for!(Criteria),
        Document::Calibration => schemars::schema_for!(Calibration),
    };
    Ok(Finished::fine(json_text(schema.as_value())))
}
