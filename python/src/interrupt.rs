//! Long work without the interpreter's lock, that Ctrl-C ends.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::{PyResult, Python};
use rayon::ThreadPoolBuilder;

/// How often signals are looked for.
const PERIOD: Duration = Duration::from_millis(50);

/// Does work on a thread of its own while other threads of Python go on. A signal whose handler
/// raises an exception raises the flag that `work` is given; the exception is that of the call once
/// the work has come to its end.
///
/// # Errors
/// What a signal's handler raised; `RuntimeError` when the work panicked, which is a defect.
pub fn interruptible<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&AtomicBool) -> T + Send,
) -> PyResult<T> {
    let stop = AtomicBool::new(false);
    let (sender, receiver) = channel();
    let receiver = Mutex::new(receiver);
    std::thread::scope(|scope| {
        let stop = &stop;
        let working = scope.spawn(move || {
            let done = work(stop);
            // Whoever listens does so until the end.
            let _ = sender.send(done);
        });
        let mut raised = None;
        loop {
            let wait = || {
                let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
                receiver.recv_timeout(PERIOD)
            };
            match (py.detach(wait), raised.is_some()) {
                (Ok(done), _) => return raised.map_or(Ok(done), Err),
                (Err(RecvTimeoutError::Timeout), true) => {}
                (Err(RecvTimeoutError::Timeout), false) => {
                    raised = py.check_signals().err();
                    stop.store(raised.is_some(), Ordering::Relaxed);
                }
                (Err(RecvTimeoutError::Disconnected), _) => break,
            }
        }
        // Joined, so that the panic goes no further.
        let _ = working.join();
        let text = "internal failure, please report it with what is on standard error";
        Err(PyRuntimeError::new_err(text))
    })
}

/// Does work whose parts share so many threads; all that the machine has where none is said.
pub fn on_threads<T: Send>(threads: Option<usize>, work: impl FnOnce() -> T + Send) -> T {
    let pool = threads.map(|threads| ThreadPoolBuilder::new().num_threads(threads).build());
    match pool {
        Some(Ok(pool)) => pool.install(work),
        // No result depends on how many there are.
        _ => work(),
    }
}
