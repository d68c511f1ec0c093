//! What a recording of a spot pool amounts to.

use crate::fleet::spot::availability::Availability;

/// Nanoseconds in an hour.
const NS_PER_HOUR: f64 = 3.6e12;

/// Figures of one recording on simulated time, from its first to its last
/// instant, before any offset or repetition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Length, days.
    pub duration_days: f64,
    /// The most nodes at any instant, nodes.
    pub max_nodes: u32,
    /// Share of time with at least one node, 0 to 1.
    pub time_any_fraction: f64,
    /// Mean nodes over `max_nodes`, 0 to 1; 0 when there never is a node.
    pub capacity_fraction: f64,
    /// Unbroken spells with at least one node, those cut off by the recording's
    /// ends included, spells.
    pub up_spells: u64,
    /// Mean length of those spells, hours; 0 without any.
    pub mean_up_h: f64,
    /// Mean length of the spells without any node, hours; 0 without any.
    pub mean_down_h: f64,
    /// Drops from row to row added up, nodes: a node that leaves while another
    /// joins at the same instant counts in a list of single events.
    pub nodes_lost: u64,
    /// Drops from instant to instant added up, nodes: what a pool that is
    /// always full would lose. At most `nodes_lost`.
    pub net_nodes_lost: u64,
    /// Largest drop at one instant, nodes.
    pub largest_loss_nodes: u32,
    /// `nodes_lost` over the node-hours supplied, per hour; 0 without any.
    /// These are losses of the pool's offer, not of one node held.
    pub losses_per_node_hour: f64,
}

/// Time added up over a recording.
#[derive(Default)]
struct Totals {
    up_ns: u64,
    up_spells: u64,
    down_spells: u64,
    node_ns: u128,
}

impl Availability {
    /// The recording's figures.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let totals = self.totals();
        let drops = || (self.steps.windows(2)).map(|pair| pair[0].1.saturating_sub(pair[1].1));
        let duration_ns = self.duration_ns as f64;
        let node_hours = totals.node_ns as f64 / NS_PER_HOUR;
        let max_nodes = self.max_nodes();
        let down_ns = self.duration_ns - totals.up_ns;
        Summary {
            duration_days: duration_ns / NS_PER_HOUR / 24.0,
            max_nodes,
            time_any_fraction: totals.up_ns as f64 / duration_ns,
            capacity_fraction: ratio(totals.node_ns as f64 / duration_ns, f64::from(max_nodes)),
            up_spells: totals.up_spells,
            mean_up_h: ratio(totals.up_ns as f64 / NS_PER_HOUR, totals.up_spells as f64),
            mean_down_h: ratio(down_ns as f64 / NS_PER_HOUR, totals.down_spells as f64),
            nodes_lost: self.nodes_lost,
            net_nodes_lost: drops().map(u64::from).sum(),
            largest_loss_nodes: drops().max().unwrap_or(0),
            losses_per_node_hour: ratio(self.nodes_lost as f64, node_hours),
        }
    }

    /// Adds up spells and node time. A list's last row stands at the very end,
    /// lasts no time and opens no spell.
    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let ends = self.steps.iter().skip(1).map(|step| step.0);
        let ends = ends.chain(std::iter::once(self.duration_ns));
        let mut was_up = None;
        for (&(start, nodes), end) in self.steps.iter().zip(ends) {
            let length = end.saturating_sub(start);
            if length == 0 {
                continue;
            }
            let up = nodes > 0;
            if up {
                totals.up_ns += length;
                totals.node_ns += u128::from(length) * u128::from(nodes);
            }
            if was_up != Some(up) {
                totals.up_spells += u64::from(up);
                totals.down_spells += u64::from(!up);
                was_up = Some(up);
            }
        }
        totals
    }
}

/// A quotient that is 0 when there is nothing to divide by.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
