//! Choices by weight: at random, and smoothly in turns.

use rand::RngExt;

use crate::engine::SimRng;

use super::draw::TRIES;

/// Members drawn in proportion to fixed weights in O(1): the alias method (Walker 1977; built as by
/// Vose 1991).
#[derive(Debug, Clone)]
pub struct Alias {
    weights: Vec<f64>,
    /// The share of a member's column that is its own.
    own: Vec<f64>,
    /// Who has the rest of the column.
    other: Vec<u32>,
    /// Columns still below and above the mean, while the table is built.
    small: Vec<u32>,
    large: Vec<u32>,
}

impl Alias {
    /// Members of those weights, each 0 or more and finite.
    pub fn new(weights: &[f64]) -> Alias {
        let mut alias = Alias {
            weights: Vec::new(),
            own: Vec::new(),
            other: Vec::new(),
            small: Vec::new(),
            large: Vec::new(),
        };
        alias.rebuild(weights);
        alias
    }

    /// Other weights: O(n), without an allocation where there are not more of them.
    pub fn rebuild(&mut self, weights: &[f64]) {
        self.weights.clear();
        self.weights.extend_from_slice(weights);
        let total: f64 = weights.iter().sum();
        let scale = weights.len() as f64 / total;
        self.own.clear();
        self.own.extend(weights.iter().map(|weight| weight * scale));
        self.other.clear();
        self.other.extend(0..weights.len() as u32);
        if total > 0.0 {
            self.share_columns();
        } else {
            // Nobody has weight: nothing can be drawn.
            self.own.clear();
        }
    }

    /// Gives the rest of every column below the mean to a member above it.
    fn share_columns(&mut self) {
        let Alias { small, large, .. } = self;
        small.clear();
        large.clear();
        for (member, own) in (0_u32..).zip(&self.own) {
            if *own < 1.0 {
                small.push(member);
            } else {
                large.push(member);
            }
        }
        while let (Some(&below), Some(&above)) = (small.last(), large.last()) {
            small.pop();
            self.other[below as usize] = above;
            let given = 1.0 - self.own[below as usize];
            self.own[above as usize] -= given;
            if self.own[above as usize] < 1.0 {
                large.pop();
                small.push(above);
            }
        }
        // What is left is full but for rounding. A member without weight has found its other: the
        // columns that rounding leaves are those that were above the mean once.
        for member in small.drain(..).chain(large.drain(..)) {
            if self.weights[member as usize] > 0.0 {
                self.own[member as usize] = 1.0;
            }
        }
    }

    /// An eligible member, in proportion to the weights of those eligible. O(1) where a fair share
    /// of the weight is; O(n) where hardly any is.
    pub fn choose(&self, rng: &mut SimRng, eligible: impl Fn(u32) -> bool) -> Option<u32> {
        if self.own.is_empty() {
            return None;
        }
        for _ in 0..TRIES {
            let member = self.draw(rng);
            if eligible(member) {
                return Some(member);
            }
        }
        let weights = || {
            let members = (0_u32..).zip(self.weights.iter().copied());
            members.filter(|(member, weight)| *weight > 0.0 && eligible(*member))
        };
        let total: f64 = weights().map(|(_, weight)| weight).sum();
        let mut left = rng.random::<f64>() * total;
        let mut last = None;
        for (member, weight) in weights() {
            last = Some(member);
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
        last
    }

    fn draw(&self, rng: &mut SimRng) -> u32 {
        let column = rng.random_range(0..self.own.len() as u32);
        match rng.random::<f64>() < self.own[column as usize] {
            true => column,
            false => self.other[column as usize],
        }
    }
}

/// Where a member stands in the schedule: who is due first, of several who was put in first.
#[derive(Debug, Clone, Copy)]
struct Due {
    deadline: f64,
    order: u64,
    member: u32,
}

impl Due {
    fn before(&self, other: &Due) -> bool {
        let by_time = self.deadline.total_cmp(&other.deadline);
        by_time.then(self.order.cmp(&other.order)).is_lt()
    }
}

/// Members in turns by weight: earliest deadline first, as Envoy's `EdfScheduler`. A member is due
/// again `1 / weight` after it was chosen, in a time that goes from deadline to deadline; with
/// constant weights every cycle gives each member its exact count, spread evenly.
///
/// A weight is read when its member is put in again, so that weights may change at any time (slow
/// start, load): O(log n) a choice.
#[derive(Debug, Clone)]
pub struct Edf {
    /// A binary heap.
    heap: Vec<Due>,
    /// Where each member is in the heap.
    at: Vec<u32>,
    now: f64,
    order: u64,
    /// Members taken out for the time of one choice, since they are not eligible.
    aside: Vec<Due>,
}

impl Edf {
    /// Members `0..members`, first due by the weights they have now. A weight must be above 0: one
    /// that is not makes its member due never, until [`Edf::reweigh`].
    pub fn new(members: u32, weight: impl Fn(u32) -> f64) -> Edf {
        let mut edf = Edf {
            heap: Vec::with_capacity(members as usize),
            at: Vec::new(),
            now: 0.0,
            order: 0,
            aside: Vec::new(),
        };
        edf.grow(members, weight);
        edf
    }

