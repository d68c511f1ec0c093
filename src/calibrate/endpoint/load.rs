//! So many users, each of whom sends a request when the one before has been answered.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::client::{Client, Dialect, Question};
use super::outcome::{Answer, Failed};

/// Failures in a row, without an answer among them, after which a load is given up.
pub const MOST_FAILURES: u32 = 5;
/// Time left below which no request is begun.
const LEAST_LEFT: Duration = Duration::from_millis(1);

/// Who is asked, and how.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The client.
    pub client: &'a Client,
    /// The model.
    pub model: &'a str,
    /// What the server understands.
    pub dialect: Dialect,
    /// Time of a request.
    pub timeout: Duration,
    /// The end of the whole measurement.
    pub end: Instant,
}

/// What came of a load.
#[derive(Debug, Default)]
pub struct Load {
    /// Answers, as they ended.
    pub answers: Vec<Answer>,
    /// Failures, as they came.
    pub failed: Vec<Failed>,
    /// Requests that were not sent: time was over, or too many had failed.
    pub not_sent: u32,
}

impl Target<'_> {
    /// One request.
    ///
    /// # Errors
    /// What went wrong; out of time where the measurement has ended.
    #[allow(clippy::disallowed_methods)] // a measurement of a server, no simulated result
    pub fn ask(&self, question: &Question) -> Result<Answer, Failed> {
        let left = self.end.saturating_duration_since(Instant::now());
        let within = self.timeout.min(left).max(LEAST_LEFT);
        self.client.ask(self.model, question, self.dialect, within)
    }

    /// Whether there is time for another request.
    #[allow(clippy::disallowed_methods)] // as above
    pub fn has_time(&self) -> bool {
        self.end.saturating_duration_since(Instant::now()) > LEAST_LEFT
    }

    /// Sends `count` questions from so many users, a thread each; `question` makes the `n`th, and
    /// `each` is told of every one that ended.
    pub fn load(
        &self,
        users: u32,
        count: u32,
        question: &(dyn Fn(u32) -> Question + Sync),
        each: &(dyn Fn() + Sync),
    ) -> Load {
        let next = AtomicU32::new(0);
        let sent = AtomicU32::new(0);
        let in_a_row = AtomicU32::new(0);
        let given_up = AtomicBool::new(false);
        let load = Mutex::new(Load::default());
        let user = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count || given_up.load(Ordering::Relaxed) || !self.has_time() {
                    return;
                }
                sent.fetch_add(1, Ordering::Relaxed);
                let outcome = self.ask(&question(number));
                each();
                let mut load = match load.lock() {
                    Ok(load) => load,
                    // A thread that panicked has left whole entries only.
                    Err(poisoned) => poisoned.into_inner(),
                };
                match outcome {
                    Ok(answer) => {
                        in_a_row.store(0, Ordering::Relaxed);
                        load.answers.push(answer);
                    }
                    Err(failed) => {
                        load.failed.push(failed);
                        if in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_FAILURES {
                            given_up.store(true, Ordering::Relaxed);
                        }
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..users.min(count) {
                scope.spawn(user);
            }
        });
        let mut load = load
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        load.not_sent = count.saturating_sub(sent.into_inner());
        load
    }
}
