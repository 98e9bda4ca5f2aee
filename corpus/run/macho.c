/* Loads an image of macOS as dyld would, and checks it: macho IMAGE MANIFEST DIRECTORY-OF-LIBRARIES
 *
 * The image is mapped segment by segment, its fixups are applied (chained ones or opcodes), its initialisers run, its
 * segments get their permissions. Functions that it looks up at their first call are looked up then; at the end those are
 * tried that were never called. What it imports from libjulia and libjulia-internal comes from the stub libraries of
 * Linux for the same processor, which pass arguments alike; what it imports from the system comes from this program.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/mman.h>
#include <unwind.h>

#include "macho_rules.h"
#include "macho_unwind.h"

/* Libraries */

static void *libjulia, *internal;

/* What the system library has under other names than Linux'. */
static void darwin_bzero(void *at, size_t size) { memset(at, 0, size); }

/* Halves in integer registers, as Julia's runtime converts them on x86-64 macOS. Finite ones are all that probes use. */
static float half_to_float(uint16_t half) {
    uint32_t bits = half & 0x7fff ? (uint32_t)(half & 0x8000) << 16 | ((uint32_t)(half >> 10 & 31) + 112) << 23 | (half & 1023) << 13
                                  : (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint16_t float_to_half(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (!(bits & 0x7fffffff))
        return bits >> 16;
    uint32_t magnitude = (bits & 0x7fffffff) - (112u << 23);
    return (bits >> 16 & 0x8000) | (magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13;
}

static uint16_t double_to_half(double x) { return float_to_half((float)x); }

/* What another image has of weak definitions. */
static uint64_t two(void) { return 2; }

/* Thread-local variables, as libdyld's threadLocalVariables.c has them: of each descriptor the system's own function for a
 * first use is replaced. Here there is one thread. */
struct variable {
    void *(*get)(struct variable *);
    uint64_t key, offset;
};

static uint8_t *thread_block;

static void *get_variable(struct variable *variable) { return thread_block + variable->offset; }

/* One of another image. */
static uint64_t seven = 7;
static void *get_seven(struct variable *variable) { return (void)variable, &seven; }
static struct variable variable_elsewhere = {get_seven, 1, 0};

static void *first_use(struct variable *variable) {
    (void)variable;
    give_up("a thread-local variable that was not made ready", NULL);
    return NULL;
}

static void make_variables(void) {
    uint64_t start = UINT64_MAX, end = 0, count = 0, align = 1;
    for (int i = 0; i < macho.section_count; i++) {
        const struct section *s = macho.sections[i];
        uint32_t type = s->flags & 0xff;
        if (type != S_THREAD_LOCAL_REGULAR && type != S_THREAD_LOCAL_ZEROFILL)
            continue;
        start = s->addr < start ? s->addr : start;
        end = s->addr + s->size > end ? s->addr + s->size : end;
        align = (uint64_t)1 << s->align > align ? (uint64_t)1 << s->align : align;
    }
    for (int i = 0; i < macho.section_count; i++) {
        const struct section *s = macho.sections[i];
        uint32_t type = s->flags & 0xff;
        rule(!s->size || s->addr + s->size <= start || s->addr >= end || type == S_THREAD_LOCAL_REGULAR || type == S_THREAD_LOCAL_ZEROFILL,
             "a section in the template of thread-local storage:", s->name, s->addr);
    }
    if (end) {
        expect("alignment of the template of thread-local storage", NULL, start % align, 0);
        thread_block = aligned_alloc(align < 16 ? 16 : align, (end - start + align + 15) & ~(align < 16 ? 15 : align - 1));
        memcpy(thread_block, (const void *)(start + macho.slide), end - start);
    }
    for (int i = 0; i < macho.section_count; i++) {
        const struct section *s = macho.sections[i];
        if ((s->flags & 0xff) != S_THREAD_LOCAL_VARIABLES)
            continue;
        expect("size of the descriptors", s->name, s->size % sizeof(struct variable), 0);
        for (uint64_t at = 0; at + sizeof(struct variable) <= s->size; at += sizeof(struct variable), count++) {
            struct variable *variable = (struct variable *)(s->addr + macho.slide + at);
            rule(variable->get == first_use, "the function of a descriptor", s->name, (uintptr_t)variable->get - macho.slide);
            expect("the key of a descriptor", s->name, variable->key, 0);
            rule(variable->offset < end - start, "the offset of a descriptor", s->name, variable->offset);
            variable->get = get_variable, variable->key = 1;
        }
    }
    expect("MH_HAS_TLV_DESCRIPTORS", NULL, !!(u32(macho.file + 24) & MH_HAS_TLV_DESCRIPTORS), count > 0);
}

static void *in_system(const char *name) {
    static const struct {
        const char *name;
        void *address;
    } own[] = {{"bzero", darwin_bzero}, {"__bzero", darwin_bzero}, {"pkgld_of_library", two}, {"_tlv_bootstrap", first_use}, {"pkgld_variable", &variable_elsewhere}};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!strcmp(name, own[i].name))
            return own[i].address;
    return dlsym(RTLD_DEFAULT, name);
}

static void *in_runtime(const char *name) {
    static const struct {
        const char *name;
        void *address;
    } own[] = {{"julia_half_to_float", half_to_float}, {"julia_float_to_half", float_to_half}, {"julia_double_to_half", double_to_half}};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!strcmp(name, own[i].name))
            return own[i].address;
    return dlsym(internal, name);
}

static void *in_libjulia(const char *name) { return dlsym(libjulia, name); }

/* What the image calls to look a function up at its first call, as dyld_stub_binder.s of dyld has it: on the stack are the
 * word __dyld_private's address and the offset of the function's lazy bind program, both of which it takes away; the
 * arguments of the function are kept. */
void pkgld_binder(void);
#ifdef __aarch64__
__asm__(".text\n.globl pkgld_binder\npkgld_binder:\n"
        "stp x29, x30, [sp, #-16]!\nmov x29, sp\nsub sp, sp, #208\n"
        "stp x0, x1, [sp]\nstp x2, x3, [sp, #16]\nstp x4, x5, [sp, #32]\nstp x6, x7, [sp, #48]\nstr x8, [sp, #64]\n"
        "stp q0, q1, [sp, #80]\nstp q2, q3, [sp, #112]\nstp q4, q5, [sp, #144]\nstp q6, q7, [sp, #176]\n"
        "ldr x0, [x29, #24]\nldr x1, [x29, #16]\nbl pkgld_look_up\nmov x16, x0\n"
        "ldp x0, x1, [sp]\nldp x2, x3, [sp, #16]\nldp x4, x5, [sp, #32]\nldp x6, x7, [sp, #48]\nldr x8, [sp, #64]\n"
        "ldp q0, q1, [sp, #80]\nldp q2, q3, [sp, #112]\nldp q4, q5, [sp, #144]\nldp q6, q7, [sp, #176]\n"
        "mov sp, x29\nldp x29, x30, [sp], #16\nadd sp, sp, #16\nbr x16\n");
#else
__asm__(".text\n.globl pkgld_binder\npkgld_binder:\n"
        "push %rbp\nmov %rsp, %rbp\nsub $192, %rsp\n"
        "mov %rdi, (%rsp)\nmov %rsi, 8(%rsp)\nmov %rdx, 16(%rsp)\nmov %rcx, 24(%rsp)\nmov %r8, 32(%rsp)\nmov %r9, 40(%rsp)\n"
        "mov %rax, 48(%rsp)\nmov %r10, 56(%rsp)\n"
        "movups %xmm0, 64(%rsp)\nmovups %xmm1, 80(%rsp)\nmovups %xmm2, 96(%rsp)\nmovups %xmm3, 112(%rsp)\n"
        "movups %xmm4, 128(%rsp)\nmovups %xmm5, 144(%rsp)\nmovups %xmm6, 160(%rsp)\nmovups %xmm7, 176(%rsp)\n"
        "mov 8(%rbp), %rdi\nmov 16(%rbp), %rsi\ncall pkgld_look_up\nmov %rax, %r11\n"
        "movups 64(%rsp), %xmm0\nmovups 80(%rsp), %xmm1\nmovups 96(%rsp), %xmm2\nmovups 112(%rsp), %xmm3\n"
        "movups 128(%rsp), %xmm4\nmovups 144(%rsp), %xmm5\nmovups 160(%rsp), %xmm6\nmovups 176(%rsp), %xmm7\n"
        "mov (%rsp), %rdi\nmov 8(%rsp), %rsi\nmov 16(%rsp), %rdx\nmov 24(%rsp), %rcx\nmov 32(%rsp), %r8\nmov 40(%rsp), %r9\n"
        "mov 48(%rsp), %rax\nmov 56(%rsp), %r10\n"
        "mov %rbp, %rsp\npop %rbp\nadd $16, %rsp\njmp *%r11\n");
#endif

static void *in_image(const char *name);

/* The definition that the process has of a name of which images have weak ones: that of an image loaded before, which is this
 * program, if it has one, or the image's own. */
static void *coalesced(const char *name) {
    if (!strcmp(name, "pkgld_weak_elsewhere") || !strcmp(name, "pkgld_of_library"))
        return two;
    return in_image(name);
}

/* The address of an imported name, by the number of its library as binds have it: 1 for the first that is loaded, -2 for
 * a search of all, as `-undefined dynamic_lookup` asks for, -3 for a weak definition. */
static void *import(const char *name, int64_t ordinal, int weak) {
    void *address = NULL;
    if (!strcmp(name, "dyld_stub_binder"))
        return pkgld_binder;
    if (*name != '_')
        give_up("an imported name without an underscore:", name);
    if (ordinal == -3) {
        address = coalesced(name + 1);
    } else if (ordinal == -2) {
        address = in_libjulia(name + 1);
        address = address ? address : in_runtime(name + 1);
        address = address ? address : in_system(name + 1);
    } else if (ordinal >= 1 && ordinal <= macho.dylib_count) {
        const char *library = macho.dylibs[ordinal - 1];
        if (!strncmp(library, "@rpath/libjulia-internal.", 25))
            address = in_runtime(name + 1);
        else if (!strncmp(library, "@rpath/libjulia.", 16))
            address = in_libjulia(name + 1);
        else if (!strncmp(library, "/usr/lib/", 9))
            address = in_system(name + 1);
        else
            give_up("a library that no test has:", library);
    } else {
        finding("library number of", name, ordinal, macho.dylib_count);
    }
    if (!address && !weak)
        finding("not found in its library:", name, ordinal, 0);
    return address;
}

/* Places that fixups may write: of segments that are writable, or become read-only afterwards. */
static uintptr_t fixup_place(const struct segment *segment, uint64_t offset) {
    if (offset > segment->vmsize - 8 || segment->vmsize < 8 || !(segment->initprot & 2)) {
        finding("a fixup outside of writable segments, in", segment->name, offset, segment->vmsize);
        exit(1);
    }
    return segment->vmaddr + macho.slide + offset;
}

/* Chained fixups (mach-o/fixup-chains.h) */

enum { CHAINED_IMPORT = 1, CHAINED_IMPORT_ADDEND, CHAINED_IMPORT_ADDEND64, POINTER_64 = 2, POINTER_64_OFFSET = 6 };

static uint64_t fixups_applied;
/* Where the last bind was stored. */
static uintptr_t last_bound;

static uintptr_t chained_bind(const uint8_t *header, uint64_t ordinal) {
    uint32_t imports = u32(header + 8), symbols = u32(header + 12), count = u32(header + 16), format = u32(header + 20);
    if (ordinal >= count) {
        finding("import number of a chained bind", NULL, ordinal, count);
        return 0;
    }
    uint64_t name, addend = 0;
    int64_t library;
    int weak;
    if (format == CHAINED_IMPORT_ADDEND64) {
        const uint8_t *at = header + imports + 16 * ordinal;
        library = (int16_t)u64(at), weak = u64(at) >> 16 & 1, name = u64(at) >> 32, addend = u64(at + 8);
    } else {
        const uint8_t *at = header + imports + (format == CHAINED_IMPORT ? 4 : 8) * ordinal;
        library = (int8_t)u32(at), weak = u32(at) >> 8 & 1, name = u32(at) >> 9;
        addend = format == CHAINED_IMPORT_ADDEND ? (int64_t)(int32_t)u32(at + 4) : 0;
    }
    if (symbols + name >= macho.chained.size || !memchr(header + symbols + name, 0, macho.chained.size - symbols - name))
        give_up("the name of an import has no end", NULL);
    return (uintptr_t)import((const char *)header + symbols + name, library, weak) + addend;
}

static void apply_chain(const uint8_t *header, const struct segment *segment, uint64_t page, uint32_t page_size, uint32_t start, uint16_t format) {
    uint64_t offset = start;
    for (;;) {
        if (offset + 8 > page_size) {
            finding("a chain leaves its page, in", segment->name, page, offset);
            return;
        }
        uintptr_t place = fixup_place(segment, page * page_size + offset);
        uint64_t raw = u64((const void *)place), next = raw >> 51 & 0xfff, value;
        if (raw >> 63) {
            value = chained_bind(header, raw & 0xffffff) + (raw >> 24 & 0xff);
        } else {
            uint64_t target = raw & 0xfffffffff;
            expect("reserved bits of a rebase", NULL, raw >> 44 & 0x7f, 0);
            /* Format 2 has addresses, format 6 distances from the header, which is at 0 here. */
            if (target >= macho.segments[macho.segment_count - 1]->vmaddr)
                finding("target of a rebase", NULL, target, 0);
            value = (target + macho.slide) | (raw >> 36 & 0xff) << 56;
        }
        memcpy((void *)place, &value, sizeof value);
        fixups_applied++;
        if (!next)
            return;
        offset += 4 * next;
    }
    (void)format;
}

static void apply_chained(void) {
    const uint8_t *header = macho.file + macho.chained.offset;
    uint64_t size = macho.chained.size;
    if (size < 28 || u32(header) != 0 || u32(header + 24) != 0)
        give_up("header of the chained fixups", NULL);
    uint32_t starts = u32(header + 4), format = u32(header + 20), count = u32(header + 16), imports = u32(header + 8);
    rule(format >= 1 && format <= 3, "format of the imports", NULL, format);
    static const uint32_t widths[] = {0, 4, 8, 16};
    if (starts + 4 > size || imports + (uint64_t)count * widths[format & 3] > size || u32(header + 12) > size)
        give_up("chained fixups beyond their table", NULL);
    /* In this order; numbers of imports have 24 bits in a pointer. */
    rule(starts < imports && imports + (uint64_t)count * widths[format & 3] <= u32(header + 12), "imports overlap other chained fixups", NULL, imports);
    rule(count < 0xffffff, "too many imports", NULL, count);
    expect("segments of the chained fixups", NULL, u32(header + starts), macho.segment_count);
    for (uint32_t i = 0; i < u32(header + starts); i++) {
        uint32_t offset = u32(header + starts + 4 + 4 * i);
        if (!offset)
            continue;
        const uint8_t *s = header + starts + offset;
        if (starts + (uint64_t)offset + 22 > size)
            give_up("chain starts beyond their table", NULL);
        uint16_t page_size, pointer, pages;
        memcpy(&page_size, s + 4, 2), memcpy(&pointer, s + 6, 2), memcpy(&pages, s + 20, 2);
        const struct segment *segment = macho.segments[i];
        rule(pointer == POINTER_64 || pointer == POINTER_64_OFFSET, "pointer format", segment->name, pointer);
        expect("page size of the chains of", segment->name, page_size, macho.cpu == CPU_ARM64 ? 0x4000 : 0x1000);
        rule(starts + (uint64_t)offset + u32(s) <= imports, "chain starts beyond their table, of", segment->name, u32(s));
        expect("offset of the chains of", segment->name, u64(s + 8), segment->vmaddr);
        expect("largest pointer that is none, for", segment->name, u32(s + 16), 0);
        rule(22 + 2 * (uint64_t)pages <= u32(s) && starts + (uint64_t)offset + u32(s) <= size, "chain starts of", segment->name, pages);
        rule((uint64_t)pages * page_size <= segment->vmsize, "pages of", segment->name, pages);
        if (findings)
            exit(1);
        for (uint32_t page = 0; page < pages; page++) {
            uint16_t start;
            memcpy(&start, s + 22 + 2 * page, 2);
            if (start != 0xffff)
                apply_chain(header, segment, page, page_size, start, pointer);
        }
    }
}

/* Opcodes of LC_DYLD_INFO (mach-o/loader.h) */

static const struct segment *segment_of(uint32_t index) {
    if (index >= (uint32_t)macho.segment_count)
        give_up("an opcode names no segment", NULL);
    return macho.segments[index];
}

static void rebase_at(const struct segment *segment, uint64_t offset) {
    uintptr_t place = fixup_place(segment, offset), value = load_word(place);
    if (value >= macho.segments[macho.segment_count - 1]->vmaddr)
        finding("target of a rebase", NULL, value, 0);
    value += macho.slide;
    memcpy((void *)place, &value, sizeof value);
    fixups_applied++;
}

static void apply_rebases(void) {
    const uint8_t *at = macho.file + macho.rebase.offset, *end = at + macho.rebase.size;
    const struct segment *segment = NULL;
    uint64_t offset = 0, count, skip;
    while (at < end) {
        uint8_t op = *at & 0xf0, immediate = *at & 0x0f;
        at++;
        count = 0, skip = 0;
        switch (op) {
        case 0x00:
            return;
        case 0x10:
            expect("kind of rebase", NULL, immediate, 1);
            continue;
        case 0x20:
            segment = segment_of(immediate), offset = read_uleb(&at, end);
            continue;
        case 0x30:
            offset += read_uleb(&at, end);
            continue;
        case 0x40:
            offset += 8 * (uint64_t)immediate;
            continue;
        case 0x50:
            count = immediate;
            break;
        case 0x60:
            count = read_uleb(&at, end);
            break;
        case 0x70:
            count = 1, skip = read_uleb(&at, end);
            break;
        case 0x80:
            count = read_uleb(&at, end), skip = read_uleb(&at, end);
            break;
        default:
            give_up("unknown rebase opcode", NULL);
        }
        if (!segment)
            give_up("a rebase before its segment", NULL);
        for (; count; count--, offset += 8 + skip)
            rebase_at(segment, offset);
    }
}

/* Runs a bind program from an offset on to its end. */
static void apply_binds(const struct blob *blob, uint64_t from, int weak_table) {
    const uint8_t *at = macho.file + blob->offset + from, *end = macho.file + blob->offset + blob->size;
    const struct segment *segment = NULL;
    const char *name = NULL;
    uint64_t offset = 0, count, skip;
    int64_t ordinal = 0, addend = 0;
    int weak = 0;
    while (at < end) {
        uint8_t op = *at & 0xf0, immediate = *at & 0x0f;
        at++;
        count = 0, skip = 0;
        switch (op) {
        case 0x00:
            return;
        case 0x10:
            ordinal = immediate;
            continue;
        case 0x20:
            ordinal = read_uleb(&at, end);
            continue;
        case 0x30:
            ordinal = immediate ? (int8_t)(0xf0 | immediate) : 0;
            continue;
        case 0x40:
            name = (const char *)at, weak = immediate & 1;
            at += strnlen(name, end - at) + 1;
            continue;
        case 0x50:
            expect("kind of bind", NULL, immediate, 1);
            continue;
        case 0x60:
            addend = read_sleb(&at, end);
            continue;
        case 0x70:
            segment = segment_of(immediate), offset = read_uleb(&at, end);
            continue;
        case 0x80:
            offset += read_uleb(&at, end);
            continue;
        case 0x90:
            count = 1;
            break;
        case 0xa0:
            count = 1, skip = read_uleb(&at, end);
            break;
        case 0xb0:
            count = 1, skip = 8 * (uint64_t)immediate;
            break;
        case 0xc0:
            count = read_uleb(&at, end), skip = read_uleb(&at, end);
            break;
        default:
            give_up("unknown bind opcode", NULL);
        }
        if (!segment || !name)
            give_up("a bind before its segment and name", NULL);
        for (; count; count--, offset += 8 + skip) {
            uintptr_t place = fixup_place(segment, offset);
            uintptr_t value = (uintptr_t)import(name, weak_table ? -3 : ordinal, weak || weak_table) + addend;
            if (weak_table && value == (uintptr_t)addend)
                continue;
            memcpy((void *)place, &value, sizeof value);
            fixups_applied++;
            last_bound = place;
        }
    }
}

/* Functions that are looked up at their first call. */

static uint64_t looked_up;
/* While functions are only tried: the pointer through which the image must ask for one. */
static uintptr_t tried;

static void nothing(void) {}

void *pkgld_look_up(void *word, uint64_t offset) {
    uintptr_t at = (uintptr_t)word;
    const struct section *pointers = section_of_type(S_LAZY_SYMBOL_POINTERS);
    if (offset >= macho.lazy_bind.size || !pointers)
        give_up("a function is looked up that no lazy bind describes", NULL);
    rule(is_in_image(at) && at % 8 == 0 && load_word(at) == 0, "the word for the system's own use", NULL, at);
    last_bound = 0;
    apply_binds(&macho.lazy_bind, offset, 0);
    rule(last_bound - macho.slide - pointers->addr < pointers->size, "a lazy bind outside of the lazy pointers", NULL, last_bound);
    if (findings)
        exit(1);
    looked_up++;
    if (tried) {
        expect("the pointer that a lazy bind fills", NULL, last_bound, tried);
        return nothing;
    }
    return (void *)load_word(last_bound);
}

/* Has the image look up all functions that it has not called. */
static void try_lazy_pointers(void) {
    const struct section *pointers = section_of_type(S_LAZY_SYMBOL_POINTERS);
    for (uint64_t at = 0; pointers && at < pointers->size; at += 8) {
        uintptr_t place = pointers->addr + macho.slide + at, target = load_word(place);
        if (!is_in_image(target))
            continue;
        tried = place;
        ((void (*)(void))target)();
        rule(!is_in_image(load_word(place)), "a lazy pointer that leads nowhere", NULL, place);
    }
    if (pointers)
        expect("functions that were looked up", NULL, looked_up, pointers->size / 8);
}

/* Exports */

static void *in_image(const char *name) {
    const uint8_t *start = macho.file + macho.exports.offset, *end = start + macho.exports.size, *node = start;
    const char *rest = name;
    if (start == end)
        return NULL;
    int underscore = 1;
    for (int depth = 0; depth < 2000; depth++) {
        const uint8_t *at = node;
        uint64_t terminal = read_uleb(&at, end);
        const uint8_t *children = at + terminal;
        if (!underscore && !*rest) {
            if (!terminal)
                return NULL;
            uint64_t flags = read_uleb(&at, end), address = read_uleb(&at, end);
            /* Neither re-exports nor resolvers are made. What is thread-local has a descriptor there. */
            rule(!(flags & ~0x5ull), "flags of the export", name, flags);
            rule(address < macho.segments[macho.segment_count - 1]->vmaddr, "address of the export", name, address);
            return (void *)(address + macho.slide);
        }
        if (children >= end)
            give_up("export trie", NULL);
        uint8_t count = *children++;
        node = NULL;
        while (count--) {
            const char *label = (const char *)children, *with = rest;
            size_t length = strnlen(label, end - children), i = 0;
            int first = underscore;
            for (; i < length; i++) {
                if (first) {
                    if (label[i] != '_')
                        break;
                    first = 0;
                } else if (*with++ != label[i] || !label[i]) {
                    break;
                }
            }
            children += length + 1;
            uint64_t child = read_uleb(&children, end);
            if (i == length && child < macho.exports.size) {
                node = start + child, rest = with, underscore = first;
                break;
            }
        }
        if (!node)
            return NULL;
    }
    give_up("the export trie has a loop", NULL);
    return NULL;
}

/* Every external definition of the symbol table is exported, at the same address. */
static void check_exports(void) {
    uint32_t exports = 0;
    for (uint32_t i = 0; i < macho.symbol_count; i++) {
        const struct symbol *s = &macho.symbols[i];
        if (s->type & N_STAB || (s->type & N_TYPE) != N_SECT || !(s->type & N_EXT) || s->type & N_PEXT)
            continue;
        const char *name = macho.strings + s->name;
        expect("address of the export", name, (uintptr_t)in_image(name + 1) - macho.slide, s->value);
        exports++;
    }
    rule(exports >= 3, "exported symbols", NULL, exports);
}

/* Mapping */

static void map_image(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        give_up("cannot read", path);
    long size = ftell(file);
    uint8_t *bytes = allocate(size + 16, 1);
    rewind(file);
    if (fread(bytes, 1, size, file) != (size_t)size)
        give_up("cannot read", path);
    fclose(file);
    macho.file = bytes, macho.file_size = size;
    check_rules();

    const struct segment *last = macho.segments[macho.segment_count - 1];
    uint64_t span = last->vmaddr + last->vmsize, align = 0x10000;
    uint8_t *place = mmap(NULL, span + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED)
        give_up("no room to map the image", NULL);
    /* Not more aligned than the system's pages are: an image must not count on more. */
    uintptr_t page = macho.cpu == CPU_ARM64 ? 0x4000 : 0x1000;
    macho.slide = (((uintptr_t)place + align - 1) & ~(align - 1)) + page;
    if (macho.slide + span > (uintptr_t)place + span + align)
        macho.slide -= align;
    for (int i = 0; i < macho.segment_count; i++) {
        const struct segment *s = macho.segments[i];
        if (!s->vmsize)
            continue;
        if (mprotect((void *)(s->vmaddr + macho.slide), s->vmsize, PROT_READ | PROT_WRITE))
            give_up("mprotect:", s->name);
        memcpy((void *)(s->vmaddr + macho.slide), bytes + s->fileoff, s->filesize);
    }
}

static void protect(void) {
    for (int i = 0; i < macho.segment_count; i++) {
        const struct segment *s = macho.segments[i];
        int protection = s->flags & SG_READ_ONLY ? PROT_READ : s->initprot;
        if (s->vmsize && mprotect((void *)(s->vmaddr + macho.slide), s->vmsize, protection))
            give_up("mprotect:", s->name);
    }
    __builtin___clear_cache((char *)macho.slide, (char *)macho.slide + macho.segments[0]->vmsize);
}

static void run_initialisers(void) {
    for (int i = 0; i < macho.section_count; i++) {
        const struct section *s = macho.sections[i];
        uint32_t type = s->flags & 0xff, width = type == S_INIT_FUNC_OFFSETS ? 4 : 8;
        if (type != S_MOD_INIT_FUNC_POINTERS && type != S_INIT_FUNC_OFFSETS)
            continue;
        for (uint64_t at = 0; at < s->size; at += width) {
            const uint8_t *entry = (const uint8_t *)(s->addr + macho.slide + at);
            uintptr_t function = type == S_INIT_FUNC_OFFSETS ? macho.slide + u32(entry) : u64(entry);
            rule(is_in_image(function), "an initialiser outside of the image", NULL, function);
            ((void (*)(int, char **, char **, char **, void *))function)(0, NULL, NULL, NULL, NULL);
        }
    }
}

/* Unwinding: from the runtime's function up to the image by the system's own unwinder, through the image by the
 * image's own information, and then the registers must be those of the caller. */

struct called {
    uintptr_t sp, fp, returns_to;
};

static struct called expected;
static uint64_t frames_seen;

/* The values of the registers that a call preserves, around the call of the image. */
#define MARK(n) (0x6d61726b00000000ull + (n))

uint64_t pkgld_call(void *function, uint64_t argument, struct called *called);
#ifdef __aarch64__
static const int preserved[] = {19, 20, 21, 22, 23, 24, 25, 26, 27, 28};
__asm__(".text\n.globl pkgld_call\n.type pkgld_call, %function\npkgld_call:\n.cfi_startproc\n"
        "stp x29, x30, [sp, #-96]!\n.cfi_def_cfa_offset 96\n.cfi_offset 29, -96\n.cfi_offset 30, -88\n"
        "stp x19, x20, [sp, #16]\nstp x21, x22, [sp, #32]\nstp x23, x24, [sp, #48]\nstp x25, x26, [sp, #64]\n"
        "stp x27, x28, [sp, #80]\nmov x29, sp\nmov x9, sp\nstr x9, [x2]\nstr x29, [x2, #8]\nadr x9, 1f\nstr x9, [x2, #16]\n"
        "movz x9, #0x726b, lsl #32\nmovk x9, #0x6d61, lsl #48\n"
        "add x19, x9, #0\nadd x20, x9, #1\nadd x21, x9, #2\nadd x22, x9, #3\nadd x23, x9, #4\n"
        "add x24, x9, #5\nadd x25, x9, #6\nadd x26, x9, #7\nadd x27, x9, #8\nadd x28, x9, #9\n"
        "mov x9, x0\nmov x0, x1\nblr x9\n1:\n"
        "ldp x19, x20, [sp, #16]\nldp x21, x22, [sp, #32]\nldp x23, x24, [sp, #48]\nldp x25, x26, [sp, #64]\n"
        "ldp x27, x28, [sp, #80]\nldp x29, x30, [sp], #96\nret\n.cfi_endproc\n");
#else
static const int preserved[] = {3, 12, 13, 14, 15};
__asm__(".text\n.globl pkgld_call\n.type pkgld_call, @function\npkgld_call:\n.cfi_startproc\n"
        "push %rbp\n.cfi_def_cfa_offset 16\n.cfi_offset 6, -16\nmov %rsp, %rbp\n.cfi_def_cfa_register 6\n"
        "push %rbx\npush %r12\npush %r13\npush %r14\npush %r15\nsub $8, %rsp\n"
        "mov %rsp, (%rdx)\nmov %rbp, 8(%rdx)\nlea 1f(%rip), %rax\nmov %rax, 16(%rdx)\n"
        "movabs $0x6d61726b00000000, %rbx\nlea 1(%rbx), %r12\nlea 2(%rbx), %r13\nlea 3(%rbx), %r14\nlea 4(%rbx), %r15\n"
        "mov %rdi, %rax\nmov %rsi, %rdi\ncall *%rax\n1:\n"
        "add $8, %rsp\npop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n.cfi_endproc\n");
#endif

/* Where the image's code called the runtime: its innermost frame. */
static _Unwind_Reason_Code arrive(struct _Unwind_Context *context, void *data) {
    struct frame *frame = data;
    uintptr_t pc = _Unwind_GetIP(context);
    if (!is_in_image(pc))
        return _URC_NO_REASON;
    if (frame->pc)
        return _URC_END_OF_STACK;
    frame->pc = pc;
    frame->r[SP] = _Unwind_GetCFA(context);
    frame->r[FP] = _Unwind_GetGR(context, FP);
    for (size_t i = 0; i < sizeof preserved / sizeof *preserved; i++)
        frame->r[preserved[i]] = _Unwind_GetGR(context, preserved[i]);
    return _URC_NO_REASON;
}

static uint64_t walk(void) {
    struct frame frame = {0};
    _Unwind_Backtrace(arrive, &frame);
    if (!frame.pc) {
        finding("the image's frame was not reached", NULL, 0, 0);
        return 0;
    }
    while (is_in_image(frame.pc) && frames_seen < 1000) {
        frames_seen++;
        if (!step(&frame))
            return 0;
    }
    expect("return address after the image's frames", NULL, frame.pc, expected.returns_to);
    expect("stack pointer after the image's frames", NULL, frame.r[SP], expected.sp);
    expect("frame pointer after the image's frames", NULL, frame.r[FP], expected.fp);
    for (size_t i = 0; i < sizeof preserved / sizeof *preserved; i++)
        expect("a preserved register after the image's frames", NULL, frame.r[preserved[i]], MARK(i));
    return 0;
}

static uint64_t unwind(void *function, uint64_t argument) {
    void (*set)(uint64_t (*)(void)) = (void (*)(uint64_t (*)(void)))required(in_runtime, "pkgld_set_backtrace_hook");
    frames_seen = 0;
    set(walk);
    pkgld_call(function, argument, &expected);
    set(NULL);
    return frames_seen;
}

static void *arrives(void *function) { return function; }

int main(int argc, char **argv) {
    if (argc != 4)
        give_up("usage: IMAGE MANIFEST DIRECTORY", NULL);
    struct manifest manifest = read_manifest(argv[2]);
    char path[4096];
    void **handles[] = {&libjulia, &internal};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", argv[3], i ? "libjulia-internal.so" : "libjulia.so");
        if (!(*handles[i] = dlopen(path, RTLD_NOW)))
            give_up("dlopen:", dlerror());
    }
    map_image(argv[1]);
    if (macho.chained.size) {
        apply_chained();
    } else {
        apply_rebases();
        apply_binds(&macho.bind, 0, 0);
        apply_binds(&macho.weak_bind, 0, 1);
    }
    rule(fixups_applied > 0, "no fixups", NULL, 0);
    check_exports();
    if (findings)
        return 1;
    make_variables();
    if (findings)
        return 1;
    protect();
    run_initialisers();
    const uint64_t *initialised = in_image("pkgld_initialised");
    if (initialised)
        expect("what initialisers left", NULL, *initialised, 12);
    struct host host = {in_image, in_runtime, 1, arrives, unwind};
    int failed = check_image(&host, &manifest);
    try_lazy_pointers();
    return failed || findings;
}
