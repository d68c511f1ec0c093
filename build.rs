//! Names the sources that this program is built of, so that results of two programs are told apart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What decides numbers: the program, and the data that it has within it.
const FOLDERS: [&str; 3] = ["src", "models", "calibration"];

fn main() -> io::Result<()> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        println!("cargo:rerun-if-changed={folder}");
        list(Path::new(folder), &mut files)?;
    }
    // The versions of what draws and adds up; a package that is published may lack the lock file.
    for file in ["Cargo.toml", "Cargo.lock"] {
        let file = Path::new(file);
        if file.exists() {
            println!("cargo:rerun-if-changed={}", file.display());
            files.push(file.to_owned());
        }
    }
    files.sort();
    let mut hash = Fnv::default();
    for file in &files {
        // Where a file lies is written alike on every system, and so is the end of a line.
        let name: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
        hash.add(name.join("/").as_bytes());
        hash.add(&fs::read(file)?);
    }
    println!("cargo:rustc-env=SEATRIAL_SOURCES={:016x}", hash.0);
    Ok(())
}

/// The files in a folder and those within it; pages for people decide no number.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else if path.extension().is_none_or(|it| it != "md") {
            files.push(path);
        }
    }
    Ok(())
}

/// FNV-1a of 64 bits: nobody is out to deceive it, and it takes no crate.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        // What ends one file begins no other: an end is no byte.
        let bytes = bytes.iter().filter(|byte| **byte != b'\r');
        for symbol in bytes.map(|byte| u64::from(*byte)).chain([256]) {
            self.0 = (self.0 ^ symbol).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