    /// The eligible member that is due first, which is put in again with the weight it has now.
    ///
    /// A member that is due but not eligible misses its turn: it is put in again like the one
    /// chosen, so that it costs as many steps as it has weight.
    pub fn choose(
        &mut self,
        eligible: impl Fn(u32) -> bool,
        weight: impl Fn(u32) -> f64,
    ) -> Option<u32> {
        let mut chosen = None;
        while let Some(due) = self.pop() {
            if due.deadline < f64::INFINITY && eligible(due.member) {
                chosen = Some(due);
                break;
            }
            self.aside.push(due);
        }
        let Some(due) = chosen else {
            // Nobody is eligible: nobody misses a turn.
            while let Some(due) = self.aside.pop() {
                self.insert(due);
            }
            return None;
        };
        self.now = self.now.max(due.deadline);
        for index in 0..self.aside.len() {
            let member = self.aside[index].member;
            self.put(member, weight(member));
        }
        self.aside.clear();
        self.put(due.member, weight(due.member));
        Some(due.member)
    }

    /// Adds members up to `members` in all, first due by the weights they have now.
    pub fn grow(&mut self, members: u32, weight: impl Fn(u32) -> f64) {
        let before = self.at.len() as u32;
        if members > before {
            self.at.resize(members as usize, 0);
            for member in before..members {
                self.put(member, weight(member));
            }
        }
    }

    /// Changes a weight at once, not at the member's next turn: what is left until then shrinks or
    /// grows with it. O(log n).
    pub fn reweigh(&mut self, member: u32, before: f64, after: f64) {
        let at = self.at[member as usize] as usize;
        let left = (self.heap[at].deadline - self.now).max(0.0);
        let deadline = match before > 0.0 && left.is_finite() {
            true => self.now + left * (before / after),
            false => {
                // It comes as new, after those that are due at the same time.
                self.heap[at].order = self.order;
                self.order += 1;
                self.now + 1.0 / after
            }
        };
        self.heap[at].deadline = deadline_or_never(deadline, after);
        self.sift_up(at);
        self.sift_down(self.at[member as usize] as usize);
    }

    fn put(&mut self, member: u32, weight: f64) {
        let deadline = deadline_or_never(self.now + 1.0 / weight, weight);
        let order = self.order;
        self.order += 1;
        self.insert(Due {
            deadline,
            order,
            member,
        });
    }

    fn insert(&mut self, due: Due) {
        self.heap.push(due);
        self.sift_up(self.heap.len() - 1);
    }

    fn pop(&mut self) -> Option<Due> {
        let last = self.heap.pop()?;
        let Some(&first) = self.heap.first() else {
            return Some(last);
        };
        self.heap[0] = last;
        self.sift_down(0);
        Some(first)
    }

    fn sift_up(&mut self, mut at: usize) {
        let due = self.heap[at];
        while at > 0 {
            let parent = (at - 1) / 2;
            if !due.before(&self.heap[parent]) {
                break;
            }
            self.place(at, self.heap[parent]);
            at = parent;
        }
        self.place(at, due);
    }

    fn sift_down(&mut self, mut at: usize) {
        let due = self.heap[at];
        loop {
            let left = 2 * at + 1;
            let Some(mut child) = self.heap.get(left).map(|_| left) else {
                break;
            };
            if let Some(right) = self.heap.get(left + 1)
                && right.before(&self.heap[left])
            {
                child = left + 1;
            }
            if !self.heap[child].before(&due) {
                break;
            }
            self.place(at, self.heap[child]);
            at = child;
        }
        self.place(at, due);
    }

    fn place(&mut self, at: usize, due: Due) {
        self.at[due.member as usize] = at as u32;
        self.heap[at] = due;
    }
}

fn deadline_or_never(deadline: f64, weight: f64) -> f64 {
    match weight > 0.0 {
        true => deadline,
        false => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::Edf;

    fn run(edf: &mut Edf, weights: &[f64], choices: usize) -> Vec<u32> {
        let weight = |member: u32| weights[member as usize];
        let choices = 0..choices;
        choices
            .map(|_| edf.choose(|_| true, weight).unwrap())
            .collect()
    }

    #[test]
    fn turns_are_spread_evenly() {
        // Weights 2 and 4, the example of gRPC's proposal A31.
        let weights = [2.0, 4.0];
        let mut edf = Edf::new(2, |member| weights[member as usize]);
        assert_eq!(run(&mut edf, &weights, 9), [1, 0, 1, 1, 0, 1, 1, 0, 1]);
        let equal = [1.0; 3];
        let mut edf = Edf::new(3, |_| 1.0);
        assert_eq!(run(&mut edf, &equal, 7), [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn a_member_without_weight_waits_until_it_has_some() {
        let mut weights = [1.0, 0.0];
        let mut edf = Edf::new(2, |member| weights[member as usize]);
        assert_eq!(run(&mut edf, &weights, 3), [0, 0, 0]);
        weights[1] = 1.0;
        edf.reweigh(1, 0.0, 1.0);
        assert_eq!(run(&mut edf, &weights, 4), [0, 1, 0, 1]);
    }

    #[test]
    fn a_member_that_comes_is_due_as_if_chosen_now() {
        let weights = [1.0, 1.0, 2.0];
        let mut edf = Edf::new(2, |_| 1.0);
        assert_eq!(run(&mut edf, &weights, 6), [0, 1, 0, 1, 0, 1]);
        edf.grow(3, |_| 2.0);
        // Time is 3: it is due at 3.5 and 4.0, the others at 4.0.
        assert_eq!(run(&mut edf, &weights, 4), [2, 0, 1, 2]);
    }

    #[test]
    fn a_reweighed_member_is_due_sooner() {
        // Due at 10; with ten times the weight at 1, as the others are.
        let mut weights = [1.0, 0.1];
        let mut edf = Edf::new(2, |member| weights[member as usize]);
        weights[1] = 1.0;
        edf.reweigh(1, 0.1, 1.0);
        assert_eq!(run(&mut edf, &weights, 4), [0, 1, 0, 1]);
    }
}
