//! Which files were read, so that results that rest on other files are not mixed.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

thread_local! {
    /// What this thread has opened since it began to keep a record; none while it keeps none.
    static OPENED: RefCell<Option<BTreeSet<PathBuf>>> = const { RefCell::new(None) };
}

/// Notes that a file is about to be read. Everything in the library that opens a file of a user's
/// says so here.
pub fn note(path: &Path) {
    OPENED.with_borrow_mut(|opened| {
        if let Some(opened) = opened {
            opened.insert(path.to_owned());
        }
    });
}

/// What `work` gives, and the files that it opened on this thread. Records do not nest: one within
/// another takes the files from it.
pub fn recorded<T>(work: impl FnOnce() -> T) -> (T, BTreeSet<PathBuf>) {
    OPENED.with_borrow_mut(|opened| *opened = Some(BTreeSet::new()));
    let done = work();
    let files = OPENED.with_borrow_mut(Option::take);
    (done, files.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_opened_within_is_recorded() {
        note(Path::new("before"));
        let (sum, files) = recorded(|| {
            note(Path::new("b"));
            note(Path::new("a"));
            note(Path::new("b"));
            1 + 1
        });
        note(Path::new("after"));
        assert_eq!(sum, 2);
        assert_eq!(files, BTreeSet::from(["a".into(), "b".into()]));
        assert!(recorded(|| ()).1.is_empty());
    }
}
