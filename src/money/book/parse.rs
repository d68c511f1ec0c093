//! From the text of a price file to checked entries.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::check::{Entry, label};
use super::{Billing, BookError, Carbon, Compute, Egress, Power, PriceBook, Reserved, Storage};

/// The file as written, each entry with where it stands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    compute: Vec<Spanned<Compute>>,
    #[serde(default)]
    reserved: Vec<Spanned<Reserved>>,
    #[serde(default)]
    billing: Vec<Spanned<Billing>>,
    #[serde(default)]
    egress: Vec<Spanned<Egress>>,
    #[serde(default)]
    storage: Vec<Spanned<Storage>>,
    #[serde(default)]
    carbon: Vec<Spanned<Carbon>>,
    power: Option<Spanned<Power>>,
}

/// Where an entry stands.
pub(super) struct Place<'a> {
    file: &'a str,
    text: &'a str,
    start: usize,
}

impl Place<'_> {
    pub(super) fn file(&self) -> &str {
        self.file
    }

    /// The line of the entry, from 1.
    fn line(&self) -> usize {
        line_at(self.text, self.start)
    }

    /// The line of a field of the entry, from 1; the entry's own where the field has no line of its own.
    pub(super) fn line_of(&self, field: &str) -> Option<usize> {
        let first = self.line();
        // The entry's lines end where the next header begins.
        let body = self.text.lines().enumerate().skip(first);
        body.take_while(|(_, line)| !line.trim_start().starts_with('['))
            .find(|(_, line)| {
                let rest = line.trim_start().strip_prefix(field);
                rest.is_some_and(|rest| rest.trim_start().starts_with('='))
            })
            .map(|(index, _)| index + 1)
            .or(Some(first))
    }
}

/// The line that byte `at` of `text` is on, from 1.
fn line_at(text: &str, at: usize) -> usize {
    let before = text.bytes().take(at);
    1 + before.filter(|&byte| byte == b'\n').count()
}

pub(super) fn parse(file: &str, text: &str) -> Result<PriceBook, BookError> {
    let read: File = toml::from_str(text).map_err(|error| BookError::Syntax {
        file: file.to_owned(),
        line: error.span().map(|span| line_at(text, span.start)),
        message: error.message().to_owned(),
    })?;
    Ok(PriceBook {
        compute: checked(file, text, read.compute)?,
        reserved: checked(file, text, read.reserved)?,
        billing: checked(file, text, read.billing)?,
        egress: checked(file, text, read.egress)?,
        storage: checked(file, text, read.storage)?,
        carbon: checked(file, text, read.carbon)?,
        power: checked(file, text, read.power.into_iter().collect())?.pop(),
    })
}

/// The entries of a table, if each holds what it may and none is there twice.
fn checked<T: Entry>(
    file: &str,
    text: &str,
    entries: Vec<Spanned<T>>,
) -> Result<Vec<T>, BookError> {
    let mut lines: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    let mut kept = Vec::with_capacity(entries.len());
    for entry in entries {
        let start = entry.span().start;
        let place = Place { file, text, start };
        let entry = entry.into_inner();
        entry.check(&place)?;
        if let Some(first_line) = lines.insert(entry.names(), place.line()) {
            return Err(BookError::Duplicate {
                file: file.to_owned(),
                line: Some(place.line()),
                first_line,
                entry: label(&entry),
            });
        }
        kept.push(entry);
    }
    Ok(kept)
}
