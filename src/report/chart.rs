//! A chart as data: what is drawn, whoever draws it. The page draws it in a browser, [`super::still`]
//! as SVG and PNG.

use serde::Serialize;

/// A chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chart {
    /// Its name in files and links: letters, digits and hyphens.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// What it shows, in words, for who cannot see it.
    pub says: String,
    /// The axis along.
    pub x: Axis,
    /// The axis up.
    pub y: Axis,
    /// What was so over a stretch of x; numbered from 1.
    pub spans: Vec<Span>,
    /// What the spans are, all together.
    pub spans_are: String,
    /// Values of x to be seen in relation to.
    pub bounds: Vec<Bound>,
    /// Charts of one group are zoomed together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What is drawn.
    pub body: Body,
}

/// An axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Axis {
    /// What it is, with its unit.
    pub label: String,
    /// How values lie on it.
    pub scale: Scale,
}

/// How values lie on an axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm; all are above 0.
    Log,
    /// Shares, 0 to 1, shown as percentages.
    Share,
    /// Names: their values are the places in this list.
    Names(Vec<String>),
}

/// What was so over a stretch of x.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Span {
    /// What.
    pub what: String,
    /// From where.
    pub from: f64,
    /// To where; none where to the end.
    pub to: Option<f64>,
}

/// A value of x to be seen in relation to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bound {
    /// What it is.
    pub what: String,
    /// Where it lies.
    pub at: f64,
    /// The series it is shown with, by name; none where with all.
    pub with: Option<String>,
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Body {
    /// Lines.
    Lines {
        /// One each.
        series: Vec<Line>,
    },
    /// Bars along, one row for each name of y.
    Bars {
        /// One value for each row.
        series: Vec<BarSeries>,
        /// Whether those of a row are put end to end.
        stacked: bool,
    },
    /// Coloured cells; both axes have names.
    Heat {
        /// What the colour stands for.
        value: String,
        /// Whether values are so far apart that their logarithm is coloured; all are above 0 then.
        log: bool,
        /// Places on x and y, and the value.
        cells: Vec<(usize, usize, f64)>,
    },
    /// Points.
    Points {
        /// Points of one kind each.
        series: Vec<Cloud>,
    },
}

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// What it is.
    pub name: String,
    /// Its colour, a place in the palette.
    pub colour: usize,
    /// Whether it is dashed.
    pub dashed: bool,
    /// Whether it is hidden until somebody asks for it.
    pub hidden: bool,
    /// Its points, x ascending; it is broken where there is no y.
    pub points: Vec<(f64, Option<f64>)>,
    /// Intervals of points: along x from the first to the second number, at the third.
    pub whiskers: Vec<(f64, f64, f64)>,
}

/// Bars of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BarSeries {
    /// What they are.
    pub name: String,
    /// Their colour, a place in the palette.
    pub colour: usize,
    /// By row; none where there is no bar.
    pub values: Vec<Option<f64>>,
    /// Their intervals, by row; empty where there are none.
    pub intervals: Vec<Option<(f64, f64)>>,
}

/// Points of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cloud {
    /// What they are.
    pub name: String,
    /// Their colour, a place in the palette.
    pub colour: usize,
    /// Whether they are joined by a line.
    pub joined: bool,
    /// Where they are, and what is told of each.
    pub points: Vec<(f64, f64, String)>,
}

/// Colours that can be told apart by most people, on white: blue, orange, green, red, purple, teal,
/// mustard, grey, magenta.
pub const PALETTE: [(u8, u8, u8); 9] = [
    (0x25, 0x63, 0xb0),
    (0xc2, 0x57, 0x0c),
    (0x2e, 0x7d, 0x32),
    (0xc6, 0x28, 0x28),
    (0x7b, 0x3f, 0xa0),
    (0x00, 0x83, 0x8f),
    (0x8d, 0x6e, 0x00),
    (0x5f, 0x6b, 0x7a),
    (0xad, 0x14, 0x57),
];

/// Colours by what they mean.
pub mod colour {
    /// The first thing to look at.
    pub const BLUE: usize = 0;
    /// The second.
    pub const ORANGE: usize = 1;
    /// What went well.
    pub const GREEN: usize = 2;
    /// What did not.
    pub const RED: usize = 3;
    /// A further thing.
    pub const PURPLE: usize = 4;
    /// A further thing.
    pub const TEAL: usize = 5;
    /// A further thing.
    pub const MUSTARD: usize = 6;
    /// What others are seen in relation to.
    pub const GREY: usize = 7;
    /// A further thing.
    pub const MAGENTA: usize = 8;
}

impl Chart {
    /// A chart without spans and bounds.
    pub fn new(id: &str, title: &str, (x, y): (Axis, Axis), body: Body) -> Chart {
        Chart {
            id: slug(id),
            title: title.to_owned(),
            says: String::new(),
            x,
            y,
            spans: Vec::new(),
            spans_are: "Faults".to_owned(),
            bounds: Vec::new(),
            group: None,
            body,
        }
    }

    /// The same chart with what it shows in words.
    pub fn saying(mut self, says: impl Into<String>) -> Chart {
        self.says = says.into();
        self
    }

    /// Whether there is anything to be drawn.
    pub fn is_empty(&self) -> bool {
        match &self.body {
            Body::Lines { series } => {
                let mut points = series.iter().flat_map(|line| &line.points);
                !points.any(|point| point.1.is_some())
            }
            Body::Bars { series, .. } => {
                let mut values = series.iter().flat_map(|bars| &bars.values);
                !values.any(|value| value.is_some())
            }
            Body::Heat { cells, .. } => cells.is_empty(),
            Body::Points { series } => series.iter().all(|cloud| cloud.points.is_empty()),
        }
    }
}

impl Axis {
    /// An axis whose values lie evenly.
    pub fn linear(label: &str) -> Axis {
        Axis::of(label, Scale::Linear)
    }

    /// An axis of shares.
    pub fn share(label: &str) -> Axis {
        Axis::of(label, Scale::Share)
    }

    /// An axis of names.
    pub fn names(label: &str, names: Vec<String>) -> Axis {
        Axis::of(label, Scale::Names(names))
    }

    /// An axis.
    pub fn of(label: &str, scale: Scale) -> Axis {
        Axis {
            label: label.to_owned(),
            scale,
        }
    }
}

impl Line {
    /// A solid line that is there from the beginning.
    pub fn new(name: &str, colour: usize, points: Vec<(f64, Option<f64>)>) -> Line {
        Line {
            name: name.to_owned(),
            colour: colour % PALETTE.len(),
            dashed: false,
            hidden: false,
            points,
            whiskers: Vec::new(),
        }
    }
}

/// A name for files and links: what is neither letter nor digit becomes a hyphen.
pub fn slug(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() {
            out.push(letter.to_ascii_lowercase());
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    let trimmed = out.trim_matches('-');
    match trimmed.is_empty() {
        true => "chart".to_owned(),
        false => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_have_no_surprises() {
        assert_eq!(slug("Azure conv / TTFT (p99)"), "azure-conv-ttft-p99");
        assert_eq!(slug("../../etc/passwd"), "etc-passwd");
        assert_eq!(slug("日本"), "chart");
    }
}
