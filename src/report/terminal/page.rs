//! The page that a report is written on.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};

pub(super) use crate::report::number::WIDTH;
use crate::report::number::{shortened, significant, wrap};

/// Columns of a bar.
pub(super) const BAR: usize = 30;

/// Text in columns of a terminal.
pub(super) struct Page(pub(super) String);

impl Page {
    /// A line.
    pub(super) fn line(&mut self, text: &str) {
        self.0.push_str(text.trim_end());
        self.0.push('\n');
    }

    /// A heading after an empty line.
    pub(super) fn title(&mut self, text: &str) {
        self.0.push('\n');
        self.line(text);
    }

    /// An item of a list.
    pub(super) fn item(&mut self, text: &str) {
        self.line(&format!("  - {}", wrap(text, WIDTH, 4)));
    }

    /// A table.
    pub(super) fn table(&mut self, table: &Table) {
        for line in table.lines() {
            self.line(&format!(" {line}"));
        }
    }
}

/// How a table's numbers are written.
pub(super) type Written = fn(Option<f64>) -> String;

/// A table of numbers in full; where it would be wider than a page, of numbers shortened (`1.235 M`), and
/// then with names broken over lines.
pub(super) fn fitting(draw: &dyn Fn(Written) -> Table) -> Table {
    let is_wide = |table: &Table| table.lines().any(|line| line.chars().count() >= WIDTH);
    let table = draw(significant);
    if !is_wide(&table) {
        return table;
    }
    let mut table = draw(shortened);
    if is_wide(&table) {
        // The page puts a space before each line.
        table.set_width(u16::try_from(WIDTH - 1).unwrap_or(u16::MAX));
        table.set_content_arrangement(ContentArrangement::Dynamic);
        // Names and headers are broken over lines, never numbers.
        let rows = table.row_iter().map(|row| {
            let cells = row.cell_iter().map(|cell| cell.content().chars().count());
            cells.collect::<Vec<usize>>()
        });
        let rows: Vec<Vec<usize>> = rows.collect();
        for (index, numbers) in table.column_iter_mut().enumerate().skip(1) {
            let widest = rows.iter().filter_map(|row| row.get(index)).max();
            let padded = widest.copied().unwrap_or(0) + 2;
            let width = Width::Fixed(u16::try_from(padded).unwrap_or(u16::MAX));
            numbers.set_constraint(ColumnConstraint::LowerBoundary(width));
        }
    }
    table
}

/// A table with that header, right-aligned but for its first column.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        // A number broken over two lines would be read as another number.
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(
        header
            .iter()
            .enumerate()
            .map(|(index, name)| aligned(index, name)),
    );
    table
}

/// The first column is a name, the others are numbers.
fn aligned(index: usize, text: &str) -> Cell {
    let alignment = match index {
        0 => CellAlignment::Left,
        _ => CellAlignment::Right,
    };
    Cell::new(text).set_alignment(alignment)
}

/// Adds a row.
pub(super) fn add(table: &mut Table, cells: &[String]) {
    table.add_row(
        cells
            .iter()
            .enumerate()
            .map(|(index, text)| aligned(index, text)),
    );
}
