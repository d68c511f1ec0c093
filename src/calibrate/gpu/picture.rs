//! Rows of a calibration as an SVG for a slide: the rates of one operation as a chart, and beside it
//! the rows as a table; of several operations, the table alone.

mod rates;
mod sheet;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::record::Calibration;
use crate::perf::AcceleratorCard;
use crate::report::still::with_words;
use rates::Rates;
use sheet::Sheet;

/// Widths of the chart and of the table, and the height of a picture with few rows, pixels.
const CHART: u32 = 680;
const TABLE: u32 = 920;
const LEAST_HEIGHT: u32 = 620;
/// Height of the heading.
const HEAD: u32 = 48;

const INK: RGBColor = RGBColor(27, 36, 48);
const SOFT: RGBColor = RGBColor(75, 87, 101);
const FAINT: RGBColor = RGBColor(225, 230, 235);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// Nothing to show.
    #[error(
        "there is no row to draw; name an operation by `--operation` of which the file has rows"
    )]
    NoRows,
    /// Nothing that has a rate, and no table.
    #[error(
        "no row has a rate that could be drawn, and `--svg-rows 0` leaves out the table; ask for \
         some rows, or name one operation by `--operation` that moves bytes or computes"
    )]
    NoRates,
    /// The drawing library.
    #[error("the picture cannot be drawn: {0}")]
    Drawing(String),
}

/// The rows of a calibration as an SVG document: a chart of their rates where all are of one
/// operation that has any, with the peaks of a card where one is known, and a table of at most
/// `most_rows` of them.
///
/// # Errors
/// There are no rows, or nothing to draw of them.
pub fn draw(
    calibration: &Calibration,
    card: Option<&AcceleratorCard>,
    most_rows: usize,
) -> Result<String, PictureError> {
    let Some(first) = calibration.rows.first() else {
        return Err(PictureError::NoRows);
    };
    let name = first.operation.name();
    let one = (calibration.rows.iter()).all(|row| row.operation.name() == name);
    let rates = Some(Rates::new(&calibration.rows, card)).filter(|rates| one && rates.any());
    let sheet = (most_rows > 0).then(|| Sheet::new(calibration, card, most_rows));
    let what = if one { name } else { "Operations" };
    let title = format!("{what} on {}", calibration.device.name);
    let mut text = String::new();
    let says = match (&rates, &sheet) {
        (None, None) => return Err(PictureError::NoRates),
        (_, Some(sheet)) => sheet.says(),
        (Some(_), None) => "The rates of its rows.".to_owned(),
    };
    compose(&title, rates.as_ref(), sheet.as_ref(), &mut text)
        .map_err(|error| PictureError::Drawing(error.to_string()))?;
    Ok(with_words(&title, &says, &text))
}

fn compose(title: &str, rates: Option<&Rates>, sheet: Option<&Sheet>, text: &mut String) -> Drawn {
    crate::report::still::register()?;
    let width = rates.map_or(0, |_| CHART) + sheet.map_or(0, |_| TABLE);
    let below = sheet.map_or(0, Sheet::height);
    let below = below.max(rates.map_or(0, |_| LEAST_HEIGHT));
    let area = SVGBackend::with_string(text, (width, HEAD + below)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut style = TextStyle::from(("sans-serif", 22).into_font());
    style.color = INK.to_backend_color();
    area.draw_text(title, &style, (24, 14))?;
    let (_, rest) = area.split_vertically(HEAD);
    let (left, right) = rest.split_horizontally(rates.map_or(0, |_| CHART));
    if let Some(rates) = rates {
        // As tall as it is wide, however many rows the table has.
        let (chart, _) = left.split_vertically(LEAST_HEIGHT);
        rates.plot(&chart)?;
    }
    if let Some(sheet) = sheet {
        sheet.draw(&right)?;
    }
    area.present()?;
    Ok(())
}
