//! Calls what panics on damaged files.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is expected, and nothing to be told of.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// What `call` gives; none if it panicked, of which nothing is printed. Panics elsewhere are told as
/// ever.
pub fn unless_it_panics<T>(call: impl FnOnce() -> T) -> Option<T> {
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !EXPECTED.get() {
                before(info);
            }
        }));
    });
    EXPECTED.set(true);
    // Nothing that `call` leaves half done is used afterwards.
    let result = catch_unwind(AssertUnwindSafe(call));
    EXPECTED.set(false);
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_no_result() {
        assert_eq!(unless_it_panics(|| 1), Some(1));
        assert_eq!(unless_it_panics(|| -> u32 { panic!("damaged") }), None);
        // It is over after the call.
        assert!(!EXPECTED.get());
    }
}
