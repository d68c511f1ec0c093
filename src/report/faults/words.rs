//! What faults are in words, and their tables.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use crate::experiment::timeline::{effect_in_words, share_in_words};
use crate::fleet::faults::effect_of;
use crate::fleet::plan::{FaultPlan, FleetPlan};
use crate::report::number::{WIDTH, count};
use crate::scenario::Document;
use crate::scenario::faults::FaultKind;

/// Whether a kind befalls clients.
pub(super) fn of_clients(kind: &FaultKind) -> bool {
    match kind {
        FaultKind::TrafficSpike { .. } | FaultKind::DnsOutage {} => true,
        FaultKind::Oscillating { fault, .. } => of_clients(fault),
        _ => false,
    }
}

pub(super) fn kind_in_words(
    kind: &FaultKind,
    faults: &FaultPlan,
    fleet: &FleetPlan,
) -> Result<String, String> {
    let plain = |kind: &FaultKind| -> Result<String, String> {
        Ok(effect_in_words(effect_of(kind, &faults.layout)?, fleet))
    };
    Ok(match kind {
        FaultKind::Drain { notice_s } => {
            format!("a drain with a notice of {} s", seconds(*notice_s))
        }
        FaultKind::Oscillating {
            period_s,
            on_share,
            fault,
        } => format!(
            "{}, on for the first {} of every {} s",
            kind_in_words(fault, faults, fleet)?,
            share_in_words(*on_share),
            seconds(*period_s)
        ),
        FaultKind::BadDeploy {
            share_steps,
            sticky,
            sticky_for_s,
            misroute_to,
            ..
        } => {
            let mut text = plain(kind)?;
            text.push_str(match sticky {
                true => " of the users",
                false => " of the requests",
            });
            if let Some(length) = sticky_for_s {
                text.push_str(&format!(", drawn anew every {} s", seconds(*length)));
            }
            for (at_s, share) in share_steps {
                let share = share_in_words(*share);
                text.push_str(&format!(", {share} from {} s on", seconds(*at_s)));
            }
            if let Some(pool) = misroute_to {
                text.push_str(&format!(", sent to pool {pool}"));
            }
            text
        }
        other => plain(other)?,
    })
}

/// Where a field is written: file, without its folder, and line.
pub(super) fn place(document: &Document, path: &str) -> String {
    let at = document.locate(path);
    if at.is_override() {
        return "--set".to_owned();
    }
    let text = at.to_string();
    match text.rsplit_once(['/', '\\']) {
        Some((_, name)) => name.to_owned(),
        None => text,
    }
}

pub(super) fn with_replicas(target: &str, replicas: Option<u64>) -> String {
    match replicas {
        Some(1) | None => target.to_owned(),
        Some(_) if target.starts_with("replicas ") => target.to_owned(),
        Some(more) => format!("{target} ({} replicas)", count(more)),
    }
}

pub(super) fn faults(number: u64) -> String {
    match number {
        1 => "1 fault".to_owned(),
        more => format!("{} faults", count(more)),
    }
}

/// Seconds, to the millisecond, without zeros at the end.
pub(super) fn seconds(value: f64) -> String {
    let ms = (value * 1e3).round();
    let (whole, rest) = ((ms / 1e3).trunc(), (ms % 1e3) as u64);
    let whole = count(whole as u64);
    match rest {
        0 => whole,
        rest => format!("{whole}.{rest:03}")
            .trim_end_matches('0')
            .to_owned(),
    }
}

pub(super) fn table<const N: usize>(
    titles: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    right: &[usize],
) -> String {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH as u16 - 1);
    table.add_row(titles);
    for row in rows {
        table.add_row(row);
    }
    for index in right {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(format!(" {line}").trim_end());
        out.push('\n');
    }
    out
}
