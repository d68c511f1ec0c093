//! Runs points on all threads, and has each on the disk as soon as it is finished.
//!
//! As many points are in flight as there are threads, and their replications share the same
//! threads, so that the last points of a sweep keep all of them busy, too.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::error::SweepError;
use super::journal::Journal;
use super::point::Found;
use super::setup::Setup;
use crate::experiment::runner::{Control, run_plan};

/// What a sweep may use of the outside.
pub struct Watch<'a> {
    /// Points in flight at once, 1 or more.
    pub threads: usize,
    /// Raised to begin no more points.
    pub stop: &'a AtomicBool,
    /// Told which share of one replication was done since the last call.
    pub progress: &'a (dyn Fn(f64) + Sync),
}

/// Runs the points of the given numbers. Returns whether all were run: not when it was stopped, and
/// then those that had begun are finished.
///
/// # Errors
/// Of the first point that failed, after those in flight have been finished and kept; or the journal
/// cannot be written.
pub fn run(
    setup: &Setup,
    pending: &[usize],
    journal: &mut Journal,
    watch: &Watch<'_>,
) -> Result<bool, SweepError> {
    let work = Work {
        setup,
        pending,
        next: AtomicUsize::new(0),
        failed: Mutex::new(None),
        halt: AtomicBool::new(false),
        watch,
    };
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        for _ in 0..watch.threads.min(pending.len()) {
            let sender = sender.clone();
            let work = &work;
            scope.spawn(move || work.until_done(&sender));
        }
        drop(sender);
        if let Err(error) = keep(&receiver, journal) {
            work.fail(usize::MAX, error);
        }
    });
    let failed = work.failed.into_inner().unwrap_or_default();
    match failed {
        Some((_, error)) => Err(error),
        None => Ok(work.next.into_inner() >= pending.len()),
    }
}

struct Work<'a> {
    setup: &'a Setup,
    pending: &'a [usize],
    /// How many of them were begun, or more.
    next: AtomicUsize,
    /// What failed, by the number of the point.
    failed: Mutex<Option<(usize, SweepError)>>,
    halt: AtomicBool,
    watch: &'a Watch<'a>,
}

impl Work<'_> {
    fn until_done(&self, sender: &Sender<(usize, Found)>) {
        loop {
            if self.halt.load(Ordering::Relaxed) || self.watch.stop.load(Ordering::Relaxed) {
                return;
            }
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(index) = self.pending.get(turn).copied() else {
                return;
            };
            match self.find(index) {
                // Whoever listens has gone only where the journal could not be written.
                Ok(found) => match sender.send((index, found)) {
                    Ok(()) => {}
                    Err(_) => return,
                },
                Err(error) => self.fail(index, error),
            }
        }
    }

    fn find(&self, index: usize) -> Result<Found, SweepError> {
        let point = &self.setup.points[index];
        let plan = self.setup.plan_at(point)?;
        let control = Control {
            progress: Some(self.watch.progress),
            ..Control::default()
        };
        let outcome = run_plan(plan, control);
        let outcome = outcome.map_err(|error| self.setup.failed(point, error))?;
        Ok(Found::of(&outcome, &self.setup.metrics))
    }

    /// Of several failures the one of the first point is told.
    fn fail(&self, index: usize, error: SweepError) {
        self.halt.store(true, Ordering::Relaxed);
        if let Ok(mut failed) = self.failed.lock()
            && failed.as_ref().is_none_or(|(earlier, _)| index < *earlier)
        {
            *failed = Some((index, error));
        }
    }
}

/// Writes what is finished until nothing more can come. Points that were finished while the disk
/// was busy go to it together.
fn keep(receiver: &Receiver<(usize, Found)>, journal: &mut Journal) -> Result<(), SweepError> {
    while let Ok(first) = receiver.recv() {
        let mut finished = vec![first];
        finished.extend(receiver.try_iter());
        journal.add(finished)?;
    }
    Ok(())
}
