//! Text files, gzipped or not, and what is in the way of reading them.

use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// How gzipped files begin.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why a file is not read, and what to do about it.
pub(crate) struct Unreadable {
    /// What is wrong, after the name of the file.
    pub(crate) cause: String,
    /// What to do.
    pub(crate) remedy: &'static str,
}

/// The text of a file, unpacked where it is gzipped.
///
/// # Errors
/// It cannot be read, is cut off or damaged, is empty, or is no UTF-8.
pub(crate) fn text_of(path: &Path) -> Result<String, Unreadable> {
    crate::inputs::note(path);
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let bytes = match bytes.starts_with(&GZIP) {
        false => bytes,
        true => {
            let mut plain = Vec::new();
            let read = MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain);
            read.map_err(|error| Unreadable {
                cause: format!("is gzipped, and cut off or damaged ({error})"),
                remedy: "fetch or pack it again",
            })?;
            plain
        }
    };
    let text = String::from_utf8(bytes).map_err(|error| Unreadable {
        cause: format!(
            "is no text in UTF-8 (byte {})",
            error.utf8_error().valid_up_to() + 1
        ),
        remedy: "give a text file in UTF-8, gzipped or not",
    })?;
    match text.trim().is_empty() {
        true => Err(Unreadable {
            cause: "is empty".to_owned(),
            remedy: "check whether what wrote it had ended, or give another",
        }),
        false => Ok(text),
    }
}

/// Why a file or folder is not read, as the operating system says it.
pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Unreadable {
    let remedy = match error.kind() {
        std::io::ErrorKind::PermissionDenied => "give yourself the permission to read it",
        std::io::ErrorKind::IsADirectory if path.is_dir() => "give a file, and no folder",
        _ => "check the path",
    };
    Unreadable {
        cause: format!("cannot be read ({error})"),
        remedy,
    }
}
