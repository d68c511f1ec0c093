//! `seatrial report`: what runs, sweeps, replays and sizings found, as one page for a browser and as pictures.

use std::path::{Path, PathBuf};

use super::ending::ends;
use super::{Failure, Finished};
use crate::report::columns::write_whole;
use crate::report::html;
use crate::report::number::{count, plural};
use crate::report::page::Page;
use crate::report::still;

/// Bytes of a page from which it is said to be large.
const LARGE: usize = 3_000_000;
/// Name of the page where none is given.
const NAME: &str = "report.html";

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The page is one file that fetches nothing: it can be sent and opened anywhere. Several \
                  runs are held side by side first; `compare` writes no folder, and its page is that of \
                  the folders of the two runs."
)]
pub struct ReportArgs {
    /// Folders that `run --out`, `sweep --out`, `replay --out` or `size --out` wrote
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// The page to write [default: report.html in the first folder]
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// Also writes each chart to this folder, as SVG and PNG, for slides
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,
    /// Prints one JSON document instead of the lines
    #[arg(long)]
    json: bool,
}

pub fn report(args: &ReportArgs) -> Result<Finished, Failure> {
    ends("--out", args.out.as_deref(), &[".html", ".htm"])?;
    let page = Page::of(&args.folders).map_err(Failure::of)?;
    let out = match (&args.out, args.folders.first()) {
        (Some(out), _) => out.clone(),
        (None, Some(first)) => first.join(NAME),
        (None, None) => PathBuf::from(NAME),
    };
    let text = html::render(&page);
    write_whole(&out, text.as_bytes()).map_err(|error| {
        Failure::of(format!(
            "{}: cannot be written: {error}; check the file given with --out",
            out.display()
        ))
    })?;
    let pictures = match &args.charts {
        Some(folder) => pictures(&page, folder)?,
        None => Vec::new(),
    };
    let charts = page.charts().count() as u64;
    if args.json {
        let names = pictures.iter().map(|path| path.display().to_string());
        let document = serde_json::json!({
            "schema": 1,
            "page": out.display().to_string(),
            "bytes": text.len(),
            "charts": page.charts().map(|chart| chart.id.as_str()).collect::<Vec<&str>>(),
            "pictures": names.collect::<Vec<String>>(),
        });
        return Ok(Finished::fine(super::json_text(&document)));
    }
    let mut told = format!(
        "{}: {}, {} kB\n",
        out.display(),
        plural(charts, "chart"),
        count(text.len().div_ceil(1_000) as u64)
    );
    if text.len() > LARGE {
        told.push_str("  more than 3 MB: give fewer folders for a page that is quick to open\n");
    }
    if let Some(folder) = &args.charts {
        told.push_str(&format!(
            "{}: {}, as SVG and PNG\n",
            folder.display(),
            plural(charts, "chart")
        ));
    }
    Ok(Finished::fine(told))
}

fn pictures(page: &Page, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    std::fs::create_dir_all(folder).map_err(|error| {
        Failure::of(format!(
            "{}: cannot be made: {error}; check the folder given with --charts",
            folder.display()
        ))
    })?;
    still::write(page.charts(), folder).map_err(Failure::of)
}
