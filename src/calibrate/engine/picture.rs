//! A fit as an SVG: fitted over measured TTFT and TPOT, row by row.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::fitted::{Fit, WILD};
use crate::calibrate::gpu::picture::PictureError;
use crate::report::number::significant;
use crate::report::ticks::log_ticks;

/// Width and height, pixels.
const SIZE: (u32, u32) = (1_100, 560);
/// Room at the ends of an axis, as a factor.
const ROOM: f64 = 1.3;
/// So many numbers have room beside one another on an axis.
const MOST_TICKS: u32 = 9;
/// What the outer lines are off by.
const BAND: f64 = 0.1;
const SEEN: RGBColor = RGBColor(31, 119, 180);
const UNSEEN: RGBColor = RGBColor(214, 96, 20);
const FAINT: RGBColor = RGBColor(150, 150, 150);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A point: measured, fitted, weight, and by the fit that has not seen it.
type Point = (f64, f64, f64, Option<f64>);

/// A fit as an SVG document.
///
/// # Errors
/// There are no rows, or the drawing library fails.
pub fn draw(fit: &Fit) -> Result<String, PictureError> {
    if fit.rows.is_empty() {
        return Err(PictureError::NoRows);
    }
    let mut text = String::new();
    plot(fit, &mut text).map_err(|error| PictureError::Drawing(error.to_string()))?;
    Ok(text)
}

fn plot(fit: &Fit, text: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    crate::report::still::register()?;
    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let title = format!(
        "{} on {}: fitted over measured, {} rows",
        fit.engine,
        fit.accelerator,
        fit.rows.len()
    );
    let area = area.titled(&title, ("sans-serif", 18))?;
    let halves = area.split_evenly((1, 2));
    let ttft = fit.rows.iter().map(|row| {
        let unseen = row.unseen_ms.map(|pair| pair.0);
        (row.ttft_ms.0, row.ttft_ms.1, row.weights.0, unseen)
    });
    let tpot = fit.rows.iter().map(|row| {
        let unseen = row.unseen_ms.map(|pair| pair.1);
        (row.tpot_ms.0, row.tpot_ms.1, row.weights.1, unseen)
    });
    half(&halves[0], "mean TTFT, ms", &ttft.collect::<Vec<_>>())?;
    half(&halves[1], "mean TPOT, ms", &tpot.collect::<Vec<_>>())?;
    area.present()?;
    Ok(())
}

fn half(area: &Area<'_>, name: &str, points: &[Point]) -> Result<(), Box<dyn std::error::Error>> {
    let all = points
        .iter()
        .flat_map(|(measured, fitted, _, unseen)| [Some(*measured), Some(*fitted), *unseen]);
    let (least, most) = all
        .flatten()
        .fold((f64::INFINITY, 0.0_f64), |(least, most), value| {
            (least.min(value), most.max(value))
        });
    let (low, high) = (least / ROOM, most * ROOM);
    let axis = || {
        let ticks = log_ticks(low, high, MOST_TICKS);
        (low..high).log_scale().with_key_points(ticks)
    };
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(axis(), axis())?;
    chart
        .configure_mesh()
        .x_desc(format!("measured {name}"))
        .y_desc(format!("fitted {name}"))
        .x_label_formatter(&|value| significant(Some(*value)))
        .y_label_formatter(&|value| significant(Some(*value)))
        .bold_line_style(RGBColor(225, 230, 235))
        .draw()?;
    for factor in [1.0, 1.0 + BAND, 1.0 - BAND] {
        // Both ends within the axes, which would bend it otherwise.
        let (begin, end) = (low.max(low / factor), high.min(high / factor));
        let line = [(begin, begin * factor), (end, end * factor)];
        chart.draw_series(LineSeries::new(line, FAINT))?;
    }
    let unseen = points.iter().filter_map(|point| Some((point.0, point.3?)));
    chart
        .draw_series(unseen.map(|at| Circle::new(at, 4, UNSEEN.stroke_width(1))))?
        .label("by the fit that has not seen the row")
        .legend(|(x, y)| Circle::new((x + 7, y), 4, UNSEEN.stroke_width(1)));
    let kept = points.iter().filter(|point| point.2 >= WILD);
    chart
        .draw_series(kept.map(|point| Circle::new((point.0, point.1), 3, SEEN.filled())))?
        .label("by the fit to all rows; lines: 0, +-10 %")
        .legend(|(x, y)| Circle::new((x + 7, y), 3, SEEN.filled()));
    let wild = points.iter().filter(|point| point.2 < WILD);
    chart
        .draw_series(wild.map(|point| Cross::new((point.0, point.1), 5, BLACK.stroke_width(2))))?
        .label("the same, of rows that hardly count")
        .legend(|(x, y)| Cross::new((x + 7, y), 5, BLACK.stroke_width(2)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .draw()?;
    Ok(())
}
