//! Checks of `[faults]`.

mod random;
mod target;

use std::collections::BTreeMap;

use self::random::check_random;
use self::target::{Allowed, check_target, known, needs};
use super::{FaultKind, Faults, Layout, Peer, Rack, Target, TimedFault};
use crate::scenario::problems::Problems;
use crate::scenario::validate::MOST_S;

/// Largest factor on times and rates.
const MOST_FACTOR: f64 = 10_000.0;
/// Most entries of the timeline.
const MOST_ENTRIES: usize = 1_000_000;

impl Faults {
    /// Notes every value out of range and every name that is not there. `at` is the path of the
    /// table, `faults`.
    pub fn check(&self, at: &str, layout: &Layout, problems: &mut Problems<'_>) {
        if self.timeline.len() > MOST_ENTRIES {
            problems.push(
                &format!("{at}.timeline"),
                self.timeline.len(),
                "must have 1,000,000 entries at most",
                "merge some, or use [[faults.random]]",
            );
        }
        let here = Place {
            layout,
            racks: &self.racks,
        };
        check_racks(&self.racks, &format!("{at}.racks"), layout, problems);
        for (index, fault) in self.timeline.iter().enumerate() {
            fault.check(&format!("{at}.timeline.{index}"), here, problems);
        }
        check_overlaps(&self.timeline, &format!("{at}.timeline"), problems);
        let names = self.random.iter().map(|random| random.name.as_str());
        problems.unique(&format!("{at}.random"), names);
        for (index, random) in self.random.iter().enumerate() {
            check_random(random, &format!("{at}.random.{index}"), here, problems);
        }
    }
}

/// What names may mean.
#[derive(Clone, Copy)]
struct Place<'a> {
    layout: &'a Layout,
    racks: &'a [Rack],
}

fn check_racks(racks: &[Rack], at: &str, layout: &Layout, problems: &mut Problems<'_>) {
    problems.unique(at, racks.iter().map(|rack| rack.name.as_str()));
    for (index, rack) in racks.iter().enumerate() {
        let at = format!("{at}.{index}");
        problems.name(&format!("{at}.name"), &rack.name);
        if rack.members.is_empty() {
            let remedy = "write members = [{ pool = \"name\", first_replica = 0, replicas = 8 }]";
            problems.push(&format!("{at}.members"), "[]", "must hold replicas", remedy);
        }
        for (index, member) in rack.members.iter().enumerate() {
            let at = format!("{at}.members.{index}");
            let pools = layout.pools.iter().map(|pool| pool.name.as_str());
            if !known(&format!("{at}.pool"), &member.pool, "pool", pools, problems) {
                continue;
            }
            let pool = layout.pool(&member.pool).unwrap_or(0);
            let replicas = u64::from(layout.pools[pool].replicas);
            let first = u64::from(member.first_replica);
            let last = replicas.saturating_sub(1);
            if problems.int_in_range(&format!("{at}.first_replica"), first, 0, last) {
                let most = replicas - first;
                let count = u64::from(member.replicas);
                problems.int_in_range(&format!("{at}.replicas"), count, 1, most);
            }
        }
    }
}

impl TimedFault {
    fn check(&self, at: &str, place: Place<'_>, problems: &mut Problems<'_>) {
        self.check_window(at, problems);
        check_kind(&self.fault, at, problems);
        if let FaultKind::BadDeploy { share_steps, .. } = &self.fault {
            self.check_steps(share_steps, &format!("{at}.share_steps"), problems);
        }
        if let (FaultKind::Drain { notice_s }, Some(end)) = (&self.fault, self.end_s())
            && self.at_s + notice_s >= end
        {
            problems.push(
                &format!("{at}.notice_s"),
                notice_s,
                "must end before the fault does: the target would never be gone",
                "let it last for longer than its notice",
            );
        }
        check_target(self, &format!("{at}.target"), place, problems);
        check_names(&self.fault, self.target.as_ref(), at, place, problems);
    }

