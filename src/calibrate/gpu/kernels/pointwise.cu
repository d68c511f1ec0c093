// The small kernels between the products, and those that move bytes only.

// A hash of 32 bits: two rounds of multiply and shift over the index and the seed.
__device__ __forceinline__ u32 mix(u64 index, u32 seed) {
    u64 x = (index + 0x9e3779b97f4a7c15ull * (seed + 1)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 31)) * 0x94d049bb133111ebull;
    return (u32)(x >> 32);
}

// A number of 23 bits in [-1, 1), exact in 32 bits, times a power of two.
__device__ __forceinline__ float uniform(u64 index, u32 seed, float scale) {
    int whole = (int)(mix(index, seed) >> 8) - (1 << 23);
    return (float)whole * (scale * 0x1p-23f);
}

// Random bf16 values; `pairs` of two.
extern "C" __global__ void fill_bf16(u32 *__restrict__ out, u64 pairs, u32 seed, float scale) {
    u64 stride = (u64)gridDim.x * blockDim.x;
    for (u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x; i < pairs; i += stride)
        out[i] = pack_bf16(uniform(2 * i, seed, scale), uniform(2 * i + 1, seed, scale));
}

// The value below in e4m3 (3 bits of mantissa, bias 7), towards zero.
__device__ __forceinline__ u32 to_e4m3(float value) {
    u32 bits = __float_as_uint(value), sign = (bits >> 24) & 0x80u;
    int exponent = (int)((bits >> 23) & 0xffu) - 127;
    if (exponent < -6) return sign | (u32)(fabsf(value) * 512.0f);
    return sign | (u32)((exponent + 7) << 3) | ((bits >> 20) & 7u);
}

// Random e4m3 values; `words` of four.
extern "C" __global__ void fill_e4m3(u32 *__restrict__ out, u64 words, u32 seed, float scale) {
    u64 stride = (u64)gridDim.x * blockDim.x;
    for (u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x; i < words; i += stride) {
        u32 word = 0;
#pragma unroll
        for (int part = 0; part < 4; part++)
            word |= to_e4m3(uniform(4 * i + part, seed, scale)) << (8 * part);
        out[i] = word;
    }
}

extern "C" __global__ void empty() {}

// Reads `chunks` of 16 bytes, and writes nothing that is ever wanted.
extern "C" __global__ void __launch_bounds__(512)
read_bytes(const uint4 *__restrict__ from, u64 chunks, u32 *__restrict__ out) {
    u32 all = 0;
    u64 stride = (u64)gridDim.x * blockDim.x;
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    for (; i + 3 * stride < chunks; i += 4 * stride) {
        uint4 a = from[i], b = from[i + stride], c = from[i + 2 * stride], d = from[i + 3 * stride];
        all ^= a.x ^ a.y ^ a.z ^ a.w ^ b.x ^ b.y ^ b.z ^ b.w;
        all ^= c.x ^ c.y ^ c.z ^ c.w ^ d.x ^ d.y ^ d.z ^ d.w;
    }
    for (; i < chunks; i += stride) {
        uint4 a = from[i];
        all ^= a.x ^ a.y ^ a.z ^ a.w;
    }
    atomicXor(out + (blockIdx.x & 1023), all);
}

extern "C" __global__ void __launch_bounds__(512)
write_bytes(uint4 *__restrict__ to, u64 chunks, u32 value) {
    u64 stride = (u64)gridDim.x * blockDim.x;
    for (u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x; i < chunks; i += stride)
        to[i] = make_uint4(value, value ^ (u32)i, value + 1, value ^ 0x5bd1e995u);
}

// Reads `chunks` of 16 bytes and writes them elsewhere.
extern "C" __global__ void __launch_bounds__(512)
copy_bytes(const uint4 *__restrict__ from, u64 chunks, uint4 *__restrict__ to) {
    u64 stride = (u64)gridDim.x * blockDim.x;
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    for (; i + 3 * stride < chunks; i += 4 * stride) {
        uint4 a = from[i], b = from[i + stride], c = from[i + 2 * stride], d = from[i + 3 * stride];
        to[i] = a;
        to[i + stride] = b;
        to[i + 2 * stride] = c;
        to[i + 3 * stride] = d;
    }
    for (; i < chunks; i += stride) to[i] = from[i];
}

// Sum over a block of up to 32 warps, in all threads.
__device__ __forceinline__ float block_sum(float x) {
    __shared__ float warps[32];
#pragma unroll
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = x;
    __syncthreads();
    float sum = 0.0f;
    for (int warp = 0; warp < (int)(blockDim.x + 31) / 32; warp++) sum += warps[warp];
    return sum;
}

