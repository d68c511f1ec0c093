//! What is fitted to measurements: engine overheads, and how they are fitted.

pub mod fit;
mod overheads;

pub use overheads::{OverheadEntry, OverheadError, OverheadTable, Overheads};