    fn check_window(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        problems.non_negative(&path("at_s"), self.at_s, MOST_S);
        if let Some(length) = self.for_s {
            problems.positive(&path("for_s"), length, MOST_S);
        }
        if let Some(until) = self.until_s
            && problems.positive(&path("until_s"), until, MOST_S)
            && until <= self.at_s
        {
            let remedy = "exchange the two, or give for_s";
            problems.push(&path("until_s"), until, "must be after at_s", remedy);
        }
        if self.for_s.is_some() && self.until_s.is_some() {
            let remedy = "remove one of the two";
            let allowed = "cannot be stated beside for_s";
            problems.push(&path("until_s"), "", allowed, remedy);
        }
    }

    fn check_steps(&self, steps: &[(f64, f64)], path: &str, problems: &mut Problems<'_>) {
        let end = self.end_s().unwrap_or(f64::INFINITY);
        let begin = [(self.at_s, 0.0)];
        let times = begin.iter().chain(steps);
        let rising = times.clone().zip(steps).all(|(a, b)| a.0 < b.0);
        let inside = steps.iter().all(|step| step.0 < end && step.0 <= MOST_S);
        let shares = steps.iter().all(|step| (0.0..=1.0).contains(&step.1));
        if !rising || !inside || !shares {
            problems.push(
                path,
                listed(steps),
                "must be [at_s, share] pairs: times rising, after at_s and before the end, shares \
                 0 to 1",
                "write, for example, share_steps = [[600, 0.05], [1200, 0.16]]",
            );
        }
    }
}

/// As it is written.
fn listed(steps: &[(f64, f64)]) -> String {
    let steps = steps
        .iter()
        .map(|(at_s, share)| format!("[{at_s}, {share}]"));
    format!("[{}]", steps.collect::<Vec<String>>().join(", "))
}

/// Ranges of what a kind of fault has of its own.
fn check_kind(fault: &FaultKind, at: &str, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("{at}.{field}");
    match fault {
        FaultKind::Crash {}
        | FaultKind::Hang {}
        | FaultKind::Partition { .. }
        | FaultKind::ControlPlaneLoss {}
        | FaultKind::LaunchRefusal {}
        | FaultKind::DnsOutage {} => {}
        FaultKind::Slow { factor } => {
            if *factor <= 1.0 || *factor > MOST_FACTOR || !factor.is_finite() {
                let allowed = "must be above 1, at most 10,000";
                let remedy = "change it to a value in this range";
                problems.push(&path("factor"), factor, allowed, remedy);
            }
        }
        FaultKind::PacketLoss { probability } => {
            problems.positive(&path("probability"), *probability, 1.0);
        }
        FaultKind::BrownOut { share } => {
            if problems.positive(&path("share"), *share, 1.0) && *share == 1.0 {
                let remedy = "use kind = \"crash\" for all of it";
                problems.push(&path("share"), share, "must be below 1", remedy);
            }
        }
        FaultKind::BadDeploy {
            share,
            sticky,
            sticky_for_s,
            ..
        } => {
            problems.in_range(&path("share"), *share, 0.0, 1.0);
            if let Some(length) = sticky_for_s
                && problems.in_range(&path("sticky_for_s"), *length, 1e-3, MOST_S)
                && !sticky
            {
                let allowed = "only goes with sticky = true";
                let remedy = "take one of the two away";
                problems.push(&path("sticky_for_s"), length, allowed, remedy);
            }
        }
        FaultKind::TrafficSpike { factor } => {
            problems.in_range(&path("factor"), *factor, 0.0, MOST_FACTOR);
        }
        FaultKind::Drain { notice_s } => {
            problems.non_negative(&path("notice_s"), *notice_s, MOST_S);
        }
        FaultKind::Oscillating {
            period_s,
            on_share,
            fault,
        } => {
            problems.in_range(&path("period_s"), *period_s, 1e-3, MOST_S);
            if problems.positive(&path("on_share"), *on_share, 1.0) && *on_share == 1.0 {
                let remedy = "use the fault itself for all of the time";
                problems.push(&path("on_share"), on_share, "must be below 1", remedy);
            }
            check_wrapped(fault, &path("fault"), problems);
        }
    }
}

