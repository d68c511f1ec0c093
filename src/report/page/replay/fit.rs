//! What was fitted, with its intervals.

use serde_json::Value;

use super::super::value::{number, rows, text, texts};
use super::super::{Block, Section};
use crate::report::chart::{Axis, BarSeries, Body, Chart, colour};
use crate::report::number::significant;

/// What was fitted to the calm window.
pub(super) fn section(found: &Value, part: &str) -> Option<Section> {
    let parameters = rows(found, "fit.parameters");
    if parameters.is_empty() {
        let nothing = Block::Text(text(found, "fitted_to").to_owned());
        let blocks = vec![Some(nothing), left(found)];
        return Section::of("fit", "Fitted to the calm window", blocks);
    }
    let rows_of = parameters.iter().map(|parameter| {
        let s = |field: &str| significant(number(parameter, field));
        let (low, high) = interval(parameter).unwrap_or((f64::NAN, f64::NAN));
        vec![
            text(parameter, "path").to_owned(),
            s("value"),
            significant(Some(low)),
            significant(Some(high)),
            format!("{} to {}", s("low"), s("high")),
            text(parameter, "note").to_owned(),
        ]
    });
    let head = ["Field", "Value", "From", "To", "Looked for in", "Note"];
    let alike = rows(found, "fit.alike").iter();
    let alike: Vec<String> = alike.map(|row| text(row, "says").to_owned()).collect();
    let blocks = vec![
        Block::table("Values and 95 % intervals", &head, rows_of.collect(), false),
        Some(Block::Text(text(found, "fitted_to").to_owned())),
        (!alike.is_empty()).then_some(Block::Warnings(alike)),
        left(found),
        chart(parameters, part),
    ];
    Section::of("fit", "Fitted to the calm window", blocks)
}

/// What the window does not tell.
fn left(found: &Value) -> Option<Block> {
    Block::list("Left as it was", texts(found, "fit.left"))
}

fn interval(parameter: &Value) -> Option<(f64, f64)> {
    let ends = rows(parameter, "interval");
    Some((ends.first()?.as_f64()?, ends.get(1)?.as_f64()?))
}

/// Values and intervals as places between their bounds.
fn chart(parameters: &[Value], part: &str) -> Option<Block> {
    let place = |parameter: &Value, value: f64| -> Option<f64> {
        let (low, high) = (number(parameter, "low")?, number(parameter, "high")?);
        (high > low).then(|| ((value - low) / (high - low)).clamp(0.0, 1.0))
    };
    let values = parameters.iter();
    let values = values.map(|it| place(it, number(it, "value")?)).collect();
    let intervals = parameters.iter().map(|it| {
        let (low, high) = interval(it)?;
        Some((place(it, low)?, place(it, high)?))
    });
    let names = parameters.iter().map(|it| text(it, "path").to_owned());
    let series = vec![BarSeries {
        name: "Value, with its interval".to_owned(),
        colour: colour::BLUE,
        values,
        intervals: intervals.collect(),
    }];
    let axes = (
        Axis::share("Place between the bounds that it was looked for in"),
        Axis::names("Field", names.collect()),
    );
    let body = Body::Bars {
        series,
        stacked: false,
    };
    let says = "The narrower an interval is beside its bounds, the more the calm window says of the field.";
    let id = format!("{part}-fit");
    Block::chart(Chart::new(&id, "How much the calm window says", axes, body).saying(says))
}
