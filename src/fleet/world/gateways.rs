//! The gateway replicas: each decides by itself, on what it knows itself.

use rand::RngExt;

use crate::engine::{EventQueue, SimRng, SimTime};
use crate::fleet::balance::SlowStartRise;
use crate::fleet::event::Event;
use crate::fleet::health::watch::{Reason, Watch};
use crate::fleet::health::{Level as Hosts, PriorityLoad};
use crate::fleet::ids::ReplicaId;
use crate::fleet::plan::FleetPlan;
use crate::fleet::router::{Loads, Router, weight_of};
use crate::fleet::signals::Signals;
use crate::scenario::locality::Locality;
use crate::scenario::roles::Role;

use super::World;

/// What a gateway replica knows of the replicas of one region.
#[derive(Debug, Clone)]
struct Level {
    region: u16,
    /// Over the replicas that requests enter at.
    entry: Router,
    /// Over those that go on with what others began, where there are any.
    decode: Option<Router>,
    /// Whether health is not believed there.
    panics: bool,
}

/// One gateway replica.
#[derive(Debug, Clone)]
struct Front {
    region: u16,
    /// The regions whose replicas it uses, its own first.
    levels: Vec<Level>,
    /// How traffic is shared among them, where health decides that.
    load: Option<PriorityLoad>,
    rng: SimRng,
    /// What replicas have told it, where it asks them.
    signals: Option<Signals>,
    /// What it believes of their health, where it looks.
    watch: Option<Box<Watch>>,
}

/// All of them, and how requests are spread over them.
#[derive(Debug, Clone)]
pub(super) struct Gateways {
    fronts: Vec<Front>,
    /// The first gateway replica of each region, and how many there are.
    of_region: Vec<(u16, u16)>,
    spread: SimRng,
    /// Load at each replica, where gateways ask for it.
    present: Vec<u64>,
    locality: Locality,
    /// Reused by what counts the hosts of levels.
    hosts: Vec<Hosts>,
}

impl Gateways {
    pub fn new(plan: &FleetPlan) -> Gateways {
        let topology = &plan.topology;
        let mut fronts = Vec::new();
        let mut of_region = Vec::new();
        for (region, there) in (0_u16..).zip(&topology.regions) {
            of_region.push((fronts.len() as u16, there.gateways));
            for place in 0..there.gateways {
                let index = fronts.len() as u16;
                fronts.push(Front::new(plan, region, index, (place, there.gateways)));
            }
        }
        let mut gateways = Gateways {
            fronts,
            of_region,
            spread: plan.streams.stream("gateway", 0, "spread"),
            present: vec![0; plan.signals.map_or(0, |_| plan.replicas() as usize)],
            locality: topology.locality,
            hosts: Vec::new(),
        };
        for gateway in 0..gateways.fronts.len() as u16 {
            gateways.judge(gateway, SimTime::ZERO);
        }
        gateways
    }

    /// How many there are.
    pub fn count(&self) -> u16 {
        self.fronts.len() as u16
    }

    /// The gateway replica that a request comes to in a region.
    #[inline]
    pub fn pick(&mut self, region: u16) -> u16 {
        match self.of_region[usize::from(region)] {
            (first, 1) => first,
            (first, count) => first + self.spread.random_range(0..u32::from(count)) as u16,
        }
    }

    /// The region of a gateway replica.
    #[inline]
    pub fn region(&self, gateway: u16) -> u16 {
        self.fronts[usize::from(gateway)].region
    }

    /// The router of a gateway replica over the replicas of that role in a region it uses.
    #[inline]
    pub fn router(&mut self, gateway: u16, role: Role, region: u16) -> &mut Router {
        let front = &mut self.fronts[usize::from(gateway)];
        let at = match front.levels.len() {
            1 => 0,
            _ => front.level_of(region).unwrap_or(0),
        };
        let level = &mut front.levels[at];
        match (&mut level.decode, role) {
            (Some(decode), Role::Decode) => decode,
            _ => &mut level.entry,
        }
    }

