//! The price book: what capacity, moved and stored bytes, and electricity cost, with where that comes from.
//!
//! Prices are data, not code: [`PriceBook::shipped`] reads `calibration/prices.toml`, a user's file of the
//! same form is read by [`PriceBook::parse`] and laid over it by [`PriceBook::with`]. Every figure has a
//! source, and a [`Kind`] that tells what was read in a document from what is only assumed.
//!
//! `*` as a provider, part or region stands for every one that has no entry of its own, except for the
//! destinations [`INTERNET`] and [`SAME_REGION`] of moved bytes.

mod check;
mod entries;
mod error;
mod parse;
mod rules;
mod search;
#[cfg(test)]
mod tests;

pub use entries::{
    Billing, Carbon, Compute, Egress, INTERNET, Kind, Power, Reserved, SAME_REGION, Storage,
    Upfront,
};
pub use error::{BadValue, BookError};

use check::Entry;
use serde::Serialize;

/// The shipped prices and their name in errors.
const SHIPPED: (&str, &str) = (
    "calibration/prices.toml",
    include_str!("../../calibration/prices.toml"),
);

/// Prices by provider, part and region. Every value in it has been checked; entries keep their order.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub struct PriceBook {
    compute: Vec<Compute>,
    reserved: Vec<Reserved>,
    billing: Vec<Billing>,
    egress: Vec<Egress>,
    storage: Vec<Storage>,
    carbon: Vec<Carbon>,
    power: Option<Power>,
}

impl PriceBook {
    /// The prices that come with the program.
    ///
    /// # Errors
    /// None unless the program was built with a price file that does not hold what it must.
    pub fn shipped() -> Result<Self, BookError> {
        Self::parse(SHIPPED.0, SHIPPED.1)
    }

    /// Reads the TOML text of a price file; `file` is its name in errors. Every table may be left out.
    ///
    /// # Errors
    /// Text that is not TOML of this form, a value out of range, or two entries for the same thing.
    pub fn parse(file: &str, text: &str) -> Result<Self, BookError> {
        parse::parse(file, text)
    }

    /// This book with `overrides` laid over it: an entry for the same thing replaces the one here, in its
    /// place; others are added at the end.
    #[must_use]
    pub fn with(mut self, overrides: PriceBook) -> Self {
        lay_over(&mut self.compute, overrides.compute);
        lay_over(&mut self.reserved, overrides.reserved);
        lay_over(&mut self.billing, overrides.billing);
        lay_over(&mut self.egress, overrides.egress);
        lay_over(&mut self.storage, overrides.storage);
        lay_over(&mut self.carbon, overrides.carbon);
        self.power = overrides.power.or(self.power);
        self
    }

    /// The price of `part` (an accelerator card's name) at `provider` in `region`.
    ///
    /// # Errors
    /// No such price; the error lists the nearest that there are.
    pub fn compute(&self, provider: &str, part: &str, region: &str) -> Result<&Compute, BookError> {
        search::find(&self.compute, &[provider, part, region])
    }

    /// The price of committed or owned capacity: `term_years` is `None` for what is owned.
    ///
    /// # Errors
    /// No such price; the error lists the nearest that there are.
    pub fn reserved(
        &self,
        provider: &str,
        part: &str,
        term_years: Option<u32>,
        upfront: Upfront,
    ) -> Result<&Reserved, BookError> {
        let term = entries::term_name(term_years);
        search::find(&self.reserved, &[provider, part, &term, upfront.name()])
    }

    /// How `provider` bills time.
    ///
    /// # Errors
    /// No such entry; the error lists those that there are.
    pub fn billing(&self, provider: &str) -> Result<&Billing, BookError> {
        search::find(&self.billing, &[provider])
    }

    /// The price of bytes that leave region `from` of `provider` for `to`: another region, [`INTERNET`], or
    /// [`SAME_REGION`] for another zone of the same one. The entry with the most exact names wins.
    ///
    /// # Errors
    /// No such price; the error lists the nearest that there are.
    pub fn egress(&self, provider: &str, from: &str, to: &str) -> Result<&Egress, BookError> {
        search::find(&self.egress, &[provider, from, to])
    }

    /// The price of stored bytes of a storage `class` at `provider`.
    ///
    /// # Errors
    /// No such price; the error lists the nearest that there are.
    pub fn storage(&self, provider: &str, class: &str) -> Result<&Storage, BookError> {
        search::find(&self.storage, &[provider, class])
    }

    /// The CO2 of a kWh in `region`.
    ///
    /// # Errors
    /// No such entry; the error lists the nearest that there are.
    pub fn carbon(&self, region: &str) -> Result<&Carbon, BookError> {
        search::find(&self.carbon, &[region])
    }

    /// The assumptions about power; `None` in a book that states none.
    #[must_use]
    pub fn power(&self) -> Option<&Power> {
        self.power.as_ref()
    }

    /// All prices of compute, in the order of the files.
    #[must_use]
    pub fn all_compute(&self) -> &[Compute] {
        &self.compute
    }

    /// All prices of committed and owned capacity, in the order of the files.
    #[must_use]
    pub fn all_reserved(&self) -> &[Reserved] {
        &self.reserved
    }

    /// What is odd about the prices without being wrong, one sentence each: spot at or above on-demand.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        self.compute.iter().filter_map(Compute::remark).collect()
    }

    /// The names of all entries that are only assumed, such as `egress aws/*/internet`, so that a report
    /// can say what it rests on.
    #[must_use]
    pub fn assumed(&self) -> Vec<String> {
        let mut names = assumed_in(&self.compute);
        names.extend(assumed_in(&self.reserved));
        names.extend(assumed_in(&self.billing));
        names.extend(assumed_in(&self.egress));
        names.extend(assumed_in(&self.storage));
        names.extend(assumed_in(&self.carbon));
        names.extend(self.power.as_slice().iter().flat_map(assumed_name));
        names
    }
}

fn assumed_in<T: Entry>(entries: &[T]) -> Vec<String> {
    entries.iter().filter_map(assumed_name).collect()
}

fn assumed_name<T: Entry>(entry: &T) -> Option<String> {
    (entry.kind() == Kind::Assumed).then(|| check::label(entry))
}

fn lay_over<T: Entry>(held: &mut Vec<T>, newer: Vec<T>) {
    for entry in newer {
        let names = entry.names();
        match held.iter_mut().find(|old| old.names() == names) {
            Some(old) => *old = entry,
            None => held.push(entry),
        }
    }
}
