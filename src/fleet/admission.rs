//! Admission at the gateway: rate limits, concurrency limits, shedding, a waiting room, quotas.
//!
//! Each part decides by itself and knows none of the others: the gateway asks them one after the
//! other, and gives back what it took from one when a later one refuses.

pub mod bucket;
pub mod codel;
pub mod limit;
pub mod queue;
pub mod quota;
pub mod shedding;

pub use bucket::{Buckets, TokenBucket};
pub use codel::{Decision, QueueControl};
pub use limit::{ConcurrencyLimit, Outcome, Permit};
pub use queue::{Item, Pushed, WaitingRoom};
pub use quota::{Quotas, RetryAfter};
pub use shedding::{Load, Shedder};
