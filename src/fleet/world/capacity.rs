//! Nodes that are asked for, become ready, are given back or taken away.

use crate::engine::{EventQueue, SimTime};
use crate::fleet::capacity::Capacity;
use crate::fleet::capacity::node::{Next, Phase};
use crate::fleet::event::Event;
use crate::fleet::faults::{Effect, What};
use crate::fleet::ids::ReplicaId;
use crate::fleet::timeline::{NodeChange, Note};
use crate::scenario::capacity::OnNotice;

use super::World;

/// A node that takes no new requests.
const DRAINING: Effect = Effect::Draining {
    gone_at: SimTime::NEVER,
};

impl World {
    /// At the beginning: places without a node are dead, and the nodes of the start are there.
    pub(super) fn capacity_begins(&mut self, queue: &mut EventQueue<Event>) {
        let Some(plan) = self.plan.capacity.clone() else {
            return;
        };
        for (index, group) in (0_u16..).zip(&plan.groups) {
            for slot in group.replicas() {
                let replica = ReplicaId(slot);
                if slot - group.first >= group.at_start {
                    self.impair(replica, What::Begin(DRAINING), queue);
                    self.impair(replica, What::Begin(Effect::Crash), queue);
                } else if let Some(capacity) = &mut self.capacity {
                    capacity.change(replica, |node| node.phase = Phase::Ready);
                    capacity.groups[usize::from(index)].comes(slot, SimTime::ZERO);
                }
            }
            self.await_market(index, queue);
        }
        self.scalers_begin(queue);
    }

    /// Applies to a replica what is not a fault.
    pub(super) fn impair(&mut self, replica: ReplicaId, what: What, queue: &mut EventQueue<Event>) {
        let Some(faults) = &mut self.faults else {
            return;
        };
        let (before, after) = faults.impair(replica, what);
        self.condition_changes(replica, before, after, queue);
    }

    /// Whether nobody is left to be served, and nodes are not billed any more.
    pub(super) fn nobody_pays(&self, now: SimTime) -> bool {
        now >= self.plan.horizon && self.is_over()
    }

    /// Whether a replica is one that is not there: nobody counts it as broken.
    pub(super) fn is_absent(&self, replica: ReplicaId) -> bool {
        let capacity = self.capacity.as_ref();
        capacity.is_some_and(|capacity| {
            let phase = capacity.node(replica).phase;
            capacity.group_of(replica).is_some() && matches!(phase, Phase::Gone | Phase::Starting)
        })
    }

    /// A group is to have so many nodes from now on.
    pub(super) fn want_nodes(&mut self, group: u16, wanted: u32, queue: &mut EventQueue<Event>) {
        let Some(capacity) = &mut self.capacity else {
            return;
        };
        capacity.groups[usize::from(group)].wanted = wanted;
        self.reconcile(group, queue);
    }

    /// Asks for the nodes that a group lacks, and gives back those that are too many.
    fn reconcile(&mut self, group: u16, queue: &mut EventQueue<Event>) {
        let (Some(plan), Some(capacity)) = (self.plan.capacity.clone(), &self.capacity) else {
            return;
        };
        let rule = &plan.groups[usize::from(group)];
        let wanted = capacity.groups[usize::from(group)].wanted_in_all();
        let held = capacity.held(group);
        if held > wanted {
            // One that goes at once has this asked again, until there are no more than are wanted.
            self.give_back(group, queue);
            return self.reconcile(group, queue);
        }
        for _ in held..wanted {
            if !self.ask_for_node(group, queue) {
                self.goes_without(group, rule.fall_back_on, queue);
                break;
            }
        }
        // What others lent is not needed where as many are ready as are wanted.
        self.pay_back(group, queue);
    }

