//! Prefix caches: which erasures wait for requests under way, whose blocks go with them.

use crate::engine::SimTime;
use crate::fleet::lsm::Subject;
use crate::scenario::erasure::OnKvErase;

use super::desk::{Erasure, Wish};

/// Whether requests hold blocks at a replica, of names that the second argument picks, that are to go.
pub type Holds<'a> = dyn Fn(u32, &dyn Fn(u64) -> bool) -> bool + 'a;

/// An erasure that waits.
#[derive(Debug, Clone)]
struct Waiting {
    case: u64,
    subject: Subject,
    told: SimTime,
    /// Names of requests of the subject that were under way when the caches were told: they make more
    /// blocks until they are gone.
    names: Vec<u64>,
    /// Replicas at which requests hold blocks that are to go.
    replicas: Vec<u32>,
}

/// All that wait.
#[derive(Debug, Clone, Default)]
pub(super) struct KvDesk {
    waiting: Vec<Waiting>,
}

impl KvDesk {
    /// An erasure waits.
    pub(super) fn wait(
        &mut self,
        case: u64,
        subject: Subject,
        told: SimTime,
        (replicas, names): (Vec<u32>, Vec<u64>),
    ) {
        self.waiting.push(Waiting {
            case,
            subject,
            told,
            names,
            replicas,
        });
    }

    /// Whether none does.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Erasures that wait for requests of a name.
    pub(super) fn waiting_for(&self, name: u64) -> Vec<(u64, Subject)> {
        let waiting = self.waiting.iter();
        let theirs = waiting.filter(|it| it.names.contains(&name));
        theirs.map(|it| (it.case, it.subject)).collect()
    }

    /// The blocks of a name have gone, but for those held at some replicas; `live` says whether a request of
    /// it is still under way. When the caches were told, if the case waits for nothing more.
    pub(super) fn told_of(
        &mut self,
        case: u64,
        name: u64,
        held: &[u32],
        live: bool,
    ) -> Option<SimTime> {
        let at = self.waiting.iter().position(|it| it.case == case)?;
        let waiting = self.waiting.get_mut(at)?;
        if !live {
            waiting.names.retain(|other| *other != name);
        }
        for replica in held {
            if !waiting.replicas.contains(replica) {
                waiting.replicas.push(*replica);
            }
        }
        self.done_at(at)
    }

    /// A request has gone. `holds` says whether others still hold something of a subject at a replica that is
    /// to go. Gives the cases that wait for nothing more, with when the caches were told.
    pub(super) fn let_go(&mut self, holds: impl Fn(u32, Subject) -> bool) -> Vec<(u64, SimTime)> {
        let mut done = Vec::new();
        for at in (0..self.waiting.len()).rev() {
            let waiting = &mut self.waiting[at];
            if waiting.replicas.is_empty() {
                continue;
            }
            let subject = waiting.subject;
            waiting.replicas.retain(|replica| holds(*replica, subject));
            let case = waiting.case;
            if let Some(told) = self.done_at(at) {
                done.push((case, told));
            }
        }
        done.reverse();
        done
    }

    /// Takes the one at a place out if it waits for nothing more.
    fn done_at(&mut self, at: usize) -> Option<SimTime> {
        let waiting = self.waiting.get(at)?;
        let done = waiting.names.is_empty() && waiting.replicas.is_empty();
        done.then(|| self.waiting.remove(at).told)
    }

    /// Erasures that wait, with when the caches were told.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, SimTime)> + '_ {
        self.waiting.iter().map(|it| (it.case, it.told))
    }
}

impl Erasure {
    /// The prefix caches have forgotten a case's subject, but for what requests hold at some replicas.
    /// `names`: requests of the subject from before its erasure that are under way.
    pub fn kv_told(&mut self, case: u64, now: SimTime, held: Vec<u32>, names: Vec<u64>) {
        let (Some(row), Some(of)) = (self.kv_row, self.cases.get(&case)) else {
            return;
        };
        if names.is_empty() && held.is_empty() {
            return self.finish(case, row, None, (now, now, now));
        }
        self.kv.wait(case, of.subject, now, (held, names));
    }

    /// They have forgotten what there was of a name, for a case that waited for it; `live` where a request
    /// of it is still under way.
    pub fn kv_told_of(&mut self, case: u64, name: u64, now: SimTime, held: &[u32], live: bool) {
        let told = self.kv.told_of(case, name, held, live);
        if let (Some(told), Some(row)) = (told, self.kv_row) {
            self.finish(case, row, None, (told, told, now));
        }
    }

    /// Up to when a case erases; none where it is over.
    #[must_use]
    pub fn stamp_of(&self, case: u64) -> Option<SimTime> {
        self.cases.get(&case).map(|case| case.stamp)
    }

    /// Whether an erasure waits for blocks that requests hold or make.
    #[inline]
    #[must_use]
    pub fn waits_for_kv(&self) -> bool {
        !self.kv.is_empty()
    }

    /// A request of that name has gone. `holds` says whether requests still hold something of a name at a
    /// replica that is to go.
    pub fn kv_gone(&mut self, name: u64, now: SimTime, holds: &Holds<'_>) {
        self.forget_name(name);
        let subjects = &self.subjects;
        let all = self.resets_kv();
        let of = |replica: u32, subject: Subject| {
            holds(replica, &|name| all || subjects.of(name) == Some(subject))
        };
        for (case, told) in self.kv.let_go(of) {
            if let Some(row) = self.kv_row {
                self.finish(case, row, None, (told, told, now));
            }
        }
    }

    /// Wishes that the caches forget a name for the cases that wait for it.
    pub(super) fn forget_name(&mut self, name: u64) {
        for (case, subject) in self.kv.waiting_for(name) {
            self.wishes.push(Wish::ForgetKv {
                case,
                subject,
                name: Some(name),
            });
        }
    }

    /// Whether prefix caches are emptied for every erasure.
    #[must_use]
    pub fn resets_kv(&self) -> bool {
        let kv = self.plan.kv.as_ref();
        kv.is_some_and(|kv| kv.on_erase == OnKvErase::Reset)
    }
}
