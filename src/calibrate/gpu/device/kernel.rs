//! Kernels: loaded, found by name, started.

use std::ffi::CString;

use cudarc::driver::sys;

use super::super::error::GpuError;
use super::check;
use super::context::Device;
use super::memory::Span;

/// A value that a kernel is given.
#[derive(Debug, Clone, Copy)]
pub enum Arg {
    /// An address.
    At(Span),
    /// A whole number of 64 bits.
    Long(u64),
    /// A whole number of 32 bits.
    Int(u32),
    /// A number.
    Float(f32),
}

impl Arg {
    /// The value in the low bytes, as kernels read them.
    fn bits(self) -> u64 {
        match self {
            Self::At(span) => span.address,
            Self::Long(value) => value,
            Self::Int(value) => u64::from(value),
            Self::Float(value) => u64::from(value.to_bits()),
        }
    }
}

/// A kernel.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    function: sys::CUfunction,
}

/// Kernels that were loaded together, unloaded when dropped.
#[derive(Debug)]
pub struct Module {
    handle: sys::CUmodule,
}

impl Device {
    /// Loads compiled kernels.
    ///
    /// # Errors
    /// The driver refuses the code.
    pub fn load(&self, code: &[u8]) -> Result<Module, GpuError> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the code is what the compiler made, cubin or PTX with a zero byte at its end.
        check("cuModuleLoadData", unsafe {
            sys::cuModuleLoadData(&raw mut handle, code.as_ptr().cast())
        })?;
        Ok(Module { handle })
    }

    /// Starts a kernel in the stream.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn launch(
        &self,
        kernel: Kernel,
        grid: [u64; 3],
        threads: u32,
        shared_bytes: u32,
        args: &[Arg],
    ) -> Result<(), GpuError> {
        let mut values: Vec<u64> = args.iter().map(|arg| arg.bits()).collect();
        let mut pointers: Vec<*mut std::ffi::c_void> = values
            .iter_mut()
            .map(|value| std::ptr::from_mut(value).cast())
            .collect();
        let [x, y, z] = grid.map(|blocks| u32::try_from(blocks).unwrap_or(u32::MAX));
        // SAFETY: each argument lies in 8 bytes of its own with its value in the low ones, and the
        // driver copies them before the call returns. A kernel touches the device's memory only.
        check("cuLaunchKernel", unsafe {
            sys::cuLaunchKernel(
                kernel.function,
                x,
                y,
                z,
                threads,
                1,
                1,
                shared_bytes,
                self.stream,
                pointers.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        })
    }
}

impl Module {
    /// A kernel by its name, with so much shared memory for each of its blocks.
    ///
    /// # Errors
    /// There is none, or the device has not so much shared memory.
    pub fn kernel(&self, name: &str, shared_bytes: u32) -> Result<Kernel, GpuError> {
        let text = CString::new(name).unwrap_or_default();
        let mut function = std::ptr::null_mut();
        // SAFETY: the module is loaded as long as `self` lives; the name ends with a zero byte.
        check("cuModuleGetFunction", unsafe {
            sys::cuModuleGetFunction(&raw mut function, self.handle, text.as_ptr())
        })?;
        let limit = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        if shared_bytes > 0 {
            let bytes = i32::try_from(shared_bytes).unwrap_or(i32::MAX);
            // SAFETY: the function is of a loaded module.
            check("cuFuncSetAttribute", unsafe {
                sys::cuFuncSetAttribute(function, limit, bytes)
            })?;
        }
        Ok(Kernel { function })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: the module was loaded once and is unloaded once.
        let _ = unsafe { sys::cuModuleUnload(self.handle) };
    }
}
