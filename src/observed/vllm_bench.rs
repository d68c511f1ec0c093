//! What `vllm bench serve --save-result --save-detailed` saves: a JSON document with a list for each
//! column, one document after another where results were appended.
//!
//! The lists stand one after another, so the numbers of each wait until all were read, in memory
//! and then on disk. What is long in such a result, the texts and the gaps between tokens, is never
//! held: only the sum of each request's gaps is.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::attempt::Attempt;
use super::bench::{NO_END, NO_FIRST, Refused, hand_over, seconds, tokens};
use super::cells::{Cell, CellReader, Cells};
use super::error::ObservedError;
use super::genai::ending_of_error;
use super::input::{Allowance, Input};
use super::intake::Intake;
use super::items;
use super::record::Ending;
use crate::trace::error::shorten;

/// Columns that are read.
const NAMES: [&str; 6] = [
    "input_lens",
    "output_lens",
    "start_times",
    "ttfts",
    "itls",
    "errors",
];
const INPUT: usize = 0;
const OUTPUT: usize = 1;
const START: usize = 2;
const TTFT: usize = 3;
const GAPS: usize = 4;
const ERROR: usize = 5;

const NO_ERROR: &str = "errors that are no text: they are taken for failures";

const SHORT: &str = "lists that are shorter than others: the last requests have nothing of them";

const CLOCK: &str = "stamps are of the client's clock, which has no dates; an end is the first token and the gaps \
                     after it";

/// Reads the requests of results.
pub(super) fn read(input: &mut Input, intake: &mut Intake) -> Result<(), ObservedError> {
    loop {
        let allowance = input.allowance();
        allowance.begin();
        let mut result = Detail::new(allowance.clone());
        let mut reader = serde_json::Deserializer::from_reader(&mut *input);
        let done = Document(&mut result).deserialize(&mut reader);
        allowance.lift();
        if let Some(error) = result.failed.take().or_else(|| input.take_fault()) {
            return Err(error);
        }
        match done {
            Ok(()) => result.hand_over(intake)?,
            // Columns are of no use without their ends.
            Err(error) => {
                intake.skip(items::fault_of(&error), "the whole result is lost");
                input.end_line()?;
            }
        }
        if input.only_blank_left()? {
            return Ok(());
        }
    }
}

/// One result: its columns so far.
struct Detail {
    columns: [Option<Cells>; NAMES.len()],
    /// The first value of a column that is none, with its row.
    bad: [Option<(u64, Box<str>)>; NAMES.len()],
    /// Columns that are no lists.
    no_lists: Vec<&'static str>,
    model: Option<Box<str>>,
    allowance: Allowance,
    failed: Option<ObservedError>,
}

impl Detail {
    fn new(allowance: Allowance) -> Detail {
        Detail {
            columns: [const { None }; NAMES.len()],
            bad: [const { None }; NAMES.len()],
            no_lists: Vec::new(),
            model: None,
            allowance,
            failed: None,
        }
    }

    /// Adds a value to a column.
    fn add(&mut self, which: usize, value: &Value) -> Result<(), ObservedError> {
        let column = self.columns[which].get_or_insert_with(Cells::new);
        let cell = cell_of(which, value);
        if cell == Cell::Bad && self.bad[which].is_none() {
            self.bad[which] = Some((column.rows, shorten(&value.to_string())));
        }
        column.push(cell)
    }

    /// Hands all requests over.
    fn hand_over(self, intake: &mut Intake) -> Result<(), ObservedError> {
        for name in self.no_lists {
            intake.leave_out("columns that are no lists", name);
        }
        if self.columns[INPUT].is_none() {
            intake.skip(
                "results without a row for each request: save with --save-detailed",
                "no `input_lens`",
            );
            return Ok(());
        }
        intake.note(CLOCK);
        let rows = self.columns.iter().flatten().map(|it| it.rows);
        let rows = rows.max().unwrap_or(0);
        for (name, column) in NAMES.iter().zip(&self.columns) {
            if let Some(column) = column.as_ref().filter(|it| it.rows < rows) {
                let what = format!("`{name}` has {} of {rows}", column.rows);
                intake.leave_out(SHORT, &what);
            }
        }
        let mut columns: Vec<Option<CellReader>> = Vec::new();
        for column in self.columns {
            columns.push(column.map(Cells::finish).transpose()?);
        }
        for number in 0..rows {
            let mut cells = [Cell::Absent; NAMES.len()];
            for (cell, column) in cells.iter_mut().zip(&mut columns) {
                if let Some(column) = column {
                    *cell = column.pull()?;
                }
            }
            let row = Row {
                number,
                cells,
                bad: &self.bad,
            };
            let attempt = row.attempt(intake).map(|mut attempt| {
                attempt.model.clone_from(&self.model);
                attempt
            });
            let attempt =
                attempt.map_err(|(reason, what)| (reason, format!("request {number}: {what}")));
            hand_over(attempt, intake)?;
        }
        Ok(())
    }
}

