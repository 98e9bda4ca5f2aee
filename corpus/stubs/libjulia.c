/* Stands for libjulia: trampolines `jl_*`, and copies of the runtime's data. */
#include "runtime.h"

/* A trampoline's stub returns what the function it stands for would. */
#define FUNCTION(name)
#define PUBLIC(name) \
    EXPORT uint64_t name(uint64_t x) { return runtime_result(#name, x); }
#define OBJECT(name)            \
    static uint64_t name##_object; \
    EXPORT uint64_t *name = &name##_object;
#include "names.inc"
#undef FUNCTION
#undef PUBLIC
#undef OBJECT

#define FUNCTION(name)
#define PUBLIC(name)
#define OBJECT(name) name##_object = splitmix64(fnv1a(#name));
CONSTRUCTOR static void fill_objects(void) {
#include "names.inc"
}

#ifdef _WIN32
int __stdcall DllMain(void *module, unsigned reason, void *reserved) {
    (void)module, (void)reserved;
    if (reason == 1)
        fill_objects();
    return 1;
}
#endif
