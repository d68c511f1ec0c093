//! Points.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

use super::frame::{Frame, axes, keys_of};
use super::{Drawn, colour};
use crate::report::chart::{Axis, Chart, Cloud, Scale};

/// Draws points.
pub(super) fn draw<B>(chart: &Chart, series: &[Cloud], frame: &Frame<B>) -> Drawn
where
    B: DrawingBackend,
    B::ErrorType: 'static,
{
    let keys = keys_of(
        series
            .iter()
            .map(|cloud| (cloud.name.as_str(), cloud.colour)),
    );
    let area = frame.below_legend(&keys)?;
    let all = || series.iter().flat_map(|cloud| &cloud.points);
    let x = span(&chart.x, all().map(|point| point.0));
    let y = span(&chart.y, all().map(|point| point.1));
    let log = |axis: &Axis| axis.scale == Scale::Log;
    let (across, up) = (x.0..x.1, y.0..y.1);
    match (log(&chart.x), log(&chart.y)) {
        (false, false) => on(chart, series, frame, &area, across, up),
        (true, false) => on(chart, series, frame, &area, across.log_scale(), up),
        (false, true) => on(chart, series, frame, &area, across, up.log_scale()),
        (true, true) => on(
            chart,
            series,
            frame,
            &area,
            across.log_scale(),
            up.log_scale(),
        ),
    }
}

/// The least and the most, with room at the ends; 0 need not be in it.
fn span(axis: &Axis, values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), value| {
        (a.min(value), b.max(value))
    });
    match axis.scale {
        _ if least > most => (0.0, 1.0),
        Scale::Log => (least / 1.2, most * 1.2),
        _ if least == most => (least - 0.5, most + 0.5),
        _ => {
            let room = (most - least) * 0.06;
            (least - room, most + room)
        }
    }
}

fn on<B, X, Y>(
    chart: &Chart,
    series: &[Cloud],
    frame: &Frame<B>,
    area: &DrawingArea<B, Shift>,
    x: X,
    y: Y,
) -> Drawn
where
    B: DrawingBackend,
    B::ErrorType: 'static,
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut plot = ChartBuilder::on(area)
        .x_label_area_size(frame.len(46))
        .y_label_area_size(frame.len(78))
        .build_cartesian_2d(x, y)?;
    axes(&mut plot, chart, frame)?;
    for cloud in series {
        let ink = colour(cloud.colour);
        let size = if cloud.points.len() > 500 { 2 } else { 4 };
        let dots = cloud
            .points
            .iter()
            .map(|point| Circle::new((point.0, point.1), frame.px(size), ink.mix(0.8).filled()));
        plot.draw_series(dots)?;
        if cloud.joined {
            let style = ink.stroke_width(frame.len(2));
            // As good as the last until the next: steps.
            let mut line: Vec<(f64, f64)> = Vec::new();
            for point in &cloud.points {
                if let Some(last) = line.last().copied() {
                    line.push((point.0, last.1));
                }
                line.push((point.0, point.1));
            }
            plot.draw_series([PathElement::new(line, style)])?;
        }
    }
    Ok(())
}
