//! SkyPilot's spot traces: `{"metadata":{"gap_seconds":300},"data":[16,16,...]}`
//! (repository skypilot-org/spot-traces), one node count per tick.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::fleet::spot::errors::InputError;
use crate::fleet::spot::json::Found;
use crate::fleet::spot::recording::{
    MAX_NODES, MAX_OBSERVATIONS, MAX_SPAN_SECONDS, ReadReport, Recording,
};
use crate::fleet::spot::rows::NS_PER_SECOND;

/// Shortest and longest tick, seconds (1 ms to 7 days). A choice of this crate;
/// public traces have 30 to 600 s.
const GAP_RANGE_S: std::ops::RangeInclusive<f64> = 0.001..=604_800.0;

/// A value that is not accepted, before its place is known.
struct Problem {
    field: String,
    value: String,
    allowed: String,
    remedy: &'static str,
}

/// What has been read so far.
#[derive(Default)]
struct Draft {
    metadata_seen: bool,
    gap_ns: Option<u64>,
    counts: Option<Vec<u32>>,
    ignored: Vec<String>,
    problem: Option<Problem>,
}

impl Draft {
    /// Notes a problem and stops the reader, whose error then has the place.
    fn stop<E: de::Error>(
        &mut self,
        field: impl Into<String>,
        value: impl Into<String>,
        allowed: impl Into<String>,
        remedy: &'static str,
    ) -> E {
        self.problem = Some(Problem {
            field: field.into(),
            value: value.into(),
            allowed: allowed.into(),
            remedy,
        });
        E::custom("value not accepted")
    }

    /// The same key twice: which one counts cannot be known.
    fn twice<E: de::Error>(&mut self, field: &str) -> E {
        self.stop(field, "given twice", "one", "remove all but one")
    }
}

/// Reads a SkyPilot trace.
pub(crate) fn parse(file: &str, text: &str) -> Result<Recording, InputError> {
    let mut draft = Draft::default();
    let mut reader = serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}'));
    let read = Top(&mut draft)
        .deserialize(&mut reader)
        .and_then(|()| reader.end());
    read.map_err(|error| located(file, &error, draft.problem.take()))?;
    let missing = |problem: &str| InputError::Syntax {
        file: file.to_owned(),
        line: 1,
        column: 1,
        problem: problem.to_owned(),
        remedy: r#"write {"metadata":{"gap_seconds":300},"data":[16,16]}"#,
    };
    let gap_ns =
        (draft.gap_ns).ok_or_else(|| missing("the field metadata.gap_seconds is missing"))?;
    let counts = (draft.counts).ok_or_else(|| missing("the field data is missing"))?;
    recording(file, gap_ns, &counts, draft.ignored)
}

/// The ticks with their times.
fn recording(
    file: &str,
    gap_ns: u64,
    counts: &[u32],
    ignored_fields: Vec<String>,
) -> Result<Recording, InputError> {
    let ticks = counts.len() as u64;
    // The limits on ticks and gap keep the product within 64 bits.
    let duration_ns = ticks.saturating_mul(gap_ns);
    if ticks == 0 || duration_ns > MAX_SPAN_SECONDS * NS_PER_SECOND {
        return Err(InputError::Size {
            file: file.to_owned(),
            what: "length of data",
            found: format!(
                "{ticks} ticks of {} s",
                gap_ns as f64 / NS_PER_SECOND as f64
            ),
            allowed: format!("1 tick to {MAX_SPAN_SECONDS} s (ten years)"),
            remedy: "give the counts in data, or correct gap_seconds",
        });
    }
    let points = (0..ticks).zip(counts).map(|(i, &n)| (i * gap_ns, n));
    Ok(Recording {
        points: points.collect(),
        duration_ns,
        report: ReadReport {
            rows: counts.len(),
            ignored_fields,
            ..ReadReport::default()
        },
    })
}

/// An error at the place where the reader stopped.
fn located(file: &str, error: &serde_json::Error, problem: Option<Problem>) -> InputError {
    let (file, line, column) = (file.to_owned(), error.line().max(1), error.column().max(1));
    if let Some(problem) = problem {
        return InputError::Value {
            file,
            line,
            column,
            field: problem.field,
            value: problem.value.into(),
            allowed: problem.allowed,
            remedy: problem.remedy,
        };
    }
    let said = error.to_string();
    // The place stands before the problem already.
    let problem = said
        .rsplit_once(" at line ")
        .map_or(&*said, |parts| parts.0);
    InputError::Syntax {
        file,
        line,
        column,
        problem: problem.to_owned(),
        remedy: "correct the JSON there; an end of file means that it was cut short",
    }
}

/// The whole object.
struct Top<'a>(&'a mut Draft);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `metadata` and `data`")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "metadata" if self.0.metadata_seen => return Err(self.0.twice("metadata")),
                "metadata" => map.next_value_seed(Metadata(self.0))?,
                "data" if self.0.counts.is_some() => return Err(self.0.twice("data")),
                "data" => map.next_value_seed(Data(self.0))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    self.0.ignored.push(key);
                }
            }
        }
        Ok(())
    }
}

/// The object under `metadata`.
struct Metadata<'a>(&'a mut Draft);

impl<'de> DeserializeSeed<'de> for Metadata<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Metadata<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`metadata`, an object with `gap_seconds`")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        const FIELD: &str = "metadata.gap_seconds";
        self.0.metadata_seen = true;
        while let Some(key) = map.next_key::<String>()? {
            if key != "gap_seconds" {
                map.next_value::<IgnoredAny>()?;
                self.0.ignored.push(format!("metadata.{key}"));
                continue;
            }
            if self.0.gap_ns.is_some() {
                return Err(self.0.twice(FIELD));
            }
            let found = map.next_value::<Found>()?;
            let Some(gap_s) = found.number().filter(|gap| GAP_RANGE_S.contains(gap)) else {
                let allowed = "a number of seconds, 0.001 to 604800 (7 days)";
                let remedy = "set it to the time between two counts";
                return Err(self.0.stop(FIELD, found.text(), allowed, remedy));
            };
            self.0.gap_ns = Some((gap_s * NS_PER_SECOND as f64).round() as u64);
        }
        Ok(())
    }
}

/// The array under `data`.
struct Data<'a>(&'a mut Draft);

impl<'de> DeserializeSeed<'de> for Data<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Data<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`data`, an array of node counts")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut counts = Vec::new();
        while let Some(found) = items.next_element::<Found>()? {
            // Named only where needed: there may be millions.
            let field = || format!("data[{}]", counts.len());
            if counts.len() == MAX_OBSERVATIONS {
                let allowed = format!("at most {MAX_OBSERVATIONS} counts");
                let remedy = "cut the recording into shorter ones";
                return Err(self.0.stop(field(), "one count too many", allowed, remedy));
            }
            let Some(count) = found.count() else {
                let allowed = format!("a whole number of nodes, 0 to {MAX_NODES}");
                return Err(self
                    .0
                    .stop(field(), found.text(), allowed, "correct the count"));
            };
            counts.push(count);
        }
        self.0.counts = Some(counts);
        Ok(())
    }
}
