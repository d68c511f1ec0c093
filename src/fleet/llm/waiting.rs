//! Requests that wait to be admitted.

use std::cmp::Reverse;

use priority_queue::PriorityQueue;

use crate::fleet::request::{RequestList, Requests};
use crate::scenario::fleet::SchedulingPolicy;

/// Who goes first by priority: the lower number, then the earlier request.
type Rank = Reverse<(u16, u64)>;

/// The waiting requests of an engine, in the order of its policy.
#[derive(Debug, Clone)]
pub(super) enum Waiting {
    /// First come, first served; preempted ones go back to the front.
    Fcfs(RequestList),
    /// By priority, then by arrival; preempted ones go back to where that puts them.
    Priority(Box<PriorityQueue<u32, Rank>>),
}

impl Waiting {
    pub fn new(policy: SchedulingPolicy) -> Waiting {
        match policy {
            SchedulingPolicy::Fcfs => Waiting::Fcfs(RequestList::default()),
            SchedulingPolicy::Priority => Waiting::Priority(Box::default()),
        }
    }

    pub fn len(&self) -> u32 {
        match self {
            Waiting::Fcfs(list) => list.len(),
            Waiting::Priority(queue) => queue.len() as u32,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Who is to be admitted next.
    pub fn front(&self) -> Option<u32> {
        match self {
            Waiting::Fcfs(list) => list.front(),
            Waiting::Priority(queue) => queue.peek().map(|(&slot, _)| slot),
        }
    }

    /// Tokens of their prompts.
    pub fn prompt_tokens(&self, requests: &Requests) -> u64 {
        let tokens = |slot: u32| u64::from(requests.at(slot).prompt_tokens);
        match self {
            Waiting::Fcfs(list) => list.iter(requests).map(tokens).sum(),
            Waiting::Priority(queue) => queue.iter().map(|(&slot, _)| tokens(slot)).sum(),
        }
    }

    /// A request comes.
    pub fn push(&mut self, requests: &mut Requests, slot: u32) {
        match self {
            Waiting::Fcfs(list) => list.push_back(requests, slot),
            Waiting::Priority(queue) => {
                queue.push(slot, rank(requests, slot));
            }
        }
    }

    /// A request comes back, preempted.
    pub fn push_again(&mut self, requests: &mut Requests, slot: u32) {
        match self {
            Waiting::Fcfs(list) => list.push_front(requests, slot),
            Waiting::Priority(_) => self.push(requests, slot),
        }
    }

    /// Takes one off.
    pub fn remove(&mut self, requests: &mut Requests, slot: u32) {
        match self {
            Waiting::Fcfs(list) => list.remove(requests, slot),
            Waiting::Priority(queue) => {
                queue.remove(&slot);
            }
        }
    }
}

/// By priority, then in order of arrival (serial numbers are).
pub(super) fn rank(requests: &Requests, slot: u32) -> Rank {
    let request = requests.at(slot);
    Reverse((request.rank, request.serial))
}
