//! Tables of servers that were measured at a fixed concurrency: every row simulated and scored.
//!
//! A row says what was served on what and how many users there were; [`row`] reads it, [`case`]
//! turns it into a server or says why it cannot be simulated, [`simulate`] runs the client that
//! measured it, and [`score`] puts the errors together.

pub mod case;
pub mod choice;
pub mod fitting;
pub mod launch;
pub mod row;
pub mod score;
pub mod simulate;
