// Attention of decode steps: one query per sequence, grouped queries, a paged cache, and the keys
// of a sequence split over blocks, after FlashDecoding.
//
// q, out: [sequences, heads, D]; k, v: pages of [kv_heads, 16, D]; table: [sequences, pages].
// A block of 4 warps takes one sequence, one key/value head and one split of the keys. Each warp
// goes over every fourth page of it on its own, with its own stages of shared memory. The queries
// that share the head, at most 16, are the rows of one product.
// Grid: x = splits, y = kv_heads, z = sequences.

#ifndef D
#define D 128
#endif
#define PAGE 16
#define WARPS 4
#define STAGES 3
#define ROW_BYTES (D * 2)
#define CHUNKS (D / 8)
#define PAGE_BYTES (PAGE * ROW_BYTES)

// One page of keys and values of a head: contiguous in both.
__device__ __forceinline__ void load_page(u32 to, const u16 *k, const u16 *v, u64 offset, int lane) {
#pragma unroll
    for (int step = 0; step < PAGE * CHUNKS / 32; step++) {
        int index = step * 32 + lane;
        u32 place = swizzled<ROW_BYTES>(index / CHUNKS, index % CHUNKS);
        copy_async(to + place, k + offset + index * 8, true);
        copy_async(to + PAGE_BYTES + place, v + offset + index * 8, true);
    }
}

