//! Measures a live server that speaks OpenAI's API (vLLM, SGLang, TensorRT-LLM, llama.cpp).
//!
//! [`plan`] says what is sent, within stated limits; [`prompt`] makes texts of so many tokens; [`client`]
//! sends a request and stamps the tokens as they come, [`stream`] reading them by [`sse`] and [`chunk`];
//! [`load`] keeps so many users busy; [`measure`] goes through the plan and makes rows of it that
//! [`engine`](super::engine) fits.

pub mod chunk;
pub mod client;
pub mod load;
pub mod measure;
pub mod outcome;
pub mod plan;
pub mod prompt;
pub mod sse;
pub mod stream;
