//! Traffic, streamed: when the next request comes and how long it is. Nothing is preloaded.

pub mod arrivals;
pub mod client_lengths;
pub mod clients;
pub mod law;
pub mod lengths;
pub mod modulated;
pub mod profile;
pub mod reuse;
pub mod session_means;
pub mod sessions;
pub mod sharing;
pub mod source;

pub use law::Sampler;
pub use source::{Offered, Source};
