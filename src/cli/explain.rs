//! `seatrial explain`: where a figure comes from, and what would change it.

use super::progress::Progress;
use super::{Failure, Finished, Repeats, ScenarioArgs, json_text, use_threads};
use crate::experiment::compare::figures::{Better, usual};
use crate::experiment::explain::{ExplainError, explain as find_out};
use crate::experiment::metric::Metric;
use crate::experiment::runner::Control;
use crate::report::terminal::explain::render;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Runs the scenario without each of its parts and without sets of them (up to 74 \
                  counterfactuals), and with the remedies it knows, all on the same random numbers."
)]
pub struct ExplainArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// The figure, a metric as in claims; less of it is taken to be better
    #[arg(long, value_name = "METRIC", default_value = "latency.e2e_ms.p99")]
    metric: String,
    #[command(flatten)]
    repeats: Repeats,
}

/// Refuses metrics that no run decides, and those of which more is better: remedies are what makes less of it.
fn check(text: &str, metric: &Metric) -> Result<(), Failure> {
    let by_runs = |path: &String| !path.starts_with("scenario.");
    if !metric.paths().iter().any(by_runs) {
        return Err(Failure::of(format!(
            "--metric {text}: is no figure that a run decides; name one of the result, such as \
             latency.e2e_ms.p99"
        )));
    }
    if usual(metric) == Better::More {
        return Err(Failure::of(format!(
            "--metric {text}: more of it is better, and less is explained; give what is missed, such as \
             '1 - {text}', or with a minus before it"
        )));
    }
    Ok(())
}

pub fn explain(args: &ExplainArgs) -> Result<Finished, Failure> {
    use_threads(args.repeats.threads);
    let metric = Metric::parse(&args.metric).map_err(Failure::of)?;
    check(&args.metric, &metric)?;
    let (document, folder) = args.repeats.load(&args.scenario)?;
    let progress = Progress::new("explaining");
    let control = Control {
        simulations: Some(&|simulations| progress.expect(simulations)),
        progress: Some(&|share| progress.advance(share)),
        ..Control::default()
    };
    let found = find_out(&document, &folder, &metric, control);
    progress.finish();
    let explanation = found.map_err(|error| match error {
        ExplainError::Metric { context, reason } => {
            Failure::of(format!("--metric {}: {reason} ({context})", args.metric))
        }
        ExplainError::Valueless { words, reason } => Failure::of(format!(
            "--metric {}: {words}, {reason}; name a metric that all runs have, those without a part too",
            args.metric
        )),
        other => Failure::of(other),
    })?;
    if !args.repeats.json {
        return Ok(Finished::fine(render(&explanation)));
    }
    let mut json = serde_json::to_value(&explanation).map_err(Failure::of)?;
    if let serde_json::Value::Object(fields) = &mut json {
        fields.insert("schema".to_owned(), 1.into());
    }
    Ok(Finished::fine(json_text(&json)))
}
