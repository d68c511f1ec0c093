//! Sheets of formulas with the numbers put in.

use serde_json::{Value, json};

use crate::experiment::estimate::Sheet;

use super::number::{significant, wrap};

const WIDTH: usize = 100;

/// The sheets as text.
pub fn render(scenario: &str, sheets: &[Sheet]) -> String {
    let mut out = format!("{scenario}: closed forms only, nothing simulated\n");
    for sheet in sheets {
        out.push_str(&format!("\n{}\n", sheet.title));
        if let Some(note) = &sheet.note {
            out.push_str(&format!("  note: {}\n", wrap(note, WIDTH, 8)));
        }
        for row in &sheet.rows {
            let value = match row.value {
                Some(value) => format!("{} {}", significant(Some(value)), unit(&row.unit)),
                None => "-".to_owned(),
            };
            out.push_str(&format!("  {:<52} {}\n", row.name, value.trim_end()));
            let mut detail = row.formula.clone();
            if !row.substituted.is_empty() {
                detail.push_str(&format!("  =  {}", row.substituted));
            }
            if !row.source.is_empty() {
                detail.push_str(&format!("   [{}]", row.source));
            }
            if !detail.is_empty() {
                out.push_str(&format!("      {}\n", wrap(&detail, WIDTH, 6)));
            }
            if let Some(note) = &row.note {
                out.push_str(&format!("      note: {}\n", wrap(note, WIDTH, 12)));
            }
        }
    }
    out
}

fn unit(unit: &str) -> &str {
    if unit == "1" { "" } else { unit }
}

/// The sheets as a JSON document.
pub fn to_json(scenario: &str, sheets: &[Sheet]) -> Value {
    json!({ "schema": 1, "scenario": scenario, "sheets": sheets })
}
