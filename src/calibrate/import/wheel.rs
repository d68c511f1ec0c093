//! The kernel tables of the PyPI wheels `aiconfigurator-core` 0.12.0 and `aisimulate` 0.13, which
//! have the same layout: `systems/data/SYSTEM/KIND/FRAMEWORK/VERSION/TABLE.parquet`. Latencies are
//! milliseconds, messages of collective operations are counted in values (not bytes).
//!
//! `kinds` says where tables lie, `rows` which of their rows are kept and what they are here, `frame`
//! reads Parquet.

mod frame;
mod guard;
mod kinds;
mod rows;

use std::path::{Path, PathBuf};

use super::gather::Gather;
use super::{Asked, ImportError, Told};
use crate::calibrate::gpu::record::Calibration;
use crate::perf::nearest;
use crate::perf::tables::KernelBackend;

/// Systems whose tables are shipped, with the framework versions that they are of.
const SHIPPED: [(&str, [&str; 3]); 8] = [
    ("a100_sxm", ["1.0.0", "0.14.0", "0.5.10"]),
    ("h100_sxm", LATEST),
    ("h200_sxm", LATEST),
    ("b200_sxm", LATEST),
    ("b300_sxm", LATEST),
    ("gb200", LATEST),
    ("gb300", LATEST),
    ("l40s", LATEST),
];
/// The versions of TensorRT-LLM, vLLM and SGLang (the order of [`KernelBackend::ALL`]).
const LATEST: [&str; 3] = ["1.3.0rc20", "0.24.0", "0.5.14"];
/// NCCL's version, whose operations all frameworks call.
const NCCL: [&str; 2] = ["2.29.2", "2.27.3"];

/// An unpacked wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wheel {
    /// The folder that has a folder for each system.
    data: PathBuf,
    /// The wheel with its version, as far as that is told.
    tool: String,
}

impl Wheel {
    /// The wheel in a folder: where it was unpacked or installed (a virtual environment, say), or
    /// its folder of systems itself.
    #[must_use]
    pub fn open(path: &Path) -> Option<Self> {
        let mut roots = vec![path.to_owned()];
        if let Ok(entries) = std::fs::read_dir(path.join("lib")) {
            let folders = entries
                .flatten()
                .map(|entry| entry.path().join("site-packages"));
            let mut folders: Vec<PathBuf> = folders.filter(|folder| folder.is_dir()).collect();
            folders.sort();
            roots.extend(folders);
        }
        for root in roots {
            for name in ["aiconfigurator_core", "aisimulate_core"] {
                let data = root.join(name).join("systems/data");
                if data.is_dir() {
                    return Some(Self {
                        data,
                        tool: tool(&root, name),
                    });
                }
            }
        }
        for data in [path.join("systems/data"), path.to_owned()] {
            let mut folders = std::fs::read_dir(&data).into_iter().flatten().flatten();
            if folders.any(|entry| entry.path().join("gemm").is_dir()) {
                let site = data.ancestors().nth(3);
                let package = data.ancestors().nth(2).and_then(Path::file_name);
                let package = package.unwrap_or_default().to_string_lossy().into_owned();
                let tool = site.map(|site| tool(site, &package));
                let tool = tool.unwrap_or_else(|| "a wheel of kernel tables".to_owned());
                return Some(Self { data, tool });
            }
        }
        None
    }

    /// The systems and frameworks that shipped tables are made of, in the order they are made.
    pub fn shipped() -> impl Iterator<Item = (&'static str, KernelBackend)> {
        let systems = SHIPPED.iter().map(|(system, _)| *system);
        systems.flat_map(|system| KernelBackend::ALL.map(|backend| (system, backend)))
    }

    /// The tables of one system and framework as a calibration.
    ///
    /// # Errors
    /// There are none, or a table is not what it should be.
    pub fn calibration(
        &self,
        system: &str,
        backend: KernelBackend,
    ) -> Result<Calibration, ImportError> {
        let asked = Asked {
            system: Some(system.to_owned()),
            framework: Some(backend.name().to_owned()),
            ..Asked::default()
        };
        super::import(&self.data, &asked)
    }

    /// The folder of a kind's tables: of the version whose tables are shipped, or else the newest.
    fn folder(&self, system: &str, kind: &str, backend: KernelBackend) -> Option<PathBuf> {
        let versions = SHIPPED.iter().find(|(name, _)| *name == system);
        let versions = versions.map_or(LATEST, |(_, versions)| *versions);
        let place = KernelBackend::ALL.iter().position(|it| *it == backend)?;
        let folder = self.data.join(system).join(kind).join(backend.name());
        at_version(&folder, &versions[place..=place])
    }