/// A value as it waits: a number of tokens, ns, the sum of gaps in ns, or how an error ended the
/// request.
fn cell_of(which: usize, value: &Value) -> Cell {
    let number = match which {
        INPUT | OUTPUT => tokens(value).map(u64::from),
        GAPS => gaps(value),
        ERROR => match value {
            Value::String(text) if text.is_empty() => return Cell::Absent,
            Value::String(text) => place_of(ending_of_error(text)),
            _ => None,
        },
        _ => seconds(value),
    };
    match number {
        Some(number) => Cell::Number(number),
        None if value.is_null() => Cell::Absent,
        None => Cell::Bad,
    }
}

fn gaps(value: &Value) -> Option<u64> {
    let gaps = value.as_array()?.iter().map(seconds);
    gaps.into_iter()
        .try_fold(0_u64, |sum, gap| sum.checked_add(gap?))
}

fn place_of(ending: Ending) -> Option<u64> {
    let place = Ending::ALL.iter().position(|it| *it == ending);
    place.map(|place| place as u64)
}

/// One request.
struct Row<'a> {
    number: u64,
    cells: [Cell; NAMES.len()],
    bad: &'a [Option<(u64, Box<str>)>; NAMES.len()],
}

impl Row<'_> {
    /// What stands in a column, as far as it is known: only the first of what is none is kept.
    fn shown(&self, which: usize) -> String {
        let name = NAMES[which];
        match (&self.bad[which], self.cells[which]) {
            (Some((row, text)), Cell::Bad) if *row == self.number => format!("{name} = {text}"),
            (_, Cell::Bad) => name.to_owned(),
            _ => format!("no `{name}`"),
        }
    }

    fn tokens(&self, which: usize) -> Result<Option<u32>, Refused> {
        const NONE: &str = "with a number of tokens that is none";
        match self.cells[which] {
            Cell::Number(count) => Ok(u32::try_from(count).ok()),
            Cell::Absent if which == OUTPUT => Ok(None),
            Cell::Absent | Cell::Bad => Err((NONE, self.shown(which))),
        }
    }

    fn attempt(&self, intake: &mut Intake) -> Result<Attempt, Refused> {
        // The clock is that of the client's process: it has no dates.
        let Cell::Number(start) = self.cells[START] else {
            return Err(("without a start", self.shown(START)));
        };
        let mut attempt = Attempt::at(start);
        attempt.prompt = self.tokens(INPUT)?;
        attempt.output = self.tokens(OUTPUT)?;
        let error = match self.cells[ERROR] {
            Cell::Number(place) => Ending::ALL.get(place as usize).copied(),
            Cell::Absent => None,
            Cell::Bad => {
                let what = format!("request {}: {}", self.number, self.shown(ERROR));
                intake.leave_out(NO_ERROR, &what);
                Some(Ending::Failed)
            }
        };
        if error.is_some() || attempt.output == Some(0) {
            attempt.ending = error.unwrap_or(Ending::Failed);
            attempt.code = Some("errors".into());
            return Ok(attempt);
        }
        attempt.first_token_ns = self.after(start, TTFT, NO_FIRST, intake);
        // It saves no end: it is that of the last of the gaps between tokens.
        attempt.end_ns = match attempt.first_token_ns {
            Some(first) => self.after(first, GAPS, NO_END, intake),
            None => None,
        };
        Ok(attempt)
    }

    /// The instant that lies what a column says after another one.
    fn after(
        &self,
        ns: u64,
        which: usize,
        reason: &'static str,
        intake: &mut Intake,
    ) -> Option<u64> {
        let at = match self.cells[which] {
            Cell::Absent => return None,
            Cell::Bad => None,
            Cell::Number(after) => ns.checked_add(after),
        };
        if at.is_none() {
            let what = format!("request {}: {}", self.number, self.shown(which));
            intake.leave_out(reason, &what);
        }
        at
    }
}

/// Reads the keys of a result.
struct Document<'a>(&'a mut Detail);

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let detail = self.0;
        while let Some(key) = map.next_key::<String>()? {
            let known = NAMES.iter().position(|name| *name == key);
            if let Some(which) = known {
                // The last of two columns of one name, as everywhere in JSON.
                (detail.columns[which], detail.bad[which]) = (None, None);
                map.next_value_seed(List { which, detail })?;
            } else if key == "model_id" {
                detail.model = map.next_value::<Value>()?.as_str().map(Box::from);
            } else {
                detail.allowance.lift();
                map.next_value::<IgnoredAny>()?;
            }
            detail.allowance.begin();
        }
        Ok(())
    }
}

/// Reads a column.
struct List<'a> {
    which: usize,
    detail: &'a mut Detail,
}

impl List<'_> {
    fn no_list<E>(self) -> Result<(), E> {
        let (name, no_lists) = (NAMES[self.which], &mut self.detail.no_lists);
        if !no_lists.contains(&name) {
            no_lists.push(name);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let List { which, detail } = self;
        detail.columns[which] = Some(Cells::new());
        loop {
            detail.allowance.begin();
            let Some(value) = list.next_element::<Value>()? else {
                return Ok(());
            };
            if let Err(error) = detail.add(which, &value) {
                detail.failed = Some(error);
                return Err(serde::de::Error::custom("stopped"));
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.detail.allowance.lift();
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.no_list()
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.no_list()
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.no_list()
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.no_list()
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.no_list()
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.no_list()
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        // `null` is a column that is not there.
        Ok(())
    }
}
