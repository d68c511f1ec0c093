//! What is measured, imported from or fitted to the outside: kernels of this machine's GPU, those
//! that other tools measured, how two of such measurements differ, a log-structured store on its disk, model cards, engine overheads.

pub mod check;
pub mod diff;
pub mod endpoint;
pub mod engine;
pub mod fit;
pub mod gpu;
pub mod hugging_face;
pub mod import;
pub mod lsm;
mod overheads;
pub mod regression;
pub mod tables;

pub use overheads::{ASSUMED, ModelEntry, OverheadEntry, OverheadError, OverheadTable, Overheads};
