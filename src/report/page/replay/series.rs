//! Each series as it was observed and as it was simulated.

use serde_json::Value;

use super::super::value::{number, rows, text, whole};
use super::super::{Block, Section};
use super::scores;
use crate::report::chart::{Axis, Body, Bound, Chart, Line, Span, colour};
use crate::report::number::{percent, significant};

/// The most points of a line: more cannot be seen apart.
const MOST_POINTS: usize = 300;
/// The most stretches that are marked beside the incident.
const MOST_OFF: usize = 8;

type Points = Vec<(f64, Option<f64>)>;

/// The unit of time of a night, and its seconds.
fn unit(span_s: f64) -> (&'static str, f64) {
    match span_s {
        long if long >= 10_800.0 => ("h", 3_600.0),
        some if some >= 600.0 => ("min", 60.0),
        _ => ("s", 1.0),
    }
}

/// Both sides of every series.
pub(super) fn section(found: &Value, part: &str) -> Option<Section> {
    let night = Night::of(found, part);
    let mut blocks = vec![Some(Block::Text(night.about()))];
    blocks.extend(rows(found, "series").iter().map(|row| night.block(row)));
    Section::of("series", "Observed against simulated", blocks)
}

/// What the charts of a night have in common.
struct Night<'a> {
    found: &'a Value,
    part: &'a str,
    unit: (&'static str, f64),
    bin_s: f64,
    /// Minutes that are one point of a line.
    together: usize,
}

