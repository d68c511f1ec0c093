//! The items of JSON documents of any size, one at a time.
//!
//! A document may be one object over many lines, or a list, or there may be one a line. Only one
//! item is held at a time, and what stands beside the way to it is read past.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::error::ObservedError;
use super::input::{Allowance, Input, Line};
use super::intake::Intake;

/// Which keys lead to the items of a document, and which values beside them are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    /// Keys from the document inwards, alternatives on each level.
    pub keys: &'static [&'static [&'static str]],
    /// Keys whose values are kept where they are passed, such as a resource.
    pub beside: &'static [&'static str],
}

/// What is known where an item is found.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Values passed, by key.
    pub values: BTreeMap<&'static str, Value>,
    /// The last key of the way.
    pub key: &'static str,
}

/// Takes an item.
pub(super) type Take<'a> = dyn FnMut(&Beside, Value, &mut Intake) -> Result<(), ObservedError> + 'a;

/// Reads all items of all documents of a text.
pub(super) fn read(
    input: &mut Input,
    way: Way,
    intake: &mut Intake,
    take: &mut Take<'_>,
) -> Result<(), ObservedError> {
    let mut by_line = first_line_is_whole(input.head()) || second_line_is_whole(input.head(), way);
    let mut line = Vec::new();
    loop {
        if input.only_blank_left()? {
            return Ok(());
        }
        if by_line {
            match input.next_line(&mut line)? {
                Line::End => return Ok(()),
                Line::TooLong => intake.skip("lines longer than 16 MiB", ""),
                Line::Whole => one_line(&line, input.line_read(), way, intake, take)?,
            }
        } else {
            document(input, way, intake, take)?;
            // After a document that breaks off, each line may be one again.
            by_line = true;
        }
    }
}

/// Whether the first line is a document, so that there is one a line.
fn first_line_is_whole(head: &[u8]) -> bool {
    let start = head.iter().position(|b| !b.is_ascii_whitespace());
    let head = &head[start.unwrap_or(0)..];
    match memchr::memchr(b'\n', head) {
        Some(end) => serde_json::from_slice::<IgnoredAny>(&head[..end]).is_ok(),
        // A first line longer than the head is read as a document, of which there may be more.
        None => serde_json::from_slice::<IgnoredAny>(head).is_ok(),
    }
}

/// Whether the second line is a document: so the first is a broken one, not the start of a longer
/// one.
fn second_line_is_whole(head: &[u8], way: Way) -> bool {
    let mut lines = head.split_inclusive(|byte| *byte == b'\n');
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else {
        return false;
    };
    if !first.starts_with(b"{") || !second.starts_with(b"{") {
        return false;
    }
    let parsed = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(second);
    let outer = way.keys.first().copied().unwrap_or(&["requests"]);
    parsed.is_ok_and(|keys| outer.iter().any(|key| keys.contains_key(*key)))
}

/// Reads a line that is a document of its own: nothing of it counts unless all of it is valid.
fn one_line(
    line: &[u8],
    number: u64,
    way: Way,
    intake: &mut Intake,
    take: &mut Take<'_>,
) -> Result<(), ObservedError> {
    let checked = serde_json::from_slice::<IgnoredAny>(line);
    if let Err(error) = checked {
        let shown = String::from_utf8_lossy(&line[..line.len().min(80)]);
        intake.skip(fault_of(&error), &shown);
        return Ok(());
    }
    let here = intake.place_now();
    intake.set_place(number);
    // A line is as long as it may be.
    let mut passage = Passage::new(way, intake, take, Allowance::default());
    let mut reader = serde_json::Deserializer::from_slice(line);
    let done = Level {
        depth: 0,
        passage: &mut passage,
    }
    .deserialize(&mut reader);
    let failed = passage.failed.take();
    intake.return_to(here);
    match (done, failed) {
        (_, Some(error)) => Err(error),
        (Err(error), None) => {
            intake.skip(fault_of(&error), "");
            Ok(())
        }
        (Ok(()), None) => Ok(()),
    }
}

/// Reads documents until one breaks off or the text ends.
fn document(
    input: &mut Input,
    way: Way,
    intake: &mut Intake,
    take: &mut Take<'_>,
) -> Result<(), ObservedError> {
    loop {
        let allowance = input.allowance();
        allowance.begin();
        let mut passage = Passage::new(way, intake, take, allowance.clone());
        let mut reader = serde_json::Deserializer::from_reader(&mut *input);
        let done = Level {
            depth: 0,
            passage: &mut passage,
        }
        .deserialize(&mut reader);
        let failed = passage.failed.take();
        allowance.lift();
        if let Some(error) = failed {
            return Err(error);
        }
        if let Some(error) = input.take_fault() {
            return Err(error);
        }
        if let Err(error) = done {
            intake.skip(fault_of(&error), "what follows in this document is lost");
            return input.end_line();
        }
        if input.only_blank_left()? {
            return Ok(());
        }
    }
}

/// Why a document was not read to its end.
pub(super) fn fault_of(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "JSON that breaks off",
        _ => "not valid JSON",
    }
}

/// One pass through a document.
struct Passage<'a, 'b> {
    way: Way,
    beside: Beside,
    intake: &'a mut Intake,
    take: &'a mut Take<'b>,
    failed: Option<ObservedError>,
    /// What is held of the document begins anew with each item and each key.
    allowance: Allowance,
}

impl<'a, 'b> Passage<'a, 'b> {
    fn new(way: Way, intake: &'a mut Intake, take: &'a mut Take<'b>, allowance: Allowance) -> Self {
        Passage {
            allowance,
            way,
            beside: Beside::default(),
            intake,
            take,
            failed: None,
        }
    }
}

/// A level of the way: 0 is the document, that of all keys holds the items.
struct Level<'p, 'a, 'b> {
    depth: usize,
    passage: &'p mut Passage<'a, 'b>,
}

impl Level<'_, '_, '_> {
    fn is_last(&self) -> bool {
        self.depth == self.passage.way.keys.len()
    }

    fn hand_over<E: serde::de::Error>(self, item: Value) -> Result<(), E> {
        let passage = self.passage;
        let done = (passage.take)(&passage.beside, item, passage.intake);
        done.map_err(|error| {
            passage.failed = Some(error);
            E::custom("stopped")
        })
    }

    fn not_there<E>(self, what: &str) -> Result<(), E> {
        self.passage
            .intake
            .skip("values where objects should be", what);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object or a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let (depth, passage) = (self.depth, self.passage);
        loop {
            passage.allowance.begin();
            let level = Level {
                depth,
                passage: &mut *passage,
            };
            if list.next_element_seed(level)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.is_last() {
            let item = Value::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
            return self.hand_over(item);
        }
        let (depth, passage) = (self.depth, self.passage);
        let way = passage.way;
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            let within = way.keys[depth].iter().find(|it| **it == key);
            let kept = way.beside.iter().find(|it| **it == key);
            if let Some(within) = within {
                passage.beside.key = within;
                map.next_value_seed(Level {
                    depth: depth + 1,
                    passage: &mut *passage,
                })?;
            } else if let Some(kept) = kept {
                let value = map.next_value::<Value>()?;
                passage.beside.values.insert(kept, value);
            } else {
                passage.allowance.lift();
                map.next_value::<IgnoredAny>()?;
            }
            passage.allowance.begin();
        }
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.not_there(&value.to_string())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.not_there(&value.to_string())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.not_there(&value.to_string())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.not_there(&value.to_string())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.not_there(value)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.not_there("null")
    }
}
