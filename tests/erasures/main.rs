//! What erasures and the store of keys promise.

#[path = "../common/mod.rs"]
mod common;

mod erasure_is_checked;
mod erasure_scale;
mod erasures_and_inference;
mod erasures_are_reported;
mod erasures_forget_kv;
mod erasures_lose_nothing;
mod lsm_calibrations_are_kept;
mod lsm_laws;
mod lsm_scale;