impl<'a> Night<'a> {
    fn of(found: &'a Value, part: &'a str) -> Night<'a> {
        let minutes = whole(found, "minutes.count").unwrap_or(1);
        Night {
            found,
            part,
            unit: unit(number(found, "log.span_s").unwrap_or(0.0)),
            bin_s: number(found, "minutes.bin_s").unwrap_or(60.0),
            together: (minutes as usize).div_ceil(MOST_POINTS).max(1),
        }
    }

    fn at(&self, seconds: f64) -> f64 {
        seconds / self.unit.1
    }

    fn about(&self) -> String {
        let each_s = self.bin_s * self.together as f64;
        let incident = match self.window("incident") {
            Some(_) => {
                "Shaded and numbered 1: the incident; further numbers: where the series does not fit. "
            }
            None => "Shaded: where the series does not fit. ",
        };
        format!(
            "Each point is the mean over {} s. Least and most are of the simulated nights, each with luck of \
             its own. {incident}Dashed: the calm window.",
            significant(Some(each_s))
        )
    }

    fn window(&self, name: &str) -> Option<(f64, f64)> {
        let end = |field: &str| number(self.found, &format!("{name}.{field}"));
        Some((end("from_s")?, end("to_s")?))
    }

    /// A column of the series, in the unit of time.
    fn points(&self, row: &Value, field: &str) -> Points {
        let values: Vec<Option<f64>> = rows(row, field).iter().map(Value::as_f64).collect();
        let all = values.chunks(self.together).enumerate();
        let points = all.map(|(place, some)| {
            let known: Vec<f64> = some.iter().flatten().copied().collect();
            let mean = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
            // In the middle of what it is the mean of.
            let middle = (place * self.together) as f64 + some.len() as f64 / 2.0;
            (self.at(middle * self.bin_s), mean)
        });
        points.collect()
    }

    fn block(&self, row: &Value) -> Option<Block> {
        let name = text(row, "name");
        let mut lines = Vec::new();
        for (title, field, ink, dashed) in [
            ("Observed", "observed", colour::BLUE, false),
            ("Simulated, mean", "simulated", colour::ORANGE, false),
            ("least", "simulated_low", colour::GREY, true),
            ("most", "simulated_high", colour::GREY, true),
        ] {
            let points = self.points(row, field);
            if points.iter().any(|point| point.1.is_some()) {
                let mut line = Line::new(title, ink, points);
                line.dashed = dashed;
                lines.push(line);
            }
        }
        let axes = (
            Axis::linear(&format!("Time from the start of the log, {}", self.unit.0)),
            self.axis(row),
        );
        let id = format!("{}-{name}", self.part);
        let mut chart = Chart::new(&id, &title_of(name), axes, Body::Lines { series: lines });
        chart.group = Some(format!("{}-night", self.part));
        chart.spans = self.spans(name);
        chart.spans_are = "Incident, and where it is off".to_owned();
        chart.bounds = self.calm();
        Block::chart(chart.saying(self.says(row, name)))
    }

    fn axis(&self, row: &Value) -> Axis {
        match text(row, "unit") {
            "requests/s" => Axis::linear("Requests per second"),
            "ms" => Axis::linear("Milliseconds"),
            "share" => Axis::share("Share"),
            _ => Axis::linear("How many"),
        }
    }

    /// The incident, and where a series does not fit.
    fn spans(&self, name: &str) -> Vec<Span> {
        let span = |what: &str, (from, to): (f64, f64)| Span {
            what: what.to_owned(),
            from: self.at(from),
            to: Some(self.at(to)),
        };
        let mut spans: Vec<Span> = self
            .window("incident")
            .map(|window| span("the incident", window))
            .into_iter()
            .collect();
        let of_it = scores::of(self.found, name);
        let off = of_it.flat_map(|score| rows(score, "off"));
        let ends =
            off.filter_map(|window| Some((number(window, "from_s")?, number(window, "to_s")?)));
        spans.extend(
            ends.take(MOST_OFF)
                .map(|window| span("does not fit", window)),
        );
        spans
    }

    fn calm(&self) -> Vec<Bound> {
        let Some((from, to)) = self.window("calm") else {
            return Vec::new();
        };
        let bound = |what: &str, at: f64| Bound {
            what: what.to_owned(),
            at: self.at(at),
            with: None,
        };
        let begins = (from > 0.0).then(|| bound("calm from here", from));
        begins
            .into_iter()
            .chain([bound("calm until here", to)])
            .collect()
    }

    fn says(&self, row: &Value, name: &str) -> String {
        if row.get("observed").is_none_or(Value::is_null) {
            return "Not observed: simulated only.".to_owned();
        }
        let each = scores::of(self.found, name).map(|score| {
            let word = match scores::fits(score) {
                true => "fits",
                false => "DOES NOT FIT",
            };
            format!(
                "{}: {} observed, {} simulated, bias {} of {} that may be, error {} of {}, {word}",
                text(score, "stretch"),
                significant(number(score, "observed")),
                significant(number(score, "simulated")),
                significant(number(score, "bias")),
                significant(number(score, "bias_limit")),
                percent(number(score, "nrmse")),
                percent(number(score, "limit"))
            )
        });
        let each: Vec<String> = each.collect();
        match each.is_empty() {
            true => "Observed in too few stretches of time to be judged.".to_owned(),
            false => format!("{}.", each.join("; ")),
        }
    }
}

/// A series by what people call it.
fn title_of(name: &str) -> String {
    let words = match name {
        "being answered" => "Requests being answered",
        "replicas" => "Replicas that answer",
        "waiting" => "Requests that wait, at gateways and replicas",
        "queue" => "Requests that wait at replicas",
        "running" => "Requests that run at replicas",
        "kv usage" => "KV blocks in use",
        "goodput" => "Requests answered within the objective",
        "tries" => "Tries",
        "arrivals" => "Arrivals",
        other => other,
    };
    let latency = words
        .split_once(' ')
        .filter(|(what, _)| matches!(*what, "ttft" | "tpot" | "e2e"));
    match latency {
        Some((what, quantile)) => format!("{}, {quantile}", what.to_uppercase()),
        None if words == name => format!("Requests {}", words.replace('_', " ")),
        None => words.to_owned(),
    }
}
