// Runs the CUDA kernels of this project on a CPU, to check their indexing and their barriers.
//
// A block's threads are fibers. A warp runs as far as it gets before the next one may, in rising or
// falling order, so that a missing barrier shows. An asynchronous copy arrives as late as it may,
// and its destination is poisoned as soon as it is asked for, so that a missing wait shows, and so
// does a place that is filled while it is still read.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <ucontext.h>
#include <vector>

#define EMULATED
#define __device__
#define __global__
#define __shared__ static
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct dim { unsigned x, y, z; };
struct uint4 { u32 x, y, z, w; };
struct float2 { float x, y; };
struct float4 { float x, y, z, w; };
inline uint4 make_uint4(u32 x, u32 y, u32 z, u32 w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }

static const size_t SHARED = 232448, STACK = 512 * 1024;
alignas(1024) static u8 shared_memory[SHARED];

struct Barrier { int expected = 0, arrived = 0, generation = 0; };
struct Copy { u32 to; u8 bytes[16]; };
struct Fiber {
    ucontext_t context;
    std::vector<char> stack;
    bool done = false;
    dim thread;
    std::vector<std::vector<Copy>> groups{1};
};
struct Warp {
    Barrier barrier;
    u32 words[32][8];
    float floats[32];
};

static std::vector<std::unique_ptr<Fiber>> fibers;
static std::vector<Warp> warps;
static Barrier block_barrier;
static Fiber *now;
static ucontext_t scheduler;
static long events;
static std::function<void()> body;
static dim threadIdx_block, gridDim, blockDim;
static dim blockIdx;
#define threadIdx (now->thread)

inline void fail(const char *what) { fprintf(stderr, "emulator: %s\n", what); exit(3); }
inline void yield() { swapcontext(&now->context, &scheduler); }
inline void arrive(Barrier &barrier) {
    int generation = barrier.generation;
    if (++barrier.arrived == barrier.expected) {
        barrier.arrived = 0;
        barrier.generation++;
        events++;
        return;
    }
    while (barrier.generation == generation) yield();
}
inline Warp &warp() { return warps[now->thread.x / 32]; }
inline int lane_of() { return now->thread.x % 32; }
inline void __syncthreads() { arrive(block_barrier); }
inline void __syncwarp() { arrive(warp().barrier); }

inline float __uint_as_float(u32 bits) { float f; memcpy(&f, &bits, 4); return f; }
inline float __int_as_float(u32 bits) { return __uint_as_float(bits); }
inline u32 __float_as_uint(float f) { u32 bits; memcpy(&bits, &f, 4); return bits; }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
template <class T> inline T min(T a, T b) { return a < b ? a : b; }
inline u32 atomicAdd(u32 *at, u32 value) { u32 old = *at; *at += value; return old; }
inline u32 atomicXor(u32 *at, u32 value) { u32 old = *at; *at ^= value; return old; }

inline float __shfl_xor_sync(u32, float value, int mask) {
    Warp &w = warp();
    w.floats[lane_of()] = value;
    __syncwarp();
    float other = w.floats[lane_of() ^ mask];
    __syncwarp();
    return other;
}

