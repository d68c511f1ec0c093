//! Erasure: people ask to be forgotten, and every place that holds something of them has to forget it.
//!
//! ```text
//! request -> gateway -> authenticated? -> audit log -> request logs (one a region, or a replica) -> backups
//!                        no: rejected               -> prefix caches of all replicas
//!                                                   -> caches by subject, one a region
//!                                                   -> requests of the subject that are under way
//! ```
//!
//! An erasure names an instant, that of its sender being authenticated: all that was made up to then is to
//! go, and what was made later stays. Each place is told over the network, and again and again while it
//! cannot be reached; the erasure is done when the last place is. A request that is under way has
//! the time of its arrival, so that its record, written later or come by replication, is dropped by
//! a store that knows of the erasure.
//!
//! This component has an agenda of its own, with one event of the fleet's queue for the first entry.
//! It says what is to be done elsewhere as [`Wish`]es, which the world fulfils.

mod agenda;
pub mod audit;
mod backups;
mod caches;
mod case;
mod check;
mod demand;
mod desk;
mod feed;
mod finishing;
mod kv;
mod logs;
pub mod meters;
pub mod plan;
mod reach;
mod sites;
pub mod subjects;
mod telling;
mod traffic;

pub use desk::{Erasure, Served, Wish};
pub use kv::Holds;
pub use logs::LogRow;
pub use reach::Reach;
