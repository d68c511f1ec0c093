//! Charts as pictures for slides: SVG and PNG of the same data that the page draws.

mod bars;
mod font;
mod frame;
mod heat;
mod lines;
mod png;
mod points;

use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::prelude::*;

use super::chart::{Body, Chart, PALETTE};
use super::columns::write_whole;

pub use font::register;

/// Width and height of a picture, in the units of an SVG: a slide has room for two beside one
/// another.
pub const SIZE: (u32, u32) = (1_000, 560);
/// Pixels of a PNG for each of those.
const SHARPNESS: u32 = 2;
/// Pixels that become one of a PNG, along and up: what smooths its edges.
const SMOOTHING: u32 = 2;

const INK: RGBColor = RGBColor(27, 36, 48);
const SOFT: RGBColor = RGBColor(75, 87, 101);
const FAINT: RGBColor = RGBColor(225, 230, 235);

/// A chart that could not be drawn or written.
#[derive(Debug, thiserror::Error)]
pub enum StillError {
    /// The drawing library refused.
    #[error("chart {chart} cannot be drawn: {reason}; please report it")]
    Drawing {
        /// The chart.
        chart: String,
        /// Why.
        reason: String,
    },
    /// The file could not be written.
    #[error("{file}: cannot be written: {reason}; check the folder given with --charts")]
    Writing {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
}

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Area<'a, B> = DrawingArea<B, Shift>;

/// A chart as an SVG document.
///
/// # Errors
/// [`StillError::Drawing`] when the library refuses.
pub fn svg(chart: &Chart) -> Result<String, StillError> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
    let done = draw(chart, &area, 1).and_then(|()| Ok(area.present()?));
    drop(area);
    done.map_err(|error| refused(chart, &*error))?;
    Ok(with_words(&chart.title, &chart.says, &text))
}

/// A chart as a PNG file.
///
/// # Errors
/// [`StillError::Drawing`] when the library refuses.
pub fn png(chart: &Chart) -> Result<Vec<u8>, StillError> {
    let scale = SHARPNESS * SMOOTHING;
    let size = (SIZE.0 * scale, SIZE.1 * scale);
    let mut pixels = vec![255_u8; size.0 as usize * size.1 as usize * 3];
    let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
    let done = draw(chart, &area, scale).and_then(|()| Ok(area.present()?));
    drop(area);
    let smooth = |()| png::smoothed(&pixels, size, SMOOTHING);
    let encoded = done
        .map(smooth)
        .and_then(|(pixels, size)| png::encoded(&pixels, size));
    encoded.map_err(|error| refused(chart, &*error))
}

/// Writes both of every chart to a folder; the names of the files, in order.
///
/// # Errors
/// [`StillError`] of the first that cannot be drawn or written.
pub fn write<'a>(
    charts: impl Iterator<Item = &'a Chart>,
    folder: &Path,
) -> Result<Vec<PathBuf>, StillError> {
    let mut files = Vec::new();
    for chart in charts {
        let both = [("svg", svg(chart)?.into_bytes()), ("png", png(chart)?)];
        for (extension, bytes) in both {
            let path = folder.join(format!("{}.{extension}", chart.id));
            write_whole(&path, &bytes).map_err(|error| StillError::Writing {
                file: path.display().to_string(),
                reason: error.to_string(),
            })?;
            files.push(path);
        }
    }
    Ok(files)
}

fn refused(chart: &Chart, error: &dyn std::error::Error) -> StillError {
    StillError::Drawing {
        chart: chart.id.clone(),
        reason: error.to_string(),
    }
}

/// An SVG with its title and description, for who cannot see it.
pub(crate) fn with_words(title: &str, says: &str, text: &str) -> String {
    let escaped = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        text.replace('>', "&gt;")
    };
    let words = format!(
        "<title>{}</title><desc>{}</desc>",
        escaped(title),
        escaped(says)
    );
    match text
        .find("<svg")
        .and_then(|at| Some(at + text[at..].find('>')? + 1))
    {
        Some(at) => format!("{}\n{words}{}", &text[..at], &text[at..]),
        None => text.to_owned(),
    }
}

/// Draws a chart on an area that is `scale` times as large as an SVG.
fn draw<B>(chart: &Chart, area: &Area<'_, B>, scale: u32) -> Drawn
where
    B: DrawingBackend,
    B::ErrorType: 'static,
{
    register()?;
    area.fill(&WHITE)?;
    let frame = frame::Frame::new(chart, area, scale)?;
    match &chart.body {
        Body::Lines { series } => lines::draw(chart, series, &frame),
        Body::Bars { series, stacked } => bars::draw(chart, series, *stacked, &frame),
        Body::Heat { value, log, cells } => heat::draw(chart, (value, *log), cells, &frame),
        Body::Points { series } => points::draw(chart, series, &frame),
    }
}

fn colour(index: usize) -> RGBColor {
    let (r, g, b) = PALETTE[index % PALETTE.len()];
    RGBColor(r, g, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::chart::{Axis, Bound, Line, Scale, Span};

    fn chart() -> Chart {
        let mut line = Line::new(
            "TTFT",
            0,
            (1..100)
                .map(|x| (f64::from(x), Some(f64::from(x) / 100.0)))
                .collect(),
        );
        line.whiskers = vec![(40.0, 60.0, 0.5)];
        let axes = (Axis::of("Latency, ms", Scale::Log), Axis::share("Share"));
        let body = Body::Lines { series: vec![line] };
        let mut chart = Chart::new("a", "A <title> & more", axes, body);
        chart.bounds = vec![Bound {
            what: "at most 50 ms".into(),
            at: 50.0,
            with: Some("TTFT".into()),
        }];
        chart.spans = vec![Span {
            what: "x".into(),
            from: 2.0,
            to: Some(3.0),
        }];
        chart
    }

    #[test]
    fn an_svg_has_marks_words_and_says_what_it_is() {
        let text = svg(&chart()).unwrap();
        assert!(
            text.contains("<title>A &lt;title&gt; &amp; more</title>"),
            "{text}"
        );
        assert!(text.matches("<polyline").count() >= 1);
        assert!(text.contains("TTFT") && text.contains("Latency, ms"));
    }

    #[test]
    fn a_png_is_a_png_with_ink_on_it() {
        let bytes = png(&chart()).unwrap();
        let mut reader = ::png::Decoder::new(std::io::Cursor::new(bytes))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(
            (info.width, info.height),
            (SIZE.0 * SHARPNESS, SIZE.1 * SHARPNESS)
        );
        let dark = pixels.iter().filter(|value| **value < 100).count();
        assert!(dark > 5_000, "{dark}");
    }
}
