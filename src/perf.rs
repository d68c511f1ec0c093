//! How long a step of a replica takes, and what fits in its memory.
//!
//! [`ModelCard`] gives a model's shape and [`AcceleratorCard`] a device's peaks; from the two follow
//! the time of an iteration ([`StepModel`], from measured kernels in [`tables`] or by the roofline), the least time hardware permits ([`Floor`]), the room
//! for the KV cache ([`MemoryPlan`]) and a sheet of hand-checkable figures ([`arithmetic`]).

mod accelerator;
mod drafting;
mod dtype;
mod error;
mod floor;
mod graphs;
mod measured;
mod memo;
mod memory;
mod model;
mod overlap;
mod parallelism;
mod profile;
mod prompt_work;
mod provenance;
mod scaled;
mod shape;
mod sheet;
mod staged;
mod step;
pub mod tables;
mod times;

pub use accelerator::{AcceleratorCard, Efficiency};
pub use drafting::{Drafter, Drafting};
pub use dtype::{Dtype, Dtypes};
pub(crate) use error::nearest;
pub use error::{PerfError, Shortfall};
pub use floor::{Floor, NodeCeiling};
pub use graphs::{CapturedGraphs, MOST_CAPTURED};
pub use memory::{MemoryPlan, RESERVE_GB};
pub use model::{Attention, ModelCard};
pub use overlap::Overlapped;
pub use parallelism::Parallelism;
pub use profile::ProfileSteps;
pub use prompt_work::PromptWork;
pub use scaled::{KernelFactors, Scaled};
pub use sheet::{SheetRow, arithmetic, tokens_per_request_at};
pub use staged::{Staged, stage_layers};
pub use step::{DecodePiece, Overheads, PrefillChunk, StepModel};
pub use times::{RankWork, StepParts, StepTimes};
