//! Matrix products by cuBLASLt.

use cudarc::cublaslt::sys;
use sys::cublasLtMatmulDescAttributes_t as Attribute;

use super::super::error::GpuError;
use super::super::operation::NumberType;
use super::context::Device;
use super::memory::{Buffer, Span};
use super::probe;

/// Bytes of workspace: what NVIDIA advises for Hopper.
const WORKSPACE: u64 = 32 << 20;

/// `CUBLAS_OP_T` and `CUBLAS_OP_N` of cublas_api.h.
const TRANSPOSED: i32 = 1;
const PLAIN: i32 = 0;

/// cuBLASLt with its workspace, closed when dropped.
#[derive(Debug)]
pub struct Blas {
    handle: sys::cublasLtHandle_t,
    workspace: Buffer,
    /// The scales of x and w where they have 8 bits: two floats of the device.
    scales: Buffer,
}

/// The scales of x and w at 8 bits: as engines have them, one per tensor and not 1.
pub const SCALES: [f32; 2] = [0.5, 0.25];

impl Blas {
    /// Opens cuBLASLt on a device.
    ///
    /// # Errors
    /// It is missing, or refuses.
    pub fn open(device: &Device) -> Result<Blas, GpuError> {
        probe::products()?;
        let workspace = device.buffer(WORKSPACE)?;
        let scales = device.buffer(512)?;
        let [x, w] = SCALES;
        device.upload(scales.all().part(0, 4)?, &[x])?;
        device.upload(scales.all().part(256, 4)?, &[w])?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: a context is current; the handle goes to a place of our own.
        check("cublasLtCreate", unsafe {
            sys::cublasLtCreate(&raw mut handle)
        })?;
        Ok(Blas {
            handle,
            workspace,
            scales,
        })
    }

    /// The library's version: 10000 times major plus 100 times minor plus patch.
    #[must_use]
    pub fn version(&self) -> String {
        // SAFETY: the function takes nothing.
        let version = unsafe { sys::cublasLtGetVersion() };
        format!(
            "{}.{}.{}",
            version / 10_000,
            version / 100 % 100,
            version % 100
        )
    }

    /// Prepares `y[m, n] = x[m, k] w[n, k]^T` with the algorithm that the library's heuristics
    /// put first, as serving frameworks take it. All three lie row after row.
    ///
    /// The library counts column by column, where they are x^T, w^T and y^T, so that it computes
    /// `y^T[n, m] = (w^T[k, n])^T x^T[k, m]`: the first operand transposed and the second not, the
    /// only order there is for 8 bits.
    ///
    /// # Errors
    /// The library has no algorithm for it.
    pub fn prepare(&self, [m, n, k]: [u64; 3], dtype: NumberType) -> Result<Product<'_>, GpuError> {
        let narrow = dtype == NumberType::Fp8E4m3;
        let input = if narrow {
            sys::cudaDataType_t::CUDA_R_8F_E4M3
        } else {
            sys::cudaDataType_t::CUDA_R_16BF
        };
        let description = Description::new()?;
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &TRANSPOSED)?;
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, &PLAIN)?;
        if narrow {
            let scales = self.scales.all().address;
            // As engines call it for inference: sums are kept in fewer bits within the tensor core.
            description.set(Attribute::CUBLASLT_MATMUL_DESC_FAST_ACCUM, &1_i8)?;
            description.set(Attribute::CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &scales)?;
            description.set(
                Attribute::CUBLASLT_MATMUL_DESC_A_SCALE_POINTER,
                &(scales + 256),
            )?;
        }
        let w = Layout::new(input, k, n)?;
        let x = Layout::new(input, k, m)?;
        let y = Layout::new(sys::cudaDataType_t::CUDA_R_16BF, n, m)?;
        let algorithm = self
            .choose(&description, [&w, &x, &y])?
            .ok_or_else(|| GpuError::NoAlgorithm(format!("m {m} n {n} k {k} {}", dtype.name())))?;
        Ok(Product {
            blas: self,
            description,
            layouts: [w, x, y],
            algorithm,
        })
    }

    fn choose(
        &self,
        description: &Description,
        [w, x, y]: [&Layout; 3],
    ) -> Result<Option<sys::cublasLtMatmulAlgo_t>, GpuError> {
        let preference = Preference::new(WORKSPACE)?;
        let mut count = 0;
        // SAFETY: the structure is plain numbers, of which zeros are valid (success, no algorithm).
        let mut found: sys::cublasLtMatmulHeuristicResult_t = unsafe { std::mem::zeroed() };
        // SAFETY: all descriptors live; there is room for the one result asked for.
        let code = unsafe {
            sys::cublasLtMatmulAlgoGetHeuristic(
                self.handle,
                description.0,
                w.0,
                x.0,
                y.0,
                y.0,
                preference.0,
                1,
                &raw mut found,
                &raw mut count,
            )
        };
        if code == sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED {
            return Ok(None);
        }
        check("cublasLtMatmulAlgoGetHeuristic", code)?;
        let good = count > 0 && found.state == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS;
        Ok(good.then_some(found.algo))
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        // SAFETY: opened once, closed once.
        let _ = unsafe { sys::cublasLtDestroy(self.handle) };
    }
}

