//! Lines.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::frame::{Frame, Key, axes, span_of};
use super::{Drawn, INK, SOFT, colour};
use crate::report::chart::{Chart, Line, Scale};

/// Draws lines, those that are hidden at first left out.
pub(super) fn draw<B>(chart: &Chart, series: &[Line], frame: &Frame<B>) -> Drawn
where
    B: DrawingBackend,
    B::ErrorType: 'static,
{
    let shown: Vec<&Line> = series.iter().filter(|line| !line.hidden).collect();
    let keys: Vec<Key> = shown
        .iter()
        .map(|line| Key {
            name: line.name.clone(),
            colour: colour(line.colour),
            dashed: line.dashed,
        })
        .collect();
    let area = frame.below_legend(&keys)?;
    let points = || shown.iter().flat_map(|line| &line.points);
    let whiskers = shown.iter().flat_map(|line| &line.whiskers);
    let ends = whiskers.flat_map(|whisker| [whisker.0, whisker.1]);
    let with = |name: &Option<String>| {
        let named = |name: &String| shown.iter().any(|line| line.name == *name);
        name.as_ref().is_none_or(named)
    };
    let bounds = chart.bounds.iter().filter(|bound| with(&bound.with));
    let xs = points()
        .map(|point| point.0)
        .chain(ends)
        .chain(bounds.map(|it| it.at));
    let x = span_of(&chart.x, xs);
    let y = span_of(&chart.y, points().filter_map(|point| point.1));
    match chart.x.scale {
        Scale::Log if x.0 > 0.0 => on(chart, &shown, frame, &area, (x.0..x.1).log_scale(), (x, y)),
        _ => on(chart, &shown, frame, &area, x.0..x.1, (x, y)),
    }
}

fn on<B, X>(
    chart: &Chart,
    shown: &[&Line],
    frame: &Frame<B>,
    area: &DrawingArea<B, Shift>,
    x_axis: X,
    (x, y): ((f64, f64), (f64, f64)),
) -> Drawn
where
    B: DrawingBackend,
    B::ErrorType: 'static,
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut plot = ChartBuilder::on(area)
        .x_label_area_size(frame.len(46))
        .y_label_area_size(frame.len(74))
        .build_cartesian_2d(x_axis, y.0..y.1)?;
    let ends = |span: &crate::report::chart::Span| {
        let to = span.to.unwrap_or(x.1).min(x.1);
        (span.from.max(x.0), to)
    };
    let drawn = chart.spans.iter().map(ends);
    plot.draw_series(
        drawn.map(|(from, to)| {
            Rectangle::new([(from, y.0), (to, y.1)], colour(3).mix(0.12).filled())
        }),
    )?;
    axes(&mut plot, chart, frame)?;
    for (index, span) in chart.spans.iter().enumerate() {
        let style = frame.at(11, &INK, HPos::Left, VPos::Top);
        let at = (ends(span).0, y.1);
        plot.draw_series([Text::new((index + 1).to_string(), at, style)])?;
    }
    for line in shown {
        stroke(&mut plot, line, frame, y)?;
    }
    for (index, bound) in chart.bounds.iter().enumerate() {
        let line = shown
            .iter()
            .find(|line| Some(&line.name) == bound.with.as_ref());
        let ink = line.map_or(SOFT, |line| colour(line.colour));
        if line.is_none() && bound.with.is_some() {
            continue;
        }
        let style = ink.stroke_width(frame.len(1));
        let ends = [(bound.at, y.0), (bound.at, y.1)];
        plot.draw_series(DashedLineSeries::new(
            ends,
            frame.len(4),
            frame.len(3),
            style,
        ))?;
        // To its left, where curves that reach it have little else; each a line lower.
        let text = frame.at(11, &ink, HPos::Right, VPos::Top);
        let step = (y.1 - y.0) * 0.05;
        let at = (bound.at, y.1 - step * (index as f64 + 0.3));
        plot.draw_series([Text::new(format!("{} ", bound.what), at, text)])?;
    }
    Ok(())
}

fn stroke<B, X>(
    plot: &mut ChartContext<'_, B, Cartesian2d<X, RangedCoordf64>>,
    line: &Line,
    frame: &Frame<B>,
    (_, top): (f64, f64),
) -> Drawn
where
    B: DrawingBackend,
    B::ErrorType: 'static,
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let ink = colour(line.colour);
    let style = ink.stroke_width(frame.len(2));
    // Stretches without a gap.
    for stretch in line.points.split(|point| point.1.is_none()) {
        let points = stretch.iter().filter_map(|point| Some((point.0, point.1?)));
        let points: Vec<(f64, f64)> = points.collect();
        match line.dashed {
            _ if points.len() < 2 => {
                plot.draw_series(
                    points
                        .iter()
                        .map(|at| Circle::new(*at, frame.px(2), ink.filled())),
                )?;
            }
            true => {
                let dashes = (frame.len(6), frame.len(4));
                plot.draw_series(DashedLineSeries::new(points, dashes.0, dashes.1, style))?;
            }
            false => {
                plot.draw_series([PathElement::new(points, style)])?;
            }
        }
    }
    let thin = ink.stroke_width(frame.len(1));
    let tick = top * 0.012;
    for (low, high, at) in &line.whiskers {
        let strokes = [
            [(*low, *at), (*high, *at)],
            [(*low, at - tick), (*low, at + tick)],
            [(*high, at - tick), (*high, at + tick)],
        ];
        plot.draw_series(strokes.map(|ends| PathElement::new(ends.to_vec(), thin)))?;
    }
    Ok(())
}
