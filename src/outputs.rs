//! Files that are written as they come, gzipped or not, to their last byte.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

/// A file that is being written. What is not finished may lack its end.
pub enum Output {
    /// As it is.
    Plain(BufWriter<File>),
    /// Gzipped; equal content gives equal bytes.
    Packed(GzEncoder<BufWriter<File>>),
}

impl Output {
    /// Opens a file; it is gzipped where its name ends in `.gz`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> io::Result<Output> {
        Ok(Output::to(File::create(path)?, path))
    }

    /// Writes to a file that is open, as that name asks for.
    pub fn to(file: File, name: &Path) -> Output {
        let file = BufWriter::new(file);
        match name.extension().is_some_and(|ending| ending == "gz") {
            true => Output::Packed(GzEncoder::new(file, Compression::default())),
            false => Output::Plain(file),
        }
    }

    /// Writes what is left. A file that is only dropped would not say that its disk was full.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> io::Result<()> {
        match self {
            Output::Plain(mut file) => file.flush(),
            Output::Packed(packed) => packed.finish()?.flush(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::Plain(file) => file.write(bytes),
            Output::Packed(packed) => packed.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Plain(file) => file.flush(),
            Output::Packed(packed) => packed.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_finished_file_is_whole_and_a_full_disk_is_told() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        for name in ["a.csv", "a.csv.gz"] {
            let path = folder.path().join(name);
            let mut out = Output::create(&path)?;
            out.write_all(b"one line\n")?;
            out.finish()?;
            let mut text = String::new();
            match name.ends_with("gz") {
                true => {
                    flate2::read::GzDecoder::new(File::open(&path)?).read_to_string(&mut text)?
                }
                false => File::open(&path)?.read_to_string(&mut text)?,
            };
            assert_eq!(text, "one line\n", "{name}");
        }
        // Nothing can be written there; where there is no such device, there is nothing to see.
        if let Ok(full) = File::options().write(true).open("/dev/full") {
            let mut out = Output::to(full, Path::new("x.gz"));
            out.write_all(b"one line\n")?;
            assert!(out.finish().is_err());
        }
        Ok(())
    }
}
