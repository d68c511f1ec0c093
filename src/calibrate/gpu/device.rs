//! The only module that talks to the device: the driver, cuBLASLt, NVRTC and NCCL through `cudarc`,
//! which loads them when they are first called.
//!
//! A missing library or function makes `cudarc` panic, so [`probe`] asks for every one of them
//! before the first call. Addresses of device memory are only numbers here: what a kernel does with
//! a wrong one is an error of the device, never of the host's memory.
#![allow(unsafe_code)]

mod blas;
mod collective;
mod compiler;
mod context;
mod graph;
mod kernel;
mod memory;
pub mod probe;

pub use blas::{Blas, Product, SCALES};
pub use collective::AllReduce;
pub use compiler::{compile, compiler_version};
pub use context::Device;
pub use graph::{Event, Graph};
pub use kernel::{Arg, Kernel, Module};
pub use memory::{Buffer, HostBuffer, Span};

use cudarc::driver::sys;

use super::error::GpuError;

/// The result of a driver call.
fn check(call: &'static str, code: sys::CUresult) -> Result<(), GpuError> {
    if code == sys::CUresult::CUDA_SUCCESS {
        return Ok(());
    }
    Err(GpuError::Call {
        call,
        said: said(code),
        fatal: is_fatal(code),
    })
}

/// What the driver says of an error: its name, and what it means.
fn said(code: sys::CUresult) -> String {
    let (mut name, mut meaning) = (std::ptr::null(), std::ptr::null());
    // SAFETY: both pointers are to places of our own; the driver stores addresses of texts that
    // live as long as it does, or leaves them null. The functions were probed.
    unsafe {
        let _ = sys::cuGetErrorName(code, &raw mut name);
        let _ = sys::cuGetErrorString(code, &raw mut meaning);
    }
    let texts: Vec<String> = [name, meaning].into_iter().filter_map(text_at).collect();
    if texts.is_empty() {
        format!("error {}", code as u32)
    } else {
        texts.join(", ")
    }
}

/// The text at an address that a library gave, if it gave one.
fn text_at(text: *const std::ffi::c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: libraries give the addresses of constant texts that end in a zero byte.
    let text = unsafe { std::ffi::CStr::from_ptr(text) };
    Some(text.to_string_lossy().into_owned())
}

/// Whether the context cannot be used any more after this error.
fn is_fatal(code: sys::CUresult) -> bool {
    use sys::CUresult as E;
    matches!(
        code,
        E::CUDA_ERROR_ILLEGAL_ADDRESS
            | E::CUDA_ERROR_LAUNCH_TIMEOUT
            | E::CUDA_ERROR_LAUNCH_FAILED
            | E::CUDA_ERROR_ILLEGAL_INSTRUCTION
            | E::CUDA_ERROR_MISALIGNED_ADDRESS
            | E::CUDA_ERROR_INVALID_ADDRESS_SPACE
            | E::CUDA_ERROR_INVALID_PC
            | E::CUDA_ERROR_HARDWARE_STACK_ERROR
            | E::CUDA_ERROR_ECC_UNCORRECTABLE
            | E::CUDA_ERROR_ASSERT
            | E::CUDA_ERROR_CONTEXT_IS_DESTROYED
            | E::CUDA_ERROR_UNKNOWN
    )
}
