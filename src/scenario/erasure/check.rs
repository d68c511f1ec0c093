//! Checks of `[erasure]`.

use super::{
    Activity, BackupStore, Burst, CacheStore, Erasure, InFlight, LogPlace, LogStore, LogWrite,
    Store,
};
use crate::scenario::fleet::Pool;
use crate::scenario::problems::Problems;
use crate::scenario::schema::Scenario;
use crate::scenario::suggest::nearest;
use crate::scenario::validate::{MOST_MS, MOST_PER_S, MOST_S, check_law};

/// Most subjects that are simulated: the width of their numbers.
const MOST_SUBJECTS: u64 = 4_000_000_000;
/// Most stores.
const MOST_STORES: usize = 100;
/// Most logs of all stores: the width of their numbers.
const MOST_LOGS: u64 = 10_000;
/// Most records of a log from before the run: the width of what one subject may have.
const MOST_RECORDS: f64 = 4e9;

impl Erasure {
    /// Notes everything that is wrong with it. `at` is the path of the table, `erasure`.
    pub fn check(&self, at: &str, scenario: &Scenario, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        problems.int_in_range(&path("subjects"), self.subjects, 1, MOST_SUBJECTS);
        let sample = u64::from(self.sample_one_in);
        if problems.int_in_range(&path("sample_one_in"), sample, 1, 1_000_000)
            && sample > self.subjects
            && self.subjects > 0
        {
            let allowed = format!("must be at most erasure.subjects = {}", self.subjects);
            problems.push(&path("sample_one_in"), sample, &allowed, "lower it");
        }
        if let Activity::Zipf { exponent } = self.activity {
            problems.positive(&path("activity.exponent"), exponent, 4.0);
        }
        let rate = self.requests_per_million_per_year;
        problems.non_negative(&path("requests_per_million_per_year"), rate, 1e8);
        problems.in_range(&path("rejection"), self.rejection, 0.0, 1.0);
        if let Some(law) = &self.verification {
            check_law(law, &path("verification"), problems);
        }
        problems.positive(&path("deadline_days"), self.deadline_days, 10_000.0);
        if let Some(slo) = self.slo_s {
            problems.positive(&path("slo_s"), slo, MOST_S);
        }
        problems.positive(&path("retry_s"), self.retry_s, MOST_S);
        let names = self.bursts.iter().map(|burst| burst.name.as_str());
        problems.unique(&path("bursts"), names);
        for (index, burst) in self.bursts.iter().enumerate() {
            burst.check(&format!("{at}.bursts.{index}"), self, problems);
        }
        self.check_stores(at, scenario, problems);
        self.check_sample(at, problems);
    }

    fn check_stores(&self, at: &str, scenario: &Scenario, problems: &mut Problems<'_>) {
        let list = format!("{at}.stores");
        problems.unique(&list, self.stores.iter().map(Store::name));
        if self.stores.is_empty() {
            let remedy = "add one, as [[erasure.stores]] with kind = \"request_log\"";
            problems.push(&list, "none", "must be one store or more", remedy);
        }
        if self.stores.len() > MOST_STORES {
            let allowed = format!("must be {MOST_STORES} stores at most");
            problems.push(&list, self.stores.len(), &allowed, "merge some");
        }
        let mut logs = 0;
        let mut caches = 0;
        for (index, store) in self.stores.iter().enumerate() {
            let at = format!("{list}.{index}");
            problems.name(&format!("{at}.name"), store.name());
            match store {
                Store::RequestLog(log) => {
                    log.check(&at, self, scenario, problems);
                    logs += log.count(scenario);
                }
                Store::PrefixCache(_) => {
                    caches += 1;
                    check_prefix_cache(&at, caches, scenario, problems);
                }
                Store::ResponseCache(cache) | Store::SessionState(cache) => {
                    cache.check(&at, problems);
                }
                Store::Backup(backup) => backup.check(&at, &self.stores, problems),
            }
        }
        if logs > MOST_LOGS {
            let allowed =
                format!("must make {MOST_LOGS} logs at most, over all regions and replicas");
            problems.push(&list, logs, &allowed, "place some in regions");
        }
    }

    /// What cannot be told of a sample alone.
    fn check_sample(&self, at: &str, problems: &mut Problems<'_>) {
        if self.sample_one_in == 1 {
            return;
        }
        let path = format!("{at}.sample_one_in");
        let mut refuse = |what: &str| {
            let allowed = format!("must be 1 with {what}: erasures of all subjects touch it");
            problems.push(&path, self.sample_one_in, &allowed, "remove one of the two");
        };
        for store in &self.stores {
            match store {
                Store::PrefixCache(cache) => refuse(&format!("the prefix cache `{}`", cache.name)),
                Store::RequestLog(log) if log.place != LogPlace::Regions => {
                    refuse(&format!("the log `{}`, which is on replicas", log.name));
                }
                _ => {}
            }
        }
        if self.in_flight == InFlight::Cancel {
            refuse("in_flight = \"cancel\"");
        }
    }
}

fn check_prefix_cache(at: &str, number: u32, scenario: &Scenario, problems: &mut Problems<'_>) {
    if number > 1 {
        let allowed = "is the second one: it stands for the caches of all replicas";
        problems.push(at, "prefix_cache", allowed, "remove it");
    }
    let caches = |pool: &Pool| matches!(pool, Pool::Llm(pool) if pool.prefix_caching);
    if !scenario.pools.iter().any(caches) {
        let allowed = "needs a pool with engine = \"llm\" and prefix_caching = true";
        problems.push(
            at,
            "prefix_cache",
            allowed,
            "add that to a pool, or remove the store",
        );
    }
}

