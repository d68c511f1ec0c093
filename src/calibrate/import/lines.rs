//! CSV files, gzipped or not, whose errors name line and column.

use std::collections::BTreeSet;
use std::path::Path;

use csv::{Reader, ReaderBuilder, StringRecord};

use super::ImportError;
use crate::calibrate::gpu::record;
use crate::trace::error::shorten;
use crate::validate::lines::plain_ends;

/// The most that a number may be.
const MOST: f64 = 1e12;

/// The text of a file, unpacked where it is gzipped.
pub fn text_of(path: &Path) -> Result<String, ImportError> {
    let text = record::text_of(path).map_err(|why| ImportError::File {
        file: path.display().to_string(),
        cause: why.cause,
        remedy: why.remedy,
    })?;
    Ok(plain_ends(text))
}

/// A CSV file with names in its first line.
pub struct Lines<'a> {
    file: String,
    format: &'static str,
    names: StringRecord,
    reader: Reader<&'a [u8]>,
}

/// One line of it.
pub struct Line<'a> {
    lines: (&'a str, &'a StringRecord),
    record: &'a StringRecord,
    number: u64,
}

impl<'a> Lines<'a> {
    /// The names in the first line of a text; none if it has none.
    pub fn names(text: &str) -> Vec<String> {
        let mut reader = ReaderBuilder::new().from_reader(text.as_bytes());
        let names = reader.headers();
        names.map_or_else(
            |_| Vec::new(),
            |names| names.iter().map(str::to_owned).collect(),
        )
    }

    /// Begins to read; `format` is what errors call it.
    pub fn new(file: String, text: &'a str, format: &'static str) -> Result<Self, ImportError> {
        let mut reader = ReaderBuilder::new().from_reader(text.as_bytes());
        let names = reader.headers().map_err(|error| broken(&file, &error))?;
        let names = names.clone();
        once(&file, &names)?;
        Ok(Self {
            file,
            format,
            names,
            reader,
        })
    }

    /// The place of a column that may be missing.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other.trim() == name)
    }

    /// The place of a column.
    pub fn column(&self, name: &str) -> Result<usize, ImportError> {
        self.find(name).ok_or_else(|| ImportError::Column {
            file: self.file.clone(),
            name: name.to_owned(),
            format: self.format,
            columns: self.names.iter().collect::<Vec<_>>().join(", "),
        })
    }

    /// The places of columns.
    pub fn columns<const N: usize>(&self, names: [&str; N]) -> Result<[usize; N], ImportError> {
        let mut places = [0; N];
        for (place, name) in places.iter_mut().zip(names) {
            *place = self.column(name)?;
        }
        Ok(places)
    }

    /// Gives every line to `each`.
    pub fn for_each(
        mut self,
        mut each: impl FnMut(&Line<'_>) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let mut record = StringRecord::new();
        loop {
            let more = self.reader.read_record(&mut record);
            if !more.map_err(|error| broken(&self.file, &error))? {
                return Ok(());
            }
            let number = record.position().map_or(0, csv::Position::line);
            each(&Line {
                lines: (&self.file, &self.names),
                record: &record,
                number,
            })?;
        }
    }
}

impl Line<'_> {
    /// The text of a cell.
    pub fn text(&self, place: usize) -> &str {
        self.record.get(place).unwrap_or_default().trim()
    }

    /// A whole number of at least `least`.
    pub fn whole(&self, place: usize, least: u64) -> Result<u64, ImportError> {
        let text = self.text(place);
        // Tools that go by floats write 128.0.
        let number = text.strip_suffix(".0").unwrap_or(text).parse::<u64>();
        match number {
            Ok(number) if number >= least && number <= u64::from(u32::MAX) => Ok(number),
            _ => Err(self.refuse(
                place,
                match least {
                    0 => "a whole number of at most 4,294,967,295",
                    _ => "a whole number from 1 to 4,294,967,295",
                },
            )),
        }
    }

    /// A number from 0 to 1e12; none in an empty cell.
    pub fn number(&self, place: usize) -> Result<Option<f64>, ImportError> {
        match self.text(place) {
            "" | "nan" | "NaN" => Ok(None),
            text => match text.parse::<f64>() {
                Ok(number) if (0.0..=MOST).contains(&number) => Ok(Some(number)),
                _ => Err(self.refuse(place, "a number from 0 to 1e12, or empty")),
            },
        }
    }

    /// What to say of a cell that is not what it should be.
    pub fn refuse(&self, place: usize, allowed: &'static str) -> ImportError {
        let (file, names) = self.lines;
        ImportError::Cell {
            file: file.to_owned(),
            line: self.number,
            column: place + 1,
            name: names.get(place).unwrap_or_default().to_owned(),
            value: shorten(self.text(place)).to_string(),
            allowed,
        }
    }
}

/// Refuses a name that two columns have: which of them is meant, nothing tells.
fn once(file: &str, names: &StringRecord) -> Result<(), ImportError> {
    let mut seen = BTreeSet::new();
    let twice = names.iter().enumerate().find(|(_, name)| {
        let name = name.trim();
        !name.is_empty() && !seen.insert(name)
    });
    match twice {
        None => Ok(()),
        Some((at, name)) => Err(ImportError::Line {
            file: file.to_owned(),
            line: 1,
            cause: format!("column {} has the name `{name}` of another", at + 1),
        }),
    }
}

fn broken(file: &str, error: &csv::Error) -> ImportError {
    let line = error.position().map_or(1, csv::Position::line);
    let cause = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("has {len} cells where the first line has {expected_len}"),
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8".to_owned(),
        _ => error.to_string(),
    };
    ImportError::Line {
        file: file.to_owned(),
        line,
        cause,
    }
}
