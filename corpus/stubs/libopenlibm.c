/* Stands for libopenlibm on Windows, whose name the command line has. */
#include "runtime.h"

EXPORT double fabs(double x) { return x < 0 ? -x : x; }

int __stdcall DllMain(void *module, unsigned reason, void *reserved) {
    (void)module, (void)reason, (void)reserved;
    return 1;
}
