//! Coloured cells.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::frame::{Frame, names, tick};
use super::{Drawn, INK, SOFT};
use crate::report::chart::{Axis, Chart};

/// From the least to the most: even steps of lightness, on which black figures are readable.
const SCALE: [(f64, f64, f64); 5] = [
    (242.0, 240.0, 247.0),
    (201.0, 211.0, 234.0),
    (143.0, 183.0, 217.0),
    (79.0, 155.0, 193.0),
    (42.0, 127.0, 143.0),
];
/// The most cells that have room for their figures.
const MOST_FIGURES: usize = 150;
/// Steps of the scale beside the map.
const STEPS: i32 = 60;

/// Draws a map.
pub(super) fn draw<B>(
    chart: &Chart,
    (value, log): (&str, bool),
    cells: &[(usize, usize, f64)],
    frame: &Frame<B>,
) -> Drawn
where
    B: DrawingBackend,
    B::ErrorType: 'static,
{
    let area = frame.below_legend(&[])?;
    let (width, _) = area.dim_in_pixel();
    let (area, beside) = area.split_horizontally(width.saturating_sub(frame.len(110)));
    let (columns, rows) = (names(&chart.x), names(&chart.y));
    let shaded = |value: f64| if log { value.log10() } else { value };
    let values = || cells.iter().map(|cell| shaded(cell.2));
    let least = values().fold(f64::INFINITY, f64::min);
    let most = values().fold(f64::NEG_INFINITY, f64::max);
    let mut plot = ChartBuilder::on(&area)
        .x_label_area_size(frame.len(46))
        .y_label_area_size(frame.len(110))
        .build_cartesian_2d(
            (0..columns.len().saturating_sub(1)).into_segmented(),
            (0..rows.len().saturating_sub(1)).into_segmented(),
        )?;
    let name = |names: &[String], at: &SegmentValue<usize>| match at {
        SegmentValue::CenterOf(at) => names.get(*at).cloned().unwrap_or_default(),
        _ => String::new(),
    };
    plot.configure_mesh()
        .disable_mesh()
        .x_desc(&chart.x.label)
        .y_desc(&chart.y.label)
        .x_label_formatter(&|at| name(columns, at))
        .y_label_formatter(&|at| name(rows, at))
        .label_style(frame.style(12, &SOFT))
        .axis_desc_style(frame.style(13, &SOFT))
        .axis_style(SOFT.stroke_width(frame.len(1)))
        .x_labels(columns.len().clamp(1, 14))
        .y_labels(rows.len().clamp(1, 18))
        .draw()?;
    // Where a cell ends, the next begins, or the axis ends.
    let end = |at: usize, all: usize| match at + 1 < all {
        true => SegmentValue::Exact(at + 1),
        false => SegmentValue::Last,
    };
    plot.draw_series(cells.iter().map(|(x, y, value)| {
        let begin = (SegmentValue::Exact(*x), SegmentValue::Exact(*y));
        let corners = [begin, (end(*x, columns.len()), end(*y, rows.len()))];
        Rectangle::new(
            corners,
            shade((shaded(*value) - least) / (most - least)).filled(),
        )
    }))?;
    if cells.len() <= MOST_FIGURES {
        let style = frame.at(11, &INK, HPos::Center, VPos::Center);
        plot.draw_series(cells.iter().map(|(x, y, value)| {
            let at = (SegmentValue::CenterOf(*x), SegmentValue::CenterOf(*y));
            Text::new(tick(&Axis::linear(""), *value), at, style.clone())
        }))?;
    }
    let ends = [least, f64::midpoint(least, most), most];
    let ends = ends.map(|it| if log { 10_f64.powf(it) } else { it });
    legend(&beside, value, ends, frame)
}

/// The scale beside a map.
fn legend<B>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    value: &str,
    [least, middle, most]: [f64; 3],
    frame: &Frame<B>,
) -> Drawn
where
    B: DrawingBackend,
    B::ErrorType: 'static,
{
    let (top, height, left) = (40, 300, 22);
    for step in 0..STEPS {
        let share = 1.0 - f64::from(step) / f64::from(STEPS - 1);
        let from = frame.px(top) + frame.px(height) * step / STEPS;
        let to = frame.px(top) + frame.px(height) * (step + 1) / STEPS;
        let corners = [(frame.px(left), from), (frame.px(left + 16), to)];
        area.draw(&Rectangle::new(corners, shade(share).filled()))?;
    }
    let text = |value: f64| tick(&Axis::linear(""), value);
    let style = frame.at(12, &SOFT, HPos::Left, VPos::Center);
    for (value, at) in [(most, 0), (middle, height / 2), (least, height)] {
        let at = (frame.px(left + 22), frame.px(top + at));
        area.draw_text(&text(value), &style, at)?;
    }
    let room = frame.len(100);
    let title = super::frame::shortened(area, value, &style, room)?;
    area.draw_text(&title, &style, (frame.px(4), frame.px(16)))?;
    Ok(())
}

/// The colour of a share of the way from the least to the most.
fn shade(share: f64) -> RGBColor {
    let share = if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.5
    };
    let place = share * (SCALE.len() - 1) as f64;
    let first = (place as usize).min(SCALE.len() - 2);
    let (from, to, part) = (SCALE[first], SCALE[first + 1], place - first as f64);
    let mixed = |a: f64, b: f64| (a + (b - a) * part).round() as u8;
    RGBColor(
        mixed(from.0, to.0),
        mixed(from.1, to.1),
        mixed(from.2, to.2),
    )
}
