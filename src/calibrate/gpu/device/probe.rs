//! Whether the libraries and the functions that this program calls are there.

use cudarc::{cublaslt, driver, nccl, nvrtc};

use super::super::error::GpuError;
use super::said;

/// The oldest CUDA version of a driver, as the driver reports it.
pub const OLDEST_DRIVER: i32 = 12_080;

/// The driver's functions that are called.
const DRIVER: &[&str] = &[
    "cuCtxEnablePeerAccess",
    "cuCtxSetCurrent",
    "cuCtxSynchronize",
    "cuDeviceCanAccessPeer",
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuDeviceGetCount",
    "cuDeviceGetName",
    "cuDevicePrimaryCtxRelease_v2",
    "cuDevicePrimaryCtxRetain",
    "cuDeviceTotalMem_v2",
    "cuDriverGetVersion",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventElapsedTime_v2",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuFuncSetAttribute",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuInit",
    "cuLaunchKernel",
    "cuMemAlloc_v2",
    "cuMemFreeHost",
    "cuMemFree_v2",
    "cuMemGetInfo_v2",
    "cuMemHostAlloc",
    "cuMemcpyDtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyDtoH_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyHtoD_v2",
    "cuMemcpyPeerAsync",
    "cuMemsetD8Async",
    "cuModuleGetFunction",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuStreamBeginCapture_v2",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamEndCapture",
    "cuStreamSynchronize",
];

/// NVRTC's functions that are called.
const COMPILER: &[&str] = &[
    "nvrtcCompileProgram",
    "nvrtcCreateProgram",
    "nvrtcDestroyProgram",
    "nvrtcGetCUBIN",
    "nvrtcGetCUBINSize",
    "nvrtcGetErrorString",
    "nvrtcGetNumSupportedArchs",
    "nvrtcGetPTX",
    "nvrtcGetPTXSize",
    "nvrtcGetProgramLog",
    "nvrtcGetProgramLogSize",
    "nvrtcGetSupportedArchs",
    "nvrtcVersion",
];

/// cuBLASLt's functions that are called.
const PRODUCTS: &[&str] = &[
    "cublasLtCreate",
    "cublasLtDestroy",
    "cublasLtGetVersion",
    "cublasLtMatmul",
    "cublasLtMatmulAlgoGetHeuristic",
    "cublasLtMatmulDescCreate",
    "cublasLtMatmulDescDestroy",
    "cublasLtMatmulDescSetAttribute",
    "cublasLtMatmulPreferenceCreate",
    "cublasLtMatmulPreferenceDestroy",
    "cublasLtMatmulPreferenceSetAttribute",
    "cublasLtMatrixLayoutCreate",
    "cublasLtMatrixLayoutDestroy",
];

/// NCCL's functions that are called.
const COLLECTIVES: &[&str] = &[
    "ncclAllReduce",
    "ncclCommDestroy",
    "ncclCommInitAll",
    "ncclGetErrorString",
    "ncclGetVersion",
    "ncclGroupEnd",
    "ncclGroupStart",
];

/// Asks for the driver, its functions and its version, starts it, and counts its devices.
///
/// # Errors
/// No driver, an old one, or one that finds no device.
pub fn driver() -> Result<u32, GpuError> {
    // SAFETY: loading the driver runs its initialisers, as every program that uses it does.
    if !unsafe { driver::sys::is_culib_present() } {
        return Err(GpuError::NoDriver);
    }
    if let Some(symbol) = DRIVER.iter().find(|symbol| !driver_has(symbol)) {
        return Err(GpuError::MissingSymbol { symbol });
    }
    let version = driver_version()?;
    if version < OLDEST_DRIVER {
        return Err(GpuError::OldDriver {
            found: version_text(version),
        });
    }
    let mut count = 0;
    // SAFETY: the functions were found above; the count goes to a place of our own.
    let code = unsafe {
        match driver::sys::cuInit(0) {
            driver::sys::CUresult::CUDA_SUCCESS => driver::sys::cuDeviceGetCount(&raw mut count),
            failed => failed,
        }
    };
    match code {
        driver::sys::CUresult::CUDA_SUCCESS => {}
        driver::sys::CUresult::CUDA_ERROR_STUB_LIBRARY => return Err(GpuError::StubDriver),
        driver::sys::CUresult::CUDA_ERROR_NO_DEVICE => {
            return Err(GpuError::NoDevice { said: said(code) });
        }
        _ => return Err(GpuError::NoStart { said: said(code) }),
    }
    match u32::try_from(count) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(GpuError::NoDevice {
            said: "it counts none".to_owned(),
        }),
    }
}

