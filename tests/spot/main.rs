//! What the spot market promises.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]

mod availability;
mod errors;
mod lives;
mod market;
mod notices;
mod pools;
mod prices;
mod reference;
mod rules;
mod statistics;
mod supply;