    /// Asks for a node; false where it is refused.
    fn ask_for_node(&mut self, group: u16, queue: &mut EventQueue<Event>) -> bool {
        let now = queue.now();
        let Some(plan) = self.plan.capacity.clone() else {
            return true;
        };
        let region = plan.groups[usize::from(group)].region;
        let lost = self.control_plane_is_lost(region) || self.launches_are_refused(region);
        let Some(capacity) = &mut self.capacity else {
            return true;
        };
        let (held, staying) = (capacity.on_the_market(group), capacity.held(group));
        let there = &mut capacity.groups[usize::from(group)];
        there.counts.requested += 1;
        let granted = !lost && there.grants(held, staying, now);
        let place = match granted {
            true => capacity.free_place(group),
            false => None,
        };
        let Some(replica) = place else {
            capacity.groups[usize::from(group)].counts.refused += 1;
            return false;
        };
        if let Some(due) = capacity.launch(&plan, replica, now) {
            capacity.groups[usize::from(group)].comes(replica.0, now);
            queue.schedule(due, Event::NodeDue(replica));
            self.await_market(group, queue);
        }
        true
    }

    /// A node cannot be had: another group lends one, and it is asked for again in time.
    fn goes_without(&mut self, group: u16, lender: Option<u16>, queue: &mut EventQueue<Event>) {
        let Some(plan) = self.plan.capacity.clone() else {
            return;
        };
        let Some(capacity) = &mut self.capacity else {
            return;
        };
        let rule = &plan.groups[usize::from(group)];
        let there = &mut capacity.groups[usize::from(group)];
        if !there.asks_again && !rule.never {
            there.asks_again = true;
            queue.schedule(queue.now() + rule.retry, Event::AskNodes(group));
        }
        let Some(lender) = lender else { return };
        let held = capacity.held(group);
        let there = &mut capacity.groups[usize::from(group)];
        let lacks = there.wanted_in_all().saturating_sub(held);
        let more = lacks.saturating_sub(there.borrowed);
        there.borrowed += more;
        if more > 0 {
            capacity.groups[usize::from(lender)].lent += more;
            self.reconcile(lender, queue);
        }
    }

    /// Nodes of its own are ready: as many are given back to the group that lent some.
    fn pay_back(&mut self, group: u16, queue: &mut EventQueue<Event>) {
        let (Some(plan), Some(capacity)) = (self.plan.capacity.clone(), &mut self.capacity) else {
            return;
        };
        let Some(lender) = plan.groups[usize::from(group)].fall_back_on else {
            return;
        };
        let ready = capacity.ready_to_stay(group);
        let there = &mut capacity.groups[usize::from(group)];
        let needed = there.wanted_in_all().saturating_sub(ready);
        let back = there.borrowed.saturating_sub(needed);
        there.borrowed -= back;
        if back > 0 {
            capacity.groups[usize::from(lender)].lent -= back;
            self.reconcile(lender, queue);
        }
    }

    /// It is time to ask again for nodes that could not be had.
    pub(super) fn ask_nodes(&mut self, group: u16, queue: &mut EventQueue<Event>) {
        if self.nobody_pays(queue.now()) {
            return;
        }
        if let Some(capacity) = &mut self.capacity {
            capacity.groups[usize::from(group)].asks_again = false;
        }
        self.reconcile(group, queue);
    }

    /// A group gives back the node that it can do without best.
    fn give_back(&mut self, group: u16, queue: &mut EventQueue<Event>) {
        let Some(capacity) = &mut self.capacity else {
            return;
        };
        let Some(replica) = capacity.first_to_go(group) else {
            debug_assert!(false, "nodes that are held can be given back");
            return;
        };
        capacity.change(replica, |node| node.leaving = true);
        let node = capacity.node_mut(replica);
        if node.phase == Phase::Starting {
            return self.node_is_gone(replica, queue);
        }
        // One that the provider takes goes when it says so.
        if !node.leaving_by_force {
            node.next = Next::Nothing;
        }
        self.meters
            .timeline
            .note(queue.now(), Note::Node(group, NodeChange::GivenBack));
        self.drain_node(replica, queue);
    }

