/* Loads an image as Julia does on Windows, resolves every export, makes every call of its manifest, walks the stack
 * through its frames, and sees to it that its personality was found: windows.exe IMAGE MANIFEST DIRECTORY-OF-LIBRARIES
 *
 * The image's preferred address is taken before it is loaded, so that its base relocations are needed.
 */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include "image.h"

static HMODULE image_module, runtime_module;

static void *in_image(const char *name) { return (void *)GetProcAddress(image_module, name); }
static void *in_runtime(const char *name) { return (void *)GetProcAddress(runtime_module, name); }

static void join(wchar_t *out, const char *directory, const char *name) {
    size_t length = 0;
    for (; *directory && length < 1000; directory++)
        out[length++] = (unsigned char)*directory;
    if (name) {
        out[length++] = '\\';
        for (; *name && length < 1020; name++)
            out[length++] = (unsigned char)*name;
    }
    out[length] = 0;
}

/* The flags are Julia's. */
static HMODULE load(const char *directory, const char *name) {
    wchar_t path[1024];
    join(path, directory, name);
    HMODULE module = LoadLibraryExW(path, NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    if (!module) {
        finding("LoadLibraryExW, GetLastError", name ? name : directory, GetLastError(), 0);
        exit(1);
    }
    return module;
}

static const IMAGE_NT_HEADERS *headers(const void *image) {
    return (const IMAGE_NT_HEADERS *)((const char *)image + ((const IMAGE_DOS_HEADER *)image)->e_lfanew);
}

static uintptr_t image_size(void) { return headers(image_module)->OptionalHeader.SizeOfImage; }

static int is_in_image(uintptr_t address) { return address - (uintptr_t)image_module < image_size(); }

/* Takes the address that the file would like to be loaded at. */
static void occupy(const char *path) {
    FILE *file = fopen(path, "rb");
    static char start[4096];
    if (!file || fread(start, 1, sizeof start, file) < sizeof(IMAGE_DOS_HEADER) + sizeof(IMAGE_NT_HEADERS))
        give_up("not a DLL:", path);
    fclose(file);
    const IMAGE_DOS_HEADER *dos = (const IMAGE_DOS_HEADER *)start;
    if (dos->e_magic != IMAGE_DOS_SIGNATURE || (size_t)dos->e_lfanew > sizeof start - sizeof(IMAGE_NT_HEADERS))
        give_up("not a DLL:", path);
    VirtualAlloc((void *)(uintptr_t)headers(start)->OptionalHeader.ImageBase, 4096, MEM_RESERVE, PAGE_NOACCESS);
}

/* Every exported name is found, in the image itself, at the address that the export directory says. */
static uint32_t check_exports(void) {
    const char *base = (const char *)image_module;
    IMAGE_DATA_DIRECTORY directory = headers(base)->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_EXPORT];
    const IMAGE_EXPORT_DIRECTORY *exports = (const IMAGE_EXPORT_DIRECTORY *)(base + directory.VirtualAddress);
    if (!directory.Size)
        give_up("no export directory", NULL);
    const DWORD *names = (const DWORD *)(base + exports->AddressOfNames);
    const DWORD *functions = (const DWORD *)(base + exports->AddressOfFunctions);
    const WORD *ordinals = (const WORD *)(base + exports->AddressOfNameOrdinals);
    for (DWORD i = 0; i < exports->NumberOfNames; i++) {
        const char *name = base + names[i];
        uintptr_t address = (uintptr_t)in_image(name);
        expect("address of", name, address, (uintptr_t)base + functions[ordinals[i]]);
        if (!is_in_image(address))
            finding("an export outside of the image:", name, address, 0);
        if (i && strcmp(base + names[i - 1], name) >= 0)
            finding("exported names out of order:", name, i, i);
        expect("by ordinal:", name,
               (uintptr_t)GetProcAddress(image_module, MAKEINTRESOURCEA(exports->Base + ordinals[i])), address);
    }
    return exports->NumberOfNames;
}

/* Through an import's thunk to the function. */
static void *arrives(void *function) {
#ifdef __aarch64__
    /* adrp x16, slot; ldr x16, [x16, slot]; br x16 */
    uint32_t words[3];
    memcpy(words, function, sizeof words);
    if (!is_in_image((uintptr_t)function) || (words[0] & 0x9f00001f) != 0x90000010 || words[2] != 0xd61f0200)
        return function;
    int64_t pages = (int32_t)((words[0] >> 5 & 0x7ffff) << 13) >> 11 | (words[0] >> 29 & 3);
    return *(void **)(((uintptr_t)function & ~(uintptr_t)4095) + pages * 4096 + (words[1] >> 10 & 0xfff) * 8);
#else
    const uint8_t *code = function;
    if (!is_in_image((uintptr_t)function) || code[0] != 0xff || code[1] != 0x25)
        return function;
    int32_t operand;
    memcpy(&operand, code + 2, sizeof operand);
#ifdef _WIN64
    return *(void **)(code + 6 + operand);
#else
    return *(void **)(uintptr_t)(uint32_t)operand;
#endif
#endif
}

static uint64_t frames_seen;
static int host_reached;

#ifdef __aarch64__
#define PC(context) ((context).Pc)
/* A function that keeps nothing on the stack has no entry: it returns to the link register. */
static void leave(CONTEXT *context) { context->Pc = context->Lr; }

