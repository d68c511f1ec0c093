//! What is wrong with a document, and where.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    // Shared, so that an error stays small.
    place: Arc<Place>,
    default: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    File(Arc<str>),
    Line(Arc<str>, u32),
    Override(Arc<str>),
    /// An entry of another file that says what is set, and the path that it sets.
    Entry(Arc<str>, Arc<str>),
}

impl Location {
    /// A file as a whole.
    pub fn file(file: impl Into<Arc<str>>) -> Location {
        Location {
            place: Arc::new(Place::File(file.into())),
            default: false,
        }
    }

    /// A line of a file, counted from 1.
    pub fn line(file: impl Into<Arc<str>>, line: u32) -> Location {
        Location {
            place: Arc::new(Place::Line(file.into(), line)),
            default: false,
        }
    }

    /// An override, by its path.
    pub fn set(path: impl Into<Arc<str>>) -> Location {
        Location {
            place: Arc::new(Place::Override(path.into())),
            default: false,
        }
    }

    /// The same override, written in an entry of another file: `e.toml:7: axes.nodes`.
    pub fn from_entry(self, entry: &str) -> Location {
        let place = match &*self.place {
            Place::Override(path) | Place::Entry(_, path) => {
                Arc::new(Place::Entry(Arc::from(entry), Arc::clone(path)))
            }
            _ => Arc::clone(&self.place),
        };
        Location { place, ..self }
    }

    /// The path of the override that it is, if it is one.
    pub fn override_path(&self) -> Option<&str> {
        match &*self.place {
            Place::Override(path) | Place::Entry(_, path) => Some(path),
            _ => None,
        }
    }

    /// The same place, for a field that is not written there and has its default.
    pub fn as_default(mut self) -> Location {
        self.default = true;
        self
    }

    /// Whether the field itself is not written: it has its default.
    pub fn is_default(&self) -> bool {
        self.default
    }

    /// Whether an override wrote it.
    pub fn is_override(&self) -> bool {
        self.override_path().is_some()
    }

    /// Whether an override wrote it by this very path, so that it need not be said twice.
    fn is_override_of(&self, field: &str) -> bool {
        self.override_path() == Some(field) && !self.default
    }

    /// Whether an override made it by setting a field within it.
    fn is_override_within(&self, field: &str) -> bool {
        let rest = self
            .override_path()
            .and_then(|path| path.strip_prefix(field));
        rest.is_some_and(|rest| rest.starts_with('.')) && !self.default
    }

    /// The line, where the place is one.
    pub fn line_number(&self) -> Option<u32> {
        match *self.place {
            Place::Line(_, line) => Some(line),
            _ => None,
        }
    }

    /// For sorting: the file as a whole, then its lines, then overrides.
    pub(super) fn rank(&self) -> u64 {
        match *self.place {
            Place::File(_) => 0,
            Place::Line(_, line) => u64::from(line),
            Place::Override(_) | Place::Entry(..) => u64::MAX,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.place {
            Place::File(file) => write!(f, "{file}")?,
            Place::Line(file, line) => write!(f, "{file}:{line}")?,
            Place::Override(path) => write!(f, "--set {path}")?,
            Place::Entry(entry, path) => write!(f, "{entry}: {path}")?,
        }
        if self.default {
            write!(f, " (default)")?;
        }
        Ok(())
    }
}

/// One thing that is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the value was written.
    pub location: Location,
    /// Full path of the field.
    pub field: String,
    /// The value as written; empty when there is none to show.
    pub value: String,
    /// What is wrong, in terms of what is allowed: `must be 1 to 1,000`.
    pub allowed: String,
    /// What to do about it; may be empty.
    pub remedy: String,
}

/// How a field that does not exist where it is written is told, before the names of those that do.
pub(super) const NO_FIELD_HERE: &str = "is not a field here";

impl Problem {
    /// Whether it is of a field that does not exist where it is written.
    pub fn is_unknown_field(&self) -> bool {
        self.allowed.starts_with(NO_FIELD_HERE)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem {
            location,
            field,
            value,
            allowed,
            remedy,
        } = self;
        write_problem(f, location, field, value, allowed, remedy)
    }
}

