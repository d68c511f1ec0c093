//! Which of the kernels' number types stand for a deployment's, best first.

use crate::perf::dtype::Dtype;
use crate::perf::model::ModelCard;
use crate::perf::tables::KernelDtype;

/// More experts than this are small ones, as in the models of Qwen and DeepSeek.
const MANY_EXPERTS: u32 = 16;

/// For the products that every row passes.
fn product_dtypes(model: &ModelCard, weight: Dtype) -> &'static [KernelDtype] {
    let published = model.weight_dtype;
    match weight {
        Dtype::Bf16 | Dtype::Fp16 => &[KernelDtype::Bf16],
        // Checkpoints of 8 bits have scales by block where the model has many experts or was
        // published so, others one per tensor.
        Dtype::Fp8 if published == Dtype::Fp8 || model.experts > MANY_EXPERTS => {
            &[KernelDtype::Fp8Block, KernelDtype::Fp8]
        }
        Dtype::Fp8 => &[KernelDtype::Fp8, KernelDtype::Fp8Block],
        // Models published at 4 bits with experts have nothing else at 4 bits.
        Dtype::Fp4 if model.experts > 0 && published == Dtype::Fp4 => &[KernelDtype::Bf16],
        Dtype::Fp4 => &[KernelDtype::Nvfp4],
        Dtype::Int8 => &[KernelDtype::Int8],
    }
}

/// The same for a framework: vLLM's products with scales by block were launched one by one from the
/// host, which takes 60 to 190 us whatever the shape. Servers replay captured graphs, so its
/// products with a scale per tensor come nearer.
pub(super) fn product_dtypes_of(
    backend: &str,
    model: &ModelCard,
    weight: Dtype,
) -> &'static [KernelDtype] {
    match product_dtypes(model, weight) {
        [KernelDtype::Fp8Block, ..] if backend == "vllm" => {
            &[KernelDtype::Fp8, KernelDtype::Fp8Block]
        }
        choices => choices,
    }
}

/// For routed experts.
pub(super) fn expert_dtypes(model: &ModelCard, weight: Dtype) -> &'static [KernelDtype] {
    match weight {
        Dtype::Fp4 if model.weight_dtype == Dtype::Fp4 => &[KernelDtype::Mxfp4, KernelDtype::Nvfp4],
        Dtype::Fp4 => &[KernelDtype::Nvfp4, KernelDtype::Mxfp4],
        _ => product_dtypes(model, weight),
    }
}
