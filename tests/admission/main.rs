//! What gateways promise of admission: quotas, queues, limits, shedding.

#[path = "../common/mod.rs"]
mod common;

mod admission_bucket_is_exact;
mod admission_codel_follows_rfc8289;
mod admission_limits_follow_their_sources;
mod admission_queue_keeps_its_order;
mod admission_quotas_hold;
mod admission_scenario;
mod admission_sheds_by_load;
mod gateways_admit;
mod limits_and_admission_follow_envoy;
mod premium_preempts_batch;
