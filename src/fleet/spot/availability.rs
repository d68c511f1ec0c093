//! How many nodes a spot pool can supply, as a step function of time.

use std::path::Path;
use std::sync::Arc;

use crate::engine::{SimDuration, SimTime};
use crate::fleet::spot::errors::{InputError, RuleError, check_range};
use crate::fleet::spot::lists;
use crate::fleet::spot::recording::{
    AfterEnd, MAX_NODES, MAX_OBSERVATIONS, MAX_SPAN_SECONDS, ReadReport, Recording, TraceOptions,
    read_text,
};
use crate::fleet::spot::rows::NS_PER_SECOND;
use crate::fleet::spot::skypilot;

/// Accepted `time_scale`, simulated seconds per recorded second.
const TIME_SCALE_RANGE: (f64, f64) = (1e-3, 10.0);

/// The nodes a pool can supply at every instant of simulated time.
///
/// Cheap to clone: clones share the steps.
#[derive(Clone, Debug)]
pub struct Availability {
    /// (scaled ns since the recording's start, nodes): times strictly rise, the
    /// first is 0, and neighbours differ in nodes.
    pub(crate) steps: Arc<[(u64, u32)]>,
    /// Scaled length, nanoseconds, at least 1.
    pub(crate) duration_ns: u64,
    /// Nodes lost from row to row, equal times included.
    pub(crate) nodes_lost: u64,
    /// Scaled position of the simulation's start, nanoseconds.
    offset_ns: u64,
    after_end: AfterEnd,
    report: ReadReport,
}

impl Availability {
    /// Reads a trace file in any of the formats of [`Availability::parse`].
    ///
    /// # Errors
    /// As [`Availability::parse`], or when the file cannot be read or is larger
    /// than [`crate::fleet::spot::recording::MAX_TRACE_BYTES`].
    pub fn read(path: &Path, options: &TraceOptions) -> Result<Self, InputError> {
        let file = path.display().to_string();
        let text = read_text(path, &file)?;
        Self::parse(&file, &text, options)
    }

    /// Reads a trace from text; `file` only names it in errors.
    ///
    /// The format is told by the content: `{` opens SkyPilot's
    /// `{"metadata":{"gap_seconds":300},"data":[nodes,...]}`; otherwise the
    /// first row tells one of the lists of [`crate::fleet::spot::lists::ListFormat`].
    ///
    /// # Errors
    /// `InputError` naming the place, the value, what is allowed and the remedy.
    pub fn parse(file: &str, text: &str, options: &TraceOptions) -> Result<Self, InputError> {
        let body = text.trim_start_matches('\u{feff}').trim_start();
        let recording = if body.starts_with('{') {
            skypilot::parse(file, text)?
        } else {
            lists::parse(file, text, options.order)?
        };
        Self::build(recording, options).map_err(|source| InputError::Option {
            file: file.to_owned(),
            source,
        })
    }

    /// A pool observed at regular ticks: `counts[i]` nodes (0 to
    /// [`MAX_NODES`]) during `[i * gap, (i + 1) * gap)`.
    ///
    /// # Errors
    /// `RuleError` when there are no counts or too many, the gap is 0, the
    /// whole is longer than [`MAX_SPAN_SECONDS`], a count is too large, or an
    /// option is out of range.
    pub fn from_counts(
        gap: SimDuration,
        counts: &[u32],
        options: &TraceOptions,
    ) -> Result<Self, RuleError> {
        let refuse = |field, value: String, allowed| RuleError {
            field,
            value,
            allowed,
            remedy: "give a recording within the limits",
        };
        let ticks = counts.len() as u64;
        let longest_ns = MAX_SPAN_SECONDS * NS_PER_SECOND;
        let duration_ns = gap.0.checked_mul(ticks).filter(|&ns| ns <= longest_ns);
        let (Some(duration_ns @ 1..), true) = (duration_ns, counts.len() <= MAX_OBSERVATIONS)
        else {
            return Err(refuse(
                "gap and counts",
                format!("{ticks} counts every {} ns", gap.0),
                "1 to 5,000,000 counts over 1 ns to 10 years",
            ));
        };
        if let Some(count) = counts.iter().find(|&&count| count > MAX_NODES) {
            return Err(refuse("counts", count.to_string(), "0 to 1,000,000 nodes"));
        }
        let points = (0..ticks).zip(counts).map(|(i, &n)| (i * gap.0, n));
        Self::build(
            Recording {
                points: points.collect(),
                duration_ns,
                report: ReadReport {
                    rows: counts.len(),
                    ..ReadReport::default()
                },
            },
            options,
        )
    }

    /// Lays a recording onto simulated time.
    pub(crate) fn build(recording: Recording, options: &TraceOptions) -> Result<Self, RuleError> {
        let scale = options.time_scale;
        check_range("time_scale", scale, TIME_SCALE_RANGE, "0.001 to 10")?;
        let length_s = recording.duration_ns as f64 / NS_PER_SECOND as f64;
        if !(options.offset_s >= 0.0 && options.offset_s < length_s) {
            return Err(RuleError {
                field: "offset_s",
                value: options.offset_s.to_string(),
                allowed: "0 to below the recording's length, seconds",
                remedy: "start within the recording, or use a longer one",
            });
        }
        let scaled = |ns: u64| scale_ns(ns, scale);
        let duration_ns = scaled(recording.duration_ns).max(1);
        let offset_ns = scaled((options.offset_s * NS_PER_SECOND as f64) as u64);
        let points = &recording.points;
        Ok(Self {
            steps: net_steps(points.iter().map(|&(ns, nodes)| (scaled(ns), nodes))),
            duration_ns,
            nodes_lost: (points.windows(2))
                .map(|pair| u64::from(pair[0].1.saturating_sub(pair[1].1)))
                .sum(),
            offset_ns: offset_ns.min(duration_ns - 1),
            after_end: options.after_end,
            report: recording.report,
        })
    }

