//! Measured rates as a chart: of arithmetic over arithmetic per byte, beneath the roof of a card's
//! peaks, or of bytes over how many they are.

use plotters::prelude::*;

use super::super::operation::NumberType;
use super::super::record::Row;
use super::super::table::share_of_peak;
use super::{Area, Drawn, FAINT};
use crate::perf::{AcceleratorCard, Dtype};
use crate::report::number::significant;
use crate::report::ticks::log_ticks;

/// Room at the ends of an axis, as a factor.
const ROOM: f64 = 1.5;
/// Points of a roof.
const ROOF_POINTS: i32 = 200;
/// So many numbers have room beside one another on an axis.
const MOST_TICKS: u32 = 10;

/// The points and lines of a chart.
pub(super) struct Rates {
    x: &'static str,
    y: &'static str,
    points: Vec<(Option<NumberType>, f64, f64)>,
    roofs: Vec<Roof>,
}

/// What no rate is above.
struct Roof {
    name: String,
    dtype: Option<NumberType>,
    line: Vec<(f64, f64)>,
}

/// The colour of a number type.
const fn colour(dtype: Option<NumberType>) -> RGBColor {
    match dtype {
        None => RGBColor(90, 90, 90),
        Some(NumberType::Bf16) => RGBColor(31, 119, 180),
        Some(NumberType::Fp8E4m3) => RGBColor(214, 96, 20),
        Some(NumberType::Fp8Block) => RGBColor(44, 140, 60),
        Some(NumberType::Nvfp4) => RGBColor(148, 70, 160),
        Some(NumberType::Mxfp4) => RGBColor(140, 86, 60),
        Some(NumberType::Int8) => RGBColor(190, 150, 0),
    }
}

/// The least and the most of some values, with room.
fn span(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (least, most) = values.fold((f64::INFINITY, 0.0_f64), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    least / ROOM..most * ROOM
}

impl Rates {
    /// The rates of rows of one operation, with the peaks of a card where one is known.
    pub(super) fn new(rows: &[Row], card: Option<&AcceleratorCard>) -> Self {
        let computes = rows.iter().any(|row| row.tflop_per_s.is_some());
        let points = rows.iter().filter_map(|row| {
            let bytes = row.operation.bytes(row.dtype);
            let (x, y) = if computes {
                (row.operation.flops() / bytes, row.tflop_per_s?)
            } else {
                (bytes / 1e6, row.gb_per_s?)
            };
            let shown = x > 0.0 && x.is_finite();
            shown.then_some((row.dtype, x, y))
        });
        let (x, y) = if computes {
            ("least FLOP per byte", "TFLOP/s")
        } else {
            ("MB", "GB/s")
        };
        let mut rates = Self {
            x,
            y,
            points: points.collect(),
            roofs: Vec::new(),
        };
        if let Some(card) = card.filter(|_| rates.any()) {
            rates.add_roofs(rows, card);
        }
        rates
    }

    /// Whether there is any.
    pub(super) fn any(&self) -> bool {
        !self.points.is_empty()
    }

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
        let in_memory = rows.iter().all(|row| share_of_peak(row, card).is_some());
        if !computes && in_memory {
            let line = (0..=ROOF_POINTS).map(|step| (at(step), card.bandwidth_gb_per_s));
            self.roofs.push(Roof {
                name: format!("memory of {}", card.name),
                dtype: None,
                line: line.collect(),
            });
        }
        for dtype in self.dtypes().into_iter().filter(|_| computes) {
            let (name, peak) = match dtype {
                None => ("bf16", card.peak_tflops(Dtype::Bf16)),
                Some(NumberType::Fp8E4m3) => ("fp8", card.peak_tflops(Dtype::Fp8)),
                Some(other) => (other.name(), card.peak_tflops(other.rate())),
            };
            let roof = |x: f64| peak.min(x * card.bandwidth_gb_per_s / 1e3);
            let line = (0..=ROOF_POINTS).map(|step| (at(step), roof(at(step))));
            self.roofs.push(Roof {
                name: format!("{name} peak of {}", card.name),
                dtype,
                line: line.collect(),
            });
        }
    }

    /// Draws it.
    pub(super) fn plot(&self, area: &Area<'_>) -> Drawn {
        let highest = self.roofs.iter().flat_map(|roof| &roof.line);
        let heights = self.points.iter().map(|point| point.2);
        let y_range = span(heights.chain(highest.map(|point| point.1)));
        let axis = |range: std::ops::Range<f64>| {
            let ticks = log_ticks(range.start, range.end, MOST_TICKS);
            range.log_scale().with_key_points(ticks)
        };
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(axis(self.x_range()), axis(y_range))?;
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&|value| significant(Some(*value)))
            .y_label_formatter(&|value| significant(Some(*value)))
            .label_style(("sans-serif", 15))
            .axis_desc_style(("sans-serif", 16))
            .bold_line_style(FAINT)
            .draw()?;
        for roof in &self.roofs {
            let style = colour(roof.dtype).stroke_width(2);
            chart
                .draw_series(LineSeries::new(roof.line.iter().copied(), style))?
                .label(&roof.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], style));
        }
        for dtype in self.dtypes() {
            let colour = colour(dtype);
            let of_type = self.points.iter().filter(|point| point.0 == dtype);
            chart
                .draw_series(of_type.map(|(_, x, y)| Circle::new((*x, *y), 3, colour.filled())))?
                .label(dtype.map_or("bytes", NumberType::name))
                .legend(move |(x, y)| Circle::new((x + 7, y), 3, colour.filled()));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .label_font(("sans-serif", 15))
            .background_style(WHITE)
            .draw()?;
        Ok(())
    }
}
