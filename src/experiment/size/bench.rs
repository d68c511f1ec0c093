//! Where designs are run: looks are remembered, kept in a journal, and charged to a budget of events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::error::SizeError;
use super::journal::{Journal, Key, key};
use super::look::Look;
use super::setup::{At, Ready, Setup};
use crate::experiment::runner::{Control, run_plan};

/// Why a search ends before it is done.
#[derive(Debug)]
pub enum Halt {
    /// The budget is used up.
    Budget,
    /// Something failed, or it was asked to stop.
    Failed(SizeError),
}

impl From<SizeError> for Halt {
    fn from(error: SizeError) -> Halt {
        Halt::Failed(error)
    }
}

/// Events that may be simulated. Looks that are remembered from another time count as much as those that
/// are run, so that the answer is the same.
#[derive(Debug, Clone, Default)]
pub struct Purse {
    /// What is left.
    pub left: u64,
    /// What was spent; the last look may be dearer than what was left.
    pub spent: u64,
    /// What was paid for, once each.
    paid: BTreeSet<Key>,
}

impl Purse {
    /// So many events.
    pub fn of(events: u64) -> Purse {
        Purse {
            left: events,
            spent: 0,
            paid: BTreeSet::new(),
        }
    }

    /// Equal shares of what is left, each of which knows what was paid for.
    pub fn split(&self, among: usize) -> Vec<Purse> {
        let left = self.left / among.max(1) as u64;
        let share = Purse {
            left,
            spent: 0,
            paid: self.paid.clone(),
        };
        vec![share; among]
    }

    /// Takes back what shares have not spent.
    pub fn gather(&mut self, shares: Vec<Purse>) {
        let each = self.left / shares.len().max(1) as u64;
        for share in shares {
            self.left = self.left.saturating_sub(each - share.left);
            self.spent += share.spent;
            self.paid.extend(share.paid);
        }
    }
}

/// Where designs are run.
pub struct Bench<'a> {
    setup: &'a Setup,
    looks: Mutex<BTreeMap<Key, Look>>,
    journal: Mutex<Option<Journal>>,
    stop: &'a AtomicBool,
    progress: &'a (dyn Fn(u64) + Sync),
    ran: AtomicU64,
}

impl<'a> Bench<'a> {
    /// A bench that knows `looks`, and adds to the journal. `stop` is raised to end early; `progress` is
    /// told of every event that a purse paid for.
    pub fn new(
        setup: &'a Setup,
        (journal, looks): (Option<Journal>, BTreeMap<Key, Look>),
        stop: &'a AtomicBool,
        progress: &'a (dyn Fn(u64) + Sync),
    ) -> Bench<'a> {
        Bench {
            setup,
            looks: Mutex::new(looks),
            journal: Mutex::new(journal),
            stop,
            progress,
            ran: AtomicU64::new(0),
        }
    }

    /// What is sized.
    pub fn setup(&self) -> &'a Setup {
        self.setup
    }

    /// What is said when it was asked to stop.
    pub fn stopped(&self) -> SizeError {
        let journal = self.journal.lock();
        SizeError::Stopped {
            kept: journal.is_ok_and(|journal| journal.is_some()),
        }
    }

    /// Looks that were run, and not remembered.
    pub fn ran(&self) -> u64 {
        self.ran.load(Ordering::Relaxed)
    }

    /// A look at a design with so many replications (one, where nothing in it is random).
    ///
    /// # Errors
    /// [`Halt::Budget`] when the purse was empty before it began, [`Halt::Failed`] when it failed or was
    /// asked to stop.
    pub fn look(
        &self,
        ready: &Ready,
        at: At,
        replications: u32,
        purse: &mut Purse,
    ) -> Result<Look, Halt> {
        let key = key(ready.name(), &self.setup.settings(at), replications);
        let is_paid = purse.paid.contains(&key);
        if !is_paid && purse.left == 0 {
            return Err(Halt::Budget);
        }
        let known = self.looks.lock().ok().and_then(|it| it.get(&key).cloned());
        let look = match known {
            Some(look) => look,
            None => self.run(ready, at, replications, &key)?,
        };
        if !is_paid {
            purse.left = purse.left.saturating_sub(look.events);
            purse.spent += look.events;
            purse.paid.insert(key);
            (self.progress)(look.events);
        }
        Ok(look)
    }

    fn run(&self, ready: &Ready, at: At, replications: u32, key: &Key) -> Result<Look, Halt> {
        let mut plan = self.setup.plan(ready, at, replications)?;
        if plan.is_certain() {
            plan.scenario.run.replications = 1;
        }
        let control = Control {
            stop: Some(self.stop),
            ..Control::default()
        };
        let outcome = run_plan(plan, control);
        let outcome = outcome.map_err(|error| self.setup.failed(ready, at, error))?;
        if self.stop.load(Ordering::Relaxed) {
            return Err(self.stopped().into());
        }
        let look = Look::of(&outcome, &self.setup.objective, &ready.metrics);
        self.ran.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut journal) = self.journal.lock()
            && let Some(journal) = journal.as_mut()
        {
            journal.add(key, &look).map_err(SizeError::from)?;
        }
        if let Ok(mut looks) = self.looks.lock() {
            looks.insert(key.clone(), look.clone());
        }
        Ok(look)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_purse_add_up() {
        let mut purse = Purse::of(100);
        let mut shares = purse.split(3);
        assert!(shares.iter().all(|share| share.left == 33));
        (shares[0].left, shares[0].spent) = (0, 40);
        shares[1].left = 30;
        shares[0].paid.insert("a".to_owned());
        purse.gather(shares);
        assert_eq!((purse.left, purse.spent), (100 - 33 - 3, 40));
        assert!(purse.paid.contains("a"));
    }
}
