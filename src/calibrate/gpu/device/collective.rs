//! Sums over several devices, by NCCL.

use cudarc::nccl::sys;

use super::super::error::GpuError;
use super::context::Device;
use super::memory::Span;
use super::{probe, text_at};

/// A sum over the first devices of this machine, closed when dropped.
#[derive(Debug)]
pub struct AllReduce {
    members: Vec<sys::ncclComm_t>,
}

impl AllReduce {
    /// Joins the devices 0 to `count` less one.
    ///
    /// # Errors
    /// NCCL is missing, or refuses.
    pub fn open(count: u32) -> Result<AllReduce, GpuError> {
        probe::collectives()?;
        let mut members = vec![std::ptr::null_mut(); count as usize];
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        // SAFETY: there is room for a handle of each device; without a list they are 0, 1, ...
        check("ncclCommInitAll", unsafe {
            sys::ncclCommInitAll(members.as_mut_ptr(), count, std::ptr::null())
        })?;
        Ok(AllReduce { members })
    }

    /// The library's version.
    ///
    /// # Errors
    /// The library refuses.
    pub fn version() -> Result<String, GpuError> {
        probe::collectives()?;
        let mut version = 0;
        // SAFETY: the version goes to a place of our own.
        check("ncclGetVersion", unsafe {
            sys::ncclGetVersion(&raw mut version)
        })?;
        let [major, minor, patch] = [version / 10_000, version / 100 % 100, version % 100];
        Ok(format!("{major}.{minor}.{patch}"))
    }

    /// Starts a sum of bf16 values in each device's stream, from the first to the second of its
    /// two places.
    ///
    /// # Errors
    /// The library refuses.
    pub fn run(&self, members: &[(&Device, [Span; 2])], values: u64) -> Result<(), GpuError> {
        for (_, places) in members {
            for place in places {
                place.part(0, values * 2)?;
            }
        }
        // SAFETY: one thread has all members, so their calls are grouped.
        check("ncclGroupStart", unsafe { sys::ncclGroupStart() })?;
        let mut asked = Ok(());
        for (member, (device, [from, to])) in self.members.iter().zip(members) {
            // SAFETY: both places have room for the values; member, stream and memory are of one
            // device.
            let code = unsafe {
                sys::ncclAllReduce(
                    from.address as *const std::ffi::c_void,
                    to.address as *mut std::ffi::c_void,
                    values as usize,
                    sys::ncclDataType_t::ncclBfloat16,
                    sys::ncclRedOp_t::ncclSum,
                    *member,
                    device.stream.cast(),
                )
            };
            asked = asked.and(check("ncclAllReduce", code));
        }
        // SAFETY: ends the group begun above.
        let ended = check("ncclGroupEnd", unsafe { sys::ncclGroupEnd() });
        asked.and(ended)
    }
}

impl Drop for AllReduce {
    fn drop(&mut self) {
        for member in &self.members {
            // SAFETY: each was made once and is destroyed once.
            let _ = unsafe { sys::ncclCommDestroy(*member) };
        }
    }
}

fn check(call: &'static str, code: sys::ncclResult_t) -> Result<(), GpuError> {
    if code == sys::ncclResult_t::ncclSuccess {
        return Ok(());
    }
    // SAFETY: the library gives the address of a constant text.
    let said = text_at(unsafe { sys::ncclGetErrorString(code) });
    Err(GpuError::Call {
        call,
        said: said.unwrap_or_else(|| format!("error {}", code as u32)),
        fatal: false,
    })
}
