//! Checks of `[steering]`.

use super::{AnswerPolicy, Dns, HealthChecks, Steering};
use crate::scenario::problems::Problems;
use crate::scenario::suggest::nearest;

impl Steering {
    /// Notes every value out of range, and every region that is not there. `regions` are the names
    /// of all.
    pub fn check(&self, at: &str, regions: &[&str], problems: &mut Problems<'_>) {
        match self {
            Steering::Dns(dns) => dns.check(at, regions, problems),
            Steering::Anycast(anycast) => {
                let path = format!("{at}.convergence_s");
                problems.non_negative(&path, anycast.convergence_s, 1e6);
                anycast.health.check(&format!("{at}.health"), problems);
            }
        }
    }
}

impl Dns {
    fn check(&self, at: &str, regions: &[&str], problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        problems.in_range(&path("ttl_s"), self.ttl_s, 1e-3, 1e7);
        let resolvers = u64::from(self.resolvers);
        problems.int_in_range(&path("resolvers"), resolvers, 1, 100_000);
        let shares = [
            ("ignore_ttl_share", self.ignore_ttl_share),
            ("never_refresh_share", self.never_refresh_share),
        ];
        let mut fine = true;
        for (field, share) in shares {
            fine &= problems.in_range(&path(field), share, 0.0, 1.0);
        }
        let all = self.ignore_ttl_share + self.never_refresh_share;
        if fine && all > 1.0 {
            problems.push(
                &path("never_refresh_share"),
                self.never_refresh_share,
                "must be at most 1 together with ignore_ttl_share",
                "lower one of the two",
            );
        }
        if problems.in_range(&path("ignored_ttl_s"), self.ignored_ttl_s, 1e-3, 1e7)
            && self.ignore_ttl_share > 0.0
            && self.ignored_ttl_s < self.ttl_s
        {
            problems.push(
                &path("ignored_ttl_s"),
                self.ignored_ttl_s,
                "must be at least ttl_s",
                "resolvers that ignore the TTL keep answers for longer",
            );
        }
        problems.non_negative(&path("serve_stale_s"), self.serve_stale_s, 1e7);
        self.health.check(&path("health"), problems);
        self.answer.check(&path("answer"), regions, problems);
    }
}

impl HealthChecks {
    fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        problems.non_negative(&path("interval_s"), self.interval_s, 1e6);
        problems.int_in_range(&path("failures"), u64::from(self.failures), 1, 1_000);
        problems.int_in_range(&path("successes"), u64::from(self.successes), 1, 1_000);
        problems.non_negative(&path("fail_back_after_s"), self.fail_back_after_s, 1e7);
    }
}

impl AnswerPolicy {
    fn check(&self, at: &str, regions: &[&str], problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        match self {
            AnswerPolicy::Nearest {} => {}
            AnswerPolicy::Weighted { weights } => {
                let mut all = 0.0;
                for (region, weight) in weights {
                    let path = path(&format!("weights.{region}"));
                    if !regions.contains(&region.as_str()) {
                        let allowed = "is of a region that is not there";
                        problems.push(&path, weight, allowed, &remedy_for(region, regions));
                    }
                    if problems.non_negative(&path, *weight, 1e9) {
                        all += weight;
                    }
                }
                if all <= 0.0 {
                    let remedy = "for example weights = { a = 9, b = 1 }";
                    let allowed = "must give one region a weight above 0";
                    problems.push(&path("weights"), "", allowed, remedy);
                }
            }
            AnswerPolicy::SpillOver {
                full_at,
                free_below,
            } => {
                problems.positive(&path("full_at"), *full_at, 1e9);
                if problems.positive(&path("free_below"), *free_below, 1e9) && free_below > full_at
                {
                    let allowed = "must be at most full_at";
                    problems.push(&path("free_below"), free_below, allowed, "lower it");
                }
            }
            AnswerPolicy::Standby { order } => {
                problems.unique(&path("order"), order.iter().map(String::as_str));
                for (index, region) in order.iter().enumerate() {
                    known(&path(&format!("order.{index}")), region, regions, problems);
                }
                let left_out = regions
                    .iter()
                    .find(|region| !order.iter().any(|it| it == *region));
                if let Some(region) = left_out {
                    let allowed = format!("must have all regions; {region:?} is not in it");
                    problems.push(&path("order"), "", &allowed, "add it at its place");
                }
            }
        }
    }
}

fn known(path: &str, name: &str, regions: &[&str], problems: &mut Problems<'_>) {
    if regions.contains(&name) {
        return;
    }
    let allowed = "is not the name of a region";
    problems.push(
        path,
        format!("{name:?}"),
        allowed,
        &remedy_for(name, regions),
    );
}

fn remedy_for(name: &str, regions: &[&str]) -> String {
    match nearest(name, regions.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => "name one of [[regions]]".to_owned(),
    }
}
