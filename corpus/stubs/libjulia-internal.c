/* Stands for libjulia-internal: the functions and data that package images refer to.
 *
 * Each function computes something that a test can compute too (`mix.rs`), so a probe's result shows that the call
 * arrived, with its argument, at the function it names. `pkgld_stub_calls` counts the calls.
 *
 * Nothing of libc is linked in; `siglongjmp` is found in the process when the exception probe needs it.
 */
#include "runtime.h"

EXPORT uint64_t pkgld_stub_calls;

static uint64_t record(const char *name, uint64_t x) {
    __atomic_fetch_add(&pkgld_stub_calls, 1, __ATOMIC_RELAXED);
    return runtime_result(name, x);
}

#define PUBLIC(name)
#define FUNCTION(name) \
    EXPORT uint64_t name(uint64_t x) { return record(#name, x); }
#define OBJECT(name)               \
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

/* Data */

EXPORT void *jl_RTLD_DEFAULT_handle = &jl_RTLD_DEFAULT_handle;
EXPORT void *jl_exe_handle = &jl_exe_handle;
EXPORT void *jl_libjulia_handle = &jl_libjulia_handle;
EXPORT void *jl_libjulia_internal_handle = &jl_libjulia_internal_handle;
EXPORT size_t jl_world_counter = (size_t)0x776f726c64ffull;
EXPORT uint64_t *jl_boxed_int8_cache[256];
EXPORT uint64_t *jl_boxed_uint8_cache[256];
static uint64_t boxed_bytes[256];

CONSTRUCTOR static void fill_boxes(void) {
    for (int i = 0; i < 256; i++) {
        boxed_bytes[i] = splitmix64(i);
        jl_boxed_uint8_cache[i] = &boxed_bytes[i];
        jl_boxed_int8_cache[i] = &boxed_bytes[255 - i];
    }
}

/* Boxes: cells of a ring, good for 4096 boxes at a time. */

static uint64_t cells[4096];
static unsigned next_cell;

static uint64_t *box(uint64_t value) {
    unsigned cell = __atomic_fetch_add(&next_cell, 1, __ATOMIC_RELAXED) & 4095;
    cells[cell] = value;
    return &cells[cell];
}

EXPORT uint64_t *ijl_box_int64(uint64_t value) {
    __atomic_fetch_add(&pkgld_stub_calls, 1, __ATOMIC_RELAXED);
    return box(value);
}

EXPORT uint64_t ijl_unbox_int64(const uint64_t *cell) {
    __atomic_fetch_add(&pkgld_stub_calls, 1, __ATOMIC_RELAXED);
    return *cell;
}

/* A function object of an image: a word, then the function. */
struct function_object {
    uint64_t tag;
    uint64_t (*function)(uint64_t);
};

/* Calls back into the image. */
EXPORT uint64_t *ijl_apply_generic(const struct function_object *f, uint64_t **args, uint32_t nargs) {
    __atomic_fetch_add(&pkgld_stub_calls, 1, __ATOMIC_RELAXED);
    return box(f->function(*args[0]) + f->tag + nargs);
}

/* Foreign functions, found by name as a lazily bound ccall finds them. */

static uint64_t foreign_add(uint64_t x) { return x + 0x1122334455667788ull; }
static uint64_t foreign_xor(uint64_t x) { return x ^ 0x8877665544332211ull; }
static uint64_t foreign_mul(uint64_t x) { return x * 0x00000001000001b3ull; }
static uint64_t foreign_rot(uint64_t x) { return x << 13 | x >> 51; }

static const struct {
    const char *name;
    uint64_t (*function)(uint64_t);
} foreign[] = {
    {"foreign_add", foreign_add},
    {"foreign_xor", foreign_xor},
    {"foreign_mul", foreign_mul},
    {"foreign_rot", foreign_rot},
};

static int same(const char *a, const char *b) {
    for (; *a && *a == *b; a++, b++) {
    }
    return *a == *b;
}

EXPORT void *ijl_load_and_lookup(const char *library, const char *function, void **handle) {
    __atomic_fetch_add(&pkgld_stub_calls, 1, __ATOMIC_RELAXED);
    if (!same(library, "libforeign"))
        return NULL;
    *handle = jl_exe_handle;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (same(function, foreign[i].name))
            return (void *)foreign[i].function;
    return NULL;
}

#ifndef _WIN32
/* Exceptions: a chain of handlers, each with a buffer that the image's __sigsetjmp filled. */

#ifdef __x86_64__
#define HANDLER_BUFFER 256
#else
#define HANDLER_BUFFER 1024
#endif

struct handler {
    char buffer[HANDLER_BUFFER];
    struct handler *previous;
    _Alignas(8) uint64_t thrown;
};

extern _Noreturn void siglongjmp(void *buffer, int value);
static __thread struct handler *handlers __attribute__((tls_model("initial-exec")));

EXPORT void ijl_enter_handler(struct handler *handler) {
    handler->previous = handlers;
    handlers = handler;
}

EXPORT void ijl_pop_handler(int count) {
    while (count-- > 0 && handlers)
        handlers = handlers->previous;
}

EXPORT void ijl_throw(uint64_t *exception) {
    struct handler *handler = handlers;
    if (!handler)
        __builtin_trap();
    handlers = handler->previous;
    handler->thrown = *exception;
    siglongjmp(handler->buffer, 1);
}
#else
EXPORT void ijl_throw(uint64_t *exception) {
    (void)exception;
    __builtin_trap();
}
#endif

/* Unwinding: a test sets a function that walks the stack; what it returns goes back through the image's frames. */

static uint64_t (*backtrace_hook)(void);

EXPORT void pkgld_set_backtrace_hook(uint64_t (*hook)(void)) { backtrace_hook = hook; }

EXPORT uint64_t ijl_backtrace_from_here(void) { return backtrace_hook ? backtrace_hook() : 0; }

#ifdef _WIN64
/* Exceptions of the system: the image's functions have this personality, which lets the program go on. It keeps what
 * the system told it about the frame: the image that the function is in, and where it begins.
 */
#include <windows.h>

#define PKGLD_EXCEPTION 0xe0504b47

EXPORT uint64_t pkgld_personality_calls;
EXPORT uint64_t pkgld_personality_image;
EXPORT uint64_t pkgld_personality_function;

EXPORT EXCEPTION_DISPOSITION __julia_personality(EXCEPTION_RECORD *record, void *frame, CONTEXT *context,
                                                 DISPATCHER_CONTEXT *dispatcher) {
    (void)frame, (void)context;
    if (record->ExceptionCode != PKGLD_EXCEPTION)
        return ExceptionContinueSearch;
    pkgld_personality_calls++;
    pkgld_personality_image = dispatcher->ImageBase;
    pkgld_personality_function = dispatcher->ImageBase + dispatcher->FunctionEntry->BeginAddress;
    return ExceptionContinueExecution;
}

/* Comes back if a personality says so; else the process ends. */
EXPORT uint64_t pkgld_raise(uint64_t x) {
    uint64_t before = pkgld_personality_calls;
    RaiseException(PKGLD_EXCEPTION, 0, 0, NULL);
    return record("pkgld_raise", x) + (pkgld_personality_calls - before - 1);
}
#endif

/* The task: what the functions stored in jl_pgcstack_func_slot return. */

static uint64_t task_word = 0x706763737461636bull;
EXPORT uint64_t *jl_get_pgcstack(void) { return &task_word; }

/* Half precision. From LLVM 15 a half travels in a vector register, as the low bits of what C sees as a float;
 * before, in an integer register. */

static uint32_t float_bits(float x) {
    uint32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float bits_float(uint32_t bits) {
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

/* Finite halves without subnormals are all that probes use. */
static float widen(uint32_t half) {
    if (!(half & 0x7fff))
        return bits_float((half & 0x8000) << 16);
    return bits_float((half & 0x8000) << 16 | (((half >> 10 & 31) + 112) << 23) | (half & 1023) << 13);
}

/* Rounds to nearest, ties to even, by adding half a unit and the lowest kept bit below the cut. */
static uint32_t narrow(uint32_t bits) {
    if (!(bits & 0x7fffffff))
        return bits >> 16;
    uint32_t magnitude = (bits & 0x7fffffff) - (112u << 23);
    return (bits >> 16 & 0x8000) | (magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13;
}

#ifdef HALF_IN_INTEGER_REGISTER
typedef uint16_t half;
#define HALF_BITS(x) (x)
#define BITS_HALF(bits) ((uint16_t)(bits))
#elif defined __i386__
/* There a half is its own type: on the stack as an argument, in %xmm0 as a result. */
typedef _Float16 half;

static uint16_t half_bits(half x) {
    uint16_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits;
}

static half bits_half(uint16_t bits) {
    half x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

#define HALF_BITS(x) half_bits(x)
#define BITS_HALF(bits) bits_half(bits)
#else
typedef float half;
#define HALF_BITS(x) (float_bits(x) & 0xffff)
#define BITS_HALF(bits) bits_float(bits)
#endif

EXPORT float julia__gnu_h2f_ieee(half x) { return widen(HALF_BITS(x)); }
EXPORT half julia__gnu_f2h_ieee(float x) { return BITS_HALF(narrow(float_bits(x))); }
EXPORT half julia__truncdfhf2(double x) { return BITS_HALF(narrow(float_bits((float)x))); }
EXPORT float julia__truncsfbf2(float x) { return bits_float(float_bits(x) >> 16); }
EXPORT float julia__truncdfbf2(double x) { return bits_float(float_bits((float)x) >> 16); }

/* The heap image's unpackers of 1.13 and later. The stub's loader only compares their addresses. */
EXPORT void jl_image_unpack_uncomp(void *handle, void *image) { (void)handle, (void)image; }
EXPORT void jl_image_unpack_zstd(void *handle, void *image) { (void)handle, (void)image; }

#ifdef _WIN32
int __stdcall DllMain(void *module, unsigned reason, void *reserved) {
    (void)module, (void)reserved;
    if (reason == 1) {
        fill_objects();
        fill_boxes();
    }
    return 1;
}
#endif
