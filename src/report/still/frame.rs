//! What every picture has: a heading, what it shows in words, a legend.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Area, Drawn, FAINT, INK, SOFT, colour};
use crate::report::chart::{Axis, Chart, Scale};
use crate::report::number::{percent, significant};

/// A picture that is begun.
pub(super) struct Frame<B: DrawingBackend> {
    /// All of it.
    pub whole: DrawingArea<B, Shift>,
    /// Pixels for each unit of an SVG.
    pub scale: u32,
}

/// A kind of thing in the legend.
pub(super) struct Key {
    pub name: String,
    pub colour: RGBColor,
    pub dashed: bool,
}

/// The keys of series that are drawn alike but for their colours; none for a single one.
pub(super) fn keys_of<'a>(series: impl Iterator<Item = (&'a str, usize)>) -> Vec<Key> {
    let keys = series.map(|(name, index)| Key {
        name: name.to_owned(),
        colour: colour(index),
        dashed: false,
    });
    let keys: Vec<Key> = keys.collect();
    if keys.len() > 1 { keys } else { Vec::new() }
}

/// Height of the heading, and of the legend.
const HEADING: i32 = 62;
const LEGEND: i32 = 26;

impl<B> Frame<B>
where
    B: DrawingBackend,
    B::ErrorType: 'static,
{
    /// Writes the heading.
    pub fn new(
        chart: &Chart,
        area: &Area<'_, B>,
        scale: u32,
    ) -> Result<Frame<B>, Box<dyn std::error::Error>> {
        let frame = Frame {
            whole: area.clone(),
            scale,
        };
        let (title, says) = (frame.style(20, &INK), frame.style(12, &SOFT));
        let at = |x: i32, y: i32| (frame.px(x), frame.px(y));
        area.draw_text(&chart.title, &title, at(24, 14))?;
        let room = area.dim_in_pixel().0 - frame.len(48);
        let line = shortened(area, &chart.says, &says, room)?;
        area.draw_text(&line, &says, at(24, 40))?;
        Ok(frame)
    }

    /// Units of an SVG as pixels.
    pub fn px(&self, units: i32) -> i32 {
        units * i32::try_from(self.scale).unwrap_or(1)
    }

    /// The same for lengths.
    pub fn len(&self, units: u32) -> u32 {
        units * self.scale
    }

    /// A text style.
    pub fn style(&self, size: i32, colour: &RGBColor) -> TextStyle<'static> {
        let mut style = TextStyle::from(("sans-serif", self.px(size)).into_font());
        style.color = colour.to_backend_color();
        style
    }

    /// A text style whose middle, or another place, lies where the text is put.
    pub fn at(&self, size: i32, colour: &RGBColor, across: HPos, up: VPos) -> TextStyle<'static> {
        self.style(size, colour).pos(Pos::new(across, up))
    }

    /// Writes a legend under the heading, and gives the area that is left.
    pub fn below_legend(
        &self,
        keys: &[Key],
    ) -> Result<DrawingArea<B, Shift>, Box<dyn std::error::Error>> {
        let style = self.at(12, &INK, HPos::Left, VPos::Center);
        let (mut x, mut y) = (self.px(24), self.px(HEADING + 8));
        let width = i32::try_from(self.whole.dim_in_pixel().0).unwrap_or(i32::MAX);
        let mut lines = i32::from(!keys.is_empty());
        for key in keys {
            let (text, _) = self.whole.estimate_text_size(&key.name, &style)?;
            let text = i32::try_from(text).unwrap_or(0);
            if x + text + self.px(60) > width {
                x = self.px(24);
                y += self.px(LEGEND - 6);
                lines += 1;
            }
            let ends = (x, x + self.px(22));
            let dashes = match key.dashed {
                true => vec![(ends.0, ends.0 + self.px(9)), (ends.1 - self.px(9), ends.1)],
                false => vec![ends],
            };
            for (from, to) in dashes {
                let line = [(from, y), (to, y)];
                let style = key.colour.stroke_width(self.len(3));
                self.whole.draw(&PathElement::new(line, style))?;
            }
            self.whole
                .draw_text(&key.name, &style, (x + self.px(28), y))?;
            x += text + self.px(50);
        }
        let used = match lines {
            0 => HEADING,
            lines => HEADING + LEGEND + (lines - 1) * (LEGEND - 6),
        };
        let used = u32::try_from(self.px(used)).unwrap_or(0);
        let (_, rest) = self.whole.split_vertically(used);
        Ok(rest.margin(0, self.len(8), self.len(8), self.len(26)))
    }
}

