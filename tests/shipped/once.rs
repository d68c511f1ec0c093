//! What commands give that more than one test asks for: each is run once.

#![allow(clippy::expect_used)] // helpers of tests

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, OnceLock};

/// Where commands write what they have in `/tmp`.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shipped");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    })
}

/// The folder that a run of a shipped experiment without any option writes; none of another command.
pub fn folder_of(line: &str) -> Option<PathBuf> {
    let name = line.strip_prefix("run experiments/")?;
    let name = name.strip_suffix(".toml")?;
    (!name.contains(' ')).then(|| folder().join("runs").join(name))
}

/// What `seatrial` gives with the arguments of a line, which have no blanks in them. Runs of shipped
/// experiments write their folders besides.
pub fn seatrial(line: &str) -> Arc<Output> {
    type Place = Arc<OnceLock<Arc<Output>>>;
    static GIVEN: Mutex<BTreeMap<String, Place>> = Mutex::new(BTreeMap::new());
    let place = {
        let mut given = GIVEN.lock().expect("no test failed within");
        Arc::clone(given.entry(line.to_owned()).or_default())
    };
    let output = place.get_or_init(|| {
        let there = line.replace("/tmp/", &format!("{}/", folder().display()));
        let words = there.split_whitespace().map(|word| word.trim_matches('\''));
        let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
        command.args(words).current_dir(env!("CARGO_MANIFEST_DIR"));
        if let Some(folder) = folder_of(line) {
            command.args(["--threads", "2", "--out"]).arg(folder);
        }
        Arc::new(command.output().expect("the binary runs"))
    });
    Arc::clone(output)
}

/// What a command prints.
pub fn page(line: &str) -> String {
    String::from_utf8(seatrial(line).stdout.clone()).expect("UTF-8")
}
