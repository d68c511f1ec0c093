//! Runs points on all threads, and has each on the disk as soon as it is finished.
//!
//! As many points are in flight as there are threads. While there are points enough each is run by one
//! thread; the replications of the last ones share all threads, so that none of these is idle.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use rayon::ThreadPoolBuilder;

use super::error::SweepError;
use super::journal::Journal;
use super::pending::Pending;
use super::point::Found;
use super::setup::Setup;
use crate::experiment::runner::Control;

/// What a sweep may use of the outside.
pub struct Watch<'a> {
    /// Points in flight at once, 1 or more.
    pub threads: usize,
    /// Raised to begin no more points.
    pub stop: &'a AtomicBool,
    /// Told which share of one replication was done since the last call.
    pub progress: &'a (dyn Fn(f64) + Sync),
}

/// Runs points. Returns whether all were run: not when it was stopped, and
/// then those that had begun are finished.
///
/// # Errors
/// Of the first point that failed, after those in flight have been finished and kept; or the journal
/// cannot be written.
pub fn run(
    setup: &Setup,
    pending: &Pending,
    journal: &mut Journal,
    watch: &Watch<'_>,
) -> Result<bool, SweepError> {
    let points: Vec<usize> = pending.points().collect();
    let work = Work {
        setup,
        pending: &points,
        next: AtomicUsize::new(0),
        alone: pending.len().saturating_sub(watch.threads),
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
        if let Err(error) = keep(&receiver, pending, journal) {
            work.fail(usize::MAX, error);
        }
    });
    let failed = work.failed.into_inner().unwrap_or_default();
    match failed {
        Some((_, error)) => Err(error),
        None => Ok(work.next.into_inner() >= points.len()),
    }
}

struct Work<'a> {
    setup: &'a Setup,
    pending: &'a [usize],
    /// How many of them were begun.
    next: AtomicUsize,
    /// How many of them are run by one thread each.
    alone: usize,
    /// What failed, by the number of the point.
    failed: Mutex<Option<(usize, SweepError)>>,
    halt: AtomicBool,
    watch: &'a Watch<'a>,
}

impl Work<'_> {
    fn until_done(&self, sender: &Sender<(usize, Found)>) {
        // A thread that is a pool of its own stays one: what is run alone has a thread for itself.
        std::thread::scope(|scope| {
            let alone = sender.clone();
            scope.spawn(move || {
                let own = ThreadPoolBuilder::new().num_threads(1).use_current_thread();
                // Without it the replications share all threads from the beginning.
                let _own = own.build();
                self.take(&alone, self.alone);
            });
        });
        self.take(sender, self.pending.len());
    }

    /// Runs points until so many of them have been begun.
    fn take(&self, sender: &Sender<(usize, Found)>, until: usize) {
        while let Some(index) = self.turn(until) {
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

    /// The next point, if it is one of the first so many and nobody asked to stop.
    fn turn(&self, until: usize) -> Option<usize> {
        if self.halt.load(Ordering::Relaxed) || self.watch.stop.load(Ordering::Relaxed) {
            return None;
        }
        let begun = |next: usize| (next < until).then_some(next + 1);
        let turn = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, begun);
        self.pending.get(turn.ok()?).copied()
    }

    fn find(&self, index: usize) -> Result<Found, SweepError> {
        let point = &self.setup.points[index];
        let plan = self.setup.plan_at(point)?;
        let control = Control {
            progress: Some(self.watch.progress),
            ..Control::default()
        };
        self.setup.find(point, plan, control)
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
fn keep(
    receiver: &Receiver<(usize, Found)>,
    pending: &Pending,
    journal: &mut Journal,
) -> Result<(), SweepError> {
    while let Ok(first) = receiver.recv() {
        let finished = std::iter::once(first).chain(receiver.try_iter());
        let all = finished.flat_map(|(index, found)| pending.found(index, &found));
        journal.add(all.collect())?;
    }
    Ok(())
}