// partial: [sequences, heads, splits, D] of sums, then [sequences, heads, splits, 2] of the largest
// score and the total of weights; not used with one split.
extern "C" __global__ void __launch_bounds__(128)
decode(const u16 *__restrict__ q, const u16 *__restrict__ k, const u16 *__restrict__ v,
       const int *__restrict__ table, u16 *__restrict__ out, float *__restrict__ partial,
       float *__restrict__ marks, int context, int heads, int kv_heads, int pages_per_split,
       float scale_log2) {
    DYNAMIC_SHARED(shared);
    const int split = blockIdx.x, splits = gridDim.x;
    const int kv_head = blockIdx.y, sequence = blockIdx.z;
    const int group = heads / kv_heads;
    const int pages = (context + PAGE - 1) / PAGE;
    const int first = split * pages_per_split;
    const int end = min(first + pages_per_split, pages);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const u32 stages = shared_address(shared) + warp * (STAGES * 2 * PAGE_BYTES);
    const u64 page_values = (u64)kv_heads * PAGE * D;
    const u64 head_offset = (u64)kv_head * PAGE * D;
    table += (u64)sequence * pages;
    const u64 head_row = (u64)sequence * heads + (u64)kv_head * group;
    q += head_row * D;

    // The group's queries as rows of a product; rows beyond the group are zero.
    u32 queries[D / 16][4];
#pragma unroll
    for (int step = 0; step < D / 16; step++)
#pragma unroll
        for (int item = 0; item < 4; item++) {
            int row = lane / 4 + (item & 1) * 8;
            int column = step * 16 + (item / 2) * 8 + (lane % 4) * 2;
            queries[step][item] = row < group ? *(const u32 *)(q + row * D + column) : 0u;
        }

    float sums[D / 8][4] = {};
    float top[2] = {NEG_INF, NEG_INF};
    float total[2] = {};

#pragma unroll
    for (int stage = 0; stage < STAGES - 1; stage++) {
        int page = first + warp + stage * WARPS;
        if (page < end)
            load_page(stages + stage * 2 * PAGE_BYTES, k, v, (u64)table[page] * page_values + head_offset, lane);
        copy_commit();
    }
    int stage = 0;
    for (int page = first + warp; page < end; page += WARPS) {
        int ahead = page + (STAGES - 1) * WARPS;
        int spare = stage == 0 ? STAGES - 1 : stage - 1; // read in the round before
        if (ahead < end)
            load_page(stages + spare * 2 * PAGE_BYTES, k, v, (u64)table[ahead] * page_values + head_offset, lane);
        copy_commit();
        copy_wait<STAGES - 1>();
        __syncwarp();
        const u32 k_page = stages + stage * 2 * PAGE_BYTES, v_page = k_page + PAGE_BYTES;

        float scores[2][4] = {};
#pragma unroll
        for (int step = 0; step < D / 16; step++) {
            u32 b[4];
            load_matrices(b, k_page + swizzled<ROW_BYTES>((lane & 7) + ((lane >> 4) << 3),
                                                          step * 2 + ((lane >> 3) & 1)));
            multiply(scores[0], queries[step], b[0], b[1]);
            multiply(scores[1], queries[step], b[2], b[3]);
        }
        if ((page + 1) * PAGE > context) {
#pragma unroll
            for (int column = 0; column < 2; column++)
#pragma unroll
                for (int item = 0; item < 4; item++)
                    if (page * PAGE + column * 8 + (lane % 4) * 2 + (item & 1) >= context)
                        scores[column][item] = NEG_INF;
        }
        u32 weights[4];
#pragma unroll
        for (int row = 0; row < 2; row++) {
            float largest = fmaxf(fmaxf(scores[0][2 * row], scores[0][2 * row + 1]),
                                  fmaxf(scores[1][2 * row], scores[1][2 * row + 1]));
            // A page has at least one key of the context: `largest` is finite.
            largest = fmaxf(top[row], quad_max(largest));
            float shrink = exp2_fast((top[row] - largest) * scale_log2);
            float offset = largest * scale_log2;
            float p[4];
#pragma unroll
            for (int item = 0; item < 4; item++)
                p[item] = exp2_fast(scores[item / 2][2 * row + (item & 1)] * scale_log2 - offset);
            total[row] = total[row] * shrink + ((p[0] + p[1]) + (p[2] + p[3]));
            top[row] = largest;
            weights[row] = pack_bf16(p[0], p[1]);
            weights[row + 2] = pack_bf16(p[2], p[3]);
#pragma unroll
            for (int column = 0; column < D / 8; column++) {
                sums[column][2 * row] *= shrink;
                sums[column][2 * row + 1] *= shrink;
            }
        }
#pragma unroll
        for (int pair = 0; pair < D / 16; pair++) {
            u32 b[4];
            load_matrices_transposed(b, v_page + swizzled<ROW_BYTES>(lane & 15, pair * 2 + (lane >> 4)));
            multiply(sums[2 * pair], weights, b[0], b[1]);
            multiply(sums[2 * pair + 1], weights, b[2], b[3]);
        }
        __syncwarp(); // all lanes have read this stage before it is filled again
        stage = stage + 1 == STAGES ? 0 : stage + 1;
    }

    // The four warps' sums together, through shared memory: [warp][16][D] floats, then marks.
    copy_wait<0>();
    __syncthreads();
    float *warp_sums = (float *)shared;
    float *warp_marks = warp_sums + WARPS * 16 * D;
#pragma unroll
    for (int row = 0; row < 2; row++) {
        int line = row * 8 + lane / 4;
        float sum = quad_sum(total[row]);
#pragma unroll
        for (int column = 0; column < D / 8; column++) {
            float2 two = make_float2(sums[column][2 * row], sums[column][2 * row + 1]);
            *(float2 *)(warp_sums + (warp * 16 + line) * D + column * 8 + (lane % 4) * 2) = two;
        }
        if (lane % 4 == 0) {
            warp_marks[(warp * 16 + line) * 2] = top[row];
            warp_marks[(warp * 16 + line) * 2 + 1] = sum;
        }
    }
    __syncthreads();
    for (int index = threadIdx.x; index < group * D; index += 128) {
        int row = index / D, column = index % D;
        float largest = NEG_INF;
#pragma unroll
        for (int other = 0; other < WARPS; other++)
            largest = fmaxf(largest, warp_marks[(other * 16 + row) * 2]);
        float value = 0.0f, sum = 0.0f;
#pragma unroll
        for (int other = 0; other < WARPS; other++) {
            float mark = warp_marks[(other * 16 + row) * 2];
            // A warp without pages has no largest score, and neither has a split without pages.
            float factor = mark == NEG_INF ? 0.0f : exp2_fast((mark - largest) * scale_log2);
            value += factor * warp_sums[(other * 16 + row) * D + column];
            sum += factor * warp_marks[(other * 16 + row) * 2 + 1];
        }
        u64 place = head_row + row;
        if (splits == 1) {
            u32 pair = pack_bf16(value / sum, 0.0f);
            out[place * D + column] = (u16)pair;
        } else {
            partial[(place * splits + split) * D + column] = value;
            if (column == 0) {
                marks[(place * splits + split) * 2] = largest;
                marks[(place * splits + split) * 2 + 1] = sum;
            }
        }
    }
}

// The splits of a sequence's head together. Grid: sequences * heads blocks of D threads.
extern "C" __global__ void __launch_bounds__(D)
decode_combine(const float *__restrict__ partial, const float *__restrict__ marks,
               u16 *__restrict__ out, int splits, float scale_log2) {
    const u64 place = blockIdx.x;
    partial += place * splits * D;
    marks += place * splits * 2;
    float largest = NEG_INF;
    for (int split = 0; split < splits; split++) largest = fmaxf(largest, marks[split * 2]);
    float value = 0.0f, sum = 0.0f;
    for (int split = 0; split < splits; split++) {
        float mark = marks[split * 2];
        float factor = mark == NEG_INF ? 0.0f : exp2_fast((mark - largest) * scale_log2);
        value += factor * partial[split * D + threadIdx.x];
        sum += factor * marks[split * 2 + 1];
    }
    out[place * D + threadIdx.x] = (u16)pack_bf16(value / sum, 0.0f);
}
