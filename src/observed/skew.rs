//! How far the clocks of services are apart, from spans within spans.

use std::collections::BTreeMap;

use super::group::Member;
use super::report::SkewEstimate;

/// Pairs of spans whose clocks are compared, of each two services.
const PAIRS_KEPT: usize = 1024;
/// Pairs of services that are compared.
const MOST_SKEWS: usize = 256;

/// Compares the clocks of services.
#[derive(Debug, Default)]
pub(super) struct Skews {
    leads: BTreeMap<(Box<str>, Box<str>), Leads>,
    /// Pairs of spans that were not compared, since there were too many services.
    pub(super) uncompared: u64,
}

#[derive(Debug, Default)]
struct Leads {
    pairs: u64,
    impossible: u64,
    leads_ns: Vec<i64>,
}

impl Skews {
    /// Compares the clocks of two services that logged a span and the one within it.
    pub(super) fn note(&mut self, outer: &Member, inner: &Member) {
        let (Some(against), Some(of)) = (&outer.logger, &inner.logger) else {
            return;
        };
        let (Some(outer_end), Some(inner_end)) = (outer.end_ns, inner.end_ns) else {
            return;
        };
        if against == of {
            return;
        }
        let pair = (against.clone(), of.clone());
        if self.leads.len() >= MOST_SKEWS && !self.leads.contains_key(&pair) {
            self.uncompared += 1;
            return;
        }
        let leads = self.leads.entry(pair).or_default();
        leads.pairs += 1;
        let before = i128::from(inner.start_ns) - i128::from(outer.start_ns);
        let after = i128::from(inner_end) - i128::from(outer_end);
        leads.impossible += u64::from(before < 0 || after > 0);
        if leads.leads_ns.len() < PAIRS_KEPT
            && let Ok(lead) = i64::try_from((before + after) / 2)
        {
            leads.leads_ns.push(lead);
        }
    }

    /// What was found.
    pub(super) fn estimates(&self) -> Vec<SkewEstimate> {
        let one = |((against, of), leads): (&(Box<str>, Box<str>), &Leads)| {
            let mut sorted = leads.leads_ns.clone();
            sorted.sort_unstable();
            let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
            SkewEstimate {
                of: of.to_string(),
                against: against.to_string(),
                pairs: leads.pairs,
                impossible: leads.impossible,
                lead_ms: median as f64 / 1e6,
            }
        };
        self.leads.iter().map(one).collect()
    }
}
