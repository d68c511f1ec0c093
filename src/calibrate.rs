//! What is imported from or fitted to the outside: model cards, engine overheads.

pub mod fit;
pub mod hugging_face;
pub mod overheads;

pub use overheads::{OverheadEntry, OverheadError, OverheadTable, Overheads};
