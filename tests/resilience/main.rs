//! What health checks, breakers, outlier ejection and retries promise.

#[path = "../common/mod.rs"]
mod common;

mod active_checks_follow_envoy;
mod breaker_follows_its_specification;
mod breakers_open_in_the_world;
mod clients_try_again;
mod health_fields;
mod outlier_ejection_follows_envoy;
mod retry_backoff_has_its_distribution;
mod retry_budgets_hold;
mod storms_follow_theory;