// sum = x + residual (rounded to bf16); out = sum / sqrt(mean(sum^2) + 1e-5) * weight.
// A block per row; `chunks` of 8 values in a row, at most 4 for each thread.
extern "C" __global__ void __launch_bounds__(1024)
rms_norm(const uint4 *__restrict__ x, const uint4 *__restrict__ residual,
         const uint4 *__restrict__ weight, uint4 *__restrict__ sum, uint4 *__restrict__ out,
         int chunks) {
    const u64 row = (u64)blockIdx.x * chunks;
    uint4 kept[4];
    float squares = 0.0f;
#pragma unroll
    for (int part = 0; part < 4; part++) {
        int i = part * blockDim.x + threadIdx.x;
        if (i < chunks) {
            uint4 a = x[row + i], b = residual[row + i];
            u32 *pa = &a.x;
            const u32 *pb = &b.x;
#pragma unroll
            for (int word = 0; word < 4; word++) {
                u32 pair = pack_bf16(low_f32(pa[word]) + low_f32(pb[word]),
                                     high_f32(pa[word]) + high_f32(pb[word]));
                pa[word] = pair;
                squares += low_f32(pair) * low_f32(pair) + high_f32(pair) * high_f32(pair);
            }
            kept[part] = a;
            sum[row + i] = a;
        }
    }
    float factor = rsqrtf(block_sum(squares) / (float)(chunks * 8) + 1e-5f);
#pragma unroll
    for (int part = 0; part < 4; part++) {
        int i = part * blockDim.x + threadIdx.x;
        if (i < chunks) {
            uint4 a = kept[part], w = weight[i];
            u32 *pa = &a.x;
            const u32 *pw = &w.x;
#pragma unroll
            for (int word = 0; word < 4; word++)
                pa[word] = pack_bf16(low_f32(pa[word]) * factor * low_f32(pw[word]),
                                     high_f32(pa[word]) * factor * high_f32(pw[word]));
            out[row + i] = a;
        }
    }
}

// out = silu(gate) * up; x: [rows, gate then up], `chunks` of 8 values in each of the two.
// Grid: x over the chunks of a row, y the rows.
extern "C" __global__ void __launch_bounds__(256)
silu_mul(const uint4 *__restrict__ x, uint4 *__restrict__ out, int chunks) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= chunks) return;
    const u64 row = blockIdx.y;
    uint4 gate = x[row * 2 * chunks + i], up = x[row * 2 * chunks + chunks + i];
    u32 *pg = &gate.x;
    const u32 *pu = &up.x;
#pragma unroll
    for (int word = 0; word < 4; word++) {
        float a = low_f32(pg[word]), b = high_f32(pg[word]);
        a = a / (1.0f + exp2_fast(-1.44269504f * a)) * low_f32(pu[word]);
        b = b / (1.0f + exp2_fast(-1.44269504f * b)) * high_f32(pu[word]);
        pg[word] = pack_bf16(a, b);
    }
    out[row * chunks + i] = gate;
}

// Rotates queries and keys: x: [rows, heads, width], the halves of a head are the two coordinates;
// angles: [rows, cosines of half a width, then sines], floats. A thread turns 8 pairs.
// Grid: x over heads * width / 16 in blocks of 256, y the rows.
extern "C" __global__ void __launch_bounds__(256)
rotary(const uint4 *__restrict__ x, const float4 *__restrict__ angles, uint4 *__restrict__ out,
       int heads, int width) {
    const int per_head = width / 16;
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= heads * per_head) return;
    const u64 row = blockIdx.y;
    const int head = i / per_head, part = i % per_head;
    const u64 place = row * heads * (width / 8) + (u64)head * (width / 8) + part;
    const float4 *turn = angles + row * (width / 4) + part * 2;
    float4 c[2] = {turn[0], turn[1]};
    float4 s[2] = {turn[width / 8], turn[width / 8 + 1]};
    const float *cosine = &c[0].x, *sine = &s[0].x;
    uint4 first = x[place], second = x[place + per_head];
    u32 *pa = &first.x, *pb = &second.x;
#pragma unroll
    for (int word = 0; word < 4; word++) {
        float a0 = low_f32(pa[word]), a1 = high_f32(pa[word]);
        float b0 = low_f32(pb[word]), b1 = high_f32(pb[word]);
        float c0 = cosine[2 * word], c1 = cosine[2 * word + 1];
        float s0 = sine[2 * word], s1 = sine[2 * word + 1];
        pa[word] = pack_bf16(a0 * c0 - b0 * s0, a1 * c1 - b1 * s1);
        pb[word] = pack_bf16(b0 * c0 + a0 * s0, b1 * c1 + a1 * s1);
    }
    out[place] = first;
    out[place + per_head] = second;
}

// Adds to `count` how many bf16 values are still the poison 0xffff; `pairs` of two.
extern "C" __global__ void __launch_bounds__(256)
count_poison(const u32 *__restrict__ values, u64 pairs, u32 *__restrict__ count) {
    u32 found = 0;
    u64 stride = (u64)gridDim.x * blockDim.x;
    for (u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x; i < pairs; i += stride) {
        u32 pair = values[i];
        found += ((pair & 0xffffu) == 0xffffu) + ((pair >> 16) == 0xffffu);
    }
    if (found) atomicAdd(count, found);
}
