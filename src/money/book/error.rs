//! What is wrong with a price file, or missing from it.

/// Why a price could not be read or found.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BookError {
    /// The text is not TOML, or not of the form of a price file.
    #[error("{}: {message}: correct this line, the message says what may stand there", place(file, *line))]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// What is wrong.
        message: String,
    },
    /// A value that is not allowed.
    #[error(transparent)]
    Value(Box<BadValue>),
    /// Two entries of one file are for the same thing.
    #[error(
        "{}: {entry} was given before on line {first_line}: remove one of the two",
        place(file, *line)
    )]
    Duplicate {
        /// The file.
        file: String,
        /// The line of the second, from 1.
        line: Option<usize>,
        /// The line of the first, from 1.
        first_line: usize,
        /// The table and the names of the entry.
        entry: String,
    },
    /// The book has no such entry.
    #[error(
        "no price book entry for {asked}: {}, or add a [[{table}]] entry to a price file",
        instead(nearest, *more)
    )]
    NotFound {
        /// The table that was searched.
        table: &'static str,
        /// The table and the names that were asked for.
        asked: String,
        /// The names of the entries most like it, the likest first.
        nearest: Vec<String>,
        /// How many more entries the table has.
        more: usize,
    },
}

/// A value of a price file that is not allowed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "{}: {field} of {entry} is {value}, but must be {allowed}: {remedy}",
    place(file, *line)
)]
pub struct BadValue {
    /// The file.
    pub file: String,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// The table and the names of the entry, such as `compute aws/h100-sxm/us-east-1`.
    pub entry: String,
    /// The field.
    pub field: &'static str,
    /// Its value as read.
    pub value: String,
    /// What is allowed, in words.
    pub allowed: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

fn place(file: &str, line: Option<usize>) -> String {
    line.map_or_else(|| String::from(file), |line| format!("{file}:{line}"))
}

fn instead(nearest: &[String], more: usize) -> String {
    if nearest.is_empty() {
        return String::from("it has none at all");
    }
    let list = nearest.join(", ");
    match more {
        0 => format!("there are {list}; name one of them"),
        _ => format!("the nearest are {list} ({more} more); name one of them"),
    }
}
