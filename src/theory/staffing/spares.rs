//! How many nodes so that enough of them are up.

use super::{StaffingError, open_unit};
use crate::theory::staffing::{non_negative, positive};

/// The most nodes (or groups of them) that the formulas here take.
pub const MAX_NODES: u64 = 1_000_000;

/// Terms this far below the largest are left out of a sum.
const FLOOR: f64 = 1e-300;

/// The share of time that a node is up, and that it is down.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Availability {
    // Both are kept: near 1, the difference from 1 is all that matters and would cancel.
    up: f64,
    down: f64,
}

impl Availability {
    /// mtbf / (mtbf + mttr): `mtbf` is the mean time that a node works before it fails (above 0), `mttr`
    /// the mean time until it is back (0 or more), in one unit. Any laws of either time.
    ///
    /// # Errors
    /// A time out of range.
    ///
    /// Source: the renewal-reward theorem; Barlow & Proschan, Mathematical Theory of Reliability, 1965.
    pub fn from_mtbf(mtbf: f64, mttr: f64) -> Result<Self, StaffingError> {
        positive("mtbf", mtbf)?;
        non_negative("mttr", mttr)?;
        // In this form neither a sum nor a quotient of extremes spoils the result.
        Ok(Self {
            up: 1.0 / (1.0 + mttr / mtbf),
            down: 1.0 / (1.0 + mtbf / mttr),
        })
    }

    /// A share of time that a node is up, above 0 and at most 1.
    ///
    /// # Errors
    /// A share out of range.
    pub fn from_share(up: f64) -> Result<Self, StaffingError> {
        if up > 0.0 && up <= 1.0 {
            return Ok(Self { up, down: 1.0 - up });
        }
        Err(StaffingError::OutOfRange {
            name: "availability",
            value: up,
            allowed: "above 0 and at most 1",
        })
    }

    /// The share of time that a node is up, 0 to 1.
    #[must_use]
    pub fn up(&self) -> f64 {
        self.up
    }

    /// The share of time that a node is down, 0 to 1.
    #[must_use]
    pub fn down(&self) -> f64 {
        self.down
    }
}

/// P(fewer than `k` of `n` are up) and P(at least `k` are), each summed on its own so that a small one
/// keeps its digits.
///
/// Weights are relative to the likeliest number and built outwards from it, so that nothing overflows.
fn binomial_split(k: u64, n: u64, availability: Availability) -> (f64, f64) {
    let Availability { up, down } = availability;
    let mode = (((n + 1) as f64 * up) as u64).min(n);
    let (mut fewer, mut enough) = (0.0, 0.0);
    let mut put = |j: u64, weight: f64| {
        if j < k {
            fewer += weight;
        } else {
            enough += weight;
        }
    };
    put(mode, 1.0);
    let mut weight = 1.0;
    for j in mode..n {
        weight *= (n - j) as f64 / (j + 1) as f64 * (up / down);
        if weight < FLOOR || !weight.is_finite() {
            break;
        }
        put(j + 1, weight);
    }
    weight = 1.0;
    for j in (1..=mode).rev() {
        weight *= j as f64 / (n - j + 1) as f64 * (down / up);
        if weight < FLOOR || !weight.is_finite() {
            break;
        }
        put(j - 1, weight);
    }
    let total = fewer + enough;
    (fewer / total, enough / total)
}

fn nodes_in_range(name: &'static str, nodes: u64) -> Result<u64, StaffingError> {
    if nodes <= MAX_NODES {
        return Ok(nodes);
    }
    Err(StaffingError::OutOfRange {
        name,
        value: nodes as f64,
        allowed: "at most 1000000",
    })
}

/// The probability that at least `needed` of `nodes` are up (each at most [`MAX_NODES`]), nodes failing
/// independently: N + k redundancy is `p_enough(n, n + k, ..)`. 0 when `needed` exceeds `nodes`.
///
/// # Errors
/// A number out of range.
///
/// Source: the binomial law; Barlow & Proschan 1965 (k-out-of-n systems).
pub fn p_enough(needed: u64, nodes: u64, availability: Availability) -> Result<f64, StaffingError> {
    nodes_in_range("needed nodes", needed)?;
    nodes_in_range("nodes", nodes)?;
    Ok(binomial_split(needed, nodes, availability).1)
}