    /// A node takes no new requests from now on, and goes when it has none.
    fn drain_node(&mut self, replica: ReplicaId, queue: &mut EventQueue<Event>) {
        self.impair(replica, What::Begin(DRAINING), queue);
        let requests = self.requests_of(replica).len() as u32;
        let Some(capacity) = &mut self.capacity else {
            return;
        };
        capacity.change(replica, |node| node.phase = Phase::Draining);
        let node = capacity.node_mut(replica);
        node.requests = requests;
        let given_back = node.next == Next::Nothing;
        if requests == 0 && given_back {
            self.node_is_gone(replica, queue);
        }
    }

    /// A request has ended at a replica, or left it. One that drains goes with its last.
    pub(super) fn left_node(&mut self, replica: ReplicaId, queue: &mut EventQueue<Event>) {
        let Some(capacity) = &mut self.capacity else {
            return;
        };
        let node = capacity.node_mut(replica);
        if node.phase != Phase::Draining || node.next != Next::Nothing {
            return;
        }
        node.requests = node.requests.saturating_sub(1);
        if node.requests == 0 {
            // Who did not know that it drains may have sent more since. The one that has just ended
            // is still counted among them: it is looked at once that is over.
            node.next = Next::Gone;
            node.due = queue.now();
            queue.schedule(queue.now(), Event::NodeDue(replica));
        }
    }

    pub(super) fn requests_of(&self, replica: ReplicaId) -> Vec<u32> {
        // What became of some is known, and only on its way to their clients.
        let over = |slot: u32| {
            let calls = self.calls.as_ref();
            calls.is_some_and(|calls| calls.attempt(slot).ended.is_some())
        };
        let there = |slot: &u32| self.requests.at(*slot).replica == replica && !over(*slot);
        self.requests.live_slots().filter(there).collect()
    }

    /// What was to happen to a node happens.
    pub(super) fn node_due(&mut self, replica: ReplicaId, queue: &mut EventQueue<Event>) {
        if self.nobody_pays(queue.now()) {
            return;
        }
        let Some(capacity) = &mut self.capacity else {
            return;
        };
        let node = capacity.node(replica);
        if node.due != queue.now() {
            return;
        }
        match (node.next, node.phase) {
            (Next::Ready, Phase::Starting) => self.node_is_ready(replica, queue),
            (Next::Signal, _) => self.node_may_go(replica, queue),
            (Next::Notice, _) => self.node_is_told(replica, queue),
            (Next::Drain, _) => self.node_drains(replica, queue),
            (Next::Gone, Phase::Draining) if !node.leaving_by_force => {
                let requests = self.requests_of(replica).len() as u32;
                match requests {
                    0 => self.node_is_gone(replica, queue),
                    _ => self.drains_on(replica, requests),
                }
            }
            (Next::Gone, _) => self.node_is_gone(replica, queue),
            _ => {}
        }
    }

    fn drains_on(&mut self, replica: ReplicaId, requests: u32) {
        if let Some(capacity) = &mut self.capacity {
            let node = capacity.node_mut(replica);
            node.requests = requests;
            node.next = Next::Nothing;
        }
    }

    fn node_is_ready(&mut self, replica: ReplicaId, queue: &mut EventQueue<Event>) {
        let Some(capacity) = &mut self.capacity else {
            return;
        };
        let Some(group) = capacity.group_of(replica) else {
            return;
        };
        capacity.change(replica, |node| node.phase = Phase::Ready);
        let node = capacity.node_mut(replica);
        node.next = Next::Nothing;
        if node.leaving_by_force {
            node.next = Next::Notice;
            node.due = node.told_at.max(queue.now());
            queue.schedule(node.due, Event::NodeDue(replica));
        }
        let took = queue.now().since(node.requested);
        let there = &mut capacity.groups[usize::from(group)];
        there.counts.cold_starts += 1;
        there.counts.cold_start_ns += u128::from(took.0);
        self.impair(replica, What::End(Effect::Crash), queue);
        self.impair(replica, What::End(DRAINING), queue);
        self.recount(replica, queue.now());
        self.meters
            .timeline
            .note(queue.now(), Note::Node(group, NodeChange::Ready));
        self.pay_back(group, queue);
    }

