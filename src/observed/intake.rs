//! Where every format hands over what it read: checked, counted and sorted by start.

use std::cell::Cell;
use std::collections::BTreeMap;
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
    latest_ns: u64,
    /// Stamps with a zone, and without one.
    pub(super) zones: [u64; 2],
    /// What was assumed, or may not be read from the log.
    pub(super) notes: Vec<String>,
}

/// Codes that are told apart; further ones are counted together.
const MOST_CODES: usize = 64;

impl Intake {
    pub(super) fn new(
        at: Rc<Cell<Place>>,
        most_held: usize,
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
            sorter: Sorter::new(most_held),
            lengths,
            skews,
            latest_ns: 0,
            zones: [0; 2],
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
        if !self.shift(&mut attempt) {
            self.skip(
                "with a stamp out of range",
                "its clock's lead takes it out of it",
            );
            return Ok(());
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

    fn count_code(&mut self, code: &str, ending: Ending) {
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
    fn shift(&self, attempt: &mut Attempt) -> bool {
        let logger = attempt.logger.as_deref();
        let Some(skew) = self
            .skews
            .iter()
            .find(|it| Some(it.logger.as_str()) == logger)
        else {
            return true;
        };
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
