//! Memory of the device, and pinned memory of the host.

use std::marker::PhantomData;

use cudarc::driver::sys;

use super::super::error::GpuError;
use super::check;
use super::context::Device;

/// Part of the device's memory: an address and a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub address: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

impl Span {
    /// A part of this part.
    ///
    /// # Errors
    /// It does not lie within.
    pub fn part(self, offset: u64, bytes: u64) -> Result<Span, GpuError> {
        match offset.checked_add(bytes) {
            Some(end) if end <= self.bytes => Ok(Span {
                address: self.address + offset,
                bytes,
            }),
            _ => Err(GpuError::Memory {
                what: "a buffer".to_owned(),
                needed: offset.saturating_add(bytes) / 1_000_000,
                available: self.bytes / 1_000_000,
            }),
        }
    }
}

/// Memory of the device, freed when dropped. It begins at a multiple of 256 bytes.
#[derive(Debug)]
pub struct Buffer {
    span: Span,
    /// It belongs to the context that was current in this thread.
    thread: PhantomData<*const ()>,
}

impl Buffer {
    pub(super) fn new(bytes: u64) -> Result<Buffer, GpuError> {
        let mut address = 0;
        let length = usize::try_from(bytes.max(1)).unwrap_or(usize::MAX);
        // SAFETY: a context is current (a `Device` was made before); the address goes to a place
        // of our own.
        let code = unsafe { sys::cuMemAlloc_v2(&raw mut address, length) };
        if code == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
            return Err(GpuError::Memory {
                what: "a buffer".to_owned(),
                needed: bytes / 1_000_000,
                available: free_bytes()? / 1_000_000,
            });
        }
        check("cuMemAlloc", code)?;
        Ok(Buffer {
            span: Span { address, bytes },
            thread: PhantomData,
        })
    }

    /// All of it.
    #[must_use]
    pub fn all(&self) -> Span {
        self.span
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the address is from `cuMemAlloc` and is freed once. If the device has failed
        // there is nothing to free and nobody to tell.
        let _ = unsafe { sys::cuMemFree_v2(self.span.address) };
    }
}

/// Bytes of the device's memory that are free.
pub(super) fn free_bytes() -> Result<u64, GpuError> {
    let (mut free, mut total) = (0, 0);
    // SAFETY: a context is current; both numbers go to places of our own.
    let code = unsafe { sys::cuMemGetInfo_v2(&raw mut free, &raw mut total) };
    check("cuMemGetInfo", code)?;
    Ok(free as u64)
}

/// Memory of the host that the device reaches without a copy on the way, freed when dropped.
#[derive(Debug)]
pub struct HostBuffer {
    pub(super) pointer: *mut std::ffi::c_void,
    bytes: u64,
}

impl HostBuffer {
    /// So many bytes, with a pattern in them.
    pub(super) fn new(bytes: u64) -> Result<HostBuffer, GpuError> {
        let mut pointer = std::ptr::null_mut();
        let length = usize::try_from(bytes.max(1)).unwrap_or(usize::MAX);
        // SAFETY: a context is current; the address goes to a place of our own.
        let code = unsafe { sys::cuMemHostAlloc(&raw mut pointer, length, 0) };
        check("cuMemHostAlloc", code)?;
        let mut buffer = HostBuffer { pointer, bytes };
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for byte in buffer.bytes_mut() {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
        Ok(buffer)
    }

    /// Its bytes, once everything asked of a device is done: whoever calls gives the one that
    /// copies to it.
    ///
    /// # Errors
    /// Something that was asked failed.
    pub fn bytes(&self, device: &Device) -> Result<&[u8], GpuError> {
        device.wait()?;
        let length = usize::try_from(self.bytes).unwrap_or(0);
        // SAFETY: the memory is ours and of that length, every byte was set when it was made, and
        // no copy to it is on its way nor can be asked for while the slice lives.
        Ok(unsafe { std::slice::from_raw_parts(self.pointer.cast::<u8>(), length) })
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        let length = usize::try_from(self.bytes).unwrap_or(0);
        // SAFETY: the memory is ours and of that length (`cuMemHostAlloc` gives readable memory),
        // and is borrowed for as long as the slice lives.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.cast::<u8>(), length) }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}

impl Drop for HostBuffer {
    fn drop(&mut self) {
        // SAFETY: the address is from `cuMemHostAlloc` and is freed once.
        let _ = unsafe { sys::cuMemFreeHost(self.pointer) };
    }
}

/// Types of which any bytes are a value, without padding.
pub trait Plain: Copy + private::Sealed {}

mod private {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
    impl Sealed for f32 {}
}

impl Plain for u8 {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for f32 {}
