//! `seatrial validate --closed-loop`: scores a table of servers measured at a fixed concurrency.

use std::path::{Path, PathBuf};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use super::ending::ends;
use super::validate::signed;
use super::{FINE, Failure, Finished, json_text};
use crate::calibrate::OverheadTable;
use crate::report::number::{WIDTH, count, significant};
use crate::validate::closed_loop::fitting::{Fit, fit};
use crate::validate::closed_loop::row::{Row, read};
use crate::validate::closed_loop::score::{Score, Scores, score};

/// Arguments of `validate --closed-loop`.
#[derive(Debug, clap::Args)]
pub struct ClosedLoopArgs {
    /// Scores every row of a table of servers measured at a fixed concurrency (.csv, .csv.gz)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["runs", "fleet", "within"])]
    pub closed_loop: Option<PathBuf>,
    /// Engine overheads to use instead of the shipped ones, a TOML file
    #[arg(long, value_name = "FILE", requires = "closed_loop")]
    overheads: Option<PathBuf>,
    /// Fits the overheads by cross-validation and prints errors on rows seen and not seen
    #[arg(long, requires = "closed_loop", conflicts_with = "overheads")]
    fit: bool,
    /// With --fit: writes the fitted overheads to this file
    #[arg(long, value_name = "FILE", requires = "fit")]
    write_overheads: Option<PathBuf>,
    /// Writes the scored rows to this CSV file
    #[arg(
        long,
        value_name = "FILE",
        requires = "closed_loop",
        conflicts_with = "fit"
    )]
    rows: Option<PathBuf>,
}

impl ClosedLoopArgs {
    /// Refuses options that would do nothing without a table.
    pub fn check(&self) -> Result<(), String> {
        if self.closed_loop.is_some() {
            return Ok(());
        }
        for (given, option) in [
            (self.fit, "--fit"),
            (self.overheads.is_some(), "--overheads"),
            (self.write_overheads.is_some(), "--write-overheads"),
            (self.rows.is_some(), "--rows"),
        ] {
            if given {
                return Err(format!("{option}: needs --closed-loop FILE"));
            }
        }
        Ok(())
    }
}

pub fn closed_loop(
    args: &ClosedLoopArgs,
    file: &Path,
    changes: &[(String, String)],
    json: bool,
) -> Result<Finished, Failure> {
    ends("--rows", args.rows.as_deref(), &[".csv"])?;
    ends(
        "--write-overheads",
        args.write_overheads.as_deref(),
        &[".toml"],
    )?;
    let rows = read(file).map_err(Failure::of)?;
    if args.fit {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let fit = fit(&rows, &name, changes);
        if let Some(path) = &args.write_overheads {
            write(path, &overheads_text(&fit)?)?;
        }
        return Ok(Finished::fine(match json {
            true => json_text(&fit.to_json()),
            false => fit_page(&fit),
        }));
    }
    let table = match &args.overheads {
        None => OverheadTable::shipped(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Failure::of(format!(
                    "{}: cannot be read ({error}); check the path",
                    path.display()
                ))
            })?;
            OverheadTable::parse(&path.display().to_string(), &text).map_err(Failure::of)?
        }
    };
    let scores = score(&rows, &table, changes);
    if let Some(path) = &args.rows {
        write(path, &scores.to_csv())?;
    }
    Ok(Finished {
        text: match json {
            true => json_text(&scores.to_json()),
            false => page(&scores),
        },
        code: FINE,
    })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| {
        Failure::of(format!(
            "{}: cannot be written ({error}); check the folder and the space left",
            path.display()
        ))
    })
}

fn overheads_text(fit: &Fit) -> Result<String, Failure> {
    let table = toml::to_string(&fit.table()).map_err(Failure::of)?;
    Ok(format!(
        "# Engine overheads, fitted: see calibration/README.md.\n\n{table}"
    ))
}

/// Rows of a page: first columns are texts, the others numbers.
pub(super) fn lines(rows: Vec<Vec<String>>, texts: usize) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH as u16);
    let columns = rows.first().map_or(0, Vec::len);
    for row in rows {
        table.add_row(row);
    }
    for index in texts..columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn heads(names: &[&str]) -> Vec<String> {
    let errors = ["rows", "TTFT |err|", "bias", "TPOT |err|", "bias"];
    let all = names.iter().chain(&errors);
    all.map(|name| (*name).to_owned()).collect()
}

fn figures(score: &Score) -> [String; 5] {
    let absolute =
        |error: Option<f64>| error.map_or_else(|| "-".to_owned(), |error| format!("{error:.1} %"));
    [
        count(score.scored as u64),
        absolute(score.ttft.median_abs_pct),
        signed(score.ttft.bias_pct),
        absolute(score.tpot.median_abs_pct),
        signed(score.tpot.bias_pct),
    ]
}

fn page(scores: &Scores) -> String {
    let mut out = format!(
        "{} rows, {} scored; |err| is the median absolute error, bias the median signed one\n\n",
        count(scores.rows as u64),
        count(scores.scored.len() as u64)
    );
    let mut rows = vec![heads(&[""])];
    let mut push = |name: &str, score: Option<&Score>| {
        let mut row = vec![name.to_owned()];
        row.extend(score.map_or_else(Default::default, figures));
        rows.push(row);
    };
    push("all", Some(&scores.over(|_| true)));
    push("client known", Some(&scores.over(Row::client_is_known)));
    let others = scores.over(|row| !row.client_is_known());
    push("other clients", Some(&others));
    for (name, groups) in scores.groups() {
        let clients = match name {
            "by_origin" => "",
            _ => " (client known)",
        };
        push(&format!("{}{clients}", name.replace('_', " ")), None);
        for (group, score) in &groups {
            push(&format!("  {group}"), Some(score));
        }
    }
    out.push_str(&lines(rows, 1));
    if !scores.skipped.is_empty() {
        out.push_str("\nRows left out\n");
        for (reason, rows) in &scores.skipped {
            out.push_str(&format!("  {:>6}  {reason}\n", count(*rows as u64)));
        }
    }
    out
}

fn fit_page(fit: &Fit) -> String {
    let mut rows = vec![heads(&["engine", "system", "us", "us/seq", "ms/req", "on"])];
    for one in &fit.fitted {
        for (on, score) in [("seen", &one.in_fold), ("not seen", &one.out_of_fold)] {
            let entry = &one.entry;
            let mut row = vec![
                entry.engine.clone(),
                entry.system.clone(),
                significant(Some(entry.fixed_us)),
                significant(Some(entry.per_seq_us)),
                significant(Some(entry.per_request_ms)),
                on.to_owned(),
            ];
            row.extend(figures(score));
            rows.push(row);
        }
    }
    let mut row: Vec<String> = ["all", "", "", "", "", "not seen"]
        .map(str::to_owned)
        .into();
    row.extend(figures(&fit.out_of_fold));
    rows.push(row);
    lines(rows, 2)
}
