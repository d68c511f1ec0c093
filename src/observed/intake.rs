//! Where every format hands over what it read: checked, counted and sorted by start.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::attempt::Attempt;
use super::error::ObservedError;
use super::infer::Lengths;
use super::input::Place;
use super::record::Ending;
use super::report::Skips;
use super::sort::Sorter;
use crate::trace::error::shorten;

/// A service's clock, how far ahead it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Skew {
    /// The service, as it names itself in the log.
    pub logger: String,
    /// How far its clock is ahead, ns; below 0 where it is behind.
    pub lead_ns: i64,
}

/// Takes what a format reads.
#[derive(Debug)]
pub struct Intake {
    at: Rc<Cell<Place>>,
    pub(super) read: u64,
    pub(super) skipped: Skips,
    pub(super) left_out: Skips,
    pub(super) codes: BTreeMap<String, (Ending, u64)>,
    pub(super) out_of_order: u64,
    pub(super) sorter: Sorter,
    pub(super) lengths: Lengths,
    skews: Vec<Skew>,
    /// Clocks of `skews` that some record was written by.
    skewed: BTreeSet<String>,
    /// Some of the services that records are of, for a message.
    loggers: BTreeSet<String>,
    latest_ns: u64,
    /// Stamps with a zone, and without one.
    pub(super) zones: [u64; 2],
    /// How finely stamps are told, where the format alone does not say it.
    pub(super) resolution: Option<&'static str>,
    /// What was assumed, or may not be read from the log.
    pub(super) notes: Vec<String>,
}

/// Codes that are told apart; further ones are counted together.
const MOST_CODES: usize = 64;
/// Letters of a code that tell it apart.
const CODE_LETTERS: usize = 60;
/// Services that a message names.
const MOST_LOGGERS: usize = 8;
/// The largest record: 130,000 hashes of blocks, which are some 2 million tokens.
const MOST_RECORD_BYTES: usize = 1 << 20;

impl Intake {
    pub(super) fn new(
        at: Rc<Cell<Place>>,
        sorter: Sorter,
        lengths: Lengths,
        skews: Vec<Skew>,
    ) -> Intake {
        Intake {
            at,
            read: 0,
            skipped: Skips::default(),
            left_out: Skips::default(),
            codes: BTreeMap::new(),
            out_of_order: 0,
            sorter,
            lengths,
            skews,
            skewed: BTreeSet::new(),
            loggers: BTreeSet::new(),
            latest_ns: 0,
            zones: [0; 2],
            resolution: None,
            notes: Vec::new(),
        }
    }

    /// Counts a record that is skipped; `what` is what is there.
    pub(super) fn skip(&mut self, reason: &'static str, what: &str) {
        self.read += 1;
        let at = self.at.get();
        self.skipped.add(reason, || told(at, what));
    }

    /// Counts a value that is left out of a record.
    pub(super) fn leave_out(&mut self, reason: &'static str, what: &str) {
        let at = self.at.get();
        self.left_out.add(reason, || told(at, what));
    }

    /// Says something of the log, once.
    pub(super) fn note(&mut self, what: &str) {
        if !self.notes.iter().any(|note| note == what) {
            self.notes.push(what.to_owned());
        }
    }

    /// Says where the next records stand, for formats that do not read by line.
    pub(super) fn set_place(&mut self, line: u64) {
        self.at.set(Place { line, column: 0 });
    }

    /// Notes whether a stamp had a zone.
    pub(super) fn saw_zone(&mut self, zoned: bool) {
        self.zones[usize::from(!zoned)] += 1;
    }

    pub(super) fn place_now(&self) -> Place {
        self.at.get()
    }

    /// Undoes [`Intake::set_place`].
    pub(super) fn return_to(&mut self, place: Place) {
        self.at.set(place);
    }

