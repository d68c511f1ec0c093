//! The formats that are read, and how they are told apart.

use std::path::Path;
use std::str::FromStr;

use serde_json::Value;

use super::lines::{Lines, text_of};
use super::wheel::Wheel;
use super::{Asked, ImportError, servingsim, splitwise, vidur};
use crate::calibrate::gpu::record::{is_calibration, unreadable};
use crate::perf::nearest;

/// A format of measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImportFormat {
    /// Kernel tables of the PyPI wheels aiconfigurator-core and aisimulate: Parquet.
    Wheel,
    /// Profiles of Vidur: `mlp.csv`, `attention.csv`, `all_reduce.csv`.
    Vidur,
    /// Profiles of LLMServingSim: `dense.csv`, `per_sequence.csv`, `attention.csv`.
    ServingSim,
    /// Splitwise's `perf_model.csv`.
    Splitwise,
    /// The result of `vllm bench latency --output-json`.
    BenchLatency,
    /// The result of `vllm bench serve --save-result`.
    BenchServe,
}

impl ImportFormat {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Wheel,
        Self::Vidur,
        Self::ServingSim,
        Self::Splitwise,
        Self::BenchLatency,
        Self::BenchServe,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wheel => "wheel",
            Self::Vidur => "vidur",
            Self::ServingSim => "servingsim",
            Self::Splitwise => "splitwise",
            Self::BenchLatency => "bench-latency",
            Self::BenchServe => "bench-serve",
        }
    }

    /// All names, joined by commas.
    pub(super) fn list() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// The format of a file or folder, by its content.
    ///
    /// # Errors
    /// It cannot be read, or is none of them.
    pub fn of(path: &Path) -> Result<Self, ImportError> {
        let unknown = || ImportError::Format {
            path: path.display().to_string(),
        };
        if path.is_dir() {
            check_folder(path)?;
            return if Wheel::open(path).is_some() {
                Ok(Self::Wheel)
            } else if !vidur::files(path)?.is_empty() {
                Ok(Self::Vidur)
            } else if !servingsim::folders(path).is_empty() {
                Ok(Self::ServingSim)
            } else {
                Err(unknown())
            };
        }
        let text = text_of(path)?;
        if text.trim_start().starts_with('{') {
            let document: Value =
                serde_json::from_str(&text).map_err(|error| ImportError::File {
                    file: path.display().to_string(),
                    cause: format!("begins as a JSON document and is none ({error})"),
                    remedy: "save it again",
                })?;
            return if document.get("avg_latency").is_some() {
                Ok(Self::BenchLatency)
            } else if crate::validate::is_bench_result(&document) {
                Ok(Self::BenchServe)
            } else if is_calibration(&document) {
                Err(ImportError::File {
                    file: path.display().to_string(),
                    cause: "is a calibration already".to_owned(),
                    remedy: "`calibrate show`, `check` and `diff` take it as it is, and so does \
                             `kernel_tables` of a pool",
                })
            } else {
                Err(unknown())
            };
        }
        let names = Lines::names(&text);
        if vidur::is_one(&names) {
            Ok(Self::Vidur)
        } else if splitwise::is_one(&names) {
            Ok(Self::Splitwise)
        } else {
            Err(unknown())
        }
    }

    /// Refuses options that this format has no use for.
    pub(super) fn check_options(self, asked: &Asked) -> Result<(), ImportError> {
        let shapes = matches!(self, Self::Vidur | Self::ServingSim);
        let bench = matches!(self, Self::BenchLatency | Self::BenchServe);
        let batch = self == Self::BenchLatency;
        let number = |value: Option<u32>| value.map(|value| value.to_string());
        let dtype = asked.dtype.map(|dtype| dtype.name().to_owned());
        let options = [
            ("system", asked.system.clone(), self == Self::Wheel),
            ("framework", asked.framework.clone(), self == Self::Wheel),
            ("device", asked.device.clone(), true),
            (
                "model",
                asked.model.clone(),
                self == Self::ServingSim || batch,
            ),
            ("tp", number(asked.tp), self == Self::ServingSim || bench),
            ("dtype", dtype, shapes),
            ("batch-size", number(asked.sequences), batch),
            ("input-len", number(asked.prompt_tokens), batch),
            ("output-len", number(asked.output_tokens), batch),
        ];
        for (option, value, used) in options {
            if value.is_some() && !used {
                return Err(ImportError::Asked {
                    option,
                    value,
                    why: format!("does nothing with the format {}", self.name()),
                    remedy: "take it away".to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// Refuses a folder that cannot be looked into, or has nothing.
fn check_folder(path: &Path) -> Result<(), ImportError> {
    let refuse = |cause: String, remedy: &'static str| ImportError::File {
        file: path.display().to_string(),
        cause,
        remedy,
    };
    let mut entries = std::fs::read_dir(path).map_err(|error| {
        let why = unreadable(path, &error);
        refuse(why.cause, why.remedy)
    })?;
    match entries.next() {
        Some(_) => Ok(()),
        None => Err(refuse(
            "is an empty folder".to_owned(),
            "give the folder of a wheel or of a profile",
        )),
    }
}

impl FromStr for ImportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| {
            let near = nearest(text, Self::ALL.map(Self::name));
            let near = near.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
            format!("must be one of {}{near}", Self::list())
        })
    }
}