    /// Chooses where a request enters the fleet.
    #[inline]
    pub fn choose(&mut self, gateway: u16, now: SimTime) -> Option<ReplicaId> {
        let front = &mut self.fronts[usize::from(gateway)];
        match front.levels.len() {
            1 => front.levels[0].entry.choose(now),
            _ => front.choose_level(self.locality).entry.choose(now),
        }
    }

    /// What a gateway replica believes of the replicas' health, where it looks.
    #[inline]
    pub fn watch(&mut self, gateway: u16) -> Option<&mut Watch> {
        self.fronts[usize::from(gateway)].watch.as_deref_mut()
    }

    /// Lets a gateway replica act on what it believes of a replica.
    pub fn heed(&mut self, gateway: u16, replica: ReplicaId, now: SimTime) {
        self.judge(gateway, now);
        let front = &mut self.fronts[usize::from(gateway)];
        for level in 0..front.levels.len() {
            front.heed(level, replica, now);
        }
    }

    /// Works out anew which regions get how much, and whether one is in panic.
    fn judge(&mut self, gateway: u16, now: SimTime) {
        let front = &mut self.fronts[usize::from(gateway)];
        let (Some(load), Some(watch)) = (&mut front.load, &front.watch) else {
            return;
        };
        self.hosts.clear();
        let unwell = Reason::Unhealthy as u8 | Reason::Ejected as u8;
        let gone = Reason::Draining as u8;
        for level in &front.levels {
            let against = level.entry.members().iter().map(|id| watch.against(*id));
            let there = against.filter(|against| against & gone == 0);
            let (mut hosts, mut healthy) = (0, 0);
            for against in there {
                hosts += 1;
                healthy += u32::from(against & unwell == 0);
            }
            self.hosts.push(Hosts { hosts, healthy });
        }
        load.update(&self.hosts);
        for at in 0..front.levels.len() {
            let panics = front.load.as_ref().is_some_and(|load| load.in_panic(at));
            if std::mem::replace(&mut front.levels[at].panics, panics) != panics {
                let members = front.levels[at].entry.members().to_vec();
                for replica in members {
                    front.heed(at, replica, now);
                }
            }
        }
    }

    /// See [`Router::total_outstanding`].
    pub fn total_outstanding(&self) -> u64 {
        let levels = self.fronts.iter().flat_map(|front| &front.levels);
        let routers = levels.flat_map(|level| std::iter::once(&level.entry).chain(&level.decode));
        routers.map(Router::total_outstanding).sum()
    }
}

impl Front {
    fn new(plan: &FleetPlan, region: u16, index: u16, (place, places): (u16, u16)) -> Front {
        let topology = &plan.topology;
        let source = match plan.signals {
            None => Loads::Own,
            Some(rule) => Loads::Told {
                and_own: rule.count_own,
            },
        };
        let used = match topology.locality {
            Locality::Local {} => vec![region],
            Locality::Failover {} | Locality::SpillOver { .. } => topology.by_distance(region),
        };
        let rise = plan.health.and_then(|health| health.slow_start);
        let router = |region: u16, role: &dyn Fn(Role) -> bool, number: u64| {
            let mut members = members_of(plan, region, role);
            // Each counts from another replica on: who see none loaded do not all choose the same.
            let first = members.len() * usize::from(place) / usize::from(places);
            members.rotate_left(first);
            Router::new(plan.router, source, members, plan.streams, number)
                .with_slow_start(rise.as_ref().map(SlowStartRise::new))
        };
        let step = 2 * u64::from(topology.gateways());
        let levels = (0_u64..).zip(used).map(|(level, region)| {
            // The first two numbers are those of a fleet with one gateway replica.
            let number = 2 * u64::from(index) + level * step;
            let decode = router(region, &|role| role == Role::Decode, number + 1);
            Level {
                region,
                entry: router(region, &|role| role.is_entry(), number),
                decode: (!decode.members().is_empty()).then_some(decode),
                panics: false,
            }
        });
        let levels: Vec<Level> = levels.collect();
        let pools = (0_u16..).zip(&plan.pools);
        let pools: Vec<u16> = pools
            .flat_map(|(at, pool)| std::iter::repeat_n(at, pool.replicas as usize))
            .collect();
        let watch = plan.health.as_ref();
        let watch = watch.map(|rules| Watch::new(rules, &pools, index, plan.streams));
        let priorities = plan.health.map(|rules| rules.priorities);
        Front {
            region,
            levels,
            load: priorities.map(|priorities| PriorityLoad::new(&priorities, &[])),
            rng: plan.streams.stream("gateway", u64::from(index), "levels"),
            signals: plan.signals.map(|rule| {
                let replicas = plan.replicas() as usize;
                Signals::new(rule, index, topology.gateways(), replicas, plan.streams)
            }),
            watch: watch.map(Box::new),
        }
    }

