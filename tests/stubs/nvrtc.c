// A compiler that compiles everything to the names of file and defines.
#include <string.h>
static char code[256];
int nvrtcVersion(int *a, int *b) { *a = 13; *b = 0; return 0; }
int nvrtcGetNumSupportedArchs(int *n) { *n = 1; return 0; }
int nvrtcGetSupportedArchs(int *a) { *a = 80; return 0; }
int nvrtcCreateProgram(void **p, const char *s, const char *n, int h, void *a, void *b) {
    *p = p;
    strncpy(code, n, sizeof code - 1);
    return 0;
}
int nvrtcDestroyProgram(void **p) { return 0; }
int nvrtcCompileProgram(void *p, int n, const char *const *o) {
    for (int i = 0; i < n; i++)
        if (!strncmp(o[i], "-D", 2)) strncat(strcat(code, " "), o[i], 100);
    return 0;
}
int nvrtcGetProgramLogSize(void *p, size_t *n) { *n = 1; return 0; }
int nvrtcGetProgramLog(void *p, char *s) { *s = 0; return 0; }
int nvrtcGetCUBINSize(void *p, size_t *n) { *n = strlen(code) + 1; return 0; }
int nvrtcGetCUBIN(void *p, char *s) { strcpy(s, code); return 0; }
int nvrtcGetPTXSize(void *p, size_t *n) { *n = 1; return 0; }
int nvrtcGetPTX(void *p, char *s) { *s = 0; return 0; }
const char *nvrtcGetErrorString(int e) { return "error"; }
