//! Goes through a plan on a device, row by row, and keeps what it finds.

use std::path::{Path, PathBuf};

use super::bench;
use super::device::{AllReduce, Device, probe};
use super::error::GpuError;
use super::journal::{Entry, Header, Journal, JournalError};
use super::lab::Lab;
use super::measure::Budget;
use super::operation::Operation;
use super::pace::Pace;
use super::plan::{Asked, Effort, Plan, Planned};
use super::record::{Calibration, RecordError, SCHEMA, Unmeasured};
use crate::perf::ModelCard;

/// What is to be captured.
#[derive(Debug, Clone)]
pub struct Request {
    /// Model cards whose shapes are measured.
    pub models: Vec<ModelCard>,
    /// Tensor parallelisms.
    pub tp: Vec<u32>,
    /// How much.
    pub effort: Effort,
    /// Names of the operations to measure; all if empty.
    pub only: Vec<String>,
    /// The device's number.
    pub device: u32,
    /// Where the calibration is written; the journal is beside it.
    pub out: Option<PathBuf>,
    /// Whether to go on with the journal that is there.
    pub resume: bool,
}

/// Why a capture ended before its time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// The device or a library.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The calibration file.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The device gave up.
    #[error("{operation}: {cause}; the device answers no more in this process{remedy}")]
    Fatal {
        /// What was measured.
        operation: String,
        /// What went wrong.
        cause: GpuError,
        /// What to do.
        remedy: &'static str,
    },
}

/// Who hears how far a capture has come.
pub trait Listener {
    /// So many rows there are.
    fn begins(&self, rows: u64);
    /// One more is done, or was there.
    fn row(&self);
    /// There was no journal to go on with, so that all is measured.
    fn begins_anew(&self, journal: &Path);
}

/// Measures what is asked for, and writes it where that is asked for.
///
/// # Errors
/// The device cannot be measured, the journal cannot be gone on with, or a file cannot be written.
/// Rows that cannot be measured are no error: the calibration lists them.
#[allow(clippy::disallowed_methods)] // how long to measure, no simulated result
pub fn capture(request: &Request, listener: &dyn Listener) -> Result<Calibration, CaptureError> {
    let begun = std::time::Instant::now();
    let count = probe::driver()?;
    probe::compiler()?;
    probe::products()?;
    let device = Device::open(request.device)?;
    let facts = device.facts()?;
    let plan = Plan::new(&Asked {
        models: &request.models,
        tp: &request.tp,
        effort: request.effort,
        devices: if request.device == 0 { count } else { 1 },
        fp8: has_fp8(&facts.compute_capability),
        only: &request.only,
    })?;
    let mut lab = Lab::open(device, &plan)?;
    let others: Vec<Device> = if request.device == 0 {
        (1..count).map(Device::open).collect::<Result<_, _>>()?
    } else {
        Vec::new()
    };
    lab.device.make_current()?;
    if !others.is_empty() {
        lab.software.nccl = AllReduce::version().ok();
    }
    let header = Header {
        schema: SCHEMA,
        tool: tool(),
        device: facts,
        software: lab.software.clone(),
        plan: plan.facts(),
    };
    let (journal, there) = match &request.out {
        Some(out) => {
            let begun = Journal::path_of(out).exists();
            let (journal, there) = Journal::open(out, &header, request.resume)?;
            if request.resume && !begun {
                listener.begins_anew(&Journal::path_of(out));
            }
            (Some(journal), there)
        }
        None => (None, Vec::new()),
    };
    listener.begins(plan.rows.len() as u64);
    let mut going = Going {
        lab: &lab,
        others: &others,
        plan: &plan,
        journal,
        entries: there,
        small: None,
        begun,
        pace: Pace::new(plan.effort),
    };
    going.all(listener)?;
    let Going {
        journal, entries, ..
    } = going;
    let calibration = calibration(header, &plan, entries);
    if let Some(out) = &request.out {
        std::fs::write(out, calibration.to_text()).map_err(|error| RecordError::File {
            file: out.display().to_string(),
            cause: format!("cannot be written ({error})"),
            remedy: "check the folder and the space left; `--resume` writes it again",
        })?;
        if let Some(journal) = journal {
            journal.remove();
        }
    }
    Ok(calibration)
}

/// The program with its version, as files have it.
#[must_use]
pub fn tool() -> String {
    format!("seatrial {}", env!("CARGO_PKG_VERSION"))
}

/// Whether a device multiplies 8-bit floating-point numbers: from compute capability 8.9 on.
fn has_fp8(capability: &str) -> bool {
    let mut parts = capability.split('.').map(|part| part.parse().unwrap_or(0));
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    (major, minor) >= (8, 9)
}

