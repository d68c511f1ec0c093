//! A device with its context and stream, its facts, and copies to, on and from it.

use std::marker::PhantomData;

use cudarc::driver::sys;
use sys::CUdevice_attribute as Attribute;

use super::super::error::GpuError;
use super::super::record::DeviceFacts;
use super::memory::{Buffer, HostBuffer, Plain, Span, free_bytes};
use super::{check, probe};

/// Where the kernel's module of the driver tells its version.
const DRIVER: &str = "/proc/driver/nvidia/version";

/// The version in what the module tells: `570.86.15` of "NVRM version: NVIDIA UNIX Open Kernel Module
/// for x86_64  570.86.15  Release Build (...)". Two parts at least, so that no other number is taken
/// for it.
fn driver_of(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("NVRM version"))?;
    let is_version = |word: &&str| {
        let mut parts = word.split('.');
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        parts.clone().count() > 1 && parts.all(is_number)
    };
    line.split_whitespace().find(is_version).map(str::to_owned)
}

/// A device, its primary context (current in this thread) and a stream.
#[derive(Debug)]
pub struct Device {
    handle: sys::CUdevice,
    context: sys::CUcontext,
    pub(super) stream: sys::CUstream,
    thread: PhantomData<*const ()>,
}

impl Device {
    /// Opens a device by its number.
    ///
    /// # Errors
    /// No driver or device, or none of that number.
    pub fn open(number: u32) -> Result<Device, GpuError> {
        let count = probe::driver()?;
        if number >= count {
            return Err(GpuError::UnknownDevice {
                asked: number,
                count,
            });
        }
        let (mut handle, mut context) = (0, std::ptr::null_mut());
        let mut stream = std::ptr::null_mut();
        // SAFETY: the functions were probed and the driver was started; results go to places of
        // our own, and each is used only after its call succeeded.
        unsafe {
            check(
                "cuDeviceGet",
                sys::cuDeviceGet(&raw mut handle, i32::try_from(number).unwrap_or(0)),
            )?;
            check(
                "cuDevicePrimaryCtxRetain",
                sys::cuDevicePrimaryCtxRetain(&raw mut context, handle),
            )?;
            check("cuCtxSetCurrent", sys::cuCtxSetCurrent(context))?;
            check(
                "cuStreamCreate",
                sys::cuStreamCreate(
                    &raw mut stream,
                    sys::CUstream_flags::CU_STREAM_NON_BLOCKING as u32,
                ),
            )?;
        }
        Ok(Device {
            handle,
            context,
            stream,
            thread: PhantomData,
        })
    }

