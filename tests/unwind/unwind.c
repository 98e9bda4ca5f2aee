/* Loads a package image, calls a chain of its functions, and walks the stack from the callback at its end.
 *
 *     unwind LIBJULIA LIBJULIA-INTERNAL IMAGE OFFSET DEPTH
 *
 * Calls the function OFFSET (hexadecimal) bytes into the image with DEPTH. For each frame a line is printed:
 *
 *     frame image IP START     a frame of the image: program counter and the function's start, from the image's base
 *     frame main               main's
 *     frame other              any other
 *
 * then `returned N`, N being what the callback returned through the image's functions: the number of frames. After
 * that, offsets are read from standard input, and for each a line says where the unwinder finds the function that
 * contains it:
 *
 *     function OFFSET START
 *     function OFFSET none
 *
 * The unwinder is that of GCC's runtime, which C and C++ on glibc use; with -DLIBUNWIND it is nongnu libunwind, which
 * Julia uses.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef LIBUNWIND
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#else
#include <unwind.h>
#endif

static uintptr_t image, image_end;
static unsigned frames;

int main(int argc, char **argv);

static void report(uintptr_t ip, uintptr_t start) {
    frames++;
    if (ip >= image && ip < image_end)
        printf("frame image %" PRIxPTR " %" PRIxPTR "\n", ip - image, start ? start - image : 0);
    else if (start == (uintptr_t)main)
        puts("frame main");
    else
        puts("frame other");
}

#ifdef LIBUNWIND

static void walk(void) {
    unw_context_t context;
    unw_cursor_t cursor;
    unw_getcontext(&context);
    unw_init_local(&cursor, &context);
    while (unw_step(&cursor) > 0) {
        unw_word_t ip = 0;
        unw_proc_info_t function = {0};
        unw_get_reg(&cursor, UNW_REG_IP, &ip);
        unw_get_proc_info(&cursor, &function);
        report(ip, function.start_ip);
    }
}

static uintptr_t find(uintptr_t address) {
    unw_proc_info_t function = {0};
    return unw_get_proc_info_by_ip(unw_local_addr_space, address, &function, NULL) == 0 ? function.start_ip : 0;
}

#else

/* Of GCC's unwind-dw2-fde.h; the function is exported from libgcc_s for whoever throws. */
struct bases {
    void *text, *data, *function;
};
extern const void *_Unwind_Find_FDE(void *pc, struct bases *bases);

static _Unwind_Reason_Code frame(struct _Unwind_Context *context, void *unused) {
    (void)unused;
    report(_Unwind_GetIP(context), (uintptr_t)_Unwind_GetRegionStart(context));
    return _URC_NO_REASON;
}

static void walk(void) { _Unwind_Backtrace(frame, NULL); }

static uintptr_t find(uintptr_t address) {
    struct bases bases;
    return _Unwind_Find_FDE((void *)address, &bases) ? (uintptr_t)bases.function : 0;
}

#endif

__attribute__((noinline)) uint64_t callback(void) {
    walk();
    return frames;
}

static int find_end(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)size, (void)unused;
    if (info->dlpi_addr == image)
        for (int i = 0; i < info->dlpi_phnum; i++) {
            const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
            if (segment->p_type == PT_LOAD && image + segment->p_vaddr + segment->p_memsz > image_end)
                image_end = image + segment->p_vaddr + segment->p_memsz;
        }
    return 0;
}

static void *open_library(const char *path, int flags) {
    void *handle = dlopen(path, flags);
    if (!handle) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return handle;
}

int main(int argc, char **argv) {
    if (argc != 6)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    open_library(argv[1], RTLD_LAZY | RTLD_GLOBAL);
    void *runtime = open_library(argv[2], RTLD_LAZY | RTLD_GLOBAL);
    void (*set_hook)(uint64_t (*)(void)) = (void (*)(uint64_t (*)(void)))dlsym(runtime, "pkgld_set_backtrace_hook");
    struct link_map *map;
    if (!set_hook || dlinfo(open_library(argv[3], RTLD_LAZY | RTLD_LOCAL), RTLD_DI_LINKMAP, &map))
        return 3;
    image = map->l_addr;
    dl_iterate_phdr(find_end, NULL);
    set_hook(callback);
    uint64_t (*descend)(uint64_t) = (uint64_t (*)(uint64_t))(image + strtoull(argv[4], NULL, 16));
    printf("returned %" PRIu64 "\n", descend(strtoull(argv[5], NULL, 10)));
    for (uintptr_t offset; scanf("%" SCNxPTR, &offset) == 1;) {
        uintptr_t start = find(image + offset);
        if (start)
            printf("function %" PRIxPTR " %" PRIxPTR "\n", offset, start - image);
        else
            printf("function %" PRIxPTR " none\n", offset);
    }
    return 0;
}
