//! What is looked at before anything is sent: a measurement is not to be lost by an argument that was
//! wrong from the start.

use super::super::claim::Claim;
use super::{EndpointArgs, row};
use crate::calibrate::endpoint::plan::Plan;
use crate::calibrate::engine::judge::possible;
use crate::calibrate::engine::measurement::{Measurement, Observed};
use crate::cli::Failure;
use crate::perf::ModelCard;

/// Checks what a fit of the plan's loads would be refused for.
pub fn check(args: &EndpointArgs, plan: &Plan) -> Result<(), Failure> {
    if args.accelerator.is_none() {
        return match args.fit.given() {
            None => Ok(()),
            Some(option) => Err(Failure::of(format!(
                "{option}: nothing is fitted without --engine NAME --accelerator CARD; give both, or \
                 leave it out"
            ))),
        };
    }
    if let Some(model) = args.card.as_ref().or(args.model.as_ref()) {
        return check_model(args, plan, model);
    }
    // The server will say which model it has; until then one is enough that could be served so.
    let mut first = None;
    for model in ModelCard::names() {
        match check_model(args, plan, model) {
            Ok(()) => return Ok(()),
            Err(failure) => first.get_or_insert(failure),
        };
    }
    first.map_or(Ok(()), Err)
}

/// The same for a model that the server has.
pub fn check_model(args: &EndpointArgs, plan: &Plan, model: &str) -> Result<(), Failure> {
    if args.accelerator.is_none() {
        return Ok(());
    }
    let asked = args.fit.asked(String::new())?;
    let rows = plan.cells.iter().map(|cell| {
        let row = Measurement {
            model: args.card.clone().or_else(|| Some(model.to_owned())),
            prompt_tokens: Some(cell.prompt_tokens),
            output_tokens: Some(cell.output_tokens),
            concurrency: Some(cell.concurrency),
            requests: Some(cell.requests),
            // Whatever will be measured.
            ttft_ms: Some(1.0),
            tpot_ms: Some(1.0),
            ..row(args)
        };
        row.observed("the plan".to_owned()).map_err(|fault| {
            let (field, value, allowed) = (fault.field, fault.value, fault.allowed);
            Failure::of(format!(
                "{field}: {value}; allowed: {allowed}; correct the option of that name"
            ))
        })
    });
    let rows: Vec<Observed> = rows.collect::<Result<_, _>>()?;
    possible(&rows, &asked).map_err(|error| {
        let remedy = match args.card {
            Some(_) => "",
            None => " (--card CARD names the model's card)",
        };
        Failure::of(format!("the loads could not be fitted: {error}{remedy}"))
    })
}

/// Makes sure that the files can be written.
pub fn claim(args: &EndpointArgs) -> Result<Vec<Claim>, Failure> {
    let files = [
        ("--out", args.out.as_deref()),
        ("--profile", args.profile.as_deref()),
        ("--svg", args.fit.picture()),
    ];
    Claim::all(
        files
            .into_iter()
            .filter_map(|(option, path)| Some((option, path?))),
    )
}