/// How many nodes to run so that enough of them are up.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SparePlan {
    /// Nodes to run: whole groups of them.
    pub nodes: u64,
    /// Those beyond what is needed.
    pub spares: u64,
    /// The probability that enough are up.
    pub p_enough: f64,
    /// The probability that too few are, with its own digits where it is small.
    pub p_short: f64,
}

/// The fewest nodes of which at least `needed` (at most [`MAX_NODES`]) are up with a probability of at
/// least `target`, strictly between 0 and 1, nodes failing independently.
///
/// # Errors
/// An argument out of range, or more than [`MAX_NODES`] nodes.
///
/// Source: the binomial law, as of [`p_enough`].
pub fn spare_nodes(
    needed: u64,
    availability: Availability,
    target: f64,
) -> Result<SparePlan, StaffingError> {
    spare_nodes_in_groups(needed, 1, availability, target)
}

/// [`spare_nodes`] for nodes that fail by groups of `group_size` (1 to [`MAX_NODES`]), such as the nodes of
/// a rack or of a power feed: a group is up or down as one, with `availability`, and independently of the
/// others. Only whole groups are run. At the same availability and a strict target, larger groups need more
/// spares; at a soft one, rounding to whole groups may tip it either way.
///
/// # Errors
/// As [`spare_nodes`], or a group size out of range.
pub fn spare_nodes_in_groups(
    needed: u64,
    group_size: u64,
    availability: Availability,
    target: f64,
) -> Result<SparePlan, StaffingError> {
    nodes_in_range("needed nodes", needed)?;
    nodes_in_range("group size", group_size)?;
    open_unit("target probability", target)?;
    if group_size == 0 {
        return Err(StaffingError::OutOfRange {
            name: "group size",
            value: 0.0,
            allowed: "1 or more",
        });
    }
    let groups_needed = needed.div_ceil(group_size);
    let groups = fewest_groups(groups_needed, availability, 1.0 - target)?;
    let (p_short, p_enough) = binomial_split(groups_needed, groups, availability);
    let nodes = groups * group_size;
    Ok(SparePlan {
        nodes,
        spares: nodes - needed,
        p_enough,
        p_short,
    })
}

/// The fewest groups, `needed` or more, of which fewer than `needed` are up with at most `p_short`.
fn fewest_groups(
    needed: u64,
    availability: Availability,
    p_short: f64,
) -> Result<u64, StaffingError> {
    let met = |groups| binomial_split(needed, groups, availability).0 <= p_short;
    if met(needed) {
        return Ok(needed);
    }
    // Every group added helps: widen until it suffices, then halve.
    let mut low = needed;
    let mut extra = 1;
    let mut high = needed + extra;
    while high <= MAX_NODES && !met(high) {
        low = high;
        extra *= 2;
        high = needed + extra;
    }
    if high > MAX_NODES {
        high = MAX_NODES;
        if !met(high) {
            return Err(StaffingError::Unreachable {
                what: "nodes or groups",
                because: "even 1000000 are too few at this availability",
            });
        }
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if met(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(high)
}

/// How many nodes are down at an instant.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DownNodes {
    /// The mean number down.
    pub mean: f64,
    /// Its standard deviation.
    pub std_dev: f64,
}

/// How many of `nodes` are down at an instant when they fail by groups of `group_size` (1 for nodes on
/// their own): the mean, n (1 - a), is the same whatever the groups, the spread is sqrt(g) times as wide.
///
/// # Errors
/// More than [`MAX_NODES`] nodes, or a group size of 0 or above the number of nodes.
///
/// Source: mean and variance of g times a binomial number of n / g groups.
pub fn expected_down(
    nodes: u64,
    group_size: u64,
    availability: Availability,
) -> Result<DownNodes, StaffingError> {
    nodes_in_range("nodes", nodes)?;
    if group_size == 0 || group_size > nodes.max(1) {
        return Err(StaffingError::OutOfRange {
            name: "group size",
            value: group_size as f64,
            allowed: "1 or more and at most the number of nodes",
        });
    }
    let mean = nodes as f64 * availability.down;
    Ok(DownNodes {
        mean,
        std_dev: (group_size as f64 * mean * availability.up).sqrt(),
    })
}