/// A product that is ready to run.
#[derive(Debug)]
pub struct Product<'a> {
    blas: &'a Blas,
    description: Description,
    /// Of w, x and y.
    layouts: [Layout; 3],
    algorithm: sys::cublasLtMatmulAlgo_t,
}

impl Product<'_> {
    /// Starts it in a device's stream. Whoever calls gives spans of the sizes it was prepared for,
    /// each at a multiple of 256 bytes.
    ///
    /// # Errors
    /// The library refuses.
    pub fn run(&self, device: &Device, x: Span, w: Span, y: Span) -> Result<(), GpuError> {
        let (alpha, beta) = (1.0_f32, 0.0_f32);
        let [w_layout, x_layout, y_layout] = &self.layouts;
        let workspace = self.blas.workspace.all();
        // SAFETY: all descriptors live; factors are read in the call, from the host, as is the
        // default; addresses are the device's, and a wrong one is the device's error.
        check("cublasLtMatmul", unsafe {
            sys::cublasLtMatmul(
                self.blas.handle,
                self.description.0,
                (&raw const alpha).cast(),
                w.address as *const std::ffi::c_void,
                w_layout.0,
                x.address as *const std::ffi::c_void,
                x_layout.0,
                (&raw const beta).cast(),
                y.address as *const std::ffi::c_void,
                y_layout.0,
                y.address as *mut std::ffi::c_void,
                y_layout.0,
                &raw const self.algorithm,
                workspace.address as *mut std::ffi::c_void,
                workspace.bytes as usize,
                device.stream.cast(),
            )
        })
    }
}

#[derive(Debug)]
struct Description(sys::cublasLtMatmulDesc_t);

impl Description {
    /// Sums and factors of 32 bits.
    fn new() -> Result<Description, GpuError> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the handle goes to a place of our own.
        check("cublasLtMatmulDescCreate", unsafe {
            sys::cublasLtMatmulDescCreate(
                &raw mut handle,
                sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                sys::cudaDataType_t::CUDA_R_32F,
            )
        })?;
        Ok(Description(handle))
    }

    fn set<T>(&self, attribute: Attribute, value: &T) -> Result<(), GpuError> {
        // SAFETY: the value is copied in the call, and its size is given.
        check("cublasLtMatmulDescSetAttribute", unsafe {
            sys::cublasLtMatmulDescSetAttribute(
                self.0,
                attribute,
                std::ptr::from_ref(value).cast(),
                size_of::<T>(),
            )
        })
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: made once, destroyed once.
        let _ = unsafe { sys::cublasLtMatmulDescDestroy(self.0) };
    }
}

#[derive(Debug)]
struct Layout(sys::cublasLtMatrixLayout_t);

impl Layout {
    /// Columns one after another, without gaps.
    fn new(dtype: sys::cudaDataType_t, rows: u64, columns: u64) -> Result<Layout, GpuError> {
        let mut handle = std::ptr::null_mut();
        let step = i64::try_from(rows).unwrap_or(i64::MAX);
        // SAFETY: the handle goes to a place of our own.
        check("cublasLtMatrixLayoutCreate", unsafe {
            sys::cublasLtMatrixLayoutCreate(&raw mut handle, dtype, rows, columns, step)
        })?;
        Ok(Layout(handle))
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: made once, destroyed once.
        let _ = unsafe { sys::cublasLtMatrixLayoutDestroy(self.0) };
    }
}

struct Preference(sys::cublasLtMatmulPreference_t);

impl Preference {
    fn new(workspace: u64) -> Result<Preference, GpuError> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the handle goes to a place of our own.
        check("cublasLtMatmulPreferenceCreate", unsafe {
            sys::cublasLtMatmulPreferenceCreate(&raw mut handle)
        })?;
        let preference = Preference(handle);
        let limit =
            sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        // SAFETY: the value is copied in the call, and its size is given.
        check("cublasLtMatmulPreferenceSetAttribute", unsafe {
            sys::cublasLtMatmulPreferenceSetAttribute(
                preference.0,
                limit,
                (&raw const workspace).cast(),
                size_of::<u64>(),
            )
        })?;
        Ok(preference)
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: made once, destroyed once.
        let _ = unsafe { sys::cublasLtMatmulPreferenceDestroy(self.0) };
    }
}

fn check(call: &'static str, code: sys::cublasStatus_t) -> Result<(), GpuError> {
    if code == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS {
        return Ok(());
    }
    Err(GpuError::Call {
        call,
        said: format!("{code:?}"),
        // If the device is lost, the driver says so at the next call.
        fatal: false,
    })
}
