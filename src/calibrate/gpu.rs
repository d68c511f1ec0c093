//! Measures the GPU this program runs on: which operations of which models, how long they take,
//! and whether their results are right.
//!
//! Read [`operation`] (what can be measured), then [`plan`] (what is, for a model), [`capture`]
//! (how it goes) and [`record`] (the file). [`device`] is the only module that talks to the device.

mod bench;
pub mod capture;
pub mod device;
pub mod error;
pub mod journal;
pub mod lab;
pub mod measure;
mod number_type;
pub mod numbers;
pub mod operation;
pub mod pace;
pub mod picture;
pub mod plan;
pub mod record;
pub mod reference;
mod sizes;
pub mod table;