impl Burst {
    fn check(&self, at: &str, erasure: &Erasure, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        problems.name(&path("name"), &self.name);
        problems.non_negative(&path("start_s"), self.start_s, MOST_S);
        problems.positive(&path("duration_s"), self.duration_s, MOST_S);
        problems.positive(&path("requests_per_s"), self.requests_per_s, 1e6);
        if let Some(subjects) = self.subjects {
            problems.int_in_range(&path("subjects"), subjects, 1, erasure.subjects.max(1));
        }
        if let Some(rejection) = self.rejection {
            problems.in_range(&path("rejection"), rejection, 0.0, 1.0);
        }
    }
}

impl LogStore {
    /// How many logs it is.
    fn count(&self, scenario: &Scenario) -> u64 {
        match &self.place {
            LogPlace::Regions => scenario.regions.len().max(1) as u64,
            LogPlace::Replicas { pool } => {
                let mut pools = scenario.pools.iter();
                let pool = pools.find(|other| other.name() == pool);
                pool.map_or(0, |pool| u64::from(pool.replicas()))
            }
        }
    }

    fn check(&self, at: &str, erasure: &Erasure, scenario: &Scenario, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        let bytes = u64::from(self.record_bytes);
        problems.int_in_range(&path("record_bytes"), bytes, 1, 1_000_000);
        problems.non_negative(&path("bytes_per_token"), self.bytes_per_token, 1_000.0);
        problems.non_negative(&path("records_per_s"), self.records_per_s, MOST_PER_S);
        let records = self.records_before * erasure.subjects as f64;
        let records = records / f64::from(erasure.sample_one_in.max(1));
        if problems.non_negative(&path("records_before"), self.records_before, 1e6)
            && records > MOST_RECORDS
        {
            let allowed = "must make 4,000,000,000 records of all simulated subjects at most";
            let remedy = "lower it, or simulate fewer subjects (sample_one_in)";
            problems.push(
                &path("records_before"),
                self.records_before,
                allowed,
                remedy,
            );
        }
        if let Some(lag) = self.replication_lag_ms
            && problems.non_negative(&path("replication_lag_ms"), lag, MOST_MS)
            && (scenario.regions.len() < 2 || self.place != LogPlace::Regions)
        {
            let allowed = "needs two regions or more, and a log in each of them";
            problems.push(&path("replication_lag_ms"), lag, allowed, "remove it");
        }
        if let Some(remember) = self.remember_s {
            problems.positive(&path("remember_s"), remember, MOST_S);
        }
        self.check_place(at, scenario, problems);
        if self.calibration.is_some() && self.lsm.bandwidth_mb_per_s != 500.0 {
            problems.push(
                &path("lsm.bandwidth_mb_per_s"),
                self.lsm.bandwidth_mb_per_s,
                "is what the calibration measured",
                "state one of the two",
            );
        }
        if let Err(error) = self.lsm.check() {
            let field = path(&format!("lsm.{}", error.field));
            problems.push(
                &field,
                error.value,
                &format!("must be {}", error.allowed),
                "",
            );
        }
    }

    fn check_place(&self, at: &str, scenario: &Scenario, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        let LogPlace::Replicas { pool } = &self.place else {
            if self.co_located.is_some() {
                let remedy = "place it on the replicas of a pool, or remove this";
                let allowed = "needs place = { on = \"replicas\", pool = .. }";
                problems.push(&path("co_located"), "", allowed, remedy);
            }
            return;
        };
        let mut names = scenario.pools.iter().map(Pool::name);
        if !names.clone().any(|name| name == pool) {
            let remedy = match nearest(pool, names.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has {}", names.by_ref().collect::<Vec<_>>().join(", ")),
            };
            let allowed = "is not the name of a pool";
            problems.push(&path("place.pool"), format!("{pool:?}"), allowed, &remedy);
        }
        let mut groups = scenario.capacity.groups.iter();
        if groups.any(|group| group.pool == *pool) {
            let allowed =
                "has nodes that come and go ([[capacity.groups]]), and their disks with them";
            let remedy = "place the log in the regions";
            problems.push(&path("place.pool"), format!("{pool:?}"), allowed, remedy);
        }
        if let Some(co_located) = self.co_located {
            let factor = co_located.slow_factor;
            let at = path("co_located.slow_factor");
            if problems.in_range(&at, factor, 1.0, 100.0) && factor == 1.0 {
                problems.push(&at, factor, "must be above 1", "raise it, or remove it");
            }
        }
    }

    /// Whether answers wait for it.
    pub fn is_waited_for(&self) -> bool {
        self.write == LogWrite::BeforeAnswer
    }
}

impl CacheStore {
    fn check(&self, at: &str, problems: &mut Problems<'_>) {
        problems.positive(&format!("{at}.ttl_s"), self.ttl_s, MOST_S);
    }
}

impl BackupStore {
    fn check(&self, at: &str, stores: &[Store], problems: &mut Problems<'_>) {
        problems.in_range(&format!("{at}.interval_s"), self.interval_s, 0.001, MOST_S);
        problems.positive(&format!("{at}.retention_s"), self.retention_s, MOST_S);
        let logs = stores
            .iter()
            .filter(|store| matches!(store, Store::RequestLog(_)));
        let mut names = logs.map(Store::name);
        if !names.clone().any(|name| name == self.of) {
            let remedy = match nearest(&self.of, names.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has {}", names.by_ref().collect::<Vec<_>>().join(", ")),
            };
            let allowed = "is not the name of a store of kind request_log";
            problems.push(
                &format!("{at}.of"),
                format!("{:?}", self.of),
                allowed,
                &remedy,
            );
        }
    }
}
