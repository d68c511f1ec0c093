//! The changes of one stated fault, one after the other.

use super::places::{Scope, scope_of};
use super::{Effect, Peer, What};
use crate::engine::{SimDuration, SimTime};
use crate::fleet::geo::RegionIndex;
use crate::fleet::ids::PoolId;
use crate::scenario::faults::{FaultKind, Layout, Peer as PeerName, Rack, TimedFault};

/// A stated fault and how far it has gone.
#[derive(Debug, Clone)]
pub(super) struct Timed {
    pub(super) scope: Scope,
    end: SimTime,
    shape: Shape,
    /// Changes made so far.
    made: u64,
}

#[derive(Debug, Clone)]
enum Shape {
    /// Effects one after the other, each until the next begins, the last until the end.
    Steps(Vec<(SimTime, Effect)>),
    /// A notice, then gone until the end.
    Drain { begin: SimTime, gone: SimTime },
    /// An effect that is on for the first part of every period.
    Oscillating {
        begin: SimTime,
        period_ns: u64,
        on_ns: u64,
        effect: Effect,
    },
}

impl Timed {
    /// Resolves an entry. Returns what is wrong with it; validation asks first.
    pub(super) fn new(
        fault: &TimedFault,
        layout: &Layout,
        racks: &[Rack],
    ) -> Result<Timed, String> {
        let unknown = || format!("{:?} is not there", fault.target);
        let scope = scope_of(fault.target.as_ref(), layout, racks).ok_or_else(unknown)?;
        let at = |seconds: f64| SimTime::ZERO + SimDuration::from_secs_f64(seconds);
        let begin = at(fault.at_s);
        let shape = match &fault.fault {
            FaultKind::Drain { notice_s } => {
                let gone = begin + SimDuration::from_secs_f64(*notice_s);
                Shape::Drain { begin, gone }
            }
            FaultKind::Oscillating {
                period_s,
                on_share,
                fault,
            } => {
                let period_ns = SimDuration::from_secs_f64(*period_s).0.max(2);
                let on_ns = SimDuration::from_secs_f64(period_s * on_share).0;
                Shape::Oscillating {
                    begin,
                    period_ns,
                    on_ns: on_ns.clamp(1, period_ns - 1),
                    effect: effect_of(fault, layout)?,
                }
            }
            FaultKind::BadDeploy { share_steps, .. } => {
                let first = effect_of(&fault.fault, layout)?;
                let mut steps = vec![(begin, first)];
                for (step_at, step_share) in share_steps {
                    let mut effect = first;
                    if let Effect::BadDeploy { share, .. } = &mut effect {
                        *share = *step_share;
                    }
                    steps.push((at(*step_at), effect));
                }
                Shape::Steps(steps)
            }
            other => Shape::Steps(vec![(begin, effect_of(other, layout)?)]),
        };
        Ok(Timed {
            scope,
            end: fault.end_s().map_or(SimTime::NEVER, at),
            shape,
            made: 0,
        })
    }

    /// The next change and when it comes; `None` after the last.
    pub(super) fn peek(&self) -> Option<(SimTime, What)> {
        let next = match &self.shape {
            Shape::Steps(steps) => self.step(steps),
            Shape::Drain { begin, gone } => {
                let draining = Effect::Draining { gone_at: *gone };
                match self.made {
                    0 => Some((*begin, What::Begin(draining))),
                    1 => Some((*gone, What::Begin(Effect::Crash))),
                    2 => Some((self.end, What::End(Effect::Crash))),
                    3 => Some((self.end, What::End(draining))),
                    _ => None,
                }
            }
            Shape::Oscillating {
                begin,
                period_ns,
                on_ns,
                effect,
            } => {
                let periods = period_ns.saturating_mul(self.made / 2);
                let on = *begin + SimDuration(periods);
                let off = (on + SimDuration(*on_ns)).min(self.end);
                match self.made % 2 {
                    0 => (on < self.end).then_some((on, What::Begin(*effect))),
                    _ => Some((off, What::End(*effect))),
                }
            }
        };
        next.filter(|(at, _)| *at < SimTime::NEVER)
    }

    /// Goes on to the change after.
    pub(super) fn advance(&mut self) {
        self.made += 1;
    }

    fn step(&self, steps: &[(SimTime, Effect)]) -> Option<(SimTime, What)> {
        let index = usize::try_from(self.made / 2).ok()?;
        let (begin, effect) = *steps.get(index)?;
        Some(match self.made % 2 {
            0 => (begin, What::Begin(effect)),
            _ => {
                let end = steps.get(index + 1).map_or(self.end, |step| step.0);
                (end, What::End(effect))
            }
        })
    }
}

/// The effect of a kind that has one only. Returns why it has none; validation asks first.
pub fn effect_of(kind: &FaultKind, layout: &Layout) -> Result<Effect, String> {
    Ok(match kind {
        FaultKind::Crash {} => Effect::Crash,
        FaultKind::Hang {} => Effect::Hang,
        FaultKind::Slow { factor } => Effect::Slow { factor: *factor },
        FaultKind::PacketLoss { probability } => Effect::PacketLoss {
            probability: *probability,
        },
        FaultKind::Partition { from } => Effect::Partition {
            from: match from {
                PeerName::Gateways => Peer::Gateways,
                PeerName::Clients => Peer::Clients,
                PeerName::Region(name) => {
                    let region = layout.region(name).map(RegionIndex);
                    Peer::Region(region.ok_or_else(|| format!("region {name:?} is not there"))?)
                }
            },
        },
        FaultKind::BrownOut { share } => Effect::BrownOut { share: *share },
        FaultKind::BadDeploy {
            share,
            sticky,
            sticky_for_s,
            misroute_to,
            ..
        } => Effect::BadDeploy {
            share: *share,
            sticky: *sticky,
            sticky_for: sticky_for_s.map_or(SimDuration::ZERO, SimDuration::from_secs_f64),
            misroute_to: match misroute_to {
                None => None,
                Some(name) => {
                    let pool = layout.pool(name).and_then(|pool| u16::try_from(pool).ok());
                    Some(PoolId(
                        pool.ok_or_else(|| format!("pool {name:?} is not there"))?,
                    ))
                }
            },
        },
        FaultKind::ControlPlaneLoss {} => Effect::ControlPlaneLoss,
        FaultKind::LaunchRefusal {} => Effect::LaunchRefusal,
        FaultKind::DnsOutage {} => Effect::DnsOutage,
        FaultKind::TrafficSpike { factor } => Effect::TrafficSpike { factor: *factor },
        FaultKind::Oscillating { .. } | FaultKind::Drain { .. } => {
            return Err(format!("{} has no single effect", kind.name()));
        }
    })
}
