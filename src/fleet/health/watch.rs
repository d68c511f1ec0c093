//! What one gateway replica believes of the replicas: probes, ejections and breakers together.

use super::{ActiveChecks, Breaker, Change, Checked, Health, HostResult, Limits};
use super::{OutlierDetector, Probe, State, Transition};
use crate::engine::{SimDuration, SimRng, SimTime, Streams};
use crate::fleet::ids::ReplicaId;
use crate::scenario::health::{BreakerScope, HealthRules};

/// Why a replica is not to be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Probes say that it is not well.
    Unhealthy = 1,
    /// It was unlike the others.
    Ejected = 2,
    /// It was told to drain, or is known to be gone.
    Draining = 4,
    /// Its breaker lets nothing through.
    Broken = 8,
}

/// What a gateway replica believes of the replicas of the fleet, by their index over all pools.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Reasons against each replica, as bits: those that the gateway acts on.
    against: Vec<u8>,
    /// Those that hold, whether or not the gateway was told.
    hold: Vec<u8>,
    active: Option<ActiveChecks>,
    /// Whether a probe of a replica is under way or to come.
    probing: Vec<bool>,
    outlier: Option<OutlierDetector>,
    sweeping: bool,
    breakers: Vec<Breaker>,
    /// The breaker of each replica.
    breaker_of: Vec<u32>,
    /// Limits on what is under way.
    pub limits: Option<Limits>,
    rng: SimRng,
    changes: Vec<Change>,
}

impl Watch {
    /// What a gateway replica believes at the beginning: that all is well. `pools` has the pool of
    /// each replica.
    pub fn new(rules: &HealthRules, pools: &[u16], gateway: u16, streams: Streams) -> Watch {
        let replicas = pools.len();
        let mut rng = streams.stream("gateway", u64::from(gateway), "health");
        let mut active = rules
            .active
            .map(|rule| ActiveChecks::new(&rule, replicas as u32));
        if let Some(checks) = &mut active {
            for host in 0..replicas as u32 {
                // The first check, before anything is wrong.
                checks.on_probe(host, Probe::Passed, SimTime::ZERO, &mut rng);
            }
        }
        let breaker_of: Vec<u32> = match rules.breaker_scope {
            BreakerScope::Replica => (0..replicas as u32).collect(),
            BreakerScope::Pool => pools.iter().map(|pool| u32::from(*pool)).collect(),
        };
        let breakers = rules.breaker.map_or(0, |_| {
            breaker_of.iter().map(|at| at + 1).max().unwrap_or(0) as usize
        });
        let breaker = rules.breaker.unwrap_or_default();
        let detector = |rule| OutlierDetector::new(rule, replicas as u32, SimTime::ZERO);
        Watch {
            against: vec![0; replicas],
            hold: vec![0; replicas],
            active,
            probing: vec![false; replicas],
            outlier: rules.outlier.as_ref().map(detector),
            sweeping: false,
            breakers: (0..breakers).map(|_| Breaker::new(&breaker)).collect(),
            breaker_of,
            limits: rules
                .limits
                .map(|limit| Limits::new(&limit.circuit_limits())),
            rng,
            changes: Vec::new(),
        }
    }

    /// The reasons against a replica, as bits.
    pub fn against(&self, replica: ReplicaId) -> u8 {
        self.against[replica.0 as usize]
    }

    /// Notes whether a reason holds, and whether the gateway is told; true when that is news to it.
    pub fn set(&mut self, replica: ReplicaId, reason: Reason, holds: bool, told: bool) -> bool {
        let (at, reason) = (replica.0 as usize, reason as u8);
        let with = |bits: u8| match holds {
            true => bits | reason,
            false => bits & !reason,
        };
        self.hold[at] = with(self.hold[at]);
        let before = self.against[at];
        if told {
            self.against[at] = with(before);
        }
        self.against[at] != before
    }

    /// The gateway is told of all that it was not.
    pub fn tell_all(&mut self) {
        self.against.clone_from(&self.hold);
    }

    /// Checks that nothing is held for requests when none is in flight.
    ///
    /// # Errors
    /// What is held.
    pub fn check_idle(&self) -> Result<(), String> {
        let held = self.limits.as_ref();
        let held = held.map_or(0, |limits| limits.held(super::Resource::Request));
        if held != 0 {
            return Err(format!(
                "nothing is in flight but {held} places of [health.limits] are"
            ));
        }
        if self.breakers.iter().any(Breaker::waits_for_calls) {
            return Err("nothing is in flight but a breaker waits for trial calls".to_owned());
        }
        Ok(())
    }

    /// Whether replicas are probed.
    pub fn probes(&self) -> bool {
        self.active.is_some()
    }