/// The CUDA version that the driver is for, as 1000 times major plus 10 times minor.
pub(super) fn driver_version() -> Result<i32, GpuError> {
    let mut version = 0;
    // SAFETY: the function was probed; the version goes to a place of our own.
    let code = unsafe { driver::sys::cuDriverGetVersion(&raw mut version) };
    if code == driver::sys::CUresult::CUDA_ERROR_STUB_LIBRARY {
        return Err(GpuError::StubDriver);
    }
    super::check("cuDriverGetVersion", code)?;
    Ok(version)
}

/// A version of 1000 times major plus 10 times minor as people write it.
pub(super) fn version_text(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

/// Asks for NVRTC.
///
/// # Errors
/// It is missing or too old.
pub fn compiler() -> Result<(), GpuError> {
    const NAME: &str = "libnvrtc.so";
    // SAFETY: as for the driver.
    if !unsafe { nvrtc::sys::is_culib_present() } {
        return Err(GpuError::MissingLibrary {
            library: NAME,
            purpose: "compiles the kernels",
            wheel: "nvidia-cuda-nvrtc",
        });
    }
    // SAFETY: the library is there, so that `culib` does not panic.
    let library = unsafe { nvrtc::sys::culib() };
    has_all(NAME, COMPILER, |symbol| {
        // SAFETY: only whether there is such a symbol is asked.
        unsafe { library.get::<unsafe extern "C" fn()>(symbol) }.is_ok()
    })
}

/// Asks for cuBLASLt.
///
/// # Errors
/// It is missing or too old.
pub fn products() -> Result<(), GpuError> {
    const NAME: &str = "libcublasLt.so";
    // SAFETY: as for the driver.
    if !unsafe { cublaslt::sys::is_culib_present() } {
        return Err(GpuError::MissingLibrary {
            library: NAME,
            purpose: "multiplies matrices",
            wheel: "nvidia-cublas",
        });
    }
    // SAFETY: the library is there, so that `culib` does not panic.
    let library = unsafe { cublaslt::sys::culib() };
    has_all(NAME, PRODUCTS, |symbol| {
        // SAFETY: only whether there is such a symbol is asked.
        unsafe { library.get::<unsafe extern "C" fn()>(symbol) }.is_ok()
    })
}

/// Asks for NCCL, which only machines with several devices need.
///
/// # Errors
/// It is missing or too old.
pub fn collectives() -> Result<(), GpuError> {
    const NAME: &str = "libnccl.so";
    // SAFETY: as for the driver.
    if !unsafe { nccl::sys::is_culib_present() } {
        return Err(GpuError::MissingLibrary {
            library: NAME,
            purpose: "sums over devices",
            wheel: "nvidia-nccl-cu13",
        });
    }
    // SAFETY: the library is there, so that `culib` does not panic.
    let library = unsafe { nccl::sys::culib() };
    has_all(NAME, COLLECTIVES, |symbol| {
        // SAFETY: only whether there is such a symbol is asked.
        unsafe { library.get::<unsafe extern "C" fn()>(symbol) }.is_ok()
    })
}

fn driver_has(symbol: &str) -> bool {
    // SAFETY: the library is there, so that `culib` does not panic; only whether there is such a
    // symbol is asked.
    unsafe { driver::sys::culib().get::<unsafe extern "C" fn()>(symbol) }.is_ok()
}

fn has_all(
    library: &'static str,
    symbols: &'static [&'static str],
    has: impl Fn(&str) -> bool,
) -> Result<(), GpuError> {
    match symbols.iter().find(|symbol| !has(symbol)) {
        None => Ok(()),
        Some(symbol) => Err(GpuError::OldLibrary { library, symbol }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every function of a library that is called in these files is probed before.
    #[test]
    fn every_function_called_is_probed() {
        let sources = [
            include_str!("../device.rs"),
            include_str!("blas.rs"),
            include_str!("collective.rs"),
            include_str!("compiler.rs"),
            include_str!("context.rs"),
            include_str!("graph.rs"),
            include_str!("kernel.rs"),
            include_str!("memory.rs"),
            include_str!("probe.rs"),
        ];
        let probed = [DRIVER, COMPILER, PRODUCTS, COLLECTIVES].concat();
        let mut called = 0;
        for source in sources {
            for part in source.split("sys::").skip(1) {
                let name: String = part
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                let is_call = part[name.len()..].starts_with('(');
                let own = ["culib", "is_culib_present"].contains(&name.as_str());
                if is_call && !own && !name.is_empty() {
                    called += 1;
                    assert!(probed.contains(&name.as_str()), "{name} is not probed");
                }
            }
        }
        assert!(called >= 50, "{called}");
    }
}
