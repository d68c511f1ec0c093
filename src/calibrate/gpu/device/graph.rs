//! Captured graphs, and events that take the time.

use cudarc::driver::sys;

use super::super::error::GpuError;
use super::check;
use super::context::Device;

/// A graph of launches, ready to be replayed; destroyed when dropped.
#[derive(Debug)]
pub struct Graph {
    handle: sys::CUgraphExec,
}

impl Graph {
    /// Records what is asked of a device's stream, without doing it.
    ///
    /// # Errors
    /// What is asked cannot be recorded, or fails.
    pub fn record(
        device: &Device,
        ask: &mut dyn FnMut() -> Result<(), GpuError>,
    ) -> Result<Graph, GpuError> {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        let mut graph = std::ptr::null_mut();
        // SAFETY: the stream is the device's and not in capture: this function ends what it begins.
        check("cuStreamBeginCapture", unsafe {
            sys::cuStreamBeginCapture_v2(device.stream, mode)
        })?;
        let asked = ask();
        // SAFETY: the stream is in capture; the graph goes to a place of our own.
        let ended = check("cuStreamEndCapture", unsafe {
            sys::cuStreamEndCapture(device.stream, &raw mut graph)
        });
        asked?;
        ended?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: the graph is a valid one, and is not needed once it is instantiated.
        let made = unsafe {
            let code = sys::cuGraphInstantiateWithFlags(&raw mut handle, graph, 0);
            let _ = sys::cuGraphDestroy(graph);
            check("cuGraphInstantiate", code)
        };
        made.map(|()| Graph { handle })
    }

    /// Does in the stream what was recorded.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn launch(&self, device: &Device) -> Result<(), GpuError> {
        // SAFETY: the graph lives as long as `self`, and the stream is of its context.
        check("cuGraphLaunch", unsafe {
            sys::cuGraphLaunch(self.handle, device.stream)
        })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: made once, destroyed once.
        let _ = unsafe { sys::cuGraphExecDestroy(self.handle) };
    }
}

/// An instant on the device, destroyed when dropped.
#[derive(Debug)]
pub struct Event {
    handle: sys::CUevent,
}

impl Event {
    /// An event that takes the time (some do not).
    ///
    /// # Errors
    /// The driver refuses.
    pub fn new() -> Result<Event, GpuError> {
        let mut handle = std::ptr::null_mut();
        let timing = sys::CUevent_flags::CU_EVENT_DEFAULT as u32;
        // SAFETY: a context is current; the event goes to a place of our own.
        check("cuEventCreate", unsafe {
            sys::cuEventCreate(&raw mut handle, timing)
        })?;
        Ok(Event { handle })
    }

    /// Takes the time once the stream comes to here.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn record(&self, device: &Device) -> Result<(), GpuError> {
        // SAFETY: event and stream are of one context.
        check("cuEventRecord", unsafe {
            sys::cuEventRecord(self.handle, device.stream)
        })
    }

    /// Waits for the event.
    ///
    /// # Errors
    /// Something that was asked before it failed.
    pub fn wait(&self) -> Result<(), GpuError> {
        // SAFETY: the event lives as long as `self`.
        check("cuEventSynchronize", unsafe {
            sys::cuEventSynchronize(self.handle)
        })
    }

    /// Microseconds from an earlier event to this one; both must have happened.
    ///
    /// # Errors
    /// One of them has not happened.
    pub fn us_since(&self, earlier: &Event) -> Result<f64, GpuError> {
        let mut ms = 0.0;
        // SAFETY: both events live; the time goes to a place of our own.
        check("cuEventElapsedTime", unsafe {
            sys::cuEventElapsedTime_v2(&raw mut ms, earlier.handle, self.handle)
        })?;
        Ok(f64::from(ms) * 1e3)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: made once, destroyed once.
        let _ = unsafe { sys::cuEventDestroy_v2(self.handle) };
    }
}
