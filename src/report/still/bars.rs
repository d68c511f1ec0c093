//! Bars, one row for each name.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::frame::{Frame, keys_of, names, shortened, span_of, tick};
use super::{Drawn, FAINT, INK, SOFT, colour};
use crate::report::chart::{BarSeries, Chart};

/// The share of a row that bars take.
const FULL: f64 = 0.72;
/// The share of the longest row from which a part has room for its figure.
const ROOM: f64 = 0.07;

/// Draws bars.
pub(super) fn draw<B>(chart: &Chart, series: &[BarSeries], stacked: bool, frame: &Frame<B>) -> Drawn
where
    B: DrawingBackend,
    B::ErrorType: 'static,
{
    let keys = keys_of(series.iter().map(|bars| (bars.name.as_str(), bars.colour)));
    let area = frame.below_legend(&keys)?;
    let rows = names(&chart.y);
    let x = span_of(&chart.x, ends(series, rows.len(), stacked).into_iter());
    // Room for the figures beside bars.
    let x = (x.0.min(0.0), if stacked { x.1 } else { x.1 * 1.08 });
    let label = frame.at(13, &INK, HPos::Right, VPos::Center);
    let mut wide = frame.len(40);
    for name in rows {
        wide = wide.max(area.estimate_text_size(name, &label)?.0 + frame.len(14));
    }
    let wide = wide.min(frame.len(240));
    let count = rows.len() as f64;
    let mut plot = ChartBuilder::on(&area)
        .x_label_area_size(frame.len(46))
        .y_label_area_size(wide)
        .build_cartesian_2d(x.0..x.1, count..0.0)?;
    plot.configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc(&chart.x.label)
        .x_label_formatter(&|value| tick(&chart.x, *value))
        .label_style(frame.style(12, &SOFT))
        .axis_desc_style(frame.style(13, &SOFT))
        .axis_style(SOFT.stroke_width(frame.len(1)))
        .bold_line_style(FAINT.stroke_width(frame.len(1)))
        .light_line_style(TRANSPARENT)
        .x_labels(8)
        .draw()?;
    for (row, name) in rows.iter().enumerate() {
        let text = shortened(&area, name, &label, wide - frame.len(10))?;
        let at = plot.backend_coord(&(0.0_f64.max(x.0), row as f64 + 0.5));
        // Relative to the area that the plot is on.
        let base = area.get_base_pixel();
        let at = (at.0 - base.0 - frame.px(8), at.1 - base.1);
        area.draw_text(&text, &label, at)?;
    }
    let sums = ends(series, rows.len(), stacked).into_iter();
    let most = sums.fold(0.0, f64::max);
    let mut begin = vec![0.0; rows.len()];
    for (index, bars) in series.iter().enumerate() {
        for (row, begin) in begin.iter_mut().enumerate() {
            let Some(value) = bars.values.get(row).copied().flatten() else {
                continue;
            };
            let share = if stacked { 1.0 } else { series.len() as f64 };
            let thick = FULL / share;
            let place = if stacked { 0.0 } else { thick * index as f64 };
            let bar = Bar {
                from: *begin,
                value,
                first: row as f64 + (1.0 - FULL) / 2.0 + place,
                thick,
                interval: bars.intervals.get(row).copied().flatten(),
                has_room: !stacked || value >= most * ROOM,
            };
            plot.draw_series([bar.body(colour(bars.colour))])?;
            plot.draw_series(bar.interval_line(frame))?;
            plot.draw_series(bar.figure(chart, frame, stacked))?;
            if stacked {
                *begin += value;
            }
        }
    }
    Ok(())
}

/// One bar.
struct Bar {
    from: f64,
    value: f64,
    /// Where it begins across, and how thick it is, in rows.
    first: f64,
    thick: f64,
    interval: Option<(f64, f64)>,
    /// Whether its figure has room.
    has_room: bool,
}

impl Bar {
    fn middle(&self) -> f64 {
        self.first + self.thick / 2.0
    }

    fn body(&self, colour: RGBColor) -> Rectangle<(f64, f64)> {
        let corners = [
            (self.from, self.first),
            (self.from + self.value, self.first + self.thick),
        ];
        Rectangle::new(corners, colour.filled())
    }

    fn interval_line<B: DrawingBackend>(&self, frame: &Frame<B>) -> Option<PathElement<(f64, f64)>>
    where
        B::ErrorType: 'static,
    {
        let (low, high) = self.interval?;
        let line = vec![(low, self.middle()), (high, self.middle())];
        Some(PathElement::new(line, INK.stroke_width(frame.len(2))))
    }

    /// Its figure: within it where bars are put end to end, else beside it. An interval takes its
    /// place.
    fn figure<B: DrawingBackend>(
        &self,
        chart: &Chart,
        frame: &Frame<B>,
        stacked: bool,
    ) -> Option<Text<'static, (f64, f64), String>>
    where
        B::ErrorType: 'static,
    {
        if self.interval.is_some() || !self.has_room {
            return None;
        }
        let text = tick(&chart.x, self.value);
        Some(match stacked {
            true => {
                let style = frame.at(12, &WHITE, HPos::Center, VPos::Center);
                Text::new(text, (self.from + self.value / 2.0, self.middle()), style)
            }
            false => {
                let style = frame.at(12, &INK, HPos::Left, VPos::Center);
                let at = (self.value.max(0.0), self.middle());
                Text::new(format!(" {text}"), at, style)
            }
        })
    }
}

/// Where rows or bars end, and their intervals.
fn ends(series: &[BarSeries], rows: usize, stacked: bool) -> Vec<f64> {
    let of_row = |row: usize| {
        let values = series.iter();
        values.filter_map(move |bars| bars.values.get(row).copied().flatten())
    };
    let mut ends: Vec<f64> = match stacked {
        true => (0..rows).map(|row| of_row(row).sum()).collect(),
        false => (0..rows).flat_map(of_row).collect(),
    };
    let intervals = series.iter().flat_map(|bars| &bars.intervals);
    ends.extend(intervals.flatten().flat_map(|(low, high)| [*low, *high]));
    ends
}
