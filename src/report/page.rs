//! What a report says, whoever shows it: parts, sections, and blocks of text, tables and charts, made
//! of the folders that `run`, `sweep`, `replay` and `size` wrote.

mod budget;
mod compare;
mod cost;
mod effects;
mod folder;
mod heat;
mod latency;
mod pools;
mod provenance;
mod replay;
mod run;
mod size;
mod summary;
mod sweep;
mod timeline;
mod value;

use std::path::PathBuf;

use super::chart::Chart;

pub use folder::{FolderError, Source};

/// A report.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its heading.
    pub title: String,
    /// One part for each folder, and one that holds them against one another where there are several
    /// runs.
    pub parts: Vec<Part>,
}

/// A part of a report.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its name in links.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// What kind of thing it is of: `run`, `sweep`, `replay`, `sizing`, `comparison`.
    pub kind: &'static str,
    /// Sections, the summary first.
    pub sections: Vec<Section>,
}

/// A section.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its name in links, unique within the part.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What is in it.
    pub blocks: Vec<Block>,
}

/// Something in a section.
#[derive(Debug, Clone)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// Figures to be seen first.
    Tiles(Vec<Tile>),
    /// Warnings.
    Warnings(Vec<String>),
    /// A list in order.
    List(String, Vec<String>),
    /// Claims.
    Claims(Vec<Claim>),
    /// A table.
    Table(Table),
    /// A chart.
    Chart(Box<Chart>),
}

/// A figure to be seen first.
#[derive(Debug, Clone)]
pub struct Tile {
    /// What it is.
    pub name: String,
    /// Its value, with its unit.
    pub value: String,
    /// More about it; may be empty.
    pub more: String,
    /// Whether it is good or bad; none where it is neither.
    pub good: Option<bool>,
}

/// A claim, judged.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Its identifier.
    pub id: String,
    /// Its words.
    pub text: String,
    /// `holds`, `fails`, `impossible` or `untested`.
    pub verdict: String,
    /// What was observed, beside what was claimed.
    pub observed: String,
    /// Why the verdict is what it is.
    pub why: String,
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    /// What is in it.
    pub caption: String,
    /// Headings of the columns.
    pub head: Vec<String>,
    /// Rows; the first cell of each is its name.
    pub rows: Vec<Vec<String>>,
    /// Whether it is folded away at first.
    pub folded: bool,
}

impl Page {
    /// The report of some folders, in their order.
    ///
    /// # Errors
    /// [`FolderError`] of the first that cannot be used.
    pub fn of(folders: &[PathBuf]) -> Result<Page, FolderError> {
        let sources: Result<Vec<Source>, FolderError> =
            folders.iter().map(|folder| Source::read(folder)).collect();
        Ok(Page::of_sources(&sources?))
    }

    /// The report of what was read.
    pub fn of_sources(sources: &[Source]) -> Page {
        let names = labels(sources);
        let mut parts = Vec::new();
        if let Some(part) = compare::part(sources, &names) {
            parts.push(part);
        }
        for (index, (source, name)) in sources.iter().zip(&names).enumerate() {
            // Two folders may be of one name: charts and links must not clash.
            let id = match sources.len() {
                1 => super::chart::slug(name),
                _ => format!("{}-{}", index + 1, super::chart::slug(name)),
            };
            parts.push(match source {
                Source::Run(run) => run::part(run, id, name),
                Source::Sweep(sweep) => sweep::part(sweep, id, name),
                Source::Replay(found) => replay::part(found, id, name),
                Source::Size(size) => size::part(size, id, name),
            });
        }
        let title = match names.as_slice() {
            [one] => one.clone(),
            all => all.join(" · "),
        };
        let mut page = Page { title, parts };
        page.tell_apart();
        page
    }

    /// Gives charts whose names would be the same in files and links a number.
    fn tell_apart(&mut self) {
        let mut seen = std::collections::BTreeSet::new();
        let sections = self.parts.iter_mut().flat_map(|part| &mut part.sections);
        for block in sections.flat_map(|section| &mut section.blocks) {
            let Block::Chart(chart) = block else { continue };
            let (name, mut number) = (chart.id.clone(), 1);
            while !seen.insert(chart.id.clone()) {
                number += 1;
                chart.id = format!("{name}-{number}");
            }
        }
    }

    /// All charts, in their order.
    pub fn charts(&self) -> impl Iterator<Item = &Chart> {
        let sections = self.parts.iter().flat_map(|part| &part.sections);
        let blocks = sections.flat_map(|section| &section.blocks);
        blocks.filter_map(|block| match block {
            Block::Chart(chart) => Some(chart.as_ref()),
            _ => None,
        })
    }
}

/// What each source is called: its own name, with its folder's where another has the same.
fn labels(sources: &[Source]) -> Vec<String> {
    let all: Vec<&str> = sources.iter().map(Source::name).collect();
    let label = |source: &Source| {
        let name = source.name();
        match all.iter().filter(|other| **other == name).count() {
            1 => name.to_owned(),
            _ => format!("{name} ({})", source.folder_name()),
        }
    };
    sources.iter().map(label).collect()
}

impl Section {
    /// A section of what there is to say; none where that is nothing.
    fn of(id: &'static str, title: &'static str, blocks: Vec<Option<Block>>) -> Option<Section> {
        let blocks: Vec<Block> = blocks.into_iter().flatten().collect();
        (!blocks.is_empty()).then_some(Section { id, title, blocks })
    }
}

impl Block {
    /// A chart, if there is anything to be drawn in it.
    fn chart(chart: Chart) -> Option<Block> {
        (!chart.is_empty()).then(|| Block::Chart(Box::new(chart)))
    }

    /// A table, if it has rows.
    fn table(caption: &str, head: &[&str], rows: Vec<Vec<String>>, folded: bool) -> Option<Block> {
        (!rows.is_empty()).then(|| {
            Block::Table(Table {
                caption: caption.to_owned(),
                head: head.iter().map(|it| (*it).to_owned()).collect(),
                rows,
                folded,
            })
        })
    }

    /// A list, if it has lines.
    fn list(title: &str, lines: Vec<String>) -> Option<Block> {
        (!lines.is_empty()).then(|| Block::List(title.to_owned(), lines))
    }
}
