//! The part of a report that is of a replay: the verdict, both sides beside each other, and what a change
//! would have done.

mod fit;
mod scores;
mod series;
mod what_if;

use serde_json::Value;

use super::folder::ReplayFolder;
use super::summary::{seconds, tile};
use super::value::{find, number, rows, text, texts, whole};
use super::{Block, Part, Section, Tile};
use crate::report::number::{count, plural, significant};

/// Warnings that are shown of what does not fit; the table below has all.
const MOST_WARNINGS: usize = 12;

/// The part of a replay.
pub(super) fn part(replay: &ReplayFolder, id: String, name: &str) -> Part {
    let found = &replay.replay;
    let sections = [
        verdict(found, &id),
        trust(found),
        series::section(found, &id),
        scores::section(found),
        fit::section(found, &id),
        what_if::section(found, &id),
        assumptions(found),
    ];
    Part {
        id,
        title: name.to_owned(),
        kind: "replay",
        sections: sections.into_iter().flatten().collect(),
    }
}

/// Whether the model fits.
fn fits(found: &Value) -> bool {
    find(found, "verdict.fits").and_then(Value::as_bool) == Some(true)
}

fn verdict(found: &Value, part: &str) -> Option<Section> {
    let about = format!(
        "{} over {}, replayed {} times from seed {}.",
        plural(whole(found, "log.requests").unwrap_or(0), "request"),
        seconds(number(found, "log.span_s")),
        count(whole(found, "nights").unwrap_or(0)),
        count(whole(found, "seed").unwrap_or(0)),
    );
    let off = rows(found, "verdict.not_to_be_trusted").iter();
    let mut off: Vec<String> = off.map(|row| text(row, "says").to_owned()).collect();
    let more = off.len().saturating_sub(MOST_WARNINGS);
    off.truncate(MOST_WARNINGS);
    if more > 0 {
        off.push(format!(
            "and {} more, in the table below",
            count(more as u64)
        ));
    }
    let blocks = vec![
        Some(Block::Text(text(found, "verdict.says").to_owned())),
        (!off.is_empty()).then_some(Block::Warnings(off)),
        Some(Block::Tiles(tiles(found))),
        scores::chart(found, part),
        Some(Block::Text(about)),
    ];
    Section::of("verdict", "Verdict", blocks)
}

fn tiles(found: &Value) -> Vec<Tile> {
    let scored = rows(found, "scores");
    let quantiles = rows(found, "quantiles");
    let within = scored.iter().filter(|row| scores::fits(row)).count();
    let within = within
        + quantiles
            .iter()
            .filter(|row| scores::quantile_fits(row))
            .count();
    let value = if fits(found) { "fits" } else { "does not fit" };
    let more = format!(
        "{} of {} within their limits",
        count(within as u64),
        plural((scored.len() + quantiles.len()) as u64, "score")
    );
    let mut tiles = vec![tile("The model", value.to_owned(), more, Some(fits(found)))];
    for (name, field, unit) in [
        ("Answered within the objective", "good", ""),
        ("Tries a request", "tries_per_request", ""),
        ("TTFT, p99", "ttft_p99_ms", " ms"),
        ("E2E, p99", "e2e_p99_ms", " ms"),
    ] {
        let of = |side: &str| number(found, &format!("{side}.{field}"));
        if of("observed").is_some() {
            let value = format!("{}{unit}", significant(of("observed")));
            let more = format!("simulated: {}{unit}", significant(of("simulated")));
            tiles.push(tile(name, value, more, None));
        }
    }
    let changes = rows(found, "what_if").iter();
    let net = |row: &Value| Some(number(row, "saved")? - number(row, "lost")?);
    let best = changes.max_by(|a, b| net(a).unwrap_or(0.0).total_cmp(&net(b).unwrap_or(0.0)));
    if let Some(best) = best {
        let value = significant(net(best));
        let more = format!("requests, by {}", text(best, "change"));
        tiles.push(tile("Saved less lost", value, more, None));
    }
    tiles
}

/// Where the model is not to be trusted, and where nobody knows.
fn trust(found: &Value) -> Option<Section> {
    let mut table = Vec::new();
    for row in rows(found, "verdict.not_to_be_trusted") {
        let names = || {
            vec![
                text(row, "series").to_owned(),
                text(row, "stretch").to_owned(),
            ]
        };
        let windows = rows(row, "windows");
        for window in windows {
            let mut cells = names();
            let at = |field: &str| seconds(number(window, field));
            cells.extend([at("from_s"), at("to_s")]);
            table.push(cells);
        }
        if windows.is_empty() {
            let mut cells = names();
            cells.extend(["no minute by itself".to_owned(), String::new()]);
            table.push(cells);
        }
    }
    let nowhere = "Wherever it was held against what was observed, it is within its limits.";
    let table_of = Block::table(
        "Far off where",
        &["Series", "Stretch", "From", "To"],
        table,
        false,
    );
    let text_of = table_of.is_none().then(|| Block::Text(nowhere.to_owned()));
    let blocks = vec![text_of, table_of, Block::list("Not known", unknown(found))];
    Section::of("trust", "Where the model is not to be trusted", blocks)
}

/// What was not held against anything.
fn unknown(found: &Value) -> Vec<String> {
    let levels = texts(found, "telemetry.not_observed").into_iter();
    let mut unknown: Vec<String> = levels
        .map(|it| format!("{it}: not observed, and so simulated only"))
        .collect();
    let unjudged = rows(found, "verdict.not_judged").iter().map(|row| {
        format!(
            "{} ({}): observed in too few stretches of time to be judged",
            text(row, "series"),
            text(row, "stretch")
        )
    });
    unknown.extend(unjudged);
    let alike = rows(found, "fit.alike").iter();
    unknown.extend(alike.map(|row| text(row, "says").to_owned()));
    let few = Some(text(found, "verdict.rests_on")).filter(|it| !it.is_empty());
    unknown.extend(few.map(str::to_owned));
    unknown
}

fn assumptions(found: &Value) -> Option<Section> {
    let blocks = vec![
        Block::list("Taken to be so", texts(found, "assumptions")),
        Block::list("Of what was read", texts(found, "notes")),
    ];
    Section::of("assumptions", "Assumptions and sources", blocks)
}
