//! The simulated fleet, one noun per file.
//!
//! Read [`event`] (what can happen), then [`world`] (who talks to whom), then any component.

pub mod admission;
pub mod backlog;
pub mod balance;
pub mod calls;
pub mod capacity;
pub mod context;
pub mod erasure;
pub mod event;
pub mod faults;
pub mod gate;
pub mod gateway;
pub mod geo;
pub mod groups;
pub mod health;
pub mod ids;
pub mod kv;
pub mod least;
pub mod llm;
pub mod lsm;
pub mod meters;
pub mod observer;
pub mod outcome;
pub mod plan;
pub mod prefix;
pub mod replica;
pub mod request;
pub mod retry;
pub mod router;
pub mod scaling;
pub mod series;
pub mod served;
pub mod servers;
pub mod sharing;
pub mod signals;
pub mod simulation;
pub mod slab;
pub mod spot;
pub mod store;
pub mod tiers;
pub mod timeline;
pub mod topology;
pub mod transfer;
pub mod window;
pub mod world;
pub mod worth;

pub use event::Event;
pub use plan::FleetPlan;
pub use simulation::Simulation;
pub use world::World;