    /// Takes a record.
    ///
    /// # Errors
    /// When it cannot be sorted on disk.
    pub(super) fn take(&mut self, mut attempt: Attempt) -> Result<(), ObservedError> {
        if attempt.bytes() > MOST_RECORD_BYTES {
            self.skip("of more than 1 MiB: ids and hashes of no one request", "");
            return Ok(());
        }
        if !self.shift(&mut attempt) {
            self.skip(
                "with a stamp out of range",
                "its clock's lead takes it out of it",
            );
            return Ok(());
        }
        if attempt.key.as_deref().is_some_and(is_no_id) {
            self.leave_out("ids of nothing but zeros: they tell no requests apart", "");
            attempt.key = None;
        }
        if attempt.is_reversed() {
            let end = attempt.end_ns.unwrap_or_default();
            let what = format!("from {} ns to {end} ns", attempt.start_ns);
            self.skip("that end before they start", &what);
            return Ok(());
        }
        if attempt.first_token_is_outside() {
            let at = attempt.first_token_ns.unwrap_or_default();
            self.leave_out(
                "times to first token outside of their request",
                &format!("at {at} ns"),
            );
            attempt.first_token_ns = None;
        }
        self.read += 1;
        attempt.number = self.read;
        if attempt.start_ns < self.latest_ns {
            self.out_of_order += 1;
        }
        self.latest_ns = self.latest_ns.max(attempt.start_ns);
        if let Some(code) = &attempt.code {
            self.count_code(code, attempt.ending);
        }
        self.lengths.learn(&attempt);
        self.sorter.push(attempt)
    }

    /// Whether each stated lead was of a clock that wrote something.
    ///
    /// # Errors
    /// When one was not: its name is another one in the log.
    pub(super) fn check_skews(&self) -> Result<(), ObservedError> {
        let mut skews = self.skews.iter();
        let Some(idle) = skews.find(|it| !self.skewed.contains(&it.logger)) else {
            return Ok(());
        };
        let known: Vec<&str> = self.loggers.iter().map(String::as_str).collect();
        let known = match known.is_empty() {
            true => "it names no service".to_owned(),
            false => format!("it has {}", known.join(", ")),
        };
        Err(ObservedError::Option {
            option: "--skew",
            value: shorten(&idle.logger),
            why: format!("no record of the log is of this service: {known}").into(),
            remedy: "name a service as the log does (service.name), or remove it".into(),
        })
    }

    fn count_code(&mut self, code: &str, ending: Ending) {
        let code = match code.char_indices().nth(CODE_LETTERS) {
            Some((end, _)) => &code[..end],
            None => code,
        };
        let known = self.codes.contains_key(code) || self.codes.len() < MOST_CODES;
        let name = if known { code } else { "others" };
        match self.codes.get_mut(name) {
            Some((_, count)) => *count += 1,
            None => {
                self.codes.insert(name.to_owned(), (ending, 1));
            }
        }
    }

    /// Takes a stated lead of its clock out of a record; false where that is out of range.
    fn shift(&mut self, attempt: &mut Attempt) -> bool {
        if self.skews.is_empty() {
            return true;
        }
        let logger = attempt.logger.as_deref();
        if let Some(name) = logger
            && self.loggers.len() < MOST_LOGGERS
            && !self.loggers.contains(name)
        {
            self.loggers.insert(name.to_owned());
        }
        let Some(skew) = self
            .skews
            .iter()
            .find(|it| Some(it.logger.as_str()) == logger)
        else {
            return true;
        };
        if !self.skewed.contains(&skew.logger) {
            self.skewed.insert(skew.logger.clone());
        }
        let moved = |ns: u64| {
            let ns = i128::from(ns) - i128::from(skew.lead_ns);
            u64::try_from(ns).ok()
        };
        let Some(start) = moved(attempt.start_ns) else {
            return false;
        };
        attempt.start_ns = start;
        attempt.end_ns = attempt.end_ns.and_then(moved);
        attempt.first_token_ns = attempt.first_token_ns.and_then(moved);
        true
    }
}

/// Whether an id is one that stands for none: tracing that is off writes zeros.
pub(super) fn is_no_id(id: &str) -> bool {
    id.len() >= 16 && id.bytes().all(|byte| matches!(byte, b'0' | b'-'))
}

/// A place and what is there.
fn told(at: Place, what: &str) -> String {
    let mut place = format!("line {}", at.line);
    if at.column > 0 {
        place.push_str(&format!(", byte {}", at.column));
    }
    if what.is_empty() {
        return place;
    }
    let what: String = what
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("{place}: {}", shorten(what.trim()))
}
