//! The part of a report that is of a sizing: the answers, why not less, and what was looked at.

use serde_json::Value;

use super::folder::SizeFolder;
use super::summary::tile;
use super::value::{fields, find, number, rows, text, texts, whole};
use super::{Block, Part, Section, Tile};
use crate::report::chart::{Axis, Body, Chart, Cloud, colour};
use crate::report::number::{count, plural, significant};

/// The most designs that are listed of a case; size.json has all.
const MOST_ROWS: usize = 60;
/// The most cases whose answers are shown as figures to be seen first.
const MOST_TILES: usize = 8;

/// The part of a sizing.
pub(super) fn part(size: &SizeFolder, id: String, name: &str) -> Part {
    let found = &size.size;
    let sections = [answers(found), why(found), tried(found, &id)];
    Part {
        id,
        title: name.to_owned(),
        kind: "sizing",
        sections: sections.into_iter().flatten().collect(),
    }
}

/// A case by its name.
fn named(case: &Value) -> String {
    match text(case, "case") {
        "" => "the scenario".to_owned(),
        name => name.to_owned(),
    }
}

fn objective(found: &Value, value: Option<f64>) -> String {
    let metric = text(found, "objective");
    match (metric.contains("usd"), value) {
        (true, Some(_)) => format!("${}", significant(value)),
        _ => significant(value),
    }
}

fn answers(found: &Value) -> Option<Section> {
    let cases = rows(found, "cases");
    let knobs: Vec<&str> = rows(found, "knobs")
        .iter()
        .filter_map(|knob| knob.get(0)?.as_str())
        .collect();
    let about = format!(
        "The least {} that {} can make of what must be met; {}.",
        text(found, "objective"),
        knobs.join(", "),
        plural(cases.len() as u64, "case")
    );
    let mut beware = Vec::new();
    for case in cases {
        let said = texts(case, "doubts").into_iter();
        let cut = text(case, "cut_short");
        let cut = (!cut.is_empty()).then(|| format!("cut short: {cut}"));
        let left_out = whole(case, "left_out").filter(|it| *it > 0);
        let left_out = left_out.map(|it| {
            let many = plural(it, "combination");
            format!("{many} of the other knobs were not looked at")
        });
        let all = said.chain(cut).chain(left_out);
        beware.extend(all.map(|it| format!("{}: {it}", named(case))));
    }
    let description = text(found, "description");
    let blocks = vec![
        (!description.is_empty()).then(|| Block::Text(description.to_owned())),
        Some(Block::Text(about)),
        (!beware.is_empty()).then_some(Block::Warnings(beware)),
        Some(Block::Tiles(
            cases
                .iter()
                .take(MOST_TILES)
                .map(|it| answer(found, it))
                .collect(),
        )),
        table(found, cases),
    ];
    Section::of("answers", "Answers", blocks)
}

fn winner(case: &Value) -> Option<&Value> {
    find(case, "winner").filter(|it| !it.is_null())
}

fn answer(found: &Value, case: &Value) -> Tile {
    let Some(winner) = winner(case) else {
        let more = text(case, "why_none").to_owned();
        return tile(&named(case), "no answer".to_owned(), more, Some(false));
    };
    let value = objective(found, number(winner, "objective_in_all"));
    let mut more = settings(winner);
    if let Some(parts) = whole(case, "parts").filter(|parts| *parts > 1) {
        more = format!("in all of {}, each of {more}", plural(parts, "part"));
    }
    tile(&named(case), value, more, Some(true))
}

/// What a design sets, in words.
fn settings(design: &Value) -> String {
    let all = fields(design, "settings").into_iter();
    let each = all.map(|(path, value)| format!("{path} {}", value.to_string().replace('"', "")));
    each.collect::<Vec<String>>().join(", ")
}

fn table(found: &Value, cases: &[Value]) -> Option<Block> {
    let rows_of = cases.iter().map(|case| {
        let winner = winner(case);
        let margin = number(case, "binding.margin_pct");
        let theory = rows(case, "theory").iter().map(|asked| {
            format!(
                "{} {} for {}",
                count(whole(asked, "count").unwrap_or(0)),
                text(asked, "unit"),
                text(asked, "constraint")
            )
        });
        vec![
            named(case),
            winner.map_or_else(|| text(case, "why_none").to_owned(), settings),
            objective(found, winner.and_then(|it| number(it, "objective_in_all"))),
            match text(case, "binding.constraint") {
                // No constraint decides where the next less cannot do the work at all.
                "" => text(case, "stopped_by").to_owned(),
                constraint => constraint.to_owned(),
            },
            margin.map_or_else(String::new, |it| format!("{} %", significant(Some(it)))),
            theory.collect::<Vec<String>>().join("; "),
        ]
    });
    let parted = cases
        .iter()
        .any(|case| whole(case, "parts").is_some_and(|parts| parts > 1));
    let in_all = match parted {
        true => format!("{}, in all parts", text(found, "objective")),
        false => text(found, "objective").to_owned(),
    };
    let head = [
        "Case",
        "Design",
        &in_all,
        "Binding",
        "Margin",
        "Closed forms ask for",
    ];
    Block::table("The answer of each case", &head, rows_of.collect(), false)
}

