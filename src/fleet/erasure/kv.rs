//! Prefix caches: which erasures wait for requests under way, whose blocks go with them.

use crate::engine::SimTime;
use crate::fleet::lsm::Subject;

/// An erasure that waits.
#[derive(Debug, Clone)]
struct Waiting {
    case: u64,
    subject: Subject,
    told: SimTime,
    /// Replicas at which requests hold blocks that are to go.
    replicas: Vec<u32>,
    /// Whether requests of the subject from before are under way: they make more blocks.
    live: bool,
    /// Names of the requests of the subject that were under way when the caches were told first.
    names: Vec<u64>,
}

/// All that wait.
#[derive(Debug, Clone, Default)]
pub(super) struct KvDesk {
    waiting: Vec<Waiting>,
}

/// What is to be done about the erasures that wait, after a request has gone.
#[derive(Debug, Default)]
pub(super) struct KvNews {
    /// Done, with when the caches were told.
    pub(super) done: Vec<(u64, SimTime)>,
    /// The caches are to be told again.
    pub(super) again: Vec<(u64, Subject)>,
}

impl KvDesk {
    /// An erasure waits; `names` are of the requests of the subject under way, if it was not told before.
    pub(super) fn wait(
        &mut self,
        case: u64,
        subject: Subject,
        now: SimTime,
        (replicas, live, names): (Vec<u32>, bool, Vec<u64>),
    ) {
        let at = self.waiting.iter().position(|it| it.case == case);
        if let Some(known) = at.and_then(|at| self.waiting.get_mut(at)) {
            known.replicas = replicas;
            known.live = live;
            return;
        }
        self.waiting.push(Waiting {
            case,
            subject,
            told: now,
            replicas,
            live,
            names,
        });
    }

    /// The names of an erasure that waits.
    pub(super) fn names(&self, case: u64) -> Option<&[u64]> {
        let mut waiting = self.waiting.iter();
        let found = waiting.find(|it| it.case == case)?;
        Some(&found.names)
    }

    /// An erasure waits no more; when it was told first, if it waited.
    pub(super) fn take(&mut self, case: u64) -> Option<SimTime> {
        let at = self.waiting.iter().position(|it| it.case == case)?;
        Some(self.waiting.remove(at).told)
    }

    /// Whether an erasure waits.
    pub(super) fn waits(&self, case: u64) -> bool {
        self.waiting.iter().any(|it| it.case == case)
    }

    /// Whether none does.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A request of a subject has gone, that was at a replica last. `holds` says whether requests still hold
    /// blocks of a subject there that are to go.
    pub(super) fn gone(
        &mut self,
        subject: Option<Subject>,
        replica: Option<u32>,
        holds: impl Fn(Subject) -> bool,
    ) -> KvNews {
        let mut news = KvNews::default();
        for waiting in &mut self.waiting {
            if waiting.live && subject == Some(waiting.subject) {
                news.again.push((waiting.case, waiting.subject));
                continue;
            }
            let here = |other: &u32| Some(*other) == replica;
            if waiting.replicas.iter().any(here) && !holds(waiting.subject) {
                waiting.replicas.retain(|other| !here(other));
                if waiting.replicas.is_empty() && !waiting.live {
                    news.done.push((waiting.case, waiting.told));
                }
            }
        }
        for (case, _) in &news.done {
            self.take(*case);
        }
        news
    }

    /// Erasures that wait, with when the caches were told.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, SimTime)> + '_ {
        self.waiting.iter().map(|it| (it.case, it.told))
    }
}