    /// A replica has changed: when it is probed next, unless that is known. Probes of a replica that
    /// is well and known to be are not simulated, nor are those of one that is known not to be.
    pub fn look_at(
        &mut self,
        replica: ReplicaId,
        interval: SimDuration,
        now: SimTime,
    ) -> Option<SimTime> {
        self.active.as_ref()?;
        if std::mem::replace(&mut self.probing[replica.0 as usize], true) {
            return None;
        }
        // Replicas are probed in turn over the interval, each at its own place in it.
        let (interval, count) = (interval.0.max(1), self.probing.len() as u64);
        let place = interval.saturating_mul(u64::from(replica.0)) / count;
        let since = (now.0 + interval - place % interval) % interval;
        Some(SimTime(now.0.saturating_add(interval - since)))
    }

    /// How long a probe waits for an answer.
    pub fn probe_timeout(&self) -> SimDuration {
        self.active
            .as_ref()
            .map_or(SimDuration::ZERO, ActiveChecks::timeout)
    }

    /// A probe has ended. Says what changed, and when the next begins; none when `settled` says
    /// that nothing can change until the replica does.
    pub fn probed(
        &mut self,
        replica: ReplicaId,
        answered: bool,
        now: SimTime,
    ) -> (Option<Health>, Option<SimTime>) {
        let probe = match answered {
            true => Probe::Passed,
            false => Probe::NoAnswer,
        };
        let Some(active) = &mut self.active else {
            return (None, None);
        };
        let Some(Checked { change, next }) = active.on_probe(replica.0, probe, now, &mut self.rng)
        else {
            return (None, None);
        };
        let settled = active.is_healthy(replica.0) == answered;
        self.probing[replica.0 as usize] = !settled;
        (change, (!settled).then_some(next))
    }

    /// A probe passed, and the replica counts as healthy: it is ejected no longer.
    pub fn bring_back(&mut self, replica: ReplicaId, now: SimTime) -> Option<Change> {
        self.outlier.as_mut()?.bring_back(replica.0, now)
    }

    /// A request to a replica ended at the gateway: what follows for its ejection, and when the
    /// next sweep is to be scheduled.
    pub fn count_result(
        &mut self,
        replica: ReplicaId,
        result: HostResult,
        now: SimTime,
    ) -> (Option<Change>, Option<SimTime>) {
        let Some(outlier) = &mut self.outlier else {
            return (None, None);
        };
        let change = outlier.on_result(replica.0, result, now, &mut self.rng);
        let sweep = match std::mem::replace(&mut self.sweeping, true) {
            true => None,
            false => {
                // Sweeps in which nothing was to be judged were not simulated.
                let mut at = outlier.next_interval();
                while at <= now {
                    outlier.skip_interval();
                    at = outlier.next_interval();
                }
                Some(at)
            }
        };
        (change, sweep)
    }

    /// The sweep of outlier detection. What changed is given to `each`; says when the next comes,
    /// if `busy` or anybody is ejected.
    pub fn sweep(
        &mut self,
        now: SimTime,
        busy: bool,
        mut each: impl FnMut(Change),
    ) -> Option<SimTime> {
        let outlier = self.outlier.as_mut()?;
        outlier.on_interval(now, &mut self.rng, &mut self.changes);
        for change in self.changes.drain(..) {
            each(change);
        }
        self.sweeping = busy || outlier.ejected() > 0;
        self.sweeping.then(|| outlier.next_interval())
    }

    /// Replicas ejected now.
    pub fn ejected(&self) -> u32 {
        self.outlier.as_ref().map_or(0, OutlierDetector::ejected)
    }

    /// The breaker of a replica, and its index; none where there are none.
    pub fn breaker(&mut self, replica: ReplicaId) -> Option<(u32, &mut Breaker)> {
        let index = self.breaker_of[replica.0 as usize];
        let breaker = self.breakers.get_mut(index as usize)?;
        Some((index, breaker))
    }

    /// A breaker by its index.
    pub fn breaker_at(&mut self, index: u32) -> Option<&mut Breaker> {
        self.breakers.get_mut(index as usize)
    }

    /// The replicas of a breaker.
    pub fn members_of(&self, breaker: u32) -> impl Iterator<Item = ReplicaId> + '_ {
        let all = (0..).map(ReplicaId).zip(&self.breaker_of);
        all.filter(move |(_, of)| **of == breaker)
            .map(|(replica, _)| replica)
    }

    /// Breakers that are not closed.
    pub fn breakers_open(&self) -> u32 {
        let open = |breaker: &&Breaker| breaker.state() != State::Closed;
        self.breakers.iter().filter(open).count() as u32
    }
}

/// What is told of a change of a breaker.
pub fn in_words(transition: &Transition) -> &'static str {
    match transition.to {
        State::Closed => "closed",
        State::Open => "opened",
        State::HalfOpen => "half-opened",
    }
}
