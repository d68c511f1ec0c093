//! Whether the numbers of a calibration are in their ranges.

use super::{NumberType, RecordError, Row, Spread};

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
            ("tflop_per_s", self.tflop_per_s),
            ("gb_per_s", self.gb_per_s),
        ];
        for (field, value) in positive {
            let value = value.unwrap_or(1.0);
            check(
                value.is_finite() && value > 0.0,
                file,
                place,
                (field, &value.to_string(), "above 0 and finite"),
                "measure it again",
            )?;
        }
        check(
            self.p10_us.is_none_or(|p10| p10 <= self.median_us)
                && self.p90_us.is_none_or(|p90| self.median_us <= p90),
            file,
            place,
            (
                "median_us",
                &self.median_us.to_string(),
                "from `p10_us` to `p90_us`",
            ),
            "measure it again",
        )?;
        if let Some(spread) = &self.spread {
            spread.check(file, place)?;
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
            check(
                value >= 1,
                file,
                place,
                (field, &value.to_string(), "1 or more"),
                "correct the row, or measure it again",
            )?;
        }
        let Some(checked) = self.checked else {
            return Ok(());
        };
        check(
            checked.max_error >= 0.0 && checked.max_error <= checked.tolerance,
            file,
            place,
            (
                "checked.max_error",
                &checked.max_error.to_string(),
                "from 0 to `checked.tolerance`",
            ),
            "do not use a kernel that gives wrong results",
        )
    }
}

impl Spread {
    fn check(&self, file: &str, place: &str) -> Result<(), RecordError> {
        let fields = [
            ("spread.min_us", self.min_us.unwrap_or(0.0)),
            ("spread.max_us", self.max_us.unwrap_or(0.0)),
            ("spread.mean_us", self.mean_us),
            ("spread.std_us", self.std_us),
        ];
        for (field, value) in fields {
            check(
                value.is_finite() && value >= 0.0,
                file,
                place,
                (field, &value.to_string(), "0 or more, and finite"),
                "measure it again",
            )?;
        }
        Ok(())
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
