//! Sweeps: one scenario at many points of a design, each with the same random numbers.
//!
//! An experiment file ([`schema`]) names a scenario, the axes along which it is changed, and the
//! metrics that are kept. [`design`] lists the points, [`run`] runs them on all threads, and a
//! [`journal`] has every finished point on the disk at once: a rerun goes on from there ([`part`]), and
//! points of shards are put together from their journals ([`merge`]). Other machines run points as
//! [`worker`]s, with the same results. [`outcome`] is what comes of it: the
//! points, the Pareto front ([`front`]) and what each axis does ([`effects`]). It depends on the
//! experiment alone, not on threads, interruptions or shards.

pub mod axis;
pub mod design;
pub mod effects;
pub mod error;
pub mod front;
pub mod identity;
pub mod journal;
pub mod merge;
pub mod outcome;
pub mod part;
pub mod pending;
pub mod point;
pub mod run;
pub mod schema;
pub mod seal;
pub mod setup;
pub mod worker;
