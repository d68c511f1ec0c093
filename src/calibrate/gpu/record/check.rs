//! Whether the numbers of a calibration are in their ranges.

use serde_json::Value;

use super::{Calibration, NumberType, Operation, RecordError, Row, Spread};
use crate::report::number::in_full;

/// The most microseconds: a million seconds.
const MOST: f64 = 1e12;
/// The most that a device computes, 1e12 FLOP/s, and moves, 1e9 bytes/s: some seven times the
/// fastest card's arithmetic (of 4 bits) and a hundred times its memory, which no cache reaches.
const MOST_TFLOP_PER_S: f64 = 1e5;
const MOST_GB_PER_S: f64 = 1e6;
/// The most bytes and values: all whole numbers up to it are exact in the arithmetic of steps.
const MOST_BYTES: u64 = 1 << 53;
/// What a mean may be beyond the least or greatest value since it has six digits, relative.
const ROUNDING: f64 = 1e-5;
/// Fields of a calibration that are no whole numbers.
const REALS: [&str; 11] = [
    "median_us",
    "p10_us",
    "p90_us",
    "min_us",
    "max_us",
    "mean_us",
    "std_us",
    "tflop_per_s",
    "gb_per_s",
    "max_error",
    "tolerance",
];
/// Whole numbers that may be above 4,294,967,295; so may all those of an import.
const WIDE: [&str; 6] = [
    "bytes",
    "values",
    "memory_bytes",
    "l2_bytes",
    "shared_bytes_per_block",
    "footprint_bytes",
];

impl Calibration {
    /// Checks what the device is called, and of captures what every driver tells of it.
    pub(super) fn check_device(&self, file: &str) -> Result<(), RecordError> {
        let device = &self.device;
        let plain = |text: &str| !text.trim().is_empty() && !text.chars().any(char::is_control);
        check(
            plain(&device.name),
            file,
            "",
            (
                "device.name",
                &format!("{:?}", device.name),
                "the device's name, of characters that can be shown",
            ),
            "correct it, or name the device by `calibrate import --device`",
        )?;
        check(
            self.import.is_some() || device.multiprocessors > 0,
            file,
            "",
            ("device.multiprocessors", "0", "1 or more"),
            "measure it again",
        )?;
        // Every driver tells it, and whether rows found their inputs there is judged by it.
        check(
            self.import.is_some() || device.l2_bytes > 0,
            file,
            "",
            ("device.l2_bytes", "0", "1 or more"),
            "give the size of the device's second-level cache, or measure it again",
        )
    }

    /// Checks that what an import has read is what it has kept and left out.
    pub(super) fn check_import(&self, file: &str) -> Result<(), RecordError> {
        let Some(import) = &self.import else {
            return Ok(());
        };
        let told = import.skipped.values().copied().chain([import.kept]);
        check(
            told.map(u128::from).sum::<u128>() == u128::from(import.read),
            file,
            "",
            (
                "import.read",
                &import.read.to_string(),
                "`import.kept` and all counts of `import.skipped` together",
            ),
            "import the files again",
        )
    }
}

impl Row {
    /// Checks that all numbers are finite and in their ranges.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self, file: &str, place: &str) -> Result<(), RecordError> {
        let positive = [
            ("median_us", Some(self.median_us)),
            ("p10_us", self.p10_us),
            ("p90_us", self.p90_us),
        ];
        for (field, value) in positive {
            let value = value.unwrap_or(1.0);
            check(
                value > 0.0 && value <= MOST,
                file,
                place,
                (field, &in_full(value), "above 0 and at most 1e12"),
                "measure it again",
            )?;
        }
        self.check_rates(file, place)?;
        check(
            self.p10_us.is_none_or(|p10| p10 <= self.median_us)
                && self.p90_us.is_none_or(|p90| self.median_us <= p90),
            file,
            place,
            (
                "median_us",
                &in_full(self.median_us),
                "from `p10_us` to `p90_us`",
            ),
            "measure it again",
        )?;
        if let Some(spread) = &self.spread {
            spread.check(file, place)?;
            check(
                spread.holds(self.median_us),
                file,
                place,
                (
                    "median_us",
                    &in_full(self.median_us),
                    "from `spread.min_us` to `spread.max_us`, and `spread.mean_us` with it",
                ),
                "measure it again",
            )?;
        }
        let counts = [
            ("samples", self.samples),
            ("launches_per_sample", self.launches_per_sample.unwrap_or(1)),
            ("buffers", self.buffers.unwrap_or(1)),
        ];
        check(
            self.dtype.is_some() == self.operation.has_dtype(),
            file,
            place,
            (
                "dtype",
                self.dtype.map_or("null", NumberType::name),
                "null for launches, moved bytes and whole models, and a number type for the others",
            ),
            "correct the row, or measure it again",
        )?;
        let sizes = self.operation.sizes();
        let counts = counts.map(|(field, value)| (field, u64::from(value)));
        for (field, value) in sizes.into_iter().chain(counts) {
            let (most, allowed) = match field {
                "bytes" | "values" => (MOST_BYTES, "from 1 to 9,007,199,254,740,992"),
                _ => (u64::from(u32::MAX), "from 1 to 4,294,967,295"),
            };
            check(
                (1..=most).contains(&value),
                file,
                place,
                (field, &value.to_string(), allowed),
                "correct the row, or measure it again",
            )?;
        }
        self.check_shape(file, place)?;
        self.check_time(file, place)?;
        let Some(checked) = self.checked else {
            return Ok(());
        };
        check(
            checked.max_error >= 0.0 && checked.max_error <= checked.tolerance,
            file,
            place,
            (
                "checked.max_error",
                &in_full(checked.max_error),
                "from 0 to `checked.tolerance`",
            ),
            "do not use a kernel that gives wrong results",
        )
    }

    /// Checks that the rates are such as a device may have.
    fn check_rates(&self, file: &str, place: &str) -> Result<(), RecordError> {
        for (field, value, most, allowed) in [
            (
                "tflop_per_s",
                self.tflop_per_s,
                MOST_TFLOP_PER_S,
                "above 0 and at most 100,000 (1e12 FLOP/s), more than any device computes",
            ),
            (
                "gb_per_s",
                self.gb_per_s,
                MOST_GB_PER_S,
                "above 0 and at most 1,000,000 (1e9 bytes/s), more than any device moves",
            ),
        ] {
            let value = value.unwrap_or(1.0);
            check(
                value > 0.0 && value <= most,
                file,
                place,
                (field, &in_full(value), allowed),
                "correct the rate, or leave it out: steps go by `median_us`",
            )?;
        }
        Ok(())
    }

    /// Checks that sizes go together.
    fn check_shape(&self, file: &str, place: &str) -> Result<(), RecordError> {
        let (holds, field, value, allowed) = match self.operation {
            Operation::PrefillAttention {
                heads, kv_heads, ..
            }
            | Operation::DecodeAttention {
                heads, kv_heads, ..
            } => (
                heads.is_multiple_of(kv_heads),
                "kv_heads",
                kv_heads,
                "a divisor of `heads`: as many query heads share each",
            ),
            Operation::AllReduce { devices, .. }
            | Operation::AllGather { devices, .. }
            | Operation::ReduceScatter { devices, .. } => (
                devices >= 2,
                "devices",
                u64::from(devices),
                "2 or more: alone a device has nothing to exchange",
            ),
            _ => return Ok(()),
        };
        check(
            holds,
            file,
            place,
            (field, &value.to_string(), allowed),
            "correct the row, or take it out",
        )
    }

    /// Whether the time is long enough for the least arithmetic and bytes of the operation.
    pub(crate) fn is_possible(&self) -> bool {
        let tflop_per_s = self.operation.flops() / self.median_us / 1e6;
        let gb_per_s = self.operation.bytes(self.dtype) / self.median_us / 1e3;
        tflop_per_s <= MOST_TFLOP_PER_S && gb_per_s <= MOST_GB_PER_S
    }

    fn check_time(&self, file: &str, place: &str) -> Result<(), RecordError> {
        check(
            self.is_possible(),
            file,
            place,
            (
                "median_us",
                &in_full(self.median_us),
                "so long that the operation's least arithmetic is at most 100,000 TFLOP/s and its \
                 bytes at most 1,000,000 GB/s, more than any device has",
            ),
            "see that the times are in microseconds and the sizes those of one device",
        )
    }
}

