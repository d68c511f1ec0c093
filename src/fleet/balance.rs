//! Choosing one of many members, by index: hashing, weights, loads, sessions and prefixes.
//!
//! Nothing here knows of requests or replicas. Loads, weights and health are read through closures
//! over member indices `0..n`, and every choice is `None` when no member is eligible.

pub mod affinity;
pub mod bound;
mod draw;
pub mod hash;
mod holders;
mod lists;
pub mod maglev;
pub mod p2c;
mod places;
pub mod prefix_index;
pub mod ring;
pub mod scorers;
pub mod slow_start;
pub mod weighted;

pub use affinity::AffinityTable;
pub use bound::Bound;
pub use hash::hash_key;
pub use maglev::MaglevTable;
pub use p2c::LeastRequestChoice;
pub use prefix_index::{Matches, PrefixIndex};
pub use ring::Ring;
pub use scorers::{Asked, Scorer, Signals};
pub use slow_start::SlowStartRise;
pub use weighted::{Alias, Edf};
