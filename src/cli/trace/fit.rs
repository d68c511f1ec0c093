//! `seatrial trace fit`: finds a generator for a trace.

use std::path::PathBuf;
use std::str::FromStr;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use super::no_trace;
use crate::cli::spare::spare;
use crate::cli::{Failure, Finished, json_text};
use crate::report::number::{WIDTH, count, plural, significant, wrap};
use crate::synthesis::judge::Kept;
use crate::synthesis::lengths::LengthCandidate;
use crate::synthesis::{Fit, SynthesisError, fit};
use crate::trace::sink::{write_error, write_whole};
use crate::trace::{TraceFormat, TraceSource};

/// Arguments of `trace fit`.
#[derive(Debug, clap::Args)]
pub struct FitArgs {
    /// The trace
    file: PathBuf,
    /// Where to write the generator, a scenario in TOML whose fleet is a stand-in
    #[arg(long, short, value_name = "GENERATOR.toml")]
    out: Option<PathBuf>,
    /// Its format, instead of finding it from the content
    #[arg(long, value_parser = TraceFormat::from_str)]
    format: Option<TraceFormat>,
    /// Prints one JSON document instead of the page
    #[arg(long)]
    json: bool,
}

pub fn fit_trace(args: &FitArgs) -> Result<Finished, Failure> {
    spare(&[&args.file], &[("--out", args.out.as_deref())])?;
    let source = TraceSource::open_as(&args.file, args.format)
        .map_err(|error| no_trace(&args.file, args.format, error))?;
    let found = fit(&source).map_err(|error| no_trace(&args.file, args.format, error))?;
    if let Some(out) = &args.out {
        let written: Result<(), SynthesisError> = write_whole(out, |file| {
            let text = found.toml.as_bytes();
            file.write_all(text)
                .map_err(|fault| SynthesisError::from(write_error(out, &fault)))
        });
        written.map_err(Failure::of)?;
    }
    if args.json {
        let value = serde_json::to_value(&found).map_err(Failure::of)?;
        return Ok(Finished::fine(json_text(&value)));
    }
    Ok(Finished::fine(page(&found, args.out.as_deref())))
}

fn page(found: &Fit, out: Option<&std::path::Path>) -> String {
    let mut text = String::new();
    let mut line = |words: &str| {
        text.push_str(&wrap(words, WIDTH, 2));
        text.push('\n');
    };
    line(&format!(
        "{}: {} over {} s",
        found.trace,
        plural(found.requests, "request"),
        significant(Some(found.span_s))
    ));
    if let Some(quantum) = found.quantum {
        line(&format!(
            "Stamps are in steps of about {} s ({:.0} % of requests have the stamp of the one \
             before): they were spread at random within their step, so that nothing shorter than \
             it is measured.",
            significant(Some(quantum.step_s)),
            100.0 * quantum.shared
        ));
    }
    line(&arrivals(found));
    line(&format!("Prompts: {}", lengths(&found.prompt)));
    line(&format!("Outputs: {}", lengths(&found.output)));
    line(&match found.correlation {
        0.0 => "Prompt and output lengths are independent".to_owned(),
        correlation => format!(
            "Prompt and output lengths have rank correlation {} (Gaussian copula)",
            significant(Some(correlation))
        ),
    });
    if found.reuses {
        line("Prompts go on from earlier ones, as the hashes of the trace say");
    }
    text.push('\n');
    text.push_str(&table(&found.statistics));
    let kept = found.statistics.iter().filter(|it| it.verdict == "kept");
    text.push_str(&format!(
        "\n{} of {} statistics are kept: within 10 %, shares within 0.03 to 0.05, distances \
         up to 0.05.\n",
        kept.count(),
        found.statistics.len()
    ));
    if let Some(out) = out {
        text.push_str(&format!("Written to {}.\n", out.display()));
    }
    text
}

fn arrivals(found: &Fit) -> String {
    let Some(best) = found.arrivals.first() else {
        return "Arrivals: none".to_owned();
    };
    if let Some(clients) = found.clients {
        return format!(
            "Arrivals: {} clients, each with Gamma or Weibull gaps that change from window to \
             window",
            count(u64::from(clients))
        );
    }
    let others = found.arrivals.iter().skip(1).take(3);
    let others: Vec<String> = others
        .map(|it| format!("{} +{}", it.name, significant(Some(it.bic_above_best))))
        .collect();
    match others.is_empty() {
        true => format!("Arrivals: {}", best.name),
        false => format!(
            "Arrivals: {} (BIC above it: {})",
            best.name,
            others.join("; ")
        ),
    }
}

fn lengths(all: &[LengthCandidate]) -> String {
    let told: Vec<String> = all
        .iter()
        .map(|it| format!("{} {}", it.name, significant(Some(it.held_out_distance))))
        .collect();
    match all {
        [] => "none".to_owned(),
        [only] => only.name.to_owned(),
        [first, ..] => format!(
            "{} (KS distance on the half held out: {})",
            first.name,
            told.join(", ")
        ),
    }
}

fn table(statistics: &[Kept]) -> String {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["", "original", "synthetic", "5-95 %", "differs", "verdict"]);
    for row in statistics {
        let spread = match (row.low, row.high) {
            (Some(low), Some(high)) => {
                format!("{} - {}", significant(Some(low)), significant(Some(high)))
            }
            _ => "-".to_owned(),
        };
        let differs = row
            .difference_pct
            .map_or("-".to_owned(), |pct| format!("{pct:+.1} %"));
        table.add_row([
            row.name.clone(),
            significant(row.original),
            significant(row.synthetic),
            spread,
            differs,
            row.verdict.clone(),
        ]);
    }
    for column in 1..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}
