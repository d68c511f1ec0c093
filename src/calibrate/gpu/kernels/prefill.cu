// Attention of prompts: causal, grouped queries, online softmax, after FlashAttention-2.
//
// q, out: [sequences * length, heads, D]; k, v: [sequences * length, kv_heads, D]; bf16.
// A block of 4 warps takes 128 queries of one head, each warp 32 of them as two halves of 16 (or 64
// and one half, where so few blocks would leave the device idle), and goes over the keys in tiles
// of 64. A tile of values arrives while the scores of its keys are computed, and the next
// tile of keys while the values are multiplied.
// Grid: x = head + heads * sequence, y = tiles of queries, the longest first.

#ifndef D
#define D 128
#endif
#ifndef HALVES
#define HALVES 2
#endif
#define QUERIES (HALVES * 64)
#define KEYS 64
#define ROW_BYTES (D * 2)
#define CHUNKS (D / 8)

// Rows [first, first + ROWS) of a matrix whose rows lie `stride` values apart; zeros from `end`.
template <int ROWS>
__device__ __forceinline__ void load_rows(u32 to, const u16 *from, u64 stride, int first, int end) {
#pragma unroll
    for (int step = 0; step < ROWS * CHUNKS / 128; step++) {
        int index = step * 128 + threadIdx.x;
        int row = index / CHUNKS, chunk = index % CHUNKS;
        bool wanted = first + row < end;
        const u16 *source = from + (wanted ? (u64)(first + row) * stride + chunk * 8 : 0);
        copy_async(to + swizzled<ROW_BYTES>(row, chunk), source, wanted);
    }
}

