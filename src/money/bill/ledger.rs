//! The bill: node lifetimes added up by pool, market and region.

use std::collections::BTreeMap;

use super::{BillError, BillingRule, HourlyRate, Nanodollars, billed};
use crate::engine::{SimDuration, SimTime};

const TOO_LARGE: BillError = BillError::Overflow { what: "a bill" };

/// What a node's cost is filed under; the numbers are the caller's own indices.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct BillKey {
    /// The pool.
    pub pool: u32,
    /// The market it was got on: on demand, spot, reserved.
    pub market: u32,
    /// The region.
    pub region: u32,
}

/// What was added under one key, or a sum of such lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BillLine {
    /// Node intervals added.
    pub nodes: u64,
    /// Their lifetimes, node-nanoseconds.
    pub lifetime_node_ns: u128,
    /// The lifetimes as billed (rounded up, at least the minimum), node-nanoseconds.
    pub billed_node_ns: u128,
    /// What they cost.
    pub cost: Nanodollars,
}

impl BillLine {
    fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            nodes: self.nodes.checked_add(other.nodes)?,
            lifetime_node_ns: self.lifetime_node_ns.checked_add(other.lifetime_node_ns)?,
            billed_node_ns: self.billed_node_ns.checked_add(other.billed_node_ns)?,
            cost: self.cost.checked_add(other.cost)?,
        })
    }

    /// Node-hours as billed, for reports.
    #[must_use]
    pub fn billed_node_hours(&self) -> f64 {
        self.billed_node_ns as f64 / super::money::NS_PER_HOUR as f64
    }
}

/// What one node was charged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeCharge {
    /// How long it lived.
    pub lifetime: SimDuration,
    /// How long it was billed for.
    pub billed: SimDuration,
    /// What that cost, rounded to the nearest nano-dollar, halves up.
    pub cost: Nanodollars,
}

/// A bill that adds up exactly.
///
/// All sums are of whole numbers, so that these hold to the last nano-dollar and nanosecond: the lines by
/// pool, by market, by region and by key each sum to [`Bill::total`], and the billed node-nanoseconds are
/// the sum over nodes of [`billed`]. A refused [`Bill::add`] changes nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bill {
    lines: BTreeMap<BillKey, BillLine>,
    // Kept apart from the lines, so that the identities are worth checking.
    total: BillLine,
}

impl Bill {
    /// A bill with nothing on it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node that was billed from `from` until before `to` at `usd_per_node_hour`, by `rule`.
    ///
    /// `from` is the instant that the rule's [`BillingRule::from`] speaks of
    /// ([`BillingRule::interval`] finds it). An empty interval is billed the minimum. A node whose price
    /// changed while it lived is added by [`Bill::add_priced`].
    ///
    /// # Errors
    /// An interval that ends before it begins, a price out of range, or a sum that does not fit.
    pub fn add(
        &mut self,
        key: BillKey,
        rule: BillingRule,
        (from, to): (SimTime, SimTime),
        usd_per_node_hour: f64,
    ) -> Result<NodeCharge, BillError> {
        let rate = HourlyRate::from_usd_per_hour(usd_per_node_hour)?;
        self.add_at(key, rule, (from, to), rate)
    }

    /// [`Bill::add`] with the price as a rate already rounded to nano-dollars per node-hour.
    ///
    /// # Errors
    /// An interval that ends before it begins, or a sum that does not fit.
    pub fn add_at(
        &mut self,
        key: BillKey,
        rule: BillingRule,
        (from, to): (SimTime, SimTime),
        rate_per_node: HourlyRate,
    ) -> Result<NodeCharge, BillError> {
        self.add_priced(key, rule, (from, to), |billed| rate_per_node.cost(billed))
    }

    /// [`Bill::add`] with the cost of the time that is billed, which begins at `from`, as a function:
    /// for prices that change while a node lives.
    ///
    /// # Errors
    /// An interval that ends before it begins, or a sum that does not fit.
    pub fn add_priced(
        &mut self,
        key: BillKey,
        rule: BillingRule,
        (from, to): (SimTime, SimTime),
        cost_of: impl FnOnce(SimDuration) -> Nanodollars,
    ) -> Result<NodeCharge, BillError> {
        let lifetime = SimDuration(to.0.checked_sub(from.0).ok_or(BillError::EndsBeforeStart {
            from_ns: from.0,
            to_ns: to.0,
        })?);
        let billed = billed(rule, lifetime);
        let cost = cost_of(billed);
        self.put(
            key,
            BillLine {
                nodes: 1,
                lifetime_node_ns: u128::from(lifetime.0),
                billed_node_ns: u128::from(billed.0),
                cost,
            },
        )?;
        Ok(NodeCharge {
            lifetime,
            billed,
            cost,
        })
    }

    /// Adds all lines of `other`.
    ///
    /// # Errors
    /// A sum that does not fit; nothing is added then.
    pub fn merge(&mut self, other: &Bill) -> Result<(), BillError> {
        // No line exceeds its total: where the totals fit, every line does.
        self.total.plus(other.total).ok_or(TOO_LARGE)?;
        other
            .lines
            .iter()
            .try_for_each(|(&key, &line)| self.put(key, line))
    }

    fn put(&mut self, key: BillKey, line: BillLine) -> Result<(), BillError> {
        let total = self.total.plus(line).ok_or(TOO_LARGE)?;
        let held = self.lines.get(&key).copied().unwrap_or_default();
        // Both sums before either is stored: a refused node must not be half on the bill.
        let sum = held.plus(line).ok_or(TOO_LARGE)?;
        self.total = total;
        self.lines.insert(key, sum);
        Ok(())
    }

    /// Everything on the bill.
    #[must_use]
    pub fn total(&self) -> BillLine {
        self.total
    }

    /// The lines by key, in the order of the keys.
    pub fn lines(&self) -> impl Iterator<Item = (BillKey, BillLine)> {
        self.lines.iter().map(|(&key, &line)| (key, line))
    }

    /// The lines by pool.
    #[must_use]
    pub fn by_pool(&self) -> BTreeMap<u32, BillLine> {
        self.by(|key| key.pool)
    }

    /// The lines by market.
    #[must_use]
    pub fn by_market(&self) -> BTreeMap<u32, BillLine> {
        self.by(|key| key.market)
    }

    /// The lines by region.
    #[must_use]
    pub fn by_region(&self) -> BTreeMap<u32, BillLine> {
        self.by(|key| key.region)
    }

    fn by(&self, part: impl Fn(&BillKey) -> u32) -> BTreeMap<u32, BillLine> {
        let mut sums = BTreeMap::new();
        for (key, &line) in &self.lines {
            let sum: &mut BillLine = sums.entry(part(key)).or_default();
            // No part exceeds the total, which was checked when the lines were added.
            *sum = sum.plus(line).unwrap_or(*sum);
        }
        sums
    }
}
