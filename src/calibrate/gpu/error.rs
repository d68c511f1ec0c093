//! Why the device could not be measured, each in one sentence that says what to do.

/// How reasons begin where results are not what the arithmetic gives.
pub(super) const WRONG: &str = "wrong results";

/// What went wrong on the way to or on the device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// No driver.
    #[error(
        "no NVIDIA driver on this machine: libcuda.so.1 cannot be loaded; install the driver or \
         go to a machine that has one (`--dry-run` needs none)"
    )]
    NoDriver,
    /// A driver that lacks functions this program calls.
    #[error(
        "the NVIDIA driver is too old: it has no function `{symbol}`; install a driver for CUDA \
         12.8 (version 570) or newer"
    )]
    MissingSymbol {
        /// The function's name.
        symbol: &'static str,
    },
    /// A driver below the oldest version that is supported.
    #[error(
        "the NVIDIA driver is too old: it is for CUDA {found}, and CUDA 12.8 is the oldest \
         allowed; install driver version 570 or newer"
    )]
    OldDriver {
        /// The CUDA version that the driver is for.
        found: String,
    },
    /// The CUDA toolkit's stand-in for the driver.
    #[error(
        "the libcuda.so.1 that was loaded is not the NVIDIA driver but the CUDA toolkit's stub, \
         which programs are linked with where there is no driver; take the toolkit's folder \
         `stubs` out of LD_LIBRARY_PATH"
    )]
    StubDriver,
    /// A driver, but no device.
    #[error(
        "the NVIDIA driver finds no CUDA device ({said}); check `nvidia-smi -L` and \
         CUDA_VISIBLE_DEVICES"
    )]
    NoDevice {
        /// What the driver answered.
        said: String,
    },
    /// The driver does not start.
    #[error(
        "the NVIDIA driver does not start ({said}); see what `nvidia-smi` says, that the kernel's module \
         is of the same version as libcuda.so.1 (a restart after an update), and that this process may \
         use /dev/nvidia*"
    )]
    NoStart {
        /// What the driver answered.
        said: String,
    },
    /// A device that is not there.
    #[error("--device is {asked}, but it must be below {count}, the number of CUDA devices here")]
    UnknownDevice {
        /// The number asked for.
        asked: u32,
        /// Devices there are.
        count: u32,
    },
    /// A library beside the driver is missing.
    #[error(
        "{library} cannot be loaded, which {purpose}; install it with the CUDA toolkit or \
         `pip install {wheel}`, and put its folder on LD_LIBRARY_PATH"
    )]
    MissingLibrary {
        /// Its file's name.
        library: &'static str,
        /// What it is for.
        purpose: &'static str,
        /// The Python wheel that has it.
        wheel: &'static str,
    },
    /// A library beside the driver lacks functions this program calls.
    #[error(
        "{library} is too old: it has no function `{symbol}`; install that of CUDA 12 or newer \
         and put its folder on LD_LIBRARY_PATH"
    )]
    OldLibrary {
        /// Its file's name.
        library: &'static str,
        /// The function's name.
        symbol: &'static str,
    },
    /// A call failed.
    #[error("the device refused `{call}`: {said}")]
    Call {
        /// The function called.
        call: &'static str,
        /// The error's name and what it means.
        said: String,
        /// Whether nothing more can be done with the device in this process.
        fatal: bool,
    },
    /// A kernel's source did not compile.
    #[error("kernel source {file} does not compile for {arch}: {log}")]
    Compile {
        /// The source file.
        file: &'static str,
        /// The architecture.
        arch: String,
        /// What the compiler said.
        log: String,
    },
    /// A library has no kernel for a shape.
    #[error("cuBLASLt has no algorithm for {0}")]
    NoAlgorithm(String),
    /// The plan asks for more memory than the device has.
    #[error(
        "{what} needs {needed} MB of device memory and {available} MB are free; name a smaller \
         model, more `--tp`, or stop what else uses the device"
    )]
    Memory {
        /// What asks for it.
        what: String,
        /// Bytes asked for, in 1e6.
        needed: u64,
        /// Bytes that are free, in 1e6.
        available: u64,
    },
    /// An operation this program has no kernel for.
    #[error("{0}")]
    Unsupported(String),
    /// Results that are not what the arithmetic gives.
    #[error(
        "{WRONG}: error {error:.2e} where {tolerance:.0e} is allowed ({values} values checked)"
    )]
    Wrong {
        /// The largest error.
        error: Shown,
        /// What is allowed.
        tolerance: Shown,
        /// Values that were checked.
        values: u64,
    },
    /// Values that a kernel should have written and did not.
    #[error("{WRONG}: {count} values were not written")]
    Unwritten {
        /// How many.
        count: u64,
    },
}

impl GpuError {
    /// Whether a kernel gave results that are not what the arithmetic gives.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        matches!(self, Self::Wrong { .. } | Self::Unwritten { .. })
    }

    /// Whether nothing more can be measured in this process.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Call { fatal: true, .. })
    }
}

/// A number that is only shown; NaN equals NaN.
#[derive(Debug, Clone, Copy)]
pub struct Shown(pub f64);

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        self.0.total_cmp(&other.0).is_eq()
    }
}

impl Eq for Shown {}

impl std::fmt::LowerExp for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::LowerExp::fmt(&self.0, f)
    }
}