impl Spread {
    /// Whether it can be of samples with this median: this and the mean are between least and greatest,
    /// as far as these are told and but for rounding.
    pub(crate) fn holds(&self, median_us: f64) -> bool {
        let most = self.max_us.unwrap_or(f64::INFINITY) * (1.0 + ROUNDING);
        let least = self.min_us.unwrap_or(0.0) * (1.0 - ROUNDING);
        let within = |value: f64| least <= value && value <= most;
        within(median_us) && within(self.mean_us)
    }

    fn check(&self, file: &str, place: &str) -> Result<(), RecordError> {
        let fields = [
            ("spread.min_us", self.min_us.unwrap_or(0.0)),
            ("spread.max_us", self.max_us.unwrap_or(0.0)),
            ("spread.mean_us", self.mean_us),
            ("spread.std_us", self.std_us),
        ];
        for (field, value) in fields {
            check(
                (0.0..=MOST).contains(&value),
                file,
                place,
                (field, &in_full(value), "from 0 to 1e12"),
                "measure it again",
            )?;
        }
        Ok(())
    }
}

/// The first number of a document that is too large for its field, or no whole number where one must
/// be, if that is what is wrong: which one it is, the reader of the document does not tell.
pub(super) fn beyond(file: &str, text: &str, error: &serde_json::Error) -> Option<RecordError> {
    let said = error.to_string();
    if !["invalid type: floating point", "invalid value: integer"]
        .iter()
        .any(|of_numbers| said.starts_with(of_numbers))
    {
        return None;
    }
    let document: Value = serde_json::from_str(text).ok()?;
    let (path, value, allowed) = first_beyond(&document, "", "")?;
    Some(RecordError::Number {
        file: file.to_owned(),
        path,
        value,
        allowed,
    })
}

fn first_beyond(value: &Value, path: &str, field: &str) -> Option<(String, String, &'static str)> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            let dot = if path.is_empty() { "" } else { "." };
            first_beyond(value, &format!("{path}{dot}{name}"), name)
        }),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .find_map(|(at, value)| first_beyond(value, &format!("{path}[{at}]"), field)),
        Value::Number(number) if !REALS.contains(&field) => {
            let wide = WIDE.contains(&field) || path.starts_with("import.");
            let fits = number
                .as_u64()
                .is_some_and(|number| wide || number <= u64::from(u32::MAX));
            let allowed = match wide {
                true => "a whole number from 0 to 18,446,744,073,709,551,615",
                false => "a whole number from 0 to 4,294,967,295",
            };
            (!fits).then(|| (path.to_owned(), number.to_string(), allowed))
        }
        _ => None,
    }
}

/// Refuses a field unless it holds.
pub(super) fn check(
    holds: bool,
    file: &str,
    place: &str,
    (field, value, allowed): (&'static str, &str, &'static str),
    remedy: &'static str,
) -> Result<(), RecordError> {
    if holds {
        return Ok(());
    }
    Err(RecordError::Field {
        file: file.to_owned(),
        place: place.to_owned(),
        field,
        value: value.to_owned(),
        allowed,
        remedy,
    })
}