/// Why a document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScenarioError {
    /// The file cannot be read as text.
    #[error("{file}: {reason}")]
    NotReadable {
        /// The file, as shown to the user.
        file: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The text is not TOML.
    #[error("{file}:{line}:{column}: not valid TOML: {message}")]
    Syntax {
        /// The file, as shown to the user.
        file: String,
        /// Line, from 1.
        line: u32,
        /// Column in characters, from 1.
        column: u32,
        /// What the parser says.
        message: String,
    },
    /// A field is unknown, missing or of the wrong kind.
    #[error("{}", ShownField(.location, .field, .value, .allowed, .remedy))]
    Field {
        /// Where it was written.
        location: Location,
        /// Full path of the field.
        field: String,
        /// The value as written; empty when there is none to show.
        value: String,
        /// What is wrong, in terms of what is allowed.
        allowed: String,
        /// What to do about it; may be empty.
        remedy: String,
    },
    /// Values that are not allowed: all of them, in the order of their lines.
    #[error("{}", ShownList(.0))]
    Invalid(Vec<Problem>),
}

impl ScenarioError {
    /// What is wrong, field by field.
    ///
    /// # Errors
    /// The error itself, where it is of no field.
    pub fn into_problems(self) -> Result<Vec<Problem>, ScenarioError> {
        match self {
            ScenarioError::Field {
                location,
                field,
                value,
                allowed,
                remedy,
            } => Ok(vec![Problem {
                location,
                field,
                value,
                allowed,
                remedy,
            }]),
            ScenarioError::Invalid(all) => Ok(all),
            other => Err(other),
        }
    }

    /// The same error with each of its problems changed, such as to say where it comes from.
    pub fn with_problems(self, change: &dyn Fn(Problem) -> Problem) -> ScenarioError {
        let is_list = matches!(self, ScenarioError::Invalid(_));
        let problems = match self.into_problems() {
            Ok(problems) => problems,
            Err(other) => return other,
        };
        let mut changed: Vec<Problem> = problems.into_iter().map(change).collect();
        match changed.pop() {
            Some(one) if !is_list => ScenarioError::from(one),
            last => {
                changed.extend(last);
                ScenarioError::Invalid(changed)
            }
        }
    }

    /// The same error, said of the entry of another file that sets a field where it is of an override;
    /// `entry` knows them by path.
    pub fn with_entries(self, entry: &dyn Fn(&str) -> Option<String>) -> ScenarioError {
        self.with_problems(&|mut problem| {
            if let Some(entry) = problem.location.override_path().and_then(entry) {
                problem.location = problem.location.from_entry(&entry);
            }
            problem
        })
    }
}

impl From<Problem> for ScenarioError {
    fn from(problem: Problem) -> ScenarioError {
        ScenarioError::Field {
            location: problem.location,
            field: problem.field,
            value: problem.value,
            allowed: problem.allowed,
            remedy: problem.remedy,
        }
    }
}

struct ShownField<'a>(&'a Location, &'a str, &'a str, &'a str, &'a str);

impl fmt::Display for ShownField<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_problem(f, self.0, self.1, self.2, self.3, self.4)
    }
}

struct ShownList<'a>(&'a [Problem]);

impl fmt::Display for ShownList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

fn write_problem(
    f: &mut fmt::Formatter<'_>,
    location: &Location,
    field: &str,
    value: &str,
    allowed: &str,
    remedy: &str,
) -> fmt::Result {
    if location.is_override_of(field) {
        write!(f, "{location}")?;
    } else if location.is_override_within(field) && value.is_empty() {
        // Two paths with colons would read as if an empty value had been set.
        return write_rest(f, &format!("{location}: `{field}` {allowed}"), remedy);
    } else {
        write!(f, "{location}: {field}")?;
    }
    if !value.is_empty() {
        write!(f, " = {value}")?;
    }
    write_rest(f, &format!(": {allowed}"), remedy)
}

fn write_rest(f: &mut fmt::Formatter<'_>, text: &str, remedy: &str) -> fmt::Result {
    write!(f, "{text}")?;
    if !remedy.is_empty() {
        write!(f, "; {remedy}")?;
    }
    Ok(())
}