    /// Makes this device's context the current one of the thread.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn make_current(&self) -> Result<(), GpuError> {
        // SAFETY: the context is retained as long as `self` lives.
        check("cuCtxSetCurrent", unsafe {
            sys::cuCtxSetCurrent(self.context)
        })
    }

    fn attribute(&self, attribute: Attribute) -> Result<u32, GpuError> {
        let mut value = 0;
        // SAFETY: the handle is a device's; the value goes to a place of our own.
        let code = unsafe { sys::cuDeviceGetAttribute(&raw mut value, attribute, self.handle) };
        check("cuDeviceGetAttribute", code)?;
        Ok(u32::try_from(value).unwrap_or(0))
    }

    /// What the device is. Its serial number and place in the machine are left out.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn facts(&self) -> Result<DeviceFacts, GpuError> {
        let mut name = [0; 256];
        let mut memory = 0;
        // SAFETY: the name's length is given, and the driver ends it with a zero byte.
        unsafe {
            check(
                "cuDeviceGetName",
                sys::cuDeviceGetName(name.as_mut_ptr(), 255, self.handle),
            )?;
            check(
                "cuDeviceTotalMem",
                sys::cuDeviceTotalMem_v2(&raw mut memory, self.handle),
            )?;
        }
        let name: Vec<u8> = name
            .iter()
            .take_while(|byte| **byte != 0)
            .map(|byte| *byte as u8)
            .collect();
        let [major, minor] = [
            Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        ]
        .map(|attribute| self.attribute(attribute));
        // What a driver does not tell of is 0; the number of multiprocessors it must tell.
        let told = |attribute| self.attribute(attribute).unwrap_or(0);
        Ok(DeviceFacts {
            name: String::from_utf8_lossy(&name).into_owned(),
            compute_capability: format!("{}.{}", major?, minor?),
            multiprocessors: self.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            clock_mhz: told(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE) / 1000,
            memory_clock_mhz: told(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE) / 1000,
            memory_bus_bits: told(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH),
            memory_bytes: memory as u64,
            l2_bytes: u64::from(told(Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)),
            shared_bytes_per_block: u64::from(told(
                Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
            )),
            ecc: Some(told(Attribute::CU_DEVICE_ATTRIBUTE_ECC_ENABLED) != 0),
            driver_cuda: probe::version_text(probe::driver_version()?),
            driver: std::fs::read_to_string(DRIVER)
                .ok()
                .and_then(|text| driver_of(&text)),
        })
    }

    /// Bytes of memory that are free.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn free_bytes(&self) -> Result<u64, GpuError> {
        free_bytes()
    }

    /// So many bytes of the device's memory.
    ///
    /// # Errors
    /// There is not so much, or the driver refuses.
    pub fn buffer(&self, bytes: u64) -> Result<Buffer, GpuError> {
        Buffer::new(bytes)
    }

    /// So many bytes of pinned memory of the host.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn host_buffer(&self, bytes: u64) -> Result<HostBuffer, GpuError> {
        HostBuffer::new(bytes)
    }

    /// Waits until everything asked of the device is done.
    ///
    /// # Errors
    /// Something that was asked failed.
    pub fn wait(&self) -> Result<(), GpuError> {
        // SAFETY: a context is current, and the stream is of it.
        check("cuStreamSynchronize", unsafe {
            sys::cuStreamSynchronize(self.stream)
        })?;
        // SAFETY: as above.
        check("cuCtxSynchronize", unsafe { sys::cuCtxSynchronize() })
    }

    /// Sets every byte, in the stream.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn set_bytes(&self, to: Span, byte: u8) -> Result<(), GpuError> {
        // SAFETY: a span lies within a buffer of this context.
        check("cuMemsetD8Async", unsafe {
            sys::cuMemsetD8Async(to.address, byte, to.bytes as usize, self.stream)
        })
    }

    /// Copies on the device, in the stream.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn copy(&self, to: Span, from: Span) -> Result<(), GpuError> {
        let bytes = to.bytes.min(from.bytes) as usize;
        // SAFETY: spans lie within buffers of this context, and no more than the shorter is copied.
        check("cuMemcpyDtoDAsync", unsafe {
            sys::cuMemcpyDtoDAsync_v2(to.address, from.address, bytes, self.stream)
        })
    }

    /// Copies values from the host, after everything asked before, and waits for it.
    ///
    /// # Errors
    /// The span is too short, or the driver refuses.
    pub fn upload<T: Plain>(&self, to: Span, values: &[T]) -> Result<(), GpuError> {
        let to = to.part(0, size_of_val(values) as u64)?;
        self.wait()?;
        // SAFETY: the values are plain and borrowed through the call, which has read them when it
        // returns; the span has room for them.
        check("cuMemcpyHtoD", unsafe {
            sys::cuMemcpyHtoD_v2(to.address, values.as_ptr().cast(), size_of_val(values))
        })?;
        // The copy may still be on its way then, and this stream does not wait for it.
        self.wait()
    }

    /// Copies values to the host, and waits for it and for the stream before it.
    ///
    /// # Errors
    /// The span is too short, or the driver refuses.
    pub fn download<T: Plain>(&self, from: Span, values: &mut [T]) -> Result<(), GpuError> {
        self.wait()?;
        let bytes = size_of_val(values);
        let from = from.part(0, bytes as u64)?;
        // SAFETY: any bytes are valid values of a plain type; the slice is borrowed through the
        // call, which waits, and is as long as what is copied.
        check("cuMemcpyDtoH", unsafe {
            sys::cuMemcpyDtoH_v2(values.as_mut_ptr().cast(), from.address, bytes)
        })
    }

    /// Copies from pinned memory in the stream, without waiting.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn copy_in(&self, to: Span, from: &HostBuffer) -> Result<(), GpuError> {
        let bytes = to.bytes.min(from.len()) as usize;
        // SAFETY: the span lies within a buffer, and no more than the shorter is copied. Whoever
        // calls waits before the host's memory is dropped; freeing waits for the device, too.
        check("cuMemcpyHtoDAsync", unsafe {
            sys::cuMemcpyHtoDAsync_v2(to.address, from.pointer, bytes, self.stream)
        })
    }

    /// Copies to pinned memory in the stream, without waiting.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn copy_out(&self, to: &mut HostBuffer, from: Span) -> Result<(), GpuError> {
        let bytes = from.bytes.min(to.len()) as usize;
        // SAFETY: as in `copy_in`. The host's memory is not read while it is written: it is given
        // out only after a wait, and no copy to it can be asked for while it is borrowed.
        check("cuMemcpyDtoHAsync", unsafe {
            sys::cuMemcpyDtoHAsync_v2(to.pointer, from.address, bytes, self.stream)
        })
    }

    /// Lets this device reach another's memory.
    ///
    /// # Errors
    /// It cannot.
    pub fn reach(&self, other: &Device) -> Result<(), GpuError> {
        self.make_current()?;
        let mut can = 0;
        // SAFETY: both handles are devices'; both contexts are retained as long as they live.
        unsafe {
            check(
                "cuDeviceCanAccessPeer",
                sys::cuDeviceCanAccessPeer(&raw mut can, self.handle, other.handle),
            )?;
            if can == 0 {
                return Ok(());
            }
            match sys::cuCtxEnablePeerAccess(other.context, 0) {
                sys::CUresult::CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED => Ok(()),
                code => check("cuCtxEnablePeerAccess", code),
            }
        }
    }

    /// Copies from this device to another, in this one's stream.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn copy_to_peer(&self, other: &Device, to: Span, from: Span) -> Result<(), GpuError> {
        let bytes = to.bytes.min(from.bytes) as usize;
        // SAFETY: the spans lie within buffers of the contexts given, and no more than the shorter
        // is copied.
        check("cuMemcpyPeerAsync", unsafe {
            sys::cuMemcpyPeerAsync(
                to.address,
                other.context,
                from.address,
                self.context,
                bytes,
                self.stream,
            )
        })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: both were made in `open` and are given back once.
        unsafe {
            let _ = sys::cuStreamDestroy_v2(self.stream);
            let _ = sys::cuDevicePrimaryCtxRelease_v2(self.handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_version_is_found_in_what_its_module_tells() {
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  \
                    (dvs-builder@U16)\nGCC version:  gcc version 11.4.0 (Ubuntu)\n";
        assert_eq!(driver_of(open).as_deref(), Some("570.86.15"));
        let closed =
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 2024\n";
        assert_eq!(driver_of(closed).as_deref(), Some("535.183.01"));
        assert_eq!(driver_of("GCC version: 11.4.0\n"), None);
        assert_eq!(driver_of("NVRM version: unknown 64\n"), None);
    }
}
