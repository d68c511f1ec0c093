// A driver without a device behind it: memory is the host's, kernels do nothing but fill buffers
// with random numbers (with EMULATOR, `tests/kernels` does what they do), time is made up.
// What it lacks or answers is chosen by defines, see tests/calibration/gpu_libraries_may_be_missing.rs.
#include <stdlib.h>
#include <string.h>

typedef unsigned long long address;
#ifndef VERSION
#define VERSION 13000
#endif
#ifndef DEVICES
#define DEVICES 1
#endif
#ifndef INIT
#define INIT 0
#endif

static float clock_ms;

// What the kernel of that name does: random bf16 values, two at a time.
static void fill(unsigned short *out, unsigned long long pairs, unsigned seed) {
    for (unsigned long long i = 0; i < 2 * pairs; i++) {
        unsigned long long x = (i + 0x9e3779b97f4a7c15ull * (seed + 1ull)) * 0xbf58476d1ce4e5b9ull;
        x = (x ^ (x >> 31)) * 0x94d049bb133111ebull;
        float value = (float)((int)((unsigned)(x >> 32) >> 8) - (1 << 23)) * 0x1p-23f;
        unsigned bits;
        memcpy(&bits, &value, 4);
        out[i] = (unsigned short)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }
}

#ifndef STUB
#define STUB 0
#endif
int cuInit(unsigned flags) { return STUB ? STUB : INIT; }
int cuDriverGetVersion(int *v) { *v = VERSION; return STUB; }
int cuDeviceGetCount(int *n) { *n = DEVICES; return 0; }
int cuDeviceGet(int *d, int n) { *d = n; return 0; }
int cuDeviceGetName(char *name, int n, int d) { strncpy(name, "Stub GPU", n); return 0; }
int cuDeviceTotalMem_v2(size_t *n, int d) { *n = (size_t)8 << 30; return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) {
    *v = a == 75 ? 8 : a == 76 ? 0 : a == 16 ? 4 : a == 13 ? 1500000 : a == 38 ? 4 << 20 : 1000;
    return 0;
}
int cuDevicePrimaryCtxRetain(void **c, int d) { *c = &clock_ms; return 0; }
int cuDevicePrimaryCtxRelease_v2(int d) { return 0; }
int cuCtxSetCurrent(void *c) { return 0; }
int cuCtxSynchronize(void) { return 0; }
int cuCtxEnablePeerAccess(void *c, unsigned f) { return 0; }
int cuDeviceCanAccessPeer(int *can, int a, int b) { *can = 0; return 0; }
int cuStreamCreate(void **s, unsigned f) { *s = &clock_ms; return 0; }
int cuStreamDestroy_v2(void *s) { return 0; }
int cuStreamSynchronize(void *s) { return 0; }
int cuStreamBeginCapture_v2(void *s, int m) { return 0; }
int cuStreamEndCapture(void *s, void **g) { *g = &clock_ms; return 0; }
int cuGraphInstantiateWithFlags(void **e, void *g, unsigned long long f) { *e = g; return 0; }
int cuGraphLaunch(void *e, void *s) { clock_ms += 1.0f; return 0; }
int cuGraphDestroy(void *g) { return 0; }
int cuGraphExecDestroy(void *e) { return 0; }
int cuEventCreate(void **e, unsigned f) { *e = calloc(1, sizeof(float)); return 0; }
int cuEventDestroy_v2(void *e) { free(e); return 0; }
int cuEventRecord(void *e, void *s) { clock_ms += 0.01f; *(float *)e = clock_ms; return 0; }
int cuEventSynchronize(void *e) { return 0; }
int cuEventElapsedTime_v2(float *ms, void *a, void *b) { *ms = *(float *)b - *(float *)a; return 0; }
int cuMemGetInfo_v2(size_t *f, size_t *t) { *f = *t = (size_t)8 << 30; return 0; }
int cuMemAlloc_v2(address *a, size_t n) { *a = (address)calloc(1, n); return *a ? 0 : 2; }
int cuMemFree_v2(address a) { free((void *)a); return 0; }
int cuMemHostAlloc(void **p, size_t n, unsigned f) { *p = malloc(n); return *p ? 0 : 2; }
int cuMemFreeHost(void *p) { free(p); return 0; }
// With the emulator, kernels run from when bytes are set (so that it is seen what they write)
// until what they did not write is counted: not while they are timed.
static int running;
int cuMemsetD8Async(address a, unsigned char v, size_t n, void *s) {
#ifdef EMULATOR
    running = 1;
#else
    if (n > 4096) return 0;
#endif
    memset((void *)a, v, n);
    return 0;
}
int cuMemcpyHtoD_v2(address to, const void *from, size_t n) { memcpy((void *)to, from, n); return 0; }
int cuMemcpyDtoH_v2(void *to, address from, size_t n) { memcpy(to, (void *)from, n); return 0; }
// A copy takes as long as at 50 GB/s.
static int copied(void *to, const void *from, size_t n) {
#ifndef LOSE
    memcpy(to, from, n);
#endif
    clock_ms += 0.002f + n / 5e7f;
    return 0;
}
int cuMemcpyHtoDAsync_v2(address to, const void *from, size_t n, void *s) { return copied((void *)to, from, n); }
int cuMemcpyDtoHAsync_v2(void *to, address from, size_t n, void *s) { return copied(to, (void *)from, n); }
int cuMemcpyDtoDAsync_v2(address to, address from, size_t n, void *s) { clock_ms += 0.002f; return 0; }
int cuMemcpyPeerAsync(address t, void *c, address f, void *d, size_t n, void *s) { return copied((void *)t, (void *)f, n); }
// A module is its text, a function its module's text and its name.
struct function { const char *module; char name[64]; };
int cuModuleLoadData(void **m, const void *code) { *m = strdup(code); return 0; }
int cuModuleUnload(void *m) { free(m); return 0; }
int cuModuleGetFunction(void **f, void *m, const char *name) {
    struct function *made = calloc(1, sizeof *made);
    made->module = m;
    strncpy(made->name, name, sizeof made->name - 1);
    *f = made;
    return 0;
}
int cuFuncSetAttribute(void *f, int a, int v) { return 0; }
#ifdef EMULATOR
int emulate(const char *module, const char *kernel, unsigned x, unsigned y, unsigned z,
            unsigned threads, void **args);
static void count(const unsigned short *values, unsigned long long pairs, unsigned *found) {
    for (unsigned long long i = 0; i < 2 * pairs; i++) *found += values[i] == 0xffff;
}
#endif
#ifndef OLD
int cuLaunchKernel(void *f, unsigned x, unsigned y, unsigned z, unsigned a, unsigned b, unsigned c,
                   unsigned shared, void *s, void **args, void **extra) {
#ifdef CRASH
    if (x == 3) return 700; // the check of a kernel on three rows
#endif
    struct function *function = f;
    if (!strcmp(function->name, "fill_bf16"))
        fill(*(unsigned short **)args[0], *(unsigned long long *)args[1], *(unsigned *)args[2]);
#ifdef EMULATOR
    if (!strcmp(function->name, "count_poison")) {
        count(*(unsigned short **)args[0], *(unsigned long long *)args[1], *(unsigned **)args[2]);
        running = 0;
    }
    if (running && x * y * z > 24) return 801; // more than is quick enough
    if (running) return emulate(function->module, function->name, x, y, z, a, args);
#endif
    clock_ms += 0.002f;
    return 0;
}
#endif
int cuGetErrorName(int e, const char **s) { *s = e == 100 ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR"; return 0; }
int cuGetErrorString(int e, const char **s) { *s = "no CUDA-capable device is detected"; return 0; }
