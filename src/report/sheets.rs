//! Sheets of formulas with the numbers put in.

use serde_json::{Value, json};

use crate::experiment::estimate::{Row, Sheet, Sheets};

use super::number::{WIDTH, significant, wrap};

/// The sheets as text, each source named once at the end.
pub fn render(scenario: &str, all: &[Sheets]) -> String {
    let mut page = Page {
        text: format!("{scenario}: closed forms only, nothing simulated\n"),
        sources: Vec::new(),
    };
    for sheets in all {
        if let Some(variant) = &sheets.variant {
            page.text.push_str(&format!("\n==== Variant {variant}\n"));
        }
        for sheet in &sheets.sheets {
            page.sheet(sheet);
        }
    }
    page.list_sources();
    page.text
}

struct Page {
    text: String,
    sources: Vec<String>,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn sheet(&mut self, sheet: &Sheet) {
        self.line("");
        self.line(&wrap(&sheet.title, WIDTH, 0));
        if let Some(note) = &sheet.note {
            self.line(&format!("  note: {}", wrap(note, WIDTH, 8)));
        }
        for row in &sheet.rows {
            self.row(row);
        }
    }

    fn row(&mut self, row: &Row) {
        let value = match row.value {
            Some(value) => format!("{} {}", significant(Some(value)), unit(&row.unit)),
            None => "-".to_owned(),
        };
        self.line(&format!("  {:<52} {value}", row.name));
        let mut detail = row.formula.clone();
        if !row.substituted.is_empty() {
            let joint = if detail.is_empty() { "" } else { " = " };
            detail.push_str(&format!("{joint}{}", row.substituted));
        }
        if !row.source.is_empty() {
            let number = self.source(&row.source);
            detail.push_str(&format!(" [{number}]"));
        }
        if !detail.is_empty() {
            self.line(&format!("      {}", wrap(&detail, WIDTH, 6)));
        }
        if let Some(note) = &row.note {
            self.line(&format!("      note: {}", wrap(note, WIDTH, 12)));
        }
    }

    /// The number of a source in the list at the end.
    fn source(&mut self, source: &str) -> usize {
        let known = self.sources.iter().position(|known| known == source);
        known.unwrap_or_else(|| {
            self.sources.push(source.to_owned());
            self.sources.len() - 1
        }) + 1
    }

    fn list_sources(&mut self) {
        if self.sources.is_empty() {
            return;
        }
        self.line("");
        self.line("Sources");
        for (index, source) in std::mem::take(&mut self.sources).iter().enumerate() {
            self.line(&format!("  [{}] {}", index + 1, wrap(source, WIDTH, 6)));
        }
    }
}

fn unit(unit: &str) -> &str {
    if unit == "1" { "" } else { unit }
}

/// The sheets as a JSON document: those of the scenario, then those of its variants.
pub fn to_json(scenario: &str, all: &[Sheets]) -> Value {
    let own = all.iter().find(|sheets| sheets.variant.is_none());
    let variants = all.iter().filter(|sheets| sheets.variant.is_some());
    json!({
        "schema": 1,
        "scenario": scenario,
        "sheets": own.map(|sheets| &sheets.sheets),
        "variants": variants.collect::<Vec<_>>(),
    })
}
