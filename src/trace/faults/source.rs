//! Files of records: read whole, gzipped or not, and told apart by their content.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;
use std::str::FromStr;

use flate2::bufread::MultiGzDecoder;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{FaultImportError, json_error};
use crate::inputs::note;
use crate::trace::error::shorten;

/// The most text that is read, unpacked: 256 MiB.
pub const MAX_RECORD_BYTES: u64 = 256 << 20;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What records of faults are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultFormat {
    /// Events, as `kubectl get events -o json` prints them.
    Kubernetes,
    /// Interruption notices of AWS spot instances, one JSON object a line.
    Spot,
    /// A timeline written by hand, TOML.
    Timeline,
}

impl FaultFormat {
    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            FaultFormat::Kubernetes => "kubernetes",
            FaultFormat::Spot => "spot",
            FaultFormat::Timeline => "timeline",
        }
    }

    /// Finds the format from a text; `name` stands for the file in errors.
    ///
    /// # Errors
    /// When it is neither.
    pub fn of(text: &str, name: &str) -> Result<FaultFormat, FaultImportError> {
        let lines = (1..).zip(text.lines());
        let Some((number, first)) = lines.into_iter().find(|(_, line)| !line.trim().is_empty())
        else {
            return Err(FaultImportError::Unreadable {
                name: name.into(),
                why: "is empty".into(),
                remedy: "give a file of events or notices",
            });
        };
        let unknown = || FaultImportError::UnknownFormat {
            name: name.into(),
            line: number,
            first: shorten(first.trim()),
        };
        if text.contains("[[faults.timeline]]") && !first.trim_start().starts_with('{') {
            return Ok(FaultFormat::Timeline);
        }
        match serde_json::from_str::<Value>(first) {
            Ok(Value::Object(fields)) if fields.contains_key("items") => {
                Ok(FaultFormat::Kubernetes)
            }
            Ok(Value::Object(fields))
                if ["action", "detail-type"]
                    .iter()
                    .any(|key| fields.contains_key(*key)) =>
            {
                Ok(FaultFormat::Spot)
            }
            Ok(_) => Err(unknown()),
            // An object over several lines.
            Err(_) if first.trim_start().starts_with('{') && text.contains("\"items\"") => {
                Ok(FaultFormat::Kubernetes)
            }
            Err(_) => match serde_json::from_str::<IgnoredAny>(text) {
                Ok(_) => Err(unknown()),
                Err(error) => Err(json_error(name, &error, None)),
            },
        }
    }
}

impl FromStr for FaultFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<FaultFormat, String> {
        let all = [
            FaultFormat::Kubernetes,
            FaultFormat::Spot,
            FaultFormat::Timeline,
        ];
        let found = all.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| "must be kubernetes, spot or timeline".to_owned())
    }
}

/// Reads a file of records, gzipped or not.
///
/// # Errors
/// When it cannot be read, is damaged or too large, or is not UTF-8.
pub fn read_records(path: &Path) -> Result<String, FaultImportError> {
    let refuse = |why: &str, remedy: &'static str| FaultImportError::Unreadable {
        name: path.display().to_string().into(),
        why: why.into(),
        remedy,
    };
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => refuse("does not exist", "check the path"),
        ErrorKind::IsADirectory => refuse("is a directory", "name one file in it"),
        ErrorKind::PermissionDenied => refuse(
            "may not be read (permission denied)",
            "allow it with `chmod +r`",
        ),
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData => refuse(
            &format!("the gzip data is damaged or ends early ({error})"),
            "copy or download the file again",
        ),
        _ => refuse(
            &format!("reading failed: {error}"),
            "try again or copy the file to a local disk",
        ),
    };
    note(path);
    let mut input = BufReader::new(File::open(path).map_err(failed)?);
    let packed = input.fill_buf().map_err(failed)?.starts_with(&GZIP_MAGIC);
    let mut bytes = Vec::new();
    let most = MAX_RECORD_BYTES + 1;
    let read = match packed {
        true => MultiGzDecoder::new(input)
            .take(most)
            .read_to_end(&mut bytes),
        false => input.take(most).read_to_end(&mut bytes),
    };
    read.map_err(failed)?;
    if bytes.len() as u64 > MAX_RECORD_BYTES {
        let remedy = "select a shorter stretch of time, or fewer kinds of events";
        return Err(refuse("is larger than 256 MiB", remedy));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = &error.as_bytes()[..at];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        refuse(
            &format!("line {line} is not UTF-8, the only encoding allowed"),
            "convert the file (`iconv -t utf-8`)",
        )
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}