    /// A node is there no more, and whatever it had is lost.
    fn node_is_gone(&mut self, replica: ReplicaId, queue: &mut EventQueue<Event>) {
        let (Some(plan), Some(capacity)) = (self.plan.capacity.clone(), &mut self.capacity) else {
            return;
        };
        let Some(group) = capacity.group_of(replica) else {
            return;
        };
        let node = *capacity.node(replica);
        let before = node.phase;
        if node.leaving_by_force {
            self.is_as_good_as_lost(group, replica);
        }
        let Some(capacity) = &mut self.capacity else {
            return;
        };
        capacity.groups[usize::from(group)].goes(replica.0, queue.now());
        capacity.retire(&plan, replica, queue.now());
        self.recount(replica, queue.now());
        if before == Phase::Ready {
            self.impair(replica, What::Begin(DRAINING), queue);
        }
        if before != Phase::Starting {
            self.impair(replica, What::Begin(Effect::Crash), queue);
        }
        self.await_market(group, queue);
        self.reconcile(group, queue);
    }

    /// The next time at which nodes of a group may be taken away.
    fn await_market(&mut self, group: u16, queue: &mut EventQueue<Event>) {
        let Some(capacity) = &mut self.capacity else {
            return;
        };
        let there = &mut capacity.groups[usize::from(group)];
        if let Some(at) = there.next_loss_to_await(queue.now()) {
            queue.schedule(at, Event::MarketDue(group));
        }
    }

    /// Nodes of a group will be taken away: those that are warned are, as early as they may be.
    pub(super) fn market_due(&mut self, group: u16, queue: &mut EventQueue<Event>) {
        if self.nobody_pays(queue.now()) {
            return;
        }
        let now = queue.now();
        loop {
            let Some(capacity) = &mut self.capacity else {
                return;
            };
            let there = &mut capacity.groups[usize::from(group)];
            let Some(loss) = there.take_losses(now) else {
                break;
            };
            let all = loss.nodes.len() as u32;
            there.counts.loses(all, loss.at);
            if all > 1 {
                there.closed_until = there.closed_until.max(loss.at);
            }
            self.meters
                .timeline
                .note(now, Note::Node(group, NodeChange::Taken(all)));
            for node in loss.nodes {
                self.node_is_taken(group, ReplicaId(node), loss.at, queue);
            }
        }
        self.await_market(group, queue);
        self.reconcile(group, queue);
    }

    /// The provider takes a node away at `gone`: when it is told.
    fn node_is_taken(
        &mut self,
        group: u16,
        replica: ReplicaId,
        gone: SimTime,
        queue: &mut EventQueue<Event>,
    ) {
        let now = queue.now();
        let (Some(plan), Some(capacity)) = (self.plan.capacity.clone(), &mut self.capacity) else {
            return;
        };
        let rule = &plan.groups[usize::from(group)];
        let requested = capacity.node(replica).requested;
        let there = &mut capacity.groups[usize::from(group)];
        let (early, told) = there.draw_warnings(rule, gone, requested, now);
        let node = capacity.node_mut(replica);
        node.leaving_by_force = true;
        node.gone_at = gone;
        node.told_at = told;
        let (next, due) = match (node.phase, early) {
            (Phase::Gone, _) => return,
            // It never takes a request; another one would be taken with it.
            (Phase::Starting, _) if node.ready >= gone => (Next::Gone, gone),
            // It is told once it is ready.
            (Phase::Starting, _) => return,
            (_, Some(early)) if early < told => (Next::Signal, early),
            _ => (Next::Notice, told),
        };
        node.next = next;
        node.due = due.max(now);
        queue.schedule(node.due, Event::NodeDue(replica));
    }