extern "C" __global__ void __launch_bounds__(128)
prefill(const u16 *__restrict__ q, const u16 *__restrict__ k, const u16 *__restrict__ v,
        u16 *__restrict__ out, int length, int heads, int kv_heads, float scale_log2) {
    DYNAMIC_SHARED(shared);
    const u32 q_tile = shared_address(shared);
    const u32 k_tile = q_tile + QUERIES * ROW_BYTES;
    const u32 v_tile = k_tile + KEYS * ROW_BYTES;

    const int head = blockIdx.x % heads;
    const int sequence = blockIdx.x / heads;
    const int first_query = (int)(gridDim.y - 1 - blockIdx.y) * QUERIES;
    const int kv_head = head / (heads / kv_heads);
    const u64 q_stride = (u64)heads * D, kv_stride = (u64)kv_heads * D;
    q += (u64)sequence * length * q_stride + (u64)head * D;
    out += (u64)sequence * length * q_stride + (u64)head * D;
    k += (u64)sequence * length * kv_stride + (u64)kv_head * D;
    v += (u64)sequence * length * kv_stride + (u64)kv_head * D;

    const int lane = threadIdx.x % 32;
    const int warp_row = (threadIdx.x / 32) * (16 * HALVES);
    const int last_query = min(first_query + QUERIES, length) - 1;
    const int tiles = last_query / KEYS + 1;
    const int warp_last = first_query + warp_row + 16 * HALVES - 1;

    load_rows<QUERIES>(q_tile, q, q_stride, first_query, length);
    load_rows<KEYS>(k_tile, k, kv_stride, 0, length);
    copy_commit();

    float sums[HALVES][D / 8][4] = {};
    float top[HALVES][2];
    float total[HALVES][2] = {};
#pragma unroll
    for (int half = 0; half < HALVES; half++) top[half][0] = top[half][1] = NEG_INF;

    for (int tile = 0; tile < tiles; tile++) {
        const int first_key = tile * KEYS;
        copy_wait<0>();
        __syncthreads(); // keys are here, and nobody reads the values of the tile before
        load_rows<KEYS>(v_tile, v, kv_stride, first_key, length);
        copy_commit();

        // A warp whose queries all come before the tile has nothing to do with it.
        const bool sees = first_key <= warp_last;
        u32 weights[HALVES][KEYS / 16][4];
        if (sees) {
            float scores[HALVES][KEYS / 8][4] = {};
#pragma unroll
            for (int step = 0; step < D / 16; step++) {
                u32 a[HALVES][4];
#pragma unroll
                for (int half = 0; half < HALVES; half++)
                    load_matrices(a[half], q_tile + swizzled<ROW_BYTES>(warp_row + half * 16 + (lane & 15),
                                                                        step * 2 + (lane >> 4)));
#pragma unroll
                for (int pair = 0; pair < KEYS / 16; pair++) {
                    u32 b[4];
                    load_matrices(b, k_tile + swizzled<ROW_BYTES>(pair * 16 + (lane & 7) + ((lane >> 4) << 3),
                                                                  step * 2 + ((lane >> 3) & 1)));
#pragma unroll
                    for (int half = 0; half < HALVES; half++) {
                        multiply(scores[half][2 * pair], a[half], b[0], b[1]);
                        multiply(scores[half][2 * pair + 1], a[half], b[2], b[3]);
                    }
                }
            }
            if (first_key + KEYS - 1 > first_query + warp_row || first_key + KEYS > length) {
#pragma unroll
                for (int half = 0; half < HALVES; half++)
#pragma unroll
                    for (int column = 0; column < KEYS / 8; column++)
#pragma unroll
                        for (int item = 0; item < 4; item++) {
                            int query = first_query + warp_row + half * 16 + lane / 4 + (item / 2) * 8;
                            int key = first_key + column * 8 + (lane % 4) * 2 + (item & 1);
                            if (key > query || key >= length) scores[half][column][item] = NEG_INF;
                        }
            }
#pragma unroll
            for (int half = 0; half < HALVES; half++) {
#pragma unroll
                for (int row = 0; row < 2; row++) {
                    float largest = top[half][row];
#pragma unroll
                    for (int column = 0; column < KEYS / 8; column++)
                        largest = fmaxf(largest, fmaxf(scores[half][column][2 * row],
                                                       scores[half][column][2 * row + 1]));
                    largest = quad_max(largest);
                    // Key 0 is in the first tile and every query sees it: `largest` is finite.
                    float shrink = exp2_fast((top[half][row] - largest) * scale_log2);
                    float offset = largest * scale_log2;
                    float sum = 0.0f;
#pragma unroll
                    for (int column = 0; column < KEYS / 8; column++)
#pragma unroll
                        for (int item = 2 * row; item < 2 * row + 2; item++) {
                            float p = exp2_fast(scores[half][column][item] * scale_log2 - offset);
                            scores[half][column][item] = p;
                            sum += p;
                        }
                    total[half][row] = total[half][row] * shrink + sum;
                    top[half][row] = largest;
#pragma unroll
                    for (int column = 0; column < D / 8; column++) {
                        sums[half][column][2 * row] *= shrink;
                        sums[half][column][2 * row + 1] *= shrink;
                    }
                }
#pragma unroll
                for (int step = 0; step < KEYS / 16; step++) {
                    weights[half][step][0] = pack_bf16(scores[half][2 * step][0], scores[half][2 * step][1]);
                    weights[half][step][1] = pack_bf16(scores[half][2 * step][2], scores[half][2 * step][3]);
                    weights[half][step][2] = pack_bf16(scores[half][2 * step + 1][0], scores[half][2 * step + 1][1]);
                    weights[half][step][3] = pack_bf16(scores[half][2 * step + 1][2], scores[half][2 * step + 1][3]);
                }
            }
        }

        copy_wait<0>();
        __syncthreads(); // values are here, and nobody reads the keys any more
        if (tile + 1 < tiles) load_rows<KEYS>(k_tile, k, kv_stride, first_key + KEYS, length);
        copy_commit();
        if (sees) {
#pragma unroll
            for (int step = 0; step < KEYS / 16; step++) {
#pragma unroll
                for (int pair = 0; pair < D / 16; pair++) {
                    u32 b[4];
                    load_matrices_transposed(b, v_tile + swizzled<ROW_BYTES>(step * 16 + (lane & 15),
                                                                             pair * 2 + (lane >> 4)));
#pragma unroll
                    for (int half = 0; half < HALVES; half++) {
                        multiply(sums[half][2 * pair], weights[half][step], b[0], b[1]);
                        multiply(sums[half][2 * pair + 1], weights[half][step], b[2], b[3]);
                    }
                }
            }
        }
    }

    // Out through the queries' place in shared memory: a warp's rows there are read by it alone.
    __syncwarp();
#pragma unroll
    for (int half = 0; half < HALVES; half++)
#pragma unroll
        for (int row = 0; row < 2; row++) {
            float inverse = 1.0f / quad_sum(total[half][row]);
            int line = warp_row + half * 16 + row * 8 + lane / 4;
#pragma unroll
            for (int column = 0; column < D / 8; column++) {
                u32 place = swizzled<ROW_BYTES>(line, column) + (lane % 4) * 4;
                *(u32 *)(shared + place) = pack_bf16(sums[half][column][2 * row] * inverse,
                                                     sums[half][column][2 * row + 1] * inverse);
            }
        }
    __syncwarp();
#pragma unroll
    for (int step = 0; step < 16 * HALVES * CHUNKS / 32; step++) {
        int index = step * 32 + lane;
        int row = warp_row + index / CHUNKS, chunk = index % CHUNKS;
        if (first_query + row < length)
            *(uint4 *)(out + (u64)(first_query + row) * q_stride + chunk * 8) =
                *(const uint4 *)(shared + swizzled<ROW_BYTES>(row, chunk));
    }
}