    fn level_of(&self, region: u16) -> Option<usize> {
        self.levels.iter().position(|level| level.region == region)
    }

    fn choose_level(&mut self, locality: Locality) -> &mut Level {
        let at = match (locality, &self.load) {
            (Locality::SpillOver { full_at }, _) => {
                let free = |level: &Level| level.entry.load_per_member() < full_at;
                self.levels.iter().position(free).unwrap_or(0)
            }
            (Locality::Failover {}, Some(load)) => load.choose(&mut self.rng),
            _ => 0,
        };
        &mut self.levels[at]
    }

    /// Lets the routers of a region know whether a replica may be chosen.
    fn heed(&mut self, level: usize, replica: ReplicaId, now: SimTime) {
        let against = self
            .watch
            .as_ref()
            .map_or(0, |watch| watch.against(replica));
        let level = &mut self.levels[level];
        let unwell = Reason::Unhealthy as u8 | Reason::Ejected as u8;
        let counts = match level.panics {
            true => against & !unwell,
            false => against,
        };
        for router in std::iter::once(&mut level.entry).chain(&mut level.decode) {
            if router.has(replica) {
                router.set_eligible(replica, counts == 0, now);
            }
        }
    }
}

/// The replicas of a region whose role is one of those.
fn members_of(plan: &FleetPlan, region: u16, chosen: &dyn Fn(Role) -> bool) -> Vec<ReplicaId> {
    let pools = plan.pools.iter();
    let places = pools.flat_map(|pool| {
        let fits = pool.region == region && chosen(pool.role);
        std::iter::repeat_n(fits, pool.replicas as usize)
    });
    let all = (0..).map(ReplicaId).zip(places);
    all.filter(|(_, fits)| *fits).map(|(id, _)| id).collect()
}

impl World {
    /// A request comes to a replica, or leaves it.
    #[inline]
    pub(super) fn note_present(
        &mut self,
        replica: ReplicaId,
        prompt_tokens: u32,
        comes: bool,
        queue: &mut EventQueue<Event>,
    ) {
        if self.gateways.present.is_empty() {
            return;
        }
        let weight = weight_of(&self.plan.router, prompt_tokens);
        let present = &mut self.gateways.present[replica.0 as usize];
        *present = match comes {
            true => *present + weight,
            false => *present - weight,
        };
        for front in &mut self.gateways.fronts {
            if let Some(signals) = &mut front.signals {
                signals.changed(replica, queue);
            }
        }
    }

    /// A gateway replica asks the replicas for their load.
    pub(super) fn ask_replicas(&mut self, gateway: u16, queue: &mut EventQueue<Event>) {
        let front = &mut self.gateways.fronts[usize::from(gateway)];
        let present = &self.gateways.present;
        if let Some(signals) = &mut front.signals {
            signals.ask(|replica| present[replica.0 as usize], queue);
        }
        self.reports_seen(gateway, queue);
    }

    /// Answers have come to a gateway replica.
    pub(super) fn reports_seen(&mut self, gateway: u16, queue: &EventQueue<Event>) {
        let front = &mut self.gateways.fronts[usize::from(gateway)];
        let Some(signals) = &mut front.signals else {
            return;
        };
        while let Some((replica, reading)) = signals.next_answer(queue.now()) {
            for level in &mut front.levels {
                for router in std::iter::once(&mut level.entry).chain(&mut level.decode) {
                    if router.has(replica) {
                        router.told(replica, reading.load);
                    }
                }
            }
        }
    }
}
