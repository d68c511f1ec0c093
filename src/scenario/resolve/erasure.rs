//! From `[erasure]` to what the overlay is built from.

use std::path::Path;
use std::sync::Arc;

use crate::calibrate::lsm::LsmCalibration;
use crate::engine::{SimDuration, SimTime};
use crate::fleet::erasure::plan::{
    BackupPlan, CachePlan, DemandPlan, ErasurePlan, KvPlan, LogPlan,
};
use crate::scenario::erasure::{Activity, AskedBy, CacheStore, Erasure, LogPlace, LogStore, Store};
use crate::scenario::problems::Problems;
use crate::scenario::schema::Scenario;
use crate::workload::Sampler;

/// Seconds of a year of 365.25 days.
const YEAR_S: f64 = 31_557_600.0;

/// What is known of a request log beside its plan.
#[derive(Debug, Clone, PartialEq)]
pub struct LogFacts {
    /// Where its times come from, with the machine that they were measured on; none where they are stated.
    pub calibration: Option<(String, LsmCalibration)>,
}

/// The overlay, and what is known of its logs in their order; none where a problem was noted.
pub(super) fn erasure_of(
    scenario: &Scenario,
    horizon: SimTime,
    base_dir: &Path,
    problems: &mut Problems<'_>,
) -> Option<(Arc<ErasurePlan>, Vec<LogFacts>)> {
    let erasure = scenario.erasure.as_ref()?;
    let verification = match &erasure.verification {
        Some(law) => Some(super::noted(
            Sampler::new(law),
            "erasure.verification",
            problems,
        )?),
        None => None,
    };
    let mut plan = ErasurePlan {
        traffic: erasure.traffic,
        // At most what the width of a number allows, as checked.
        subjects: (erasure.subjects / u64::from(erasure.sample_one_in)).max(1) as u32,
        sample: erasure.sample_one_in,
        of_requests: match erasure.requests_are_sampled {
            true => 1,
            false => erasure.sample_one_in,
        },
        exponent: match erasure.activity {
            Activity::Even => 0.0,
            Activity::Zipf { exponent } => exponent,
        },
        asked_by_activity: erasure.asked_by == AskedBy::Activity,
        demands: demands(erasure, horizon),
        verification,
        deadline: SimDuration::from_secs_f64(erasure.deadline_days * 86_400.0),
        slo: erasure.slo_s.map(SimDuration::from_secs_f64),
        in_flight: erasure.in_flight,
        retry: SimDuration::from_secs_f64(erasure.retry_s),
        horizon,
        logs: Vec::new(),
        kv: None,
        caches: Vec::new(),
        backups: Vec::new(),
    };
    let mut facts = Vec::new();
    let mut names = Vec::new();
    for (index, store) in erasure.stores.iter().enumerate() {
        match store {
            Store::RequestLog(log) => {
                let at = format!("erasure.stores.{index}.calibration");
                let (log, known) = log_plan(log, erasure, scenario, (&at, base_dir), problems)?;
                names.push(log.name.clone());
                plan.logs.push(log);
                facts.push(known);
            }
            Store::PrefixCache(cache) => {
                plan.kv = Some(KvPlan {
                    name: cache.name.clone(),
                    on_erase: cache.on_erase,
                });
            }
            Store::ResponseCache(cache) | Store::SessionState(cache) => {
                plan.caches.push(cache_plan(cache));
            }
            Store::Backup(_) => {}
        }
    }
    for store in &erasure.stores {
        let Store::Backup(backup) = store else {
            continue;
        };
        plan.backups.push(BackupPlan {
            name: backup.name.clone(),
            of: names.iter().position(|name| *name == backup.of)?,
            interval: SimDuration::from_secs_f64(backup.interval_s),
            retention: SimDuration::from_secs_f64(backup.retention_s),
            on_erase: backup.on_erase,
        });
    }
    Some((Arc::new(plan), facts))
}

fn demands(erasure: &Erasure, horizon: SimTime) -> Vec<DemandPlan> {
    let sample = f64::from(erasure.sample_one_in);
    let at = |seconds: f64| SimTime::ZERO + SimDuration::from_secs_f64(seconds);
    let people = erasure.subjects as f64 / sample;
    let always = DemandPlan {
        name: "always".to_owned(),
        from: SimTime::ZERO,
        to: horizon,
        per_s: erasure.requests_per_million_per_year * people / 1e6 / YEAR_S,
        among: None,
        rejection: erasure.rejection,
    };
    let bursts = erasure.bursts.iter().map(|burst| DemandPlan {
        name: burst.name.clone(),
        from: at(burst.start_s),
        to: at(burst.start_s + burst.duration_s).min(horizon),
        per_s: burst.requests_per_s / sample,
        among: burst
            .subjects
            .map(|subjects| ((subjects as f64 / sample).round() as u32).max(1)),
        rejection: burst.rejection.unwrap_or(erasure.rejection),
    });
    std::iter::once(always).chain(bursts).collect()
}

fn log_plan(
    log: &LogStore,
    erasure: &Erasure,
    scenario: &Scenario,
    (at, base_dir): (&str, &Path),
    problems: &mut Problems<'_>,
) -> Option<(LogPlan, LogFacts)> {
    let sample = f64::from(erasure.sample_one_in);
    let (pool, logs) = match &log.place {
        LogPlace::Regions => (None, scenario.regions.len().max(1) as f64),
        LogPlace::Replicas { pool } => {
            let mut pools = scenario.pools.iter();
            let index = pools.position(|other| other.name() == pool)?;
            let replicas = scenario.pools.get(index)?.replicas();
            (Some(index as u16), f64::from(replicas))
        }
    };
    let calibration = match &log.calibration {
        Some(name) => match LsmCalibration::read(name, base_dir) {
            Ok(calibration) => Some((name.clone(), calibration)),
            Err(error) => {
                problems.push(at, format!("{name:?}"), &error.to_string(), "");
                return None;
            }
        },
        None => None,
    };
    let mut rule = log.lsm;
    let mut takes = (SimDuration::ZERO, SimDuration::ZERO);
    if let Some((_, calibration)) = &calibration {
        let measured = &calibration.measured;
        rule.bandwidth_mb_per_s = measured.compaction_mb_per_s;
        let us = |us: f64| SimDuration::from_ms_f64(us / 1e3);
        takes = (us(measured.put.p50_us), us(measured.delete_subject.p50_us));
    }
    let ms = |ms: f64| SimDuration::from_ms_f64(ms);
    let plan = LogPlan {
        name: log.name.clone(),
        rule,
        bytes: (log.record_bytes, log.bytes_per_token),
        pool,
        records_per_s: log.records_per_s / sample / logs,
        // Where it is dealt out over logs, each has a part of what a subject has.
        records_before: match (pool, log.replication_lag_ms) {
            (None, Some(_)) => log.records_before,
            _ => log.records_before / logs,
        },
        lag: log.replication_lag_ms.map(ms),
        before_answer: log.is_waited_for(),
        remember: log.remember_s.map(SimDuration::from_secs_f64),
        slow_factor: log.co_located.map(|it| it.slow_factor),
        takes,
    };
    Some((plan, LogFacts { calibration }))
}

fn cache_plan(cache: &CacheStore) -> CachePlan {
    CachePlan {
        name: cache.name.clone(),
        ttl: SimDuration::from_secs_f64(cache.ttl_s),
        on_erase: cache.on_erase,
    }
}