fn check_wrapped(fault: &FaultKind, at: &str, problems: &mut Problems<'_>) {
    let steps =
        matches!(fault, FaultKind::BadDeploy { share_steps, .. } if !share_steps.is_empty());
    let nested = matches!(
        fault,
        FaultKind::Oscillating { .. } | FaultKind::Drain { .. }
    );
    if steps || nested {
        problems.push(
            at,
            fault.name(),
            "cannot oscillate",
            "use any kind but oscillating, drain and a bad_deploy with share_steps",
        );
        return;
    }
    check_kind(fault, at, problems);
}

/// Names within a fault: the other side of a partition, the pool of a wrong route.
fn check_names(
    fault: &FaultKind,
    target: Option<&Target>,
    at: &str,
    place: Place<'_>,
    problems: &mut Problems<'_>,
) {
    let layout = place.layout;
    match fault {
        FaultKind::Oscillating { fault, .. } => {
            check_names(fault, target, &format!("{at}.fault"), place, problems);
        }
        FaultKind::Partition {
            from: Peer::Region(other),
        } => {
            let path = format!("{at}.from.region");
            let regions = layout.regions.iter().map(String::as_str);
            if known(&path, other, "region", regions, problems)
                && target.and_then(|it| it.region.as_ref()) == Some(other)
            {
                let allowed = "must differ from the target's region";
                let remedy = "name another region, or from = \"gateways\"";
                problems.push(&path, format!("{other:?}"), allowed, remedy);
            }
        }
        FaultKind::BadDeploy {
            misroute_to: Some(pool),
            ..
        } => {
            let pools = layout.pools.iter().map(|pool| pool.name.as_str());
            known(&format!("{at}.misroute_to"), pool, "pool", pools, problems);
        }
        _ => {}
    }
}

/// Most kinds add up where they overlap. The same entry twice is a slip, and two bad deployments
/// of one target at a time have no shares that could be added.
fn check_overlaps(timeline: &[TimedFault], at: &str, problems: &mut Problems<'_>) {
    let mut seen: BTreeMap<(&str, String, u64), Vec<usize>> = BTreeMap::new();
    let mut deploys: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, fault) in timeline.iter().enumerate() {
        let target = format!("{:?}", fault.target);
        if matches!(fault.fault, FaultKind::BadDeploy { .. }) {
            deploys.entry(target.clone()).or_default().push(index);
        }
        let key = (fault.fault.name(), target, fault.at_s.to_bits());
        let earlier = seen.entry(key).or_default();
        if let Some(first) = earlier.iter().find(|first| timeline[**first] == *fault) {
            let allowed = format!("is the same fault as `{at}.{first}`");
            problems.push(&format!("{at}.{index}"), "", &allowed, "remove one of them");
        } else {
            // Of equal entries one is kept, so that many do not take the square of their number.
            earlier.push(index);
        }
    }
    for mut indices in deploys.into_values() {
        indices.sort_by(|a, b| timeline[*a].at_s.total_cmp(&timeline[*b].at_s));
        for pair in indices.windows(2) {
            let end = timeline[pair[0]].end_s().unwrap_or(f64::INFINITY);
            if timeline[pair[1]].at_s < end && timeline[pair[0]] != timeline[pair[1]] {
                let first = pair[0];
                let allowed = format!("overlaps `{at}.{first}`, a bad_deploy of the same target");
                let remedy = "use share_steps of one entry";
                problems.push(&format!("{at}.{}", pair[1]), "", &allowed, remedy);
            }
        }
    }
}

/// What a kind of fault may befall.
fn allowed(fault: &FaultKind) -> Allowed {
    match fault {
        FaultKind::Crash {}
        | FaultKind::Hang {}
        | FaultKind::Slow { .. }
        | FaultKind::PacketLoss { .. }
        | FaultKind::BrownOut { .. }
        | FaultKind::Drain { .. } => needs(&["pool", "rack", "region"]),
        FaultKind::Partition { .. } => needs(&["region"]),
        FaultKind::BadDeploy { .. } => needs(&["pool", "region"]).or_none(),
        FaultKind::ControlPlaneLoss {} | FaultKind::LaunchRefusal {} => {
            needs(&["region"]).or_none()
        }
        FaultKind::DnsOutage {} | FaultKind::TrafficSpike { .. } => {
            needs(&["population"]).or_none()
        }
        FaultKind::Oscillating { fault, .. } => allowed(fault),
    }
}