static DWORD function_end(const RUNTIME_FUNCTION *function) {
    if (function->Flag)
        return function->BeginAddress + 4 * function->FunctionLength;
    uint32_t header;
    memcpy(&header, (const char *)image_module + function->UnwindData, sizeof header);
    return function->BeginAddress + 4 * (header & 0x3ffff);
}
#elif defined _WIN64
#define PC(context) ((context).Rip)
static void leave(CONTEXT *context) {
    context->Rip = *(uint64_t *)context->Rsp;
    context->Rsp += 8;
}

static DWORD function_end(const RUNTIME_FUNCTION *function) { return function->EndAddress; }
#endif

#ifdef _WIN64
static uint64_t walk(void) {
    CONTEXT context;
    uintptr_t host = (uintptr_t)GetModuleHandleW(NULL);
    RtlCaptureContext(&context);
    for (int depth = 0; depth < 200 && PC(context); depth++) {
        DWORD64 base = 0, establisher;
        void *data;
        RUNTIME_FUNCTION *function = RtlLookupFunctionEntry(PC(context), &base, NULL);
        if (base == (uintptr_t)image_module) {
            frames_seen++;
            host_reached = 0;
        } else if (PC(context) - host < headers((void *)host)->OptionalHeader.SizeOfImage && frames_seen) {
            host_reached = 1;
            break;
        }
        if (!function && is_in_image(PC(context))) {
            finding("no function entry", NULL, PC(context) - (uintptr_t)image_module, 0);
            break;
        }
        if (!function) {
            leave(&context);
        } else {
            RtlVirtualUnwind(UNW_FLAG_NHANDLER, base, PC(context), function, &context, &data, &establisher, NULL);
        }
    }
    return 0;
}

/* Julia takes the start of a function from here, so each must have an entry of its own. */
static void check_function_entries(void) {
    IMAGE_DATA_DIRECTORY directory = headers(image_module)->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_EXCEPTION];
    const RUNTIME_FUNCTION *table = (const RUNTIME_FUNCTION *)((char *)image_module + directory.VirtualAddress);
    size_t count = directory.Size / sizeof *table;
    if (!count)
        give_up("no exception directory", NULL);
    for (size_t i = 0; i < count; i++) {
        DWORD64 base = 0;
        DWORD end = function_end(&table[i]);
        if (i && function_end(&table[i - 1]) > table[i].BeginAddress)
            finding("function entries out of order", NULL, table[i].BeginAddress, function_end(&table[i - 1]));
        for (DWORD at = table[i].BeginAddress; at < end; at += end - at > 1 ? end - at - 1 : 1)
            expect("function entry of an address", NULL,
                   (uintptr_t)RtlLookupFunctionEntry((uintptr_t)image_module + at, &base, NULL), (uintptr_t)&table[i]);
    }
}
#else
/* 32-bit Windows has no tables: all frames are linked by the frame pointer. */
static __attribute__((noinline)) uint64_t walk(void) {
    uintptr_t *frame = __builtin_frame_address(0);
    for (int depth = 0; depth < 200; depth++) {
        if (is_in_image(frame[1])) {
            frames_seen++;
        } else if (frames_seen) {
            host_reached = frame[1] - (uintptr_t)GetModuleHandleW(NULL) < headers(GetModuleHandleW(NULL))->OptionalHeader.SizeOfImage;
            break;
        }
        uintptr_t *next = (uintptr_t *)frame[0];
        if (next <= frame)
            break;
        frame = next;
    }
    return 0;
}
#endif

static uint64_t unwind(void *function, uint64_t argument) {
    void (*set)(uint64_t (*)(void)) = (void (*)(uint64_t (*)(void)))required(in_runtime, "pkgld_set_backtrace_hook");
    frames_seen = 0;
    set(walk);
    ((uint64_t(*)(uint64_t))function)(argument);
    set(NULL);
    if (!host_reached)
        finding("the walk did not come back to the caller", NULL, frames_seen, frames_seen);
    return frames_seen;
}

/* The runtime's personality was called for the image's functions, and was told where they are. */
static void check_personality(const struct manifest *m) {
    int wanted = 0;
    for (size_t i = 0; i < m->count; i++)
        wanted += strstr(m->lines[i].name, "personality") != NULL;
    if (!wanted)
        return;
    uint64_t *calls = required(in_runtime, "pkgld_personality_calls");
    if (!*calls)
        finding("calls of the personality", NULL, 0, wanted);
    expect("the personality's image", NULL, *(uint64_t *)required(in_runtime, "pkgld_personality_image"), (uintptr_t)image_module);
    uint64_t function = *(uint64_t *)required(in_runtime, "pkgld_personality_function");
    if (!is_in_image(function))
        finding("the personality's function is not in the image", NULL, function, 0);
}

int main(int argc, char **argv) {
    if (argc != 4)
        give_up("usage: IMAGE MANIFEST DIRECTORY", NULL);
    struct manifest manifest = read_manifest(argv[2]);
    load(argv[3], "libjulia.dll");
    runtime_module = load(argv[3], "libjulia-internal.dll");
    occupy(argv[1]);
    image_module = load(argv[1], NULL);
    check_exports();
#ifdef _WIN64
    check_function_entries();
#endif
    /* Julia 1.9 and 1.10 do not look at `jl_RTLD_DEFAULT_handle_pointer` of a package image; without startup code nobody
     * writes it. */
    struct host host = {in_image, in_runtime, 0, arrives, unwind};
    int status = check_image(&host, &manifest);
    int before = findings;
    check_personality(&manifest);
    fflush(stdout);
    return status || findings > before;
}
