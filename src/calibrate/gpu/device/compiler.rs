//! Kernels from source, by NVRTC. It needs no device.

use std::ffi::CString;

use cudarc::nvrtc::sys;

use super::super::error::GpuError;
use super::{probe, text_at};

/// Compiles a kernel source for a compute capability, 90 for 9.0. Gives code for that very device
/// if this NVRTC knows it, and PTX of the newest one it knows otherwise, for the driver to finish.
///
/// # Errors
/// NVRTC is missing, or the source is wrong; the error has what it says.
pub fn compile(
    file: &'static str,
    source: &str,
    capability: u32,
    defines: &[String],
) -> Result<Vec<u8>, GpuError> {
    probe::compiler()?;
    let known = known_capabilities()?;
    let exact = known.contains(&capability);
    let target = known.iter().copied().filter(|one| *one <= capability).max();
    let kind = if exact { "sm" } else { "compute" };
    let arch = format!("{kind}_{}", target.unwrap_or(capability));
    let mut options = vec![
        format!("--gpu-architecture={arch}"),
        "--std=c++17".to_owned(),
    ];
    options.extend_from_slice(defines);
    let program = Program::new(file, source)?;
    program.compile(file, &arch, &options)?;
    program.code(exact)
}

/// The version of NVRTC.
///
/// # Errors
/// It is missing.
pub fn compiler_version() -> Result<String, GpuError> {
    probe::compiler()?;
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the function was probed; both numbers go to places of our own.
    check("nvrtcVersion", unsafe {
        sys::nvrtcVersion(&raw mut major, &raw mut minor)
    })?;
    Ok(format!("{major}.{minor}"))
}

fn known_capabilities() -> Result<Vec<u32>, GpuError> {
    let mut count = 0;
    // SAFETY: the count goes to a place of our own.
    check("nvrtcGetNumSupportedArchs", unsafe {
        sys::nvrtcGetNumSupportedArchs(&raw mut count)
    })?;
    let mut known = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: there is room for as many as the library said it has.
    check("nvrtcGetSupportedArchs", unsafe {
        sys::nvrtcGetSupportedArchs(known.as_mut_ptr())
    })?;
    Ok(known
        .iter()
        .filter_map(|one| (*one).try_into().ok())
        .collect())
}

/// A program of NVRTC's, destroyed when dropped.
struct Program {
    handle: sys::nvrtcProgram,
}

impl Program {
    fn new(file: &str, source: &str) -> Result<Program, GpuError> {
        let [source, file] = [source, file].map(|text| CString::new(text).unwrap_or_default());
        let mut handle = std::ptr::null_mut();
        // SAFETY: both texts end with a zero byte and are copied in the call; there are no headers.
        check("nvrtcCreateProgram", unsafe {
            sys::nvrtcCreateProgram(
                &raw mut handle,
                source.as_ptr(),
                file.as_ptr(),
                0,
                std::ptr::null(),
                std::ptr::null(),
            )
        })?;
        Ok(Program { handle })
    }

    fn compile(&self, file: &'static str, arch: &str, options: &[String]) -> Result<(), GpuError> {
        let options: Vec<CString> = options
            .iter()
            .map(|option| CString::new(option.as_str()).unwrap_or_default())
            .collect();
        let pointers: Vec<_> = options.iter().map(|option| option.as_ptr()).collect();
        let count = i32::try_from(pointers.len()).unwrap_or(0);
        // SAFETY: so many pointers, each to a text that ends with a zero byte and outlives the call.
        let code = unsafe { sys::nvrtcCompileProgram(self.handle, count, pointers.as_ptr()) };
        if code == sys::nvrtcResult::NVRTC_ERROR_COMPILATION {
            return Err(GpuError::Compile {
                file,
                arch: arch.to_owned(),
                log: self.log()?,
            });
        }
        check("nvrtcCompileProgram", code)
    }

    fn log(&self) -> Result<String, GpuError> {
        let mut bytes = 0;
        // SAFETY: the size goes to a place of our own.
        check("nvrtcGetProgramLogSize", unsafe {
            sys::nvrtcGetProgramLogSize(self.handle, &raw mut bytes)
        })?;
        let mut log = vec![0_u8; bytes];
        // SAFETY: there is room for as many bytes as the library said.
        check("nvrtcGetProgramLog", unsafe {
            sys::nvrtcGetProgramLog(self.handle, log.as_mut_ptr().cast())
        })?;
        let text = String::from_utf8_lossy(&log).into_owned();
        Ok(text.trim_end_matches('\0').trim().replace('\n', "; "))
    }

    fn code(&self, machine: bool) -> Result<Vec<u8>, GpuError> {
        let mut bytes = 0;
        // SAFETY: the size goes to a place of our own.
        let code = unsafe {
            if machine {
                sys::nvrtcGetCUBINSize(self.handle, &raw mut bytes)
            } else {
                sys::nvrtcGetPTXSize(self.handle, &raw mut bytes)
            }
        };
        check("nvrtcGetCUBINSize", code)?;
        // One byte more, so that PTX surely ends with a zero.
        let mut text = vec![0_u8; bytes + 1];
        // SAFETY: there is room for as many bytes as the library said.
        let code = unsafe {
            if machine {
                sys::nvrtcGetCUBIN(self.handle, text.as_mut_ptr().cast())
            } else {
                sys::nvrtcGetPTX(self.handle, text.as_mut_ptr().cast())
            }
        };
        check("nvrtcGetCUBIN", code)?;
        Ok(text)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: made once, destroyed once.
        let _ = unsafe { sys::nvrtcDestroyProgram(&raw mut self.handle) };
    }
}

fn check(call: &'static str, code: sys::nvrtcResult) -> Result<(), GpuError> {
    if code == sys::nvrtcResult::NVRTC_SUCCESS {
        return Ok(());
    }
    // SAFETY: the library gives the address of a constant text.
    let said = text_at(unsafe { sys::nvrtcGetErrorString(code) });
    Err(GpuError::Call {
        call,
        said: said.unwrap_or_else(|| format!("error {}", code as u32)),
        fatal: false,
    })
}
