//! Rows of a calibration as a drawn table.

use plotters::prelude::*;
use plotters::style::FontStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::super::operation::NumberType;
use super::super::record::{Calibration, Row};
use super::super::table::{COLUMNS, cells, marks};
use super::{Area, Drawn, FAINT, INK, SOFT, TABLE};
use crate::perf::AcceleratorCard;
use crate::report::number::{count, plural, wrap};

/// Heights of the head, of a row and of a line of notes, pixels.
const HEAD: i32 = 34;
const ROW: i32 = 22;
const NOTE: i32 = 17;
/// Where columns begin, or end where they hold numbers.
const LEFT: [i32; 2] = [12, 440];
const RIGHT: [i32; 5] = [570, 672, 750, 824, 904];
/// Letters of a shape and of a line of notes that have room.
const SHAPE: usize = 54;
const LINE: usize = 120;

/// A table that is to be drawn.
pub(super) struct Sheet {
    rows: Vec<[String; 7]>,
    all: usize,
    notes: Vec<String>,
}

impl Sheet {
    /// At most so many rows of a calibration: of each operation and number type about as many, from
    /// the least work to the most.
    pub(super) fn new(
        calibration: &Calibration,
        card: Option<&AcceleratorCard>,
        most: usize,
    ) -> Self {
        let l2_bytes = calibration.device.l2_bytes;
        let rows = chosen(&calibration.rows, most);
        let mut sheet = Self {
            rows: rows.iter().map(|row| cells(row, l2_bytes, card)).collect(),
            all: calibration.rows.len(),
            notes: Vec::new(),
        };
        let text = format!("{} {}", sheet.says(), marks(&rows, l2_bytes, card));
        sheet.notes = wrap(&text, LINE, 0).lines().map(str::to_owned).collect();
        sheet
    }

    /// How many rows it has, of how many.
    pub(super) fn says(&self) -> String {
        let all = plural(self.all as u64, "row");
        match self.rows.len() == self.all {
            true => format!("{all}, from the least work to the most."),
            false => format!(
                "{} of {all}, spread evenly from the least work to the most.",
                count(self.rows.len() as u64)
            ),
        }
    }

    /// Pixels that it takes.
    pub(super) fn height(&self) -> u32 {
        let rows = i32::try_from(self.rows.len()).unwrap_or(i32::MAX / (2 * ROW));
        let notes = i32::try_from(self.notes.len()).unwrap_or(0);
        u32::try_from(HEAD + ROW * rows + NOTE * (notes + 2)).unwrap_or(0)
    }

    /// Draws it.
    pub(super) fn draw(&self, area: &Area<'_>) -> Drawn {
        let style = |size: i32, colour: &RGBColor, across: HPos| {
            let mut style = TextStyle::from(("sans-serif", size).into_font());
            style.color = colour.to_backend_color();
            style.pos(Pos::new(across, VPos::Center))
        };
        let width = i32::try_from(TABLE).unwrap_or(0);
        let line = |cells: &[String; 7], y: i32, font: FontStyle, colour: &RGBColor| -> Drawn {
            for (at, cell) in cells.iter().enumerate() {
                let (x, across) = match at.checked_sub(LEFT.len()) {
                    None => (LEFT[at], HPos::Left),
                    Some(number) => (RIGHT[number], HPos::Right),
                };
                let mut style = style(15, colour, across);
                style.font = style.font.style(font);
                let room = if at == 0 { SHAPE } else { usize::MAX };
                area.draw_text(&shortened(cell, room), &style, (x, y))?;
            }
            Ok(())
        };
        line(
            &COLUMNS.map(str::to_owned),
            HEAD / 2,
            FontStyle::Bold,
            &SOFT,
        )?;
        for (at, row) in self.rows.iter().enumerate() {
            let top = HEAD + ROW * i32::try_from(at).unwrap_or(0);
            if at % 2 == 0 {
                let corners = [(0, top), (width - 8, top + ROW)];
                area.draw(&Rectangle::new(corners, FAINT.mix(0.5).filled()))?;
            }
            line(row, top + ROW / 2, FontStyle::Normal, &INK)?;
        }
        let mut y = HEAD + ROW * i32::try_from(self.rows.len()).unwrap_or(0) + NOTE;
        for note in &self.notes {
            area.draw_text(note, &style(14, &SOFT, HPos::Left), (LEFT[0], y))?;
            y += NOTE;
        }
        Ok(())
    }
}

/// A text of so many letters at most, with an ellipsis where it is cut.
fn shortened(text: &str, room: usize) -> String {
    match text.chars().nth(room) {
        None => text.to_owned(),
        Some(_) => text.chars().take(room - 1).chain(['…']).collect(),
    }
}

/// What a row's operation needs, in whatever unit its kind has, to put it in order.
fn work(row: &Row) -> f64 {
    let (flops, bytes) = (row.operation.flops(), row.operation.bytes(row.dtype));
    match (flops > 0.0, bytes > 0.0) {
        (true, _) => flops,
        (_, true) => bytes,
        _ => row.median_us,
    }
}

/// At most so many rows: the operations and number types in their order take turns, and each gives
/// rows from the one with the least work to the one with the most.
fn chosen(rows: &[Row], most: usize) -> Vec<&Row> {
    type Kind = (&'static str, Option<NumberType>);
    let mut groups: Vec<(Kind, Vec<&Row>)> = Vec::new();
    for row in rows {
        let kind = (row.operation.name(), row.dtype);
        match groups.iter_mut().find(|group| group.0 == kind) {
            Some(group) => group.1.push(row),
            None => groups.push((kind, vec![row])),
        }
    }
    for (_, group) in &mut groups {
        group.sort_by(|a, b| work(a).total_cmp(&work(b)));
    }
    let mut shares = vec![0; groups.len()];
    let mut left = most.min(rows.len());
    while left > 0 {
        for (share, (_, group)) in shares.iter_mut().zip(&groups) {
            if left > 0 && *share < group.len() {
                *share += 1;
                left -= 1;
            }
        }
    }
    let each = groups.iter().zip(shares);
    each.flat_map(|((_, group), share)| {
        // The middle one of a share of one; else both ends, and others evenly between them.
        let at = move |place: usize| match share {
            1 => (group.len() - 1) / 2,
            _ => place * (group.len() - 1) / (share - 1),
        };
        (0..share).map(move |place| group[at(place)])
    })
    .collect()
}
