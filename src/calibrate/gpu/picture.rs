//! Measured rates as an SVG: of arithmetic over arithmetic per byte, beneath the roof of a card's
//! peaks, or of bytes over how many they are.

use plotters::prelude::*;

use super::operation::NumberType;
use super::record::Row;
use crate::perf::{AcceleratorCard, Dtype};
use crate::report::number::significant;

/// Width and height, pixels.
const SIZE: (u32, u32) = (960, 600);
/// Room at the ends of an axis, as a factor.
const ROOM: f64 = 1.5;
/// Points of a roof.
const ROOF_POINTS: i32 = 200;
/// Colours of the number types, in their order: none, bf16, fp8.
const COLOURS: [RGBColor; 3] = [
    RGBColor(90, 90, 90),
    RGBColor(31, 119, 180),
    RGBColor(214, 96, 20),
];

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// Nothing that has a rate.
    #[error(
        "no row has a rate that could be drawn; name an operation by `--operation` of which the \
         file has rows, and that moves bytes or computes"
    )]
    NoRates,
    /// The drawing library.
    #[error("the picture cannot be drawn: {0}")]
    Drawing(String),
}

/// A picture's points and lines.
struct Picture {
    title: String,
    x: &'static str,
    y: &'static str,
    points: Vec<(Option<NumberType>, f64, f64)>,
    roofs: Vec<(String, Vec<(f64, f64)>)>,
}

/// Rows of one operation as an SVG document, with the peaks of a card where one is known.
///
/// # Errors
/// No row has a rate.
pub fn draw(
    title: &str,
    rows: &[Row],
    card: Option<&AcceleratorCard>,
) -> Result<String, PictureError> {
    let mut picture = picture(title, rows);
    if picture.points.is_empty() {
        return Err(PictureError::NoRates);
    }
    if let Some(card) = card {
        picture.add_roofs(rows, card);
    }
    let mut text = String::new();
    picture
        .plot(&mut text)
        .map_err(|error| PictureError::Drawing(error.to_string()))?;
    Ok(text)
}

fn picture(title: &str, rows: &[Row]) -> Picture {
    let computes = rows.iter().any(|row| row.tflop_per_s.is_some());
    let points = rows.iter().filter_map(|row| {
        let bytes = row.operation.bytes(row.dtype);
        let (x, y) = if computes {
            (row.operation.flops() / bytes, row.tflop_per_s?)
        } else {
            (bytes / 1e6, row.gb_per_s?)
        };
        Some((row.dtype, x, y))
    });
    let (x, y) = if computes {
        ("least FLOP per byte", "TFLOP/s")
    } else {
        ("MB", "GB/s")
    };
    Picture {
        title: title.to_owned(),
        x,
        y,
        points: points.collect(),
        roofs: Vec::new(),
    }
}

/// The least and the most of some values, with room.
fn span(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (least, most) = values.fold((f64::INFINITY, 0.0_f64), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    least / ROOM..most * ROOM
}

impl Picture {
    fn x_range(&self) -> std::ops::Range<f64> {
        span(self.points.iter().map(|point| point.1))
    }

    fn dtypes(&self) -> Vec<Option<NumberType>> {
        let mut all: Vec<_> = self.points.iter().map(|point| point.0).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The peaks: of each number type that computes, or of the memory where that is what moves.
    fn add_roofs(&mut self, rows: &[Row], card: &AcceleratorCard) {
        let across = self.x_range();
        let at = |step: i32| {
            let share = f64::from(step) / f64::from(ROOF_POINTS);
            across.start * (across.end / across.start).powf(share)
        };
        let computes = rows.iter().any(|row| row.tflop_per_s.is_some());
        let in_memory = rows
            .iter()
            .all(|row| super::table::share_of_peak(row, card).is_some());
        if !computes && in_memory {
            let line = (0..=ROOF_POINTS).map(|step| (at(step), card.bandwidth_gb_per_s));
            let name = format!("memory of {}", card.name);
            self.roofs.push((name, line.collect()));
        }
        for dtype in self.dtypes().into_iter().filter(|_| computes) {
            let (name, peak) = match dtype {
                None => ("bf16", card.peak_tflops(Dtype::Bf16)),
                Some(NumberType::Fp8E4m3) => ("fp8", card.peak_tflops(Dtype::Fp8)),
                Some(other) => (other.name(), card.peak_tflops(other.rate())),
            };
            let roof = |x: f64| peak.min(x * card.bandwidth_gb_per_s / 1e3);
            let line = (0..=ROOF_POINTS).map(|step| (at(step), roof(at(step))));
            let name = format!("{name} peak of {}", card.name);
            self.roofs.push((name, line.collect()));
        }
    }

    fn plot(&self, text: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        crate::report::still::register()?;
        let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let highest = self.roofs.iter().flat_map(|roof| &roof.1);
        let heights = self.points.iter().map(|point| point.2);
        let y_range = span(heights.chain(highest.map(|point| point.1)));
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(self.x_range().log_scale(), y_range.log_scale())?;
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&|value| significant(Some(*value)))
            .y_label_formatter(&|value| significant(Some(*value)))
            .light_line_style(RGBColor(235, 235, 235))
            .draw()?;
        for (name, line) in &self.roofs {
            let style = if name.starts_with("fp8") {
                COLOURS[2]
            } else {
                COLOURS[1]
            };
            chart
                .draw_series(LineSeries::new(line.iter().copied(), style))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], style));
        }
        for dtype in self.dtypes() {
            let colour = match dtype {
                None => COLOURS[0],
                Some(NumberType::Bf16) => COLOURS[1],
                Some(_) => COLOURS[2],
            };
            let of_type = self.points.iter().filter(|point| point.0 == dtype);
            chart
                .draw_series(of_type.map(|(_, x, y)| Circle::new((*x, *y), 3, colour.filled())))?
                .label(dtype.map_or("bytes", NumberType::name))
                .legend(move |(x, y)| Circle::new((x + 7, y), 3, colour.filled()));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE)
            .border_style(RGBColor(200, 200, 200))
            .draw()?;
        area.present()?;
        Ok(())
    }
}