inline u16 round_bf16(float value) {
    u32 bits = __float_as_uint(value);
    if (value != value) return 0x7fff;
    return (u16)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
inline u32 pack_bf16(float low, float high) { return round_bf16(low) | ((u32)round_bf16(high) << 16); }
inline float exp2_fast(float x) { return exp2f(x); }
inline float bf16_at(u32 pair, int half) { return __uint_as_float(half ? pair & 0xffff0000u : pair << 16); }

#define DYNAMIC_SHARED(name) u8 *name = shared_memory
inline u32 shared_address(const void *pointer) { return (u32)((const u8 *)pointer - shared_memory); }

inline u8 *place(u32 address, u32 bytes) {
    if (address % bytes || address + bytes > SHARED) fail("a shared address is out of bounds or misaligned");
    return shared_memory + address;
}
inline void copy_async(u32 to, const void *from, bool wanted) {
    if ((u64)from % 16) fail("a copy begins at an address that is no multiple of 16");
    Copy copy{to, {}};
    if (wanted) memcpy(copy.bytes, from, 16);
    memset(place(to, 16), 0xff, 16);
    now->groups.back().push_back(copy);
}
inline void copy_commit() { now->groups.emplace_back(); }
template <int PENDING> inline void copy_wait() {
    int arrived = (int)now->groups.size() - 1 - PENDING;
    for (int i = 0; i < arrived; i++) {
        for (Copy &copy : now->groups[i]) memcpy(place(copy.to, 16), copy.bytes, 16);
        now->groups[i].clear();
    }
}

// Shares eight words of each lane with its warp.
inline void share(std::initializer_list<u32> words) {
    int i = 0;
    for (u32 word : words) warp().words[lane_of()][i++] = word;
    __syncwarp();
}
inline u16 matrix_value(int matrix, int row, int column) {
    u32 address = warp().words[matrix * 8 + row][0];
    return ((const u16 *)place(address, 16))[column];
}
inline void load_matrices(u32 (&r)[4], u32 address) {
    share({address});
    int lane = lane_of(), row = lane / 4, column = (lane % 4) * 2;
    for (int m = 0; m < 4; m++) r[m] = matrix_value(m, row, column) | ((u32)matrix_value(m, row, column + 1) << 16);
    __syncwarp();
}
inline void load_matrices_transposed(u32 (&r)[4], u32 address) {
    share({address});
    int lane = lane_of(), row = lane / 4, column = (lane % 4) * 2;
    for (int m = 0; m < 4; m++) r[m] = matrix_value(m, column, row) | ((u32)matrix_value(m, column + 1, row) << 16);
    __syncwarp();
}
// PTX ISA, "Matrix fragments for mma.m16n8k16 with floating point type".
inline void multiply(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    share({a[0], a[1], a[2], a[3], b0, b1});
    Warp &w = warp();
    int lane = lane_of();
    for (int item = 0; item < 4; item++) {
        int row = lane / 4 + (item / 2) * 8, column = (lane % 4) * 2 + (item & 1);
        double sum = c[item];
        for (int k = 0; k < 16; k++) {
            int owner = (row % 8) * 4 + (k % 8) / 2, reg = (row >= 8) + (k >= 8) * 2;
            float x = bf16_at(w.words[owner][reg], k & 1);
            float y = bf16_at(w.words[column * 4 + (k % 8) / 2][4 + (k >= 8)], k & 1);
            sum += (double)x * y;
        }
        c[item] = (float)sum;
    }
    __syncwarp();
}

static void enter() {
    body();
    now->done = true;
    events++;
    yield();
}

// Runs one block's fibers to their ends.
inline void run_block(int threads, bool falling) {
    int count = (threads + 31) / 32;
    memset(shared_memory, 0xff, SHARED);
    warps.assign(count, Warp());
    fibers.clear();
    block_barrier = Barrier();
    block_barrier.expected = threads;
    for (int i = 0; i < threads; i++) {
        auto fiber = std::make_unique<Fiber>();
        fiber->stack.resize(STACK);
        fiber->thread = {(unsigned)i, 0, 0};
        warps[i / 32].barrier.expected++;
        getcontext(&fiber->context);
        fiber->context.uc_stack.ss_sp = fiber->stack.data();
        fiber->context.uc_stack.ss_size = STACK;
        fiber->context.uc_link = nullptr;
        makecontext(&fiber->context, enter, 0);
        fibers.push_back(std::move(fiber));
    }
    for (int left = threads; left > 0;) {
        long before = events;
        for (int turn = 0; turn < count; turn++) {
            int w = falling ? count - 1 - turn : turn;
            for (long seen = -1; seen != events;) {
                seen = events;
                for (int i = w * 32; i < min(w * 32 + 32, threads); i++) {
                    if (fibers[i]->done) continue;
                    now = fibers[i].get();
                    swapcontext(&scheduler, &now->context);
                    if (now->done) left--;
                }
            }
        }
        if (left > 0 && events == before) fail("the threads wait for one another for ever");
    }
}

inline void launch(dim grid, int threads, std::function<void()> kernel) {
    gridDim = grid;
    blockDim = {(unsigned)threads, 1, 1};
    body = kernel;
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                blockIdx = {x, y, z};
                run_block(threads, (x + y + z) % 2 == 1);
            }
}

// A file's bytes, and a file of some bytes.
template <class T> std::vector<T> read_file(const std::string &name) {
    FILE *file = fopen(name.c_str(), "rb");
    if (!file) fail("a file is missing");
    std::vector<T> values;
    T value;
    while (fread(&value, sizeof value, 1, file) == 1) values.push_back(value);
    fclose(file);
    return values;
}
template <class T> void write_file(const std::string &name, const std::vector<T> &values) {
    FILE *file = fopen(name.c_str(), "wb");
    if (!file || fwrite(values.data(), sizeof(T), values.size(), file) != values.size()) fail("cannot write");
    fclose(file);
}