/// How the best design, the next less and the next best stand.
fn why(found: &Value) -> Option<Section> {
    let mut blocks = Vec::new();
    for case in rows(found, "cases") {
        let designs = [
            ("the answer", "winner"),
            ("the next less", "one_less"),
            ("the next best", "runner_up"),
        ];
        let mut table = Vec::new();
        for (name, field) in designs {
            let design = find(case, field).filter(|it| !it.is_null());
            for standing in design.into_iter().flat_map(|it| rows(it, "constraints")) {
                table.push(stands(name, standing));
            }
        }
        let head = ["Design", "Must be", "Is", "Interval", "Verdict"];
        let caption = format!("What must be met, {}", named(case));
        blocks.push(Block::table(&caption, &head, table, false));
    }
    Section::of("why", "Why not less", blocks)
}

fn stands(name: &str, standing: &Value) -> Vec<String> {
    let s = |field: &str| significant(number(standing, field));
    let must = format!(
        "{} {} {}",
        text(standing, "constraint"),
        text(standing, "relation").replace('_', " "),
        s("bound")
    );
    let doubt = text(standing, "doubt");
    let mut verdict = match text(standing, "verdict") {
        "met" => "✓ met".to_owned(),
        "missed" => "✗ missed".to_owned(),
        _ => "? not known".to_owned(),
    };
    if !doubt.is_empty() {
        verdict = format!("{verdict}: {doubt}");
    }
    let interval = match number(standing, "low") {
        Some(_) => format!("{} to {}", s("low"), s("high")),
        None => "-".to_owned(),
    };
    vec![name.to_owned(), must, s("value"), interval, verdict]
}

/// Everything that was looked at.
fn tried(found: &Value, part: &str) -> Option<Section> {
    let mut blocks = Vec::new();
    for (index, case) in rows(found, "cases").iter().enumerate() {
        blocks.push(chart(found, case, &format!("{part}-tried-{}", index + 1)));
        let all = rows(case, "tried");
        let names = rows(case, "constraints").iter();
        let names: Vec<&str> = names.map(|it| text(it, "name")).collect();
        let mut head = vec!["Design", text(found, "objective")];
        head.extend(&names);
        head.extend(["Replications", "Verdict"]);
        let rows_of = all.iter().take(MOST_ROWS).map(|row| {
            let mut cells = vec![settings(row), objective(found, number(row, "objective"))];
            let values = rows(row, "values");
            cells.extend(
                (0..names.len()).map(|at| significant(values.get(at).and_then(Value::as_f64))),
            );
            cells.push(count(whole(row, "replications").unwrap_or(0)));
            cells.push(text(row, "verdict").replace('_', " "));
            cells
        });
        let caption = match all.len() > MOST_ROWS {
            true => format!(
                "The first {MOST_ROWS} of {} designs, {}; size.json has all",
                count(all.len() as u64),
                named(case)
            ),
            false => format!("Designs looked at, {}", named(case)),
        };
        let caption = match whole(case, "parts").filter(|parts| *parts > 1) {
            Some(parts) => format!("{caption}; figures of one of {}", plural(parts, "part")),
            None => caption,
        };
        blocks.push(Block::table(&caption, &head, rows_of.collect(), true));
    }
    Section::of("tried", "What was looked at", blocks)
}

/// What designs cost, and which of them will do.
fn chart(found: &Value, case: &Value, id: &str) -> Option<Block> {
    let of = |verdict: &str, name: &str, ink: usize| {
        let all = rows(case, "tried").iter();
        let of_it = all.filter(|row| text(row, "verdict") == verdict);
        let points = of_it.filter_map(|row| {
            Some((
                number(row, "level")?,
                number(row, "objective")?,
                settings(row),
            ))
        });
        Cloud {
            name: name.to_owned(),
            colour: ink,
            joined: false,
            points: points.collect(),
        }
    };
    let series = [
        of("met", "Meets all", colour::GREEN),
        of("missed", "Misses one", colour::RED),
        of("unknown", "Not known", colour::GREY),
    ];
    let series: Vec<Cloud> = series
        .into_iter()
        .filter(|cloud| !cloud.points.is_empty())
        .collect();
    let shown: Vec<String> = series
        .iter()
        .map(|cloud| {
            format!(
                "{} {}",
                count(cloud.points.len() as u64),
                cloud.name.to_lowercase()
            )
        })
        .collect();
    let drawn: usize = series.iter().map(|cloud| cloud.points.len()).sum();
    let says = format!(
        "Of the {} looked at that have both figures: {}.",
        plural(drawn as u64, "design"),
        shown.join(", ")
    );
    let axes = (
        Axis::linear(text(found, "more_helps")),
        Axis::linear(text(found, "objective")),
    );
    let title = format!("Designs, {}", named(case));
    Block::chart(Chart::new(id, &title, axes, Body::Points { series }).saying(says))
}