fn calibration(header: Header, plan: &Plan, entries: Vec<Entry>) -> Calibration {
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    let place = |operation: &Operation| {
        plan.rows
            .iter()
            .position(|planned| planned.operation == *operation)
    };
    for entry in entries {
        match entry {
            Entry::Row(row) => rows.push(*row),
            Entry::Failure(failure) => failures.push(failure),
        }
    }
    rows.sort_by_key(|row| (place(&row.operation), row.dtype));
    Calibration {
        schema: header.schema,
        tool: header.tool,
        provenance: format!(
            "measured by seatrial calibrate gpu on {} (medians of samples between device events, \
             random data, weights from memory, results checked)",
            header.device.name
        ),
        device: header.device,
        software: header.software,
        plan: header.plan,
        import: None,
        rows,
        failures,
    }
}

/// A capture on its way.
struct Going<'a> {
    lab: &'a Lab,
    others: &'a [Device],
    plan: &'a Plan,
    journal: Option<Journal>,
    entries: Vec<Entry>,
    /// The operation whose kernels were checked on small shapes last, and what was wrong.
    small: Option<(&'static str, Option<String>)>,
    begun: std::time::Instant,
    pace: Pace,
}

impl Going<'_> {
    fn all(&mut self, listener: &dyn Listener) -> Result<(), CaptureError> {
        let plan = self.plan;
        self.wake()?;
        for (index, planned) in plan.rows.iter().enumerate() {
            if !self.has(planned) {
                self.one(planned, plan.rows.len() - index)?;
            }
            listener.row();
        }
        Ok(())
    }

    /// Whether a row was measured, or could not be.
    fn has(&self, planned: &Planned) -> bool {
        let key = (&planned.operation, planned.dtype);
        self.entries.iter().any(|entry| entry.key() == key)
    }

    /// Keeps the device busy for half a second, so that its clocks are up when the first row comes.
    fn wake(&self) -> Result<(), CaptureError> {
        let budget = Budget {
            samples_s: 0.5,
            least_samples: 2,
        };
        let reading = self.plan.rows.iter().find(|row| {
            matches!(
                row.operation,
                Operation::Memory { .. } | Operation::Gemm { .. }
            )
        });
        if let Some(planned) = reading {
            // What goes wrong here goes wrong again in its own row, and is kept there.
            if let Err(error) = bench::measure(self.lab, self.others, planned, budget)
                && error.is_fatal()
            {
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn one(&mut self, planned: &Planned, rows_left: usize) -> Result<(), CaptureError> {
        if let Some(reason) = self.small(planned)? {
            return self.keep(failure(planned, reason));
        }
        let begun_s = self.begun.elapsed().as_secs_f64();
        let budget = self.pace.budget(begun_s, rows_left);
        let measured = bench::measure(self.lab, self.others, planned, budget);
        let took_s = self.begun.elapsed().as_secs_f64() - begun_s;
        self.pace.took(budget, took_s);
        match measured {
            Ok(row) => self.keep(Entry::Row(Box::new(row))),
            Err(error) => {
                self.keep(failure(planned, error.to_string()))?;
                self.go_on(&planned.operation, error)
            }
        }
    }

    /// Checks the operation's kernels on small shapes when it comes up first, and says what is
    /// wrong with them.
    fn small(&mut self, planned: &Planned) -> Result<Option<String>, CaptureError> {
        let name = planned.operation.name();
        if let Some((checked, wrong)) = &self.small
            && *checked == name
        {
            return Ok(wrong.clone());
        }
        let Err(failed) = bench::check_small(self.lab, name) else {
            self.small = Some((name, None));
            return Ok(None);
        };
        let (operation, error) = *failed;
        if !error.is_wrong() && !error.is_fatal() {
            // That a library has no kernel for a small shape says nothing of the others.
            self.small = Some((name, None));
            return Ok(None);
        }
        let reason = format!("{}: {error}", operation.text());
        self.small = Some((name, Some(reason.clone())));
        if error.is_fatal() {
            // The others of this operation would end the next process, too.
            for planned in &self.plan.rows {
                if planned.operation.name() == name && !self.has(planned) {
                    self.keep(failure(planned, reason.clone()))?;
                }
            }
        }
        self.go_on(&operation, error)?;
        Ok(Some(reason))
    }

    /// Ends the capture if the device answers no more.
    fn go_on(&self, operation: &Operation, error: GpuError) -> Result<(), CaptureError> {
        if !error.is_fatal() {
            return Ok(());
        }
        Err(CaptureError::Fatal {
            operation: operation.text(),
            cause: error,
            remedy: if self.journal.is_some() {
                ", `--resume` goes on after it"
            } else {
                ", and without `--out` nothing is kept"
            },
        })
    }

    fn keep(&mut self, entry: Entry) -> Result<(), CaptureError> {
        if let Some(journal) = &mut self.journal {
            journal.add(&entry)?;
        }
        self.entries.push(entry);
        Ok(())
    }
}

fn failure(planned: &Planned, reason: String) -> Entry {
    Entry::Failure(Unmeasured {
        operation: planned.operation.clone(),
        dtype: planned.dtype,
        reason,
    })
}