    /// A node that the provider takes is not counted on any more: another is asked for in its place,
    /// unless what is lost is not replaced.
    fn is_as_good_as_lost(&mut self, group: u16, replica: ReplicaId) {
        let (Some(plan), Some(capacity)) = (&self.plan.capacity, &mut self.capacity) else {
            return;
        };
        let news = !capacity.node(replica).leaving;
        capacity.change(replica, |node| node.leaving = true);
        if news && plan.groups[usize::from(group)].never {
            let there = &mut capacity.groups[usize::from(group)];
            there.wanted = there.wanted.saturating_sub(1);
        }
    }

    /// A node is at risk: another is asked for in its place, and it goes on until it is told.
    fn node_may_go(&mut self, replica: ReplicaId, queue: &mut EventQueue<Event>) {
        let Some(capacity) = &mut self.capacity else {
            return;
        };
        let node = capacity.node_mut(replica);
        node.next = Next::Notice;
        node.due = node.told_at;
        queue.schedule(node.due, Event::NodeDue(replica));
        if let Some(group) = capacity.group_of(replica) {
            self.is_as_good_as_lost(group, replica);
            self.reconcile(group, queue);
        }
    }

    /// A node is told that it will be taken away.
    fn node_is_told(&mut self, replica: ReplicaId, queue: &mut EventQueue<Event>) {
        let (Some(plan), Some(capacity)) = (self.plan.capacity.clone(), &mut self.capacity) else {
            return;
        };
        let Some(group) = capacity.group_of(replica) else {
            return;
        };
        let node = capacity.node_mut(replica);
        node.next = Next::Gone;
        node.due = node.gone_at;
        let due = node.due;
        self.is_as_good_as_lost(group, replica);
        if due <= queue.now() {
            return self.node_is_gone(replica, queue);
        }
        let rule = &plan.groups[usize::from(group)];
        let begins = rule
            .drain
            .map(|drain| SimTime(due.0.saturating_sub(drain.0)));
        let begins = begins.filter(|begins| *begins > queue.now());
        match (begins, &mut self.capacity) {
            (Some(begins), Some(capacity)) if rule.on_notice != (OnNotice::Ignore {}) => {
                let node = capacity.node_mut(replica);
                node.next = Next::Drain;
                node.due = begins;
                queue.schedule(begins, Event::NodeDue(replica));
            }
            _ => {
                queue.schedule(due, Event::NodeDue(replica));
                self.node_leaves(replica, queue);
            }
        }
        self.reconcile(group, queue);
    }

    /// A node that was told to go begins with what is to be done about it.
    fn node_leaves(&mut self, replica: ReplicaId, queue: &mut EventQueue<Event>) {
        let (Some(plan), Some(capacity)) = (self.plan.capacity.clone(), &mut self.capacity) else {
            return;
        };
        let Some(group) = capacity.group_of(replica) else {
            return;
        };
        let phase = capacity.node(replica).phase;
        let rule = &plan.groups[usize::from(group)];
        if rule.on_notice == (OnNotice::Ignore {}) {
            return;
        }
        if phase == Phase::Ready {
            self.drain_node(replica, queue);
        }
        match rule.on_notice {
            OnNotice::HandOver {} => self.hand_over_all(group, replica, None, queue),
            OnNotice::Migrate { .. } => self.hand_over_all(group, replica, rule.link, queue),
            OnNotice::Drain {} | OnNotice::Ignore {} => {}
        }
    }

    /// It is time for a node that was told to begin.
    fn node_drains(&mut self, replica: ReplicaId, queue: &mut EventQueue<Event>) {
        let Some(capacity) = &mut self.capacity else {
            return;
        };
        let node = capacity.node_mut(replica);
        node.next = Next::Gone;
        node.due = node.gone_at;
        queue.schedule(node.due, Event::NodeDue(replica));
        self.node_leaves(replica, queue);
    }

    /// The account of the run, closed.
    pub fn capacity_at_end(&self) -> Option<Capacity> {
        let plan = self.plan.capacity.as_ref()?;
        let mut capacity = (**self.capacity.as_ref()?).clone();
        capacity.close(plan);
        Some(capacity)
    }
}