/// A text that fits, with an ellipsis where it had to be cut.
pub(super) fn shortened<B>(
    area: &DrawingArea<B, Shift>,
    text: &str,
    style: &TextStyle<'_>,
    room: u32,
) -> Result<String, Box<dyn std::error::Error>>
where
    B: DrawingBackend,
    B::ErrorType: 'static,
{
    if area.estimate_text_size(text, style)?.0 <= room {
        return Ok(text.to_owned());
    }
    let mut words: Vec<&str> = text.split(' ').collect();
    while words.len() > 1 {
        words.pop();
        let shorter = format!("{}…", words.join(" "));
        if area.estimate_text_size(&shorter, style)?.0 <= room {
            return Ok(shorter);
        }
    }
    let mut letters: Vec<char> = text.chars().collect();
    loop {
        letters.pop();
        let shorter: String = letters.iter().chain(&['…']).collect();
        if letters.is_empty() || area.estimate_text_size(&shorter, style)?.0 <= room {
            return Ok(shorter);
        }
    }
}

/// A value of an axis in words.
pub(super) fn tick(axis: &Axis, value: f64) -> String {
    match axis.scale {
        Scale::Share => percent(Some(value)).replace(".0 %", " %"),
        _ => {
            // A step of the axis that misses 0 by a rounding error is 0.
            let value = if value.abs() < 1e-12 { 0.0 } else { value };
            match value.abs() {
                size if size >= 1e9 => format!("{}G", significant(Some(value / 1e9))),
                size if size >= 1e6 => format!("{}M", significant(Some(value / 1e6))),
                size if size >= 1e4 => format!("{}k", significant(Some(value / 1e3))),
                _ => significant(Some(value)),
            }
        }
    }
}

/// The names of an axis; none where it has numbers.
pub(super) fn names(axis: &Axis) -> &[String] {
    match &axis.scale {
        Scale::Names(names) => names,
        _ => &[],
    }
}

/// The least and the most of some values, with room at the ends; what is logarithmic stays above 0.
pub(super) fn span_of(axis: &Axis, values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (least, most) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), value| {
        (a.min(value), b.max(value))
    });
    match axis.scale {
        _ if least > most => (0.0, 1.0),
        Scale::Log if least > 0.0 => (least / 1.15, most * 1.15),
        Scale::Share => (0.0, most.max(1e-3) * 1.02),
        _ if least >= 0.0 => (0.0, if most > 0.0 { most * 1.05 } else { 1.0 }),
        _ => {
            let room = (most - least) * 0.05;
            (least - room, most + room)
        }
    }
}

/// Draws the axes of a plot.
pub(super) fn axes<B, X, Y>(
    plot: &mut ChartContext<'_, B, Cartesian2d<X, Y>>,
    chart: &Chart,
    frame: &Frame<B>,
) -> Drawn
where
    B: DrawingBackend,
    B::ErrorType: 'static,
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    plot.configure_mesh()
        .x_desc(&chart.x.label)
        .y_desc(&chart.y.label)
        .x_label_formatter(&|value| tick(&chart.x, *value))
        .y_label_formatter(&|value| tick(&chart.y, *value))
        .label_style(frame.style(12, &SOFT))
        .axis_desc_style(frame.style(13, &SOFT))
        .axis_style(SOFT.stroke_width(frame.len(1)))
        .bold_line_style(FAINT.stroke_width(frame.len(1)))
        .light_line_style(TRANSPARENT)
        .set_all_tick_mark_size(frame.len(4))
        .x_labels(9)
        .y_labels(7)
        .draw()?;
    Ok(())
}
