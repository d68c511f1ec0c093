//! What is imported from or fitted to the outside: model cards, engine overheads.

pub mod fit;
pub mod hugging_face;
mod overheads;

pub use overheads::{ASSUMED, ModelEntry, OverheadEntry, OverheadError, OverheadTable, Overheads};