    /// Nodes the pool can supply at an instant.
    #[must_use]
    pub fn at(&self, time: SimTime) -> u32 {
        let (_, within) = self.place(time);
        // The first step stands at 0, so there always is a step to find.
        let index = self.steps_until(within).saturating_sub(1);
        self.steps.get(index).map_or(0, |step| step.1)
    }

    /// The first later instant at which the count differs, and that count;
    /// `None` when it never changes again (or only after the end of time).
    #[must_use]
    pub fn next_change(&self, after: SimTime) -> Option<(SimTime, u32)> {
        let (start, within) = self.place(after);
        let current = self.at(after);
        let visible = self.visible();
        let (base, step) = if let Some(step) = visible.get(self.steps_until(within)) {
            (start, step)
        } else if self.after_end == AfterEnd::Repeat {
            // The next round opens with the first count: no change if that is
            // what the last step left, and then the second step is the next.
            let next = visible.iter().find(|step| step.1 != current)?;
            (start + u128::from(self.duration_ns), next)
        } else {
            return None;
        };
        let time = base + u128::from(step.0) - u128::from(self.offset_ns);
        u64::try_from(time).ok().map(|ns| (SimTime(ns), step.1))
    }

    /// The count at time 0, then every change; unending for a repeated
    /// recording that is not constant, so take only what is needed.
    pub fn changes(&self) -> impl Iterator<Item = (SimTime, u32)> + '_ {
        let first = (SimTime(0), self.at(SimTime(0)));
        std::iter::successors(Some(first), |last| self.next_change(last.0))
    }

    /// The first instant from `from` on whose count satisfies `wanted`; the
    /// search ends after one round of the recording.
    #[must_use]
    pub fn first_where(&self, from: SimTime, wanted: impl Fn(u32) -> bool) -> Option<SimTime> {
        if wanted(self.at(from)) {
            return Some(from);
        }
        let first = self.next_change(from);
        std::iter::successors(first, |last| self.next_change(last.0))
            .take(self.steps.len() + 1)
            .find(|change| wanted(change.1))
            .map(|change| change.0)
    }

    /// Length of the recording on simulated time, offset not taken off.
    #[must_use]
    pub fn duration(&self) -> SimDuration {
        SimDuration(self.duration_ns)
    }

    /// The most nodes at any instant of the recording.
    #[must_use]
    pub fn max_nodes(&self) -> u32 {
        self.steps.iter().map(|step| step.1).max().unwrap_or(0)
    }

    /// The fewest nodes at any instant of the recording.
    #[must_use]
    pub fn min_nodes(&self) -> u32 {
        self.steps.iter().map(|step| step.1).min().unwrap_or(0)
    }

    /// What was read and what was passed over.
    #[must_use]
    pub fn report(&self) -> &ReadReport {
        &self.report
    }

    /// The steps that simulated time meets: a list's last row stands at the
    /// very end, which a repeated recording never reaches.
    fn visible(&self) -> &[(u64, u32)] {
        match self.after_end {
            AfterEnd::Hold => &self.steps,
            AfterEnd::Repeat => &self.steps[..self.steps_until(self.duration_ns - 1)],
        }
    }

    /// Number of steps at or before a position in the recording.
    fn steps_until(&self, within_ns: u64) -> usize {
        self.steps.partition_point(|step| step.0 <= within_ns)
    }

    /// Start of the round that an instant falls in, on the recording's
    /// unrolled axis, and the position within that round.
    fn place(&self, time: SimTime) -> (u128, u64) {
        let position = u128::from(self.offset_ns) + u128::from(time.0);
        let round = match self.after_end {
            AfterEnd::Hold => 0,
            AfterEnd::Repeat => position / u128::from(self.duration_ns),
        };
        let start = round * u128::from(self.duration_ns);
        // Only `Hold` can exceed 64 bits, where any late position is the same.
        let within = u64::try_from(position - start).unwrap_or(u64::MAX);
        (start, within)
    }
}

/// A recorded time on the simulated axis, exact when the scale is 1.
fn scale_ns(ns: u64, scale: f64) -> u64 {
    if scale == 1.0 {
        return ns;
    }
    (ns as f64 * scale).round() as u64
}

/// One step per instant (the last row at that instant) and per real change.
fn net_steps(points: impl Iterator<Item = (u64, u32)>) -> Arc<[(u64, u32)]> {
    let mut steps: Vec<(u64, u32)> = Vec::new();
    for (ns, nodes) in points {
        if steps.last().is_some_and(|last| last.0 == ns) {
            steps.pop();
        }
        if steps.last().is_none_or(|last| last.1 != nodes) {
            steps.push((ns, nodes));
        }
    }
    steps.into()
}
