//! Components that fail at random: one group of replicas after the other, none drawn ahead.

use rand_distr::{Distribution, Exp1, Weibull};
use statrs::function::gamma::ln_gamma;

use super::places::{Places, Scope, scope_of};
use super::timed::effect_of;
use super::{Effect, What};
use crate::engine::{SimDuration, SimRng, SimTime, Streams};
use crate::fleet::geo::RegionIndex;
use crate::scenario::faults::{Component, Layout, Rack, RandomFaults, TimeBetweenFailures};
use crate::workload::Sampler;

/// Words of a stream that one draw may use: many more than the law that rejects most often takes.
const WORDS_PER_DRAW: u128 = 1024;

/// One entry of `[[faults.random]]`.
#[derive(Debug, Clone)]
pub(super) struct Process {
    name: String,
    mean_up_s: f64,
    unit_up: UnitTime,
    repair: Repair,
    pub(super) effect: Effect,
}

#[derive(Debug, Clone)]
enum UnitTime {
    Exponential,
    Weibull(Weibull<f64>),
}

#[derive(Debug, Clone)]
enum Repair {
    Always(SimDuration),
    Law(Sampler),
}

impl Process {
    /// Prepares an entry. Returns what is wrong with it; validation asks first.
    pub(super) fn new(random: &RandomFaults, layout: &Layout) -> Result<Process, String> {
        let missing = |what: &str| format!("random faults {:?} state no {what}", random.name);
        let hours = random
            .mean_up_h()
            .ok_or_else(|| missing("mtbf_h or preset"))?;
        let unit_up = match random.distribution {
            TimeBetweenFailures::Exponential {} => UnitTime::Exponential,
            TimeBetweenFailures::Weibull { shape } => {
                // The mean of Weibull(scale, k) is scale x G(1 + 1/k); here it is 1.
                let scale = (-ln_gamma(1.0 + 1.0 / shape)).exp();
                let law = Weibull::new(scale, shape).map_err(|error| error.to_string())?;
                UnitTime::Weibull(law)
            }
        };
        let repair = match (&random.mttr, random.mttr_s) {
            (Some(law), _) => Repair::Law(Sampler::new(law)?),
            (None, Some(seconds)) => Repair::Always(SimDuration::from_secs_f64(seconds)),
            (None, None) => return Err(missing("mttr or mttr_s")),
        };
        Ok(Process {
            name: random.name.clone(),
            mean_up_s: hours * 3600.0,
            unit_up,
            repair,
            effect: effect_of(&random.fault, layout)?,
        })
    }
}

/// Replicas that share a component.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) process: u32,
    /// Its number within its process.
    pub(super) number: u32,
    pub(super) scope: Scope,
    /// Any of so many components takes it down.
    components: u32,
    /// Changes made so far: even means up.
    made: u64,
    at: SimTime,
}

impl Group {
    /// Its next change.
    pub(super) fn peek(&self, process: &Process) -> (SimTime, What) {
        let what = match self.made % 2 {
            0 => What::Begin(process.effect),
            _ => What::End(process.effect),
        };
        (self.at, what)
    }

    /// Draws when the change after comes. Every group has a stream of its own, and every draw a
    /// stretch of it, so that no generator need be kept between failures.
    pub(super) fn advance(&mut self, process: &Process, streams: Streams) {
        self.made += 1;
        self.draw(process, streams);
    }

    fn draw(&mut self, process: &Process, streams: Streams) {
        let mut rng = streams.stream("fault", u64::from(self.number), &process.name);
        rng.set_word_pos(u128::from(self.made) * WORDS_PER_DRAW);
        let time = match self.made % 2 {
            0 => self.up_time(process, &mut rng),
            _ => match &process.repair {
                Repair::Always(time) => *time,
                Repair::Law(law) => law.sample(&mut rng),
            },
        };
        // A change takes time, so that there are finitely many of them.
        self.at += time.max(SimDuration(1));
    }

    /// Time until any of the components fails. For the exponential law this is exact; otherwise the
    /// group is taken as one component of that law that fails as many times as often.
    fn up_time(&self, process: &Process, rng: &mut SimRng) -> SimDuration {
        let unit: f64 = match &process.unit_up {
            UnitTime::Exponential => Exp1.sample(rng),
            UnitTime::Weibull(law) => law.sample(rng),
        };
        SimDuration::from_secs_f64(unit * process.mean_up_s / f64::from(self.components))
    }
}

/// Replicas that fail and come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Which.
    pub scope: Scope,
    /// Any of so many components takes them down.
    pub components: u32,
}

/// What an entry of `[[faults.random]]` takes down together, each of it at its own times. Returns
/// what is wrong with the entry; validation asks first.
pub fn shared_of(
    random: &RandomFaults,
    layout: &Layout,
    racks: &[Rack],
) -> Result<Vec<Shared>, String> {
    shared(random, &Places::new(layout, racks), (layout, racks))
}

fn shared(
    random: &RandomFaults,
    places: &Places,
    (layout, racks): (&Layout, &[Rack]),
) -> Result<Vec<Shared>, String> {
    let unknown = || format!("{:?} is not there", random.target);
    let scope = scope_of(random.target.as_ref(), layout, racks).ok_or_else(unknown)?;
    let scopes = match (random.takes_whole_places(), scope) {
        (true, Scope::Fleet) if random.component == Component::Region => {
            let all = 0..u16::try_from(places.regions()).unwrap_or(u16::MAX);
            all.map(|at| Scope::Region(RegionIndex(at))).collect()
        }
        (true, Scope::Fleet) => {
            let all = 0..u32::try_from(places.racks()).unwrap_or(u32::MAX);
            all.map(Scope::Rack).collect()
        }
        (true, place) => vec![place],
        (false, place) => chunks(places, place, random.group_size.unwrap_or(1).max(1)),
    };
    let counted = scopes.into_iter().map(|scope| {
        let first = places.replicas(scope).next();
        let of_replica = match (random.component, first) {
            (Component::Gpu, Some(replica)) => places.accelerators_of(replica).max(1),
            _ => 1,
        };
        Shared {
            scope,
            components: random.components_per_group.unwrap_or(of_replica),
        }
    });
    Ok(counted.collect())
}

/// The groups of an entry, with their first failures drawn.
pub(super) fn groups_of(
    random: &RandomFaults,
    number: u32,
    process: &Process,
    streams: Streams,
    places: &Places,
    names: (&Layout, &[Rack]),
) -> Result<Vec<Group>, String> {
    let shared = shared(random, places, names)?;
    let mut groups = Vec::with_capacity(shared.len());
    for (index, Shared { scope, components }) in shared.into_iter().enumerate() {
        let mut group = Group {
            process: number,
            number: u32::try_from(index).map_err(|_| "too many groups".to_owned())?,
            scope,
            components,
            made: 0,
            at: SimTime::ZERO,
        };
        group.draw(process, streams);
        groups.push(group);
    }
    Ok(groups)
}

/// Replicas of a place, `size` together; a group never spans two pools.
fn chunks(places: &Places, place: Scope, size: u32) -> Vec<Scope> {
    let mut out = Vec::new();
    for range in places.ranges(place) {
        let mut first = range.start;
        while first < range.end {
            let count = size.min(range.end - first);
            out.push(Scope::Replicas { first, count });
            first += count;
        }
    }
    out
}
