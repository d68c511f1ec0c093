//! `seatrial schema`: the JSON Schema of scenarios.

use super::{Failure, Finished, json_text};
use crate::scenario::schema::Scenario;

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {}

pub fn schema(_args: &SchemaArgs) -> Result<Finished, Failure> {
    let schema = schemars::schema_for!(Scenario);
    Ok(Finished::fine(json_text(schema.as_value())))
}
