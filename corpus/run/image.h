/* Finds an image's functions and slots as Julia's loader does, fills the slots, makes every call of a manifest: what
 * `src/loader.rs` does, where the tables are explained, once more in C for programs that run where Rust's tests do not.
 *
 * The program that includes this opens the libraries, says how names are looked up in them, and calls `check_image`.
 * Findings go to the standard output, a line each; the last line is "report" with the counts, if nothing was found.
 */
#ifndef PKGLD_IMAGE_H
#define PKGLD_IMAGE_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The arithmetic of `src/mix.rs`. */
#define GOLDEN 0x9e3779b97f4a7c15ull
#define PGCSTACK_KEY 0x6b65795f736c6f74ull
#define TLS_OFFSET 0x746c735f6f666673ull

static uint64_t splitmix64(uint64_t seed) {
    uint64_t z = seed + GOLDEN;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static uint64_t gvar_value(uint32_t index) { return splitmix64(0x6776617200000000ull | index); }
static uint64_t small_typeof_value(uint32_t index) { return splitmix64(0x736d616c00000000ull | index); }
static uint64_t heap_word(uint64_t seed, uint64_t index) { return splitmix64(seed ^ index * GOLDEN); }

/* Findings: text, and numbers in hexadecimal. No varargs of the C library's own: some emulated ones cannot pass them. */

static int findings;

static void say_number(uint64_t number) {
    char digits[19], *at = digits + sizeof digits;
    *--at = 0;
    do
        *--at = "0123456789abcdef"[number & 15];
    while (number >>= 4);
    *--at = 'x', *--at = '0';
    fputs(at, stdout);
}

static void finding(const char *what, const char *name, uint64_t found, uint64_t expected) {
    if (findings++ > 20)
        return;
    fputs("finding: ", stdout), fputs(what, stdout);
    if (name)
        fputs(" ", stdout), fputs(name, stdout);
    fputs(": ", stdout), say_number(found), fputs(", expected ", stdout), say_number(expected), fputs("\n", stdout);
    fflush(stdout);
}

static void expect(const char *what, const char *name, uint64_t found, uint64_t expected) {
    if (found != expected)
        finding(what, name, found, expected);
}

static void give_up(const char *what, const char *name) {
    fputs("finding: ", stdout), fputs(what, stdout), fputs(" ", stdout), fputs(name ? name : "", stdout), fputs("\n", stdout);
    fflush(stdout);
    exit(1);
}

static void *allocate(size_t count, size_t size) {
    void *place = calloc(count ? count : 1, size);
    if (!place)
        give_up("no memory", NULL);
    return place;
}

/* The manifest: the lines of `src/manifest.rs`. */

enum kind { PROBE, BASE, BOXED, EXPORT, UNWIND, GVAR };

struct line {
    enum kind kind;
    uint32_t fvar;
    uint64_t argument, result;
    char name[200];
};

struct manifest {
    /* The minor version of Julia 1. */
    uint32_t minor;
    uint32_t shards, targets, fvars, gvars;
    uint64_t heap, heap_align, heap_seed, heap_stride;
    struct line *lines;
    size_t count;
};

static const char *next_word(char **rest) {
    char *word = *rest;
    size_t length = strcspn(word, " \r\n");
    *rest = word + length + (word[length] != 0);
    word[length] = 0;
    return word;
}

static uint64_t next_number(char **rest) {
    const char *word = next_word(rest);
    uint64_t number = 0;
    int hexadecimal = word[0] == '0' && word[1] == 'x';
    for (word += hexadecimal ? 2 : 0; *word; word++)
        number = hexadecimal ? number * 16 + (*word <= '9' ? *word - '0' : *word - 'a' + 10) : number * 10 + (*word - '0');
    return number;
}

static struct manifest read_manifest(const char *path) {
    struct manifest m = {0};
    FILE *file = fopen(path, "rb");
    static char text[1000];
    if (!file || !fgets(text, sizeof text, file) || strcmp(text, "pkgld-expect 1\n"))
        give_up("no manifest of version 1:", path);
    size_t room = 0;
    while (fgets(text, sizeof text, file)) {
        char *rest = text;
        const char *key = next_word(&rest);
        if (!*key || *key == '#' || !strcmp(key, "target") || !strcmp(key, "llvm"))
            continue;
        if (!strcmp(key, "julia")) {
            rest += 2;
            m.minor = next_number(&rest);
        } else if (!strcmp(key, "shards")) {
            m.shards = next_number(&rest);
        } else if (!strcmp(key, "targets")) {
            m.targets = next_number(&rest);
        } else if (!strcmp(key, "fvars")) {
            m.fvars = next_number(&rest);
        } else if (!strcmp(key, "gvars")) {
            m.gvars = next_number(&rest);
        } else if (!strcmp(key, "heap")) {
            m.heap = next_number(&rest), m.heap_align = next_number(&rest);
            m.heap_seed = next_number(&rest), m.heap_stride = next_number(&rest);
        } else {
            static const char *const keys[] = {"probe", "base", "boxed", "export", "unwind", "gvar"};
            int kind = 0;
            while (kind < 6 && strcmp(key, keys[kind]))
                kind++;
            if (kind == 6)
                give_up("unknown kind of line:", key);
            if (m.count == room)
                m.lines = realloc(m.lines, (room = 2 * room + 64) * sizeof *m.lines);
            if (!m.lines)
                give_up("no memory", NULL);
            struct line *line = &m.lines[m.count++];
            memset(line, 0, sizeof *line);
            line->kind = kind;
            if (kind == EXPORT)
                strncpy(line->name, next_word(&rest), sizeof line->name - 1);
            else
                line->fvar = next_number(&rest);
            if (kind == GVAR) {
                strncpy(line->name, next_word(&rest), sizeof line->name - 1);
                continue;
            }
            line->argument = next_number(&rest), line->result = next_number(&rest);
            if (kind != EXPORT)
                strncpy(line->name, rest, strcspn(rest, "\r\n") < sizeof line->name ? strcspn(rest, "\r\n") : sizeof line->name - 1);
        }
    }
    fclose(file);
    return m;
}

/* What the including program provides. */

struct host {
    /* An address by its C name, NULL if the library has no such; the image alone, and libjulia-internal. */
    void *(*image)(const char *name);
    void *(*runtime)(const char *name);
    /* Whether `jl_RTLD_DEFAULT_handle_pointer` of 1.9 and 1.10 must be right. */
    int handle_pointer;
    /* Where a call of `function` arrives, if it is a stub that only jumps. */
    void *(*arrives)(void *function);
    /* Calls `function` with `argument` while the runtime's backtrace hook is a stack walk, and gives the frames of the
     * image that the walk saw. */
    uint64_t (*unwind)(void *function, uint64_t argument);
};

/* An image's tables. */

#define TAG 0x80000000u

struct slot {
    uint32_t function;
    uintptr_t *place;
};

struct shard {
    uint32_t functions, variables, slots;
    uintptr_t *function;
    const uint32_t *function_index;
    uintptr_t **variable;
    const uint32_t *variable_index;
    struct slot *slot;
    const uint32_t *clone_index;
    /* 1.11 and later. */
    const uintptr_t *clone;
    /* Before. */
    const int32_t *clone_offset;
    uintptr_t clone_base;
};

static void *required(void *(*find)(const char *), const char *name) {
    void *address = find(name);
    if (!address)
        give_up("not found:", name);
    return address;
}

static void read_slots(struct shard *s, const int32_t *table, uintptr_t base) {
    s->slots = table[0];
    s->slot = allocate(s->slots, sizeof *s->slot);
    for (uint32_t i = 0; i < s->slots; i++)
        s->slot[i] = (struct slot){table[1 + 2 * i], (uintptr_t *)(base + table[2 + 2 * i])};
}

static struct shard shard_of_pointers(void *const *words) {
    struct shard s = {.functions = *(const uintptr_t *)words[0], .function_index = words[2], .variable_index = words[4],
                      .clone_index = words[7], .clone = words[6]};
    s.function = allocate(s.functions, sizeof *s.function);
    memcpy(s.function, words[1], s.functions * sizeof *s.function);
    const int32_t *offsets = words[3];
    s.variables = offsets[0];
    s.variable = allocate(s.variables, sizeof *s.variable);
    for (uint32_t i = 0; i < s.variables; i++)
        s.variable[i] = (uintptr_t *)((uintptr_t)offsets + offsets[1 + i]);
    read_slots(&s, words[5], (uintptr_t)words[5]);
    return s;
}

static struct shard shard_of_offsets(void *const *words) {
    const int32_t *functions = words[1], *variables = words[4];
    struct shard s = {.functions = functions[0], .variables = variables[0], .function_index = words[2],
                      .variable_index = words[5], .clone_index = words[8], .clone_offset = words[7],
                      .clone_base = (uintptr_t)words[0]};
    s.function = allocate(s.functions, sizeof *s.function);
    for (uint32_t i = 0; i < s.functions; i++)
        s.function[i] = (uintptr_t)words[0] + functions[1 + i];
    s.variable = allocate(s.variables, sizeof *s.variable);
    for (uint32_t i = 0; i < s.variables; i++)
        s.variable[i] = (uintptr_t *)((uintptr_t)words[3] + variables[1 + i]);
    read_slots(&s, words[6], (uintptr_t)words[3]);
    return s;
}

static uintptr_t clone_at(const struct shard *s, size_t n) {
    return s->clone ? s->clone[n] : s->clone_base + s->clone_offset[n];
}

/* Puts the functions of a CPU target into the shard's list and its slots. */
static void choose(struct shard *s, uint32_t target) {
    const uint32_t *indices = s->clone_index;
    size_t first = 0;
    for (uint32_t passed = 0; passed < target; passed++) {
        uint32_t length = *indices;
        if (length & TAG) {
            first += passed ? s->functions : 0;
            indices += 1 + (length & ~TAG);
        } else {
            first += length;
            indices += 2 + length;
        }
    }
    uint32_t length = *indices & ~TAG;
    int all = (*indices & TAG) != 0;
    if (all && target)
        for (uint32_t i = 0; i < s->functions; i++)
            s->function[i] = clone_at(s, first + i);
    if (!all && indices[1] != 0)
        give_up("clones of clones are not generated", NULL);
    indices += all ? 1 : 2;
    for (uint32_t i = 0; i < length; i++) {
        uint32_t function = indices[i] & ~TAG;
        if (!all) {
            s->function[function] = clone_at(s, first + i);
            if (!(indices[i] & TAG))
                continue;
        }
        int slots = 0;
        for (uint32_t k = 0; k < s->slots; k++)
            if (s->slot[k].function == function)
                *s->slot[k].place = s->function[function], slots++;
        if (!slots)
            finding("relocation slots of a shard's function", NULL, function, 1);
    }
}

struct image {
    uintptr_t *function;
    const uint8_t *heap;
};

static void identity(const struct host *host, const struct manifest *m) {
    void *handle = required(host->runtime, "jl_RTLD_DEFAULT_handle");
    if (m->minor >= 11) {
        void *(*address)(void) = (void *(*)(void))required(host->image, "get_jl_RTLD_DEFAULT_handle_addr");
        expect("get_jl_RTLD_DEFAULT_handle_addr()", NULL, (uintptr_t)address(), (uintptr_t)handle);
    } else {
        void **pointer = required(host->image, "jl_RTLD_DEFAULT_handle_pointer");
        if (host->handle_pointer)
            expect("jl_RTLD_DEFAULT_handle_pointer", NULL, (uintptr_t)*pointer, (uintptr_t)handle);
    }
    if (m->minor >= 13) {
        void *unpack = required(host->runtime, "jl_image_unpack_uncomp");
        void **pointer = required(host->image, "jl_image_unpack");
        expect("jl_image_unpack", NULL, (uintptr_t)host->arrives(*pointer), (uintptr_t)unpack);
    }
    if (m->minor >= 14) {
        uint32_t *sum = required(host->image, "jl_system_image_checksum");
        expect("jl_system_image_checksum", NULL, *sum, (uint32_t)heap_word(m->heap_seed, UINT64_MAX));
    }
    expect("jl_system_image_size", NULL, *(uintptr_t *)required(host->image, "jl_system_image_size"), m->heap);
}

static void fill(uintptr_t *table, uint32_t count, uint32_t index, uintptr_t address, const char *what) {
    if (index >= count)
        finding(what, "beyond the count", index, count);
    else if (table[index])
        finding(what, "in two shards", index, index);
    else
        table[index] = address;
}

static struct image load_image(const struct host *host, const struct manifest *m, uint32_t target) {
    struct shard *shards = allocate(m->shards, sizeof *shards);
    uintptr_t base;
    uintptr_t *tls[3];
    const uint8_t *ids;
    identity(host, m);
    if (m->minor == 9) {
        static const char *const names[9] = {
            "jl_sysimg_fvars_base", "jl_sysimg_fvars_offsets", NULL, "jl_sysimg_gvars_base", "jl_sysimg_gvars_offsets",
            NULL, "jl_dispatch_reloc_slots", "jl_dispatch_fvars_offsets", "jl_dispatch_fvars_idxs"};
        void *words[9];
        for (int i = 0; i < 9; i++)
            words[i] = names[i] ? required(host->image, names[i]) : NULL;
        shards[0] = shard_of_offsets(words);
        base = (uintptr_t)words[3];
        tls[0] = required(host->image, "jl_pgcstack_func_slot");
        tls[1] = required(host->image, "jl_pgcstack_key_slot");
        tls[2] = required(host->image, "jl_tls_offset_image");
        ids = required(host->image, "jl_dispatch_target_ids");
    } else {
        void **pointers = required(host->image, "jl_image_pointers");
        const uint32_t *header = pointers[0], counts[4] = {1, m->shards, m->fvars, m->gvars};
        for (int i = 0; i < 4; i++)
            expect("a word of the header", NULL, header[i], counts[i]);
        if (findings)
            exit(1);
        base = (uintptr_t)header;
        int width = m->minor == 10 ? 9 : 8;
        for (uint32_t i = 0; i < m->shards; i++) {
            void *const *words = (void *const *)pointers[1] + i * width;
            shards[i] = width == 8 ? shard_of_pointers(words) : shard_of_offsets(words);
        }
        memcpy(tls, pointers[2], sizeof tls);
        uintptr_t *small_typeof = pointers[3];
        for (int i = 0; i < 128; i++)
            small_typeof[i] = small_typeof_value(i);
        ids = pointers[4];
    }
    *tls[0] = (uintptr_t)required(host->runtime, "jl_get_pgcstack");
    *tls[1] = (uintptr_t)PGCSTACK_KEY;
    *tls[2] = (uintptr_t)TLS_OFFSET;
    uint32_t targets;
    memcpy(&targets, ids, sizeof targets);
    expect("CPU targets of the image", NULL, targets, m->targets);

    struct image image = {allocate(m->fvars, sizeof(uintptr_t)), required(host->image, "jl_system_image_data")};
    uintptr_t *variables = allocate(m->gvars, sizeof *variables);
    for (uint32_t k = 0; k < m->shards; k++) {
        struct shard *s = &shards[k];
        choose(s, target);
        for (uint32_t i = 0; i < s->functions; i++)
            fill(image.function, m->fvars, s->function_index ? s->function_index[i] : i, s->function[i], "function");
        for (uint32_t i = 0; i < s->variables; i++)
            fill(variables, m->gvars, s->variable_index ? s->variable_index[i] : i, (uintptr_t)s->variable[i], "variable");
    }
    for (uint32_t i = 0; i < m->fvars; i++)
        if (!image.function[i])
            finding("function in no shard", NULL, i, 0);
    for (uint32_t i = 0; i < m->gvars; i++) {
        intptr_t distance = (intptr_t)(variables[i] - base);
        if (!variables[i])
            finding("variable in no shard", NULL, i, 0);
        /* Julia keeps the distance in 32 bits. */
        else if (distance != (int32_t)distance)
            finding("variable too far from the header", NULL, i, 0);
        else
            *(uintptr_t *)variables[i] = gvar_value(i);
    }
    if (findings)
        exit(1);
    for (size_t i = 0; i < m->count; i++)
        if (m->lines[i].kind == GVAR)
            *(void **)variables[m->lines[i].fvar] = required(host->runtime, m->lines[i].name);
    free(variables);
    return image;
}

static uint64_t expected_heap_word(const struct manifest *m, uint64_t offset) {
    uint64_t rest = m->heap - offset;
    if (offset % m->heap_stride && rest > 8)
        return 0;
    uint64_t word = heap_word(m->heap_seed, offset / 8);
    return rest < 8 ? word & (((uint64_t)1 << 8 * rest) - 1) : word;
}

/* All words of a small heap image; of a big one the first and those that are set. */
static uint64_t check_heap(const struct manifest *m, const uint8_t *heap) {
    uint64_t words = 0, step = m->heap > 8 << 20 ? m->heap_stride : 8;
    expect("the heap image's address within its alignment", NULL, (uintptr_t)heap % m->heap_align, 0);
    for (uint64_t offset = 0; offset < m->heap; offset += step, words++) {
        uint64_t word = 0;
        memcpy(&word, heap + offset, m->heap - offset < 8 ? m->heap - offset : 8);
        expect("a word of the heap image", NULL, word, expected_heap_word(m, offset));
    }
    return words;
}

/* Checks everything, and says what was counted. Returns the program's exit status. */
static int check_image(const struct host *host, const struct manifest *m) {
    uint64_t calls = 0, words = 0, frames = 0;
    typedef uint64_t native(uint64_t);
    typedef uint64_t *boxed(void *, uint64_t **, uint32_t);
    for (uint32_t target = 0; target < m->targets; target++) {
        struct image image = load_image(host, m, target);
        int top = target + 1 == m->targets;
        for (size_t i = 0; i < m->count; i++) {
            const struct line *line = &m->lines[i];
            uint64_t result = line->result;
            if (line->kind == PROBE) {
                for (size_t k = 0; !top && k < m->count; k++)
                    if (m->lines[k].kind == BASE && m->lines[k].fvar == line->fvar)
                        result = m->lines[k].result;
                expect("result of", line->name, ((native *)image.function[line->fvar])(line->argument), result);
            } else if (line->kind == BOXED) {
                uint64_t argument = line->argument, *cell = &argument;
                expect("result of", line->name, *((boxed *)image.function[line->fvar])(NULL, &cell, 1), result);
            } else if (line->kind == EXPORT) {
                expect("result of", line->name, ((native *)required(host->image, line->name))(line->argument), result);
            } else if (line->kind == UNWIND && top) {
                uint64_t seen = host->unwind((void *)image.function[line->fvar], line->argument);
                expect("frames of the image on the stack", NULL, seen, result);
                frames += seen;
                continue;
            } else {
                continue;
            }
            calls++;
        }
        if (target == 0)
            words = check_heap(m, image.heap);
    }
    if (findings)
        return 1;
    const struct {
        const char *name;
        uint64_t count;
    } counts[] = {{"report calls ", calls}, {" words ", words}, {" gvars ", m->gvars}, {" frames ", frames}};
    for (int i = 0; i < 4; i++)
        fputs(counts[i].name, stdout), say_number(counts[i].count);
    fputs("\n", stdout);
    return 0;
}

#endif