    /// The folder of NCCL's tables.
    fn nccl(&self, system: &str) -> Option<PathBuf> {
        at_version(&self.data.join(system).join("comm/nccl"), &NCCL)
    }

    /// The systems there are.
    fn systems(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.data)
            .into_iter()
            .flatten()
            .flatten();
        let folders = entries.filter(|entry| entry.path().join("gemm").is_dir());
        let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// The name of a wheel with the version that its folder beside tells.
fn tool(site: &Path, package: &str) -> String {
    let name = package.replace('_', "-");
    let name = name
        .strip_suffix("-core")
        .filter(|it| *it == "aisimulate")
        .unwrap_or(&name);
    let entries = std::fs::read_dir(site).into_iter().flatten().flatten();
    let prefix = format!("{}-", name.replace('-', "_"));
    let versions = entries.filter_map(|entry| {
        let folder = entry.file_name().to_string_lossy().into_owned();
        let version = folder.strip_prefix(&prefix)?.strip_suffix(".dist-info")?;
        Some(version.to_owned())
    });
    match versions.max() {
        Some(version) => format!("{name} {version}"),
        None => format!("{name}, version not told"),
    }
}

/// The folder of the first of some versions that is there, or else of the newest.
fn at_version(folder: &Path, wanted: &[&str]) -> Option<PathBuf> {
    let wanted = wanted.iter().map(|version| folder.join(version));
    if let Some(found) = wanted.into_iter().find(|path| path.is_dir()) {
        return Some(found);
    }
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let folders = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    folders.max_by_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let numbers = name.split(|c: char| !c.is_ascii_digit());
        // 0.9.0 is older than 0.24.0.
        let numbers: Vec<u64> = numbers.filter_map(|part| part.parse().ok()).collect();
        (numbers, name.into_owned())
    })
}

/// Reads the tables of the system and framework asked for.
pub(super) fn read(path: &Path, asked: &Asked, gather: &mut Gather) -> Result<Told, ImportError> {
    let Some(wheel) = Wheel::open(path) else {
        return Err(ImportError::File {
            file: path.display().to_string(),
            cause: "has no systems/data/SYSTEM/gemm".to_owned(),
            remedy: "give the folder that the wheel was installed or unpacked to",
        });
    };
    let systems = wheel.systems();
    let system = one_of("system", asked.system.as_deref(), &systems)?;
    let names: Vec<String> = KernelBackend::ALL.map(|it| it.name().to_owned()).to_vec();
    let framework = one_of("framework", asked.framework.as_deref(), &names)?;
    let backend = KernelBackend::ALL
        .into_iter()
        .find(|it| it.name() == framework);
    let Some(backend) = backend else {
        return Err(ImportError::Format { path: framework });
    };
    let mut tables = rows::Tables::new(gather);
    for kind in kinds::Kind::ALL {
        let folder = match kind {
            kinds::Kind::AllGather | kinds::Kind::ReduceScatter => wheel.nccl(&system),
            _ => wheel.folder(&system, kind.folder(), backend),
        };
        if let Some(folder) = folder {
            tables.read(kind, &folder, backend)?;
        }
    }
    let version = wheel.folder(&system, "gemm", backend);
    let version = version
        .as_deref()
        .and_then(Path::file_name)
        .unwrap_or_default();
    Ok(Told {
        source: format!("{}, {system}", wheel.tool),
        files: tables.files,
        device: match tables.device.is_empty() {
            true => system,
            false => tables.device,
        },
        framework: Some(format!("{framework} {}", version.to_string_lossy())),
        attention_kernels: Some(tables.attention_kernels),
        ..Told::default()
    })
}

/// The value asked for, which must be one of those there are.
fn one_of(
    option: &'static str,
    value: Option<&str>,
    known: &[String],
) -> Result<String, ImportError> {
    if let Some(found) = value.and_then(|value| known.iter().find(|name| *name == value)) {
        return Ok(found.clone());
    }
    let near = value.and_then(|value| nearest(value, known.iter().map(String::as_str)));
    Err(ImportError::Asked {
        option,
        value: value.map(str::to_owned),
        why: match value {
            None => "a calibration is of one, and the wheel has several".to_owned(),
            Some(_) => "the wheel has no such tables".to_owned(),
        },
        remedy: match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("give one of {}", known.join(", ")),
        },
    })
}
